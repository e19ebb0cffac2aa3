"""Covariance matrices of the estimates, from the design matrix J of the network.

The objective is the negative log-likelihood at dispersion 1 plus ``sum penalty theta^2 / 2``. With
information ``H`` of the likelihood and penalty ``P`` the covariance is ``phi (H + P)^-1``. Two informations
are on offer:

* expected, ``J' W J``: what `glm`, `nls` and the NIST certificates use, and the default without hidden layers;
* observed, the exact Hessian: the default with hidden layers, and wherever a family estimates shape
  parameters, for which it allows.

On either rest

* posterior: ``phi (H + P)^-1``, the covariance under the prior that the penalty stands for (Wood 2017,
  section 6.10), another name of the default;
* frequentist: ``phi (H + P)^-1 H (H + P)^-1``, the variance of penalised estimates around their own mean, which
  the penalty moves away from the true values;
* HC0 to HC3 and cluster: sandwiches, for responses whose variance is not the family's, and for dependent rows
  (`reglm.inference.sandwich`). "sandwich" is HC0 (White 1982).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from reglm.inference.identifiability import verdict
from reglm.inference.information import expected_factor, identified, in_double, observed_factor
from reglm.inference.sandwich import POWERS, group_codes, meat, small_sample_factor
from reglm.likelihood import Data
from reglm.parameters import Array
from reglm.record import Fit
from reglm.response import has_information

FACTORS = {"expected": expected_factor, "observed": observed_factor}
KINDS = ("expected", "observed", "posterior", "frequentist", "HC0", "HC1", "HC2", "HC3", "sandwich", "cluster")
MOST_WORK = 5e9
"""Rows times parameters squared up to which an observed information is computed unasked: a minute."""
EDGES = {"log_alpha": (-10.0, np.inf), "log_df": (-np.inf, 7.0), "logit_power": (-7.0, 7.0)}
"""Shape parameters beyond which a family turns into its limit: Poisson, Gaussian, the ends of Tweedie's range."""
FAR_FROM_OPTIMUM = 0.05
"""Standard errors to the optimum from which the score counts as not near zero."""

ROUNDING = 1e-8
"""How far below zero an eigenvalue of a share of the information may be by rounding."""
ONE_RESPONSE = frozenset({"multinomial", "ordinal"})
"""Families whose columns of y are the classes of one response."""
POSTERIOR = "Standard errors are those of the posterior, (H + P)^-1, whose prior is the penalty."
BIASED = "Standard errors leave out the bias that the penalty brings."


@dataclass(frozen=True)
class Covariance:
    """A covariance matrix, or why there is none.

    Parameters
    ----------
    kind : str
        One of `KINDS`, "sandwich" by its name HC0.
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
    df_inference : float or None
        Degrees of freedom for t and F where they are not those of the residuals: clusters less one.
    """

    kind: str
    matrix: Array | None
    aliased: Array
    theta: Array
    refusal: str = ""
    notes: list[str] = field(default_factory=list)
    df_inference: float | None = None


def covariance(fit: Fit, kind: str | None = None, **options: Any) -> Array:
    """Covariance of the estimates (P, P) at the fit's dispersion.

    Parameters
    ----------
    fit : Fit
    kind : str, optional
        One of `KINDS`, see the module; by default `default_kind`.
    **options
        Of `estimate`.

    Raises
    ------
    ValueError
        If `kind` is not known, or if standard errors mean nothing for this fit; the message says why.
    """
    found = estimate(fit, kind or default_kind(fit), **options)
    if found.matrix is None:
        raise ValueError(f"no standard errors: {found.refusal}")
    return found.matrix


def default_kind(fit: Fit) -> str:
    """Return "expected" for a generalized linear model without shape parameters, "observed" otherwise."""
    likelihood = fit.likelihood
    plain = fit.is_linear and not likelihood.shape_specs and has_information(likelihood.family)
    return "expected" if plain else "observed"


def estimate(
    fit: Fit,
    kind: str | None = None,
    *,
    information: str | None = None,
    groups: Any = None,
    use_correction: bool = True,
    df_correction: bool = True,
) -> Covariance:
    """Covariance of the estimates with its warnings, or the reason why there is none.

    Parameters
    ----------
    fit : Fit
    kind : str, optional
        One of `KINDS`. None takes the default, but refuses an observed information of more than `MOST_WORK`.
    information : {"expected", "observed"}, optional
        What the kinds other than these two rest on; by default `default_kind`. (`statsmodels` rests sandwiches
        on the observed one, which differs where a link is not canonical.)
    groups : array-like (n,), optional
        Clusters of the rows, for ``kind="cluster"``.
    use_correction : bool
        Multiply a cluster covariance by ``G/(G-1) (n-1)/(n-P)`` for G clusters.
    df_correction : bool
        Refer t and F statistics of a cluster covariance to ``G - 1`` degrees of freedom.

    Raises
    ------
    ValueError
        If `kind` is not known, if "expected" is asked of a family without expected information, or if the
        clusters are missing.
    """
    refusal = not_stationary(fit) or (too_large(fit) if kind is None else "")
    kind, information = _checked(fit, kind, information, groups)
    if fit.data is None:
        aliased = np.asarray(fit.details.get("aliased", np.zeros(len(fit.theta))), dtype=bool)
        return Covariance(kind, None, aliased, np.where(aliased, np.nan, fit.theta), refusal)
    exact = in_double(fit)
    data = exact.data
    assert data is not None
    codes, count = (None, 0) if groups is None else group_codes(groups, data)
    aliased, theta = identified(exact, data)
    kept = np.flatnonzero(~aliased)
    empty = Covariance(kind, None, aliased, theta, refusal, _rank_notes(fit, kept))
    if refusal:
        return empty
    refusal, unit_notes = verdict(exact, data)
    if refusal:
        return replace(empty, refusal=refusal)
    factor = FACTORS[information](exact, data, kept)
    if factor is None:
        return replace(empty, refusal=f"the {information} information is not positive definite{_hint(fit)}.")
    root = _middle(exact, data, kept, factor, kind, codes, count if use_correction else 0)
    if isinstance(root, str):
        return replace(empty, refusal=root)
    matrix = np.full((len(theta),) * 2, np.nan)
    matrix[np.ix_(kept, kept)] = factor @ root @ factor.T
    notes = [
        *empty.notes,
        *unit_notes,
        *_edge_notes(fit),
        *_kind_notes(fit, kind, count),
        *_score_notes(exact, data, kept, factor),
    ]
    return replace(empty, matrix=matrix, notes=notes, df_inference=count - 1.0 if count and df_correction else None)


def _middle(
    fit: Fit, data: Data, kept: Array, factor: Array, kind: str, codes: Array | None, count: int
) -> Array | str:
    """M (Q, Q) of the covariance ``F M F'``, for the factor ``F F' = (H + P)^-1``; or why there is none."""
    if kind in POWERS or kind == "cluster":
        M = meat(fit, data, kept, factor, POWERS.get(kind, 0.0), codes)
        if M is None:
            return f"cov={kind!r}: a row has leverage 1, without it a parameter is not determined; use HC0 or HC1."
        return M * small_sample_factor(kind, observed_numbers(fit), len(kept), count)
    identity = np.eye(len(kept))
    if kind != "frequentist":
        return fit.dispersion * identity
    M = identity - factor.T @ (fit.penalty[kept, None] * factor)  # F' H F, from F' (H + P) F = I
    if np.linalg.eigvalsh(M)[0] < -ROUNDING:
        return "the information without the penalty is not positive semi-definite; use cov='posterior' or 'HC0'."
    return fit.dispersion * M


def observed_numbers(fit: Fit) -> float:
    """Observed numbers: one a row and independent response."""
    likelihood = fit.likelihood
    return fit.nobs * (1 if likelihood.family.name in ONE_RESPONSE else likelihood.network.outputs())


def _checked(fit: Fit, kind: str | None, information: str | None, groups: Any) -> tuple[str, str]:
    """Return the kind and the information it rests on."""
    kind = default_kind(fit) if kind is None else "HC0" if kind == "sandwich" else kind
    if kind not in KINDS:
        raise ValueError(f"cov={kind!r} is not known; choose one of {sorted(KINDS)}.")
    if (kind == "cluster") != (groups is not None):
        raise ValueError(f"cov={kind!r} with groups {'missing' if groups is None else 'given'}: "
                         "clusters and cov='cluster' go together.")  # fmt: skip
    if information is not None and (kind in FACTORS or information not in FACTORS):
        raise ValueError(f"information={information!r} with cov={kind!r}: it says 'expected' or 'observed' where cov "
                         "is neither of them.")  # fmt: skip
    rests = kind if kind in FACTORS else information or default_kind(fit)
    if rests == "expected" and (fit.likelihood.shape_specs or not has_information(fit.likelihood.family)):
        raise ValueError(
            f"cov='expected': family {fit.likelihood.family.name!r} has no expected information for all of "
            "its parameters; use cov='observed'."
        )
    return kind, rests


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


def _kind_notes(fit: Fit, kind: str, count: int) -> list[str]:
    """Say what the standard errors allow for, where that is not the default."""
    notes = []
    if kind == "cluster":
        notes.append(f"Standard errors allow for dependence within {count} clusters.")
    elif kind in POWERS:
        notes.append(f"Standard errors are heteroscedasticity-robust ({kind}).")
    if np.any(fit.penalty):
        notes.append(BIASED if kind in POWERS or kind in ("cluster", "frequentist") else POSTERIOR)
    return notes


def _score_notes(fit: Fit, data: Data, kept: Array, factor: Array) -> list[str]:
    distance = distance_to_optimum(fit, data, kept, factor)
    if distance <= FAR_FROM_OPTIMUM:
        return []
    return [
        f"The score is not near zero: the optimum is about {distance:.2g} standard errors away. "
        "Raise max_iter or lower tol before relying on this table."
    ]
