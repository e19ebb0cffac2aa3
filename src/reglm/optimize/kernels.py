"""Compiled kernels, imported only where their operation count pays for the compiler."""

from __future__ import annotations

import numba
import numpy as np

Array = np.ndarray


@numba.njit(cache=True, nogil=True)
def csr_crossproduct(data: Array, indices: Array, indptr: Array, w: Array, G: Array) -> None:
    """Add the lower triangle of X'WX to `G`, row by row of a CSR matrix with sorted or unsorted indices.

    Parameters
    ----------
    data, indices, indptr : arrays
        CSR parts of X (n, p), without duplicate entries.
    w : (n,) array
        Weights.
    G : (>= p, >= p) float64 array
        Changed in place; the upper triangle is left alone.
    """
    for i in range(w.size):
        start, stop = indptr[i], indptr[i + 1]
        for a in range(start, stop):
            value = w[i] * data[a]
            row = indices[a]
            for b in range(start, stop):
                column = indices[b]
                if column <= row:
                    G[row, column] += value * data[b]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def adam_update(
    x: Array, g: Array, m: Array, v: Array, beta1: float, beta2: float, small: float, scaled: float
) -> None:
    """One Adam step in place; see `reglm.optimize.rules.adam`. No fast-math, so that NumPy's bits are met.

    Parameters
    ----------
    x, g, m, v : (P,) arrays
        Parameters, gradient and the two accumulators.
    beta1, beta2, small, scaled : scalars of the dtype of `x`
        Decays, and epsilon and learning rate with the bias corrections folded in.
    """
    for i in range(x.size):
        m[i] = m[i] * beta1 + g[i]
        v[i] = v[i] * beta2 + g[i] * g[i]
        x[i] -= m[i] / (np.sqrt(v[i]) + small) * scaled
