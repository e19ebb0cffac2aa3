"""The picture of a search shows the numbers of its table."""

import numpy as np
import pytest

from reglm import ArchitectureSearch, RecursiveGLMRegressor, plots

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 2))
    return X, np.tanh(2.0 * X[:, 0]) + 0.2 * rng.normal(size=80)


def test_line_is_the_best_of_each_number_and_the_ring_the_chosen(rows):
    search = ArchitectureSearch(RecursiveGLMRegressor(max_iter=100), [(), 1, 2], inputs="backward", n_init=1)
    table = search.set_params(random_state=0).fit(*rows).results_frame()
    ax = plots.architecture(search)
    points, line, ring = ax.lines
    np.testing.assert_array_equal(points.get_ydata(), table["bic"])
    np.testing.assert_array_equal(ring.get_xydata(), [[1, table["bic"].min()]])
    units = np.array([sum(hidden) for hidden in table["hidden"]])
    np.testing.assert_allclose(
        np.asarray(line.get_ydata(), dtype=float), [table["bic"][units == k].min() for k in (0, 1, 2)]
    )
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("hidden units", "BIC")
    assert list(plots.architecture(search, x="inputs").lines[1].get_xdata()) == [1, 2]
    assert plots.architecture(search, x="parameters", ax=ax) is ax
    with pytest.raises(ValueError, match="x='layers' is not known"):
        plots.architecture(search, x="layers")
    plt.close("all")


def test_held_out_deviances_have_bars(rows):
    search = ArchitectureSearch(RecursiveGLMRegressor(), [()], inputs="exhaustive", criterion="cv", random_state=0)
    ax = plots.architecture(search.fit(*rows), x="inputs")
    assert len(ax.collections[0].get_segments()) == 2
    assert ax.get_ylabel() == "mean held-out deviance"
    plt.close("all")
