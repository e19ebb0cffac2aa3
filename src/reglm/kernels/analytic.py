"""Elementary functions of real or complex arrays, complex ones to first order.

Derivatives of kernels are taken by complex steps (Squire & Trapp 1998): every formula is evaluated at parameters with
an imaginary part of `STEP`, and the imaginary part of the result over `STEP` is the derivative, without cancellation.
The functions here continue real ones to complex arguments by ``f(x + ih) = f(x) + ih f'(x)``, which is exact for that
purpose, and take the derivative at the ends of a range, where it is infinite, as zero.
"""

from __future__ import annotations

import numpy as np

from reglm.parameters import Array

STEP = 1e-30
SLACK = 1 + 5e-16
"""Correlations are enlarged by this, squared: equal rows then have correlation one, whatever the rounding."""


def continued(x: Array, value: Array, slope: Array | None) -> Array:
    """``f(x + ih)`` for complex x, given f and f' at its real part; f for real x, where no slope is needed."""
    return value if slope is None else value + 1j * (slope * x.imag)


def clip(x: Array) -> Array:
    """Return x between -1 and 1."""
    if not np.iscomplexobj(x):
        return np.clip(x, -1.0, 1.0)
    return np.where(np.abs(x.real) < 1, x, np.clip(x.real, -1.0, 1.0))


def arccos(x: Array) -> Array:
    """Return the angle whose cosine is x in [-1, 1]."""
    slope = -_inverse_sine(x.real) if np.iscomplexobj(x) else None
    return continued(x, np.arccos(x.real), slope)


def arcsin(x: Array) -> Array:
    """Return the angle whose sine is x in [-1, 1]."""
    slope = _inverse_sine(x.real) if np.iscomplexobj(x) else None
    return continued(x, np.arcsin(x.real), slope)


def _inverse_sine(x: Array) -> Array:
    """``1 / sqrt(1 - x^2)``, zero at the ends."""
    sine = np.sqrt((1 - x) * (1 + x))
    return np.divide(1.0, sine, out=np.zeros_like(sine), where=sine > 0)


def root(x: Array) -> Array:
    """Return the square root of x >= 0, with derivative zero at zero."""
    value = np.sqrt(x.real)
    slope = np.divide(0.5, value, out=np.zeros_like(value), where=value > 0) if np.iscomplexobj(x) else None
    return continued(x, value, slope)


def reciprocal(x: Array) -> Array:
    """Return ``1 / x``, zero at zero."""
    return np.divide(1.0, x, out=np.zeros_like(x), where=x != 0)
