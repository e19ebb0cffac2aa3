"""Plots show the numbers they claim to show."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import reglm
from reglm import RecursiveGLMClassifier, RecursiveGLMRegressor, datasets, plots

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def claims():
    return datasets.simulate_claims(1500, seed=3)


@pytest.fixture(scope="module")
def glm(claims):
    return RecursiveGLMRegressor(family="poisson", exposure="exposure").fit(claims.data, claims.target)


def test_calibration_table_matches_groups_made_by_hand(claims, glm):
    table = plots.calibration_table(glm, claims.data, claims.target, exposure="exposure", bins=4)
    exposure, mu = claims.data["exposure"].to_numpy(), glm.predict(claims.data)
    order = np.argsort(mu / exposure)
    middle = (np.cumsum(exposure[order]) - exposure[order] / 2) / exposure.sum()
    for g, line in table.iterrows():
        part = order[(middle >= g / 4) & (middle < (g + 1) / 4)]
        years = exposure[part].sum()
        np.testing.assert_allclose(line["fitted"], mu[part].sum() / years, rtol=1e-12)
        np.testing.assert_allclose(line["observed"], claims.target.to_numpy()[part].sum() / years, rtol=1e-12)
        assert line["low"] < line["observed"] < line["high"]
    assert table["rows"].sum() == len(exposure)
    np.testing.assert_allclose(table["weight"].sum(), exposure.sum())


def test_interval_without_weights_is_the_normal_one_of_a_mean():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 1))
    y = rng.normal(size=50)
    line = plots.calibration_table(LinearRegression().fit(x, y), x, y, bins=1, level=0.9).iloc[0]
    half = 1.6448536269514722 * y.std(ddof=1) / np.sqrt(50)
    np.testing.assert_allclose([line["low"], line["high"]], [y.mean() - half, y.mean() + half])


def test_intervals_cover():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(1000, 2))
    mu = np.exp(0.5 + x[:, 0])
    covered = []
    for _ in range(20):
        y = rng.poisson(mu)
        fitted = RecursiveGLMRegressor(family="poisson").fit(x, y)
        table = plots.calibration_table(fitted, x, y)
        covered.append(((table["low"] < table["fitted"]) & (table["fitted"] < table["high"])).mean())
    assert 0.9 < np.mean(covered) <= 1.0  # fitted to the same rows, so a little above the level


def test_calibration_of_training_rows_needs_no_data(claims, glm):
    with_data = plots.calibration_table(glm, claims.data, claims.target)
    pd.testing.assert_frame_equal(plots.calibration_table(glm), with_data)
    pd.testing.assert_frame_equal(plots.calibration_table(glm.fit_), with_data)
    means = plots.calibration_table(glm.predict(claims.data), y=claims.target)
    pd.testing.assert_frame_equal(means, with_data)


def test_equal_fitted_means_stay_together():
    X, y = np.repeat([[0.0], [1.0]], 30, axis=0), np.tile([1.0, 2.0, 3.0], 20)
    table = plots.calibration_table(LinearRegression().fit(X, y + X[:, 0]), X, y + X[:, 0], bins=10)
    np.testing.assert_allclose(table["fitted"], [2.0, 3.0])


def test_binomial_shares():
    data = datasets.load_star98()
    model = RecursiveGLMRegressor(family="binomial").fit(data.data, data.target)
    table = plots.calibration_table(model, data.data, data.target, bins=5)
    pd.testing.assert_frame_equal(plots.calibration_table(model, bins=5), table)
    successes, trials = data.target["NABOVE"].sum(), data.target.to_numpy().sum()
    np.testing.assert_allclose(np.average(table["observed"], weights=table["weight"]), successes / trials)
    np.testing.assert_allclose(np.average(table["fitted"], weights=table["weight"]), successes / trials)


def test_partial_effect_is_an_average_of_predictions(claims, glm):
    table = plots.effect_table(glm, claims.data, "driver_age", exposure="exposure", points=5)
    low, high = np.percentile(claims.data["driver_age"], [1, 99])
    np.testing.assert_allclose(table["value"], np.linspace(low, high, 5))
    moved = claims.data.assign(driver_age=table["value"][2])
    np.testing.assert_allclose(table["mean"][2], glm.predict(moved).sum() / claims.data["exposure"].sum())
    slope = glm.coef_[glm.design_.names_out.index("driver_age")]
    np.testing.assert_allclose(np.diff(np.log(table["mean"])), slope * np.diff(table["value"]))


def test_partial_effect_of_categories(claims, glm):
    table = plots.effect_table(glm, claims.data, "region").set_index("value")["mean"]
    assert sorted(table.index) == sorted(claims.data["region"].cat.categories)
    coef = dict(zip(glm.design_.names_out, glm.coef_, strict=True))
    ratio = np.exp(coef["region[hills]"] - coef["region[coast]"])
    np.testing.assert_allclose(table["hills"] / table["coast"], ratio)
    ax = plots.partial_effect(glm, claims.data, "region")
    assert [t.get_text() for t in ax.get_xticklabels()] == list(table.index)


def test_partial_effect_from_arrays_and_polars(claims):
    columns = ["driver_age", "power"]
    frame, y = claims.data[columns].astype(float), claims.target
    options = {"family": "poisson"}
    from_frame = RecursiveGLMRegressor(**options).fit(frame, y)
    from_array = RecursiveGLMRegressor(**options).fit(frame.to_numpy(), y)
    polars = pl.DataFrame({name: frame[name].to_numpy() for name in columns})
    from_polars = RecursiveGLMRegressor(**options).fit(polars, y.to_numpy())
    tables = [
        plots.effect_table(from_frame, frame, "power"),
        plots.effect_table(from_array, frame.to_numpy(), 1),
        plots.effect_table(from_polars, polars, "power"),
    ]
    np.testing.assert_allclose(tables[1], tables[0])
    np.testing.assert_allclose(tables[2], tables[0])


def test_two_models_share_axes_and_one_histogram(claims, glm):
    ax = plots.partial_effect(glm, claims.data, "driver_age", name="a")
    bars = len(ax.patches)
    plots.partial_effect(glm, claims.data, "driver_age", ax=ax, name="b")
    assert len(ax.patches) == bars
    assert len(ax.lines) == 2
    assert ax.lines[0].get_color() != ax.lines[1].get_color()
    low, high = ax.get_ylim()
    for line in ax.lines:
        assert np.all((line.get_ydata() > low) & (line.get_ydata() < high))


def test_classifier_and_pipeline():
    X, y = load_iris(return_X_y=True)
    model = make_pipeline(StandardScaler(), RecursiveGLMClassifier(alpha=1.0)).fit(X, y)
    table = plots.calibration_table(model, X, y, output=2, bins=3)
    np.testing.assert_allclose(np.average(table["observed"], weights=table["weight"]), 1 / 3)
    ax = plots.calibration(model, X, y, output=2, bins=3)
    assert ax.get_xlabel() == "fitted mean of P(2)"
    assert plots.training_curve(model).lines


def test_training_curve_is_the_history(glm):
    ax = plots.training_curve(glm, name="GLM")
    np.testing.assert_allclose(ax.lines[0].get_ydata(), np.array(glm.fit_.history["objective"]) / glm.fit_.weight_total)
    assert ax.get_xlabel() == f"iteration ({glm.fit_.solver})"


def test_training_curve_shows_the_held_out_deviance(claims):
    model = RecursiveGLMRegressor(
        hidden=(2,), family="poisson", exposure="exposure", early_stopping=True, random_state=0, solver="adam",
        max_iter=200, learning_rate=0.01,
    ).fit(claims.data, claims.target)  # fmt: skip
    ax = plots.training_curve(model)
    assert ax.get_xlabel() == "epoch"
    right = ax.figure.axes[1]
    np.testing.assert_allclose(right.lines[0].get_ydata(), model.fit_.history["monitor"])
    assert right.lines[1].get_ydata()[0] == min(model.fit_.history["monitor"])


def test_gini_of_perfect_reversed_and_useless_orders():
    y = np.array([0.0, 0.0, 0.0, 4.0])

    for mu, index in (([1, 2, 3, 4], 0.75), ([4, 3, 2, 1], -0.75), ([1, 1, 1, 1], 0.0)):
        X = np.array(mu, dtype=float)[:, None]
        assert plots.gini(LinearRegression().fit(X, mu), X, y) == pytest.approx(index)


def test_lorenz_curve_ends_in_the_corners(claims, glm):
    ax = plots.lorenz(glm, claims.data, claims.target, exposure="exposure", name="GLM")
    curve = ax.lines[1]
    assert (curve.get_xdata()[0], curve.get_ydata()[0]) == (0.0, 0.0)
    np.testing.assert_allclose([curve.get_xdata()[-1], curve.get_ydata()[-1]], 1.0)
    assert ax.get_legend().get_texts()[0].get_text().startswith("GLM: Gini index 0.")


@pytest.mark.parametrize("draw", [plots.calibration, plots.lorenz, plots.training_curve])
def test_axes_given_are_used_and_named(glm, draw):
    _, ax = plt.subplots()
    assert draw(glm, ax=ax) is ax
    assert ax.get_xlabel()
    assert ax.get_ylabel()


def test_a_loaded_model_has_no_training_rows(glm, claims, tmp_path):
    glm.save(tmp_path / "model.reglm")
    loaded = reglm.load(tmp_path / "model.reglm")
    with pytest.raises(ValueError, match="pass X and y"):
        plots.calibration(loaded)
    assert len(plots.calibration_table(loaded, claims.data, claims.target)) == 10


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, c: plots.partial_effect(m, c.data, "color"), "column='color' is not in X"),
        (lambda m, c: plots.partial_effect(m, c.data, "power", points=1), "points=1"),
        (lambda m, c: plots.calibration(m, c.data, c.target, exposure="years"), "exposure='years'"),
        (lambda m, c: plots.calibration(m, c.data), "y=None"),
        (lambda m, c: plots.calibration(m, bins=0), "bins=0"),
        (lambda m, c: plots.calibration(m, level=95), "level=95"),
        (lambda m, c: plots.training_curve(LinearRegression()), "model=LinearRegression"),
        (lambda m, c: plots.lorenz(m, c.data, 0 * c.target), "no positive total"),
    ],
)
def test_errors_name_the_argument(claims, glm, call, message):
    with pytest.raises(ValueError, match=message):
        call(glm, claims)
