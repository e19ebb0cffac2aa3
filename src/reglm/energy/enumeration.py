"""Partition function, moments and likelihood gradient of a small machine, by adding up all states of one side."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.special import expit, logsumexp

from reglm.energy.free_energy import Theta, free_energy, gradient
from reglm.energy.visible import Visible
from reglm.parameters import Array

LIMIT = 22
"""Binary units up to which a side is enumerated."""
BITS = 12
"""States are taken in blocks of 2 to this power."""


def is_small(visible: Visible, n_hidden: int, limit: int = LIMIT) -> bool:
    """Whether one side has at most ``2^limit`` states."""
    return n_hidden <= limit or np.log2(visible.n_states) <= limit


def hidden_states(n_hidden: int) -> Iterator[Array]:
    """Yield all binary states (2^n_hidden, n_hidden) in blocks of rows."""
    total, block = 1 << n_hidden, 1 << min(n_hidden, BITS)
    units = np.arange(n_hidden)
    for start in range(0, total, block):
        yield ((np.arange(start, start + block)[:, None] >> units) & 1).astype(float)


def log_partition(visible: Visible, theta: Theta, limit: int = LIMIT) -> float:
    """Exact log Z.

    Parameters
    ----------
    visible : Visible
    theta : Theta
    limit : int
        Most binary units, or the logarithm to base 2 of the states, of the side that is enumerated.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If both sides are larger.
    """
    if _side(visible, theta, limit) == "visible":
        return float(logsumexp(-free_energy(visible, theta, visible.states())))
    return float(logsumexp([logsumexp(_hidden_log_weight(visible, theta, h)) for h in hidden_states(len(theta.c))]))


def _side(visible: Visible, theta: Theta, limit: int) -> str:
    n_hidden = len(theta.c)
    if not is_small(visible, n_hidden, limit):
        raise ValueError(
            f"{n_hidden} hidden and {visible.size} visible units are too many to enumerate (limit={limit} binary units "
            "on the smaller side); estimate log Z by annealed importance sampling."
        )
    return "visible" if np.log2(visible.n_states) < n_hidden else "hidden"


def _hidden_log_weight(visible: Visible, theta: Theta, h: Array) -> Array:
    """``log sum_v e^-E(v, h)`` for states h (m, H)."""
    return h @ theta.c + visible.log_partition(theta.visible_input(h), theta.b, theta.log_var)


def moments(visible: Visible, theta: Theta, limit: int = LIMIT) -> Theta:
    """Exact means of ``-dE/dtheta`` under the model, given by name of the parameter.

    Returns
    -------
    Theta
        `c` is E[h], `W` E[s h'], and `b` E[v] (E[v - b] / sigma^2 for Gaussian columns).
    """
    log_z = log_partition(visible, theta, limit)
    if _side(visible, theta, limit) == "visible":
        V = visible.states()
        p = np.exp(-free_energy(visible, theta, V) - log_z)
        on = expit(theta.hidden_input(V))
        return Theta((V * p[:, None]).T @ on, p @ V, p @ on, np.zeros(visible.size))
    total = [np.zeros_like(block, dtype=float) for block in theta]
    for h in hidden_states(len(theta.c)):
        p = np.exp(_hidden_log_weight(visible, theta, h) - log_z)
        for block, part in zip(total, _weighted(visible, theta, h, p), strict=True):
            block += part
    return Theta(*total)


def _weighted(visible: Visible, theta: Theta, h: Array, p: Array) -> Theta:
    """Conditional means of ``-dE/dtheta`` given states h (m, H), added up with weights p (m,)."""
    eta = theta.visible_input(h)
    mean, var, is_gaussian = visible.mean(eta), np.exp(theta.log_var), visible.columns_of("gaussian")
    by_b = np.where(is_gaussian, (mean - theta.b) / var, mean)
    squared = ((eta - theta.b) ** 2 + var) / (2 * var) - eta * (eta - theta.b) / var
    weighted = (mean / var * p[:, None]).T
    return Theta(weighted @ h, p @ by_b, p @ h, np.where(is_gaussian, p @ squared, 0.0))


def log_likelihood(visible: Visible, theta: Theta, V: Array, limit: int = LIMIT) -> Array:
    """Exact log-densities (n,) of coded rows V (n, D)."""
    return -free_energy(visible, theta, V) - log_partition(visible, theta, limit)


def score(visible: Visible, theta: Theta, V: Array, limit: int = LIMIT) -> Theta:
    """Exact gradient of the mean log-likelihood of coded rows V (n, D)."""
    data, model = gradient(visible, theta, V), moments(visible, theta, limit)
    return Theta(*(block / len(V) - expected for block, expected in zip(data, model, strict=True)))
