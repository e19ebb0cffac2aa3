"""Pictures of Boltzmann machines."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from reglm import RestrictedBoltzmannMachine, plots

plt = pytest.importorskip("matplotlib.pyplot")
X = (np.random.default_rng(0).random((60, 6)) < 0.5).astype(float)


@pytest.fixture(autouse=True)
def closed():
    plt.switch_backend("agg")
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def model():
    return RestrictedBoltzmannMachine(5, max_iter=4, validation_fraction=0.2, random_state=0).fit(X)


def test_filters_come_by_their_norm(model):
    board = plots.filters(model, shape=(2, 3), n=4).images[0].get_array().filled(np.nan)
    strongest = model.components_[np.argmax(np.linalg.norm(model.components_, axis=1))]
    assert board.shape == (5, 7)
    assert_array_equal(board[:2, :3], strongest.reshape(2, 3))


def test_samples_stand_side_by_side():
    board = plots.samples(X[:3], shape=(3, 2)).images[0].get_array().filled(np.nan)
    assert_array_equal(board[:3, 3:5], X[1].reshape(3, 2))
    assert np.isnan(board[4:, 3:]).all()
    with pytest.raises(ValueError, match="must hold the 6 columns"):
        plots.samples(X)


def test_the_gap_is_that_of_the_history(model):
    ax = plots.free_energy_gap(model)
    lines = [line.get_ydata() for line in ax.lines]
    assert_array_equal(lines[1] - lines[0], model.history_["gap"])
    with pytest.raises(ValueError, match="validation_fraction"):
        plots.free_energy_gap(RestrictedBoltzmannMachine(2, max_iter=1).fit(X))
    with pytest.raises(ValueError, match="no Boltzmann machine"):
        plots.free_energy_gap(plots_of_something_else())


def plots_of_something_else():
    from sklearn.linear_model import LinearRegression

    return LinearRegression().fit(X, X[:, 0])
