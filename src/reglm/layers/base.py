"""The interface of a layer, and layers as JSON.

A layer declares its trainable `Spec` records, says how wide its output is and applies itself to a batch of
rows at shared positions. Layers are frozen dataclasses: their fields are their constructor arguments.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from pytensor.tensor.variable import TensorVariable

from reglm.layers.scope import Batch, Scope
from reglm.parameters import Array, Spec


@dataclass(frozen=True)
class Layer(ABC):
    """What every layer offers."""

    registry: ClassVar[dict[str, type[Layer]]] = {}
    sequential: ClassVar[bool] = False
    """Whether the rows have to be those of sequences (`reglm.layers.PackedRows`)."""

    def __init_subclass__(cls) -> None:
        Layer.registry[cls.__name__] = cls

    def resolve(self, X: Array | None, names: Sequence[str]) -> Layer:
        """Fill in what the data decide (columns, levels, knots); `X` (n, p) for layers that stand first."""
        return self

    def specs(self, width: int) -> list[Spec]:
        """Trainable parameters, given the width of the input."""
        return []

    def width(self, width: int) -> int:
        """Width of the output, given the width of the input."""
        return width

    def noise(self, width: int) -> list[int]:
        """Widths of the uniform draws a row needs while training, in order of use."""
        return []

    def buffers(self, width: int) -> dict[str, Array]:
        """Arrays that are inputs of the graph but not trained: numbers, vectors, or rows (1, k)."""
        return {}

    def structure(self) -> tuple[Any, ...]:
        """Name the graph: layers with equal structure differ in sizes and values only."""
        return (type(self).__name__,)

    @abstractmethod
    def apply(self, h: Batch, scope: Scope) -> TensorVariable:
        """Map a batch (n, width) to (n, width')."""

    def config(self) -> dict[str, Any]:
        """Constructor arguments as JSON."""
        arguments = {f.name: plain(getattr(self, f.name)) for f in fields(self)}
        return {"layer": type(self).__name__} | arguments


def inner_layers(layer: Layer) -> Iterator[Layer]:
    """Yield a layer and all those inside it."""
    yield layer
    for part in (*getattr(layer, "layers", ()), *getattr(layer, "branches", ())):
        yield from inner_layers(part)


def plain(value: Any) -> Any:
    """JSON form of a constructor argument."""
    if isinstance(value, Layer):
        return value.config()
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value.item() if isinstance(value, np.generic) else value


def from_config(config: Any) -> Any:
    """Rebuild a layer, or a tuple of them, from `Layer.config`.

    Raises
    ------
    ValueError
        If the name of a layer is unknown.
    """
    if isinstance(config, list):
        return tuple(from_config(item) for item in config)
    if not (isinstance(config, dict) and "layer" in config):
        return config
    name = config["layer"]
    if name not in Layer.registry:
        raise ValueError(f"layer {name!r} is not known; the known ones are {sorted(Layer.registry)}.")
    return Layer.registry[name](**{key: from_config(value) for key, value in config.items() if key != "layer"})


def check_count(name: str, value: int) -> None:
    """Raise ValueError unless `value` is a positive integer."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name}={value!r} must be a positive integer.")
