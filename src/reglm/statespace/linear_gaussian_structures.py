"""Models of one series as sums of components: levels, trends, seasons, cycles, autoregressions (Harvey 1989).

A `Component` says how its states load on the series and move on. `Structure` puts components together; `Free` leaves
every matrix to the data. Both are a `Specification`: a map, analytic in theta, from unconstrained parameters to the
matrices of the model.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import block_diag

from reglm.parameters import Array


class Matrices(NamedTuple):
    """A model but for its data: see `reglm.ops.kalman_numpy.System`; B (k, p) are coefficients, ``d_t = x_t B``."""

    Z: Array
    H: Array
    T: Array
    V: Array
    a1: Array
    P1: Array
    B: Array


class Variance(NamedTuple):
    """Parameter number `at` is the logarithm of a variance: of these entries of the diagonal of H or V."""

    at: int
    matrix: str
    places: tuple[int, ...]


@dataclass(frozen=True)
class Component:
    """A part of a series.

    Parameters
    ----------
    name : str
    loading : ndarray (m,)
    noise : mapping of str to tuple of int
        Name of each variance and the states it drives.
    coefficients : tuple of str
        Names of the parameters of the transition, unconstrained.
    transition : callable
        ``coefficients -> (m, m)``.
    diffuse : bool
        Whether the start is diffuse; otherwise it is stationary.
    natural : callable
        Coefficients as they are reported.
    """

    name: str
    loading: Array
    noise: Mapping[str, tuple[int, ...]]
    transition: Callable[[Array], Array]
    coefficients: tuple[str, ...] = ()
    diffuse: bool = True
    natural: Callable[[Array], Array] = field(default=lambda c: c)
    start: tuple[float, ...] = ()


def level() -> Component:
    """Random walk."""
    return Component("level", np.ones(1), {"level": (0,)}, lambda _: np.eye(1))


def trend(smooth: bool = False) -> Component:
    """Level with a slope that is a random walk; a smooth trend has no noise of its own in the level."""
    noise = {"slope": (1,)} if smooth else {"level": (0,), "slope": (1,)}
    return Component("trend", np.array([1.0, 0.0]), noise, lambda _: np.array([[1.0, 1.0], [0.0, 1.0]]))


def seasonal(period: int) -> Component:
    """Effects of `period` seasons whose sum over a year is noise (Harvey 1989, sec. 2.3.4)."""
    T = np.eye(period - 1, k=-1)
    T[0] = -1.0
    return Component(f"seasonal({period})", np.eye(1, period - 1)[0], {"seasonal": (0,)}, lambda _: T)


def autoregression(order: int) -> Component:
    """Stationary autoregression, its coefficients from partial autocorrelations (Monahan 1984)."""

    def coefficients(free: Array) -> Array:
        phi = np.zeros(0, free.dtype)
        for partial in np.tanh(free):
            phi = np.append(phi - partial * phi[::-1], partial)
        return phi

    def transition(free: Array) -> Array:
        T = np.eye(order, k=1, dtype=free.dtype)
        T[:, 0] = coefficients(free)
        return T

    names = tuple(f"ar.L{i + 1}" for i in range(order))
    return Component(
        f"ar({order})", np.eye(1, order)[0], {"ar": (0,)}, transition, names, False, coefficients,
        (0.5, *(0.0,) * (order - 1)),
    )  # fmt: skip


def cycle() -> Component:
    """Damped stochastic cycle: damping in (0, 1) and period above 2 (Harvey 1989, sec. 2.3.3)."""

    def natural(free: Array) -> Array:
        return np.array([1 / (1 + np.exp(-free[0])), 2 + np.exp(free[1])])

    def transition(free: Array) -> Array:
        damping, period = natural(free)
        angle = 2 * np.pi / period
        cos, sin = np.cos(angle), np.sin(angle)
        return damping * np.array([[cos, sin], [-sin, cos]])

    return Component(
        "cycle", np.array([1.0, 0.0]), {"cycle": (0, 1)}, transition, ("cycle.damping", "cycle.period"), False, natural,
        (1.5, 2.0),
    )  # fmt: skip


COMPONENTS: dict[str, Callable[..., Component]] = {
    "level": level, "local-level": level, "trend": trend, "local-linear-trend": trend,
    "smooth-trend": lambda: trend(smooth=True), "seasonal": seasonal, "ar": autoregression, "cycle": cycle,
}  # fmt: skip
NUMBERED = {"seasonal": 2, "ar": 1}
"""Components with a number in brackets, and the least it may be."""


def components(structure: str | Sequence[str]) -> list[Component]:
    """Read components from words: ``"local-linear-trend + seasonal(12)"`` or a list of them.

    Raises
    ------
    ValueError
        If a word is not known or lacks its number.
    """
    words = [w.strip() for part in ([structure] if isinstance(structure, str) else structure) for w in part.split("+")]
    found = []
    for word in words:
        match = re.fullmatch(r"([a-z-]+)(?:\((\d+)\))?", word)
        name, number = match.groups() if match else (word, None)
        if name not in COMPONENTS:
            raise ValueError(f"structure: {word!r} is no component; use 'free' or a sum of {sorted(COMPONENTS)}.")
        if (number is not None) != (name in NUMBERED) or (number is not None and int(number) < NUMBERED[name]):
            rule = f"a number of at least {NUMBERED[name]}: '{name}(4)'" if name in NUMBERED else "no number"
            raise ValueError(f"structure: {word!r}: '{name}' takes {rule}.")
        found.append(COMPONENTS[name](*([] if number is None else [int(number)])))
    return found


@dataclass(frozen=True)
class Specification:
    """A map from parameters to matrices.

    Parameters
    ----------
    p, k : int
        Series and columns of covariates, the constant's included.
    """

    p: int
    k: int

    @property
    @abstractmethod
    def names(self) -> list[str]:
        """Names of the parameters that are reported, see `natural`."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of unconstrained parameters."""

    @property
    @abstractmethod
    def n_free(self) -> int:
        """Number of parameters that the likelihood can tell apart."""

    @property
    @abstractmethod
    def P1_inf(self) -> Array:
        """Diffuse part of the covariance of the start, (m, m)."""

    @abstractmethod
    def matrices(self, theta: Array) -> Matrices:
        """Matrices of the model; analytic in theta."""

    @abstractmethod
    def natural(self, theta: Array) -> Array:
        """Parameters as they are reported."""

    @property
    def coefficients(self) -> slice:
        """Where in theta B is, row by row: at its end."""
        return slice(self.size - self.k * self.p, self.size)


@dataclass(frozen=True)
class Structure(Specification):
    """A sum of components and an error, for one series.

    Parameters: logarithms of the variances (error first), coefficients of transitions, B.

    Parameters
    ----------
    words : str or list of str
        Names of the components, see `components`.
    columns : list of str
        Names of the covariates (k,).
    """

    words: str | Sequence[str]
    columns: list[str]

    @cached_property
    def parts(self) -> list[Component]:
        """The components."""
        return components(self.words)

    @property
    def variances(self) -> list[Variance]:
        """The error's, then those of the components."""
        found, offset = [Variance(0, "H", (0,))], 0
        for part in self.parts:
            for places in part.noise.values():
                found.append(Variance(len(found), "V", tuple(offset + i for i in places)))
            offset += len(part.loading)
        return found

    @property
    def names(self) -> list[str]:
        """Variances, coefficients of transitions, B."""
        noise = [f"sigma2.{name}" for part in self.parts for name in part.noise]
        return ["sigma2.error", *noise, *(c for part in self.parts for c in part.coefficients), *self.columns]

    @property
    def size(self) -> int:
        """Number of parameters."""
        return len(self.names)

    n_free = size

    @property
    def P1_inf(self) -> Array:
        """Identity for the states of components that start diffuse."""
        return np.diag(np.concatenate([np.full(len(part.loading), float(part.diffuse)) for part in self.parts]))

    def matrices(self, theta: Array) -> Matrices:
        """Matrices of the model; analytic in theta."""
        variances = self.variances
        H, V = np.zeros(1, theta.dtype), np.zeros(len(self.P1_inf), theta.dtype)
        for at, matrix, places in variances:
            (H if matrix == "H" else V)[list(places)] = np.exp(theta[at])
        at, offset, blocks, starts = len(variances), 0, [], []
        for part in self.parts:
            T = part.transition(theta[at : at + len(part.coefficients)])
            own = np.diag(V[offset : offset + len(T)])
            starts.append(np.zeros_like(own) if part.diffuse else stationary(T, own))
            blocks.append(T)
            at, offset = at + len(part.coefficients), offset + len(T)
        Z = np.concatenate([part.loading for part in self.parts])[None]
        B = theta[self.coefficients].reshape(self.k, 1)
        return Matrices(Z, H[:, None], block_diag(*blocks), np.diag(V), np.zeros(len(V)), block_diag(*starts), B)

    def natural(self, theta: Array) -> Array:
        """Variances, coefficients of transitions, B."""
        at = len(self.variances)
        found = [np.exp(theta[:at])]
        for part in self.parts:
            found.append(part.natural(theta[at : at + len(part.coefficients)]))
            at += len(part.coefficients)
        return np.concatenate([*found, theta[at:]])

    def start(self, y: Array, X: Array) -> Array:
        """Parameters to start from: shares of the variance of the series' differences; least squares for B."""
        seen = np.flatnonzero(~np.isnan(y[:, 0]))
        B = np.linalg.lstsq(X[seen], y[seen, 0], rcond=None)[0]
        rest = y[seen, 0] - X[seen] @ B
        scale = max(float(np.var(np.diff(rest))) if len(rest) > 2 else 1.0, 1e-8 * float((rest**2).mean()), 1e-300)
        shares = [1.0 if v.matrix == "H" else 0.1 for v in self.variances]
        free = [c for part in self.parts for c in part.start]
        return np.concatenate([np.log(scale / 2 * np.array(shares)), free, B])


def stationary(T: Array, V: Array) -> Array:
    """Covariance P (m, m) with ``P = T P T' + V``; analytic in both."""
    m = len(T)
    return np.linalg.solve(np.eye(m * m) - np.kron(T, T), V.reshape(-1)).reshape(m, m)


def columns(names: Sequence[str] | None, k: int, constant: bool) -> list[str]:
    """Names of the covariates, the constant first."""
    return [*(["const"] if constant else []), *(names if names is not None else [f"x{i}" for i in range(k)])]


def of(structure: Any, p: int) -> list[Component]:
    """Components of a structure for p series; raises ValueError where there is more than one."""
    if p != 1:
        raise ValueError(f"structure={structure!r} is a model of one series, not of {p}; use structure='free'.")
    return components(structure)
