"""Units that the data do not determine are named; fits that are well determined are left in peace."""

from dataclasses import replace

import numpy as np
import pytest

from reglm import RecursiveGLMRegressor
from reglm.inference import results, units
from reglm.inference.canonical import hidden_layers
from reglm.inference.identifiability import identifiability
from reglm.inference.units import findings

N = 500
W, B, V = np.array([[1.5, -1.0], [-1.0, 1.5], [0.5, 1.0]]), np.array([0.3, -0.5]), np.array([1.2, -1.0])


def sample(seed, family):
    """Rows of a network of 3 inputs and 2 tanh units with the weights above and intercept 0.3."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, 3))
    eta = 0.3 + np.tanh(X @ W + B) @ V
    if family == "bernoulli":
        return X, (rng.random(N) < 1 / (1 + np.exp(-eta))).astype(float)
    return X, rng.poisson(np.exp(eta)) if family == "poisson" else eta + 0.5 * rng.normal(size=N)


def fitted(family, seed=0, **options):
    options = {"hidden": (2,), "n_init": 3, "random_state": 0} | options
    return RecursiveGLMRegressor(family=family, **options).fit(*sample(seed, family)).fit_


@pytest.fixture(scope="module")
def gaussian():
    return fitted("gaussian")


def changed(fit, **parts):
    """The fit with some of its parameters replaced."""
    theta = fit.theta.copy()
    views = fit.likelihood.layout.views(theta)
    for name, (where, value) in parts.items():
        views[name.replace("_", ".")][where] = value
    return replace(fit, theta=theta)


def test_bernoulli_fits_that_run_away_are_named_and_refused():
    run_away, well = [], []
    for seed in range(12):
        fit = fitted("bernoulli", seed, n_init=1)
        found = findings(fit, fit.data)
        (run_away if np.abs(fit.theta).max() > 30 else well).append([f.fatal for f in found])
    assert len(run_away) >= 7  # about two thirds of them
    assert all(any(fatal) for fatal in run_away)


def test_what_a_reader_is_told_about_a_unit_that_has_become_a_step():
    found = results(fitted("bernoulli", 2))
    assert "hidden1[" in found.refusal
    assert "it is a step" in found.refusal
    assert found.bse.isna().all()
    report = found.identifiability()
    assert not report.identified
    assert "No standard errors" in str(report)
    assert "step" in report._repr_html_()
    assert found.refusal in str(found.summary()).replace("\n    ", " ")


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_well_determined_fits_are_left_in_peace(family):
    for seed in range(3):
        found = results(fitted(family, seed))
        report = found.identifiability()
        assert not found.refusal
        assert not found.notes
        assert report.units == ()
        assert report.identified
        assert "rank 11 of 11" in str(report)


def test_a_penalty_brings_them_back():
    found = results(fitted("bernoulli", 2, alpha=1.0))
    assert not found.refusal
    assert found.identifiability().identified


def test_constant_units(gaussian):
    fit = changed(gaussian, hidden1_W=((slice(None), 0), 0.0))
    report = identifiability(fit)
    assert ("hidden1[1]", "constant") in [(f.unit, f.state) for f in report.units]
    assert "same output" in results(fit).refusal
    assert report.spectra[0].rank < 11


def test_units_without_effect(gaussian):
    fit = changed(gaussian, output_W=(1, 0.0))
    report = identifiability(fit)
    assert [(f.unit, f.state) for f in report.units] == [("hidden1[2]", "without effect")]
    weakest = report.direction("expected")
    assert set(weakest.index[weakest.abs() > 1e-6]) <= {*(f"hidden1.W[x{i}, 2]" for i in range(3)), "hidden1.b[2]"}
    assert report.spectra[0].rank == 7


def test_duplicated_units(gaussian):
    views = gaussian.likelihood.layout.views(gaussian.theta)
    mirrored = {"hidden1_W": ((slice(None), 1), -views["hidden1.W"][:, 0]), "hidden1_b": (1, -views["hidden1.b"][0])}
    report = identifiability(changed(gaussian, **mirrored))
    assert {f.unit: f.state for f in report.units}["hidden1[2]"] == "duplicate"
    assert any("does the work of hidden1[1]" in f.reason for f in report.units)
    assert not report.identified


def test_straight_lines():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(N, 2))
    y = 1 + X @ [1.0, -0.5] + 0.3 * rng.normal(size=N)
    fit = RecursiveGLMRegressor((1,), n_init=2, random_state=0).fit(X, y).fit_
    states = [f.state for f in findings(fit, fit.data)]
    assert states in (["line"], ["near line"])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # fits are cut short on purpose
def test_rectifiers_have_a_free_scale_and_can_die(gaussian):
    fit = fitted("gaussian", activation="relu", max_iter=5, n_init=1)
    dead = changed(fit, hidden1_b=(0, -100.0))
    assert [f.state for f in findings(dead, dead.data)] == ["constant", "free scale"]
    assert "same output, 0," in results(dead).refusal
    ridge = fitted("gaussian", activation="relu", max_iter=5, n_init=1, alpha=0.1)
    assert not findings(ridge, ridge.data)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # fits are cut short on purpose
@pytest.mark.parametrize("activation", ["softplus", "sigmoid", "maxout"])
def test_every_activation_is_looked_at(activation):
    fit = fitted("gaussian", activation=activation, hidden=(2, 2), max_iter=3, n_init=1)
    assert {f.unit.split("[")[0] for f in findings(fit, fit.data)} <= {"hidden1", "hidden2"}


def test_probabilities_at_the_edge(gaussian):
    fit = fitted("bernoulli", 17)
    assert identifiability(fit).edge == 0
    assert identifiability(changed(fit, output_b=(0, 100.0))).edge == N


def test_what_cannot_be_asked_for(gaussian):
    with pytest.raises(ValueError, match="identifiability needs the training rows"):
        identifiability(replace(gaussian, data=None))
    with pytest.raises(ValueError, match="kind='robust' is not known here"):
        identifiability(gaussian).direction("robust")


def test_linear_predictors_have_no_units():
    report = RecursiveGLMRegressor().fit(*sample(0, "gaussian")).inference().identifiability()
    assert report.identified
    assert len(report.spectra) == 2


@pytest.fixture(scope="module")
def rectified():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    mean = 1 + 1.5 * np.maximum(X[:, 0] + 0.5 * X[:, 1] + 0.2, 0) - np.maximum(X[:, 1] - X[:, 2], 0)
    y = mean + 0.5 * rng.normal(size=400)
    return X, RecursiveGLMRegressor((2,), "relu", n_init=4, random_state=0).fit(X, y)


def test_a_free_scale_is_held_and_what_does_not_depend_on_it_has_standard_errors(rectified, monkeypatch):
    X, model = rectified
    found = model.inference()
    assert not found.refusal
    assert found.bse.isna().tolist() == [False, True, True]
    assert "held at its estimate" in " ".join(found.notes)
    with pytest.raises(ValueError, match="free without a penalty"):
        found.wald_test("`hidden1[1]` = 0")
    held = units.held_scales(model.fit_)
    layer = next(hidden_layers(model.network_))
    largest = [column[np.argmax(np.abs(model.fit_.theta[column]))] for column in layer.incoming.T]
    monkeypatch.setattr(units, "held_scales", lambda fit: largest)
    other = model.inference()
    assert not set(held) & set(largest)
    for one, two in (
        (found.get_prediction(X).summary_frame(), other.get_prediction(X).summary_frame()),
        (found.marginal_effects(X).as_frame(), other.marginal_effects(X).as_frame()),
    ):
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-3)  # the score is not exactly zero at a kink
    distances = [r.get_influence().cooks_distance[0] for r in (found, other)]
    np.testing.assert_allclose(*distances, rtol=0.02, atol=1e-4)


def test_inputs_of_rectified_networks_are_tested_by_all_their_weights(rectified):
    found = rectified[1].inference()
    assert found.wald_test_input("x0").df == 2
    assert found.wald_test_input("x0").pvalue < 1e-10
