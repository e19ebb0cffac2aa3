"""Scorers that hand offset and exposure to `predict`."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import UNUSED

from reglm import families
from reglm.families import Family
from reglm.metrics.deviance import d2_deviance, mean_deviance, null_mean
from reglm.parameters import Array


class DevianceScorer(BaseEstimator):
    """Scorer ``scorer(estimator, X, y)`` for cross-validation and searches; see `deviance_scorer`.

    Parameters
    ----------
    family : str or Family, optional
    exposure, offset, sample_weight : str or int, optional
    d2 : bool
    """

    # the scored estimator is no metadata
    __metadata_request__score: ClassVar[dict[str, str]] = {"estimator": UNUSED}

    def __init__(
        self, family: str | Family | None = None, exposure: Any = None, offset: Any = None, sample_weight:
        Any = None, d2: bool = False,
    ) -> None:  # fmt: skip
        self.family = family
        self.exposure = exposure
        self.offset = offset
        self.sample_weight = sample_weight
        self.d2 = d2

    def __call__(self, estimator: Any, X: Any, y: Any, **metadata: Any) -> float:
        """Score an estimator; larger is better."""
        return self.score(estimator, X, y, **metadata)

    def score(
        self,
        estimator: Any,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        offset: Any = None,
        exposure: Any = None,
    ) -> float:
        """Minus the mean deviance of the predictions, or D2.

        Parameters
        ----------
        estimator : fitted estimator
        X : array-like or data frame (n, p)
        y : array-like (n,) or (n, m)
        sample_weight, offset, exposure : array-like (n,), optional
            Take precedence over the columns named in the constructor.
        """
        given = {"offset": offset, "exposure": exposure}
        named = {name: getattr(self, name) for name in given}
        found = {name: _column(X, named[name]) if value is None else value for name, value in given.items()}
        arguments = {name: value for name, value in found.items() if value is not None}
        weights = _column(X, self.sample_weight) if sample_weight is None else sample_weight
        own = final_estimator(estimator)
        if is_classifier(estimator):
            f, y, mu = families.get("multinomial"), _classes(own, y), estimator.predict_proba(X, **arguments)
        else:
            f = fitted_family(own) if self.family is None else families.get(self.family)
            mu = estimator.predict(X, **arguments)
        if not self.d2:
            return -mean_deviance(y, mu, f, weights)
        return d2_deviance(y, mu, f, weights, _null_model(own, X, y, f, weights, arguments))


def deviance_scorer(
    family: str | Family | None = None,
    *,
    exposure: str | int | None = None,
    offset: str | int | None = None,
    sample_weight: str | int | None = None,
    d2: bool = False,
) -> DevianceScorer:
    """Return a scorer by deviance that hands offset or exposure to `predict`.

    Parameters
    ----------
    family : str or Family, optional
        By default the family that the estimator was fitted with, its shape parameters as estimated. To
        compare estimators of different families, name one. Classifiers are scored by minus twice the
        log-probability of the observed class, whatever the family.
    exposure, offset : str or int, optional
        Column of X that holds it. Leave it out where the estimator itself names the column.
    sample_weight : str or int, optional
        Column of X that holds weights.
    d2 : bool
        Score by the share of deviance explained, against an intercept with the same offset fitted to the rows
        that are scored, instead of by minus the mean deviance.

    Returns
    -------
    DevianceScorer
        With metadata routing on, ``scorer.set_score_request(exposure=True)`` takes them from ``params``
        instead.

    Examples
    --------
    >>> from reglm.metrics import deviance_scorer
    >>> deviance_scorer("poisson", exposure="Exposure")
    DevianceScorer(exposure='Exposure', family='poisson')
    """
    return DevianceScorer(family, exposure, offset, sample_weight, d2)


def final_estimator(estimator: Any) -> Any:
    """Return what predicts at the end of searches and pipelines."""
    inner = getattr(estimator, "best_estimator_", estimator)
    return final_estimator(inner[-1]) if isinstance(inner, Pipeline) else inner


def fitted_family(estimator: Any) -> Family:
    """Family of a fitted recursive GLM at its estimated shape.

    Raises
    ------
    ValueError
        If the estimator has no family.
    """
    fit = getattr(estimator, "fit_", None)
    if fit is None:
        name = type(estimator).__name__
        raise ValueError(f"family=None: {name} has no family of its own; name one, e.g. family='poisson'.")
    family, shape = fit.likelihood.family, fit.likelihood.shape(fit.theta)
    natural = family.natural(**shape)
    options = {f.name: getattr(family, f.name) for f in fields(family)}
    return type(family)(**{name: float(natural[name]) if name in natural else v for name, v in options.items()})


def _null_model(own: Any, X: Any, y: Any, f: Family, weights: Any, arguments: dict[str, Any]) -> Array:
    """Means of an intercept with the offset that the predictions had, the estimator's own columns included.

    Raises
    ------
    ValueError
        If the offset stands in a formula, where the scorer does not see it.
    """
    formula = str(getattr(own, "formula", None))
    if "offset(" in formula or "exposure(" in formula:
        raise ValueError(f"d2=True does not see the offset inside formula={formula!r}; use the estimator's own score.")
    named = {name: _column(X, getattr(own, name, None)) for name in ("offset", "exposure")}
    shifts = {name: value for name, value in named.items() if value is not None} | arguments
    link = own.fit_.likelihood.link if hasattr(own, "fit_") and f.name == own.fit_.likelihood.family.name else None
    return null_mean(y, f, weights, _total_offset(shifts), "log" if "exposure" in shifts else link)


def _column(X: Any, name: str | int | None) -> Array | None:
    """Column of a frame by name, or of an array by number; None for no name.

    Raises
    ------
    ValueError
        If there is no such column.
    """
    if name is None:
        return None
    try:
        values = X[name] if isinstance(name, str) else X[:, name]
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"the scorer's column {name!r} is not in X: {error}") from None
    return np.asarray(values, dtype=float).ravel()


def _classes(estimator: Any, y: Any) -> Array:
    """Return the indicators (n, K) of the estimator's classes."""
    labels = np.asarray(y)
    indicators = labels[:, None] == np.asarray(estimator.classes_)[None, :]
    if not indicators.any(axis=1).all():
        unseen = labels[~indicators.any(axis=1)].tolist()[0]
        raise ValueError(f"y holds the class {unseen!r}, which the classifier has not seen.")
    return indicators.astype(float)


def _total_offset(arguments: dict[str, Any]) -> Array | None:
    """Offset plus log exposure (n,); None without either."""
    if not arguments:
        return None
    parts = [np.asarray(arguments[k], dtype=float).ravel() for k in ("offset", "exposure") if k in arguments]
    if "exposure" in arguments:
        parts[-1] = np.log(parts[-1])
    return np.sum(parts, axis=0)
