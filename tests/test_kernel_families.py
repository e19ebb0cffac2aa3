"""Kernel regression of any family: against the direct dual, ridge-penalised models, refits and repetitions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.utils.estimator_checks import parametrize_with_checks

from reglm import KernelDualClassifier, KernelDualRegressor, RecursiveGLMClassifier, RecursiveGLMRegressor, families
from reglm.kernels import criteria, irls_criteria
from reglm.kernels.duals import decompose
from reglm.kernels.irls_criteria import Smoother
from reglm.kernels.irls_problem import Problem
from reglm.response import Response

rng = np.random.default_rng(1)
n = 60
X = rng.normal(size=(n, 2))
ETA = np.sin(2 * X[:, 0]) + 0.5 * X[:, 1]
NEW = rng.normal(size=(9, 2))
CLASSES = np.digitize(2 * ETA + rng.logistic(size=n), [-1, 1])
RESPONSES = {
    "poisson": rng.poisson(np.exp(ETA)).astype(float),
    "bernoulli": (rng.uniform(size=n) < 1 / (1 + np.exp(-2 * ETA))).astype(float),
    "gamma": rng.gamma(3.0, np.exp(ETA) / 3),
    "negative_binomial(0.5)": rng.poisson(np.exp(ETA) * rng.gamma(2.0, 0.5, n)).astype(float),
    "multinomial": np.eye(3)[CLASSES],
}
LINKS = {"gamma": "log"}


def kernel(family, kernel="rbf", **options):
    given = {"alpha": 0.3, "gamma": 0.5} if kernel == "rbf" else {"alpha": 0.3}
    return KernelDualRegressor(kernel, family=family, link=LINKS.get(family), **given | options)


# No expected failures; a check of sparse input may skip itself, and says so by a warning.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks([KernelDualClassifier(alpha=0.1), kernel("poisson")])
def test_estimator_keeps_the_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("copies", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_gaussian_scoring_is_the_direct_dual(weighted, copies):
    y, linear = ETA[:, None] + 0.3 * rng.normal(size=(n, 1)), np.column_stack([np.ones(n), X[:, 1]])
    weights = np.arange(n) % 3 + (1.0 if copies else 0.4) if weighted else None
    dual = decompose(rbf_kernel(X), y, linear, weights, copies=copies)
    gaussian = families.get("gaussian")
    smoother = Smoother(Problem(dual, Response(gaussian, gaussian.resolve_link()), y, np.zeros((n, 1))), 0 * y)
    for lam in (0.01, 1.0):
        found, at = smoother.at(lam), np.array([lam])
        a, b = found.coefficients()
        assert_allclose(a, dual.coefficients(at), rtol=1e-7, atol=1e-9)
        assert_allclose(b, dual.linear(at), rtol=1e-9)
        assert_allclose(found.leverage, dual.leverage(at)[:, 0], rtol=1e-8)
        assert_allclose(y - found.left_out, dual.loo_residuals(at), rtol=1e-7)
        for name, criterion in irls_criteria.CRITERIA.items():
            assert_allclose(criterion(found), criteria.CRITERIA[name](dual, at)[0, 0], rtol=1e-7, err_msg=name)


@pytest.mark.parametrize("family", [name for name in RESPONSES if name != "multinomial"])
def test_linear_kernel_is_the_ridge_penalised_model(family):
    y, offset, weights = RESPONSES[family], 0.3 * X[:, 0] ** 2, np.arange(n) % 3 + 0.0
    ours = kernel(family, "linear").fit(X, y, weights, offset=offset)
    theirs = RecursiveGLMRegressor(family=family, link=LINKS.get(family), alpha=0.3, tol=1e-12, max_iter=200)
    theirs.fit(X, y, weights, offset=offset)
    assert_allclose(ours.predict(NEW, offset=np.ones(9)), theirs.predict(NEW, offset=np.ones(9)), rtol=1e-7)
    assert_allclose(ours.primal(), theirs.coef_, rtol=1e-7)
    assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-7, atol=1e-9)
    assert_allclose(ours.score(X, y, weights, offset), theirs.score(X, y, weights, offset), rtol=1e-7)
    if ours.dispersion_ == 1.0:
        assert_allclose(ours.logpdf(X, y, offset=offset), theirs.logpdf(X, y, offset=offset), rtol=1e-6)


@pytest.mark.parametrize("labels", [CLASSES, np.array(["no", "yes"])[RESPONSES["bernoulli"].astype(int)]])
def test_classes_with_a_linear_kernel(labels):
    ours = KernelDualClassifier("linear", alpha=0.3, class_weight="balanced").fit(X, labels)
    theirs = RecursiveGLMClassifier(alpha=0.3, tol=1e-12, class_weight="balanced").fit(X, labels)
    assert_allclose(ours.predict_proba(NEW), theirs.predict_proba(NEW), rtol=1e-7)
    assert_allclose(ours.decision_function(NEW), theirs.decision_function(NEW), rtol=1e-6, atol=1e-9)
    assert_allclose(ours.logpdf(X, labels), theirs.logpdf(X, labels), rtol=1e-6)
    assert ours.score(X, labels) == theirs.score(X, labels)


def test_multinomial_of_two_classes_is_bernoulli():
    labels = RESPONSES["bernoulli"]
    two, one = (KernelDualClassifier(family=f, alpha="reml", alphas=8).fit(X, labels) for f in ("multinomial", "auto"))
    assert_allclose(two.predict_proba(NEW), one.predict_proba(NEW), rtol=1e-5)
    assert_allclose(two.decision_function(NEW), one.decision_function(NEW), rtol=1e-4)
    assert_allclose(two.log_marginal_likelihood_, one.log_marginal_likelihood_, rtol=1e-8)


def test_laplace_likelihood_is_that_of_gaussian_process_classification():
    y = RESPONSES["bernoulli"]
    ours = kernel("bernoulli", fit_intercept=False).fit(X, y)
    theirs = GaussianProcessClassifier(ConstantKernel(1 / 0.3) * RBF(1.0), optimizer=None).fit(X, y)
    assert_allclose(ours.log_marginal_likelihood_, theirs.log_marginal_likelihood_value_, rtol=1e-6)
    f, variance = theirs.base_estimator_.latent_mean_and_variance(NEW)
    eta, se = ours.predict(NEW, kind="link", return_std=True)
    assert_allclose(eta, f, rtol=1e-4, atol=1e-5)
    assert_allclose(se**2, variance, rtol=1e-4)


@pytest.mark.parametrize("family", list(RESPONSES))
def test_leave_one_out_is_near_refits(family):
    y, model = RESPONSES[family], kernel(family)
    solution = model.fit(X, y)._solution
    refits = np.array([
        kernel(family).fit(np.delete(X, i, 0), np.delete(y, i, 0)).predict(X[[i]], kind="link").ravel()
        for i in range(0, n, 2)
    ])  # fmt: skip
    found, eta = solution.left_out[::2], solution.point.eta[::2]
    assert np.corrcoef(found.ravel(), refits.ravel())[0, 1] > 0.99
    assert np.abs(found - refits).mean() < 0.12 * np.abs(eta - refits).mean()
    deviance = [
        float(solution.problem.response.unit_deviance(solution.problem.y[::2], e).sum()) for e in (found, refits)
    ]
    assert deviance[0] == pytest.approx(deviance[1], rel=0.08)


@pytest.mark.parametrize("family", ["poisson", "gamma", "multinomial"])
def test_weights_are_repetitions(family):
    y, times = RESPONSES[family], np.arange(n) % 3
    for alpha in ("loo", "gcv", "reml"):
        options = {"alpha": alpha, "alphas": [0.05, 0.3, 1.0]}
        weighted = kernel(family, **options).fit(X, y, times)
        repeated = kernel(family, **options).fit(np.repeat(X, times, 0), np.repeat(y, times, 0))
        assert_allclose(weighted.path_, repeated.path_, rtol=1e-6)
        assert_allclose(weighted.predict(NEW), repeated.predict(NEW), rtol=1e-7)
        assert_allclose(weighted.dispersion_, repeated.dispersion_, rtol=1e-6)
        for mine, other in zip(
            weighted.predict(NEW, return_std=True), repeated.predict(NEW, return_std=True), strict=True
        ):
            assert_allclose(mine, other, rtol=1e-5)


def test_rows_of_no_weight_are_predicted():
    times = np.arange(n) % 3
    model = kernel("poisson").fit(X, RESPONSES["poisson"], times)
    outside = times == 0
    assert_allclose(model.loo_residuals_[outside], (RESPONSES["poisson"] - model.predict(X))[outside], rtol=1e-9)
    assert np.all(model.leverage_[outside] == 0)


def test_precomputed_kernel_and_exposure():
    exposure = rng.uniform(0.5, 2.0, n)
    y = rng.poisson(exposure * np.exp(ETA))
    by_name = kernel("poisson").fit(X, y, exposure=exposure)
    by_matrix = kernel("poisson", "precomputed").fit(rbf_kernel(X, gamma=0.5), y, exposure=exposure)
    ones = np.ones(9)
    assert_allclose(
        by_matrix.predict(rbf_kernel(NEW, X, gamma=0.5), exposure=ones), by_name.predict(NEW, exposure=ones)
    )
    assert_allclose(by_name.predict(NEW, exposure=2 * ones), 2 * by_name.predict(NEW, exposure=ones))
    frame = pd.DataFrame(X, columns=["a", "b"]).assign(e=exposure)
    named = kernel("poisson", exposure="e").fit(frame, y)
    assert_allclose(named.predict(frame), by_name.predict(X, exposure=exposure))
    with pytest.raises(ValueError, match="fit was given an offset or exposure"):
        by_name.predict(NEW)
    with pytest.raises(ValueError, match="exposure multiplies the mean"):
        KernelDualRegressor().fit(X, ETA, exposure=exposure)


def test_separated_classes_have_finite_fits():
    labels = (X[:, 0] > 0).astype(int)
    model = KernelDualClassifier(alphas=10).fit(X, labels)
    assert model.score(X, labels) == 1.0
    assert np.isfinite(model.path_.to_numpy()).all()
    with pytest.warns(Warning, match="separates the responses"):
        KernelDualClassifier(alpha=1.0, linear=True).fit(X, labels)


def test_errors_of_means_by_the_delta_method():
    model = kernel("poisson").fit(X, RESPONSES["poisson"])
    mean, se = model.predict(NEW, return_std=True)
    eta, error = model.predict(NEW, kind="link", return_std=True)
    assert_allclose(mean, np.exp(eta))
    assert_allclose(se, mean * error)
    low, high = model.intervals(NEW, kind="mean", level=0.9)
    assert_allclose(np.log(high) - np.log(low), 2 * stats.norm.ppf(0.95) * error)
    assert_allclose(model.predict(NEW, kind="linear") + model.predict(NEW, kind="kernel"), eta)
    assert_allclose(model.intervals(NEW, level=0.8)[1], stats.poisson.ppf(0.9, mean))
    assert_allclose(model.predict(NEW, kind="quantile", level=0.1), stats.poisson.ppf(0.1, mean))
    classes = kernel("multinomial").fit(X, RESPONSES["multinomial"])
    p, errors = classes.predict(NEW, return_std=True)
    steps = 1e-6 * np.eye(2)
    response, eta = classes._solution.problem.response, classes.predict(NEW, kind="link")
    slopes = np.stack([(response.mean(eta + step) - response.mean(eta - step)) / 2e-6 for step in steps], axis=2)
    columns = classes._solution.problem.columns(rbf_kernel(NEW, X, gamma=0.5), np.ones((9, 1)))
    assert columns.shape[0] == 9
    assert np.all(errors <= np.abs(slopes).sum(axis=2) * classes.predict(NEW, kind="link", return_std=True)[1].max())
    low, high = KernelDualClassifier(alpha=0.3, gamma=0.5).fit(X, CLASSES).intervals(NEW)
    assert np.all((low > 0) & (low < p) & (p < high) & (high < 1))


def test_summaries():
    text = kernel("gamma", alpha="reml", alphas=10, linear=[1]).fit(X, RESPONSES["gamma"]).summary().as_text()
    assert "restricted likelihood (Laplace)" in text
    assert "LOO Deviance" in text
    table = KernelDualClassifier(alpha=0.3, linear=[1]).fit(X, CLASSES).summary().as_frame()
    assert list(table.index) == ["1: Intercept", "1: x1", "2: Intercept", "2: x1"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"family": "negative_binomial"}, "shape parameters to estimate"),
        ({"alpha": 0.0}, "alpha=0.0 must be positive"),
        ({"approximation": "nystroem", "solver": "cg", "alpha": 1.0}, "solver='cg' needs family='gaussian'"),
        ({"optimize_kernel": "loo"}, "optimize_kernel='loo' needs family='gaussian'"),
        ({"family": "quasipoisson", "alpha": "reml"}, "claims no likelihood"),
        ({"memory_limit": "10KB"}, "memory_limit allows"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        KernelDualRegressor(**{"family": "poisson"} | options).fit(X, RESPONSES["poisson"])


def test_classifier_refusals():
    with pytest.raises(ValueError, match="family='gamma' is not one of classes"):
        KernelDualClassifier(family="gamma").fit(X, CLASSES)
    with pytest.raises(ValueError, match="has two classes"):
        KernelDualClassifier(family="bernoulli").fit(X, CLASSES)
    with pytest.raises(ValueError, match="not among the classes"):
        KernelDualClassifier(alpha=1.0).fit(X, CLASSES).logpdf(X[:1], [7])
    with pytest.raises(ValueError, match="claims no likelihood"):
        kernel("quasipoisson").fit(X, RESPONSES["poisson"]).logpdf(X, RESPONSES["poisson"])


@pytest.mark.parametrize("family", ["poisson", "bernoulli", "multinomial"])
def test_every_row_a_landmark_is_the_exact_fit(family):
    options = {"family": family, "kernel": "laplacian", "linear": [1], "alpha": 0.3}
    y = {"poisson": RESPONSES["poisson"], "bernoulli": CLASSES > 0, "multinomial": np.eye(3)[CLASSES]}[family]
    weights = np.arange(len(X)) % 3
    exact = KernelDualRegressor(**options).fit(X, y, weights)
    ours = KernelDualRegressor(**options, approximation="nystroem", n_landmarks=len(X)).fit(X, y, weights)
    for kind in ("mean", "link", "kernel", "linear"):
        np.testing.assert_allclose(ours.predict(NEW, kind=kind), exact.predict(NEW, kind=kind), atol=1e-8)
    for one, other in zip(ours.predict(NEW, return_std=True), exact.predict(NEW, return_std=True), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-7)
    for name in ("edf_", "log_marginal_likelihood_", "loo_residuals_", "coef_"):
        np.testing.assert_allclose(getattr(ours, name), getattr(exact, name), rtol=1e-6, atol=1e-8)


def test_few_landmarks_are_a_penalised_regression_on_their_features():
    options = {"family": "poisson", "gamma": 0.4, "alpha": 0.7}
    ours = KernelDualRegressor(**options, approximation="nystroem", n_landmarks=8, random_state=0)
    ours.fit(X, RESPONSES["poisson"])
    R = np.linalg.cholesky(rbf_kernel(ours.landmarks_, gamma=0.4)).T
    features = [np.linalg.solve(R.T, rbf_kernel(ours.landmarks_, rows, gamma=0.4)).T for rows in (X, NEW)]
    glm = RecursiveGLMRegressor(family="poisson", alpha=0.7, tol=1e-12).fit(features[0], RESPONSES["poisson"])
    np.testing.assert_allclose(ours.predict(NEW), glm.predict(features[1]), rtol=1e-7)
    chosen = KernelDualRegressor(family="poisson", approximation="nystroem", n_landmarks=8, random_state=0)
    assert chosen.fit(X, RESPONSES["poisson"]).path_["loo"].notna().all()
