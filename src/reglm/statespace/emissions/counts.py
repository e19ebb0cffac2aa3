"""Vectors of independent 0/1 entries or of counts: log-densities are matrix products."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import gammaln

from reglm.parameters import Array
from reglm.statespace.emissions.base import Emission, Parameters, Rows, Variable, observed


@dataclass(frozen=True)
class Counts(Emission):
    """Bernoulli or Poisson columns; parameter "mean" (K, m).

    Parameters
    ----------
    family : {"bernoulli", "poisson"}
    centre : ndarray (m,)
        Mean of the prior.
    strength : float
        Rows' worth of a conjugate prior.
    floor : float
        Least distance of a mean from the ends of its range: a state in which an event was never seen does not make it
        impossible.
    """

    family: str
    centre: Array
    strength: float = 0.0
    floor: float = 1e-10

    def log_density(self, parameters: Parameters, rows: Rows) -> Array:
        """Two matrix products."""
        mean = parameters["mean"]
        seen, y = observed(rows.y)
        if self.family == "bernoulli":
            log_odds = np.log(mean) - np.log1p(-mean)
            return y @ log_odds.T + _times(seen, np.log1p(-mean))
        base = (gammaln(y + 1) * seen).sum(axis=1, keepdims=True)
        return y @ np.log(mean).T - _times(seen, mean) - base

    def maximise(self, parameters: Parameters | None, rows: Rows, gamma: Array) -> dict[str, Array]:
        """Weighted means, the prior's rows included."""
        seen, y = observed(rows.y)
        events = gamma.T @ y + self.strength * self.centre
        exposure = (gamma.sum(axis=0)[:, None] if seen.all() else gamma.T @ seen) + self.strength
        mean = np.where(exposure > 0, events / np.maximum(exposure, 1e-300), self.centre)
        return {"mean": np.clip(mean, self.floor, 1 - self.floor if self.family == "bernoulli" else np.inf)}

    def log_prior(self, parameters: Parameters) -> float:
        """Density of the prior's rows."""
        if not self.strength:
            return 0.0
        mean = parameters["mean"]
        rest = (1 - self.centre) * np.log1p(-mean) if self.family == "bernoulli" else -mean
        return self.strength * float((self.centre * np.log(mean) + rest).sum())

    def size(self, parameters: Parameters) -> int:
        """One mean a state and column."""
        return parameters["mean"].size

    def simulate(self, rng: np.random.Generator, parameters: Parameters, states: Array, rows: Rows) -> Array:
        """Draw."""
        mean = parameters["mean"][states]
        return (rng.random(mean.shape) < mean if self.family == "bernoulli" else rng.poisson(mean)).astype(float)

    def cdf(self, parameters: Parameters, rows: Rows, y: Array) -> Array:
        """Bernoulli or Poisson."""
        kind = stats.bernoulli if self.family == "bernoulli" else stats.poisson
        return kind.cdf(y[:, None], parameters["mean"])

    def level(self, parameters: Parameters) -> Array:
        """Sum of the means."""
        return parameters["mean"].sum(axis=1)

    def free(self, parameters: Parameters) -> dict[str, Array]:
        """Canonical parameters."""
        mean = parameters["mean"]
        return {"eta": np.log(mean) - (np.log1p(-mean) if self.family == "bernoulli" else 0)}

    def natural(self, free: Parameters) -> dict[str, Array]:
        """Inverse of `free`."""
        eta = free["eta"]
        return {"mean": 1 / (1 + np.exp(-eta)) if self.family == "bernoulli" else np.exp(eta)}

    def fixed(self, free: Parameters) -> dict[str, Array]:
        """Means at the floor."""
        mean = self.natural(free)["mean"]
        far = mean > 1 - 1.01 * self.floor if self.family == "bernoulli" else np.zeros(mean.shape, bool)
        return {"eta": (mean < 1.01 * self.floor) | far}

    def graph(self, free: Mapping[str, Variable], rows: Rows) -> Variable:
        """``y' eta - b(eta)``."""
        import pytensor.tensor as pt

        from reglm import ops

        seen, y = observed(rows.y)
        eta = free["eta"]
        if self.family == "bernoulli":
            return pt.dot(y, eta.T) - pt.dot(seen, ops.softplus(eta).T)
        base = (gammaln(y + 1) * seen).sum(axis=1, keepdims=True)
        return pt.dot(y, eta.T) - pt.dot(seen, ops.exp(eta).T) - base


def _times(seen: Array, weights: Array) -> Array:
    """``seen @ weights.T``; where all is observed, sums."""
    if seen.all():
        return np.broadcast_to(weights.sum(axis=1), (len(seen), len(weights)))
    return seen @ weights.T
