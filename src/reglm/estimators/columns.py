"""Columns of pandas and polars frames as floats or as level codes.

Nothing here loops over rows. pandas and polars are imported only once the caller has passed such a frame.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from reglm.parameters import Array

Level = str | int | float | bool | None
"""A level of a categorical column as JSON has it; None is the level of missing values."""


class Factor(NamedTuple):
    """A categorical column.

    Parameters
    ----------
    codes : ndarray (n,) of int
        Number of each row's level; -1 for missing values.
    levels : list
        Distinct, None not among them; in the order the column declares, else sorted.
    declared : bool
        Whether the order of the levels is the user's (pandas Categorical, polars Enum).
    """

    codes: Array
    levels: list[Level]
    declared: bool


def _is_pandas(X: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(X, pandas.DataFrame | pandas.Series)


def is_frame(X: Any) -> bool:
    """Whether `X` is a pandas or polars data frame."""
    polars = sys.modules.get("polars")
    return (_is_pandas(X) and X.ndim == 2) or (polars is not None and isinstance(X, polars.DataFrame))


def labels(X: Any) -> list[Any]:
    """Column labels of a frame.

    Raises
    ------
    ValueError
        If one occurs twice.
    """
    found = X.columns.tolist() if _is_pandas(X) else list(X.columns)
    if len(set(found)) < len(found):
        twice = next(label for label in found if found.count(label) > 1)
        raise ValueError(f"X has {found.count(twice)} columns named {twice!r}; rename them.")
    return found


def series(X: Any, j: int) -> Any:
    """Column number `j` of a frame."""
    return X.iloc[:, j] if _is_pandas(X) else X.to_series(j)


def is_categorical(column: Any, name: object) -> bool:
    """Whether a column holds categories rather than numbers.

    Categorical, string and enumeration columns do, and object columns unless every value is a number.
    Booleans are the numbers 0 and 1.

    Raises
    ------
    ValueError
        If the column holds neither (dates, lists, complex numbers).
    """
    if not _is_pandas(column):
        return _polars_is_categorical(column, name)
    import pandas as pd
    from pandas.api import types

    if isinstance(column.dtype, pd.CategoricalDtype):
        return True
    if types.is_complex_dtype(column.dtype):
        raise ValueError(f"Complex data not supported: column {name!r} of X has dtype {column.dtype}.")
    if types.is_numeric_dtype(column.dtype):
        return False
    if types.is_object_dtype(column.dtype):
        kind = types.infer_dtype(column, skipna=True)
        numbers = {"integer", "floating", "mixed-integer-float", "decimal", "boolean", "empty"}
        if kind == "complex":
            raise ValueError(f"Complex data not supported: column {name!r} of X.")
        return kind not in numbers
    if types.is_string_dtype(column.dtype):
        return True
    raise _neither(column.dtype, name)


def _polars_is_categorical(column: Any, name: object) -> bool:
    import polars as pl

    if column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null):
        return False
    if isinstance(column.dtype, pl.String | pl.Categorical | pl.Enum):
        return True
    raise _neither(column.dtype, name)


def _neither(dtype: object, name: object) -> ValueError:
    return ValueError(
        f"column {name!r} of X has dtype {dtype}, which is neither numeric nor categorical; "
        "convert it to numbers (a date to days since some day) or to strings."
    )


def numbers(column: Any, name: object) -> Array:
    """Return a column (n,) as float64, missing values as NaN.

    Raises
    ------
    ValueError
        If a value is not a number.
    """
    try:
        if _is_pandas(column):
            if column.dtype.kind in "biuf" and isinstance(column.dtype, np.dtype):
                return column.to_numpy(dtype=float)
            return column.to_numpy(dtype=float, na_value=np.nan)
        import polars as pl

        return column.cast(pl.Float64).to_numpy()
    except (TypeError, ValueError) as error:
        raise ValueError(f"column {name!r} of X must hold numbers, it has dtype {column.dtype}: {error}") from error
    except Exception as error:  # polars' own errors descend from Exception only
        if type(error).__module__.startswith("polars"):
            raise ValueError(f"column {name!r} of X must hold numbers: {error}") from error
        raise


def as_stored(column: Any, values: Array) -> Array:
    """Give the values (n,) of a numeric column back the integer or boolean type it has."""
    if _is_pandas(column):
        from pandas.api import types

        is_bool, is_int = types.is_bool_dtype(column.dtype), types.is_integer_dtype(column.dtype)
    else:
        is_bool, is_int = str(column.dtype) == "Boolean", column.dtype.is_integer()
    if np.isnan(values).any():
        return values
    return values.astype(bool if is_bool else np.int64) if is_bool or is_int else values


def factor(column: Any, name: object) -> Factor:
    """Return a column (n,) as level codes.

    Raises
    ------
    ValueError
        If its values cannot be told apart (lists, dictionaries).
    """
    if not _is_pandas(column):
        return _polars_factor(column)
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        return _merge(column.cat.codes.to_numpy(np.int64), column.cat.categories.tolist(), True)
    try:
        codes, levels = pd.factorize(column)
    except TypeError as error:
        raise ValueError(f"column {name!r} of X holds values that cannot be levels: {error}.") from error
    return _merge(codes, levels.tolist(), False)


def _polars_factor(column: Any) -> Factor:
    import polars as pl

    if isinstance(column.dtype, pl.Enum):
        return _merge(
            column.to_physical().cast(pl.Int64).fill_null(-1).to_numpy(),
            column.dtype.categories.to_list(),
            True,
        )
    values = column.cast(pl.String) if isinstance(column.dtype, pl.Categorical) else column
    levels = values.unique().drop_nulls()
    numbers = pl.Series(np.arange(len(levels)))
    codes = values.replace_strict(levels, numbers, default=-1, return_dtype=pl.Int64)
    return _merge(codes.to_numpy(), levels.to_list(), False)


def _merge(codes: Array, values: Sequence[Any], declared: bool) -> Factor:
    """Give levels their JSON form, join those that share it, sort them unless their order was declared."""
    plain = [_level(value) for value in values]
    levels = list(dict.fromkeys(plain))
    if not declared:
        levels = _sorted(levels)
    number = {level: i for i, level in enumerate(levels)}
    table = np.array([*(number[level] for level in plain), -1], dtype=np.int64)
    return Factor(table[codes], levels, declared)


def _level(value: Any) -> Level:
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, str | int | float) else str(value)


def _sorted(levels: list[Any]) -> list[Level]:
    try:
        return sorted(levels)
    except TypeError:  # numbers among strings
        return sorted(levels, key=lambda level: (isinstance(level, str), str(level)))


def recode(found: Factor, levels: Sequence[Level]) -> Array:
    """Return the number (n,) of each row's level in `levels`, -1 where it is not among them."""
    number = {level: i for i, level in enumerate(levels)}
    table = np.array([number.get(level, -1) for level in (*found.levels, None)], dtype=np.int64)
    return table[found.codes]
