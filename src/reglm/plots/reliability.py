"""Calibration without groups, and scores at every threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from reglm.families import Family
from reglm.inference.calibration import Loss, Murphy, elementary_scores, loss, recalibrated
from reglm.inference.calibration import murphy as decompose
from reglm.parameters import Array
from reglm.plots.source import Rows, classifies, record, response_name, rows
from reglm.plots.style import PALE, axes, label, legend, next_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes

THRESHOLDS = 400
STRIP = 0.12
"""Height of the histogram, as a share of the axes."""


def decomposition(
    model: Any, X: Any = None, y: Any = None, *, family: str | Family | None = None, exposure: Any = None,
    sample_weight: Any = None, output: int | None = None,
) -> Murphy:  # fmt: skip
    """Miscalibration, discrimination and uncertainty of a model: the parts of its mean deviance.

    Parameters
    ----------
    model, X, y, exposure, sample_weight, output
        See `calibration`.
    family : str or Family, optional
        Whose deviance; by default that of the model, of the bernoulli for other libraries' classifiers and of
        the gaussian for their regressors. ``"gaussian"`` gives Brier's score of probabilities.

    Returns
    -------
    Murphy
        ``score = miscalibration - discrimination + uncertainty``.
    """
    return decompose(*rows(model, X, y, exposure, sample_weight, output), _loss(model, family))


def _loss(model: Any, family: str | Family | None) -> Loss:
    if family is not None:
        return loss(family)
    if classifies(model):
        return loss("bernoulli")
    try:
        fit = record(model)
    except ValueError:  # another library's model
        return loss("gaussian")
    return loss(fit.likelihood.family, fit.likelihood.shape(fit.theta))


def reliability(
    model: Any,
    X: Any = None,
    y: Any = None,
    *,
    family: str | Family | None = None,
    exposure: Any = None,
    sample_weight: Any = None,
    level: float = 0.95,
    resamples: int = 100,
    seed: int = 0,
    output: int | None = None,
    ax: Axes | None = None,
    name: str | None = None,
    color: str | None = None,
) -> Axes:
    """Draw the isotonic recalibration of fitted means: a reliability diagram without groups to choose.

    Parameters
    ----------
    model, X, y, exposure, sample_weight, output
        See `calibration`.
    family
        See `decomposition`.
    level : float
        Of the band, pointwise from bootstrap samples of rows.
    resamples : int
        0 leaves the band out.
    seed : int
    ax, name, color
        See `training_curve`.

    Returns
    -------
    matplotlib Axes
        On the line, the model is calibrated. The legend has the parts of the mean deviance, MCB - DSC + UNC
        (Dimitriadis, Gneiting & Jordan 2021); the strip at the bottom shows where the fitted means lie.
    """
    found = rows(model, X, y, exposure, sample_weight, output)
    parts = decompose(*found, _loss(model, family))
    ax = axes(ax, (4.8, 4.4))
    color, fresh = next_color(ax, color), not ax.lines
    order = np.argsort(found.fitted)
    x = found.fitted[order]
    if resamples:
        low, high = _band(found, x, level, resamples, seed)
        ax.fill_between(x, low, high, color=color, alpha=0.15, lw=0)
    text = f"MCB {parts.miscalibration:.3g}, DSC {parts.discrimination:.3g}, UNC {parts.uncertainty:.3g}"
    line = recalibrated(*found)[order]
    ax.plot(x, line, color=color, lw=1.8, label=f"{name}: {text}" if name else text)
    if fresh:
        low_end, high_end = min(x[0], line[0]), max(x[-1], line[-1])
        ax.axline((low_end, low_end), slope=1.0, color="#888888", lw=1.0, ls=(0, (4, 3)), zorder=1)
        _strip(ax, found, (low_end, high_end))
    response, rate = response_name(model, output), " per unit of exposure" if exposure is not None else ""
    label(ax, f"fitted mean of {response}{rate}", f"recalibrated mean of {response}{rate}")
    legend(ax, loc="upper left")
    return ax


def _band(found: Rows, x: Array, level: float, resamples: int, seed: int) -> tuple[Array, Array]:
    """Pointwise bootstrap band of the isotonic means at x."""
    from sklearn.isotonic import IsotonicRegression

    rng, n = np.random.default_rng(seed), len(found.fitted)
    drawn = []
    for which in rng.integers(0, n, (resamples, n)):
        model = IsotonicRegression(out_of_bounds="clip")
        drawn.append(model.fit(found.fitted[which], found.observed[which], found.weights[which]).predict(x))
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def _strip(ax: Axes, found: Rows, span: tuple[float, float]) -> None:
    """Draw a histogram of the fitted means along the bottom, on a scale of its own."""
    margin = 0.04 * (span[1] - span[0])
    ax.set_xlim(span[0] - margin, span[1] + margin)
    ax.set_ylim(span[0] - margin, span[1] + margin)
    count, edges = np.histogram(found.fitted, bins=40, weights=found.weights)
    height = STRIP * count / count.max()
    ax.bar(edges[:-1], height, np.diff(edges), align="edge", color=PALE, lw=0, zorder=0,
           transform=ax.get_xaxis_transform())  # fmt: skip


def murphy(
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
    """Draw the mean elementary score at every threshold; draw several models on the same axes to compare them.

    Parameters
    ----------
    model, X, y, exposure, sample_weight, output
        See `calibration`.
    ax, name, color
        See `training_curve`.

    Returns
    -------
    matplotlib Axes
        Every deviance of means averages this curve with weights of its own (Ehm, Gneiting, Jordan & Kruger
        2016): a model that lies below another one everywhere is better whatever the deviance.
    """
    found = rows(model, X, y, exposure, sample_weight, output)
    low, high = np.quantile(np.concatenate([found.fitted, found.observed]), [0.0, 0.995])
    high = max(high, found.fitted.max())
    thresholds = np.linspace(low, high, THRESHOLDS)
    ax = axes(ax)
    color = next_color(ax, color)
    ax.plot(thresholds, elementary_scores(*found, thresholds), color=color, lw=1.8, label=name)
    ax.set_ylim(bottom=0.0)
    label(ax, f"threshold for the mean of {response_name(model, output)}", "mean elementary score")
    legend(ax, loc="upper right")
    return ax
