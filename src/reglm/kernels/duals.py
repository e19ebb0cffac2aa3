"""Ridge regression in the dual, with an unpenalised part: one eigendecomposition, then every penalty.

The objective is ``sum_i w_i (y_i - x_i'b - f_i)^2 + lambda f'K^-1 f`` with ``f = K a``. Rows are scaled by the square
roots of their weights; ``y~``, ``X~`` and ``K~`` are what they become. With ``X~ = Q R`` and ``Z`` an orthonormal basis
of the rest, ``Z'K~Z = U D U'`` and ``G = Z U`` give (Wahba 1990, section 1.3)

    a~ = G (D + lambda)^-1 G'y~,    I - H = lambda G (D + lambda)^-1 G',    R b = Q'y~ - Q'K~ a~.

The same numbers read as a Gaussian process: ``f ~ N(0, s K)``, errors ``N(0, lambda s / w_i)``, b unknown.

Conventions
-----------
n rows of positive weight, q columns of X that are linearly independent, m = n - q, k targets, L penalties.
Only ``Z'KZ`` has to be positive semidefinite, so kernels may be conditionally so (thin plates, minus a distance).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import linalg
from scipy.linalg import lapack

from reglm.parameters import Array

NEGATIVE = 1e-6
"""Eigenvalues above minus this share of the largest count as rounding, in single precision perhaps, and as zero."""
ALIASED = 1e-10
"""A column of X whose part outside the others is a smaller share of it than this is left out."""
FEW = (
    "the weights sum to {:.4g}, fewer observations than {}: they count as repetitions. Rescale them, or say that "
    "they are precisions, freq_weights=False."
)
BLOCK = 256
"""Rows taken at a time where squares of G are summed, so that they stay in the cache."""


@dataclass(frozen=True)
class Dual:
    """Decomposition of a kernel regression; see the module for the letters.

    Parameters
    ----------
    d : ndarray (m,)
        Eigenvalues D, ascending, none negative.
    G : ndarray (n, m)
    t : ndarray (m, k)
        ``G'y~``.
    Q : ndarray (n, q)
    R : ndarray (q, q)
        Upper triangular.
    u : ndarray (q, k)
        ``Q'y~``.
    A : ndarray (q, q)
        ``Q'K~Q``.
    C : ndarray (q, m)
        ``Q'K~G``.
    weights : ndarray (n,)
    kept : ndarray of int (q,)
        Columns of X that are in the fit; the others depend on them.
    copies : bool
        Weights are numbers of repetitions: they count as observations, and leaving one out leaves out one copy.
        Otherwise they are precisions, and a row is left out whole.
    rounding : float
        Size of the errors of d: eigenvalues and penalties below it mean nothing.
    """

    d: Array
    G: Array
    t: Array
    Q: Array
    R: Array
    u: Array
    A: Array
    C: Array
    weights: Array
    kept: Array
    copies: bool
    rounding: float

    @property
    def q(self) -> int:
        """Free coefficients of the unpenalised part."""
        return len(self.kept)

    @cached_property
    def nobs(self) -> float:
        """Observations: rows, or the sum of weights that are repetitions."""
        return float(self.weights.sum()) if self.copies else float(len(self.weights))

    @cached_property
    def root(self) -> Array:
        """Square roots of the weights (n, 1)."""
        return np.sqrt(self.weights)[:, None]

    @property
    def repeats(self) -> float:
        """Observations beyond the first of each row."""
        return self.nobs - len(self.weights)

    def inverse(self, lam: Array) -> Array:
        """Return ``1 / (D + lambda)``, (m, L)."""
        return 1.0 / (self.d[:, None] + lam)

    def inverse_diagonal(self, lam: Array) -> Array:
        """Diagonal of ``G (D + lambda)^-1 G'``, (n, L)."""
        inverse = self.inverse(lam)
        found = np.empty((len(self.G), inverse.shape[1]))
        for start in range(0, len(found), BLOCK):
            found[start : start + BLOCK] = self.G[start : start + BLOCK] ** 2 @ inverse
        return found

    def scaled_coefficients(self, lam: Array) -> Array:
        """Dual coefficients of the scaled rows, a~ (n, k), one penalty a target (or one for all)."""
        return self.G @ (self.t * self.inverse(lam))

    def coefficients(self, lam: Array) -> Array:
        """Dual coefficients a (n, k): ``f(x) = sum_i k(x, x_i) a_i``.

        Parameters
        ----------
        lam : ndarray (k,) or (1,)
            Penalty of each target, or of all.
        """
        return self.root * self.scaled_coefficients(lam)

    def linear(self, lam: Array) -> Array:
        """Coefficients b of the kept columns of X (q, k)."""
        return linalg.solve_triangular(self.R, self.u - self.C @ (self.t * self.inverse(lam)))

    def edf(self, lam: Array) -> Array:
        """Effective degrees of freedom, the trace of the hat matrix, (L,)."""
        return self.q + (self.d[:, None] * self.inverse(lam)).sum(axis=0)

    def leverage(self, lam: Array) -> Array:
        """Diagonal of the hat matrix, (n, L): how much a row's fitted value follows its response."""
        return 1.0 - lam * self.inverse_diagonal(lam)

    def quadratic(self, lam: Array) -> Array:
        """``y~'G (D + lambda)^-1 G'y~``: the minimum of the objective over lambda, (L, k)."""
        return self.inverse(lam).T @ self.t**2

    def rss(self, lam: Array) -> Array:
        """Weighted residual sum of squares, (L, k)."""
        return (lam * self.inverse(lam)).T ** 2 @ self.t**2

    def residuals(self, lam: Array) -> Array:
        """Return ``y - x'b - f``, (n, k), one penalty a target (or one for all)."""
        return lam * self.scaled_coefficients(lam) / self.root

    def loo_residuals(self, lam: Array) -> Array:
        """Residual of each row from the fit without it, or without one copy of it, (n, k).

        Exact, for any quadratic penalty (Craven & Wahba 1979). A weight below 1 is left out whole. NaN where a row
        alone determines a coefficient of the unpenalised part.
        """
        return self.loo_scaled(self.scaled_coefficients(lam), self.inverse_diagonal(lam), lam) / self.root

    def loo_scaled(self, scaled: Array, diagonal: Array, lam: Array) -> Array:
        """Leave-one-out residuals times the roots of the weights, from a~ and the diagonal at the same penalties."""
        share = self.left_out
        alone = (diagonal <= ALIASED**2 * diagonal.max(axis=0)) & (share == 1.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            stay = np.where(share == 1.0, 0.0, (1.0 - share) / lam)
        return scaled / np.where(alone, np.nan, stay + share * diagonal)

    @cached_property
    def left_out(self) -> Array:
        """Share of a row's weight that leaving one out takes away (n, 1)."""
        if not self.copies:
            return np.ones((len(self.weights), 1))
        return (np.minimum(self.weights, 1.0) / self.weights)[:, None]

    def schur(self, lam: Array) -> Array:
        """``(Q'(K~ + lambda)^-1 Q)^-1``, (L, q, q): the covariance of R b, up to the scale s."""
        shrunk = self.C[None] * self.inverse(lam).T[:, None, :]
        return self.A + lam[:, None, None] * np.eye(self.q) - shrunk @ self.C.T


def decompose(K: Array, y: Array, X: Array | None = None, weights: Array | None = None, *, copies: bool = True) -> Dual:
    """Decompose a kernel regression once, for all penalties.

    Parameters
    ----------
    K : ndarray (n, n)
        Kernel matrix; only its lower triangle counts for the eigenvalues.
    y : ndarray (n, k)
        Responses, less offsets.
    X : ndarray (n, p), optional
        Columns of the unpenalised part.
    weights : ndarray (n,), optional
        Positive.
    copies : bool
        See `Dual`.

    Returns
    -------
    Dual

    Raises
    ------
    ValueError
        If the kernel is not positive semidefinite beside X, or X leaves no row to the kernel.
    """
    n = len(K)
    weights = np.ones(n) if weights is None else weights
    root = np.sqrt(weights)[:, None]
    X = np.empty((n, 0)) if X is None else root * X
    kept = independent(X)
    q = len(kept)
    if q >= n:
        raise ValueError(f"n_samples={n} with an unpenalised part of {q} coefficients leaves nothing to the kernel.")
    if copies and weights.sum() <= q:
        raise ValueError(FEW.format(weights.sum(), f"the {q} coefficients of the unpenalised part need"))
    qr, tau = _householder(X[:, kept])
    M = np.array(K, order="F") if np.all(weights == 1.0) else np.asfortranarray(K * root * root.T)
    M = _times(qr, tau, M, "L", "T")
    M = _times(qr, tau, M, "R", "N")
    rounding = n * np.finfo(float).eps * float(np.abs(np.diag(M)).max())
    d, U = _eigen(np.asfortranarray(M[q:, q:]), rounding)
    G = np.zeros((n, n - q), order="F")
    G[q:] = U
    G = _times(qr, tau, G, "L", "N")
    Q = _times(qr, tau, np.eye(n, q, order="F"), "L", "N")
    A, C, scaled = (M[:q, :q] + M[:q, :q].T) / 2, M[:q, q:] @ U, root * y
    return Dual(d, G, G.T @ scaled, Q, np.triu(qr[:q]), Q.T @ scaled, A, C, weights, kept, copies, rounding)


def independent(X: Array) -> Array:
    """Numbers of columns, in order, that span those of X (n, p): pivoted QR of the columns at length 1."""
    length = np.sqrt((X**2).sum(axis=0))
    if not np.any(length > 0):
        return np.empty(0, dtype=int)
    R, order = linalg.qr(X / np.where(length > 0, length, 1.0), mode="r", pivoting=True)
    return np.sort(order[: len(np.diag(R))][np.abs(np.diag(R)) > ALIASED])


def _householder(X: Array) -> tuple[Array, Array]:
    """LAPACK's QR of X (n, q): R above the diagonal, reflectors below it, and their factors."""
    if not X.shape[1]:
        return X, np.empty(0)
    (qr, tau), _ = linalg.qr(X, mode="raw")
    return qr, tau


def _times(qr: Array, tau: Array, M: Array, side: str, transposed: str) -> Array:
    """Product of the full Q (n, n) with M, in place."""
    if not len(tau):
        return M
    length = M.shape[1] if side == "L" else M.shape[0]
    product, _, _ = lapack.dormqr(side, transposed, qr, tau, M, max(64 * length, 1), overwrite_c=True)
    return product


def _eigen(M: Array, rounding: float) -> tuple[Array, Array]:
    """Eigenvalues, ascending, and eigenvectors of a matrix that is positive semidefinite but for rounding."""
    d, U = linalg.eigh(M, overwrite_a=True, check_finite=False, driver="evd")
    if d[0] < -max(NEGATIVE * max(abs(d[0]), d[-1]), rounding):
        raise ValueError(
            f"the kernel is not positive semidefinite: its smallest eigenvalue is {d[0]:.3g}, its largest {d[-1]:.3g}. "
            "Use a kernel that is, or add a multiple of the identity to a precomputed one."
        )
    return np.maximum(d, 0.0), U
