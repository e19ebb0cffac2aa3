"""The run of one search: counted evaluations, best parameters, history, reasons to stop."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from reglm.optimize.problem import Array, Problem, Result, subgradient

Callback = Callable[[int, float, Array], bool | None]


class Stop(Exception):
    """Ends a search from any depth.

    Parameters
    ----------
    status, message : str
        As in `Result`.
    """

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Progress:
    """Evaluates a problem for a solver and remembers the best parameters it reported.

    Parameters
    ----------
    problem : Problem
        What is minimised.
    theta0 : (P,) array
        Start; its dtype is the dtype of every evaluation.
    callback : callable, optional
        ``(iteration, value, theta) -> True`` to stop.
    patience : int
        Iterations without a new lowest monitor after which to stop.
    """

    def __init__(self, problem: Problem, theta0: Array, callback: Callback | None, patience: int) -> None:
        self.problem = problem
        self.theta0 = theta0
        self.callback = callback
        self.patience = patience
        self.n_iter = 0
        self.n_eval = 0
        self.history: dict[str, list[float]] = {"objective": [], "monitor": [], "step": []}
        self.best = (theta0.copy(), math.inf, math.nan)
        self.last: Array | None = None
        self.best_score = math.inf
        self.waited = 0

    def value_grad(self, theta: Array) -> tuple[float, Array]:
        """Penalised objective and gradient of its smooth part at `theta` (P,)."""
        self.n_eval += 1
        value, gradient = self.problem.value_grad(theta.astype(self.theta0.dtype, copy=False))
        return float(value) + self.l1_value(theta), gradient

    def value(self, theta: Array) -> float:
        """Penalised objective at `theta` (P,)."""
        if self.problem.value is None:
            return self.value_grad(theta)[0]
        self.n_eval += 1
        return float(self.problem.value(theta.astype(self.theta0.dtype, copy=False))) + self.l1_value(theta)

    def l1_value(self, theta: Array) -> float:
        """L1 penalty at `theta` (P,)."""
        return 0.0 if self.problem.l1 is None else float(np.abs(theta) @ self.problem.l1)

    def grad_norm(self, theta: Array, gradient: Array) -> float:
        """Largest absolute (sub)gradient entry per unit weight, from the smooth gradient (P,)."""
        entries = subgradient(theta, gradient, self.problem.l1)
        return float(np.max(np.abs(entries), initial=0.0)) / self.problem.weight

    def record(self, theta: Array, value: float, grad_norm: float, step: float) -> None:
        """Close an iteration: keep the parameters if they are the best, then see whether to stop.

        Parameters
        ----------
        theta : (P,) array
            Copied if kept.
        value, grad_norm, step : float
            Objective, gradient norm (NaN if unknown) and step length of the iteration.

        Raises
        ------
        Stop
            When the objective is not finite, the callback says so or the monitor has not fallen for
            `patience` iterations.
        """
        self.n_iter += 1
        if not math.isfinite(value):
            raise self.non_finite()
        self.last = theta
        self.history["objective"].append(value)
        self.history["step"].append(step)
        self.keep(theta, value, grad_norm)
        if self.callback is not None and self.callback(self.n_iter, value, theta):
            raise Stop("callback", f"stopped by the callback after iteration {self.n_iter}")
        if self.problem.monitor is not None and self.waited >= self.patience:
            raise Stop("stopped early", f"the monitor did not fall for {self.patience} iterations")

    def keep(self, theta: Array, value: float, grad_norm: float) -> None:
        """Keep `theta` (P,) if its monitor (its objective where there is none) is the lowest so far."""
        score = value
        if self.problem.monitor is not None:
            score = float(self.problem.monitor(theta.astype(self.theta0.dtype, copy=False)))
            self.history["monitor"].append(score)
        if score < self.best_score or not math.isfinite(self.best_score):
            self.best = (theta.astype(self.theta0.dtype), value, grad_norm)
            self.best_score = score
            self.waited = 0
        else:
            self.waited += 1

    def non_finite(self) -> Stop:
        """Return the `Stop` for an objective that is not finite at the present iteration."""
        return Stop(
            "non-finite",
            f"the objective became non-finite at iteration {self.n_iter}; lower learning_rate, "
            "clip the gradient, standardise the inputs or start closer",
        )

    def result(self, status: str, message: str, state: object = None) -> Result:
        """Return the best parameters as a `Result` with this status and message."""
        theta, value, grad_norm = self.best
        return Result(
            theta=theta, value=value, grad_norm=grad_norm, n_iter=self.n_iter, n_eval=self.n_eval,
            status=status, message=message, history=self.history, state=state,
        )  # fmt: skip


def limit_message(max_iter: int) -> str:
    """Message for a search that used up its iterations."""
    return f"not converged after max_iter = {max_iter} iterations; raise max_iter, standardise the inputs or loosen tol"
