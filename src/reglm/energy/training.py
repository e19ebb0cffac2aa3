"""Stochastic maximum likelihood: contrastive divergence, persistent chains, parallel tempering.

The gradient of the mean log-likelihood is ``E_data[-dF/dtheta] - E_model[-dF/dtheta]``; the second mean is taken over
chains: a few sweeps from the data (CD-k, Hinton 2002), chains that go on from update to update (PCD, Tieleman 2008),
or such chains at several temperatures (Desjardins et al. 2010).

An update is two passes that threads share: over rows for probabilities and sweeps, and over visible units for the
weights, whose product adds itself into them. Rows of data and of chains stand below one another in one matrix, with
weights ``+rate/n`` and ``-rate/m``, and corrections by centring (Montavon & Mueller 2012, in the form of Melchior et
al. 2016) and for sparsity are a few rows more, so that all is one product.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from reglm.energy.free_energy import Theta
from reglm.energy.gibbs import Chains, Layers, hidden_means, hidden_units, n_parts, visible_units
from reglm.energy.random import compiled, streams
from reglm.energy.settings import Settings
from reglm.energy.tempering import Tempered
from reglm.energy.visible import Visible
from reglm.ops.blas import matrix_product
from reglm.optimize import schedules
from reglm.parameters import Array
from reglm.threads import map_rows, single_threaded

SLABS = 4
"""Parts in which the weights are updated, at most."""
EXTRA = 3
"""Rows of corrections below those of data and chains."""
MEMORY = 0.95
"""Weight of the past in running means of hidden probabilities."""
EVERY = 16
"""Updates between two that enter the average."""

_add_product = matrix_product(transpose_left=True, add=True)


@compiled
def _grow(left: Any, right: Any, out: Any) -> None:
    """Add left' right to out."""
    _add_product(left, right, out)


@compiled
def _move(W: Any, velocity: Any, keep: float, decay: float) -> None:
    """Let the velocity move weights that decay, and slow it down."""
    for i in range(W.shape[0]):
        for j in range(W.shape[1]):
            W[i, j] = W[i, j] * keep + velocity[i, j]
            velocity[i, j] *= decay


class Trainer:
    """Parameters with what an update needs: chains, velocities, running means and their memory.

    Parameters
    ----------
    visible : Visible
    theta : Theta
        Start values.
    mean : (D,) array
        Of the data, for centring.
    settings : Settings
    rng : Generator

    Attributes
    ----------
    epochs, updates : int
        Done so far.
    """

    def __init__(
        self, visible: Visible, theta: Theta, mean: Array, settings: Settings, rng: np.random.Generator
    ) -> None:
        self.visible, self.settings, self.rng = visible, settings, rng
        self.kind = np.dtype(settings.dtype)
        self.theta = Theta(*(np.array(block, dtype=self.kind, order="C") for block in theta))
        self.layers = Layers.of(visible, self.theta, self.kind)  # its weights and biases are those of theta
        self.velocity = Theta(*(np.zeros_like(block) for block in self.theta))
        self.is_gaussian = visible.columns_of("gaussian")
        self.mu = mean.astype(self.kind)
        self.offset = np.full(len(theta.c), 0.5, self.kind)
        self.activity = self.offset.copy()
        self.average: list[Array] | None = None
        self.averaged = self.epochs = self.updates = 0
        size, n_hidden = settings.batch_size, len(theta.c)
        self.m = size if settings.n_chains is None or settings.method == "cd" else settings.n_chains
        self.S = np.zeros((self.m + size + EXTRA, visible.size), self.kind)
        self.Q = np.zeros((self.m + size + EXTRA, n_hidden), self.kind)
        self.h = np.zeros((size, n_hidden), self.kind)
        self.ones = np.ones(size, self.kind)
        self.states = streams(rng, n_parts(size))
        self._chains: dict[int, Chains] = {}
        self.tempered: Tempered | None = None

    def chains(self, n: int) -> Chains:
        """Return the n chains whose visible units and probabilities are the first rows of S and Q."""
        if n not in self._chains:
            h = (self.rng.random((n, len(self.theta.c))) < 0.5).astype(self.kind)
            self._chains[n] = Chains(h, self.visible.size, self.rng, v=self.S[:n], p=self.Q[:n])
        return self._chains[n]

    def epoch(self, V: Array, free: Array | None = None, history: Sequence[float] = ()) -> None:
        """Pass over the rows once in random order.

        Parameters
        ----------
        V : (n, D) array
            Of the trainer's precision. Values that are free are overwritten with the draws that stand for them.
        free : (n, D) bool array, optional
            Which values are unobserved.
        history : sequence of float
            What falls from epoch to epoch, for schedules that watch it.
        """
        settings = self.settings
        factor = float(schedules.get(settings.schedule)(self.epochs, settings.max_iter, history))
        k, order = settings.steps(self.epochs), self.rng.permutation(len(V))
        averages = self.epochs >= round((1 - settings.averaging) * settings.max_iter)
        with single_threaded(), np.errstate(over="ignore", invalid="ignore"):  # the caller looks at what came out
            for start in range(0, len(V), settings.batch_size):
                rows = order[start : start + settings.batch_size]
                self.update(V, rows, settings.learning_rate * factor, k, free)
                if averages and self.updates % EVERY == 0:
                    self._add_to_average()
        if averages and not self.averaged:
            self._add_to_average()
        self.epochs += 1

    def update(self, V: Array, rows: Array, rate: float, k: int, free: Array | None = None) -> None:
        """Take one step on some rows of V."""
        n, S = len(rows), self.S
        m = n if self.settings.method == "cd" else self.m
        data = slice(m, m + n)
        np.take(V, rows, axis=0, out=S[data])
        layers = self.layers
        if free is not None and free[rows].any():
            self._fill(layers, V, rows, free[rows], S[data])
        self._sample(layers, m, n, k)
        w = np.empty(m + n, self.kind)
        w[:m], w[m:] = -rate / m, rate / n
        steps = self._steps(layers, w, m, n, rate)
        self._take(steps, m + n, rate)
        self.updates += 1

    def _sample(self, layers: Layers, m: int, n: int, k: int) -> None:
        """Fill S with data over variances and Q with probabilities, of chains first and then of data."""
        chains, S, Q = self.chains(m), self.S, self.Q
        follows = self.settings.method == "cd"
        mean_field = self.settings.start == "mean-field"
        parts = n_parts(n)

        def run(start: int, stop: int) -> None:
            for index in range(start, stop):
                if index < parts:
                    first, last = n * index // parts, n * (index + 1) // parts
                    p = Q[m + first : m + last]
                    np.dot(layers.scaled(S[m + first : m + last]), layers.W, out=p)
                    if follows:
                        hidden_units(p, layers.c, self.ones[first:last], chains.h[first:last], self.states[index])
                        if mean_field:
                            chains.h[first:last] = p
                    else:
                        hidden_means(p, layers.c)
                if index < chains.parts and self.settings.method != "pt":
                    chains.part(layers, index, k)

        list(map_rows(run, max(parts, chains.parts), 1, hold=False))
        if self.settings.method == "pt":
            self._temper(layers, m, k)

    def _temper(self, layers: Layers, m: int, k: int) -> None:
        if self.tempered is None:
            self.tempered = Tempered(m, self.settings.n_temperatures, layers, self.rng)
        self.S[:m], self.Q[:m] = self.tempered.advance(layers, k)

    def _fill(self, layers: Layers, V: Array, rows: Array, free: Array, out: Array) -> None:
        """Draw what is unobserved given the rest, by a sweep from where the last one ended."""
        n, ones = len(rows), self.ones[: len(rows)]
        p, h, eta = self.Q[:n].copy(), self.h[:n], np.empty_like(out)
        np.dot(layers.scaled(out), layers.W, out=p)
        hidden_units(p, layers.c, ones, h, self.states[0])
        np.dot(h, layers.W.T, out=eta)
        drawn = np.empty_like(out)
        visible_units(eta, layers.b, layers.sd, ones, layers.codes, layers.edges, drawn, self.states[0])
        out[free] = drawn[free]
        V[rows] = out

    def _steps(self, layers: Layers, w: Array, m: int, n: int, rate: float) -> Theta:
        """Steps for the vectors; Q becomes weighted, and with the rows of corrections S'Q is the step for W."""
        settings, total = self.settings, m + n
        S, Q, extra = self.S[:total], self.Q[:total], slice(total, total + EXTRA)
        dz = self._variances(layers, w, S, Q) if settings.learn_variance and self.is_gaussian.any() else None
        if len(layers.precision):
            S *= layers.precision
        hidden = self.ones[:n] @ Q[m:] / n
        Q *= w[:, None]
        db, dc = w @ S, Q.sum(axis=0)
        below_S, below_Q = self.S[extra], self.Q[extra]
        below_S[:], below_Q[:] = 0, 0
        mu = layers.scaled(self.mu) if settings.centring else np.zeros_like(self.mu)
        if settings.sparsity_target is not None:
            self.activity = MEMORY * self.activity + (1 - MEMORY) * hidden
            below_Q[2] = rate * settings.sparsity_cost * (settings.sparsity_target - self.activity)
            below_S[2] = self.ones[:n] @ S[m:] / n - mu
        if settings.centring:
            self.offset = MEMORY * self.offset + (1 - MEMORY) * hidden
            lam = self.offset
            below_S[0], below_Q[0], below_S[1], below_Q[1] = mu, -dc, db, -lam
            whole_S, whole_Q = self.S[: total + 2], self.Q[: total + 2]
            db, dc = db - (whole_Q @ lam) @ whole_S, dc - (whole_S @ mu) @ whole_Q
        return Theta(below_S, db, dc + below_Q[2], np.zeros_like(db) if dz is None else dz)

    def _variances(self, layers: Layers, w: Array, S: Array, Q: Array) -> Array:
        """Step for the log variances of Gaussian columns."""
        at = self.is_gaussian
        v, b, precision = S[:, at], layers.b[at], layers.precision[at]
        step = np.zeros(len(at), self.kind)
        step[at] = (w @ (v - b) ** 2 / 2 - w @ (v * (Q @ layers.W[at].T))) * precision
        return step

    def _take(self, steps: Theta, rows: int, rate: float) -> None:
        """Move the parameters; the weights in slabs that threads share."""
        momentum, keep = self.settings.momentum, 1 - rate * self.settings.weight_decay
        S, Q, W, velocity = self.S[: rows + EXTRA], self.Q[: rows + EXTRA], self.theta.W, self.velocity.W
        moves = momentum > 0 or keep < 1

        def run(first: int, last: int) -> None:
            left = np.ascontiguousarray(S[:, first:last])
            _grow(left, Q, (velocity if moves else W)[first:last])
            if moves:
                _move(W[first:last], velocity[first:last], self.kind.type(keep), self.kind.type(momentum))

        list(map_rows(run, len(W), 64, SLABS, hold=False))
        for block, speed, step in zip(self.theta[1:], self.velocity[1:], steps[1:], strict=True):
            speed += step
            block += speed
            speed *= momentum
        if self.settings.learn_variance and self.is_gaussian.any():
            self.layers = Layers.of(self.visible, self.theta, self.kind)

    def _add_to_average(self) -> None:
        """Let the parameters enter their average over the last epochs (Polyak & Juditsky 1992)."""
        self.averaged += 1
        if self.average is None:
            self.average = [block.astype(float) for block in self.theta]
            return
        for mean, block in zip(self.average, self.theta, strict=True):
            mean += (block - mean) / self.averaged

    def current(self) -> Theta:
        """Return a copy of the parameters in double precision."""
        return Theta(*(np.array(block, dtype=float) for block in self.theta))

    def result(self) -> Theta:
        """Parameters in double precision: their average if there is one."""
        return self.current() if self.average is None else Theta(*(block.copy() for block in self.average))
