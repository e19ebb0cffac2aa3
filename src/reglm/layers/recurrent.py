"""Layers that run along sequences: recurrent cells, and the choice of each sequence's last row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from reglm import ops
from reglm.layers.base import Layer, check_count
from reglm.layers.composite import Parallel
from reglm.layers.scope import Batch, Scope, SparseRows
from reglm.ops.recurrence import Cell, elman, gru, leaky, lstm, run_all
from reglm.parameters import (
    Array,
    Initialiser,
    Spec,
    constant,
    glorot,
    identity,
    initialiser,
    normal,
    orthogonal,
    zeros,
)

CELLS = ("elman", "irnn", "leaky", "gru", "lstm")
NAMES = {"W": "U", "bias": "c", "peepholes": "V", "R": "R"}
"""Names of a cell's parameters in a layer, where W and b are those of the inputs."""
IDENTITY_SCALE = 1e-3
"""Standard deviation of the other weights where U starts as the identity (Le et al. 2015)."""


@dataclass(frozen=True)
class Recurrent(Layer):
    """A recurrent cell run along each sequence: ``h_t = f(x_t W + b, h_{t-1} U)``.

    Parameters
    ----------
    units : int
    cell : {"lstm", "gru", "elman", "leaky", "irnn"}
        "irnn" is "elman" with rectified units and U started as the identity (Le et al. 2015).
    activation : str
        Of elman and leaky cells: "tanh", "relu", "sigmoid", "identity".
    variant : str, optional
        Of the LSTM (Greff et al. 2015): "NIG", "NFG", "NOG", "NIAF", "NOAF", "NP", "CIFG", "FGR".
    peepholes : bool
        Whether the gates of an LSTM see its state.
    reset_after : bool
        Whether the reset gate of a GRU follows the product with U, which then has a bias of its own (PyTorch's form).
    leak : float, optional
        Share of its state that a leaky unit keeps at each step, in (0, 1); learned, one for each unit, if None.
    reverse : bool
        Run from the last row of each sequence to its first.
    forget_bias : float
        Start of the forget gate's bias: at 1 or more an LSTM begins by remembering (Jozefowicz et al. 2015).
    init : str or callable
        Start of U, gate by gate; "auto" is orthogonal, the identity for "irnn".
    omega : float
        Price of the gradient's change of norm at each step back, `reglm.ops.recurrence.omega`, while training.
    """

    units: int
    cell: str = "lstm"
    activation: str = "tanh"
    variant: str | None = None
    peepholes: bool = False
    reset_after: bool = False
    leak: float | None = None
    reverse: bool = False
    forget_bias: float = 1.0
    init: str | Any = "auto"
    omega: float = 0.0

    sequential: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_count("units", self.units)
        if self.cell not in CELLS:
            raise ValueError(f"cell={self.cell!r} is not known; choose one of {CELLS}.")
        if not 0.0 <= self.omega < np.inf:
            raise ValueError(f"omega={self.omega!r} must be a finite number >= 0.")
        if self.leak is not None and not 0.0 < self.leak < 1.0:
            raise ValueError(f"leak={self.leak!r} must be between 0 and 1, or None to learn it.")
        for name, given, cell in (
            ("variant", self.variant is not None, "lstm"), ("peepholes", self.peepholes, "lstm"),
            ("reset_after", self.reset_after, "gru"), ("leak", self.leak is not None, "leaky"),
        ):  # fmt: skip
            if given and self.cell != cell:
                raise ValueError(f"{name}={getattr(self, name)!r} is an option of cell={cell!r}, not of {self.cell!r}.")
        self.kind()

    def kind(self) -> Cell:
        """Return the cell with its options."""
        if self.cell == "lstm":
            return lstm(self.variant, self.peepholes)
        if self.cell == "gru":
            return gru(self.reset_after)
        if self.cell == "leaky":
            return leaky(self.activation)
        return elman("relu" if self.cell == "irnn" else self.activation)

    def specs(self, width: int) -> list[Spec]:
        """``W`` (width, g units), ``b`` (g units,), ``U`` (units, g units), and what else the cell has.

        A cell has g gates. Peepholes are ``V``, the bias of a GRU's reset product ``c``, the weights between the gates
        of the variant FGR ``R``, and ``leak`` (1, units) is on the logit scale.
        """
        cell, H = self.kind(), self.units
        gates = len(cell.gates)
        inner = initialiser(("identity" if self.cell == "irnn" else "orthogonal") if self.init == "auto" else self.init)
        outer = normal(IDENTITY_SCALE) if inner is identity else glorot
        bias = np.concatenate([np.full(H, self.forget_bias if gate == "f" else 0.0) for gate in cell.gates])
        found = [
            Spec("W", (width, gates * H), partial(_gate_by_gate, outer, gates), penalised=True),
            Spec("b", (gates * H,), constant(bias)),
        ]
        shapes = cell.shapes(H)
        starts = {"W": partial(_gate_by_gate, inner, gates), "R": partial(_gate_by_gate, orthogonal, 3)}
        for name, shape in shapes.items():
            if name != "alpha":
                penalised = name not in ("bias", "peepholes")
                found.append(Spec(NAMES[name], shape, starts.get(name, zeros), penalised=penalised))
        if "alpha" in shapes and self.leak is None:
            found.append(Spec("leak", shapes["alpha"]))
        return found

    def width(self, width: int) -> int:
        """Number of units."""
        return self.units

    def buffers(self, width: int) -> dict[str, Array]:
        """Leak, where it is given, and the price of vanishing gradients, where there is one."""
        leak = {} if self.leak is None else {"leak": np.full((1, self.units), self.leak)}
        return leak | ({"omega": np.asarray(float(self.omega))} if self.omega else {})

    def structure(self) -> tuple[Any, ...]:
        """The cell, its direction, whether its leak is learned and its gradients are priced."""
        return ("Recurrent", self.kind(), self.reverse, self.leak is None, self.omega > 0)

    def apply(self, h: Batch, scope: Scope) -> TensorVariable:
        """States of all rows (n, units)."""
        if isinstance(h, SparseRows):
            raise ValueError("Recurrent needs dense rows; pass X.toarray().")
        cell, sizes = self.kind(), scope.sequences("Recurrent").sizes
        U = scope.parameter("U")
        zero = pt.zeros((sizes[0], U.shape[0]), dtype=scope.dtype)
        extras = [self._leak(scope) if name == "alpha" else scope.parameter(NAMES[name]) for name in cell.extras]
        start = scope.states(zero, len(cell.states))
        found = run_all(cell, scope.affine(h, "W", "b"), sizes, U, *extras, *start, reverse=self.reverse)
        if self.omega:
            scope.trace.flows.append((found[0], scope.buffer("omega")))
        scope.trace.states.extend([found[0], found[-1]][: len(cell.states)])
        return found[0]

    def _leak(self, scope: Scope) -> TensorVariable:
        return ops.sigmoid(scope.parameter("leak")) if self.leak is None else scope.buffer("leak")


def _gate_by_gate(init: Initialiser, gates: int, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Start the block of each gate on its own, so that fans are those of a gate."""
    return np.hstack([init(rng, (shape[0], shape[1] // gates)) for _ in range(gates)])


@dataclass(frozen=True)
class Last(Layer):
    """The last row of each sequence: from here on there is one row a sequence, longest sequence first."""

    sequential: ClassVar[bool] = True

    def apply(self, h: Batch, scope: Scope) -> TensorVariable:
        """Rows (S, width)."""
        if isinstance(h, SparseRows):
            raise ValueError("Last needs dense rows; pass X.toarray().")
        return ops.lookup(scope.sequences("Last").last[:, None], h, True)


def recurrent_stack(hidden: Sequence[int], *, bidirectional: bool = False, **options: Any) -> list[tuple[str, Layer]]:
    """Recurrent layers one above the other, with names.

    Parameters
    ----------
    hidden : sequence of int
        Units of each layer, of each direction where there are two.
    bidirectional : bool
        Run every layer in both directions and put the states side by side (Schuster & Paliwal 1997).
    **options
        Of `Recurrent`.
    """
    layers: list[tuple[str, Layer]] = []
    for i, units in enumerate(hidden):
        forward = Recurrent(units, **options)
        both = (forward, Recurrent(units, reverse=True, **options))
        layer = Parallel(both, names=("forward", "backward")) if bidirectional else forward
        layers.append((f"recurrent{i + 1}", layer))
    return layers
