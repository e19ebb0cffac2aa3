"""Gibbs sweeps by JAX, for accelerators and for programs that differentiate or batch what they are part of."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from reglm.energy.free_energy import Theta
from reglm.energy.visible import Visible
from reglm.parameters import Array


def sweeps(visible: Visible, theta: Theta, h: Array, seed: int, k: int) -> tuple[Array, Array]:
    """Sweep k times from hidden to visible units and back.

    Parameters
    ----------
    visible : Visible
    theta : Theta
        Its precision is that of the sweeps.
    h : (n, H) array
        Hidden units to begin with.
    seed : int
    k : int
        A traced number: another one is not compiled again.

    Returns
    -------
    v, h : arrays (n, D), (n, H)
        The units drawn last.
    """
    import jax

    jax.config.update("jax_enable_x64", True)
    v, h = _compiled(visible)(tuple(theta), h.astype(theta.W.dtype), jax.random.key(seed), k)
    return np.asarray(v), np.asarray(h)


@cache
def _compiled(visible: Visible) -> Any:
    """Sweeps of one visible layer, compiled for each shape and precision."""
    import jax
    import jax.numpy as jnp

    def draw(kind: str, eta: Any, var: Any, key: Any) -> Any:
        if kind == "bernoulli":
            return jax.random.bernoulli(key, jax.nn.sigmoid(eta)).astype(eta.dtype)
        if kind == "categorical":
            return jax.nn.one_hot(jax.random.categorical(key, eta), eta.shape[1], dtype=eta.dtype)
        if kind == "poisson":
            return jax.random.poisson(key, jnp.exp(eta)).astype(eta.dtype)
        return eta + jnp.sqrt(var) * jax.random.normal(key, eta.shape, eta.dtype)

    def run(theta: Any, h: Any, key: Any, k: Any) -> Any:
        W, b, c, log_var = theta
        var = jnp.exp(log_var)

        def sweep(i: Any, state: Any) -> Any:
            keys = jax.random.split(jax.random.fold_in(key, i), len(visible.parts) + 1)
            eta = b + state[1] @ W.T
            parts = [
                draw(kind, eta[:, at], var[at], own) for (kind, at), own in zip(visible.parts, keys[1:], strict=True)
            ]
            v = jnp.concatenate(parts, axis=1)
            return v, draw("bernoulli", c + (v / var) @ W, var, keys[0])

        return jax.lax.fori_loop(0, k, sweep, (jnp.zeros((h.shape[0], len(b)), h.dtype), h))

    return jax.jit(run)
