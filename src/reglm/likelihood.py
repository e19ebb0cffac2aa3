"""Family after network: the log-likelihood of a recursive GLM, compiled, with the derivatives solvers ask for.

The objective is ``- sum_i w_i log p(y_i | x_i)`` at dispersion 1, up to a constant that no parameter enters. Penalties are
added outside (`reglm.fitting`), so that changing one compiles nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pytensor
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from reglm.compiling import Graph, Tiered, evaluate, function
from reglm.families import Family, Mean
from reglm.response import Response, Working
from reglm.layers import Batch, Scope, SparseRows, Tap, Trace
from reglm.links import Link
from reglm.network import Network, linear_predictor
from reglm.parameters import Array, Layout, Spec

BLOCK_ELEMENTS = 4_000_000
"""Predictions run in blocks of rows whose widest arrays hold about this many numbers."""


class Data(NamedTuple):
    """Rows of data: X (n, p) dense or CSR, y (n, Ky), offset (n, K), weights (n, 1)."""

    X: Any
    y: Array
    offset: Array
    weights: Array

    def rows(self, which: Array | slice) -> Data:
        """Some of the rows."""
        return Data(*(part[which] for part in self))


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

    def inputs(self) -> list[TensorVariable]:
        """Inputs in the order of `Likelihood.arguments`."""
        X = list(self.X) if isinstance(self.X, SparseRows) else [self.X]
        data = [*X, self.y, self.offset, self.weights]
        return [*self.parameters.values(), *self.buffers.values(), *data, *self.trace.noise, *self.extra]


class Likelihood:
    """Log-likelihood of a network and a family.

    Parameters
    ----------
    network : Network
        Resolved, so that all shapes are known.
    family : Family
    link : Link
        Of the response.
    outputs : int
        Columns of y that the family sees.
    dtype : {"float64", "float32"}
    backend : str
    is_sparse : bool
        Whether X comes as CSR.
    """

    def __init__(
        self, network: Network, family: Family, link: Link, *, dtype: str = "float64", backend: str = "auto",
        is_sparse: bool = False, shape_specs: Sequence[Spec] = (),
    ) -> None:  # fmt: skip
        self.network = network
        self.family = family
        self.link = link
        self.dtype = dtype
        self.backend = backend
        self.is_sparse = is_sparse
        self.shape_specs = tuple(shape_specs)
        self.layout = Layout([*network.specs(), *self.shape_specs])
        self.buffers = {name: self._cast(value) for name, value in network.buffers().items()}
        self.response = Response(family, link)
        self.has_batch_statistics = any(name.endswith("variance") for name in self.buffers)
        self._programs: dict[str, Tiered] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Compiled programs and initialisers stay behind; both are remade from the structure.
        return {k: v for k, v in self.__dict__.items() if k not in ("_programs", "layout")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.layout = Layout([*self.network.specs(), *self.shape_specs])
        self._programs = {}

    # -- building graphs ------------------------------------------------------------------------------------------

    def _cast(self, array: Array) -> Array:
        """Make floats the model's dtype; everything C-contiguous."""
        array = np.asarray(array)
        return np.asarray(array, dtype=self.dtype if array.dtype.kind == "f" else array.dtype, order="C")

    def symbols(self, *, training: bool = False, per_row: bool = False) -> Symbols:
        """Fresh graph inputs and the linear predictor, offset included."""
        parameters = {s.name: pt.tensor(s.name, dtype=self.dtype, shape=(None,) * len(s.shape)) for s in self.layout.specs}
        buffers = {
            name: pt.tensor(name, dtype=str(value.dtype), shape=tuple(1 if d == 1 and value.ndim == 2 and i == 0 else None for i, d in enumerate(value.shape)))
            for name, value in self.buffers.items()
        }
        X = self._symbolic_rows()
        y, offset = (pt.matrix(name, dtype=self.dtype) for name in ("y", "offset"))
        weights = pt.tensor("weights", dtype=self.dtype, shape=(None, 1))
        scope = Scope(parameters, buffers, y.shape[0], self.dtype, training, per_row)
        eta = linear_predictor(self.network, X, scope) + offset
        return Symbols(parameters, buffers, X, y, offset, weights, eta, scope.trace)

    def _symbolic_rows(self) -> Batch:
        if self.is_sparse:
            return SparseRows(pt.vector("data", dtype=self.dtype), pt.ivector("indices"), pt.ivector("indptr"))
        return pt.matrix("X", dtype=self.dtype)

    def shape(self, theta: Array) -> dict[str, Array]:
        """Shape parameters of the family at theta, by their own names."""
        views = self.layout.views(theta)
        return {spec.name.removeprefix("family."): views[spec.name] for spec in self.shape_specs}

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
        return {spec.name.removeprefix("family."): s.parameters[spec.name] for spec in self.shape_specs}

    def _objective(self, s: Symbols) -> TensorVariable:
        return -self.family.objective(s.y, Mean(self.link, s.eta), s.weights, **self._shape(s)).sum()

    def _program(self, name: str, build: Callable[[], Graph]) -> Tiered:
        if name not in self._programs:
            structure = self.network.structure(), self.family.structure(), self.link.name
            key = (name, structure, self.dtype, self.is_sparse, len(self.shape_specs))
            self._programs[name] = function(build, key, self.backend)
        return self._programs[name]

    # -- running them ---------------------------------------------------------------------------------------------

    def arguments(self, theta: Array, data: Data, noise: Sequence[Array] = ()) -> list[Array]:
        """Arrays in the order of `Symbols.inputs`."""
        X = [data.X.data, data.X.indices, data.X.indptr] if self.is_sparse else [data.X]
        return [*self.layout.views(theta).values(), *self.buffers.values(), *X, *data[1:], *noise]

    def _flat(self, arrays: Sequence[Array]) -> Array:
        return np.concatenate([np.ravel(a) for a in arrays])

    def value_grad(self, theta: Array, data: Data, noise: Sequence[Array] | None = None) -> tuple[float, Array]:
        """Objective and gradient (P,); in training mode when dropout `noise` (possibly empty) is given."""
        training = noise is not None

        def build() -> Graph:
            s = self.symbols(training=training)
            value = self._objective(s)
            return s.inputs(), [value, *pytensor.grad(value, list(s.parameters.values()), disconnected_inputs="ignore")]

        run = self._program("training" if training else "objective", build)
        value, *gradient = run(*self.arguments(theta, data, noise or ()))
        return float(value), self._flat(gradient)

    def hessp(self, theta: Array, data: Data, v: Array) -> Array:
        """Exact Hessian of the objective times `v` (P,)."""

        def build() -> Graph:
            s = self.symbols()
            wrt = list(s.parameters.values())
            s.extra = [p.type() for p in wrt]
            gradient = pytensor.grad(self._objective(s), wrt, disconnected_inputs="ignore")
            along = sum((g * d).sum() for g, d in zip(gradient, s.extra, strict=True))
            return s.inputs(), pytensor.grad(along, wrt, disconnected_inputs="ignore")

        vectors = list(self.layout.views(np.ascontiguousarray(v, dtype=self.dtype)).values())
        return self._flat(self._program("hessp", build)(*self.arguments(theta, data), *vectors))

    def hessian(self, theta: Array, data: Data) -> Array:
        """Exact Hessian (P, P) of the objective: the observed information at dispersion 1."""
        columns = [self.hessp(theta, data, e) for e in np.eye(self.layout.size)]
        H = np.stack(columns, axis=1)
        return (H + H.T) / 2.0

    def taps(self, theta: Array, data: Data, seed: Array) -> list[tuple[Tap, list[Array], Array]]:
        """Every affine map with its inputs h and ``d (eta seed) / d a``; `seed` (1, K) picks an output."""
        structure = self.symbols(per_row=True)

        def build() -> Graph:
            s = self.symbols(per_row=True)
            s.extra = [pt.tensor("seed", dtype=self.dtype, shape=(1, None))]
            deltas = pytensor.grad((s.eta * s.extra[0]).sum(), [tap.a for tap in s.trace.taps])
            return s.inputs(), [*(h for tap in s.trace.taps for h in tap.h), *deltas]

        results = self._program("taps", build)(*self.arguments(theta, data), self._cast(seed))
        found, used = [], 0
        deltas = results[len(results) - len(structure.trace.taps) :]
        for tap, delta in zip(structure.trace.taps, deltas, strict=True):
            found.append((tap, results[used : used + len(tap.h)], delta))
            used += len(tap.h)
        return found

    def eta(self, theta: Array, X: Any, offset: Array | None = None) -> Array:
        """Linear predictor (n, K), by NumPy and in blocks of rows; nothing is compiled."""
        s = self.symbols()
        K = self.network.outputs()
        n = X.shape[0]
        widest = max([self.network.inputs, K, *(max(spec.shape, default=1) for spec in self.layout.specs)])
        block = max(1, BLOCK_ELEMENTS // widest)
        eta = np.empty((n, K), dtype=self.dtype)
        for start in range(0, n, block):
            rows = slice(start, min(start + block, n))
            zeros = np.zeros((rows.stop - start, K), dtype=self.dtype)
            data = Data(X[rows], zeros, zeros if offset is None else offset[rows], zeros[:, :1])
            eta[rows] = evaluate([s.eta], self.given(s, theta, data))[0]
        return eta

    def given(self, s: Symbols, theta: Array, data: Data, noise: Sequence[Array] = ()) -> Mapping[TensorVariable, Array]:
        """Values for the inputs of a graph, for `reglm.compiling.evaluate`."""
        return dict(zip(s.inputs(), self.arguments(theta, data, noise), strict=True))

    def batch_moments(self, theta: Array, data: Data) -> dict[str, Array]:
        """Moments that batch normalisation takes over all of `data`, dropout off; empty without such layers."""
        s = self.symbols(training=True)
        if not s.trace.statistics:
            return {}
        quiet = {name: np.zeros_like(v) if name.endswith("rate") else v for name, v in self.buffers.items()}
        noise = [np.zeros((data.y.shape[0], width), dtype="float32") for width in self.network.noise()]
        given = dict(self.given(s, theta, data, noise)) | {s.buffers[name]: value for name, value in quiet.items()}
        return dict(zip(s.trace.statistics, evaluate(list(s.trace.statistics.values()), given), strict=True))
