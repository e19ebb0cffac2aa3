"""Cross-products, normal equations, QR steps and trust-region subproblems."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import minimize as scipy_minimize

from reglm.optimize import (
    crossproduct,
    normal_equations,
    solve_normal,
    weighted_crossproduct,
    weighted_qr_step,
)
from reglm.optimize.dependence import dependent_by_crossproduct, dependent_columns
from reglm.optimize.subproblems import exact_step, steihaug_step
from reglm.threads import controller

RNG = np.random.default_rng(0)
TALL = RNG.normal(size=(20_011, 7)) * (RNG.random((20_011, 7)) < 0.6)
WEIGHTS, D = RNG.random(20_011), RNG.normal(size=20_011)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("form", [np.ascontiguousarray, np.asfortranarray, sp.csr_array])
@pytest.mark.parametrize("intercept", [False, True])
def test_normal_equations(form, dtype, intercept):
    full = np.column_stack([TALL, np.ones(len(TALL))]) if intercept else TALL
    G, g = normal_equations(form(TALL.astype(dtype)), WEIGHTS.astype(dtype), D.astype(dtype), intercept)
    rtol = 1e-11 if dtype == np.float64 else 1e-4
    np.testing.assert_allclose(G, full.T @ (full * WEIGHTS[:, None]), rtol=rtol, atol=rtol)
    np.testing.assert_allclose(g, full.T @ D, rtol=rtol, atol=2e-3 if dtype == np.float32 else 1e-10)
    assert G.dtype == g.dtype == np.float64
    np.testing.assert_array_equal(G, G.T)


def test_compiled_and_interpreted_sparse_forms_agree(monkeypatch):
    X = sp.csr_array(TALL)
    found = []
    for limit in (0, 10**12):
        monkeypatch.setattr(crossproduct, "KERNEL_PAYS", limit)
        found.append(weighted_crossproduct(X, WEIGHTS))
    np.testing.assert_allclose(*found, rtol=1e-12)


def test_weights_of_both_signs():
    w = WEIGHTS - 0.5
    np.testing.assert_allclose(weighted_crossproduct(TALL, w), TALL.T @ (TALL * w[:, None]), atol=1e-9)


def test_bits_do_not_depend_on_threads():
    found = []
    for threads in (1, 2):
        with controller().limit(limits=threads):
            found.append(weighted_crossproduct(TALL, WEIGHTS, intercept=True))
    np.testing.assert_array_equal(*found)


def test_solve_normal_scales_and_estimates():
    scale = 10.0 ** np.arange(-8, 8, 4)
    G = np.array([[4.0, 1, 0, 0], [1, 3, 0, 0], [0, 0, 2, 1], [0, 0, 1, 2]]) * scale * scale[:, None]
    g = RNG.normal(size=4) * scale
    x, condition = solve_normal(G, g)
    np.testing.assert_allclose(G @ x / scale, g / scale, rtol=1e-12)
    assert 1 < condition < 10
    x, condition = solve_normal(np.ones((2, 2)), np.ones(2))
    assert condition > 1e15
    assert not x.any() or np.isfinite(x).all()
    assert solve_normal(np.diag([1.0, 0.0]), np.ones(2))[1] == np.inf
    assert solve_normal(np.zeros((0, 0)), np.zeros(0))[0].shape == (0,)


@pytest.mark.parametrize("form", [np.ascontiguousarray, sp.csr_array])
def test_qr_step_is_weighted_least_squares(form):
    z = TALL @ np.arange(7.0) + D
    found = weighted_qr_step(form(TALL), WEIGHTS, z, intercept=True)
    root = np.sqrt(WEIGHTS)[:, None]
    full = np.column_stack([TALL, np.ones(len(TALL))]) * root
    np.testing.assert_allclose(found.coef, np.linalg.lstsq(full, z * root[:, 0], rcond=None)[0], rtol=1e-10)
    np.testing.assert_allclose(found.R.T @ found.R, full.T @ full, rtol=1e-10, atol=1e-9)
    assert found.rank == 8


def test_qr_step_drops_columns_that_depend_on_earlier_ones():
    X = np.column_stack([TALL[:, :2], TALL[:, 0] + TALL[:, 1], TALL[:, 2], np.full(len(TALL), 3.0)])
    found = weighted_qr_step(X, WEIGHTS, D, intercept=True)
    assert found.aliased.tolist() == [False, False, True, False, True, False]
    assert found.rank == 4
    assert not found.coef[found.aliased].any()
    more_columns = weighted_qr_step(TALL[:3], WEIGHTS[:3], D[:3])
    assert more_columns.rank <= 3
    np.testing.assert_allclose(TALL[:3] @ more_columns.coef, D[:3], atol=1e-10)


def test_dependence_by_crossproduct_is_confirmed_on_the_rows_or_left_open():
    ones, none = np.ones(len(TALL), bool), np.zeros(8)
    X = np.column_stack([TALL[:, :4], TALL[:, 1] - TALL[:, 3], np.zeros(len(TALL)), TALL[:, 4]])
    G = weighted_crossproduct(X, WEIGHTS, intercept=True)
    found = dependent_by_crossproduct(X, ones, none, G, True)
    assert found.tolist() == [False] * 4 + [True, True, False, False]
    full = np.column_stack([X, np.ones(len(X))])
    np.testing.assert_array_equal(found, dependent_columns(full, 1e-11, True))
    # A remainder of 1e-8 leaves a pivot of 1e-16, like a true dependence; only the rows can tell.
    X[:, 4] += 1e-8 * D
    assert dependent_by_crossproduct(X, ones, none, weighted_crossproduct(X, WEIGHTS, True), True) is None
    assert not dependent_columns(np.column_stack([X, np.ones(len(X))]), 1e-11, True)[4]


def quadratic(seed, size=6):
    rng = np.random.default_rng(seed)
    B = rng.normal(size=(size, size))
    return B + B.T, rng.normal(size=size)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("radius", [0.01, 1.0, 30.0])
def test_exact_step_is_the_minimiser_over_the_ball(seed, radius):
    B, g = quadratic(seed)
    scale = np.random.default_rng(seed).uniform(0.5, 2, 6)
    step = exact_step(B, g, scale, radius)
    assert np.linalg.norm(scale * step) <= radius * (1 + 1e-5)
    value = g @ step + 0.5 * step @ B @ step

    # Any point of the ball, reached through an unconstrained coordinate, is no better.
    def on_ball(u):
        p = radius * u / np.maximum(1, np.linalg.norm(u)) / scale
        return g @ p + 0.5 * p @ B @ p

    rng = np.random.default_rng(1)
    best = min(scipy_minimize(on_ball, rng.normal(size=6), method="BFGS").fun for _ in range(8))
    assert value <= best + 1e-4 * abs(best)


def test_exact_step_hard_case_and_interior():
    B = np.diag([-1.0, 2.0, 3.0])
    step = exact_step(B, np.array([0.0, 1.0, 1.0]), np.ones(3), 2.0)
    np.testing.assert_allclose(np.abs(step), [np.sqrt(4 - 1 / 9 - 1 / 16), 1 / 3, 1 / 4], rtol=1e-6)
    np.testing.assert_allclose(exact_step(np.eye(3), np.ones(3), np.ones(3), 2.0), -np.ones(3))


@pytest.mark.parametrize("seed", range(5))
def test_steihaug_step(seed):
    B, g = quadratic(seed)
    positive = B @ B + np.eye(6)
    for matrix in (B, positive):
        step = steihaug_step(matrix.__matmul__, g, 0.7)
        cauchy = -0.7 * g / np.linalg.norm(g)
        curvature = g @ matrix @ g
        if curvature > 0:
            cauchy = -g * min(0.7 / np.linalg.norm(g), g @ g / curvature)
        assert np.linalg.norm(step) <= 0.7 * (1 + 1e-12)
        assert g @ step + 0.5 * step @ matrix @ step <= g @ cauchy + 0.5 * cauchy @ matrix @ cauchy + 1e-12
    tiny = 1e-6 * g
    np.testing.assert_allclose(
        steihaug_step(positive.__matmul__, tiny, 10.0), -np.linalg.solve(positive, tiny), rtol=1e-2
    )
