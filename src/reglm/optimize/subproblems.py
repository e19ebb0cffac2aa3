"""Minimise the quadratic ``g'p + p'Bp / 2`` over a ball: exactly, or by truncated conjugate gradients."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.linalg import lapack

from reglm.optimize.problem import Array

NEWTON_STEPS = 50
TINY = 1e-13
"""Curvatures below this share of the largest one are rounding."""
FLAT_GRADIENT = 1e-6
"""Gradient entries below this share of the whole are rounding where there is no curvature either."""


def exact_step(B: Array, g: Array, scale: Array, radius: float) -> Array:
    """Minimiser over ``|scale * p| <= radius`` (More & Sorensen 1983).

    Parameters
    ----------
    B : (P, P) array
        Symmetric, of any signature.
    g : (P,) array
        Gradient.
    scale : (P,) array
        Positive.
    radius : float
        Of the ball in scaled coordinates.

    Returns
    -------
    (P,) array
    """
    scaled = B / scale[:, None] / scale
    gradient = g / scale
    factor, info = lapack.dpotrf(scaled)
    pivots = np.diag(factor) ** 2
    if info == 0 and pivots.min(initial=np.inf) > TINY * pivots.max(initial=0.0):
        step, _ = lapack.dpotrs(factor, -gradient)
        if np.linalg.norm(step) <= radius:
            return step / scale
    values, vectors = np.linalg.eigh(scaled)
    return vectors @ boundary_step(values, vectors.T @ gradient, radius) / scale


def boundary_step(values: Array, gradient: Array, radius: float) -> Array:
    """Minimiser over the ball of `radius` for a diagonal quadratic.

    Parameters
    ----------
    values : (P,) array
        Eigenvalues, ascending.
    gradient : (P,) array
        Gradient in their eigenvectors.
    radius : float
        Of the ball.

    Returns
    -------
    (P,) array
        ``-gradient / (values + shift)`` with the shift that puts it on the sphere, found by safeguarded
        Newton steps on the secular equation ``1/radius - 1/|p|``; in the hard case the lowest eigenvector
        fills up.
    """
    # Along directions without curvature both are rounding, and their quotient would be noise of any size.
    tiny = TINY * float(np.abs(values).max())
    flat = (np.abs(values) <= tiny) & (np.abs(gradient) <= FLAT_GRADIENT * np.linalg.norm(gradient))
    gradient = np.where(flat, 0.0, gradient)
    bends_down = bool(values[0] < -tiny)
    low = -float(values[0]) if bends_down else 0.0
    high = low + float(np.linalg.norm(gradient)) / radius + np.finfo(float).tiny
    floor = low + 1e-12 * max(1.0, float(np.abs(values).max()))
    step = -gradient / (values + floor)
    if np.linalg.norm(step) <= radius:
        if bends_down:
            step[0] += math.copysign(math.sqrt(radius**2 - float(step @ step)), -gradient[0])
        return step
    low, shift = floor, 0.5 * (floor + high)
    for _ in range(NEWTON_STEPS):
        step = -gradient / (values + shift)
        length = float(np.linalg.norm(step))
        if abs(length - radius) <= 1e-6 * radius:
            break
        low, high = (shift, high) if length > radius else (low, shift)
        slope = float(step**2 @ (1.0 / (values + shift)))
        shift += length**2 / slope * (length - radius) / radius
        if not low < shift < high:
            shift = 0.5 * (low + high)
    return step


def steihaug_step(product: Callable[[Array], Array], g: Array, radius: float) -> Array:
    """Truncated conjugate gradients (Steihaug 1983; Nocedal & Wright 2006, algorithm 7.2).

    Stops inside the ball when the residual has fallen by ``min(0.5, sqrt(|g| / (1 + |g|)))``, so that outer
    steps converge superlinearly, and at the sphere when it is crossed or the curvature is not positive.

    Parameters
    ----------
    product : callable
        ``v -> B v``.
    g : (P,) array
        Gradient.
    radius : float
        Of the ball.

    Returns
    -------
    (P,) array
    """
    norm = float(np.linalg.norm(g))
    target = norm * min(0.5, math.sqrt(norm / (1.0 + norm)))
    step, residual, direction = np.zeros_like(g), g.copy(), -g
    square = norm**2
    for _ in range(2 * g.size + 10):
        image = product(direction)
        curvature = float(direction @ image)
        if curvature <= 0:
            return to_sphere(step, direction, radius)
        length = square / curvature
        further = step + length * direction
        if np.linalg.norm(further) >= radius:
            return to_sphere(step, direction, radius)
        step = further
        residual = residual + length * image
        new_square = float(residual @ residual)
        if math.sqrt(new_square) <= target:
            return step
        direction = -residual + new_square / square * direction
        square = new_square
    return step


def to_sphere(step: Array, direction: Array, radius: float) -> Array:
    """Go from `step` inside the ball along `direction` to its sphere."""
    a, b, c = float(direction @ direction), float(step @ direction), float(step @ step) - radius**2
    return step + (-b + math.sqrt(max(b * b - a * c, 0.0))) / a * direction
