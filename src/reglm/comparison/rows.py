"""Rows with what belongs to them, and how each kind of model takes it."""

from __future__ import annotations

from inspect import signature
from typing import Any, NamedTuple

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import has_fit_parameter

from reglm.parameters import Array
from reglm.statespace.sequences import Sequences, sequences


class Rows(NamedTuple):
    """Inputs, responses and what goes with them, row by row."""

    X: Any
    y: Any
    groups: Any = None
    sample_weight: Any = None
    exposure: Any = None

    def take(self, which: Array) -> Rows:
        """Some of the rows."""
        return Rows(*(None if part is None else _safe_indexing(part, which) for part in self))

    def weights(self) -> Array:
        """Weights (n,); ones by default."""
        n = np.shape(self.X)[0]
        return np.ones(n) if self.sample_weight is None else np.asarray(self.sample_weight, dtype=float)

    def sequences(self) -> Sequences:
        """Sequences: rows of one group, in their order."""
        return sequences(np.shape(self.X)[0], groups=self.groups)

    def clusters(self) -> Array:
        """Number of each row's group (n,); by default each row is one of its own."""
        if self.groups is None:
            return np.arange(np.shape(self.X)[0])
        return np.unique(np.asarray(self.groups), return_inverse=True)[1]


def column(X: Any, value: Any) -> Any:
    """Values by row, a column of X where a name was given; None stays None."""
    return None if value is None else np.asarray(X[value] if isinstance(value, str) else value).ravel()


def consumer(model: Any) -> tuple[str, Any]:
    """What takes weights and exposures in the end, and the prefix of its arguments to the whole model's `fit`."""
    if isinstance(model, Pipeline):
        prefix, inner = consumer(model[-1])
        return f"{model.steps[-1][0]}__{prefix}", inner
    if hasattr(model, "refit"):  # a search
        return consumer(model.estimator)
    return consumer(model.regressor) if isinstance(model, TransformedTargetRegressor) else ("", model)


def takes(model: Any, name: str) -> bool:
    """Whether an argument of `fit` gets to what uses it."""
    return bool(has_fit_parameter(consumer(model)[1], name))


def is_sequential(model: Any) -> bool:
    """Whether the log-density is one of sequences, which are named by groups."""
    density = getattr(type(consumer(model)[1]), "logpdf", None)
    return density is not None and "groups" in signature(density).parameters


def names_itself(model: Any, name: str) -> bool:
    """Whether a model names the column of X itself."""
    return getattr(consumer(model)[1], name, None) is not None


def final(model: Any) -> Any:
    """Return what predicts at the end of a fitted search or pipeline."""
    if isinstance(model, Pipeline):
        return final(model[-1])
    searched = hasattr(model, "best_estimator_") and not hasattr(model, "logpdf")
    return final(model.best_estimator_) if searched else model


def inputs_of_final(model: Any, X: Any) -> Any:
    """X as it arrives at `final`."""
    if isinstance(model, Pipeline):
        return inputs_of_final(model[-1], model[:-1].transform(X) if len(model) > 1 else X)
    return X if final(model) is model else inputs_of_final(model.best_estimator_, X)
