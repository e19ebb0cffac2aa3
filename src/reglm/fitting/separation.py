"""Where a likelihood has no finite maximum: the model fits the data perfectly.

In families of known dispersion the deviance has an absolute scale. Where it falls to zero, some linear predictors grow
without end (complete separation of classes, counts that are all zero on one side) and searching further is of no use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from reglm.likelihood import Data, Likelihood
from reglm.optimize.problem import Result
from reglm.parameters import Array

PERFECT = 1e-6
"""Share of the null deviance, and deviance per unit weight, that count as none."""

CONSTANT = 1e-9
"""Null deviance per unit weight below which the response itself is constant at the edge of its range."""

Callback = Callable[[int, float, Array], bool | None]


@dataclass(frozen=True)
class Watch:
    """Solver callback that stops at a perfect fit and otherwise does what the user's callback says.

    Parameters
    ----------
    lowest : float
        Objective at which the deviance counts as zero; minus infinity where it never does.
    callback : callable, optional
        The user's, ``(iteration, value, theta) -> True`` to stop.
    """

    lowest: float
    callback: Callback | None = None

    def __call__(self, iteration: int, value: float, theta: Array) -> bool | None:
        """Whether to stop."""
        if value <= self.lowest:
            return True
        return None if self.callback is None else self.callback(iteration, value, theta)

    def name(self, result: Result) -> None:
        """Say in the result that the fit is perfect."""
        if result.value <= self.lowest:
            result.status = "diverging"
            result.message = (
                "the model fits the data perfectly: it has as many parameters as rows, or the columns of X separate "
                "the classes (or counts of zero), whose linear predictors then grow without end; add a penalty alpha "
                "or leave out the columns responsible"
            )


def watch(likelihood: Likelihood, data: Data, null: Array, callback: Callback | None) -> Watch:
    """Return the watch for a fit.

    Parameters
    ----------
    likelihood : Likelihood
    data : Data
        Rows to fit.
    null : ndarray (K,)
        Intercepts at which the deviance places the saturated model's objective.
    callback : callable, optional
    """
    if likelihood.family.dispersion != "fixed" or likelihood.shape_specs:
        return Watch(-np.inf, callback)
    response, eta = likelihood.response, data.offset + null.astype(data.offset.dtype)
    objective = response.objective(data.y, eta, data.weights)
    deviance = float((data.weights * response.unit_deviance(data.y, eta)).sum())
    weight = float(data.weights.sum())
    least = PERFECT * (min(deviance, weight) if deviance > CONSTANT * weight else weight)
    lowest = objective - deviance / 2.0 + least / 2.0
    return Watch(lowest if np.isfinite(lowest) else -np.inf, callback)
