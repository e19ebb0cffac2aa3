"""What a Boltzmann machine learned, what it dreams of, and whether it overfits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from reglm.parameters import Array
from reglm.plots.style import COLORS, INK, axes, label, legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def filters(
    model: Any, *, shape: tuple[int, int] | None = None, n: int = 64, ax: Axes | None = None, cmap: str = "RdBu_r"
) -> Axes:  # fmt: skip
    """Draw the weights of hidden units as pictures, those with the largest norm first.

    Parameters
    ----------
    model : fitted RestrictedBoltzmannMachine, pipeline that ends in one, or ndarray (units, D)
    shape : (int, int), optional
        Rows and columns of a picture; a square by default.
    n : int
        Units at most.
    ax : matplotlib Axes, optional
    cmap : str

    Returns
    -------
    matplotlib Axes
        One colour scale for all, white at zero.

    Raises
    ------
    ValueError
        If `shape` does not hold the columns.
    """
    weights = model if isinstance(model, np.ndarray) else machine(model).components_
    order = np.argsort(-np.linalg.norm(weights, axis=1), kind="stable")[:n]
    largest = float(np.abs(weights[order]).max()) or 1.0
    return _tiles(weights[order], shape, ax, cmap, -largest, largest)


def samples(rows: Array, *, shape: tuple[int, int] | None = None, ax: Axes | None = None, cmap: str = "gray_r") -> Axes:
    """Draw rows as pictures beside one another: samples, reconstructions, data.

    Parameters
    ----------
    rows : ndarray (n, D)
        As ``model.sample(64, kind="mean")`` gives.
    shape : (int, int), optional
        Rows and columns of a picture; a square by default.
    ax : matplotlib Axes, optional
    cmap : str

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If `shape` does not hold the columns.
    """
    rows = np.asarray(rows, dtype=float)
    return _tiles(rows, shape, ax, cmap, float(np.nanmin(rows)), float(np.nanmax(rows)))


def free_energy_gap(model: Any, *, ax: Axes | None = None) -> Axes:
    """Draw mean free energies of training and held-out rows by epoch, whose gap grows when a machine overfits.

    Parameters
    ----------
    model : RestrictedBoltzmannMachine fitted with ``validation_fraction``, or pipeline that ends in one
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
        Free energies have a level of their own in each epoch; only the distance of the two lines can be read (Hinton
        2012, section 6).

    Raises
    ------
    ValueError
        If no rows were held out.
    """
    history = machine(model).history_
    train, held = (np.asarray(history[f"free_energy_{name}"], dtype=float) for name in ("train", "validation"))
    if not np.isfinite(held).any():
        raise ValueError("no rows were held out; fit with validation_fraction=0.1, say.")
    ax, epochs = axes(ax), np.arange(1, len(train) + 1)
    ax.fill_between(epochs, train, held, color=COLORS[0], alpha=0.12, lw=0)
    ax.plot(epochs, train, color=COLORS[0], lw=1.8, label="training rows")
    ax.plot(epochs, held, color=COLORS[1], lw=1.8, label="held-out rows")
    ax.annotate(
        f"gap {held[-1] - train[-1]:.3g}", (epochs[-1], (train[-1] + held[-1]) / 2), xytext=(-6, 0),
        textcoords="offset points", ha="right", va="center", color=INK, fontsize=9,
    )  # fmt: skip
    label(ax, "epoch", "mean free energy")
    legend(ax)
    return ax


def machine(model: Any) -> Any:
    """Return the fitted machine of an estimator or a pipeline."""
    found = model.steps[-1][1] if hasattr(model, "steps") else model
    check_is_fitted(found)
    if not hasattr(found, "components_") or not hasattr(found, "history_"):
        raise ValueError(f"{type(found).__name__} is no Boltzmann machine.")
    return found


def _tiles(pictures: Array, shape: tuple[int, int] | None, ax: Axes | None, cmap: str, low: float, high: float) -> Axes:
    """Put pictures side by side with a margin of one pixel."""
    count, size = pictures.shape
    side = math.isqrt(size)
    height, width = shape or (side, side)
    if height * width != size:
        raise ValueError(f"shape={shape!r} must hold the {size} columns; give the rows and columns of a picture.")
    across = math.ceil(math.sqrt(count))
    down = math.ceil(count / across)
    board = np.full((down * (height + 1) - 1, across * (width + 1) - 1), np.nan)
    for index, picture in enumerate(pictures):
        top, left = index // across * (height + 1), index % across * (width + 1)
        board[top : top + height, left : left + width] = picture.reshape(height, width)
    ax = axes(ax, (5.0, 5.0 * down / across))
    ax.grid(False)
    ax.imshow(board, cmap=cmap, vmin=low, vmax=high, interpolation="nearest")
    ax.set_axis_off()
    return ax
