"""The record of a fit: what inference, summaries, plots and persistence are given instead of an estimator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reglm.likelihood import Data, Likelihood
from reglm.parameters import Array


@dataclass(frozen=True)
class Restart:
    """One start of a fit: its objective (penalty included) and whether its solver converged."""

    objective: float
    converged: bool
    n_iter: int


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
