"""The mean as inputs vary: partial dependence, accumulated local effects, individual curves."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from reglm.inference.averages import Averages, Means, stacked
from reglm.inference.bands import Effect, effect
from reglm.inference.coded import label
from reglm.inference.estimates import Estimates
from reglm.inference.marginal import means_of
from reglm.inference.sample import Sample
from reglm.inference.similarity import similarity_order
from reglm.parameters import Array

if TYPE_CHECKING:
    import pandas as pd

POINTS = {1: 40, 2: 12}
"""Values on the grid of a numeric input, by the number of inputs that vary."""
ORDERS = ("similarity", "levels")


def partial_dependence(
    results: Estimates,
    rows: Sample,
    columns: str | Sequence[str],
    *,
    points: int | None = None,
    scale: str = "response",
    output: int = 0,
    max_rows: int = 2000,
) -> Effect:
    """Average mean of the rows with one or two inputs set to values of a grid (Friedman 2001).

    See `reglm.inference.effects.Effects.partial_dependence` for the arguments.
    """
    names = [columns] if isinstance(columns, str) else list(columns)
    if len(names) not in POINTS:
        raise ValueError(f"column={columns!r} must be the name of one input or a pair of names.")
    means = means_of(results, output, scale)
    combinations = list(product(*(rows.grid(name, POINTS[len(names)] if points is None else points) for name in names)))
    rows = rows.thinned(max_rows)
    averages = stacked([_set(rows, names, values).average(means) for values in combinations])
    shown = [_shown(rows, name, values) for name, values in zip(names, zip(*combinations, strict=True), strict=True)]
    return effect(results, averages, dict(zip(names, shown, strict=True)))


def _set(rows: Sample, names: Sequence[str], values: Sequence[Any]) -> Sample:
    for name, value in zip(names, values, strict=True):
        rows = rows.at(name, value)
    return rows


def _shown(rows: Sample, name: str, values: Sequence[Any]) -> list[Any]:
    """Values as tables show them: levels by name."""
    return list(values) if rows.reader.levels(rows.X, name) is None else list(map(label, values))


def individual_curves(
    results: Estimates,
    rows: Sample,
    column: str,
    *,
    points: int | None = None,
    scale: str = "response",
    output: int = 0,
    centred: bool = False,
    max_rows: int = 50,
) -> pd.DataFrame:
    """Means (rows, values) of each row as one input varies (Goldstein et al. 2015).

    See `reglm.inference.effects.Effects.individual_curves` for the arguments.
    """
    import pandas as pd

    means = means_of(results, output, scale)
    grid = rows.grid(column, POINTS[1] if points is None else points)
    rows = rows.thinned(max_rows)
    curves = np.column_stack([means.values(*rows.at(column, value).coded()) for value in grid])
    if centred:
        curves = curves - curves[:, :1]
    index = getattr(rows.X, "index", None)
    return pd.DataFrame(curves, index=index, columns=pd.Index(_shown(rows, column, grid), name=column))


# -- accumulated local effects -------------------------------------------------------------------------------


def ale(
    results: Estimates,
    rows: Sample,
    column: str,
    *,
    bins: int = 20,
    order: str = "similarity",
    scale: str = "response",
    output: int = 0,
) -> Effect:
    """Accumulated local effect of an input, average zero (Apley & Zhu 2020).

    See `reglm.inference.effects.Effects.ale` for the arguments.
    """
    if order not in ORDERS:
        raise ValueError(f"order={order!r} is not known; choose one of {list(ORDERS)}.")
    if bins < 1:
        raise ValueError(f"bins={bins} must be 1 or more.")
    means = means_of(results, output, scale)
    rows = rows.rows(np.flatnonzero(rows.weights > 0))
    levels = rows.reader.levels(rows.X, column)
    if levels is None:
        where, steps, shares = _numeric_steps(means, rows, column, bins)
        return effect(results, steps.combined(_accumulated(shares)), {column: where})
    codes = rows.reader.values(rows.X, column).astype(int)
    present = [code for code in range(len(levels)) if np.any(codes == code)]
    if order == "similarity":
        present = similarity_order(rows, column, present)
    steps, shares = _level_steps(means, rows, column, [levels[code] for code in present], codes, present)
    return effect(results, steps.combined(_accumulated(shares)), {column: [label(levels[c]) for c in present]})


def _accumulated(shares: Array) -> Array:
    """Matrix (m, m - 1) that sums steps up and centres the sums; `shares` (m,) of the rows at each of them."""
    sums = np.tri(len(shares), len(shares) - 1, k=-1)
    return sums - shares @ sums


def _numeric_steps(means: Means, rows: Sample, name: str, bins: int) -> tuple[list[float], Averages, Array]:
    """Edges of the bins, average difference of the mean over each bin, and shares of the rows at each edge.

    Half the rows of a bin count for either of its edges.
    """
    x = rows.reader.values(rows.X, name)
    edges = np.unique(np.quantile(x, np.linspace(0, 1, bins + 1), method="inverted_cdf"))
    if len(edges) == 1:
        raise ValueError(f"input {name!r} is {edges[0]:g} in every row of X, so that it has no effect to show.")
    bin_of = np.maximum(np.searchsorted(edges, x), 1) - 1
    total = np.bincount(bin_of, rows.weights, minlength=len(edges) - 1)
    weights = np.zeros((len(x), len(total)))
    weights[np.arange(len(x)), bin_of] = rows.weights / total[bin_of]
    up, down = (means.average(*rows.at(name, edges[bin_of + s]).coded(), weights) for s in (1, 0))
    shares = (np.append(total, 0.0) + np.append(0.0, total)) / 2
    return edges.tolist(), Averages(up.value - down.value, up.gradient - down.gradient), shares


def _level_steps(
    means: Means, rows: Sample, name: str, levels: list[Any], codes: Array, present: list[int]
) -> tuple[Averages, Array]:
    """Average difference between neighbouring levels over the rows of both, and shares of the levels."""
    place = np.empty(max(present) + 1, dtype=int)
    place[present] = np.arange(len(present))
    at, last, n = place[codes], len(levels) - 1, len(codes)
    shares = np.bincount(at, rows.weights, minlength=len(levels))
    pairs = shares[1:] + shares[:-1]
    found = []
    for shift in (1, -1):  # rows moved one level up, then one level down
        weights = np.zeros((n, last))
        moved = np.flatnonzero((at < last) if shift == 1 else (at > 0))
        step = np.minimum(at, at + shift)[moved]
        weights[moved, step] = shift * rows.weights[moved] / pairs[step]
        target = np.array(levels, dtype=object)[np.clip(at + shift, 0, last)]
        there = means.average(*rows.at(name, target).coded(), weights)
        here = means.average(*rows.coded(), weights)
        found.append(Averages(there.value - here.value, there.gradient - here.gradient))
    up, down = found
    return Averages(up.value + down.value, up.gradient + down.gradient), shares
