"""KernelDualRegressor: kernels, penalties, linear part, weights, offsets, predictions, and bad input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from numpy.testing import assert_allclose
from scipy import sparse, stats
from sklearn.base import clone
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.metrics.pairwise import laplacian_kernel, rbf_kernel
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from reglm import KernelDualRegressor, NetworkKernel
from reglm.kernels import budget
from reglm.kernels.grams import distances, resolve
from reglm.kernels.tuning import profile


def data(n=60, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    return X, np.sin(2 * X[:, 0]) + X[:, 1] + 0.3 * rng.normal(size=n)


# No expected failures; a check of sparse input may skip itself, and says so by a warning.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks([KernelDualRegressor(), KernelDualRegressor("laplacian", alpha="reml")])
def test_estimator_keeps_the_contract(estimator, check):
    check(estimator)


def test_without_intercept_it_is_kernel_ridge():
    X, y = data()
    ours = KernelDualRegressor("laplacian", alpha=0.3, gamma=0.2, fit_intercept=False).fit(X, y)
    theirs = KernelRidge(alpha=0.3, kernel="laplacian", gamma=0.2).fit(X, y)
    assert_allclose(ours.predict(X[:7] + 0.1), theirs.predict(X[:7] + 0.1), rtol=1e-9)
    assert_allclose(ours.dual_coef_, theirs.dual_coef_, rtol=1e-8)


@pytest.mark.parametrize("kernel", ["linear", DotProduct(0.0, "fixed")])
def test_primal_is_ridge_regression(kernel):
    X, y = data()
    for response in (y, np.column_stack([y, X[:, 2]])):
        theirs = Ridge(alpha=0.7).fit(X, response)
        ours = KernelDualRegressor(kernel, alpha=0.7).fit(X, response)
        assert_allclose(ours.primal(), theirs.coef_, rtol=1e-10, atol=1e-12)
        assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-9, atol=1e-10)
    with pytest.raises(ValueError, match="is not an inner product"):
        KernelDualRegressor().fit(X, y).primal()


def test_a_constant_in_the_kernel_is_the_intercept_s():
    X, y = data()
    for alpha in ("loo", "reml"):
        plain = KernelDualRegressor(RBF(1.5), alpha=alpha).fit(X, y)
        lifted = KernelDualRegressor(RBF(1.5) + ConstantKernel(1e6), alpha=alpha).fit(X, y)
        assert_allclose(lifted.alpha_, plain.alpha_, rtol=1e-3)
        assert_allclose(lifted.predict(X), plain.predict(X), atol=1e-4)
        assert_allclose(lifted.predict(X, return_std=True)[1], plain.predict(X, return_std=True)[1], rtol=1e-3)
    swamped = KernelDualRegressor(RBF(1.5) + ConstantKernel(1e14)).fit(X, y)
    assert swamped.path_.index[0] > 1  # smaller penalties would be smaller than the rounding errors


def test_gaussian_process_at_the_estimates():
    X, y = data()
    ours = KernelDualRegressor(RBF(1.3), alpha="ml", fit_intercept=False).fit(X, y)
    kernel = ConstantKernel(ours.dispersion_ / ours.alpha_) * RBF(1.3) + WhiteKernel(ours.dispersion_)
    theirs = GaussianProcessRegressor(kernel, optimizer=None, alpha=0.0).fit(X, y)
    assert_allclose(ours.log_marginal_likelihood_, theirs.log_marginal_likelihood_value_, rtol=1e-8)
    new = X[:9] + 0.2
    mean, std = ours.predict(new, return_std=True)
    want, noisy = theirs.predict(new, return_std=True)
    assert_allclose(mean, want, rtol=1e-7)
    assert_allclose(std**2 + ours.dispersion_, noisy**2, rtol=1e-7)
    low, high = ours.intervals(new, level=0.9)
    assert_allclose(ours.predict(new, kind="quantile", level=0.95), high, rtol=1e-9)
    assert_allclose(low, want - stats.norm.ppf(0.95) * noisy, rtol=1e-6)
    narrow = ours.intervals(new, level=0.9, kind="mean")
    assert np.all(narrow[1] - narrow[0] < high - low)
    assert_allclose(ours.logpdf(new, y[:9]), stats.norm.logpdf(y[:9], want, noisy), rtol=1e-6)


@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "polynomial", "linear", "cosine", "euclidean", "manhattan"])
def test_kernels_by_name(kernel):
    X, y = data()
    model = KernelDualRegressor(kernel).fit(X, y)
    refit = clone(model).set_params(alpha=model.alpha_).fit(np.delete(X, 4, axis=0), np.delete(y, 4))
    if kernel in ("linear", "cosine"):  # nothing in these depends on the other rows
        assert_allclose(y[4] - refit.predict(X[[4]])[0], model.loo_residuals_[4], rtol=1e-8)
    std = model.predict(X, return_std=True)[1]
    assert std.shape == (60,)
    assert np.all(std >= 0)
    assert model.path_.loo.min() >= np.mean(model.loo_residuals_**2) - 1e-12


def test_kernels_by_other_means_agree():
    X, y = data()
    gamma = 1 / X.var(axis=0).sum()
    by_name = KernelDualRegressor().fit(X, y)
    assert by_name.kernel_.gamma == pytest.approx(gamma)
    new, want = X[:5] + 0.1, by_name.predict(X[:5] + 0.1)
    by_process = KernelDualRegressor(RBF(np.sqrt(0.5 / gamma))).fit(X, y)
    by_function = KernelDualRegressor(rbf_kernel, gamma=gamma).fit(X, y)
    by_matrix = KernelDualRegressor("precomputed").fit(rbf_kernel(X, gamma=gamma), y)
    by_csr = KernelDualRegressor().fit(sparse.csr_matrix(X), y)
    assert_allclose(by_process.predict(new), want, rtol=1e-5)
    assert_allclose(by_function.predict(new, return_std=True), by_name.predict(new, return_std=True), rtol=1e-5)
    assert_allclose(by_matrix.predict(rbf_kernel(new, X, gamma=gamma)), want, rtol=1e-5)
    assert_allclose(by_csr.predict(sparse.csr_matrix(new)), want, rtol=1e-5)
    laplace = KernelDualRegressor("manhattan", gamma=0.3).fit(X, y)
    assert_allclose(laplace.kernel_.gram(X), laplacian_kernel(X, gamma=0.3))


def test_default_gamma_of_other_distances_is_one_over_the_mean_distance():
    X, _ = data()
    assert resolve("chi2", np.abs(X), np.ones(60), None, None).gamma == pytest.approx(
        1 / distances("chi2", np.abs(X), None).mean()
    )
    assert resolve("rbf", np.ones((4, 2)), np.ones(4), None, None).gamma == 1.0


def test_leave_one_out_error_is_that_of_cross_validation():
    X, y = data(30)
    model = KernelDualRegressor(gamma=0.4, alpha=0.1).fit(X, y)
    scores = cross_val_score(model, X, y, cv=30, scoring="neg_mean_squared_error")
    assert_allclose(-scores, model.loo_residuals_**2, rtol=1e-8)


def test_partially_linear_model_in_frames():
    X, y = data(120)
    frame = pd.DataFrame(X, columns=list("abc")).assign(group=np.resize(["u", "v", "v"], 120))
    y = y + 2.0 * (frame.group == "u")
    model = KernelDualRegressor(alpha="reml", linear=["b", "group"]).fit(frame, y)
    assert model.coef_.shape == (2,)
    assert abs(model.coef_[0] - 1) < 0.2
    assert abs(model.coef_[1] - 2) < 0.3
    table = model.summary().as_frame()
    assert list(table.index) == ["Intercept", "b", "group[u]"]
    parts = model.predict(frame, kind="linear") + model.predict(frame, kind="kernel")
    assert_allclose(parts, model.predict(frame), rtol=1e-10)
    assert_allclose(model.predict(pl.DataFrame(frame.to_dict("list"))), model.predict(frame))
    trend = KernelDualRegressor(alpha="reml", linear=True).fit(X, y)
    assert trend.kernel_.cross(X[:2], X).shape == (2, 120)
    assert trend.coef_.shape == (3,)


def test_weights_are_repetitions_or_precisions():
    X, y = data()
    w = np.random.default_rng(1).integers(0, 4, 60).astype(float)
    rows = np.repeat(np.arange(60), w.astype(int))
    for alpha in ("loo", "gcv", "reml", "ml"):
        one = KernelDualRegressor(alpha=alpha).fit(X, y, sample_weight=w)
        many = KernelDualRegressor(alpha=alpha).fit(X[rows], y[rows])
        assert_allclose(one.alpha_, many.alpha_, rtol=1e-4)
        assert_allclose(one.predict(X), many.predict(X), rtol=1e-4)
        assert_allclose(one.dispersion_, many.dispersion_, rtol=1e-4)
        assert_allclose(one.loo_residuals_[rows], many.loo_residuals_, rtol=1e-3, atol=1e-5)
    without = w == 0
    assert_allclose(one.loo_residuals_[without], (y - one.predict(X))[without], atol=1e-9)
    assert not one.leverage_[without].any()
    precise = KernelDualRegressor(freq_weights=False).fit(X, y, sample_weight=w)
    scaled = KernelDualRegressor(freq_weights=False).fit(X, y, sample_weight=w / 7)
    assert_allclose(precise.predict(X), scaled.predict(X), rtol=1e-5)
    assert_allclose(precise.dispersion_, 7 * scaled.dispersion_, rtol=1e-5)


def test_offsets_are_added_and_asked_for():
    X, y = data()
    shift = np.linspace(-1, 1, 60)
    plain = KernelDualRegressor().fit(X, y)
    model = KernelDualRegressor().fit(X, y + shift, offset=shift)
    assert_allclose(model.predict(X, offset=shift), plain.predict(X) + shift, rtol=1e-8)
    assert model.score(X, y + shift, offset=shift) == pytest.approx(plain.score(X, y))
    with pytest.raises(ValueError, match="fit was given an offset"):
        model.predict(X)
    frame = pd.DataFrame(X, columns=list("abc")).assign(shift=shift)
    named = KernelDualRegressor(offset="shift").fit(frame, y + shift)
    assert_allclose(named.predict(frame), model.predict(X, offset=shift))
    with sklearn.config_context(enable_metadata_routing=True):
        routed = KernelDualRegressor(gamma=0.3).set_fit_request(offset=True).set_score_request(offset=True)
        scores = cross_val_score(routed, X, y + shift, params={"offset": shift})
        assert_allclose(scores, cross_val_score(KernelDualRegressor(gamma=0.3), X, y), rtol=1e-6)


def test_several_targets_share_a_penalty_or_have_their_own():
    X, y = data()
    Y = np.column_stack([y, X[:, 2] ** 2, 3 * y])
    shared = KernelDualRegressor().fit(X, Y)
    assert isinstance(shared.alpha_, float)
    assert shared.predict(X).shape == (60, 3)
    assert_allclose(shared.dispersion_[2], 9 * shared.dispersion_[0], rtol=1e-8)
    own = KernelDualRegressor(alpha_per_target=True).fit(X, Y)
    single = [KernelDualRegressor().fit(X, column) for column in Y.T]
    assert_allclose(own.alpha_, [model.alpha_ for model in single], rtol=1e-4)
    assert_allclose(own.predict(X)[:, 1], single[1].predict(X), rtol=1e-4)
    assert_allclose(own.intervals(X)[1][:, 1], single[1].intervals(X)[1], rtol=1e-4)
    assert own.path_.columns.nlevels == 2
    assert own.leverage_.shape == (60, 3)
    assert own.log_marginal_likelihood_ == pytest.approx(sum(m.log_marginal_likelihood_ for m in single), rel=1e-6)
    assert len(own.summary().as_frame()) == 3


def test_penalties_to_choose_among():
    X, y = data()
    given = [0.01, 0.1, 1.0]
    model = KernelDualRegressor(alphas=given).fit(X, y)
    losses = [np.mean(KernelDualRegressor(alpha=a).fit(X, y).loo_residuals_ ** 2) for a in given]
    assert model.alpha_ == given[int(np.argmin(losses))]
    assert_allclose(model.path_.loo, losses, rtol=1e-9)
    assert list(model.path_.columns) == ["loo", "gcv", "reml", "ml", "edf"]
    assert KernelDualRegressor().fit(X, y).path_.shape == (50, 5)


def test_score_is_r2_and_text_holds_what_was_fitted():
    X, y = data()
    model = KernelDualRegressor().fit(X, y)
    assert model.score(X, y) == pytest.approx(r2_score(y, model.predict(X)))
    text = str(model.summary())
    for word in ("exact leave-one-out", "rbf", "LOO RMSE", "Intercept"):
        assert word in text
    noise = np.random.default_rng(5).normal(size=60)
    flat = KernelDualRegressor(alphas=[1e-3, 1e6]).fit(X, noise)
    assert "adds next to nothing" in str(flat.summary())
    doubled = KernelDualRegressor(linear=True, alpha=1.0).fit(np.column_stack([X, X[:, 0]]), y)
    assert "left out of the unpenalised part" in str(doubled.summary())


# -- parameters of the kernel ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["loo", "gcv", "reml", "ml"])
@pytest.mark.parametrize("kernel", ["rbf", RBF([1.0, 0.7, 2.0])])
def test_gradient_of_the_profile_is_finite_differences(kernel, name):
    X, y = data(40)
    model = KernelDualRegressor(kernel).fit(X, y)

    def dual_of(K):
        from reglm.kernels.duals import decompose

        return decompose(K, y[:, None], np.ones((40, 1)))

    source, h = model.kernel_, 1e-4
    _, gradient = profile(source.theta, source, X, dual_of, name, None)
    for j, step in enumerate(h * np.eye(len(source.theta))):
        ends = [profile(source.theta + s, source, X, dual_of, name, None)[0] for s in (step, -step)]
        assert_allclose(gradient[j], (ends[0] - ends[1]) / (2 * h), rtol=1e-3, atol=1e-5)


def test_tuned_parameters_are_those_of_the_gaussian_process():
    X, y = data()
    ours = KernelDualRegressor(RBF([1.0] * 3), alpha="ml", fit_intercept=False, optimize_kernel="criterion").fit(X, y)
    kernel = ConstantKernel(1.0) * RBF([1.0] * 3, (1e-5, 1e5)) + WhiteKernel(0.1)
    theirs = GaussianProcessRegressor(kernel, n_restarts_optimizer=2, alpha=0.0, random_state=0)
    theirs.fit(X, y)
    assert ours.log_marginal_likelihood_ >= theirs.log_marginal_likelihood_value_ - 1e-3
    assert_allclose(ours.kernel_.kernel.length_scale[:2], theirs.kernel_.k1.k2.length_scale[:2], rtol=0.02)


def test_restarts_are_kept_and_the_best_is_used(capsys):
    X, y = data()
    model = KernelDualRegressor(optimize_kernel="criterion", n_restarts=2, random_state=0, verbose=1).fit(X, y)
    assert len(model.restarts_) == 3
    assert len(capsys.readouterr().out.splitlines()) == 3
    best = min(model.restarts_, key=lambda restart: restart["value"])
    assert_allclose(np.log(model.kernel_.gamma), best["theta"][0])
    assert np.mean(model.loo_residuals_**2) <= np.mean(KernelDualRegressor().fit(X, y).loo_residuals_ ** 2)
    fixed = KernelDualRegressor(alpha=0.1, optimize_kernel="reml").fit(X, y)
    nearby = [KernelDualRegressor(alpha=0.1, gamma=fixed.kernel_.gamma * s).fit(X, y).path_ for s in (0.9, 1.1)]
    assert all(len(path) == 50 for path in nearby)
    assert fixed.alpha_ == 0.1


def test_a_series_that_ends_too_early_is_said_once():
    X, y = data()
    kernel = NetworkKernel(1, "softplus", weight_variance=900.0, weight_variance_bounds=(800.0, 1000.0))
    with pytest.warns(UserWarning, match="Hermite series") as said:
        KernelDualRegressor(kernel, alpha="reml", optimize_kernel="criterion").fit(X, y)
    assert len(said) == 1


# -- bad input ---------------------------------------------------------------------------------------------------


def test_a_kernel_that_is_not_positive_semidefinite():
    X, y = data()
    K = rbf_kernel(X)
    with pytest.raises(ValueError, match=r"not positive semidefinite: its smallest eigenvalue is -"):
        KernelDualRegressor("precomputed").fit(K - 0.5 * np.eye(60), y)
    K[3, 5] += 1.0
    with pytest.raises(ValueError, match=r"not symmetric: .* at \(3, 5\)"):
        KernelDualRegressor("precomputed").fit(K, y)
    with pytest.raises(ValueError, match="must be square"):
        KernelDualRegressor("precomputed").fit(K[:, :5], y)
    with pytest.raises(ValueError, match="no variance of predictions"):
        KernelDualRegressor("precomputed").fit(rbf_kernel(X), y).predict(K, return_std=True)


def test_duplicate_rows_are_no_problem_with_a_penalty_and_one_without():
    X, y = data()
    X, y = np.vstack([X, X[:10]]), np.append(y, y[:10] + 0.1)
    model = KernelDualRegressor().fit(X, y)
    assert np.isfinite(model.loo_residuals_).all()
    with pytest.raises(ValueError, match="alpha=0 interpolates, which a singular kernel does not allow"):
        KernelDualRegressor(alpha=0).fit(X, y)


def test_no_penalty_interpolates_where_the_kernel_is_regular():
    X, y = data()
    model = KernelDualRegressor("laplacian", alpha=0.0).fit(X, y)
    assert_allclose(model.predict(X), y, atol=1e-8)
    assert model.dispersion_ == 0
    assert np.isfinite(model.loo_residuals_).all()


def test_too_many_rows_for_the_memory():
    X, y = data()
    with pytest.raises(ValueError, match=r"60 rows .* enough for 14 rows.*landmarks.*nystroem"):
        KernelDualRegressor(memory_limit="10 KB").fit(X, y)
    with pytest.raises(ValueError, match="between 60 rows"):
        KernelDualRegressor(memory_limit=200_000, optimize_kernel="criterion").fit(X, y)
    assert budget.parse("4GB") == 4e9
    assert budget.parse("1.5 MiB") == 1.5 * 2**20
    assert budget.parse(123) == 123
    assert budget.parse(None) > 1e8
    with pytest.raises(ValueError, match="memory_limit='much'"):
        budget.parse("much")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": "rfb"}, "kernel='rfb' is not known; choose one of"),
        ({"kernel": lambda Y, X: np.ones(3)}, r"gave shape \(3,\) for 60 and 60 rows"),
        ({"kernel": lambda Y, X: np.full((len(Y), len(X)), np.nan)}, "the kernel is nan between rows 0 and 0"),
        ({"kernel": RBF() + WhiteKernel()}, "contains a WhiteKernel"),
        ({"kernel": RBF(), "gamma": 1.0}, "holds its own parameters"),
        ({"kernel_params": {"degree": 2}}, "has no parameter but gamma"),
        ({"kernel": "linear", "gamma": 1.0}, "kernel='linear' has no such parameter"),
        ({"kernel": "linear", "optimize_kernel": "loo"}, "no free parameters"),
        ({"alpha": "aic"}, "alpha='aic' must be one of"),
        ({"alpha": -1.0}, "alpha=-1.0 must be"),
        ({"alphas": [0.0, 1.0]}, r"alphas=\[0.0, 1.0\] must be"),
        ({"alphas": 1}, "alphas=1 must be"),
        ({"gamma": 0.0}, "gamma=0.0 must be a positive number"),
        ({"family": "poisson"}, "family 'poisson' needs values in"),
        ({"family": "multinomial", "link": "log"}, "link='log' does not suit"),
        ({"family": "nonsense"}, "unknown family"),
        ({"fit_intercept": "yes"}, "fit_intercept='yes' must be True or False"),
        ({"optimize_kernel": "aic"}, "optimize_kernel='aic' must be one of"),
        ({"optimize_kernel": "criterion", "alpha": 1.0}, "needs a criterion"),
        ({"n_restarts": -1}, "n_restarts=-1 must be"),
        ({"linear": ["z"]}, "'z' is not an input; the inputs are"),
        ({"linear": [0, 1, 2]}, "leaves no column to the kernel"),
        ({"kernel": "precomputed", "linear": True}, "X has no columns to name"),
    ],
)
def test_arguments_out_of_range_are_named(options, message):
    X, y = data()
    with pytest.raises(ValueError, match=message):
        KernelDualRegressor(**options).fit(X, y)


def test_questions_out_of_range_are_named():
    X, y = data()
    model = KernelDualRegressor().fit(X, y)
    with pytest.raises(ValueError, match="kind='variance' is not known"):
        model.predict(X, kind="variance")
    with pytest.raises(ValueError, match="kind='slope' is not known"):
        model.intervals(X, kind="slope")
    for ask in (model.intervals, lambda X, level: model.predict(X, kind="quantile", level=level)):
        with pytest.raises(ValueError, match="level=2 must be between 0 and 1"):
            ask(X, level=2)
