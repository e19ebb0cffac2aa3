"""Gradient descent on all rows, with the update rules and schedules of the stochastic solvers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from reglm.optimize import rules, schedules
from reglm.optimize.progress import Progress, Stop, limit_message

if TYPE_CHECKING:
    from reglm.optimize.minimize import Settings


def gradient_descent(progress: Progress, settings: Settings) -> None:
    """Descend the objective per unit weight by the rule and the schedule of `settings`.

    Converged when the largest (sub)gradient entry per unit weight is at most ``tol``.

    Parameters
    ----------
    progress : Progress
        Evaluates and records.
    settings : Settings
        ``max_iter``, ``tol``, ``rule``, ``learning_rate``, ``schedule``, ``clip``, ``clip_value``.

    Raises
    ------
    Stop
        Always; it says why the search ended.
    """
    problem = progress.problem
    rule = settings.rule()
    theta = progress.theta0.copy()
    state = rule.init(theta)
    rate0 = rule.learning_rate if settings.learning_rate is None else float(settings.learning_rate)
    schedule = schedules.get(settings.schedule)
    l1 = problem.l1_mean(theta.dtype)
    rate = 0.0
    for iteration in range(settings.max_iter + 1):
        value, gradient = progress.value_grad(theta)
        if not np.all(np.isfinite(gradient)):
            value = math.nan
        norm = progress.grad_norm(theta, gradient)
        if iteration > 0:
            progress.record(theta, value, norm, rate)
        elif math.isfinite(value):
            progress.keep(theta, value, norm)
        else:
            raise progress.non_finite()
        if norm <= settings.tol:
            raise Stop("converged", f"gradient norm {norm:.1e} <= tol = {settings.tol:.1e}")
        rate = rate0 * float(schedule(iteration, settings.max_iter, progress.history["objective"]))
        gradient = gradient / gradient.dtype.type(problem.weight)
        gradient = rules.clipped(gradient, settings.clip, settings.clip_value)
        rule.step(state, theta, gradient, rate, l1)
    raise Stop("max_iter", limit_message(settings.max_iter))
