"""Standard errors of recurrent models: the observed information by differences, sandwiches by sequence."""

import numpy as np
import pytest
from network_cases import differences

from reglm.estimators.recurrent import RecurrentGLM
from reglm.inference.sequential import sequence_scores

RNG = np.random.default_rng(3)
LENGTHS = np.array([6, 9, 4, 8, 3])
N = LENGTHS.sum()
X = RNG.normal(size=(N, 1))
Y = RNG.poisson(np.exp(0.4 * X[:, 0] + 0.3 * np.roll(X[:, 0], 1))).astype(float)


@pytest.fixture(scope="module")
def model():
    return RecurrentGLM("elman", 1, "poisson", alpha=0.3, tol=1e-8, random_state=0).fit(X, Y, LENGTHS)


def test_covariances(model):
    fit = model.fit_
    gradient = lambda theta: fit.likelihood.value_grad(theta, fit.data)[1]  # noqa: E731  # said once, here
    H = differences(gradient, fit.theta)
    bread = np.linalg.inv(H + np.diag(fit.penalty))
    np.testing.assert_allclose(model.inference().cov_theta(), bread, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(model.inference("frequentist").cov_theta(), bread @ H @ bread, rtol=1e-5, atol=1e-7)
    scores = sequence_scores(fit.likelihood, fit.theta, fit.data)
    np.testing.assert_allclose(scores.sum(axis=0), -gradient(fit.theta), atol=1e-10)
    for s in range(len(LENGTHS)):
        part = fit.data.rows(np.array([s]))
        own = differences(lambda theta, part=part: -fit.likelihood.value_grad(theta, part)[0], fit.theta)
        np.testing.assert_allclose(scores[s], own, atol=1e-6)
    sandwich = bread @ scores.T @ scores @ bread
    np.testing.assert_allclose(model.inference("HC0").cov_theta(), sandwich, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(model.inference("HC1").cov_theta(), 5 / 4 * sandwich, rtol=1e-4, atol=1e-7)


def test_summary(model):
    text = str(model.summary())
    assert "1-Recurrent-1" in text
    assert "observed" in text
    assert len(model.inference().bse) == 2  # the output layer


@pytest.mark.parametrize("cov", ["expected", "HC3"])
def test_covariances_by_row_are_refused(model, cov):
    with pytest.raises(ValueError, match=f"cov='{cov}' needs rows that do not act on one another"):
        model.inference(cov).cov_theta()


def test_one_sequence_has_no_sandwich(model):
    one = RecurrentGLM("elman", 1, "poisson", alpha=0.3, tol=1e-8, random_state=0).fit(X, Y)
    assert np.isfinite(one.inference().bse).all()
    assert "spread between sequences" in one.inference("HC0").refusal
    with pytest.raises(ValueError, match="no design matrix"):
        one.fit_.likelihood.taps(one.fit_.theta, one.fit_.data, np.ones((1, 1)))
