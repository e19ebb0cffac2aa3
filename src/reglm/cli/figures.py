"""Figures of the reports: one plot of each kind, several models on the same axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.pipeline import Pipeline

import reglm

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 2


def grid(panels: int, height: float = 3.1) -> tuple[Figure, list[Axes]]:
    """Return a figure with axes in rows of two; a single one stands alone."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    matplotlib.rcParams["svg.hashsalt"] = "reglm"  # the same figure gives the same file
    columns = min(panels, COLUMNS)
    rows = -(-panels // columns)
    figure = Figure(
        figsize=(8.4 if columns > 1 else 5.6, height * rows), layout=ConstrainedLayoutEngine(h_pad=0.1, w_pad=0.1)
    )
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for spare in axes[panels:]:
        spare.remove()
    return figure, axes[:panels]


def calibration_figure(models: Mapping[str, Any], X: Any = None, y: Any = None, response: str = "") -> Figure:
    """Observed against fitted means: a panel for each model and each of its responses, on the same scale."""
    panels = [(name, model, k) for name, model in models.items() for k in outputs(model)]
    figure, axes = grid(len(panels), 3.9)
    for (name, model, k), ax in zip(panels, axes, strict=True):
        reglm.plots.calibration(model, X, y, output=k, ax=ax)
        if response:
            ax.set(xlabel=f"fitted {response}", ylabel=f"observed {response}")
        if len(models) > 1:
            ax.set_title(name, fontsize=11, loc="left")
    high = max(ax.get_xlim()[1] for ax in axes)
    low = min(ax.get_xlim()[0] for ax in axes)
    for ax in axes:
        ax.set(xlim=(low, high), ylim=(low, high))
    return figure


def outputs(model: Any) -> Sequence[int]:
    """Numbers of the responses to draw: of two classes the second, of more all."""
    if hasattr(model, "predict_proba"):
        return (1,) if len(model.classes_) == 2 else range(len(model.classes_))
    if isinstance(model, np.ndarray):
        return (0,)
    last = model[-1] if isinstance(model, Pipeline) else model
    return range(len(last.fit_.output_names))


def effects_figure(
    models: Mapping[str, Any],
    X: Any,
    inputs: Sequence[str],
    labels: Mapping[str, str] | None = None,
    response: str = "",
) -> Figure:
    """Partial effects: a panel for each input, a line for each model."""
    figure, axes = grid(len(inputs))
    labels = labels or {}
    for column, ax in zip(inputs, axes, strict=True):
        for name, model in models.items():
            reglm.plots.partial_effect(model, X, column, ax=ax, name=name, output=outputs(model)[0])
        ax.set_xlabel(labels.get(column, column))
        if response:
            ax.set_ylabel(response)
    if len(models) > 1:
        axes[0].legend(frameon=False, fontsize=9)
    return figure


def training_figure(models: Mapping[str, Any]) -> Figure:
    """Objective by iteration: a panel for each model."""
    figure, axes = grid(len(models))
    for (name, model), ax in zip(models.items(), axes, strict=True):
        reglm.plots.training_curve(model, ax=ax)
        if len(models) > 1:
            ax.set_title(name, fontsize=11, loc="left")
    return figure
