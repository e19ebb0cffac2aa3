"""The fitted mean as one input varies, averaged over the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from reglm.estimators import columns as frames
from reglm.inference.sample import numeric_grid
from reglm.parameters import Array
from reglm.plots.source import exposures, means, response_name
from reglm.plots.strip import strip
from reglm.plots.style import axes, label, next_color

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def partial_effect(
    model: Any,
    X: Any,
    column: str | int,
    *,
    exposure: Any = None,
    points: int = 40,
    max_rows: int = 2000,
    output: int | None = None,
    histogram: bool = True,
    ax: Axes | None = None,
    name: str | None = None,
    color: str | None = None,
) -> Axes:
    """Draw the fitted mean as one input varies and the others stay as they are in the data.

    Parameters
    ----------
    model : fitted estimator or pipeline
    X : data frame or array (n, p)
        The data to average over (Friedman 2001).
    column : str or int
        Name or number of the input. Numbers vary from the 1st to the 99th percentile; categories, and numbers
        with few distinct values, are drawn one by one.
    exposure : array-like (n,) or str, optional
        See `calibration`: the curve is then a rate, each row weighted by its exposure.
    points : int
        Values on the grid.
    max_rows : int
        Rows averaged over, evenly spread over X.
    output : int, optional
        Response or class; by default the first response, the second of two classes.
    histogram : bool
        Show the distribution of the input (of the exposure, if given) along the bottom.
    ax, name, color
        See `training_curve`.

    Returns
    -------
    matplotlib Axes
        The curve shows what the model says, with no interval for the uncertainty of the estimates, which
        `partial_dependence` draws; inputs that go together in the data are pulled apart, which `ale` does not.
    """
    table = effect_table(model, X, column, exposure=exposure, points=points, max_rows=max_rows, output=output)
    ax = axes(ax)
    color = next_color(ax, color)
    values = _column(X, column)
    separate = len(table) < points
    where = table["value"] if _numeric(values, column) else np.arange(len(table))
    ax.plot(where, table["mean"], color=color, label=name, lw=1.8, marker="o" if separate else None, ms=5)
    if not _numeric(values, column):
        ax.lines[-1].set_linestyle("none")
        ax.set_xticks(where, [str(v) for v in table["value"]])
    if histogram:
        strip(ax, values, exposures(X, exposure), table["value"], where, _numeric(values, column))
    response, rate = response_name(model, output), " per unit of exposure" if exposure is not None else ""
    label(ax, str(column), f"fitted mean of {response}{rate}")
    return ax


def effect_table(
    model: Any, X: Any, column: str | int, *, exposure: Any = None, points: int = 40, max_rows: int = 2000,
    output: int | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Numbers of `partial_effect`.

    Parameters
    ----------
    model, X, column, exposure, points, max_rows, output
        See `partial_effect`.

    Returns
    -------
    DataFrame (values, 2)
        ``value`` of the input and ``mean`` fitted there.
    """
    import pandas as pd

    for argument, least, number in (("points", 2, points), ("max_rows", 1, max_rows)):
        if number < least:
            raise ValueError(f"{argument}={number} must be {least} or more.")
    n = X.shape[0]
    kept = np.unique(np.linspace(0, n - 1, min(n, max_rows)).round().astype(int))
    e = exposures(X, exposure)
    weights = np.ones(len(kept)) if e is None else e[kept]
    given = exposure if exposure is None or isinstance(exposure, str) else weights
    sample = _take(X, kept)
    grid = _grid(_column(X, column), column, points)
    totals = [means(model, _with(sample, column, v), given, output).sum() for v in grid]
    return pd.DataFrame({"value": grid, "mean": np.asarray(totals) / weights.sum()})


def _column(X: Any, column: str | int) -> Any:
    """Column of X by name or number.

    Raises
    ------
    ValueError
        If there is none.
    """
    named = frames.is_frame(X)
    known = list(X.columns) if named else list(range(X.shape[1]))
    if column not in known:
        raise ValueError(f"column={column!r} is not in X; it has {known}.")
    return X[column] if named else np.asarray(X[:, column])


def _numeric(values: Any, column: object) -> bool:
    return isinstance(values, np.ndarray) or not frames.is_categorical(values, column)


def _grid(values: Any, column: object, points: int) -> list[Any]:
    """Values of the input at which to predict."""
    if not _numeric(values, column):
        return [level for level in frames.factor(values, column).levels if level is not None]
    return list(numeric_grid(np.asarray(values, dtype=float), points))


def _take(X: Any, kept: Array) -> Any:
    return X.iloc[kept] if hasattr(X, "iloc") else X[kept]


def _with(X: Any, column: Any, value: Any) -> Any:
    """Copy of X with one column constant."""
    if not frames.is_frame(X):
        copy = np.array(X, dtype=float)
        copy[:, int(column)] = value
        return copy
    if hasattr(X, "iloc"):
        import pandas as pd

        fresh = pd.Series([value] * len(X), index=X.index)
        copy = X.copy()
        copy[column] = fresh.astype(X[column].dtype) if frames.is_categorical(X[column], column) else fresh
        return copy
    import polars as pl

    literal = pl.lit(value)
    old = X[column]
    return X.with_columns((literal.cast(old.dtype) if frames.is_categorical(old, column) else literal).alias(old.name))
