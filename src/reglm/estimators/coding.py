"""How one column of the user's X enters the model matrix, and the matrix put together from coded columns."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy import sparse

from reglm.estimators.columns import Factor, Level, factor, numbers, recode
from reglm.parameters import Array

SPARSE_INDICATORS = 100
"""A model matrix may become sparse from this number of 0/1 columns on."""

Role = Literal["input", "offset", "exposure"]


@dataclass(frozen=True)
class Column:
    """One column of the user's X.

    Parameters
    ----------
    name : str
    role : {"input", "offset", "exposure"}
    levels : tuple or None
        Levels seen in `fit`, the reference first; None for a numeric column.
    coded : bool
        Whether the levels become one column of level numbers instead of 0/1 columns.
    """

    name: str
    role: Role = "input"
    levels: tuple[Level, ...] | None = None
    coded: bool = False

    @property
    def is_onehot(self) -> bool:
        """Whether it becomes 0/1 columns."""
        return self.levels is not None and not self.coded

    @property
    def width(self) -> int:
        """Columns of the model matrix."""
        return len(self.names)

    @property
    def names(self) -> list[str]:
        """Names of those columns."""
        if self.role != "input":
            return []
        if self.levels is None or self.coded:
            return [self.name]
        return [f"{self.name}[{level_name(level, self.levels)}]" for level in self.levels[1:]]


def column_from_dict(saved: Mapping[str, Any]) -> Column:
    """Rebuild a column from its fields as JSON has them."""
    levels = saved["levels"]
    return Column(**{**saved, "levels": None if levels is None else tuple(levels)})


def level_name(level: Level, levels: Sequence[Level]) -> str:
    """Name a level; the one of missing values is ``missing`` unless another one is called so."""
    if level is not None:
        return str(level)
    return "NaN" if "missing" in levels else "missing"


def listed(levels: Sequence[Level], shown: int = 8) -> str:
    """Write levels as text, the first few of many."""
    names = ", ".join("missing values" if level is None else repr(level) for level in levels[:shown])
    return names if len(levels) <= shown else f"{names} and {len(levels) - shown} more"


def check_choice(name: str, value: object, choices: Sequence[object]) -> None:
    """Raise ValueError unless `value` is one of `choices`."""
    if not any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
        raise ValueError(f"{name}={value!r} must be one of {list(choices)}.")


def with_levels(column: Column, found: Factor, *, frequent_first: bool = True) -> Column:
    """Give a column the levels that have rows: the reference first, that of missing values last.

    Parameters
    ----------
    column : Column
    found : Factor
    frequent_first : bool
        Whether the level with most rows comes first unless the column declares an order.

    Raises
    ------
    ValueError
        If the column is to be the offset or the exposure.
    """
    if column.role != "input":
        raise ValueError(f"{column.role}={column.name!r} names a categorical column; it must be numeric.")
    rows = np.bincount(found.codes + 1, minlength=len(found.levels) + 1)
    seen = np.flatnonzero(rows[1:])
    levels = [found.levels[code] for code in seen]
    if levels and frequent_first and not found.declared:
        levels.insert(0, levels.pop(int(np.argmax(rows[1:][seen]))))
    if rows[0]:
        levels.append(None)
    return replace(column, levels=tuple(levels))


def read(column: Column, series: Any, handle_unknown: str) -> Array:
    """Return the values (n,) of a numeric column, or the level numbers (n,) of a categorical one.

    Parameters
    ----------
    column : Column
    series : pandas or polars Series (n,)
    handle_unknown : {"error", "reference"}
        What becomes of unseen levels: ValueError, or -1 and a warning.

    Raises
    ------
    ValueError
        If a number is NaN or infinite, or a level unseen.
    """
    if column.levels is None:
        values = numbers(series, column.name)
        _check_finite(values, column.name)
        return values
    found = factor(series, column.name)
    codes = recode(found, column.levels)
    unseen = codes < 0
    if unseen.any():
        _report_unseen(column, found, unseen, handle_unknown)
    return codes


def _report_unseen(column: Column, found: Factor, unseen: Array, handle_unknown: str) -> None:
    assert column.levels is not None
    new = [found.levels[code] if code >= 0 else None for code in np.unique(found.codes[unseen])]
    text = (
        f"column {column.name!r} of X has {listed(new)} in {int(unseen.sum())} row(s), first in row "
        f"{int(unseen.argmax())}, which fit did not see"
    )
    if handle_unknown == "error":
        raise ValueError(
            f"{text}; it saw {listed(column.levels)}. "
            "Recode the column, or set handle_unknown='reference' to take them for the reference level."
        )
    coding = "the zero vector" if column.coded else f"the reference level {column.levels[0]!r}"
    warnings.warn(f"{text}; coded as {coding}.", UserWarning, stacklevel=2)


def _check_finite(values: Array, name: str) -> None:
    """Refuse NaN and infinity in scikit-learn's words, and say where."""
    finite = np.isfinite(values)
    if finite.all():
        return
    row = int(finite.argmin())
    what = "NaN" if np.isnan(values[row]) else "infinity"
    raise ValueError(
        f"Input X contains {what}: column {name!r}, row {row} ({int((~finite).sum())} such row(s)). "
        "Drop the rows or impute the values, with sklearn.impute.SimpleImputer for example."
    )


def pays_sparse(columns: Sequence[Column]) -> bool:
    """Whether there are many 0/1 columns and three quarters of the matrix or more are zeros."""
    indicators = sum(column.width for column in columns if column.is_onehot)
    nonzero = sum(column.role == "input" for column in columns)
    width = sum(column.width for column in columns)
    return indicators >= SPARSE_INDICATORS and 4 * nonzero <= width


def assemble_dense(coded: Iterable[tuple[Column, Array]], n: int, width: int) -> Array:
    """Put columns side by side, (n, width) C-contiguous.

    Parameters
    ----------
    coded : iterable of (Column, ndarray (n,))
        Inputs in order, with their values or level numbers; -1 is an unseen level.
    n, width : int
    """
    matrix = np.zeros((n, width))
    start = 0
    for column, values in coded:
        if column.is_onehot:
            rows = np.flatnonzero(values > 0)
            matrix[rows, start - 1 + values[rows]] = 1.0
        else:
            matrix[:, start] = values
        start += column.width
    return matrix


def assemble_sparse(coded: Iterable[tuple[Column, Array]], n: int, width: int) -> sparse.csr_matrix:
    """Return what `assemble_dense` returns as CSR: each input fills one place of a row at most."""
    inputs = list(coded)
    data = np.empty((n, len(inputs)))
    places = np.empty((n, len(inputs)), dtype=np.int32)
    start = 0
    for k, (column, values) in enumerate(inputs):
        data[:, k] = values > 0 if column.is_onehot else values
        places[:, k] = start - 1 + np.maximum(values, 1) if column.is_onehot else start
        start += column.width
    filled = data != 0
    indptr = np.concatenate([[0], np.cumsum(filled.sum(axis=1))]).astype(np.int32)
    return sparse.csr_matrix((data[filled], places[filled], indptr), shape=(n, width))
