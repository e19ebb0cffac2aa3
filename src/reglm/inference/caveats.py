"""Why a fit has no standard errors, and what a reader of those it has should know."""

from __future__ import annotations

import numpy as np

from reglm.inference.sandwich import POWERS
from reglm.likelihood import Data
from reglm.parameters import Array
from reglm.record import Fit

EDGES = {"log_alpha": (-10.0, np.inf), "log_df": (-np.inf, 7.0), "logit_power": (-7.0, 7.0)}
"""Shape parameters beyond which a family turns into its limit: Poisson, Gaussian, the ends of Tweedie's range."""
FAR_FROM_OPTIMUM = 0.05
"""Standard errors to the optimum from which the score counts as not near zero."""
POSTERIOR = "Standard errors are those of the posterior, (H + P)^-1, whose prior is the penalty."
BIASED = "Standard errors leave out the bias that the penalty brings."


def not_stationary(fit: Fit) -> str:
    """Why Wald statistics mean nothing for this fit, or cannot be had; empty if they can."""
    if fit.data is None:
        return "a model loaded from a file does not hold its training data."
    if np.any(fit.l1):
        return "the L1 penalty is not differentiable at zero, so its estimates are not asymptotically normal."
    if fit.likelihood.network.noise():
        return "dropout was on, so the estimates do not maximise the likelihood of the network that predicts."
    if not fit.at_optimum:
        return f"{fit.solver} was not run to the optimum (mini-batches or early stopping)."
    if fit.details.get("status") == "diverging":
        return "the model fits the data perfectly and has no finite estimates."
    if "n <= P" in fit.dispersion_method:
        return f"{fit.n_rows} rows leave no degrees of freedom to estimate the dispersion from."
    if not fit.dispersion > 0:
        return "the model fits without error: its dispersion is zero."
    return ""


def hint(fit: Fit) -> str:
    """Say what may make an information singular."""
    if fit.is_linear:
        return ""
    return (
        ": the point is no strict optimum, or hidden units are redundant; try fewer units, a penalty or a larger n_init"
    )


def rank_notes(fit: Fit, kept: Array) -> list[str]:
    """Say so if some coefficients are determined by others."""
    if len(kept) == len(fit.theta):
        return []
    return [
        f"The design has rank {len(kept)} of {len(fit.theta)}: coefficients shown as nan are determined by "
        "those before them and count as zero."
    ]


def edge_notes(fit: Fit) -> list[str]:
    """Name shape parameters that have run to the edge of their range."""
    shape = fit.likelihood.shape(fit.theta)
    ends = {name: float(shape[name]) for name in EDGES if name in shape}
    gone = [name.split("_")[1] for name, value in ends.items() if not EDGES[name][0] < value < EDGES[name][1]]
    return [f"{name} has run to the edge of its range, where its standard error means nothing." for name in gone]


def distance_to_optimum(fit: Fit, data: Data, kept: Array, factor: Array) -> float:
    """Length of the Newton step, in standard errors: ``sqrt(g' H^-1 g / phi)``."""
    gradient = fit.likelihood.value_grad(fit.theta, data)[1] + fit.penalty * fit.theta
    return float(np.linalg.norm(factor.T @ gradient[kept]) / np.sqrt(fit.dispersion))


def kind_notes(fit: Fit, kind: str, count: int) -> list[str]:
    """Say what the standard errors allow for, where that is not the default."""
    notes = []
    if kind == "cluster":
        notes.append(f"Standard errors allow for dependence within {count} clusters.")
    elif kind in POWERS:
        notes.append(f"Standard errors are heteroscedasticity-robust ({kind}).")
    if np.any(fit.penalty):
        notes.append(BIASED if kind in POWERS or kind in ("cluster", "frequentist") else POSTERIOR)
    return notes


def score_notes(fit: Fit, data: Data, kept: Array, factor: Array) -> list[str]:
    """Say so if theta is not near a stationary point."""
    distance = distance_to_optimum(fit, data, kept, factor)
    if distance <= FAR_FROM_OPTIMUM:
        return []
    return [
        f"The score is not near zero: the optimum is about {distance:.2g} standard errors away. "
        "Raise max_iter or lower tol before relying on this table."
    ]
