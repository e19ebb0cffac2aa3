"""One step of every gated cell, element by element, forward and backward: the formulas, written once.

Each function here takes the activations and returns ``(forward, backward)``. Applied to numbers they are the inside of
a compiled loop, applied to arrays a step of the interpreter; nothing in them knows which. A gate that the cell lacks
gets any number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reglm.ops.recurrence.cells import Cell

Step = Callable[..., Any]


def gru_forward(u: Any, z: Any, h: Any) -> Any:
    """Mix the proposal z into the state h."""
    return h + u * (z - h)


def gru_backward(u: Any, z: Any, h: Any, dh: Any) -> Any:
    """Return the deltas of the arguments of u and z, and what reaches h directly."""
    return dh * (z - h) * (u * (1 - u)), dh * u * (1 - z * z), dh * (1 - u)


def reset_backward(r: Any, q: Any, d: Any) -> Any:
    """Return the delta of the argument of the reset gate, where ``r q`` has the gradient d."""
    return d * q * (r * (1 - r))


def lstm(cell: Cell, sigmoid: Step, tanh: Step) -> tuple[Step, Step]:
    """Formulas of the long short-term memory.

    ``forward(xi, xf, xo, xz, c, pi, pf, po) -> (i, f, o, z, c', h')`` from the gates' arguments, the state and the
    peepholes; ``backward(i, f, o, z, c, c', pi, pf, po, dh, dc, gi, gf, go) -> (di, df, do, dz, dc)`` from gradients
    with respect to h', c' and (variant FGR) the gates to deltas of the arguments and the gradient with respect to c.
    """
    variant, peepholes = cell.variant, cell.peepholes
    no_input, no_forget, no_output = variant == "NIG", variant == "NFG", variant == "NOG"
    coupled, full = variant == "CIFG", variant == "FGR"
    plain_input, plain_output = variant == "NIAF", variant == "NOAF"

    def forward(xi: Any, xf: Any, xo: Any, xz: Any, c: Any, pi: Any, pf: Any, po: Any) -> Any:
        if peepholes:
            xi, xf = xi + pi * c, xf + pf * c
        i = xi * 0 + 1 if no_input else sigmoid(xi)
        f = xf * 0 + 1 if no_forget else 1 - i if coupled else sigmoid(xf)
        z = xz if plain_input else tanh(xz)
        new = i * z + f * c
        if peepholes:
            xo = xo + po * new
        o = xo * 0 + 1 if no_output else sigmoid(xo)
        return i, f, o, z, new, o * (new if plain_output else tanh(new))

    def backward(
        i: Any, f: Any, o: Any, z: Any, c: Any, new: Any, pi: Any, pf: Any, po: Any, dh: Any, dc: Any,
        gi: Any, gf: Any, go: Any,
    ) -> Any:  # fmt: skip
        y = new if plain_output else tanh(new)
        do = (dh * y + go if full else dh * y) * (o * (1 - o))
        dc = dc + (dh * o if plain_output else dh * o * (1 - y * y))
        if peepholes:
            dc = dc + do * po
        di = dc * (z - c) if coupled else dc * z + gi if full else dc * z
        di = di * (i * (1 - i))
        df = (dc * c + gf if full else dc * c) * (f * (1 - f))
        dz = dc * i if plain_input else dc * i * (1 - z * z)
        before = dc * f
        if peepholes:
            before = before + di * pi if coupled else before + di * pi + df * pf
        return di, df, do, dz, before

    return forward, backward
