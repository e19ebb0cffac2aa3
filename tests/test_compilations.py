"""Programs are kept by structure: sizes, penalties and rows never compile anything new."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from reglm import RecursiveGLMRegressor, compiling
from reglm.compiling import count_compilations

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
Y = RNG.poisson(np.exp(0.4 * X[:, 0])).astype(float)
NETWORK = RecursiveGLMRegressor(
    hidden=(3,), family="poisson", solver="lbfgs", max_iter=3, backend="python", random_state=0
)


@pytest.fixture(autouse=True)
def _forgotten():
    """Let every test begin as a fresh process does."""
    compiling.clear()


def fits(estimator, *arguments, **options):
    with count_compilations() as counted:
        clone(estimator).set_params(**options).fit(*arguments)
    return counted


def test_a_grid_over_widths_and_penalties_compiles_once_a_depth():
    widths = [(k,) for k in range(1, 11)] + [(k, 2) for k in range(1, 11)]
    grid = {"hidden": widths, "alpha": [0.01, 0.1, 1.0]}
    search = GridSearchCV(NETWORK, grid, cv=2)
    with count_compilations() as counted:
        search.fit(X, Y)
    assert len(search.cv_results_["params"]) == 60
    assert counted["python"] == 2  # one objective with its gradient for each of the two depths
    assert sum(counted.values()) == 2


@pytest.mark.parametrize("backend", ["numba", "jax"])
def test_a_compiler_runs_once_for_all_widths(backend):
    first = fits(NETWORK, X, Y, backend=backend)
    assert first[backend] == 1
    for width in (1, 5):
        assert sum(fits(NETWORK, X, Y, backend=backend, hidden=(width,), alpha=float(width)).values()) == 0


def test_offsets_weights_rows_columns_and_batches_compile_nothing():
    assert fits(NETWORK, X, Y)["python"] == 1
    with count_compilations() as counted:
        model = clone(NETWORK)
        model.fit(X, Y, sample_weight=RNG.uniform(size=60), offset=RNG.normal(size=60))
        model.fit(X[:31], Y[:31])
        model.fit(X[:, :2], Y)
        model.set_params(solver="adam", batch_size=7).fit(X, Y)
        model.set_params(batch_size=60, learning_rate=0.1).fit(X[:50], Y[:50])
        model.predict(X), model.score(X, Y)
    assert sum(counted.values()) == 0


def test_another_structure_is_another_program():
    fits(NETWORK, X, Y)
    changes = [{"activation": "relu"}, {"family": "gaussian"}, {"hidden": (3, 2)}, {"dtype": "float32"}, {"skip": True}]
    for change in changes:
        assert sum(fits(NETWORK, X, Y, **change).values()) == 1, change
        assert sum(fits(NETWORK, X, Y, **change).values()) == 0, change


def test_a_glm_compiles_nothing():
    assert sum(fits(RecursiveGLMRegressor(family="poisson"), X, Y).values()) == 0
