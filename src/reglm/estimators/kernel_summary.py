"""Summary of a kernel regression for gaussian responses."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from reglm.inference.tables import Summary, number
from reglm.kernels import posterior

CHOSEN = {
    "loo": "exact leave-one-out", "gcv": "generalised cross-validation", "reml": "restricted likelihood",
    "ml": "marginal likelihood",
}  # fmt: skip


def coefficients(model: Any, level: float) -> Any:
    """Unpenalised coefficients with standard errors, a DataFrame: one row a coefficient and target.

    Parameters
    ----------
    model : KernelDualRegressor
        Fitted.
    level : float
        Of the intervals.
    """
    import pandas as pd

    dual, lam = model.dual_, model._lam
    b, names = dual.linear(lam), [model._design.names[j] for j in dual.kept]
    exact = model.approximation is None
    covariances = posterior.linear_covariance(dual, lam) if exact else dual.linear_covariance(lam)
    errors = [np.sqrt(np.diag(covariance) * s) for covariance, s in zip(covariances, model._scale, strict=True)]
    labels = [name if len(lam) == 1 else f"y{j}: {name}" for j in range(len(lam)) for name in names]
    b, se = b.T.ravel(), np.ravel(errors)
    z, half = b / se, stats.norm.ppf((1 + level) / 2)
    tail = f"{(1 - level) / 2:g}"[1:], f"{(1 + level) / 2:g}"[1:]
    columns = {
        "coef": b, "std err": se, "z": z, "P>|z|": 2 * stats.norm.sf(np.abs(z)), f"[{tail[0]}": b - half * se,
        f"{tail[1]}]": b + half * se,
    }  # fmt: skip
    return pd.DataFrame(columns, index=labels)


def summary(model: Any, level: float) -> Summary:
    """Return the summary; see `KernelDualRegressor.summary`."""
    dual, lam, exact = model.dual_, model._lam, model.approximation is None
    how = CHOSEN.get(model.alpha, "given") if isinstance(model.alpha, str) else "given"
    losses = {name: model._rules.CRITERIA[name](dual, lam[:1])[0] for name in ("loo", "gcv")}
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
        right += [("LOO RMSE", number(float(np.sqrt(losses["loo"][0]))))]
    notes = [
        "Standard errors are those of a Gaussian process with the kernel as covariance, the penalty taken as known."
    ]
    return Summary("Kernel Regression Results", left, right, coefficients(model, level), notes + _caveats(model))


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
