"""The regulariser that keeps gradients from vanishing or exploding on their way back (Pascanu et al. 2013)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from reglm.ops.affine import Shape, Variable
from reglm.ops.choose import choose
from reglm.ops.gather import lookup
from reglm.ops.recurrence.arrays import Array
from reglm.ops.recurrence.symbolic import as_sizes, flow, node_of


def predecessors(sizes: Array, reverse: bool) -> Array:
    """Packed row from which each row is reached in one step (n, 1), -1 where a sequence starts."""
    starts = np.cumsum(sizes) - sizes
    before = np.zeros_like(sizes)
    if reverse:
        before[:-1], first = sizes[1:], np.roll(starts, -1)
    else:
        before[1:], first = sizes[:-1], np.roll(starts, 1)
    sequence = np.arange(sizes.sum()) - np.repeat(starts, sizes)
    rows = np.repeat(first, sizes) + sequence
    return np.where(sequence < np.repeat(before, sizes), rows, -1)[:, None]


class Predecessors(Op):
    """(sizes, h) -> `predecessors`; h only tells the number of rows."""

    __props__ = ("reverse",)

    def __init__(self, reverse: bool) -> None:
        self.reverse = reverse

    def make_node(self, sizes: Variable, h: Variable) -> Apply:
        """Accept sizes (T,) and h (n, H)."""
        return Apply(self, [as_sizes(sizes), h], [pt.tensor(dtype="int64", shape=(h.type.shape[0], 1))])

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        """Evaluate with NumPy."""
        outputs[0][0] = predecessors(inputs[0], self.reverse)

    def infer_shape(self, *args: Any) -> list[Shape]:
        """One column, the rows of h."""
        return [(args[-1][1][0], 1)]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Row numbers have no gradient."""
        return [[False], [False]]


def omega(h: Variable, g: Variable) -> Variable:
    """Return the sum over steps of ``(|dL/dh_t dh_t/dh_(t-1)| / |dL/dh_t| - 1)^2``.

    Parameters
    ----------
    h : matrix (n, H)
        What `run` returned.
    g : matrix (n, H)
        Gradient of L with respect to h as the rest of the graph uses it, ``grad(L, h)``.

    Returns
    -------
    scalar
        Zero where every step back keeps the norm of the gradient. Steps that no gradient reaches do not count. Its
        gradient is exact, through all steps; Pascanu et al. hold h and dL/dh fixed. With an LSTM the step back is the
        one through h, not through c.

    Raises
    ------
    TypeError
        If h is not what `run` returned.
    """
    node = node_of(h)
    rows = Predecessors(node.op.reverse)(node.inputs[0], h)
    total = flow(h, g)
    norms = (total * total).sum(axis=1, keepdims=True)
    passed = lookup(rows, total - g)
    through = (passed * passed).sum(axis=1, keepdims=True)
    counts = pt.ge(rows, 0) & pt.gt(norms, 0) & pt.gt(through, 0)
    ones = pt.ones_like(norms)
    ratio = pt.sqrt(choose(counts, through, ones) / choose(counts, norms, ones))
    return ((ratio - 1) ** 2).sum()
