"""Prediction intervals from the fitted distribution, with the uncertainty of its parameters.

The predictive distribution function is the average of ``F(y; mu_d, phi_d)`` over draws ``theta_d ~ N(theta, V)``
and ``phi_d = phi df / chi2_df`` of what was estimated (Gelman et al. 2013, section 14.3); its ends are quantiles of
that average, not of simulated responses. Gaussian responses with an identity link have Student's t instead, exact
for linear models.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from reglm.inference.estimates import Estimates
from reglm.inference.information import in_double
from reglm.inference.moments import draw_theta, drawn, known, moments
from reglm.inference.prediction import check_alpha
from reglm.inference.regions import LabelSets, PredictionInterval, interval
from reglm.likelihood import Data
from reglm.parameters import Array
from reglm.record import Fit

BISECTIONS = 60
ROUNDING = 1e-9
CLASSES = frozenset({"multinomial", "ordinal"})
EXACT = "Exact for normal responses: {level:.4g}% of new responses fall inside."
ASYMPTOTIC = (
    "Asymptotic: at least {level:.4g}% of new responses fall inside if family, link and network are right; "
    "the uncertainty of the estimates is allowed for."
)


def parametric(
    results: Estimates, rows: Data, alpha: float = 0.05, n_draws: int = 400, seed: int = 0, index: Any = None
) -> PredictionInterval | LabelSets:
    """Prediction intervals from the family's distribution; sets of labels for classes.

    Parameters
    ----------
    results : Estimates
    rows : Data
        See `reglm.inference.moments.new_rows`; weights divide an estimated dispersion.
    alpha : float
    n_draws, seed : int
        Draws of the parameters.
    index : sequence, optional
        Labels of the rows.

    Raises
    ------
    ValueError
        If the family claims no distribution or there are no standard errors.
    """
    check_alpha(alpha)
    check_distribution(results.fit)
    fit = in_double(results.fit)
    family, level = fit.likelihood.family, 100 * (1 - alpha)
    theta, V = known(results)
    region = {"alpha": alpha, "method": "parametric", "guarantee": ASYMPTOTIC.format(level=level), "index": index}
    if family.name == "gaussian" and fit.likelihood.link.name == "identity":
        m = moments(fit.likelihood, theta, V, rows)
        half = _critical(results, alpha) * np.sqrt(m.mean_variance + fit.dispersion / rows.weights)
        if fit.is_linear and not fit.penalty.any() and results.cov_type == "expected":
            region["guarantee"] = EXACT.format(level=level)
        return interval(m.mean - half, m.mean + half, **region)
    rng = np.random.default_rng(seed)
    draws, phi = draw_theta(theta, V, n_draws, rng), draw_dispersion(results, n_draws, rng)
    if family.name in CLASSES:
        return LabelSets(contains=_likely(fit, draws, rows, alpha), **region)
    return interval(*_mixture_ends(fit, draws, phi, rows, (alpha / 2, 1 - alpha / 2)), **region)


def check_distribution(fit: Fit) -> None:
    """Raise if the family claims no distribution."""
    family = fit.likelihood.family
    if not family.likelihood:
        raise ValueError(
            f"family {family.name!r} claims no distribution, so it has no parametric prediction intervals or draws; "
            "use method='conformal', or a family with a distribution such as 'negative_binomial'."
        )


def _critical(results: Estimates, alpha: float) -> float:
    fixed = results.fit.dispersion_method == "fixed"
    return float((stats.norm() if fixed else stats.t(results.df_resid)).isf(alpha / 2))


def draw_dispersion(results: Estimates, n_draws: int, rng: np.random.Generator) -> Array:
    """Draws (D,) of phi: ``phi df / chi2_df`` where it was estimated, phi where it is fixed."""
    fit = results.fit
    if fit.likelihood.family.dispersion == "fixed" or fit.dispersion_method == "fixed":
        return np.full(n_draws, fit.dispersion)
    return fit.dispersion * results.df_resid / rng.chisquare(results.df_resid, n_draws)


def _likely(fit: Fit, draws: Array, rows: Data, alpha: float) -> Array:
    """Smallest sets (n, K) of classes whose average probabilities reach 1 - alpha."""
    if np.any(fit.likelihood.family.size(rows.y) != 1):
        raise ValueError("trials must be 1: sets of labels are for single responses, not for counts of classes.")
    p = np.concatenate([part.mean(axis=0) for part in drawn(fit.likelihood, draws, rows, "location")])
    order = np.argsort(-p, axis=1, kind="stable")
    before = np.cumsum(np.take_along_axis(p, order, axis=1), axis=1) - np.take_along_axis(p, order, axis=1)
    contains = np.zeros(p.shape, dtype=bool)
    np.put_along_axis(contains, order, before < 1 - alpha, axis=1)
    return contains


def _mixture_ends(fit: Fit, draws: Array, phi: Array, rows: Data, levels: tuple[float, float]) -> list[Array]:
    """Two quantiles (n, K) of the predictive distribution."""
    likelihood = fit.likelihood
    slices = {spec.name: likelihood.layout.slices[spec.name] for spec in likelihood.shape_specs}
    shape = {name: draws[:, part].reshape(-1, 1, 1) for name, part in slices.items()}
    size = np.broadcast_to(likelihood.family.size(rows.y), (len(rows.y), 1))
    found, start = [], 0
    for location in drawn(likelihood, draws, rows, "location"):
        part = slice(start, start + location.shape[1])
        scale = phi[:, None, None] / rows.weights[part]
        mixture = likelihood.family.distribution(location, scale, size[part], **shape)
        found.append([mixture_quantile(mixture, q) for q in levels])
        start = part.stop
    return [np.concatenate(ends) for ends in zip(*found, strict=True)]


def mixture_quantile(distribution: Any, q: float) -> Array:
    """Smallest y (n, K) at which the average of the D distribution functions reaches q.

    Parameters
    ----------
    distribution : frozen SciPy distribution of shape (D, n, K)
    q : float

    Notes
    -----
    The quantile lies between the smallest and the largest of the D quantiles; bisection keeps the average below q
    at the lower end and at least q at the upper one, so that point masses and whole numbers are met exactly. Draws
    whose mean overflows have no quantile; where too many do, the result is infinite.
    """
    discrete = hasattr(distribution, "pmf")
    with np.errstate(all="ignore"):
        each = distribution.ppf(q)
        each[~np.isfinite(each)] = np.nan
    low, high = np.nanmin(each, axis=0), np.nanmax(each, axis=0)
    at_low, at_high = (np.nan_to_num(distribution.cdf(end)).mean(axis=0) for end in (low, high))
    high = np.where(at_low >= q, low, high)
    for _ in range(BISECTIONS):
        gap = high - low
        if np.all(gap <= (1.0 if discrete else 1e-11 * np.maximum(np.abs(low), np.abs(high)))):
            break
        middle = np.floor(low + gap / 2) if discrete else low + gap / 2
        reached = np.nan_to_num(distribution.cdf(middle)).mean(axis=0) >= q
        low, high = np.where(reached, low, middle), np.where(reached, middle, high)
    return np.where(at_high < q - ROUNDING, np.inf, high)
