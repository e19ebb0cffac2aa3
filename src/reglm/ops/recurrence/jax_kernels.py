"""JAX forms of the recurrence Ops: one `lax.scan` over the steps. Importing this module registers them.

JAX wants static shapes, so each step handles all sequences and those that have no row there keep their state. The
gradient is JAX's own of the same scan, and so is the derivative of that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytensor.link.jax.dispatch.basic import jax_funcify

from reglm.ops.recurrence import formulas
from reglm.ops.recurrence.arrays import named, peepholes
from reglm.ops.recurrence.cells import Cell
from reglm.ops.recurrence.omega import Predecessors
from reglm.ops.recurrence.passes import Arguments
from reglm.ops.recurrence.symbolic import Recurrence, RecurrenceCurvature, RecurrenceGradient


def _activation(name: str) -> Callable:
    import jax
    from jax import numpy as jnp

    return {"tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid, "relu": jax.nn.relu, "identity": lambda x: x}[name]


def _gru_step(cell: Cell, x: Any, given: Arguments, h: Any) -> tuple:
    from jax import numpy as jnp

    H, W, forward = len(given.W), given.W, formulas.gru(1.0)[0]
    sigmoid, tanh = _activation("sigmoid"), _activation("tanh")
    gates = sigmoid(x[:, : 2 * H] + h @ W[:, : 2 * H])
    u, r = gates[:, :H], gates[:, H:]
    if cell.reset_after:
        q = h @ W[:, 2 * H :] + given.extras[0]
        z = tanh(x[:, 2 * H :] + r * q)
        return (forward(u, z, h),), (jnp.hstack([gates, z, q]),)
    z = tanh(x[:, 2 * H :] + (r * h) @ W[:, 2 * H :])
    return (forward(u, z, h),), (jnp.hstack([gates, z]),)


def _lstm_step(cell: Cell, a: Any, given: Arguments, state: tuple) -> tuple:
    from jax import numpy as jnp

    _, c, *gates = state
    H, sigmoid, tanh = len(given.W), _activation("sigmoid"), _activation("tanh")
    if cell.variant == "FGR":
        a = a.at[:, : 3 * H].add(gates[0] @ given.extras[-1])
    advance, emit, _ = formulas.lstm(cell, 1.0, tanh)
    xi, xf, xo, z = named(cell, a, H)
    vi, vf, vo = peepholes(cell, given.extras)
    i, f = sigmoid(xi + vi * c), sigmoid(xf + vf * c)
    z = z if cell.variant == "NIAF" else tanh(z)
    c = advance(i, f, z, c)
    o = sigmoid(xo + vo * c)
    kept = jnp.hstack([y for g, y in zip("ifoz", (i, f, o, z), strict=True) if g in cell.gates])
    return (emit(o, c), c, kept[:, : 3 * H])[: len(state)], (kept, c)


def _step(cell: Cell, x: Any, given: Arguments, state: tuple) -> tuple:
    if cell.kind == "gru":
        return _gru_step(cell, x, given, state[0])
    a = x + state[0] @ given.W
    if cell.kind == "lstm":
        return _lstm_step(cell, a, given, state)
    y = _activation(cell.activation)(a)
    if cell.kind == "elman":
        return (y,), ()
    return (y + given.extras[0] * (state[0] - y),), (y,)


def _scan(cell: Cell, reverse: bool, sizes: Any, given: Arguments, nudge: Any) -> tuple:
    """Run the cell: h (with the nudge on its way) and what is saved beside it."""
    from jax import lax
    from jax import numpy as jnp

    n, S, T, H = len(given.a), len(given.states[0]), len(sizes), len(given.W)
    sequence = jnp.arange(S)
    starts = jnp.cumsum(sizes) - sizes
    state = (*given.states, jnp.zeros((S, 3 * H), given.a.dtype)) if cell.variant == "FGR" else tuple(given.states)

    def step(state: tuple, now: tuple) -> tuple:
        start, size = now
        rows = jnp.minimum(start + sequence, n - 1)
        (h, *others), saved = _step(cell, given.a[rows], given, state)
        new = (h + nudge[rows], *others)
        active = (sequence < size)[:, None]
        return tuple(jnp.where(active, x, old) for x, old in zip(new, state, strict=True)), (new[0], *saved)

    _, out = lax.scan(step, state, (starts, sizes), reverse=reverse)
    t, s = _coordinates(sizes, n)
    return tuple(o.reshape(T * S, -1)[t * S + s] for o in out)


def _coordinates(sizes: Any, n: int) -> tuple:
    """Step and sequence of each row."""
    from jax import numpy as jnp

    starts = jnp.cumsum(sizes) - sizes
    t = jnp.searchsorted(starts, jnp.arange(n), side="right") - 1
    return t, jnp.arange(n) - starts[t]


def _function(op: Any, sizes: Any) -> Callable:
    """Make ``arguments..., nudge -> h``."""

    def h(*arguments: Any) -> Any:
        return _scan(op.cell, op.reverse, sizes, Arguments.of(op.cell, arguments[:-1]), arguments[-1])[0]

    return h


@jax_funcify.register(Recurrence)
def _recurrence(op: Recurrence, node: Any = None, **kwargs: Any) -> Callable:
    from jax import numpy as jnp

    def recurrence(sizes: Any, *given: Any) -> Any:
        nudge = jnp.zeros((len(given[0]), len(given[1])), given[0].dtype)
        out = _scan(op.cell, op.reverse, sizes, Arguments.of(op.cell, given), nudge)
        return out if op.cell.saved else out[0]

    return recurrence


@jax_funcify.register(RecurrenceGradient)
def _gradient(op: RecurrenceGradient, node: Any = None, **kwargs: Any) -> Callable:
    import jax
    from jax import numpy as jnp

    def gradient(sizes: Any, *known: Any) -> Any:
        g = known[-1]
        found = jax.vjp(_function(op, sizes), *known[: op.n_arguments], jnp.zeros_like(g))[1](g)
        return found if op.flow else found[:-1]

    return gradient


@jax_funcify.register(RecurrenceCurvature)
def _curvature(op: RecurrenceCurvature, node: Any = None, **kwargs: Any) -> Callable:
    import jax
    from jax import numpy as jnp

    def curvature(sizes: Any, *known: Any) -> Any:
        k = op.n_arguments
        g, v = known[k], known[k + 1 :]
        point, zeros = (*known[:k], jnp.zeros_like(g)), jnp.zeros_like(g)
        direction = v if op.flow else (*v, zeros)
        function = _function(op, sizes)
        _, second = jax.jvp(lambda *x: jax.vjp(function, *x)[1](g), point, direction)
        return *second[:-1], jax.jvp(function, point, direction)[1]

    return curvature


@jax_funcify.register(Predecessors)
def _predecessors(op: Predecessors, node: Any = None, **kwargs: Any) -> Callable:
    from jax import numpy as jnp

    def predecessors(sizes: Any, h: Any) -> Any:
        t, s = _coordinates(sizes, len(h))
        shift = 1 if op.reverse else -1
        inside = (t + shift >= 0) & (t + shift < len(sizes))
        other = jnp.clip(t + shift, 0, len(sizes) - 1)
        rows = (jnp.cumsum(sizes) - sizes)[other] + s
        return jnp.where(inside & (s < sizes[other]), rows, -1)[:, None]

    return predecessors
