"""Models side by side on data they have not seen."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sklearn.base import clone, is_classifier
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.model_selection import KFold, StratifiedKFold, check_cv
from sklearn.utils import _safe_indexing

import reglm
from reglm.families import Family
from reglm.parameters import Array

if TYPE_CHECKING:
    import pandas as pd

NULL = "null"
"""Name of the model without inputs."""


def compare(
    models: Mapping[str, Any],
    X: Any,
    y: Any,
    *,
    family: str | Family = "gaussian",
    cv: Any = 5,
    null: Any = None,
    random_state: int = 0,
) -> pd.DataFrame:
    """Cross-validate models and return their held-out deviance, D2 and fitting time.

    Parameters
    ----------
    models : dict of str to estimator
        Ours, scikit-learn's or pipelines; they are cloned, not changed. All regressors, or all classifiers.
    X : array-like or data frame (n, p)
        Everything the models read, columns of offsets and exposures included.
    y : array-like (n,) or (n, m)
    family : str or Family
        Its deviance judges the predicted means, see `reglm.metrics.mean_deviance`. Classifiers are judged by
        the deviance of their probabilities.
    cv : int or splitter
        Number of folds, shuffled by `random_state` (stratified for classifiers), or what scikit-learn takes: a
        splitter, or pairs of arrays of training and held-out rows. Rows that belong together (one person's)
        should stay together.
    null : estimator, optional
        The model that D2 refers to, called ``"null"``; by default the mean, or the class shares, of the
        training rows. Where an exposure matters, pass a model with the exposure and no inputs.
    random_state : int

    Returns
    -------
    DataFrame (1 + models, 3)
        ``deviance``, mean over all held-out rows; ``d2``, the share of the null model's that is explained;
        ``seconds``, mean time of one fit. The null model first, then the models as given.

    Raises
    ------
    ValueError
        If there is nothing to compare, or a model's predictions lie outside the means of the family.
    """
    import pandas as pd

    if not models or NULL in models:
        raise ValueError(f"models must name at least one estimator, none of them {NULL!r}; got {list(models)}.")
    classify = {is_classifier(model) for model in models.values()}
    if len(classify) > 1:
        raise ValueError("models holds both regressors and classifiers; their deviances are not comparable.")
    classifier = classify.pop()
    if null is None:
        null = DummyClassifier(strategy="prior") if classifier else DummyRegressor()
    folds = _folds(cv, classifier, random_state, X, y)
    rows = {name: _held_out(name, model, X, y, family, folds) for name, model in {NULL: null, **models}.items()}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["deviance", "seconds"])
    table.insert(1, "d2", 1.0 - table["deviance"] / table.loc[NULL, "deviance"])
    return table


def _folds(cv: Any, classifier: bool, random_state: int, X: Any, y: Any) -> list[tuple[Array, Array]]:
    """Training and held-out rows of each fold, the same for all models."""
    if isinstance(cv, int):
        kind = StratifiedKFold if classifier else KFold
        cv = kind(cv, shuffle=True, random_state=random_state)
    return list(check_cv(cv).split(X, y))


def _held_out(
    name: str, model: Any, X: Any, y: Any, family: str | Family, folds: list[tuple[Array, Array]]
) -> tuple[float, float]:
    """Mean held-out deviance and mean seconds of a fit."""
    score = reglm.metrics.deviance_scorer(family)
    total, seconds = 0.0, 0.0
    for train, test in folds:
        fresh = clone(model)
        began = time.perf_counter()
        fresh.fit(_safe_indexing(X, train), _safe_indexing(y, train))
        seconds += time.perf_counter() - began
        try:
            total -= len(test) * score(fresh, _safe_indexing(X, test), _safe_indexing(y, test))
        except ValueError as error:
            raise ValueError(f"model {name!r} cannot be scored: {error}") from error
    return total / sum(len(test) for _, test in folds), seconds / len(folds)
