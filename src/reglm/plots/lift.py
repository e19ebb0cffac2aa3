"""How well fitted means order the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from reglm.parameters import Array
from reglm.plots.source import Rows, response_name, rows
from reglm.plots.style import axes, label, legend, next_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def lorenz(
    model: Any,
    X: Any = None,
    y: Any = None,
    *,
    exposure: Any = None,
    sample_weight: Any = None,
    output: int = 0,
    ax: Axes | None = None,
    name: str | None = None,
    color: str | None = None,
) -> Axes:
    """Draw the share of the observed total against the share of rows, lowest fitted means first.

    Parameters
    ----------
    model, X, y, exposure, sample_weight, output
        See `calibration`.
    ax, name, color
        See `training_curve`.

    Returns
    -------
    matplotlib Axes
        The deeper the curve hangs below the diagonal, the better the order (Denuit, Sznajder & Trufin 2019);
        twice the area between them is the Gini index in the legend.
    """
    found = rows(model, X, y, exposure, sample_weight, output)
    x, share = concentration(found)
    ax = axes(ax, (4.6, 4.2))
    fresh = not ax.lines
    color = next_color(ax, color)
    if fresh:
        ax.plot([0, 1], [0, 1], color="#888888", lw=1.0, ls=(0, (4, 3)))
    text = f"{name or response_name(model, output)}: Gini index {_area(x, share):.3f}"
    ax.plot(x, share, color=color, lw=1.8, label=text)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    ax.set_aspect("equal", adjustable="box")
    what = "exposure" if exposure is not None else "rows"
    label(
        ax,
        f"share of {what}, lowest fitted mean first",
        f"share of the total of {response_name(model, output)}",
    )
    legend(ax, loc="upper left")
    return ax


def gini(
    model: Any,
    X: Any = None,
    y: Any = None,
    *,
    exposure: Any = None,
    sample_weight: Any = None,
    output: int = 0,
) -> float:
    """Gini index of the order of the fitted means, twice the area between diagonal and curve of `lorenz`.

    Parameters
    ----------
    model, X, y, exposure, sample_weight, output
        See `calibration`.
    """
    return _area(*concentration(rows(model, X, y, exposure, sample_weight, output)))


def concentration(found: Rows) -> tuple[Array, Array]:
    """Points of the concentration curve; rows with the same fitted mean make one step."""
    _, inverse = np.unique(found.fitted, return_inverse=True)
    weight = np.bincount(inverse, found.weights)
    total = np.bincount(inverse, found.weights * found.observed)
    if not total.sum() > 0:
        raise ValueError("y has no positive total, so there are no shares of it.")
    x, share = np.cumsum(weight) / weight.sum(), np.cumsum(total) / total.sum()
    return np.concatenate([[0.0], x]), np.concatenate([[0.0], share])


def _area(x: Array, share: Array) -> float:
    return float(1.0 - 2.0 * np.trapezoid(share, x))
