"""The linear-algebra step of iteratively reweighted least squares.

`solve_normal` (diagonal scaling and Cholesky) costs nothing beside forming X'WX and is accurate while the
scaled X'WX is well conditioned. `weighted_qr_step` works on X itself, whose condition number is the square
root of that, and finds dependent columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.linalg import lapack, solve_triangular

from reglm.optimize.crossproduct import Design, block_rows, row_blocks
from reglm.optimize.dependence import dependent_columns, tolerance
from reglm.optimize.problem import Array
from reglm.threads import map_rows, one_thread


def solve_normal(G: Array, g: Array) -> tuple[Array, float]:
    """Solve ``G x = g`` by diagonal scaling and Cholesky.

    Parameters
    ----------
    G : (P, P) array
        Symmetric positive semi-definite.
    g : (P,) array
        Right-hand side.

    Returns
    -------
    x : (P,) array
        Solution; zeros where `G` is not positive definite to working accuracy.
    condition : float
        Estimated condition number of the scaled `G` in the 1-norm; inf where there is no solution.
    """
    diagonal = np.diag(G)
    if g.size == 0:
        return g.copy(), 1.0
    if not (np.all(diagonal > 0) and np.all(np.isfinite(diagonal))):
        return np.zeros_like(g), math.inf
    scale = 1.0 / np.sqrt(diagonal)
    scaled = scale[:, None] * G * scale
    with one_thread(g.size):
        factor, info = lapack.dpotrf(scaled)
        if info != 0:
            return np.zeros_like(g), math.inf
        reciprocal, _ = lapack.dpocon(factor, float(np.abs(scaled).sum(axis=0).max()))
        solution, _ = lapack.dpotrs(factor, scale * g)
    return scale * solution, math.inf if reciprocal == 0.0 else 1.0 / reciprocal


@dataclass(frozen=True)
class LeastSquares:
    """A weighted least-squares solution.

    Attributes
    ----------
    coef : (P,) array
        Coefficients, zero for dropped columns.
    aliased : (P,) bool array
        Columns that depend linearly on the intercept and the columns before them, and were dropped.
    R : (P, P) array
        A square root of the cross-product, ``R'R = X'WX + diag(ridge)``, intercept last; not triangular.
    """

    coef: Array
    aliased: Array
    R: Array

    @property
    def rank(self) -> int:
        """Number of columns kept."""
        return int(np.sum(~self.aliased))


def weighted_qr_step(
    X: Design,
    w: Array,
    z: Array,
    intercept: bool = False,
    ridge: Array | None = None,
    shift: Array | None = None,
) -> LeastSquares:
    """Minimise ``sum(w * (z - X b)**2) + sum(ridge * (b - shift)**2)`` by orthogonal reduction of row blocks.

    Parameters
    ----------
    X : (n, p) array or CSR
        Design matrix; a block at a time is made dense.
    w : (n,) array
        Non-negative weights.
    z : (n,) array
        Working response.
    intercept : bool
        Append an implicit column of ones.
    ridge, shift : (P,) arrays, optional
        Diagonal penalty and what it shrinks to (zero).

    Returns
    -------
    LeastSquares

    Notes
    -----
    The R factor of the rows so far is stacked on the next block (Golub & Van Loan 2013, 5.3.4 and "TSQR");
    memory is one block. A column counts as dependent when what is left of it, after projection on the
    intercept and the columns kept before it, is below 1e-11 of its length (1e-6 for float32 data).
    """
    size = X.shape[1] + intercept
    rows = max(block_rows(size), 2 * size)

    def part(start: int, stop: int) -> Array:
        table = np.zeros((0, size + 1))
        for block in row_blocks(start, stop, rows):
            table = reduce(np.concatenate([table, weighted_table(X, w, z, intercept, block)]))
        return table

    tables = list(map_rows(part, X.shape[0], 4 * rows))
    if ridge is not None and np.any(ridge):
        root = np.sqrt(ridge)
        tables.append(np.column_stack([np.diag(root), root * (0.0 if shift is None else shift)]))
    table = reduce(np.concatenate(tables))
    R, c = table[:, :size], table[:, size]
    aliased = dependent_columns(R, tolerance(X), intercept)
    coef = np.zeros(size)
    coef[~aliased] = solve_columns(R[:, ~aliased], c)
    return LeastSquares(coef, aliased, R)


def weighted_table(X: Design, w: Array, z: Array, intercept: bool, rows: slice) -> Array:
    """Dense ``sqrt(w) * [X, 1, z]`` of these rows in float64."""
    part: Any = X[rows]
    block = part.toarray() if sp.issparse(part) else part
    ones = np.ones((block.shape[0], int(intercept)))
    return np.column_stack([block, ones, z[rows]]).astype(float, copy=False) * np.sqrt(w[rows], dtype=float)[:, None]


def reduce(table: Array) -> Array:
    """R factor (square or wide) of a table, orthogonally equivalent to it."""
    return np.asarray(np.linalg.qr(table, mode="r"))


def solve_columns(R: Array, c: Array) -> Array:
    """Least-squares solution of ``R b = c`` for independent columns, by QR of the columns scaled."""
    length = np.linalg.norm(R, axis=0)
    q, r = np.linalg.qr(R / length)
    return solve_triangular(r, q.T @ c) / length
