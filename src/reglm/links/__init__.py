"""Links: one registry for the link functions of responses and the activations of hidden units.

An activation *is* an inverse link, ``mu = inverse(eta)``, so one table holds both. A `Link` is a record of
PyTensor expressions. Beside the mean it may carry forms that stay finite in the tails, where composing from
the mean would round to 0 or 1: ``log mu``, ``log(1 - mu)``, ``mu ** k`` and, for distribution functions F,
``log(F(b) - F(a))``. Log-densities are written with these. Activations are a superset of links: `forward` is
None where the map has no inverse.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import cache

import pytensor.tensor as pt

from reglm import ops
from reglm.links import forms
from reglm.links.forms import like
from reglm.links.record import (
    ACTIVATION,
    CLOSED_UNIT,
    LINK,
    NEGATIVE,
    NON_NEGATIVE,
    POSITIVE,
    REAL,
    UNIT,
    Interval,
    Link,
)
from reglm.ops.choose import choose, larger

__all__ = ["ALIASES", "REAL", "REGISTRY", "Interval", "Link", "get", "leaky_relu", "power"]


def _power(k: float, name: str, note: str) -> Link:
    return Link(
        name,
        inverse=lambda eta: eta ** like(1 / k, eta),
        forward=lambda mu: mu ** like(k, mu),
        log_inverse=lambda eta: like(1 / k, eta) * pt.log(eta),
        power_inverse=lambda eta, j: eta ** (j * like(1 / k, eta)),
        domain=POSITIVE,
        eta_domain=POSITIVE,
        roles=LINK,
        note=note,
    )


@cache
def power(k: float) -> Link:
    """Return the power link ``eta = mu ** k``, the logarithm for k = 0.

    Parameters
    ----------
    k : float

    Returns
    -------
    Link
        The named record where there is one: identity (1), log (0), inverse (-1), inverse_squared (-2),
        sqrt (1/2).

    Raises
    ------
    ValueError
        If k is not finite.
    """
    k = float(k)
    if not math.isfinite(k):
        raise ValueError(f"power(k={k!r}) needs a finite k.")
    named = {1.0: "identity", 0.0: "log", -1.0: "inverse", -2.0: "inverse_squared", 0.5: "sqrt"}
    return REGISTRY[named[k]] if k in named else _power(k, f"power({k!r})", f"eta = mu^{k:g}")


@cache
def leaky_relu(slope: float = 0.01) -> Link:
    """Return the leaky rectifier ``max(eta, slope * eta)`` (Maas et al. 2013).

    Parameters
    ----------
    slope : float
        In (0, 1).

    Returns
    -------
    Link

    Raises
    ------
    ValueError
        If the slope is outside (0, 1).
    """
    if not 0 < slope < 1:
        raise ValueError(f"leaky_relu(slope={slope!r}) needs a slope in (0, 1); 'relu' is slope 0.")
    return Link(
        "leaky_relu" if slope == 0.01 else f"leaky_relu({slope!r})",
        inverse=lambda eta: choose(pt.gt(eta, 0), eta, like(slope, eta) * eta),
        forward=lambda mu: choose(pt.gt(mu, 0), mu, mu / like(slope, mu)),
        roles=ACTIVATION,
        note="max(eta, slope eta)",
    )


_LINKS = (
    Link(
        "identity", lambda eta: eta, lambda mu: mu,
        power_inverse=lambda eta, k: eta**k, note="linear regression",
    ),
    Link(
        "logit", ops.sigmoid, lambda mu: pt.log(mu) - ops.log1p(-mu), log_odds=lambda eta: eta,
        log_inverse=lambda eta: -ops.softplus(-eta), log1m_inverse=lambda eta: -ops.softplus(eta),
        log_between=forms.between_logit, domain=UNIT, note="logistic distribution function, the sigmoid",
    ),
    Link(
        "probit", ops.ndtr, lambda mu: -like(math.sqrt(2), mu) * pt.erfcinv(2 * mu),
        log_inverse=ops.log_ndtr, log1m_inverse=lambda eta: ops.log_ndtr(-eta),
        log_between=forms.between_probit, domain=UNIT, note="normal distribution function",
    ),
    Link(
        "cloglog", lambda eta: -ops.expm1(-ops.exp(eta)), lambda mu: pt.log(-ops.log1p(-mu)),
        log_inverse=forms.log_cloglog, log1m_inverse=lambda eta: -ops.exp(eta),
        log_between=forms.between_cloglog, domain=UNIT, note="rare events: 1 - exp(-e^eta)",
    ),
    Link(
        "loglog", lambda eta: ops.exp(-ops.exp(-eta)), lambda mu: -pt.log(-pt.log(mu)),
        log_inverse=lambda eta: -ops.exp(-eta), log1m_inverse=lambda eta: forms.log_cloglog(-eta),
        log_between=lambda a, b: forms.between_cloglog(-b, -a), domain=UNIT, note="exp(-e^-eta)",
    ),
    Link(
        "cauchit", forms.cauchy_cdf, lambda mu: -1 / pt.tan(like(math.pi, mu) * mu),
        log_inverse=lambda eta: pt.log(forms.cauchy_cdf(eta)),
        log1m_inverse=lambda eta: pt.log(forms.cauchy_cdf(-eta)),
        log_between=forms.between_cauchit, domain=UNIT, note="Cauchy distribution function, heavy tails",
    ),
    Link(
        "log", ops.exp, pt.log, log_inverse=lambda eta: eta, log1m_inverse=lambda eta: forms.log1mexp(-eta),
        power_inverse=lambda eta, k: ops.exp(k * eta), domain=POSITIVE, note="multiplicative effects; exp",
    ),
    Link(
        "logc", lambda eta: -ops.expm1(eta), lambda mu: ops.log1p(-mu),
        log_inverse=lambda eta: forms.log1mexp(-eta), log1m_inverse=lambda eta: eta,
        domain=UNIT, eta_domain=NEGATIVE, roles=LINK, note="log of the complement: 1 - e^eta",
    ),
    _power(-1.0, "inverse", "1 / eta; canonical for the gamma"),
    _power(-2.0, "inverse_squared", "eta^-1/2; canonical for the inverse Gaussian"),
    _power(0.5, "sqrt", "eta^2; stabilises the Poisson variance"),
    Link(
        "tanh", ops.tanh, pt.arctanh, domain=Interval(-1.0, 1.0),
        note="artanh: the logistic for responses coded -1, 1, with P(y = 1) = sigmoid(2 eta)",
    ),
    Link(
        "softplus", ops.softplus, lambda mu: mu + ops.log1mexp(mu), log_inverse=forms.log_softplus,
        domain=POSITIVE, note="log(1 + e^eta), a smooth rectifier; linear for large eta",
    ),
    Link(
        "softmax", forms.softmax_rows, pt.log, elementwise=False, domain=UNIT,
        note="multilogit: K columns to K probabilities; the multinomial family holds the first column at 0",
    ),
    Link(
        "relu", lambda eta: larger(eta, 0), domain=NON_NEGATIVE, roles=ACTIVATION,
        note="max(eta, 0): the median of a Tobit response",
    ),
    leaky_relu(),
    Link(
        "elu", forms.elu, forms.elu_forward, domain=Interval(-1.0), roles=ACTIVATION,
        note="e^eta - 1 left of zero (Clevert et al. 2016)",
    ),
    Link("gelu", ops.gelu, roles=ACTIVATION, note="eta Phi(eta) (Hendrycks & Gimpel 2016)"),
    Link(
        "maxout", forms.maxout, roles=ACTIVATION, elementwise=False,
        note="2K columns to K: the larger of two affine maps (Goodfellow et al. 2013)",
    ),
    Link(
        "rbf", lambda eta: ops.exp(-(eta**2)), domain=Interval(0.0, 1.0, high_closed=True),
        roles=ACTIVATION, note="radial unit: exp(-eta^2)",
    ),
    Link(
        "threshold", forms.threshold, domain=CLOSED_UNIT, roles=ACTIVATION, differentiable=False,
        note="1 for eta > 0, else 0 (McCulloch & Pitts 1943); no gradient",
    ),
)  # fmt: skip

REGISTRY: dict[str, Link] = {link.name: link for link in _LINKS}
"""Every link and activation by name."""

ALIASES: dict[str, str] = {
    "sigmoid": "logit", "logistic": "logit", "exp": "log", "ndtr": "probit", "linear": "identity",
    "artanh": "tanh", "arctanh": "tanh", "atanh": "tanh", "multilogit": "softmax",
    "reciprocal": "inverse", "square": "sqrt", "step": "threshold", "heaviside": "threshold",
}  # fmt: skip
"""Other names of the same records: the sigmoid is the inverse of the logit, hence the same record."""

_PARAMETRIC: dict[str, Callable[[float], Link]] = {"power": power, "leaky_relu": leaky_relu}


def get(name: str | Link) -> Link:
    """Look a link or activation up by name.

    Parameters
    ----------
    name : str or Link
        A name in `REGISTRY` or `ALIASES`, ``"power(k)"`` or ``"leaky_relu(slope)"``. A `Link` passes through.

    Returns
    -------
    Link

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if isinstance(name, Link):
        return name
    key = ALIASES.get(name, name) if isinstance(name, str) else ""
    if key in REGISTRY:
        return REGISTRY[key]
    called = re.fullmatch(r"(power|leaky_relu)\(([-+.\deE]+)\)", key)
    if called is None:
        known = ", ".join(sorted([*REGISTRY, *ALIASES]))
        raise ValueError(
            f"unknown link or activation {name!r}; choose one of {known}, 'power(k)' or 'leaky_relu(slope)'."
        )
    return _PARAMETRIC[called[1]](float(called[2]))
