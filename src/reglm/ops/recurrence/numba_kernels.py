"""Numba forms of the recurrence Ops. Importing this module registers them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_and_cache_key

from reglm.ops.recurrence import numba_gru, numba_lstm, numba_simple
from reglm.ops.recurrence.arrays import TINY
from reglm.ops.recurrence.numba_tools import first_start, helper, step_rows
from reglm.ops.recurrence.omega import Predecessors
from reglm.ops.recurrence.symbolic import Recurrence, RecurrenceCurvature, RecurrenceGradient

Form = tuple[Callable, str]  # a compiled function and the key it is kept under on disk

VERSION = 1
"""Raise it whenever a form changes."""
KINDS = {"elman": numba_simple, "leaky": numba_simple, "gru": numba_gru, "lstm": numba_lstm}


def _key(op: Any, dtype: str) -> str:
    flow = getattr(op, "flow", False)
    return f"reglm-{type(op).__name__}-{op.cell!r}-{op.reverse}-{flow}-{dtype}-{VERSION}"


@helper
def contiguous(matrix):
    """Return the matrix, or a copy if its rows do not follow one another."""
    return np.ascontiguousarray(matrix)


def _all_contiguous(number: int) -> Callable:
    """Make a function of so many matrices: Numba has no loop over a tuple of different kinds of memory."""
    names = ", ".join(f"x{i}" for i in range(number))
    calls = ", ".join(f"contiguous(x{i})" for i in range(number))
    scope: dict[str, Any] = {"contiguous": contiguous}
    exec(f"def together({names}): return ({calls},)", scope)
    return helper(scope["together"])


@register_funcify_and_cache_key(Recurrence)
def _recurrence(op: Recurrence, node: Any = None, **kwargs: Any) -> Form:
    dtype = node.outputs[0].type.dtype
    forward = KINDS[op.cell.kind].forward(op.cell, op.reverse, dtype)
    together, single = _all_contiguous(op.n_arguments), not op.cell.saved

    @numba_njit
    def recurrence(sizes, *given):
        kept = forward(sizes, np.empty((0, 0), given[0].dtype), together(*given))
        return kept[0] if single else kept

    return recurrence, _key(op, dtype)


@register_funcify_and_cache_key(RecurrenceGradient)
def _gradient(op: RecurrenceGradient, node: Any = None, **kwargs: Any) -> Form:
    dtype, k, with_flow = node.outputs[0].type.dtype, op.n_arguments, op.flow
    backward = KINDS[op.cell.kind].backward(op.cell, op.reverse, dtype)
    together, end = _all_contiguous(len(node.inputs) - 1), len(node.inputs) - 2

    @numba_njit
    def recurrence_gradient(sizes, *known):
        known = together(*known)
        g, none = known[end], np.empty((0, 0), known[0].dtype)
        flow = np.empty(g.shape if with_flow else (0, 0), g.dtype)
        found = backward(sizes, none, known[:k], known[k:end], g, flow)
        return found + (flow,) if with_flow else found  # noqa: RUF005  (Numba knows no stars here)

    return recurrence_gradient, _key(op, dtype)


def _duals(number: int, first: int) -> Callable:
    """Make ``known -> dual numbers`` that join matrix i with its direction, which stands `first` places behind."""
    pairs = ", ".join(f"dual(known[{i}], known[{i + first}])" for i in range(number))
    scope: dict[str, Any] = {"dual": _dual}
    exec(f"def duals(known): return ({pairs},)", scope)
    return helper(scope["duals"])


def _imaginary(number: int, dtype: str) -> Callable:
    """Make ``found, h -> directional derivatives``."""
    parts = ", ".join(f"part(found[{i}])" for i in range(number))
    kind = np.dtype(dtype).type

    @helper
    def part(z):
        out = np.empty(z.shape, kind)
        for i in range(z.shape[0]):
            for j in range(z.shape[1]):
                out[i, j] = kind(z[i, j].imag / TINY)
        return out

    scope: dict[str, Any] = {"part": part}
    exec(f"def parts(found, h): return ({parts}, part(h))", scope)
    return helper(scope["parts"])


@helper
def _dual(x, v):
    out = np.empty(x.shape, np.complex128)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = complex(np.float64(x[i, j]), np.float64(v[i, j]) * TINY)
    return out


@register_funcify_and_cache_key(RecurrenceCurvature)
def _curvature(op: RecurrenceCurvature, node: Any = None, **kwargs: Any) -> Form:
    dtype, k, with_flow = node.outputs[0].type.dtype, op.n_arguments, op.flow
    kind = KINDS[op.cell.kind]
    forward = kind.forward(op.cell, op.reverse, "complex128")
    backward = kind.backward(op.cell, op.reverse, "complex128")
    together, duals, parts = _all_contiguous(len(node.inputs) - 1), _duals(k, k + 1), _imaginary(k, dtype)
    end = len(node.inputs) - 2

    @numba_njit
    def recurrence_curvature(sizes, *known):
        known = together(*known)
        moved, g = duals(known), known[k]
        none = np.empty((0, 0), np.complex128)
        nudge = _dual(np.zeros(g.shape, g.dtype), known[end]) if with_flow else none
        kept = forward(sizes, nudge, moved)
        found = backward(sizes, nudge, moved, kept, g.astype(np.complex128), none)
        return parts(found, kept[0] + nudge if with_flow else kept[0])

    return recurrence_curvature, _key(op, dtype)


@register_funcify_and_cache_key(Predecessors)
def _predecessors(op: Predecessors, node: Any = None, **kwargs: Any) -> Form:
    reverse = op.reverse

    @numba_njit
    def predecessors(sizes, h):
        rows = np.empty((h.shape[0], 1), np.int64)
        start, before, first = first_start(sizes, reverse), 0, 0
        for k in range(sizes.size):
            low, m, start = step_rows(sizes, start, k, reverse)
            for s in range(m):
                rows[low + s, 0] = first + s if s < before else -1
            before, first = m, low
        return rows

    return predecessors, f"reglm-Predecessors-{reverse}-{VERSION}"
