"""Saved models of sequences: the loaded ones predict, judge, forecast and draw the same."""

import numpy as np
import pandas as pd
import pytest

import reglm
from reglm import EchoStateNetwork, HiddenMarkovModel, LinearGaussianSSM, RecurrentGLM

rng = np.random.default_rng(0)
LENGTHS = [14, 10]
N = sum(LENGTHS)
X = np.column_stack([np.sin(np.arange(N) / 3), rng.normal(size=N)])
ROWS = X + 0.1 * rng.normal(size=(N, 2))
Y = X[:, 0] + 0.1 * rng.normal(size=N)
COUNTS = rng.poisson(np.exp(X[:, 0]))
FRAME = pd.DataFrame({"y": COUNTS, "x": X[:, 0], "g": np.repeat(["u", "v"], LENGTHS)})
SHORT = {"max_iter": 2, "random_state": 0}
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def reloaded(model, tmp_path):
    model.save(tmp_path / "model")
    loaded = reglm.load(tmp_path / "model")
    assert repr(loaded) == repr(model)
    return loaded


def agree(found, expected):
    """Equal arrays, whatever they are in."""
    if isinstance(expected, tuple):
        for one, other in zip(found, expected, strict=True):
            agree(one, other)
    else:
        np.testing.assert_array_equal(found, expected)


def same_answers(model, tmp_path, *data, **division):
    """Compare predictions and log-densities; return the loaded model."""
    loaded = reloaded(model, tmp_path)
    for method in ("predict", "logpdf"):
        given = data[:1] if method == "predict" and isinstance(model, RecurrentGLM) else data
        agree(getattr(loaded, method)(*given, **division), getattr(model, method)(*given, **division))
    return loaded


DENSITIES = {
    "recurrent": RecurrentGLM("lstm", 2, peepholes=True, **SHORT),
    "in order": RecurrentGLM("gru", 2, ordered=True, **SHORT),
    "mixed": RecurrentGLM("elman", [2, 2], family=["gaussian", "student_t"], skip=True, **SHORT),
    "reservoir": EchoStateNetwork(6, alphas=4, washout=2, random_state=0),
    "factors": LinearGaussianSSM(2, **SHORT),
}


@pytest.mark.parametrize("name", DENSITIES)
def test_densities_of_rows(name, tmp_path):
    model = DENSITIES[name].fit(ROWS, lengths=LENGTHS)
    loaded = same_answers(model, tmp_path, ROWS, lengths=LENGTHS)
    agree(loaded.sample(5, random_state=1), model.sample(5, random_state=1))
    ahead = {"steps": 3} if name == "factors" else {"X": ROWS, "steps": 3, "lengths": LENGTHS, "random_state": 1}
    if name not in ("reservoir", "factors"):
        ahead["n_samples"] = 5
    agree(tuple(loaded.forecast(**ahead)), tuple(model.forecast(**ahead)))


@pytest.mark.parametrize("task", ["rows", "sequences", "labels", "formula"])
def test_recurrent_responses(task, tmp_path):
    if task == "formula":
        model = RecurrentGLM.from_formula("y ~ x", FRAME, groups="g", cell="irnn", hidden=2, family="poisson", **SHORT)
        same_answers(model, tmp_path, FRAME)
        return
    options = {"labels": {"family": "multinomial"}, "sequences": {"bidirectional": True}}.get(task, {})
    y = {"rows": Y, "sequences": np.array([1.0, 2.0]), "labels": np.array(["a", "b", "c"])[COUNTS.clip(max=2)]}[task]
    model = RecurrentGLM("leaky", 2, **options, **SHORT).fit(X, y, lengths=LENGTHS)
    loaded = same_answers(model, tmp_path, X, y, lengths=LENGTHS)
    if task == "rows":
        agree(loaded.step(X[:2])[0], model.step(X[:2])[0])


HIDDEN = {
    "gaussian": ({}, ROWS),
    "mixtures": ({"n_mixtures": 2, "covariance": "diagonal"}, ROWS),
    "counts": ({"family": "poisson", "transitions": "left-right"}, COUNTS[:, None]),
    "mixed": ({"family": ["gaussian", "poisson"]}, np.column_stack([Y, COUNTS])),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_hidden_markov_models(name, tmp_path):
    options, rows = HIDDEN[name]
    model = HiddenMarkovModel(2, **options, **SHORT).fit(rows, lengths=LENGTHS)
    loaded = same_answers(model, tmp_path, rows, lengths=LENGTHS)
    agree(loaded.sample(5, random_state=1), model.sample(5, random_state=1))
    assert (loaded.aic(), loaded.bic()) == (model.aic(), model.bic())
    for method in (loaded.icl, loaded.summary):
        with pytest.raises(ValueError, match="loaded model does not hold the rows"):
            method()


def test_a_hidden_markov_model_with_inputs(tmp_path):
    model = HiddenMarkovModel(2, covariates="both", order=1, **SHORT).fit(X, Y, lengths=LENGTHS)
    same_answers(model, tmp_path, X, Y, lengths=LENGTHS)


def test_a_reservoir_with_feedback(tmp_path):
    model = EchoStateNetwork(6, family="poisson", alpha=0.1, feedback=True, random_state=0)
    loaded = same_answers(model.fit(X, COUNTS, lengths=LENGTHS), tmp_path, X, COUNTS, lengths=LENGTHS)
    with pytest.raises(ValueError, match="loaded model does not hold the rows"):
        loaded.inference()


@pytest.mark.parametrize("structure", ["local-level", ["ar(1)", "cycle"]])
def test_a_structural_model(structure, tmp_path):
    model = LinearGaussianSSM(structure=structure, **SHORT).fit(X[:, 1:], Y)
    loaded = same_answers(model, tmp_path, X[:, 1:], Y)
    agree(loaded.predict(X[:3, 1:]), model.predict(X[:3, 1:]))
    agree(tuple(loaded.forecast(3, X[:3, 1:])), tuple(model.forecast(3, X[:3, 1:])))
    pd.testing.assert_series_equal(loaded.params_, model.params_)
    assert loaded.summary().as_text() == model.summary().as_text()
