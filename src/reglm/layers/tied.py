"""Layers of autoencoders: corrupted inputs, and a way back through the weights of the way there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from reglm import links
from reglm.layers.base import Layer
from reglm.layers.composite import Sequential
from reglm.layers.scope import Batch, Scope, SparseRows
from reglm.layers.units import Dense
from reglm.parameters import Array, Spec

NOISES = ("mask", "gaussian")


@dataclass(frozen=True)
class Corrupt(Layer):
    """While training, spoil the inputs: the task of a denoising autoencoder (Vincent et al. 2010).

    Parameters
    ----------
    kind : {"mask", "gaussian"}
        Set a share of the entries to 0, or add normal noise.
    rate : float
        That share, or the standard deviation.
    """

    kind: str = "mask"
    rate: float = 0.3

    def __post_init__(self) -> None:
        if self.kind not in NOISES:
            raise ValueError(f"noise={self.kind!r} is not known; choose one of {NOISES}, or None.")
        if not 0.0 <= self.rate < (1.0 if self.kind == "mask" else np.inf):
            raise ValueError(f"noise_level={self.rate!r} must be at least 0, and below 1 for a mask.")

    def noise(self, width: int) -> list[int]:
        """One uniform draw an entry; two where they become a normal one."""
        return [width] if self.kind == "mask" else [width, width]

    def buffers(self, width: int) -> dict[str, Array]:
        """The rate, an input of the graph so that changing it compiles nothing."""
        return {"rate": np.array(self.rate)}

    def structure(self) -> tuple[Any, ...]:
        """Kind of the noise."""
        return ("Corrupt", self.kind)

    def apply(self, h: Batch, scope: Scope) -> TensorVariable:
        """Identity outside training."""
        if isinstance(h, SparseRows):
            raise ValueError("Corrupt needs dense rows; pass X.toarray().")
        if not scope.training:
            return h
        rate = scope.buffer("rate")
        if self.kind == "mask":
            return pt.switch(scope.uniform() < 1.0 - rate, h, 0)
        # Box & Muller (1958); uniform draws may be 0, never 1
        radius = pt.sqrt(-2.0 * pt.log(1.0 - scope.uniform()))
        return h + rate * pt.cast(radius * pt.cos(2.0 * np.pi * scope.uniform()), h.dtype)


@dataclass(frozen=True)
class Tied(Layer):
    """Dense layers, and back through their transposed weights to the width of the input.

    Parameters
    ----------
    layers : sequence of Dense
        The encoder. On the way back each layer has the activation of the one whose input it restores; the last has
        none.
    """

    layers: Sequence[Dense]

    def __post_init__(self) -> None:
        for layer in self.layers:
            if not isinstance(layer, Dense) or layer.activation == "maxout":
                raise ValueError(f"Tied needs dense layers with one affine map each, got {layer!r}.")

    @property
    def _inner(self) -> Sequential:
        return Sequential(self.layers)

    def _back(self) -> list[tuple[str, str, str]]:
        """Weight, bias and activation of each step back."""
        activations = ["identity", *(layer.activation for layer in self.layers[:-1])]
        return [(f"layer{i + 1}.W", f"b{i}" if i else "b", f) for i, f in enumerate(activations)][::-1]

    def specs(self, width: int) -> list[Spec]:
        """Those of the layers, and biases of the way back; "b" is the last."""
        widths = [width, *(layer.units for layer in self.layers[:-1])]
        biases = {"b" if i == 0 else f"b{i}": k for i, k in enumerate(widths)}
        return self._inner.specs(width) + [Spec(bias, (biases[bias],)) for _, bias, _ in self._back()]

    def structure(self) -> tuple[Any, ...]:
        """Those of the layers."""
        return ("Tied", self._inner.structure())

    def encode(self, h: Batch, scope: Scope) -> TensorVariable:
        """Apply the layers: the code (n, units of the last layer)."""
        return self._inner.apply(h, scope)

    def decode(self, code: TensorVariable, scope: Scope) -> TensorVariable:
        """Take the way back (n, width)."""
        for weight, bias, activation in self._back():
            code = links.get(activation).inverse(scope.transposed(code, weight, bias))
        return code

    def apply(self, h: Batch, scope: Scope) -> TensorVariable:
        """Code and back."""
        if isinstance(h, SparseRows):
            raise ValueError("Tied needs dense rows; pass X.toarray().")
        return self.decode(self.encode(h, scope), scope)
