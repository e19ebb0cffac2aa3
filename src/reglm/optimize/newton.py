"""Newton's method with a convexified Hessian and a backtracking line search."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from reglm.optimize.least_squares import solve_normal
from reglm.optimize.problem import Array
from reglm.optimize.progress import Progress, Stop, limit_message
from reglm.optimize.subproblems import FLAT_GRADIENT, TINY
from reglm.optimize.trust_region import start

if TYPE_CHECKING:
    from reglm.optimize.minimize import Settings

FLAT = 1e-8
MAX_HALVINGS = 50


def newton(progress: Progress, settings: Settings) -> None:
    """Newton steps, halved until the objective falls enough (Armijo 1966).

    Converged when the largest gradient entry per unit weight is at most ``tol``, or the Newton decrement
    ``g' H^-1 g`` at most ``2 tol**2`` of the objective.

    Parameters
    ----------
    progress : Progress
        Evaluates and records.
    settings : Settings
        ``max_iter``, ``tol``.

    Raises
    ------
    Stop
        Always; it says why the search ended.
    """
    hessian: Callable = progress.problem.hessian  # type: ignore[assignment]  # checked by minimize
    dtype = progress.theta0.dtype
    tol = max(settings.tol, 4 * float(np.finfo(dtype).eps))
    theta = progress.theta0.astype(float)
    value, gradient = start(progress, theta, tol)
    for _ in range(settings.max_iter):
        direction = descent_direction(np.asarray(hessian(theta.astype(dtype)), dtype=float), gradient)
        decrement = -float(gradient @ direction)
        small = 0.5 * decrement <= tol**2 * abs(value)
        fraction, value, gradient = backtrack(progress, theta, value, direction, decrement)
        theta = theta + fraction * direction
        norm = progress.grad_norm(theta, gradient)
        progress.record(theta, value, norm, fraction)
        if norm <= tol or small:
            raise Stop("converged", f"gradient norm {norm:.1e}, decrement {decrement:.1e}")
    raise Stop("max_iter", limit_message(settings.max_iter))


def descent_direction(H: Array, g: Array) -> Array:
    """Newton direction of the nearest convex model.

    Parameters
    ----------
    H : (P, P) array
        Hessian.
    g : (P,) array
        Gradient.

    Returns
    -------
    (P,) array
        ``-H^-1 g`` where `H` is safely positive definite; else eigenvalues are replaced by their absolute
        values, at least 1e-8 of the largest ("saddle-free", Dauphin et al. 2014), and there is no movement
        along directions in which curvature and gradient are rounding.
    """
    direction, condition = solve_normal(H, -g)
    if condition < 1.0 / FLAT**1.5:
        return direction
    values, vectors = np.linalg.eigh(H)
    sizes = np.abs(values)
    top = float(sizes.max(initial=0.0))
    if top == 0.0:
        return -g
    along = vectors.T @ g
    rounding = (sizes <= TINY * top) & (np.abs(along) <= FLAT_GRADIENT * np.linalg.norm(g))
    return -vectors @ np.where(rounding, 0.0, along / np.maximum(sizes, FLAT * top))


def backtrack(
    progress: Progress, theta: Array, value: float, direction: Array, decrement: float
) -> tuple[float, float, Array]:
    """Halve the step until the objective falls by 1e-4 of what the slope promises.

    Returns
    -------
    fraction, value, gradient
        Share of `direction` taken and the objective and its gradient there.

    Raises
    ------
    Stop
        When the promised decrease drowns in rounding, or no fraction is accepted.
    """
    slack = 16 * float(np.finfo(progress.theta0.dtype).eps) * abs(value)
    fraction = 1.0
    for _ in range(MAX_HALVINGS):
        new_value, gradient = progress.value_grad(theta + fraction * direction)
        finite = math.isfinite(new_value) and np.all(np.isfinite(gradient))
        if finite and new_value <= value - 1e-4 * fraction * decrement + slack:
            return fraction, new_value, np.asarray(gradient, dtype=float)
        if decrement <= slack:
            raise Stop("converged", "no further decrease beyond rounding")
        fraction *= 0.5
    raise Stop("stalled", "step-halving found no lower objective; are gradient and Hessian right?")
