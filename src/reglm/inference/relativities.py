"""Relativities of factors: by what the mean, or the odds, of a level is multiplied against the largest level.

In a generalized linear model they are ``exp(beta)``, taken against the level of largest exposure whatever the
reference of the model is; the covariance of the contrasts gives their intervals. In a network they are ratios of
averages: all rows at the level to all rows at the base.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from reglm.inference.averages import Averages, stacked
from reglm.inference.bands import Effect, effect
from reglm.inference.coded import label
from reglm.inference.estimates import Estimates
from reglm.inference.marginal import means_of
from reglm.inference.sample import Sample
from reglm.parameters import Array

if TYPE_CHECKING:
    import pandas as pd

KINDS = {"log": "relativity", "logit": "odds ratio"}
"""What the exponential of an effect on the linear predictor is, by the link."""


@dataclass(frozen=True, eq=False, repr=False)
class Relativities:
    """Relativities of the levels of factors.

    Parameters
    ----------
    kind : {"relativity", "odds ratio"}
    effects : dict of str to Effect
        Logarithms of the relativities of each factor; their grids have the level and its share of the exposure.
    notes : list of str
    """

    kind: str
    effects: dict[str, Effect]
    notes: list[str] = field(default_factory=list)

    def as_frame(self, alpha: float = 0.05) -> pd.DataFrame:
        """Table with a row for each ``input`` and ``level``.

        Parameters
        ----------
        alpha : float
            Intervals, exponentials of those for the logarithm, have level ``1 - alpha``.

        Returns
        -------
        DataFrame (levels, 5)
            ``exposure`` (share), the relativity, ``std err`` of its logarithm, ``low``, ``high``.
        """
        import pandas as pd

        parts = []
        for found in self.effects.values():
            table = found.as_frame(alpha)
            shown = {"exposure": table["exposure"], self.kind: np.exp(table["effect"]), "std err": table["std err"]}
            ends = {name: np.exp(table[name]) for name in ("low", "high")}
            parts.append(pd.DataFrame(shown | ends).set_axis(table["level"]))
        return pd.concat(parts, keys=list(self.effects), names=["input", "level"])

    def _repr_html_(self) -> str:
        return self.as_frame()._repr_html_() + "".join(f"<p>[{i}] {note}</p>" for i, note in enumerate(self.notes, 1))

    def __repr__(self) -> str:
        return "\n".join([repr(self.as_frame()), *(f"[{i}] {note}" for i, note in enumerate(self.notes, 1))])


def relativities(
    results: Estimates, rows: Sample, columns: Sequence[str] | None = None, *, output: int = 0
) -> Relativities:
    """Relativities of factors; see `reglm.inference.effects.Effects.relativities` for the arguments."""
    kind = _kind(results)
    factors = {name: rows.reader.levels(rows.X, name) for name in rows.reader.columns if columns is None}
    factors |= {name: rows.reader.levels(rows.X, name) for name in columns or ()}
    if columns is not None and any(levels is None for levels in factors.values()):
        numeric = [name for name, levels in factors.items() if levels is None]
        raise ValueError(f"columns: {numeric} are numeric inputs, without levels; use marginal_effects.")
    known = {name: levels for name, levels in factors.items() if levels is not None}
    if not known:
        raise ValueError("there is no categorical input to show, or its levels cannot be told without X: pass X.")
    exposure = exposures(results, rows, output)
    found = {name: _factor(results, rows, name, levels, exposure, output) for name, levels in known.items()}
    bases = [f"{name}[{f.grid['level'][int(np.argmax(f.grid['exposure']))]}]" for name, f in found.items()]
    notes = next(iter(found.values())).notes
    return Relativities(kind, found, [f"Against the levels of largest exposure: {', '.join(bases)}.", *notes])


def _kind(results: Estimates) -> str:
    likelihood = results.fit.likelihood
    eta = np.zeros((1, likelihood.network.outputs()))
    one_mean_each = likelihood.response.mean(eta, likelihood.shape(results.fit.theta)).shape == eta.shape
    if likelihood.link.name not in KINDS or not one_mean_each:
        raise ValueError(
            "relativities need a log or logit link and a mean for each linear predictor, got family "
            f"{likelihood.family.name!r} with link {likelihood.link.name!r}; use marginal_effects."
        )
    return KINDS[likelihood.link.name]


def exposures(results: Estimates, rows: Sample, output: int = 0) -> Array:
    """Exposure (n,) of each row: its weight, times ``exp(offset)`` for a log link, and the trials of training rows."""
    fit = results.fit
    found = rows.weights.copy()
    if fit.likelihood.link.name == "log":
        found *= np.exp(rows.coded()[1][:, output])
    if fit.data is not None and rows.X is fit.data.X:
        found *= np.broadcast_to(fit.likelihood.family.size(fit.data.y), (len(found), 1))[:, 0]
    return found / found.sum()


def _factor(results: Estimates, rows: Sample, name: str, levels: list[Any], exposure: Array, output: int) -> Effect:
    """Logarithms of the relativities of one factor."""
    codes = rows.reader.values(rows.X, name).astype(int)
    shares = np.array([exposure[codes == code].sum() for code in range(len(levels))])
    on_link = results.fit.is_linear and results.fit.likelihood.link.name == "logit"
    means = means_of(results, output, "link" if on_link else "response")
    averages = stacked([rows.at(name, level).average(means) for level in levels])
    logs = averages if on_link else _logs(averages, results.fit.likelihood.link.name)
    contrasts = np.eye(len(levels))
    contrasts[:, int(np.argmax(shares))] -= 1.0
    return effect(results, logs.combined(contrasts), {"level": list(map(label, levels)), "exposure": shares.tolist()})


def _logs(averages: Averages, link: str) -> Averages:
    """Logarithms of means, or of their odds."""
    m = averages.value
    if link == "log":
        return averages.transformed(np.log(m), 1 / m)
    return averages.transformed(np.log(m / (1 - m)), 1 / (m * (1 - m)))
