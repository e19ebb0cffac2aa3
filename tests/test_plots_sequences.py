"""Pictures of sequence models show the states, the moves, the gradients and the ranks."""

import numpy as np
import pytest
from scipy import stats

from reglm import HiddenMarkovModel, LinearGaussianSSM, RecurrentGLM, datasets, plots

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

SPOTS = datasets.load_sunspots()
Y = np.sqrt(SPOTS.target.to_numpy(float))[:60, None]
YEARS = SPOTS.data["YEAR"].to_numpy()[:60]
A = np.array([[0.5, 0.5, 0.0], [0.3, 0.4, 0.3], [0.0, 0.0, 1.0]])


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def chain():
    return HiddenMarkovModel(3, tol=1e-2, random_state=0).fit(Y)


@pytest.fixture(scope="module")
def network():
    return RecurrentGLM("elman", 2, alpha=5.0, tol=1e-2, random_state=0).fit(Y)


@pytest.fixture(scope="module")
def level():
    return LinearGaussianSSM(structure="local-level", tol=1e-2).fit(Y)


def test_probabilities_lie_on_top_of_one_another(chain):
    ax = plots.state_paths(chain, Y, times=YEARS)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), Y[:, 0])
    under = ax.child_axes[0]
    p = chain.predict_proba(Y)
    for k, area in enumerate(under.collections):
        top = area.get_paths()[0].vertices[1:61, 1]
        reached = {np.round(top, 9).tobytes(), np.round(area.get_paths()[0].vertices[62:122, 1][::-1], 9).tobytes()}
        assert np.round(p[:, : k + 1].sum(axis=1), 9).tobytes() in reached
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["state 0", "state 1", "state 2"]
    assert ax.get_xlim() == (YEARS[0], YEARS[-1])


def test_means_have_bands_and_units_are_lines(level, network):
    found = level.states(Y)
    under = plots.state_paths(level, Y, names=["level"]).child_axes[0]
    np.testing.assert_allclose(under.lines[0].get_ydata(), found.mean[:, 0])
    top = found.mean[:, 0] + 2 * np.sqrt(found.cov[:, 0, 0])
    assert under.collections[0].get_paths()[0].vertices[:, 1].max() == pytest.approx(top.max())
    under = plots.state_paths(network, Y, states=[1]).child_axes[0]
    np.testing.assert_allclose(under.lines[0].get_ydata(), network.states(Y)[:, 1])
    with pytest.raises(ValueError, match="model=object has no states"):
        plots.state_paths(object(), Y)


def test_a_chain_is_drawn_with_the_moves_that_happen(chain):
    ax = plots.transition_graph(A, names=["low", "middle", "end"])
    said = [text.get_text() for text in ax.texts]
    assert {"low\n0.50", "middle\n0.40", "end\n1.00"} < set(said)
    assert sorted(text for text in said if text and "\n" not in text) == ["0.30", "0.30", "0.50"]
    assert len(plots.transition_graph(chain, least=1.0).texts) == 3
    assert len(plots.transition_graph(np.ones((1, 1))).texts) == 1
    with pytest.raises(ValueError, match="rows that add up to 1"):
        plots.transition_graph(2 * A)


def test_gradients_by_lag_are_products_of_jacobians(network):
    norms = network.gradient_norms(Y, lags=5, ends=4)
    assert norms.shape == (4, 6)
    views = network.fit_.likelihood.layout.views(network.fit_.theta)
    out, W = views["output.W"], views["recurrent1.U"]
    h, g = network.states(Y), out[:, 0]
    for lag in range(6):
        assert norms[-1, lag] == pytest.approx(np.linalg.norm(g))
        g = W @ ((1 - h[59 - lag] ** 2) * g)
    ax = plots.gradient_norms(network, Y, lags=5, ends=4, name="elman")
    np.testing.assert_allclose(ax.lines[0].get_ydata(), np.median(norms / norms[:, :1], axis=0))
    halves = network.gradient_norms(Y, lags=29, ends=9, lengths=[30, 30])
    assert halves.shape == (2, 30)
    with pytest.raises(ValueError, match="the longest sequence has 30 rows"):
        network.gradient_norms(Y, lags=30, groups=np.arange(60) // 30)


def test_gradients_of_stacks_are_those_of_the_layer_next_to_the_output():
    model = RecurrentGLM("lstm", (2, 3), max_iter=2, random_state=0, tol=1e3).fit(Y)
    assert model.gradient_norms(Y, lags=3, ends=2).shape == (2, 4)


def test_ranks_of_rows(chain, network, level):
    for model, residuals in ((chain, chain.pseudo_residuals(Y)), (level, level.residuals(Y))):
        ax = plots.rank_histogram(model, Y, bins=5)
        u = stats.norm.cdf(residuals.ravel())
        np.testing.assert_allclose(
            [bar.get_height() for bar in ax.patches[-5:]], np.histogram(u, 5, (0, 1))[0] / (~np.isnan(u)).sum()
        )
    z = network.pseudo_residuals(Y)
    np.testing.assert_allclose(z, (Y - network.predict(Y)) / np.sqrt(network.dispersion_), atol=1e-8)
    gap = np.where(np.arange(60)[:, None] == 7, np.nan, Y)
    assert np.flatnonzero(np.isnan(network.pseudo_residuals(gap))).tolist() == [7]
    assert len(plots.rank_histogram(np.linspace(0, 1, 30)).patches) >= 10
    with pytest.raises(ValueError, match="between 0 and 1"):
        plots.rank_histogram([0.5, 1.5])
    with pytest.raises(ValueError, match="does not say how rows rank"):
        plots.rank_histogram(object(), Y)
