"""Tests of what a model takes for granted: zeros, link, calibration, distribution.

Weights of counts are taken as exposures: y is a rate, and ``w y`` the count with mean ``w mu``. Frequencies
repeat the row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import optimize, stats

from reglm.inference.calibration import groups as quantile_groups
from reglm.inference.covariances import FACTORS
from reglm.inference.dispersion import COUNTS, free, two_sided, undefined
from reglm.inference.information import expected_factor
from reglm.inference.residuals import Rows, cells, quantile, training_rows
from reglm.inference.test_result import TestOutcome
from reglm.jacobian import blocks, jacobian
from reglm.parameters import Array
from reglm.record import Fit
from reglm.response import has_information

LONGEST_SHAPIRO = 5000
"""Rows up to which the p-value of Shapiro and Wilk's test is known (Royston 1995)."""
NOTHING_LEFT = 1e-8
"""Share of its information below which an added column counts as one that the model has."""
JUMP = 1e-9
"""Steps of a distribution function below this are rounding."""
SMALLEST_LOG_ZERO = -300.0
"""Logarithms of the probability of a zero are held above this: such rows carry no weight anyway."""


# -- zeros ------------------------------------------------------------------------------------------------


def zero_inflation_test(fit: Fit, method: str = "count") -> TestOutcome:
    """Test the number of zeros, positive if there are too many.

    Parameters
    ----------
    fit : Fit
    method : {"count", "broek"}
        With p the probability of a zero in a row: "count" compares the number of zeros with the sum of p (He, Zhang,
        Ye & Tang 2019); "broek" is the score test of a share of additional zeros, ``sum (1[y = 0] - p) / p`` (van den
        Broek 1995), which rows with large means dominate, so that it has little power where means vary widely.

    Notes
    -----
    The variance allows for estimated parameters: the covariance with their score is p times that score at y = 0, so
    that the test serves every network and family of counts.

    Raises
    ------
    ValueError
        Unless the family is Poisson or negative binomial, or for another method.
    """
    if method not in ("count", "broek"):
        raise ValueError(f"method={method!r} is not known; choose 'count' or 'broek'.")
    rows = training_rows(fit).counted()
    exact, likelihood = rows.fit, rows.fit.likelihood
    if likelihood.family.name not in COUNTS:
        raise undefined("the zero-inflation test", fit, "it needs family 'poisson' or 'negative_binomial'.")
    nothing = np.zeros_like(rows.data.y)
    log_zero = likelihood.response.log_density(nothing, rows.eta, 1.0, rows.precision, rows.shape)
    p = np.exp(np.maximum(log_zero, SMALLEST_LOG_ZERO))
    repeats, part = rows.repeats, p if method == "count" else np.ones_like(p)
    score = float((repeats * part * ((rows.data.y == 0) - p) / p).sum())
    kept = free(rows)
    plain = not likelihood.shape_specs and has_information(likelihood.family)
    F = FACTORS["expected" if plain else "observed"](exact, rows.data, kept)
    if F is None:
        raise ValueError("the zero-inflation test needs parameters that are identified; the information is singular.")
    at_zero = rows.data._replace(y=nothing, weights=rows.data.weights * part)
    cross = -likelihood.value_grad(exact.theta, at_zero)[1][kept]
    variance = float((repeats * part**2 * (1 - p) / p).sum() - ((F.T @ cross) ** 2).sum())
    z = score / np.sqrt(variance)
    zeros, expected = float((repeats * (rows.data.y == 0)).sum()), float((repeats * p).sum())
    note = f"{zeros:g} zeros where the model expects {expected:.1f}."
    name = "Number of zeros" if method == "count" else "Zero inflation (van den Broek)"
    return TestOutcome(name, float(z), np.nan, two_sided(z), "normal", (note,))


# -- link -------------------------------------------------------------------------------------------------


def link_test(fit: Fit, method: str = "score") -> TestOutcome:
    """Test the link by adding the square of the linear predictor to the model (Pregibon 1980).

    Parameters
    ----------
    fit : Fit
    method : {"score", "lr"}
        ``"score"`` takes the fit alone. ``"lr"`` fits the larger model too, all its parameters free: the
        coefficient of the square is found by fits with it in the offset.

    Raises
    ------
    ValueError
        If the method is not known, there are several linear predictors, the information is singular, or the
        model can add the square already.
    """
    rows = training_rows(fit).counted()
    if rows.eta.shape[1] != 1:
        raise undefined("the link test", fit, "it needs one linear predictor.")
    if method not in ("score", "lr"):
        raise ValueError(f"method={method!r} is not known; choose 'score' or 'lr'.")
    slope, information = _added(rows, rows.eta[:, 0] ** 2)
    phi = fit.dispersion
    if method == "score":
        statistic = slope**2 / information / phi
        note = f"One step puts the coefficient of eta^2 at {slope / information:.4g}."
        return TestOutcome("Link (Pregibon, score)", statistic, 1, float(stats.chi2.sf(statistic, 1)), "chi2", (note,))
    best, gain = _profile(rows, rows.eta**2, slope / information)
    statistic = 2.0 * gain / phi
    note = f"The coefficient of eta^2 is {best:.4g}."
    if fit.likelihood.family.dispersion == "fixed":
        return TestOutcome("Link (Pregibon, LR)", statistic, 1, float(stats.chi2.sf(statistic, 1)), "chi2", (note,))
    df = fit.df_resid - 1
    statistic = 2.0 * gain / ((fit.df_resid * phi - 2.0 * gain) / df)
    return TestOutcome("Link (Pregibon, F)", statistic, (1, df), float(stats.f.sf(statistic, 1, df)), "F", (note,))


def _added(rows: Rows, z: Array) -> tuple[float, float]:
    """Score of an added column z (n,), and the information about it that the other parameters leave."""
    fit, data = rows.fit, rows.data
    likelihood = fit.likelihood
    network = likelihood.layout.size - sum(int(np.prod(s.shape)) for s in likelihood.shape_specs)
    kept = free(rows)
    kept = kept[kept < network]
    F = expected_factor(fit, data, kept)
    if F is None:
        raise ValueError("the link test needs parameters that are identified; the information is singular.")
    _, s, W = likelihood.working(fit.theta, data)
    w = W[:, 0, 0]
    cross = np.zeros(likelihood.layout.size)
    for which in blocks(likelihood, data):
        cross += jacobian(likelihood, fit.theta, data.rows(which)).T @ (w[which] * z[which])
    total = float(z @ (w * z))
    left = total - float(((F.T @ cross[kept]) ** 2).sum())
    if left < NOTHING_LEFT * total:
        raise ValueError(
            "the link test is empty: small changes of the parameters add the square of the linear predictor already, "
            "as in a network of one tanh or sigmoid unit."
        )
    return float(z @ s[:, 0]), left


def _profile(rows: Rows, z: Array, guess: float) -> tuple[float, float]:
    """Coefficient of z (n, 1) at which the refitted model is best, and how much better it is."""
    data, refit = rows.data, rows.fit.refit
    if refit is None:
        raise ValueError("method='lr' fits again, which this record cannot; take 'score'.")

    def objective(coefficient: Any) -> float:
        return refit(data._replace(offset=data.offset + coefficient * z), start=rows.fit.theta).objective

    start = objective(0.0)
    found = optimize.minimize_scalar(objective, bracket=(0.0, guess), tol=1e-6)
    return float(found.x), max(0.0, start - float(found.fun))


# -- calibration and distribution -------------------------------------------------------------------------


def hosmer_lemeshow(observed: Array, fitted: Array, weights: Array, groups: int = 10, lost: int = 2) -> TestOutcome:
    """Test of the calibration of probabilities by groups of risk (Hosmer & Lemeshow 1980).

    Parameters
    ----------
    observed, fitted : ndarray (n,)
        Shares of successes and probabilities.
    weights : ndarray (n,)
        Trials.
    groups : int
        Groups of about equal weight; equal probabilities stay together.
    lost : int
        Degrees of freedom to take off: 2 for the rows a model was fitted to, 0 for new ones.

    Raises
    ------
    ValueError
        If there are too few groups.
    """
    label = quantile_groups(fitted, weights, groups)
    total, seen, expected = (np.bincount(label, v) for v in (weights, weights * observed, weights * fitted))
    used = total > 0
    total, seen, expected = total[used], seen[used], expected[used]
    df = len(total) - lost
    if df < 1:
        raise ValueError(f"groups={groups} gives {len(total)} groups of different probabilities, which are too few.")
    statistic = float(((seen - expected) ** 2 / (expected * (1 - expected / total))).sum())
    few = int(((expected < 5) | (total - expected < 5)).sum())
    notes = (f"{few} of {len(total)} groups expect fewer than 5 successes or failures.",) if few else ()
    return TestOutcome(
        "Calibration (Hosmer & Lemeshow)", statistic, df, float(stats.chi2.sf(statistic, df)), "chi2", notes
    )


def calibration_test(fit: Fit, groups: int = 10) -> TestOutcome:
    """`hosmer_lemeshow` of the training rows.

    Raises
    ------
    ValueError
        Unless responses are binary or successes out of trials.
    """
    rows = training_rows(fit).counted()
    if fit.likelihood.family.name not in ("bernoulli", "binomial") or rows.mean.shape[1] != 1:
        raise undefined("the Hosmer-Lemeshow test", fit, "it needs one binary or binomial response.")
    return hosmer_lemeshow(rows.observed[:, 0], rows.mean[:, 0], (rows.data.weights * rows.size)[:, 0], groups)


def normality_test(fit: Fit, seed: int | None = 0) -> TestOutcome:
    """Test whether randomised quantile residuals are normal: whether the family's distribution fits.

    Shapiro and Wilk's W (1965) up to 5,000 residuals; Jarque and Bera's statistic (1980) beyond.

    Parameters
    ----------
    fit : Fit
    seed : int or None
        Of the randomisation.
    """
    rows = training_rows(fit).counted()
    r = quantile(rows, seed).ravel()
    below, upto = cells(rows)
    jumps = np.any(upto - below > JUMP)
    notes = ("The residuals are randomised: another seed gives another p-value.",) if jumps else ()
    if len(r) <= LONGEST_SHAPIRO:
        W, pvalue = stats.shapiro(r)
        return TestOutcome("Normal quantile residuals (Shapiro-Wilk)", float(W), np.nan, float(pvalue), "W", notes)
    statistic, pvalue = stats.jarque_bera(r)
    return TestOutcome("Normal quantile residuals (Jarque-Bera)", float(statistic), 2, float(pvalue), "chi2", notes)
