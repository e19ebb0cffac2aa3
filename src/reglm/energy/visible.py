"""What the visible units of a Boltzmann machine can be: kinds of columns and their conditional distributions.

Given the hidden units each visible unit follows a generalized linear model with canonical link and linear predictor
``eta = b + W h``:

=========== ================ ========================== =========================
kind        values           log-density given h        mean
=========== ================ ========================== =========================
bernoulli   0, 1             ``eta v - softplus(eta)``  ``sigmoid(eta)``
categorical one-hot block    ``eta v - logsumexp(eta)`` ``softmax(eta)``
poisson     0, 1, 2, ...     ``eta v - e^eta - log v!`` ``e^eta``
gaussian    real             normal                     ``eta``, variance sigma^2
=========== ================ ========================== =========================

A categorical column takes part as a block of indicators, one for each level (Salakhutdinov, Mnih & Hinton 2007). A
Gaussian column enters the energy as ``(v - b)^2 / 2 sigma^2 - v W h / sigma^2`` (Cho, Ilin & Raiko 2011), so that its
conditional mean is eta.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, product
from typing import NamedTuple

import numpy as np
from scipy.special import expit, gammaln, logsumexp, softmax

from reglm.parameters import Array


class Kind(NamedTuple):
    """Distribution of a block of visible units given the hidden units.

    Every function takes eta (..., width); variances (width,) are those of Gaussian units.
    """

    mean: Callable[[Array], Array]
    log_partition: Callable[[Array, Array, Array], Array]
    """``eta, b, var -> (...,)``: logarithm of what the block's factor of ``e^-E`` sums or integrates to."""
    draw: Callable[[Array, Array, np.random.Generator], Array]
    is_valid: Callable[[Array], Array]
    """Which coded values belong to the kind; NaN is not judged here."""
    rule: str


def _draw_categorical(eta: Array, var: Array, rng: np.random.Generator) -> Array:
    """Indicators of the largest of eta plus Gumbel noise."""
    best = np.argmax(eta + rng.gumbel(size=eta.shape), axis=-1)
    return np.eye(eta.shape[-1], dtype=eta.dtype)[best]


def _real(value: Array, eta: Array) -> Array:
    return value.astype(eta.dtype, copy=False)


KINDS: dict[str, Kind] = {
    "bernoulli": Kind(
        mean=expit,
        log_partition=lambda eta, b, var: np.logaddexp(0, eta).sum(axis=-1),
        draw=lambda eta, var, rng: _real(rng.random(eta.shape) < expit(eta), eta),
        is_valid=lambda v: (v >= 0) & (v <= 1),
        rule="between 0 and 1",
    ),
    "categorical": Kind(
        mean=lambda eta: softmax(eta, axis=-1),
        log_partition=lambda eta, b, var: logsumexp(eta, axis=-1),
        draw=_draw_categorical,
        is_valid=lambda v: (v >= 0) & (v <= 1),
        rule="indicators of a level",
    ),
    "poisson": Kind(
        mean=np.exp,
        log_partition=lambda eta, b, var: np.exp(eta).sum(axis=-1),
        draw=lambda eta, var, rng: _real(rng.poisson(np.exp(eta)), eta),
        is_valid=lambda v: (v >= 0) & (v == np.floor(v)) & (v < np.inf),
        rule="whole numbers of at least 0",
    ),
    "gaussian": Kind(
        mean=lambda eta: eta,
        log_partition=lambda eta, b, var: (
            ((eta - b) * (eta + b) / (2 * var)).sum(axis=-1) + 0.5 * np.log(2 * np.pi * var).sum()
        ),
        draw=lambda eta, var, rng: _real(eta + np.sqrt(var) * rng.standard_normal(eta.shape), eta),
        is_valid=np.isfinite,
        rule="finite",
    ),
}


class Block(NamedTuple):
    """Neighbouring coded columns of one kind; a categorical block is one variable, its width the number of levels."""

    kind: str
    width: int


@dataclass(frozen=True)
class Visible:
    """The coded columns of the visible layer, in order.

    Parameters
    ----------
    blocks : tuple of Block

    Raises
    ------
    ValueError
        If a kind is unknown or a block is empty.
    """

    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        for kind, width in self.blocks:
            if kind not in KINDS:
                raise ValueError(f"kind={kind!r} is not known; choose one of {sorted(KINDS)}.")
            if width < 1:
                raise ValueError(f"a block of kind {kind!r} has width {width}; it must be at least 1.")

    @cached_property
    def size(self) -> int:
        """Number of coded columns D."""
        return sum(block.width for block in self.blocks)

    @cached_property
    def parts(self) -> tuple[tuple[str, slice], ...]:
        """Kind and coded columns of every block."""
        edges = np.cumsum([0, *(block.width for block in self.blocks)]).tolist()
        return tuple((block.kind, slice(edges[i], edges[i + 1])) for i, block in enumerate(self.blocks))

    def columns_of(self, kind: str) -> Array:
        """Which coded columns are of a kind (D,), bool."""
        return np.repeat([block.kind == kind for block in self.blocks], [block.width for block in self.blocks])

    def mean(self, eta: Array) -> Array:
        """Conditional means (..., D) at linear predictors eta (..., D)."""
        found = np.empty_like(eta)
        for kind, at in self.parts:
            found[..., at] = KINDS[kind].mean(eta[..., at])
        return found

    def draw(self, eta: Array, log_var: Array, rng: np.random.Generator) -> Array:
        """Draw visible units (..., D) given linear predictors eta (..., D) and log variances (D,)."""
        found = np.empty_like(eta)
        for kind, at in self.parts:
            found[..., at] = KINDS[kind].draw(eta[..., at], np.exp(log_var[at]), rng)
        return found

    def log_partition(self, eta: Array, b: Array, log_var: Array) -> Array:
        """Return ``log sum_v e^-E(v, h) - c'h``, (...,), at ``eta = b + W h`` (..., D); sums are integrals for reals.

        At ``eta = b`` this is the visible part of log Z of the model without weights.
        """
        total = np.zeros(eta.shape[:-1])
        for kind, at in self.parts:
            total = total + KINDS[kind].log_partition(eta[..., at], b[at], np.exp(log_var[at]))
        return total

    def base_measure(self, V: Array) -> Array:
        """Part of the energy without parameters (n,): ``sum log v!`` over Poisson columns."""
        counts = V[:, self.columns_of("poisson")]
        return gammaln(np.asarray(counts, dtype=float) + 1).sum(axis=1)

    def check(self, V: Array) -> None:
        """Raise ValueError unless every observed value (not NaN) of V (n, D) belongs to its column's kind."""
        if V.shape[1] != self.size:
            raise ValueError(f"V has {V.shape[1]} coded columns, the visible layer {self.size}.")
        for kind, at in self.parts:
            values = V[:, at]
            wrong = ~KINDS[kind].is_valid(values) & ~np.isnan(values)
            if wrong.any():
                row, column = np.argwhere(wrong)[0]
                raise ValueError(
                    f"X holds {values[row, column]:g} in row {row}, column {at.start + column}; {kind} visible units "
                    f"must be {KINDS[kind].rule}."
                )

    @cached_property
    def n_states(self) -> float:
        """Number of configurations of the visible layer; infinite with Poisson or Gaussian columns."""
        if self.columns_of("poisson").any() or self.columns_of("gaussian").any():
            return np.inf
        return float(np.prod([float(w) if kind == "categorical" else 2.0**w for kind, w in self.blocks]))

    def states(self) -> Array:
        """Every configuration (n_states, D).

        Raises
        ------
        ValueError
            If there are infinitely many.
        """
        if not np.isfinite(self.n_states):
            raise ValueError("visible units with Poisson or Gaussian columns have no list of states.")
        choices: list[list[tuple[float, ...]]] = []
        for kind, width in self.blocks:
            if kind == "categorical":
                choices.append([tuple(row) for row in np.eye(width).tolist()])
            else:
                choices.extend([[(0.0,), (1.0,)]] * width)
        return np.array([sum(state, ()) for state in product(*choices)])


def layer(kinds: Iterable[str | tuple[str, int]]) -> Visible:
    """Make a visible layer from one kind for each column, neighbours of a kind merged.

    Parameters
    ----------
    kinds : iterable of str or (str, int)
        "bernoulli", "poisson", "gaussian", or ("categorical", number of levels).

    Returns
    -------
    Visible
    """
    blocks: list[Block] = []
    for kind, columns in groupby(kinds):
        count = len(list(columns))
        blocks += [Block(kind, count)] if isinstance(kind, str) else [Block(*kind)] * count
    return Visible(tuple(blocks))
