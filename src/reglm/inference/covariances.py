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

from reglm.inference.caveats import edge_notes, hint, kind_notes, not_stationary, rank_notes, score_notes
from reglm.inference.identifiability import verdict
from reglm.inference.information import expected_factor, identified, in_double, observed_factor
from reglm.inference.sandwich import POWERS, group_codes, meat, small_sample_factor
from reglm.inference.sequential import check_kind
from reglm.inference.sequential import half as sequential_half
from reglm.inference.units import estimable
from reglm.likelihood import Data
from reglm.parameters import Array
from reglm.record import Fit
from reglm.response import has_information

FACTORS = {"expected": expected_factor, "observed": observed_factor}
KINDS = ("expected", "observed", "posterior", "frequentist", "HC0", "HC1", "HC2", "HC3", "sandwich", "cluster")
MOST_WORK = 5e9
"""Rows times parameters squared up to which an observed information is computed unasked: a minute."""

ROUNDING = 1e-8
"""How far below zero an eigenvalue of a share of the information may be by rounding."""
ONE_RESPONSE = frozenset({"multinomial", "ordinal"})
"""Families whose columns of y are the classes of one response."""


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
    kind, information = checked_kind(fit, kind, information, groups)
    if fit.data is None:
        aliased = np.asarray(fit.details.get("aliased", np.zeros(len(fit.theta))), dtype=bool)
        return Covariance(kind, None, aliased, np.where(aliased, np.nan, fit.theta), refusal)
    exact = in_double(fit)
    data = exact.data
    assert data is not None
    if fit.likelihood.is_packed:
        return _of_sequences(exact, data, kind, refusal)
    codes, count = (None, 0) if groups is None else group_codes(groups, data)
    aliased, theta = identified(exact, data)
    kept = estimable(exact, data)
    empty = Covariance(kind, None, aliased, theta, refusal, rank_notes(fit, np.flatnonzero(~aliased)))
    if refusal:
        return empty
    refusal, unit_notes = verdict(exact, data)
    if refusal:
        return replace(empty, refusal=refusal)
    factor = FACTORS[information](exact, data, kept)
    if factor is None:
        return replace(empty, refusal=f"the {information} information is not positive definite{hint(fit)}.")
    half = _half(exact, data, kept, factor, kind, codes, count if use_correction else 0)
    if isinstance(half, str):
        return replace(empty, refusal=half)
    matrix = np.full((len(theta),) * 2, np.nan)
    matrix[np.ix_(kept, kept)] = half @ half.T
    notes = [
        *empty.notes,
        *unit_notes,
        *edge_notes(fit),
        *kind_notes(fit, kind, count),
        *score_notes(exact, data, kept, factor),
    ]
    return replace(empty, matrix=matrix, notes=notes, df_inference=count - 1.0 if count and df_correction else None)


def _of_sequences(fit: Fit, data: Data, kind: str, refusal: str) -> Covariance:
    """Covariance of a recurrent model, see `reglm.inference.sequential`."""
    check_kind(kind)
    empty = Covariance(kind, None, np.zeros(len(fit.theta), dtype=bool), fit.theta, refusal)
    if refusal:
        return empty
    root = sequential_half(fit, data, kind)
    if isinstance(root, str):
        return replace(empty, refusal=root)
    return replace(empty, matrix=root @ root.T, notes=[*edge_notes(fit)])


def _half(fit: Fit, data: Data, kept: Array, factor: Array, kind: str, codes: Array | None, count: int) -> Array | str:
    """L (Q, Q) with the covariance ``L L'``, for the factor ``F F' = (H + P)^-1``; or why there is none."""
    if kind in POWERS or kind == "cluster":
        M = meat(fit, data, kept, factor, POWERS.get(kind, 0.0), codes)
        if M is None:
            return f"cov={kind!r}: a row has leverage 1, without it a parameter is not determined; use HC0 or HC1."
        scale = small_sample_factor(kind, observed_numbers(fit), len(kept), count)
    elif kind == "frequentist":
        M, scale = np.eye(len(kept)) - factor.T @ (fit.penalty[kept, None] * factor), fit.dispersion  # F' H F
    else:
        return np.sqrt(fit.dispersion) * factor
    values, vectors = np.linalg.eigh(M)
    if values[0] < -ROUNDING * max(1.0, values[-1]):
        return "the information without the penalty is not positive semi-definite; use cov='posterior' or 'HC0'."
    return factor @ (vectors * np.sqrt(scale * np.maximum(values, 0.0)))


def observed_numbers(fit: Fit) -> float:
    """Observed numbers: one a row and independent response."""
    likelihood = fit.likelihood
    return fit.nobs * (1 if likelihood.family.name in ONE_RESPONSE else likelihood.network.outputs())


def checked_kind(fit: Fit, kind: str | None, information: str | None, groups: Any) -> tuple[str, str]:
    """Return the kind and the information it rests on; see `estimate` for arguments and errors."""
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


def too_large(fit: Fit) -> str:
    """Say so if the default covariance takes long; empty if it does not."""
    work = fit.n_rows * float(len(fit.theta)) ** 2
    if default_kind(fit) == "expected" or work <= MOST_WORK:
        return ""
    return (
        f"the observed information of {len(fit.theta)} parameters over {fit.n_rows} rows takes long, so it "
        "is computed on request only: inference(cov='observed'), or variance_of(...) for a few of them."
    )
