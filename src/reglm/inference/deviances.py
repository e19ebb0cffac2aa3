"""Analysis of deviance: fits side by side, and the terms of a fit one by one.

With the dispersion estimated from residuals, differences of deviance are referred to F with the dispersion of the
largest model, as in R's `anova.glm`; otherwise twice the difference of log-likelihoods is referred to chi-square.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from reglm.inference.contrasts import wald_statistic
from reglm.inference.covariances import observed_numbers
from reglm.inference.criteria import aic, bic, rank
from reglm.inference.hypotheses import without_input
from reglm.inference.likelihood_ratio import Pair, outcome, paired, reference, without_columns
from reglm.inference.printable import Table
from reglm.parameters import Array
from reglm.record import Fit

if TYPE_CHECKING:
    from reglm.inference.test_result import TestOutcome

NOT_NESTED = (
    "Model {} has inputs that model {} lacks ({}), so the two are not nested and the test between them is not valid; "
    "compare AIC or BIC."
)
GLM_IN_NETWORK = (
    "Model {} has no hidden layer and model {} has no skip term that would contain it: a network only comes close to a "
    "linear predictor, so the test between them is not valid; use skip=True."
)
LAYERS = "Models {} and {} have different numbers of hidden layers, so they need not be nested; compare AIC or BIC."
NO_DF = "Models {} and {} have as many parameters, so there is no test between them."
MARGINAL = "The model has products of inputs: terms are dropped while products with them stay in the model."


def anova(*models: Any) -> Table:
    """Analysis of deviance table of two or more fits to the same responses, like R's `anova`.

    Parameters
    ----------
    *models : fitted estimators, pipelines, searches, Results or Fits
        In the order of the table; every model is tested against the one before it.

    Returns
    -------
    Table
        Resid. Df, Resid. Dev, Df and Deviance (differences to the model before), F or LR with its p-value; LL, AIC
        and BIC. The notes say which tests are not valid, and why.

    Raises
    ------
    ValueError
        If there are fewer than two models, one has no record of a fit, or they differ in their family, link, rows,
        responses or weights.
    """
    fits = [record(model) for model in models]
    if len(fits) < 2:
        raise ValueError(f"anova compares two or more models, got {len(fits)}; anova_table() shows one model's terms.")
    largest = max(fits, key=rank)
    sizes = [rank(fit) for fit in fits]
    rows, notes = [_measures(fits[0])], []
    for i in range(1, len(fits)):
        before, after = fits[i - 1], fits[i]
        row = _measures(after)
        row |= {"Df": sizes[i] - sizes[i - 1], "Deviance": before.deviance - after.deviance}
        if sizes[i] == sizes[i - 1]:
            notes.append(NO_DF.format(i, i + 1))
        else:
            pair = paired(after, before) if sizes[i] > sizes[i - 1] else paired(before, after)
            test = _at_dispersion_of(largest, pair)
            row |= _tested(test)
            numbers = (i, i + 1) if pair.smaller is before else (i + 1, i)
            notes += [*_nesting(pair, *numbers), *(f"Models {i} and {i + 1}: {note}" for note in test.notes)]
        rows.append(row)
    return _table("Analysis of deviance", rows, [str(i) for i in range(1, len(rows) + 1)], notes)


def record(model: Any) -> Fit:
    """Record of a fitted estimator, of the last step of a pipeline, of the best of a search, or of results.

    Raises
    ------
    ValueError
        If there is none.
    """
    inner = getattr(model, "best_estimator_", model)
    inner = inner[-1] if hasattr(inner, "named_steps") else inner
    for found in (inner, getattr(inner, "fit_", None), getattr(inner, "fit", None)):
        if isinstance(found, Fit):
            return found
    raise ValueError(f"model of type {type(model).__name__} has no record of a fit: pass fitted recursive GLMs.")


# -- terms of one model -------------------------------------------------------------------------------------------


def term_columns(fit: Fit, inputs: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Columns of the model matrix of each term.

    Parameters
    ----------
    fit : Fit
    inputs : mapping of str to tuple of int
        Columns that each input takes part in. Where inputs share columns (products in a formula) the terms are those
        of the formula, else the inputs.
    """
    used = [column for columns in inputs.values() for column in columns]
    if len(set(used)) == len(used):
        return dict(inputs)
    found: dict[str, list[int]] = {}
    for j, name in enumerate(fit.input_names):
        found.setdefault(re.sub(r"\[[^\]]*\]", "", name), []).append(j)
    return {name: tuple(columns) for name, columns in found.items()}


def drop_one(fit: Fit, terms: Mapping[str, tuple[int, ...]], *, n_init: int = 3, seed: int = 0) -> Table:
    """Table of the models without one term each, like R's `drop1`.

    Parameters
    ----------
    fit : Fit
    terms : mapping of str to tuple of int
        Columns of the model matrix, see `term_columns`.
    n_init : int
        Starts of each refit, the first from the estimates.
    seed : int

    Returns
    -------
    Table
        A row for the whole model, then one a term dropped: Df, Deviance and AIC of the model without it, F or LR and
        its p-value.

    Raises
    ------
    ValueError
        If the model was loaded from a file.
    """
    rows: list[dict[str, Any]] = [{"Deviance": fit.deviance, "AIC": aic(fit)}]
    notes: list[str] = []
    for name, columns in terms.items():
        pair, test = _without(fit, columns, name, notes, n_init, seed)
        row: dict[str, Any] = {}
        if pair is not None and test is not None:
            value = aic(pair.smaller, rank(fit) - pair.df)
            row = {"Df": pair.df, "Deviance": pair.smaller.deviance, "AIC": value, **_tested(test)}
        rows.append(row)
    return _table("Single term deletions", rows, ["<none>", *terms], [*_products(terms), *notes])


def terms_table(
    fit: Fit, terms: Mapping[str, tuple[int, ...]], typ: int = 3, *, n_init: int = 3, seed: int = 0
) -> Table:
    """Analysis of deviance by terms, each given those before it (type I) or all others (type III).

    Parameters
    ----------
    fit : Fit
    terms : mapping of str to tuple of int
    typ : {1, 3}
    n_init, seed : int
        As in `drop_one`.

    Returns
    -------
    Table
        Deviance that the term explains, Df, F or LR and its p-value; then the residual. For the Gaussian family with
        identity link and no hidden layers the table of `statsmodels.stats.anova.anova_lm`.

    Raises
    ------
    ValueError
        If `typ` is not known, or if the model was loaded from a file.
    """
    if typ not in (1, 3):
        raise ValueError(f"typ={typ!r} is not known; choose 1 (in the order of the terms) or 3 (given all others).")
    notes: list[str] = []
    rows: dict[str, dict[str, Any]] = {}
    larger = fit
    given = list(terms.items())
    for i, (name, columns) in enumerate(given if typ == 3 else given[::-1]):
        pair, test = _without(larger, columns, name, notes, n_init, seed, fit)
        rows[name] = {}
        if pair is not None and test is not None:
            dropped = pair.smaller.deviance - larger.deviance
            rows[name] = {"Deviance": dropped, "Df": pair.df, **_tested(test)}
            larger = pair.smaller if typ == 1 and i + 1 < len(given) else larger
    ordered = [rows[name] for name in terms]
    ordered.append({"Deviance": fit.deviance, "Df": observed_numbers(fit) - rank(fit)})
    title = f"Analysis of deviance, type {'I' * typ}"
    return _table(title, ordered, [*terms, "Residual"], [*(_products(terms) if typ == 3 else []), *notes])


def wald_table(fit: Fit, terms: Mapping[str, tuple[int, ...]], theta: Array, V: Array, df_resid: float) -> Table:
    """Wald tests by terms, each given all others: of all weights that take the term up.

    Parameters
    ----------
    fit : Fit
    terms : mapping of str to tuple of int
    theta : ndarray (P,)
        Estimates, NaN where other parameters determine them.
    V : ndarray (P, P)
        Their covariance.
    df_resid : float
        Denominator of F, which replaces chi-square where the dispersion is estimated from residuals.
    """
    letter = "F" if fit.dispersion_method in ("pearson", "deviance") else "chi2"
    rows, notes = [], _products(terms)
    for name, columns in terms.items():
        R = without_input(fit, columns, name).R
        R = R[~R[:, np.isnan(theta)].any(axis=1)]
        row: dict[str, Any] = {}
        if len(R):
            kept = ~np.isnan(theta)
            value, df = wald_statistic(R @ np.nan_to_num(theta), R[:, kept] @ V[np.ix_(kept, kept)] @ R[:, kept].T)
            law = stats.f(df, df_resid) if letter == "F" else stats.chi2(df)
            value = value / df if letter == "F" else value
            row = {"Df": df, letter: value, f"P>{letter}": float(law.sf(value))}
        else:
            notes.append(f"{name}: not estimable, other inputs determine it.")
        rows.append(row)
    return _table("Wald tests, type III", rows, list(terms), notes)


def _without(
    larger: Fit, columns: tuple[int, ...], name: str, notes: list[str], n_init: int, seed: int, scale: Fit | None = None
) -> tuple[Pair | None, TestOutcome | None]:
    """Pair and test of a term; none, and a note, where other terms determine it."""
    try:
        pair = without_columns(larger, columns, n_init=n_init, seed=seed)
    except ValueError as error:
        if larger.data is None or larger.refit is None:
            raise
        notes.append(f"{name}: {error}")
        return None, None
    test = _at_dispersion_of(scale or larger, pair)
    notes += [f"{name}: {note}" for note in test.notes]
    return pair, test


def _products(terms: Iterable[str]) -> list[str]:
    return [MARGINAL] if any(":" in name for name in terms) else []


# -- shared -------------------------------------------------------------------------------------------------------


def _at_dispersion_of(largest: Fit, pair: Pair) -> TestOutcome:
    """Test of a pair, an F with the dispersion and the degrees of freedom of the largest model."""
    test = outcome(pair)
    if reference(pair) != "F" or largest is pair.larger:
        return test
    df = observed_numbers(largest) - rank(largest)
    value = (pair.smaller.deviance - pair.larger.deviance) / (pair.df * largest.dispersion)
    return replace(test, statistic=value, df=(pair.df, df), pvalue=float(stats.f.sf(value, pair.df, df)))


def _tested(test: TestOutcome) -> dict[str, Any]:
    name = "F" if test.distribution == "F" else "LR"
    return {name: test.statistic, f"P>{'F' if name == 'F' else 'chi2'}": test.pvalue}


def _measures(fit: Fit) -> dict[str, Any]:
    return {
        "Resid. Df": observed_numbers(fit) - rank(fit), "Resid. Dev": fit.deviance, "LL": fit.log_likelihood,
        "AIC": aic(fit), "BIC": bic(fit),
    }  # fmt: skip


def _nesting(pair: Pair, small: int, large: int) -> list[str]:
    """Why two models are not nested, as far as their inputs and layers tell."""
    notes = []
    alone = [name for name in pair.smaller.input_names if name not in pair.larger.input_names]
    if alone:
        notes.append(NOT_NESTED.format(small, large, ", ".join(map(str, alone))))
    layers = [len(fit.likelihood.network.chain.layers) for fit in (pair.smaller, pair.larger)]
    if layers[0] == 1 < layers[1]:
        if pair.larger.likelihood.network.skip is None and np.any(pair.smaller.input_names):
            notes.append(GLM_IN_NETWORK.format(small, large))
    elif layers[0] != layers[1]:
        notes.append(LAYERS.format(small, large))
    return notes


ORDER = (
    "Resid. Df", "Resid. Dev", "Df", "Deviance", "F", "LR", "chi2", "P>F", "P>chi2", "LL", "AIC", "BIC",
)  # fmt: skip


def _table(title: str, rows: list[dict[str, Any]], labels: list[str], notes: list[str]) -> Table:
    import pandas as pd

    known = {name for row in rows for name in row}
    frame = pd.DataFrame(rows, index=labels, columns=[name for name in ORDER if name in known], dtype=float)
    return Table(title, frame, _gathered(notes))


def _gathered(notes: list[str]) -> tuple[str, ...]:
    """Notes, ``"term: text"`` or text alone; each text once with all the terms that it concerns."""
    terms: dict[str, dict[str, None]] = {}
    for note in notes:
        term, colon, text = note.partition(": ")
        terms.setdefault(colon + text if colon else note, {})[term if colon else ""] = None
    return tuple(", ".join(names) + text for text, names in terms.items())
