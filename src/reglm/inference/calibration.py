"""How well fitted means are calibrated and how well they discriminate, for the means of any model.

Rows are observed means, fitted means and weights, all (n,). A score is a mean deviance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.stats import norm

from reglm import families
from reglm.families import Family
from reglm.families.mean import SATURATED
from reglm.parameters import Array
from reglm.response import Response

if TYPE_CHECKING:
    import pandas as pd

Loss = Callable[[Array, Array], Array]
"""Deviance (n,) of each row from observed and fitted means."""
SHARES = {"binomial": "bernoulli", "quasibinomial": "bernoulli"}
"""Families whose deviance is that of shares, weighted by the trials."""


def groups(fitted: Array, weights: Array, bins: int) -> Array:
    """Number (n,) of each row's group: weighted quantiles of the fitted means, ties in one group."""
    _, inverse = np.unique(fitted, return_inverse=True)
    total = np.bincount(inverse, weights)
    middle = (np.cumsum(total) - total / 2) / total.sum()
    return np.minimum((middle * bins).astype(int), bins - 1)[inverse]


def group_table(observed: Array, fitted: Array, weights: Array, bins: int = 10, level: float = 0.95) -> pd.DataFrame:
    """Observed and fitted means in groups of equal weight, with intervals.

    Parameters
    ----------
    observed, fitted, weights : ndarray (n,)
    bins : int
    level : float

    Returns
    -------
    DataFrame (groups, 9)
        ``fitted``, ``observed``, ``low``, ``high``, ``rows``, ``weight``, and actual over expected: ``ratio``,
        ``ratio_low``, ``ratio_high``, the fitted mean taken as given.

    Raises
    ------
    ValueError
        If `bins` is below 1 or `level` not between 0 and 1.
    """
    import pandas as pd

    if bins < 1:
        raise ValueError(f"bins={bins} must be 1 or more.")
    if not 0.0 < level < 1.0:
        raise ValueError(f"level={level} must be between 0 and 1.")
    kept = weights > 0
    observed, fitted, weights = observed[kept], fitted[kept], weights[kept]
    z, group = norm.ppf(0.5 + level / 2), groups(fitted, weights, bins)
    lines = [_line(observed[group == g], fitted[group == g], weights[group == g], z) for g in np.unique(group)]
    table = pd.DataFrame(lines, columns=["fitted", "observed", "low", "high", "rows", "weight"])
    ratios = {f"ratio{end}": table[name] / table["fitted"] for end, name in RATIOS.items()}
    return table.assign(**ratios)


RATIOS = {"": "observed", "_low": "low", "_high": "high"}


def _line(observed: Array, fitted: Array, weights: Array, z: float) -> tuple[float, ...]:
    """Means of one group; the variance of a weighted mean is that of a ratio (Cochran 1977, section 6.3)."""
    total, m = weights.sum(), len(observed)
    mean = weights @ observed / total
    spread = np.sum((weights * (observed - mean)) ** 2) * m / max(m - 1, 1)
    half = z * np.sqrt(spread) / total if m > 1 else np.nan
    return weights @ fitted / total, mean, mean - half, mean + half, m, total


# -- recalibration and what it gains ----------------------------------------------------------------------


class Murphy(NamedTuple):
    """A mean deviance and its parts: ``score = miscalibration - discrimination + uncertainty``."""

    score: float
    miscalibration: float
    discrimination: float
    uncertainty: float


def recalibrated(observed: Array, fitted: Array, weights: Array) -> Array:
    """Means (n,) increasing in the fitted ones that fit the observed ones best: isotonic regression.

    They minimise every deviance at once (Dimitriadis, Gneiting & Jordan 2021), so no choice of groups remains.
    """
    from sklearn.isotonic import IsotonicRegression

    return np.asarray(IsotonicRegression().fit(fitted, observed, weights).predict(fitted))


def loss(family: str | Family, shape: dict[str, Array] | None = None) -> Loss:
    """Deviance of a family as a function of observed and fitted means; "gaussian" gives Brier's score.

    Parameters
    ----------
    family : str or Family
    shape : dict, optional
        Its shape parameters, if they were estimated.

    Raises
    ------
    ValueError
        If the deviance does not follow from means.
    """
    f = families.get(family)
    f = families.get(SHARES.get(f.name, f))
    if f.name in ("multinomial", "ordinal", "tobit") or (f.specs(np.array([[0.3], [0.6]])) and not shape):
        raise ValueError(f"family={f.name!r}: its deviance does not follow from means; choose another family.")
    response = Response(f, SATURATED)
    return lambda observed, fitted: response.unit_deviance(observed[:, None], fitted[:, None], shape)[:, 0]


def murphy(observed: Array, fitted: Array, weights: Array, unit: Loss) -> Murphy:
    """Decompose a mean deviance by isotonic recalibration (CORP; Dimitriadis, Gneiting & Jordan 2021).

    Parameters
    ----------
    observed, fitted, weights : ndarray (n,)
    unit : callable
        See `loss`.

    Returns
    -------
    Murphy
        Uncertainty is the score of the overall mean, miscalibration what recalibration gains, discrimination
        by how much the recalibrated means beat the overall one. Neither is negative.
    """
    kept = weights > 0
    observed, fitted, weights = observed[kept], fitted[kept], weights[kept]

    def score(means: Array) -> float:
        return float(np.average(unit(observed, means), weights=weights))

    best = score(recalibrated(observed, fitted, weights))
    now = score(fitted)
    none = score(np.full_like(fitted, np.average(observed, weights=weights)))
    return Murphy(now, now - best, none - best, none)


def elementary_scores(observed: Array, fitted: Array, weights: Array, thresholds: Array) -> Array:
    """Mean elementary scores (T,) of means at thresholds: a Murphy diagram (Ehm et al. 2016, equation 11).

    ``|y - t|`` where t lies between the mean and y. Every deviance is a mixture of these scores, so a model
    that is lower at all thresholds is better by every one.
    """
    low, high = np.minimum(observed, fitted), np.maximum(observed, fitted)
    share = weights / weights.sum()
    return np.array([share @ (np.abs(observed - t) * ((low <= t) & (t < high))) for t in thresholds])


# -- two models -------------------------------------------------------------------------------------------


def double_lift_table(observed: Array, first: Array, second: Array, weights: Array, bins: int = 10) -> pd.DataFrame:
    """Observed means and those of two models in groups by the ratio of the models, lowest ratio first.

    Parameters
    ----------
    observed, first, second, weights : ndarray (n,)
    bins : int

    Returns
    -------
    DataFrame (groups, 6)
        ``ratio`` second over first, ``observed``, ``first``, ``second``, ``rows``, ``weight``. The model whose
        means follow the observed ones along the groups is the better one.

    Raises
    ------
    ValueError
        If `bins` is below 1.
    """
    import pandas as pd

    if bins < 1:
        raise ValueError(f"bins={bins} must be 1 or more.")
    kept = weights > 0
    observed, first, second, weights = observed[kept], first[kept], second[kept], weights[kept]
    group = groups(second / first, weights, bins)
    sums = pd.DataFrame({"weight": weights, "observed": weights * observed, "first": weights * first,
                         "second": weights * second, "rows": 1}).groupby(group).sum()  # fmt: skip
    means = sums[["observed", "first", "second"]].div(sums["weight"], axis=0)
    table = means.assign(rows=sums["rows"], weight=sums["weight"]).reset_index(drop=True)
    table.insert(0, "ratio", table["second"] / table["first"])
    return table
