"""The estimator: contract, densities, incomplete rows, labels, bad input."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from reglm import RestrictedBoltzmannMachine, load
from reglm.energy import enumeration
from reglm.energy.free_energy import Theta, free_energy
from reglm.energy.visible import layer

RNG = np.random.default_rng(0)
PATTERNS = np.array([[1, 1, 1, 0, 0, 0], [0, 1, 0, 1, 0, 1]])
LABELS = RNG.integers(2, size=300)
X = (PATTERNS[LABELS] ^ (RNG.random((300, 6)) < 0.1)).astype(float)
QUICK = {"batch_size": 30, "max_iter": 40, "learning_rate": 0.5, "random_state": 0}


def mixed(n=300, seed=1):
    """Columns of all kinds that depend on a hidden coin."""
    rng = np.random.default_rng(seed)
    coin = rng.random(n) < 0.5
    return pd.DataFrame({
        "on": (rng.random(n) < np.where(coin, 0.9, 0.1)).astype(float),
        "town": np.where(rng.random(n) < 0.8, np.where(coin, "rome", "oslo"), "bonn"),
        "count": rng.poisson(np.where(coin, 1.0, 5.0)).astype(float),
        "height": 170 + 10 * coin + 4 * rng.standard_normal(n),
    })  # fmt: skip


KINDS = ["bernoulli", "categorical", "poisson", "gaussian"]


@pytest.fixture(scope="module")
def binary():
    return RestrictedBoltzmannMachine(3, **QUICK).fit(X)


@pytest.fixture(scope="module")
def of_all_kinds():
    return RestrictedBoltzmannMachine(3, KINDS, **{**QUICK, "learning_rate": 0.1}).fit(mixed())


def test_densities_sum_to_one(binary):
    every = layer(["bernoulli"] * 6).states()
    assert_allclose(np.exp(binary.logpdf(every)).sum(), 1, rtol=1e-12)
    assert_allclose(binary.logpdf(X), -binary.free_energy(X) - binary.log_z_, rtol=1e-12)
    assert binary.log_z_std_err_ == 0
    independent = (X * np.log(X.mean(axis=0)) + (1 - X) * np.log1p(-X.mean(axis=0))).sum(axis=1).mean()
    assert binary.score(X) > independent + 0.7


def test_features_follow_the_formula(binary):
    a = X @ binary.components_.T + binary.theta_.c
    assert_allclose(binary.transform(X), 1 / (1 + np.exp(-a)), rtol=1e-12)
    named = RestrictedBoltzmannMachine(3, **{**QUICK, "max_iter": 2}).set_output(transform="pandas")
    found = named.fit_transform(pd.DataFrame(X, columns=list("abcdef")))
    assert list(found.columns) == [f"restrictedboltzmannmachine{j}" for j in range(3)]
    model = make_pipeline(RestrictedBoltzmannMachine(4, **QUICK), LogisticRegression())
    assert model.fit(X, LABELS).score(X, LABELS) > 0.9


def test_seeds_fix_every_bit(binary):
    again = RestrictedBoltzmannMachine(3, **QUICK).fit(X)
    assert_array_equal(again.components_, binary.components_)
    assert_array_equal(again.sample(5, n_sweeps=3), binary.sample(5, n_sweeps=3))


def test_samples_have_the_moments_of_the_model(binary):
    draws = binary.sample(6000, n_sweeps=150)
    exact = enumeration.moments(binary.visible_, binary.theta_)
    assert_allclose(draws.mean(axis=0), exact.b, atol=0.03)
    with pytest.raises(ValueError, match="backend='torch'"):
        binary.sample(backend="torch")


def test_jax_samples_too(binary):
    pytest.importorskip("jax")
    draws = binary.sample(6000, n_sweeps=100, backend="jax")
    assert_allclose(draws.mean(axis=0), enumeration.moments(binary.visible_, binary.theta_).b, atol=0.03)


def test_reconstruction_is_the_conditional_mean(binary):
    rows = np.repeat(X[:1], 400, axis=0)
    rows[:, [0, 3]] = np.nan
    every = layer(["bernoulli"] * 6).states()
    fits = (every[:, [1, 2, 4, 5]] == X[0, [1, 2, 4, 5]]).all(axis=1)
    p = np.exp(binary.logpdf(every[fits]))
    exact = p @ every[fits][:, [0, 3]] / p.sum()
    means = binary.reconstruct(rows)
    assert_allclose(means[:, [0, 3]].mean(axis=0), exact, atol=0.02)
    assert_array_equal(means[:, [1, 2, 4, 5]], rows[:, [1, 2, 4, 5]])
    draws = binary.reconstruct(rows, kind="draw")
    assert_allclose(draws[:, [0, 3]].mean(axis=0), exact, atol=0.09)
    hidden = binary.transform(rows).mean(axis=0)
    assert_allclose(hidden, p @ binary.transform(every[fits]) / p.sum(), atol=0.03)


def test_training_on_incomplete_rows():
    rows = np.where(np.random.default_rng(3).random(X.shape) < 0.25, np.nan, X)
    rows[np.isnan(rows).all(axis=1), 0] = 1.0
    model = RestrictedBoltzmannMachine(3, **{**QUICK, "max_iter": 60}).fit(rows)
    full = RestrictedBoltzmannMachine(3, **QUICK).fit(X)
    assert model.score(X) > full.score(X) - 0.25


def test_mixed_columns(of_all_kinds):
    frame = mixed()
    model = of_all_kinds
    assert model.kinds_ == tuple(KINDS)
    assert model.visible_.size == 6
    holes = frame.copy()
    holes.loc[:149, "height"] = np.nan
    holes.loc[:149, "town"] = None
    filled = model.reconstruct(holes)
    tall, short = (filled[:150, 3][frame["count"][:150] == c].astype(float).mean() for c in (0, 6))
    assert tall > short + 3
    assert set(filled[:, 1]) <= {"rome", "oslo", "bonn"}
    fresh = pd.DataFrame(model.sample(800, n_sweeps=60), columns=frame.columns)
    assert_allclose(fresh["height"].astype(float).mean(), frame["height"].mean(), atol=1.5)
    assert_allclose(fresh["count"].astype(float).mean(), frame["count"].mean(), atol=0.6)
    assert np.isfinite(model.logpdf(frame)).all()


def test_scales_of_gaussian_columns_change_nothing():
    rows = np.random.default_rng(2).multivariate_normal([0, 0, 0], 0.2 * np.eye(3) + 0.8, size=300)
    options = {**QUICK, "learning_rate": 0.1, "max_iter": 40, "dtype": "float64"}
    one = RestrictedBoltzmannMachine(6, "gaussian", **options).fit(rows)
    scale, shift = np.array([10.0, 0.1, 2.0]), np.array([5.0, 0.0, -3.0])
    two = RestrictedBoltzmannMachine(6, "gaussian", **options).fit(shift + scale * rows)
    assert_allclose(one.logpdf(rows), two.logpdf(shift + scale * rows) + np.log(scale).sum(), rtol=1e-7)
    watched = RestrictedBoltzmannMachine(6, "gaussian", **options, likelihood_every=40).fit(shift + scale * rows)
    watched_now = watched.history_["log_likelihood"][-1]
    assert_allclose(watched_now, two.score(shift + scale * rows), atol=0.05)  # of the last epoch, not averaged
    assert_allclose(one.transform(rows), two.transform(shift + scale * rows), rtol=1e-6)
    independent = multivariate_normal(rows.mean(axis=0), np.diag(rows.var(axis=0))).logpdf(rows).mean()
    assert one.score(rows) > independent + 0.3


def test_gaussian_densities_integrate_to_one():
    rows = np.random.default_rng(2).standard_normal((100, 1)) * 3 + 40
    model = RestrictedBoltzmannMachine(4, **{**QUICK, "max_iter": 5}).fit(rows)
    line = np.linspace(-40, 120, 40_001)
    assert model.kinds_ == ("gaussian",)
    assert_allclose(np.exp(model.logpdf(line[:, None])).sum() * (line[1] - line[0]), 1, rtol=1e-8)


def test_labels_by_enumeration():
    names = np.array(["no", "yes"])[LABELS]
    model = RestrictedBoltzmannMachine(3, supervised=True, **QUICK).fit(X, names)
    p = model.predict_proba(X[:20])
    joint = np.stack([model.logpdf(X[:20], np.repeat(name, 20)) for name in ("no", "yes")], axis=1)
    assert_allclose(p, np.exp(joint - logsumexp(joint, axis=1, keepdims=True)), atol=1e-12)
    assert_allclose(model.logpdf(X[:20]), logsumexp(joint, axis=1), rtol=1e-12)
    assert np.mean(model.predict(X) == names) > 0.9
    with_label = [np.hstack([X[:20], np.tile(code, (20, 1))]) for code in np.eye(2)]
    hidden = sum(p[:, [k]] * model.theta_.hidden_mean(V) for k, V in enumerate(with_label))
    assert_allclose(model.transform(X[:20]), hidden, rtol=1e-12)
    rows, labels = model.sample(10, n_sweeps=5)
    assert rows.shape == (10, 6)
    assert set(labels) <= {"no", "yes"}
    assert not hasattr(RestrictedBoltzmannMachine(), "predict")


def test_training_goes_on():
    model = RestrictedBoltzmannMachine(3, batch_size=30, learning_rate=0.5, random_state=0)
    for _ in range(15):
        model.partial_fit(X)
    assert model.n_iter_ == 15
    assert model.score(X) > RestrictedBoltzmannMachine(3, max_iter=1, random_state=0).fit(X).score(X) + 0.3


def test_monitoring_watches_rows_held_out():
    model = RestrictedBoltzmannMachine(3, validation_fraction=0.2, likelihood_every=20, **QUICK).fit(X)
    likelihood = np.array(model.history_["log_likelihood"])
    assert_array_equal(np.flatnonzero(~np.isnan(likelihood)), [19, 39])
    assert likelihood[-1] > -3.6
    assert {len(values) for values in model.history_.values()} == {40}
    gap = np.subtract(model.history_["free_energy_validation"], model.history_["free_energy_train"])
    assert_allclose(model.history_["gap"], gap)
    assert model.history_["reconstruction_error"][-1] < 0.7


@pytest.mark.parametrize("which", ["binary", "of_all_kinds"])
def test_saved_models_answer_alike(which, request, tmp_path):
    model = request.getfixturevalue(which)
    rows = X if which == "binary" else mixed()
    model.save(tmp_path / "model.reglm")
    loaded = load(tmp_path / "model.reglm")
    assert_array_equal(loaded.logpdf(rows), model.logpdf(rows))
    assert_array_equal(loaded.transform(rows), model.transform(rows))
    loaded.partial_fit(rows)


def test_the_same_machine_on_another_scale():
    visible = layer(["gaussian", "bernoulli"])
    theta = Theta(RNG.normal(size=(2, 3)), RNG.normal(size=2), RNG.normal(size=3), np.array([0.3, 0.0]))
    center, scale = np.array([4.0, 0.0]), np.array([2.5, 1.0])
    V = np.column_stack([RNG.normal(size=9), RNG.integers(2, size=9)])
    moved = theta.rescaled(center, scale)
    one = free_energy(visible, theta, V) + enumeration.log_partition(visible, theta)
    two = free_energy(visible, moved, center + scale * V) + enumeration.log_partition(visible, moved)
    assert_allclose(one, two - np.log(2.5), rtol=1e-12)


def test_a_learning_rate_that_explodes_is_told():
    rows = RNG.standard_normal((200, 4))
    with pytest.warns(ConvergenceWarning, match=r"blew up in epoch \d+.*lower learning_rate=80"):
        model = RestrictedBoltzmannMachine(5, learning_rate=80.0, random_state=0).fit(rows)
    assert model.status_ == "diverged"
    assert np.isfinite(model.transform(rows)).all()


@pytest.mark.parametrize(("rows", "options", "message"), [
    (X + 0.5, {"visible": "bernoulli"}, r"X holds 1\.5 .* bernoulli visible units must be between 0 and 1"),
    (-X, {"visible": "poisson"}, "poisson visible units must be whole numbers"),
    (np.where([[True]] + [[False]] * 299, np.nan, X), {}, r"no value at all in rows \[0\]"),
    (np.where(np.arange(6) == 2, np.nan, X), {}, r"no value at all in columns \[2\]"),
    (X, {"visible": "beta"}, "visible='beta' is not known"),
    (X, {"visible": ["gaussian"]}, "for each of 6 columns"),
    (X, {"n_hidden": 0}, "n_hidden=0"),
    (X, {"likelihood_every": -1}, "likelihood_every=-1"),
    (np.array([["a"], ["b"]], dtype=object), {}, "give the kind of each column"),
    (X, {"validation_fraction": 1.0}, "validation_fraction=1.0"),
    (X, {"supervised": True}, "needs labels y"),
    (X, {"n_steps": 0}, "n_steps=0"),
])  # fmt: skip
def test_what_cannot_be_used_is_named(rows, options, message):
    with pytest.raises(ValueError, match=message):
        RestrictedBoltzmannMachine(**options).fit(rows)


def test_new_rows_must_belong_to_the_columns(binary, of_all_kinds):
    with pytest.raises(ValueError, match="between 0 and 1"):
        binary.transform(X * 3)
    with pytest.raises(ValueError, match="need complete rows"):
        binary.free_energy(np.where(X > 0, np.nan, X))
    with pytest.raises(ValueError, match="'paris' in column 1"):
        of_all_kinds.transform(mixed().replace({"town": {"rome": "paris"}}))
    with pytest.raises(ValueError, match="kind='median'"):
        binary.reconstruct(X, kind="median")
