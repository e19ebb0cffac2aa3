"""Named parameters: views that share memory with theta, and initialisers with the variances they promise."""

import pickle

import numpy as np
import pytest

from reglm.parameters import INITIALISERS, Layout, Spec, constant, initialiser, normal, phases

SPECS = [
    Spec("W", (3, 2), INITIALISERS["glorot"], penalised=True),
    Spec("b", (2,)),
    Spec("E", (4, 1), INITIALISERS["ones"], penalised=True, alpha=7.0),
    Spec("phi", (), constant(2.5)),
]


@pytest.fixture
def layout():
    return Layout(SPECS)


def test_views_share_memory_with_theta(layout):
    theta = np.arange(13.0)
    assert layout.size == 13
    views = layout.views(theta)
    assert list(views) == ["W", "b", "E", "phi"]
    assert all(np.shares_memory(view, theta) for view in views.values())
    views["b"][1] = -1.0
    views["phi"][...] = 5.0
    assert (theta[7], theta[12]) == (-1.0, 5.0)
    np.testing.assert_array_equal(views["W"], [[0, 1], [2, 3], [4, 5]])


def test_pack_undoes_views(layout):
    theta = np.random.default_rng(0).normal(size=13)
    np.testing.assert_array_equal(layout.pack(layout.views(theta)), theta)
    assert layout.pack(layout.views(theta), "float32").dtype == np.float32


def test_penalties_reach_weights_only_and_an_array_may_have_its_own(layout):
    np.testing.assert_array_equal(layout.penalised(), [1] * 6 + [0] * 2 + [1] * 4 + [0])
    np.testing.assert_array_equal(layout.penalties(0.5), [0.5] * 6 + [0] * 2 + [7.0] * 4 + [0])


def test_labels_count_the_entries(layout):
    labels = layout.labels()
    assert len(labels) == len(set(labels)) == layout.size
    assert labels[:2] == ["W[0, 0]", "W[0, 1]"]
    assert labels[-1] == "phi"


def test_the_same_seed_gives_the_same_start(layout):
    first, second = (layout.start(np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert layout.views(first)["phi"] == 2.5


def test_an_empty_layout():
    assert Layout([]).size == 0
    assert Layout([]).views(np.zeros(0)) == {}


def test_names_must_be_unique():
    with pytest.raises(ValueError, match="must be unique"):
        Layout([Spec("W", (1,)), Spec("W", (2,))])


@pytest.mark.parametrize("name", INITIALISERS)
def test_initialisers_fill_the_shape_and_pickle(name):
    start = pickle.loads(pickle.dumps(initialiser(name)))
    for shape in [(3, 5), (5, 3), (4,)] if name not in ("orthogonal", "identity") else [(3, 5), (5, 3)]:
        assert start(np.random.default_rng(0), shape).shape == shape


def test_spreads():
    rng = np.random.default_rng(0)
    draws = {name: INITIALISERS[name](rng, (200, 300)) for name in ("glorot", "he")}
    assert np.var(draws["glorot"]) == pytest.approx(2 / 500, rel=0.02)
    assert np.abs(draws["glorot"]).max() <= np.sqrt(6 / 500)
    assert np.var(draws["he"]) == pytest.approx(2 / 200, rel=0.02)
    assert np.std(normal(0.3)(rng, (100, 100))) == pytest.approx(0.3, rel=0.03)
    assert 0 <= phases(rng, (1000,)).min() < 0.1 < 6.2 < phases(rng, (1000,)).max() < 2 * np.pi


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4)])
def test_orthogonal_rows_or_columns(shape):
    Q = INITIALISERS["orthogonal"](np.random.default_rng(0), shape)
    gram = Q.T @ Q if shape[0] >= shape[1] else Q @ Q.T
    np.testing.assert_allclose(gram, np.eye(min(shape)), atol=1e-14)


def test_specs_pickle():
    for spec in SPECS:
        again = pickle.loads(pickle.dumps(spec))
        assert again == spec
        rng = [np.random.default_rng(1) for _ in range(2)]
        np.testing.assert_array_equal(again.init(rng[0], spec.shape), spec.init(rng[1], spec.shape))


def test_an_unknown_initialiser_names_the_known_ones():
    with pytest.raises(ValueError, match=r"init='xavier' is not known; choose one of \['glorot'"):
        initialiser("xavier")
