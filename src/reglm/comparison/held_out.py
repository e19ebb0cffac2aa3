"""Cross-validation of several models on the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold, check_cv

from reglm import families
from reglm.comparison.judging import Judge
from reglm.comparison.result import NULL, Comparison
from reglm.comparison.rows import Rows, column
from reglm.families import Family
from reglm.parameters import Array

DISCRETE = frozenset({
    "bernoulli", "binomial", "poisson", "quasibinomial", "quasipoisson", "negative_binomial", "multinomial", "ordinal",
})  # fmt: skip
MIXED = "Log scores of {} are of probabilities, the others' are of densities: only deviances can be compared."
PLUG_IN = "Without a density of their own, {} got the {} one, its dispersion from {}."
RESIDUALS = {"cv": "residuals cross-validated within the training rows", "training": "training residuals"}


def compare(
    models: Mapping[str, Any],
    X: Any,
    y: Any,
    *,
    family: str | Family = "gaussian",
    cv: Any = 5,
    groups: Any = None,
    sample_weight: Any = None,
    exposure: Any = None,
    null: Any = None,
    plug_in: str = "cv",
    random_state: int = 0,
) -> Comparison:
    """Cross-validate models on the same rows: held-out log scores and deviances, with errors of their differences.

    Parameters
    ----------
    models : dict of str to estimator
        Ours, scikit-learn's, pipelines and searches; they are cloned, not changed. All regressors, or all classifiers.
    X : array-like or data frame (n, p)
        Everything the models read, columns of offsets and exposures that they name themselves included.
    y : array-like (n,) or (n, m)
    family : str or Family
        Its deviance judges the predicted means, see `reglm.metrics.unit_deviance`, and its density those of models
        that have none (no `logpdf`). Classifiers are judged by their probabilities.
    cv : int or splitter
        Number of folds, shuffled by `random_state` (stratified for classifiers), or what scikit-learn takes: a
        splitter, or pairs of arrays of training and held-out rows.
    groups : array-like (n,) or str, optional
        Rows that belong together (one person's) stay together, and the standard errors allow for their dependence.
        Here and below a name stands for a column of X, which is then no input.
    sample_weight : array-like (n,) or str, optional
        For fits and for means over held-out rows.
    exposure : array-like (n,) or str, optional
        Handed to models that take exposures. Others are fitted to y / exposure with weights times exposure, and their
        predictions multiplied by it, which for Poisson models with a log link is the same. Models that name a column
        of X themselves are left to it.
    null : estimator, optional
        The model that D2 refers to, called ``"null"``; by default the mean (with an exposure, the rate), or the class
        shares, of the training rows.
    plug_in : {"cv", "training"}
        Which residuals give the dispersion of models without a density: those of five folds within the training rows,
        or training residuals, which are quicker and too small for flexible models.
    random_state : int

    Returns
    -------
    Comparison
        Prints as a table, the best first. `reglm.plots.comparison` draws it.

    Raises
    ------
    ValueError
        If there is nothing to compare, or a model's predictions lie outside the means of the family.
    """
    _check(models, plug_in)
    classifier = is_classifier(next(iter(models.values())))
    if null is None:
        null = DummyClassifier(strategy="prior") if classifier else DummyRegressor()
    rows, left_over = _rows(X, y, groups=groups, sample_weight=sample_weight, exposure=exposure)
    folds = _folds(cv, classifier, random_state, rows)
    judge = Judge(rows, left_over, folds, families.get(family), classifier, plug_in, random_state)
    judged = {name: judge(name, model) for name, model in {NULL: null, **models}.items()}
    held = np.concatenate([test for _, test in folds])
    return Comparison.of(
        judged, held, rows.weights()[held], rows.clusters()[held], judge.family.name, _notes(judge, judged, models)
    )


def _check(models: Mapping[str, Any], plug_in: str) -> None:
    if not models or NULL in models:
        raise ValueError(f"models must name at least one estimator, none of them {NULL!r}; got {list(models)}.")
    if len({is_classifier(model) for model in models.values()}) > 1:
        raise ValueError("models holds both regressors and classifiers; their deviances are not comparable.")
    if plug_in not in RESIDUALS:
        raise ValueError(f"plug_in={plug_in!r} must be one of {list(RESIDUALS)}.")


def _rows(X: Any, y: Any, **given: Any) -> tuple[Rows, Any]:
    """Return what was given by row, and X without the columns that were named."""
    named = [value for value in given.values() if isinstance(value, str)]
    missing = [name for name in named if name not in getattr(X, "columns", ())]
    if missing:
        raise ValueError(f"{missing[0]!r} is not a column of X; pass its values, or a data frame that has it.")
    parts = {name: column(X, value) for name, value in given.items()}
    for name, values in parts.items():
        if values is not None and len(values) != np.shape(X)[0]:
            raise ValueError(f"{name} has {len(values)} entries, X has {np.shape(X)[0]} rows.")
    return Rows(X, y, **parts), X[[name for name in X.columns if name not in named]] if named else X


def _folds(cv: Any, classifier: bool, random_state: int, rows: Rows) -> list[tuple[Array, Array]]:
    """Training and held-out rows of each fold, the same for all models."""
    if isinstance(cv, int):
        kinds = (StratifiedGroupKFold, GroupKFold) if rows.groups is not None else (StratifiedKFold, KFold)
        cv = kinds[not classifier](cv, shuffle=True, random_state=random_state)
    return list(check_cv(cv).split(rows.X, rows.y, rows.groups))


def _notes(judge: Judge, judged: Mapping[str, Any], models: Mapping[str, Any]) -> tuple[str, ...]:
    notes = []
    plugged = [name for name in models if judged[name].plugged]
    if plugged and judge.estimates:
        notes.append(PLUG_IN.format(_listed(plugged), judge.family.name, RESIDUALS[judge.plug_in]))
    kinds = {name: judged[name].density in DISCRETE for name in models if judged[name].density is not None}
    if len(set(kinds.values())) > 1:
        notes.append(MIXED.format(_listed([name for name, discrete in kinds.items() if discrete])))
    without = [name for name in models if np.isnan(judged[name].log_density).all()]
    if without:
        notes.append(f"No likelihood, so no log score: {_listed(without)}; the ranking is by deviance.")
    unweighted = [name for name in models if judged[name].unweighted]
    if unweighted:
        notes.append(f"Fitted without weights, which they do not take: {_listed(unweighted)}.")
    return tuple(notes)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
