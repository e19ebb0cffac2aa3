"""Information criteria and effective degrees of freedom against closed forms, statsmodels and simulation."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from statsmodels.tools.eval_measures import aicc as aicc_formula

from reglm import RecursiveGLMClassifier, RecursiveGLMRegressor
from reglm.inference import criteria

N = 120
RNG = np.random.default_rng(3)
X = pd.DataFrame(RNG.normal(size=(N, 3)), columns=["a", "b", "c"])
ETA = np.asarray(0.3 + 0.4 * X["a"] - 0.3 * X["b"])
COUNTS = RNG.poisson(np.exp(ETA))
REAL = ETA + RNG.normal(size=N)
DESIGN = sm.add_constant(X).to_numpy()


def fitted(y, **options):
    return RecursiveGLMRegressor(**options).fit(X, y).inference()


def test_ridge_has_the_trace_of_the_hat_matrix():
    found = fitted(REAL, alpha=20.0)
    P = np.diag([0.0, 20.0, 20.0, 20.0])
    hat = DESIGN @ np.linalg.solve(DESIGN.T @ DESIGN + P, DESIGN.T)
    assert found.edf == pytest.approx(np.trace(hat), rel=1e-10)
    table = found.criteria()
    assert table.frame.loc["AIC (edf)", "value"] == pytest.approx(-2 * found.llf + 2 * np.trace(hat))
    assert "penalised" in table.notes[0]
    assert fitted(REAL).edf == 4


def test_penalised_counts_have_the_trace_of_the_weighted_hat_matrix():
    found = fitted(COUNTS, family="poisson", alpha=10.0)
    H = DESIGN.T @ (np.exp(DESIGN @ found.params[["Intercept", "a", "b", "c"]].to_numpy())[:, None] * DESIGN)
    expected = np.trace(np.linalg.solve(H + np.diag([0.0, 10.0, 10.0, 10.0]), H))
    assert found.edf == pytest.approx(expected, rel=1e-8)
    assert criteria.edf(found.fit, "observed") == pytest.approx(expected, rel=1e-8)


def test_hidden_units_in_effect_fall_with_the_penalty():
    loose, tight = (fitted(REAL, hidden=(2,), alpha=a, n_init=2, random_state=0).edf for a in (0.01, 3.0))
    assert 1 < tight < loose < 11


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_small_samples_are_corrected_as_statsmodels_has_it(family):
    y = REAL if family == "gaussian" else COUNTS
    found, m = fitted(y, family=family), 5 if family == "gaussian" else 4
    shift = 2.0 * (m - 4)  # statsmodels' formula has the dispersion in both places
    assert found.aicc == pytest.approx(aicc_formula(found.llf, N, m) - shift, rel=1e-12)
    assert fitted(y[:N], family=family).criteria().frame.loc["AICc", "value"] == found.aicc


def test_takeuchi_of_least_squares_is_the_closed_form():
    ols = sm.OLS(REAL, DESIGN).fit()
    spread = DESIGN.T @ (ols.resid[:, None] ** 2 * DESIGN)
    expected = np.trace(np.linalg.solve(DESIGN.T @ DESIGN, spread)) / (ols.ssr / N)
    found = fitted(REAL)
    assert criteria.tic_penalty(found.fit) == pytest.approx(expected, rel=1e-9)
    assert found.tic == pytest.approx(-2 * ols.llf + 2 * expected, rel=1e-9)


def test_takeuchi_of_counts_is_the_trace_of_bread_and_meat():
    glm = sm.GLM(COUNTS, DESIGN, sm.families.Poisson()).fit()
    scores = DESIGN * glm.resid_response[:, None]
    expected = np.trace(glm.cov_params() @ scores.T @ scores)
    assert criteria.tic_penalty(fitted(COUNTS, family="poisson").fit) == pytest.approx(expected, rel=1e-7)


def test_takeuchi_counts_parameters_if_the_model_is_right_and_more_if_variances_are_too_small():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(4000, 2))
    mu = np.exp(0.5 + 0.4 * x[:, 0])
    right = RecursiveGLMRegressor(family="poisson").fit(x, rng.poisson(mu)).fit_
    assert criteria.tic_penalty(right) == pytest.approx(3.0, abs=0.25)
    assert criteria.aic(right) == pytest.approx(criteria.tic(right), abs=0.5)
    wrong = RecursiveGLMRegressor(family="poisson").fit(x, rng.poisson(mu * rng.gamma(1.0, 1.0, 4000))).fit_
    assert criteria.tic_penalty(wrong) > 6.0


def test_takeuchi_with_a_penalty_takes_the_penalised_score():
    found = fitted(REAL, alpha=20.0)
    b = found.params[["Intercept", "a", "b", "c"]].to_numpy()
    P = np.diag([0.0, 20.0, 20.0, 20.0])
    U = DESIGN * (REAL - DESIGN @ b)[:, None]
    Q = (U - P @ b / N).T @ U
    phi = np.mean((REAL - DESIGN @ b) ** 2)
    expected = np.trace(np.linalg.solve(DESIGN.T @ DESIGN + P, Q)) / phi
    assert criteria.tic_penalty(found.fit) == pytest.approx(expected, rel=1e-8)


def test_repetitions_are_rows():
    weights = RNG.integers(1, 4, N)
    rows = np.repeat(np.arange(N), weights)
    counted = RecursiveGLMRegressor(family="poisson", freq_weights=True).fit(X, COUNTS, sample_weight=weights)
    written = RecursiveGLMRegressor(family="poisson").fit(X.iloc[rows], COUNTS[rows])
    found, expected = (m.inference().criteria().frame for m in (counted, written))
    pd.testing.assert_frame_equal(found, expected, rtol=1e-7)


def test_singular_networks_and_quasi_families_are_pointed_out():
    fit = RecursiveGLMRegressor((2,), n_init=1, random_state=0).fit(X, REAL).fit_
    theta = fit.theta.copy()
    fit.likelihood.layout.views(theta)["output.W"][1] = 0.0
    table = criteria.criteria(replace(fit, theta=theta))
    assert any("singular" in note for note in table.notes)
    assert np.isnan(table.frame.loc["TIC", "value"])
    quasi = fitted(COUNTS, family="quasi_poisson").criteria()
    assert "no likelihood" in quasi.notes[0]
    lasso = fitted(REAL, l1=30.0)
    assert lasso.edf == np.count_nonzero(lasso.fit.theta)
    assert "No TIC" in lasso.criteria().notes[0]


def test_tables_in_every_form():
    found = RecursiveGLMClassifier().fit(X, REAL > 0).inference().criteria()
    assert "AIC (edf)" in str(found)
    assert "<caption>Information criteria" in found._repr_html_()
    assert r"\begin{tabular}{lrr}" in found.as_latex()
    assert found.as_frame().shape == (5, 2)
