"""Tests of the dispersion of counts.

Weights of counts are taken as exposures: y is a rate, and ``w y`` the count with mean ``w mu``. Frequencies
repeat the row.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from reglm.inference.information import expected_factor, weighted_rows
from reglm.inference.residuals import Rows, pearson, training_rows
from reglm.inference.test_result import TestOutcome
from reglm.inference.units import estimable
from reglm.parameters import Array
from reglm.record import Fit

COUNTS = frozenset({"poisson", "negative_binomial"})
SMALL_MEAN = 1.0
"""Expected counts below which Pearson's statistic is poorly referred to chi-square."""


def dispersion_test(fit: Fit, method: str = "score", df_resid: float | None = None) -> TestOutcome:
    """Test whether the variance is what the family says.

    Parameters
    ----------
    fit : Fit
    method : {"score", "nb2", "nb1", "pearson"}
        ``"score"`` for the Poisson: ``sum ((y - mu)^2 - y + h mu)`` over ``sqrt(2 sum mu^2)`` with leverages h,
        which allow for estimated parameters (Dean & Lawless 1989). ``"nb2"`` and
        ``"nb1"`` for the Poisson: regression of ``((y - mu)^2 - y) / mu`` on mu, or on a constant, against
        variances ``mu + a mu^2`` and ``mu + a mu`` (Cameron & Trivedi 1990). ``"pearson"``: the Pearson statistic
        against chi-square, for counts and for successes out of trials.
    df_resid : float, optional
        Degrees of freedom of ``"pearson"``; ``n - P`` by default.

    Raises
    ------
    ValueError
        If the method is not known or the family has no variance to test.
    """
    if method not in ("score", "nb2", "nb1", "pearson"):
        raise ValueError(f"method={method!r} is not known; choose one of score, nb2, nb1, pearson.")
    rows = training_rows(fit).counted()
    if method == "pearson":
        return _pearson_test(rows, df_resid)
    if fit.likelihood.family.name not in ("poisson", "quasipoisson"):
        raise undefined(f"the dispersion test {method!r}", fit, "take method='pearson', or fit family='poisson'.")
    return _dean_test(rows) if method == "score" else _auxiliary_test(rows, method)


def _dean_test(rows: Rows) -> TestOutcome:
    y, mu = (rows.precision * value for value in (rows.data.y, rows.mean))
    repeats = rows.repeats
    kept = free(rows)
    F = expected_factor(rows.fit, rows.data, kept)
    if F is None:
        raise ValueError(
            "method='score' needs parameters that are identified; the information is singular. Take 'nb2'."
        )
    leverage = [((block[:, kept] @ F) ** 2).sum(axis=1) for block in weighted_rows(rows.fit, rows.data)]
    h = np.concatenate(leverage).reshape(mu.shape)
    score = float((repeats * ((y - mu) ** 2 - y) + h * mu).sum())
    information = 2.0 * float((repeats * mu**2).sum())
    note = f"One step puts a of the variance mu + a mu^2 at {score / information:.4g}."
    z = score / np.sqrt(information)
    return TestOutcome("Dispersion (Dean & Lawless)", float(z), np.nan, two_sided(z), "normal", (note,))


def _auxiliary_test(rows: Rows, method: str) -> TestOutcome:
    fit = rows.fit
    y, mu = (rows.precision * value for value in (rows.data.y, rows.mean))
    repeats = rows.repeats
    z, x = ((y - mu) ** 2 - y) / mu, mu if method == "nb2" else np.ones_like(mu)
    cross = (repeats * x * x).sum()
    slope = float((repeats * x * z).sum() / cross)
    n = fit.nobs * z.shape[1]
    variance = float((repeats * (z - slope * x) ** 2).sum()) / (n - 1)
    t = slope / np.sqrt(variance / cross)
    form = "mu + a mu^2" if method == "nb2" else "mu + a mu"
    notes = (
        f"Variance {form} with a = {slope:.4g}: {'over' if slope > 0 else 'under'}dispersed.",
        "The regression takes the parameters as known and rejects too often in small samples; 'score' does not.",
    )
    return TestOutcome("Dispersion (Cameron & Trivedi)", float(t), np.nan, two_sided(t), "normal", notes)


def _pearson_test(rows: Rows, df_resid: float | None) -> TestOutcome:
    fit = rows.fit
    family = fit.likelihood.family
    if family.name not in COUNTS | {"quasipoisson", "binomial", "quasibinomial"}:
        raise undefined("the dispersion test 'pearson'", fit, "it needs counts, or successes out of trials.")
    repeats = rows.repeats
    statistic = float((repeats * pearson(rows) ** 2).sum())
    df = fit.df_resid if df_resid is None else df_resid
    expected = rows.precision * rows.size * rows.mean
    if family.name.endswith("binomial") and family.name not in COUNTS:
        expected = np.minimum(expected, rows.precision * rows.size - expected)
    few = float((expected < SMALL_MEAN).mean())
    notes = (f"{few:.0%} of the expected counts are below 1, so the chi-square reference is rough.",) if few else ()
    return TestOutcome("Dispersion (Pearson)", statistic, df, float(stats.chi2.sf(statistic, df)), "chi2", notes)


def undefined(test: str, fit: Fit, remedy: str) -> ValueError:
    """Error of a test that a family has no place for."""
    return ValueError(f"{test} is not defined for family {fit.likelihood.family.name!r}; {remedy}")


def free(rows: Rows) -> Array:
    """Positions of the parameters that the data determine."""
    return estimable(rows.fit, rows.data)


def two_sided(z: float) -> float:
    """P-value of a standard normal statistic."""
    return float(2.0 * stats.norm.sf(abs(z)))
