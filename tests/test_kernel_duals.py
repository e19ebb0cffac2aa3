"""Kernel regression in the dual against refits, closed forms, repeated rows and scikit-learn's Gaussian process."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg, stats
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.metrics.pairwise import rbf_kernel

from reglm.kernels import criteria, posterior
from reglm.kernels.duals import decompose, independent
from reglm.kernels.gradients import value_and_gradient

LAM = np.array([0.003, 0.2, 5.0])


def case(n=25, k=2, seed=0, weighted=True):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    y = np.sin(2 * x[:, [0]]) + x[:, [1]] + 0.3 * rng.normal(size=(n, k))
    w = rng.integers(1, 4, n).astype(float) if weighted else np.ones(n)
    return x, y, np.column_stack([np.ones(n), x[:, 1]]), w


def direct(K, y, X, w, lam):
    """Coefficients from the block equations (K + lambda W^-1) a + X b = y, X'a = 0."""
    n, q = X.shape
    system = np.block([[K + lam * np.diag(1 / w), X], [X.T, np.zeros((q, q))]])
    found = np.linalg.solve(system, np.vstack([y, np.zeros((q, y.shape[1]))]))
    return found[:n], found[n:]


def joint(K, X, w, lam):
    """Covariance V of y, and the projection P onto error contrasts."""
    V = K + lam * np.diag(1 / w)
    inverse = np.linalg.inv(V)
    information = X.T @ inverse @ X
    return V, inverse - inverse @ X @ np.linalg.solve(information, X.T @ inverse), information


@pytest.mark.parametrize("lam", LAM)
def test_coefficients_hat_matrix_and_sums_are_the_closed_forms(lam):
    x, y, X, w = case()
    K, at = rbf_kernel(x, gamma=0.5), np.array([lam])
    dual = decompose(K, y, X, w)
    a, b = direct(K, y, X, w, lam)
    np.testing.assert_allclose(dual.coefficients(at), a, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(dual.linear(at), b, rtol=1e-8)
    hat = np.column_stack([K @ c + X @ d for c, d in (direct(K, e[:, None], X, w, lam) for e in np.eye(len(y)))])
    np.testing.assert_allclose(dual.leverage(at)[:, 0], np.diag(hat), rtol=1e-8)
    np.testing.assert_allclose(dual.edf(at), np.trace(hat), rtol=1e-8)
    residuals = y - hat @ y
    np.testing.assert_allclose(dual.residuals(at), residuals, atol=1e-9)
    np.testing.assert_allclose(dual.rss(at)[0], w @ residuals**2, rtol=1e-8)
    penalty = lam * np.einsum("ik,ij,jk->k", a, K, a)
    np.testing.assert_allclose(lam * dual.quadratic(at)[0], w @ residuals**2 + penalty, rtol=1e-8)


@pytest.mark.parametrize("copies", [True, False])
def test_leave_one_out_is_n_refits(copies):
    x, y, X, w = case()
    w = w + (0.0 if copies else 0.37)
    K, lam = rbf_kernel(x, gamma=0.5), 0.05
    found = decompose(K, y, X, w, copies=copies).loo_residuals(np.array([lam]))
    for i in range(len(y)):
        left = w.copy()
        left[i] -= 1.0 if copies else w[i]
        rows = left > 0
        a, b = direct(K[np.ix_(rows, rows)], y[rows], X[rows], left[rows], lam)
        np.testing.assert_allclose(found[i], y[i] - K[i, rows] @ a - X[i] @ b, rtol=1e-9, atol=1e-9)


def test_interpolation_has_leave_one_out_residuals_too():
    x, y, X, w = case(weighted=False)
    K = rbf_kernel(x, gamma=20.0)
    found = decompose(K, y, X, w).loo_residuals(np.zeros(1))
    for i in range(len(y)):
        rows = np.arange(len(y)) != i
        a, b = direct(K[np.ix_(rows, rows)], y[rows], X[rows], w[rows], 0.0)
        np.testing.assert_allclose(found[i], y[i] - K[i, rows] @ a - X[i] @ b, rtol=1e-8, atol=1e-9)


def test_a_row_that_alone_determines_a_coefficient_cannot_be_left_out():
    x, y, _, w = case(weighted=False)
    X = np.column_stack([np.ones(25), np.arange(25) == 3]).astype(float)
    dual = decompose(rbf_kernel(x), y, X, w)
    found = dual.loo_residuals(np.array([0.1]))
    assert np.isnan(found[3]).all()
    assert np.isfinite(np.delete(found, 3, axis=0)).all()
    assert np.isfinite(criteria.loo(dual, LAM)).all()


def test_weights_are_repetitions():
    x, y, X, w = case()
    rows = np.repeat(np.arange(len(y)), w.astype(int))
    one = decompose(rbf_kernel(x), y, X, w)
    many = decompose(rbf_kernel(x[rows]), y[rows], X[rows])
    for name, criterion in criteria.CRITERIA.items():
        np.testing.assert_allclose(criterion(one, LAM), criterion(many, LAM), rtol=1e-7, err_msg=name)
    for kind in ("residual", "reml", "ml"):
        at = np.array([0.1])
        np.testing.assert_allclose(criteria.scale(one, at, kind), criteria.scale(many, at, kind), rtol=1e-7)


@pytest.mark.parametrize("copies", [True, False])
def test_likelihoods_are_their_determinant_forms(copies):
    x, y, X, w = case()
    w = np.ones(len(y)) if copies else w
    K, n = rbf_kernel(x, gamma=0.5), len(y)
    dual = decompose(K, y, X, w, copies=copies)
    for lam in LAM:
        V, P, information = joint(K, X, w, lam)
        quadratic, at = np.einsum("ik,ij,jk->k", y, P, y), np.array([lam])
        for s in (None, 1.7):
            for restricted in (True, False):
                degrees = n - 2 if restricted else n
                scale = quadratic / degrees if s is None else s
                logs = np.linalg.slogdet(V)[1] + restricted * np.linalg.slogdet(information)[1]
                want = -0.5 * (degrees * np.log(2 * np.pi * scale) + logs + quadratic / scale)
                got = criteria.log_likelihood(dual, at, restricted=restricted, scale=s)[0]
                np.testing.assert_allclose(got, want, rtol=1e-8)


def test_scikit_learn_gaussian_process():
    x, y, _, _ = case(k=1)
    lam, new = 0.07, np.random.default_rng(1).normal(size=(9, 2))
    kernel = RBF(0.9)
    theirs = GaussianProcessRegressor(kernel + WhiteKernel(lam), optimizer=None, alpha=0.0).fit(x, y[:, 0])
    dual, at = decompose(kernel(x), y), np.array([lam])
    got = criteria.log_likelihood(dual, at, restricted=False, scale=1.0)[0, 0]
    np.testing.assert_allclose(got, theirs.log_marginal_likelihood_value_, rtol=1e-8)
    mean, std = theirs.predict(new, return_std=True)
    cross, none = kernel(new, x), np.empty((9, 0))
    np.testing.assert_allclose(posterior.mean(dual, at, cross, none)[:, 0], mean, rtol=1e-8)
    variance = posterior.variance(dual, at, cross, none, kernel.diag(new))[:, 0]
    np.testing.assert_allclose(variance + lam, std**2, rtol=1e-8)


def test_universal_kriging_is_the_limit_of_a_vague_prior():
    x, y, X, w = case(k=1)
    lam, new, vague = 0.2, np.random.default_rng(1).normal(size=(9, 2)), 1e6
    K, at, Xnew = rbf_kernel(x, gamma=0.5), np.array([0.2]), np.column_stack([np.ones(9), new[:, 1]])
    dual = decompose(K, y, X, w)
    V = K + vague * X @ X.T + lam * np.diag(1 / w)
    cross = rbf_kernel(new, x, gamma=0.5)
    k0 = cross + vague * Xnew @ X.T
    mean = k0 @ np.linalg.solve(V, y)
    var = 1 + vague * (Xnew**2).sum(axis=1) - np.einsum("ij,ji->i", k0, np.linalg.solve(V, k0.T))
    np.testing.assert_allclose(posterior.mean(dual, at, cross, Xnew), mean, rtol=1e-4)
    np.testing.assert_allclose(posterior.variance(dual, at, cross, Xnew, np.ones(9))[:, 0], var, rtol=1e-4)
    information = joint(K, X, w, lam)[2]
    np.testing.assert_allclose(posterior.linear_covariance(dual, at)[0], np.linalg.inv(information), rtol=1e-8)


@pytest.mark.parametrize("name", criteria.CRITERIA)
def test_the_best_penalty_beats_a_fine_grid(name):
    x, y, X, w = case(60)
    dual = decompose(rbf_kernel(x, gamma=0.5), y, X, w)
    each = criteria.best(dual, name, criteria.grid(dual), each=True)
    fine = criteria.CRITERIA[name](dual, criteria.grid(dual, 2000))
    for target, lam in enumerate(each):
        got = criteria.CRITERIA[name](dual, np.array([lam]))[0, target]
        assert got <= fine[:, target].min() + 1e-12 * abs(got)
    shared = criteria.best(dual, name, criteria.grid(dual), refine=False)
    assert shared in criteria.grid(dual)


@pytest.mark.parametrize("name", criteria.CRITERIA)
@pytest.mark.parametrize("copies", [True, False])
def test_gradients_in_the_kernel_are_finite_differences(name, copies):
    x, y, X, w = case(12)
    w = w * (1.0 if copies else 0.4)
    K = rbf_kernel(x, gamma=0.5)
    _, gradient = value_and_gradient(decompose(K, y, X, w, copies=copies), name, 0.3)
    rng, h = np.random.default_rng(2), 1e-5
    for _ in range(3):
        step = rng.normal(size=K.shape)
        step = step @ step.T / len(K)
        ends = [value_and_gradient(decompose(K + s * step, y, X, w, copies=copies), name, 0.3)[0] for s in (h, -h)]
        np.testing.assert_allclose((gradient * step).sum(), (ends[0] - ends[1]) / (2 * h), rtol=1e-6)


def test_conditionally_positive_definite_kernels_need_an_intercept():
    x, y, _, w = case()
    K = -np.sqrt(((x[:, None] - x[None]) ** 2).sum(axis=2))
    dual = decompose(K, y, np.ones((25, 1)), w)
    a, b = direct(K, y, np.ones((25, 1)), w, 0.1)
    np.testing.assert_allclose(dual.coefficients(np.array([0.1])), a, atol=1e-9)
    np.testing.assert_allclose(dual.linear(np.array([0.1])), b, atol=1e-9)
    with pytest.raises(ValueError, match="not positive semidefinite: its smallest eigenvalue"):
        decompose(K, y, None, w)


def test_dependent_columns_are_left_out_in_order():
    rng = np.random.default_rng(0)
    X = np.column_stack([np.ones(20), rng.normal(size=20), np.zeros(20)])
    assert independent(X).tolist() == [0, 1]
    assert len(independent(np.column_stack([X, 2 * X[:, 1] - 3]))) == 2
    assert len(independent(np.zeros((5, 2)))) == 0
    y = rng.normal(size=(20, 1))
    K, at = rbf_kernel(X), np.array([0.1])
    full = decompose(K, y, np.column_stack([X, X[:, 1] + 1]))
    np.testing.assert_allclose(full.residuals(at), decompose(K, y, X[:, :2]).residuals(at), atol=1e-10)


def test_no_row_is_left_to_the_kernel():
    with pytest.raises(ValueError, match="n_samples=1 with an unpenalised part of 1"):
        decompose(np.ones((1, 1)), np.ones((1, 1)), np.ones((1, 1)))


def test_weights_that_are_no_repetitions_are_told_so():
    x, y, X, w = case()
    small = w / w.sum()
    with pytest.raises(ValueError, match=r"sum to 1, fewer observations than the 2 coefficients.*freq_weights=False"):
        decompose(rbf_kernel(x), y, X, small)
    dual = decompose(rbf_kernel(x), y, None, small)
    with pytest.raises(ValueError, match=r"sum to 1, fewer observations than .* effective degrees of freedom"):
        criteria.scale(dual, np.array([1e-4]), "residual")
    assert np.all(criteria.scale(decompose(rbf_kernel(x), y, X, small, copies=False), LAM[:1], "residual") > 0)


def test_intervals_and_densities_are_normal():
    centre, var = np.array([[0.0], [1.0]]), np.array([[1.0], [4.0]])
    low, high = posterior.interval(centre, var, 0.9)
    np.testing.assert_allclose(stats.norm.cdf(high, centre, np.sqrt(var)), 0.95)
    np.testing.assert_allclose(low + high, 2 * centre)
    want = stats.multivariate_normal([0.0], [[1.0]]).logpdf([0.3])
    np.testing.assert_allclose(posterior.log_density(np.array([[0.3], [1.0]]), centre, var)[0], want)


def test_posterior_variance_is_that_of_simulated_errors():
    x, _, X, w = case(12, weighted=False)
    K, lam, rng = rbf_kernel(x, gamma=0.5), 0.1, np.random.default_rng(3)
    root = linalg.cholesky(K + 1e-10 * np.eye(12), lower=True)
    f = root @ rng.normal(size=(12, 20_000))
    y = f[:-1] + np.sqrt(lam) * rng.normal(size=(11, 20_000))
    dual, at = decompose(K[:-1, :-1], y, X[:-1], w[:-1]), np.array([lam])
    errors = posterior.mean(dual, at, K[-1:, :-1], X[-1:]) - f[-1:]
    want = posterior.variance(dual, at, K[-1:, :-1], X[-1:], np.ones(1))[0, 0]
    assert abs(errors.var() / want - 1) < 5 * np.sqrt(2 / 20_000)
