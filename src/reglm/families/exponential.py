"""Exponential dispersion families with nothing to estimate but mean and dispersion.

Each is its kernel, its base and a line of data (McCullagh & Nelder 1989, table 2.1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytensor.tensor as pt

from reglm.families.base import ExponentialDispersion, Number
from reglm.families.mean import Mean
from reglm.links.forms import like
from reglm.links.record import CLOSED_UNIT, NON_NEGATIVE, POSITIVE, REAL, UNIT, Variable
from reglm.ops.gamma import log_gamma
from reglm.parameters import Array

LOG_TWO_PI = math.log(2 * math.pi)
POSITIVE_LINKS = ("log", "identity", "inverse", "inverse_squared", "sqrt", "softplus", "power")
PROBABILITY_LINKS = ("logit", "probit", "cloglog", "loglog", "cauchit", "log", "logc", "identity")


@dataclass(frozen=True)
class Gaussian(ExponentialDispersion):
    """Normal responses; several columns are independent and share the dispersion."""

    name = "gaussian"
    domain = support = REAL
    links = (*POSITIVE_LINKS, "tanh", "logit", "probit", "cloglog", "loglog")
    default_link = "identity"
    canonical_link = "identity"
    remedy = "Drop or impute such rows."
    dispersion = "estimated"

    def kernel(self, y: Variable, mean: Mean) -> Variable:
        """``-(y - mu)^2 / 2``."""
        return -((y - mean.value) ** 2) / 2

    def base(self, y: Variable, phi: Variable) -> Variable:
        """``-log(2 pi phi) / 2``."""
        return -(pt.log(phi) + like(LOG_TWO_PI, y)) / 2 + pt.zeros_like(y)

    def distribution(self, mu: Array, phi: Number = 1.0, size: Number = 1) -> Any:
        """Return the normal."""
        from scipy import stats

        return stats.norm(mu, np.sqrt(phi))


@dataclass(frozen=True)
class Bernoulli(ExponentialDispersion):
    """Responses 0 and 1; several columns are independent labels."""

    name = "bernoulli"
    domain = UNIT
    support = CLOSED_UNIT
    links = PROBABILITY_LINKS
    default_link = "logit"
    canonical_link = "logit"
    remedy = "Code the classes as 0 and 1; for counts out of a total use family='binomial'."

    def kernel(self, y: Variable, mean: Mean) -> Variable:
        """``y log mu + (1 - y) log(1 - mu)``."""
        return mean.log_mass(y, 1 - y)

    def base(self, y: Variable, phi: Variable) -> Variable:
        """Zero."""
        return pt.zeros_like(y)

    def distribution(self, mu: Array, phi: Number = 1.0, size: Number = 1) -> Any:
        """Bernoulli."""
        from scipy import stats

        return stats.bernoulli(mu)

    def start(self, y: Array) -> Array:
        """Means halfway between y and 1/2."""
        return (y + 0.5) / 2

    def check_response(self, y: Array) -> None:
        """Accept 0 and 1 only."""
        self.reject((y != 0) & (y != 1), y, "0 or 1")


@dataclass(frozen=True)
class Binomial(Bernoulli):
    """Successes out of trials: y has two columns, successes and failures, and eta one."""

    name = "binomial"
    support = NON_NEGATIVE
    remedy = "Give two columns, successes and failures; for one column of 0 and 1 use 'bernoulli'."

    def kernel(self, y: Variable, mean: Mean) -> Variable:
        """``s log mu + f log(1 - mu)``, (n, 1)."""
        return mean.log_mass(y[:, :1], y[:, 1:])

    def base(self, y: Variable, phi: Variable) -> Variable:
        """Logarithm of the binomial coefficient, (n, 1)."""
        s, f = y[:, :1], y[:, 1:]
        return log_gamma(s + f + 1) - log_gamma(s + 1) - log_gamma(f + 1)

    def saturated(self, y: Variable) -> Variable:
        """Kernel at mu = s / (s + f)."""
        return self.kernel(y, Mean.at(self.observed(y)))

    def canonical_parameter(self, mean: Mean) -> Variable:
        """Canonical parameter of one trial."""
        return Bernoulli().canonical_parameter(mean)

    def distribution(self, mu: Array, phi: Number = 1.0, size: Number = 1) -> Any:
        """Binomial, of the successes."""
        from scipy import stats

        return stats.binom(np.asarray(size).astype(int), mu)

    def simulate(self, rng: np.random.Generator, mu: Array, phi: Number = 1.0, size: Number = 1) -> Array:
        """Successes and failures, (n, 2)."""
        successes = np.reshape(self.distribution(mu, phi, size).rvs(random_state=rng), np.shape(mu))
        return np.hstack([successes, size - successes]).astype(float)

    def outputs(self, y: Array) -> int:
        """One."""
        return 1

    def observed(self, y: Variable) -> Variable:
        """Share of successes, (n, 1)."""
        return y[:, :1] / self.size(y)

    def size(self, y: Variable) -> Variable:
        """Trials, (n, 1)."""
        return y[:, :1] + y[:, 1:]

    def start(self, y: Array) -> Array:
        """Shares with half a success and half a failure added."""
        return (y[:, :1] + 0.5) / (self.size(y) + 1)

    def check_response(self, y: Array) -> None:
        """Accept two columns of counts with at least one trial in each row."""
        if y.shape[1] != 2:
            raise ValueError(f"y has {y.shape[1]} column(s): family {self.name!r} needs two. {self.remedy}")
        self.reject(~(np.isfinite(y) & (y >= 0)), y, "counts from 0 upwards")
        if self.likelihood:
            self.reject(y != np.floor(y), y, "whole numbers")
        self.reject((y.sum(axis=1) == 0)[:, None], y, "at least one trial a row")


@dataclass(frozen=True)
class QuasiBinomial(Binomial):
    """Binomial mean and variance with an estimated dispersion; no likelihood is claimed."""

    name = "quasibinomial"
    dispersion = "estimated"
    likelihood = False

    def base(self, y: Variable, phi: Variable) -> Variable:
        """Zero: there is no density to normalise."""
        return pt.zeros_like(y[:, :1])

    def distribution(self, mu: Array, phi: Number = 1.0, size: Number = 1) -> Any:
        """Refuse: there is none."""
        return ExponentialDispersion.distribution(self, mu, phi)


@dataclass(frozen=True)
class Poisson(ExponentialDispersion):
    """Counts; rates y >= 0 with precision weights as exposures are welcome."""

    name = "poisson"
    domain = POSITIVE
    support = NON_NEGATIVE
    links = POSITIVE_LINKS
    default_link = "log"
    canonical_link = "log"
    remedy = "Counts cannot be negative; look for codes of missing values such as -1 or -999."

    def kernel(self, y: Variable, mean: Mean) -> Variable:
        """``y log mu - mu``."""
        return y * mean.log - mean.value

    def base(self, y: Variable, phi: Variable) -> Variable:
        """``-log y!``."""
        return -log_gamma(y + 1)

    def distribution(self, mu: Array, phi: Number = 1.0, size: Number = 1) -> Any:
        """Poisson."""
        from scipy import stats

        return stats.poisson(mu)


@dataclass(frozen=True)
class QuasiPoisson(Poisson):
    """Poisson mean and variance with an estimated dispersion; no likelihood is claimed."""

    name = "quasipoisson"
    dispersion = "estimated"
    likelihood = False

    def base(self, y: Variable, phi: Variable) -> Variable:
        """Zero: there is no density to normalise."""
        return pt.zeros_like(y)

    def distribution(self, mu: Array, phi: Number = 1.0, size: Number = 1) -> Any:
        """Refuse: there is none."""
        return ExponentialDispersion.distribution(self, mu, phi)


@dataclass(frozen=True)
class Gamma(ExponentialDispersion):
    """Positive responses with constant coefficient of variation ``sqrt(phi)``."""

    name = "gamma"
    domain = support = POSITIVE
    links = POSITIVE_LINKS
    default_link = "log"
    canonical_link = "inverse"
    remedy = "Model zeros apart, or use family='tweedie', which has a point mass at zero."
    dispersion = "estimated"

    def kernel(self, y: Variable, mean: Mean) -> Variable:
        """``-y / mu - log mu``."""
        return -y * mean.power(-1) - mean.log

    def base(self, y: Variable, phi: Variable) -> Variable:
        """Return ``a log(a y) - log y - log Gamma(a)`` with a = 1 / phi."""
        a = pt.zeros_like(y) + 1 / phi
        return a * pt.log(a * y) - pt.log(y) - log_gamma(a)

    def distribution(self, mu: Array, phi: Number = 1.0, size: Number = 1) -> Any:
        """Gamma of shape 1 / phi."""
        from scipy import stats

        return stats.gamma(1 / np.asarray(phi), scale=np.asarray(mu) * phi)


@dataclass(frozen=True)
class InverseGaussian(ExponentialDispersion):
    """Positive responses with variance ``phi mu^3``."""

    name = "inverse_gaussian"
    domain = support = POSITIVE
    links = POSITIVE_LINKS
    default_link = "log"
    canonical_link = "inverse_squared"
    remedy = "Responses must be positive; model zeros apart."
    dispersion = "estimated"

    def kernel(self, y: Variable, mean: Mean) -> Variable:
        """``-y / (2 mu^2) + 1 / mu``."""
        return mean.power(-1) - y * mean.power(-2) / 2

    def base(self, y: Variable, phi: Variable) -> Variable:
        """``-1 / (2 phi y) - log(2 pi phi y^3) / 2``."""
        return -1 / (2 * phi * y) - (like(LOG_TWO_PI, y) + pt.log(phi) + 3 * pt.log(y)) / 2

    def distribution(self, mu: Array, phi: Number = 1.0, size: Number = 1) -> Any:
        """Inverse Gaussian; SciPy's parameters are mu phi and the scale 1 / phi."""
        from scipy import stats

        return stats.invgauss(np.asarray(mu) * phi, scale=1 / np.asarray(phi))
