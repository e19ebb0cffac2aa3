"""One step of the gated cells, element by element, forward and backward: the formulas, written once.

They are made for a cell and a format, whose ``one`` and activations they use. Applied to numbers they are the inside of
a compiled loop, applied to arrays a step of the interpreter or of JAX; nothing in them knows which. What a gate's slope
is follows from its value. A gate that the cell lacks gets any number of the format.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reglm.ops.recurrence.cells import Cell

Step = Callable[..., Any]


def gru(one: Any) -> tuple[Step, Step, Step]:
    """Return the formulas of the gated recurrent unit.

    * ``forward(u, z, h) -> h'``
    * ``backward(u, z, h, dh) -> (du, dz, dh_direct)``, deltas of the arguments of u and z and what reaches h directly
    * ``reset(r, q, d) -> dr``, the delta of the argument of r, where ``r q`` has the gradient d
    """

    def forward(u: Any, z: Any, h: Any) -> Any:
        return h + u * (z - h)

    def backward(u: Any, z: Any, h: Any, dh: Any) -> Any:
        return dh * (z - h) * (u * (one - u)), dh * u * (one - z * z), dh * (one - u)

    def reset(r: Any, q: Any, d: Any) -> Any:
        return d * q * (r * (one - r))

    return forward, backward, reset


def lstm(cell: Cell, one: Any, tanh: Step) -> tuple[Step, Step, Step]:
    """Return the formulas of the long short-term memory and its variants.

    * ``advance(i, f, z, c) -> c'``
    * ``emit(o, c') -> h'``
    * ``backward(i, f, o, z, c, c', vi, vf, vo, dh, dc, gi, gf, go) -> (di, df, do, dz, dc)``: from the peepholes v, the
      gradients with respect to h', c' and (variant FGR) the gates, to the deltas of the gates' arguments and the
      gradient with respect to c
    """
    variant, peepholes = cell.variant, cell.peepholes
    no_input, no_forget, no_output = variant == "NIG", variant == "NFG", variant == "NOG"
    coupled, full = variant == "CIFG", variant == "FGR"
    plain_input, plain_output = variant == "NIAF", variant == "NOAF"

    def advance(i: Any, f: Any, z: Any, c: Any) -> Any:
        kept = c if no_forget else (one - i) * c if coupled else f * c
        return kept + (z if no_input else i * z)

    def emit(o: Any, c: Any) -> Any:
        y = c if plain_output else tanh(c)
        return y if no_output else o * y

    def backward(
        i: Any, f: Any, o: Any, z: Any, c: Any, new: Any, vi: Any, vf: Any, vo: Any, dh: Any, dc: Any,
        gi: Any, gf: Any, go: Any,
    ) -> Any:  # fmt: skip
        i, f = one if no_input else i, one if no_forget else one - i if coupled else f
        o, y = one if no_output else o, new if plain_output else tanh(new)
        do = (dh * y + go if full else dh * y) * (o * (one - o))
        dc = dc + (dh * o if plain_output else dh * o * (one - y * y))
        dc = dc + do * vo if peepholes else dc
        di = (dc * (z - c) if coupled else dc * z + gi if full else dc * z) * (i * (one - i))
        df = (dc * c + gf if full else dc * c) * (f * (one - f))
        dz = dc * i if plain_input else dc * i * (one - z * z)
        before = dc * f
        if peepholes:
            before = before + di * vi if coupled else before + di * vi + df * vf
        return di, df, do, dz, before

    return advance, emit, backward
