"""NumPy forms of the scalar Ops that neither NumPy nor SciPy has as one function.

They are what the interpreter runs, so they are written for whole arrays: a few passes of NumPy's SIMD
loops, no overflow, NaN kept.
"""

from __future__ import annotations

import numpy as np
from scipy import special

Array = np.ndarray

SQRT_HALF = 0.7071067811865476
SQRT_TWO_OVER_PI = 0.7978845608028654


def softplus(x: Array) -> Array:
    """Return log(1 + e^x), elementwise; any shape."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def log1mexp(x: Array) -> Array:
    """Return log(1 - e^-x) for x >= 0, elementwise; any shape (Maechler 2012, without the branch at log 2).

    ``log(expm1(x)) - x`` loses digits for large x and ``log1p(-exp(-x))`` for small x; both are exact on
    their own side of log 2.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(x < 0.6931471805599453, np.log(-np.expm1(-x)), np.log1p(-np.exp(-x)))


def gelu(x: Array) -> Array:
    """Return x Phi(x), elementwise; any shape (Hendrycks & Gimpel 2016). The limit at -inf is 0."""
    return np.maximum(x, -40) * special.ndtr(x)


def inverse_mills(x: Array) -> Array:
    """Return phi(x) / Phi(x), elementwise; any shape: the derivative of log Phi, about -x far to the left."""
    return SQRT_TWO_OVER_PI / special.erfcx(-SQRT_HALF * x)
