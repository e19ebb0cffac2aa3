"""The design matrix of a network, ``J = d eta / d theta``, read off its affine taps.

For output k one gradient of ``sum_i eta_ik`` with respect to every ``a = h W + b`` gives the deltas of all rows at once,
because row i of eta depends on row i alone. Then ``J_i[W] = sum_s h_is (x) delta_is`` and ``J_i[b] = sum_s delta_is``; no
loop over examples and no forward mode (theory: the design matrix of a network).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import sparse

from reglm.layers import Tap
from reglm.likelihood import Data, Likelihood
from reglm.parameters import Array

BLOCK_ELEMENTS = 8_000_000
"""Rows of J are formed in blocks of about this many numbers."""


def _dense(h: Array, delta: Array, n: int) -> Array:
    h, delta = h.reshape(n, -1, h.shape[-1]), delta.reshape(n, -1, delta.shape[-1])
    return np.einsum("nsp,nsk->npk", h, delta).reshape(n, -1)


def _lookup(codes: Array, delta: Array, n: int, size: int) -> Array:
    count = codes.shape[1]
    delta = delta.reshape(n, count, -1)
    J = np.zeros((n, size // delta.shape[2], delta.shape[2]), dtype=delta.dtype)
    for c in range(count):
        known = np.flatnonzero(codes[:, c] >= 0)
        np.add.at(J, (known, codes[known, c]), delta[known, c])
    return J.reshape(n, size)


def tap_blocks(tap: Tap, h: list[Array], delta: Array, n: int, size: int) -> Iterator[tuple[str, Array]]:
    """Name and block (n, size) of J for the parameters of one tap.

    Parameters
    ----------
    tap : Tap
    h, delta : arrays
        Inputs of the affine map and derivatives with respect to its output.
    n : int
        Rows of data.
    size : int
        Entries of the weight.
    """
    if tap.weight is not None:
        if tap.kind == "dense":
            yield tap.weight, _dense(h[0], delta, n)
        elif tap.kind == "sparse":
            rows = sparse.csr_matrix(tuple(h), shape=(n, size // delta.shape[1])).toarray()
            yield tap.weight, _dense(rows, delta, n)
        else:
            yield tap.weight, _lookup(h[0], delta, n, size)
    if tap.bias is not None:
        yield tap.bias, delta.reshape(n, -1) if tap.kind == "shared" else delta.reshape(n, -1, delta.shape[-1]).sum(axis=1)


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
        Columns of the family's shape parameters are zero.
    """
    n = data.y.shape[0]
    layout = likelihood.layout
    seed = np.eye(likelihood.network.outputs())[output][None, :]
    J = np.zeros((n, layout.size), dtype=theta.dtype)
    sizes = {spec.name: spec.size for spec in layout.specs}
    for tap, h, delta in likelihood.taps(theta, data, seed):
        for name, block in tap_blocks(tap, h, delta, n, sizes.get(tap.weight or "", 0)):
            J[:, layout.slices[name]] += block
    return J


def blocks(likelihood: Likelihood, data: Data) -> Iterator[slice]:
    """Blocks of rows for which all of J fits into about `BLOCK_ELEMENTS` numbers."""
    n = data.y.shape[0]
    size = max(1, BLOCK_ELEMENTS // (likelihood.layout.size * likelihood.network.outputs()))
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def fisher(likelihood: Likelihood, theta: Array, data: Data) -> tuple[Array, Array]:
    """Score of the objective and expected information at dispersion 1, ``J' s`` (P,) and ``J' W J`` (P, P)."""
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
        outputs = likelihood.network.outputs()
        self.layout = likelihood.layout
        self.n = data.y.shape[0]
        self.taps = [likelihood.taps(theta, data, seed[None, :]) for seed in np.eye(outputs)]
        self.W = likelihood.working(theta, data).information

    def _forward(self, taps: list[tuple[Tap, list[Array], Array]], v: dict[str, Array]) -> Array:
        """``J v`` (n,): ``sum_s delta_is . (h_is V + v_b)``."""
        total = np.zeros(self.n)
        for tap, h, delta in taps:
            total += (delta * _affine(tap, h, v, delta.shape)).reshape(self.n, -1).sum(axis=1)
        return total

    def _backward(self, taps: list[tuple[Tap, list[Array], Array]], u: Array, out: dict[str, Array]) -> None:
        """Add ``J' u`` (P,) to `out`."""
        for tap, h, delta in taps:
            d = (delta.reshape(self.n, -1) * u[:, None]).reshape(delta.shape)
            if tap.weight is not None:
                out[tap.weight] += _weight_gradient(tap, h, d, out[tap.weight].shape)
            if tap.bias is not None:
                out[tap.bias] += d.sum(axis=0).reshape(out[tap.bias].shape)

    def __call__(self, v: Array) -> Array:
        """``J' W J v`` (P,)."""
        views = self.layout.views(v)
        Jv = np.stack([self._forward(taps, views) for taps in self.taps], axis=1)
        WJv = np.einsum("nkm,nm->nk", self.W, Jv)
        result = np.zeros(self.layout.size)
        out = self.layout.views(result)
        for k, taps in enumerate(self.taps):
            self._backward(taps, WJv[:, k], out)
        return result


def _affine(tap: Tap, h: list[Array], v: dict[str, Array], shape: tuple[int, ...]) -> Array:
    """``h V + v_b`` in the shape of the tap's output."""
    a: Any = 0.0
    if tap.weight is not None:
        V = v[tap.weight]
        if tap.kind == "dense":
            a = h[0] @ V
        elif tap.kind == "sparse":
            a = sparse.csr_matrix(tuple(h), shape=(shape[0], V.shape[0])) @ V
        else:
            a = np.where(h[0][:, :, None] >= 0, V[h[0]], 0.0).reshape(shape)
    return a + (0.0 if tap.bias is None else v[tap.bias])


def _weight_gradient(tap: Tap, h: list[Array], d: Array, shape: tuple[int, ...]) -> Array:
    """``h' d`` in the shape of the weight."""
    if tap.kind == "dense":
        return h[0].T @ d
    if tap.kind == "sparse":
        return sparse.csr_matrix(tuple(h), shape=(d.shape[0], shape[0])).T @ d
    gradient = np.zeros(shape, dtype=d.dtype)
    rows, column = np.nonzero(h[0] >= 0)
    np.add.at(gradient, h[0][rows, column], d.reshape(*h[0].shape, -1)[rows, column])
    return gradient
