"""How well fitted means order the rows, and which of two models follows them better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from reglm.inference.calibration import double_lift_table, group_table
from reglm.parameters import Array
from reglm.plots.source import Rows, response_name, rows
from reglm.plots.style import COLORS, INK, PALE, axes, label, legend, next_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def lorenz(
    model: Any,
    X: Any = None,
    y: Any = None,
    *,
    exposure: Any = None,
    sample_weight: Any = None,
    output: int | None = None,
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
    output: int | None = None,
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


def lift(
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
) -> Axes:
    """Draw observed and fitted means by deciles of the fitted mean, over the overall observed mean.

    Parameters
    ----------
    model, X, y, bins, exposure, sample_weight, level, output
        See `calibration`.
    ax
        See `training_curve`.

    Returns
    -------
    matplotlib Axes
        The steeper the observed means rise, the better the model tells rows apart.
    """
    found = rows(model, X, y, exposure, sample_weight, output)
    table = group_table(*found, bins=bins, level=level)
    overall = np.average(table["observed"], weights=table["weight"])
    ax = axes(ax)
    x = np.arange(1, len(table) + 1)
    ax.axhline(1.0, color="#888888", lw=1.0, ls=(0, (4, 3)), zorder=1)
    relative = table[["fitted", "observed", "low", "high"]].div(overall)
    ax.plot(x, relative["fitted"], "o-", color=COLORS[1], ms=4, lw=1.6, label="fitted", zorder=2)
    spread = [relative["observed"] - relative["low"], relative["high"] - relative["observed"]]
    name = f"observed, {level:.0%} interval"
    ax.errorbar(x, relative["observed"], spread, fmt="o", ms=5, color=COLORS[0], label=name, zorder=3)
    ax.set_xticks(x)
    label(ax, "group, lowest fitted mean first", f"mean of {response_name(model, output)} over the overall mean")
    legend(ax, loc="upper left")
    return ax


def double_lift(
    first: Any,
    second: Any,
    X: Any = None,
    y: Any = None,
    *,
    bins: int = 10,
    exposure: Any = None,
    sample_weight: Any = None,
    output: int | None = None,
    names: tuple[str, str] = ("first model", "second model"),
    ax: Axes | None = None,
) -> Axes:
    """Draw the means of two models and the observed ones in groups by the ratio of the two models.

    Parameters
    ----------
    first, second
        Models, as in `calibration`.
    X, y, bins, exposure, sample_weight, output
        See `calibration`.
    names : (str, str)
    ax
        See `training_curve`.

    Returns
    -------
    matplotlib Axes
        The better model is the one whose line the observed means follow. Bars show the weight of the groups.
    """
    one, other = (rows(model, X, y, exposure, sample_weight, output) for model in (first, second))
    table = double_lift_table(one.observed, one.fitted, other.fitted, one.weights, bins)
    ax = axes(ax)
    x = np.arange(len(table))
    ax.bar(x, 0.1 * table["weight"] / table["weight"].max(), color=PALE, width=0.8, zorder=0,
           transform=ax.get_xaxis_transform())  # fmt: skip
    for column, name, color in zip(("first", "second"), names, COLORS[1:3], strict=True):
        ax.plot(x, table[column], "o-", color=color, ms=4, lw=1.6, label=name)
    ax.plot(x, table["observed"], "o-", color=COLORS[0], ms=5, lw=2.0, label="observed")
    ax.set_xticks(x, [f"{ratio:.2f}" for ratio in table["ratio"]], color=INK)
    top = table[["first", "second", "observed"]].to_numpy()
    ax.set_ylim(top.min() - 0.25 * np.ptp(top), top.max() + 0.2 * np.ptp(top))
    label(ax, f"{names[1]} over {names[0]}", f"mean of {response_name(first, output)}")
    legend(ax, loc="upper left")
    return ax
