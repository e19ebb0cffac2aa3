"""The two passes over time, forward and backward, for every kind of cell in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from reglm.ops.recurrence.arrays import Array, backward_step, blocks, forward_step, previous, steps
from reglm.ops.recurrence.cells import Cell


class Arguments(NamedTuple):
    """What a cell is run on; see the package for shapes."""

    a: Array
    W: Array
    extras: list[Array]
    states: list[Array]

    @classmethod
    def of(cls, cell: Cell, given: Sequence[Array]) -> Arguments:
        """Sort (a, W, extras..., states...)."""
        a, W, *rest = given
        k = len(cell.extras)
        return cls(a, W, rest[:k], rest[k:])


class Gradients(NamedTuple):
    """Gradients with respect to the `Arguments`, and with respect to h through all later steps."""

    a: Array
    W: Array
    extras: list[Array]
    states: list[Array]
    flow: Array


def _start(cell: Cell, given: Arguments) -> list[Array]:
    dtype = np.result_type(*given.states, given.a, given.W, *given.extras)
    state = [s.astype(dtype) for s in given.states]
    if cell.variant == "FGR":
        state.append(np.zeros((len(state[0]), 3 * len(given.W)), dtype))
    return state


def forward(
    cell: Cell, given: Arguments, sizes: Array, reverse: bool = False, nudge: Array | None = None
) -> list[Array]:
    """Run the cell: h (n, H) and what is saved beside it.

    `nudge` (n, H) is added to each h on its way to the next step; the h returned are without it.
    """
    n, H = len(given.a), len(given.W)
    state = _start(cell, given)
    out = [np.empty((n, k * H), state[0].dtype) for k in (1, *cell.saved)]
    for rows in steps(sizes, reverse):
        m = rows.stop - rows.start
        (h, *others), saved = forward_step(cell, given.a[rows], given.W, given.extras, tuple(s[:m] for s in state))
        for s, new in zip(state, (h if nudge is None else h + nudge[rows], *others), strict=True):
            s[:m] = new
        for o, kept in zip(out, (h, *saved), strict=True):
            o[rows] = kept
    return out


def backward(
    cell: Cell,
    given: Arguments,
    sizes: Array,
    out: Sequence[Array],
    g: Array,
    reverse: bool = False,
    nudge: Array | None = None,
) -> Gradients:
    """Run the gradient g (n, H) with respect to h back through all steps of a `forward`, whose results are `out`."""
    initial = _start(cell, given)
    known = [
        out[0] if nudge is None else out[0] + nudge,
        *out[2:],
        *([out[1][:, : 3 * len(given.W)]] if cell.variant == "FGR" else []),
    ]
    before = [previous(x, x0, sizes, reverse) for x, x0 in zip(known, initial, strict=True)]
    carried = [np.zeros_like(s) for s in initial]
    delta, flow = np.empty(given.a.shape, initial[0].dtype), np.empty(g.shape, initial[0].dtype)
    for rows in steps(sizes, not reverse):
        m = rows.stop - rows.start
        flow[rows] = dh = carried[0][:m] + g[rows]
        d = (dh, *(s[:m] for s in carried[1:]))
        delta[rows], new = backward_step(
            cell, given.W, given.extras, tuple(b[rows] for b in before), tuple(o[rows] for o in out), d
        )
        for s, x in zip(carried, new, strict=True):
            s[:m] = x
    dW, extras = _sums(cell, given, before, out, delta, flow)
    return Gradients(delta, dW, extras, carried[: len(given.states)], flow)


def _sums(
    cell: Cell, given: Arguments, before: list[Array], out: Sequence[Array], delta: Array, flow: Array
) -> tuple[Array, list[Array]]:
    """Gradients of the parameters: sums over all rows, each one product."""
    H = len(given.W)
    if cell.kind == "gru":
        r = out[1][:, H : 2 * H]
        du_dr, dz = delta[:, : 2 * H], delta[:, 2 * H :]
        if cell.reset_after:
            return before[0].T @ np.hstack([du_dr, dz * r]), [(dz * r).sum(axis=0, keepdims=True)]
        return np.hstack([before[0].T @ du_dr, (r * before[0]).T @ dz]), []
    dW, extras = before[0].T @ delta, []
    if cell.kind == "leaky":
        extras.append((flow * (before[0] - out[1])).sum(axis=0, keepdims=True))
    if cell.peepholes:
        seen = [out[2] if g == "o" else before[1] for g in cell.gates[:-1]]
        rows = [(d * c).sum(axis=0) for d, c in zip(blocks(delta, H), seen, strict=False)]
        extras.append(np.array(rows))
    if cell.variant == "FGR":
        extras.append(before[2].T @ delta[:, : 3 * H])
    return dW, extras
