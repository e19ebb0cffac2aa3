"""The recurrence as PyTensor Ops: forward, gradient, and the gradient's own derivative.

`RecurrenceGradient` is ``B(x, g)``, the gradient of ``<g, h(x)>`` with respect to all float arguments x. Its pullback
along v needs no recursion of its own kind: with respect to x it is the derivative of B along v, for the Hessian is
symmetric, and with respect to g it is the derivative of h along v. `RecurrenceCurvature` computes both.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from reglm.ops.affine import Shape, Variable, connected, same_dtype
from reglm.ops.recurrence.arrays import TINY, Array
from reglm.ops.recurrence.cells import Cell
from reglm.ops.recurrence.passes import Arguments, backward, forward


class _Pass(Op):
    """What the three Ops share: a cell, a direction, and arguments (sizes, a, W, extras..., states...)."""

    __props__: tuple[str, ...] = ("cell", "reverse")
    is_recursive = True

    def __init__(self, cell: Cell, reverse: bool) -> None:
        self.cell = cell
        self.reverse = reverse

    @property
    def n_arguments(self) -> int:
        """Number of float arguments of the cell: a, W, extras, initial states."""
        return 2 + len(self.cell.extras) + len(self.cell.states)


def as_sizes(sizes: Variable) -> Variable:
    """Convert to a vector of int64."""
    sizes = pt.as_tensor(sizes)
    if sizes.type.dtype not in ("int64", "int32") or sizes.type.ndim != 1:
        raise TypeError(f"sizes must be a vector of int64, got {sizes.type}.")
    return sizes.astype("int64")


def _disconnected(number: int) -> list[Variable]:
    return [DisconnectedType()() for _ in range(number)]


class Recurrence(_Pass):
    """(sizes, a, W, extras..., states...) -> h and what the gradient needs beside it."""

    def make_node(self, sizes: Variable, *arguments: Variable) -> Apply:
        """Accept sizes (T,) and the cell's arguments, all of one dtype."""
        given = same_dtype("recurrence", *arguments)
        if len(given) != self.n_arguments:
            names = ("a", *self.cell.shapes(1), *self.cell.states)
            raise TypeError(f"a {self.cell.kind} cell takes {names} after sizes, got {len(given)} arguments.")
        (n, _), (H, _) = given[0].type.shape, given[1].type.shape
        widths = [None if H is None else k * H for k in (1, *self.cell.saved)]
        outputs = [pt.tensor(dtype=given[0].dtype, shape=(n, w)) for w in widths]
        return Apply(self, [as_sizes(sizes), *given], outputs)

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        """Evaluate with NumPy."""
        sizes, *given = inputs
        found = forward(self.cell, Arguments.of(self.cell, given), sizes, self.reverse)
        for cell, value in zip(outputs, found, strict=True):
            cell[0] = value

    def infer_shape(self, *args: Any) -> list[Shape]:
        """Rows of a; H columns, or multiples."""
        _, a, W = args[-1][:3]
        return [(a[0], k * W[0]) for k in (1, *self.cell.saved)]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Gradients come through h only."""
        kept = [False] * len(self.cell.saved)
        return [[False, *kept], *([True, *kept] for _ in range(self.n_arguments))]

    def L_op(self, inputs: list, outputs: list, output_gradients: list) -> list:
        """Gradients with respect to all but sizes."""
        g = connected(output_gradients[0], outputs[0])
        gradient = RecurrenceGradient(self.cell, self.reverse)
        return [*_disconnected(1), *gradient(*inputs, *outputs, g, return_list=True)]

    pullback = L_op


class RecurrenceGradient(_Pass):
    """(sizes, arguments..., outputs of the forward pass..., g) -> gradients of ``<g, h>``.

    With ``flow=True`` the last output is the gradient with respect to h at each row, through all later steps.
    """

    __props__ = ("cell", "reverse", "flow")

    def __init__(self, cell: Cell, reverse: bool, flow: bool = False) -> None:
        super().__init__(cell, reverse)
        self.flow = flow

    def make_node(self, sizes: Variable, *given: Variable) -> Apply:
        """Accept the inputs and outputs of `Recurrence` and g (n, H)."""
        known = same_dtype("recurrence_gradient", *given)
        arguments = known[: self.n_arguments]
        wanted = [*arguments, known[-1]] if self.flow else arguments
        return Apply(self, [as_sizes(sizes), *known], [pt.tensor(dtype=x.dtype, shape=x.type.shape) for x in wanted])

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        """Evaluate with NumPy."""
        sizes, *known = inputs
        k = self.n_arguments
        found = backward(self.cell, Arguments.of(self.cell, known[:k]), sizes, known[k:-1], known[-1], self.reverse)
        values = [found.a, found.W, *found.extras, *found.states, *([found.flow] if self.flow else [])]
        for cell, value in zip(outputs, values, strict=True):
            cell[0] = value

    def infer_shape(self, *args: Any) -> list[Shape]:
        """Shapes of the arguments."""
        shapes = args[-1]
        return [*shapes[1 : 1 + self.n_arguments], *([shapes[-1]] if self.flow else [])]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """The outputs of the forward pass are functions of the arguments, and no arguments themselves."""
        k, kept = self.n_arguments, len(node.inputs) - self.n_arguments - 2
        return [[on] * len(node.outputs) for on in (False, *[True] * k, *[False] * kept, True)]

    def L_op(self, inputs: list, outputs: list, output_gradients: list) -> list:
        """Gradients with respect to the arguments and g."""
        k = self.n_arguments
        sizes, *known = inputs
        v = [connected(e, out) for e, out in zip(output_gradients, outputs, strict=True)]
        curvature = RecurrenceCurvature(self.cell, self.reverse, self.flow)
        *second, tangent_of_h = curvature(sizes, *known[:k], known[-1], *v, return_list=True)
        return [*_disconnected(1), *second, *_disconnected(len(known) - k - 1), tangent_of_h]

    pullback = L_op


class RecurrenceCurvature(_Pass):
    """(sizes, arguments x..., g, direction v...) -> derivatives along v: of the gradients of ``<g, h>``, and of h.

    With ``flow=True`` the direction ends with what moves h itself at each row.
    """

    __props__ = ("cell", "reverse", "flow")

    def __init__(self, cell: Cell, reverse: bool, flow: bool = False) -> None:
        super().__init__(cell, reverse)
        self.flow = flow

    def make_node(self, sizes: Variable, *given: Variable) -> Apply:
        """Accept the arguments, g (n, H), and a direction of the shapes of the arguments (and of h)."""
        known = same_dtype("recurrence_curvature", *given)
        wanted = known[: self.n_arguments + 1]
        return Apply(self, [as_sizes(sizes), *known], [pt.tensor(dtype=x.dtype, shape=x.type.shape) for x in wanted])

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        """Evaluate with NumPy, on dual numbers in double precision."""
        sizes, *known = inputs
        for cell, value in zip(outputs, self.derivatives(sizes, known), strict=True):
            cell[0] = (np.imag(value) / TINY).astype(known[0].dtype)

    def derivatives(self, sizes: Array, known: list[Array]) -> list[Array]:
        """Return dual numbers: the gradients, and h."""
        k = self.n_arguments
        g, v = known[k], known[k + 1 :]
        moved = Arguments.of(self.cell, [x + 1j * (TINY * d.astype(float)) for x, d in zip(known[:k], v, strict=False)])
        nudge = 1j * (TINY * v[-1].astype(float)) if self.flow else None
        out = forward(self.cell, moved, sizes, self.reverse, nudge)
        found = backward(self.cell, moved, sizes, out, g, self.reverse, nudge)
        h = out[0] if nudge is None else out[0] + nudge
        return [found.a, found.W, *found.extras, *found.states, h]

    def infer_shape(self, *args: Any) -> list[Shape]:
        """Shapes of the arguments and of g."""
        return list(args[-1][1 : 2 + self.n_arguments])


def run_all(cell: Cell, a: Variable, sizes: Variable, *arguments: Variable, reverse: bool = False) -> list[Variable]:
    """Run a cell over packed rows and return h and what is saved beside it.

    Parameters
    ----------
    cell : Cell
    a : matrix (n, g H)
        Affine part of the inputs; columns in blocks, as `cell.gates` names them.
    sizes : integer vector (T,)
        Sequences that have a row at each step; non-increasing, of sum n.
    *arguments : matrices
        W and the parameters after it as in `cell.shapes`, then the initial states h0 (S, H) and, for lstm, c0 (S, H).
    reverse : bool
        From the last row of each sequence to its first.

    Returns
    -------
    list of matrices
        h (n, H); the gates (n, k H), but for elman; c (n, H) for lstm. Only h has a gradient.

    Raises
    ------
    TypeError
        If an argument is missing or one too many, or dtypes differ or are not float32 or float64.
    """
    return Recurrence(cell, reverse)(sizes, a, *arguments, return_list=True)


def run(cell: Cell, a: Variable, sizes: Variable, *arguments: Variable, reverse: bool = False) -> Variable:
    """Run a cell over packed rows and return h (n, H); arguments and errors are those of `run_all`."""
    return run_all(cell, a, sizes, *arguments, reverse=reverse)[0]


def node_of(h: Variable) -> Apply:
    """Return the node that ran the cell."""
    if h.owner is None or not isinstance(h.owner.op, Recurrence) or h is not h.owner.outputs[0]:
        raise TypeError(f"{h} is not the output of a recurrence; pass what ops.recurrence.run returned.")
    return h.owner


def flow(h: Variable, g: Variable) -> Variable:
    """Return the gradient with respect to each state through all later steps, dL/dh_t (n, H).

    Parameters
    ----------
    h : matrix (n, H)
        What `run` returned.
    g : matrix (n, H)
        Gradient of L with respect to h as the rest of the graph uses it, ``grad(L, h)``.

    Returns
    -------
    matrix (n, H)
        g plus what comes through the following step; its row norms by lag show gradients vanish or explode (Pascanu et
        al. 2013). Differentiable.

    Raises
    ------
    TypeError
        If h is not what `run` returned.
    """
    node = node_of(h)
    gradient = RecurrenceGradient(node.op.cell, node.op.reverse, flow=True)
    return gradient(*node.inputs, *node.outputs, g, return_list=True)[-1]


def tangent(h: Variable, direction: list[Variable]) -> Variable:
    """Return the derivative of h (n, H) along a direction of the arguments of `run`: a, W, extras, initial states.

    Raises
    ------
    TypeError
        If h is not what `run` returned.
    """
    node = node_of(h)
    curvature = RecurrenceCurvature(node.op.cell, node.op.reverse)
    return curvature(*node.inputs, h.zeros_like(), *direction, return_list=True)[-1]
