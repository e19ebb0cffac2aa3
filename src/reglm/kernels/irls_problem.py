"""Data and penalised information of a kernel regression of any family; `reglm.kernels.irls_dual` has the letters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg

from reglm.kernels.duals import Dual
from reglm.parameters import Array

if TYPE_CHECKING:
    from reglm.response import Response, Working


@dataclass(frozen=True)
class Problem:
    """Data of a fit, for every penalty.

    Parameters
    ----------
    dual : Dual
        Decomposition of the kernel with these weights; its responses have no part in it.
    response : Response
        Family and link.
    y : ndarray (n, m)
    offset : ndarray (n, K)
    """

    dual: Dual
    response: Response
    y: Array
    offset: Array

    @cached_property
    def kept(self) -> Array:
        """Eigenvalues that mean something, (r,) indices."""
        return np.flatnonzero(self.dual.d > max(self.dual.rounding, np.finfo(float).tiny))

    @cached_property
    def roots(self) -> Array:
        """Square roots of the eigenvalues (r,)."""
        return np.sqrt(self.dual.d[self.kept])

    @cached_property
    def F(self) -> Array:
        """Columns (n, p), penalised ones first."""
        return np.hstack([self.dual.G[:, self.kept] * self.roots, self.dual.Q]) / self.dual.root

    @cached_property
    def weights(self) -> Array:
        """Weights (n, 1)."""
        return self.dual.weights[:, None]

    @cached_property
    def is_penalised(self) -> Array:
        """Indicator of the columns of F that are, (p, 1)."""
        return (np.arange(self.F.shape[1]) < len(self.kept)).astype(float)[:, None]

    @property
    def nobs(self) -> float:
        """Observations times linear predictors."""
        return self.dual.nobs * self.offset.shape[1]

    def at(self, theta: Array, lam: float) -> Point:
        """Evaluate coefficients (p, K)."""
        eta = self.offset + self.F @ theta
        with np.errstate(all="ignore"):  # a step too far overflows; it is seen by its value and halved
            working = self.response.working(self.y, eta, self.weights)
        value = working.objective + 0.5 * lam * float((self.is_penalised * theta**2).sum())
        finite = np.isfinite(value) and np.isfinite(working.score).all() and np.isfinite(working.information).all()
        return Point(theta, eta, value if finite else np.inf, working)

    @property
    def is_canonical(self) -> bool:
        """Whether observed and expected information are the same."""
        return self.response.link.name == self.response.family.canonical_link

    def observed(self, eta: Array) -> Array:
        """Observed information (n, K, K) about linear predictors."""
        return self.response.working(self.y, eta, self.weights, observed=True).information

    def start(self, eta: Array, lam: float) -> Array:
        """Coefficients (p, K) whose linear predictor is near a given one (n, K): ridge regression on it."""
        with_weights = self.dual.root**2 * self.F
        H = self.F.T @ with_weights + np.diag(lam * self.is_penalised[:, 0])
        return linalg.solve(H, with_weights.T @ (eta - self.offset), assume_a="pos")

    def curvature(self, information: Array, lam: float) -> Curvature:
        """Factorise ``F'MF + lambda P`` for an information (n, K, K).

        Raises
        ------
        numpy.linalg.LinAlgError
            If it is not positive definite.
        """
        K = information.shape[1]
        penalty = lam * self.is_penalised[:, 0]
        if not np.any(information[:, ~np.eye(K, dtype=bool)]):
            return Curvature(self.F, [_gram(self.F, information[:, k, k], penalty) for k in range(K)], K)
        p = self.F.shape[1]
        H = np.empty((p, K, p, K))
        for j in range(K):
            for k in range(j + 1):
                H[:, j, :, k] = _gram(self.F, information[:, j, k], penalty * (j == k))
                H[:, k, :, j] = H[:, j, :, k].T
        return Curvature(self.F, [H.reshape(p * K, p * K)], K)

    def columns(self, cross: Array, X: Array) -> Array:
        """Columns (n0, p) of new rows, from their kernel with the training rows (n0, n) and their linear part."""
        g = linalg.solve_triangular(self.dual.R, X[:, self.dual.kept].T, trans="T").T
        z = (cross * self.dual.root.T) @ self.dual.G[:, self.kept] - g @ self.dual.C[:, self.kept]
        return np.hstack([z / self.roots, g])

    def outside(self, cross: Array, X: Array, diagonal: Array, columns: Array) -> Array:
        """Kernel variance of new rows that the training rows say nothing about, (n0,)."""
        r = len(self.kept)
        k, g, z = cross * self.dual.root.T, columns[:, r:], columns[:, :r]
        fixed = diagonal + np.einsum("iq,qr,ir->i", g, self.dual.A, g) - 2 * np.einsum("iq,iq->i", g, k @ self.dual.Q)
        return np.maximum(fixed - (z**2).sum(axis=1), 0.0)


@dataclass(frozen=True)
class Point:
    """Coefficients (p, K), their linear predictor (n, K) and penalised objective, and what scoring needs there."""

    theta: Array
    eta: Array
    value: float
    working: Working


class Curvature:
    """Cholesky factors of the penalised information, one for all linear predictors together or one for each.

    Parameters
    ----------
    F : ndarray (n, p)
    matrices : list of ndarray
        One (p K, p K), coefficients in the order of theta (p, K) by rows, or K of them (p, p).
    K : int
    """

    def __init__(self, F: Array, matrices: list[Array], K: int) -> None:
        self.F, self.K = F, K
        self.factors = [linalg.cholesky(H, lower=True, overwrite_a=True, check_finite=False) for H in matrices]

    @property
    def is_coupled(self) -> bool:
        """Whether linear predictors share a factor."""
        return len(self.factors) < self.K

    def solve(self, g: Array) -> Array:
        """Solve for a right-hand side (p, K)."""
        if self.is_coupled:
            return linalg.cho_solve((self.factors[0], True), g.ravel()).reshape(g.shape)
        return np.column_stack([linalg.cho_solve((L, True), g[:, k]) for k, L in enumerate(self.factors)])

    @property
    def log_determinant(self) -> float:
        """Of the whole."""
        return 2.0 * sum(float(np.log(np.diag(L)).sum()) for L in self.factors)

    def covariances(self, columns: Array) -> Array:
        """Inverse between the linear predictors of each row, (n0, K, K), for columns (n0, p)."""
        n, p = columns.shape
        found = np.zeros((n, self.K, self.K))
        if not self.is_coupled:
            for k, L in enumerate(self.factors):
                found[:, k, k] = (linalg.solve_triangular(L, columns.T, lower=True) ** 2).sum(axis=0)
            return found
        halves = []
        for k in range(self.K):
            right = np.zeros((p, self.K, n))
            right[:, k] = columns.T
            halves.append(linalg.solve_triangular(self.factors[0], right.reshape(p * self.K, n), lower=True))
        for j in range(self.K):
            for k in range(self.K):
                found[:, j, k] = (halves[j] * halves[k]).sum(axis=0)
        return found


def _gram(F: Array, w: Array, penalty: Array) -> Array:
    """``F' diag(w) F + diag(penalty)``."""
    H = F.T @ (w[:, None] * F)
    H[np.diag_indices(len(H))] += penalty
    return H
