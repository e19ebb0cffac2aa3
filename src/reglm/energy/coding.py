"""The two halves of an autoencoder: a network that predicts its own inputs through a narrow layer, the code."""

from __future__ import annotations

from collections.abc import Sequence

import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from reglm.compiling import evaluate
from reglm.layers import Activation, Corrupt, Dense, Layer, Scope, Sequential, Tied
from reglm.network import Network, Rescaling
from reglm.parameters import Array, Layout


def autoencoder(
    hidden: Sequence[int], activation: Sequence[str], width: int, *, tied: bool = False, noise: Corrupt | None = None
) -> Network:
    """Return a network from `width` columns through hidden layers back to as many linear predictors.

    Parameters
    ----------
    hidden : sequence of int
        Units of all hidden layers; the middle one is the code.
    activation : sequence of str
        One a hidden layer.
    width : int
    tied : bool
        The second half has the transposed weights of the first.
    noise : Corrupt, optional
        Spoils the inputs while training.
    """
    first: list[tuple[str, Layer]] = [] if noise is None else [("noise", noise)]
    if tied:
        half = len(hidden) // 2 + 1
        encoder = tuple(Dense(k, f) for k, f in zip(hidden[:half], activation[:half], strict=True))
        steps = [*(first or [("input", Activation("identity"))]), ("output", Tied(encoder))]
        names, layers = zip(*steps, strict=True)
        return Network(Sequential(layers, names), width)
    dense = [(f"hidden{i + 1}", Dense(k, f)) for i, (k, f) in enumerate(zip(hidden, activation, strict=True))]
    names, layers = zip(*first, *dense, ("output", Dense(width)), strict=True)
    scaled = () if first else (Rescaling("hidden1.W", "hidden1.b", 0, tuple(range(width))),)
    return Network(Sequential(layers, names), width, None, scaled)


def code_width(network: Network) -> int:
    """Units of the middle layer."""
    layers = network.chain.layers
    inner = layers[-1].layers if isinstance(layers[-1], Tied) else [x for x in layers[:-1] if isinstance(x, Dense)]
    layer = inner[-1] if isinstance(layers[-1], Tied) else inner[len(inner) // 2]
    assert isinstance(layer, Dense)
    return layer.units


def _chain(steps: Sequence[tuple[str, Layer]], h: TensorVariable, scope: Scope) -> TensorVariable:
    for name, layer in steps:
        h = layer.apply(h, scope.child(name))
    return h


def _half(network: Network, h: TensorVariable, scope: Scope, decode: bool) -> TensorVariable:
    """Code from inputs, or linear predictors from a code."""
    names = network.chain.names
    assert names is not None
    steps = list(zip(names, network.chain.layers, strict=True))
    last = steps[-1][1]
    if isinstance(last, Tied):
        inside = scope.child(names[-1])
        return last.decode(h, inside) if decode else last.encode(h, inside)
    dense = [step for step in steps if isinstance(step[1], Dense)]
    middle = len(dense) // 2
    return _chain(dense[middle:] if decode else dense[:middle], h, scope)


def half(network: Network, theta: Array, h: Array, *, decode: bool) -> Array:
    """Evaluate one half by NumPy.

    Parameters
    ----------
    network : Network
        As `autoencoder` makes them.
    theta : (P,) array
    h : (n, columns) array
        Inputs, or codes.
    decode : bool
        Whether it is the second half that is wanted.

    Returns
    -------
    (n, units) array
        Codes (n, units of the middle layer), or linear predictors (n, columns of X).
    """
    views = Layout(network.specs()).views(theta)
    symbols = {name: pt.tensor(name, dtype=str(v.dtype), shape=(None,) * v.ndim) for name, v in views.items()}
    rows = pt.matrix("h", dtype=str(theta.dtype))
    scope = Scope(symbols, {}, rows.shape[0], str(theta.dtype))
    given = {rows: h.astype(theta.dtype, copy=False)} | {symbols[name]: view for name, view in views.items()}
    return evaluate([_half(network, rows, scope, decode)], given)[0]
