"""JAX forms of the Kalman Ops: one scan over rows, which JAX differentiates. Importing this module registers them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from pytensor.link.jax.dispatch.basic import jax_funcify

from reglm.ops.kalman import KalmanGradient, KalmanLogLikelihood, KalmanTangent
from reglm.ops.kalman_numpy import DIFFUSE, LOG_TWO_PI, System

# In each `where` the argument of the branch that is not taken is made harmless: it is differentiated all the same.


def _over(x, y, valid):
    return jnp.where(valid, x / jnp.where(valid, y, 1.0), 0.0)


def _decorrelate(e, Z, H, seen):
    """Errors and loadings multiplied by the inverse of the unit triangular factor of H, and the factor's variances."""
    H = jnp.where(seen[:, None] & seen, H, 0.0)
    both = jnp.concatenate([jnp.where(seen, e, 0.0)[:, None], jnp.where(seen[:, None], Z, 0.0)], axis=1)

    def eliminate(j, state):
        H, both, h = state
        column = _over(H[:, j], H[j, j], H[j, j] > 0)
        below = jnp.where(jnp.arange(len(e)) > j, column, 0.0)
        return H - jnp.outer(column, H[j]), both - jnp.outer(below, both[j]), h.at[j].set(H[j, j])

    _, both, h = jax.lax.fori_loop(0, len(e), eliminate, (H, both, jnp.zeros_like(e)))
    return both[:, 0], both[:, 1:], h


def _read(state, number):
    a, P, P_inf, limit = state
    e, z, h, seen = number
    v, M, M_inf = e - z @ a, P @ z, P_inf @ z
    F, F_inf = z @ M + h, z @ M_inf
    diffuse = seen & (F_inf > limit * (z @ z))
    proper = seen & ~diffuse & (F > 0)
    k, k0 = _over(M, F, proper), _over(M_inf, F_inf, diffuse)
    k1 = _over(M - k0 * F, F_inf, diffuse)
    a = a + (k + k0) * v
    P = P - jnp.outer(k + k0, M) - jnp.outer(k1, M_inf)
    rest = P_inf - jnp.outer(k0, M_inf)
    P_inf = jnp.where(diffuse & (jnp.abs(rest).max() <= limit), 0.0, rest)
    spread = jnp.log(jnp.where(diffuse, F_inf, jnp.where(proper, F, 1.0)))
    density = -0.5 * (LOG_TWO_PI + spread + _over(v * v, F, proper))
    return (a, P, P_inf, limit), jnp.where(seen, jnp.where(diffuse | proper, density, -jnp.inf), 0.0)


def _log_likelihood(system: System, y: Any, edges: Any, P1_inf: Any) -> Any:
    system = system.symmetric()
    limit = DIFFUSE * jnp.abs(P1_inf).max(initial=0.0)
    starts = jnp.zeros(len(y), bool).at[edges[:-1]].set(True)

    def step(state, row):
        y, d, c, first = row
        begin = system.a1, system.P1, P1_inf
        a, P, P_inf = (jnp.where(first, new, old) for new, old in zip(begin, state, strict=True))
        seen = ~jnp.isnan(y)
        e, Z, h = _decorrelate(jnp.where(seen, y, 0.0) - d, system.Z, system.H, seen)
        (a, P, P_inf, _), densities = jax.lax.scan(_read, (a, P, P_inf, limit), (e, Z, h, seen))
        T = system.T
        return (c + T @ a, T @ P @ T.T + system.V, T @ P_inf @ T.T), densities.sum()

    _, values = jax.lax.scan(step, (system.a1, system.P1, P1_inf), (y, system.d, system.c, starts))
    numbers = jnp.cumsum(starts) - 1
    return jax.ops.segment_sum(values, numbers, num_segments=edges.shape[0] - 1)


def _gradient(system: System, y: Any, edges: Any, P1_inf: Any, g: Any) -> System:
    _, back = jax.vjp(lambda s: _log_likelihood(s, y, edges, P1_inf), system)
    return back(g)[0]


@jax_funcify.register(KalmanLogLikelihood)
def _funcify(op: KalmanLogLikelihood, node: Any = None, **kwargs: Any) -> Callable:
    return lambda y, edges, P1_inf, *system: _log_likelihood(System(*system), y, edges, P1_inf)


@jax_funcify.register(KalmanGradient)
def _funcify_gradient(op: KalmanGradient, node: Any = None, **kwargs: Any) -> Callable:
    return lambda y, edges, P1_inf, *rest: tuple(_gradient(System(*rest[:8]), y, edges, P1_inf, rest[8]))


@jax_funcify.register(KalmanTangent)
def _funcify_tangent(op: KalmanTangent, node: Any = None, **kwargs: Any) -> Callable:
    def tangent(y, edges, P1_inf, *rest):
        system, g, along = System(*rest[:8]), rest[8], System(*rest[9:])
        _, gradient = jax.jvp(lambda s: _gradient(s, y, edges, P1_inf, g), (system,), (along,))
        _, values = jax.jvp(lambda s: _log_likelihood(s, y, edges, P1_inf), (system,), (along,))
        return (*gradient, values)

    return tangent
