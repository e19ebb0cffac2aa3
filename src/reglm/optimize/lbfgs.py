"""Limited-memory BFGS (Liu & Nocedal 1989) by SciPy's L-BFGS-B; the L1 penalty by splitting.

With an L1 penalty ``theta = u - v`` with ``u, v >= 0`` on the penalised coordinates, so that the objective is
smooth in ``(u, v)`` and zeros are exact (a bound is active).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import Bounds
from scipy.optimize import minimize as scipy_minimize

from reglm.optimize.problem import Array
from reglm.optimize.progress import Progress, Stop, limit_message

if TYPE_CHECKING:
    from reglm.optimize.minimize import Settings

CORRECTIONS = 30
MAX_RESTARTS = 5


class Overflow(Exception):
    """The line search left the region where the objective is finite."""


class Split:
    """The coordinates L-BFGS-B works in: theta itself, or (u, v) with theta = u - v where L1 penalises.

    Parameters
    ----------
    l1 : (P,) array or None
        Penalties; coordinates without one are left unsplit.
    size : int
        P.
    """

    def __init__(self, l1: Array | None, size: int) -> None:
        self.l1 = np.zeros(size) if l1 is None else np.asarray(l1, dtype=float)
        self.penalised = np.flatnonzero(self.l1)
        self.size = size

    def bounds(self) -> Bounds | None:
        """Bounds of (u, v), or None without a penalty."""
        if not self.penalised.size:
            return None
        lower = np.full(self.size + self.penalised.size, -np.inf)
        lower[self.penalised] = 0.0
        lower[self.size :] = 0.0
        return Bounds(lower, np.inf)

    def split(self, theta: Array) -> Array:
        """(P,) -> (P + penalised,), the positive and negative parts."""
        u = theta.astype(float)
        v = np.maximum(-u[self.penalised], 0.0)
        u[self.penalised] = np.maximum(u[self.penalised], 0.0)
        return np.concatenate([u, v])

    def join(self, point: Array) -> Array:
        """(P + penalised,) -> (P,)."""
        theta = point[: self.size].copy()
        theta[self.penalised] -= point[self.size :]
        return theta

    def gradient(self, gradient: Array) -> Array:
        """Gradient (P,) of the smooth part -> gradient (P + penalised,) of the penalised objective."""
        return np.concatenate([gradient + self.l1, self.l1[self.penalised] - gradient[self.penalised]])


def lbfgs(progress: Progress, settings: Settings) -> None:
    """Minimise by L-BFGS with 30 corrections.

    Converged when the largest (sub)gradient entry per unit weight is at most ``tol``, or when one iteration
    lowers the objective by less than ``max(tol**2, 4 eps)`` of itself.

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
    theta = progress.theta0
    for _ in range(MAX_RESTARTS):
        try:
            search(progress, settings, theta)
        except Overflow:
            # The first step of a fresh L-BFGS is short, so restarting from the best point is a safeguard.
            if not math.isfinite(progress.best_score):
                raise progress.non_finite() from None
            theta = progress.best[0]
    raise progress.non_finite()


def search(progress: Progress, settings: Settings, theta0: Array) -> None:
    """One L-BFGS-B run from `theta0` (P,); raises `Stop` at its end, `Overflow` on inf or NaN."""
    problem = progress.problem
    split = Split(problem.l1, theta0.size)
    weight = problem.weight
    last: dict[str, Array] = {}

    def objective(point: Array) -> tuple[float, Array]:
        theta = split.join(point)
        value, gradient = progress.value_grad(theta)
        if not (math.isfinite(value) and np.all(np.isfinite(gradient))):
            raise Overflow
        last["gradient"] = np.asarray(gradient, dtype=float)
        return value / weight, split.gradient(last["gradient"]) / weight

    def iteration(intermediate_result: object) -> None:
        theta = split.join(intermediate_result.x)  # type: ignore[attr-defined]  # SciPy's OptimizeResult
        value = intermediate_result.fun * weight  # type: ignore[attr-defined]
        length = float(np.linalg.norm(theta - last.get("theta", theta0)))
        last["theta"] = theta
        # L-BFGS-B ends an iteration at the last point it evaluated, so that is where the gradient belongs.
        norm = progress.grad_norm(theta, last["gradient"])
        progress.record(theta, value, norm, length)
        if norm <= settings.tol:
            raise Stop("converged", f"gradient norm {norm:.2e} <= tol = {settings.tol:.2e}")

    remaining = settings.max_iter - progress.n_iter
    if remaining <= 0:
        raise Stop("max_iter", limit_message(settings.max_iter))
    start = split.split(theta0)
    value = objective(start)[0] * weight
    norm = progress.grad_norm(split.join(start), last["gradient"])
    progress.keep(theta0, value, norm)
    if norm <= settings.tol:
        raise Stop("converged", f"gradient norm {norm:.2e} <= tol = {settings.tol:.2e}")
    found = scipy_minimize(
        objective, start, jac=True, method="L-BFGS-B", bounds=split.bounds(), callback=iteration,
        options={
            "maxcor": CORRECTIONS, "maxiter": remaining, "maxfun": 20 * remaining + 100, "maxls": 50,
            "gtol": 0.0,
            "ftol": max(settings.tol**2, 4.0 * float(np.finfo(theta0.dtype).eps)),
        },
    )  # fmt: skip
    if found.status == 0:
        raise Stop("converged", "the objective no longer falls (relative decrease within tolerance)")
    if found.status == 1:
        raise Stop("max_iter", limit_message(settings.max_iter))
    raise Stop("stalled", f"the line search found no lower point: {found.message}")
