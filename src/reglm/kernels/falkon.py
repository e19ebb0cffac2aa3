"""Regression on landmarks by preconditioned conjugate gradients (FALKON: Rudi, Carratino & Rosasco 2017).

The normal equations of `reglm.kernels.lowrank` at one penalty, ``(Phi~'M Phi~ + lambda) c = Phi~'y~``, are solved
without ``Phi~'Phi~``: every iteration is a pass over blocks of the kernel. In the preconditioner a few rows, drawn
anew, stand for all of them; its Cholesky factor leaves a condition number that does not grow with n. (The original lets
the landmarks stand for the rows, which costs less and takes more iterations where the penalty is small.)
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import linalg
from sklearn.exceptions import ConvergenceWarning

from reglm.kernels.blocks import Blocks, Gram, rows_within
from reglm.kernels.lowrank import Rows, factor
from reglm.parameters import Array

DRAWN = 8
"""Rows of the preconditioner for each landmark."""
ROUNDING = 1e-15
"""Share of its trace added to the preconditioner's diagonal."""
PATIENCE = 20
"""Iterations without a smaller residual after which rounding is taken to be all that is left."""
Progress = Callable[[int, float], bool | None]
"""``(iteration, relative residual) -> True`` to stop."""


class Solution(NamedTuple):
    """What the iterations came to.

    Parameters
    ----------
    landmarks : ndarray (r, p)
    beta : ndarray (r, k)
        Their coefficients.
    linear : ndarray (q, k)
        Coefficients of the kept columns of X.
    R : ndarray (r, r)
        Factor of the kernel between the landmarks.
    edf : float
        Effective degrees of freedom, as the rows of the preconditioner estimate them.
    rss : ndarray (k,)
        Weighted residual sums of squares.
    n_iter : int
    residuals : list of float
        Largest relative residual over the targets before each iteration and after the last.
    status : {"converged", "max_iter", "stagnated", "stopped", "interrupted"}
    """

    landmarks: Array
    beta: Array
    linear: Array
    R: Array
    edf: float
    rss: Array
    n_iter: int
    residuals: list[float]
    status: str


def solve(
    gram: Gram, X: Array, Z: Array, rows: Rows, lam: float, rng: np.random.Generator, *, memory: int,
    dtype: str = "float64", tol: float = 1e-8, max_iter: int = 100, progress: Progress | None = None,
) -> Solution:  # fmt: skip
    """Fit a regression on landmarks at one penalty.

    Parameters
    ----------
    gram : callable
    X : ndarray or CSR (n, p)
    Z : ndarray or CSR (m, p)
        Landmarks.
    rows : Rows
    lam : float
        Positive.
    rng : numpy.random.Generator
        Draws the rows of the preconditioner.
    memory : int
        Bytes for blocks and (m, m) matrices; blocks are kept between iterations where it suffices.
    dtype : {"float64", "float32"}
        Of the blocks.
    tol : float
        Residual at which to stop, relative to the right-hand side, in the norm of the preconditioner.
    max_iter : int
    progress : callable, optional
        Called after each iteration.

    Returns
    -------
    Solution
        Ctrl-C keeps what has been reached.

    Warns
    -----
    ConvergenceWarning
        If the tolerance is not reached.

    Raises
    ------
    ValueError
        If the memory does not suffice or the kernel is not positive semidefinite.
    """
    found = factor(np.asarray(gram(Z, Z), dtype="float64"), dtype)
    height, keep = rows_within(memory, X.shape[0], Z.shape[0], np.dtype(dtype).itemsize)
    blocks = Blocks(gram, X, Z[found.chosen], height, keep, np.asarray, dtype)
    system = System(blocks, rows, found.R, _precondition(blocks, rows, found.R, lam, rng), lam)
    c, residuals, status = conjugate_gradients(system, tol, max_iter, progress)
    if status != "converged":
        warnings.warn(
            f"conjugate gradients {_SAID[status]} at a relative residual of {residuals[-1]:.2g} after "
            f"{len(residuals) - 1} iterations (tol={tol:g}); raise max_iter, alpha or tol, or choose solver='direct'.",
            ConvergenceWarning, stacklevel=2,
        )  # fmt: skip
    beta, linear = linalg.solve_triangular(found.R, c), linalg.solve_triangular(rows.T, rows.u - system.cross @ c)
    n_iter = len(residuals) - 1
    return Solution(blocks.Z, beta, linear, found.R, system.edf, system.rss(c), n_iter, residuals, status)


_SAID = {
    "max_iter": "used up their iterations", "stagnated": "came to rest", "stopped": "were stopped",
    "interrupted": "were interrupted",
}  # fmt: skip


def _precondition(blocks: Blocks, rows: Rows, R: Array, lam: float, rng: np.random.Generator) -> Array:
    """Upper Cholesky factor of ``Phi~'M Phi~ + lambda`` as a few rows estimate it, (r, r)."""
    n, r = blocks.X.shape[0], len(R)
    drawn = np.sort(rng.permutation(n)[: DRAWN * r])
    Q, P, S = rows.Q[drawn], np.zeros((r, r)), np.zeros((rows.Q.shape[1], r))
    for start in range(0, len(drawn), blocks.rows):
        at = drawn[start : start + blocks.rows]
        K = np.asarray(blocks.gram(blocks.X[at], blocks.Z), dtype="float64") * np.sqrt(rows.weights[at])[:, None]
        Phi = linalg.solve_triangular(R, K.T, trans="T", overwrite_b=True)
        P += Phi @ Phi.T
        S += rows.Q[at].T @ Phi.T
    P -= S.T @ linalg.pinvh(Q.T @ Q) @ S
    P *= n / len(drawn)
    P[np.diag_indices_from(P)] += lam + ROUNDING * float(np.trace(P))
    return linalg.cholesky(P, overwrite_a=True)


class System:
    """The normal equations as a product, a right-hand side and a preconditioner.

    Parameters
    ----------
    blocks : Blocks
        Kernel between rows and landmarks.
    rows : Rows
    R : ndarray (r, r)
        Factor of the kernel between landmarks.
    A : ndarray (r, r)
        Factor of the preconditioner.
    lam : float

    Attributes
    ----------
    cross : ndarray (q, r)
        ``Q'Phi~``.
    right : ndarray (r, k)
    """

    def __init__(self, blocks: Blocks, rows: Rows, R: Array, A: Array, lam: float) -> None:
        self.blocks, self.rows, self.R, self.A, self.lam = blocks, rows, R, A, lam
        self.root = np.sqrt(rows.weights)[:, None].astype(blocks.dtype)
        both = np.zeros((len(R), rows.Q.shape[1] + rows.y.shape[1]))
        for at, K in blocks:
            both += K.T @ (self.root[at] * np.hstack([rows.Q[at], rows.y[at]]).astype(K.dtype))
        both = linalg.solve_triangular(R, both, trans="T")
        self.cross, self.right = both[:, : rows.Q.shape[1]].T, both[:, rows.Q.shape[1] :]

    def product(self, c: Array) -> Array:
        """Return the matrix of the system times c (r, k), in one pass over the rows."""
        v = linalg.solve_triangular(self.R, c).astype(self.blocks.dtype)
        total = np.zeros(c.shape)
        for at, K in self.blocks:
            total += K.T @ (self.root[at] ** 2 * (K @ v))
        return linalg.solve_triangular(self.R, total, trans="T") - self.cross.T @ (self.cross @ c) + self.lam * c

    @property
    def edf(self) -> float:
        """Effective degrees of freedom, with the preconditioner in the place of the matrix."""
        half = linalg.solve_triangular(self.A, np.eye(len(self.A)))
        return self.rows.Q.shape[1] + len(self.A) - self.lam * float((half**2).sum())

    def rss(self, c: Array) -> Array:
        """Weighted residual sums of squares (k,) at c (r, k), in one pass over the rows."""
        v, u = linalg.solve_triangular(self.R, c).astype(self.blocks.dtype), self.cross @ c
        found = np.zeros(c.shape[1])
        for at, K in self.blocks:
            found += ((self.rows.y[at] - self.root[at] * (K @ v) + self.rows.Q[at] @ u) ** 2).sum(axis=0)
        return found

    def precondition(self, r: Array) -> Array:
        """Return the preconditioner's solution for r (r, k)."""
        return linalg.cho_solve((self.A, False), r)


def conjugate_gradients(
    system: System, tol: float, max_iter: int, progress: Progress | None
) -> tuple[Array, list[float], str]:
    """Solve for all targets side by side (Hestenes & Stiefel 1952); return c, the residuals and the status."""
    c, r = np.zeros(system.right.shape), system.right.copy()
    z = system.precondition(r)
    p, energy = z.copy(), (r * z).sum(axis=0)
    start = np.where(energy > 0, energy, 1.0)
    residuals, best = [_relative(energy, start)], (np.inf, c)
    try:
        while residuals[-1] > tol:
            if len(residuals) > max_iter:
                return best[1], residuals, "max_iter"
            Ap = system.product(p)
            step = _ratio(energy, (p * Ap).sum(axis=0))
            c, r = c + step * p, r - step * Ap
            z = system.precondition(r)
            energy, before = (r * z).sum(axis=0), energy
            p = z + _ratio(energy, before) * p
            residuals.append(_relative(energy, start))
            best = min(best, (residuals[-1], c), key=lambda reached: reached[0])
            if progress is not None and progress(len(residuals) - 1, residuals[-1]):
                return best[1], residuals, "stopped"
            if len(residuals) > PATIENCE and min(residuals[-PATIENCE:]) > min(residuals[:-PATIENCE]):
                return best[1], residuals, "stagnated"
    except KeyboardInterrupt:
        return best[1], residuals, "interrupted"
    return c, residuals, "converged"


def _ratio(above: Array, below: Array) -> Array:
    """Quotients (k,), zero for targets that are solved."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _relative(energy: Array, start: Array) -> float:
    """Largest residual relative to the first, in the norm of the preconditioner."""
    return float(np.sqrt(np.max(np.maximum(energy, 0.0) / start)))
