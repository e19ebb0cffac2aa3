"""Tables of effects as pictures: marginal effects, importance, relativities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from reglm.inference.results import Results
from reglm.plots.style import COLORS, INK, PALE, axes, label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINE = 0.34
"""Inches for a line of a table."""


def marginal_effects(
    results: Results,
    X: Any = None,
    *,
    level: float = 0.95,
    ax: Axes | None = None,
    color: str | None = None,
    **options: Any,
) -> Axes:
    """Draw marginal effects with intervals, one line each.

    Parameters
    ----------
    results : Results
        ``est.inference()``.
    X : data frame or array (n, columns), optional
        Rows to average over; the training rows by default.
    level : float
        Of the intervals.
    ax, color
        See `training_curve`.
    **options
        Of `Results.marginal_effects`: ``columns``, ``at``, ``scale``, ``output``, ``exposure``, ...

    Returns
    -------
    matplotlib Axes
        Effects of numbers are those of one unit, so that inputs of other units are not to be compared by length.
    """
    found = results.marginal_effects(X, **options)
    ax = _lines(ax, found.labels)
    _points(ax, found.effect.value, found.effect.conf_int(1 - level), color or COLORS[0])
    ax.axvline(0.0, color="#888888", lw=1.0, ls=(0, (4, 3)), zorder=1)
    what = "linear predictor" if options.get("scale") == "link" else "mean"
    label(ax, f"marginal effect on the {what}, {level:.0%} interval", "")
    return ax


def importance(
    results: Results,
    X: Any = None,
    y: Any = None,
    *,
    ax: Axes | None = None,
    color: str | None = None,
    **options: Any,
) -> Axes:
    """Draw by how much the mean deviance rises without each input.

    Parameters
    ----------
    results, ax, color
        See `marginal_effects`.
    X, y : optional
        Rows to judge by, best ones the model has not seen; its training rows by default.
    **options
        Of `Results.importance`: ``method``, ``columns``, ``repeats``, ``seed``, ...

    Returns
    -------
    matplotlib Axes
        Whiskers are one standard deviation over the permutations.
    """
    table = results.importance(X, y, **options)
    ax = _lines(ax, list(table.index))
    ax.grid(False, axis="y")
    where = np.arange(len(table))
    ax.barh(where, table["importance"], height=0.62, color=color or COLORS[0])
    if table["sd"].notna().all():
        ax.errorbar(table["importance"], where, xerr=table["sd"], fmt="none", ecolor=INK, elinewidth=1.2)
    how = "without the input" if options.get("method") == "refit" else "when its values change places"
    label(ax, f"rise of the mean deviance {how}", "")
    return ax


def relativities(
    results: Results,
    X: Any = None,
    column: str | None = None,
    *,
    level: float = 0.95,
    ax: Axes | None = None,
    color: str | None = None,
    **options: Any,
) -> Axes:
    """Draw the relativities of a factor as points with intervals, over bars of exposure.

    Parameters
    ----------
    results, X, level, ax, color
        See `marginal_effects`.
    column : str, optional
        The factor; the first by default.
    **options
        Of `Results.relativities`: ``output``, ``weights``, ``offset``, ``exposure``.

    Returns
    -------
    matplotlib Axes
        Of the relativities, on a logarithmic scale; exposure has an axis of its own on the right. The level of
        largest exposure is 1.
    """
    found = results.relativities(X, None if column is None else [column], **options)
    name = next(iter(found.effects))
    table = found.as_frame(1 - level).loc[name]
    ax = axes(ax)
    where = np.arange(len(table))
    _exposure_bars(ax, where, 100 * table["exposure"])
    _relative_points(ax, where, table, found.kind, color or COLORS[0])
    ax.set_xticks(where, list(table.index))
    label(ax, name, f"{found.kind}, {level:.0%} interval")
    return ax


def _exposure_bars(ax: Axes, where: Any, shares: Any) -> None:
    """Bars in the lower third of the axes, with an axis of their own on the right."""
    from matplotlib.ticker import MaxNLocator

    bars = ax.twinx()
    bars.bar(where, shares, width=0.62, color=PALE, zorder=0)
    top = shares.max()
    bars.set_ylim(0, 3 * top)
    bars.set_yticks([tick for tick in MaxNLocator(3).tick_values(0, top) if tick <= 1.2 * top])
    for side in bars.spines.values():
        side.set_visible(False)
    bars.tick_params(colors=INK, labelsize=9, length=0)
    bars.set_ylabel("share of exposure, %", color=INK, fontsize=10, loc="bottom")
    ax.set_zorder(bars.get_zorder() + 1)
    ax.patch.set_visible(False)


def _relative_points(ax: Axes, where: Any, table: Any, kind: str, color: str) -> None:
    """Points joined by a line, with intervals, on a logarithmic axis that leaves the bottom to the bars."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    middle = table[kind]
    known = table["low"].notna().all()
    half = [middle - table["low"], table["high"] - middle] if known else None
    ax.axhline(1.0, color="#888888", lw=1.0, ls=(0, (4, 3)), zorder=1)
    ax.errorbar(where, middle, yerr=half, fmt="o-", ms=5, lw=1.0, color=color, elinewidth=1.4, capsize=0, zorder=3)
    ax.set_yscale("log")
    low, high = (table["low"].min(), table["high"].max()) if known else (middle.min(), middle.max())
    span = max(np.log(high / low), 0.1)
    ax.set_ylim(low * np.exp(-0.45 * span), high * np.exp(0.08 * span))
    ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    ax.minorticks_off()


def _lines(ax: Axes | None, names: list[str]) -> Axes:
    """Axes with one line for each name, the first on top."""
    ax = axes(ax, (5.6, 1.0 + LINE * len(names)))
    ax.set_yticks(np.arange(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    return ax


def _points(ax: Axes, values: Any, ends: Any, color: str) -> None:
    half = np.abs(ends - values[:, None]).T if np.isfinite(ends).all() else None
    ax.errorbar(values, np.arange(len(values)), xerr=half, fmt="o", ms=5, color=color, elinewidth=1.4, capsize=0)
