"""Deep belief networks: Boltzmann machines stacked, each on the hidden units of the one below (Hinton et al. 2006).

Of the machines below the top only one direction is kept, p(v | h); the top one is a joint density:
``p(v, h1, ..., hL) = p(v | h1) ... p(h(L-2) | h(L-1)) p(h(L-1), hL)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import xlogy

from reglm.energy.free_energy import Theta, free_energy
from reglm.energy.visible import Block, Visible
from reglm.parameters import Array


class Machine(NamedTuple):
    """One layer: its visible units and its parameters."""

    visible: Visible
    theta: Theta


def binary(width: int) -> Visible:
    """Visible layer of the machines that stand on hidden units."""
    return Visible((Block("bernoulli", width),))


def activities(machines: Sequence[Machine], V: Array) -> list[Array]:
    """Probabilities of the hidden units of every layer, means passed upwards: (n, H_1), (n, H_2), ..."""
    found = []
    for machine in machines:
        V = machine.theta.hidden_mean(V)
        found.append(V)
    return found


def log_conditional(machine: Machine, V: Array, h: Array) -> Array:
    """``log p(v | h)`` (n,) for rows V (n, D) and hidden units h (n, H)."""
    visible, theta = machine
    alone = Theta(np.zeros_like(theta.W), theta.b, np.zeros_like(theta.c), theta.log_var)
    base = free_energy(visible, alone, V) + len(theta.c) * np.log(2)  # E_0(v): each unit alone adds log 2
    inner = np.einsum("nd,dh,nh->n", theta.scaled(V), theta.W, h, optimize=True)
    normaliser = np.asarray(visible.log_partition(theta.visible_input(h), theta.b, theta.log_var))
    return inner - base - normaliser


def entropy(p: Array) -> Array:
    """Entropy (n,) of independent binary units with probabilities p (n, H)."""
    return -(xlogy(p, p) + xlogy(1 - p, 1 - p)).sum(axis=1)


def lower_bound(machines: Sequence[Machine], log_z: float, V: Array, draws: int, rng: np.random.Generator) -> Array:
    """Variational lower bound of log p(v), an average over draws from the factorial posterior.

    ``E_q[log p(v | h1) + ... + log p(h(L-1))] + H(q)``, where q passes upwards and the top machine's hidden units are
    added up exactly. With one machine it is log p(v) itself.

    Parameters
    ----------
    machines : sequence of Machine
        From below.
    log_z : float
        Of the machine at the top.
    V : (n, D) array
    draws : int
        Draws for each row.
    rng : Generator

    Returns
    -------
    (n,) array
    """
    total = np.zeros(len(V))
    top = machines[-1]
    for _ in range(draws):
        below = V
        for machine in machines[:-1]:
            p = machine.theta.hidden_mean(below)
            h = (rng.random(p.shape) < p).astype(float)
            total += log_conditional(machine, below, h) + entropy(p)
            below = h
        total -= free_energy(top.visible, top.theta, below) + log_z
    return total / draws


def generate(machines: Sequence[Machine], H: Array, rng: np.random.Generator, mean: bool) -> Array:
    """Pass from states H (n, D_top) of the visible units of the top machine down to rows, or their means, (n, D)."""
    for i, machine in enumerate(reversed(machines[:-1])):
        eta = machine.theta.visible_input(H)
        last = i == len(machines) - 2
        H = machine.visible.mean(eta) if mean and last else machine.visible.draw(eta, machine.theta.log_var, rng)
    return H


def encoder(machines: Sequence[Machine]) -> list[tuple[Array, Array]]:
    """Weights and biases of the network that passes rows upwards, sigmoid in every layer."""
    return [(m.theta.W * np.exp(-m.theta.log_var)[:, None], m.theta.c) for m in machines]


def unrolled(machines: Sequence[Machine]) -> list[tuple[Array, Array]]:
    """Weights and biases of all layers of the deep autoencoder (Hinton & Salakhutdinov 2006): up, then down."""
    return encoder(machines) + [(m.theta.W.T, m.theta.b) for m in reversed(machines)]
