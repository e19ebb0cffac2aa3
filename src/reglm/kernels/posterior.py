"""Prediction from a dual: mean, and the variance of a Gaussian process with an unknown linear part.

The best linear unbiased predictor of ``x'b + f(x)`` weights the scaled responses by ``c = Q g + G u`` with
``R'g = x``, which makes it unbiased, and ``u`` minimising the mean squared error: universal kriging (Cressie 1993,
section 3.4). It is the same prediction as the ridge regression's.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg, stats

from reglm.kernels.duals import Dual
from reglm.parameters import Array


def mean(dual: Dual, lam: Array, cross: Array, X: Array) -> Array:
    """Predicted means, (n0, k).

    Parameters
    ----------
    dual : Dual
    lam : ndarray (k,) or (1,)
    cross : ndarray (n0, n)
        Kernel between new and training rows.
    X : ndarray (n0, p)
        Unpenalised part of the new rows.
    """
    return cross @ dual.coefficients(lam) + X[:, dual.kept] @ dual.linear(lam)


def variance(dual: Dual, lam: Array, cross: Array, X: Array, diagonal: Array) -> Array:
    """Variance of the error of `mean` about ``x'b + f(x)`` at scale 1, (n0, L).

    Parameters
    ----------
    dual, cross, X
        As in `mean`.
    lam : ndarray (L,)
    diagonal : ndarray (n0,)
        Kernel of each new row with itself.
    """
    k = cross * dual.root.T
    g = linalg.solve_triangular(dual.R, X[:, dual.kept].T, trans="T").T
    z = k @ dual.G - g @ dual.C
    fixed = diagonal + np.einsum("iq,qr,ir->i", g, dual.A, g) - 2 * np.einsum("iq,iq->i", g, k @ dual.Q)
    found = fixed[:, None] + lam * (g**2).sum(axis=1)[:, None] - z**2 @ dual.inverse(lam)
    return np.maximum(found, 0.0)


def linear_covariance(dual: Dual, lam: Array) -> Array:
    """Covariance ``(X'V^-1 X)^-1`` of the kept coefficients at scale 1, (L, q, q)."""
    half = linalg.solve_triangular(dual.R, np.eye(dual.q))
    return half @ dual.schur(lam) @ half.T


def log_density(y: Array, centre: Array, var: Array) -> Array:
    """Log of the normal predictive density of each row, summed over targets, (n0,)."""
    return stats.norm.logpdf(y, centre, np.sqrt(var)).sum(axis=1)


def interval(centre: Array, var: Array, level: float) -> tuple[Array, Array]:
    """Ends of the central normal interval, each (n0, k)."""
    half = stats.norm.ppf((1 + level) / 2) * np.sqrt(var)
    return centre - half, centre + half
