"""How unlike the model a response is: conformity scores, and the responses that score no more than a bound.

Numbers have scores (n, K) and intervals, classes have the scores of every class (n, C).

* absolute: ``|y - mu|``;
* pearson: that over the fitted standard deviation;
* distribution: ``|F(y) - 1/2|`` at the fitted distribution function, drawn uniformly within its jumps
  (Chernozhukov, Wuthrich & Zhu 2021);
* lac: one minus the probability of the class (Sadinle, Lei & Wasserman 2019);
* aps: probability of the likelier classes, and a uniform share of the class's own (Romano, Sesia & Candes 2020).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from reglm.likelihood import Data
from reglm.parameters import Array
from reglm.record import Fit

LABELS = frozenset({"bernoulli", "multinomial", "ordinal"})
"""Families whose responses are labels."""


@dataclass(frozen=True)
class Numeric:
    """A score of numbers.

    Parameters
    ----------
    scores : callable ``(fit, rows, u) -> (n, K)``
        u (n, K) is uniform on (0, 1).
    ends : callable ``(fit, rows, bound) -> two of (n, m, K)``
        Interval of the responses that score at most `bound`, of shape (m, K) or (n, m, K).
    """

    scores: Callable[[Fit, Data, Array], Array]
    ends: Callable[[Fit, Data, Array], tuple[Array, Array]]


def recorded(fit: Fit, y: Array) -> Array:
    """Responses (n, K) as the family's distribution has them: successes for counts out of a total."""
    return y[:, : fit.likelihood.network.outputs()]


def _trials(fit: Fit, rows: Data) -> Array:
    return np.broadcast_to(fit.likelihood.family.size(rows.y), (len(rows.y), 1))


def _eta(fit: Fit, rows: Data) -> tuple[Array, dict[str, Array]]:
    likelihood = fit.likelihood
    return likelihood.eta(fit.theta, rows.X, rows.offset), likelihood.shape(fit.theta)


def _centre(fit: Fit, rows: Data) -> Array:
    return fit.likelihood.response.mean(*_eta(fit, rows)) * _trials(fit, rows)


def _spread(fit: Fit, rows: Data) -> Array:
    """Fitted standard deviations (n, K)."""
    family = fit.likelihood.family
    phi = 1.0 if family.dispersion == "fixed" else fit.dispersion / rows.weights
    variance = fit.likelihood.response.variance(*_eta(fit, rows)) * _trials(fit, rows) * phi
    if not np.all(np.isfinite(variance)):
        raise ValueError("score='pearson' needs finite fitted variances, which this fit does not have; use 'absolute'.")
    return np.maximum(np.sqrt(variance), np.finfo(float).tiny)


def _law(fit: Fit, rows: Data) -> Any:
    """Fitted distribution of shape (n, 1, K)."""
    likelihood = fit.likelihood
    eta, shape = _eta(fit, rows)
    location = likelihood.response.location(eta, shape)[:, None]
    phi = (fit.dispersion / rows.weights)[:, None]
    return likelihood.family.distribution(location, phi, _trials(fit, rows)[:, None], **shape)


def support(fit: Fit, rows: Data) -> tuple[Array, Array]:
    """Smallest and largest possible response (n, 1) of each row."""
    family = fit.likelihood.family
    ends = np.full((len(rows.y), 1), family.support.low), np.full((len(rows.y), 1), family.support.high)
    counts = rows.y.shape[1] > fit.likelihood.network.outputs()
    return (ends[0], _trials(fit, rows)) if counts else ends


def _absolute(fit: Fit, rows: Data, u: Array) -> Array:
    return np.abs(recorded(fit, rows.y) - _centre(fit, rows))


def _absolute_ends(fit: Fit, rows: Data, bound: Array) -> tuple[Array, Array]:
    centre = _centre(fit, rows)[:, None]
    return centre - bound, centre + bound


def _pearson(fit: Fit, rows: Data, u: Array) -> Array:
    return _absolute(fit, rows, u) / _spread(fit, rows)


def _pearson_ends(fit: Fit, rows: Data, bound: Array) -> tuple[Array, Array]:
    return _absolute_ends(fit, rows, bound * _spread(fit, rows)[:, None])


def _distribution(fit: Fit, rows: Data, u: Array) -> Array:
    law, y = _law(fit, rows), recorded(fit, rows.y)[:, None]
    upper, lower = law.cdf(y), law.cdf(np.nextafter(y, -np.inf))
    return np.abs(lower + u[:, None] * (upper - lower) - 0.5)[:, 0]


def _distribution_ends(fit: Fit, rows: Data, bound: Array) -> tuple[Array, Array]:
    # every y for which some draw within its jump scores at most the bound
    law = _law(fit, rows)
    return law.ppf(np.maximum(0.5 - bound, 0.0)), law.ppf(np.minimum(0.5 + bound, 1.0))


def probabilities(fit: Fit, rows: Data) -> Array:
    """Probabilities (n, C) of all classes."""
    p = fit.likelihood.response.location(*_eta(fit, rows))
    return np.column_stack([1.0 - p, p]) if p.shape[1] == 1 else p


def codes(fit: Fit, y: Array) -> Array:
    """Class numbers (n,) of coded labels.

    Raises
    ------
    ValueError
        If rows hold several labels or none.
    """
    if y.shape[1] == 1:
        return y[:, 0].astype(int)
    if fit.likelihood.family.name == "bernoulli" or np.any(y.sum(axis=1) != 1):
        raise ValueError("conformal sets are for one label a row, not for counts of classes or several labels.")
    return y.argmax(axis=1)


def _lac(fit: Fit, rows: Data, u: Array) -> Array:
    return 1.0 - probabilities(fit, rows)


def _aps(fit: Fit, rows: Data, u: Array) -> Array:
    p = probabilities(fit, rows)
    order = np.argsort(-p, axis=1, kind="stable")
    ranked = np.take_along_axis(p, order, axis=1)
    scores = np.empty_like(p)
    np.put_along_axis(scores, order, np.cumsum(ranked, axis=1) - ranked + u * ranked, axis=1)
    return scores


NUMERIC = {
    "absolute": Numeric(_absolute, _absolute_ends),
    "pearson": Numeric(_pearson, _pearson_ends),
    "distribution": Numeric(_distribution, _distribution_ends),
}
CLASSES: dict[str, Callable[[Fit, Data, Array], Array]] = {"aps": _aps, "lac": _lac}


def resolve(fit: Fit, score: str | None) -> str:
    """Name of the score, the default of the family for None.

    Raises
    ------
    ValueError
        If it is not known or does not suit the family.
    """
    family = fit.likelihood.family
    labels = family.name in LABELS
    if score is None:
        return "aps" if labels else "distribution" if family.likelihood else "pearson"
    known = list(CLASSES if labels else NUMERIC)
    if score not in known:
        raise ValueError(f"score={score!r} does not suit family {family.name!r}; choose one of {known}.")
    if score == "distribution" and not family.likelihood:
        raise ValueError(f"score='distribution': family {family.name!r} claims no distribution; use score='pearson'.")
    return score
