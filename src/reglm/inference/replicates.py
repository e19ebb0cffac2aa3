"""Run refits of a bootstrap, side by side if wanted, and count what went wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed

from reglm.inference import resampling
from reglm.parameters import Array
from reglm.record import Fit


class Replicate(NamedTuple):
    """Estimates of one refit; `trouble` says why there are none."""

    theta: Array
    dispersion: float
    converged: bool
    trouble: str = ""


def replicate(
    fit: Fit, kind: str, multiplier: str, codes: Array | None, seed: np.random.SeedSequence, n_init: int
) -> Replicate:
    """Resample and fit again, the first time from the estimates."""
    assert fit.data is not None
    assert fit.refit is not None
    rng = np.random.default_rng(seed)
    if kind == "pairs":
        data = resampling.pairs(fit, fit.data, rng, codes)
    elif kind == "parametric":
        data = resampling.parametric(fit, fit.data, rng)
    else:
        data = resampling.wild(fit, fit.data, rng, resampling.MULTIPLIERS[multiplier], codes)
    try:
        again = fit.refit(data, start=fit.theta.copy(), n_init=n_init, seed=int(rng.integers(2**31)))
    except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:  # a sample on which no fit exists
        return Replicate(np.full(len(fit.theta), np.nan), np.nan, False, str(error))
    theta = np.asarray(again.theta, dtype=float)
    trouble = "" if np.isfinite(theta).all() and again.details.get("status") != "diverging" else again.message
    return Replicate(theta, again.dispersion, again.converged, trouble)


def run(
    fit: Fit, kind: str, multiplier: str, codes: Array | None, seeds: list[np.random.SeedSequence],
    n_jobs: int | None, verbose: int, n_init: int = 1,
) -> list[Replicate]:  # fmt: skip
    """Run all refits in the order of their seeds; Ctrl-C keeps those that are done.

    Raises
    ------
    KeyboardInterrupt
        If none is done.
    """
    lean = replace(fit, details={}, history={}, restarts=[])
    calls: Iterator[Replicate]
    if n_jobs in (None, 1):
        calls = (replicate(lean, kind, multiplier, codes, seed, n_init) for seed in seeds)
    else:
        tasks = (delayed(replicate)(lean, kind, multiplier, codes, seed, n_init) for seed in seeds)
        calls = Parallel(n_jobs=n_jobs, return_as="generator")(tasks)
    return collected(calls, len(seeds), verbose)


def collected(calls: Iterable[Replicate], total: int, verbose: int) -> list[Replicate]:
    """Replicates as they come, under a progress bar if `verbose`; Ctrl-C keeps those that came."""
    done: list[Replicate] = []
    try:
        with progress(total, verbose) as advance:
            for found in calls:
                done.append(found)
                advance()
    except KeyboardInterrupt:
        if not done:
            raise
    return done


@contextmanager
def progress(total: int, verbose: int) -> Iterator[Callable[[], None]]:
    """Show a progress bar if `verbose`; call what this yields after every step."""
    if not verbose:
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, transient=verbose < 2) as bar:
        task = bar.add_task("bootstrap", total=total)
        yield lambda: bar.advance(task)
