"""A vector as the entries above the diagonal of a square matrix, row by row, and the way back.

Weights of responses that are predicted in order, each from those before it. The two Ops are each other's gradient.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from reglm.ops.affine import Variable, same_dtype


def order(size: int) -> int:
    """Rows m of the matrix with m (m - 1) / 2 entries above its diagonal."""
    return (1 + math.isqrt(1 + 8 * size)) // 2


class Triangle(Op):
    """Strictly upper triangular matrix (m, m) from its m (m - 1) / 2 entries."""

    __props__ = ()
    gufunc_signature = "(l)->(m,m)"

    def make_node(self, entries: Variable) -> Apply:
        """Accept a vector of floats."""
        inputs = same_dtype("triangle", entries)
        return Apply(self, inputs, [pt.tensor(dtype=inputs[0].dtype, shape=(None, None))])

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        """Evaluate with NumPy."""
        (entries,) = inputs
        m = order(entries.size)
        W = np.zeros((m, m), entries.dtype)
        W[np.triu_indices(m, 1)] = entries
        outputs[0][0] = W

    def L_op(self, inputs: list, outputs: list, output_gradients: list) -> list:
        """Entries of the gradient above the diagonal."""
        return [TriangleEntries()(output_gradients[0])]

    pullback = L_op


class TriangleEntries(Op):
    """Entries above the diagonal of a square matrix, row by row."""

    __props__ = ()
    gufunc_signature = "(m,m)->(l)"

    def make_node(self, W: Variable) -> Apply:
        """Accept a square matrix of floats."""
        inputs = same_dtype("triangle_entries", W)
        return Apply(self, inputs, [pt.tensor(dtype=inputs[0].dtype, shape=(None,))])

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        """Evaluate with NumPy."""
        (W,) = inputs
        outputs[0][0] = W[np.triu_indices(len(W), 1)]

    def infer_shape(self, *args: Any) -> list:
        """Entries above the diagonal."""
        m = args[-1][0][0]
        return [(m * (m - 1) // 2,)]

    def L_op(self, inputs: list, outputs: list, output_gradients: list) -> list:
        """Put the gradient back where the entries were."""
        return [Triangle()(output_gradients[0])]

    pullback = L_op


def triangle(entries: Variable) -> Variable:
    """Return the strictly upper triangular matrix with these entries, row by row.

    Parameters
    ----------
    entries : vector (m (m - 1) / 2,)

    Returns
    -------
    matrix (m, m)
    """
    return Triangle()(entries)
