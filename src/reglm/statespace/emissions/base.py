"""What the emissions of a hidden Markov model are: densities of rows given the state.

Conventions
-----------
Parameters are arrays by name with the states as first axis. Rows are stacked; NaN in y is unobserved and adds nothing
to a log-density. gamma : (n, K) weights of the rows, expected states.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from reglm.parameters import Array

Parameters = Mapping[str, Array]
Variable = Any


class Rows(NamedTuple):
    """Responses y (n, m), covariates X (n, p) of the emissions and Z (n, r) of the moves, offset (n, 1)."""

    y: Array
    X: Array | None = None
    offset: Array | None = None
    Z: Array | None = None


class Emission(ABC):
    """Densities of rows given K states."""

    @abstractmethod
    def log_density(self, parameters: Parameters, rows: Rows) -> Array:
        """Log-density of each row given each state, (n, K)."""

    @abstractmethod
    def maximise(self, parameters: Parameters | None, rows: Rows, gamma: Array) -> dict[str, Array]:
        """Parameters that maximise the weighted log-density plus `log_prior`, or raise it where that is iterative.

        Parameters
        ----------
        parameters : mapping or None
            Where to start; None at first.
        rows : Rows
        gamma : ndarray (n, K)
        """

    def log_prior(self, parameters: Parameters) -> float:
        """Log prior density up to a constant; 0 without a prior."""
        return 0.0

    @abstractmethod
    def size(self, parameters: Parameters) -> int:
        """Number of free parameters."""

    @abstractmethod
    def simulate(self, rng: np.random.Generator, parameters: Parameters, states: Array, rows: Rows) -> Array:
        """Draw rows (n, m) given their states (n,); `rows` holds covariates, and y of the right width."""

    @abstractmethod
    def level(self, parameters: Parameters) -> Array:
        """A number for each state, by which they are ordered (K,)."""

    @abstractmethod
    def cdf(self, parameters: Parameters, rows: Rows, y: Array) -> Array:
        """Distribution functions of the columns at y (n, m) given each state, (n, K, m)."""

    # -- free parameters: for gradients and standard errors ------------------------------------------------------------

    @abstractmethod
    def free(self, parameters: Parameters) -> dict[str, Array]:
        """The same on an unconstrained scale."""

    @abstractmethod
    def natural(self, free: Parameters) -> dict[str, Array]:
        """Inverse of `free`."""

    @abstractmethod
    def graph(self, free: Mapping[str, Variable], rows: Rows) -> Variable:
        """Log-density (n, K) as a graph in free parameters, which are variables; the rows are constants."""

    def fixed(self, free: Parameters) -> dict[str, Array]:
        """Entries of free parameters that are not estimated, as indicators."""
        return {name: np.zeros(value.shape, bool) for name, value in free.items()}

    def table(self, parameters: Parameters) -> dict[str, Array]:
        """What a summary reports, arrays with the states as first axis."""
        return dict(parameters)


def observed(y: Array) -> tuple[Array, Array]:
    """Indicator of observed entries as floats, and y with zeros elsewhere."""
    seen = ~np.isnan(y)
    return seen.astype(float), np.where(seen, y, 0.0)


def weighted_mean(y: Array, gamma: Array, floor: float = 1e-300) -> Array:
    """Means (K, m) of the observed entries of y (n, m), weights gamma (n, K)."""
    seen, filled = observed(y)
    return (gamma.T @ filled) / np.maximum(gamma.T @ seen, floor)
