"""Summary of a kernel regression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from reglm.inference.tables import Summary, number
from reglm.kernels import irls_criteria, posterior
from reglm.parameters import Array

CHOSEN = {
    "loo": "exact leave-one-out", "gcv": "generalised cross-validation", "reml": "restricted likelihood",
    "ml": "marginal likelihood",
}  # fmt: skip

APPROXIMATE = {
    "loo": "approximate leave-one-out", "gcv": "generalised cross-validation",
    "reml": "restricted likelihood (Laplace)", "ml": "marginal likelihood (Laplace)",
}  # fmt: skip
NOTE = "Standard errors are those of a Gaussian process with the kernel as covariance, the penalty taken as known."


def coefficients(model: Any, level: float, targets: Sequence[str]) -> Any:
    """Unpenalised coefficients with standard errors, a DataFrame: one row a coefficient and target.

    Parameters
    ----------
    model : KernelDualRegressor
        Fitted.
    level : float
        Of the intervals.
    targets : sequence of str
        Their names.
    """
    import pandas as pd

    names = [model._design.names[j] for j in model._kept]
    labels = [name if len(targets) == 1 else f"{target}: {name}" for target in targets for name in names]
    b, se = model._b.T.ravel(), _errors(model).ravel()
    z, half = b / se, stats.norm.ppf((1 + level) / 2)
    tail = f"{(1 - level) / 2:g}"[1:], f"{(1 + level) / 2:g}"[1:]
    columns = {
        "coef": b, "std err": se, "z": z, "P>|z|": 2 * stats.norm.sf(np.abs(z)), f"[{tail[0]}": b - half * se,
        f"{tail[1]}]": b + half * se,
    }  # fmt: skip
    return pd.DataFrame(columns, index=labels)


def _errors(model: Any) -> Array:
    """Standard errors (k, q) of the unpenalised coefficients."""
    dual, lam = model.dual_, model._lam
    if model._solution is not None:
        variances = np.diag(model._solution.linear_covariance()) * model.dispersion_
        return np.sqrt(variances).reshape(-1, len(lam)).T
    exact = model.approximation is None
    covariances = posterior.linear_covariance(dual, lam) if exact else dual.linear_covariance(lam)
    errors = [np.sqrt(np.diag(covariance) * s) for covariance, s in zip(covariances, model._scale, strict=True)]
    return np.array(errors)


def summary(model: Any, level: float, targets: Sequence[str] | None = None) -> Summary:
    """Return the summary; see `KernelDualRegressor.summary`.

    Parameters
    ----------
    model : KernelDualRegressor
    level : float
    targets : sequence of str, optional
        Names of the linear predictors.
    """
    targets = targets or [f"y{j}" for j in range(len(model._lam))]
    if model._solution is not None:
        return _of_family(model, level, targets)
    dual, lam, exact = model.dual_, model._lam, model.approximation is None
    how = CHOSEN.get(model.alpha, "given") if isinstance(model.alpha, str) else "given"
    single = len(lam) == 1
    left = [
        ("Dep. Variable", ", ".join(model._names)),
        ("Model", "kernel ridge, dual" if exact else "kernel ridge, landmarks"), ("Kernel", _kernel(model)),
        ("Penalty", number(lam[0]) if not model.alpha_per_target or single else "one a target"), ("Chosen by", how),
    ]  # fmt: skip
    right = [
        ("No. Observations", number(dual.nobs)), ("Effective df", number(float(np.mean(model.edf_)))),
        ("Log-Likelihood (REML)", number(model.log_marginal_likelihood_)),
    ]  # fmt: skip
    if single:
        right += [("Dispersion", number(float(lam[0] * model._scale[0])))]
    if single and getattr(dual, "features", dual) is not None:  # a loaded model on landmarks has no rows to leave out
        loss = model._rules.CRITERIA["loo"](dual, lam[:1])[0, 0]
        right += [("LOO RMSE", number(float(np.sqrt(loss))))]
    table = coefficients(model, level, targets)
    return Summary("Kernel Regression Results", left, right, table, [NOTE, *_caveats(model)])


def _of_family(model: Any, level: float, targets: Sequence[str]) -> Summary:
    """Summary of a fit by scoring."""
    solution = model._solution
    how = APPROXIMATE.get(model.alpha, "given") if isinstance(model.alpha, str) else "given"
    left = [
        ("Dep. Variable", ", ".join(model._names)), ("Model", "kernel regression, dual"),
        ("Family", model.family_.name), ("Link", model.link_.name), ("Kernel", _kernel(model)),
        ("Penalty", number(solution.lam)), ("Chosen by", how),
    ]  # fmt: skip
    right = [
        ("No. Observations", number(model.dual_.nobs)), ("Effective df", number(model.edf_)),
        ("Deviance", number(irls_criteria.deviance(solution))),
        ("LOO Deviance", number(irls_criteria.loo(solution) * float(model.dual_.weights.sum()))),
        ("Dispersion", number(model.dispersion_)), ("Log-Likelihood (REML)", number(model.log_marginal_likelihood_)),
        ("Iterations", number(model.n_iter_)),
    ]  # fmt: skip
    table = coefficients(model, level, targets)
    return Summary("Kernel Regression Results", left, right, table, [NOTE, *_caveats(model)])


def _kernel(model: Any) -> str:
    text = (
        " ".join(str(model.kernel).split())
        if not callable(model.kernel) or hasattr(model.kernel, "theta")
        else "function"
    )
    gamma = getattr(model.kernel_, "gamma", None)
    text = text if gamma is None else f"{text}, gamma={gamma:.4g}"
    return text if len(text) <= 28 else text[:25] + "..."


def _caveats(model: Any) -> list[str]:
    """Say where a penalty stands at an end of its grid, and which columns are aliased."""
    found, dual = [], model.dual_
    if isinstance(model.alpha, str):
        grid = model._grid()
        if np.any(model._lam <= grid[0] * (1 + 1e-6)):
            found.append("The penalty is the smallest on the grid: next to interpolation.")
        if np.any(model._lam >= grid[-1] * (1 - 1e-6)):
            found.append("The penalty is the largest on the grid: the kernel adds next to nothing.")
    names = model._design.names
    if len(dual.kept) < len(names):
        left_out = ", ".join(name for j, name in enumerate(names) if j not in dual.kept)
        found.append(f"Columns that depend on others were left out of the unpenalised part: {left_out}.")
    return found
