"""Annealed importance sampling of log Z (Neal 2001; Salakhutdinov & Murray 2008).

Chains are drawn from independent columns, whose log Z is known, and taken to the machine through many machines between.
The mean of their weights is unbiased for Z / Z_0, so that by Jensen's inequality the estimate of log Z is too low on
average; run backwards, from rows of the machine, the same sum gives one that is too high (Burda, Grosse &
Salakhutdinov 2015). Both meet when temperatures are many.

The rows that the backward chains start from are given ones after some sweeps, not exact draws: the upper bound is as
good as these.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logsumexp
from sklearn.exceptions import ConvergenceWarning

from reglm.energy.annealing_paths import FusedPath, PlainPath, path
from reglm.energy.free_energy import Theta, initial
from reglm.energy.visible import Visible
from reglm.parameters import Array

PILOT = 400
"""Steps of the pilot run."""
BLOCKS = 40
"""Blocks of a run: the pilot measures the growth of variance in each."""
FLOOR = 0.1
"""Share of the steps that is spread evenly whatever the pilot says."""
LARGEST = 30_000
"""Most steps that are chosen automatically."""
SLACK = 1.25
"""How many times the tolerance a standard error may be before the run is repeated with more steps."""
ROWS = 2000
"""Rows at most from which base rates of hidden units are taken."""
BURN = 100
"""Sweeps before a backward run starts."""
DRAWS = 1000
"""Bootstrap samples."""

Report = Callable[[int, int], object]
"""Called with the steps done and those there are."""


class Annealed(NamedTuple):
    """What annealing found.

    Attributes
    ----------
    log_z : float
    std_err : float
        Of log_z, by the delta method.
    interval : (float, float)
        95% interval of log_z by the bootstrap over chains.
    effective_size : float
        Of the weights, between 1 and the number of chains.
    upper, upper_std_err : float
        Backward estimate and its standard error; NaN without rows.
    log_weights : (n_chains,) array
        Single estimates of log Z.
    betas : (k,) array
        Inverse temperatures.
    message : str
        What is wrong with the run; empty if nothing is.
    """

    log_z: float
    std_err: float
    interval: tuple[float, float]
    effective_size: float
    upper: float
    upper_std_err: float
    log_weights: Array
    betas: Array
    message: str


class Mean(NamedTuple):
    """Logarithm of a mean of weights, its standard error, and the effective number of weights."""

    value: float
    std_err: float
    effective_size: float


def log_mean(log_weights: Array) -> Mean:
    """Logarithm of the mean of weights (n,) given by their logarithms."""
    n = len(log_weights)
    total = logsumexp(log_weights)
    share = np.exp(log_weights - total)
    size = 1 / float((share**2).sum())
    return Mean(float(total - np.log(n)), float(np.sqrt(max(n / size - 1, 0.0) / max(n - 1, 1))), size)


def base_rates(visible: Visible, theta: Theta, V: Array | None) -> Theta:
    """Return the machine without weights that starts a path: units are on as often as given rows have them.

    Hidden biases matter as visible ones do: where they start from 0, weights turned on by halves let pixels of digits
    fade, and chains have to find back.

    Parameters
    ----------
    visible : Visible
    theta : Theta
    V : (n, D) array or None
        Coded rows; NaN is unobserved. Without rows, or complete ones, the machine's own biases stand in.
    """
    W = np.zeros_like(theta.W, dtype=float)
    b, c, log_var = (np.asarray(block, float) for block in theta[1:])
    if V is None or not len(V):
        return Theta(W, b, c, log_var)
    columns = initial(visible, 1, np.asarray(V), np.random.default_rng(0))
    rows = V[_complete(V)][:ROWS]
    if len(rows):
        share = (theta.hidden_mean(np.asarray(rows, float)).sum(axis=0) + 0.5) / (len(rows) + 1.0)
        c = np.log(share / (1 - share))
    return Theta(W, columns.b, c, columns.log_var)


def _complete(V: Array) -> Array:
    """Numbers of the rows without NaN."""
    return np.flatnonzero(~np.isnan(V).any(axis=1))


def _run(
    along: PlainPath | FusedPath, V: Array, betas: Array, rng: np.random.Generator, blocks: int, report: Report | None
) -> tuple[Array, Array]:
    """Increments of the log-weights (blocks, n), and the edges of the blocks among the inverse temperatures."""
    chains: Any = along.chains(V, rng)
    edges = np.unique(np.linspace(0, len(betas) - 1, blocks + 1).astype(int))
    found = []
    for start, stop in pairwise(edges):
        found.append(along.advance(chains, betas[start : stop + 1]))
        if report is not None:
            report(int(stop), len(betas) - 1)
    return np.array(found), edges


def contributions(increments: Array) -> Array:
    """Part of each block in the variance of the log-weights, (blocks,): its covariance with their sum, smoothed.

    What blocks have in common counts: chains that stay in one mode drift together for a long time.
    """
    centred = increments - increments.mean(axis=1, keepdims=True)
    shares = centred @ centred.sum(axis=0) / max(centred.shape[1] - 1, 1)
    width = min(5, len(shares) // 2 * 2 - 1) if len(shares) > 2 else 1
    padded = np.pad(shares, width // 2, mode="edge")
    return np.maximum(np.convolve(padded, np.ones(width) / width, "valid"), 0.0)


def schedule(edges: Array, rates: Array, steps: int) -> Array:
    """Inverse temperatures whose density makes the variance of the sum smallest.

    A block of n_b steps contributes ``rate_b / n_b``; with ``sum n_b`` given the best n_b are proportional to the root
    of the rates, and every step is then of one thermodynamic length.

    Parameters
    ----------
    edges : (blocks + 1,) array
        Inverse temperatures between blocks, from 0 to 1.
    rates : (blocks,) array
    steps : int
        Intervals in all.

    Returns
    -------
    (steps + 1,) array
    """
    length = np.sqrt(rates)
    even = np.diff(edges)
    share = (1 - FLOOR) * length / length.sum() + FLOOR * even if length.sum() > 0 else even
    reached = np.concatenate([[0.0], np.cumsum(share)])
    betas = np.interp(np.linspace(0, 1, steps + 1), reached / reached[-1], edges)
    betas[0], betas[-1] = 0.0, 1.0
    return betas


def _needed(rates: Array, n_chains: int, tol: float) -> int:
    """Steps after which the weights of `n_chains` have a mean with relative standard error `tol`."""
    variance = np.log1p(min(n_chains * tol**2, np.e - 1))
    return int(np.clip(np.ceil(np.sqrt(rates).sum() ** 2 / variance), PILOT, LARGEST))


def _pilot(along: PlainPath | FusedPath, n_chains: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Edges of the blocks of a short run, and the rates of the variance in them."""
    even = np.linspace(0, 1, PILOT + 1)
    found, at = _run(along, along.start(min(max(n_chains, 32), 128), rng), even, rng, BLOCKS, None)
    return even[at], contributions(found) * np.diff(at)


def _adapted(
    along: PlainPath | FusedPath, n_chains: int, tol: float, steps: int | None, rng: np.random.Generator,
    report: Report | None,
) -> tuple[Array, Array]:  # fmt: skip
    """Increments and inverse temperatures of a run whose schedule comes from a pilot run.

    The pilot does not see how slowly modes exchange chains; where its number of steps turns out too small, the run is a
    longer pilot for another.
    """
    edges, rates = _pilot(along, n_chains, rng)
    wanted = _needed(rates, n_chains, tol) if steps is None else steps
    while True:
        betas = schedule(edges, rates, wanted)
        found, at = _run(along, along.start(n_chains, rng), betas, rng, BLOCKS, report)
        good = log_mean(found.sum(axis=0)).std_err <= SLACK * tol
        if steps is not None or good or wanted == LARGEST:
            return found, betas
        edges, rates = betas[at], contributions(found) * np.diff(at)
        wanted = min(max(_needed(rates, n_chains, tol), 2 * wanted), LARGEST)


def log_partition(
    visible: Visible,
    theta: Theta,
    V: Array | None = None,
    *,
    n_chains: int = 100,
    temperatures: int | Sequence[float] | Array | None = None,
    tol: float = 0.05,
    backward: bool = True,
    rng: np.random.Generator,
    report: Report | None = None,
) -> Annealed:
    """Estimate log Z by annealed importance sampling.

    Parameters
    ----------
    visible : Visible
    theta : Theta
    V : (n, D) array, optional
        Coded rows, those of the training data at best: they give the base rates, and the complete ones among them the
        start of the backward run.
    n_chains : int
    temperatures : int or array, optional
        Number of inverse temperatures, or these themselves, from 0 to 1; chosen after a pilot run if None.
    tol : float
        Standard error that the number of temperatures is chosen for.
    backward : bool
        Also bound log Z from above, by half as many chains, where there are rows.
    rng : Generator
    report : callable, optional
        Called with the number of steps done and of all, now and then.

    Returns
    -------
    Annealed

    Raises
    ------
    ValueError
        If `n_chains`, `temperatures` or `tol` cannot be used.

    Warns
    -----
    ConvergenceWarning
        If the schedule is too short: few weights carry the sum, or the bounds are far apart.
    """
    _check(n_chains, temperatures, tol)
    along = path(visible, theta, base_rates(visible, theta, V))
    if temperatures is None or isinstance(temperatures, (int, np.integer)):
        steps = None if temperatures is None else int(temperatures) - 1
        increments, betas = _adapted(along, n_chains, tol, steps, rng, report)
    else:
        betas = np.asarray(temperatures, dtype=float)
        increments, _ = _run(along, along.start(n_chains, rng), betas, rng, BLOCKS, report)
    log_weights = along.log_z0 + increments.sum(axis=0)
    found = log_mean(log_weights)
    upper = _backward(along, V, betas, max(n_chains // 2, 2), rng) if backward else None
    result = Annealed(
        found.value, found.std_err, _interval(log_weights, rng), found.effective_size,
        np.nan if upper is None else along.log_z0 - upper.value, np.nan if upper is None else upper.std_err,
        log_weights, betas, "",
    )  # fmt: skip
    message = _judged(result)
    if message:
        warnings.warn(message, ConvergenceWarning, stacklevel=2)
    return result._replace(message=message)


def _check(n_chains: int, temperatures: int | Sequence[float] | Array | None, tol: float) -> None:
    if n_chains < 2:
        raise ValueError(f"n_chains={n_chains!r} must be at least 2.")
    if not tol > 0:
        raise ValueError(f"tol={tol!r} must be positive.")
    if isinstance(temperatures, (int, np.integer)):
        if temperatures < 2:
            raise ValueError(f"temperatures={temperatures!r} must be at least 2, or None for as many as are needed.")
    elif temperatures is not None:
        betas = np.asarray(temperatures, dtype=float)
        if betas.ndim != 1 or len(betas) < 2 or betas[0] != 0 or betas[-1] != 1 or (np.diff(betas) < 0).any():
            raise ValueError("temperatures must be inverse temperatures that ascend from 0 to 1, or their number.")


def _backward(
    along: PlainPath | FusedPath, V: Array | None, betas: Array, n: int, rng: np.random.Generator
) -> Mean | None:
    """Mean of the weights of chains from the machine back to the base; None without complete rows."""
    if V is None or not len(_complete(V)):
        return None
    chains: Any = along.chains(V[rng.choice(_complete(V), n)], rng)
    along.advance(chains, np.ones(BURN + 1))
    return log_mean(along.advance(chains, betas[::-1]))


def _interval(log_weights: Array, rng: np.random.Generator) -> tuple[float, float]:
    """95% percentile interval of the logarithm of the mean weight."""
    n = len(log_weights)
    values = logsumexp(log_weights[rng.integers(0, n, (DRAWS, n))], axis=1) - np.log(n)
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def _judged(found: Annealed) -> str:
    """Return what tells that the schedule is too short, if anything does."""
    n = len(found.log_weights)
    reasons = []
    if found.effective_size < 0.2 * n:
        reasons.append(f"the weights of {n} chains are worth {found.effective_size:.1f}")
    gap = found.upper - found.log_z
    if gap > 1 + 4 * np.hypot(found.std_err, found.upper_std_err):
        reasons.append(f"the bounds of log Z, {found.log_z:.2f} and {found.upper:.2f}, are far apart")
    if not reasons:
        return ""
    return (
        f"annealing through {len(found.betas)} temperatures is too short: {' and '.join(reasons)}, so that log Z is "
        "likely to be larger than estimated. Use more temperatures."
    )
