"""Numba forms of the array Ops. Importing this module registers them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_default_op_cache_key

from reglm.ops import numba_density, numba_scalar  # noqa: F401  (imported for their registrations)
from reglm.ops.affine import Affine, AffineInputs, AffineWeights
from reglm.ops.gather import Lookup, LookupGradient, TableRows, Take, TakeGradient
from reglm.ops.sparse import SparseAffine, SparseAffineWeights

BLOCK = 128
"""Loops over short rows are run over blocks of about this many numbers, or they would not vectorise."""


@numba_njit
def add_rows(a, b):
    """Add the vector b to every row of the contiguous matrix a, in place."""
    n, k = a.shape
    repeats = max(BLOCK // max(k, 1), 1)
    tiled = np.empty(repeats * k, a.dtype)
    for i in range(repeats):
        for j in range(k):
            tiled[i * k + j] = b[j]
    flat = a.reshape(-1)
    for start in range(0, n * k, repeats * k):
        width = min(repeats * k, n * k - start)
        for j in range(width):
            flat[start + j] += tiled[j]


@numba_njit
def column_sums(d):
    """Sum the rows of the contiguous matrix d."""
    n, k = d.shape
    repeats = max(BLOCK // max(k, 1), 1)
    partial = np.zeros(repeats * k, d.dtype)
    flat = d.reshape(-1)
    for start in range(0, n * k, repeats * k):
        width = min(repeats * k, n * k - start)
        for j in range(width):
            partial[j] += flat[start + j]
    total = np.zeros(k, d.dtype)
    for i in range(repeats):
        for j in range(k):
            total[j] += partial[i * k + j]
    return total


@register_funcify_default_op_cache_key(Affine)
def _affine(op: Affine, node: Any = None, **kwargs: Any) -> Callable:
    if op.bias:

        @numba_njit
        def affine(h, W, b):
            a = np.dot(np.ascontiguousarray(h), np.ascontiguousarray(W))
            add_rows(a, b)
            return a

    else:

        @numba_njit
        def affine(h, W):
            return np.dot(np.ascontiguousarray(h), np.ascontiguousarray(W))

    return affine


@register_funcify_default_op_cache_key(AffineInputs)
def _affine_inputs(op: AffineInputs, node: Any = None, **kwargs: Any) -> Callable:
    @numba_njit
    def affine_inputs(d, W):
        return np.dot(np.ascontiguousarray(d), np.ascontiguousarray(W).T)

    return affine_inputs


@register_funcify_default_op_cache_key(AffineWeights)
def _affine_weights(op: AffineWeights, node: Any = None, **kwargs: Any) -> Callable:
    if op.bias:

        @numba_njit
        def affine_weights(h, d):
            d = np.ascontiguousarray(d)
            return np.dot(np.ascontiguousarray(h).T, d), column_sums(d)

    else:

        @numba_njit
        def affine_weights(h, d):
            return np.dot(np.ascontiguousarray(h).T, np.ascontiguousarray(d))

    return affine_weights


@numba_njit
def sparse_dot(data, indices, indptr, W, out):
    for i in range(out.shape[0]):
        for e in range(indptr[i], indptr[i + 1]):
            value, row = data[e], indices[e]
            for j in range(out.shape[1]):
                out[i, j] += value * W[row, j]


@numba_njit
def sparse_transpose_dot(data, indices, indptr, d, out):
    for i in range(d.shape[0]):
        for e in range(indptr[i], indptr[i + 1]):
            value, row = data[e], indices[e]
            for j in range(out.shape[1]):
                out[row, j] += value * d[i, j]


@register_funcify_default_op_cache_key(SparseAffine)
def _sparse_affine(op: SparseAffine, node: Any = None, **kwargs: Any) -> Callable:
    if op.bias:

        @numba_njit
        def sparse_affine(data, indices, indptr, W, b):
            out = np.empty((indptr.shape[0] - 1, W.shape[1]), W.dtype)
            for i in range(out.shape[0]):
                for j in range(out.shape[1]):
                    out[i, j] = b[j]
            sparse_dot(data, indices, indptr, W, out)
            return out

    else:

        @numba_njit
        def sparse_affine(data, indices, indptr, W):
            out = np.zeros((indptr.shape[0] - 1, W.shape[1]), W.dtype)
            sparse_dot(data, indices, indptr, W, out)
            return out

    return sparse_affine


@register_funcify_default_op_cache_key(SparseAffineWeights)
def _sparse_affine_weights(op: SparseAffineWeights, node: Any = None, **kwargs: Any) -> Callable:
    if op.bias:

        @numba_njit
        def sparse_affine_weights(data, indices, indptr, d, p):
            out = np.zeros((p.item(), d.shape[1]), d.dtype)
            sparse_transpose_dot(data, indices, indptr, d, out)
            return out, column_sums(d)

    else:

        @numba_njit
        def sparse_affine_weights(data, indices, indptr, d, p):
            out = np.zeros((p.item(), d.shape[1]), d.dtype)
            sparse_transpose_dot(data, indices, indptr, d, out)
            return out

    return sparse_affine_weights


@register_funcify_default_op_cache_key(Take)
def _take(op: Take, node: Any = None, **kwargs: Any) -> Callable:
    @numba_njit
    def take(X, columns):
        out = np.empty((X.shape[0], columns.shape[0]), X.dtype)
        for i in range(out.shape[0]):
            for j in range(out.shape[1]):
                out[i, j] = X[i, columns[j]]
        return out

    return take


@register_funcify_default_op_cache_key(TakeGradient)
def _take_gradient(op: TakeGradient, node: Any = None, **kwargs: Any) -> Callable:
    @numba_njit
    def take_gradient(d, columns, p):
        out = np.zeros((d.shape[0], p.item()), d.dtype)
        for i in range(d.shape[0]):
            for j in range(d.shape[1]):
                out[i, columns[j]] += d[i, j]
        return out

    return take_gradient


@register_funcify_default_op_cache_key(TableRows)
def _table_rows(op: TableRows, node: Any = None, **kwargs: Any) -> Callable:
    @numba_njit
    def table_rows(levels, first, counts):
        n, C = levels.shape
        out = np.empty((n, C), np.int64)
        for i in range(n):
            for c in range(C):
                code = np.int64(levels[i, c])
                out[i, c] = code + first[0, c] if 0 <= code < counts[0, c] else -1
        return out

    return table_rows


@register_funcify_default_op_cache_key(Lookup)
def _lookup(op: Lookup, node: Any = None, **kwargs: Any) -> Callable:
    @numba_njit
    def lookup(codes, table):
        n, C = codes.shape
        width = table.shape[1]
        out = np.zeros((n, C * width), table.dtype)
        for i in range(n):
            for c in range(C):
                code = codes[i, c]
                if code >= 0:
                    for j in range(width):
                        out[i, c * width + j] = table[code, j]
        return out

    return lookup


@register_funcify_default_op_cache_key(LookupGradient)
def _lookup_gradient(op: LookupGradient, node: Any = None, **kwargs: Any) -> Callable:
    @numba_njit
    def lookup_gradient(codes, gradient, n_rows):
        n, C = codes.shape
        width = gradient.shape[1] // max(C, 1)
        out = np.zeros((n_rows.item(), width), gradient.dtype)
        for i in range(n):
            for c in range(C):
                code = codes[i, c]
                if code >= 0:
                    for j in range(width):
                        out[code, j] += gradient[i, c * width + j]
        return out

    return lookup_gradient
