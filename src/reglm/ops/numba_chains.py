"""Hidden Markov chains by Numba. Logarithms are stored, probabilities are multiplied.

A step takes K exponentials and K logarithms instead of K^2. Where a product underflows, that entry is added up by its
logarithms, so nothing is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from pytensor.link.numba.dispatch.basic import (
    get_numba_type,
    numba_njit,
    register_funcify_and_cache_key,
    register_funcify_default_op_cache_key,
)

from reglm.ops import elementary
from reglm.ops.chains import LARGEST
from reglm.ops.forward_backward import ChainLikelihood, ChainPosterior, ChainTangent

Array = np.ndarray

VERSION = 1
FAST = {"reassoc", "contract", "nsz"}
SMALLEST = 1e-280
"""Products below this are taken again by logarithms."""

exponential, logarithm = elementary.exp(elementary.DOUBLE), elementary.log(elementary.DOUBLE)
kernel = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
inlined = numba.njit(nogil=True, error_model="numpy", fastmath=FAST, forceinline=True)


# Plain loops throughout: expressions on whole arrays cost Numba seconds to compile.


@inlined
def _top(x):
    """Largest entry, 0 if none is finite."""
    top = -np.inf
    for j in range(x.shape[0]):
        top = max(top, x[j])
    return top if top > -np.inf else 0.0


@kernel
def log_total(x):
    """``log(sum(exp(x)))``."""
    top = _top(x)
    total = np.exp(x[0] - top)
    for j in range(1, x.shape[0]):
        total += np.exp(x[j] - top)
    return np.log(total) + top


@inlined
def _scale(x, scaled):
    """Fill `scaled` with exp(x - top) and return top."""
    top = _top(x)
    for j in range(x.shape[0]):
        scaled[j] = exponential(x[j] - top)
    return top


@inlined
def _arrive(before, transition, moves, density, now, work):
    """One step forward: ``now[j] = log(sum_i exp(before[i]) moves[i, j]) + density[j]``."""
    K = before.shape[0]
    scaled, arrived = work[0], work[1]
    top = _scale(before, scaled)
    for j in range(K):
        arrived[j] = 0
    for i in range(K):
        share, row = scaled[i], moves[i]
        for j in range(K):
            arrived[j] += share * row[j]
    for j in range(K):
        now[j] = logarithm(max(arrived[j], SMALLEST), 0.0) + top + density[j]
    for j in range(K):
        if arrived[j] <= SMALLEST:
            for i in range(K):
                scaled[i] = before[i] + transition[i, j]
            now[j] = log_total(scaled) + density[j]


@inlined
def _leave(ahead, transition, moves, before, work):
    """One step backward: ``before[i] = log(sum_j moves[i, j] exp(ahead[j]))``."""
    K = ahead.shape[0]
    scaled, totals = work[0], work[1]
    top = _scale(ahead, scaled)
    for i in range(K):
        total, row = 0.0, moves[i]
        for j in range(K):
            total += row[j] * scaled[j]
        totals[i] = total
    for i in range(K):
        before[i] = logarithm(max(totals[i], SMALLEST), 0.0) + top
    for i in range(K):
        if totals[i] <= SMALLEST:
            for j in range(K):
                scaled[j] = transition[i, j] + ahead[j]
            before[i] = log_total(scaled)


@kernel
def forward_sequence(initial, transition, moves, emission, start, stop, log_alpha):
    """Fill rows start:stop of log_alpha; `moves` is exp(transition), both (1 or n, K, K)."""
    work = np.empty((2, emission.shape[1]), log_alpha.dtype)
    for j in range(emission.shape[1]):
        log_alpha[start, j] = initial[j] + emission[start, j]
    for t in range(start + 1, stop):
        m = t if moves.shape[0] > 1 else 0
        _arrive(log_alpha[t - 1], transition[m], moves[m], emission[t], log_alpha[t], work)


@kernel
def backward_sequence(transition, moves, emission, start, stop, log_beta):
    """Fill rows start:stop of log_beta."""
    work = np.empty((3, emission.shape[1]), log_beta.dtype)
    ahead = work[2]
    for i in range(emission.shape[1]):
        log_beta[stop - 1, i] = 0
    for t in range(stop - 1, start, -1):
        m = t if moves.shape[0] > 1 else 0
        for j in range(emission.shape[1]):
            ahead[j] = emission[t, j] + log_beta[t, j]
        _leave(ahead, transition[m], moves[m], log_beta[t - 1], work)


@inlined
def _add_pairs(before, matrix, moves, ahead, loglik, weight, counts, work):
    """Add ``weight P(z_{t-1} = i, z_t = j | y)`` to counts."""
    K = before.shape[0]
    left, right = work[0], work[1]
    scale = _scale(before, left) + _scale(ahead, right) - loglik
    if scale < LARGEST:
        factor = np.exp(scale) * weight
        for i in range(K):
            share, row, total = factor * left[i], moves[i], counts[i]
            for j in range(K):
                total[j] += share * right[j] * row[j]
    else:
        for i in range(K):
            for j in range(K):
                counts[i, j] += weight * np.exp(before[i] + matrix[i, j] + ahead[j] - loglik)


@kernel
def _exponentials(x):
    out = np.empty_like(x)
    for t in range(x.shape[0]):
        for i in range(x.shape[1]):
            for j in range(x.shape[2]):
                out[t, i, j] = np.exp(x[t, i, j])
    return out


@kernel
def expect_rows(transition, moves, emission, log_alpha, log_beta, loglik, weight, first, start, stop, counts, gamma):
    """Fill rows start:stop of gamma, and add the moves into them to counts.

    `loglik` (n,) is that of the row's sequence, inf where it is impossible; `first` (n,) marks first rows.
    """
    work = np.empty((3, emission.shape[1]), emission.dtype)
    ahead = work[2]
    for t in range(start, stop):
        for j in range(emission.shape[1]):
            ahead[j] = emission[t, j] + log_beta[t, j]
            gamma[t, j] = weight[t] * exponential(log_alpha[t, j] + log_beta[t, j] - loglik[t])
        if not first[t] and loglik[t] < np.inf:
            m = t if moves.shape[0] > 1 else 0
            _add_pairs(log_alpha[t - 1], transition[m], moves[m], ahead, loglik[t], weight[t], counts[m], work)


@kernel
def _edges(lengths):
    """Where sequences start, and n; a `start = 0` would be a type of its own, and all below compiled twice."""
    edges = np.zeros(lengths.shape[0] + 1, np.int64)
    for s in range(lengths.shape[0]):
        edges[s + 1] = edges[s] + lengths[s]
    return edges


@kernel
def _posterior(initial, transition, emission, lengths, weights):
    """Return what `chains.posterior` does; transition is (1 or n, K, K)."""
    n, K = emission.shape
    moves, edges = _exponentials(transition), _edges(lengths)
    log_alpha, log_beta = np.empty((n, K)), np.empty((n, K))
    loglik, by_row, weight, is_first = np.empty(lengths.shape[0]), np.empty(n), np.empty(n), np.zeros(n, np.bool_)
    for s in range(lengths.shape[0]):
        start, stop = edges[s], edges[s + 1]
        forward_sequence(initial, transition, moves, emission, start, stop, log_alpha)
        backward_sequence(transition, moves, emission, start, stop, log_beta)
        loglik[s] = log_total(log_alpha[stop - 1])
        is_first[start] = True
        for t in range(start, stop):
            by_row[t] = loglik[s] if loglik[s] > -np.inf else np.inf
            weight[t] = weights[s]
    counts, gamma, first = np.zeros(transition.shape), np.empty((n, K)), np.zeros(K)
    expect_rows(
        transition, moves, emission, log_alpha, log_beta, by_row, weight, is_first, edges[0], edges[-1], counts, gamma
    )
    for s in range(lengths.shape[0]):
        for j in range(K):
            first[j] += gamma[edges[s], j]
    return first, counts, gamma, loglik


@kernel
def _likelihood(initial, transition, emission, lengths):
    moves = _exponentials(transition)
    log_alpha, loglik = np.empty_like(emission), np.empty(lengths.shape[0], emission.dtype)
    edges = _edges(lengths)
    for s in range(lengths.shape[0]):
        start, stop = edges[s], edges[s + 1]
        forward_sequence(initial, transition, moves, emission, start, stop, log_alpha)
        loglik[s] = log_total(log_alpha[stop - 1])
    return loglik


@kernel
def _plain(x):
    """Contiguous float64, in which all is computed."""
    return np.ascontiguousarray(x).astype(np.float64)


@kernel
def _matrices(transition):
    """Transition probabilities as (1, K, K)."""
    return _plain(transition).reshape((1, *transition.shape))


@register_funcify_default_op_cache_key(ChainLikelihood)
def _chain_likelihood(op: ChainLikelihood, node: Any = None, **kwargs: Any) -> tuple[Callable, int]:
    matrices, dtype = (_plain if op.varying else _matrices), np.dtype(node.outputs[0].type.dtype)

    @numba_njit
    def chain_likelihood(initial, transition, emission, lengths):
        return _likelihood(_plain(initial), matrices(transition), _plain(emission), lengths).astype(dtype)

    return chain_likelihood, VERSION


@register_funcify_default_op_cache_key(ChainPosterior)
def _chain_posterior(op: ChainPosterior, node: Any = None, **kwargs: Any) -> tuple[Callable, int]:
    varying, dtype = op.varying, np.dtype(node.outputs[0].type.dtype)
    matrices = _plain if varying else _matrices

    @numba_njit
    def chain_posterior(initial, transition, emission, lengths, g):
        first, counts, gamma, _ = _posterior(
            _plain(initial), matrices(transition), _plain(emission), lengths, _plain(g)
        )
        moves = counts.reshape(transition.shape)
        return first.astype(dtype), moves.astype(dtype), gamma.astype(dtype)

    return chain_posterior, VERSION


@register_funcify_and_cache_key(ChainTangent)
def _chain_tangent(op: ChainTangent, node: Any, **kwargs: Any) -> tuple[Callable, None]:
    """NumPy's: the kernels on complex numbers would take Numba longer to compile than Hessians take to compute."""
    types = numba.types.Tuple([get_numba_type(v.type) for v in node.outputs])

    def by_numpy(given):
        cells = [[None] for _ in node.outputs]
        op.perform(node, list(given), cells)
        return tuple(cell[0] for cell in cells)

    @numba_njit
    def chain_tangent(*given):
        with numba.objmode(found=types):
            found = by_numpy(given)
        return found

    return chain_tangent, None
