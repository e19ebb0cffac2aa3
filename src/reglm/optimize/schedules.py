"""Learning-rate schedules: pure functions of the epoch and of the objective's history.

A schedule is ``(epoch, max_iter, history) -> factor``; the learning rate of epoch 0, 1, ... is the initial
one times that factor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

Schedule = Callable[[int, int, Sequence[float]], float]

FLOOR = 0.01
DROP = 0.5
WAIT = 5


def constant(epoch: int, max_iter: int, history: Sequence[float]) -> float:
    """Always 1."""
    return 1.0


def inverse(epoch: int, max_iter: int, history: Sequence[float]) -> float:
    """1/k at the k-th epoch: the sum diverges, the sum of squares does not (Robbins & Monro 1951)."""
    return 1.0 / (1.0 + epoch)


def linear(epoch: int, max_iter: int, history: Sequence[float]) -> float:
    """Falls linearly to 1% at tau = half of `max_iter`, then stays (Goodfellow et al. 2016, eq. 8.14)."""
    fraction = min(1.0, 2.0 * epoch / max_iter)
    return (1.0 - fraction) + fraction * FLOOR


def cosine(epoch: int, max_iter: int, history: Sequence[float]) -> float:
    """Half a cosine from 1 to 0 over `max_iter` epochs (Loshchilov & Hutter 2017)."""
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, epoch / max_iter)))


def plateau(epoch: int, max_iter: int, history: Sequence[float]) -> float:
    """Halves whenever the objective has found no new minimum for 5 epochs."""
    best, waited, factor = math.inf, 0, 1.0
    for value in history:
        if value < best:
            best, waited = value, 0
        else:
            waited += 1
        if waited == WAIT:
            factor, waited = factor * DROP, 0
    return factor


SCHEDULES: dict[str, Schedule] = {
    "constant": constant, "inverse": inverse, "linear": linear, "cosine": cosine, "plateau": plateau,
}  # fmt: skip


def get(schedule: str | Schedule) -> Schedule:
    """Look a schedule up by name; a callable is returned as it is.

    Raises
    ------
    ValueError
        For a name that is not in the registry.
    """
    if callable(schedule):
        return schedule
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule={schedule!r} is not known; use one of {sorted(SCHEDULES)} or a callable")
    return SCHEDULES[schedule]
