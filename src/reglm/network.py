"""The recursion: a generalized linear model whose predictor is another one's response.

``h_0 = X;  h_l = f_l(h_{l-1} W_l + b_l);  eta = h_L W + b (+ X S)``, where an activation f_l is an inverse
link and the optional skip term is the ordinary linear predictor, nested in the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pytensor.tensor.variable import TensorVariable

from reglm.layers import (
    Batch,
    Dense,
    Dropout,
    Embedding,
    Last,
    Layer,
    Parallel,
    Recurrent,
    Scope,
    Select,
    Sequential,
    inner_layers,
)
from reglm.layers.composite import prefixed
from reglm.parameters import Array, Layout, Spec, zeros


@dataclass(frozen=True)
class Rescaling:
    """Weights that multiply columns of X: what changes when the columns are standardised.

    Parameters
    ----------
    weight : str
        Full name of W.
    bias : str or None
        The bias that absorbs centring; None if there is none.
    row : int
        Row of W that belongs to the first of `columns`.
    columns : tuple of int
        Columns of X, in the order of the rows of W.
    """

    weight: str
    bias: str | None
    row: int
    columns: tuple[int, ...]


@dataclass(frozen=True)
class Network:
    """A chain of layers that ends in the linear predictor, and the skip term beside it.

    Parameters
    ----------
    chain : Sequential
    inputs : int
        Columns of X.
    skip : Layer or None
    rescalings : tuple of Rescaling
        Empty when the columns are to be taken as they come.
    """

    chain: Sequential
    inputs: int
    skip: Layer | None = None
    rescalings: tuple[Rescaling, ...] = field(default=())

    def specs(self) -> list[Spec]:
        """Trainable parameters: those of the chain, then those of the skip term."""
        skip = [] if self.skip is None else prefixed("skip", self.skip.specs(self.inputs))
        return self.chain.specs(self.inputs) + skip

    def layout(self) -> Layout:
        """Order of the parameters in ``theta``."""
        return Layout(self.specs())

    def outputs(self) -> int:
        """Number of linear predictors K."""
        return self.chain.width(self.inputs)

    def buffers(self) -> dict[str, Array]:
        """Arrays that are inputs of the graph but not trained."""
        skip = {} if self.skip is None else self.skip.buffers(self.inputs)
        return self.chain.buffers(self.inputs) | {f"skip.{key}": value for key, value in skip.items()}

    def noise(self) -> list[int]:
        """Widths of the uniform draws a row needs while training."""
        return self.chain.noise(self.inputs) + ([] if self.skip is None else self.skip.noise(self.inputs))

    @property
    def is_sequential(self) -> bool:
        """Whether rows act on later ones, so that they have to come as sequences."""
        return any(layer.sequential for layer in inner_layers(self.chain))

    @property
    def is_per_sequence(self) -> bool:
        """Whether there is one linear predictor for each sequence, not one for each row."""
        return any(isinstance(layer, Last) for layer in self.chain.layers)

    def states(self) -> list[int]:
        """Widths of the states that sequences carry along, in order of use."""
        recurrent = (layer for layer in inner_layers(self.chain) if isinstance(layer, Recurrent))
        return [layer.units for layer in recurrent for _ in layer.kind().states]

    def structure(self) -> tuple[Any, ...]:
        """Name the graph, sizes aside."""
        return (self.chain.structure(), None if self.skip is None else self.skip.structure())

    def resolve(self, X: Array, names: Sequence[str]) -> Network:
        """Let the data decide columns, levels and knots."""
        skip = None if self.skip is None else self.skip.resolve(X, names)
        chain = self.chain.resolve(X, names)
        assert isinstance(chain, Sequential)
        return replace(self, chain=chain, skip=skip)


def linear_predictor(network: Network, X: Batch, scope: Scope) -> TensorVariable:
    """``eta`` (n, K) for a batch.

    Parameters
    ----------
    network : Network
    X : variable (n, p) or SparseRows
    scope : Scope
        Parameters, buffers, training or evaluation; collects the taps.
    """
    eta = network.chain.apply(X, scope)
    return eta if network.skip is None else eta + network.skip.apply(X, scope.child("skip"))


def compose(
    layers: Sequence[Layer],
    inputs: int,
    outputs: int,
    *,
    skip: bool | Layer = False,
    output_bias: bool = True,
) -> Network:
    """Return a network from any composition of layers, closed by the output layer; `skip` may be a layer."""
    names = (*(f"layer{i + 1}" for i in range(len(layers))), "output")
    chain = Sequential((*layers, Dense(outputs, bias=output_bias)), names)
    term = skip if isinstance(skip, Layer) else Dense(outputs, bias=False, init=zeros) if skip else None
    return Network(chain, inputs, term)


def multilayer(
    hidden: Sequence[int],
    activation: Sequence[str],
    inputs: int,
    outputs: int,
    *,
    skip: bool = False,
    dropout: float = 0.0,
    hidden_bias: bool = True,
    output_bias: bool = True,
    categorical: Sequence[int] = (),
    embedding_dim: int = 2,
) -> Network:
    """Return a network of dense layers over the columns of X, categorical ones embedded.

    Parameters
    ----------
    hidden : sequence of int
        Units of each hidden layer; empty for a generalized linear model.
    activation : sequence of str
        One a hidden layer.
    inputs, outputs : int
        Columns of X, linear predictors.
    skip : bool
        Add the linear predictor of the inputs; embedded columns enter it by one effect a level.
    dropout : float
        Rate after each hidden layer.
    categorical : sequence of int
        Columns of level numbers to embed.
    embedding_dim : int
    """
    numeric = tuple(j for j in range(inputs) if j not in set(categorical))
    layers: list[Layer] = []
    names: list[str] = []
    if categorical:
        branches = (Embedding(tuple(categorical), embedding_dim), Select(numeric))
        layers.append(Parallel(branches, names=("embedding", "numeric")) if numeric else branches[0])
        names.append("input")
    for i, (units, f) in enumerate(zip(hidden, activation, strict=True)):
        layers.append(Dense(units, f, bias=hidden_bias))
        names.append(f"hidden{i + 1}")
        if dropout:
            layers.append(Dropout(dropout))
            names.append(f"dropout{i + 1}")
    layers.append(Dense(outputs, bias=output_bias))
    chain = Sequential(tuple(layers), (*names, "output"))
    first = "hidden1" if hidden else "output"
    first_bias = hidden_bias if hidden else output_bias
    row = embedding_dim * len(categorical)
    scaled = [Rescaling(f"{first}.W", f"{first}.b" if first_bias else None, row, numeric)]
    if skip and hidden:
        scaled.append(Rescaling(_skip_weight(categorical), "output.b" if output_bias else None, 0, numeric))
    maxout = hidden and activation[0] == "maxout"
    if maxout:
        scaled.append(Rescaling("hidden1.W2", "hidden1.b2" if hidden_bias else None, row, numeric))
    term = _skip_layer(categorical, numeric, outputs) if skip and hidden else None
    return Network(chain, inputs, term, tuple(scaled) if numeric else ())


def _skip_weight(categorical: Sequence[int]) -> str:
    return "skip.numeric.linear.W" if categorical else "skip.W"


def _skip_layer(categorical: Sequence[int], numeric: Sequence[int], outputs: int) -> Layer:
    """The linear predictor of the inputs, without its intercept."""
    linear = Dense(outputs, bias=False, init=zeros)
    if not categorical:
        return linear
    effects = Embedding(tuple(categorical), outputs, pool=True)
    if not numeric:
        return effects
    chosen = Sequential((Select(tuple(numeric)), linear), ("select", "linear"))
    return Parallel((effects, chosen), "sum", ("embedding", "numeric"))
