"""Confidence bands against statsmodels, refits by finite differences and simulation."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from network_cases import differences
from scipy import sparse, stats

from reglm import RecursiveGLMClassifier, RecursiveGLMRegressor, families
from reglm.inference import moments, results

N = 120
RNG = np.random.default_rng(5)
X = pd.DataFrame(RNG.normal(size=(N, 3)), columns=["a", "b", "c"])
NEW = pd.DataFrame(RNG.normal(size=(7, 3)), columns=["a", "b", "c"], index=list("qrstuvw"))
ETA = (0.5 + 0.4 * X["a"] - 0.3 * X["b"]).to_numpy()
REAL = ETA + RNG.normal(size=N)
COUNTS = RNG.poisson(np.exp(ETA))
POSITIVE = RNG.gamma(3.0, np.exp(ETA) / 3)
BINARY = (RNG.random(N) < 1 / (1 + np.exp(-ETA))).astype(float)
CLASSES = RNG.integers(0, 3, N)
PEER = sm.families
LINKS = PEER.links
GLMS = {
    "gaussian": (REAL, "gaussian", None, PEER.Gaussian()),
    "poisson": (COUNTS, "poisson", None, PEER.Poisson()),
    "bernoulli": (BINARY, "bernoulli", None, PEER.Binomial()),
    "cloglog": (BINARY, "bernoulli", "cloglog", PEER.Binomial(LINKS.CLogLog())),
    "gamma": (POSITIVE, "gamma", "log", PEER.Gamma(LINKS.Log())),
    "gamma-inverse": (POSITIVE + 1, "gamma", "inverse", PEER.Gamma(LINKS.InversePower())),
}


@pytest.mark.filterwarnings("ignore:The InversePower link function does not respect", "ignore:divide by zero")
@pytest.mark.parametrize("name", GLMS)
def test_bands_of_linear_models_are_those_of_statsmodels(name):
    y, family, link, theirs = GLMS[name]
    peer = sm.GLM(y, sm.add_constant(X), theirs).fit(tol=1e-15, maxiter=30)
    found = RecursiveGLMRegressor(family=family, link=link).fit(X, y).inference().get_prediction(NEW)
    expected = peer.get_prediction(sm.add_constant(NEW))
    frame = expected.summary_frame(alpha=0.1)
    low, high = "mean_ci_lower", "mean_ci_upper"
    if name == "gamma-inverse":  # statsmodels leaves the ends of a decreasing link in their order
        frame = frame.rename(columns={low: high, high: low})[["mean", "mean_se", low, high]]
    pd.testing.assert_frame_equal(found.summary_frame(0.1), frame, rtol=1e-8, check_exact=False)
    np.testing.assert_allclose(found.linpred, expected.linpred.predicted, rtol=1e-7)
    np.testing.assert_allclose(found.linpred_se, expected.linpred.se, rtol=1e-8)
    np.testing.assert_allclose(found.conf_int(0.1, "linpred"), expected.linpred.conf_int(alpha=0.1), rtol=1e-7)


def test_student_t_bands_and_offsets():
    peer = sm.OLS(REAL, sm.add_constant(X)).fit().get_prediction(sm.add_constant(NEW))
    found = RecursiveGLMRegressor().fit(X, REAL).inference(use_t=True).get_prediction(NEW)
    np.testing.assert_allclose(found.conf_int(), peer.conf_int(obs=False), rtol=1e-9)
    counts = RecursiveGLMRegressor(family="poisson").fit(X, COUNTS, exposure=np.full(N, 2.0)).inference()
    single = counts.get_prediction(NEW, exposure=np.ones(7))
    double = counts.get_prediction(NEW, exposure=np.full(7, 2.0))
    np.testing.assert_allclose(double.conf_int(), 2 * single.conf_int(), rtol=1e-12)


@pytest.fixture(scope="module")
def network():
    y = RNG.poisson(np.exp(0.3 + 1.2 * np.tanh(1.5 * X["a"] - X["b"])))
    return RecursiveGLMRegressor((1,), family="poisson", n_init=3, random_state=0).fit(X, y)


def delta(model, X):
    """Standard errors of the mean by differencing it in every parameter."""
    found = model.inference()
    lik = found.fit.likelihood
    rows = moments.new_rows(found, X)

    def mean(theta):
        return lik.response.mean(lik.eta(theta, rows.X, rows.offset), lik.shape(theta))

    G = differences(mean, found.fit.theta)
    return np.sqrt(np.einsum("nmp,pq,nmq->nm", G, found.cov_theta(), G))


def test_bands_of_networks_differentiate_the_mean(network, monkeypatch):
    found = network.inference().get_prediction(NEW)
    np.testing.assert_allclose(found.mean_se, delta(network, NEW)[:, 0], rtol=1e-6)
    np.testing.assert_allclose(found.mean_se, found.mean * found.linpred_se, rtol=1e-12)
    monkeypatch.setattr("reglm.jacobian.BLOCK_ELEMENTS", 13)
    again = network.inference().get_prediction(NEW)
    np.testing.assert_allclose(again.conf_int(), found.conf_int(), rtol=1e-12)


@pytest.mark.parametrize("family", ["multinomial", "ordinal"])
def test_bands_of_class_probabilities(family):
    model = RecursiveGLMClassifier(family=family).fit(X, CLASSES)
    found = model.inference().get_prediction(NEW)
    np.testing.assert_allclose(found.mean, model.predict_proba(NEW), rtol=1e-12)
    np.testing.assert_allclose(found.mean_se, delta(model, NEW), rtol=1e-5)
    ends = found.conf_int()
    np.testing.assert_allclose(ends[..., 1] - found.mean, stats.norm.isf(0.025) * found.mean_se, rtol=1e-10)
    assert found.summary_frame().index.names == ["row", "output"]
    with pytest.raises(ValueError, match="method='endpoint' needs means that depend on one"):
        found.conf_int(method="endpoint")


def test_shape_parameters_that_enter_the_mean_count():
    model = RecursiveGLMRegressor(family="tobit").fit(X, np.maximum(REAL, 0))
    found = model.inference().get_prediction(NEW)
    np.testing.assert_allclose(found.mean, model.predict(NEW), rtol=1e-12)
    np.testing.assert_allclose(found.mean_se, delta(model, NEW)[:, 0], rtol=1e-6)
    assert found.conf_int()[:, 0].min() >= 0


def test_several_responses():
    Y = np.column_stack([REAL, ETA + RNG.normal(size=N)])
    model = RecursiveGLMRegressor().fit(X, Y)
    found = model.inference().get_prediction(NEW)
    assert found.conf_int().shape == (7, 2, 2)
    np.testing.assert_allclose(found.mean_se, delta(model, NEW), rtol=1e-6)


def test_simulation_agrees_with_the_delta_method_where_the_model_is_linear():
    found = RecursiveGLMRegressor(family="poisson").fit(X, COUNTS).inference()
    exact = found.get_prediction(NEW)
    drawn = found.get_prediction(NEW, method="simulation", n_draws=3000, seed=1)
    for which, se in (("linpred", exact.linpred_se), ("mean", exact.mean_se)):
        distance = (drawn.conf_int(which=which) - exact.conf_int(which=which)) / se[:, None]
        assert np.abs(distance).max() < 0.2
    np.testing.assert_array_equal(
        drawn.conf_int(), found.get_prediction(NEW, method="simulation", n_draws=3000, seed=1).conf_int()
    )


def test_rows_in_every_form(network):
    found = network.inference()
    bare = results(network.fit_)
    expected = found.get_prediction(NEW).conf_int()
    np.testing.assert_allclose(bare.get_prediction(NEW.to_numpy()).conf_int(), expected, rtol=1e-12)
    np.testing.assert_allclose(found.get_prediction().mean, network.predict(X), rtol=1e-12)
    model = RecursiveGLMRegressor(family="poisson").fit(sparse.csr_matrix(X.to_numpy()), COUNTS).inference()
    dense = RecursiveGLMRegressor(family="poisson").fit(X, COUNTS).inference().get_prediction(NEW).conf_int()
    np.testing.assert_allclose(model.get_prediction(sparse.csr_matrix(NEW.to_numpy())).conf_int(), dense, rtol=1e-5)
    single = RecursiveGLMRegressor(family="poisson", dtype="float32").fit(X, COUNTS).inference()
    np.testing.assert_allclose(single.get_prediction(NEW).conf_int(), dense, rtol=1e-4)


def test_aliased_columns_take_no_part():
    plain = RecursiveGLMRegressor(family="poisson").fit(X, COUNTS).inference().get_prediction(NEW)
    wide = RecursiveGLMRegressor(family="poisson").fit(X.assign(d=X["a"]), COUNTS).inference()
    np.testing.assert_allclose(wide.get_prediction(NEW.assign(d=NEW["a"])).conf_int(), plain.conf_int(), rtol=1e-6)


def test_ends_beyond_the_link_are_infinite():
    model = RecursiveGLMRegressor(family="gamma", link="inverse").fit(X[:30], POSITIVE[:30])
    far = pd.DataFrame({"a": [-0.2, 0.0], "b": [0.0, 0.0], "c": [0.0, 0.0]})
    found = model.inference()
    wide = found.get_prediction(far)
    ends = replace(wide, V=wide.V * 1e4).conf_int()
    assert np.isinf(ends[:, 1]).all()
    assert (ends[:, 0] >= 0).all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # the fit is cut short on purpose
def test_what_cannot_be_asked_for(network):
    found = network.inference()
    with pytest.raises(ValueError, match="method='exact' is not known"):
        found.get_prediction(NEW, method="exact")
    with pytest.raises(ValueError, match="alpha=2 must be between 0 and 1"):
        found.get_prediction(NEW).conf_int(2)
    with pytest.raises(ValueError, match="which='median' is not known"):
        found.get_prediction(NEW).conf_int(which="median")
    with pytest.raises(ValueError, match="method='quantile' needs draws"):
        found.get_prediction(NEW).conf_int(method="quantile")
    with pytest.raises(ValueError, match="X=None asks for the training rows"):
        found.get_prediction(offset=np.ones(N))
    with pytest.raises(ValueError, match="does not hold; pass X"):
        moments.new_rows(results(replace(network.fit_, data=None)))
    with pytest.raises(ValueError, match="exposure is read by estimators only"):
        results(network.fit_).get_prediction(NEW.to_numpy(), exposure=np.ones(7))
    l1 = RecursiveGLMRegressor(family=families.Poisson(), l1=1.0).fit(X, COUNTS)
    with pytest.raises(ValueError, match=r"no standard errors: the L1 penalty.*bootstrap"):
        l1.inference().get_prediction(NEW)
