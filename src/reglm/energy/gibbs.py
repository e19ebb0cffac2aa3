"""Gibbs sweeps, compiled: conditional means and draws in one pass over each linear predictor.

Matrix products are BLAS's; everything between two of them is fused, in single or double precision. Rows are shared in
fixed parts with a random generator each (`reglm.energy.random`), so that a seed fixes every bit on any number of
threads.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import overload

from reglm.energy.free_energy import Theta
from reglm.energy.random import buffer, compiled, fill, streams
from reglm.energy.visible import Visible
from reglm.ops import elementary
from reglm.parameters import Array
from reglm.threads import PARTS, map_rows, single_threaded

BERNOULLI, CATEGORICAL, POISSON, GAUSSIAN = range(4)
CODES = {"bernoulli": BERNOULLI, "categorical": CATEGORICAL, "poisson": POISSON, "gaussian": GAUSSIAN}
SMALLEST = 32
"""Rows that are worth a thread."""

_sigmoid32, _sigmoid64 = elementary.sigmoid(elementary.SINGLE), elementary.sigmoid(elementary.DOUBLE)
_exp32, _exp64 = elementary.exp(elementary.SINGLE), elementary.exp(elementary.DOUBLE)


def _sigmoid(x: Any) -> Any:
    """Stand for the kernel of the precision of x."""


def _exp(x: Any) -> Any:
    """Stand for the kernel of the precision of x."""


@overload(_sigmoid)
def _sigmoid_form(x: Any) -> Any:
    def single(x: Any) -> Any:
        return _sigmoid32(x)

    def double(x: Any) -> Any:
        return _sigmoid64(x)

    return single if x == types.float32 else double


@overload(_exp)
def _exp_form(x: Any) -> Any:
    def single(x: Any) -> Any:
        return _exp32(x)

    def double(x: Any) -> Any:
        return _exp64(x)

    return single if x == types.float32 else double


@compiled
def _bernoulli(row: Any, u: Any, out: Any) -> None:
    """Overwrite eta with probabilities and draw 0 or 1."""
    for j in range(len(row)):
        row[j] = _sigmoid(row[j])
    for j in range(len(row)):
        out[j] = u[j] < row[j]


@compiled
def hidden_units(a: Any, c: Any, beta: Any, draws: Any, state: Any) -> None:
    """Turn products s'W into probabilities, and draw.

    Parameters
    ----------
    a : (m, H) array
        Overwritten with ``sigmoid(beta_i (a + c))``.
    c : (H,) array
    beta : (m,) array
        Inverse temperatures of the rows.
    draws : (m, H) array
        Filled with 0 and 1.
    state : (4, LANES) array
        Of the random numbers, advanced.
    """
    u = buffer(a.shape[1], a)
    for i in range(a.shape[0]):
        fill(state, u)
        for j in range(a.shape[1]):
            a[i, j] = beta[i] * (a[i, j] + c[j])
        _bernoulli(a[i], u, draws[i])


@compiled
def hidden_means(a: Any, c: Any) -> None:
    """Overwrite products s'W (m, H) with probabilities."""
    for i in range(a.shape[0]):
        row = a[i]
        for j in range(a.shape[1]):
            row[j] = _sigmoid(row[j] + c[j])


@compiled
def _poisson(mean: float, u: float) -> float:
    """Quantile of a Poisson distribution whose values are ordered by their distance from the mode."""
    if not mean < 1e12:
        return np.nan
    low = high = math.floor(mean) + 0.0
    below = above = math.exp(high * math.log(mean) - mean - math.lgamma(high + 1.0)) if mean > 0 else 1.0
    u -= above
    while u >= 0 and (below > 0 or above > 0):
        high += 1.0
        above *= mean / high
        u -= above
        if u < 0:
            return high
        if low > 0:
            below *= low / mean
            low -= 1.0
            u -= below
            if u < 0:
                return low
        else:
            below = 0.0
    return math.floor(mean)


@compiled
def _categorical(row: Any, out: Any, u: float, first: int, last: int) -> None:
    """Overwrite eta with probabilities and set the indicator of one level."""
    top, total = row[first], row[first] - row[first]
    for j in range(first + 1, last):
        top = max(top, row[j])
    for j in range(first, last):
        row[j] = _exp(row[j] - top)
        total += row[j]
    chosen, reached = last - 1, 0.0
    for j in range(first, last):
        out[j] = 0
        row[j] /= total
        if reached <= u < reached + row[j]:
            chosen = j
        reached += row[j]
    out[chosen] = 1


@compiled
def visible_units(
    eta: Any, b: Any, sd: Any, beta: Any, codes: Any, edges: Any, draws: Any, state: Any
) -> None:  # fmt: skip
    """Turn products W h into conditional means, and draw.

    Parameters
    ----------
    eta : (m, D) array
        Overwritten with the means at ``b + beta_i eta``.
    b, sd : (D,) arrays
        Biases, and standard deviations of Gaussian columns.
    beta : (m,) array
    codes, edges : int arrays (blocks,), (blocks + 1,)
        Kinds and edges of the blocks.
    draws : (m, D) array
    state : (4, LANES) array
    """
    m, width = eta.shape
    u, u2 = buffer(width, eta), buffer(width, eta)
    has_gaussian = (codes == GAUSSIAN).any()
    for i in range(m):
        fill(state, u)
        if has_gaussian:
            fill(state, u2)
        row, out, inverse = eta[i], draws[i], beta[i]
        for block in range(len(codes)):
            first, last, code = edges[block], edges[block + 1], codes[block]
            for j in range(first, last):
                row[j] = inverse * row[j] + b[j]
            if code == BERNOULLI:
                _bernoulli(row[first:last], u[first:last], out[first:last])
            elif code == CATEGORICAL:
                _categorical(row, out, u[first], first, last)
            elif code == GAUSSIAN:
                for j in range(first, last):
                    noise = math.sqrt(-2 * math.log(1 - u[j])) * math.cos(2 * math.pi * u2[j])
                    out[j] = row[j] + sd[j] * noise
            else:
                for j in range(first, last):
                    row[j] = _exp(row[j])
                    out[j] = _poisson(row[j], u[j])


class Layers(NamedTuple):
    """Arrays that the kernels take, of one precision."""

    W: Array
    b: Array
    c: Array
    sd: Array
    precision: Array
    """1 / sigma^2 of every column; empty where all are 1."""
    codes: Array
    edges: Array

    @classmethod
    def of(cls, visible: Visible, theta: Theta, dtype: Any = np.float64) -> Layers:
        """Collect them; arrays that have the precision already are not copied."""
        W, b, c, log_var = (np.ascontiguousarray(block, dtype=dtype) for block in theta)
        codes = np.array([CODES[kind] for kind, _ in visible.parts])
        edges = np.array([at.start for _, at in visible.parts] + [visible.size])
        precision = np.exp(-log_var) if visible.columns_of("gaussian").any() else np.empty(0, W.dtype)
        return cls(W, b, c, np.exp(log_var / 2), precision, codes, edges)

    def scaled(self, V: Array) -> Array:
        """Divide V (m, D) by the variances."""
        return V * self.precision if len(self.precision) else V


def sweep(layers: Layers, h: Array, v: Array, p: Array, eta: Array, beta: Array, k: int, state: Array) -> None:
    """Sweep k times from hidden to visible units and back, on one thread.

    Parameters
    ----------
    layers : Layers
    h : (m, H) array
        Hidden units to begin with; those drawn last at the end.
    v, eta : (m, D) arrays
        Filled with the visible units drawn last, and their conditional means.
    p : (m, H) array
        Filled with probabilities of hidden units given v.
    beta : (m,) array
        Inverse temperatures: weights and hidden biases are multiplied by them.
    k : int
    state : (4, LANES) array
    """
    for _ in range(k):
        np.dot(h, layers.W.T, out=eta)
        visible_units(eta, layers.b, layers.sd, beta, layers.codes, layers.edges, v, state)
        np.dot(layers.scaled(v), layers.W, out=p)
        hidden_units(p, layers.c, beta, h, state)


def n_parts(n_rows: int) -> int:
    """Return into how many parts so many rows are shared, by `map_rows`."""
    return 1 << (max(1, min(PARTS, n_rows // SMALLEST)).bit_length() - 1)


class Chains:
    """Markov chains of a machine, advanced together.

    Parameters
    ----------
    h : (n, H) array
        Hidden units to begin with.
    n_visible : int
    rng : Generator
        Seeds the generators of the parts.
    beta : (n,) array, optional
        Inverse temperatures, 1 by default.
    v, p : arrays (n, D), (n, H), optional
        Memory to use, contiguous.

    Attributes
    ----------
    h, v, p, eta : arrays
        Of every chain: hidden and visible units, probabilities of the former and conditional means of the latter.
    """

    def __init__(
        self, h: Array, n_visible: int, rng: np.random.Generator, beta: Array | None = None, v: Array | None = None,
        p: Array | None = None,
    ) -> None:  # fmt: skip
        n = len(h)
        self.h = np.ascontiguousarray(h)
        self.v = np.zeros((n, n_visible), h.dtype) if v is None else v
        self.p = np.zeros_like(self.h) if p is None else p
        self.eta = np.zeros((n, n_visible), h.dtype)
        self.beta = np.ones(n, h.dtype) if beta is None else beta.astype(h.dtype)
        self.parts = n_parts(n)
        self.states = streams(rng, self.parts)

    def part(self, layers: Layers, index: int, k: int) -> None:
        """Advance one part of the chains by k sweeps."""
        at = self.rows(index)
        sweep(layers, self.h[at], self.v[at], self.p[at], self.eta[at], self.beta[at], k, self.states[index])

    def rows(self, index: int) -> slice:
        """Return the chains of a part."""
        n = len(self.h)
        return slice(n * index // self.parts, n * (index + 1) // self.parts)

    def advance(self, layers: Layers, k: int) -> None:
        """Advance all chains by k sweeps, shared among threads."""

        def run(start: int, stop: int) -> None:
            for index in range(start, stop):
                self.part(layers, index, k)

        with single_threaded():
            list(map_rows(run, self.parts, 1, hold=False))

    def start_at(self, layers: Layers, V: Array) -> None:
        """Draw hidden units given visible ones V (n, D)."""
        with single_threaded():
            for index in range(self.parts):
                at = self.rows(index)
                np.dot(layers.scaled(V[at]), layers.W, out=self.p[at])
                hidden_units(self.p[at], layers.c, self.beta[at], self.h[at], self.states[index])
