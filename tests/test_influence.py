"""Influence of single rows against statsmodels for linear predictors and against refits for networks."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import special, stats
from statsmodels.stats.outliers_influence import OLSInfluence

from reglm import RecursiveGLMClassifier, RecursiveGLMRegressor, datasets

N = 60
RNG = np.random.default_rng(3)
X = RNG.normal(size=(N, 2))
ETA = 0.4 + 0.5 * X[:, 0] - 0.3 * X[:, 1]
PEER = sm.families
GLMS = {
    "gaussian": (ETA + RNG.normal(size=N), None, PEER.Gaussian()),
    "poisson": (RNG.poisson(np.exp(ETA)).astype(float), None, PEER.Poisson()),
    "bernoulli": ((RNG.random(N) < special.expit(ETA)).astype(float), None, PEER.Binomial()),
    "probit": ((RNG.random(N) < stats.norm.cdf(ETA)).astype(float), "probit", PEER.Binomial(PEER.links.Probit())),
    "gamma": (RNG.gamma(3.0, np.exp(ETA) / 3), "log", PEER.Gamma(PEER.links.Log())),
}


@pytest.mark.parametrize("name", GLMS)
def test_influence_of_statsmodels(name):
    y, link, theirs = GLMS[name]
    family = "bernoulli" if name == "probit" else name
    peer = sm.GLM(y, sm.add_constant(X), theirs).fit(tol=1e-15, maxiter=30)
    expected = peer.get_influence(observed=False)  # the expected information, as in R
    found = RecursiveGLMRegressor(family=family, link=link).fit(X, y).inference().get_influence()
    for attribute in (
        "hat_matrix_diag", "cooks_distance", "d_params", "dfbetas", "resid_studentized", "d_fittedvalues",
        "d_fittedvalues_scaled", "d_linpred", "d_linpred_scaled",
    ):  # fmt: skip
        np.testing.assert_allclose(
            getattr(found, attribute), getattr(expected, attribute), rtol=1e-7, atol=1e-8, err_msg=attribute
        )
    frame = found.summary_frame()
    np.testing.assert_allclose(frame, expected.summary_frame(), rtol=1e-7, atol=1e-8)
    assert list(frame.columns[3:]) == list(expected.summary_frame().columns[3:])


def test_linear_regression_has_exact_deletion_statistics():
    y = GLMS["gaussian"][0]
    peer = OLSInfluence(sm.OLS(y, sm.add_constant(X)).fit())
    results = RecursiveGLMRegressor().fit(X, y).inference()
    found = results.get_influence()
    np.testing.assert_allclose(found.resid_studentized_external, peer.resid_studentized_external, rtol=1e-8)
    np.testing.assert_allclose(found.dffits[0], peer.dffits[0], rtol=1e-8)
    assert found.dffits[1] == pytest.approx(peer.dffits[1])
    np.testing.assert_allclose(results.resid("pearson", studentized=True), peer.resid_studentized_internal, rtol=1e-8)
    without = RecursiveGLMRegressor().fit(X[1:], y[1:])
    np.testing.assert_allclose(found.d_theta[0], results.theta - without.fit_.theta, atol=1e-10)
    new = RNG.normal(size=(4, 2))
    change = found.on_prediction(new)
    assert change.shape == (4, N)
    expected = RecursiveGLMRegressor().fit(X, y).predict(new) - without.predict(new)
    np.testing.assert_allclose(change[:, 0], expected, atol=1e-10)
    np.testing.assert_allclose(np.diag(found.on_prediction(X)), found.d_fittedvalues, atol=1e-12)


REAL = {
    "longley": (datasets.load_longley, "gaussian", PEER.Gaussian()),
    "scotland": (datasets.load_scotland, "gamma", PEER.Gamma(PEER.links.Log())),
    "spector": (datasets.load_spector, "bernoulli", PEER.Binomial()),
    "star98": (datasets.load_star98, "binomial", PEER.Binomial()),
}


@pytest.mark.parametrize("name", REAL)
def test_influence_and_residuals_of_real_tables(name):
    load, family, theirs = REAL[name]
    data = load()
    design = sm.add_constant(data.data.to_numpy(dtype=float))
    peer = sm.GLM(np.asarray(data.target, dtype=float), design, theirs)
    robust = {} if name == "scotland" else {"cov_type": "HC0"}  # theirs rests on the observed information
    peer = peer.fit(tol=1e-15, maxiter=30, **robust)
    results = RecursiveGLMRegressor(family=family).fit(data.data, data.target)
    results = results.inference(cov=robust.get("cov_type"))
    for kind in ("response", "pearson", "deviance", "anscombe"):
        expected = getattr(peer, f"resid_{kind}")
        np.testing.assert_allclose(results.resid(kind), expected, rtol=1e-6, atol=1e-7 * np.abs(expected).max())
    expected, found = peer.get_influence(observed=False), results.get_influence()
    np.testing.assert_allclose(found.hat_matrix_diag, expected.hat_matrix_diag, rtol=1e-6)
    np.testing.assert_allclose(found.cooks_distance[0], expected.cooks_distance[0], rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(found.resid_studentized, expected.resid_studentized, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(found.d_params, expected.d_params, rtol=1e-4, atol=1e-6 * np.abs(results.bse).max())
    np.testing.assert_allclose(found.dfbetas, expected.dfbetas, rtol=1e-5, atol=1e-6)


def test_observed_information_on_request():
    y, link, _ = GLMS["probit"]
    results = RecursiveGLMRegressor(family="bernoulli", link=link).fit(X, y).inference()
    found, fit = results.get_influence("observed"), results.fit
    H = fit.likelihood.hessian(fit.theta, fit.data)
    design = np.column_stack([X, np.ones(N)])
    w = fit.likelihood.working(fit.theta, fit.data).information[:, 0, 0]
    expected = w * np.einsum("np,pq,nq->n", design, np.linalg.inv(H), design)
    np.testing.assert_allclose(found.hat_matrix_diag, expected, rtol=1e-8)


def test_aliased_parameters_have_no_influence():
    y = GLMS["poisson"][0]
    wide = np.column_stack([X, X[:, 0] - X[:, 1]])
    found = RecursiveGLMRegressor(family="poisson").fit(wide, y).inference().get_influence()
    narrow = RecursiveGLMRegressor(family="poisson").fit(X, y).inference().get_influence()
    np.testing.assert_allclose(found.cooks_distance, narrow.cooks_distance, rtol=1e-5)
    assert np.isnan(found.d_theta[:, 2]).all()
    np.testing.assert_allclose(found.d_theta[:, [0, 1, 3]], narrow.d_theta, rtol=1e-4, atol=1e-8)


def test_a_row_that_alone_determines_a_parameter():
    y = GLMS["gaussian"][0]
    own = np.column_stack([X, np.arange(N) == 7])
    found = RecursiveGLMRegressor().fit(own, y).inference().get_influence()
    assert found.hat_matrix_diag[7] == pytest.approx(1.0)
    assert found.cooks_distance[0][7] == np.inf
    assert np.isnan(found.d_theta[7]).all()
    assert np.isfinite(np.delete(found.d_theta, 7, axis=0)).all()
    assert np.isnan(found.resid_studentized[7])


def refitted(fit, i):
    """Estimates without row i, by the fit's own solver started where it ended."""
    kept = np.arange(fit.n_rows) != i
    return fit.refit(fit.data.rows(kept), start=fit.theta).theta


def test_shape_parameters_move_along():
    y = RNG.negative_binomial(1.5, 1.5 / (1.5 + np.exp(ETA + 0.5))).astype(float)
    results = RecursiveGLMRegressor(family="negative_binomial").fit(X, y).inference()
    found = results.get_influence()
    exact = np.array([results.theta - refitted(results.fit, i) for i in range(0, N, 4)])
    for p in range(exact.shape[1]):
        assert stats.spearmanr(found.d_theta[::4, p], exact[:, p]).statistic > 0.95
    assert found.d_params.shape == (N, 4)


def test_classes_share_one_step():
    classes = RNG.integers(0, 3, N)
    results = RecursiveGLMClassifier(tol=1e-10).fit(X, classes).inference()
    found = results.get_influence()
    assert found.hat_matrix_diag.sum() == pytest.approx(6)  # one unit for each of (3 - 1) (2 + 1) parameters
    exact = np.array([results.theta - refitted(results.fit, i) for i in range(0, N, 4)])
    np.testing.assert_allclose(found.d_theta[::4], exact, atol=0.2 * np.abs(exact).max())
    with pytest.raises(ValueError, match="one linear predictor"):
        found.summary_frame()
    with pytest.raises(ValueError, match="not defined for family 'multinomial'"):
        _ = found.resid_studentized


def refitted_distances(results):
    """Cook's distances from exact leave-one-out fits: their quadratic form, and the loss of log-likelihood.

    The second needs no quadratic approximation and no parametrisation (Cook 1986): where the optimum is a long,
    curved valley, refits end far along it and the quadratic form says little.
    """
    fit = results.fit

    def objective(theta):
        return fit.likelihood.value_grad(theta, fit.data)[0] + fit.penalty @ theta**2 / 2

    H = fit.likelihood.hessian(fit.theta, fit.data) + np.diag(fit.penalty)
    ends = np.array([refitted(fit, i) for i in range(fit.n_rows)])
    quadratic = np.einsum("np,pq,nq->n", ends - fit.theta, H, ends - fit.theta)
    loss = 2 * np.array([objective(theta) - objective(fit.theta) for theta in ends])
    return np.array([quadratic, loss]) / (fit.dispersion * len(fit.theta))


def networks():
    rng = np.random.default_rng(12)
    x = np.sort(rng.uniform(-3, 3, 60))
    signal, noise = 1 + 1.5 * np.tanh(2 * x - 2) + np.tanh(-1.5 * x - 2), rng.normal(size=60)
    counts = rng.poisson(np.exp(1 + 1.2 * np.tanh(1.5 * x - 1)))
    rat = datasets.load_rat42()
    return {
        "gaussian": (x[:, None], signal + 0.1 * noise, (2,), {"n_init": 5}),
        "poisson": (x[:, None], counts, (1,), {"family": "poisson", "n_init": 5}),
        "rat42": (rat.data, rat.target, (1,), {"n_init": 5}),
        "valley": (x[:, None], signal + 0.25 * noise, (2,), {"n_init": 5}),
    }


@pytest.mark.parametrize("name", networks())
def test_one_step_cooks_distances_rank_rows_as_refits_do(name):
    x, y, hidden, options = networks()[name]
    results = RecursiveGLMRegressor(hidden, random_state=0, **options).fit(x, y).inference()
    found = results.get_influence().cooks_distance[0]
    quadratic, loss = refitted_distances(results)
    assert stats.spearmanr(found, loss).statistic > 0.98
    assert name == "valley" or stats.spearmanr(found, quadratic).statistic > 0.95


def test_what_has_no_influence_measures():
    with pytest.raises(ValueError, match="no influence measures: the L1 penalty"):
        RecursiveGLMRegressor(l1=1.0).fit(X, GLMS["gaussian"][0]).inference().get_influence()
    with pytest.raises(ValueError, match="information='robust' is not known"):
        RecursiveGLMRegressor().fit(X, GLMS["gaussian"][0]).inference().get_influence("robust")
