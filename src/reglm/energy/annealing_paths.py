"""Paths of machines from independent columns to a given machine, and the Gibbs sweeps along them.

Every machine on a path is a restricted Boltzmann machine itself, its parameters on the line between those of the base
and those at the end: ``theta(beta) = (1 - beta) theta_0 + beta theta_1``. A path offers

* ``log_z0``, log Z of the base;
* ``start(n, rng)``, exact draws of the base;
* ``chains(V, rng)``, states of Markov chains, which ``advance(chains, betas)`` takes along the inverse temperatures
  after the first and returns the sum of ``F_from(v) - F_to(v)`` for each chain (n,), each term at the v before the
  sweep.

Machines of Bernoulli units have a compiled form in single precision.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from reglm.energy.free_energy import Theta, free_energy
from reglm.energy.random import buffer, compiled, fill, streams
from reglm.energy.visible import Visible
from reglm.ops import elementary
from reglm.ops.blas import matrix_product
from reglm.parameters import Array
from reglm.threads import map_rows

SPARSE = 0.2
"""Share of units that are on below which rows of weights are added up instead of multiplying matrices."""
UNITS = 96
"""Hidden units whose factors are multiplied before a logarithm is taken: each is at most 2."""
SMALLEST = 16
"""Chains that are worth a thread."""

_decay = elementary.decay(elementary.SINGLE)
_times = matrix_product()


class PlainPath:
    """Path of machines with visible units of any kind, in double precision by NumPy.

    Parameters
    ----------
    visible : Visible
    theta, base : Theta
        End and start; the start has no weights.
    """

    def __init__(self, visible: Visible, theta: Theta, base: Theta) -> None:
        self.visible, self.theta, self.base = visible, theta, base
        self.log_z0 = float(visible.log_partition(base.b, base.b, base.log_var) + np.logaddexp(0, base.c).sum())

    def at(self, beta: float) -> Theta:
        """Parameters at an inverse temperature."""
        return Theta(*((1 - beta) * zero + beta * one for zero, one in zip(self.base, self.theta, strict=True)))

    def start(self, n: int, rng: np.random.Generator) -> Array:
        """Draw from the base (n, D)."""
        return self.visible.draw(np.tile(self.base.b, (n, 1)), self.base.log_var, rng)

    def chains(self, V: Array, rng: np.random.Generator) -> tuple[Array, np.random.Generator]:
        """State: visible units, changed in place, and what draws."""
        return np.array(V, dtype=float), rng

    def advance(self, chains: tuple[Array, np.random.Generator], betas: Array) -> Array:
        """Take the chains along the inverse temperatures; log-weights (n,)."""
        V, rng = chains
        total = np.zeros(len(V))
        for low, high in pairwise(betas):
            here, there = self.at(low), self.at(high)
            total += free_energy(self.visible, here, V) - free_energy(self.visible, there, V)
            p = there.hidden_mean(V)
            h = (rng.random(p.shape) < p).astype(float)
            V[:] = self.visible.draw(there.visible_input(h), there.log_var, rng)
        return total


class FusedChains(NamedTuple):
    """Visible units (n, D) in single precision, and the random numbers of both threads."""

    V: Array
    states: Array


class FusedPath:
    """Path of machines of Bernoulli units, compiled, in single precision; log-weights are added up in double.

    Parameters
    ----------
    theta, base : Theta
        End and start; the start has no weights.
    """

    def __init__(self, theta: Theta, base: Theta) -> None:
        self.p0 = 1 / (1 + np.exp(-base.b))
        self.log_z0 = float(np.logaddexp(0, base.b).sum() + np.logaddexp(0, base.c).sum())
        W, b, c, b0, c0 = (np.ascontiguousarray(block, np.float32) for block in (*theta[:3], base.b, base.c))
        self.arrays = (W, np.ascontiguousarray(W.T), (b - b0, c - c0), b0, c0)

    def start(self, n: int, rng: np.random.Generator) -> Array:
        """Draw from the base (n, D)."""
        return (rng.random((n, len(self.p0))) < self.p0).astype(np.float32)

    def chains(self, V: Array, rng: np.random.Generator) -> FusedChains:
        """State: visible units, and seeds of the random numbers."""
        return FusedChains(np.array(V, np.float32, order="C"), streams(rng, 2))

    def advance(self, chains: FusedChains, betas: Array) -> Array:
        """Take the chains along the inverse temperatures; log-weights (n,)."""
        n = len(chains.V)
        total = np.zeros(n)
        half = n // 2

        def part(start: int, stop: int) -> None:
            state = chains.states[1 if start >= half > 0 else 0]
            anneal(*self.arrays, np.asarray(betas, float), chains.V[start:stop], state, total[start:stop])

        list(map_rows(part, n, SMALLEST, 2))
        return total


@compiled
def _add_row(row: Any, out: Any) -> None:
    for j in range(out.size):
        out[j] += row[j]


@compiled
def _add_rows(first: Any, second: Any, third: Any, fourth: Any, out: Any) -> None:
    for j in range(out.size):
        out[j] += (first[j] + second[j]) + (third[j] + fourth[j])


@compiled
def _add_weights(v: Any, W: Any, on: Any, out: Any) -> None:
    """Product of 0/1 rows v (m, D) and W (D, H): rows of W are added up; `on` (D + 1,) is memory for their numbers."""
    for i in range(v.shape[0]):
        row, total, count = v[i], out[i], 0
        for j in range(row.size):
            on[count] = j
            count += row[j] != 0
        total[:] = 0
        k = 0
        while k + 4 <= count:
            _add_rows(W[on[k]], W[on[k + 1]], W[on[k + 2]], W[on[k + 3]], total)
            k += 4
        while k < count:
            _add_row(W[on[k]], total)
            k += 1


@compiled
def _is_sparse(v: Any) -> bool:
    return v.sum() < np.float32(SPARSE) * v.size


@compiled
def _hidden(a: Any, slope: Any, c0: Any, low: Any, high: Any, u: Any, h: Any) -> float:
    """Draw hidden units h at ``x = c0 + high (a + slope)``; return what ``sum softplus`` gained since `low`.

    With ``softplus(x) = max(x, 0) + log(1 + e^-|x|)`` the logarithms are those of two products.
    """
    one, zero = np.float32(1), np.float32(0)
    upper, lower, linear = one, one, zero
    for j in range(a.size):
        x, y = c0[j] + high * (a[j] + slope[j]), c0[j] + low * (a[j] + slope[j])
        e = _decay(abs(x), zero)
        upper *= one + e
        lower *= one + _decay(abs(y), zero)
        linear += max(x, zero) - max(y, zero)
        h[j] = one if u[j] * (one + e) < (one if x > zero else e) else zero
    return np.log(np.float64(upper) / np.float64(lower)) + np.float64(linear)


@compiled
def _visible(a: Any, slope: Any, b0: Any, beta: Any, u: Any, v: Any) -> float:
    """Draw visible units v at ``b0 + beta (a + slope)``; return ``slope'v``."""
    one, zero = np.float32(1), np.float32(0)
    linear = zero
    for j in range(a.size):
        x = b0[j] + beta * (a[j] + slope[j])
        e = _decay(abs(x), zero)
        on = u[j] * (one + e) < (one if x > zero else e)
        v[j] = one if on else zero
        linear += slope[j] if on else zero
    return np.float64(linear)


@compiled
def anneal(
    W: Any, Wt: Any, slopes: Any, b0: Any, c0: Any, betas: Any, v: Any, state: Any, total: Any
) -> None:  # fmt: skip
    """Take chains along inverse temperatures, on one thread.

    Parameters
    ----------
    W, Wt : (D, H), (H, D) arrays
        Weights and their transpose.
    slopes : (D,), (H,) arrays
        Biases less those of the base, visible and hidden.
    b0, c0 : (D,), (H,) arrays
        Biases of the base.
    betas : (k,) array
        The first is where the chains are; those that follow are visited.
    v : (m, D) array
        Visible units, changed in place.
    state : (4, LANES) array
        Of the random numbers, advanced.
    total : (m,) array
        The log-weights are added to it.
    """
    m, (D, H), (slope, tilt) = v.shape[0], W.shape, slopes
    a, h, eta = np.empty((m, H), np.float32), np.empty((m, H), np.float32), np.empty((m, D), np.float32)
    on, u = np.empty(max(D, H) + 1, np.int64), buffer(max(D, H), v)
    linear = np.empty(m)
    for i in range(m):
        linear[i] = (v[i] * slope).sum()
    for k in range(1, betas.size):
        low, high = np.float32(betas[k - 1]), np.float32(betas[k])
        if _is_sparse(v):
            _add_weights(v, W, on, a)
        else:
            _times(v, W, a)
        for i in range(m):
            fill(state, u)
            total[i] += np.float64(high - low) * linear[i]
            for start in range(0, H, UNITS):
                s = slice(start, min(start + UNITS, H))
                total[i] += _hidden(a[i, s], tilt[s], c0[s], low, high, u[s], h[i, s])
        if _is_sparse(h):
            _add_weights(h, Wt, on, eta)
        else:
            _times(h, Wt, eta)
        for i in range(m):
            fill(state, u)
            linear[i] = _visible(eta[i], slope, b0, high, u, v[i])


def path(visible: Visible, theta: Theta, base: Theta) -> PlainPath | FusedPath:
    """Return the path from `base` to `theta`, compiled where all visible units are Bernoulli."""
    if visible.columns_of("bernoulli").all():
        return FusedPath(theta, base)
    return PlainPath(visible, theta, base)
