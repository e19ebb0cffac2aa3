"""One look for all plots, set on the axes only: the user's own matplotlib settings stay as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Distinguishable with any colour vision (Okabe & Ito 2008)."""
INK = "#333333"
PALE = "#C9CED6"


def axes(ax: Axes | None = None, size: tuple[float, float] = (5.2, 3.8)) -> Axes:
    """Return `ax`, or new axes of `size` inches, in the style of the package."""
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(figsize=size, layout="constrained")
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color("#888888")
    ax.tick_params(colors=INK, labelsize=9)
    ax.grid(True, color="#E8EAED", linewidth=0.8)
    ax.set_axisbelow(True)
    return ax


def label(ax: Axes, x: str, y: str) -> None:
    """Name the axes."""
    ax.set_xlabel(x, color=INK, fontsize=10)
    ax.set_ylabel(y, color=INK, fontsize=10)


def legend(ax: Axes, **options: Any) -> None:
    """Draw a frameless legend if anything has a name."""
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, fontsize=9, labelcolor=INK, **options)


def next_color(ax: Axes, color: str | None) -> str:
    """Return `color`, or the first of `COLORS` that no named line or marker on these axes has yet."""
    return color or COLORS[len(ax.get_legend_handles_labels()[1]) % len(COLORS)]
