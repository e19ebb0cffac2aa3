"""Summary of a hidden Markov model: estimates with standard errors from the observed information."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from reglm.inference.tables import Summary, number
from reglm.parameters import Array
from reglm.statespace.free import Free, information, slopes
from reglm.statespace.hidden_markov import Parameters

LIMIT = 400
"""Free parameters up to which the information is computed."""


def reported(model: Any, parameters: Parameters) -> dict[str, float]:
    """What the table holds, by label: emissions state by state, then moves."""
    found = {}
    for name, values in model.model_.emission.table(parameters.emission).items():
        for index in np.ndindex(*values.shape):
            where = "".join(f"[{i}]" for i in index[1:])
            found[f"state {index[0]}: {name}{where}"] = float(values[index])
    for name, values in parameters.moves.items():
        allowed = model.model_.transitions.allowed
        for index in np.ndindex(*values.shape):
            if allowed[index[0], index[-1]] and (name == "transition" or index[0] != index[-1]):
                middle = f" [{index[1]}]" if len(index) == 3 else ""
                found[f"{name}{middle} {index[0]} -> {index[-1]}"] = float(values[index])
    return found


def errors(model: Any) -> tuple[Array, list[str]]:
    """Standard errors of `reported`, and what is to be said about them."""
    rows, division, weights = model._trained()
    free = Free(model.model_, model.parameters_)
    size = len(reported(model, model.parameters_))
    if free.chosen().sum() > LIMIT:
        return np.full(size, np.nan), [f"No standard errors: more than {LIMIT} free parameters."]
    try:
        H = information(free, rows, division.lengths, weights)
        np.linalg.cholesky(H)
    except np.linalg.LinAlgError:
        note = (
            "No standard errors: the information is not positive definite, so this is no interior maximum; lower tol."
        )
        return np.full(size, np.nan), [note]
    except ValueError as error:
        return np.full(size, np.nan), [f"No standard errors: {error}."]
    J = slopes(free, lambda p: np.array(list(reported(model, p).values())))
    variances = np.einsum("ij,ji->i", J, np.linalg.solve(H, J.T))
    note = "Standard errors from the observed information, by the delta method; on a boundary they are 0."
    return np.sqrt(np.maximum(variances, 0.0)), [note]


def summary(model: Any, level: float) -> Summary:
    """Return the summary; see `HiddenMarkovModel.summary`.

    Parameters
    ----------
    model : HiddenMarkovModel
        Fitted.
    level : float
    """
    import pandas as pd

    estimates = reported(model, model.parameters_)
    bse, notes = errors(model)
    values, half = np.array(list(estimates.values())), stats.norm.ppf((1 + level) / 2) * bse
    tail = f"{(1 - level) / 2:g}"[1:], f"{(1 + level) / 2:g}"[1:]
    columns = {"coef": values, "std err": bse, f"[{tail[0]}": values - half, f"{tail[1]}]": values + half}
    table = pd.DataFrame(columns, index=list(estimates))
    family = model.family if isinstance(model.family, str) else "mixed" if isinstance(model.family, list) else "given"
    left = [
        ("Model", "hidden Markov"), ("Family", family), ("States", str(model.n_states)), ("Solver", model.solver),
        ("Converged", "yes" if model.converged_ else "NO"), ("Steps", str(model.n_iter_)),
    ]  # fmt: skip
    right = [
        ("No. Observations", number(model.n_rows_)), ("No. Sequences", number(len(model._trained()[1]))),
        ("Log-Likelihood", number(model.loglik_)), ("AIC", number(model.aic())), ("BIC", number(model.bic())),
        ("Free parameters", str(model.n_parameters_)),
    ]  # fmt: skip
    return Summary("Hidden Markov Model Results", left, right, table, [*notes, *_caveats(model)])


def _caveats(model: Any) -> list[str]:
    found = []
    if not model.converged_:
        found.append(f"EM had not converged after max_iter={model.max_iter} steps.")
    if model.n_init > 1:
        found.append(f"{model.n_agree_} of {model.n_init} starts ended at this maximum.")
    share = model._trained()[2].sum()
    visits = model.state_weights_
    for k in np.flatnonzero(visits < 1.0):
        found.append(f"State {k} is hardly ever visited ({visits[k]:.2g} rows expected of {share:g} sequences).")
    if model.conditional_:
        found.append("Covariates are standardised; coefficients are per standard deviation.")
    return found
