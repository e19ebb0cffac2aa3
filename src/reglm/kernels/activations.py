"""Dual activations: ``E f(u) f(u')`` and ``E f'(u) f'(u')`` for two normal variables, in closed form.

(u, u') is normal with mean zero, variances q and q' and covariance c. The table holds what Cho & Saul (2009) found for
rectifiers and the threshold, Williams (1997) for erf, hence the normal distribution function, and for the radial
unit, and the moments of the normal distribution give for the exponential, cosine and sine (Pearce et al. 2019).
The second expectation is the derivative of the first by c (Price 1958). `reglm.kernels.hermite` does the rest.

All functions take real arrays, or complex ones for a derivative (`reglm.kernels.analytic`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from reglm import links
from reglm.kernels.analytic import SLACK, arccos, arcsin, clip, reciprocal, root
from reglm.kernels.hermite import HermiteDual
from reglm.parameters import Array

Rows = tuple[Array, ...]
Pair = tuple[Array, Any]


class DualActivation(Protocol):
    """The two expectations of an activation."""

    def rows(self, q: Array) -> Rows:
        """What the expectations need to know of single variables: arrays whose last axis is that of q (n,)."""

    def pairs(self, left: Rows, c: Array, right: Rows) -> Pair:
        """``E f(u) f(u')`` and ``E f'(u) f'(u')`` of pairs with covariances c and, broadcast against it, `rows`."""


@dataclass(frozen=True)
class Rectifier:
    """``max(u, slope u)``: arc-cosine kernels of order one and zero (Cho & Saul 2009, equation 6)."""

    slope: float = 0.0

    def rows(self, q: Array) -> Rows:
        """Standard deviations and their reciprocals."""
        s = root(q)
        return s, SLACK * reciprocal(s)

    def pairs(self, left: Rows, c: Array, right: Rows) -> Pair:
        """``s s' (sin t + (pi - t) cos t) / 2 pi`` and ``(pi - t) / 2 pi`` at the angle t, for slope zero."""
        cosine = clip(c * left[1] * right[1])
        rest = math.pi - arccos(cosine)
        k = (1 - self.slope) ** 2 / (2 * math.pi)
        value = (root((1 - cosine) * (1 + cosine)) + rest * cosine) * (k * left[0]) * right[0]
        rest *= k
        return (value + self.slope * c, rest + self.slope) if self.slope else (value, rest)


@dataclass(frozen=True)
class Threshold:
    """``1(u > 0)``: the arc-cosine kernel of order zero (Cho & Saul 2009); its derivative is zero almost everywhere."""

    def rows(self, q: Array) -> Rows:
        """Reciprocals of standard deviations."""
        return (SLACK * reciprocal(root(q)),)

    def pairs(self, left: Rows, c: Array, right: Rows) -> Pair:
        """``(pi - t) / 2 pi``, and zero."""
        return 0.5 - arccos(clip(c * left[0] * right[0])) / (2 * math.pi), 0.0


@dataclass(frozen=True)
class ErrorFunction:
    """``shift + height erf(u sqrt(rate))`` (Williams 1997, equation 11)."""

    rate: float = 1.0
    height: float = 1.0
    shift: float = 0.0

    def rows(self, q: Array) -> Rows:
        """``1 / sqrt(1 + 2 rate q)``."""
        return (1 / root(1 + 2 * self.rate * q),)

    def pairs(self, left: Rows, c: Array, right: Rows) -> Pair:
        """``2 / pi arcsin z`` and ``4 rate t t' / (pi sqrt(1 - z^2))`` with ``z = 2 rate c t t'``, for height one."""
        both = left[0] * right[0]
        z = clip(2 * self.rate * c * both)
        value = self.shift**2 + self.height**2 * (2 / math.pi) * arcsin(z)
        return value, self.height**2 * (4 / math.pi) * self.rate * both * reciprocal(root((1 - z) * (1 + z)))


@dataclass(frozen=True)
class Identity:
    """u itself: the linear kernel."""

    def rows(self, q: Array) -> Rows:
        """Nothing."""
        return ()

    def pairs(self, left: Rows, c: Array, right: Rows) -> Pair:
        """The covariance, and one."""
        return c, 1.0


@dataclass(frozen=True)
class Exponential:
    """``e^u``: moments of the log-normal distribution."""

    def rows(self, q: Array) -> Rows:
        """Half the variances."""
        return (q / 2,)

    def pairs(self, left: Rows, c: Array, right: Rows) -> Pair:
        """``exp(q/2 + q'/2 + c)``, twice."""
        value = np.exp(c + left[0] + right[0])
        return value, value


@dataclass(frozen=True)
class Trigonometric:
    """``cos u``, ``sin u`` or their sum, whose kernel is the radial one (Pearce et al. 2019).

    Parameters
    ----------
    even, odd : float
        Coefficients of cosine and sine, 0 or 1.
    """

    even: float
    odd: float

    def rows(self, q: Array) -> Rows:
        """Half the variances."""
        return (q / 2,)

    def pairs(self, left: Rows, c: Array, right: Rows) -> Pair:
        """``(E cos(u - u') +- E cos(u + u')) / 2``, both cosines being characteristic functions."""
        level = left[0] + right[0]
        near = np.exp(c - level)
        if self.even and self.odd:
            return near, near
        far = np.exp(-c - level)
        cosines, sines = (near + far) / 2, (near - far) / 2
        return (cosines, sines) if self.even else (sines, cosines)


@dataclass(frozen=True)
class Radial:
    """``exp(-u^2)`` (Williams 1997, section 3.2)."""

    def rows(self, q: Array) -> Rows:
        """``1 + 2 q``."""
        return (1 + 2 * q,)

    def pairs(self, left: Rows, c: Array, right: Rows) -> Pair:
        """``D^-1/2`` and ``4 c D^-3/2`` with ``D = (1 + 2q) (1 + 2q') - 4 c^2``."""
        value = 1 / root(left[0] * right[0] - 4 * (c * c))
        return value, 4 * c * value**3


def _leaky(link: links.Link) -> DualActivation:
    name = link.name.partition("(")[2].rstrip(")")
    return Rectifier(float(name) if name else 0.01)


BESIDE_LINKS: dict[str, DualActivation] = {
    "erf": ErrorFunction(), "cos": Trigonometric(1, 0), "sin": Trigonometric(0, 1), "sin+cos": Trigonometric(1, 1),
}  # fmt: skip
"""Activations that are no links."""

CLOSED_FORMS: dict[str, Callable[[links.Link], DualActivation]] = {
    "identity": lambda link: Identity(),
    "relu": lambda link: Rectifier(),
    "leaky_relu": _leaky,
    "probit": lambda link: ErrorFunction(0.5, 0.5, 0.5),
    "log": lambda link: Exponential(),
    "rbf": lambda link: Radial(),
    "threshold": lambda link: Threshold(),
}
"""Name of a link, its argument aside -> dual activation."""


def dual_activation(name: str | links.Link) -> DualActivation:
    """Look the expectations of an activation up.

    Parameters
    ----------
    name : str or Link
        "erf", "cos", "sin", "sin+cos", or an activation of `reglm.links`: in closed form "identity", "relu",
        "leaky_relu", "probit", "exp", "rbf" and "threshold", by a Hermite series the other elementwise ones.

    Returns
    -------
    DualActivation

    Raises
    ------
    ValueError
        If the name is unknown, or belongs to no elementwise activation.
    """
    if isinstance(name, str) and name in BESIDE_LINKS:
        return BESIDE_LINKS[name]
    try:
        link = links.get(name)
    except ValueError as error:
        raise ValueError(f"{error} Network kernels also know {', '.join(map(repr, BESIDE_LINKS))}.") from None
    stem = link.name.partition("(")[0]
    if stem in CLOSED_FORMS:
        return CLOSED_FORMS[stem](link)
    if not link.elementwise or "activation" not in link.roles:
        raise ValueError(f"activation={link.name!r} acts on no single real number; choose one such as 'relu'.")
    return HermiteDual(link)


def expectations(name: str | links.Link, q: Any, c: Any, q2: Any) -> tuple[Array, Array]:
    """``E f(u) f(u')`` and ``E f'(u) f'(u')`` for normal variables with mean zero.

    Parameters
    ----------
    name : str or Link
        See `dual_activation`.
    q, c, q2 : array_like
        Variance of u, covariance and variance of u'; broadcast.

    Returns
    -------
    ndarray, ndarray

    Raises
    ------
    ValueError
        If a covariance matrix is not positive semi-definite.
    """
    q, c, q2 = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (q, c, q2)))
    if np.any(q < 0) or np.any(q2 < 0) or np.any(c**2 > q * q2 * (1 + 1e-9)):
        raise ValueError("q, c, q2 must be variances and covariances: q, q2 >= 0 and c^2 <= q q2.")
    dual = dual_activation(name)
    value, slope = dual.pairs(dual.rows(q.ravel()), c.ravel(), dual.rows(q2.ravel()))
    return value.reshape(q.shape), np.broadcast_to(slope, value.shape).reshape(q.shape)
