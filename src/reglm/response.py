"""A family after a link, evaluated by NumPy at given linear predictors.

Means, deviances, log-densities and the working quantities of scoring, all derived from the family's one
log-density. Rows are taken in blocks that stay in cache.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytensor
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from reglm.compiling import Interpreted
from reglm.families import Family, Mean
from reglm.families.base import slope
from reglm.links import Link
from reglm.ops.plain import plain
from reglm.parameters import Array
from reglm.threads import map_rows

BLOCK_ROWS = 16_384

Shape = Mapping[str, Array]
Formula = Callable[["Inputs"], list[TensorVariable]]


class Inputs(NamedTuple):
    """Graph inputs of a formula."""

    y: TensorVariable
    eta: TensorVariable
    weights: TensorVariable
    phi: TensorVariable
    mean: Mean
    shape: dict[str, TensorVariable]


class Working(NamedTuple):
    """What scoring needs, at dispersion 1: objective, score (n, K), information (n, K, K) about eta."""

    objective: float
    score: Array
    information: Array


_graphs: dict[Hashable, dict[Hashable, Interpreted]] = {}
"""Formulas of every family and link seen in this process: building one costs more than small fits do."""


class Response:
    """Numeric face of a family and its link.

    Parameters
    ----------
    family : Family
    link : Link
    """

    def __init__(self, family: Family, link: Link) -> None:
        self.family = family
        self.link = link
        self._graphs = _graphs.setdefault((family.structure(), link), {})

    def __reduce__(self) -> tuple[Any, ...]:
        return Response, (self.family, self.link)

    def _graph(self, name: str, formula: Formula, dtype: str, shape: Shape) -> Interpreted:
        key = name, dtype, tuple(shape)
        if key not in self._graphs:
            y, eta = pt.matrix("y", dtype=dtype), pt.matrix("eta", dtype=dtype)
            weights, phi = pt.tensor("weights", dtype=dtype, shape=(None, 1)), pt.scalar("phi", dtype=dtype)
            symbols = {key: pt.tensor(key, dtype=dtype, shape=(None,) * np.ndim(v)) for key, v in shape.items()}
            outputs = formula(Inputs(y, eta, weights, phi, Mean(self.link, eta), symbols))
            self._graphs[key] = Interpreted(*plain([y, eta, weights, phi, *symbols.values()], outputs))
        return self._graphs[key]

    def _run(
        self,
        name: str,
        formula: Formula,
        shape: Shape | None,
        eta: Array,
        y: Array | None = None,
        weights: Array | None = None,
        phi: float = 1.0,
    ) -> list[Array]:
        """Evaluate a formula block by block and stack the results."""
        n, dtype, shape = len(eta), eta.dtype, shape or {}
        evaluate = self._graph(name, formula, str(dtype), shape)
        y = np.zeros((n, 1), dtype) if y is None else y.astype(dtype, copy=False)
        weights = np.ones((n, 1), dtype) if weights is None else weights.astype(dtype, copy=False)
        rest = [np.asarray(phi, dtype), *(np.asarray(value, dtype) for value in shape.values())]

        def part(start: int, stop: int) -> list[list[Array]]:
            blocks = (slice(i, min(i + BLOCK_ROWS, stop)) for i in range(start, max(stop, 1), BLOCK_ROWS))
            return [evaluate(y[rows], eta[rows], weights[rows], *rest) for rows in blocks]

        parts = [block for blocks in map_rows(part, n, 2 * BLOCK_ROWS) for block in blocks]
        return [np.concatenate(blocks) for blocks in zip(*parts, strict=True)]

    def mean(self, eta: Array, shape: Shape | None = None) -> Array:
        """Return the expected response at eta (n, K): what predictions are."""

        def formula(i: Inputs) -> list[TensorVariable]:
            return [self.family.response(i.mean, **i.shape)]

        return self._run("mean", formula, shape, eta)[0]

    def mean_slope(self, eta: Array, output: int = 0, shape: Shape | None = None) -> Array:
        """Derivative of one column of the expected response in the linear predictors of its row (n, K)."""

        def formula(i: Inputs) -> list[TensorVariable]:
            column = self.family.response(i.mean, **i.shape)[:, output]
            return [pytensor.grad(column.sum(), i.eta)]

        return self._run(f"mean slope {output}", formula, shape, eta)[0]

    def location(self, eta: Array, shape: Shape | None = None) -> Array:
        """Return the parameter of the family's distribution: class probabilities, underlying means."""

        def formula(i: Inputs) -> list[TensorVariable]:
            return [self.family.location(i.mean, **i.shape)]

        return self._run("location", formula, shape, eta)[0]

    def variance(self, eta: Array, shape: Shape | None = None) -> Array:
        """Variance function at eta, dispersion 1."""

        def formula(i: Inputs) -> list[TensorVariable]:
            return [self.family.variance(self.family.location(i.mean, **i.shape), **i.shape)]

        return self._run("variance", formula, shape, eta)[0]

    def unit_deviance(self, y: Array, eta: Array, shape: Shape | None = None) -> Array:
        """Deviance of each entry, (n, K) or (n, 1), unweighted."""

        def formula(i: Inputs) -> list[TensorVariable]:
            return [self.family.unit_deviance(i.y, i.mean, **i.shape)]

        return self._run("deviance", formula, shape, eta, y)[0]

    def log_density(
        self,
        y: Array,
        eta: Array,
        phi: float = 1.0,
        weights: Array | None = None,
        shape: Shape | None = None,
    ) -> Array:
        """Log-density of each entry, (n, K) or (n, 1), at dispersion phi / weights."""

        def formula(i: Inputs) -> list[TensorVariable]:
            return [self.family.log_density(i.y, i.mean, i.phi, i.weights, **i.shape)]

        return self._run("density", formula, shape, eta, y, weights, phi)[0]

    def objective(self, y: Array, eta: Array, weights: Array, shape: Shape | None = None) -> float:
        """Minus the log-likelihood at dispersion 1, up to the constant `reglm.likelihood` leaves out."""

        def formula(i: Inputs) -> list[TensorVariable]:
            return [self.family.objective(i.y, i.mean, i.weights, **i.shape).sum(axis=1)]

        return -float(self._run("objective", formula, shape, eta, y, weights)[0].sum())

    def working(
        self,
        y: Array,
        eta: Array,
        weights: Array,
        shape: Shape | None = None,
        *,
        observed: bool = False,
    ) -> Working:
        """Objective, score and information about eta, weights included.

        Parameters
        ----------
        y, eta, weights : arrays (n, Ky), (n, K), (n, 1)
        shape : mapping
        observed : bool
            Observed instead of expected information; also where the family declares no expected one.
        """

        def formula(i: Inputs) -> list[TensorVariable]:
            information = None if observed else self.family.information(i.y, i.mean, **i.shape)
            if information is None:
                information = self.family.curvature(i.y, i.mean, **i.shape)
            kernel = self.family.objective(i.y, i.mean, i.weights, **i.shape).sum(axis=1)
            score = i.weights * self.family.score(i.y, i.mean, **i.shape)
            return [kernel, score, (i.weights if information.ndim == 2 else i.weights[:, :, None]) * information]

        name = "observed" if observed else "working"
        kernel, score, information = self._run(name, formula, shape, eta, y, weights)
        if information.ndim == 2:
            K = eta.shape[1]
            information = information[:, :, None] * np.eye(K, dtype=eta.dtype) if K > 1 else information[:, :, None]
        return Working(-float(kernel.sum()), score, information)

    def row_scores(self, y: Array, eta: Array, weights: Array, shape: Shape | None = None) -> list[Array]:
        """Derivatives of each row's log-likelihood at dispersion 1, weights included.

        Parameters
        ----------
        y, eta, weights : arrays (n, Ky), (n, K), (n, 1)
        shape : mapping

        Returns
        -------
        list of ndarray
            In eta (n, K), then in every entry of every shape parameter (n, 1), in the order of `shape`.
        """
        sizes = tuple(int(np.size(value)) for value in (shape or {}).values())

        def formula(i: Inputs) -> list[TensorVariable]:
            value = self.family.objective(i.y, i.mean, i.weights, **i.shape)
            pairs = zip(i.shape.values(), sizes, strict=True)
            return [slope(value, i.mean.eta), *(d for s, size in pairs for d in _by_row(value, s, size))]

        return self._run(f"rows{sizes}", formula, shape, eta, y, weights)


def _by_row(value: TensorVariable, s: TensorVariable, size: int) -> list[TensorVariable]:
    """Derivatives (n, 1) of each row of a value in every entry of s.

    The gradient along z is linear in z (n, K), so that its own gradient in z is the derivative of each entry.
    """
    z = pt.ones_like(value)
    along = pytensor.grad(None, s, known_grads={value: z}, disconnected_inputs="ignore")
    entries = [along] if s.ndim == 0 else [along[j] for j in range(size)]
    return [
        pytensor.grad(entry, z, disconnected_inputs="ignore").sum(axis=1, keepdims=True) + 0 * value[:, :1]
        for entry in entries
    ]


@cache
def has_information(family: Family) -> bool:
    """Whether a family without shape parameters to estimate declares an expected information."""
    y, eta = pt.matrix("y"), pt.matrix("eta")
    return family.information(y, Mean(family.resolve_link(), eta)) is not None
