"""Families outside the exponential dispersion class, on the line or a part of it: Student t, beta, Tobit.

They declare their variance and expected information; deviance takes the dispersion parameters as given.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytensor.tensor as pt

from reglm import ops
from reglm.families.base import Family, Number, slope
from reglm.families.distributions import Censored
from reglm.families.exponential import LOG_TWO_PI
from reglm.families.mean import Mean
from reglm.families.special import positive
from reglm.links.forms import like
from reglm.links.record import REAL, UNIT, Interval, Variable
from reglm.ops.choose import choose
from reglm.ops.gamma import log_gamma, log_rising, trigamma
from reglm.parameters import Array, Spec, constant


def normal_density(x: Variable) -> Variable:
    """Return ``phi(x)``."""
    return ops.exp(-(x**2) / 2 - like(LOG_TWO_PI / 2, x))


@dataclass(frozen=True)
class StudentT(Family):
    """Normal-like responses with heavy tails, for data with outliers (Lange, Little & Taylor 1989).

    Parameters
    ----------
    df : float, optional
        Degrees of freedom; None estimates them. The scale is always estimated.
    """

    df: float | None = None

    name = "student_t"
    domain = support = REAL
    links = ("identity", "log", "inverse", "sqrt", "softplus", "tanh", "power")
    default_link = "identity"
    remedy = "Drop or impute such rows."

    def __post_init__(self) -> None:
        if self.df is not None and not 0 < self.df < np.inf:
            raise ValueError(f"df={self.df!r} must be positive; for infinite df use family='gaussian'.")

    def kernel(self, y: Variable, mean: Mean, log_scale: Variable, log_df: Variable | None = None) -> Variable:
        """Log-density less ``-log(2 pi) / 2``."""
        df = positive(self.df, log_df, y)
        z = (y - mean.value) * ops.exp(-log_scale)
        normaliser = log_rising(like(0.5, y), df / 2) - log_scale
        return normaliser - (df + 1) / 2 * ops.log1p(z**2 / df)

    def base(self, y: Variable, phi: Variable) -> Variable:
        """``-log(2 pi) / 2``."""
        return pt.full_like(y, -LOG_TWO_PI / 2)

    def information(self, y: Variable, mean: Mean, log_scale: Variable, log_df: Variable | None = None) -> Variable:
        """``(df + 1) / (df + 3) (dmu / deta)^2 / scale^2``."""
        df = positive(self.df, log_df, mean.eta)
        return (df + 1) / (df + 3) * (slope(mean.value, mean.eta) * ops.exp(-log_scale)) ** 2

    def variance(self, mu: Variable, log_scale: Variable, log_df: Variable | None = None) -> Variable:
        """``scale^2 df / (df - 2)``, infinite for df <= 2."""
        df = positive(self.df, log_df, mu)
        variance = ops.exp(2 * log_scale) * pt.switch(pt.gt(df, 2), df / (df - 2), np.inf)
        return variance + pt.zeros_like(mu)

    def distribution(self, mu: Array, phi: Number = 1.0, size: Number = 1, **shape: Array) -> Any:
        """Student t."""
        from scipy import stats

        options = self.natural(**shape)
        return stats.t(options["df"], mu, options["scale"])

    def specs(self, y: Array) -> tuple[Spec, ...]:
        """``log_scale``, started at the median absolute deviation, and ``log_df`` at 5 degrees of freedom."""
        spread = 1.4826 * np.median(np.abs(y - np.median(y))) or y.std() or 1.0
        scale = Spec("log_scale", (), constant(np.log(spread)))
        return (scale,) if self.df is not None else (scale, Spec("log_df", (), constant(math.log(5.0))))

    def natural(self, **shape: Array) -> dict[str, Array]:
        """``scale`` and ``df``."""
        df = np.asarray(self.df) if self.df is not None else np.exp(shape["log_df"])
        return {"scale": np.exp(shape["log_scale"]), "df": df}


@dataclass(frozen=True)
class Beta(Family):
    """Shares strictly between 0 and 1 with mean mu and precision nu (Ferrari & Cribari-Neto 2004).

    Parameters
    ----------
    precision : float, optional
        None estimates it.
    """

    precision: float | None = None

    name = "beta"
    domain = support = UNIT
    links = ("logit", "probit", "cloglog", "loglog", "cauchit", "log", "logc", "identity")
    default_link = "logit"
    remedy = "The beta density has no mass at 0 and 1; shrink y to (y (n - 1) + 0.5) / n or model them apart."

    def __post_init__(self) -> None:
        if self.precision is not None and not 0 < self.precision < np.inf:
            raise ValueError(f"precision={self.precision!r} must be positive.")

    def kernel(self, y: Variable, mean: Mean, log_precision: Variable | None = None) -> Variable:
        """Log-density less the base; ``Gamma(x) = Gamma(1 + x) / x`` keeps means near 0 and 1 finite."""
        nu, mu = positive(self.precision, log_precision, y), mean.value
        gammas = log_gamma(1 + nu) - log_gamma(1 + mu * nu) - log_gamma(1 + (1 - mu) * nu) + pt.log(nu)
        return gammas + mean.log + mean.log1m + nu * (mu * pt.log(y) + (1 - mu) * ops.log1p(-y))

    def base(self, y: Variable, phi: Variable) -> Variable:
        """``-log y - log(1 - y)``."""
        return -pt.log(y) - ops.log1p(-y)

    def information(self, y: Variable, mean: Mean, log_precision: Variable | None = None) -> Variable:
        """``nu^2 (psi'(mu nu) + psi'((1 - mu) nu)) (dmu / deta)^2``."""
        nu, mu = positive(self.precision, log_precision, mean.eta), mean.value
        gammas = trigamma(1 + mu * nu) + trigamma(1 + (1 - mu) * nu)
        logs = slope(mean.log, mean.eta) ** 2 + slope(mean.log1m, mean.eta) ** 2
        return gammas * (nu * slope(mu, mean.eta)) ** 2 + logs

    def variance(self, mu: Variable, log_precision: Variable | None = None) -> Variable:
        """``mu (1 - mu) / (1 + nu)``."""
        return mu * (1 - mu) / (1 + positive(self.precision, log_precision, mu))

    def distribution(self, mu: Array, phi: Number = 1.0, size: Number = 1, **shape: Array) -> Any:
        """Beta."""
        from scipy import stats

        nu = self.natural(**shape)["precision"]
        return stats.beta(mu * nu, (1 - mu) * nu)

    def specs(self, y: Array) -> tuple[Spec, ...]:
        """``log_precision``, started at its moment estimate."""
        if self.precision is not None:
            return ()
        mu, variance = y.mean(), y.var()
        ratio = mu * (1 - mu) / variance - 1 if variance > 0 else 1.0
        return (Spec("log_precision", (), constant(np.log(max(ratio, 0.1)))),)

    def natural(self, **shape: Array) -> dict[str, Array]:
        """``precision``."""
        fixed = self.precision is not None
        return {"precision": np.asarray(self.precision) if fixed else np.exp(shape["log_precision"])}


@dataclass(frozen=True)
class Tobit(Family):
    """Normal responses recorded as a limit wherever they pass it (Tobin 1958; Amemiya 1984).

    eta is the mean of the underlying normal response; predictions are the mean of the recorded one.

    Parameters
    ----------
    left, right : float or None
        Censoring points; None for no limit on that side.
    """

    left: float | None = 0.0
    right: float | None = None

    name = "tobit"
    domain = REAL
    links = ("identity", "log", "softplus")
    default_link = "identity"
    remedy = "Set the censoring points `left` and `right` of families.Tobit to the limits of the data."

    def __post_init__(self) -> None:
        left, right = self._limits()
        if not left < right:
            raise ValueError(f"left={self.left!r} must be below right={self.right!r}.")

    def _limits(self) -> tuple[float, float]:
        left = -math.inf if self.left is None else self.left
        return left, math.inf if self.right is None else self.right

    @property
    def support(self) -> Interval:  # type: ignore[override]  # depends on the limits
        """Between the limits, which belong to it."""
        return Interval(*self._limits(), low_closed=True, high_closed=True)

    def _censoring(self, y: Variable) -> list[tuple[float, int, Variable]]:
        """(limit, side, indicator) for each finite limit; side is +1 for the left one."""
        left, right = self._limits()
        sides = ((left, 1, pt.le), (right, -1, pt.ge))
        return [(limit, side, passed(y, like(limit, y))) for limit, side, passed in sides if math.isfinite(limit)]

    def kernel(self, y: Variable, mean: Mean, log_scale: Variable) -> Variable:
        """Log-density less the base; probability of passing the limit where y is one."""
        rate, mu = ops.exp(-log_scale), mean.value
        kernel = -(((y - mu) * rate) ** 2) / 2 - log_scale
        for limit, side, censored in self._censoring(y):
            kernel = choose(censored, ops.log_ndtr(side * (like(limit, y) - mu) * rate), kernel)
        return kernel

    def base(self, y: Variable, phi: Variable) -> Variable:
        """``-log(2 pi) / 2`` between the limits, zero at them."""
        base = pt.full_like(y, -LOG_TWO_PI / 2)
        for _, _, censored in self._censoring(y):
            base = pt.switch(censored, 0, base)
        return base

    def saturated(self, y: Variable, log_scale: Variable) -> Variable:
        """``-log scale`` between the limits; at a limit, zero: it is passed for certain."""
        saturated = -log_scale + pt.zeros_like(y)
        for _, _, censored in self._censoring(y):
            saturated = pt.switch(censored, 0, saturated)
        return saturated

    def _tails(self, mu: Variable, log_scale: Variable) -> list[tuple[int, Variable]]:
        """(side, standardised distance from mu) for each finite limit; negative when mu is inside."""
        limits = zip(self._limits(), (1, -1), strict=True)
        rate = ops.exp(-log_scale)
        return [(side, side * (like(c, mu) - mu) * rate) for c, side in limits if math.isfinite(c)]

    def information(self, y: Variable, mean: Mean, log_scale: Variable) -> Variable:
        """Return the expected square of the score: the normal's, less what censoring loses (Amemiya 1984)."""
        factor = pt.ones_like(mean.eta)
        for _, z in self._tails(mean.value, log_scale):
            density = normal_density(z)
            factor = factor - ops.ndtr(z) + density * (ops.inverse_mills(z) + z)
        return factor * (slope(mean.value, mean.eta) * ops.exp(-log_scale)) ** 2

    def _moments(self, mu: Variable, log_scale: Variable) -> tuple[Variable, Variable]:
        """First two moments of ``(y - mu) / scale``."""
        first, second = pt.zeros_like(mu), pt.ones_like(mu)
        for side, z in self._tails(mu, log_scale):
            tail, density = ops.ndtr(z), normal_density(z)
            first = first + side * (z * tail + density)
            second = second + (z**2 - 1) * tail + z * density
        return first, second

    def variance(self, mu: Variable, log_scale: Variable) -> Variable:
        """Variance of the recorded response where the underlying mean is mu."""
        first, second = self._moments(mu, log_scale)
        return (second - first**2) * ops.exp(2 * log_scale)

    def response(self, mean: Mean, log_scale: Variable) -> Variable:
        """Mean of the recorded response: ``mu Phi(mu / s) + s phi(mu / s)`` for a left limit of 0."""
        first, _ = self._moments(mean.value, log_scale)
        recorded = mean.value + ops.exp(log_scale) * first
        left, right = self._limits()
        return pt.clip(recorded, like(left, recorded), like(right, recorded))

    def distribution(self, mu: Array, phi: Number = 1.0, size: Number = 1, **shape: Array) -> Any:
        """Censored normal; `mu` is the underlying mean."""
        from scipy import stats

        return Censored(stats.norm(mu, self.natural(**shape)["scale"]), *self._limits())

    def specs(self, y: Array) -> tuple[Spec, ...]:
        """``log_scale``, started at the standard deviation of the recorded responses."""
        return (Spec("log_scale", (), constant(np.log(y.std() or 1.0))),)

    def natural(self, **shape: Array) -> dict[str, Array]:
        """``scale``."""
        return {"scale": np.exp(shape["log_scale"])}
