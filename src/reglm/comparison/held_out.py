"""Cross-validation of several models on the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold, check_cv

from reglm import families
from reglm.comparison.autoregression import Autoregression
from reglm.comparison.judging import Judge
from reglm.comparison.result import NULL, Comparison
from reglm.comparison.rows import Rows, column, is_sequential
from reglm.estimators import RecursiveGLMRegressor
from reglm.families import Family
from reglm.parameters import Array
from reglm.statespace.sequences import sequences

DISCRETE = frozenset({
    "bernoulli", "binomial", "poisson", "quasibinomial", "quasipoisson", "negative_binomial", "multinomial", "ordinal",
})  # fmt: skip
MIXED = "Log scores of {} are of probabilities, the others' are of densities: only deviances can be compared."
PLUG_IN = "Without a density of their own, {} got the {} one, its dispersion from {}."
RESIDUALS = {"cv": "residuals cross-validated within the training rows", "training": "training residuals"}


def compare(
    models: Mapping[str, Any],
    X: Any,
    y: Any = None,
    *,
    family: str | Family = "gaussian",
    cv: Any = 5,
    groups: Any = None,
    lengths: Any = None,
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
    y : array-like (n,) or (n, m), optional
        Without it the models are densities of the rows of X, and judged by log scores alone.
    family : str or Family
        Its deviance judges the predicted means, see `reglm.metrics.unit_deviance`, and its density those of models
        that have none (no `logpdf`). Classifiers are judged by their probabilities.
    cv : int or splitter
        Number of folds, shuffled by `random_state` (stratified for classifiers), or what scikit-learn takes: a
        splitter, or pairs of arrays of training and held-out rows.
    groups : array-like (n,) or str, optional
        Rows that belong together (one person's) stay together, and the standard errors allow for their dependence.
        Here and below a name stands for a column of X, which is then no input. Where a model has log-densities of
        sequences (its `logpdf` takes groups), groups are the sequences: all models are judged on whole held-out
        sequences, by means over their rows, with standard errors over sequences.
    lengths : array-like of int (S,), optional
        Rows of each sequence, in place of groups.
    sample_weight : array-like (n,) or str, optional
        For fits and for means over held-out rows.
    exposure : array-like (n,) or str, optional
        Handed to models that take exposures. Others are fitted to y / exposure with weights times exposure, and their
        predictions multiplied by it, which for Poisson models with a log link is the same. Models that name a column
        of X themselves are left to it.
    null : estimator, optional
        The model that D2 refers to, called ``"null"``; by default the mean (with an exposure, the rate), or the class
        shares, of the training rows; without y independent rows, see `Autoregression`.
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
        null = _null(classifier, y, family)
    groups = _named(groups, lengths, np.shape(X)[0])
    rows, left_over = _rows(X, y, groups=groups, sample_weight=sample_weight, exposure=exposure)
    by_sequence = _is_by_sequence(models, rows)
    folds = _folds(cv, classifier, random_state, rows)
    if by_sequence:
        _check_whole(folds, np.asarray(rows.groups))
    judge = Judge(rows, left_over, folds, families.get(family), classifier, plug_in, random_state, by_sequence)
    judged = {name: judge(name, model) for name, model in {NULL: null, **models}.items()}
    notes = _notes(judge, judged, models)
    if by_sequence:
        found = [rows.take(test).sequences() for _, test in folds]
        held, sizes = (np.concatenate([getattr(s, part) for s in found]) for part in ("labels", "lengths"))
        clusters = np.unique(held, return_inverse=True)[1]
        return Comparison.of(judged, held, sizes.astype(float), clusters, judge.family.name, notes, "sequence")
    held = np.concatenate([test for _, test in folds])
    return Comparison.of(judged, held, rows.weights()[held], rows.clusters()[held], judge.family.name, notes)


def _null(classifier: bool, y: Any, family: str | Family) -> Any:
    """Model without inputs."""
    if y is None:
        return Autoregression(RecursiveGLMRegressor(family=family), order=0)
    return DummyClassifier(strategy="prior") if classifier else DummyRegressor()


def _named(groups: Any, lengths: Any, n: int) -> Any:
    """Groups, numbered where lengths were given."""
    if lengths is None:
        return groups
    if groups is not None:
        raise ValueError("lengths and groups are both given; one of them says where sequences end, drop the other.")
    found = sequences(n, lengths)
    return np.repeat(np.arange(len(found)), found.lengths)


def _is_by_sequence(models: Mapping[str, Any], rows: Rows) -> bool:
    """Whether sequences are judged, not rows.

    Raises
    ------
    ValueError
        If models of sequences get no sequences, or weights or exposures, or others are to be densities of X.
    """
    sequential = [name for name, model in models.items() if is_sequential(model)]
    others = [name for name in models if name not in sequential]
    if rows.y is None and others:
        raise ValueError(
            f"y=None compares densities of the rows of X, which {_listed(others)} are not; wrap a regression in "
            "reglm.Autoregression, or pass y."
        )
    if not sequential:
        return False
    if rows.groups is None:
        raise ValueError(f"{_listed(sequential)} are models of sequences: pass groups, or lengths.")
    if rows.sample_weight is not None or rows.exposure is not None:
        raise ValueError("sample_weight and exposure have no part in comparisons of sequences; leave them out.")
    return True


def _check_whole(folds: Sequence[tuple[Array, Array]], groups: Array) -> None:
    for train, test in folds:
        cut = np.intersect1d(groups[train], groups[test])
        if len(cut):
            raise ValueError(
                f"cv cuts the sequence {cut.tolist()[0]!r}: some rows are fitted, others held out. Give the parts "
                "names of their own in groups."
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
