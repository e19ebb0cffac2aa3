"""Which columns of a design depend linearly on those before them.

The intercept counts as the first column, so that a full set of indicator columns loses its last one, as in R.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular

from reglm.optimize.crossproduct import Design, block_rows, row_blocks
from reglm.optimize.problem import Array

DEPENDENT = 1e-11
CLEARLY_NOT = 1e-7
MAYBE = 1e-9


def tolerance(X: Design) -> float:
    """Relative length of a remainder that counts as zero: 1e-11, 1e-6 for float32 data."""
    return max(DEPENDENT, 10 * float(np.finfo(X.dtype).eps))


def order(size: int, intercept: bool) -> list[int]:
    """Column numbers in the order in which they are considered."""
    return [size - 1, *range(size - 1)] if intercept else list(range(size))


def dependent_columns(R: Array, zero: float, intercept: bool) -> Array:
    """Mark dependent columns by orthogonalisation.

    Parameters
    ----------
    R : (m, P) array
        Columns, the intercept last.
    zero : float
        Relative length of a remainder that counts as zero.
    intercept : bool
        Whether the last column is the intercept.

    Returns
    -------
    (P,) bool array
    """
    size = R.shape[1]
    basis = np.zeros((R.shape[0], 0))
    dependent = np.zeros(size, dtype=bool)
    for j in order(size, intercept):
        length = float(np.linalg.norm(R[:, j]))
        column = R[:, j] / length if length > 0 else R[:, j]
        for _ in range(2):  # twice is enough (Parlett 1998, section 6.9)
            column = column - basis @ (basis.T @ column)
        rest = float(np.linalg.norm(column))
        if rest <= zero:
            dependent[j] = True
        else:
            basis = np.column_stack([basis, column / rest])
    return dependent


def dependent_by_crossproduct(X: Design, present: Array, ridge: Array, G: Array, intercept: bool) -> Array | None:
    """Mark dependent columns from the cross-product where that is certain, sparing a QR of a large design.

    Parameters
    ----------
    X : (n, p) array or CSR
        Design matrix.
    present : (n,) bool array
        Rows that count.
    ridge : (P,) array
        Diagonal penalty contained in `G`.
    G : (P, P) array
        X'WX plus the penalty, the intercept last.
    intercept : bool
        Whether there is an intercept.

    Returns
    -------
    (P,) bool array or None
        None unless the pivots of a Cholesky factorisation are all clearly zero or clearly not *and* each
        relation found holds for the rows of X themselves to the tolerance of `dependent_columns`.
    """
    split = pivots(G, intercept)
    if split is None:
        return None
    dependent, relations = split
    m = relations.shape[1]
    if m == 0:
        return dependent
    p = X.shape[1]
    own = relations * dependent[:, None]
    both = np.column_stack([relations, own])
    squares = ridge @ both**2
    for block in row_blocks(0, X.shape[0], block_rows(2 * m)):
        images = X[block] @ both[:p]
        if intercept:
            images = images + both[p]
        squares = squares + present[block] @ images**2
    return dependent if np.all(np.sqrt(squares[:m]) <= tolerance(X) * np.sqrt(squares[m:])) else None


def pivots(G: Array, intercept: bool) -> tuple[Array, Array] | None:
    """Cholesky factorisation of the scaled `G` that passes over zero pivots.

    Returns
    -------
    dependent : (P,) bool array
        Columns passed over.
    relations : (P, m) array
        For each of them, coefficients of a combination of it and columns kept before it that should vanish.
        which the column itself, scaled to unit length, has coefficient one.

    Notes
    -----
    Returns None if a pivot is neither clearly zero nor clearly not.
    """
    size = G.shape[0]
    length = np.sqrt(np.diag(G))
    safe = np.where(length > 0, length, 1.0)
    scaled = G / safe[:, None] / safe
    factor = np.zeros((size, size))
    kept: list[int] = []
    dependent = np.zeros(size, dtype=bool)
    relations: list[Array] = []
    for j in order(size, intercept):
        k = len(kept)
        row = solve_triangular(factor[:k, :k], scaled[j, kept], lower=True, check_finite=False)
        pivot = float(scaled[j, j]) - float(row @ row)
        if pivot > CLEARLY_NOT:
            factor[k, :k], factor[k, k] = row, np.sqrt(pivot)
            kept.append(j)
        elif pivot < MAYBE:
            dependent[j] = True
            relation = np.zeros(size)
            relation[j] = 1.0
            relation[kept] = -solve_triangular(factor[:k, :k], row, lower=True, trans=1, check_finite=False)
            relations.append(relation / safe)
        else:
            return None
    return dependent, np.column_stack(relations) if relations else np.zeros((size, 0))
