"""Tests of what a model takes for granted: dispersion, zeros, link, calibration, distribution.

Weights of counts are taken as exposures: y is a rate, and ``w y`` the count with mean ``w mu``. Frequencies
repeat the row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import optimize, stats

from reglm.inference.calibration import groups as quantile_groups
from reglm.inference.covariances import FACTORS
from reglm.inference.information import expected_factor
from reglm.inference.residuals import Rows, cells, pearson, quantile, training_rows
from reglm.inference.test_result import TestOutcome
from reglm.jacobian import blocks, jacobian
from reglm.parameters import Array
from reglm.record import Fit
from reglm.response import has_information

COUNTS = frozenset({"poisson", "negative_binomial"})
SMALL_MEAN = 1.0
"""Expected counts below which Pearson's statistic is poorly referred to chi-square."""
LONGEST_SHAPIRO = 5000
"""Rows up to which the p-value of Shapiro and Wilk's test is known (Royston 1995)."""
NOTHING_LEFT = 1e-8
"""Share of its information below which an added column counts as one that the model has."""
JUMP = 1e-9
"""Steps of a distribution function below this are rounding."""
SMALLEST_LOG_ZERO = -300.0
"""Logarithms of the probability of a zero are held above this: such rows carry no weight anyway."""


def _fail(test: str, fit: Fit, remedy: str) -> ValueError:
    return ValueError(f"{test} is not defined for family {fit.likelihood.family.name!r}; {remedy}")


# -- dispersion -------------------------------------------------------------------------------------------


def dispersion_test(fit: Fit, method: str = "nb2", df_resid: float | None = None) -> TestOutcome:
    """Test whether the variance is what the family says.

    Parameters
    ----------
    fit : Fit
    method : {"nb2", "nb1", "pearson"}
        ``"nb2"`` and ``"nb1"`` for the Poisson: regression of ``((y - mu)^2 - y) / mu`` on mu, or on a constant,
        against variances ``mu + a mu^2`` and ``mu + a mu`` (Cameron & Trivedi 1990). ``"pearson"``: the Pearson
        statistic against chi-square, for counts and for successes out of trials.
    df_resid : float, optional
        Degrees of freedom of ``"pearson"``; ``n - P`` by default.

    Raises
    ------
    ValueError
        If the method is not known or the family has no variance to test.
    """
    if method not in ("nb2", "nb1", "pearson"):
        raise ValueError(f"method={method!r} is not known; choose one of nb2, nb1, pearson.")
    rows = training_rows(fit)
    return _pearson_test(rows, df_resid) if method == "pearson" else _auxiliary_test(rows, method)


def _auxiliary_test(rows: Rows, method: str) -> TestOutcome:
    fit = rows.fit
    if fit.likelihood.family.name not in ("poisson", "quasipoisson"):
        raise _fail(f"the dispersion test {method!r}", fit, "take method='pearson', or fit family='poisson'.")
    y, mu = (rows.precision * value for value in (rows.data.y, rows.mean))
    repeats = rows.data.weights / rows.precision
    z, x = ((y - mu) ** 2 - y) / mu, mu if method == "nb2" else np.ones_like(mu)
    cross = (repeats * x * x).sum()
    slope = float((repeats * x * z).sum() / cross)
    n = fit.nobs * z.shape[1]
    variance = float((repeats * (z - slope * x) ** 2).sum()) / (n - 1)
    t = slope / np.sqrt(variance / cross)
    form = "mu + a mu^2" if method == "nb2" else "mu + a mu"
    note = f"Variance {form} with a = {slope:.4g}: {'over' if slope > 0 else 'under'}dispersed."
    return TestOutcome("Dispersion (Cameron & Trivedi)", float(t), np.nan, _two_sided(t), "normal", (note,))


def _pearson_test(rows: Rows, df_resid: float | None) -> TestOutcome:
    fit = rows.fit
    family = fit.likelihood.family
    if family.name not in COUNTS | {"quasipoisson", "binomial", "quasibinomial"}:
        raise _fail("the dispersion test 'pearson'", fit, "it needs counts, or successes out of trials.")
    repeats = rows.data.weights / rows.precision
    statistic = float((repeats * pearson(rows) ** 2).sum())
    df = fit.df_resid if df_resid is None else df_resid
    expected = rows.precision * rows.size * rows.mean
    if family.name.endswith("binomial") and family.name not in COUNTS:
        expected = np.minimum(expected, rows.precision * rows.size - expected)
    few = float((expected < SMALL_MEAN).mean())
    notes = (f"{few:.0%} of the expected counts are below 1, so the chi-square reference is rough.",) if few else ()
    return TestOutcome("Dispersion (Pearson)", statistic, df, float(stats.chi2.sf(statistic, df)), "chi2", notes)


def _two_sided(z: float) -> float:
    return float(2.0 * stats.norm.sf(abs(z)))


# -- zeros ------------------------------------------------------------------------------------------------


def zero_inflation_test(fit: Fit) -> TestOutcome:
    """Score test of a share of additional zeros (van den Broek 1995), positive if there are too many zeros.

    With p the probability of a zero the score is ``sum (1[y = 0] - p) / p``. Its variance allows for estimated
    parameters: its covariance with their score is that score at y = 0, so that the test serves every network
    and family of counts.

    Raises
    ------
    ValueError
        Unless the family is Poisson or negative binomial.
    """
    rows = training_rows(fit)
    exact, likelihood = rows.fit, rows.fit.likelihood
    if likelihood.family.name not in COUNTS:
        raise _fail("the zero-inflation test", fit, "it needs family 'poisson' or 'negative_binomial'.")
    nothing = np.zeros_like(rows.data.y)
    log_zero = likelihood.response.log_density(nothing, rows.eta, 1.0, rows.precision, rows.shape)
    p = np.exp(np.maximum(log_zero, SMALLEST_LOG_ZERO))
    repeats = rows.data.weights / rows.precision
    score = float((repeats * ((rows.data.y == 0) - p) / p).sum())
    plain = not likelihood.shape_specs and has_information(likelihood.family)
    F = FACTORS["expected" if plain else "observed"](exact, rows.data, _free(exact))
    if F is None:
        raise ValueError("the zero-inflation test needs parameters that are identified; the information is singular.")
    cross = -likelihood.value_grad(exact.theta, rows.data._replace(y=nothing))[1][_free(exact)]
    variance = float((repeats * (1 - p) / p).sum() - ((F.T @ cross) ** 2).sum())
    z = score / np.sqrt(variance)
    zeros, expected = float((repeats * (rows.data.y == 0)).sum()), float((repeats * p).sum())
    note = f"{zeros:g} zeros where the model expects {expected:.1f}."
    return TestOutcome("Zero inflation (van den Broek)", float(z), np.nan, _two_sided(z), "normal", (note,))


def _free(fit: Fit) -> Array:
    """Positions of the parameters that are not aliased."""
    aliased = np.asarray(fit.details.get("aliased", np.zeros(len(fit.theta))), dtype=bool)
    return np.flatnonzero(~aliased)


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
    rows = training_rows(fit)
    if rows.eta.shape[1] != 1:
        raise _fail("the link test", fit, "it needs one linear predictor.")
    if method not in ("score", "lr"):
        raise ValueError(f"method={method!r} is not known; choose 'score' or 'lr'.")
    slope, information = _added(rows, rows.eta[:, 0] ** 2)
    phi = fit.dispersion
    if method == "score":
        statistic = slope**2 / information / phi
        note = f"One step puts the coefficient of eta^2 at {slope / information:.4g}."
        return TestOutcome("Link (Pregibon, score)", statistic, 1, float(stats.chi2.sf(statistic, 1)), "chi2", (note,))
    best, gain = _profile(rows.fit, rows.eta**2, slope / information)
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
    kept = _free(fit)[_free(fit) < network]
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


def _profile(fit: Fit, z: Array, guess: float) -> tuple[float, float]:
    """Coefficient of z (n, 1) at which the refitted model is best, and how much better it is."""
    data, refit = fit.data, fit.refit
    if data is None or refit is None:
        raise ValueError("method='lr' fits again, for which a model loaded from a file has no data; take 'score'.")

    def objective(coefficient: Any) -> float:
        return refit(data._replace(offset=data.offset + coefficient * z), start=fit.theta).objective

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
    rows = training_rows(fit)
    if fit.likelihood.family.name not in ("bernoulli", "binomial") or rows.mean.shape[1] != 1:
        raise _fail("the Hosmer-Lemeshow test", fit, "it needs one binary or binomial response.")
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
    rows = training_rows(fit)
    r = quantile(rows, seed)[rows.data.weights[:, 0] > 0].ravel()
    below, upto = cells(rows)
    jumps = np.any(upto - below > JUMP)
    notes = ("The residuals are randomised: another seed gives another p-value.",) if jumps else ()
    if len(r) <= LONGEST_SHAPIRO:
        W, pvalue = stats.shapiro(r)
        return TestOutcome("Normal quantile residuals (Shapiro-Wilk)", float(W), np.nan, float(pvalue), "W", notes)
    statistic, pvalue = stats.jarque_bera(r)
    return TestOutcome("Normal quantile residuals (Jarque-Bera)", float(statistic), 2, float(pvalue), "chi2", notes)
