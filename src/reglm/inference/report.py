"""The summary of a fit: how it was obtained, how good it is, and its coefficients, as in statsmodels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reglm.inference.describe import dispersion_name, fit_notes, network_name, restarts_at_best
from reglm.inference.tables import Summary, number

if TYPE_CHECKING:
    import pandas as pd

    from reglm.inference.estimates import Estimates

TITLES = {True: "Generalized Linear Model Results", False: "Recursive Generalized Linear Model Results"}


def report(results: Estimates, alpha: float = 0.05, title: str | None = None) -> Summary:
    """Return the summary of a fit.

    Parameters
    ----------
    results : Estimates
    alpha : float
        Intervals have level ``1 - alpha``.
    title : str, optional
    """
    fit = results.fit
    table = coefficient_table(results, alpha)
    return Summary(title or TITLES[fit.is_linear], _obtained(results), _measures(results), table, notes(results))


def coefficient_table(results: Estimates, alpha: float = 0.05) -> pd.DataFrame:
    """Coefficients, standard errors, z or t, p-values and interval ends (M, 6).

    Without standard errors: the coefficients alone for a generalized linear model, no rows for a network,
    whose output weights mean nothing by themselves.
    """
    import pandas as pd

    if results.refusal:
        return pd.DataFrame({"coef": results.params if results.fit.is_linear else results.params[:0]})
    interval = results.conf_int(alpha)
    letter = "t" if results.use_t else "z"
    columns = {
        "coef": results.params, "std err": results.bse, letter: results.tvalues,
        f"P>|{letter}|": results.pvalues,
        f"[{alpha / 2:g}": interval[0], f"{1 - alpha / 2:g}]": interval[1],
    }  # fmt: skip
    return pd.DataFrame(columns)


def _obtained(results: Estimates) -> list[tuple[str, str]]:
    """Left column: the model and how it was fitted."""
    fit = results.fit
    names = ", ".join(map(str, fit.output_names))
    pairs = [
        (
            "Dep. Variable",
            names if 0 < len(names) <= 22 else f"{len(fit.output_names)} outputs" if names else "y",
        ),
        ("Model Family", fit.likelihood.family.name),
        ("Link Function", fit.likelihood.link.name),
        ("Network", network_name(fit.likelihood.network)),
        ("Solver", fit.solver),
        ("Iterations", str(fit.n_iter)),
        ("Converged", "yes" if fit.converged else "no"),
    ]
    if len(fit.restarts) > 1:
        pairs.append(("Restarts at best", f"{restarts_at_best(fit)} of {len(fit.restarts)}"))
    return [*pairs, ("Covariance Type", "none" if results.refusal else results.cov_type)]


def _measures(results: Estimates) -> list[tuple[str, str]]:
    """Right column: size and quality of the fit."""
    fit = results.fit
    return [
        ("No. Observations", number(results.nobs)),
        ("Parameters", number(results.rank)),
        ("Df Residuals", number(results.df_resid)),
        ("Log-Likelihood", number(results.llf)),
        ("AIC", number(results.aic)),
        ("BIC", number(results.bic)),
        ("Deviance", number(results.deviance)),
        ("Pearson chi2", number(results.pearson_chi2)),
        ("D2", f"{results.d2:.4f}"),
        ("Dispersion", dispersion_name(fit)),
    ]


def notes(results: Estimates) -> list[str]:
    """Return the notes below the table: about the fit, then about the standard errors."""
    found = fit_notes(results.fit)
    if results.refusal:
        return [*found, f"No standard errors: {results.refusal}"]
    if not results.fit.is_linear:
        found.append("The table shows the output layer and skip term; their standard errors allow for all parameters.")
    return [*found, *results.notes]
