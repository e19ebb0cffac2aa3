"""Regressions on the rows before, as densities of sequences."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted, validate_data

from reglm import families
from reglm.parameters import Array
from reglm.statespace.sequences import Sequences, sequences


class Autoregression(BaseEstimator):
    """Each column of a row is regressed on the rows before it: with a generalized linear model, an AR-GLM.

    The density of a sequence is the product over rows and columns, the first rows included: rows before the first are
    taken to be the means of the training rows.

    A column of zeros or of ones, of a family of binary responses or counts, does not depend on the rows before and gets
    half an observation of each in addition (Jeffreys's prior): what was never seen is not impossible.

    Parameters
    ----------
    estimator : estimator
        A regression with `logpdf`, cloned for each column: `reglm.RecursiveGLMRegressor`, hidden layers or none.
    order : int
        Rows before; 0 for independent rows.

    Attributes
    ----------
    estimators_ : list of estimator
        One for each column.
    n_features_in_, feature_names_in_

    Examples
    --------
    >>> from reglm import RecursiveGLMRegressor, datasets
    >>> from reglm import Autoregression
    >>> series = datasets.load_nile().target.to_frame()
    >>> Autoregression(RecursiveGLMRegressor(), order=2).fit(series).logpdf(series).shape
    (1,)
    """

    def __init__(self, estimator: Any, order: int = 1) -> None:
        self.estimator = estimator
        self.order = order

    def fit(self, X: Any, y: Any = None, lengths: Any = None, groups: Any = None) -> Self:
        """Fit one regression for each column.

        Parameters
        ----------
        X : array or data frame (n, d)
        y : None
            There is none; the argument is scikit-learn's.
        lengths, groups : array-like, optional
            Sequences, see `reglm.statespace.sequences.sequences`.

        Returns
        -------
        self
        """
        if not (isinstance(self.order, (int, np.integer)) and self.order >= 0):
            raise ValueError(f"order={self.order!r} must be a whole number from 0 on.")
        X = validate_data(self, X, dtype=np.float64)
        rows = sequences(len(X), lengths, groups)
        self._mean = X.mean(axis=0)
        lags, stacked = self._lags(X, rows), rows.stack(X)
        self.estimators_ = [self._fitted(lags, column) for column in stacked.T]
        return self

    def _fitted(self, lags: Array, column: Array) -> Any:
        family = families.get(getattr(self.estimator, "family", "gaussian")).name
        if family not in ("bernoulli", "poisson") or np.ptp(column) or column[0] not in (0.0, 1.0):
            return clone(self.estimator).fit(lags, column)
        none = np.zeros((len(column) + 2, lags.shape[1]))
        weights = np.r_[np.ones(len(column)), 0.5, 0.5]
        return clone(self.estimator).fit(none, np.r_[column, 0.0, 1.0], sample_weight=weights)

    def _lags(self, X: Array, rows: Sequences) -> Array:
        """Rows before each row, the nearest first, (n, order d), stacked; a column of zeros for order 0."""
        stacked, first = rows.stack(X), np.repeat(rows.edges[:-1], rows.lengths)
        now = np.arange(rows.n)
        lags = [
            np.where((now - k >= first)[:, None], stacked[np.maximum(now - k, 0)], self._mean)
            for k in range(1, self.order + 1)
        ]
        return np.hstack(lags) if lags else np.zeros((rows.n, 1))

    def _read(self, X: Any, lengths: Any, groups: Any) -> tuple[Array, Sequences]:
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        return X, sequences(len(X), lengths, groups)

    def predict(self, X: Any, lengths: Any = None, groups: Any = None) -> Array:
        """Predict each row from the rows before it, (n, d)."""
        X, rows = self._read(X, lengths, groups)
        lags = self._lags(X, rows)
        return rows.unstack(np.column_stack([model.predict(lags) for model in self.estimators_]))

    def logpdf(self, X: Any, lengths: Any = None, groups: Any = None) -> Array:
        """Log-density of each sequence, (S,)."""
        X, rows = self._read(X, lengths, groups)
        lags, stacked = self._lags(X, rows), rows.stack(X)
        each = [model.logpdf(lags, column) for model, column in zip(self.estimators_, stacked.T, strict=True)]
        return np.add.reduceat(np.sum(each, axis=0), rows.edges[:-1])

    def score(self, X: Any, y: Any = None, lengths: Any = None, groups: Any = None) -> float:
        """Mean log-density of a row."""
        return float(self.logpdf(X, lengths, groups).sum() / np.shape(X)[0])

    @property
    def edf_(self) -> float:
        """Parameters of all columns."""
        return float(sum(model.fit_.n_parameters for model in self.estimators_))
