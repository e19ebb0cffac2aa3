"""Pictures of effects show the numbers of the results."""

import numpy as np
import pandas as pd
import pytest

from reglm import RecursiveGLMRegressor, plots

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

N = 120
RNG = np.random.default_rng(12)
X = pd.DataFrame({"a": RNG.normal(size=N), "b": RNG.integers(0, 5, N), "g": RNG.choice(list("rst"), N)})
COUNTS = RNG.poisson(np.exp(0.3 * X["a"] + 0.2 * X["b"])).astype(float)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def fitted():
    return RecursiveGLMRegressor(family="poisson").fit(X, COUNTS).inference()


@pytest.fixture(scope="module")
def refused():
    return RecursiveGLMRegressor(family="poisson", l1=1e-3).fit(X, COUNTS).inference()


def segments(ax):
    """Ends of the intervals drawn, (m, 2, 2)."""
    return np.array(next(c for c in ax.collections if hasattr(c, "get_segments")).get_segments())


def band(ax):
    """Corners of the band drawn."""
    return next(c for c in ax.collections if not hasattr(c, "get_segments")).get_paths()[0].vertices


@pytest.mark.parametrize("kind", ["partial_dependence", "ale"])
def test_curves_and_bands_of_numbers(fitted, kind):
    found = getattr(fitted, kind)(X, "b")
    ax = getattr(plots, kind)(fitted, X, "b", level=0.9, simultaneous=True, name="glm")
    np.testing.assert_allclose(ax.lines[0].get_xydata(), np.column_stack([found.grid["b"], found.value]))
    low, high = found.conf_int(0.1, simultaneous=True).T
    drawn = band(ax)[:, 1]
    assert drawn.min() == pytest.approx(low.min())
    assert drawn.max() == pytest.approx(high.max())
    assert ax.get_ylim()[0] < low.min()
    assert ax.get_xlabel() == "b"
    second = getattr(plots, kind)(fitted, X, "b", ax=ax)
    assert second.lines[-1 if kind == "partial_dependence" else -2].get_color() == plots.style.COLORS[1]


@pytest.mark.parametrize("kind", ["partial_dependence", "ale"])
def test_levels_are_points_with_intervals_over_their_shares(fitted, kind):
    found = getattr(fitted, kind)(X, "g")
    ax = getattr(plots, kind)(fitted, X, "g")
    np.testing.assert_allclose(segments(ax)[:, :, 1], found.conf_int())
    assert [tick.get_text() for tick in ax.get_xticklabels()] == found.grid["g"]
    counts = X["g"].value_counts()[found.grid["g"]].to_numpy()
    heights = np.array([patch.get_height() for patch in ax.patches])
    np.testing.assert_allclose(heights / heights.max(), counts / counts.max())


def test_ale_ends_at_the_percentiles_and_histogram_can_be_left_out(fitted):
    ax = plots.ale(fitted, X, "a", histogram=False)
    low, high = np.percentile(X["a"], [1, 99])
    x = ax.lines[0].get_xdata()
    assert low <= x.min() < x.max() <= high
    assert not ax.patches


def test_individual_curves(fitted):
    ax = plots.individual_curves(fitted, X, "a", max_rows=9, points=5)
    curves = fitted.individual_curves(X, "a", max_rows=9, points=5).to_numpy()
    assert len(ax.lines) == 10
    np.testing.assert_allclose(ax.lines[3].get_ydata(), curves[3])
    np.testing.assert_allclose(ax.lines[-1].get_ydata(), curves.mean(axis=0))
    ax = plots.individual_curves(fitted, X, "g", max_rows=9, centred=True, average=False)
    assert len(ax.lines) == 9
    assert ax.get_ylabel() == "change of fitted mean of y"


def test_marginal_effects_and_importance(fitted):
    found = fitted.marginal_effects(X)
    ax = plots.marginal_effects(fitted, X)
    np.testing.assert_allclose(segments(ax)[:, :, 0], found.effect.conf_int())
    assert [tick.get_text() for tick in ax.get_yticklabels()] == found.labels
    table = fitted.importance(X, COUNTS, repeats=3)
    ax = plots.importance(fitted, X, COUNTS, repeats=3)
    np.testing.assert_allclose([patch.get_width() for patch in ax.patches], table["importance"])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == table.index.tolist()
    assert "without the input" in plots.importance(fitted, method="refit").get_xlabel()


def test_relativities_stand_over_bars_of_exposure(fitted):
    table = fitted.relativities(X).as_frame().loc["g"]
    ax = plots.relativities(fitted, X, "g")
    np.testing.assert_allclose(segments(ax)[:, :, 1], table[["low", "high"]])
    bars = next(other for other in ax.figure.axes if other is not ax)
    np.testing.assert_allclose([patch.get_height() for patch in bars.patches], 100 * table["exposure"])
    assert ax.get_yscale() == "log"


def test_interactions(fitted):
    ax = plots.interaction(fitted, X, max_rows=10)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["a", "b"]
    assert len(ax.texts) == 3
    found = fitted.partial_dependence(X, ("a", "g"), points=4)
    ax = plots.interaction(fitted, X, ("a", "g"), points=4)
    np.testing.assert_allclose(ax.collections[0].get_array().ravel(), found.value.reshape(4, 3).T.ravel())
    assert [tick.get_text() for tick in ax.get_yticklabels()] == sorted("rst", key=found.grid["g"].index)
    assert len(plots.interaction(fitted, X, ("a", "b"), points=4).collections) >= 2
    with pytest.raises(ValueError, match="measure='size' is not known"):
        plots.interaction(fitted, X, measure="size")


def test_without_standard_errors_there_are_no_bands(refused):
    for ax in (
        plots.partial_dependence(refused, X, "a"),
        plots.ale(refused, X, "g"),
        plots.marginal_effects(refused, X),
        plots.relativities(refused, X),
    ):
        assert not ax.collections
        assert len(ax.lines) >= 1
