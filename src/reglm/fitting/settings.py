"""What a fit may be told, and which solver ``"auto"`` means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from reglm.fitting.rescale import Scaling
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
    clip_value: float | None = None
    bptt: int | None = None
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
    partial: bool = False
    memory: Memory | None = None


class Memory(NamedTuple):
    """What one partial fit hands to the next: the scale of the columns, if there was one, and the solver's memory."""

    scaling: Scaling | None
    state: Any


def choose_solver(settings: Settings, likelihood: Likelihood, data: Data) -> str:
    """Return the solver for a fit.

    ``"auto"`` is iteratively reweighted least squares for a generalized linear model with one linear predictor, Fisher
    scoring for one with several, Newton where there are shape parameters or only an observed information; L-BFGS for
    networks (finished by Newton where the Hessian is small) and for L1 penalties; mini-batch Adam for dropout, early
    stopping, partial fits and very large networks.

    Raises
    ------
    ValueError
        If a solver is named that cannot fit this model.
    """
    if settings.partial:
        return settings.solver if is_stochastic(settings.solver) else "adam"
    if settings.solver != "auto":
        return _checked(settings, likelihood)
    size, linear = likelihood.layout.size, is_plain(likelihood)
    if likelihood.network.noise() or settings.early_stopping or settings.bptt:
        return "adam"
    if linear:
        if settings.l1 > 0 or size > 5_000:
            return "lbfgs"
        if not likelihood.shape_specs and has_information(likelihood.family):
            return "irls" if likelihood.network.outputs() == 1 else "fisher" if size <= NEWTON_PARAMETERS else "lbfgs"
        return "newton" if size <= NEWTON_PARAMETERS else "lbfgs"
    return "adam" if len(data.y) * size > LARGE else "lbfgs"


def _checked(settings: Settings, likelihood: Likelihood) -> str:
    solver = settings.solver
    if solver != "irls" and solver not in SOLVERS:
        raise ValueError(f"solver={solver!r} is not known; choose 'auto', 'irls' or one of {sorted(SOLVERS)}.")
    if solver == "irls":
        _check_irls(settings, likelihood)
    if likelihood.network.noise() and not is_stochastic(solver):
        raise ValueError(
            f"dropout draws new masks for each mini-batch, which solver={solver!r} cannot use; use solver='adam'."
        )
    if likelihood.has_priced_gradients and SOLVERS[solver].kind == "second-order":
        raise ValueError(f"omega prices gradients, of which solver={solver!r} needs two derivatives; use 'lbfgs'.")
    if settings.bptt is not None and not is_stochastic(solver):
        raise ValueError(f"bptt={settings.bptt!r} truncates gradients, which solver={solver!r} cannot use; use 'adam'.")
    return solver


def _check_irls(settings: Settings, likelihood: Likelihood) -> None:
    if not is_plain(likelihood) or likelihood.network.outputs() > 1 or likelihood.shape_specs:
        raise ValueError(
            "solver='irls' fits generalized linear models with one linear predictor and no shape parameters; "
            "use solver='fisher', 'newton' or 'lbfgs'."
        )
    for name, given in (("l1", settings.l1 > 0), ("early_stopping", settings.early_stopping)):
        if given:
            raise ValueError(f"solver='irls' cannot do {name}={getattr(settings, name)!r}; use solver='lbfgs'.")


def is_plain(likelihood: Likelihood) -> bool:
    """Whether the network is one affine map, so that the model is a generalized linear model in its columns."""
    return len(likelihood.network.chain.layers) == 1 and likelihood.network.skip is None


def is_stochastic(solver: str) -> bool:
    """Whether a solver works on mini-batches."""
    return solver in SOLVERS and SOLVERS[solver].kind == "stochastic"


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
    names = (
        "max_iter", "tol", "batch_size", "learning_rate", "schedule", "momentum", "nesterov", "clip", "clip_value",
        "patience",
    )  # fmt: skip
    return {name: getattr(settings, name) for name in names} | {"rng": rng}
