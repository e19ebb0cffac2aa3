"""The picture of a comparison shows the numbers of its table."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, Ridge

import reglm

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")


def test_points_are_differences_and_bars_intervals():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    y = X @ [1.0, 0.5] + rng.normal(size=60)
    result = reglm.compare({"line": LinearRegression(), "flat": Ridge(100.0)}, X, y, cv=3)
    for score in ("log_score", "deviance"):
        found = result.differences(score, level=0.8)
        ax = reglm.plots.comparison(result, score, level=0.8)
        bars, points = ax.collections
        np.testing.assert_allclose(points.get_offsets()[:, 0], found["difference"])
        ends = np.array([segment[:, 0] for segment in bars.get_segments()])
        np.testing.assert_allclose(ends, found[["low", "high"]])
        assert [text.get_text() for text in ax.get_yticklabels()] == list(found.index)
    assert reglm.plots.comparison(result, to="null", ax=ax) is ax
    assert "difference to null" in ax.get_xlabel()
    plt.close("all")
