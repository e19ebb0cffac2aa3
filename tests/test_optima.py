"""Which restarts ended in the same optimum, and what each is worth."""

from dataclasses import replace

import numpy as np
import pytest

from reglm import RecursiveGLMRegressor
from reglm.inference.canonical import canonical
from reglm.inference.optima import log_likelihood, optima

RNG = np.random.default_rng(0)
N = 300
X = RNG.normal(size=(N, 3))
ETA = 0.3 + np.tanh(X @ np.array([[1.5, -1.0], [-1.0, 1.5], [0.5, 1.0]]) + [0.3, -0.5]) @ [1.2, -1.0]
RESPONSES = {"gaussian": ETA + 0.5 * RNG.normal(size=N), "poisson": RNG.poisson(np.exp(ETA))}


@pytest.fixture(scope="module", params=RESPONSES)
def model(request):
    return RecursiveGLMRegressor((2,), family=request.param, n_init=8, random_state=0).fit(X, RESPONSES[request.param])


def test_restarts_are_told_apart(model):
    table = model.inference().optima()
    fit = model.fit_
    assert table["reached"].sum() == 8
    assert 2 <= len(table) < 8
    assert table["chosen"].tolist() == [True] + [False] * (len(table) - 1)
    assert table["objective"].is_monotonic_increasing
    assert table["log_likelihood"][1] == fit.log_likelihood
    assert table["bic"][1] == pytest.approx(model.inference().bic, rel=1e-12)
    best = optima(fit)[0]
    forms = [canonical(fit.likelihood.network, r.theta) for r in fit.restarts if r.objective < best.objective + 1e-6]
    assert len(forms) >= 2
    for form in forms:
        np.testing.assert_allclose(form, canonical(fit.likelihood.network, fit.theta), atol=0.02)


def test_log_likelihood_of_another_optimum_is_that_of_a_fit_that_chose_it(model):
    fit = model.fit_
    other = optima(fit)[1]
    again = fit.refit(fit.data, start=other.theta)
    assert log_likelihood(fit, again.theta, fit.data) == pytest.approx(again.log_likelihood, rel=1e-12)
    assert other.log_likelihood == pytest.approx(again.log_likelihood, abs=0.05)


def test_the_log_likelihood_of_the_estimates_is_that_of_the_fit():
    for family in ("gamma", "bernoulli", "quasi_poisson"):
        y = RNG.poisson(np.exp(ETA)) + 1.0 if family != "bernoulli" else (ETA > 0.3) ^ (RNG.random(N) < 0.3)
        fit = RecursiveGLMRegressor(family=family).fit(X, y, sample_weight=np.tile([1.0, 2.0], N // 2)).fit_
        np.testing.assert_allclose(log_likelihood(fit, fit.theta, fit.data), fit.log_likelihood, rtol=1e-12)


def test_symmetric_images_are_one_optimum(model):
    fit = model.fit_
    restart = min(fit.restarts, key=lambda r: r.objective)
    image = replace(restart, theta=canonical(fit.likelihood.network, -restart.theta))
    form = replace(restart, theta=canonical(fit.likelihood.network, restart.theta))
    assert len(optima(replace(fit, restarts=[restart, form]))) == 1
    assert len(optima(replace(fit, restarts=[restart, image]))) == 2


def test_canonical_parameters_are_labelled(model):
    theta = model.inference().canonical_theta()
    assert theta.index[0].startswith("hidden1.W[")
    assert theta.index[0].endswith(", 1]")
    assert (theta[["output.W[hidden1[1], 1]", "output.W[hidden1[2], 1]"]] > 0).all()
    assert (model.inference().canonical_bse().index == theta.index).all()
    np.testing.assert_allclose(sorted(model.inference().canonical_bse()[-3:-1]), sorted(model.inference().bse[1:]))


def test_models_from_a_file_have_no_optima(model):
    with pytest.raises(ValueError, match="optima need the training rows"):
        optima(replace(model.fit_, data=None))
