"""The record of a fit: what inference, summaries, plots and persistence are given instead of an estimator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from reglm.likelihood import Data, Likelihood
from reglm.parameters import Array


@dataclass(frozen=True)
class Restart:
    """One start of a fit: its objective (penalty included), whether its solver converged, and where it ended.

    `theta` (P,) is on the scale of X as given; empty in a model that was loaded from disk.
    """

    objective: float
    converged: bool
    n_iter: int
    theta: Array = field(default_factory=lambda: np.zeros(0), repr=False, compare=False)


class Refit(Protocol):
    """Fits the same model, with the same options, to other rows."""

    def __call__(self, data: Data, *, start: Array | None = None, n_init: int = 1, seed: int = 0) -> Fit:
        """Return the fit of `data`.

        Parameters
        ----------
        data : Data
        start : ndarray (P,), optional
            Estimates to start from, for the first of the starts.
        n_init : int
        seed : int
        """


class Reader(Protocol):
    """How rows as users have them become those of a `Data` record."""

    @property
    def columns(self) -> Mapping[str, tuple[int, ...]]:
        """Columns of the model matrix that each input of the user fills."""

    def rows(self, X: Any, offset: Any = None, exposure: Any = None) -> tuple[Any, Array]:
        """Model matrix (n, p) and total offset (n, K)."""

    def response(self, y: Any) -> Array:
        """Response (n, Ky), coded as the family says."""

    def values(self, X: Any, name: str) -> Array:
        """Values (n,) of a numeric input; level numbers of a categorical one."""

    def levels(self, X: Any, name: str) -> list[Any] | None:
        """Levels of a categorical input, the reference first; None for a numeric one."""

    def replace(self, X: Any, name: str, values: Any) -> Any:
        """Copy of X with other values (n,), or one value, for an input; levels for a categorical one."""


@dataclass
class Fit:
    """A fitted recursive GLM.

    Parameters
    ----------
    likelihood : Likelihood
        Network, family, link and compiled derivatives.
    theta : ndarray (P,)
        Estimates on the scale of X as given.
    data : Data or None
        Training rows; None in a model that was loaded from disk.
    dispersion : float
        phi.
    dispersion_method : {"pearson", "deviance", "ml", "fixed"}
    penalty : ndarray (P,)
        L2 penalty of each parameter: the objective holds ``sum penalty theta^2 / 2``.
    l1 : ndarray (P,)
        L1 penalty of each parameter.
    solver : str
    converged : bool
    message : str
    n_iter : int
    objective : float
        Penalised objective at theta, at dispersion 1 and up to the constant `reglm.likelihood` leaves out.
    n_rows : int
        Rows with positive weight.
    weight_total : float
        Sum of the weights.
    freq_weights : bool
        Whether a weight is a number of repetitions: n and degrees of freedom then count weights, not rows.
    restarts : list of Restart
    at_optimum : bool
        False where theta is not meant to be a stationary point: early stopping, dropout, L1, stochastic
        solvers.
    input_names, output_names : list of str
    balanced : bool
        Whether the intercept was refitted so that fitted and observed totals agree.
    history : dict of lists
        "objective", "monitor", ... by iteration or epoch.
    null_deviance : float
        Deviance of the intercept-only model with the same offset and weights.
    deviance : float
    log_likelihood : float
        At `dispersion` (gaussian: at the maximum-likelihood dispersion); nan for quasi families.
    refit : callable or None
        Fits the same model to other rows; None in a model that was loaded from disk.
    """

    likelihood: Likelihood
    theta: Array
    data: Data | None
    dispersion: float
    dispersion_method: str
    penalty: Array
    l1: Array
    solver: str
    converged: bool
    message: str
    n_iter: int
    objective: float
    n_rows: int
    weight_total: float
    freq_weights: bool = False
    restarts: list[Restart] = field(default_factory=list)
    at_optimum: bool = True
    input_names: list[str] = field(default_factory=list)
    output_names: list[str] = field(default_factory=list)
    balanced: bool = False
    history: dict[str, list[float]] = field(default_factory=dict)
    null_deviance: float = float("nan")
    deviance: float = float("nan")
    log_likelihood: float = float("nan")
    details: dict[str, Any] = field(default_factory=dict)
    refit: Refit | None = None

    @property
    def nobs(self) -> float:
        """Number of observations: rows, or repetitions with ``freq_weights``."""
        return self.weight_total if self.freq_weights else float(self.n_rows)

    @property
    def n_parameters(self) -> int:
        """Estimated parameters, dispersion not counted; with L1 those that are not zero."""
        return int(np.count_nonzero(self.theta)) if np.any(self.l1) else len(self.theta)

    @property
    def df_resid(self) -> float:
        """Residual degrees of freedom, n - P."""
        return self.nobs - self.n_parameters

    @property
    def is_linear(self) -> bool:
        """Whether the network has no hidden layer: a generalized linear model."""
        return len(self.likelihood.network.chain.layers) == 1
