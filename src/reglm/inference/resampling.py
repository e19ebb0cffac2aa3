"""Data of one bootstrap replicate, and replicates that need no fit.

* pairs: rows, or whole clusters, drawn with replacement (Efron 1979; Davison & Hinkley 1997, section 6.2.4);
* parametric: responses drawn from the fitted distribution;
* wild: Gaussian residuals times random multipliers (Wu 1986; Mammen 1993), constant within clusters (Cameron,
  Gelbach & Miller 2008);
* wild for other families: one Newton step from scores times multipliers, ``theta + H^-1 sum_i v_i s_i``
  (Kline & Santos 2012).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from reglm.inference.covariances import covariance, default_kind
from reglm.inference.information import in_double
from reglm.inference.prediction_intervals import check_distribution
from reglm.inference.scores import row_scores
from reglm.jacobian import blocks
from reglm.likelihood import Data
from reglm.parameters import Array
from reglm.record import Fit

KINDS = ("pairs", "parametric", "wild")
Multipliers = Callable[[np.random.Generator, int], Array]
GOLDEN = (1 + math.sqrt(5)) / 2


def rademacher(rng: np.random.Generator, n: int) -> Array:
    """Draw 1 or -1 with equal probability."""
    return rng.integers(0, 2, n) * 2.0 - 1.0


def mammen(rng: np.random.Generator, n: int) -> Array:
    """Draw from two points with mean 0, variance 1 and third moment 1 (Mammen 1993)."""
    return np.where(rng.uniform(size=n) < GOLDEN / math.sqrt(5), 1 - GOLDEN, GOLDEN)


MULTIPLIERS: dict[str, Multipliers] = {"rademacher": rademacher, "mammen": mammen}


def pairs(fit: Fit, data: Data, rng: np.random.Generator, codes: Array | None) -> Data:
    """Rows, or clusters with the numbers `codes` (n,), drawn with replacement."""
    n = len(data.y)
    if codes is not None:
        members = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
        return data.rows(np.concatenate([members[g] for g in rng.integers(0, len(members), len(members))]))
    if not fit.freq_weights:
        return data.rows(rng.integers(0, n, n))
    weights = data.weights[:, 0].astype(float)
    counts = rng.multinomial(round(float(weights.sum())), weights / weights.sum())
    seen = np.flatnonzero(counts)
    return data.rows(seen)._replace(weights=counts[seen, None].astype(data.weights.dtype))


def parametric(fit: Fit, data: Data, rng: np.random.Generator) -> Data:
    """Responses drawn from the fitted distribution at the same inputs."""
    likelihood, family = fit.likelihood, fit.likelihood.family
    shape = likelihood.shape(fit.theta)
    location = likelihood.response.location(likelihood.eta(fit.theta, data.X, data.offset), shape)
    y = family.simulate(rng, location, fit.dispersion / data.weights, family.size(data.y), **shape)
    return data._replace(y=np.ascontiguousarray(y, dtype=data.y.dtype))


def wild(fit: Fit, data: Data, rng: np.random.Generator, draw: Multipliers, codes: Array | None) -> Data:
    """Fitted means plus residuals times multipliers."""
    likelihood = fit.likelihood
    mu = likelihood.response.mean(likelihood.eta(fit.theta, data.X, data.offset), likelihood.shape(fit.theta))
    return data._replace(y=(mu + _by_row(rng, draw, len(mu), codes)[:, None] * (data.y - mu)).astype(data.y.dtype))


def _by_row(rng: np.random.Generator, draw: Multipliers, n: int, codes: Array | None) -> Array:
    """Multipliers (n,), the same within a cluster."""
    return draw(rng, n) if codes is None else draw(rng, int(codes.max()) + 1)[codes]


def influences(fit: Fit, codes: Array | None = None) -> Array:
    """Change of theta per unit of extra weight on each row or cluster, ``H^-1 s_i``: (n, P) or (G, P).

    Raises
    ------
    ValueError
        If there is no information to invert; the message says why.
    """
    exact = in_double(fit)
    assert exact.data is not None
    bread = np.nan_to_num(covariance(fit, default_kind(fit))) / fit.dispersion
    theta = np.asarray(exact.theta, dtype=float)
    parts = (exact.data.rows(rows) for rows in blocks(exact.likelihood, exact.data))
    rows = np.concatenate([row_scores(exact.likelihood, theta, part) @ bread for part in parts])
    if codes is None:
        return rows
    sums = np.zeros((int(codes.max()) + 1, rows.shape[1]))
    np.add.at(sums, codes, rows)
    return sums


def score_draws(fit: Fit, theta: Array, n_boot: int, seed: int | None, draw: Multipliers, codes: Array | None) -> Array:
    """Draws (B, P) of theta by one Newton step each."""
    rng = np.random.default_rng(seed)
    change = influences(fit, codes)
    return np.stack([theta + draw(rng, len(change)) @ change for _ in range(n_boot)])


def check_kind(fit: Fit, kind: str, multiplier: str, groups: bool) -> None:
    """Raise unless this fit can be resampled like this.

    Raises
    ------
    ValueError
        If a name is not known, the model holds no data, or weights or clusters do not suit the kind.
    """
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r} is not known; choose one of {list(KINDS)}.")
    if multiplier not in MULTIPLIERS:
        raise ValueError(f"multiplier={multiplier!r} is not known; choose one of {sorted(MULTIPLIERS)}.")
    if fit.data is None or fit.refit is None:
        raise ValueError("a model loaded from a file holds no data to resample; fit it again.")
    if kind != "pairs" and fit.freq_weights:
        raise ValueError(f"kind={kind!r}: with freq_weights a row stands for several; use kind='pairs'.")
    if kind != "parametric":
        return
    check_distribution(fit)
    if groups:
        raise ValueError("kind='parametric' draws responses that are independent; with groups= use 'pairs' or 'wild'.")
    if fit.likelihood.family.dispersion == "fixed" and np.ptp(fit.data.weights) > 0:
        raise ValueError(
            f"kind='parametric': weights do not scale a dispersion in family {fit.likelihood.family.name!r}; give "
            "exposure= instead of rates with weights, or use kind='pairs'."
        )
