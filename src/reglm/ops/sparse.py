"""Rows of a compressed sparse row matrix times dense weights, and the gradient for the weights.

The matrix is data: it is passed as its three arrays and has no gradient, which is what keeps it sparse.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from reglm.ops.affine import Variable, column_sums, connected, same_dtype


def _rows(indptr: Variable) -> Variable:
    return None if indptr.type.shape[0] is None else indptr.type.shape[0] - 1


class SparseAffine(Op):
    """``S @ W + b`` with S given as CSR arrays; ``bias=False`` leaves b out."""

    __props__ = ("bias",)

    def __init__(self, bias: bool) -> None:
        self.bias = bias

    def make_node(self, data: Variable, indices: Variable, indptr: Variable, *weights: Variable) -> Apply:
        """Accept (data, indices, indptr, W, b) or (data, indices, indptr, W)."""
        data, *given = same_dtype("sparse_affine", data, *weights)
        indices, indptr = pt.as_tensor(indices), pt.as_tensor(indptr)
        out = pt.tensor(dtype=data.dtype, shape=(_rows(indptr), given[0].type.shape[1]))
        return Apply(self, [data, indices, indptr, *given], [out])

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        """Evaluate with SciPy, whose import costs a tenth of a second."""
        from scipy.sparse import csr_array

        data, indices, indptr, W = inputs[:4]
        a = csr_array((data, indices, indptr), shape=(len(indptr) - 1, len(W))) @ W
        if self.bias:
            a += inputs[4]
        outputs[0][0] = a

    def infer_shape(self, *args: Any) -> list:
        """One row per pair of row pointers, columns of W."""
        _, _, indptr, W = args[-1][:4]
        return [(indptr[0] - 1, W[1])]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Only the weights have a gradient."""
        return [[False], [False], [False]] + [[True]] * (len(node.inputs) - 3)

    def L_op(self, inputs: list, outputs: list, output_gradients: list) -> list:
        """Gradients with respect to W and b."""
        data, indices, indptr, W = inputs[:4]
        weights = SparseAffineWeights(self.bias)(data, indices, indptr, output_gradients[0], W.shape[0])
        none = [DisconnectedType()() for _ in range(3)]
        return [*none, *(weights if self.bias else [weights])]

    pullback = L_op


class SparseAffineWeights(Op):
    """``S.T @ d`` (p, k) and, with ``bias=True``, ``d.sum(axis=0)``."""

    __props__ = ("bias",)

    def __init__(self, bias: bool) -> None:
        self.bias = bias

    def make_node(self, data: Variable, indices: Variable, indptr: Variable, d: Variable, p: Variable) -> Apply:
        """Accept the CSR arrays, d (n, k) and the number of columns p."""
        data, d = same_dtype("sparse_affine_weights", data, d)
        indices, indptr, p = pt.as_tensor(indices), pt.as_tensor(indptr), pt.as_tensor(p)
        k = d.type.shape[1]
        outputs = [pt.tensor(dtype=d.dtype, shape=(None, k))]
        if self.bias:
            outputs.append(pt.tensor(dtype=d.dtype, shape=(k,)))
        return Apply(self, [data, indices, indptr, d, p], outputs)

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        """Evaluate with SciPy."""
        from scipy.sparse import csr_array

        data, indices, indptr, d, p = inputs
        outputs[0][0] = np.ascontiguousarray(csr_array((data, indices, indptr), shape=(len(d), int(p))).T @ d)
        if self.bias:
            outputs[1][0] = column_sums(d)

    def infer_shape(self, *args: Any) -> list:
        """P rows, columns of d; columns of d."""
        node, shapes = args[-2:]
        p, k = node.inputs[4], shapes[3][1]
        return [(p, k), (k,)] if self.bias else [(p, k)]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Only d has a gradient."""
        n_out = len(node.outputs)
        return [[i == 3] * n_out for i in range(5)]

    def L_op(self, inputs: list, outputs: list, output_gradients: list) -> list:
        """Gradient with respect to d."""
        data, indices, indptr = inputs[:3]
        G, *g = (connected(e, out) for e, out in zip(output_gradients, outputs, strict=True))
        none = [DisconnectedType()() for _ in range(4)]
        return [*none[:3], sparse_affine(data, indices, indptr, G, *g), none[3]]

    pullback = L_op


def sparse_affine(
    data: Variable, indices: Variable, indptr: Variable, W: Variable, b: Variable | None = None
) -> Variable:
    """Return ``S @ W + b`` where S is sparse, in compressed sparse row form.

    Parameters
    ----------
    data : vector (nnz,)
        Entries of S, row after row, of the dtype of W.
    indices : integer vector (nnz,)
        Their columns.
    indptr : integer vector (n + 1,)
        Row i is ``data[indptr[i]:indptr[i + 1]]``.
    W : matrix (p, k)
        S has p columns.
    b : vector (k,), optional
        None adds nothing.

    Returns
    -------
    matrix (n, k)
        Its gradient reaches W and b only.

    Raises
    ------
    TypeError
        If the dtypes differ or are not float32 or float64.
    """
    weights = (W,) if b is None else (W, b)
    return SparseAffine(b is not None)(data, indices, indptr, *weights)
