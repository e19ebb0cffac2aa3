"""Rows over which effects are averaged, and the values that inputs are set to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from reglm.inference.averages import Averages, Means
from reglm.inference.coded import coded_reader
from reglm.inference.estimates import Estimates
from reglm.parameters import Array
from reglm.record import Reader

FEW = 12
"""Numeric inputs with at most this many values are shown at these values."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows as a reader takes them, and how much each counts.

    Parameters
    ----------
    reader : Reader
    X : data frame, ndarray or CSR (n, columns)
    offset : ndarray (n,) or (n, K), optional
        Beside what X itself holds.
    exposure : ndarray (n,), optional
    weights : ndarray (n,)
        They sum to one.
    given : bool
        Whether the model is to be told the exposure; False where it reads it from X.
    rates : bool
        Whether the exposure is taken out of the means.
    """

    reader: Reader
    X: Any
    offset: Array | None
    exposure: Array | None
    weights: Array
    given: bool = False
    rates: bool = True

    def coded(self) -> tuple[Any, Array]:
        """Model matrix (n, p) and offset (n, K), for rates that of the exposure left out."""
        matrix, offset = self.reader.rows(self.X, self.offset, self.exposure if self.given else None)
        offset = np.asarray(offset, dtype=float)
        return matrix, offset - np.log(self.exposure)[:, None] if self.rates and self.exposure is not None else offset

    def at(self, name: str, values: Any) -> Sample:
        """Same rows with other values (n,), or one value, of an input."""
        return replace(self, X=self.reader.replace(self.X, name, values))

    def rows(self, which: Array) -> Sample:
        """Some of the rows, possibly more than once; weights still sum to one."""
        X = self.X.iloc[which] if hasattr(self.X, "iloc") else self.X[which]
        weights = self.weights[which] / self.weights[which].sum()
        offset, exposure = (None if part is None else part[which] for part in (self.offset, self.exposure))
        return replace(self, X=X, offset=offset, exposure=exposure, weights=weights)

    def thinned(self, max_rows: int) -> Sample:
        """At most `max_rows` rows, evenly spread.

        Raises
        ------
        ValueError
            If `max_rows` is not positive.
        """
        if max_rows < 1:
            raise ValueError(f"max_rows={max_rows} must be 1 or more.")
        n = len(self.weights)
        return self if n <= max_rows else self.rows(np.linspace(0, n - 1, max_rows).round().astype(int))

    def average(self, means: Means) -> Averages:
        """Average mean of the rows: one value."""
        return means.average(*self.coded(), self.weights[:, None])

    def raw(self, name: str) -> Array:
        """Values (n,) of an input: numbers, or the levels themselves."""
        values, levels = self.reader.values(self.X, name), self.reader.levels(self.X, name)
        if levels is None:
            return values
        found = np.empty(len(values), dtype=object)
        found[:] = [levels[int(code)] if code >= 0 else None for code in values]
        return found

    def grid(self, name: str, points: int) -> list[Any]:
        """Levels of a categorical input; of a numeric one `numeric_grid`."""
        levels = self.reader.levels(self.X, name)
        return numeric_grid(self.reader.values(self.X, name), points) if levels is None else list(levels)


def sample(
    results: Estimates,
    X: Any = None,
    *,
    weights: Any = None,
    offset: Any = None,
    exposure: Any = None,
    rates: bool = True,
) -> Sample:
    """Rows to average over.

    Parameters
    ----------
    results : Estimates
    X : data frame or array (n, columns), optional
        As the estimator takes it; by default the training rows in coded form, with their weights and offset.
    weights : array-like (n,), optional
    offset : array-like (n,), optional
        As `predict` takes it.
    exposure : array-like (n,) or str, optional
        Means are rates, and rows count by their exposure; a name is a column of X that the model reads itself.
    rates : bool
        False leaves the exposure in the means and out of the weights.

    Raises
    ------
    ValueError
        If there are no training rows, or `weights` are negative or not one for each row.
    """
    fit = results.fit
    reader = results.reader
    if X is None:
        if fit.data is None:
            raise ValueError("X=None: a model loaded from a file has no training rows; pass X.")
        reader, X = coded_reader(fit, reader), fit.data.X
        offset = fit.data.offset if offset is None else offset
        weights = fit.data.weights[:, 0] if weights is None else weights
        read = exposure is not None
    else:
        reader = coded_reader(fit, None) if reader is None else reader
        read = isinstance(exposure, str)
    e = None if exposure is None else np.asarray(X[exposure] if isinstance(exposure, str) else exposure, dtype=float)
    w = _checked_weights(weights, X.shape[0]) * (e if rates and e is not None else 1.0)
    return Sample(reader, X, _rows_of(offset), e, w / w.sum(), given=e is not None and not read, rates=rates)


def _rows_of(offset: Any) -> Array | None:
    return None if offset is None else np.asarray(offset, dtype=float)


def _checked_weights(weights: Any, n: int) -> Array:
    if weights is None:
        return np.ones(n)
    w = np.asarray(weights, dtype=float)
    if w.shape != (n,) or not np.all(w >= 0) or not w.sum() > 0:
        raise ValueError(f"weights of shape {w.shape} must be {n} numbers, none negative and not all zero.")
    return w


def numeric_grid(numbers: Array, points: int) -> list[float]:
    """Return the values of a numeric input to look at: its own if they are few, else even steps.

    Parameters
    ----------
    numbers : ndarray (n,)
        NaN are left out.
    points : int
        Steps from the 1st to the 99th percentile.

    Raises
    ------
    ValueError
        If `points` is less than 2.
    """
    if points < 2:
        raise ValueError(f"points={points} must be 2 or more.")
    distinct = np.unique(numbers[np.isfinite(numbers)])
    if len(distinct) <= FEW:
        return distinct.tolist()
    low, high = np.percentile(numbers[np.isfinite(numbers)], [1, 99])
    return np.linspace(low, high, points).tolist()
