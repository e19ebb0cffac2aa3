"""Conjugate gradients on landmarks equal the direct solution; landmarks and their leverage scores."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from reglm.kernels.blocks import Gaussian
from reglm.kernels.falkon import solve
from reglm.kernels.landmarks import KINDS, leverage_scores, select
from reglm.kernels.lowrank import decompose, scaled_rows

GIGABYTE = 10**9


def data(n=600, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    y = np.column_stack([np.sin(2 * X[:, 0]) + X[:, 1] + 5, np.cos(X[:, 2])]) + 0.1 * rng.normal(size=(n, 2))
    return X, y, np.column_stack([np.ones(n), X[:, 1]]), rng.choice([0.5, 1.0, 2.0], size=n)


GRAM = Gaussian(0.5, np.zeros(3))


def both(kind, memory=GIGABYTE, dtype="float64", tol=1e-11, lam=0.3, **options):
    X, y, T, w = data()
    chosen = select(kind, X, 40, GRAM, np.random.default_rng(1), w)
    rows = scaled_rows(y, T, w)
    iterated = solve(
        GRAM, X, chosen, rows, lam, np.random.default_rng(2), memory=memory, dtype=dtype, tol=tol, **options
    )
    direct = decompose(GRAM, X, chosen, rows, memory=GIGABYTE)
    penalty = np.array([lam])
    fitted = GRAM(X, direct.landmarks) @ direct.coefficients(penalty)
    return iterated, GRAM(X, iterated.landmarks) @ iterated.beta, fitted, direct.linear(penalty)


@pytest.mark.parametrize("memory", [GIGABYTE, 8 * 8 * 40**2 + 3 * 8 * 40 * 100])
@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_direct_solution(kind, memory):
    iterated, ours, direct, linear = both(kind, memory)
    assert iterated.status == "converged"
    assert iterated.n_iter < 60
    np.testing.assert_allclose(ours, direct, atol=1e-7)
    np.testing.assert_allclose(iterated.linear, linear, atol=1e-7)


@pytest.mark.parametrize("lam", [1e-3, 1e-1])
def test_iterations_do_not_grow_with_the_rows(lam):
    counts = []
    for n in (1000, 4000):
        X, y, T, w = data(n)
        rng = np.random.default_rng(0)
        Z = select("uniform", X, 40, GRAM, rng)
        counts.append(solve(GRAM, X, Z, scaled_rows(y, T, w), lam, rng, memory=GIGABYTE, tol=1e-8).n_iter)
    assert max(counts) < 40
    assert counts[1] < 1.3 * counts[0]


def test_single_precision():
    iterated, ours, direct, _ = both("uniform", dtype="float32", tol=1e-4)
    assert iterated.status == "converged"
    np.testing.assert_allclose(ours, direct, atol=5e-3)


def test_too_few_iterations_are_reported():
    with pytest.warns(ConvergenceWarning, match=r"used up their iterations at a relative residual of .* after 3 iter"):
        iterated, *_ = both("uniform", max_iter=3)
    assert iterated.status == "max_iter"


@pytest.mark.parametrize("interrupt", [True, False])
def test_what_has_been_reached_is_kept(interrupt):
    seen = []

    def stop(iteration, residual):
        seen.append(residual)
        if iteration == 6 and interrupt:
            raise KeyboardInterrupt
        return iteration == 6

    with pytest.warns(ConvergenceWarning, match="were"):
        iterated, ours, direct, _ = both("uniform", progress=stop)
    assert iterated.status == ("interrupted" if interrupt else "stopped")
    assert iterated.n_iter == len(seen) == 6
    assert np.sqrt(np.mean((ours - direct) ** 2)) < 0.1


def test_a_constant_response_needs_no_iteration():
    X, _, T, w = data()
    rows = scaled_rows(np.full((600, 1), 2.0), T, w)
    rng = np.random.default_rng(0)
    found = solve(GRAM, X, select("uniform", X, 20, GRAM, rng), rows, 1.0, rng, memory=GIGABYTE)
    np.testing.assert_allclose(GRAM(X, found.landmarks) @ found.beta, 0, atol=1e-8)
    np.testing.assert_allclose(found.linear, [[2.0], [0.0]], atol=1e-10)


@pytest.mark.parametrize("weighted", [True, False])
def test_leverage_scores_are_near_the_exact_ones(weighted):
    rng = np.random.default_rng(3)
    X = np.vstack([rng.normal(scale=0.2, size=(360, 3)), rng.normal(scale=3.0, size=(40, 3))])
    w = rng.choice([1.0, 3.0], size=400) if weighted else np.ones(400)
    scores = leverage_scores(X, np.arange(400), 100, GRAM, rng, w)
    d, U = np.linalg.eigh(np.sqrt(np.outer(w, w)) * GRAM(X, X))
    # the penalty is not told: take the one whose trace agrees
    exact = (U**2 @ (d[:, None] / (d[:, None] + np.geomspace(1e-4, 1e3, 200)))) / w[:, None]
    nearest = exact[:, np.argmin(np.abs(np.log((w @ exact) / (w @ scores))))]
    ratio = scores / nearest
    assert np.quantile(ratio, 0.05) > 0.4
    assert np.quantile(ratio, 0.95) < 2.5
    assert np.corrcoef(np.log(scores), np.log(nearest))[0, 1] > 0.95
    assert scores[360:].mean() > 5 * scores[:360].mean()


@pytest.mark.parametrize("kind", KINDS)
def test_landmarks_are_different_points(kind):
    X, _, _, w = data()
    Z = select(kind, X, 50, GRAM, np.random.default_rng(0), w)
    assert Z.shape == (50, 3)
    assert len(np.unique(Z, axis=0)) == 50
    assert select(kind, X, 600, GRAM, np.random.default_rng(0), w) is X


def test_leverage_finds_what_uniform_draws_miss():
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(scale=0.1, size=(990, 3)), 5 + rng.normal(size=(10, 3))])
    far = [np.sum(select("leverage", X, 40, GRAM, np.random.default_rng(seed))[:, 0] > 2) for seed in range(5)]
    assert min(far) >= 1
    assert np.mean(far) > 1


def test_landmarks_of_sparse_rows():
    X = sparse.csr_matrix(data()[0])

    def gram(A, B):
        return np.asarray((A @ B.T).todense())

    assert select("leverage", X, 5, gram, np.random.default_rng(0)).shape == (5, 3)
    with pytest.raises(ValueError, match="landmarks='kmeans' needs a dense X"):
        select("kmeans", X, 5, gram, np.random.default_rng(0))
    with pytest.raises(ValueError, match="landmarks='best' must be one of"):
        select("best", X, 5, gram, np.random.default_rng(0))
