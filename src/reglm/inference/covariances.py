"""Covariance matrices of the estimates, from the design matrix J of the network.

The objective is the negative log-likelihood at dispersion 1 plus ``sum penalty theta^2 / 2``. With
information ``H`` of that objective the covariance is ``phi H^-1``. Two informations are on offer:

* expected, ``J' W J`` plus the penalty: what `glm`, `nls` and the NIST certificates use, and the default
  without hidden layers;
* observed, the exact Hessian: the default with hidden layers, and wherever a family estimates shape
  parameters, for which it allows.

With a penalty ``phi (H + P)^-1`` is the covariance of the posterior under the prior that the penalty stands
for (Wood 2017, section 6.10).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from reglm.inference.information import expected_factor, identified, in_double, observed_factor
from reglm.likelihood import Data
from reglm.parameters import Array
from reglm.record import Fit
from reglm.response import has_information

FACTORS = {"expected": expected_factor, "observed": observed_factor}
MOST_WORK = 5e9
"""Rows times parameters squared up to which an observed information is computed unasked: a minute."""
EDGES = {"log_alpha": (-10.0, np.inf), "log_df": (-np.inf, 7.0), "logit_power": (-7.0, 7.0)}
"""Shape parameters beyond which a family turns into its limit: Poisson, Gaussian, the ends of Tweedie's range."""
FAR_FROM_OPTIMUM = 0.05
"""Standard errors to the optimum from which the score counts as not near zero."""


@dataclass(frozen=True)
class Covariance:
    """A covariance matrix, or why there is none.

    Parameters
    ----------
    kind : {"expected", "observed"}
    matrix : ndarray (P, P) or None
        At the fit's dispersion; NaN in rows and columns of aliased parameters.
    aliased : ndarray of bool (P,)
        Parameters that other ones determine, so that the data say nothing about them.
    theta : ndarray (P,)
        Estimates. Where there are aliased parameters: those of the same fit with these at zero, shown as NaN.
    refusal : str
        Why there is no matrix; empty if there is one.
    notes : list of str
        What a reader of standard errors should know.
    """

    kind: str
    matrix: Array | None
    aliased: Array
    theta: Array
    refusal: str = ""
    notes: list[str] = field(default_factory=list)


def covariance(fit: Fit, kind: str | None = None) -> Array:
    """Covariance of the estimates (P, P) at the fit's dispersion.

    Parameters
    ----------
    fit : Fit
    kind : {"expected", "observed"}, optional
        See the module; by default `default_kind`.

    Raises
    ------
    ValueError
        If `kind` is not known, or if standard errors mean nothing for this fit; the message says why.
    """
    found = estimate(fit, kind or default_kind(fit))
    if found.matrix is None:
        raise ValueError(f"no standard errors: {found.refusal}")
    return found.matrix


def default_kind(fit: Fit) -> str:
    """Return "expected" for a generalized linear model without shape parameters, "observed" otherwise."""
    likelihood = fit.likelihood
    plain = fit.is_linear and not likelihood.shape_specs and has_information(likelihood.family)
    return "expected" if plain else "observed"


def estimate(fit: Fit, kind: str | None = None) -> Covariance:
    """Covariance of the estimates with its warnings, or the reason why there is none.

    Parameters
    ----------
    fit : Fit
    kind : {"expected", "observed"}, optional
        None takes the default, but refuses an observed information of more than `MOST_WORK`.

    Raises
    ------
    ValueError
        If `kind` is not known, or "expected" where the family declares no expected information.
    """
    refusal = not_stationary(fit) or (too_large(fit) if kind is None else "")
    kind = _checked(fit, kind)
    if fit.data is None:
        aliased = np.asarray(fit.details.get("aliased", np.zeros(len(fit.theta))), dtype=bool)
        return Covariance(kind, None, aliased, np.where(aliased, np.nan, fit.theta), refusal)
    exact = in_double(fit)
    data = exact.data
    assert data is not None
    aliased, theta = identified(exact, data)
    kept = np.flatnonzero(~aliased)
    notes = _rank_notes(fit, kept)
    if refusal:
        return Covariance(kind, None, aliased, theta, refusal, notes)
    factor = FACTORS[kind](exact, data, kept)
    if factor is None:
        refusal = f"the {kind} information is not positive definite{_hint(fit)}."
        return Covariance(kind, None, aliased, theta, refusal, notes)
    matrix = np.full((len(theta),) * 2, np.nan)
    matrix[np.ix_(kept, kept)] = fit.dispersion * factor @ factor.T
    return Covariance(
        kind, matrix, aliased, theta, "", [*notes, *_edge_notes(fit), *_score_notes(exact, data, kept, factor)]
    )


def _checked(fit: Fit, kind: str | None) -> str:
    if kind is None:
        return default_kind(fit)
    if kind not in FACTORS:
        raise ValueError(f"cov={kind!r} is not known; choose one of {sorted(FACTORS)}.")
    if kind == "expected" and (fit.likelihood.shape_specs or not has_information(fit.likelihood.family)):
        raise ValueError(
            f"cov='expected': family {fit.likelihood.family.name!r} has no expected information for all of "
            "its parameters; use cov='observed'."
        )
    return kind


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


def too_large(fit: Fit) -> str:
    """Say so if the default covariance takes long; empty if it does not."""
    work = fit.n_rows * float(len(fit.theta)) ** 2
    if default_kind(fit) == "expected" or work <= MOST_WORK:
        return ""
    return (
        f"the observed information of {len(fit.theta)} parameters over {fit.n_rows} rows takes long, so it "
        "is computed on request only: inference(cov='observed')."
    )


def _hint(fit: Fit) -> str:
    if fit.is_linear:
        return ""
    return (
        ": the point is no strict optimum, or hidden units are redundant; try fewer units, a penalty or a larger n_init"
    )


def _rank_notes(fit: Fit, kept: Array) -> list[str]:
    if len(kept) == len(fit.theta):
        return []
    return [
        f"The design has rank {len(kept)} of {len(fit.theta)}: coefficients shown as nan are determined by "
        "those before them and count as zero."
    ]


def _edge_notes(fit: Fit) -> list[str]:
    """Name shape parameters that have run to the edge of their range."""
    shape = fit.likelihood.shape(fit.theta)
    ends = {name: float(shape[name]) for name in EDGES if name in shape}
    gone = [name.split("_")[1] for name, value in ends.items() if not EDGES[name][0] < value < EDGES[name][1]]
    return [f"{name} has run to the edge of its range, where its standard error means nothing." for name in gone]


def distance_to_optimum(fit: Fit, data: Data, kept: Array, factor: Array) -> float:
    """Length of the Newton step, in standard errors: ``sqrt(g' H^-1 g / phi)``."""
    gradient = fit.likelihood.value_grad(fit.theta, data)[1] + fit.penalty * fit.theta
    return float(np.linalg.norm(factor.T @ gradient[kept]) / np.sqrt(fit.dispersion))


def _score_notes(fit: Fit, data: Data, kept: Array, factor: Array) -> list[str]:
    notes = []
    if np.any(fit.penalty):
        notes.append("Standard errors are those of the posterior, (H + P)^-1, whose prior is the penalty.")
    distance = distance_to_optimum(fit, data, kept, factor)
    if not distance <= FAR_FROM_OPTIMUM:
        notes.append(
            f"The score is not near zero: the optimum is about {distance:.2g} standard errors away. "
            "Raise max_iter or lower tol before relying on this table."
        )
    return notes
