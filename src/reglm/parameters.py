"""Named parameters and the one flat vector that solvers see.

A model declares `Spec` records. A `Layout` orders them and maps a flat vector ``theta`` to named
arrays without copying: ``layout.views(theta)["hidden.W"]`` is a reshaped slice of ``theta``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

Array = np.ndarray
Initialiser = Callable[[np.random.Generator, tuple[int, ...]], Array]


def zeros(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Start at zero (biases, shape parameters on their unconstrained scale)."""
    return np.zeros(shape)


def ones(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Start at one (batch-normalisation scales)."""
    return np.ones(shape)


def _filled(value: float | Array, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(np.asarray(value, dtype=float), shape).copy()


def constant(value: float | Array) -> Initialiser:
    """Start at a given value, broadcast to the shape."""
    return partial(_filled, value)


def _normal(scale: float, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return scale * rng.normal(size=shape)


def normal(scale: float) -> Initialiser:
    """Normal with a given standard deviation."""
    return partial(_normal, scale)


def phases(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Uniform over a full turn, in radians."""
    return rng.uniform(0.0, 2.0 * np.pi, shape)


def glorot(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Uniform with variance 2 / (fan-in + fan-out) (Glorot & Bengio 2010)."""
    bound = math.sqrt(6.0 / (shape[0] + shape[-1]))
    return rng.uniform(-bound, bound, shape)


def he(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Normal with variance 2 / fan-in, for rectifiers (He et al. 2015)."""
    return rng.normal(0.0, math.sqrt(2.0 / shape[0]), shape)


def orthogonal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Orthonormal columns or rows, whichever are fewer (Saxe et al. 2014)."""
    rows, columns = shape[0], shape[-1]
    q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diag(r))
    return q if rows >= columns else q.T


def identity(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Ones on the diagonal, zeros elsewhere (Le et al. 2015)."""
    return np.eye(shape[0], shape[-1])


INITIALISERS: dict[str, Initialiser] = {
    "zeros": zeros, "ones": ones, "glorot": glorot, "he": he, "orthogonal": orthogonal, "identity": identity,
}  # fmt: skip


def initialiser(name: str | Initialiser) -> Initialiser:
    """Look an initialiser up by name; a callable ``(rng, shape) -> array`` passes through.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if callable(name):
        return name
    if name not in INITIALISERS:
        known = sorted(INITIALISERS)
        raise ValueError(f"init={name!r} is not known; choose one of {known} or pass a callable.")
    return INITIALISERS[name]


@dataclass(frozen=True)
class Spec:
    """One parameter array: its name, shape, start and whether penalties reach it.

    Parameters
    ----------
    name : str
        Unique within a model, dotted: ``"hidden1.W"``.
    shape : tuple of int
    init : callable ``(rng, shape) -> array``
    penalised : bool
        Weights are, biases and shape parameters are not.
    alpha : float, optional
        L2 penalty of this array alone, in place of the model's.
    """

    name: str
    shape: tuple[int, ...]
    init: Initialiser = field(default=zeros, compare=False)
    penalised: bool = False
    alpha: float | None = None

    @property
    def size(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)


class Layout:
    """The order of named parameters in the flat vector ``theta``.

    Parameters
    ----------
    specs : iterable of Spec
        Names must be unique.
    """

    def __init__(self, specs: Iterable[Spec]) -> None:
        self.specs: tuple[Spec, ...] = tuple(specs)
        names = [spec.name for spec in self.specs]
        if len(set(names)) != len(names):
            raise ValueError(f"parameter names must be unique, got {names}.")
        ends = np.cumsum([spec.size for spec in self.specs], dtype=int)
        starts = [0, *ends.tolist()]
        self.slices: dict[str, slice] = {name: slice(*starts[i : i + 2]) for i, name in enumerate(names)}
        self.size: int = starts[-1]

    def views(self, theta: Array) -> dict[str, Array]:
        """Named views into ``theta`` (P,); nothing is copied."""
        return {spec.name: theta[self.slices[spec.name]].reshape(spec.shape) for spec in self.specs}

    def pack(self, arrays: Mapping[str, Array], dtype: str = "float64") -> Array:
        """Flat vector (P,) from named arrays."""
        theta = np.empty(self.size, dtype=dtype)
        for spec in self.specs:
            theta[self.slices[spec.name]] = np.asarray(arrays[spec.name]).reshape(-1)
        return theta

    def start(self, rng: np.random.Generator) -> Array:
        """Draw start values (P,) from the initialisers, in the order of the specs."""
        return self.pack({spec.name: spec.init(rng, spec.shape) for spec in self.specs})

    def penalised(self) -> Array:
        """Indicator (P,), 1.0 where penalties apply."""
        return self.pack({spec.name: np.full(spec.shape, float(spec.penalised)) for spec in self.specs})

    def penalties(self, alpha: float) -> Array:
        """L2 penalty (P,) of each entry: `alpha` where penalties apply, unless the array has its own."""
        own = {s.name: alpha * s.penalised if s.alpha is None else s.alpha for s in self.specs}
        return self.pack({s.name: np.full(s.shape, own[s.name]) for s in self.specs})

    def labels(self) -> list[str]:
        """One label an entry: ``"hidden1.W[2, 3]"``."""
        return [
            f"{spec.name}[{', '.join(map(str, index))}]" if spec.shape else spec.name
            for spec in self.specs
            for index in np.ndindex(*spec.shape)
        ]
