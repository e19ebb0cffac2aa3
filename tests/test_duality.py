"""Kernels of fitted networks against their derivatives, and primal = dual."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from reglm import RecursiveGLMClassifier, RecursiveGLMRegressor, layers
from reglm.estimators.duality import last_features
from reglm.jacobian import jacobian
from reglm.kernels.network_kernel import NetworkKernel

rng = np.random.default_rng(0)
n = 60
X = rng.normal(size=(n, 3))
y = np.sin(X[:, 0]) + X[:, 1] + 0.3 * rng.normal(size=n)
NEW = rng.normal(size=(7, 3))
WEIGHTS = rng.integers(0, 3, n).astype(float)


def regressor(**options):
    given = {"family": "gaussian", "hidden": (3,), "activation": "tanh", "alpha": 0.5, "n_init": 1, "random_state": 0}
    return RecursiveGLMRegressor(**given | options)


@pytest.fixture(scope="module")
def network():
    return regressor(tol=1e-10).fit(X, y)


def primal(est, X, y, alpha, weights=None, skip=False, offset=0.0):
    """Ridge on the last layer's features by normal equations; predictions for any rows."""
    views = est.fit_.likelihood.layout.views(est.fit_.theta)

    def design(rows):
        h = np.tanh(rows @ views["hidden1.W"] + views["hidden1.b"])
        return np.column_stack([np.ones(len(rows)), h, *([rows] if skip else [])])

    w = np.ones(len(X)) if weights is None else weights
    A = design(X)
    D = np.diag([0.0] + [alpha] * (A.shape[1] - 1))
    b = np.linalg.solve(A.T @ (w[:, None] * A) + D, A.T @ (w * (y.T - offset)).T)
    return lambda rows: design(rows) @ b


def test_primal_is_dual(network):
    dual, reference = network.dual(), primal(network, X, y, 0.5)
    np.testing.assert_allclose(dual.predict(NEW), reference(NEW), atol=1e-10)
    np.testing.assert_allclose(dual.predict(NEW), network.predict(NEW), atol=1e-4)
    np.testing.assert_allclose(dual.kernel(NEW), network.feature_kernel(NEW), rtol=1e-12)
    refitted = dual.primal()
    np.testing.assert_allclose(network.fit_.likelihood.eta(refitted, NEW)[:, 0], dual.predict(NEW), atol=1e-12)


def test_names_of_free_parameters(network):
    assert list(network.dual().regressor.summary().table.index) == ["Intercept"]
    found = network.dual(linearised=True).regressor.summary().table.index
    assert list(found) == [*(f"hidden1.b[{j}]" for j in range(3)), "Intercept"]


def test_penalty_by_a_criterion(network):
    dual = network.dual(alpha="reml")
    chosen = dual.regressor.alpha_
    np.testing.assert_allclose(dual.predict(NEW), primal(network, X, y, chosen)(NEW), atol=1e-9)
    for other in (0.9 * chosen, 1.1 * chosen):
        least = network.dual(alpha=other).regressor
        assert least.log_marginal_likelihood_ < dual.regressor.log_marginal_likelihood_
    views = network.fit_.likelihood.layout.views(network.fit_.theta)
    h = np.tanh(np.vstack([X, NEW]) @ views["hidden1.W"] + views["hidden1.b"])
    columns = np.column_stack([np.ones(len(h)), h])
    inverse = np.linalg.inv(columns[:n].T @ columns[:n] + np.diag([0.0, *[chosen] * h.shape[1]]))
    sd = np.sqrt(dual.regressor.dispersion_ * (1 + np.einsum("ij,jk,ik->i", columns[n:], inverse, columns[n:])))
    np.testing.assert_allclose(dual.logpdf(NEW, y[:7]), stats.norm.logpdf(y[:7], dual.predict(NEW), sd), rtol=1e-8)


@pytest.mark.parametrize("freq", [False, True])
def test_weights_offset_and_skip(freq):
    offset = rng.normal(size=n)
    est = regressor(skip=True, freq_weights=freq).fit(X, y, sample_weight=WEIGHTS, offset=offset)
    reference = primal(est, X, y, 2.0, WEIGHTS, skip=True, offset=offset)
    found = est.dual(alpha=2.0).predict(NEW, offset=np.ones(7))
    np.testing.assert_allclose(found, 1.0 + reference(NEW), atol=1e-10)


def test_several_outputs():
    Y = np.column_stack([y, X[:, 2] ** 2])
    est = regressor().fit(X, Y)
    np.testing.assert_allclose(est.dual().predict(NEW), primal(est, X, Y, 0.5)(NEW), atol=1e-10)
    eta = est.fit_.likelihood.eta(est.dual().primal(), NEW)
    np.testing.assert_allclose(eta, est.dual().predict(NEW), atol=1e-12)
    with pytest.raises(ValueError, match="one output"):
        est.dual(linearised=True)


def test_leave_one_out_of_the_last_layer(network):
    residuals = network.dual().regressor.loo_residuals_
    for i in (0, 17, 40):
        rest = np.arange(n) != i
        assert residuals[i] == pytest.approx(y[i] - primal(network, X[rest], y[rest], 0.5)(X[[i]])[0], abs=1e-9)


def test_linearised_network_is_the_network_at_its_optimum(network):
    dual = network.dual(linearised=True)
    np.testing.assert_allclose(dual.predict(NEW), network.predict(NEW), atol=1e-5)
    np.testing.assert_allclose(dual.primal(), network.fit_.theta, atol=1e-4)


def test_linearised_network_by_least_squares(network):
    fit, dual = network.fit_, network.dual(alpha=3.0, linearised=True)
    J = jacobian(fit.likelihood, fit.theta, fit.data)
    penalty = fit.likelihood.layout.penalties(3.0)
    target = y - network.predict(X) + J @ fit.theta
    theta = np.linalg.solve(J.T @ J + np.diag(penalty), J.T @ target)
    np.testing.assert_allclose(dual.primal(), theta, rtol=1e-7, atol=1e-8)


def test_generalized_linear_model_is_its_own_dual():
    est = regressor(hidden=()).fit(X, y)
    for linearised in (False, True):
        np.testing.assert_allclose(est.dual(linearised=linearised).predict(NEW), est.predict(NEW), atol=1e-10)
    np.testing.assert_allclose(est.feature_kernel(NEW), NEW @ NEW.T, rtol=1e-12)
    np.testing.assert_allclose(est.tangent_kernel(NEW), NEW @ NEW.T + 1, rtol=1e-12)


def test_composed_layers_and_float32():
    est = regressor(hidden=(), layers=[layers.Dense(3, "tanh")], dtype="float32").fit(X, y)
    np.testing.assert_allclose(est.dual().predict(NEW).astype(float), est.predict(NEW), atol=1e-2)
    assert est.tangent_kernel(NEW).dtype == np.float64


def test_tangent_kernel_by_finite_differences(network):
    fit, steps = network.fit_, 1e-5 * np.eye(len(network.fit_.theta))
    eta = fit.likelihood.eta
    J = np.stack([(eta(fit.theta + e, NEW) - eta(fit.theta - e, NEW))[:, 0] / 2e-5 for e in steps], axis=1)
    np.testing.assert_allclose(network.tangent_kernel(NEW), J @ J.T, rtol=1e-7)
    np.testing.assert_allclose(network.tangent_kernel(NEW, NEW[:3]), J @ J[:3].T, rtol=1e-7)


def test_kernels_of_other_models_in_blocks(monkeypatch):
    labels = rng.integers(0, 3, n)
    est = RecursiveGLMClassifier(hidden=(3, 2), activation="tanh", alpha=2.0, n_init=1, random_state=0)
    est.fit(sparse.csr_matrix(X), labels)
    whole = [est.tangent_kernel(sparse.csr_matrix(X), output=1), est.feature_kernel(sparse.csr_matrix(X))]
    monkeypatch.setattr("reglm.kernels.empirical.BLOCK_ELEMENTS", 100)
    blocks = [est.tangent_kernel(sparse.csr_matrix(X), output=1), est.feature_kernel(sparse.csr_matrix(X))]
    for one, other in zip(whole, blocks, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(other, other.T)
    with pytest.raises(ValueError, match="output=3"):
        est.tangent_kernel(sparse.csr_matrix(X), output=3)


def test_data_frames_with_levels():
    frame = pd.DataFrame({"a": X[:, 0], "g": np.array(["u", "v", "w"])[rng.integers(0, 3, n)]})
    est = regressor().fit(frame, y)
    assert est.tangent_kernel(frame[:5], frame).shape == (5, n)
    eta = est.fit_.likelihood.eta(est.dual().primal(), est._rows(frame)[0])
    np.testing.assert_allclose(est.dual().predict(frame), eta[:, 0], atol=1e-12)


def test_refusals():
    with pytest.raises(ValueError, match="alpha"):
        regressor(hidden=(), alpha=0.0).fit(X, y).dual()
    with pytest.raises(ValueError, match="shape parameters to estimate"):
        regressor(family="negative_binomial", hidden=()).fit(X, np.round(np.abs(y))).dual()


@pytest.mark.parametrize("family", ["poisson", "gamma"])
def test_primal_is_dual_for_other_families(family):
    link = "log"
    response = rng.poisson(np.exp(0.5 * y)) if family == "poisson" else rng.gamma(3.0, np.exp(0.5 * y) / 3)
    est = regressor(family=family, link=link, balance=False).fit(X, response)
    rows = [last_features(est.fit_, part) for part in (X, NEW)]
    glm = RecursiveGLMRegressor(family=family, link=link, alpha=0.5, tol=1e-12).fit(rows[0], response)
    dual = est.dual()
    np.testing.assert_allclose(dual.predict(NEW), glm.predict(rows[1]), rtol=1e-8)
    np.testing.assert_allclose(est.fit_.likelihood.eta(dual.primal(), NEW), glm._eta(rows[1]), atol=1e-8)
    linearised = est.dual(linearised=True)
    np.testing.assert_allclose(linearised.predict(NEW), est.predict(NEW), rtol=1e-2)


@pytest.mark.parametrize("classes", [2, 3])
def test_primal_is_dual_for_classes(classes):
    labels = np.digitize(y, [0.0, 1.0][: classes - 1])
    est = RecursiveGLMClassifier(hidden=(3,), alpha=0.5, random_state=0).fit(X, labels)
    rows = [last_features(est.fit_, part) for part in (X, NEW)]
    glm = RecursiveGLMClassifier(alpha=0.5, tol=1e-12).fit(rows[0], labels)
    found = est.dual().predict(NEW)
    np.testing.assert_allclose(
        found, glm.predict_proba(rows[1]) if classes > 2 else glm.predict_proba(rows[1])[:, 1], atol=1e-8
    )
    np.testing.assert_allclose(est.fit_.likelihood.eta(est.dual().primal(), NEW), glm._eta(rows[1]), atol=1e-7)


def test_wide_network_at_its_start_has_the_kernels_of_its_architecture():
    """J J' of a network of width 4,000 in the NTK parametrisation, by hand, near the limit."""
    d, width, w, b = 3, 4000, 2.0, 0.1
    x = NEW[:4]
    V, v, beta = rng.normal(size=(d, width)), rng.normal(size=width), rng.normal(size=width)
    a = np.sqrt(w / d) * x @ V + np.sqrt(b) * beta
    h, slope = np.maximum(a, 0), (a > 0) * v
    features = w / width * h @ h.T + b
    tangent = features + w / width * (slope @ slope.T) * (w / d * x @ x.T + b)
    for kind, found in (("nngp", features), ("ntk", tangent)):
        expected = NetworkKernel(1, "relu", kind, w, b)(x)
        assert np.abs(found / expected - 1).max() < 0.15
