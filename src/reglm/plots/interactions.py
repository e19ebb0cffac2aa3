"""Pairs of inputs: how strongly they interact, and their joint effect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from reglm.inference.bands import Effect
from reglm.inference.results import Results
from reglm.inference.sample import sample
from reglm.plots.curves import mean_name
from reglm.plots.style import INK, axes, label

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MEASURES = ("strength", "H")


def interaction(
    results: Results,
    X: Any,
    columns: Sequence[str] | None = None,
    *,
    measure: str = "strength",
    ax: Axes | None = None,
    cmap: str = "Blues",
    **options: Any,
) -> Axes:
    """Draw the joint partial dependence of two inputs, or for more the strength of all their interactions.

    Parameters
    ----------
    results : Results
        ``est.inference()``.
    X : data frame or array (n, columns), or None
        Rows to average over; None takes the training rows.
    columns : sequence of str, optional
        Two inputs give their surface; more, or all by default, a heat map of pairs.
    measure : {"strength", "H"}
        What the heat map shows.
    ax : matplotlib Axes, optional
    cmap : str
        Name of a colour map.
    **options
        Of `Results.partial_dependence` for two inputs, of `Results.h_statistic` for more.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If `measure` is not known.
    """
    if measure not in MEASURES:
        raise ValueError(f"measure={measure!r} is not known; choose one of {list(MEASURES)}.")
    ax = axes(ax, (5.6, 4.2))
    ax.grid(False)
    if columns is not None and len(columns) == 2:
        return _surface(ax, results.partial_dependence(X, columns, **options), mean_name(results, options), cmap)
    names = list(sample(results, X).reader.columns if columns is None else columns)
    return _pairs(ax, results.h_statistic(X, names, **options), names, measure, cmap)


def _surface(ax: Axes, found: Effect, what: str, cmap: str) -> Axes:
    (first, x), (second, y) = found.grid.items()
    across, up = list(dict.fromkeys(x)), list(dict.fromkeys(y))
    values = found.value.reshape(len(across), len(up)).T
    places = [_places(values_of) for values_of in (across, up)]
    mesh = ax.pcolormesh(*places, values, cmap=cmap, shading="nearest")
    if all(_numeric(values_of) for values_of in (across, up)):
        lines = ax.contour(*places, values, colors=INK, linewidths=0.7, levels=6)
        ax.clabel(lines, fontsize=8)
    for axis, values_of, place in ((ax.xaxis, across, places[0]), (ax.yaxis, up, places[1])):
        if not _numeric(values_of):
            axis.set_ticks(place, values_of)
    _bar(ax, mesh, what)
    label(ax, first, second)
    return ax


def _numeric(values: Sequence[Any]) -> bool:
    return not isinstance(values[0], str)


def _places(values: Sequence[Any]) -> Any:
    return np.asarray(values, dtype=float) if _numeric(values) else np.arange(len(values))


def _pairs(ax: Axes, table: pd.DataFrame, names: list[str], measure: str, cmap: str) -> Axes:
    number = {name: i for i, name in enumerate(names)}
    values = np.full((len(names),) * 2, np.nan)
    for first, second, value in table[["first", "second", measure]].itertuples(index=False):
        i, j = sorted((number[first], number[second]))
        values[j, i] = value
    image = ax.imshow(values[1:, :-1], cmap=cmap, vmin=0.0)
    top = np.nanmax(values)
    digits = int(np.clip(1 - np.floor(np.log10(top)), 1, 6)) if top > 0 else 1  # two of the largest
    for j, i in zip(*np.nonzero(np.isfinite(values)), strict=True):
        color = "white" if values[j, i] > 0.6 * top else INK
        ax.text(i, j - 1, f"{values[j, i]:.{digits}f}", ha="center", va="center", fontsize=9, color=color)
    ax.set_xticks(np.arange(len(names) - 1), names[:-1], rotation=30, ha="right", rotation_mode="anchor")
    ax.set_yticks(np.arange(len(names) - 1), names[1:])
    for side in ax.spines.values():
        side.set_visible(False)
    ax.tick_params(length=0)
    _bar(ax, image, "H statistic" if measure == "H" else "strength of the interaction")
    return ax


def _bar(ax: Axes, image: Any, name: str) -> None:
    bar = ax.figure.colorbar(image, ax=ax, pad=0.02)
    bar.set_label(name, color=INK, fontsize=10)
    bar.ax.tick_params(colors=INK, labelsize=9)
    bar.outline.set_visible(False)
