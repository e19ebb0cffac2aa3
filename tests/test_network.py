"""The recursion against plain NumPy loops, and the laws that it obeys."""

import numpy as np
import pytest
from network_cases import NAMES, X, make

from reglm import layers
from reglm.network import compose, multilayer

ACTIVATIONS = {
    "tanh": np.tanh,
    "relu": lambda a: np.maximum(a, 0.0),
    "logit": lambda a: 1.0 / (1.0 + np.exp(-a)),
    "identity": lambda a: a,
}


def by_hand(rows, p, hidden):
    """``eta`` (n, K), one unit of one row at a time."""
    found = []
    for x in rows:
        h = x
        for depth, activation in enumerate(hidden, start=1):
            W, b = p[f"hidden{depth}.W"], p[f"hidden{depth}.b"]
            h = [ACTIVATIONS[activation](sum(h[i] * W[i, j] for i in range(len(h))) + b[j]) for j in range(len(b))]
        W, b = p["output.W"], p["output.b"]
        skip = x @ p["skip.W"] if "skip.W" in p else np.zeros(len(b))
        found.append([sum(h[i] * W[i, k] for i in range(len(h))) + b[k] + skip[k] for k in range(len(b))])
    return np.array(found)


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("hidden", [(), ("tanh",), ("relu", "logit"), ("tanh", "identity", "relu")])
def test_the_recursion_is_the_loop_over_units(hidden, skip):
    net = multilayer(tuple(range(3, 3 + len(hidden))), hidden, 5, 2, skip=skip)
    lik, theta, data = make(net)
    expected = by_hand(X, lik.layout.views(theta), hidden)
    np.testing.assert_allclose(lik.eta(theta, X), expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(lik.eta(theta, X, data.offset), expected + data.offset, rtol=1e-12, atol=1e-14)


def test_without_hidden_layers_it_is_the_linear_predictor():
    lik, theta, _ = make(multilayer((), (), 5, 2, skip=True))
    p = lik.layout.views(theta)
    assert list(p) == ["output.W", "output.b"]  # a skip term would be the same columns twice
    np.testing.assert_allclose(lik.eta(theta, X), X @ p["output.W"] + p["output.b"], rtol=1e-13)


def test_the_skip_term_nests_the_linear_predictor():
    lik, theta, _ = make(multilayer((4,), ("tanh",), 5, 1, skip=True))
    p = lik.layout.views(theta)
    p["output.W"][...] = 0.0
    np.testing.assert_allclose(lik.eta(theta, X), X @ p["skip.W"] + p["output.b"], rtol=1e-13)


def test_categorical_columns_enter_network_and_skip_term():
    net = multilayer((3,), ("tanh",), 5, 2, skip=True, categorical=(3, 4), embedding_dim=2)
    lik, theta, _ = make(net)
    theta += 0.1 * np.random.default_rng(0).normal(size=len(theta))
    p = lik.layout.views(theta)
    one_hot = np.hstack([np.eye(3)[X[:, 3].astype(int)], np.eye(2)[X[:, 4].astype(int)]])
    E = p["input.embedding.E"]
    inputs = np.hstack([one_hot[:, :3] @ E[:3], one_hot[:, 3:] @ E[3:], X[:, :3]])
    h = np.tanh(inputs @ p["hidden1.W"] + p["hidden1.b"])
    linear = one_hot @ p["skip.embedding.E"] + X[:, :3] @ p["skip.numeric.linear.W"]
    expected = h @ p["output.W"] + p["output.b"] + linear
    np.testing.assert_allclose(lik.eta(theta, X), expected, rtol=1e-12)


@pytest.mark.parametrize("categorical", [(), (3, 4), (0, 1, 2, 3, 4)])
@pytest.mark.parametrize("activation", ["tanh", "maxout"])
def test_rescaled_columns_are_absorbed_by_the_weights_that_are_named(activation, categorical):
    x = np.abs(np.round(X)) if categorical else X
    net = multilayer((3,), (activation,), 5, 1, skip=True, categorical=categorical)
    lik, theta, _ = make(net, x=x)
    numeric = [j for j in range(5) if j not in categorical]
    center, scale = np.linspace(-1, 1, 5), np.linspace(0.5, 3.0, 5)
    z = x.copy()
    z[:, numeric] = ((x - center) / scale)[:, numeric]
    moved = theta.copy()
    views = lik.layout.views(moved)
    assert bool(lik.network.rescalings) == bool(numeric)
    for r in lik.network.rescalings:
        assert list(r.columns) == numeric
        W = views[r.weight][r.row : r.row + len(numeric)]
        views[r.bias] += center[numeric] @ W
        W *= scale[numeric, None]
    np.testing.assert_allclose(lik.eta(moved, z), lik.eta(theta, x), rtol=1e-10, atol=1e-12)


def test_biases_can_be_left_out():
    lik, theta, _ = make(multilayer((3,), ("tanh",), 5, 1, hidden_bias=False, output_bias=False))
    p = lik.layout.views(theta)
    assert list(p) == ["hidden1.W", "output.W"]
    np.testing.assert_allclose(lik.eta(theta, X), np.tanh(X @ p["hidden1.W"]) @ p["output.W"], rtol=1e-13)


def test_structure_names_what_is_compiled_and_not_its_sizes():
    def structure(units, activation="tanh", **options):
        return multilayer(units, (activation,) * len(units), 5, 1, **options).structure()

    assert structure((3,)) == structure((300,))
    variants = [
        structure((3,)),
        structure((3, 3)),
        structure((3,), "relu"),
        structure((3,), skip=True),
        structure((3,), dropout=0.1),
        structure((3,), hidden_bias=False),
        structure((3,), output_bias=False),
        structure((3,), categorical=(3,)),
    ]
    assert len(set(variants)) == len(variants)
    assert structure((3,), dropout=0.1) == structure((9,), dropout=0.5)


def test_dropout_stands_behind_each_hidden_layer():
    net = multilayer((3, 2), ("tanh", "tanh"), 5, 1, dropout=0.2)
    assert net.noise() == [3, 2]
    assert [type(layer).__name__ for layer in net.chain.layers] == ["Dense", "Dropout", "Dense", "Dropout", "Dense"]


def test_a_layer_may_be_the_skip_term():
    factor = layers.Embedding(("d",), 1, pool=True, alpha=2.0)
    lik, theta, _ = make(compose([layers.Dense(2, "tanh")], 5, 1, skip=factor))
    p = lik.layout.views(theta)
    p["skip.E"][:, 0] = [1.0, 2.0, 3.0]
    without = np.tanh(X @ p["layer1.W"] + p["layer1.b"]) @ p["output.W"] + p["output.b"]
    np.testing.assert_allclose(lik.eta(theta, X), without + X[:, 3:4] + 1.0, rtol=1e-12)


def test_columns_by_name_need_the_names():
    net = compose([layers.Select(("c", "a"))], 5, 1).resolve(X, NAMES)
    assert net.chain.layers[0].columns == (2, 0)
