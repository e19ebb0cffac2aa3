"""Weighted cross-products X'WX and X'd in row blocks that fit the cache, for dense and CSR design matrices.

No n x p copy is made: a block of ``sqrt(w) * X`` is formed in a scratch array and multiplied by itself at
once (half the arithmetic of a general product). The intercept is an implicit last column of ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp

from reglm.optimize.problem import Array
from reglm.threads import PARTS, map_rows

BLOCK_BYTES = 1 << 19
MIN_BLOCK_ROWS = 256
KERNEL_PAYS = 2_000_000  # multiplications

Design: TypeAlias = "np.ndarray | sp.csr_array | sp.csr_matrix"


def block_rows(columns: int) -> int:
    """Rows whose dense float64 block takes about half a megabyte."""
    return max(MIN_BLOCK_ROWS, BLOCK_BYTES // (8 * max(columns, 1)))


def row_blocks(start: int, stop: int, rows: int) -> Iterator[slice]:
    """Yield the slices of `rows` rows, the last one shorter, that make up ``start:stop``."""
    for first in range(start, stop, rows):
        yield slice(first, min(first + rows, stop))


def weighted_crossproduct(X: Design, w: Array, intercept: bool = False) -> Array:
    """X'WX with W = diag(w).

    Parameters
    ----------
    X : (n, p) array or CSR
        Design matrix, float32 or float64.
    w : (n,) array
        Weights, of any sign.
    intercept : bool
        Append an implicit column of ones.

    Returns
    -------
    (p, p) float64 array, (p + 1, p + 1) with the intercept last
    """
    if np.min(w, initial=0.0) >= 0:
        return normal_equations(X, w, None, intercept)[0]
    return (
        normal_equations(X, np.maximum(w, 0), None, intercept)[0]
        - normal_equations(X, np.maximum(-w, 0), None, intercept)[0]
    )


def normal_equations(X: Design, w: Array, d: Array | None, intercept: bool = False) -> tuple[Array, Array]:
    """X'WX and X'd in one pass over X.

    Parameters
    ----------
    X : (n, p) array or CSR
        Design matrix.
    w : (n,) array
        Non-negative weights.
    d : (n,) array or None
        Derivatives by the linear predictor; None leaves X'd zero.
    intercept : bool
        Append an implicit column of ones.

    Returns
    -------
    G : (P, P) float64 array
        X'WX, P = p or p + 1.
    g : (P,) float64 array
        X'd.
    """
    return (sparse_equations if sp.issparse(X) else dense_equations)(X, w, d, intercept)


def dense_equations(X: Array, w: Array, d: Array | None, intercept: bool) -> tuple[Array, Array]:
    """`normal_equations` for a dense X."""
    p = X.shape[1]
    size = p + intercept

    def part(start: int, stop: int) -> tuple[Array, Array]:
        G, g = np.zeros((size, size)), np.zeros(size)
        scratch = np.empty((block_rows(p), size), X.dtype)
        for rows in row_blocks(start, stop, block_rows(p)):
            block = X[rows]
            weighted = scratch[: block.shape[0]]
            root = np.sqrt(w[rows], dtype=X.dtype)
            np.multiply(block, root[:, None], out=weighted[:, :p])
            if intercept:
                weighted[:, p] = root
            G += weighted.T @ weighted
            if d is not None:
                g[:p] += d[rows] @ block
        return G, g

    G, g = total(map_rows(part, X.shape[0], 4 * block_rows(p)))
    if intercept and d is not None:
        g[p] = np.sum(d, dtype=float)
    return G, g


def sparse_equations(X: sp.csr_array, w: Array, d: Array | None, intercept: bool) -> tuple[Array, Array]:
    """`normal_equations` for CSR; a compiled kernel where its operation count pays for loading it."""
    p = X.shape[1]
    size = p + intercept
    G, g = np.zeros((size, size)), np.zeros(size)
    if np.sum(np.diff(X.indptr).astype(float) ** 2) > KERNEL_PAYS:
        G[:p, :p] = compiled_crossproduct(X, w)
    else:
        product = (X.T @ X.multiply(w[:, None]).tocsr()).toarray()
        G[:p, :p] = 0.5 * (product + product.T)  # its two halves are summed in different orders
    if intercept:
        G[p, :p] = G[:p, p] = X.T @ w
        G[p, p] = np.sum(w, dtype=float)
    if d is not None:
        g[:p] = X.T @ d
        g[p:] = np.sum(d, dtype=float)
    return G, g


def compiled_crossproduct(X: sp.csr_array, w: Array) -> Array:
    """X'WX (p, p) of a CSR matrix by the Numba kernel."""
    from reglm.optimize.kernels import csr_crossproduct

    def part(start: int, stop: int) -> tuple[Array]:
        G = np.zeros((X.shape[1], X.shape[1]))
        csr_crossproduct(X.data, X.indices, X.indptr[start : stop + 1], w[start:stop], G)
        return (G,)

    parts = PARTS if X.shape[1] <= 512 else 2  # each part holds a p x p matrix
    (G,) = total(map_rows(part, X.shape[0], MIN_BLOCK_ROWS, parts))
    return G + np.tril(G, -1).T


def total(parts: Iterator[tuple[Array, ...]]) -> tuple[Array, ...]:
    """Add up tuples of arrays, in order."""
    sums = next(parts)
    for part in parts:
        for running, array in zip(sums, part, strict=True):
            running += array
    return sums
