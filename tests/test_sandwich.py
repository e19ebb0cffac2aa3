"""Robust, cluster and penalised covariances against statsmodels, written-out formulas and repeated rows."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from family_cases import ALL, template
from network_cases import differences, make
from scipy.linalg import inv, sqrtm

from reglm import RecursiveGLMClassifier, RecursiveGLMRegressor
from reglm.inference import covariance, results
from reglm.inference.covariances import estimate
from reglm.inference.scores import designs, row_scores
from reglm.jacobian import jacobian
from reglm.network import multilayer

N = 120
RNG = np.random.default_rng(5)
X = pd.DataFrame(RNG.normal(size=(N, 2)), columns=["a", "b"])
DESIGN = sm.add_constant(X)
ETA = 0.4 + 0.5 * X["a"] - 0.3 * X["b"]
RESPONSES = {
    "gaussian": np.asarray(ETA + RNG.normal(size=N) * np.exp(0.5 * X["a"])),
    "poisson": RNG.poisson(np.exp(ETA + 0.5 * RNG.normal(size=N))).astype(float),
    "bernoulli": (RNG.random(N) < 1 / (1 + np.exp(-ETA.to_numpy()))).astype(float),
    "gamma": RNG.gamma(2.0, np.exp(ETA)),
}
PEERS = {
    "gaussian": sm.families.Gaussian(),
    "poisson": sm.families.Poisson(),
    "bernoulli": sm.families.Binomial(),
    "gamma": sm.families.Gamma(sm.families.links.Log()),
}
GROUPS = np.array([f"g{i}" for i in RNG.integers(0, 17, N)])
W = RNG.integers(1, 4, N).astype(float)


def fitted(family, **options):
    weights = options.pop("sample_weight", None)
    return RecursiveGLMRegressor(family=family, **options).fit(X, RESPONSES[family], sample_weight=weights)


def peer(family, cov_type, cov_kwds=None, **options):
    model = sm.GLM(RESPONSES[family], DESIGN, PEERS[family], **options)
    return model.fit(tol=1e-15, maxiter=30, cov_type=cov_type, cov_kwds=cov_kwds)


# -- scores of rows ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ALL, ids=repr)
def test_row_scores_are_the_derivatives_of_each_rows_objective(family):
    y = template(family)
    lik, theta, data = make(
        multilayer((), (), 3, family.outputs(y)), family, y, np.random.default_rng(0).normal(size=(12, 3))
    )
    lik.backend = "python"

    def value(t, i):
        return -lik.value_grad(t, data.rows(slice(i, i + 1)))[0]

    found = row_scores(lik, theta, data)
    for i in (0, 3, 7):
        np.testing.assert_allclose(found[i], differences(lambda t, i=i: value(t, i), theta), rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=0), -lik.value_grad(theta, data)[1], rtol=1e-8, atol=1e-9)


# -- heteroscedasticity -----------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["gaussian", "poisson", "bernoulli"])
def test_white_and_cluster_covariances_of_statsmodels(family):
    model = fitted(family)
    for kind in ("HC0", "sandwich"):
        found = model.inference(kind)
        assert found.cov_type == "HC0"
        np.testing.assert_allclose(found.cov_params(), peer(family, "HC0").cov_params(), rtol=1e-8, atol=1e-12)
    codes = np.unique(GROUPS, return_inverse=True)[1]
    for use_correction in (True, False):
        kwds = {"groups": codes, "use_correction": use_correction}
        found = model.inference("cluster", groups=GROUPS, use_correction=use_correction)
        expected = peer(family, "cluster", kwds)
        np.testing.assert_allclose(found.cov_params(), expected.cov_params(), rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(found.pvalues, expected.pvalues, rtol=1e-7)


@pytest.mark.parametrize("kind", ["HC0", "HC1", "HC2", "HC3"])
def test_all_kinds_are_those_of_ordinary_least_squares(kind):
    expected = sm.OLS(RESPONSES["gaussian"], DESIGN).fit(cov_type=kind, use_t=True)
    found = fitted("gaussian").inference(kind, use_t=True)
    np.testing.assert_allclose(found.cov_params(), expected.cov_params(), rtol=1e-9)
    np.testing.assert_allclose(found.pvalues, expected.pvalues, rtol=1e-8)
    assert kind in str(found.summary())


def test_clusters_of_least_squares_are_referred_to_t_with_one_degree_less_than_there_are():
    codes = np.unique(GROUPS, return_inverse=True)[1]
    for df_correction in (True, False):
        kwds = {"groups": codes, "df_correction": df_correction}
        expected = sm.OLS(RESPONSES["gaussian"], DESIGN).fit(cov_type="cluster", cov_kwds=kwds, use_t=True)
        found = fitted("gaussian").inference("cluster", use_t=True, groups=GROUPS, df_correction=df_correction)
        np.testing.assert_allclose(found.pvalues, expected.pvalues, rtol=1e-8)
        np.testing.assert_allclose(found.conf_int(), expected.conf_int(), rtol=1e-8)


@pytest.mark.parametrize("kind", ["HC1", "HC2", "HC3"])
@pytest.mark.parametrize("family", ["poisson", "bernoulli"])
def test_leverage_corrections_as_written_out(family, kind):
    x, y = DESIGN.to_numpy(), RESPONSES[family]
    found = fitted(family).inference(kind)
    mu = PEERS[family].link.inverse(x @ found.params.to_numpy())
    w = mu if family == "poisson" else mu * (1 - mu)
    B = inv(x.T @ (w[:, None] * x))
    h = w * np.einsum("ij,jk,ik->i", x, B, x)
    scale = {"HC1": N / (N - 3), "HC2": 1 / (1 - h), "HC3": 1 / (1 - h) ** 2}[kind]
    expected = B @ (x.T @ ((scale * (y - mu) ** 2)[:, None] * x)) @ B
    np.testing.assert_allclose(found.cov_params(), expected, rtol=1e-9)


def test_a_link_that_is_not_canonical_offers_both_breads():
    model = fitted("gamma", link="log")
    expected = peer("gamma", "HC0").cov_params()
    np.testing.assert_allclose(model.inference("HC0", information="observed").cov_params(), expected, rtol=1e-7)
    x = DESIGN.to_numpy()
    r = RESPONSES["gamma"] / np.exp(x @ model.inference().params) - 1
    B = inv(x.T @ x)  # Gamma with a log link has W = 1
    np.testing.assert_allclose(model.inference("HC0").cov_params(), B @ (x.T * r**2) @ x @ B, rtol=1e-8)


@pytest.mark.parametrize("kind", ["HC0", "HC1", "HC2", "HC3", "cluster"])
@pytest.mark.parametrize("family", ["poisson", "gamma"])
def test_frequencies_are_repeated_rows(family, kind):
    again = np.repeat(np.arange(N), W.astype(int))
    options = {"groups": GROUPS} if kind == "cluster" else {}
    repeats = {"groups": GROUPS[again]} if kind == "cluster" else {}
    weighted = fitted(family, freq_weights=True, sample_weight=W).inference(kind, **options)
    repeated = RecursiveGLMRegressor(family=family).fit(X.iloc[again], RESPONSES[family][again])
    np.testing.assert_allclose(
        weighted.cov_params(), repeated.inference(kind, **repeats).cov_params(), rtol=1e-7, atol=1e-12
    )


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_precision_weights_are_those_of_statsmodels(family):
    found = fitted(family, sample_weight=W).inference("HC0")
    np.testing.assert_allclose(found.cov_params(), peer(family, "HC0", var_weights=W).cov_params(), rtol=1e-8)
    if family == "gaussian":
        expected = sm.WLS(RESPONSES[family], DESIGN, weights=W).fit(cov_type="HC3").cov_params()
        np.testing.assert_allclose(fitted(family, sample_weight=W).inference("HC3").cov_params(), expected, rtol=1e-8)


def test_several_classes_correct_blocks_of_leverage():
    y = RNG.integers(0, 3, N)
    model = RecursiveGLMClassifier().fit(X, y)
    fit = model.fit_
    lik, data = fit.likelihood, fit.data
    J, W_ = designs(lik, fit.theta, data), lik.working(fit.theta, data).information
    H = np.einsum("knp,nkm,mnq->pq", J, W_, J)
    s = lik.working(fit.theta, data).score
    B = inv(H)
    expected = {kind: np.zeros_like(H) for kind in ("HC2", "HC3")}
    for i in range(N):
        root = np.real(sqrtm(W_[i]))
        free = np.eye(2) - root @ J[:, i] @ B @ J[:, i].T @ root
        for kind, power in (("HC2", np.real(sqrtm(inv(free)))), ("HC3", inv(free))):
            u = J[:, i].T @ root @ power @ inv(root) @ s[i]
            expected[kind] += np.outer(u, u)
    for kind, M in expected.items():
        np.testing.assert_allclose(covariance(fit, kind), B @ M @ B, rtol=1e-7, atol=1e-12)


def test_shape_parameters_have_scores_of_their_own():
    y = RNG.negative_binomial(2, 2 / (2 + np.exp(ETA)))
    expected = sm.NegativeBinomial(y, DESIGN).fit(disp=0, method="newton", tol=1e-14, cov_type="HC0")
    found = RecursiveGLMRegressor(family="negative_binomial").fit(X, y).inference("HC0")
    np.testing.assert_allclose(found.bse, expected.bse, rtol=1e-5)


def test_aliased_columns_leave_the_others_as_they_are():
    wide = X.assign(copy=2 * X["a"])[["a", "copy", "b"]]
    found = RecursiveGLMRegressor(family="poisson").fit(wide, RESPONSES["poisson"]).inference("HC3").bse
    assert found.index[found.isna()].tolist() == ["copy"]
    np.testing.assert_allclose(found.dropna(), fitted("poisson").inference("HC3").bse, rtol=1e-7)


# -- networks and penalties -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ridge():
    y = RNG.poisson(np.exp(0.5 + np.tanh(1.5 * X["a"] - X["b"])))
    return RecursiveGLMRegressor((2,), family="poisson", alpha=0.5, random_state=0).fit(X, y)


def parts(fit):
    """Hessian of the likelihood, penalty, bread, J, residuals and weights."""
    lik, data = fit.likelihood, fit.data
    H, P = lik.hessian(fit.theta, data), np.diag(fit.penalty)
    mu = np.exp(lik.eta(fit.theta, data.X))[:, 0]
    return H, P, inv(H + P), jacobian(lik, fit.theta, data), data.y[:, 0] - mu, mu


def test_networks_have_every_kind(ridge):
    fit = ridge.fit_
    H, _, B, J, r, mu = parts(fit)
    h = mu * np.einsum("ij,jk,ik->i", J, B, J)
    powers = {"HC0": 1.0, "HC1": N / (N - len(H)), "HC2": 1 / (1 - h), "HC3": (1 - h) ** -2.0}
    for kind, scale in powers.items():
        expected = B @ (J.T * (scale * r**2)) @ J @ B
        np.testing.assert_allclose(covariance(fit, kind), expected, rtol=1e-6, atol=1e-10, err_msg=kind)
    sums = np.stack([(J * r[:, None])[g == GROUPS].sum(axis=0) for g in np.unique(GROUPS)])
    G = len(sums)
    factor = G / (G - 1) * (N - 1) / (N - len(H))
    found = covariance(fit, "cluster", groups=GROUPS)
    np.testing.assert_allclose(found, factor * B @ sums.T @ sums @ B, rtol=1e-6, atol=1e-10)
    expected = inv(J.T @ (mu[:, None] * J) + np.diag(fit.penalty))
    M = (J.T * r**2) @ J
    found = covariance(fit, "HC0", information="expected")
    np.testing.assert_allclose(found, expected @ M @ expected, rtol=1e-6, atol=1e-10)


def test_penalised_covariances(ridge):
    _, _, B, *_ = parts(ridge.fit_)
    np.testing.assert_allclose(covariance(ridge.fit_, "posterior"), B, rtol=1e-7)
    np.testing.assert_allclose(covariance(ridge.fit_), B, rtol=1e-7)
    linear = fitted("gaussian", alpha=4.0)
    x, P = DESIGN.to_numpy(), 4.0 * np.diag([0.0, 1.0, 1.0])
    B = inv(x.T @ x + P)
    expected = linear.dispersion_ * B @ x.T @ x @ B  # the variance of ridge regression (Hoerl & Kennard 1970)
    found = linear.inference("frequentist")
    np.testing.assert_allclose(found.cov_params(), expected, rtol=1e-9)
    assert any("leave out the bias" in note for note in found.notes)
    plain = fitted("gaussian")
    np.testing.assert_allclose(covariance(plain.fit_, "frequentist"), covariance(plain.fit_), rtol=1e-9)


def test_frequentist_covariance_of_a_network(ridge):
    H, _, B, *_ = parts(ridge.fit_)
    found = estimate(ridge.fit_, "frequentist")
    if np.linalg.eigvalsh(H)[0] > 0:
        np.testing.assert_allclose(found.matrix, B @ H @ B, rtol=1e-6, atol=1e-10)
    else:
        assert "not positive semi-definite" in found.refusal


# -- what cannot be had -----------------------------------------------------------------------------------


def test_a_row_with_leverage_one_has_no_jackknife():
    lone = X.assign(lone=np.arange(N) == 3)
    model = RecursiveGLMRegressor().fit(lone, RESPONSES["gaussian"])
    assert "leverage 1" in model.inference("HC3").refusal
    assert not model.inference("HC1").refusal


def test_wrong_options_are_named():
    fit = fitted("poisson").fit_
    with pytest.raises(ValueError, match="groups missing"):
        estimate(fit, "cluster")
    with pytest.raises(ValueError, match="groups given"):
        estimate(fit, "HC0", groups=GROUPS)
    with pytest.raises(ValueError, match=r"groups has shape \(3,\); give one label for each of the 120 rows"):
        estimate(fit, "cluster", groups=[1, 2, 3])
    with pytest.raises(ValueError, match="fewer than two clusters"):
        estimate(fit, "cluster", groups=np.ones(N))
    with pytest.raises(ValueError, match=r"groups\[2\] is missing"):
        estimate(fit, "cluster", groups=np.where(np.arange(N) == 2, np.nan, 1.0))
    with pytest.raises(ValueError, match="information='both'"):
        estimate(fit, "HC0", information="both")
    with pytest.raises(ValueError, match="information='observed' with cov='expected'"):
        estimate(fit, "expected", information="observed")


def test_rows_of_no_weight_have_no_say():
    unseen = np.where(np.arange(N) % 5 == 0, 0.0, 1.0)
    seen = unseen > 0
    whole = fitted("poisson", sample_weight=unseen).inference("HC2").cov_params()
    part = RecursiveGLMRegressor(family="poisson").fit(X[seen], RESPONSES["poisson"][seen]).inference("HC2")
    np.testing.assert_allclose(whole, part.cov_params(), rtol=1e-7)


def test_blocks_of_rows_do_not_show(ridge, monkeypatch):
    whole = covariance(ridge.fit_, "cluster", groups=GROUPS)
    monkeypatch.setattr("reglm.jacobian.BLOCK_ELEMENTS", 50 * ridge.fit_.likelihood.layout.size)
    np.testing.assert_allclose(covariance(ridge.fit_, "cluster", groups=GROUPS), whole, rtol=1e-10)
    loaded = replace(ridge.fit_, data=None)
    assert "does not hold its training data" in estimate(loaded, "HC0").refusal


# -- without forming the matrix ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["expected", "observed", "posterior", "frequentist", "HC0", "HC1", "cluster"])
def test_variances_by_conjugate_gradients_are_those_of_the_whole_matrix(ridge, kind):
    options = {"groups": GROUPS} if kind == "cluster" else {}
    P = len(ridge.fit_.theta)
    C = np.vstack([np.eye(P)[[0, P - 1]], np.random.default_rng(1).normal(size=(2, P))])
    found = ridge.inference().variance_of(C, kind, **options)
    if kind == "frequentist":
        H, _, B, *_ = parts(ridge.fit_)
        expected = C @ B @ H @ B @ C.T
    else:
        expected = C @ covariance(ridge.fit_, kind, **options) @ C.T
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_selected_variances_are_had_where_the_whole_is_too_large(ridge):
    large = results(replace(ridge.fit_, n_rows=10**11))
    assert "variance_of" in large.refusal
    names = large.theta_names()[:3]
    np.testing.assert_allclose(large.variance_of(names), ridge.inference().cov_theta()[:3, :3], rtol=1e-6)
    gaussian = fitted("gaussian", alpha=1.0).inference()
    V = gaussian.variance_of(np.eye(3))
    np.testing.assert_allclose(V, gaussian.cov_theta(), rtol=1e-8)


def test_variances_that_cannot_be_had(ridge):
    found = ridge.inference()
    with pytest.raises(ValueError, match="takes all of V"):
        found.variance_of(np.eye(len(found.theta)), "HC3")
    with pytest.raises(ValueError, match=r"'z' is not one of theta_names"):
        found.variance_of(["z"])
    with pytest.raises(ValueError, match="contrasts has 2 columns"):
        found.variance_of(np.eye(2))
    saddle = replace(ridge.fit_, theta=0 * ridge.fit_.theta, penalty=0 * ridge.fit_.penalty)
    with pytest.raises(ValueError, match=r"not positive definite|nearly singular"):
        results(saddle).variance_of(np.eye(len(found.theta)), "observed")
    with pytest.raises(ValueError, match="no standard errors: the L1"):
        results(fitted("gaussian", l1=1.0).fit_).variance_of(np.eye(3))
