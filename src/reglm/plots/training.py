"""How the objective fell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from reglm.plots.source import record
from reglm.plots.style import COLORS, INK, axes, label, next_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes

EPOCHS = frozenset({"sgd", "adagrad", "adadelta", "adam"})


def training_curve(model: Any, *, ax: Axes | None = None, name: str | None = None, color: str | None = None) -> Axes:
    """Draw the objective by iteration, and the held-out deviance if the fit watched one.

    Parameters
    ----------
    model : fitted estimator, pipeline or Fit
    ax : matplotlib Axes, optional
    name : str, optional
        Entry of the legend.
    color : str, optional

    Returns
    -------
    matplotlib Axes
        The objective per observation (penalised, up to a constant) against iterations or epochs; the held-out
        deviance has an axis of its own on the right, with a ring at its lowest value.
    """
    from matplotlib.ticker import MaxNLocator

    fit = record(model)
    objective = np.asarray(fit.history.get("objective", []), dtype=float) / fit.weight_total
    if not len(objective):
        raise ValueError("the fit kept no history (a closed form, or a model loaded from a file).")
    ax = axes(ax)
    color = next_color(ax, color)
    marker = "o" if len(objective) <= 15 else None
    ax.plot(np.arange(len(objective)), objective, color=color, label=name, marker=marker, ms=4, lw=1.8)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    label(ax, "epoch" if fit.solver in EPOCHS else f"iteration ({fit.solver})", "objective per observation")
    held_out = np.asarray(fit.history.get("monitor", []), dtype=float)
    if len(held_out):
        _held_out(ax, held_out)
    return ax


def _held_out(ax: Axes, deviance: Any) -> None:
    """Add the held-out deviance on a second axis."""
    right = ax.twinx()
    right.spines["top"].set_visible(False)
    best = int(np.argmin(deviance))
    right.plot(np.arange(len(deviance)), deviance, color=COLORS[1], lw=1.5)
    right.plot(best, deviance[best], "o", mfc="none", color=COLORS[1], ms=8)
    right.tick_params(colors=COLORS[1], labelsize=9)
    right.set_ylabel("mean held-out deviance (ring: lowest)", color=COLORS[1], fontsize=10)
    ax.tick_params(axis="y", colors=INK)
