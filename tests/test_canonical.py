"""Symmetric images of a network have one canonical form, which leaves the linear predictor what it is."""

import numpy as np
import pytest
from network_cases import NAMES, ROWS, X, differences, make

from reglm.inference.canonical import canonical, canonical_covariance, canonical_map, hidden_layers
from reglm.layers import Dense, Dropout, Embedding
from reglm.network import compose, multilayer

ACTIVATIONS = [
    "tanh",
    "sigmoid",
    "probit",
    "cauchit",
    "relu",
    "leaky_relu(0.2)",
    "identity",
    "rbf",
    "maxout",
    "softplus",
]
MIRRORED = {"sigmoid", "probit", "cauchit"}
FREE_SCALE = {"relu", "leaky_relu(0.2)", "identity"}


def case(activation, depth=1, outputs=1, **options):
    network = multilayer([3, 4][:depth], [activation] * depth, X.shape[1], outputs, **options)
    return make(network)


def image(network, theta, rng, activation):
    """A symmetric image of theta: units exchanged, flipped and rescaled at random, written out by hand."""
    theta = theta.copy()
    for layer in hidden_layers(network):
        units = layer.incoming.shape[1]
        flip = np.where(rng.random(units) < 0.5, -1.0, 1.0)
        scale = rng.uniform(0.5, 2.0, units)
        if activation in MIRRORED:
            theta[layer.biases] += theta[layer.outgoing][:, flip < 0].sum(axis=1)
        if activation in FREE_SCALE:
            theta[layer.incoming] *= scale
            theta[layer.outgoing] /= scale
        if activation in MIRRORED | {"tanh", "identity", "rbf"}:
            theta[layer.incoming] *= flip
            theta[layer.outgoing] *= 1.0 if activation == "rbf" else flip
        order = rng.permutation(units)
        theta[layer.incoming] = theta[layer.incoming][:, order]
        theta[layer.outgoing] = theta[layer.outgoing][:, order]
    return theta


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_images_coincide_and_eta_stays(activation, depth):
    likelihood, theta, data = case(activation, depth, outputs=2)
    theta += 0.3 * np.random.default_rng(5).normal(size=len(theta))
    other = image(likelihood.network, theta, np.random.default_rng(6), activation)
    eta = likelihood.eta(theta, data.X)
    np.testing.assert_allclose(likelihood.eta(other, data.X), eta, rtol=0, atol=1e-12)
    form = canonical(likelihood.network, theta)
    assert np.abs(form - theta).max() > 1e-3
    np.testing.assert_allclose(likelihood.eta(form, data.X), eta, rtol=0, atol=1e-12)
    np.testing.assert_allclose(canonical(likelihood.network, other), form, rtol=0, atol=1e-12)
    np.testing.assert_allclose(canonical(likelihood.network, form), form, rtol=0, atol=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_derivative_is_that_of_finite_differences(activation):
    likelihood, theta, _ = case(activation, 2)
    found = canonical_map(likelihood.network, theta).jacobian.toarray()
    np.testing.assert_allclose(found, differences(lambda t: canonical(likelihood.network, t), theta), atol=1e-8)
    V = np.cov(np.random.default_rng(0).normal(size=(len(theta), 200)))
    np.testing.assert_allclose(canonical_covariance(likelihood.network, theta, V), found @ V @ found.T, atol=1e-12)


def test_the_map_of_tanh_is_a_signed_permutation():
    likelihood, theta, _ = case("tanh")
    A = canonical_map(likelihood.network, theta).jacobian.toarray()
    assert set(np.unique(A)) <= {-1.0, 0.0, 1.0}
    np.testing.assert_array_equal(np.abs(A).sum(axis=0), 1.0)
    np.testing.assert_array_equal(np.abs(A).sum(axis=1), 1.0)


def test_layers_it_does_not_know_are_left_alone():
    network = compose([Embedding(("d", "e"), 2), Dense(3, "tanh")], X.shape[1], 1)
    likelihood, theta, data = make(network)
    form = canonical(likelihood.network, theta)
    at = likelihood.layout.slices
    np.testing.assert_array_equal(form[at["layer1.E"]], theta[at["layer1.E"]])
    np.testing.assert_allclose(likelihood.eta(form, data.X), likelihood.eta(theta, data.X), atol=1e-12)
    assert np.all(likelihood.layout.views(form)["output.W"] >= 0)


def test_dropout_and_missing_biases():
    network = compose([Dense(3, "sigmoid"), Dropout(0.1)], X.shape[1], 1, output_bias=False)
    likelihood, theta, data = make(network)
    form = canonical(likelihood.network, theta)
    np.testing.assert_allclose(likelihood.eta(form, data.X), likelihood.eta(theta, data.X), atol=1e-12)
    assert len(list(hidden_layers(likelihood.network))) == 1
    assert (ROWS, len(NAMES)) == X.shape


def test_linear_predictors_have_nothing_to_arrange():
    likelihood, theta, _ = make(multilayer([], [], X.shape[1], 2))
    np.testing.assert_array_equal(canonical(likelihood.network, theta), theta)
