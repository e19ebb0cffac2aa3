"""Rewrites for graphs that NumPy runs node by node: no work that leaves the bits as they are.

Gradients come with ones of full size, products with them and whole arrays computed for their shape. Each would be a
pass over memory, and `fill`, for which NumPy has no ufunc, a Python call an element.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.graph.basic import Constant, Variable
from pytensor.graph.fg import FunctionGraph
from pytensor.graph.rewriting.basic import MergeOptimizer, SequentialGraphRewriter, in2out, node_rewriter
from pytensor.scalar import basic as scalar
from pytensor.tensor.elemwise import DimShuffle, Elemwise

NEUTRAL: dict[type, tuple[float, int]] = {scalar.Mul: (1.0, 0), scalar.Add: (0.0, 0), scalar.TrueDiv: (1.0, 1)}
"""Operation -> the constant that changes nothing, and the first argument where it does not."""


def _is(variable: Variable, kind: type) -> bool:
    """Whether a variable is the result of an elementwise operation of this kind."""
    op = getattr(variable.owner, "op", None)
    return isinstance(op, Elemwise) and isinstance(op.scalar_op, kind)


def _fits(variable: Variable, output: Variable) -> bool:
    """Whether one may stand for the other: dtype and axes of length one agree."""
    return variable.type.dtype == output.type.dtype and variable.type.broadcastable == output.type.broadcastable


def _shaped_like(variable: Variable) -> Variable:
    """Return an earlier variable that has this one's shape."""
    while variable.owner is not None and isinstance(variable.owner.op, Elemwise):
        same = [v for v in variable.owner.inputs if v.type.broadcastable == variable.type.broadcastable]
        if not same:
            break
        variable = same[0]
    return variable


@node_rewriter([Elemwise])
def sink_fills(fgraph: Any, node: Any) -> list[Variable] | None:
    """``f(fill(a, b), c)`` as ``f(b, c)`` where c has the shape of a, else as ``fill(a, f(b, c))``."""
    output = node.outputs[0]
    if len(node.outputs) > 1:
        return None
    if isinstance(node.op.scalar_op, scalar.Second):
        like, value = node.inputs
        if like.type.ndim == 0 and value.type.dtype == output.type.dtype:
            return [value]
        root = _shaped_like(like)
        return None if root is like else [pt.second(root, value).astype(output.type.dtype)]
    fills = [v for v in node.inputs if _is(v, scalar.Second) and v.type.ndim > 0]
    if not fills:
        return None
    values = [v.owner.inputs[1] if v in fills else v for v in node.inputs]
    inner = node.op(*values)
    if _fits(inner, output):
        return [inner]
    like = next((v for v in fills if v.type.broadcastable == output.type.broadcastable), None)
    if like is None:
        return None
    filled = pt.second(like.owner.inputs[0], inner)
    return [filled] if _fits(filled, output) else None


@node_rewriter([Elemwise, DimShuffle])
def fold_constants(fgraph: Any, node: Any) -> list[Variable] | None:
    """Results of constants, as constants."""
    if not all(isinstance(v, Constant) for v in node.inputs) or len(node.outputs) > 1:
        return None
    node.op.prepare_node(node, None, None, "py")
    cell: list[Any] = [None]
    node.op.perform(node, [v.data for v in node.inputs], [cell])
    return [node.outputs[0].type.make_constant(np.asarray(cell[0], dtype=node.outputs[0].type.dtype))]


@node_rewriter([Elemwise])
def drop_neutral(fgraph: Any, node: Any) -> list[Variable] | None:
    """``x * 1``, ``x + 0``, ``x / 1`` as x; ``-1 * x`` as ``-x``; ``x + (-y)`` as ``x - y``; ``-(-x)`` as x."""
    output, kind = node.outputs[0], type(node.op.scalar_op)
    found: Variable | None = None
    if kind in NEUTRAL:
        neutral, first = NEUTRAL[kind]
        kept = [v for i, v in enumerate(node.inputs) if i < first or not _equals(v, neutral)]
        if 0 < len(kept) < len(node.inputs):
            found = kept[0] if len(kept) == 1 else node.op(*kept)
        elif kind is scalar.Mul and len(kept) == 2 and _equals(kept[0], -1.0):
            found = -kept[1]
    elif kind is scalar.Neg and _is(node.inputs[0], scalar.Neg):
        found = node.inputs[0].owner.inputs[0]
    if found is None and kind is scalar.Add and len(node.inputs) == 2:
        x, y = node.inputs
        found = x - y.owner.inputs[0] if _is(y, scalar.Neg) else y - x.owner.inputs[0] if _is(x, scalar.Neg) else None
    return [found] if found is not None and _fits(found, output) else None


def _equals(variable: Variable, value: float) -> bool:
    return isinstance(variable, Constant) and variable.data.size == 1 and float(variable.data.reshape(())) == value


@node_rewriter([Elemwise])
def fill_as_alloc(fgraph: Any, node: Any) -> list[Variable] | None:
    """Write `fill` as an allocation."""
    if not isinstance(node.op.scalar_op, scalar.Second):
        return None
    like, value = node.inputs
    if not all(value.type.broadcastable):
        return None
    return [pt.alloc(pt.cast(value, node.outputs[0].dtype), *like.shape)]


PLAIN = SequentialGraphRewriter(
    MergeOptimizer(), in2out(sink_fills, fold_constants, drop_neutral), in2out(fill_as_alloc), MergeOptimizer()
)
"""What a graph goes through before NumPy runs it."""


def plain(inputs: Sequence[Variable], outputs: Sequence[Variable]) -> tuple[list[Variable], list[Variable]]:
    """Return inputs and outputs of a copy of a graph that NumPy runs in fewer passes.

    Parameters
    ----------
    inputs, outputs : sequences of variables
        The inputs are no results of one another.
    """
    graph = FunctionGraph(list(inputs), list(outputs), clone=True)
    PLAIN.rewrite(graph)
    return graph.inputs, graph.outputs
