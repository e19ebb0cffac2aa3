"""JAX forms of the Ops of hidden Markov chains: one scan over the rows each way. Importing registers them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytensor.link.jax.dispatch.basic import jax_funcify

from reglm.ops.forward_backward import ChainLikelihood, ChainPosterior, ChainTangent


def log_sum(x: Any, axis: int) -> Any:
    """``log(sum(exp(x)))``, with derivatives where all entries are -inf."""
    from jax import numpy as jnp

    top = x.max(axis=axis, keepdims=True)
    top = jnp.where(jnp.isfinite(top), top, 0.0)
    total = jnp.exp(x - top).sum(axis=axis)
    return jnp.where(total > 0, jnp.log(jnp.where(total > 0, total, 1.0)) + top.squeeze(axis), -jnp.inf)


def _edges(lengths: Any, n: int) -> tuple[Any, Any, Any, Any]:
    """First and last row of each sequence, whether a row is a first one, and its sequence."""
    from jax import numpy as jnp

    ends = jnp.cumsum(lengths)
    is_first = jnp.zeros(n, bool).at[ends - lengths].set(True)
    return ends - lengths, ends - 1, is_first, jnp.cumsum(is_first) - 1


def _into(transition: Any, n: int) -> Any:
    from jax import numpy as jnp

    return transition if transition.ndim == 3 else jnp.broadcast_to(transition, (n, *transition.shape))


def forward(initial: Any, transition: Any, emission: Any, lengths: Any) -> Any:
    """Return what `chains.forward` does."""
    import jax
    from jax import numpy as jnp

    n = emission.shape[0]

    def step(before: Any, row: Any) -> Any:
        is_first, matrix, density = row
        now = density + jnp.where(is_first, initial, log_sum(before[:, None] + matrix, 0))
        return now, now

    rows = (_edges(lengths, n)[2], _into(transition, n), emission)
    return jax.lax.scan(step, jnp.zeros_like(initial), rows)[1]


def backward(transition: Any, emission: Any, lengths: Any) -> Any:
    """Return what `chains.backward` does."""
    import jax
    from jax import numpy as jnp

    n = emission.shape[0]

    def step(ahead: Any, row: Any) -> Any:
        is_first, matrix, density = row  # those of the next row
        now = jnp.where(is_first, 0.0, log_sum(matrix + (density + ahead)[None, :], 1))
        return now, now

    following = (jnp.roll(_edges(lengths, n)[2], -1), *(jnp.roll(x, -1, 0) for x in (_into(transition, n), emission)))
    return jax.lax.scan(step, jnp.zeros_like(emission[0]), following, reverse=True)[1]


def likelihood(initial: Any, transition: Any, emission: Any, lengths: Any) -> Any:
    """Log-likelihood of each sequence."""
    log_alpha = forward(initial, transition, emission, lengths)
    return log_sum(log_alpha[_edges(lengths, emission.shape[0])[1]], 1)


def posterior(initial: Any, transition: Any, emission: Any, lengths: Any, weights: Any) -> tuple[Any, ...]:
    """Return what `chains.posterior` does."""
    from jax import numpy as jnp

    n = emission.shape[0]
    first, last, is_first, sequence = _edges(lengths, n)
    log_alpha, log_beta = forward(initial, transition, emission, lengths), backward(transition, emission, lengths)
    loglik = log_sum(log_alpha[last], 1)
    possible = jnp.where(loglik > -jnp.inf, loglik, jnp.inf)[sequence][:, None]
    weight = weights[sequence][:, None]
    gamma = weight * jnp.exp(log_alpha + log_beta - possible)
    before = jnp.roll(log_alpha, 1, 0)[:, :, None]
    pairs = jnp.exp(before + _into(transition, n) + (emission + log_beta - possible)[:, None, :])
    counts = jnp.where(is_first[:, None, None], 0.0, pairs * weight[:, :, None])
    return gamma[first].sum(0), (counts if transition.ndim == 3 else counts.sum(0)), gamma, loglik


@jax_funcify.register(ChainLikelihood)
def _chain_likelihood(op: ChainLikelihood, node: Any = None, **kwargs: Any) -> Callable:
    return likelihood


@jax_funcify.register(ChainPosterior)
def _chain_posterior(op: ChainPosterior, node: Any = None, **kwargs: Any) -> Callable:
    return lambda *given: posterior(*given)[:3]


@jax_funcify.register(ChainTangent)
def _chain_tangent(op: ChainTangent, node: Any = None, **kwargs: Any) -> Callable:
    import jax

    def chain_tangent(
        initial: Any, transition: Any, emission: Any, lengths: Any, weights: Any, *direction: Any
    ) -> tuple[Any, ...]:
        def moved(first: Any, moves: Any, states: Any) -> tuple[Any, ...]:
            return posterior(first, moves, states, lengths, weights)

        return jax.jvp(moved, (initial, transition, emission), direction)[1]

    return chain_tangent
