"""How much pairs of inputs interact: Friedman's H statistic."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from reglm.inference.averages import Means
from reglm.inference.estimates import Estimates
from reglm.inference.marginal import means_of
from reglm.inference.sample import Sample
from reglm.parameters import Array

if TYPE_CHECKING:
    import pandas as pd


def h_statistic(
    results: Estimates,
    rows: Sample,
    columns: Sequence[str] | None = None,
    *,
    scale: str = "link",
    output: int = 0,
    max_rows: int = 50,
) -> pd.DataFrame:
    """H of all pairs of inputs; see `reglm.inference.effects.Effects.h_statistic` for the arguments."""
    import pandas as pd

    rows = rows.thinned(max_rows)
    names = list(rows.reader.columns if columns is None else columns)
    if len(names) < 2:
        raise ValueError(f"columns={names}: an interaction needs two inputs or more.")
    means = means_of(results, output, scale)
    single = {name: _dependence(means, rows, [name]) for name in names}
    found = []
    for first, second in combinations(names, 2):
        joint = _dependence(means, rows, [first, second])
        apart = rows.weights @ (joint - single[first] - single[second]) ** 2
        found.append((first, second, *_measures(apart, rows.weights @ joint**2)))
    table = pd.DataFrame(found, columns=["first", "second", "H", "strength"])
    return table.sort_values("strength", ascending=False, ignore_index=True)


def _measures(apart: float, joint: float) -> tuple[float, float]:
    """H, zero where neither input has an effect beyond rounding, and the root of its numerator."""
    return float(np.sqrt(apart / joint)) if joint > 1e-20 else 0.0, float(np.sqrt(apart))


def _dependence(means: Means, rows: Sample, names: Sequence[str]) -> Array:
    """Centred partial dependence (n,) at the values that the rows have."""
    n = len(rows.weights)
    every = rows.rows(np.tile(np.arange(n), n))  # all rows once for each row whose values they take
    for name in names:
        every = every.at(name, np.repeat(rows.raw(name), n))
    found = means.values(*every.coded()).reshape(n, n) @ rows.weights
    return found - rows.weights @ found
