"""What `KernelDualRegressor` does for other families than the gaussian with identity link."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning

from reglm.estimators import nystroem
from reglm.estimators.inputs import check_weights, response_matrix, total_offset
from reglm.estimators.kernel_rows import Rows
from reglm.families import Family
from reglm.fitting.intercept import fit_intercept, starting_eta
from reglm.kernels import budget, irls_criteria
from reglm.kernels.duals import decompose
from reglm.kernels.grams import checked_gram, resolve
from reglm.kernels.irls_criteria import Path, Smoother
from reglm.kernels.irls_dual import Solution
from reglm.kernels.irls_problem import Problem
from reglm.links import Link
from reglm.parameters import Array
from reglm.response import Response

if TYPE_CHECKING:
    import pandas as pd


def is_direct(family: Family, link: Link) -> bool:
    """Whether the fit is one linear system: gaussian responses on their own scale."""
    return family.name == "gaussian" and link.name == "identity"


def check(model: Any, family: Family) -> None:
    """Raise ValueError for arguments that need gaussian responses."""
    for name in ("optimize_kernel", "alpha_per_target"):
        if getattr(model, name):
            raise ValueError(
                f"{name}={getattr(model, name)!r} needs family='gaussian' with link='identity', not family="
                f"{family.name!r}; choose other parameters of the kernel by cross-validation."
            )
    if model.approximation is not None and model.solver == "cg":
        raise ValueError(f"solver='cg' needs family='gaussian' with link='identity', not family={family.name!r}.")
    if not isinstance(model.alpha, str) and not model.alpha > 0:
        raise ValueError(f"alpha={model.alpha!r} must be positive with family={family.name!r}.")
    if model.alpha in ("reml", "ml") and not family.likelihood:
        raise ValueError(f"alpha={model.alpha!r}: family={family.name!r} claims no likelihood; use 'loo' or 'gcv'.")


def check_shape(family: Family, y: Array) -> None:
    """Raise ValueError if a family has shape parameters to estimate."""
    names = ", ".join(spec.name for spec in family.specs(y))
    if names:
        raise ValueError(
            f"family={family.name!r} has shape parameters to estimate ({names}), which a kernel regression does not. "
            "Fix them where the family takes them, as in 'negative_binomial(0.5)'; use 'multinomial' for 'ordinal'; or "
            "fit a RecursiveGLMRegressor, on RandomFeatures."
        )


def fit(model: Any, rows: Rows, y: Any, weights: Array, offset: Any, exposure: Any) -> None:
    """Fit a `KernelDualRegressor` and set its attributes.

    Parameters
    ----------
    model : KernelDualRegressor
        With `family_` and `link_`.
    rows : Rows
    y : array-like (n,) or (n, m)
    weights : ndarray (n,)
    offset, exposure : array-like (n,) or None
    """
    n, inside = len(weights), model.support_
    response = response_matrix(y, n)
    model.family_.check_response(response)
    check_shape(model.family_, response)
    K = model.family_.outputs(response)
    is_column = response.shape[1] == 1 and len(getattr(y, "shape", (n,))) > 1
    model._is_vector = K == 1 and model.family_.name != "multinomial" and not is_column
    if K == 1 and is_column:
        message = "A column-vector y was passed when a 1d array was expected."
        warnings.warn(message, DataConversionWarning, stacklevel=3)
    shift = shift_of(model, rows, offset, exposure, K)
    _decompose(model, rows, shift, weights)
    problem = Problem(model.dual_, Response(model.family_, model.link_), response[inside], shift[inside])
    budget.check_columns(problem.F.shape[1] * K, model.memory_limit)
    model._smoother = Smoother(problem, _start(problem, model.fit_intercept))
    model._solution, model._path = _choose(model, model._smoother)
    if not model._solution.converged:
        warnings.warn(_warning(model), ConvergenceWarning, stacklevel=3)
    _describe(model, rows, response, shift, weights)


def _decompose(model: Any, rows: Rows, shift: Array, weights: Array) -> None:
    """Set the kernel and its decomposition, in which responses have no part."""
    inside, model._projected = model.support_, None
    if model.approximation is not None:
        model._projected = nystroem.project(model, rows, shift, weights)
        model.dual_ = model._projected.dual
        return
    X = rows.X[np.ix_(inside, inside)] if model._is_precomputed else rows.X[inside]
    model.kernel_ = resolve(model.kernel, X, weights[inside], model.gamma, model.kernel_params)
    model._X = None if model._is_precomputed else X
    gram = checked_gram(model.kernel_.gram(X))
    model.dual_ = decompose(gram, shift[inside], rows.linear[inside], weights[inside], copies=model.freq_weights)


def shift_of(model: Any, rows: Rows, offset: Any, exposure: Any, K: int) -> Array:
    """Total offset (n, K), zeros if there is none."""
    n = rows.X.shape[0]
    total = total_offset(offset, exposure, rows.offset, rows.exposure, model.link_, n, K)
    return np.zeros((n, K)) if total is None else total


def _start(problem: Problem, intercept: bool) -> Array:
    """Linear predictors (n, K) from which the first fit starts."""
    if intercept:
        null = fit_intercept(problem.response, problem.y, problem.weights, problem.offset, {})
        return problem.offset + null.value
    eta = starting_eta(problem.response, problem.y, problem.offset.shape[1])
    return np.where(np.isfinite(eta), eta, problem.offset)


def _choose(model: Any, smoother: Smoother) -> tuple[Solution, Path | None]:
    if not isinstance(model.alpha, str):
        return smoother.at(float(model.alpha)), None
    path = smoother.path(model._grid())
    return smoother.best(path, model.alpha, refine=isinstance(model.alphas, (int, np.integer))), path


def _warning(model: Any) -> str:
    return (
        f"{type(model).__name__}: scoring did not converge at alpha={model._solution.lam:.3g} (after "
        f"{model._solution.n_iter} iterations); if the unpenalised part separates the responses, leave it to the "
        "kernel (linear=None), or raise alpha."
    )


def _describe(model: Any, rows: Rows, response: Array, shift: Array, weights: Array) -> None:
    """Set the public attributes."""
    solution, inside, family = model._solution, model.support_, model.family_
    K = shift.shape[1]
    model._lam = np.full(K, solution.lam)
    likelihood, phi = (
        irls_criteria.laplace(solution, restricted=model.alpha != "ml") if family.likelihood else (np.nan, np.nan)
    )
    if model.alpha not in ("reml", "ml"):
        phi = 1.0 if family.dispersion == "fixed" else irls_criteria.pearson(solution)
    model._scale = np.full(K, phi / solution.lam)
    a, b = solution.coefficients()
    a = a if model._projected is None else model._projected.coefficients(a)
    model._publish(a, b, model.dual_.kept, np.array([solution.edf]), rows)
    model.dispersion_, model.log_marginal_likelihood_ = float(phi), float(likelihood)
    model.n_iter_, model.converged_ = solution.n_iter, solution.converged
    model.leverage_ = np.zeros(len(weights))
    model.leverage_[inside] = solution.leverage
    eta = shift + np.nan
    eta[inside] = solution.left_out
    outside = np.setdiff1d(np.arange(len(weights)), inside)
    if len(outside):
        eta[outside] = shift[outside] + _eta(model, Rows(rows.X[outside], rows.linear[outside], None, None))
    means = Response(family, model.link_).mean(eta)
    model.loo_residuals_ = model._shaped(np.asarray(family.observed(response)) - means)


def _eta(model: Any, rows: Rows) -> Array:
    """Linear predictors (n0, K) of coded rows, without offset."""
    return _smooth(model, rows) + rows.linear[:, model._kept] @ model._b


def _smooth(model: Any, rows: Rows) -> Array:
    """Part of the linear predictors from the kernel, (n0, K)."""
    if model._projected is not None:
        return nystroem.mean(model, rows, "kernel")
    return model._cross(rows) @ model._beta


def covariance(model: Any, rows: Rows) -> Array:
    """Covariance of the linear predictors of each row, (n0, K, K)."""
    solution = model._solution
    cross = model._cross(rows) if model._projected is None else nystroem.cross(model, rows)
    problem = solution.problem
    columns = problem.columns(cross, rows.linear)
    outside = problem.outside(cross, rows.linear, model.kernel_.diagonal(rows.X), columns) / solution.lam
    found = solution.curvature.covariances(columns) + outside[:, None, None] * np.eye(model._beta.shape[1])
    return found * model.dispersion_


def predict(model: Any, rows: Rows, shift: Array, kind: str, level: float, return_std: bool) -> Any:
    """See `KernelDualRegressor.predict`; standard errors of means are by the delta method."""
    if kind == "linear":
        return model._shaped(rows.linear[:, model._kept] @ model._b)
    if kind == "kernel":
        return model._shaped(_smooth(model, rows))
    eta, response = _eta(model, rows) + shift, model._solution.problem.response
    if kind == "quantile":
        if not 0.0 < level < 1.0:
            raise ValueError(f"level={level!r} must be between 0 and 1.")
        return model._shaped(quantile(model, eta, level))
    values = eta if kind == "link" else response.mean(eta)
    if not return_std:
        return model._shaped(values)
    cov = covariance(model, rows)
    variance = np.einsum("ikk->ik", cov) if kind == "link" else mean_variance(response, eta, cov)
    return model._shaped(values), model._shaped(np.sqrt(variance))


def quantile(model: Any, eta: Array, level: float) -> Array:
    """Quantile of the family's distribution at given linear predictors, (n0, m)."""
    response = model._solution.problem.response
    found = model.family_.distribution(response.location(eta), model.dispersion_)
    return np.asarray(found.ppf(level), dtype=float)


def mean_variance(response: Response, eta: Array, cov: Array) -> Array:
    """Variance (n0, m) of the mean of each column of the response by the delta method."""
    slopes = [response.mean_slope(eta, j) for j in range(response.mean(eta[:1]).shape[1])]
    return np.column_stack([np.einsum("ij,ijk,ik->i", s, cov, s) for s in slopes])


def intervals(model: Any, rows: Rows, shift: Array, level: float, kind: str) -> tuple[Array, Array]:
    """See `KernelDualRegressor.intervals`."""
    eta, response = _eta(model, rows) + shift, model._solution.problem.response
    if kind == "response":
        return quantile(model, eta, (1 - level) / 2), quantile(model, eta, (1 + level) / 2)
    cov, z = covariance(model, rows), stats.norm.ppf((1 + level) / 2)
    if response.link.name == "softmax":
        p = response.mean(eta)
        half = z * np.sqrt(mean_variance(response, eta, cov)) / (p * (1 - p))
        odds = p / (1 - p)
        ends = [1 / (1 + np.exp(sign * half) / odds) for sign in (1, -1)]
        return ends[0], ends[1]
    half = z * np.sqrt(np.einsum("ikk->ik", cov))
    ends = [response.mean(eta - half), response.mean(eta + half)]
    return np.minimum(*ends), np.maximum(*ends)


def logpdf(model: Any, rows: Rows, shift: Array, y: Any, sample_weight: Any) -> Array:
    """Log-density of each row at the estimates, (n0,)."""
    if not model.family_.likelihood:
        raise ValueError(f"family={model.family_.name!r} claims no likelihood, so it has no logpdf; use score.")
    eta = _eta(model, rows) + shift
    target = new_response(model, y, len(eta))
    weights = None if sample_weight is None else check_weights(sample_weight, len(eta), "float64")
    response = model._solution.problem.response
    return response.log_density(target, eta, model.dispersion_, weights).sum(axis=1)


def new_response(model: Any, y: Any, n: int) -> Array:
    """Responses (n, m), checked."""
    found = response_matrix(y, n)
    model.family_.check_response(found)
    return found


def score(model: Any, rows: Rows, shift: Array, y: Any, sample_weight: Any) -> float:
    """Share of the deviance explained, against the best constant mean with the same offset."""
    eta, response = _eta(model, rows) + shift, model._solution.problem.response
    target = new_response(model, y, len(eta))
    weights = check_weights(sample_weight, len(eta), "float64")
    found = float((weights * response.unit_deviance(target, eta)).sum())
    null = fit_intercept(response, target, weights, shift, {}).deviance
    rounding = float(weights.sum()) * (16.0 * np.finfo(float).eps * np.abs(target).max()) ** 2
    return 1.0 - found / null if null > rounding else float(found <= rounding)


def path(model: Any) -> pd.DataFrame:
    """See `KernelDualRegressor.path_`."""
    import pandas as pd

    found = model._path if model._path is not None else model._smoother.path(model._grid())
    return pd.DataFrame(found.values | {"edf": found.edf}, index=pd.Index(found.lam, name="alpha"))
