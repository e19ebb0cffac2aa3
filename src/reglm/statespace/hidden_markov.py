"""Hidden Markov models: parameters, likelihood, states, and EM from several starts.

``z_t`` is a Markov chain on K states, the rows are independent given it (Rabiner 1989; Zucchini, MacDonald & Langrock
2016).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from reglm.ops import chains
from reglm.parameters import Array
from reglm.statespace.emissions import Emission, Rows
from reglm.statespace.expectation import EStep, Expectation
from reglm.statespace.transitions import DrivenTransitions, Transitions


class Parameters(NamedTuple):
    """Probabilities of first states (K,), and parameters of the moves and of the emissions, by name."""

    initial: Array
    moves: dict[str, Array]
    emission: dict[str, Array]


class Run(NamedTuple):
    """EM from one start: estimates, log-posteriors after each step, whether the last gains were small."""

    parameters: Parameters
    history: list[float]
    converged: bool

    @property
    def objective(self) -> float:
        """Log-likelihood, weighted, plus log priors."""
        return self.history[-1]


@dataclass(frozen=True)
class Model:
    """What does not change while fitting.

    Parameters
    ----------
    emission : Emission
    transitions : Transitions or DrivenTransitions
    first : ndarray of bool (K,)
        States in which a sequence may begin.
    prior : ndarray (K,)
        Pseudo-counts of first states.
    """

    emission: Emission
    transitions: Transitions | DrivenTransitions
    first: Array
    prior: Array

    def logs(self, parameters: Parameters, rows: Rows) -> tuple[Array, Array, Array]:
        """Logarithms of initial and transition probabilities and of densities, as `ops.chains` takes them."""
        with np.errstate(divide="ignore"):
            initial = np.log(parameters.initial)
        moves = self.transitions.log(parameters.moves, rows.Z)
        return initial, moves, self.emission.log_density(parameters.emission, rows)

    def log_likelihood(self, parameters: Parameters, rows: Rows, lengths: Array) -> Array:
        """Log-density of each sequence, (S,)."""
        initial, moves, density = self.logs(parameters, rows)
        return chains.evidence(chains.forward(initial, moves, density, lengths), lengths)

    def log_prior(self, parameters: Parameters) -> float:
        """Log prior density, up to a constant."""
        used = (self.prior > 0) & self.first
        own = float((self.prior[used] * np.log(parameters.initial[used])).sum())
        return own + self.transitions.log_prior(parameters.moves) + self.emission.log_prior(parameters.emission)

    def maximise(self, before: Parameters, found: Expectation, rows: Rows) -> Parameters:
        """M-step."""
        first = np.where(self.first, found.first + self.prior, 0.0)
        initial = first / first.sum() if first.sum() > 0 else before.initial
        moves = self.transitions.maximise(before.moves, found.moves, rows.Z)
        return Parameters(initial, moves, self.emission.maximise(before.emission, rows, found.states))

    def start(self, rows: Rows, lengths: Array, gamma: Array, weights: Array) -> Parameters:
        """Parameters from a first guess of the states, probabilities gamma (n, K)."""
        heads, later = chains.edges(lengths)[0], chains.followers(lengths)
        initial = np.where(self.first, gamma[heads].sum(axis=0) + 1.0, 0.0)
        moves = self.transitions.start(gamma[later - 1].T @ gamma[later], rows.Z)
        by_row = np.repeat(weights, lengths)[:, None]
        return Parameters(initial / initial.sum(), moves, self.emission.maximise(None, rows, gamma * by_row))

    def permute(self, parameters: Parameters, order: Array) -> Parameters:
        """States in another order."""
        moves = self.transitions.permute(parameters.moves, order)
        return Parameters(parameters.initial[order], moves, {name: v[order] for name, v in parameters.emission.items()})

    def size(self, parameters: Parameters) -> int:
        """Number of free parameters."""
        own = int(self.first.sum()) - 1
        return own + self.transitions.size(parameters.moves) + self.emission.size(parameters.emission)


def em(
    model: Model, rows: Rows, step: EStep, start: Parameters, *, max_iter: int, tol: float, callback: Any = None
) -> Run:
    """Fit by expectation-maximisation (Baum et al. 1970; Dempster, Laird & Rubin 1977).

    Parameters
    ----------
    model : Model
    rows : Rows
    step : EStep
        Holds lengths and weights.
    start : Parameters
    max_iter : int
        M-steps.
    tol : float
        Stop when the log-posterior gains less than this a row.
    callback : callable, optional
        Called with the history after each step.

    Returns
    -------
    Run

    Raises
    ------
    FloatingPointError
        If the start gives a sequence probability zero.
    """
    parameters, history, least = start, [], tol * len(rows.y)
    for iteration in range(max_iter + 1):
        found = step(*model.logs(parameters, rows))
        history.append(float(step.weights @ found.loglik) + model.log_prior(parameters))
        if not np.isfinite(history[-1]):
            worst = int(np.argmin(np.where(np.isnan(found.loglik), -np.inf, found.loglik)))
            raise FloatingPointError(
                f"sequence {worst} has log-likelihood {found.loglik[worst]} under the model: the constraints on moves, "
                "or rows far from all others, make it impossible. Check transitions= and the data."
            )
        if callback is not None:
            callback(history)
        if iteration and history[-1] - history[-2] < least:
            return Run(parameters, history, True)
        if iteration == max_iter:
            break
        parameters = model.maximise(parameters, found, rows)
    return Run(parameters, history, False)


def first_guess(rows: Rows, lengths: Array, K: int, kind: str, rng: np.random.Generator) -> Array:
    """Probabilities of states (n, K) to start from.

    Parameters
    ----------
    rows : Rows
    lengths : ndarray (S,)
    K : int
    kind : {"clusters", "random", "position"}
        Clusters of the rows; a state at random for each row, with half of the weight; K stretches of each sequence, for
        chains that never return.
    rng : Generator
    """
    if kind == "random":
        return 0.5 / K + 0.5 * np.eye(K)[rng.integers(0, K, len(rows.y))]
    if kind == "position":
        label = np.concatenate([np.arange(m) * K // m for m in lengths])
    else:
        spread = np.nanstd(rows.y, axis=0)
        y = (rows.y - np.nanmean(rows.y, axis=0)) / np.where(spread > 0, spread, 1.0)
        label = cluster(np.nan_to_num(y), K, rng)
    return 0.1 / K + 0.9 * np.eye(K)[label]


def cluster(y: Array, K: int, rng: np.random.Generator, rounds: int = 10) -> Array:
    """K-means labels (n,), centres seeded far apart (Arthur & Vassilvitskii 2007)."""
    sample = y if len(y) <= 5000 else y[rng.choice(len(y), 5000, replace=False)]
    centres = sample[rng.integers(len(sample))][None]
    for _ in range(K - 1):
        distance = _distances(sample, centres).min(axis=1)
        share = distance / distance.sum() if distance.sum() > 0 else None
        centres = np.vstack([centres, sample[rng.choice(len(sample), p=share)]])
    for _ in range(rounds):
        label = _distances(sample, centres).argmin(axis=1)
        for k in np.unique(label):
            centres[k] = sample[label == k].mean(axis=0)
    return _distances(y, centres).argmin(axis=1)


def _distances(y: Array, centres: Array) -> Array:
    """Squared distances (n, K)."""
    found = (y**2).sum(axis=1)[:, None] - 2 * y @ centres.T + (centres**2).sum(axis=1)
    return np.maximum(found, 0.0)


def simulate(
    model: Model, parameters: Parameters, rows: Rows, lengths: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Draw states (n,) and rows (n, m); `rows` holds covariates, and y of the right width."""
    with np.errstate(divide="ignore"):
        moves = np.exp(model.transitions.log(parameters.moves, rows.Z))
    below = np.cumsum(moves, axis=-1)
    u, states = rng.random(int(lengths.sum())), np.empty(int(lengths.sum()), np.intp)
    K, t = len(parameters.initial), 0
    for m in lengths:
        edges = np.cumsum(parameters.initial)
        for step in range(m):
            states[t] = min(int(np.searchsorted(edges, u[t] * edges[-1], side="right")), K - 1)
            t += 1
            if step + 1 < m:
                edges = below[t, states[t - 1]] if below.ndim == 3 else below[states[t - 1]]
    return states, model.emission.simulate(rng, parameters.emission, states, rows)


def continued(
    model: Model, parameters: Parameters, states: Array, before: Array, shape: tuple[int, int], rng: np.random.Generator
) -> tuple[Array, Array]:
    """Draw the next rows of B sequences without covariates.

    Parameters
    ----------
    model : Model
    parameters : Parameters
    states : ndarray of int (B,)
        States of the first rows to be drawn.
    before : ndarray (B, order m)
        Rows before these, side by side, the nearest first; no columns where emissions do not depend on them.
    shape : (steps, m)
    rng : Generator

    Returns
    -------
    ndarray of int (steps, B), ndarray (steps, B, m)
        States and rows.
    """
    with np.errstate(divide="ignore"):
        moves = np.exp(model.transitions.log(parameters.moves, None))
    passed, drawn = [], []
    blank = np.ones((len(states), shape[1]))
    for _ in range(shape[0]):
        rows = model.emission.simulate(rng, parameters.emission, states, Rows(blank, before if before.size else None))
        passed.append(states)
        drawn.append(rows)
        before = np.hstack([rows, before])[:, : before.shape[1]]
        states = draw(moves[states], rng)
    return np.stack(passed), np.stack(drawn)


def draw(probabilities: Array, rng: np.random.Generator) -> Array:
    """One state (B,) for each row of probabilities (B, K)."""
    below = np.cumsum(probabilities, axis=1)
    u = rng.random((len(below), 1)) * below[:, -1:]
    return (below <= u).sum(axis=1).clip(max=below.shape[1] - 1)
