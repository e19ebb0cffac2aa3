"""Activations, packed rows and single steps in NumPy.

Complex arrays are dual numbers: the imaginary part, of the order of `TINY`, carries a directional derivative, and
products of two imaginary parts vanish in rounding. The same passes therefore give exact derivatives along a direction
(the complex step without its subtraction: Squire & Trapp 1998), and the activations need only their real forms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from reglm.ops.recurrence import formulas
from reglm.ops.recurrence.cells import Cell

Array = np.ndarray
State = tuple[Array, ...]

TINY = 1e-30
"""Size of the step along the direction."""


def _logistic(x: Array) -> Array:
    from scipy.special import expit

    return expit(x)


REAL: dict[str, Callable] = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": _logistic,
    "identity": np.asarray,
}
SLOPES: dict[str, Callable] = {
    "tanh": lambda y: 1 - y * y,
    "relu": lambda y: (y.real > 0).astype(y.real.dtype),
    "sigmoid": lambda y: y * (1 - y),
    "identity": np.ones_like,
}
"""Slopes of the activations as functions of their values."""


def activate(name: str, x: Array) -> Array:
    """Apply an activation to an array of numbers or dual numbers."""
    x = np.asarray(x)
    if not np.iscomplexobj(x):
        return REAL[name](x)
    y = REAL[name](x.real)
    return y + 1j * (SLOPES[name](y) * x.imag)


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + e^-x)."""
    return activate("sigmoid", x)


def tanh(x: Array) -> Array:
    """Return the hyperbolic tangent."""
    return activate("tanh", x)


def steps(sizes: Array, reverse: bool) -> Iterator[slice]:
    """Rows of each step, in the order in which they are run."""
    edges = [0, *accumulate(sizes.tolist())]
    found = [slice(a, b) for a, b in pairwise(edges)]
    return reversed(found) if reverse else iter(found)


def previous(x: Array, x0: Array, sizes: Array, reverse: bool) -> Array:
    """Return what stood before each row: the state one step ago, or the initial one."""
    sequence = np.concatenate([np.arange(m) for m in sizes])
    before = np.zeros_like(sizes)
    if reverse:
        before[:-1], starts = sizes[1:], np.cumsum(sizes)
    else:
        before[1:] = sizes[:-1]
        starts = np.cumsum(before) - before
    rows = np.repeat(starts, sizes) + sequence
    inside = sequence < np.repeat(before, sizes)
    return np.where(inside[:, None], x[np.where(inside, rows, 0)], x0[sequence])


def blocks(x: Array, H: int) -> list[Array]:
    """Blocks of H columns."""
    return [x[:, j : j + H] for j in range(0, x.shape[1], H)]


def named(cell: Cell, x: Array, H: int) -> list[Any]:
    """Blocks of the gates i, f, o, z; 0 for one that the cell lacks."""
    found = dict(zip(cell.gates, blocks(x, H), strict=False))
    return [found.get(g, 0.0) for g in "ifoz"]


def peepholes(cell: Cell, extras: Sequence[Array]) -> list[Any]:
    """Rows of the peepholes of i, f, o; 0 for one that the cell lacks."""
    rows = dict(zip(cell.gates[:-1], extras[0], strict=True)) if cell.peepholes else {}
    return [rows.get(g, 0.0) for g in "ifo"]


def forward_step(cell: Cell, x: Array, W: Array, extras: Sequence[Array], state: State) -> tuple[State, State]:
    """Take one step: the new state, and what is saved beside h."""
    h = state[0]
    if cell.kind == "gru":
        return _gru_forward(cell, x, W, extras, h)
    a = x + h @ W
    if cell.kind == "elman":
        return (activate(cell.activation, a),), ()
    if cell.kind == "leaky":
        y = activate(cell.activation, a)
        return (y + extras[0] * (h - y),), (y,)
    return _lstm_forward(cell, a, extras, state)


def _gru_forward(cell: Cell, x: Array, W: Array, extras: Sequence[Array], h: Array) -> tuple[State, State]:
    H, forward = len(W), formulas.gru(1.0)[0]
    if cell.reset_after:
        p = h @ W
        gates, q = sigmoid(x[:, : 2 * H] + p[:, : 2 * H]), p[:, 2 * H :] + extras[0]
        z = tanh(x[:, 2 * H :] + gates[:, H:] * q)
        return (forward(gates[:, :H], z, h),), (np.hstack([gates, z, q]),)
    gates = sigmoid(x[:, : 2 * H] + h @ W[:, : 2 * H])
    z = tanh(x[:, 2 * H :] + (gates[:, H:] * h) @ W[:, 2 * H :])
    return (forward(gates[:, :H], z, h),), (np.hstack([gates, z]),)


def _lstm_forward(cell: Cell, a: Array, extras: Sequence[Array], state: State) -> tuple[State, State]:
    h, c, *gates = state
    H = h.shape[1]
    if cell.variant == "FGR":
        a[:, : 3 * H] += gates[0] @ extras[-1]
    advance, emit, _ = formulas.lstm(cell, 1.0, tanh)
    xi, xf, xo, z = named(cell, a, H)
    vi, vf, vo = peepholes(cell, extras)
    seen = (xi + vi * c, xf + vf * c) if cell.peepholes else (xi, xf)
    i, f = (x if isinstance(x, float) else sigmoid(x) for x in seen)
    z = z if cell.variant == "NIAF" else tanh(z)
    c = advance(i, f, z, c)
    o = 0.0 if cell.variant == "NOG" else sigmoid(xo + vo * c if cell.peepholes else xo)
    kept = np.hstack([y for g, y in zip("ifoz", (i, f, o, z), strict=True) if g in cell.gates])
    return (emit(o, c), c, kept[:, : 3 * H])[: len(state)], (kept, c)


def backward_step(
    cell: Cell, W: Array, extras: Sequence[Array], before: State, after: State, d: State
) -> tuple[Array, State]:
    """Take one step back.

    `before` is the state it started from, `after` is h and what was saved, d the gradient with respect to the new
    state. Returns the delta of `a` and the gradient with respect to `before`.
    """
    if cell.kind == "gru":
        return _gru_backward(cell, W, before[0], after[1], d[0])
    if cell.kind == "lstm":
        return _lstm_backward(cell, W, extras, before, after, d)
    if cell.kind == "elman":
        delta = d[0] * SLOPES[cell.activation](after[0])
        return delta, (delta @ W.T,)
    delta = d[0] * (1 - extras[0]) * SLOPES[cell.activation](after[1])
    return delta, (extras[0] * d[0] + delta @ W.T,)


def _gru_backward(cell: Cell, W: Array, h: Array, saved: Array, dh: Array) -> tuple[Array, State]:
    H, (_, backward, reset) = len(W), formulas.gru(1.0)
    u, r, z, *q = blocks(saved, H)
    du, dz, direct = backward(u, z, h, dh)
    if cell.reset_after:
        dr = reset(r, q[0], dz)
        return np.hstack([du, dr, dz]), (direct + np.hstack([du, dr, dz * r]) @ W.T,)
    product = dz @ W[:, 2 * H :].T
    gates = np.hstack([du, reset(r, h, product)])
    return np.hstack([gates, dz]), (direct + product * r + gates @ W[:, : 2 * H].T,)


def _lstm_backward(
    cell: Cell, W: Array, extras: Sequence[Array], before: State, after: State, d: State
) -> tuple[Array, State]:
    H = len(W)
    carried = blocks(d[2], H) if cell.variant == "FGR" else [0.0] * 3
    gates, seen = named(cell, after[1], H), peepholes(cell, extras)
    *deltas, dc = formulas.lstm(cell, 1.0, tanh)[2](*gates, before[1], after[2], *seen, *d[:2], *carried)
    delta = np.hstack([x for g, x in zip("ifoz", deltas, strict=True) if g in cell.gates])
    if cell.variant == "FGR":
        return delta, (delta @ W.T, dc, delta[:, : 3 * H] @ extras[-1].T)
    return delta, (delta @ W.T, dc)
