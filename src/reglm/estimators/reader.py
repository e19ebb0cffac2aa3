"""How inference reads rows as users have them: a `reglm.record.Reader` over a fitted estimator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from reglm.estimators import columns as frames
from reglm.estimators.coding import listed
from reglm.estimators.design import Design
from reglm.estimators.formula import FormulaDesign
from reglm.parameters import Array


class FittedReader:
    """Reads rows for a fitted estimator.

    Parameters
    ----------
    design : Design or FormulaDesign
    rows : callable
        ``(X, offset, exposure) -> (model matrix, total offset or None)``.
    response : callable
        ``(y, n) -> ndarray (n, Ky)``.
    outputs : int
        Linear predictors.
    """

    def __init__(
        self, design: Design | FormulaDesign, rows: Callable[..., Any], response: Callable[..., Array], outputs: int
    ) -> None:
        self.design = design
        self.columns = design.groups
        self._rows = rows
        self._response = response
        self._outputs = outputs

    def rows(self, X: Any, offset: Any = None, exposure: Any = None) -> tuple[Any, Array]:
        """Model matrix (n, p) and total offset (n, K)."""
        matrix, total = self._rows(X, offset, exposure)
        return matrix, np.zeros((matrix.shape[0], self._outputs), dtype=matrix.dtype) if total is None else total

    def response(self, y: Any) -> Array:
        """Response (n, Ky), coded as the family says."""
        return self._response(y, len(y))

    def values(self, X: Any, name: str) -> Array:
        """Values (n,) of a numeric input; level numbers, -1 for unseen ones, of a categorical one."""
        levels, column = self.levels(X, name), _column(X, self._position(X, name))
        if levels is None:
            return np.asarray(frames.numbers(column, name) if frames.is_frame(X) else column, dtype=float)
        return frames.recode(frames.factor(column, name), levels)

    def levels(self, X: Any, name: str) -> list[Any] | None:
        """Levels of a categorical input, the reference first; None for a numeric one."""
        return self.design.levels.get(name)

    def replace(self, X: Any, name: str, values: Any) -> Any:
        """Copy of X with other values (n,), or one value, for an input."""
        position = self._position(X, name)
        if not frames.is_frame(X):
            copy = np.array(X.toarray() if hasattr(X, "toarray") else X, dtype=float)
            copy[:, position] = values
            return copy
        if hasattr(X, "iloc"):
            return X.assign(**{name: _like(X.iloc[:, position], values)})
        return _polars_replaced(X, name, values)

    def _position(self, X: Any, name: str) -> int:
        """Where X has an input."""
        if name not in self.columns:
            raise ValueError(f"input {name!r} is not known; the inputs are {listed(list(self.columns), 30)}.")
        return frames.labels(X).index(name) if frames.is_frame(X) else int(name.removeprefix("x"))


def _column(X: Any, j: int) -> Any:
    if frames.is_frame(X):
        return frames.series(X, j)
    return X[:, [j]].toarray().ravel() if hasattr(X, "toarray") else np.asarray(X)[:, j]


def _like(column: Any, values: Any) -> Any:
    """Series with the index and, for categories, the dtype of a pandas column."""
    import pandas as pd

    repeated = [values] * len(column) if np.ndim(values) == 0 else values
    fresh = pd.Series(repeated, index=column.index)
    return fresh.astype(column.dtype) if frames.is_categorical(column, column.name) else fresh


def _polars_replaced(X: Any, name: str, values: Any) -> Any:
    import polars as pl

    old = X[name]
    repeated = [values] * len(old) if np.ndim(values) == 0 else list(values)
    fresh = pl.Series(name, repeated)
    return X.with_columns(fresh.cast(old.dtype) if frames.is_categorical(old, name) else fresh)
