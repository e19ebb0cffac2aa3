"""Forward and backward recursions of hidden Markov chains by NumPy, all sequences at once, step by step.

Conventions
-----------
initial : (..., K) log probabilities of the first state; transition : (..., K, K), or (..., n, K, K) with one matrix a
row, which leads into that row (those of first rows are not used); emission : (..., n, K) log densities of the rows
given the states; lengths : (S,). Leading axes are models that share the rows. Entries may be -inf. No sum over states
underflows: logarithms are added. The functions are analytic and take complex numbers, so derivatives can be had by a
complex step.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

Array = np.ndarray

LARGEST = 500.0
"""Logarithm of the largest scale at which products of scaled vectors are trusted."""
TINY = 1e-30
"""Complex step."""


def log_sum(x: Array, axis: int) -> Array:
    """``log(sum(exp(x)))`` over an axis of real or complex x, -inf where all entries are."""
    top = x.real.max(axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.log(np.exp(x - top).sum(axis=axis)) + top.squeeze(axis)


def edges(lengths: Array) -> tuple[Array, Array]:
    """First and last row of each sequence, (S,) each."""
    ends = np.cumsum(lengths)
    return ends - lengths, ends - 1


def steps(lengths: Array) -> Iterator[Array]:
    """Yield the rows that follow another one, all second rows first, then all third rows, ..."""
    starts, _ = edges(lengths)
    longest = np.argsort(-lengths, kind="stable")
    for t in range(1, int(lengths.max())):
        longest = longest[: np.count_nonzero(lengths[longest] > t)]
        yield starts[longest] + t


def is_varying(transition: Array, emission: Array) -> bool:
    """Whether there is a transition matrix for every row."""
    return transition.ndim > emission.ndim


def into(transition: Array, rows: Array, varying: bool) -> Array:
    """Matrices that lead into rows, (..., rows or 1, K, K)."""
    return transition[..., rows, :, :] if varying else transition[..., None, :, :]


def forward(initial: Array, transition: Array, emission: Array, lengths: Array) -> Array:
    """``log p(y_1..y_t, z_t = j)`` within each sequence, (..., n, K) (Rabiner 1989, 19-20)."""
    varying = is_varying(transition, emission)
    kind = np.result_type(initial, transition, emission)
    log_alpha = np.empty(emission.shape, kind)
    first, _ = edges(lengths)
    log_alpha[..., first, :] = initial[..., None, :] + emission[..., first, :]
    for rows in steps(lengths):
        arrived = log_sum(log_alpha[..., rows - 1, :, None] + into(transition, rows, varying), axis=-2)
        log_alpha[..., rows, :] = arrived + emission[..., rows, :]
    return log_alpha


def backward(transition: Array, emission: Array, lengths: Array) -> Array:
    """``log p(y_{t+1}..y_T | z_t = i)`` within each sequence, (..., n, K) (Rabiner 1989, 24-25)."""
    varying = is_varying(transition, emission)
    log_beta = np.zeros(emission.shape, np.result_type(transition, emission))
    for rows in reversed(list(steps(lengths))):
        ahead = emission[..., rows, :] + log_beta[..., rows, :]
        log_beta[..., rows - 1, :] = log_sum(into(transition, rows, varying) + ahead[..., None, :], axis=-1)
    return log_beta


def evidence(log_alpha: Array, lengths: Array) -> Array:
    """Log-likelihood of each sequence, (..., S)."""
    return log_sum(log_alpha[..., edges(lengths)[1], :], axis=-1)


def smoothed(log_alpha: Array, log_beta: Array, lengths: Array) -> Array:
    """``P(z_t = j | y)``, (..., n, K); zeros in sequences of probability zero."""
    total = _by_row(evidence(log_alpha, lengths), lengths)
    return np.exp(log_alpha + log_beta - total[..., None])


def _by_row(loglik: Array, lengths: Array) -> Array:
    possible = np.where(np.isfinite(loglik.real), loglik, np.inf)
    return np.repeat(possible, lengths, axis=-1)


def followers(lengths: Array) -> Array:
    """Rows that have a predecessor, in the order of the rows."""
    is_first = np.zeros(int(lengths.sum()), bool)
    is_first[edges(lengths)[0]] = True
    return np.flatnonzero(~is_first)


def pair_posteriors(
    transition: Array, emission: Array, log_alpha: Array, log_beta: Array, lengths: Array, rows: Array
) -> Array:
    """``P(z_{t-1} = i, z_t = j | y)`` for rows that have a predecessor, (..., rows, K, K)."""
    total = _by_row(evidence(log_alpha, lengths), lengths)[..., rows, None]
    ahead = (emission + log_beta)[..., rows, :] - total
    pairs = log_alpha[..., rows - 1, :, None] + into(transition, rows, is_varying(transition, emission))
    return np.exp(pairs + ahead[..., None, :])


def transition_counts(
    transition: Array, emission: Array, log_alpha: Array, log_beta: Array, lengths: Array, weights: Array
) -> Array:
    """``sum_t w_t P(z_{t-1} = i, z_t = j | y)`` for one model and one transition matrix, (K, K).

    A product of two scaled matrices, and term by term in the rows whose scales would overflow.

    Parameters
    ----------
    weights : ndarray (n,)
    """
    rows = followers(lengths)
    behind, ahead = log_alpha[rows - 1], emission[rows] + log_beta[rows]
    tops = [np.where(np.isfinite(x), x, 0.0) for x in (behind.real.max(axis=1), ahead.real.max(axis=1))]
    scale = tops[0] + tops[1] - _by_row(evidence(log_alpha, lengths), lengths)[rows]
    plain = scale.real < LARGEST
    if not plain.all():
        odd = rows[~plain]
        pairs = pair_posteriors(transition, emission, log_alpha, log_beta, lengths, odd)
        extra = np.einsum("t,tij->ij", weights[odd], pairs)
        behind, ahead, scale, rows = behind[plain], ahead[plain], scale[plain], rows[plain]
        tops = [top[plain] for top in tops]
    else:
        extra = np.zeros(transition.shape)
    factor = np.exp(scale) * weights[rows]
    left, right = np.exp(behind - tops[0][:, None]), np.exp(ahead - tops[1][:, None]) * factor[:, None]
    return (left.T @ right) * np.exp(transition) + extra


def posterior(
    initial: Array, transition: Array, emission: Array, lengths: Array, weights: Array
) -> tuple[Array, Array, Array, Array]:
    """Log-likelihoods, and the derivatives of their weighted sum: expected counts.

    Parameters
    ----------
    weights : ndarray (S,)
        Of the sequences.

    Returns
    -------
    tuple
        Derivatives in initial (K,), transition (its shape) and emission (n, K); log-likelihoods (S,).
    """
    log_alpha = forward(initial, transition, emission, lengths)
    log_beta = backward(transition, emission, lengths)
    by_row = np.repeat(weights, lengths)
    gamma = smoothed(log_alpha, log_beta, lengths) * by_row[:, None]
    if is_varying(transition, emission):
        counts = np.zeros(transition.shape, log_alpha.dtype)
        rows = followers(lengths)
        pairs = pair_posteriors(transition, emission, log_alpha, log_beta, lengths, rows)
        counts[rows] = pairs * by_row[rows, None, None]
    else:
        counts = transition_counts(transition, emission, log_alpha, log_beta, lengths, by_row)
    return gamma[edges(lengths)[0]].sum(axis=0), counts, gamma, evidence(log_alpha, lengths)


def tangent(
    initial: Array, transition: Array, emission: Array, lengths: Array, weights: Array, direction: tuple[Array, ...]
) -> tuple[Array, Array, Array, Array]:
    """Directional derivative of `posterior` along a direction of its first three arguments, by a complex step."""
    given = zip((initial, transition, emission), direction, strict=True)
    first, moves, states = (value.astype(np.complex128) + 1j * TINY * v for value, v in given)
    results = posterior(first, moves, states, lengths, weights)
    return tuple(result.imag / TINY for result in results)  # type: ignore[return-value]  # four of them
