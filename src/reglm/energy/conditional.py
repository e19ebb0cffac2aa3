"""Incomplete rows: what is unobserved given what is observed, by Gibbs sweeps that leave the latter alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reglm.energy.free_energy import Theta
from reglm.energy.gibbs import Layers, hidden_units, n_parts, visible_units
from reglm.energy.random import streams
from reglm.energy.visible import Visible
from reglm.parameters import Array
from reglm.threads import map_rows, single_threaded


class Completed(NamedTuple):
    """Rows without gaps.

    Attributes
    ----------
    means : (n, D) array
        Observed values, and conditional means of the others.
    hidden : (n, H) array
        Conditional means of the hidden units.
    draws : (n, D) array
        Observed values, and one draw of the others.
    """

    means: Array
    hidden: Array
    draws: Array


def complete(
    visible: Visible, theta: Theta, V: Array, rng: np.random.Generator, n_sweeps: int = 200, burn_in: int = 50
) -> Completed:
    """Complete rows by conditional means, averaged over sweeps, and by a draw.

    Parameters
    ----------
    visible : Visible
    theta : Theta
    V : (n, D) array
        NaN is unobserved; a categorical block is observed or not as a whole.
    rng : Generator
    n_sweeps : int
        Sweeps that are averaged over.
    burn_in : int
        Sweeps before.

    Returns
    -------
    Completed
    """
    free = np.isnan(V)
    start = visible.draw(np.broadcast_to(theta.b, V.shape).astype(float), theta.log_var, rng)
    draws = np.where(free, start, V)
    means, hidden = np.where(free, 0.0, V), np.zeros((len(V), len(theta.c)))
    layers, parts = Layers.of(visible, theta), n_parts(len(V))
    states = streams(rng, parts)

    def run(start: int, stop: int) -> None:
        for index in range(start, stop):
            at = slice(len(V) * index // parts, len(V) * (index + 1) // parts)
            _sweeps(layers, draws[at], free[at], means[at], hidden[at], (burn_in, n_sweeps), states[index])

    with single_threaded():
        list(map_rows(run, parts, 1, hold=False))
    return Completed(means, hidden, draws)


def _sweeps(
    layers: Layers, v: Array, free: Array, means: Array, hidden: Array, sweeps: tuple[int, int], state: Array
) -> None:
    """Sweep over some rows in place, adding conditional means of the second number of sweeps to their averages."""
    burn_in, kept = sweeps
    h, drawn, ones = np.empty_like(hidden), np.empty_like(v), np.ones(len(v))
    for sweep in range(burn_in + kept):
        p = layers.scaled(v) @ layers.W
        hidden_units(p, layers.c, ones, h, state)
        eta = h @ layers.W.T
        visible_units(eta, layers.b, layers.sd, ones, layers.codes, layers.edges, drawn, state)
        v[free] = drawn[free]
        if sweep >= burn_in:
            means[free] += eta[free] / kept
            hidden += p / kept
