"""Forecasts as fans after the series they continue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from reglm.parameters import Array
from reglm.plots.style import INK, axes, label, legend, next_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def forecast(
    found: Any,
    history: Any = None,
    *,
    sequence: int = 0,
    column: int = 0,
    times: Any = None,
    last: int | None = None,
    ax: Axes | None = None,
    name: str | None = None,
    color: str | None = None,
) -> Axes:
    """Draw a series and the fan of its forecasts.

    Parameters
    ----------
    found : forecast or sequence of forecasts
        What ``est.forecast(...)`` of a sequence model returns: means and the ends of intervals, ``mean``, ``lower`` and
        ``upper`` (S, steps, d). Several, of different levels, are drawn as one fan.
    history : array-like (n,) or (n, d), optional
        The sequence that is continued; gaps where it is NaN.
    sequence, column : int
        Which of the S sequences and d columns.
    times : array-like (n + steps,), optional
        What to draw against, of the rows of the history and those to come; 0, 1, ... by default, so that the forecast
        starts at the number of rows of the history.
    last : int, optional
        Rows of the history that are shown; all by default.
    ax, name, color
        See `training_curve`.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If `times` does not have an entry for each row.
    """
    several = list(found) if isinstance(found, list | tuple) and not hasattr(found, "mean") else [found]
    past = np.empty(0) if history is None else _column(history, column)
    ahead = np.asarray(several[0].mean)[sequence, :, column]
    where = np.arange(len(past) + len(ahead)) if times is None else np.asarray(times)
    if len(where) != len(past) + len(ahead):
        raise ValueError(f"times has {len(where)} entries for {len(past)} rows so far and {len(ahead)} to come.")
    ax = axes(ax)
    color = next_color(ax, color)
    first = 0 if last is None else max(len(past) - last, 0)
    if len(past):
        ax.plot(where[first : len(past)], past[first:], color=INK, lw=1.2)
    after = where[len(past) :]
    for one in several:
        lower, upper = (np.asarray(end)[sequence, :, column] for end in (one.lower, one.upper))
        ax.fill_between(after, lower, upper, color=color, alpha=0.22 / len(several) + 0.06, lw=0)
    ax.plot(after, ahead, color=color, lw=1.8, marker="o" if len(ahead) == 1 else None, ms=4, label=name)
    label(ax, "row" if times is None else "", "series")
    legend(ax)
    return ax


def _column(history: Any, column: int) -> Array:
    """One column of the rows so far."""
    rows = np.asarray(history, dtype=float)
    return rows.reshape(len(rows), -1)[:, column]
