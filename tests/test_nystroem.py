"""KernelDualRegressor on landmarks: the exact fit where every row is one, and what it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.utils.estimator_checks import parametrize_with_checks

from reglm import KernelDualRegressor

NYSTROEM = {"approximation": "nystroem", "random_state": 0}


@parametrize_with_checks(
    [
        KernelDualRegressor(**NYSTROEM),
        KernelDualRegressor(**NYSTROEM, alpha="reml"),
        KernelDualRegressor(**NYSTROEM, alpha=1.0, solver="cg", n_landmarks=20),
    ]
)
def test_estimator_keeps_the_contract(estimator, check):
    check(estimator)


def data(n=80, seed=0):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.uniform(-2, 2, size=(n, 3)), columns=["a", "b", "c"])
    y = np.sin(2 * X["a"].to_numpy()) + X["b"].to_numpy() + 5 + 0.2 * rng.normal(size=n)
    return X, y, rng.choice([0.0, 1.0, 2.0], size=n), rng.normal(size=n)


@pytest.mark.parametrize("alpha", ["gcv", "reml", "ml", 0.3])
def test_every_row_a_landmark_is_the_exact_fit(alpha):
    X, y, w, offset = data()
    y = y + offset
    options = {"kernel": "laplacian", "linear": ["b"], "alpha": alpha, "freq_weights": False}
    exact = KernelDualRegressor(**options).fit(X, y, w, offset)
    ours = KernelDualRegressor(**options, **NYSTROEM, n_landmarks=100).fit(X, y, w, offset)
    new, shift = data(30, 1)[0], np.zeros(30)
    close = 1e-8 if alpha == 0.3 else 2e-4  # the criteria are flat at their minimum
    for part in ("mean", "linear", "kernel"):
        one, other = (model.predict(new, shift, kind=part) for model in (ours, exact))
        np.testing.assert_allclose(one, other, atol=close)
    for name in ("alpha_", "edf_", "dispersion_", "coef_", "intercept_", "log_marginal_likelihood_"):
        np.testing.assert_allclose(getattr(ours, name), getattr(exact, name), rtol=10 * close)
    for one, other in zip(ours.intervals(new, shift), exact.intervals(new, shift), strict=True):
        np.testing.assert_allclose(one, other, atol=close)
    tables = [model.summary().as_frame().to_numpy() for model in (ours, exact)]
    np.testing.assert_allclose(*tables, rtol=10 * close)


@pytest.mark.parametrize("alpha", ["loo", "gcv", "reml", "ml"])
def test_weights_are_repetitions_next_to_interpolation(alpha):
    """The criteria are at the smallest penalty; nothing is to come from directions and residuals that are rounding."""
    rng = np.random.default_rng(3)
    X, y, w = rng.uniform(size=(12, 20)), rng.integers(0, 3, 12), rng.integers(0, 4, 12)
    model = KernelDualRegressor(**NYSTROEM, alpha=alpha)
    weighted = model.fit(X, y, w).predict(X)
    repeated = model.fit(X.repeat(w, axis=0), y.repeat(w))
    np.testing.assert_allclose(repeated.predict(X), weighted, atol=1e-13)
    exact = KernelDualRegressor(alpha=repeated.alpha_).fit(X.repeat(w, axis=0), y.repeat(w))
    np.testing.assert_allclose(repeated.predict(X), exact.predict(X), atol=1e-13)
    np.testing.assert_allclose(
        repeated.path_["loo"], [KernelDualRegressor(alpha=lam, alphas=[lam]).fit(X, y, w).path_["loo"].iloc[0]
        for lam in repeated.path_.index], rtol=1e-9)  # fmt: skip


def test_leave_one_out_chooses_nearly_the_exact_penalty():
    X, y, *_ = data()
    exact = KernelDualRegressor("laplacian").fit(X, y)
    ours = KernelDualRegressor("laplacian", **NYSTROEM, n_landmarks=100).fit(X, y)
    assert ours.alpha_ == pytest.approx(exact.alpha_, rel=0.2)
    assert np.allclose(ours.path_["gcv"].min(), exact.path_["gcv"].min(), rtol=0.05)
    assert "landmarks" in str(ours.summary())


@pytest.mark.parametrize("landmarks", ["uniform", "leverage", "kmeans"])
def test_solvers_agree(landmarks):
    X, y, w, _ = data(1000)
    options = {"alpha": 0.5, **NYSTROEM, "n_landmarks": 40, "landmarks": landmarks}
    direct = KernelDualRegressor(**options).fit(X, y, w)
    iterated = KernelDualRegressor(**options, solver="cg", tol=1e-10).fit(X, y, w)
    np.testing.assert_allclose(iterated.predict(X), direct.predict(X), atol=1e-6)
    assert iterated.edf_ == pytest.approx(direct.edf_, rel=0.1)
    assert iterated.dispersion_ == pytest.approx(direct.dispersion_, rel=0.02)
    assert iterated.n_iter_ > 1
    with pytest.raises(ValueError, match="no standard errors"):
        iterated.predict(X, return_std=True)
    with pytest.raises(ValueError, match="no standard errors"):
        iterated.summary()


def test_few_landmarks_in_blocks_on_several_targets():
    X, y, *_ = data(3000)
    Y = np.column_stack([y, -y])
    options = {**NYSTROEM, "n_landmarks": 50, "alpha_per_target": True, "memory_limit": "1MB"}
    ours = KernelDualRegressor(**options).fit(X, Y)
    assert ours.alpha_.shape == (2,)
    assert ours.score(X, Y) > 0.95
    np.testing.assert_allclose(ours.predict(X)[:, 1], -ours.predict(X)[:, 0], atol=1e-6)
    single = KernelDualRegressor(**options, dtype="float32").fit(X, Y)
    np.testing.assert_allclose(single.predict(X), ours.predict(X), atol=1e-2)


def test_sparse_rows():
    X, y, *_ = data(200)
    options = {**NYSTROEM, "n_landmarks": 30, "alpha": 0.1}
    ours = KernelDualRegressor(**options).fit(sparse.csr_matrix(X.to_numpy()), y)
    dense = KernelDualRegressor(**options).fit(X.to_numpy(), y)
    np.testing.assert_allclose(ours.predict(sparse.csr_matrix(X.to_numpy())), dense.predict(X.to_numpy()), atol=1e-6)


def test_progress_is_shown(capsys):
    X, y, *_ = data(200)
    KernelDualRegressor(**NYSTROEM, alpha=1.0, solver="cg", n_landmarks=10, verbose=1).fit(X, y)
    assert "relative residual" in capsys.readouterr().out


def test_too_many_rows_point_to_landmarks():
    X, y, *_ = data()
    with pytest.raises(ValueError, match="approximation='nystroem'"):
        KernelDualRegressor(memory_limit="10kB").fit(X, y)
    with pytest.raises(ValueError, match=r"80 landmarks need .* memory_limit allows 0.01 MB"):
        KernelDualRegressor(**NYSTROEM, memory_limit="10kB").fit(X, y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"approximation": "fourier"}, "approximation='fourier' must be None or 'nystroem'"),
        ({"n_landmarks": 0}, "n_landmarks=0 must be a whole number"),
        ({"landmarks": "random"}, "landmarks='random' must be one of"),
        ({"solver": "lu"}, "solver='lu' must be one of"),
        ({"dtype": "float16"}, "dtype='float16' must be one of"),
        ({"kernel": "precomputed"}, "cannot use kernel='precomputed'"),
        ({"optimize_kernel": "loo"}, "needs approximation=None"),
        ({"alpha": 0.0}, "alpha=0.0 must be positive"),
        ({"solver": "cg"}, "alpha='loo' needs solver='direct'"),
    ],
)
def test_arguments_that_cannot_be_used(options, message):
    X, y, *_ = data()
    with pytest.raises(ValueError, match=message):
        KernelDualRegressor(**{**NYSTROEM, **options}).fit(X, y)
