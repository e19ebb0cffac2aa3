"""One representative of all parameter vectors that describe the same function.

Units of a dense layer can be exchanged, and most activations allow for more (Sussmann 1992, Kurkova & Kainen
1994): an odd one changes the sign of all weights of a unit; ``1 - sigmoid(a) = sigmoid(-a)`` does so too and
moves a constant into the next bias; a rectifier trades the scale of the weights in for that of the weights
out. Here rectifiers and linear units get weights in of length one, units get weights out whose largest is
positive (weights in for even activations), and the units of a layer stand in descending order of the length of
their weights out. The linear predictor stays what it is. Chains that mix even with odd activations may keep
more than one form.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy import sparse

from reglm import links
from reglm.layers import Dense, Dropout
from reglm.network import Network
from reglm.parameters import Array, Layout

ODD = frozenset({"tanh", "identity", "inverse"})
MIRRORED = frozenset({"logit", "probit", "cauchit"})
"""Activations with ``f(-a) = 1 - f(a)``."""
EVEN = frozenset({"rbf", "sqrt"})
HOMOGENEOUS = frozenset({"relu", "leaky_relu", "identity"})
"""Activations with ``f(c a) = c f(a)`` for positive c."""


class Canonical(NamedTuple):
    """Representative of a parameter vector, and the derivative of the map that led to it."""

    theta: Array
    jacobian: sparse.csr_matrix


class HiddenLayer(NamedTuple):
    """A dense layer before another one: where the weights of its units are in theta.

    Attributes
    ----------
    name, activation, next : str
        `next` names the layer that takes the outputs.
    incoming : ndarray of int (M, units)
        Weights in, biases included.
    outgoing : ndarray of int (K, units)
        Weights out.
    biases : ndarray of int (K,) or None
        Biases of the next layer, one for each row of `outgoing`; None if it has none.
    lengths : ndarray of int (m, units)
        Weights in, without biases.
    """

    name: str
    activation: str
    next: str
    incoming: Array
    outgoing: Array
    biases: Array | None
    lengths: Array


def canonical(network: Network, theta: Array) -> Array:
    """Representative (P,) of all parameter vectors that symmetries of the hidden units lead to.

    Parameters
    ----------
    network : Network
        Layers other than dense ones in a chain are left alone, and so are dense ones before them.
    theta : ndarray (P,)
        May go on beyond the parameters of the network: shape parameters of the family stay as they are.
    """
    return canonical_map(network, theta).theta


def canonical_covariance(network: Network, theta: Array, covariance: Array) -> Array:
    """Covariance (P, P) of ``canonical(network, theta)``, by the delta method.

    Exact where the map is a signed permutation with a shift of biases: for all activations but those with a
    free scale, whose scale has a derivative of its own.

    Parameters
    ----------
    network : Network
    theta : ndarray (P,)
    covariance : ndarray (P, P)
        Of theta.
    """
    A = canonical_map(network, theta).jacobian
    return np.asarray(A @ (A @ covariance).T)


def canonical_map(network: Network, theta: Array) -> Canonical:
    """`canonical` with its derivative (P, P), sparse."""
    theta = np.array(theta, dtype=float)
    jacobian = sparse.identity(len(theta), format="csr")
    layers = list(hidden_layers(network))
    # scales from the input on; signs and order from the output back, as those of a layer show in the weights before
    steps = [(layer, _scaled) for layer in layers]
    steps += [(layer, step) for layer in reversed(layers) for step in (_signed, _sorted)]
    for layer, step in steps:
        theta, derivative = step(layer, theta)
        jacobian = derivative @ jacobian
    return Canonical(theta, sparse.csr_matrix(jacobian))


def hidden_layers(network: Network) -> Iterator[HiddenLayer]:
    """Yield dense layers whose units feed another dense layer alone; dropout between them does not count."""
    chain, layout = network.chain, network.layout()
    names = chain.names or tuple(f"layer{i + 1}" for i in range(len(chain.layers)))
    steps = [(n, layer) for n, layer in zip(names, chain.layers, strict=True) if not isinstance(layer, Dropout)]
    at = layout.views(np.arange(layout.size))
    for (name, layer), (after, following) in pairwise(steps):
        if isinstance(layer, Dense) and isinstance(following, Dense):
            parts = [at[key] for key in _own(layout, name)]
            lengths = np.concatenate([part for part in parts if part.ndim == 2])
            weights = np.concatenate([at[key].T for key in _own(layout, after) if at[key].ndim == 2])
            biases = [at[key] for key in _own(layout, after) if at[key].ndim == 1]
            yield HiddenLayer(
                name,
                links.get(layer.activation).name,
                after,
                np.concatenate([part.reshape(-1, layer.units) for part in parts]),
                weights,
                np.concatenate(biases) if biases else None,
                lengths,
            )


def _own(layout: Layout, name: str) -> list[str]:
    """Names of the parameters of a dense layer."""
    return [f"{name}.{kind}" for kind in ("W", "W2", "b", "b2") if f"{name}.{kind}" in layout.slices]


def _scaled(layer: HiddenLayer, theta: Array) -> Canonical:
    """Weights in of length one, where scale is free."""
    size = len(theta)
    length = np.linalg.norm(theta[layer.lengths], axis=0)
    free = layer.activation.split("(")[0] in HOMOGENEOUS and np.all(length > 0)
    if not free:
        return Canonical(theta, sparse.identity(size, format="csr"))
    factor = np.ones(size)
    factor[layer.incoming] = 1.0 / length
    factor[layer.outgoing] = length
    new = factor * theta
    A = sparse.lil_matrix(sparse.diags(factor))
    for j, r in enumerate(length):
        slope = np.zeros(size)  # of the new vector in the length of this unit's weights
        slope[layer.incoming[:, j]] = -new[layer.incoming[:, j]] / r
        slope[layer.outgoing[:, j]] = theta[layer.outgoing[:, j]]
        rows, columns = np.flatnonzero(slope), layer.lengths[:, j]
        A[np.ix_(rows, columns)] += np.outer(slope[rows], new[columns])
    return Canonical(new, sparse.csr_matrix(A))


def _signed(layer: HiddenLayer, theta: Array) -> Canonical:
    """Largest weight out positive; largest weight in, where the sign of what comes in does not matter."""
    sign = np.ones(len(theta))
    even, mirrored = layer.activation in EVEN, layer.activation in MIRRORED and layer.biases is not None
    A = sparse.identity(len(theta), format="lil")
    if even or mirrored or layer.activation in ODD:
        weights = theta[layer.incoming if even else layer.outgoing]
        largest = np.take_along_axis(weights, np.abs(weights).argmax(axis=0)[None], axis=0)[0]
        flipped = np.flatnonzero(largest < 0)
        sign[layer.incoming[:, flipped]] = -1.0
        sign[layer.outgoing[:, flipped]] = 1.0 if even else -1.0
        A.setdiag(sign)
        if mirrored and layer.biases is not None:
            for j in flipped:
                A[layer.biases, layer.outgoing[:, j]] = 1.0
    A = sparse.csr_matrix(A)
    return Canonical(A @ theta, A)


def _sorted(layer: HiddenLayer, theta: Array) -> Canonical:
    """Put units in descending order of the length of their weights out, then of their weights in."""
    lengths = [np.linalg.norm(theta[part], axis=0) for part in (layer.lengths, layer.outgoing)]
    order = np.lexsort([-length for length in lengths])
    source = np.arange(len(theta))
    source[layer.incoming] = layer.incoming[:, order]
    source[layer.outgoing] = layer.outgoing[:, order]
    A = sparse.identity(len(theta), format="csr")[source]
    return Canonical(theta[source], A)
