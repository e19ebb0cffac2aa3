"""Average marginal effects with standard errors by the delta method.

A continuous input's effect is the average slope of the mean, a level's the average difference from the mean at
the reference level (Greene 2018, section 17.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from reglm.inference.averages import Averages, Means, stacked
from reglm.inference.bands import Effect, effect
from reglm.inference.coded import CodedRows, label
from reglm.inference.estimates import Estimates
from reglm.inference.sample import Sample
from reglm.inference.tables import Summary
from reglm.parameters import Array

if TYPE_CHECKING:
    import pandas as pd

PLACES = ("overall", "mean")


@dataclass(frozen=True, eq=False, repr=False)
class MarginalEffects:
    """Table of marginal effects.

    Parameters
    ----------
    effect : Effect
        Its grid has the ``input`` and the ``level``, None for a numeric input.
    title : str
    header : list of (str, str)
    """

    effect: Effect
    title: str
    header: list[tuple[str, str]]

    @property
    def labels(self) -> list[str]:
        """Names of the effects: ``input``, or ``input[level]``."""
        pairs = zip(self.effect.grid["input"], self.effect.grid["level"], strict=True)
        return [name if level is None else f"{name}[{level}]" for name, level in pairs]

    def as_frame(self, alpha: float = 0.05) -> pd.DataFrame:
        """Table (m, 6): ``effect``, ``std err``, ``z`` or ``t``, its p-value and interval ends."""
        import pandas as pd

        found, low_high = self.effect, self.effect.conf_int(alpha)
        with np.errstate(divide="ignore", invalid="ignore"):
            z = found.value / found.se
        letter = "z" if np.isinf(found.df) else "t"
        return pd.DataFrame(
            {
                "effect": found.value,
                "std err": found.se,
                letter: z,
                f"P>|{letter}|": 2 * stats.t.sf(np.abs(z), found.df),
                f"[{alpha / 2:g}": low_high[:, 0],
                f"{1 - alpha / 2:g}]": low_high[:, 1],
            },
            index=self.labels,
        )

    def summary(self, alpha: float = 0.05) -> Summary:
        """Printable table, with intervals of level ``1 - alpha``."""
        return Summary(self.title, self.header, [], self.as_frame(alpha), self.effect.notes)

    def _repr_html_(self) -> str:
        return self.summary().as_html()

    def __repr__(self) -> str:
        return self.summary().as_text()


def marginal_effects(
    results: Estimates,
    rows: Sample,
    columns: Sequence[str] | None = None,
    *,
    at: str = "overall",
    scale: str = "response",
    output: int = 0,
    dummy: bool = False,
) -> MarginalEffects:
    """Marginal effects of inputs; see `reglm.inference.effects.Effects.marginal_effects` for the arguments."""
    if at not in PLACES:
        raise ValueError(f"at={at!r} is not known; choose one of {list(PLACES)}.")
    means = means_of(results, output, scale)
    parts: list[Averages] = []
    grid: list[tuple[str, str | None]] = []
    for name in rows.reader.columns if columns is None else columns:
        levels = rows.reader.levels(rows.X, name)
        if levels is not None:
            parts.append(_differences(means, rows, name, levels, at))
            grid += [(name, label(level)) for level in levels[1:]]
            continue
        is_dummy = dummy and np.isin(rows.reader.values(rows.X, name), (0.0, 1.0)).all()
        parts.append(_differences(means, rows, name, [0.0, 1.0], at) if is_dummy else _slope(means, rows, name, at))
        grid.append((name, None))
    found = effect(results, stacked(parts), dict(zip(("input", "level"), zip(*grid, strict=True), strict=True)))
    found.notes.extend(_notes(rows, columns))
    header = [("Effects on", f"the {'mean' if scale == 'response' else 'linear predictor'}"), ("At", at)]
    return MarginalEffects(found, "Marginal effects", header)


def means_of(results: Estimates, output: int, scale: str = "response") -> Means:
    """Means at the results' estimates, with gradients where there are standard errors; aliased parameters are zero."""
    theta = np.nan_to_num(np.asarray(results.theta, dtype=float), nan=0.0)
    return Means(results.fit, output, scale, theta, gradient=not results.refusal)


def _notes(rows: Sample, columns: Sequence[str] | None) -> list[str]:
    reader = rows.reader
    references = {name: reader.levels(rows.X, name) for name in (reader.columns if columns is None else columns)}
    told = [f"{name}[{label(levels[0])}]" for name, levels in references.items() if levels is not None]
    notes = [f"Effects of levels are differences from {', '.join(told)}."] if told else []
    if columns is None and isinstance(reader, CodedRows) and reader.hidden:
        notes.append(f"Effects of categorical inputs ({', '.join(reader.hidden)}) need the data frame: pass X.")
    return notes


def _average(means: Means, rows: Sample, weights: Array, at: str) -> Averages:
    """Weighted sum over the rows, or the value at their average row times the sum of the weights."""
    X, offset = rows.coded()
    if at == "overall":
        return means.average(X, offset, weights[:, None])
    centre = np.asarray(rows.weights @ X).reshape(1, -1)
    X = type(X)(centre) if hasattr(X, "tocsr") else centre
    return means.average(X, (rows.weights @ offset)[None], np.array([[weights.sum()]]))


def _differences(means: Means, rows: Sample, name: str, levels: Sequence[Any], at: str) -> Averages:
    """Differences of the levels from the first."""
    found = stacked([_average(means, rows.at(name, level), rows.weights, at) for level in levels])
    return found.combined(np.column_stack([-np.ones(len(levels) - 1), np.eye(len(levels) - 1)]))


def _slope(means: Means, rows: Sample, name: str, at: str) -> Averages:
    """Average derivative of the parabola through three close points; none beyond the values that the rows have."""
    x = rows.reader.values(rows.X, name)
    dtype = rows.coded()[0].dtype
    h = np.finfo(dtype).eps ** (1 / 3) * (x.std() or max(abs(x[0]), 1.0))
    middle = (np.clip(x, x.min() + h, x.max() - h) if np.ptp(x) > 2 * h else x).astype(dtype)
    behind, middle, ahead = ((middle + s * h).astype(dtype).astype(float) for s in (-1, 0, 1))
    step = (ahead - behind) / 2  # what the rows really move by
    u = np.where(np.abs(x - middle) > h / 2, (x - middle) / step, 0.0)
    slopes = ((behind, u - 0.5), (middle, -2 * u), (ahead, u + 0.5))
    parts = [_average(means, rows.at(name, moved), rows.weights * slope / step, at) for moved, slope in slopes]
    return stacked(parts).combined(np.ones((1, 3)))
