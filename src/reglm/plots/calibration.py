"""Observed against fitted means in groups of equal weight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reglm.inference.calibration import group_table
from reglm.plots.source import response_name, rows
from reglm.plots.style import axes, label, next_color

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def calibration(
    model: Any,
    X: Any = None,
    y: Any = None,
    *,
    bins: int = 10,
    exposure: Any = None,
    sample_weight: Any = None,
    level: float = 0.95,
    output: int | None = None,
    ax: Axes | None = None,
    name: str | None = None,
    color: str | None = None,
) -> Axes:
    """Draw observed against fitted means by deciles of the fitted mean.

    Parameters
    ----------
    model : fitted estimator, pipeline, Fit or ndarray (n,)
        Any regressor or classifier will do if `X` and `y` are given. An array holds fitted means, such as
        `sklearn.model_selection.cross_val_predict` returns; it needs `y` alone.
    X, y : optional
        Rows to judge by, best ones the model has not seen; its training rows by default.
    bins : int
        Groups of about equal weight; equal fitted means stay together.
    exposure : array-like (n,) or str, optional
        Makes rates of both means. An array is handed to `predict`; a name is a column of X that the model
        reads itself.
    sample_weight : array-like (n,), optional
    level : float
        Level of the intervals.
    output : int, optional
        Response or class; by default the first response, the second of two classes.
    ax, name, color
        See `training_curve`.

    Returns
    -------
    matplotlib Axes
        On the line, the model is right on average. Intervals say how well the rows of a group determine their
        mean; they assume independent rows and no distribution.
    """
    table = calibration_table(
        model, X, y, bins=bins, exposure=exposure, sample_weight=sample_weight, level=level, output=output
    )
    ax = axes(ax, (4.6, 4.2))
    color = next_color(ax, color)
    below, above = table["observed"] - table["low"], table["high"] - table["observed"]
    low = min(table["fitted"].min(), table["low"].min())
    high = max(table["fitted"].max(), table["high"].max())
    margin = 0.04 * (high - low)
    ax.axline((low, low), slope=1.0, color="#888888", lw=1.0, ls=(0, (4, 3)), zorder=1)
    ax.errorbar(
        table["fitted"], table["observed"], yerr=[below, above], fmt="o", ms=5, color=color, elinewidth=1.4,
        capsize=0, label=name, zorder=3,
    )  # fmt: skip
    ax.set_xlim(min(low - margin, ax.get_xlim()[0]), max(high + margin, ax.get_xlim()[1]))
    ax.set_ylim(ax.get_xlim())
    ax.set_aspect("equal", adjustable="box")
    response, rate = response_name(model, output), " per unit of exposure" if exposure is not None else ""
    label(ax, f"fitted mean of {response}{rate}", f"observed mean of {response}{rate}, {level:.0%} interval")
    return ax


def calibration_table(
    model: Any, X: Any = None, y: Any = None, *, bins: int = 10, exposure: Any = None,
    sample_weight: Any = None, level: float = 0.95, output: int | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Numbers of `calibration`: fitted and observed means, interval ends, rows and weight of each group.

    Parameters
    ----------
    model, X, y, bins, exposure, sample_weight, level, output
        See `calibration`.

    Returns
    -------
    DataFrame (groups, 9)
        ``fitted``, ``observed``, ``low``, ``high``, ``rows``, ``weight``, and actual over expected: ``ratio``,
        ``ratio_low``, ``ratio_high``, the fitted mean taken as given.
    """
    return group_table(*rows(model, X, y, exposure, sample_weight, output), bins=bins, level=level)
