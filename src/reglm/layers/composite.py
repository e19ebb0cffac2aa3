"""Layers made of layers: in sequence, around an identity, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytensor.tensor.variable import TensorVariable

from reglm import ops
from reglm.layers.base import Layer
from reglm.layers.scope import Batch, Scope, SparseRows
from reglm.parameters import Array, Spec


def prefixed(name: str, specs: Sequence[Spec]) -> list[Spec]:
    """Put ``name.`` before the names of parameters."""
    return [replace(spec, name=f"{name}.{spec.name}") for spec in specs]


def default_names(layers: Sequence[Layer], stem: str = "layer") -> tuple[str, ...]:
    """``layer1``, ``layer2``, ..."""
    return tuple(f"{stem}{i + 1}" for i in range(len(layers)))


@dataclass(frozen=True)
class Sequential(Layer):
    """Layers one after the other.

    Parameters
    ----------
    layers : sequence of Layer
    names : sequence of str, optional
        Prefixes of the parameter names, one a layer; "layer1", "layer2", ... by default.
    """

    layers: Sequence[Layer]
    names: Sequence[str] | None = None

    def _steps(self, width: int) -> Iterator[tuple[str, Layer, int]]:
        """Name, layer and input width of each step."""
        for name, layer in zip(self.names or default_names(self.layers), self.layers, strict=True):
            yield name, layer, width
            width = layer.width(width)

    def resolve(self, X: Array | None, names: Sequence[str]) -> Layer:
        """Resolve each layer; only the first sees `X`."""
        seen = [layer.resolve(X if i == 0 else None, names) for i, layer in enumerate(self.layers)]
        return replace(self, layers=tuple(seen))

    def specs(self, width: int) -> list[Spec]:
        """Those of the layers, names prefixed."""
        return [spec for name, layer, w in self._steps(width) for spec in prefixed(name, layer.specs(w))]

    def width(self, width: int) -> int:
        """Width of the last layer."""
        for layer in self.layers:
            width = layer.width(width)
        return width

    def noise(self, width: int) -> list[int]:
        """Those of the layers in turn."""
        return [draws for _, layer, w in self._steps(width) for draws in layer.noise(w)]

    def buffers(self, width: int) -> dict[str, Array]:
        """Those of the layers, names prefixed."""
        return {f"{name}.{k}": v for name, layer, w in self._steps(width) for k, v in layer.buffers(w).items()}

    def structure(self) -> tuple[Any, ...]:
        """Names and structures of the layers."""
        return ("Sequential", *((name, layer.structure()) for name, layer, _ in self._steps(0)))

    def apply(self, h: Batch, scope: Scope) -> TensorVariable:
        """``h_l = f_l(h_{l-1})`` for each layer in turn."""
        for name, layer, _ in self._steps(0):
            h = layer.apply(h, scope.child(name))
        return h


@dataclass(frozen=True)
class Residual(Layer):
    """``h + layers(h)``: the identity nested in the layers (He et al. 2016).

    Parameters
    ----------
    layers : sequence of Layer
        Their output must be as wide as their input.
    """

    layers: Sequence[Layer]

    @property
    def _inner(self) -> Sequential:
        return Sequential(self.layers)

    def resolve(self, X: Array | None, names: Sequence[str]) -> Layer:
        """Resolve the layers, none of which may read columns of X."""
        return replace(self, layers=tuple(layer.resolve(None, names) for layer in self.layers))

    def specs(self, width: int) -> list[Spec]:
        """Those of the layers.

        Raises
        ------
        ValueError
            If the widths differ.
        """
        if self._inner.width(width) != width:
            raise ValueError(f"Residual needs equal widths, got {width} in and {self._inner.width(width)} out.")
        return self._inner.specs(width)

    def noise(self, width: int) -> list[int]:
        """Those of the layers."""
        return self._inner.noise(width)

    def buffers(self, width: int) -> dict[str, Array]:
        """Those of the layers."""
        return self._inner.buffers(width)

    def structure(self) -> tuple[Any, ...]:
        """Those of the layers, marked as residual."""
        return ("Residual", self._inner.structure())

    def apply(self, h: Batch, scope: Scope) -> TensorVariable:
        """``h + layers(h)``."""
        if isinstance(h, SparseRows):
            raise ValueError("Residual needs dense rows; put it after a Dense layer.")
        return h + self._inner.apply(h, scope)


@dataclass(frozen=True)
class Parallel(Layer):
    """Branches side by side over the same input, concatenated or added.

    Parameters
    ----------
    branches : sequence of Layer
    combine : {"concatenate", "sum"}
    names : sequence of str, optional
        "branch1", "branch2", ... by default.
    """

    branches: Sequence[Layer]
    combine: str = "concatenate"
    names: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.combine not in ("concatenate", "sum"):
            raise ValueError(f"combine={self.combine!r} must be 'concatenate' or 'sum'.")

    def _named(self) -> list[tuple[str, Layer]]:
        return list(zip(self.names or default_names(self.branches, "branch"), self.branches, strict=True))

    def resolve(self, X: Array | None, names: Sequence[str]) -> Layer:
        """Resolve each branch on the same `X`."""
        return replace(self, branches=tuple(branch.resolve(X, names) for branch in self.branches))

    def specs(self, width: int) -> list[Spec]:
        """Those of the branches, names prefixed."""
        return [spec for name, branch in self._named() for spec in prefixed(name, branch.specs(width))]

    def width(self, width: int) -> int:
        """Sum of the widths, or their common width.

        Raises
        ------
        ValueError
            If branches to be added differ in width.
        """
        widths = [branch.width(width) for branch in self.branches]
        if self.combine == "concatenate":
            return sum(widths)
        if len(set(widths)) != 1:
            raise ValueError(f"Parallel(combine='sum') needs branches of one width, got {widths}.")
        return widths[0]

    def noise(self, width: int) -> list[int]:
        """Those of the branches in turn."""
        return [draws for branch in self.branches for draws in branch.noise(width)]

    def buffers(self, width: int) -> dict[str, Array]:
        """Those of the branches, names prefixed."""
        return {f"{name}.{k}": v for name, branch in self._named() for k, v in branch.buffers(width).items()}

    def structure(self) -> tuple[Any, ...]:
        """Names and structures of the branches."""
        return ("Parallel", self.combine, *((name, branch.structure()) for name, branch in self._named()))

    def apply(self, h: Batch, scope: Scope) -> TensorVariable:
        """Apply every branch to `h` and combine."""
        outputs = [branch.apply(h, scope.child(name)) for name, branch in self._named()]
        if self.combine == "concatenate":
            return ops.beside(*outputs)
        return sum(outputs[1:], start=outputs[0])
