"""Differences between models on held-out rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reglm.plots.style import COLORS, INK, axes, label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from reglm.comparison import Comparison

SCORES = {"log_score": "log score", "deviance": "deviance"}
LINE = 0.34
"""Inches for a model."""


def comparison(
    result: Comparison,
    score: str = "log_score",
    *,
    to: str | None = None,
    level: float = 0.95,
    ax: Axes | None = None,
    color: str | None = None,
) -> Axes:
    """Draw how far models are from the best, with intervals.

    Parameters
    ----------
    result : Comparison
        What `reglm.compare` returns.
    score : {"log_score", "deviance"}
        Larger log scores are better, and smaller deviances.
    to : str, optional
        Model to take differences to; the best by default.
    level : float
        Of the intervals, see `Comparison.differences`.
    ax, color
        See `training_curve`.

    Returns
    -------
    matplotlib Axes
        One line each, the best on top. Models without a finite score have a line with no point.
    """
    found = result.differences(score, to, level)
    ax = axes(ax, (5.6, 1.0 + LINE * len(found)))
    where = np.arange(len(found))
    ax.set_yticks(where, list(found.index))
    ax.set_ylim(len(found) - 0.4, -0.6)
    ax.axvline(0.0, color="#888888", lw=1.0, ls=(0, (4, 3)), zorder=1)
    shown = np.isfinite(found["se"].to_numpy())
    half = (found["high"] - found["difference"])[shown]
    reference = ((found["difference"] == 0) & (found["se"] == 0)).to_numpy()[shown]
    colors = color or COLORS[0]
    ax.errorbar(
        found["difference"][shown], where[shown], xerr=half, fmt="none", color=colors, elinewidth=1.4, capsize=0
    )
    ax.scatter(
        found["difference"][shown], where[shown], s=26, zorder=3, color=[INK if same else colors for same in reference]
    )
    name = "the best" if to is None else to
    label(ax, f"{SCORES[score]} of a held-out row, difference to {name}, {level:.0%} interval", "")
    return ax
