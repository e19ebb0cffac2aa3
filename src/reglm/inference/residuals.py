"""Residuals of every kind, one formula each.

Conventions
-----------
Residuals are (n, m): a column for each independent response or class, and one for multinomial and ordinal
families where a kind looks at the whole row. Weights are those of the fit, except frequencies: a row that
stands for five has the residual of one. Pearson and deviance residuals are at dispersion 1 and Anscombe
residuals at the dispersion of the fit, as in statsmodels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special, stats

from reglm import links
from reglm.inference.information import in_double
from reglm.likelihood import Data
from reglm.parameters import Array
from reglm.record import Fit
from reglm.response import Response

CLASSES = frozenset({"multinomial", "ordinal"})
"""Families whose columns of y are the classes of one response."""
POWERS = {"gaussian": 0.0, "poisson": 1.0, "quasipoisson": 1.0, "gamma": 2.0, "inverse_gaussian": 3.0}
"""Families whose variance is this power of the mean."""
SHARES = frozenset({"bernoulli", "binomial", "quasibinomial"})
NODES = 64
"""Points of the Gauss-Legendre rule for variances without a closed integral."""
MOST_EXTREME = 1e-16
"""Quantile residuals are held within the normal quantiles of this probability, 8.2 either side."""


@dataclass(frozen=True)
class Rows:
    """Training rows of a fit in double precision, and what the model says about them.

    Parameters
    ----------
    fit : Fit
    data : Data
    """

    fit: Fit
    data: Data

    @cached_property
    def eta(self) -> Array:
        """Linear predictors (n, K), offset included."""
        return self.fit.likelihood.eta(self.fit.theta, self.data.X, self.data.offset)

    @cached_property
    def shape(self) -> dict[str, Array]:
        """Shape parameters of the family."""
        return self.fit.likelihood.shape(self.fit.theta)

    @cached_property
    def mean(self) -> Array:
        """Expected responses (n, m), shares for the binomial."""
        return self.fit.likelihood.response.mean(self.eta, self.shape)

    @cached_property
    def observed(self) -> Array:
        """Responses (n, m) on the scale of the mean."""
        return np.asarray(self.fit.likelihood.family.observed(self.data.y))

    @cached_property
    def size(self) -> Array:
        """Trials (n, 1)."""
        size = self.fit.likelihood.family.size(self.data.y)
        return np.broadcast_to(np.asarray(size, dtype=float), (len(self.eta), 1))

    @cached_property
    def variance(self) -> Array:
        """Variance function (n, m)."""
        return self.fit.likelihood.response.variance(self.eta, self.shape)

    @property
    def precision(self) -> Array:
        """Weight of a single observation of each row (n, 1)."""
        return np.ones_like(self.data.weights) if self.fit.freq_weights else self.data.weights

    @property
    def repeats(self) -> Array:
        """How often each row counts (n, 1)."""
        return self.data.weights if self.fit.freq_weights else np.ones_like(self.data.weights)

    def counted(self) -> Rows:
        """Only the rows with a positive weight."""
        return Rows(self.fit, self.data.rows(self.data.weights[:, 0] > 0))


def training_rows(fit: Fit) -> Rows:
    """Return the rows a model was fitted to.

    Raises
    ------
    ValueError
        If the model was loaded from a file, which does not hold them.
    """
    exact = in_double(fit)
    if exact.data is None:
        raise ValueError("a model loaded from a file does not hold its training data: fit it again for diagnostics.")
    return Rows(exact, exact.data)


def response(rows: Rows) -> Array:
    """``y - mu`` (n, m); successes less their expected number for the binomial."""
    return rows.size * (rows.observed - rows.mean)


def pearson(rows: Rows) -> Array:
    """``(y - mu) sqrt(w / V(mu))`` (n, m)."""
    return (rows.observed - rows.mean) * np.sqrt(rows.precision * rows.size / rows.variance)


def deviance(rows: Rows) -> Array:
    """Root of the weighted unit deviance with the sign of ``y - mu`` (n, m); without a sign for classes (n, 1)."""
    unit = rows.fit.likelihood.response.unit_deviance(rows.data.y, rows.eta, rows.shape)
    root = np.sqrt(np.maximum(rows.precision * unit, 0.0))
    return root if rows.fit.likelihood.family.name in CLASSES else np.sign(rows.observed - rows.mean) * root


def working(rows: Rows) -> Array:
    """Score over information about eta (n, K): ``(y - mu) d eta / d mu``, the residual of scoring's regression."""
    found = rows.fit.likelihood.response.working(rows.data.y, rows.eta, np.ones_like(rows.data.weights), rows.shape)
    if found.score.shape[1] == 1:
        return found.score / found.information[:, :, 0]
    return np.linalg.solve(found.information, found.score[:, :, None])[:, :, 0]


# -- Anscombe ---------------------------------------------------------------------------------------------


def anscombe(rows: Rows) -> Array:
    """``(A(y) - A(mu)) / V(mu)^(1/6)`` with ``A`` the integral of ``V^(-1/3)`` (n, m), which is nearly normal.

    Over the root of the dispersion (McCullagh & Nelder 1989, 2.4.2).

    Raises
    ------
    ValueError
        For classes and censored responses, whose variance is no function of one mean.
    """
    family = rows.fit.likelihood.family
    if family.name in CLASSES or family.name == "tobit":
        raise ValueError(f"kind='anscombe' is not defined for family {family.name!r}; take 'quantile'.")
    distance = _stretch(rows)(rows.observed) - _stretch(rows)(rows.mean) if _closed(rows) else _integral(rows)
    scale = rows.fit.dispersion if family.dispersion == "estimated" else 1.0
    return distance * np.sqrt(rows.precision * rows.size / scale) / rows.variance ** (1 / 6)


def _closed(rows: Rows) -> bool:
    name = rows.fit.likelihood.family.name
    return name in POWERS or name in SHARES or name == "negative_binomial"


def _stretch(rows: Rows) -> Callable[[Array], Array]:
    """Integral of ``V^(-1/3)`` where it has a closed form (Hardin & Hilbe 2012, A.4)."""
    family = rows.fit.likelihood.family
    if family.name in SHARES:
        return lambda x: special.betainc(2 / 3, 2 / 3, x) * special.beta(2 / 3, 2 / 3)
    if family.name == "negative_binomial":
        alpha = float(family.natural(**rows.shape)["alpha"])
        return lambda x: 1.5 * x ** (2 / 3) * special.hyp2f1(1 / 3, 2 / 3, 5 / 3, -alpha * x)
    k = 1 - POWERS[family.name] / 3
    return (lambda x: x**k / k) if k else np.log


def _integral(rows: Rows) -> Array:
    """Integral of ``V^(-1/3)`` from mu to y by quadrature (n, m).

    With ``t = mu + (y - mu) (1 - (1 - s)^3)`` the singularity of ``V^(-1/3)`` at an end of its range that y
    may sit on goes away.
    """
    family = rows.fit.likelihood.family
    plain = Response(family, links.get("identity"))
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    distance = rows.observed - rows.mean
    total = np.zeros_like(distance)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        t = rows.mean + distance * (1 - (1 - node) ** 3)
        total += weight * 3 * (1 - node) ** 2 * plain.variance(t, rows.shape) ** (-1 / 3)
    return distance * total


# -- randomised quantiles ---------------------------------------------------------------------------------


def quantile(rows: Rows, seed: int | None = 0) -> Array:
    """Normal quantiles of ``F(y)``, spread evenly over ``(F(y-), F(y))`` where F jumps (Dunn & Smyth 1996).

    Standard normal under the model, whatever the family. Classes are counted up in their order.

    Parameters
    ----------
    rows : Rows
    seed : int or None
        Of the spread, which continuous responses do not have.

    Returns
    -------
    ndarray (n, m)
        (n, 1) for classes.

    Raises
    ------
    ValueError
        If the family has no distribution, as quasi families, or rows of the multinomial are counts.
    """
    below, upto = cells(rows)
    u = below + np.random.default_rng(seed).random(below.shape) * (upto - below)
    return np.asarray(stats.norm.ppf(np.clip(u, MOST_EXTREME, 1 - MOST_EXTREME)))


def cells(rows: Rows) -> tuple[Array, Array]:
    """``F(y-)`` and ``F(y)`` (n, m), between which quantile residuals are spread; equal where F is continuous."""
    return _class_probabilities(rows) if rows.fit.likelihood.family.name in CLASSES else _probabilities(rows)


def _probabilities(rows: Rows) -> tuple[Array, Array]:
    fit = rows.fit
    family = fit.likelihood.family
    y = rows.data.y[:, : rows.mean.shape[1]]
    precision = np.where(rows.precision > 0, rows.precision, 1.0)  # rows without weight: as if they had one
    phi = fit.dispersion / precision if family.dispersion == "estimated" else fit.dispersion
    location = fit.likelihood.response.location(rows.eta, rows.shape)
    law = family.distribution(location, phi, rows.size, **rows.shape)
    return np.asarray(law.cdf(np.nextafter(y, -np.inf))), np.asarray(law.cdf(y))


def _class_probabilities(rows: Rows) -> tuple[Array, Array]:
    """Probabilities of the classes before the observed one, and up to it, (n, 1)."""
    if np.any(rows.size != 1):
        raise ValueError("kind='quantile' needs one class a row: family 'multinomial' was fitted to counts.")
    upto = np.cumsum(rows.mean, axis=1)
    found = np.argmax(rows.data.y, axis=1)[:, None]
    last = np.take_along_axis(upto, found, axis=1)
    return last - np.take_along_axis(rows.mean, found, axis=1), last


FORMULAS: dict[str, Callable[[Rows], Array]] = {
    "response": response,
    "pearson": pearson,
    "deviance": deviance,
    "anscombe": anscombe,
    "working": working,
    "quantile": quantile,
}


def residuals(fit: Fit, kind: str = "deviance", seed: int | None = 0) -> Array:
    """Residuals of the training rows.

    Parameters
    ----------
    fit : Fit
    kind : {"response", "pearson", "deviance", "anscombe", "working", "quantile"}
    seed : int or None
        Of quantile residuals.

    Returns
    -------
    ndarray (n, m)

    Raises
    ------
    ValueError
        If `kind` is not known or not defined for the family.
    """
    if kind not in FORMULAS:
        raise ValueError(f"kind={kind!r} is not known; choose one of {list(FORMULAS)}.")
    rows = training_rows(fit)
    return quantile(rows, seed) if kind == "quantile" else FORMULAS[kind](rows)
