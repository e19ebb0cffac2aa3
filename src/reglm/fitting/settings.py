"""What a fit may be told, and which solver ``"auto"`` means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from reglm.likelihood import Data, Likelihood
from reglm.optimize import SOLVERS
from reglm.parameters import Array
from reglm.response import has_information

LARGE = 2_000_000_000
"""Rows times parameters beyond which a network is fitted by mini-batches."""
NEWTON_PARAMETERS = 300
"""Parameters up to which exact Hessians finish a fit."""


@dataclass(frozen=True)
class Settings:
    """Options of a fit; see `reglm.RecursiveGLMRegressor` for their meaning."""

    solver: str = "auto"
    alpha: float = 0.0
    l1: float = 0.0
    n_init: int = 1
    max_iter: int | None = None
    tol: float | None = None
    batch_size: int = 200
    learning_rate: float | None = None
    schedule: str | Callable[..., float] = "constant"
    momentum: float | None = None
    nesterov: bool = False
    clip: float | None = None
    early_stopping: bool = False
    validation_fraction: float = 0.1
    patience: int = 10
    dispersion: str | float = "auto"
    freq_weights: bool = False
    balance: bool | str = "auto"
    n_jobs: int | None = None
    verbose: int = 0
    seed: int = 0
    start: Array | None = None
    callback: Callable[[int, float, Array], bool | None] | None = None


def choose_solver(settings: Settings, likelihood: Likelihood, data: Data) -> str:
    """Return the solver for a fit.

    ``"auto"`` is iteratively reweighted least squares for a generalized linear model with one linear predictor, Newton for
    one with several or with shape parameters, L-BFGS for networks (finished by Newton where the Hessian is small) and for
    L1 penalties, and mini-batch Adam for dropout, early stopping and very large networks.

    Raises
    ------
    ValueError
        If a solver is named that cannot fit this model.
    """
    if settings.solver != "auto":
        return _checked(settings, likelihood)
    size = likelihood.layout.size
    if likelihood.network.noise() or settings.early_stopping:
        return "adam"
    if len(likelihood.network.chain.layers) == 1:
        if settings.l1 > 0 or size > 5_000:
            return "lbfgs"
        if likelihood.network.outputs() == 1 and not likelihood.shape_specs and has_information(likelihood.family):
            return "irls"
        return "newton" if size <= NEWTON_PARAMETERS else "lbfgs"
    return "adam" if len(data.y) * size > LARGE else "lbfgs"


def _checked(settings: Settings, likelihood: Likelihood) -> str:
    solver = settings.solver
    if solver != "irls" and solver not in SOLVERS:
        raise ValueError(f"solver={solver!r} is not known; choose 'auto', 'irls' or one of {sorted(SOLVERS)}.")
    linear = len(likelihood.network.chain.layers) == 1
    if solver == "irls" and (not linear or likelihood.network.outputs() > 1 or likelihood.shape_specs):
        raise ValueError(
            "solver='irls' fits generalized linear models with one linear predictor and no shape parameters; "
            "use 'fisher', 'newton' or 'lbfgs'."
        )
    stochastic = solver in SOLVERS and SOLVERS[solver].kind == "stochastic"
    if likelihood.network.noise() and not stochastic:
        raise ValueError(f"dropout draws new masks for each mini-batch, which solver={solver!r} cannot use; use 'adam'.")
    return solver


def split_rows(n: int, fraction: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Row numbers to fit and to hold out.

    Raises
    ------
    ValueError
        If either part would be empty.
    """
    held = round(n * fraction)
    if not 0 < held < n:
        raise ValueError(
            f"validation_fraction={fraction!r} of {n} rows leaves {held} to hold out and {n - held} to fit; "
            "both need at least one row."
        )
    order = rng.permutation(n)
    return np.sort(order[held:]), np.sort(order[:held])


def minimise_options(settings: Settings, rng: np.random.Generator) -> dict[str, Any]:
    """Arguments for `reglm.optimize.minimize`."""
    names = ("max_iter", "tol", "batch_size", "learning_rate", "schedule", "momentum", "nesterov", "clip", "patience")
    return {name: getattr(settings, name) for name in names} | {"rng": rng}
