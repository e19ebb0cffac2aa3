"""Distribution of an input along the bottom of a curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from reglm.inference.sample import FEW
from reglm.parameters import Array
from reglm.plots.style import PALE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEIGHT = 0.14
"""Of the histogram, as a share of the axes."""
GID = "input-histogram"


def strip(ax: Axes, values: Any, weights: Array | None, grid: Sequence[Any], where: Any, is_numeric: bool) -> None:
    """Make room below the curves and, unless it is there, draw the share of rows by value of the input.

    Parameters
    ----------
    ax : Axes
    values : array-like (n,)
        Of the input.
    weights : ndarray (n,), optional
    grid : sequence (m,)
        Values that the curve is drawn at.
    where : array-like (m,)
        Their places on the axis.
    is_numeric : bool
    """
    _make_room(ax)
    if any(patch.get_gid() == GID for patch in ax.patches):
        return
    grid = list(grid)
    if len(grid) <= FEW or not is_numeric:
        found = np.asarray(values)
        weights = np.ones(len(found)) if weights is None else weights
        heights = np.array([weights[found == v].sum() for v in grid])
        spots = np.asarray(where, dtype=float)
        width = max(0.5 * np.diff(spots).min(initial=1.0), 0.02 * np.ptp(spots))
    else:
        numbers = np.asarray(values, dtype=float)
        edges = _edges(numbers, float(grid[0]), float(grid[-1]))
        heights, _ = np.histogram(numbers, edges, weights=weights)
        spots, width = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
    ax.bar(
        spots, HEIGHT * heights / heights.max(), width=0.92 * width, color=PALE, zorder=0,
        transform=ax.get_xaxis_transform(), gid=GID,
    )  # fmt: skip


def _edges(numbers: Array, low: float, high: float, bins: int = 30) -> Array:
    """Ends of equal bins from low to high; of whole numbers each bin holds equally many."""
    if np.all(numbers == np.round(numbers)):
        step = np.ceil((high - low + 1) / bins)
        return np.arange(np.floor(low) - 0.5, high + step, step)
    return np.linspace(low, high, bins + 1)


def _make_room(ax: Axes) -> None:
    """Let the curves and bands drawn so far end above the histogram."""
    low, high = ax.dataLim.intervaly
    span = (high - low) or abs(high) or 1.0
    ax.set_ylim(low - span * (HEIGHT + 0.05) / (1 - HEIGHT), high + 0.05 * span)
