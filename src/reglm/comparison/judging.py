"""One model on the held-out rows of all folds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import GroupKFold, KFold

import reglm
from reglm.comparison.rows import Rows, consumer, final, inputs_of_final, is_sequential, names_itself, takes
from reglm.families import Family
from reglm.families.mean import SATURATED
from reglm.parameters import Array
from reglm.response import Response

INNER = 5
"""Folds within the training rows, for the dispersion of models without a density."""


class Judged(NamedTuple):
    """A model on the held-out rows, in the order of the folds.

    Parameters
    ----------
    log_density, deviance : ndarray (n,)
        Of each row, or the mean over the rows of each sequence; NaN without a likelihood, and without a response.
    seconds : float
        Mean time of a fit.
    parameters : float
        Mean of the effective degrees of freedom, or number of parameters; NaN if the model has neither.
    density : str or None
        Family of the density.
    plugged : bool
        Whether it is not the model's own.
    unweighted : bool
        Whether weights were given that the model does not take.
    """

    log_density: Array
    deviance: Array
    seconds: float
    parameters: float
    density: str | None
    plugged: bool
    unweighted: bool


class Fitted(NamedTuple):
    """A fitted model: whether it is one of rates, of sequences, whether it took exposures, how long that lasted."""

    model: Any
    rates: bool
    sequential: bool
    exposed: bool
    seconds: float

    def ask(self, method: str, rows: Rows, *arguments: Any) -> Array:
        """Call a method of what predicts in the end, with the exposures or the sequences."""
        known = {"exposure": rows.exposure} if self.exposed else {}
        known |= {"groups": rows.groups} if self.sequential else {}
        return np.asarray(getattr(final(self.model), method)(inputs_of_final(self.model, rows.X), *arguments, **known))


@dataclass(frozen=True)
class Judge:
    """Fits models to training rows and judges them on held-out rows.

    Parameters
    ----------
    rows : Rows
    inputs : array or data frame (n, p)
        X without the columns of groups, weights and exposures.
    folds : sequence of (ndarray, ndarray)
    family : Family
    classifier : bool
    plug_in : {"cv", "training"}
    random_state : int
    by_sequence : bool
        Whether sequences are judged, not rows.
    """

    rows: Rows
    inputs: Any
    folds: Sequence[tuple[Array, Array]]
    family: Family
    classifier: bool
    plug_in: str
    random_state: int
    by_sequence: bool = False

    @property
    def estimates(self) -> bool:
        """Whether a density that is plugged in has a dispersion to estimate."""
        return not self.classifier and self.family.likelihood and self.family.dispersion == "estimated"

    def __call__(self, name: str, model: Any) -> Judged:
        """Judge a model.

        Raises
        ------
        ValueError
            If its predictions lie outside the means of the family.
        """
        own = any(names_itself(model, part) for part in ("exposure", "sample_weight"))
        rows = self.rows if own else self.rows._replace(X=self.inputs)
        parts, fits = [], []
        for train, test in self.folds:
            fits.append(fit(model, rows.take(train)))
            try:
                scores = self._scores(model, fits[-1], rows.take(train), rows.take(test))
                parts.append([self._per_unit(score, rows.take(test)) for score in scores])
            except ValueError as error:
                raise ValueError(f"model {name!r} cannot be scored: {error}") from error
        log_density, deviance = (np.concatenate(part) for part in zip(*parts, strict=True))
        last = final(fits[-1].model)
        plugged = not (self.classifier or hasattr(last, "logpdf"))
        family = self.family if plugged or self.classifier else _own_family(last) or self.family
        return Judged(
            log_density, deviance, float(np.mean([f.seconds for f in fits])),
            float(np.mean([parameters(f.model) for f in fits])),
            "multinomial" if self.classifier else family.name if family.likelihood else None, plugged,
            rows.sample_weight is not None and not (own or takes(model, "sample_weight")),
        )  # fmt: skip

    def _per_unit(self, values: Array, rows: Rows) -> Array:
        """Values of rows, or sums over sequences, as means over the rows of each sequence if those are judged."""
        if not self.by_sequence:
            return values
        found = rows.sequences()
        sums = values if len(values) == len(found) else np.add.reduceat(found.stack(values), found.edges[:-1])
        return np.asarray(sums / found.lengths)

    def _scores(self, model: Any, fitted: Fitted, train: Rows, test: Rows) -> tuple[Array, Array]:
        """Log-density and deviance of each held-out row, (n,), or log-density of each sequence."""
        last = final(fitted.model)
        if test.y is None:
            log_density = fitted.ask("logpdf", test)
            return log_density, np.full(len(log_density), np.nan)
        if self.classifier:
            log_density = _log_probability(fitted, test)
            return log_density, -2.0 * log_density
        mu = means(fitted, test)
        deviance = reglm.metrics.unit_deviance(test.y, mu, self.family)
        own = hasattr(last, "logpdf")
        family = _own_family(last)
        if own and (family is None or family.likelihood):
            return fitted.ask("logpdf", test, test.y), deviance
        if own or not self.family.likelihood:
            return np.full(len(deviance), np.nan), deviance
        phi = self._dispersion(model, fitted, train) if self.estimates else 1.0
        found = Response(self.family, SATURATED).log_density(_matrix(test.y), _matrix(mu), phi).sum(axis=1)
        return np.where(np.isinf(deviance), -np.inf, found), deviance

    def _dispersion(self, model: Any, fitted: Fitted, train: Rows) -> float:
        """Mean of squared Pearson residuals."""
        if self.plug_in == "training":
            return self._mean_square(train, means(fitted, train))
        kind = KFold if train.groups is None else GroupKFold
        inner = kind(INNER, shuffle=True, random_state=self.random_state)
        mu = np.empty(np.shape(train.y))
        for rest, out in inner.split(train.X, train.y, train.groups):
            mu[out] = means(fit(model, train.take(rest)), train.take(out)).reshape(mu[out].shape)
        return self._mean_square(train, mu)

    def _mean_square(self, rows: Rows, mu: Array) -> float:
        fitted = _matrix(mu)
        variance = Response(self.family, SATURATED).variance(fitted)
        squares = (self.family.observed(_matrix(rows.y)) - fitted) ** 2 / variance
        return float(np.average(squares.mean(axis=1), weights=rows.weights()))


def fit(model: Any, rows: Rows) -> Fitted:
    """Fit a clone, with weights and exposure where it takes them."""
    fresh, prefix, given = clone(model), consumer(model)[0], {}
    weights, y, rates = rows.sample_weight, rows.y, False
    if rows.exposure is not None and not names_itself(model, "exposure"):
        if takes(model, "exposure"):
            given["exposure"] = rows.exposure
        else:
            rates, y = True, np.asarray(rows.y, dtype=float) / np.asarray(rows.exposure, dtype=float)
            weights = rows.weights() * rows.exposure
    if weights is not None and takes(model, "sample_weight") and not names_itself(model, "sample_weight"):
        given["sample_weight"] = weights
    sequential = is_sequential(model)
    if sequential:
        given["groups"] = rows.groups
    began = time.perf_counter()
    fresh.fit(rows.X, y, **{prefix + name: values for name, values in given.items()})
    return Fitted(fresh, rates, sequential, "exposure" in given, time.perf_counter() - began)


def means(fitted: Fitted, rows: Rows) -> Array:
    """Predicted means (n,) or (n, m)."""
    mu = fitted.ask("predict", rows)
    return mu * rows.exposure if fitted.rates else mu


def parameters(model: Any) -> float:
    """Effective degrees of freedom, or the number of parameters; NaN if the model does not say."""
    last = final(model)
    if hasattr(last, "edf_"):
        return float(np.sum(last.edf_))
    return float(getattr(getattr(last, "fit_", None), "n_parameters", np.nan))


def _own_family(model: Any) -> Family | None:
    """Family of a fitted model that has a density, or of what a search of architectures chose; None of several."""
    family = getattr(getattr(model, "best_estimator_", model), "family_", None)
    return family if isinstance(family, Family) else None


def _log_probability(fitted: Fitted, rows: Rows) -> Array:
    """Logarithm of the predicted probability of each row's class."""
    labels, classes = np.asarray(rows.y), np.asarray(final(fitted.model).classes_)
    chosen = labels[:, None] == classes[None, :]
    if not chosen.any(axis=1).all():
        raise ValueError(f"y holds the class {labels[~chosen.any(axis=1)].tolist()[0]!r}, not among its training rows.")
    with np.errstate(divide="ignore"):
        return np.log(fitted.ask("predict_proba", rows)[chosen])


def _matrix(values: Any) -> Array:
    array = np.asarray(values, dtype=float)
    return array.reshape(len(array), -1)
