"""Standard errors and summary of a linear-Gaussian model."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from reglm.inference.tables import Summary, number
from reglm.parameters import Array
from reglm.statespace.linear_gaussian_fit import Likelihood
from reglm.statespace.linear_gaussian_free import Free
from reglm.statespace.linear_gaussian_structures import Specification

BOUNDARY = 1e-7
"""Share of the largest variance below which one is zero."""


class Errors(NamedTuple):
    """Standard errors (parameters,), NaN where there are none, and why.

    Parameters
    ----------
    bse : ndarray
    notes : list of str
    """

    bse: Array
    notes: list[str]


def standard_errors(specification: Specification, likelihood: Likelihood, theta: Array) -> Errors:
    """Standard errors of `Specification.natural` by the delta method from the observed information.

    Directions that only rotate the states of a free structure have no information and are left out; what is reported
    does not depend on them. Variances at zero are held there.
    """
    names, values = specification.names, specification.natural(theta)
    variances = [j for j, name in enumerate(names) if name.startswith("sigma2.")]
    largest = values[variances].max()
    held = [j for j in variances if values[j] < BOUNDARY * largest]
    notes = [f"{names[j]} is at its boundary, zero: it has no standard error and is held there." for j in held]
    kept = np.setdiff1d(np.arange(len(theta)), held)
    information = -likelihood.hessian(theta)[np.ix_(kept, kept)]
    scale = 1 / np.sqrt(np.maximum(np.abs(np.diag(information)), 1e-300))
    size, vectors = np.linalg.eigh(information * scale * scale[:, None])
    dropped = specification.size - specification.n_free
    order = np.argsort(np.abs(size))[dropped:]
    if size[order].min(initial=np.inf) <= 1e-10:
        return Errors(np.full(len(values), np.nan), [
            *notes, "Standard errors are refused: the observed information is not positive definite. The fit has not "
            "converged, or the data do not tell the parameters apart."
        ])  # fmt: skip
    root = scale[:, None] * vectors[:, order] / np.sqrt(size[order])
    natural, steps = specification.natural, 1e-5 * np.eye(len(theta))[kept]
    slopes = np.column_stack([(natural(theta + step) - natural(theta - step)) / 2e-5 for step in steps])
    bse = np.sqrt(((slopes @ root) ** 2).sum(axis=1))
    bse[held] = np.nan
    return Errors(np.where(bse > 1e-9 * np.abs(values), bse, np.nan), notes)


def summary(model: Any, alpha: float) -> Summary:
    """Return the summary; see `LinearGaussianSSM.summary`."""
    import pandas as pd

    specification = model.specification_
    bse, notes = standard_errors(specification, model._likelihood, model.theta_)
    values, names = model.params_.to_numpy(), specification.names
    is_variance = np.array([name.startswith("sigma2.") for name in names])
    half = stats.norm.ppf(1 - alpha / 2) * bse
    with np.errstate(all="ignore"):
        ratio = np.exp(np.where(is_variance, half / values, 0.0))
        z = np.where(is_variance, np.nan, values / bse)
    table = pd.DataFrame({
        "coef": values, "std err": bse, "z": z, "P>|z|": 2 * stats.norm.sf(np.abs(z)),
        f"[{alpha / 2:g}": np.where(is_variance, values / ratio, values - half),
        f"{1 - alpha / 2:g}]": np.where(is_variance, values * ratio, values + half),
    }, index=names)  # fmt: skip
    free = isinstance(specification, Free)
    data = model._training.data
    left = [
        ("Dep. Variable", ", ".join(model._series)), ("Model", "linear-Gaussian state space"),
        ("Structure", f"free, {specification.m} states" if free else _words(model.structure)),
        ("Start", specification.initial if free else "diffuse" if specification.P1_inf.any() else "stationary"),
        ("Sequences", number(len(data.edges) - 1)), ("Iterations", number(model.n_iter_)),
    ]  # fmt: skip
    right = [
        ("No. Observations", number(np.isfinite(data.y).sum())), ("Unobserved", number(np.isnan(data.y).sum())),
        ("Log-Likelihood", number(model.loglik_)), ("AIC", number(model.aic_)), ("BIC", number(model.bic_)),
        ("Converged", "yes" if model.converged_ else "no"),
    ]  # fmt: skip
    return Summary("Linear-Gaussian State-Space Results", left, right, table, [*_remarks(model, free), *notes])


def _words(structure: Any) -> str:
    return structure if isinstance(structure, str) else " + ".join(structure)


def _remarks(model: Any, free: bool) -> list[str]:
    """What the reader has to know."""
    found = [
        "Standard errors come from the observed information; intervals of variances from those of their logarithms."
    ]
    if free and model.specification_.m > 1:
        found.append(
            "States are determined up to a rotation: loadings and transitions have no standard errors of their own, "
            "eigenvalues do."
        )
    if not model.converged_:
        found.append(f"The fit has not converged: {model.message_}.")
    return found
