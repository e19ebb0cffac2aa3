"""Trust-region methods (Conn, Gould & Toint 2000): one loop, three models of the objective.

``fisher``: expected information, solved exactly (More & Sorensen 1983). ``trust-newton``: exact Hessian,
solved exactly, or its products with truncated conjugate gradients (Steihaug 1983). ``newton-cg``:
Gauss-Newton products in the same way ("Hessian-free", Martens 2010). The region is a ball in coordinates
scaled by the root of the largest diagonal entries seen (More 1978), in plain coordinates where only products
are known.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from reglm.optimize.problem import Array, Problem
from reglm.optimize.progress import Progress, Stop, limit_message
from reglm.optimize.subproblems import exact_step, steihaug_step

if TYPE_CHECKING:
    from reglm.optimize.minimize import Settings

ACCEPT = 1e-4
MAX_REJECTIONS = 40

Solve = Callable[[float], Array]
Product = Callable[[Array], Array]


class Quadratic(NamedTuple):
    """The quadratic model at a point.

    Attributes
    ----------
    product : callable
        ``v -> B v``.
    scale : (P,) array
        Coordinates are multiplied by it before lengths are taken.
    solve : callable
        ``radius -> (P,)``, the minimiser of the model within the scaled ball.
    """

    product: Product
    scale: Array
    solve: Solve


Model = Callable[[Array, Array], Quadratic]


def dense_model(curvature: Callable[[Array], Array]) -> Model:
    """Model from a matrix-valued `curvature`; remembers the largest diagonal entries for the scaling."""
    largest: list[Array] = []

    def model(theta: Array, gradient: Array) -> Quadratic:
        B = np.asarray(curvature(theta), dtype=float)
        diagonal = np.abs(np.diag(B))
        if largest:
            diagonal = np.maximum(diagonal, largest.pop())
        largest.append(diagonal)
        top = float(diagonal.max(initial=0.0))
        scale = np.sqrt(np.maximum(diagonal, 1e-10 * top)) if top > 0 else np.ones_like(gradient)
        return Quadratic(B.__matmul__, scale, lambda radius: exact_step(B, gradient, scale, radius))

    return model


def product_model(products: Callable[[Array], Product], dtype: np.dtype) -> Model:
    """Model from products with the curvature, asked for in `dtype`."""

    def model(theta: Array, gradient: Array) -> Quadratic:
        at_theta = products(theta.astype(dtype))

        def product(v: Array) -> Array:
            return np.asarray(at_theta(v.astype(dtype, copy=False)), dtype=float)

        return Quadratic(product, np.ones_like(gradient), lambda radius: steihaug_step(product, gradient, radius))

    return model


def fisher(progress: Progress, settings: Settings) -> None:
    """Fisher scoring within a trust region, by ``problem.information``; see `trust_region`."""
    information: Callable = progress.problem.information  # type: ignore[assignment]  # checked by minimize
    dtype = progress.theta0.dtype
    trust_region(progress, settings, dense_model(lambda theta: information(theta.astype(dtype))[1]))


def trust_newton(progress: Progress, settings: Settings) -> None:
    """Newton within a trust region, by ``problem.hessian``, else ``problem.hessp``; see `trust_region`."""
    hessian, dtype = progress.problem.hessian, progress.theta0.dtype
    if hessian is not None:
        model = dense_model(lambda theta: hessian(theta.astype(dtype)))
    else:
        model = product_model(hessian_products(progress.problem), dtype)
    trust_region(progress, settings, model)


def newton_cg(progress: Progress, settings: Settings) -> None:
    """Truncated Gauss-Newton by ``problem.gnp``, truncated Newton by ``problem.hessp`` without it."""
    products = progress.problem.gnp or hessian_products(progress.problem)
    trust_region(progress, settings, product_model(products, progress.theta0.dtype))


def hessian_free(progress: Progress, settings: Settings) -> None:
    """Truncated Newton on exact products ``problem.hessp``, the Hessian never formed; see `trust_region`."""
    trust_region(progress, settings, product_model(hessian_products(progress.problem), progress.theta0.dtype))


def hessian_products(problem: Problem) -> Callable[[Array], Product]:
    """``problem.hessp`` with its first argument bound first."""
    hessp: Callable = problem.hessp  # type: ignore[assignment]  # checked by minimize
    return lambda theta: partial(hessp, theta)


def trust_region(progress: Progress, settings: Settings, model: Model) -> None:
    """Take the minimisers of quadratic models within a region that grows and shrinks with their success.

    Converged when the largest gradient entry per unit weight is at most ``tol``, or when an interior step
    promises to lower the objective by less than ``tol**2`` of itself (the Newton decrement).

    Parameters
    ----------
    progress : Progress
        Evaluates and records.
    settings : Settings
        ``max_iter``, ``tol``.
    model : callable
        ``(theta, gradient) -> Quadratic``.

    Raises
    ------
    Stop
        Always; it says why the search ended.
    """
    eps = float(np.finfo(progress.theta0.dtype).eps)
    tol = max(settings.tol, 4 * eps)
    theta = progress.theta0.astype(float)
    value, gradient = start(progress, theta, tol)
    radius = math.nan
    for _ in range(settings.max_iter):
        quadratic = model(theta, gradient)
        if math.isnan(radius):
            radius = first_radius(quadratic, gradient)
        step, length, new_value, new_gradient, radius, predicted = propose(
            progress, quadratic, theta, value, gradient, radius, eps
        )
        small = predicted <= tol**2 * abs(value) and length < 0.99 * radius
        theta, value, gradient = theta + step, new_value, new_gradient
        norm = progress.grad_norm(theta, gradient)
        progress.record(theta, value, norm, length)
        if norm <= tol or small:
            raise Stop("converged", f"gradient norm {norm:.1e}, predicted decrease {predicted:.1e}")
    raise Stop("max_iter", limit_message(settings.max_iter))


def start(progress: Progress, theta: Array, tol: float) -> tuple[float, Array]:
    """Evaluate the starting point (P,); ends the search there if it is not finite or already optimal."""
    value, gradient = progress.value_grad(theta)
    if not (math.isfinite(value) and np.all(np.isfinite(gradient))):
        raise progress.non_finite()
    gradient = np.asarray(gradient, dtype=float)
    norm = progress.grad_norm(theta, gradient)
    progress.keep(theta, value, norm)
    if norm <= tol:
        raise Stop("converged", f"gradient norm {norm:.1e} <= tol = {tol:.1e} at the start")
    return value, gradient


def first_radius(quadratic: Quadratic, gradient: Array) -> float:
    """Ten times the step to the minimum along steepest descent, in scaled length."""
    steepest = gradient / quadratic.scale
    length = float(np.linalg.norm(steepest))
    direction = steepest / quadratic.scale
    curvature = float(direction @ quadratic.product(direction))
    return 10.0 * length**3 / curvature if curvature > 0 else max(1.0, length)


def propose(
    progress: Progress,
    quadratic: Quadratic,
    theta: Array,
    value: float,
    gradient: Array,
    radius: float,
    eps: float,
) -> tuple[Array, float, float, Array, float, float]:
    """Shrink the region until the step it gives is accepted.

    Returns
    -------
    step, length, new_value, new_gradient, radius, predicted
        The accepted step, its scaled length, what the objective is there, the radius for the next step and
        the decrease the model promised.

    Raises
    ------
    Stop
        When the promised decrease drowns in rounding, or no step is accepted.
    """
    slack = 16 * eps * abs(value)
    promised = math.nan
    for _ in range(MAX_REJECTIONS):
        step = quadratic.solve(radius)
        length = float(np.linalg.norm(quadratic.scale * step))
        predicted = -float(gradient @ step + 0.5 * step @ quadratic.product(step))
        promised = predicted if math.isnan(promised) else promised
        new_value, new_gradient = progress.value_grad(theta + step)
        new_gradient = np.asarray(new_gradient, dtype=float)
        finite = math.isfinite(new_value) and bool(np.all(np.isfinite(new_gradient)))
        if finite:
            ratio = (value - new_value + slack) / (predicted + slack)
            if ratio > ACCEPT:
                if ratio > 0.75 and length >= 0.99 * radius:
                    radius *= 3.0
                elif ratio < 0.25:
                    radius = 0.25 * length
                return step, length, new_value, new_gradient, radius, predicted
        if promised <= 100 * slack and finite:
            raise Stop("converged", "no further decrease beyond rounding")
        radius = 0.25 * length
    if not finite:
        raise progress.non_finite()
    raise Stop("stalled", "no step within the trust region lowers the objective; are the derivatives right?")
