"""Mixtures of normals in each state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from reglm.ops.chains import log_sum
from reglm.parameters import Array
from reglm.statespace.emissions.base import Emission, Parameters, Rows, Variable
from reglm.statespace.emissions.gaussian import Gaussian


@dataclass(frozen=True)
class Mixture(Emission):
    """M normal components a state; parameters "weight" (K, M), "mean" (K, M, d), "covariance" (K, M, d, d).

    Parameters
    ----------
    component : Gaussian
    M : int
    seed : int
        Of the first division of states into components.
    """

    component: Gaussian
    M: int
    seed: int = 0

    def _flat(self, parameters: Parameters) -> dict[str, Array]:
        """Components of all states in one row."""
        return {n: v.reshape(-1, *v.shape[2:]) for n, v in parameters.items() if n != "weight"}

    def _stacked(self, flat: Parameters, K: int) -> dict[str, Array]:
        return {name: v.reshape(K, self.M, *v.shape[1:]) for name, v in flat.items()}

    def _joint(self, parameters: Parameters, rows: Rows) -> Array:
        """Log-density of each row and component, (n, K, M)."""
        K = len(parameters["weight"])
        with np.errstate(divide="ignore"):
            return self.component.log_density(self._flat(parameters), rows).reshape(-1, K, self.M) + np.log(
                parameters["weight"]
            )

    def log_density(self, parameters: Parameters, rows: Rows) -> Array:
        """Sum over components."""
        return log_sum(self._joint(parameters, rows), axis=2)

    def maximise(self, parameters: Parameters | None, rows: Rows, gamma: Array) -> dict[str, Array]:
        """Divide the rows of a state among its components, then maximise each."""
        n, K = gamma.shape
        if parameters is None:
            shares = np.random.default_rng(self.seed).dirichlet(np.ones(self.M), (n, K))
        else:
            joint = self._joint(parameters, rows)
            shares = np.exp(joint - log_sum(joint, axis=2)[:, :, None])
        divided = gamma[:, :, None] * shares
        flat = None if parameters is None else self._flat(parameters)
        found = self._stacked(self.component.maximise(flat, rows, divided.reshape(n, -1)), K)
        size = divided.sum(axis=0) + 1e-10
        return {"weight": size / size.sum(axis=1, keepdims=True)} | found

    def log_prior(self, parameters: Parameters) -> float:
        """That of the components."""
        return self.component.log_prior(self._flat(parameters))

    def size(self, parameters: Parameters) -> int:
        """Parameters of the components, and their weights."""
        return self.component.size(self._flat(parameters)) + parameters["weight"][:, 1:].size

    def simulate(self, rng: np.random.Generator, parameters: Parameters, states: Array, rows: Rows) -> Array:
        """Draw a component, then the row."""
        below = np.cumsum(parameters["weight"], axis=1)[states]
        component = np.minimum((rng.random((len(states), 1)) > below).sum(axis=1), self.M - 1)
        return self.component.simulate(rng, self._flat(parameters), states * self.M + component, rows)

    def cdf(self, parameters: Parameters, rows: Rows, y: Array) -> Array:
        """Weighted sum of the components'."""
        weight = parameters["weight"]
        flat = self.component.cdf(self._flat(parameters), rows, y)
        return np.einsum("km,nkmd->nkd", weight, flat.reshape(len(y), *weight.shape, -1))

    def level(self, parameters: Parameters) -> Array:
        """First entry of the mean."""
        return (parameters["weight"] * parameters["mean"][:, :, 0]).sum(axis=1)

    def free(self, parameters: Parameters) -> dict[str, Array]:
        """Logarithms of the weights; see `Gaussian.free`."""
        return {"logit": np.log(parameters["weight"])} | self.component.free(self._flat(parameters))

    def natural(self, free: Parameters) -> dict[str, Array]:
        """Inverse of `free`."""
        weight = np.exp(free["logit"] - log_sum(free["logit"], axis=1)[:, None])
        flat = self.component.natural({name: v for name, v in free.items() if name != "logit"})
        return {"weight": weight} | self._stacked(flat, len(weight))

    def fixed(self, free: Parameters) -> dict[str, Array]:
        """The largest weight of each state, and what the components fix."""
        logit = np.arange(self.M) == free["logit"].argmax(axis=1)[:, None]
        return {"logit": logit} | self.component.fixed({n: v for n, v in free.items() if n != "logit"})

    def graph(self, free: Mapping[str, Variable], rows: Rows) -> Variable:
        """Sum over components, as a graph."""
        import pytensor.tensor as pt

        K = int(free["logit"].type.shape[0])
        flat = self.component.graph({n: v for n, v in free.items() if n != "logit"}, rows)
        logit = free["logit"]
        joint = flat.reshape((len(rows.y), K, self.M)) + logit - pt.logsumexp(logit, axis=1, keepdims=True)
        return pt.logsumexp(joint, axis=2)

    def table(self, parameters: Parameters) -> dict[str, Array]:
        """Weights, means and standard deviations."""
        flat = self.component.table(self._flat(parameters))
        return {"weight": parameters["weight"]} | self._stacked(flat, len(parameters["weight"]))
