"""Effects of an input as a fit's results have them, with bands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from reglm.inference.bands import Effect
from reglm.inference.coded import label as level_name
from reglm.inference.results import Results
from reglm.inference.sample import FEW, sample
from reglm.parameters import Array
from reglm.plots.strip import strip
from reglm.plots.style import INK, axes, label, next_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROWS = ("weights", "offset", "exposure")
"""Options that say which rows are averaged and how."""


def partial_dependence(
    results: Results,
    X: Any,
    column: str,
    *,
    level: float = 0.95,
    simultaneous: bool = False,
    histogram: bool = True,
    ax: Axes | None = None,
    name: str | None = None,
    color: str | None = None,
    **options: Any,
) -> Axes:
    """Draw the average mean as an input varies and the others stay as they are, with a band.

    Parameters
    ----------
    results : Results
        ``est.inference()``.
    X : data frame or array (n, columns), or None
        Rows to average over; None takes the training rows.
    column : str
        Name of the input.
    level : float
        Of the band, by the delta method.
    simultaneous : bool
        Whether the whole curve lies in the band with that probability, instead of each point.
    histogram : bool
        Show the distribution of the input along the bottom.
    ax, name, color
        See `training_curve`.
    **options
        Of `Results.partial_dependence`: ``points``, ``scale``, ``output``, ``max_rows``, ``exposure``, ...

    Returns
    -------
    matplotlib Axes
        Without a band where standard errors are refused; ``results.refusal`` says why.
    """
    found = results.partial_dependence(X, column, **options)
    ax = _curve(results, X, column, found, (level, simultaneous), histogram, ax, name, color, options)
    label(ax, column, mean_name(results, options))
    return ax


def ale(
    results: Results,
    X: Any,
    column: str,
    *,
    level: float = 0.95,
    simultaneous: bool = False,
    histogram: bool = True,
    ax: Axes | None = None,
    name: str | None = None,
    color: str | None = None,
    **options: Any,
) -> Axes:
    """Draw the accumulated local effect of an input, whose average is zero, with a band.

    Parameters
    ----------
    results, X, column, level, simultaneous, histogram, ax, name, color
        See `partial_dependence`.
    **options
        Of `Results.ale`: ``bins``, ``order``, ``scale``, ``output``, ``exposure``, ...

    Returns
    -------
    matplotlib Axes
        Numeric inputs are cut off at their 1st and 99th percentile.
    """
    found = results.ale(X, column, **options)
    ax = _curve(results, X, column, found, (level, simultaneous), histogram, ax, name, color, options)
    ax.axhline(0.0, color="#888888", lw=1.0, ls=(0, (4, 3)), zorder=1)
    label(ax, column, f"accumulated local effect on the\n{mean_name(results, options)}")
    return ax


def individual_curves(
    results: Results,
    X: Any,
    column: str,
    *,
    average: bool = True,
    ax: Axes | None = None,
    color: str | None = None,
    **options: Any,
) -> Axes:
    """Draw the mean of single rows as one input varies.

    Parameters
    ----------
    results, X, column, ax, color
        See `partial_dependence`.
    average : bool
        Draw the average of the curves over them.
    **options
        Of `Results.individual_curves`: ``centred``, ``max_rows``, ``points``, ``scale``, ``output``, ...

    Returns
    -------
    matplotlib Axes
        Parallel curves mean that no other input changes the effect of this one.
    """
    curves = results.individual_curves(X, column, **options)
    ax = axes(ax)
    color = next_color(ax, color)
    is_numeric = sample(results, X).reader.levels(X, column) is None
    where = curves.columns.to_numpy(dtype=float) if is_numeric else np.arange(curves.shape[1])
    ax.plot(where, curves.to_numpy().T, color=color, lw=0.8, alpha=max(0.12, min(0.6, 10 / len(curves))))
    if average:
        ax.plot(where, curves.mean(axis=0), color=INK, lw=2.2, label=f"average of {len(curves)} rows")
        ax.legend(frameon=False, fontsize=9, labelcolor=INK)
    if not is_numeric:
        ax.set_xticks(where, list(curves.columns))
        ax.set_xlim(-0.3, len(where) - 0.7)
    label(ax, column, ("change of " if options.get("centred") else "") + mean_name(results, options))
    return ax


def _curve(
    results: Results,
    X: Any,
    column: str,
    found: Effect,
    band: tuple[float, bool],
    histogram: bool,
    ax: Axes | None,
    name: str | None,
    color: str | None,
    options: dict[str, Any],
) -> Axes:
    """Line with a band for numbers, points with intervals for levels, and the strip below."""
    rows = sample(results, X, **{key: options[key] for key in ROWS if key in options})
    is_numeric = rows.reader.levels(rows.X, column) is None
    values = rows.raw(column) if is_numeric else np.array([level_name(v) for v in rows.raw(column)])
    grid = list(found.grid[column])
    ends, effect = found.conf_int(1 - band[0], simultaneous=band[1]), found.value
    where = np.asarray(grid, dtype=float) if is_numeric else np.arange(len(grid))
    if is_numeric and len(grid) > FEW:
        low, high = np.percentile(values, [1, 99])
        shown = (where >= low) & (where <= high)
        where, ends, effect, grid = where[shown], ends[shown], effect[shown], list(where[shown])
    ax = axes(ax)
    draw = _line if is_numeric else _points
    draw(ax, where, effect, ends if found.has_bands else None, next_color(ax, color), name)
    if not is_numeric:
        ax.set_xticks(where, grid)
        ax.set_xlim(-0.6, len(grid) - 0.4)
    if histogram:
        strip(ax, values, rows.weights, grid, where, is_numeric)
    return ax


def _line(ax: Axes, where: Array, effect: Array, ends: Array | None, color: str, name: str | None) -> None:
    """Line with a band, marked where values are few."""
    ax.plot(where, effect, color=color, label=name, lw=1.8, marker="o" if len(where) <= FEW else None, ms=4)
    if ends is not None:
        ax.fill_between(where, *ends.T, color=color, alpha=0.16, lw=0)


def _points(ax: Axes, where: Array, effect: Array, ends: Array | None, color: str, name: str | None) -> None:
    """Points with intervals."""
    half = None if ends is None else np.abs(ends - effect[:, None]).T
    ax.errorbar(where, effect, yerr=half, fmt="o", ms=5, color=color, elinewidth=1.4, capsize=0, label=name)


def mean_name(results: Results, options: dict[str, Any]) -> str:
    """What the vertical axis shows."""
    names, output = results.fit.output_names, options.get("output", 0)
    response = names[output] if output < len(names) else "y"
    what = "linear predictor" if options.get("scale") == "link" else "fitted mean"
    return f"{what} of {response}{' per unit of exposure' if options.get('exposure') is not None else ''}"
