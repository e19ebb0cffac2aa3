"""The epoch loop of the mini-batch solvers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reglm.optimize import rules, schedules
from reglm.optimize.problem import Array
from reglm.optimize.progress import Progress, Stop, limit_message
from reglm.threads import batch_threads

if TYPE_CHECKING:
    from reglm.optimize.minimize import Settings

PROXIMAL_RATES = (1.0, 0.1, 0.01, 0.001)


@dataclass
class Memory:
    """What a stochastic solver carries from one call to the next (``Result.state``).

    Attributes
    ----------
    rule : State
        Accumulators of the update rule.
    epochs : int
        Epochs run so far, for the schedule.
    """

    rule: rules.State
    epochs: int = 0


def stochastic(progress: Progress, settings: Settings) -> None:
    """Mini-batch descent with the rule of ``settings``; an iteration is one epoch.

    Ends with status ``"converged"`` when the mean objective of the epochs has not fallen by more than ``tol``
    (relative to its size, at least 1) for ``patience`` epochs and there is no monitor; with a monitor the
    monitor alone decides.

    Parameters
    ----------
    progress : Progress
        Evaluates and records.
    settings : Settings
        All but ``memory``.

    Raises
    ------
    Stop
        Always; it says why the search ended.
    """
    rule = settings.rule()
    theta = progress.last = progress.theta0.copy()
    if settings.state is None:
        settings.state = Memory(rule.init(theta))
    memory: Memory = settings.state
    rate0 = rule.learning_rate if settings.learning_rate is None else float(settings.learning_rate)
    schedule = schedules.get(settings.schedule)
    objective = progress.history["objective"]
    order = np.arange(progress.problem.n_rows)
    lowest, waited = math.inf, 0
    for _ in range(settings.max_iter):
        rate = rate0 * float(schedule(memory.epochs, settings.max_iter, objective))
        if settings.shuffle:
            settings.rng.shuffle(order)
        with batch_threads(settings.batch_size, len(theta)):
            mean = epoch(progress, settings, rule.step, memory.rule, theta, order, rate)
        memory.epochs += 1
        progress.record(theta, mean * progress.problem.weight, math.nan, rate)
        if mean < lowest - settings.tol * max(1.0, abs(lowest)) or not math.isfinite(lowest):
            lowest, waited = mean, 0
        else:
            waited += 1
        if progress.problem.monitor is None and waited >= settings.patience:
            raise Stop("converged", f"the objective fell by less than tol = {settings.tol:g} for {waited} epochs")
    raise Stop("max_iter", limit_message(settings.max_iter))


def epoch(
    progress: Progress, settings: Settings, step: rules.Step, state: rules.State, theta: Array, order: Array,
    rate: float,
) -> float:  # fmt: skip
    """Pass over the rows in the given order once, moving `theta` in place.

    Parameters
    ----------
    progress, settings, step, state
        Problem, options, update rule and its memory.
    theta : (P,) array
        Parameters, changed in place.
    order : (n,) int array
        Row numbers; consecutive runs of ``batch_size`` are the batches, the last may be shorter.
    rate : float
        Learning rate of this epoch.

    Returns
    -------
    float
        Mean penalised objective per unit weight over the batches, each at the parameters it met.
    """
    problem = progress.problem
    batch_value_grad: Callable = problem.batch_value_grad  # type: ignore[assignment]  # checked by minimize
    size = settings.batch_size
    l1 = problem.l1_mean(theta.dtype)
    total = 0.0
    for start in range(0, order.size, size):
        rows = order[start : start + size]
        value, gradient = batch_value_grad(theta, rows)
        if not math.isfinite(value):
            progress.n_iter += 1
            raise progress.non_finite()
        if l1 is not None:
            value += float(np.abs(theta) @ l1)
        gradient = rules.clipped(gradient, settings.clip, settings.clip_value)
        step(state, theta, gradient, rate, l1)
        total += value * rows.size
    progress.n_eval += 1
    if not np.isfinite(theta).all():
        return math.nan
    return total / order.size


def finish(progress: Progress) -> None:
    """Choose between the parameters of the last and of the best epoch by the objective over all rows.

    An epoch's mean objective is taken along the way, so its minimum need not mark the best parameters. Where
    a monitor chose, only the objective and the gradient norm are filled in.

    Parameters
    ----------
    progress : Progress
        Holds both; receives the choice with its objective and gradient norm.
    """
    candidates = [progress.best[0]]
    last = candidates[0] if progress.last is None else progress.last
    if progress.problem.monitor is None and np.isfinite(last).all() and not np.array_equal(last, candidates[0]):
        candidates.append(last)
    found = [(theta, *progress.value_grad(theta)) for theta in candidates]
    theta, value, gradient = min(found, key=lambda entry: entry[1] if math.isfinite(entry[1]) else math.inf)
    if progress.problem.l1 is not None and progress.problem.monitor is None and math.isfinite(value):
        theta, value, gradient = proximal_step(progress, theta, value, gradient)
    progress.best = (theta, value, progress.grad_norm(theta, gradient))


def proximal_step(progress: Progress, theta: Array, value: float, gradient: Array) -> tuple[Array, float, Array]:
    """One proximal gradient step on all rows, the longest of a few that lowers the objective.

    The noise of the batches keeps coordinates away from the zeros that the L1 penalty calls for; a step
    without noise puts them there.

    Parameters
    ----------
    progress : Progress
        Evaluates.
    theta, value, gradient
        Where it starts, with the objective and the gradient of its smooth part.

    Returns
    -------
    theta, value, gradient
        The same at its end, or as given if no step lowers the objective.
    """
    l1 = progress.problem.l1_mean(theta.dtype)
    for rate in PROXIMAL_RATES:
        trial = theta - (rate / progress.problem.weight) * gradient.astype(theta.dtype, copy=False)
        rules.shrink(trial, rate, l1)
        new_value, new_gradient = progress.value_grad(trial)
        if new_value < value:
            return trial, new_value, new_gradient
    return theta, value, gradient
