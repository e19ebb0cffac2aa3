"""Independent blocks of columns, each with emissions of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from reglm.parameters import Array
from reglm.statespace.emissions.base import Emission, Parameters, Rows, Variable


@dataclass(frozen=True)
class Product(Emission):
    """Blocks of columns that are independent given the state; names of parameters begin with that of the block.

    Parameters
    ----------
    blocks : tuple of (str, tuple of int, Emission)
        Name, columns and emissions of each.
    """

    blocks: tuple[tuple[str, tuple[int, ...], Emission], ...]

    def _parts(self, parameters: Mapping[str, Variable], rows: Rows) -> Iterator[tuple[Emission, dict, Rows]]:
        for name, columns, emission in self.blocks:
            yield emission, own(parameters, name), rows._replace(y=np.ascontiguousarray(rows.y[:, list(columns)]))

    def _joined(self, found: Mapping[str, Mapping[str, Array]]) -> dict[str, Array]:
        return {f"{block}.{name}": v for block, part in found.items() for name, v in part.items()}

    def log_density(self, parameters: Parameters, rows: Rows) -> Array:
        """Sum over blocks."""
        return np.sum([emission.log_density(part, r) for emission, part, r in self._parts(parameters, rows)], axis=0)

    def maximise(self, parameters: Parameters | None, rows: Rows, gamma: Array) -> dict[str, Array]:
        """Block by block."""
        names = [name for name, *_ in self.blocks]
        parts = self._parts(parameters or {}, rows)
        return self._joined(
            {n: e.maximise(part or None, r, gamma) for n, (e, part, r) in zip(names, parts, strict=True)}
        )

    def log_prior(self, parameters: Parameters) -> float:
        """Sum over blocks."""
        return sum(emission.log_prior(own(parameters, name)) for name, _, emission in self.blocks)

    def size(self, parameters: Parameters) -> int:
        """Sum over blocks."""
        return sum(emission.size(own(parameters, name)) for name, _, emission in self.blocks)

    def simulate(self, rng: np.random.Generator, parameters: Parameters, states: Array, rows: Rows) -> Array:
        """Draw block by block."""
        out = np.empty((len(states), rows.y.shape[1]))
        for (_, columns, _), (emission, part, r) in zip(self.blocks, self._parts(parameters, rows), strict=True):
            out[:, list(columns)] = emission.simulate(rng, part, states, r)
        return out

    def cdf(self, parameters: Parameters, rows: Rows, y: Array) -> Array:
        """Block by block."""
        out = np.empty((len(y), self._states(parameters), y.shape[1]))
        for (_, columns, _), (emission, part, r) in zip(self.blocks, self._parts(parameters, rows), strict=True):
            out[:, :, list(columns)] = emission.cdf(part, r, y[:, list(columns)])
        return out

    def _states(self, parameters: Parameters) -> int:
        return len(next(iter(parameters.values())))

    def level(self, parameters: Parameters) -> Array:
        """That of the first block."""
        name, _, emission = self.blocks[0]
        return emission.level(own(parameters, name))

    def free(self, parameters: Parameters) -> dict[str, Array]:
        """Block by block."""
        return self._joined({name: emission.free(own(parameters, name)) for name, _, emission in self.blocks})

    def natural(self, free: Parameters) -> dict[str, Array]:
        """Block by block."""
        return self._joined({name: emission.natural(own(free, name)) for name, _, emission in self.blocks})

    def fixed(self, free: Parameters) -> dict[str, Array]:
        """Block by block."""
        return self._joined({name: emission.fixed(own(free, name)) for name, _, emission in self.blocks})

    def graph(self, free: Mapping[str, Variable], rows: Rows) -> Variable:
        """Sum over blocks."""
        return sum(emission.graph(part, r) for emission, part, r in self._parts(free, rows))

    def table(self, parameters: Parameters) -> dict[str, Array]:
        """Block by block."""
        return self._joined({name: emission.table(own(parameters, name)) for name, _, emission in self.blocks})


def own(parameters: Mapping[str, Variable], block: str) -> dict[str, Variable]:
    """Parameters of a block."""
    prefix = f"{block}."
    return {name.removeprefix(prefix): v for name, v in parameters.items() if name.startswith(prefix)}
