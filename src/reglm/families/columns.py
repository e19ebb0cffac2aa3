"""Independent columns of several families, some entries of which may be unobserved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytensor.tensor as pt

from reglm import ops
from reglm.compiling import evaluate
from reglm.families.base import Family, Number
from reglm.families.exponential import Gaussian, Poisson
from reglm.families.mean import SATURATED, Mean
from reglm.links import Link
from reglm.links.record import REAL, Variable
from reglm.parameters import Array, Spec, constant

PHI = "log_dispersion"
"""Shape parameter of a part whose own dispersion is estimated."""


class Part(NamedTuple):
    """One family of several, its link and the columns that are its own."""

    number: int
    family: Family
    link: Link
    y: slice
    eta: slice
    location: slice

    def prefixed(self, name: str) -> str:
        """Name of a shape parameter among those of all parts."""
        return f"part{self.number + 1}_{name}"

    def shape(self, shape: Mapping[str, Any]) -> dict[str, Any]:
        """Shape parameters of the family by its own names."""
        start = self.prefixed("")
        own = {name.removeprefix(start): value for name, value in shape.items() if name.startswith(start)}
        return {name: value for name, value in own.items() if name != PHI}

    def phi(self, shape: Mapping[str, Any], exp: Callable[[Any], Any]) -> Any:
        """Dispersion: 1 unless it is estimated."""
        return exp(shape[self.prefixed(PHI)]) if self.prefixed(PHI) in shape else 1.0


@dataclass(frozen=True)
class Columns(Family):
    """Columns that are independent given their linear predictors, each part of them of its own family.

    The link is the identity: eta holds the linear predictors of the parts, each under a link of its own. Dispersions
    that a part would have estimated afterwards are shape parameters, estimated along by maximum likelihood.

    Parameters
    ----------
    parts : sequence of Family
    widths : sequence of int, optional
        Columns of y of each part; 1 each by default.
    part_links : sequence of str, optional
        Link of each part; the families' default ones if None.
    gaps : bool
        Whether y has a further column for each column, 1 where it is observed and 0 where it is not; what y then holds
        there is of no consequence.
    """

    parts: tuple[Family, ...] = (Gaussian(), Poisson())
    widths: tuple[int, ...] | None = None
    part_links: tuple[str | None, ...] | None = None
    gaps: bool = False

    name = "columns"
    domain = support = REAL
    links = ("identity",)
    default_link = "identity"
    remedy = "Give the columns of each part in turn."

    def __post_init__(self) -> None:
        from reglm.families import from_dict, get

        parts = tuple(from_dict(part) if isinstance(part, Mapping) else get(part) for part in self.parts)
        widths = (1,) * len(parts) if self.widths is None else tuple(int(width) for width in self.widths)
        names = (None,) * len(parts) if self.part_links is None else tuple(self.part_links)
        if not parts or not len(parts) == len(widths) == len(names) or min(widths) < 1:
            raise ValueError(f"widths={self.widths!r} and part_links={self.part_links!r} must suit {len(parts)} parts.")
        for key, value in (("parts", parts), ("widths", widths), ("part_links", names)):
            object.__setattr__(self, key, value)

    def _parts(self) -> Iterator[Part]:
        """Parts with their columns."""
        y = eta = location = 0
        assert self.widths is not None
        assert self.part_links is not None
        for i, (family, width, name) in enumerate(zip(self.parts, self.widths, self.part_links, strict=True)):
            K = family.outputs(np.empty((1, width)))
            wide = width if family.name in ("multinomial", "ordinal") else K
            link = family.resolve_link(name)
            yield Part(i, family, link, slice(y, y + width), slice(eta, eta + K), slice(location, location + wide))
            y, eta, location = y + width, eta + K, location + wide

    @property
    def likelihood(self) -> bool:  # type: ignore[override]  # as all its parts
        """Whether every part has a density."""
        return all(part.likelihood for part in self.parts)

    # -- log-density ----------------------------------------------------------------------------------

    def _sum(self, y: Variable, of: Callable[[Part, Variable], Variable]) -> Variable:
        """Add up what the parts give (n, k) over the observed entries, (n, 1)."""
        total: Any = 0
        for part in self._parts():
            found = of(part, _chosen(y, part.y))
            if self.gaps:
                seen = _chosen(y, slice(part.y.start + self._width, part.y.stop + self._width))
                found = found * (
                    seen if found.type.shape[1] != 1 and part.family.outputs(_blank(part)) > 1 else seen[:, :1]
                )
            total = total + found.sum(axis=1, keepdims=True)
        return total

    @property
    def _width(self) -> int:
        """Columns of y, indicators aside."""
        assert self.widths is not None
        return sum(self.widths)

    def _density(self, part: Part, kernel: Variable, y: Variable, shape: Mapping[str, Any]) -> Variable:
        """Complete the kernel of a part by what its estimated dispersion enters."""
        if part.prefixed(PHI) not in shape:
            return kernel
        phi = part.phi(shape, ops.exp)
        return kernel / phi + part.family.base(y, phi)

    def kernel(self, y: Variable, mean: Mean, **shape: Any) -> Variable:
        """Sum of the parts' kernels, (n, 1)."""

        def of(part: Part, own: Variable) -> Variable:
            return self._density(part, part.family.kernel(own, _own_mean(part, mean), **part.shape(shape)), own, shape)

        return self._sum(y, of)

    def saturated(self, y: Variable, **shape: Any) -> Variable:
        """Sum of the parts' saturated kernels, (n, 1)."""

        def of(part: Part, own: Variable) -> Variable:
            return self._density(part, part.family.saturated(own, **part.shape(shape)), own, shape)

        return self._sum(y, of)

    def base(self, y: Variable, phi: Variable) -> Variable:
        """Sum of the bases of the parts whose dispersion is fixed, (n, 1)."""

        def of(part: Part, own: Variable) -> Variable:
            fixed = part.family.dispersion == "fixed"
            return part.family.base(own, 1.0) if fixed else pt.zeros_like(own)

        return self._sum(y, of)

    def information(self, y: Variable, mean: Mean, **shape: Any) -> None:
        """Return None: the parts' dispersions are estimated along, from the observed information."""

    def curvature(self, y: Variable, mean: Mean, **shape: Any) -> Variable:
        """Observed information about eta, (n, K), or (n, K, K) where a part couples its columns."""
        blocks = []
        for part in self._parts():
            own = _chosen(y, part.y)
            found = part.family.curvature(own, _own_mean(part, mean), **part.shape(shape)) / part.phi(shape, ops.exp)
            if self.gaps:
                seen = _chosen(y, slice(part.y.start + self._width, part.y.stop + self._width))
                coupled = found.ndim == 3
                found = found * (seen[:, :1, None] if coupled else seen[:, : part.eta.stop - part.eta.start])
            blocks.append(found)
        if all(block.ndim == 2 for block in blocks):
            return pt.concatenate(blocks, axis=1)
        return _block_diagonal(blocks)

    def score(self, y: Variable, mean: Mean, **shape: Any) -> Variable:
        """Differentiate the kernel in eta, (n, K)."""
        return super().score(y, mean, **shape)

    # -- from eta to what is predicted and drawn -----------------------------------------------------

    def location(self, mean: Mean, **shape: Any) -> Variable:
        """Locations of the parts side by side."""
        found = [part.family.location(_own_mean(part, mean), **part.shape(shape)) for part in self._parts()]
        return pt.concatenate(found, axis=1)

    def response(self, mean: Mean, **shape: Any) -> Variable:
        """Expected responses of the parts side by side."""
        found = [part.family.response(_own_mean(part, mean), **part.shape(shape)) for part in self._parts()]
        return pt.concatenate(found, axis=1)

    def variance(self, mu: Variable, **shape: Any) -> Variable:
        """Variances of the parts, their dispersions included."""
        found = [
            part.phi(shape, ops.exp) * part.family.variance(_chosen(mu, part.location), **part.shape(shape))
            for part in self._parts()
        ]
        return pt.concatenate(found, axis=1)

    def simulate(self, rng: np.random.Generator, mu: Array, phi: Number = 1.0, size: Number = 1, **shape: Any) -> Array:
        """Draw the columns of all parts, binomial ones of one trial; all are observed."""
        drawn = [
            part.family.simulate(rng, mu[:, part.location], part.phi(shape, np.exp), 1, **part.shape(shape))
            for part in self._parts()
        ]
        return np.hstack([*drawn, np.ones((len(mu), self._width))] if self.gaps else drawn)

    # -- facts about data ----------------------------------------------------------------------------

    def outputs(self, y: Array) -> int:
        """Linear predictors of all parts."""
        return list(self._parts())[-1].eta.stop

    def observed(self, y: Variable) -> Variable:
        """Responses of the parts on the scale of their means."""
        found = [part.family.observed(y[:, part.y]) for part in self._parts()]
        return np.hstack(found) if isinstance(y, np.ndarray) else pt.concatenate(found, axis=1)

    def start(self, y: Array) -> Array:
        """Linear predictors (n, K) at the parts' starting means."""
        found = []
        for part in self._parts():
            mu = part.family.start(y[:, part.y])
            K = part.eta.stop - part.eta.start
            if mu.shape[1] == K and part.link.forward is not None and part.link.elementwise:
                symbol = pt.matrix(dtype=str(mu.dtype))
                found.append(np.asarray(evaluate([part.link.forward(symbol)], {symbol: mu})[0]))
            else:
                found.append(np.log(mu[:, 1:]) - np.log(mu[:, :1]) if mu.shape[1] == K + 1 else np.zeros((len(y), K)))
        return np.hstack(found)

    def specs(self, y: Array) -> tuple[Spec, ...]:
        """Shape parameters of the parts, and the logarithms of their dispersions where those are estimated."""
        found: list[Spec] = []
        for part in self._parts():
            own = y[:, part.y]
            if self.gaps:
                own = own[(y[:, part.y.start + self._width : part.y.stop + self._width] > 0).all(axis=1)]
            own = y[:, part.y] if len(own) < 2 else own
            found += [Spec(part.prefixed(s.name), s.shape, s.init, s.penalised) for s in part.family.specs(own)]
            if part.family.dispersion == "estimated":
                found.append(Spec(part.prefixed(PHI), (), constant(np.log(_dispersion(part.family, own)))))
        return tuple(found)

    def natural(self, **shape: Any) -> dict[str, Array]:
        """Shape parameters of the parts as users know them, under the part's number."""
        found: dict[str, Array] = {}
        for part in self._parts():
            for name, value in part.family.natural(**part.shape(shape)).items():
                found[part.prefixed(name)] = value
            if part.prefixed(PHI) in shape:
                found[part.prefixed("dispersion")] = np.exp(shape[part.prefixed(PHI)])
        return found

    def check_response(self, y: Array) -> None:
        """Accept what every part accepts, and indicators of 0 and 1."""
        wanted = self._width * (2 if self.gaps else 1)
        if y.shape[1] != wanted:
            raise ValueError(f"y has {y.shape[1]} column(s): this family {self.name!r} needs {wanted}. {self.remedy}")
        self.reject(~np.isfinite(y), y, "finite numbers")
        if self.gaps:
            self.reject(~np.isin(y[:, self._width :], (0.0, 1.0)), y[:, self._width :], "0 or 1 as indicators")
        for part in self._parts():
            part.family.check_response(y[:, part.y])

    def to_dict(self) -> dict[str, Any]:
        """Name and options, JSON-ready."""
        parts = [part.to_dict() for part in self.parts]
        rest = {"widths": list(self.widths or ()), "part_links": list(self.part_links or ()), "gaps": self.gaps}
        return {"name": self.name, "parts": parts} | rest


def _blank(part: Part) -> Array:
    return np.empty((1, part.y.stop - part.y.start))


def _chosen(values: Variable, columns: slice) -> Variable:
    """Some of the columns, by an Op whose gradient compiles fast."""
    return ops.take(values, np.arange(columns.start, columns.stop))


def _own_mean(part: Part, mean: Mean) -> Mean:
    """The mean of a part; at saturation eta is y."""
    link = SATURATED if mean.link is SATURATED else part.link
    return Mean(link, _chosen(mean.eta, part.eta))


def _block_diagonal(blocks: list[Variable]) -> Variable:
    """Matrices (n, K, K) of blocks (n, k), diagonal, or (n, k, k)."""
    wide = [b[:, :, None] * pt.eye(b.shape[1], dtype=b.dtype) if b.ndim == 2 else b for b in blocks]
    rows = []
    for i, block in enumerate(wide):
        zeros = [pt.zeros((block.shape[0], block.shape[1], other.shape[1]), dtype=block.dtype) for other in wide]
        rows.append(pt.concatenate([*zeros[:i], block, *zeros[i + 1 :]], axis=2))
    return pt.concatenate(rows, axis=1)


def _dispersion(family: Family, y: Array) -> float:
    """Pearson estimate at a constant mean, where dispersions start from."""
    mu = np.broadcast_to(family.observed(y).mean(axis=0), family.observed(y).shape)
    symbol = pt.matrix()
    variance = evaluate([family.variance(symbol)], {symbol: np.ascontiguousarray(mu, dtype=float)})[0]
    return float(np.maximum(((family.observed(y) - mu) ** 2 / variance).mean(), 1e-8))
