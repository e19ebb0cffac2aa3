"""Matrices side by side, ``[A, B]``, and the way back.

PyTensor's `concatenate` costs seconds of Numba compile time with its gradient; these two Ops are each other's gradient.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from reglm.ops.affine import Variable, connected, same_dtype


class Beside(Op):
    """``[A, B]``, columns after columns."""

    __props__ = ()
    gufunc_signature = "(n,p),(n,q)->(n,r)"

    def make_node(self, left: Variable, right: Variable) -> Apply:
        """Accept A (n, p) and B (n, q)."""
        inputs = same_dtype("beside", left, right)
        p, q = (v.type.shape[1] for v in inputs)
        width = None if p is None or q is None else p + q
        return Apply(self, inputs, [pt.tensor(dtype=inputs[0].dtype, shape=(inputs[0].type.shape[0], width))])

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        """Evaluate with NumPy."""
        outputs[0][0] = np.concatenate(inputs, axis=1)

    def infer_shape(self, *args: Any) -> list:
        """All columns."""
        left, right = args[-1]
        return [(left[0], left[1] + right[1])]

    def L_op(self, inputs: list, outputs: list, output_gradients: list) -> list:
        """Columns of the gradient, handed back to each part."""
        return Apart()(output_gradients[0], *inputs)

    pullback = L_op


class Apart(Op):
    """Columns of d (n, p + q) as matrices as wide as A and B, whose values play no part."""

    __props__ = ()
    gufunc_signature = "(n,r),(n,p),(n,q)->(n,p),(n,q)"

    def make_node(self, d: Variable, left: Variable, right: Variable) -> Apply:
        """Accept d, A (n, p) and B (n, q)."""
        inputs = same_dtype("apart", d, left, right)
        return Apply(self, inputs, [inputs[1].type(), inputs[2].type()])

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        """Evaluate with NumPy."""
        d, left, _ = inputs
        outputs[0][0], outputs[1][0] = (np.ascontiguousarray(part) for part in np.split(d, [left.shape[1]], axis=1))

    def infer_shape(self, *args: Any) -> list:
        """Shapes of A and B."""
        return list(args[-1][1:])

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Only d has a gradient."""
        return [[True, True], [False, False], [False, False]]

    def L_op(self, inputs: list, outputs: list, output_gradients: list) -> list:
        """Gradients of the parts, side by side again."""
        parts = [connected(g, part) for g, part in zip(output_gradients, inputs[1:], strict=True)]
        return [Beside()(*parts), DisconnectedType()(), DisconnectedType()()]

    pullback = L_op


def beside(*parts: Variable) -> Variable:
    """Return matrices side by side.

    Parameters
    ----------
    *parts : matrices (n, p_i)

    Returns
    -------
    matrix (n, sum of p_i)
    """
    return reduce(Beside(), parts)
