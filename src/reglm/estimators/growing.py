"""Start values of a network from the estimates of a smaller one, or of one with other inputs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from reglm.parameters import Array
from reglm.record import Fit

TAKES_INPUTS = ("hidden1.W", "skip.W")
"""Weights whose rows belong to columns of the model matrix."""


class Parent(NamedTuple):
    """Estimates to start from: named arrays, and names of the columns of the model matrix."""

    arrays: dict[str, Array]
    columns: list[str]

    @classmethod
    def of(cls, fit: Fit) -> Parent:
        """Estimates of a fit."""
        return cls(dict(fit.likelihood.layout.views(fit.theta)), list(map(str, fit.input_names)))

    def to_dict(self) -> dict[str, Any]:
        """JSON form; numbers come back exactly."""
        return {"arrays": {name: value.tolist() for name, value in self.arrays.items()}, "columns": self.columns}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Parent:
        """Rebuild from `to_dict`'s result."""
        return cls({name: np.asarray(value) for name, value in saved["arrays"].items()}, saved["columns"])


def grown(parent: Parent, fit: Fit, rng: np.random.Generator) -> Array | None:
    """Start (P,) for a network at the estimates of another.

    New units get random weights in and none out, so that the linear predictor is the parent's; inputs that the parent
    lacks get none.

    Parameters
    ----------
    parent : Parent
    fit : Fit
        Of the network to be started, for its layout and the scale of its columns.
    rng : Generator

    Returns
    -------
    ndarray (P,) or None
        None if the parent has other layers, or more units.
    """
    layout, memory = fit.likelihood.layout, fit.details.get("memory")
    if memory is None or memory.scaling is None or set(parent.arrays) != set(layout.slices):
        return None
    theta = np.asarray(memory.scaling.to_raw(layout.start(rng).astype(fit.theta.dtype)))
    columns = list(map(str, fit.input_names))
    for name, new in layout.views(theta).items():
        old = parent.arrays[name]
        if name in TAKES_INPUTS and old.shape[:1] == (len(parent.columns),):
            rows = [parent.columns.index(c) if c in parent.columns else -1 for c in columns]
            old = np.vstack([old, np.zeros((1, old.shape[1]))])[rows]
        if old.ndim != new.ndim or any(a > b for a, b in zip(old.shape, new.shape, strict=True)):
            return None
        if not name.endswith((".W", ".b")) and old.shape != new.shape:
            return None
        _lay(old, new)
    return theta


def _lay(old: Array, new: Array) -> None:
    """Put the parent's weights in the leading block; nothing enters its units from new ones."""
    if new.ndim == 2:
        new[:, : old.shape[1]] = 0.0
    new[tuple(slice(size) for size in old.shape)] = old
