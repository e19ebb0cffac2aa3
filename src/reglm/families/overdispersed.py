"""Families with a variance function of their own: negative binomial and Tweedie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytensor.tensor as pt

from reglm import ops
from reglm.families.base import ExponentialDispersion, Number
from reglm.families.distributions import CompoundPoisson
from reglm.families.exponential import POSITIVE_LINKS
from reglm.families.mean import Mean
from reglm.families.special import positive
from reglm.links.forms import like
from reglm.links.record import NON_NEGATIVE, POSITIVE, Variable
from reglm.ops.gamma import log_gamma, log_rising
from reglm.ops.tweedie import tweedie_normaliser
from reglm.parameters import Array, Spec, constant


@dataclass(frozen=True)
class NegativeBinomial(ExponentialDispersion):
    """Counts with variance ``mu + alpha mu^2`` (NB2; Cameron & Trivedi 2013, 3.3).

    Parameters
    ----------
    alpha : float, optional
        None estimates it by maximum likelihood, as the shape parameter ``log_alpha``.
    """

    alpha: float | None = None

    name = "negative_binomial"
    domain = POSITIVE
    support = NON_NEGATIVE
    links = POSITIVE_LINKS
    default_link = "log"
    remedy = "Counts cannot be negative; look for codes of missing values such as -1 or -999."

    def __post_init__(self) -> None:
        if self.alpha is not None and not 0 < self.alpha < np.inf:
            raise ValueError(f"alpha={self.alpha!r} must be positive; alpha = 0 is family='poisson'.")

    def kernel(self, y: Variable, mean: Mean, log_alpha: Variable | None = None) -> Variable:
        """``y log mu - (y + 1/alpha) log(1 + alpha mu)``, and the gamma functions if alpha is estimated."""
        alpha = positive(self.alpha, log_alpha, y)
        kernel = y * mean.log - (y + 1 / alpha) * ops.softplus(pt.log(alpha) + mean.log)
        return kernel if log_alpha is None else kernel + log_rising(y, 1 / alpha)

    def base(self, y: Variable, phi: Variable) -> Variable:
        """``-log y!``, and the gamma functions if alpha is given."""
        base = -log_gamma(y + 1)
        return base if self.alpha is None else base + log_rising(y, like(1 / self.alpha, y))

    def canonical_parameter(self, mean: Mean, log_alpha: Variable | None = None) -> Variable:
        """``log mu - log(1 + alpha mu)``."""
        alpha = positive(self.alpha, log_alpha, mean.eta)
        return mean.log - ops.softplus(pt.log(alpha) + mean.log)

    def distribution(self, mu: Array, phi: Number = 1.0, size: Number = 1, **shape: Array) -> Any:
        """Negative binomial of size 1 / alpha."""
        from scipy import stats

        r = 1 / self.natural(**shape)["alpha"]
        return stats.nbinom(r, r / (r + mu))

    def specs(self, y: Array) -> tuple[Spec, ...]:
        """``log_alpha``, started at its moment estimate."""
        if self.alpha is not None:
            return ()
        mu = y.mean()
        excess = (y.var() - mu) / mu**2 if mu > 0 else 1.0
        return (Spec("log_alpha", (), constant(np.log(max(excess, 0.05)))),)

    def natural(self, **shape: Array) -> dict[str, Array]:
        """``alpha``."""
        return {"alpha": np.exp(shape["log_alpha"]) if self.alpha is None else np.asarray(self.alpha)}


@dataclass(frozen=True)
class Tweedie(ExponentialDispersion):
    """Compound Poisson-gamma responses, some of them exactly zero; variance ``phi mu^power``, 1 < power < 2.

    Parameters
    ----------
    power : float, optional
        None estimates power and dispersion together by maximum likelihood, as the shape parameters
        ``logit_power``, which spans 1.01 to 1.99, and ``log_phi``.
    """

    power: float | None = None

    name = "tweedie"
    domain = POSITIVE
    support = NON_NEGATIVE
    links = POSITIVE_LINKS
    default_link = "log"
    remedy = "Responses cannot be negative; net out refunds or model them apart."

    def __post_init__(self) -> None:
        if self.power is not None and not 1 < self.power < 2:
            raise ValueError(
                f"power={self.power!r} must lie between 1 and 2; "
                "use 'gaussian' for 0, 'poisson' for 1, 'gamma' for 2, 'inverse_gaussian' for 3."
            )

    @property
    def dispersion(self) -> str:
        """``"estimated"`` for a given power; otherwise the dispersion is one of the shape parameters."""
        return "fixed" if self.power is None else "estimated"

    @property
    def canonical_link(self) -> str | None:
        """``power(1 - p)``."""
        return None if self.power is None else f"power({1 - self.power!r})"

    def _power(self, x: Variable, shape: dict[str, Variable]) -> Variable:
        if self.power is not None:
            return like(self.power, x)
        return like(1.01, x) + like(0.98, x) * ops.sigmoid(shape["logit_power"])

    def _unit(self, y: Variable, mean: Mean, shape: dict[str, Variable]) -> Variable:
        p = self._power(y, shape)
        return y * mean.power(1 - p) / (1 - p) - mean.power(2 - p) / (2 - p)

    def kernel(self, y: Variable, mean: Mean, **shape: Variable) -> Variable:
        """``y mu^(1-p) / (1-p) - mu^(2-p) / (2-p)``; the whole log-density if the power is estimated."""
        return self._unit(y, mean, shape) if self.power else self.objective(y, mean, like(1, y), **shape)

    def base(self, y: Variable, phi: Variable) -> Variable:
        """Logarithm of the normaliser (Dunn & Smyth 2005); zero if the kernel holds it."""
        return tweedie_normaliser(y, phi, like(self.power, y)) if self.power else pt.zeros_like(y)

    def objective(self, y: Variable, mean: Mean, weights: Variable, **shape: Variable) -> Variable:
        """Weighted kernel; with the power estimated, the log-density at dispersion phi / weights."""
        unit = self._unit(y, mean, shape)
        if self.power is not None:
            return weights * unit
        phi = ops.exp(shape["log_phi"]) / weights
        return unit / phi + tweedie_normaliser(y, phi, self._power(y, shape))

    def log_density(
        self, y: Variable, mean: Mean, phi: Variable = 1.0, weights: Variable = 1.0, **shape: Variable
    ) -> Variable:
        """Log-density, (n, 1); `phi` is ignored if the dispersion is a shape parameter."""
        if self.power is None:
            return self.objective(y, mean, weights, **shape)
        return super().log_density(y, mean, phi, weights)

    def unit_deviance(self, y: Variable, mean: Mean, **shape: Variable) -> Variable:
        """Twice the distance from saturation, unscaled also where the dispersion is a shape parameter."""
        p = self._power(y, shape)
        return 2 * (y ** (2 - p) / ((1 - p) * (2 - p)) - self._unit(y, mean, shape))

    def canonical_parameter(self, mean: Mean, **shape: Variable) -> Variable:
        """``mu^(1-p) / (1-p)``, over phi if that is a shape parameter."""
        p = self._power(mean.eta, shape)
        theta = mean.power(1 - p) / (1 - p)
        return theta if self.power else theta * ops.exp(-shape["log_phi"])

    def distribution(self, mu: Array, phi: Number = 1.0, size: Number = 1, **shape: Array) -> Any:
        """Compound Poisson-gamma."""
        options = self.natural(**shape)
        return CompoundPoisson(np.asarray(mu), options.get("phi", phi), options["power"])

    def specs(self, y: Array) -> tuple[Spec, ...]:
        """``logit_power``, started at power 1.5, and ``log_phi`` at its moment estimate."""
        if self.power is not None:
            return ()
        phi = y.var() / y.mean() ** 1.5 if y.var() > 0 else 1.0
        return Spec("logit_power", ()), Spec("log_phi", (), constant(np.log(phi)))

    def natural(self, **shape: Array) -> dict[str, Array]:
        """``power``, and ``phi`` where it is a shape parameter."""
        if self.power is not None:
            return {"power": np.asarray(self.power)}
        return {"power": 1.01 + 0.98 / (1 + np.exp(-shape["logit_power"])), "phi": np.exp(shape["log_phi"])}
