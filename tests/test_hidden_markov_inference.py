"""Hidden Markov models: gradients, observed information, pseudo-residuals, covariates and lags."""

import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn.exceptions import ConvergenceWarning
from test_hidden_markov import LENGTHS, STATES, K, Y, quiet, simulated

from reglm.estimators.hidden_markov import HiddenMarkovModel
from reglm.statespace.expectation import EStep
from reglm.statespace.free import Free, Gradient, information


def fitted(name):
    options = {"random_state": 0, "max_iter": 4}
    mixed = np.hstack([simulated("gaussian"), simulated("student_t")])
    return {
        "full": lambda: quiet(HiddenMarkovModel(2, **options), Y, lengths=LENGTHS),
        "tied": lambda: quiet(HiddenMarkovModel(2, covariance="tied", **options), Y, lengths=LENGTHS),
        "diagonal": lambda: quiet(HiddenMarkovModel(2, covariance="diagonal", **options), Y, lengths=LENGTHS),
        "spherical": lambda: quiet(HiddenMarkovModel(2, covariance="spherical", **options), Y, lengths=LENGTHS),
        "mixture": lambda: quiet(HiddenMarkovModel(2, n_mixtures=2, **options), Y[:, :1], lengths=LENGTHS),
        "bernoulli": lambda: quiet(HiddenMarkovModel(2, "bernoulli", **options), simulated("bernoulli")),
        "poisson": lambda: quiet(HiddenMarkovModel(2, "poisson", **options), simulated("poisson")),
        "mixed": lambda: quiet(HiddenMarkovModel(2, ["gaussian", "student_t"], **options), mixed, lengths=LENGTHS),
        "driven": lambda: quiet(
            HiddenMarkovModel(2, covariates="both", hidden=(2,), **options), Y, Y[:, 0] ** 2, lengths=LENGTHS
        ),
    }[name]()


@pytest.mark.parametrize(
    "name", ["full", "tied", "diagonal", "spherical", "mixture", "bernoulli", "poisson", "mixed", "driven"]
)
def test_gradient_and_information_equal_differences(name):
    model = fitted(name)
    rows, division, weights = model._training
    free = Free(model.model_, model.parameters_)
    gradient = Gradient(free, rows, EStep(division.lengths, weights, "python"))
    theta, n, h = gradient.base[gradient.chosen], len(rows.y), 1e-5
    H = information(free, rows, division.lengths, weights)
    for j, e in enumerate(h * np.eye(len(theta))):
        (up, slope_up), (down, slope_down) = gradient(theta + e), gradient(theta - e)
        np.testing.assert_allclose(gradient(theta)[1][j], (up - down) / (2 * h), atol=1e-7)
        np.testing.assert_allclose(H[j] / n, (slope_up - slope_down) / (2 * h), atol=1e-6)


def test_round_trip_of_free_parameters():
    for name in ("full", "tied", "mixture", "mixed"):
        model = fitted(name)
        free = Free(model.model_, model.parameters_)
        again = free.parameters(free.arrays(model.parameters_))
        np.testing.assert_allclose(again.initial, model.initial_, atol=1e-12)
        for key, value in model.emission_.items():
            np.testing.assert_allclose(again.emission[key], value, rtol=1e-9, atol=1e-12)


def test_standard_errors_of_one_state_are_the_textbook_ones():
    model = quiet(HiddenMarkovModel(1, random_state=0), Y[:, :1])
    table = model.summary().as_frame()
    sd = Y[:, 0].std()
    np.testing.assert_allclose(table.loc["state 0: mean[0]", "std err"], sd / 10, rtol=1e-6)
    np.testing.assert_allclose(table.loc["state 0: std. dev.[0]", "std err"], sd / np.sqrt(200), rtol=1e-6)


def test_summary_says_what_is_wrong():
    with pytest.warns(ConvergenceWarning):
        model = HiddenMarkovModel(2, random_state=0, max_iter=2, tol=0, n_init=2).fit(Y[:, :1])
    text = model.summary().as_text()
    assert "had not converged" in text
    assert "of 2 starts" in text


@pytest.mark.parametrize("family", ["gaussian", "poisson", "gamma"])
def test_pseudo_residuals_of_the_right_model_are_standard_normal(family):
    model = quiet(HiddenMarkovModel(2, family, random_state=0, max_iter=5), simulated(family), lengths=LENGTHS)
    y, _ = model.sample(1500, random_state=3)
    residuals = model.pseudo_residuals(y, random_state=1)
    assert stats.kstest(residuals[:, 0], "norm").pvalue > 1e-3
    assert abs(np.corrcoef(residuals[1:, 0], residuals[:-1, 0])[0, 1]) < 0.08
    y[3] = np.nan
    assert np.isnan(model.pseudo_residuals(y)[3]).all()


def test_emissions_and_moves_depend_on_covariates():
    rng = np.random.default_rng(0)
    n = 800
    x, z = rng.normal(size=(n, 1)), np.zeros(n, int)
    for t in range(1, n):
        stay = 1 / (1 + np.exp(-(1.5 + 2 * x[t, 0])))
        z[t] = z[t - 1] if rng.random() < stay else 1 - z[t - 1]
    y = np.where(z, 3 - x[:, 0], -3 + 2 * x[:, 0]) + 0.5 * rng.normal(size=n)
    model = quiet(HiddenMarkovModel(2, covariates="both", random_state=0, max_iter=30), x, y)
    assert np.diff(model.history_).min() > -1e-8
    slopes = model.emission_["coef"][:, 0, 0] / model._scaling[1][0]
    np.testing.assert_allclose(slopes, [2, -1], atol=0.15)
    leave = model.parameters_.moves["coef"][[0, 1], 0, [1, 0]] / model._scaling[1][0]
    np.testing.assert_allclose(leave, [-2, -2], atol=0.7)
    assert (model.predict(x, y) == z).mean() > 0.98
    drawn, _ = model.sample(X=x, random_state=0)
    assert drawn.shape == (n, 1)
    with pytest.raises(ValueError, match="pass y too"):
        model.logpdf(x)
    unseen = model.predict_proba(x)  # what the covariates alone say
    np.testing.assert_allclose(
        unseen[1],
        unseen[0]
        @ np.exp(model.model_.transitions.log(model.parameters_.moves, (x - model._scaling[0]) / model._scaling[1])[1]),
    )


def test_lags_without_effect_change_nothing_and_with_it_help():
    rng = np.random.default_rng(0)
    y = np.zeros((150, 3))
    for t in range(1, 150):
        y[t] = rng.random(3) < 0.1 + 0.8 * y[t - 1]
    plain = quiet(HiddenMarkovModel(2, "bernoulli", random_state=0, max_iter=15), y)
    none, one = (
        quiet(HiddenMarkovModel(2, "bernoulli", order=1, alpha=a, random_state=0, max_iter=15), y) for a in (1e8, 1.0)
    )
    assert none.loglik_ == pytest.approx(plain.loglik_, abs=3)
    assert one.loglik_ > plain.loglik_ + 5
    assert np.diff(one.history_).min() > -1e-9
    drawn, states = one.sample(lengths=[2000, 2000], random_state=0)
    assert drawn.shape == (4000, 3)
    assert len(np.unique(states)) == 2
    stays = [np.mean(rows[1:][rows[:-1] == 1]) for rows in (y, drawn[:2000])]
    assert stays[1] == pytest.approx(stays[0], abs=0.06)


def test_forecasts_start_from_the_filtered_states():
    model = quiet(HiddenMarkovModel(K, random_state=0), Y, lengths=LENGTHS)
    found = model.forecast(Y, 3, LENGTHS, n_samples=4000, random_state=1)
    assert found.mean.shape == (len(LENGTHS), 3, Y.shape[1])
    belief = model.filtered_proba(Y, lengths=LENGTHS)[np.cumsum(LENGTHS) - 1]
    for step in range(3):
        belief = belief @ model.transition_
        error = found.draws[:, :, step].std(axis=0) / np.sqrt(4000)
        assert np.abs((found.mean[:, step] - belief @ model.emission_["mean"]) / error).max() < 4.5
    assert np.all((found.lower < found.mean) & (found.mean < found.upper))


def test_forecasts_of_autoregressions_continue_the_last_rows():
    rng = np.random.default_rng(0)
    y = np.zeros((300, 1))
    for t in range(2, 300):
        y[t] = 1.5 * y[t - 1] - 0.9 * y[t - 2] + rng.normal()
    model = quiet(HiddenMarkovModel(1, order=2, random_state=0), y)
    found = model.forecast(y, 1, n_samples=4000, random_state=0)
    assert found.mean[0, 0, 0] == pytest.approx(1.5 * y[-1, 0] - 0.9 * y[-2, 0], abs=0.3)


def test_forecasts_say_what_they_need():
    model = quiet(HiddenMarkovModel(2, random_state=0, max_iter=5), Y)
    with pytest.raises(ValueError, match="must be 1 or more"):
        model.forecast(Y, 0)
    given = quiet(HiddenMarkovModel(2, random_state=0, max_iter=5), Y[:, :1], Y[:, 1:])
    with pytest.raises(ValueError, match="knows no covariates"):
        given.forecast(Y[:, :1], 2)


def test_number_of_states_by_criteria():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fits = {k: HiddenMarkovModel(k, random_state=0).fit(Y[:, :1], lengths=LENGTHS) for k in (1, 2, K, 4)}
    assert min(fits, key=lambda k: fits[k].bic()) == K
    assert fits[1].icl() == pytest.approx(fits[1].bic())
    assert fits[2].icl() > fits[2].bic()
    assert STATES.max() + 1 == K
