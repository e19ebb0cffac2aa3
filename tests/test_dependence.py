"""Partial dependence, ALE and individual curves: other libraries, closed forms, brute force in theta."""

from functools import cache
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from network_cases import differences
from scipy import stats
from sklearn.inspection import partial_dependence

from reglm import RecursiveGLMClassifier, RecursiveGLMRegressor
from reglm.inference.bands import Effect

N = 150
RNG = np.random.default_rng(8)
X = pd.DataFrame({"a": RNG.normal(size=N), "b": RNG.integers(0, 4, N).astype(float)})
X["c"] = X["a"] + 0.5 * RNG.normal(size=N)
FRAME = X.assign(region=pd.Categorical(np.array(["n", "s", "w"])[RNG.integers(0, 3, N)]))
COUNTS = RNG.poisson(np.exp(0.2 + np.tanh(X["a"]) + 0.2 * X["b"])).astype(float)


@pytest.fixture(scope="module")
def network():
    return RecursiveGLMRegressor((2,), family="poisson", alpha=0.3, n_init=2, random_state=0).fit(X, COUNTS)


@pytest.fixture(scope="module")
def levels():
    return RecursiveGLMRegressor((2,), family="poisson", alpha=0.3, random_state=0).fit(FRAME, COUNTS)


@pytest.fixture(scope="module")
def line():
    y = np.asarray(1 + 2 * X["a"] - X["b"] + 0.5 * X["c"] + RNG.normal(size=N))
    return RecursiveGLMRegressor().fit(X, y)


def check_covariance(model, found, value):
    """The delta method with numerical derivatives in theta."""
    np.testing.assert_allclose(found.value, value(model.fit_.theta), rtol=1e-10, atol=1e-12)
    G = differences(value, model.fit_.theta)
    V = inference(model).cov_theta()
    np.testing.assert_allclose(found.covariance, G @ V @ G.T, rtol=1e-4, atol=1e-9)


@cache
def inference(model):
    return model.inference()


def predict(model, theta, rows):
    matrix, offset = inference(model).reader.rows(rows)
    return np.exp(model.fit_.likelihood.eta(theta, matrix, offset))[:, 0]


@pytest.mark.parametrize("column", ["a", "b"])
def test_partial_dependence_is_that_of_scikit_learn(network, column):
    found = inference(network).partial_dependence(X, column)
    grid = found.grid[column]
    expected = partial_dependence(network, X, [column], custom_values={column: np.array(grid)}, method="brute")
    np.testing.assert_allclose(found.value, expected["average"][0], rtol=1e-10)
    assert len(grid) == (4 if column == "b" else 40)


def test_individual_curves_are_those_of_scikit_learn(network):
    found = inference(network).individual_curves(X, "a", points=7, max_rows=N)
    expected = partial_dependence(
        network, X, ["a"], custom_values={"a": found.columns.to_numpy()}, kind="individual", method="brute"
    )
    np.testing.assert_allclose(found, expected["individual"][0], rtol=1e-10)
    centred = inference(network).individual_curves(X, "a", points=7, max_rows=20, centred=True)
    assert (centred.iloc[:, 0] == 0).all()
    assert len(centred) == 20
    np.testing.assert_allclose(centred, found.loc[centred.index].sub(found.loc[centred.index].iloc[:, 0], axis=0))


def test_bands_by_brute_force(network):
    rows = X.iloc[:30]
    found = inference(network).partial_dependence(rows, "a", points=4)

    def value(theta):
        return [predict(network, theta, rows.assign(a=v)).mean() for v in found.grid["a"]]

    check_covariance(network, found, value)


def test_surface_of_two_inputs(levels):
    rows = FRAME.iloc[:25]
    found = inference(levels).partial_dependence(rows, ("a", "region"), points=3)
    assert list(found.grid) == ["a", "region"]
    assert len(found.value) == 9
    kind = pd.CategoricalDtype(["n", "s", "w"])

    def value(theta):
        pairs = zip(found.grid["a"], found.grid["region"], strict=True)
        return [
            predict(levels, theta, rows.assign(a=v, region=pd.Series(r, rows.index).astype(kind))).mean()
            for v, r in pairs
        ]

    check_covariance(levels, found, value)


def test_partial_dependence_of_a_linear_model_is_its_line(line):
    found = line.inference(use_t=True).partial_dependence(X, "a")
    b = inference(line).params
    expected = b["Intercept"] + b["a"] * np.array(found.grid["a"]) + b["b"] * X["b"].mean() + b["c"] * X["c"].mean()
    np.testing.assert_allclose(found.value, expected, rtol=1e-10)
    design = np.column_stack([np.ones(40), found.grid["a"], np.full(40, X["b"].mean()), np.full(40, X["c"].mean())])
    V = inference(line).cov_params().to_numpy()
    np.testing.assert_allclose(found.covariance, design @ V @ design.T, rtol=1e-8)
    half = stats.t.isf(0.05, inference(line).df_resid) * found.se
    np.testing.assert_allclose(found.conf_int(0.1), np.column_stack([expected - half, expected + half]), rtol=1e-8)


def test_simultaneous_bands_are_scheffes_for_a_line_seen_everywhere():
    # over all of a dense grid on the circle of directions max |t| of two parameters is a chi with 2 degrees of freedom
    angle = np.linspace(0, np.pi, 200)
    G = np.column_stack([np.cos(angle), np.sin(angle)])
    for df, expected in ((np.inf, np.sqrt(stats.chi2.isf(0.05, 2))), (20.0, np.sqrt(2 * stats.f.isf(0.05, 2, 20)))):
        found = Effect({"x": angle}, np.zeros(200), G @ G.T, df)
        np.testing.assert_allclose(found.conf_int(simultaneous=True)[:, 1], expected, rtol=0.03)
    pointwise = Effect({"x": [0]}, np.zeros(1), np.ones((1, 1)))
    np.testing.assert_allclose(pointwise.conf_int(simultaneous=True), pointwise.conf_int(), rtol=0.03)


def test_ale_of_a_linear_model_is_its_line(line):
    fitted = inference(line)
    for column in ("a", "b", "c"):
        found = fitted.ale(X, column)
        where = np.array(found.grid[column])
        np.testing.assert_allclose(np.diff(found.value), fitted.params[column] * np.diff(where), rtol=1e-8)
        np.testing.assert_allclose(np.diff(found.value[[0, -1]]) / np.ptp(where), fitted.params[column], rtol=1e-10)
        difference = found.covariance[0, 0] + found.covariance[-1, -1] - 2 * found.covariance[0, -1]
        np.testing.assert_allclose(np.sqrt(difference) / np.ptp(where), fitted.bse[column], rtol=1e-8)


def test_ale_by_brute_force(network):
    rows = X.iloc[:40]
    found = inference(network).ale(rows, "c", bins=5)
    edges = np.array(found.grid["c"])

    def value(theta):
        f, counts = [0.0], []
        for k, (low, high) in enumerate(pairwise(edges)):
            inside = rows[(rows["c"] > low) & (rows["c"] <= high) | ((rows["c"] == low) & (k == 0))]
            step = predict(network, theta, inside.assign(c=high)) - predict(network, theta, inside.assign(c=low))
            f.append(f[-1] + step.mean())
            counts.append(len(inside))
        middle = (np.array(f[1:]) + np.array(f[:-1])) / 2
        return np.array(f) - middle @ counts / len(rows)

    check_covariance(network, found, value)


@pytest.mark.parametrize("order", ["levels", "similarity"])
def test_ale_of_levels_by_brute_force(levels, order):
    rows = FRAME.iloc[:40]
    found = inference(levels).ale(rows, "region", order=order)
    names = found.grid["region"]
    kind = rows["region"].dtype

    def at(theta, part, level):
        return predict(levels, theta, part.assign(region=pd.Series(level, part.index).astype(kind)))

    def value(theta):
        f = [0.0]
        for low, high in pairwise(names):
            part = rows[rows["region"].isin([low, high])]
            f.append(f[-1] + (at(theta, part, high) - at(theta, part, low)).mean())
        return np.array(f) - np.mean([f[names.index(level)] for level in rows["region"]])

    check_covariance(levels, found, value)
    if order == "levels":
        assert names == inference(levels).reader.levels(rows, "region")


def test_similar_levels_become_neighbours():
    level = RNG.permutation(np.repeat([0, 1, 2, 3], 30))
    place = np.array([2.0, 0.0, 3.0, 1.0])[level]  # b < d < a < c along x
    rows = pd.DataFrame({"x": place + 0.3 * RNG.normal(size=120), "g": np.array(list("abcd"))[level]})
    model = RecursiveGLMRegressor().fit(rows, rows["x"] + RNG.normal(size=120))
    assert "".join(model.inference().ale(rows, "g").grid["g"]) in ("bdac", "cadb")


def test_classes_have_curves_that_sum_to_one():
    y = RNG.integers(0, 3, N)
    found = RecursiveGLMClassifier().fit(X, y).inference()
    curves = [found.partial_dependence(X, "a", points=3, output=k) for k in range(3)]
    np.testing.assert_allclose(sum(curve.value for curve in curves), 1.0, rtol=1e-12)
    assert all(curve.has_bands for curve in curves)


def test_refusals_and_mistakes(network):
    plain = RecursiveGLMRegressor(family="poisson", l1=1e-3).fit(X, COUNTS).inference()
    found = plain.ale(X, "a")
    assert not found.has_bands
    assert np.isfinite(found.value).all()
    assert "No standard errors" in repr(found)
    assert found.as_frame(simultaneous=True)["low"].isna().all()
    fitted = inference(network)
    for call, message in (
        (lambda: fitted.partial_dependence(X, ("a", "b", "c")), "one input or a pair of names"),
        (lambda: fitted.partial_dependence(X, "a", points=1), "points=1 must be 2 or more"),
        (lambda: fitted.partial_dependence(X, "a", max_rows=0), "max_rows=0 must be 1 or more"),
        (lambda: fitted.ale(X, "a", order="size"), "order='size' is not known"),
        (lambda: fitted.ale(X, "a", bins=0), "bins=0 must be 1 or more"),
        (lambda: fitted.ale(X.assign(a=1.0), "a"), "input 'a' is 1 in every row of X"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
