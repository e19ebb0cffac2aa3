"""The E-step of hidden Markov chains: expected states and moves, by NumPy or, where it pays, by Numba on threads."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reglm.ops import chains
from reglm.parameters import Array
from reglm.threads import map_rows

NUMBA_PAYS = 40_000
"""Steps of all sequences together, by NumPy, whose time a compilation would take."""
BLOCK = 4096
"""Rows that a thread takes at a time."""


class Expectation(NamedTuple):
    """Expected counts under a model, sequences weighted, and log-likelihoods, unweighted.

    first (K,): first states. moves (K, K), or (n, K, K) where matrices vary: i -> j. states (n, K): P(z_t = j | y)
    times the weight. loglik (S,).
    """

    first: Array
    moves: Array
    states: Array
    loglik: Array


class EStep:
    """Expectations for one set of sequences; counts its work to decide when Numba takes over.

    Parameters
    ----------
    lengths : ndarray of int (S,)
    weights : ndarray (S,)
        Of the sequences.
    backend : {"auto", "python", "numba"}
    """

    def __init__(self, lengths: Array, weights: Array, backend: str = "auto") -> None:
        self.lengths = lengths
        self.weights = weights
        self.backend = backend
        self.done = 0

    def __call__(self, initial: Array, transition: Array, emission: Array) -> Expectation:
        """Expectations of one model; logarithms of its probabilities and densities as in `ops.chains`."""
        if self._compiled():
            return self._by_numba(initial, transition, emission)
        return Expectation(*chains.posterior(initial, transition, emission, self.lengths, self.weights))

    def _compiled(self) -> bool:
        """Whether the next call goes to Numba."""
        if self.backend != "auto":
            return self.backend == "numba"
        self.done += int(self.lengths.max())
        return self.done > NUMBA_PAYS

    def _by_numba(self, initial: Array, transition: Array, emission: Array) -> Expectation:
        from reglm.ops import numba_chains

        lengths, emission = self.lengths, np.ascontiguousarray(emission)
        S, n, varying = len(lengths), len(emission), transition.ndim == 3
        edges = np.concatenate([[0], np.cumsum(lengths)])
        matrices = np.ascontiguousarray(transition if varying else transition[None])
        moves, log_alpha, log_beta = np.exp(matrices), np.empty_like(emission), np.empty_like(emission)

        def recursions(start: int, stop: int) -> None:
            for task in range(start, stop):  # forward for each sequence, then backward for each
                rows = edges[task % S], edges[task % S + 1]
                if task < S:
                    numba_chains.forward_sequence(initial, matrices, moves, emission, *rows, log_alpha)
                else:
                    numba_chains.backward_sequence(matrices, moves, emission, *rows, log_beta)

        list(map_rows(recursions, 2 * S, 1, hold=False))
        loglik = chains.evidence(log_alpha, lengths)
        by_row = np.repeat(np.where(np.isfinite(loglik), loglik, np.inf), lengths)
        weight, first = np.repeat(self.weights, lengths), np.zeros(n, bool)
        first[edges[:-1]] = True
        gamma, counts = np.empty_like(emission), np.zeros(matrices.shape)

        def expect(start: int, stop: int) -> Array:
            own = counts if varying else np.zeros(matrices.shape)
            numba_chains.expect_rows(
                matrices, moves, emission, log_alpha, log_beta, by_row, weight, first, start, stop, own, gamma
            )
            return own

        parts = list(map_rows(expect, n, BLOCK, hold=False))
        total = counts if varying else np.sum(parts, axis=0)[0]
        return Expectation(gamma[edges[:-1]].sum(axis=0), total, gamma, loglik)


def filtered(initial: Array, transition: Array, emission: Array, lengths: Array) -> Array:
    """``P(z_t = j | y_1..y_t)``, (n, K); zeros from where a sequence is impossible."""
    log_alpha = chains.forward(initial, transition, emission, lengths)
    total = chains.log_sum(log_alpha, axis=-1)
    return np.exp(log_alpha - np.where(np.isfinite(total), total, np.inf)[:, None])


def viterbi(initial: Array, transition: Array, emission: Array, lengths: Array) -> tuple[Array, Array]:
    """Most probable paths (Viterbi 1967).

    Returns
    -------
    ndarray of int (n,)
        States.
    ndarray (S,)
        Joint log-densities of paths and rows.
    """
    varying = chains.is_varying(transition, emission)
    best, came = np.empty_like(emission), np.zeros(emission.shape, np.intp)
    starts, ends = chains.edges(lengths)
    best[starts] = initial + emission[starts]
    steps = list(chains.steps(lengths))
    for rows in steps:
        arrived = best[rows - 1][:, :, None] + chains.into(transition, rows, varying)
        came[rows] = arrived.argmax(axis=1)
        best[rows] = arrived.max(axis=1) + emission[rows]
    path = np.empty(len(emission), np.intp)
    path[ends] = best[ends].argmax(axis=1)
    for rows in reversed(steps):
        path[rows - 1] = came[rows, path[rows]]
    return path, best[ends, path[ends]]


def stationary(transition: Array) -> Array:
    """Distribution (K,) that a chain with these probabilities (K, K) keeps; of the classes reached from the start.

    The one that the uniform distribution tends to on average, where several are kept.
    """
    lazy = (transition + np.eye(len(transition))) / 2
    for _ in range(60):
        lazy = lazy @ lazy
        lazy /= lazy.sum(axis=1, keepdims=True)
    return lazy.mean(axis=0)


def predicted(initial: Array, transition: Array, emission: Array, lengths: Array) -> Array:
    """``P(z_t = j | y_1..y_{t-1})``, (n, K)."""
    before = filtered(initial, transition, emission, lengths)
    out, rows = np.empty_like(before), chains.followers(lengths)
    out[chains.edges(lengths)[0]] = np.exp(initial)
    moves = np.exp(transition[rows] if transition.ndim > 2 else transition)
    out[rows] = (before[rows - 1][:, None] @ moves)[:, 0]
    return out
