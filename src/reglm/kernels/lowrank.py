"""Ridge regression on a kernel's landmarks (Nystroem), all penalties from one decomposition.

With landmarks z_1..z_m the fit is ``x'b + sum_j k(x, z_j) beta_j``, and its penalty ``lambda beta'K_ZZ beta``
(Williams & Seeger 2001; Smola & Schoelkopf 2000). ``K_ZZ = R'R`` makes it a ridge regression on r <= m features
``Phi = K_XZ R^-1``. Rows are scaled by the roots of their weights; ``X~ = Q T``, and with ``M = I - Q Q'``

    Phi~'M Phi~ = V D V',   P = M Phi~ V,   t = P'y~,   H = Q Q' + P (D + lambda)^-1 P'.

Everything but the leave-one-out residuals follows from sums over the rows; those take a second pass. With every row a
landmark this is the exact dual of `reglm.kernels.duals`.

Conventions
-----------
n rows of positive weight, m landmarks of which r are independent, q columns of X kept, k targets, L penalties.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
from scipy import linalg
from scipy.linalg import get_blas_funcs, lapack

from reglm.kernels.blocks import Blocks, Gram, rows_within
from reglm.kernels.duals import independent
from reglm.parameters import Array
from reglm.threads import one_thread

DEPENDENT = {"float64": 1e-14, "float32": 1e-6}
"""A landmark whose part outside the others is less than this (of the largest diagonal entry) is left out."""


class Rows(NamedTuple):
    """The rows of a fit, scaled by the roots of their weights.

    Parameters
    ----------
    y : ndarray (n, k)
        Scaled responses less their projection on X.
    Q : ndarray (n, q)
        Orthonormal basis of the scaled columns of X.
    T : ndarray (q, q)
        Upper triangular.
    u : ndarray (q, k)
        ``Q'y~``.
    kept : ndarray of int (q,)
        Columns of X in the fit.
    weights : ndarray (n,)
    copies : bool
        Weights are repetitions, otherwise precisions.
    """

    y: Array
    Q: Array
    T: Array
    u: Array
    kept: Array
    weights: Array
    copies: bool

    @property
    def nobs(self) -> float:
        """Observations."""
        return float(self.weights.sum()) if self.copies else float(len(self.weights))


def scaled_rows(y: Array, X: Array | None, weights: Array | None, *, copies: bool = True) -> Rows:
    """Scale the rows and take the unpenalised part out of the responses.

    Parameters
    ----------
    y : ndarray (n, k)
        Responses less offsets.
    X : ndarray (n, p), optional
    weights : ndarray (n,), optional
        Positive.
    copies : bool
        See `Rows`.

    Raises
    ------
    ValueError
        If X leaves no row to the kernel.
    """
    weights = np.ones(len(y)) if weights is None else weights
    root = np.sqrt(weights)[:, None]
    X = np.empty((len(y), 0)) if X is None else root * X
    kept = independent(X)
    Q, T = linalg.qr(X[:, kept], mode="economic") if len(kept) else (X[:, kept], np.empty((0, 0)))
    if len(kept) >= len(y):
        raise ValueError(
            f"n_samples={len(y)} with an unpenalised part of {len(kept)} coefficients leaves nothing to the kernel."
        )
    scaled = root * y
    u = Q.T @ scaled
    return Rows(scaled - Q @ u, Q, T, u, kept, weights, copies)


class Factor(NamedTuple):
    """Pivoted Cholesky factor of the kernel between the landmarks.

    Parameters
    ----------
    R : ndarray (r, r)
        Upper triangular, of the landmarks kept.
    chosen : ndarray of int (r,)
        Landmarks kept, in the order of the factor.
    features : ndarray (m, r)
        Features of all landmarks, in their own order.
    """

    R: Array
    chosen: Array
    features: Array


def factor(K: Array, dtype: str = "float64") -> Factor:
    """Factor ``K_ZZ`` (m, m), leaving out landmarks that depend on the others.

    Raises
    ------
    ValueError
        If K is zero or not positive semidefinite.
    """
    tolerance = DEPENDENT[dtype] * float(np.max(np.diagonal(K), initial=0.0))
    with one_thread(len(K)):
        C, pivots, rank, info = lapack.dpstrf(K, tol=tolerance, lower=0)
    order = pivots - 1
    R = np.triu(C)[:rank]
    features = np.empty((len(K), rank))
    features[order] = R.T
    off = np.abs(features @ features.T - K).max(initial=0.0) if rank else np.inf
    if info < 0 or off > 1e-6 * max(float(np.abs(K).max()), np.finfo(float).tiny) + len(K) * tolerance:
        raise ValueError(
            f"the kernel between the {len(K)} landmarks is not positive semidefinite (its factor of rank {rank} is "
            f"off by {off:.3g}); use a kernel that is."
        )
    return Factor(R[:, :rank], order[:rank], features)


@dataclass(frozen=True)
class LowRank:
    """Decomposition of a regression on landmarks; see the module for the letters.

    Parameters
    ----------
    landmarks : ndarray (r, p)
    R : ndarray (r, r)
        Factor of their kernel.
    d : ndarray (r,)
        Eigenvalues D, ascending, none negative.
    V : ndarray (r, r)
    t : ndarray (r, k)
    C : ndarray (q, r)
        ``Q'Phi~ V``.
    rows : Rows
    features : Blocks or None
        ``Phi``, block by block; a loaded model has none.
    """

    landmarks: Array
    R: Array
    d: Array
    V: Array
    t: Array
    C: Array
    rows: Rows
    features: Blocks | None

    def stored(self) -> LowRank:
        """Return what files hold: the sums over the rows, not the rows of X."""
        return replace(self, features=None)

    @property
    def q(self) -> int:
        """Free coefficients of the unpenalised part."""
        return len(self.rows.kept)

    @property
    def nobs(self) -> float:
        """Observations."""
        return self.rows.nobs

    @property
    def kept(self) -> Array:
        """Columns of X in the fit, (q,)."""
        return self.rows.kept

    @cached_property
    def pseudo_inverse(self) -> Array:
        """``1 / D`` where it is not zero, (r,)."""
        some = self.d > 0
        return np.divide(1.0, self.d, out=np.zeros_like(self.d), where=some)

    @cached_property
    def rounding(self) -> float:
        """Errors of leverages without a penalty."""
        condition = self.d[-1] * self.pseudo_inverse.max(initial=0.0)
        return len(self.d) * np.finfo(float).eps * max(float(np.sqrt(condition)), 1.0)

    @cached_property
    def total(self) -> Array:
        """Sum of squares of the responses about the unpenalised part, (k,)."""
        return (self.rows.y**2).sum(axis=0)

    def inverse(self, lam: Array) -> Array:
        """Return ``1 / (D + lambda)``, (r, L)."""
        return 1.0 / (self.d[:, None] + lam)

    def coefficients(self, lam: Array) -> Array:
        """Coefficients beta of the landmarks (r, k), one penalty a target (or one for all)."""
        return linalg.solve_triangular(self.R, self.V @ (self.t * self.inverse(lam)))

    def linear(self, lam: Array) -> Array:
        """Coefficients b of the kept columns of X (q, k)."""
        return linalg.solve_triangular(self.rows.T, self.rows.u - self.C @ (self.t * self.inverse(lam)))

    def edf(self, lam: Array) -> Array:
        """Effective degrees of freedom, the trace of the hat matrix, (L,)."""
        return self.q + (self.d[:, None] * self.inverse(lam)).sum(axis=0)

    def rss(self, lam: Array) -> Array:
        """Weighted residual sum of squares, (L, k)."""
        inverse = self.inverse(lam)
        return self._difference((inverse + lam * inverse**2).T @ self.t**2)

    def quadratic(self, lam: Array) -> Array:
        """Return the minimum of the objective over lambda, ``y'(K + lambda)^-1 y`` beside X, (L, k)."""
        return self._difference(self.inverse(lam).T @ self.t**2) / lam[:, None]

    def _difference(self, fitted: Array) -> Array:
        """What is left of the sum of squares, (L, k), at least its rounding."""
        return np.maximum(self.total - fitted, np.finfo(float).eps * self.total + np.finfo(float).tiny)

    def unit_variance(self, lam: Array, Phi: Array, X: Array) -> Array:
        """Variance of fitted values at new rows from features Phi (n0, r) and X (n0, p), at error variance 1, (n0, L).

        The leverage of a training row is this times its weight.
        """
        g = linalg.solve_triangular(self.rows.T, X[:, self.rows.kept].T, trans="T").T
        P = Phi @ self.V - g @ self.C
        return (g**2).sum(axis=1, keepdims=True) + P**2 @ self.inverse(lam)

    def variance(self, lam: Array, cross: Array, X: Array, diagonal: Array) -> Array:
        """Variance of the error of predicted means at scale 1, (n0, L).

        What the landmarks do not explain of the kernel is added to what the fit is uncertain about: the projected
        process (Quinonero-Candela & Rasmussen 2005). Arguments are those of `reglm.kernels.posterior.variance`, `cross`
        being (n0, r).
        """
        Phi = linalg.solve_triangular(self.R, cross.T, trans="T").T
        rest = np.maximum(diagonal - (Phi**2).sum(axis=1), 0.0)
        return rest[:, None] + lam * self.unit_variance(lam, Phi, X)

    def schur(self, lam: Array) -> Array:
        """``(Q'(K~ + lambda)^-1 Q)^-1``, (L, q, q): the covariance of T b, up to the scale."""
        shrunk = (self.C[None] * self.inverse(lam).T[:, None, :]) @ self.C.T
        return lam[:, None, None] * (np.eye(self.q) + shrunk)

    def linear_covariance(self, lam: Array) -> Array:
        """Covariance of the kept coefficients of X at scale 1, (L, q, q)."""
        half = linalg.solve_triangular(self.rows.T, np.eye(self.q))
        return half @ self.schur(lam) @ half.T


def decompose(gram: Gram, X: Array, Z: Array, rows: Rows, *, memory: int, dtype: str = "float64") -> LowRank:
    """Decompose a regression on landmarks once, for all penalties.

    Parameters
    ----------
    gram : callable
    X : ndarray (n, p)
    Z : ndarray (m, p)
        Landmarks.
    rows : Rows
    memory : int
        Bytes for blocks and (m, m) matrices.
    dtype : {"float64", "float32"}
        Of the blocks; their sums are in double precision.

    Raises
    ------
    ValueError
        If the memory does not suffice or the kernel is not positive semidefinite.
    """
    found = factor(np.asarray(gram(Z, Z), dtype="float64"), dtype)
    height, keep = rows_within(memory, X.shape[0], Z.shape[0], np.dtype(dtype).itemsize)
    Z, R = Z[found.chosen], np.asfortranarray(found.R.astype(dtype))
    blocks = Blocks(gram, X, Z, height, keep, partial(_features, R), dtype)
    G, S, b = _sums(blocks, rows)
    rounding = len(G) * np.finfo(float).eps * float(np.diagonal(G).max())
    with one_thread(len(G)):
        d, V = linalg.eigh(G - S.T @ S, overwrite_a=True, check_finite=False, driver="evd")
    # what X spans leaves directions without rows: their d and t are rounding, which a small penalty would blow up
    empty = d <= rounding
    return LowRank(Z, found.R, np.where(empty, 0.0, d), V, np.where(empty[:, None], 0.0, V.T @ b), S @ V, rows, blocks)


def _features(R: Array, K: Array) -> Array:
    """``K R^-1`` in the place of K (rows, r), which has the type of R."""
    (solve,) = get_blas_funcs(("trsm",), (R,))
    return solve(1.0, R, K.T, trans_a=1, overwrite_b=1).T


def _sums(blocks: Blocks, rows: Rows) -> tuple[Array, Array, Array]:
    """``Phi~'Phi~`` (r, r), ``Q'Phi~`` (q, r) and ``Phi~'y~`` (r, k), in double precision."""
    (square,) = get_blas_funcs(("syrk",), dtype=blocks.dtype)
    r, root = blocks.Z.shape[0], np.sqrt(rows.weights)[:, None]
    G, S, b = np.zeros((r, r)), np.zeros((rows.Q.shape[1], r)), np.zeros((r, rows.y.shape[1]))
    for at, block in blocks:
        Phi = block * root[at].astype(blocks.dtype)
        G += square(1.0, Phi.T)
        S += rows.Q[at].T @ Phi
        b += Phi.T @ rows.y[at]
    return np.triu(G) + np.triu(G, 1).T, S, b
