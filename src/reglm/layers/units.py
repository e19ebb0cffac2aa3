"""Layers of units: dense, radial, dropout, batch normalisation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from reglm import links, ops
from reglm.layers.base import Layer, check_count
from reglm.layers.scope import Batch, Scope, SparseRows
from reglm.parameters import Array, Spec, constant, initialiser, normal, ones

RECTIFIERS = frozenset({"relu", "leaky_relu", "elu", "gelu", "softplus"})


@dataclass(frozen=True)
class Dense(Layer):
    """Affine map and inverse link, ``f(h W + b)``: each unit is a generalized linear model.

    Parameters
    ----------
    units : int
    activation : str
        Name of a link or activation.
    bias : bool
    init : str or callable
        Start of W; "auto" is He for rectifiers, Glorot otherwise.
    bias_init : str or callable
        Start of b.
    """

    units: int
    activation: str = "identity"
    bias: bool = True
    init: str | Callable[..., Array] = "auto"
    bias_init: str | Callable[..., Array] = "zeros"

    def __post_init__(self) -> None:
        check_count("units", self.units)
        links.get(self.activation)

    @property
    def _suffixes(self) -> tuple[str, ...]:
        """One affine map a unit, two for maxout (Goodfellow et al. 2013)."""
        return ("", "2") if self.activation == "maxout" else ("",)

    def specs(self, width: int) -> list[Spec]:
        """Weights ``W`` (width, units) and biases ``b`` (units,)."""
        automatic = "he" if self.activation in RECTIFIERS else "glorot"
        init = initialiser(automatic if self.init == "auto" else self.init)
        found = []
        for suffix in self._suffixes:
            found.append(Spec(f"W{suffix}", (width, self.units), init, penalised=True))
            if self.bias:
                found.append(Spec(f"b{suffix}", (self.units,), initialiser(self.bias_init)))
        return found

    def width(self, width: int) -> int:
        """Number of units."""
        return self.units

    def structure(self) -> tuple[Any, ...]:
        """Activation, and whether there is a bias."""
        return ("Dense", links.get(self.activation).name, self.bias)

    def apply(self, h: Batch, scope: Scope) -> TensorVariable:
        """``f(h W + b)``; the larger of two affine maps for maxout."""
        maps = [scope.affine(h, f"W{s}", f"b{s}" if self.bias else None) for s in self._suffixes]
        return pt.maximum(*maps) if len(maps) == 2 else links.get(self.activation).inverse(maps[0])


@dataclass(frozen=True)
class Activation(Layer):
    """An inverse link on its own, elementwise.

    Parameters
    ----------
    name : str
    """

    name: str

    def __post_init__(self) -> None:
        if not links.get(self.name).elementwise:
            raise ValueError(f"Activation(name={self.name!r}) is not elementwise; use Dense(units, {self.name!r}).")

    def structure(self) -> tuple[Any, ...]:
        """Name the activation."""
        return ("Activation", links.get(self.name).name)

    def apply(self, h: Batch, scope: Scope) -> TensorVariable:
        """``f(h)``."""
        return links.get(self.name).inverse(h)


@dataclass(frozen=True)
class RBF(Layer):
    """Radial units ``exp(-s_k ||h - c_k||^2)`` with learned centres and log-scales (Broomhead & Lowe 1988).

    Parameters
    ----------
    units : int
    """

    units: int

    def __post_init__(self) -> None:
        check_count("units", self.units)

    def specs(self, width: int) -> list[Spec]:
        """Centres ``c`` (1, width, units), drawn standard normal, and ``log_scale`` (1, units)."""
        return [
            Spec("c", (1, width, self.units), normal(1.0)),
            Spec("log_scale", (1, self.units), constant(-np.log(2.0 * width))),
        ]

    def width(self, width: int) -> int:
        """Number of units."""
        return self.units

    def apply(self, h: Batch, scope: Scope) -> TensorVariable:
        """Gaussian bump around each centre."""
        if isinstance(h, SparseRows):
            raise ValueError("RBF units need dense rows; pass X.toarray().")
        distance = ((h[:, :, None] - scope.shared("c")) ** 2).sum(axis=1)
        return ops.exp(-ops.exp(scope.shared("log_scale")) * distance)


@dataclass(frozen=True)
class Dropout(Layer):
    """While training, zero a unit with probability `rate` and scale the others up (Srivastava et al. 2014).

    Parameters
    ----------
    rate : float
        In [0, 1).
    """

    rate: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.rate < 1.0:
            raise ValueError(f"dropout={self.rate!r} must be in [0, 1).")

    def noise(self, width: int) -> list[int]:
        """One uniform draw a unit."""
        return [width]

    def buffers(self, width: int) -> dict[str, Array]:
        """The rate, an input of the graph so that changing it compiles nothing."""
        return {"rate": np.array(self.rate)}

    def apply(self, h: Batch, scope: Scope) -> TensorVariable:
        """Identity outside training."""
        if not scope.training or isinstance(h, SparseRows):
            return h
        keep = 1.0 - scope.buffer("rate")
        return pt.switch(scope.uniform() < keep, h / keep, 0)


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Standardise each unit over the batch, then scale and shift it (Ioffe & Szegedy 2015).

    Outside training the moments of the whole training set stand in for those of the batch, so that the
    output for a row depends on that row only.

    Parameters
    ----------
    epsilon : float
        Added to the variance.
    """

    epsilon: float = 1e-5

    def specs(self, width: int) -> list[Spec]:
        """``scale`` and ``shift``, both (1, width)."""
        return [Spec("scale", (1, width), ones), Spec("shift", (1, width))]

    def buffers(self, width: int) -> dict[str, Array]:
        """Moments, to be replaced by those of the training set."""
        return {
            "mean": np.zeros((1, width)),
            "variance": np.ones((1, width)),
            "epsilon": np.array(self.epsilon),
        }

    def apply(self, h: Batch, scope: Scope) -> TensorVariable:
        """``scale (h - mean) / sd + shift``."""
        if isinstance(h, SparseRows):
            raise ValueError("BatchNorm needs dense rows; put it after a Dense layer.")
        if scope.training:
            mean = h.mean(axis=0, keepdims=True)
            variance = ((h - mean) ** 2).mean(axis=0, keepdims=True)
            scope.record("mean", mean)
            scope.record("variance", variance)
        else:
            mean, variance = scope.buffer("mean"), scope.buffer("variance")
        z = (h - mean) / pt.sqrt(variance + scope.buffer("epsilon"))
        return z * scope.shared("scale") + scope.shared("shift")
