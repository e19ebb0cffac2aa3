"""Regression on landmarks: with every row a landmark the exact dual, leave-one-out as refits, blocks within memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn.metrics.pairwise import laplacian_kernel, rbf_kernel

from reglm.kernels import criteria, duals, penalties, posterior
from reglm.kernels.blocks import Blocks, Gaussian, rows_within
from reglm.kernels.lowrank import decompose, factor, scaled_rows

LAM = np.geomspace(1e-3, 1e2, 7)
GIGABYTE = 10**9


def data(n=60, k=2, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-2, 2, size=(n, 3))
    y = np.column_stack([np.sin((j + 1) * X[:, 0]) + 3 + 0.3 * rng.normal(size=n) for j in range(k)])
    T = np.column_stack([np.ones(n), X[:, 1], 2 * X[:, 1]])  # the last column depends on the second
    return X, y, T, rng.choice([0.4, 1.0, 2.0, 3.0], size=n)


def gram(X, Z):
    return laplacian_kernel(X, Z, gamma=0.3)


def model_of(X, y, T, w, Z, copies=True, memory=GIGABYTE, dtype="float64"):
    return decompose(gram, X, Z, scaled_rows(y, T, w, copies=copies), memory=memory, dtype=dtype)


@pytest.mark.parametrize("copies", [True, False])
@pytest.mark.parametrize("linear", [True, False])
def test_every_row_a_landmark_is_the_exact_dual(copies, linear):
    X, y, T, w = data()
    T = T if linear else None
    ours = model_of(X, y, T, w, X, copies)
    exact = duals.decompose(gram(X, X), y, T, w, copies=copies)
    for lam in LAM[:, None]:
        fitted = gram(X, ours.landmarks) @ ours.coefficients(lam)
        np.testing.assert_allclose(fitted, gram(X, X) @ exact.coefficients(lam), atol=1e-8)
        np.testing.assert_allclose(ours.linear(lam), exact.linear(lam), rtol=1e-8)
    np.testing.assert_allclose(ours.edf(LAM), exact.edf(LAM), rtol=1e-8)
    np.testing.assert_allclose(ours.rss(LAM), exact.rss(LAM), rtol=1e-8)
    for name, criterion in criteria.CRITERIA.items():
        np.testing.assert_allclose(penalties.CRITERIA[name](ours, LAM), criterion(exact, LAM), rtol=1e-8)


def test_a_smooth_kernel_with_repeated_landmarks():
    X, y, T, w = data()
    K = rbf_kernel(X, X, gamma=0.05)
    smooth = Gaussian(0.05, X.mean(0))
    np.testing.assert_allclose(smooth(X, X), K, atol=1e-13)
    ours = decompose(smooth, X, np.vstack([X, X[:10]]), scaled_rows(y, T, w), memory=GIGABYTE)
    exact = duals.decompose(K, y, T, w)
    assert len(ours.d) <= len(X)
    lam = np.array([0.01])
    np.testing.assert_allclose(
        smooth(X, ours.landmarks) @ ours.coefficients(lam), K @ exact.coefficients(lam), atol=1e-8
    )


def refitted(X, y, T, w, Z, lam):
    """Coefficients of the landmarks and of T by the normal equations."""
    A = np.hstack([gram(X, Z), T[:, :2]])
    penalty = np.zeros((A.shape[1], A.shape[1]))
    penalty[: len(Z), : len(Z)] = lam * gram(Z, Z)
    return np.linalg.solve(A.T @ (w[:, None] * A) + penalty, A.T @ (w[:, None] * y)), A


@pytest.mark.parametrize("copies", [True, False])
def test_leave_one_out_equals_refits(copies):
    X, y, T, w = data(40)
    Z = X[::5]
    ours = model_of(X, y, T, w, Z, copies)
    for lam in (0.05, 2.0):
        coef, A = refitted(X, y, T, w, Z, lam)
        np.testing.assert_allclose(ours.rss(np.array([lam]))[0], (w[:, None] * (y - A @ coef) ** 2).sum(0), rtol=1e-9)
        errors = []
        for i in range(len(X)):
            without = w.copy()
            without[i] -= min(1.0, w[i]) if copies else w[i]
            coef, A = refitted(X, y, T, without, Z, lam)
            errors.append(y[i] - A[i] @ coef)
        expected = (w[:, None] * np.square(errors)).sum(0) / w.sum()
        np.testing.assert_allclose(penalties.loo(ours, np.array([lam]))[0], expected, rtol=1e-9)


def test_weights_are_repetitions():
    X, y, T, _ = data(30)
    w = np.random.default_rng(1).integers(1, 4, size=30)
    weighted = model_of(X, y, T, w.astype(float), X[::4])
    repeated = model_of(*(np.repeat(a, w, axis=0) for a in (X, y, T)), None, X[::4])
    for criterion in penalties.CRITERIA.values():
        np.testing.assert_allclose(criterion(weighted, LAM), criterion(repeated, LAM), rtol=1e-8)


@pytest.mark.parametrize("each", [True, False])
@pytest.mark.parametrize("name", penalties.CRITERIA)
def test_the_best_penalty_is_a_minimum(name, each):
    X, y, T, w = data(80)
    ours = model_of(X, y, T, w, X[:25])
    grid = penalties.grid(ours, 40)
    best = penalties.best(ours, name, grid, each=each)
    assert best.shape == ((2,) if each else (1,))
    for j, lam in enumerate(best):
        nearby = penalties.CRITERIA[name](ours, lam * np.array([1.0, 0.8, 1.25]))
        nearby = nearby[:, j] if each else nearby.sum(axis=1)
        assert nearby[0] <= nearby[1:].min()


def test_variances_are_those_of_the_exact_process():
    X, y, T, w = data(50)
    new, T0 = data(20, seed=1)[0], data(20, seed=1)[2]
    ours, exact = model_of(X, y, T, w, X), duals.decompose(gram(X, X), y, T, w)
    lam = np.array([0.2, 1.5])
    cross = gram(new, ours.landmarks)
    np.testing.assert_allclose(
        ours.variance(lam, cross, T0, np.ones(20)),
        posterior.variance(exact, lam, gram(new, X), T0, np.ones(20)),
        rtol=1e-8,
    )
    np.testing.assert_allclose(ours.linear_covariance(lam), posterior.linear_covariance(exact, lam), rtol=1e-8)
    for kind in ("residual", "reml", "ml"):
        np.testing.assert_allclose(penalties.scale(ours, lam, kind), criteria.scale(exact, lam, kind), rtol=1e-8)


def test_variance_of_fitted_values():
    X, y, T, w = data(40)
    ours = model_of(X, y, T, w, X[::5])
    P = np.concatenate([block for _, block in ours.features])
    leverage = w * ours.unit_variance(np.array([0.3]), P, T)[:, 0]  # at the training rows: the hat matrix's diagonal
    assert leverage.sum() == pytest.approx(ours.edf(np.array([0.3]))[0], rel=1e-10)


def test_single_precision_is_close():
    X, y, T, w = data(200)
    lam = np.array([0.1])
    fits = [model_of(X, y, T, w, X[::8], dtype=dtype) for dtype in ("float64", "float32")]
    double, single = (gram(X, fit.landmarks) @ fit.coefficients(lam) for fit in fits)
    assert fits[1].features.dtype == "float32"
    np.testing.assert_allclose(single, double, atol=1e-4)


def test_blocks_do_not_change_the_fit():
    X, y, T, w = data(500)
    Z = X[:20]
    small = 8 * 8 * 20 * 20 + 3 * 8 * 20 * 100
    whole, parts = model_of(X, y, T, w, Z), model_of(X, y, T, w, Z, memory=small)
    assert whole.features.keep
    assert not parts.features.keep
    assert parts.features.rows == 100
    np.testing.assert_allclose(penalties.loo(parts, LAM), penalties.loo(whole, LAM), rtol=1e-10)


def test_memory_stays_below_the_limit():
    X, y, T, w = data(20_000, 1)
    limit = 24_000_000
    rows = scaled_rows(y, T, w)
    tracemalloc.start()
    ours = decompose(Gaussian(0.3, X.mean(0)), X, X[:200], rows, memory=limit)
    penalties.best(ours, "loo", penalties.grid(ours, 20), refine=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert not ours.features.keep
    assert peak < limit < 8 * 20_000 * 200


def test_memory_that_does_not_suffice():
    with pytest.raises(ValueError, match=r"2000 landmarks need 259\.1 MB at least, memory_limit allows 100 MB; raise"):
        rows_within(10**8, 10**6, 2000, 8)


def test_a_kernel_that_is_not_positive():
    with pytest.raises(ValueError, match="not positive semidefinite"):
        factor(-np.eye(3))
    with pytest.raises(ValueError, match="not positive semidefinite"):
        factor(np.array([[1.0, 2.0], [2.0, 1.0]]))


def test_blocks_cover_the_rows():
    X, *_ = data(50)
    blocks = Blocks(gram, X, X[:4], 16, False, np.copy)
    np.testing.assert_array_equal(np.concatenate([block for _, block in blocks]), gram(X, X[:4]))
