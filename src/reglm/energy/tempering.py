"""Parallel tempering: chains at several temperatures that exchange their states."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from reglm.energy.gibbs import Chains, Layers
from reglm.parameters import Array


class Tempered:
    """Chains at inverse temperatures between 0 and 1, which multiply weights and hidden biases.

    Neighbours exchange their states with the probability that leaves their joint distribution as it is (Swendsen &
    Wang 1986; for Boltzmann machines Desjardins et al. 2010); hot chains mix fast and carry the cold ones along.

    Parameters
    ----------
    n_chains : int
        At every temperature.
    n_temperatures : int
        Evenly spaced, from 1 down to 0.
    layers : Layers
    rng : Generator
    """

    def __init__(self, n_chains: int, n_temperatures: int, layers: Layers, rng: np.random.Generator) -> None:
        self.shape, self.rng = (n_temperatures, n_chains), rng
        self.levels = np.linspace(1, 0, n_temperatures)
        n, kind = n_temperatures * n_chains, layers.W.dtype
        h = (rng.random((n, len(layers.c))) < 0.5).astype(kind)
        self.chains = Chains(h, len(layers.b), rng, beta=np.repeat(self.levels, n_chains))
        self.turn = 0
        self.accepted = np.zeros(n_temperatures - 1)

    def advance(self, layers: Layers, k: int) -> tuple[Array, Array]:
        """Sweep k times and exchange once; visible units (m, D) and probabilities (m, H) of the cold chains."""
        self.chains.advance(layers, k)
        self._exchange(layers)
        m = self.shape[1]
        return self.chains.v[:m], self.chains.p[:m]

    def _exchange(self, layers: Layers) -> None:
        """Exchange every other pair of neighbours; the visible part of the energy is the same at all temperatures."""
        chains, levels, m = self.chains, self.levels, self.shape[1]
        a = layers.scaled(chains.v) @ layers.W + layers.c
        pull = np.einsum("ij,ij->i", chains.h, a).reshape(self.shape).astype(float)  # minus energy is b'v + beta pull
        rows = np.arange(len(a)).reshape(self.shape)
        for low in range(self.turn, len(levels) - 1, 2):
            log_ratio = (levels[low] - levels[low + 1]) * (pull[low + 1] - pull[low])
            swapped = np.log(self.rng.random(m)) < log_ratio
            self.accepted[low] = 0.9 * self.accepted[low] + 0.1 * swapped.mean()
            one, other = rows[low, swapped], rows[low + 1, swapped]
            for block in (chains.v, chains.h, a):
                block[one], block[other] = block[other], block[one]
        chains.p[:m] = expit(a[:m])
        self.turn = 1 - self.turn
