"""What the plots read from a model: its record, and observed and fitted means of rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline

from reglm.inference import Results, results
from reglm.parameters import Array
from reglm.record import Fit


class Rows(NamedTuple):
    """Observed and fitted means, and how much each row counts; all (n,).

    With an exposure, the means are rates and the exposures are the weights.
    """

    observed: Array
    fitted: Array
    weights: Array


def record(model: Any) -> Fit:
    """Return the record of a fitted estimator, of the last step of a pipeline or of the best of a search.

    Raises
    ------
    ValueError
        If there is none.
    """
    if isinstance(model, Fit):
        return model
    if isinstance(model, Results):
        return model.fit
    inner = getattr(model, "best_estimator_", model)
    if isinstance(inner, Pipeline):
        return record(inner[-1])
    fit = getattr(inner, "fit_", None)
    if not isinstance(fit, Fit):
        raise ValueError(f"model={type(inner).__name__}: needs a fitted recursive GLM or its record est.fit_.")
    return fit


def examined(model: Any) -> Results:
    """Results of a fitted estimator, pipeline, search or record; results themselves pass through.

    Raises
    ------
    ValueError
        If there is no record of a fit.
    """
    if isinstance(model, Results):
        return model
    inner = getattr(model, "best_estimator_", model)
    if isinstance(inner, Pipeline):
        return examined(inner[-1])
    fit = record(inner)
    return results(fit) if inner is fit else inner.inference()


def classifies(model: Any) -> bool:
    """Whether a model is an estimator of classes."""
    return not isinstance(model, np.ndarray | Fit | Results) and is_classifier(model)


def resolved(model: Any, output: int | None) -> int:
    """Which response or class: if nothing is said the first response, and the second of two classes."""
    return int(classifies(model) and len(model.classes_) == 2) if output is None else output


def rows(model: Any, X: Any, y: Any, exposure: Any, sample_weight: Any, output: int | None) -> Rows:
    """Observed and fitted means of new rows, or of the training rows if there are no new ones."""
    output = resolved(model, output)
    if X is None and not isinstance(model, np.ndarray):
        two = classifies(model) and len(model.classes_) == 2
        found = training_rows(record(model), 0 if two else output)
        return Rows(1.0 - found[0], 1.0 - found[1], found[2]) if two and output == 0 else found
    if y is None:
        raise ValueError("y=None: pass the responses of the rows of X, or neither for the training rows.")
    fitted = means(model, X, exposure, output)
    weights = np.ones(len(fitted)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
    if classifies(model):
        observed = (np.asarray(y) == model.classes_[output]).astype(float)
    else:
        observed, size = _response(y, output)
        weights = weights * size
    e = exposures(X, exposure)
    return Rows(observed, fitted, weights) if e is None else Rows(observed / e, fitted / e, weights * e)


def training_rows(fit: Fit, output: int) -> Rows:
    """Observed and fitted means of the rows a model was fitted to."""
    if fit.data is None:
        raise ValueError("this model was loaded from a file and has no training rows: pass X and y.")
    likelihood, data = fit.likelihood, fit.data
    eta = likelihood.eta(fit.theta, data.X, data.offset)
    fitted = np.asarray(likelihood.response.mean(eta, likelihood.shape(fit.theta)))
    family = likelihood.family
    observed, size = np.asarray(family.observed(data.y)), np.broadcast_to(family.size(data.y), fitted.shape)
    return Rows(observed[:, output], fitted[:, output], data.weights[:, 0] * size[:, output])


def means(model: Any, X: Any, exposure: Any = None, output: int | None = None) -> Array:
    """Fitted means (n,) of one response, or probabilities of one class; `predict` gets exposure arrays."""
    output = resolved(model, output)
    if isinstance(model, np.ndarray):
        return model if model.ndim == 1 else model[:, output]
    given = {} if exposure is None or isinstance(exposure, str) else {"exposure": exposure}
    found = (model.predict_proba if classifies(model) else model.predict)(X, **given)
    found = np.asarray(found, dtype=float)
    return found if found.ndim == 1 else found[:, output]


def exposures(X: Any, exposure: Any) -> Array | None:
    """Exposures (n,) from an array or from the column of X that a name says."""
    if exposure is None:
        return None
    if isinstance(exposure, str) and exposure not in X.columns:
        raise ValueError(f"exposure={exposure!r} is not a column of X; it has {list(X.columns)}.")
    return np.asarray(X[exposure] if isinstance(exposure, str) else exposure, dtype=float)


def response_name(model: Any, output: int | None = None) -> str:
    """Name of the response, "y" if it has none."""
    output = resolved(model, output)
    if isinstance(model, np.ndarray):
        return "y"
    if classifies(model):
        return f"P({model.classes_[output]})"
    try:
        names = record(model).output_names
    except ValueError:  # another library's model
        return "y"
    return names[output] if output < len(names) else "y"


def _response(y: Any, output: int) -> tuple[Array, Array]:
    """Column of the response, or share of successes and trials where y has two columns and one mean."""
    found = np.asarray(y, dtype=float)
    if found.ndim == 1:
        return found, np.ones(len(found))
    if found.shape[1] == 2 and output == 0:
        trials = found.sum(axis=1)
        return found[:, 0] / trials, trials
    return found[:, output], np.ones(len(found))
