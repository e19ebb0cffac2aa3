"""Numba forms of the array Ops. Importing this module registers them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_default_op_cache_key

import reglm.ops.kalman_forms  # noqa: F401  (imported for its registrations)
from reglm.ops import (  # noqa: F401  (imported for their registrations)
    numba_chains,
    numba_density,
    numba_scalar,
    numba_triangle,
)
from reglm.ops.affine import Affine, AffineInputs, AffineWeights, rows_at_once
from reglm.ops.beside import Apart, Beside
from reglm.ops.blas import matrix_product
from reglm.ops.gather import Lookup, LookupGradient, TableRows, Take, TakeGradient
from reglm.ops.recurrence import numba_kernels  # noqa: F401  (imported for its registrations)
from reglm.ops.sparse import SparseAffine, SparseAffineWeights

Form = tuple[Callable, int]  # a compiled function and the version of its code

VERSION = 10
"""Raise it whenever a form changes: compiled programs are kept on disk under it."""

# Plain loops below where NumPy has a word: broadcasting assignments, sums over an axis and reshape(-1) bring
# their error messages along, and those cost Numba seconds to compile.


product, product_more = matrix_product(), matrix_product(add=True)
product_left, product_right = matrix_product(True, add=True), matrix_product(False, True)
helper = numba_njit(error_model="numpy")
piece = helper(rows_at_once)


@helper
def column_of_ones(n, dtype):
    """Make what sums columns by BLAS, at the speed of a loop of our own and for less compilation."""
    ones = np.empty((n, 1), dtype)
    for i in range(n):
        ones[i, 0] = 1
    return ones


@register_funcify_default_op_cache_key(Affine)
def _affine(op: Affine, node: Any = None, **kwargs: Any) -> Form:
    @numba_njit
    def linear(h, W):
        h, W = np.ascontiguousarray(h), np.ascontiguousarray(W)
        a = np.empty((h.shape[0], W.shape[1]), h.dtype)
        step = piece(*W.shape)
        for start in range(0, h.shape[0], step):
            product(h[start : start + step], W, a[start : start + step])
        return a

    @numba_njit
    def affine_map(h, W, b):
        h, W = np.ascontiguousarray(h), np.ascontiguousarray(W)
        a = np.empty((h.shape[0], W.shape[1]), h.dtype)
        step = piece(*W.shape)
        for start in range(0, h.shape[0], step):
            block = a[start : start + step]
            for i in range(block.shape[0]):
                for j in range(block.shape[1]):
                    block[i, j] = b[j]
            product_more(h[start : start + step], W, block)
        return a

    return (affine_map if op.bias else linear), VERSION


@register_funcify_default_op_cache_key(AffineInputs)
def _affine_inputs(op: AffineInputs, node: Any = None, **kwargs: Any) -> Form:
    @numba_njit
    def affine_inputs(d, W):
        d, W = np.ascontiguousarray(d), np.ascontiguousarray(W)
        dh = np.empty((d.shape[0], W.shape[0]), d.dtype)
        step = piece(*W.shape)
        for start in range(0, d.shape[0], step):
            product_right(d[start : start + step], W, dh[start : start + step])
        return dh

    return affine_inputs, VERSION


@register_funcify_default_op_cache_key(AffineWeights)
def _affine_weights(op: AffineWeights, node: Any = None, **kwargs: Any) -> Form:
    @numba_njit
    def weights(h, d):
        h, d = np.ascontiguousarray(h), np.ascontiguousarray(d)
        dW = np.zeros((h.shape[1], d.shape[1]), d.dtype)
        step = piece(*dW.shape)
        for start in range(0, d.shape[0], step):
            product_left(h[start : start + step], d[start : start + step], dW)
        return dW

    @numba_njit
    def weights_and_bias(h, d):
        h, d = np.ascontiguousarray(h), np.ascontiguousarray(d)
        n, k = d.shape
        dW, db = np.zeros((h.shape[1], k), d.dtype), np.zeros((1, k), d.dtype)
        step = piece(*dW.shape)
        ones = column_of_ones(min(n, step), d.dtype)
        for start in range(0, n, step):
            block = d[start : start + step]
            product_left(h[start : start + step], block, dW)
            product_left(ones[: block.shape[0]], block, db)
        return dW, db[0]

    return (weights_and_bias if op.bias else weights), VERSION


@numba_njit
def sparse_dot(data, indices, indptr, W, out):
    """Add S W to out, S in compressed sparse row form."""
    for i in range(out.shape[0]):
        for e in range(indptr[i], indptr[i + 1]):
            value, row = data[e], indices[e]
            for j in range(out.shape[1]):
                out[i, j] += value * W[row, j]


@numba_njit
def sparse_transpose_dot(data, indices, indptr, d, out):
    """Add S' d to out."""
    for i in range(d.shape[0]):
        for e in range(indptr[i], indptr[i + 1]):
            value, row = data[e], indices[e]
            for j in range(out.shape[1]):
                out[row, j] += value * d[i, j]


@register_funcify_default_op_cache_key(SparseAffine)
def _sparse_affine(op: SparseAffine, node: Any = None, **kwargs: Any) -> Form:
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

    return sparse_affine, VERSION


@register_funcify_default_op_cache_key(SparseAffineWeights)
def _sparse_affine_weights(op: SparseAffineWeights, node: Any = None, **kwargs: Any) -> Form:
    @numba_njit
    def weights(data, indices, indptr, d, p):
        dW = np.zeros((p.item(), d.shape[1]), d.dtype)
        sparse_transpose_dot(data, indices, indptr, d, dW)
        return dW

    @numba_njit
    def weights_and_bias(data, indices, indptr, d, p):
        d, db = np.ascontiguousarray(d), np.zeros((1, d.shape[1]), d.dtype)
        product_left(column_of_ones(d.shape[0], d.dtype), d, db)
        return weights(data, indices, indptr, d, p), db[0]

    return (weights_and_bias if op.bias else weights), VERSION


@register_funcify_default_op_cache_key(Take)
def _take(op: Take, node: Any = None, **kwargs: Any) -> Form:
    @numba_njit
    def take(X, columns):
        out = np.empty((X.shape[0], columns.shape[0]), X.dtype)
        for i in range(out.shape[0]):
            for j in range(out.shape[1]):
                out[i, j] = X[i, columns[j]]
        return out

    return take, VERSION


@register_funcify_default_op_cache_key(TakeGradient)
def _take_gradient(op: TakeGradient, node: Any = None, **kwargs: Any) -> Form:
    @numba_njit
    def take_gradient(d, columns, p):
        out = np.zeros((d.shape[0], p.item()), d.dtype)
        for i in range(d.shape[0]):
            for j in range(d.shape[1]):
                out[i, columns[j]] += d[i, j]
        return out

    return take_gradient, VERSION


@register_funcify_default_op_cache_key(TableRows)
def _table_rows(op: TableRows, node: Any = None, **kwargs: Any) -> Form:
    @numba_njit
    def table_rows(levels, first, counts):
        n, C = levels.shape
        out = np.empty((n, C), np.int64)
        for i in range(n):
            for c in range(C):
                code = np.int64(levels[i, c])
                out[i, c] = code + first[0, c] if 0 <= code < counts[0, c] else -1
        return out

    return table_rows, VERSION


@register_funcify_default_op_cache_key(Lookup)
def _lookup(op: Lookup, node: Any = None, **kwargs: Any) -> Form:
    step = 0 if op.pool else 1

    @numba_njit
    def lookup(codes, table):
        n, C = codes.shape
        width = table.shape[1]
        out = np.zeros((n, width * (C if step else 1)), table.dtype)
        for i in range(n):
            for c in range(C):
                code = codes[i, c]
                if code >= 0:
                    for j in range(width):
                        out[i, step * c * width + j] += table[code, j]
        return out

    return lookup, VERSION


@register_funcify_default_op_cache_key(LookupGradient)
def _lookup_gradient(op: LookupGradient, node: Any = None, **kwargs: Any) -> Form:
    step = 0 if op.pool else 1

    @numba_njit
    def lookup_gradient(codes, gradient, table):
        n, C = codes.shape
        width = table.shape[1]
        out = np.zeros((table.shape[0], width), gradient.dtype)
        for i in range(n):
            for c in range(C):
                code = codes[i, c]
                if code >= 0:
                    for j in range(width):
                        out[code, j] += gradient[i, step * c * width + j]
        return out

    return lookup_gradient, VERSION


@register_funcify_default_op_cache_key(Beside)
def _beside(op: Beside, node: Any = None, **kwargs: Any) -> Form:
    @numba_njit
    def beside(left, right):
        n, p, q = left.shape[0], left.shape[1], right.shape[1]
        out = np.empty((n, p + q), left.dtype)
        for i in range(n):
            for j in range(p):
                out[i, j] = left[i, j]
            for j in range(q):
                out[i, p + j] = right[i, j]
        return out

    return beside, VERSION


@register_funcify_default_op_cache_key(Apart)
def _apart(op: Apart, node: Any = None, **kwargs: Any) -> Form:
    @numba_njit
    def apart(d, left, right):
        n, p, q = d.shape[0], left.shape[1], right.shape[1]
        one, two = np.empty((n, p), d.dtype), np.empty((n, q), d.dtype)
        for i in range(n):
            for j in range(p):
                one[i, j] = d[i, j]
            for j in range(q):
                two[i, j] = d[i, p + j]
        return one, two

    return apart, VERSION
