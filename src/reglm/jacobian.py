"""The design matrix of a network, ``J = d eta / d theta``, read off its affine taps.

For output k one gradient of ``sum_i eta_ik`` with respect to every ``a = h W + b`` gives the deltas of all
rows at once, because row i of eta depends on row i alone. Then ``J_i[W] = sum_s h_is (x) delta_is`` and
``J_i[b] = sum_s delta_is`` over the positions s at which W acts; no loop over examples and no forward mode.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from scipy import sparse

from reglm.layers import Tap
from reglm.likelihood import Data, Likelihood
from reglm.parameters import Array

BLOCK_ELEMENTS = 8_000_000
"""Rows of J are formed in blocks of about this many numbers."""


def _positions(a: Array, n: int) -> Array:
    """Array (n, positions, width) from one with the positions of a row one after the other."""
    return a.reshape(n, -1, a.shape[-1])


def _by_code(codes: Array, delta: Array, width: int) -> Array:
    """Deltas (n, C, width) of the table rows that (n, C) codes read; pooled rows share theirs."""
    return np.broadcast_to(delta.reshape(len(codes), -1, width), (*codes.shape, width))


def _add_weight(J: Array, tap: Tap, h: list[Array], delta: Array) -> None:
    """Add ``sum_s h_is (x) delta_is`` to J (n, p, k), a view into the design matrix."""
    n = len(J)
    if tap.kind == "lookup":
        codes, delta = h[0], _by_code(h[0], delta, J.shape[2])
        for c in range(codes.shape[1]):
            known = np.flatnonzero(codes[:, c] >= 0)
            J[known, codes[known, c]] += delta[known, c]
    elif tap.kind == "transposed":
        J += np.einsum("isp,isk->ipk", _positions(delta, n), _positions(h[0], n))
    elif tap.kind == "triangular":
        above = np.triu_indices(delta.shape[1], 1)
        J += h[0][:, above[0]] * delta[:, above[1]]
    elif tap.kind == "sparse":
        rows = sparse.csr_matrix(tuple(h), shape=(n, J.shape[1]))
        J += rows.toarray()[:, :, None] * delta[:, None, :]
    else:
        J += np.einsum("isp,isk->ipk", _positions(h[0], n), _positions(delta, n))


def _add_bias(J: Array, tap: Tap, delta: Array) -> None:
    """Add ``sum_s delta_is`` to J (n, *shape of the bias)."""
    J += delta.reshape(J.shape) if tap.kind == "shared" else _positions(delta, len(J)).sum(axis=1)


def jacobian(likelihood: Likelihood, theta: Array, data: Data, output: int = 0) -> Array:
    """Derivatives of one linear predictor, ``J`` (n, P), in evaluation mode.

    Parameters
    ----------
    likelihood : Likelihood
    theta : ndarray (P,)
    data : Data
    output : int
        Which of the K linear predictors.

    Returns
    -------
    ndarray (n, P)
        Columns in the order of theta; zero for the family's shape parameters.
    """
    n, layout = data.y.shape[0], likelihood.layout
    J = np.zeros((n, layout.size), dtype=theta.dtype)
    views = {s.name: J[:, layout.slices[s.name]].reshape(n, *s.shape) for s in layout.specs}
    seed = np.eye(likelihood.network.outputs())[None, output]
    for tap, h, delta in likelihood.taps(theta, data, seed):
        if tap.weight is not None:
            _add_weight(views[tap.weight], tap, h, delta)
        if tap.bias is not None:
            _add_bias(views[tap.bias], tap, delta)
    return J


def blocks(likelihood: Likelihood, data: Data) -> Iterator[slice]:
    """Blocks of rows for which all of J fits into about `BLOCK_ELEMENTS` numbers."""
    n = data.y.shape[0]
    size = max(1, BLOCK_ELEMENTS // (likelihood.layout.size * likelihood.network.outputs()))
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def fisher(likelihood: Likelihood, theta: Array, data: Data) -> tuple[Array, Array]:
    """Score ``J' s`` (P,) of the objective and expected information ``J' W J`` (P, P) at dispersion 1."""
    size = likelihood.layout.size
    score, information = np.zeros(size), np.zeros((size, size))
    for rows in blocks(likelihood, data):
        part = data.rows(rows)
        Js = [jacobian(likelihood, theta, part, k) for k in range(likelihood.network.outputs())]
        _, s, W = likelihood.working(theta, part)
        for k, Jk in enumerate(Js):
            score -= Jk.T @ s[:, k]
            for m, Jm in enumerate(Js[: k + 1]):
                block = Jk.T @ (W[:, k, m, None] * Jm)
                information += block if m == k else block + block.T
    return score, information


class GaussNewton:
    """Products with ``J' W J`` at one theta; deltas are computed once and kept.

    Parameters
    ----------
    likelihood : Likelihood
    theta : ndarray (P,)
    data : Data
    """

    def __init__(self, likelihood: Likelihood, theta: Array, data: Data) -> None:
        self.layout = likelihood.layout
        self.n = data.y.shape[0]
        self.W = likelihood.working(theta, data).information
        seeds = np.eye(likelihood.network.outputs())[:, None, :]
        first, *others = (likelihood.taps(theta, data, seed) for seed in seeds)
        # h is the same for every output: one copy of it, with the deltas of all outputs beside it
        self.taps = [(tap, h, [delta, *(other[i][2] for other in others)]) for i, (tap, h, delta) in enumerate(first)]

    def forward(self, v: Array) -> Array:
        """``J v`` (n, K): ``sum_s delta_is . (h_is V + v_b)``."""
        views = self.layout.views(v)
        Jv = np.zeros(self.W.shape[:2])
        for tap, h, deltas in self.taps:
            change = _affine(tap, h, views, deltas[0].shape)
            for k, delta in enumerate(deltas):
                Jv[:, k] += (delta * change).reshape(self.n, -1).sum(axis=1)
        return Jv

    def backward(self, u: Array) -> Array:
        """``J' u`` (P,), u (n, K)."""
        result = np.zeros(self.layout.size)
        views = self.layout.views(result)
        for tap, h, deltas in self.taps:
            d: Array = sum(_scaled(delta, u[:, k]) for k, delta in enumerate(deltas))  # type: ignore[assignment]  # never 0
            if tap.weight is not None:
                views[tap.weight][...] += _weight_gradient(tap, h, d, views[tap.weight].shape)
            if tap.bias is not None:
                views[tap.bias][...] += d.sum(axis=0).reshape(views[tap.bias].shape)
        return result

    def __call__(self, v: Array) -> Array:
        """``J' W J v`` (P,)."""
        return self.backward(np.einsum("nkm,nm->nk", self.W, self.forward(v)))


class SequentialGaussNewton:
    """Products with ``J' W J`` at one theta for networks whose rows act on one another, J never formed.

    Parameters
    ----------
    likelihood : Likelihood
    theta : ndarray (P,)
    data : Data
    """

    def __init__(self, likelihood: Likelihood, theta: Array, data: Data) -> None:
        self.likelihood, self.theta, self.data = likelihood, theta, data
        self.W = likelihood.working(theta, data).information

    def __call__(self, v: Array) -> Array:
        """``J' W J v`` (P,)."""
        forward = self.likelihood.tangent(self.theta, self.data, v)
        return self.likelihood.cotangent(self.theta, self.data, np.einsum("nkm,nm->nk", self.W, forward))


def _scaled(delta: Array, u: Array) -> Array:
    """Multiply the deltas of row i, at all its positions, by u_i."""
    return (delta.reshape(len(u), -1) * u[:, None]).reshape(delta.shape)


def _affine(tap: Tap, h: list[Array], v: Mapping[str, Array], shape: tuple[int, ...]) -> Array:
    """``h V + v_b`` in the shape of the tap's output."""
    a: Any = 0.0 if tap.bias is None else v[tap.bias]
    if tap.weight is None:
        return a
    V = v[tap.weight]
    if tap.kind == "lookup":
        rows = np.where(h[0][:, :, None] >= 0, V[h[0]], 0.0)
        return rows.sum(axis=1) if rows[0].size != shape[1] else rows.reshape(shape)
    if tap.kind == "transposed":
        return h[0] @ V.T + a
    if tap.kind == "triangular":
        V, entries = np.zeros((shape[1], shape[1]), V.dtype), V
        V[np.triu_indices(shape[1], 1)] = entries
    rows = sparse.csr_matrix(tuple(h), shape=(shape[0], len(V))) if tap.kind == "sparse" else h[0]
    return rows @ V + a


def _weight_gradient(tap: Tap, h: list[Array], d: Array, shape: tuple[int, ...]) -> Array:
    """``h' d`` in the shape of the weight."""
    if tap.kind == "dense":
        return h[0].T @ d
    if tap.kind == "transposed":
        return d.T @ h[0]
    if tap.kind == "triangular":
        return (h[0].T @ d)[np.triu_indices(d.shape[1], 1)]
    if tap.kind == "sparse":
        return sparse.csr_matrix(tuple(h), shape=(len(d), shape[0])).T @ d
    gradient = np.zeros(shape, dtype=d.dtype)
    rows, column = np.nonzero(h[0] >= 0)
    np.add.at(gradient, h[0][rows, column], _by_code(h[0], d, shape[1])[rows, column])
    return gradient
