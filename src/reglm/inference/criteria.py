"""Information criteria: how well a model would fit other responses, or how probable it is.

All have the form ``-2 ll + c k``. Parameters are counted as `statsmodels.GLM` does, without the dispersion; that
shifts the criteria of all models with the same family alike.

A network with more units than the data ask for is singular: the information has no inverse, and neither the
asymptotics of AIC and TIC nor Laplace's approximation, on which BIC rests, hold (Watanabe 2013). Where hidden units
are dead, duplicated or running off, the tables say so.
"""

from __future__ import annotations

import numpy as np

from reglm.inference.covariances import (
    FACTORS,
    default_kind,
    not_stationary,
    observed_numbers,
    too_large,
)
from reglm.inference.identifiability import verdict
from reglm.inference.information import identified, in_double
from reglm.inference.printable import Table
from reglm.inference.sandwich import meat
from reglm.inference.units import estimable
from reglm.parameters import Array
from reglm.record import Fit

SINGULAR = (
    "The model is singular ({}), so BIC, AIC and TIC lack their justification (Watanabe 2013): compare models by "
    "out-of-sample deviance, or drop units."
)
QUASI = "The family claims no likelihood, so only the degrees of freedom are known."


def rank(fit: Fit) -> int:
    """Number of parameters that the data determine, dispersion not counted; all of a network's."""
    if fit.data is None:
        return fit.n_parameters - int(np.sum(fit.details.get("aliased", 0)))
    exact = in_double(fit)
    assert exact.data is not None
    return fit.n_parameters - int(identified(exact, exact.data)[0].sum())


def aic(fit: Fit, df: float | None = None) -> float:
    """Akaike's criterion ``-2 ll + 2 df`` (Akaike 1974); by default df is the number of parameters."""
    return -2.0 * fit.log_likelihood + 2.0 * (rank(fit) if df is None else df)


def bic(fit: Fit) -> float:
    """Schwarz's criterion ``-2 ll + k log n`` (Schwarz 1978)."""
    return -2.0 * fit.log_likelihood + rank(fit) * float(np.log(fit.nobs))


def aicc(fit: Fit) -> float:
    """AIC corrected for small samples, ``AIC + 2 m (m + 1) / (n - m - 1)`` (Hurvich & Tsai 1989).

    m counts an estimated dispersion too; for a Gaussian linear model that makes it unbiased. Infinite where
    ``n <= m + 1``.
    """
    k = rank(fit)
    m = k + (fit.dispersion_method not in ("fixed", "given"))
    n = observed_numbers(fit)
    return aic(fit, k) + (2.0 * m * (m + 1) / (n - m - 1) if n > m + 1 else np.inf)


def edf(fit: Fit, information: str | None = None) -> float:
    """Effective degrees of freedom ``tr((H + P)^-1 H)`` of a penalised fit (Hastie & Tibshirani 1990; Moody 1992).

    For ridge regression the trace of the hat matrix. Without a penalty the number of parameters; with an L1
    penalty over those that are not zero (Zou, Hastie & Tibshirani 2007).

    Parameters
    ----------
    fit : Fit
    information : {"expected", "observed"}, optional
        H; by default `reglm.inference.covariances.default_kind`.

    Returns
    -------
    float
        NaN if ``H + P`` has no inverse, or if there is a penalty but no training rows.
    """
    if not np.any(fit.penalty):
        return float(rank(fit))
    if fit.data is None:
        return float("nan")
    exact, kept, factor = _inverse(fit, information or default_kind(fit))
    return float("nan") if factor is None else len(kept) - float(np.sum(exact.penalty[kept, None] * factor**2))


def tic_penalty(fit: Fit) -> float:
    """Takeuchi's number of parameters, ``tr(J^-1 I)``; NaN where J has no inverse or theta is no optimum.

    J is the observed information of the penalised log-likelihood and I the sum of outer products of its
    scores with those of the log-likelihood (Takeuchi 1976; with a penalty Konishi & Kitagawa 1996, eq. 20). It tends
    to the number of parameters if the model is right and there is no penalty.
    """
    if fit.data is None or not_stationary(fit):
        return float("nan")
    exact, kept, factor = _inverse(fit, "observed")
    if factor is None or exact.data is None:
        return float("nan")
    I = meat(exact, exact.data, kept, factor)  # noqa: E741 - the letter of the formula
    assert I is not None
    pull = factor.T @ (exact.penalty * exact.theta)[kept]
    return (float(np.trace(I)) - float(pull @ pull) / fit.nobs) / _density_dispersion(fit)


def tic(fit: Fit) -> float:
    """Takeuchi's criterion ``-2 ll + 2 tr(J^-1 I)`` (Takeuchi 1976): AIC for models that may be wrong."""
    return aic(fit, tic_penalty(fit))


def criteria(fit: Fit) -> Table:
    """Table of all criteria.

    Parameters
    ----------
    fit : Fit

    Returns
    -------
    Table
        Rows AIC, AICc, AIC (edf), BIC, TIC; columns "value" and "df", the number of parameters it counts. NaN where a
        criterion cannot be had; the notes say why. Lower is better, between models of the same responses.
    """
    import pandas as pd

    notes = [*_notes(fit)]
    k, long = rank(fit), too_large(fit)
    effective, takeuchi = (float("nan"),) * 2 if long else (edf(fit), tic_penalty(fit))
    rows = {
        "AIC": (aic(fit), k), "AICc": (aicc(fit), k), "AIC (edf)": (aic(fit, effective), effective),
        "BIC": (bic(fit), k), "TIC": (aic(fit, takeuchi), takeuchi),
    }  # fmt: skip
    title = f"Information criteria: log-likelihood {fit.log_likelihood:.6g}, n = {fit.nobs:g}"
    return Table(title, pd.DataFrame.from_dict(rows, orient="index", columns=["value", "df"]), tuple(notes))


def _notes(fit: Fit) -> list[str]:
    """Why criteria are missing, or not to be relied on."""
    notes = []
    if not fit.likelihood.family.likelihood:
        notes.append(QUASI)
    if too_large(fit):
        notes.append("Effective degrees of freedom and TIC take long here: reglm.inference.criteria has edf and tic.")
    elif reason := not_stationary(fit):
        notes.append(f"No TIC: {reason}")
    elif fit.data is not None:
        exact = in_double(fit)
        assert exact.data is not None
        singular = verdict(exact, exact.data)[0]
        if singular:
            notes.append(SINGULAR.format(singular.split(";")[0]))
    if np.any(fit.penalty):
        notes.append("The fit is penalised: AIC, AICc and BIC count all parameters, AIC (edf) and TIC those in effect.")
    return notes


def _inverse(fit: Fit, information: str) -> tuple[Fit, Array, Array | None]:
    """The fit in double precision, the parameters that count, and a factor of the inverse of ``H + P``."""
    exact = in_double(fit)
    assert exact.data is not None
    kept = estimable(exact, exact.data)
    if np.any(fit.l1):
        kept = kept[fit.theta[kept] != 0]
    return exact, kept, FACTORS[information](exact, exact.data, kept)


def _density_dispersion(fit: Fit) -> float:
    """Dispersion at which the log-likelihood was taken: for a Gaussian the maximum-likelihood one."""
    if fit.likelihood.family.name == "gaussian" and fit.dispersion_method != "given":
        return float(fit.details["pearson"]) / observed_numbers(fit)
    return fit.dispersion
