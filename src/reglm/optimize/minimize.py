"""The one entry point to the solvers, and their registry."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from reglm.optimize import rules, schedules
from reglm.optimize.gradient_descent import gradient_descent
from reglm.optimize.lbfgs import lbfgs
from reglm.optimize.newton import newton
from reglm.optimize.problem import Array, Problem, Result
from reglm.optimize.progress import Callback, Progress, Stop
from reglm.optimize.stochastic import finish, stochastic
from reglm.optimize.trust_region import fisher, hessian_free, newton_cg, trust_newton

Kind = Literal["full", "second-order", "stochastic"]


@dataclass
class Settings:
    """Options of a search, defaults filled in; see `minimize`."""

    max_iter: int
    tol: float
    rule: Callable[[], rules.Rule]
    batch_size: int
    learning_rate: float | None
    schedule: str | schedules.Schedule
    clip: float | None
    clip_value: float | None
    patience: int
    rng: np.random.Generator
    shuffle: bool
    state: Any = None


@dataclass(frozen=True)
class Solver:
    """A row of the registry.

    Attributes
    ----------
    name : str
        Name users write.
    run : callable
        ``(Progress, Settings) -> None``, ending in `Stop`.
    kind : {"full", "second-order", "stochastic"}
        What it sees of the data and of the curvature.
    needs : tuple of str
        Fields of `Problem`, one of which has to be given.
    l1 : bool
        Whether it handles L1 penalties.
    max_iter, tol : int, float
        Defaults.
    """

    name: str
    run: Callable[[Progress, Settings], None] = field(repr=False)
    kind: Kind
    needs: tuple[str, ...] = ()
    l1: bool = False
    max_iter: int = 500
    tol: float = 1e-6


def _stochastic(name: str) -> Solver:
    return Solver(name, stochastic, "stochastic", ("batch_value_grad",), l1=True, max_iter=200, tol=1e-4)


SOLVERS: dict[str, Solver] = {
    solver.name: solver
    for solver in (
        Solver("lbfgs", lbfgs, "full", l1=True, max_iter=1000),
        Solver("gd", gradient_descent, "full", l1=True, max_iter=1000, tol=1e-5),
        Solver("newton", newton, "second-order", ("hessian",), max_iter=200, tol=1e-8),
        Solver("trust-newton", trust_newton, "second-order", ("hessian", "hessp"), max_iter=200, tol=1e-8),
        Solver("fisher", fisher, "second-order", ("information",), max_iter=200, tol=1e-8),
        Solver("newton-cg", newton_cg, "second-order", ("gnp", "hessp"), max_iter=200, tol=1e-7),
        Solver("hessian-free", hessian_free, "second-order", ("hessp",), max_iter=200, tol=1e-7),
        _stochastic("sgd"),
        _stochastic("adagrad"),
        _stochastic("adadelta"),
        _stochastic("adam"),
    )
}


def minimize(
    problem: Problem,
    theta0: Array,
    solver: str = "lbfgs",
    *,
    max_iter: int | None = None,
    tol: float | None = None,
    batch_size: int = 200,
    learning_rate: float | None = None,
    schedule: str | schedules.Schedule = "constant",
    momentum: float | None = None,
    nesterov: bool = False,
    clip: float | None = None,
    clip_value: float | None = None,
    patience: int = 10,
    rng: np.random.Generator | None = None,
    shuffle: bool = True,
    callback: Callback | None = None,
    state: Any = None,
) -> Result:
    """Minimise a problem.

    Parameters
    ----------
    problem : Problem
        Objective, derivatives and penalties.
    theta0 : (P,) array
        Start, left unchanged; float32 or float64.
    solver : str
        A name in `SOLVERS`.
    max_iter : int, optional
        Iterations, or epochs of the stochastic solvers; the solver's default if None.
    tol : float, optional
        Bound on the largest (sub)gradient entry per unit weight; for stochastic solvers the relative decrease
        of the objective that counts as progress. The solver's default if None.
    batch_size : int
        Rows per batch.
    learning_rate : float, optional
        Initial rate, for the objective per unit weight; the rule's default if None.
    schedule : str or callable
        A name in `schedules.SCHEDULES`, or ``(epoch, max_iter, history) -> factor``.
    momentum : float, optional
        Decay of the velocity (``sgd``, ``gd``; 0.9, 0 switches it off) or of the first moment (``adam``;
        0.9).
    nesterov : bool
        Look-ahead momentum for ``sgd`` and ``gd``.
    clip : float, optional
        Largest Euclidean norm of a first-order solver's gradient.
    clip_value : float, optional
        Largest size of its entries, before `clip`.
    patience : int
        Iterations without progress before stopping: of the monitor, or of a stochastic solver's objective.
    rng : numpy.random.Generator, optional
        Shuffles the rows; seeded with 0 if None.
    shuffle : bool
        Whether to shuffle the rows before each epoch.
    callback : callable, optional
        ``(iteration, value, theta) -> True`` to stop. `theta` may be overwritten later: copy it to keep it.
    state : object, optional
        ``Result.state`` of an earlier call, to continue a stochastic solver where it stood.

    Returns
    -------
    Result

    Raises
    ------
    ValueError
        For an unknown solver, one whose derivatives `problem` lacks, or one that cannot handle its L1
        penalty.
    """
    chosen = find(solver, problem)
    theta0 = np.ascontiguousarray(theta0)
    settings = Settings(
        max_iter=chosen.max_iter if max_iter is None else int(max_iter),
        tol=chosen.tol if tol is None else float(tol),
        rule=lambda: rule_of(solver, momentum, nesterov),
        batch_size=max(1, min(int(batch_size), problem.n_rows)),
        learning_rate=learning_rate, schedule=schedule, clip=clip, clip_value=clip_value, patience=patience,
        rng=np.random.default_rng(0) if rng is None else rng, shuffle=shuffle, state=state,
    )  # fmt: skip
    progress = Progress(problem, theta0, callback, patience)
    status, message = search(progress, chosen, settings)
    return progress.result(status, message, settings.state)


def search(progress: Progress, solver: Solver, settings: Settings) -> tuple[str, str]:
    """Run a solver to its end and return the status and the message."""
    status, message = "stalled", "the solver ended without saying why"
    try:
        solver.run(progress, settings)
    except Stop as stop:
        status, message = stop.status, stop.message
    except KeyboardInterrupt:
        status = "interrupted"
        message = f"interrupted after iteration {progress.n_iter}; the best parameters so far were kept"
    if solver.kind == "stochastic":
        with suppress(KeyboardInterrupt):
            finish(progress)
    if not math.isfinite(progress.best[1]) and status != "interrupted":
        status = "non-finite"
    return status, message


def find(solver: str, problem: Problem) -> Solver:
    """Look a solver up and check that it suits the problem; raises ValueError naming the remedy."""
    if solver not in SOLVERS:
        raise ValueError(f"solver={solver!r} is not known; use one of {sorted(SOLVERS)}")
    chosen = SOLVERS[solver]
    if chosen.needs and all(getattr(problem, name) is None for name in chosen.needs):
        raise ValueError(f"solver={solver!r} needs Problem.{' or Problem.'.join(chosen.needs)}, which is not given")
    if problem.l1 is not None and np.any(problem.l1) and not chosen.l1:
        able = sorted(name for name, other in SOLVERS.items() if other.l1)
        raise ValueError(f"solver={solver!r} cannot minimise an L1 penalty; use solver='lbfgs' or one of {able}")
    return chosen


def rule_of(solver: str, momentum: float | None, nesterov: bool) -> rules.Rule:
    """Return the update rule of a first-order solver with its momentum (None for the default)."""
    if solver == "adam":
        return rules.adam() if momentum is None else rules.adam(momentum)
    if solver in ("adagrad", "adadelta"):
        return rules.RULES[solver]()
    decay = 0.9 if momentum is None else float(momentum)
    if decay == 0.0:
        return rules.sgd()
    return rules.nesterov(decay) if nesterov else rules.momentum(decay)
