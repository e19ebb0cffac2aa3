"""Recurrent cells run over packed sequences, each run one Op with fused gates.

Rows are packed: sequences are sorted by length, longest first; first come the first rows of all sequences, then the
second rows of those that have one, and so on. `sizes` (T,) counts the rows of each step and never increases; step t
owns the rows ``sizes[:t].sum() + range(sizes[t])``, and their predecessors are the first ``sizes[t]`` rows of the step
before. With ``reverse=True`` each sequence is run from its last row to its first; rows stay where they are.

::

    h = run(cell, a, sizes, W, h0)                       # elman
    h = run(cell, a, sizes, W, alpha, h0)                # leaky
    h = run(cell, a, sizes, W[, bias], h0)               # gru; bias (1, H) where the reset gate comes after the product
    h = run(cell, a, sizes, W[, peepholes[, R]], h0, c0) # lstm; R (3 H, 3 H) for the variant FGR

`a` (n, g H) is the affine part of the rows, bias included (`ops.affine`); `W` (H, g H) takes the previous state; `h0`
and `c0` are (S, H). `cell.gates` names the g blocks of H columns in their order, and `cell.shapes(H)` the parameters
with their shapes. In `p` below stands what the previous state adds, ``p = h W``:

========  ==========================================================================================================
elman     ``h' = f(a + p)``, f one of tanh, relu, sigmoid, identity
leaky     ``h' = alpha h + (1 - alpha) f(a + p)``, alpha (1, H)
gru       ``u, r = sigmoid(a + p)``; ``z = tanh(a_z + (r h) W_z)``, or ``z = tanh(a_z + r (p_z + bias))`` with
          ``reset_after=True`` (PyTorch's form; its update gate is ``1 - u``); ``h' = u z + (1 - u) h``
lstm      ``i, f, o = sigmoid(a + p)``, ``z = tanh(a + p)``, ``c' = i z + f c``, ``h' = o tanh(c')``; peepholes
          (rows i, f, o) add ``v_i c`` and ``v_f c`` to the input and forget gates, ``v_o c'`` to the output gate
========  ==========================================================================================================

Variants of the LSTM (Greff et al. 2015): NIG, NFG, NOG have no input, forget or output gate (it is one, and has no
columns in `a`, `W` and no row in `peepholes`); CIFG has ``f = 1 - i``; NIAF and NOAF lack the tanh of z and of c'; NP
has no peepholes; FGR adds ``(i, f, o) R``, the previous gates, to the gates.

`run` returns h (n, H). `run_all` returns everything the Op has: h, then for all but elman the gates, then for lstm c
(n, H), whose last rows are what a stream goes on from; gradients come through h alone. `flow` gives dL/dh_t (n, H)
through all later steps, whose norms by lag show gradients vanish or explode, and `omega` the regulariser made of it;
both are differentiable. `tangent` is the directional derivative of h, for Gauss-Newton products. Second derivatives
are exact; third ones are not defined.
"""

from reglm.ops.recurrence.cells import ACTIVATIONS, VARIANTS, Cell, elman, gru, leaky, lstm
from reglm.ops.recurrence.omega import omega
from reglm.ops.recurrence.symbolic import (
    Recurrence,
    RecurrenceCurvature,
    RecurrenceGradient,
    flow,
    run,
    run_all,
    tangent,
)

__all__ = [
    "ACTIVATIONS",
    "VARIANTS",
    "Cell",
    "Recurrence",
    "RecurrenceCurvature",
    "RecurrenceGradient",
    "elman",
    "flow",
    "gru",
    "leaky",
    "lstm",
    "omega",
    "run",
    "run_all",
    "tangent",
]
