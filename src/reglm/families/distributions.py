"""Distributions that SciPy lacks, with the three methods of its frozen ones that the package uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from reglm.parameters import Array


@dataclass(frozen=True)
class CompoundPoisson:
    """Poisson number of gamma amounts: the Tweedie distribution with power in (1, 2) (Jorgensen 1997, 4.2).

    Parameters
    ----------
    mu : array
        Means.
    phi : float or array
    power : float or array
    """

    mu: Array
    phi: Array | float
    power: Array | float

    def _parts(self) -> tuple[Array, Array | float, Array]:
        """Return the expected number of amounts, and shape and scale of one."""
        p = self.power
        rate = self.mu ** (2 - p) / (self.phi * (2 - p))
        return rate, (2 - p) / (p - 1), self.phi * (p - 1) * self.mu ** (p - 1)

    def rvs(self, random_state: np.random.Generator) -> Array:
        """Draw one value for each mean."""
        rate, shape, scale = self._parts()
        number = random_state.poisson(rate)
        return np.where(number > 0, random_state.gamma(np.maximum(number, 1) * shape) * scale, 0.0)

    def cdf(self, y: Array) -> Array:
        """Return P(Y <= y), summed over the number of amounts, out to nine standard deviations."""
        rate, shape, scale = self._parts()
        total = np.exp(-rate) * (np.asarray(y) >= 0)
        amount = np.maximum(y, 0) / scale
        for number in range(1, int(np.max(rate) + 9 * np.sqrt(np.max(rate)) + 30)):
            weight = np.exp(special.xlogy(number, rate) - rate - special.gammaln(number + 1))
            total = total + weight * special.gammainc(number * shape, amount)
        return total

    def ppf(self, q: Array) -> Array:
        """Quantiles, by bisection."""
        rate, shape, scale = self._parts()
        low = np.zeros(np.broadcast(q, rate).shape)
        high = low + scale * (shape * rate + 40 * (shape + 1) * np.sqrt(rate) + 40 * (shape + 1))
        for _ in range(60):
            middle = (low + high) / 2
            below = self.cdf(middle) < q
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.where(np.exp(-rate) >= q, 0.0, high)


@dataclass(frozen=True)
class Censored:
    """A distribution whose values below `left` and above `right` are recorded as those limits.

    Parameters
    ----------
    latent : frozen SciPy distribution
    left, right : float
        May be infinite.
    """

    latent: Any
    left: float
    right: float

    def rvs(self, random_state: np.random.Generator) -> Array:
        """Draw."""
        return np.clip(self.latent.rvs(random_state=random_state), self.left, self.right)

    def cdf(self, y: Array) -> Array:
        """Return P(Y <= y)."""
        return np.where(y < self.left, 0.0, np.where(y >= self.right, 1.0, self.latent.cdf(y)))

    def ppf(self, q: Array) -> Array:
        """Quantiles."""
        return np.clip(self.latent.ppf(q), self.left, self.right)
