"""Rows that pull a fit towards themselves, and a panel of diagnostics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from reglm.parameters import Array
from reglm.plots.residuals import mark_rows, qq, residuals, scale_location
from reglm.plots.source import examined
from reglm.plots.style import COLORS, axes, label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CONTOURS = (0.5, 1.0)
"""Cook's distances that deserve a look (Cook & Weisberg 1982)."""


def leverage(result: Any, *, ax: Axes | None = None, color: str | None = None) -> Axes:
    """Draw studentized Pearson residuals against leverages, with contours of Cook's distance.

    Parameters
    ----------
    result : Results, fitted estimator or Fit
        With one linear predictor.
    ax, color
        See `training_curve`.

    Returns
    -------
    matplotlib Axes
        The rows with the largest Cook's distances carry their numbers, counted from 0.

    Raises
    ------
    ValueError
        If standard errors were refused or there are several linear predictors.
    """
    results = examined(result)
    found = results.get_influence()
    h, r, distance = found.hat_matrix_diag, found.resid_studentized, found.cooks_distance[0]
    if r.ndim == 2:
        raise ValueError("leverage draws one linear predictor; this model has several.")
    ax = axes(ax)
    ax.plot(h, r, "o", ms=4.5, mec="none", alpha=0.6, color=color or COLORS[0])
    ax.axhline(0.0, color="#888888", lw=1.0, ls=(0, (4, 3)), zorder=1)
    finite = np.isfinite(r)
    right, top = min(1.15 * h[finite].max(), 1.0), 1.2 * np.abs(r[finite]).max()
    ax.set_xlim(0.0, right)
    ax.set_ylim(-top, top)
    _contours(ax, right, top, len(found.kept))
    ax.axvline(len(found.kept) / len(h), color="#888888", lw=1.0, ls=":", zorder=1)
    mark_rows(ax, h, r, np.argsort(-np.where(finite, distance, -np.inf)))
    label(ax, "leverage (dotted: average)", "studentized Pearson residual")
    return ax


def _contours(ax: Axes, right: float, top: float, parameters: int) -> None:
    """Draw ``r = sqrt(D Q (1 - h) / h)`` for the distances D of `CONTOURS` that pass through the picture."""
    h = np.linspace(right / 400, right * (1 - 1e-9), 400)
    for distance in CONTOURS:
        r: Array = np.sqrt(distance * parameters * (1 - h) / h)
        seen = r < top
        if not seen.any():
            continue
        for sign in (1, -1):
            ax.plot(h[seen], sign * r[seen], color=COLORS[1], lw=1.1, ls=(0, (5, 3)), zorder=2)
        ax.annotate(
            f"Cook {distance:g}", (h[seen][-1], r[seen][-1]), xytext=(-2, 4 if distance == CONTOURS[-1] else -11),
            textcoords="offset points", ha="right", fontsize=8, color=COLORS[1],
        )  # fmt: skip


def diagnose(result: Any, *, seed: int = 0, color: str | None = None) -> Array:
    """Draw four pictures of a fit: residuals, their quantiles, their spread, and leverage.

    Parameters
    ----------
    result : Results, fitted estimator or Fit
        With one linear predictor.
    seed : int
        Of quantile residuals.
    color : str, optional

    Returns
    -------
    ndarray of matplotlib Axes (2, 2)
        `residuals`, `qq`, `scale_location` and `leverage`.
    """
    import matplotlib.pyplot as plt

    results = examined(result)
    _, found = plt.subplots(2, 2, figsize=(9.6, 7.4), layout="constrained")
    residuals(results, seed=seed, ax=found[0, 0], color=color)
    qq(results, seed=seed, ax=found[0, 1], color=color)
    scale_location(results, seed=seed, ax=found[1, 0], color=color)
    leverage(results, ax=found[1, 1], color=color)
    return np.asarray(found)
