"""What a link is: a record of PyTensor expressions, and the intervals they live on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Variable = Any  # PyTensor's TensorVariable
Unary = Callable[[Variable], Variable]
Binary = Callable[[Variable, Variable], Variable]


@dataclass(frozen=True)
class Interval:
    """Values between two ends.

    Parameters
    ----------
    low, high : float
    low_closed, high_closed : bool
        Whether the end itself belongs to the interval.
    """

    low: float = -math.inf
    high: float = math.inf
    low_closed: bool = False
    high_closed: bool = False

    def contains(self, values: np.ndarray) -> np.ndarray:
        """Say of each entry of `values`, of any shape, whether it is inside; NaN is not."""
        above = values >= self.low if self.low_closed else values > self.low
        below = values <= self.high if self.high_closed else values < self.high
        return above & below

    def __str__(self) -> str:
        left, right = "[" if self.low_closed else "(", "]" if self.high_closed else ")"
        return f"{left}{self.low:g}, {self.high:g}{right}"


REAL = Interval()
POSITIVE = Interval(0.0)
NON_NEGATIVE = Interval(0.0, low_closed=True)
NEGATIVE = Interval(high=0.0)
UNIT = Interval(0.0, 1.0)
CLOSED_UNIT = Interval(0.0, 1.0, low_closed=True, high_closed=True)

LINK = frozenset({"link"})
ACTIVATION = frozenset({"activation"})


@dataclass(frozen=True)
class Link:
    """A link function, an activation, or both.

    Parameters
    ----------
    name : str
        Unique; `reglm.links.get` finds the record by it. Two records are equal if their names are.
    inverse : callable eta -> mu
    forward : callable mu -> eta, optional
        None where the map has no inverse.
    log_inverse, log1m_inverse : callable eta, optional
        ``log mu`` and ``log(1 - mu)``, finite wherever the mathematics is.
    log_odds : callable eta, optional
        ``log mu - log(1 - mu)``, where it has a simpler form.
    power_inverse : callable (eta, k), optional
        ``mu ** k``.
    log_between : callable (a, b), optional
        ``log(inverse(b) - inverse(a))`` for a < b: what cumulative models need.
    domain, eta_domain : Interval
        Values that mu takes, and the eta at which the link is a link.
    roles : frozenset
        "link", "activation" or both.
    elementwise, differentiable : bool
    note : str
    """

    name: str
    inverse: Unary = field(compare=False, repr=False)
    forward: Unary | None = field(default=None, compare=False, repr=False)
    log_inverse: Unary | None = field(default=None, compare=False, repr=False)
    log1m_inverse: Unary | None = field(default=None, compare=False, repr=False)
    log_odds: Unary | None = field(default=None, compare=False, repr=False)
    power_inverse: Binary | None = field(default=None, compare=False, repr=False)
    log_between: Binary | None = field(default=None, compare=False, repr=False)
    domain: Interval = field(default=REAL, compare=False, repr=False)
    eta_domain: Interval = field(default=REAL, compare=False, repr=False)
    roles: frozenset[str] = field(default=LINK | ACTIVATION, compare=False, repr=False)
    elementwise: bool = field(default=True, compare=False, repr=False)
    differentiable: bool = field(default=True, compare=False, repr=False)
    note: str = field(default="", compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        from reglm.links import get

        return get, (self.name,)
