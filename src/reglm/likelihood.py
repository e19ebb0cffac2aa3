"""Family after network: the log-likelihood of a recursive GLM and its derivatives, compiled.

The objective is ``- sum_i w_i log p(y_i | x_i)`` at dispersion 1, up to a constant that no parameter
enters. Penalties are added outside (`reglm.fitting`), so that changing one compiles nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pytensor
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from reglm import ops
from reglm.compiling import Graph, Tiered, evaluate, function
from reglm.families import Family, Mean
from reglm.layers import Batch, PackedRows, Scope, SparseRows, Tap, Trace
from reglm.links import Link
from reglm.network import Network, linear_predictor
from reglm.ops.recurrence import omega
from reglm.parameters import Array, Layout, Spec
from reglm.response import Response, Working
from reglm.statespace.packing import Packed

BLOCK_ELEMENTS = 1_000_000
"""Predictions run in blocks of rows whose widest arrays hold about this many numbers."""
BUFFER_SHAPES = {0: (), 1: (None,), 2: (1, None)}
"""Static shape of a buffer by its dimensions: a number, a vector, a row that broadcasts."""


class Data(NamedTuple):
    """Rows of data: X (n, p) dense, CSR or packed sequences, y (n, Ky), offset (n, K), weights (n, 1).

    With packed sequences y, offset and weights have a row for each row of X, in packed order, or one for each sequence.
    """

    X: Any
    y: Array
    offset: Array
    weights: Array

    @property
    def units(self) -> int:
        """Number of observations that `rows` chooses from: rows, or sequences where X is packed."""
        return len(self.X) if isinstance(self.X, Packed) else len(self.y)

    def rows(self, which: Array | slice) -> Data:
        """Some of the rows; where X is packed, some of the sequences, in their own order."""
        if not isinstance(self.X, Packed):
            return Data(*(part[which] for part in self))
        which = which if isinstance(which, slice) else np.sort(which)
        rows, sizes = self.X.chosen(which)
        chosen = which if len(self.y) == len(self.X) else rows
        return Data(Packed(self.X.rows[rows], sizes), *(part[chosen] for part in self[1:]))


@dataclass
class Symbols:
    """Inputs of a graph, and what applying the network to them gave."""

    parameters: dict[str, TensorVariable]
    buffers: dict[str, TensorVariable]
    X: Batch
    y: TensorVariable
    offset: TensorVariable
    weights: TensorVariable
    eta: TensorVariable
    trace: Trace
    extra: list[TensorVariable] = field(default_factory=list)

    def rows(self) -> list[TensorVariable]:
        """Inputs with a row for each observation; none where observations do not act one by one."""
        alone = not isinstance(self.X, (SparseRows, PackedRows)) and not self.trace.statistics
        return [self.X, self.y, self.offset, self.weights, *self.trace.noise] if alone else []

    def inputs(self) -> list[TensorVariable]:
        """Inputs in the order of `Likelihood.arguments`."""
        X = list(self.X) if isinstance(self.X, SparseRows) else [self.X]
        if isinstance(self.X, PackedRows):
            X = [self.X.rows, self.X.sizes, self.X.last, *self.X.states]
        data = [*X, self.y, self.offset, self.weights]
        return [*self.parameters.values(), *self.buffers.values(), *data, *self.trace.noise, *self.extra]


class Likelihood:
    """Log-likelihood of a network and a family.

    Parameters
    ----------
    network : Network
        Resolved, so that all shapes are known. With recurrent layers X comes as packed sequences.
    family : Family
    link : Link
        Of the response.
    dtype : {"float64", "float32"}
    backend : str
    is_sparse : bool
        Whether X comes as CSR.
    shape_specs : sequence of Spec
        Parameters of the family that are estimated along: the last entries of theta.
    """

    def __init__(
        self,
        network: Network,
        family: Family,
        link: Link,
        *,
        dtype: str = "float64",
        backend: str = "auto",
        is_sparse: bool = False,
        shape_specs: Sequence[Spec] = (),
    ) -> None:
        self.network = network
        self.family = family
        self.link = link
        self.dtype = dtype
        self.backend = backend
        self.is_sparse = is_sparse
        self.is_packed = network.is_sequential
        self.shape_specs = tuple(shape_specs)
        self.layout = Layout([*network.specs(), *self.shape_specs])
        self.buffers = {name: self._cast(value) for name, value in network.buffers().items()}
        self.response = Response(family, link)
        self.has_priced_gradients = any(name.endswith("omega") for name in self.buffers)
        self.has_batch_statistics = any(name.endswith("variance") for name in self.buffers)
        self._programs: dict[str, Tiered] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Programs stay behind, to be found again by their structure.
        return self.__dict__ | {"_programs": {}}

    # -- building graphs --------------------------------------------------------------------------------

    def _cast(self, array: Array) -> Array:
        """Make floats the model's dtype; everything C-contiguous."""
        array = np.asarray(array)
        return np.asarray(array, dtype=self.dtype if array.dtype.kind == "f" else array.dtype, order="C")

    def symbols(self, *, training: bool = False, per_row: bool = False, states: int = 0) -> Symbols:
        """Fresh graph inputs and the linear predictor, offset included; recurrences may start from given `states`."""
        parameters = {
            spec.name: pt.tensor(spec.name, dtype=self.dtype, shape=(None,) * len(spec.shape))
            for spec in self.layout.specs
        }
        buffers = {
            name: pt.tensor(name, dtype=str(value.dtype), shape=BUFFER_SHAPES[value.ndim])
            for name, value in self.buffers.items()
        }
        X = self._symbolic_rows(states)
        y, offset = (pt.matrix(name, dtype=self.dtype) for name in ("y", "offset"))
        weights = pt.tensor("weights", dtype=self.dtype, shape=(None, 1))
        packed = X if isinstance(X, PackedRows) else None
        h = X.rows if packed else X
        scope = Scope(parameters, buffers, (h if packed else y).shape[0], self.dtype, training, per_row, packed=packed)
        eta = linear_predictor(self.network, h, scope) + offset
        return Symbols(parameters, buffers, X, y, offset, weights, eta, scope.trace)

    def _symbolic_rows(self, states: int) -> Batch:
        if self.is_packed:
            rows, *carried = (pt.matrix(dtype=self.dtype) for _ in range(1 + states))
            return PackedRows(rows, pt.lvector("sizes"), pt.lvector("last"), tuple(carried))
        if self.is_sparse:
            data = pt.vector("data", dtype=self.dtype)
            return SparseRows(data, pt.ivector("indices"), pt.ivector("indptr"))
        return pt.matrix("X", dtype=self.dtype)

    def shape(self, theta: Array) -> dict[str, Array]:
        """Shape parameters of the family at theta, by their own names."""
        views = self.layout.views(theta)
        return {spec.name: views[spec.name] for spec in self.shape_specs}

    def working(self, theta: Array, data: Data, *, observed: bool = False) -> Working:
        """Objective, score and information about eta at theta."""
        eta = self.eta(theta, data.X, data.offset)
        return self.response.working(data.y, eta, data.weights, self.shape(theta), observed=observed)

    def mean_deviance(self, theta: Array, data: Data) -> float:
        """Weighted mean of the unit deviance."""
        eta = self.eta(theta, data.X, data.offset)
        unit = self.response.unit_deviance(data.y, eta, self.shape(theta))
        return float((data.weights * unit).sum() / data.weights.sum())

    def _shape(self, s: Symbols) -> dict[str, TensorVariable]:
        """Shape parameters of the family by their own names."""
        return {spec.name: s.parameters[spec.name] for spec in self.shape_specs}

    def _objective(self, s: Symbols) -> TensorVariable:
        return -self.family.objective(s.y, Mean(self.link, s.eta), s.weights, **self._shape(s)).sum()

    def _trained(self, s: Symbols) -> TensorVariable:
        """The objective, and what gradients cost that vanish or explode on their way back."""
        value = self._objective(s)
        prices = [price * omega(h, pytensor.grad(value, h)) for h, price in s.trace.flows]
        return sum(prices, start=value)

    def _key(self, name: str) -> tuple[Any, ...]:
        """Key of a graph: everything that tells it from others, sizes aside."""
        shape = tuple((spec.name, len(spec.shape)) for spec in self.shape_specs)
        structure = self.network.structure(), self.family.structure(), self.link.name, shape
        return (name, structure, self.dtype, self.is_sparse)

    def _program(self, name: str, build: Callable[[], Graph]) -> Tiered:
        if name not in self._programs:
            self._programs[name] = function(build, self._key(name), self.backend)
        return self._programs[name]

    # -- running them -----------------------------------------------------------------------------------

    def arguments(self, theta: Array, data: Data, noise: Sequence[Array] = ()) -> list[Array]:
        """Arrays in the order of `Symbols.inputs`."""
        X = [data.X.data, data.X.indices, data.X.indptr] if self.is_sparse else [data.X]
        if self.is_packed:
            X = [data.X.rows, data.X.sizes, data.X.last, *data.X.states]
        return [*self.layout.views(theta).values(), *self.buffers.values(), *X, *data[1:], *noise]

    def value_grad(self, theta: Array, data: Data, noise: Sequence[Array] | None = None) -> tuple[float, Array]:
        """Objective and gradient (P,); in training mode when dropout `noise` (possibly empty) is given."""
        training = noise is not None

        def build() -> Graph:
            s = self.symbols(training=training)
            value = self._trained(s)
            return Graph(s.inputs(), [value, *_gradient(value, s)], rows=s.rows())

        run = self._program("training" if training else "objective", build)
        value, *gradient = run(*self.arguments(theta, data, noise or ()))
        return float(value), _flat(gradient)

    def hessp(self, theta: Array, data: Data, v: Array) -> Array:
        """Exact Hessian of the objective times `v` (P,)."""

        def build() -> Graph:
            s = self.symbols()
            s.extra = [p.type() for p in s.parameters.values()]
            along: dict[TensorVariable, TensorVariable] = {}
            for slope, v in zip(_gradient(self._objective(s), s), s.extra, strict=True):
                along[slope] = along[slope] + v if slope in along else v  # parameters may share a slope
            return Graph(s.inputs(), _gradient(None, s, along), rows=s.rows())

        vectors = self.layout.views(np.ascontiguousarray(v, dtype=self.dtype)).values()
        return _flat(self._program("hessp", build)(*self.arguments(theta, data), *vectors))

    def tangent(self, theta: Array, data: Data, v: Array) -> Array:
        """Derivative of the linear predictor (n, K) along `v` (P,), ``J v``, for networks of any kind."""

        def build() -> Graph:
            s = self.symbols()
            s.extra = [p.type() for p in s.parameters.values()]
            u = pt.zeros_like(s.eta)  # J'u is linear in u, so that the derivative of v'J'u in u is J v
            along = sum((slope * v).sum() for slope, v in zip(_gradient(None, s, {s.eta: u}), s.extra, strict=True))
            return Graph(s.inputs(), [pytensor.grad(along, u)])

        vectors = self.layout.views(np.ascontiguousarray(v, dtype=self.dtype)).values()
        return np.asarray(self._program("tangent", build)(*self.arguments(theta, data), *vectors)[0])

    def cotangent(self, theta: Array, data: Data, u: Array) -> Array:
        """Gradient of ``sum u * eta``, ``J'u`` (P,), for u (n, K)."""

        def build() -> Graph:
            s = self.symbols()
            s.extra = [pt.matrix("u", dtype=self.dtype)]
            return Graph(s.inputs(), _gradient(None, s, {s.eta: s.extra[0]}))

        return _flat(self._program("cotangent", build)(*self.arguments(theta, data), self._cast(u)))

    def hessian(self, theta: Array, data: Data) -> Array:
        """Exact Hessian (P, P) of the objective: the observed information at dispersion 1."""
        P = self.layout.size
        H, e = np.empty((P, P), dtype=self.dtype), np.zeros(P, dtype=self.dtype)
        for j in range(P):
            e[j] = 1.0
            H[j] = self.hessp(theta, data, e)
            e[j] = 0.0
        H += H.T.copy()
        H /= 2.0
        return H

    def taps(self, theta: Array, data: Data, seed: Array) -> list[tuple[Tap, list[Array], Array]]:
        """Every affine map with its inputs h and ``d (eta seed) / d a``; `seed` (1, K) picks an output.

        Raises
        ------
        ValueError
            For recurrent networks: their rows act on one another.
        """
        if self.is_packed:
            raise ValueError("the rows of a recurrent model act on one another, so that they have no design matrix.")

        def build() -> Graph:
            s = self.symbols(per_row=True)
            s.extra = [pt.tensor("seed", dtype=self.dtype, shape=(1, None))]
            seeds = ops.affine(pt.ones((s.y.shape[0], 1), dtype=self.dtype), s.extra[0])
            taps = s.trace.taps
            deltas = pytensor.grad(None, [tap.a for tap in taps], known_grads={s.eta: seeds})
            return Graph(s.inputs(), [*deltas, *(h for tap in taps for h in tap.h)], taps)

        run = self._program("taps", build)
        taps: list[Tap] = run.program.graph.note
        results = run(*self.arguments(theta, data), self._cast(seed))
        inputs = iter(results[len(taps) :])
        deltas = results[: len(taps)]
        return [(tap, [next(inputs) for _ in tap.h], delta) for tap, delta in zip(taps, deltas, strict=True)]

    def eta(self, theta: Array, X: Any, offset: Array | None = None) -> Array:
        """Linear predictor (n, K), by NumPy and in blocks of rows (sequences: at once); nothing is compiled."""

        def build() -> Graph:
            s = self.symbols()
            return Graph(s.inputs(), [s.eta])

        if self.is_packed:
            return self.forward(theta, X, offset)[0]
        program = self._program("eta", build).program
        n, K = X.shape[0], self.network.outputs()
        eta = np.empty((n, K), dtype=self.dtype)
        block = max(1, BLOCK_ELEMENTS // self.widest())
        for start in range(0, n, block):
            rows = slice(start, min(start + block, n))
            zeros = np.zeros((rows.stop - start, K), dtype=self.dtype)
            data = Data(X[rows], zeros, zeros if offset is None else offset[rows], zeros[:, :1])
            (eta[rows],) = program.interpret(self.arguments(theta, data))
        return eta

    def forward(self, theta: Array, X: Packed, offset: Array | None = None) -> tuple[Array, list[Array]]:
        """Linear predictor of packed sequences, and the states of all rows (n, H), one array a state; by NumPy."""

        def build() -> Graph:
            s = self.symbols(states=len(X.states))
            return Graph(s.inputs(), [s.eta, *s.trace.states])

        n = len(X) if self.network.is_per_sequence else X.shape[0]
        zeros = np.zeros((n, self.network.outputs()), dtype=self.dtype)
        data = Data(X, zeros, zeros if offset is None else offset, zeros[:, :1])
        program = self._program("going on" if X.states else "forward", build).program
        eta, *states = program.interpret(self.arguments(theta, data))
        return eta, states

    def value_grad_states(
        self, theta: Array, data: Data, noise: Sequence[Array] | None = None
    ) -> tuple[float, Array, list[Array]]:
        """Objective, gradient (P,) and the states (S, H) in which sequences end, of sequences that go on from others.

        No gradient goes through what the sequences start from, ``data.X.states``.
        """
        training = noise is not None

        def build() -> Graph:
            s = self.symbols(training=training, states=len(data.X.states))
            value, last = self._objective(s), s.X.last[:, None]
            ends = [ops.lookup(last, state, True) for state in s.trace.states]
            return Graph(s.inputs(), [value, *_gradient(value, s), *ends])

        run = self._program("training on" if training else "objective on", build)
        value, *results = run(*self.arguments(theta, data, noise or ()))
        P = len(self.layout.specs)
        return float(value), _flat(results[:P]), [np.asarray(end) for end in results[P:]]

    def widest(self) -> int:
        """Numbers a row takes in the widest array of the network."""
        parts = [spec.shape for spec in self.layout.specs] + [buffer.shape for buffer in self.buffers.values()]
        return max(1, self.network.inputs, *(math.prod(shape[1:]) for shape in parts))

    def batch_moments(self, theta: Array, data: Data) -> dict[str, Array]:
        """Moments of batch normalisation over all of `data`, dropout off; empty without such layers."""
        s = self.symbols(training=True)
        if not s.trace.statistics:
            return {}
        noise = [np.zeros((data.y.shape[0], width), dtype="float32") for width in self.network.noise()]
        given = dict(zip(s.inputs(), self.arguments(theta, data, noise), strict=True))
        quiet = {s.buffers[k]: np.zeros_like(v) for k, v in self.buffers.items() if k.endswith("rate")}
        return dict(zip(s.trace.statistics, evaluate(list(s.trace.statistics.values()), given | quiet), strict=True))


def _gradient(
    value: TensorVariable | None, s: Symbols, along: dict[TensorVariable, TensorVariable] | None = None
) -> list[TensorVariable]:
    """Gradient in every parameter, zero for those without effect: of a value, or of ``sum (a * along[a])``."""
    wrt = list(s.parameters.values())
    return pytensor.grad(value, wrt, known_grads=along, disconnected_inputs="ignore")


def _flat(arrays: Sequence[Array]) -> Array:
    return np.concatenate([a.reshape(-1) for a in arrays])
