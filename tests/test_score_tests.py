"""Score tests against statsmodels, against likelihood ratios of refits, and their size by simulation."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from reglm import RecursiveGLMClassifier, RecursiveGLMRegressor
from reglm.inference.score_tests import score_test_hidden_unit, score_test_input

N = 200
RNG = np.random.default_rng(5)
X = RNG.normal(size=(N, 3))
Z = RNG.normal(size=(N, 2))
ETA = 0.3 + X @ [0.4, -0.3, 0.1]
PEER = sm.families
PROBIT, LOG = PEER.links.Probit(), PEER.links.Log()
CASES = {
    "gaussian": ("gaussian", None, ETA + RNG.normal(size=N), PEER.Gaussian()),
    "poisson": ("poisson", None, RNG.poisson(np.exp(ETA)), PEER.Poisson()),
    "probit": ("bernoulli", "probit", (ETA + RNG.normal(size=N) > 0).astype(float), PEER.Binomial(PROBIT)),
    "gamma": ("gamma", "log", RNG.gamma(3.0, np.exp(ETA) / 3.0), PEER.Gamma(LOG)),
}


@pytest.mark.parametrize("information", ["observed", "expected"])
@pytest.mark.parametrize("name", CASES)
def test_without_hidden_layers_it_is_that_of_statsmodels(name, information):
    family, link, y, peer = CASES[name]
    theirs = sm.GLM(y, sm.add_constant(X), peer).fit(tol=1e-15, maxiter=30)
    statistic, pvalue = theirs.score_test(exog_extra=Z, observed=information == "observed")
    found = RecursiveGLMRegressor(family=family, link=link).fit(X, y).inference().score_test_input(Z, information)
    assert found.statistic == pytest.approx(float(statistic[0]), rel=1e-8)
    assert found.pvalue == pytest.approx(float(pvalue[0]), rel=1e-8)
    assert found.df == 2


@pytest.fixture(scope="module")
def network():
    y = np.random.default_rng(1).poisson(np.exp(0.3 + 1.2 * np.tanh(1.5 * X[:, 0] - X[:, 1])))
    return RecursiveGLMRegressor((1,), family="poisson", n_init=3, random_state=0).fit(X, y)


def test_a_small_effect_beside_a_network_has_the_same_likelihood_ratio(network):
    found = network.inference().score_test_input(pd.Series(Z[:, 0], name="z"))
    assert "for adding z" in found.name
    assert found.df == 1
    offset, fit = np.linspace(-0.3, 0.3, 13), network.fit_
    lls = [fit.refit(fit.data._replace(offset=c * Z[:, :1]), start=fit.theta).log_likelihood for c in offset]
    fitted = np.polynomial.Polynomial.fit(offset, lls, 4)
    top = max(fitted(np.linspace(-0.3, 0.3, 2001)))
    assert found.statistic == pytest.approx(2 * (top - fit.log_likelihood), rel=0.1)


def test_estimated_shape_parameters_count_as_estimated():
    y = np.random.default_rng(0).negative_binomial(2, 2 / (2 + np.exp(ETA))).astype(float)
    fit = RecursiveGLMRegressor(family="negative_binomial").fit(X, y).fit_
    full = RecursiveGLMRegressor(family="negative_binomial").fit(np.column_stack([X, Z]), y).fit_
    found = score_test_input(fit, Z)
    assert found.statistic == pytest.approx(2 * (full.log_likelihood - fit.log_likelihood), rel=0.15)


def test_several_linear_predictors_take_a_coefficient_each():
    y = np.digitize(ETA + RNG.logistic(size=N), [-0.5, 1.0])
    classes = RecursiveGLMClassifier().fit(X, y).fit_
    full = RecursiveGLMClassifier().fit(np.column_stack([X, Z]), y).fit_
    found = score_test_input(classes, Z)
    assert found.df == 4
    assert found.statistic == pytest.approx(2 * (full.log_likelihood - classes.log_likelihood), rel=0.1)


def test_what_the_model_holds_already_does_not_count():
    fit = RecursiveGLMRegressor().fit(X, CASES["gaussian"][2]).fit_
    assert score_test_input(fit, np.column_stack([Z[:, 0], Z[:, 0] + X[:, 1]])).df == 1
    with pytest.raises(ValueError, match="z adds nothing to the model"):
        score_test_input(fit, 2 * X[:, 0] + 1)


@pytest.mark.parametrize("method", ["random", "taylor"])
def test_size_and_power_of_the_test_for_a_hidden_unit(method):
    rng = np.random.default_rng(8)
    levels, powers = [], []
    for _ in range(25):
        x = rng.normal(size=(300, 2))
        for eta, rejected in ((0.3 + 0.4 * x[:, 0], levels), (0.3 + np.tanh(2 * x[:, 0] - 2 * x[:, 1] + 1), powers)):
            fit = RecursiveGLMRegressor(family="poisson").fit(x, rng.poisson(np.exp(eta))).fit_
            rejected.append(score_test_hidden_unit(fit, method).pvalue < 0.05)
    assert np.mean(levels) <= 0.16  # 25 replications: 5% has a standard error of 4.4%
    assert np.mean(powers) > 0.8


def test_a_network_that_holds_the_unit_needs_no_other(network):
    found = network.inference().score_test_hidden_unit(seed=3)
    assert found.pvalue > 0.05
    assert found.df == 6
    assert "not identified" in str(found)


def test_what_cannot_be_tested(network):
    fit = network.fit_
    for call, message in [
        (lambda: score_test_input(replace(fit, data=None), Z), "score tests need the training rows"),
        (lambda: score_test_input(fit, Z[:5]), r"z has shape \(5, 2\): it needs the 200 rows"),
        (lambda: score_test_input(fit, Z * np.nan), "not finite"),
        (lambda: score_test_input(fit, Z, "robust"), "information='robust' is not known"),
        (lambda: score_test_hidden_unit(fit, "fourier"), "method='fourier' is not known"),
        (lambda: score_test_hidden_unit(fit, units=0), "units=0 must be at least 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
