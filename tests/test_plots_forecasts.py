"""Fans show the series, means and intervals of forecasts."""

import numpy as np
import pytest

from reglm import datasets, plots
from reglm.estimators.linear_gaussian import LinearGaussianSSM

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_fan_of_a_structural_model():
    series = datasets.load_nile().target.to_numpy(float)[:30]
    model = LinearGaussianSSM(structure="local-level", tol=1e-3).fit(series[:, None])
    wide, narrow = model.forecast(4), model.forecast(4, level=0.5)
    years = np.arange(1871, 1905)
    ax = plots.forecast([wide, narrow], series, times=years, last=20, name="local level")
    past, ahead = ax.lines
    np.testing.assert_allclose(past.get_ydata(), series[10:])
    np.testing.assert_allclose(past.get_xdata(), years[10:30])
    np.testing.assert_allclose(ahead.get_ydata(), wide.mean[0, :, 0])
    np.testing.assert_allclose(ahead.get_xdata(), years[30:])
    for fan, found in zip(ax.collections, (wide, narrow), strict=True):
        inside = fan.get_paths()[0].vertices[:, 1]
        assert inside.min() == pytest.approx(found.lower.min())
        assert inside.max() == pytest.approx(found.upper.max())
    assert ax.get_legend().get_texts()[0].get_text() == "local level"
    alone = plots.forecast(model.forecast(1))
    assert alone.lines[0].get_xdata()[0] == 0
    with pytest.raises(ValueError, match="times has 3 entries for 30 rows so far and 4 to come"):
        plots.forecast(wide, series, times=[1, 2, 3])
