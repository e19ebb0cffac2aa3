"""The result of a comparison: scores row by row, differences with standard errors, a ranking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from reglm.inference.printable import Table
from reglm.parameters import Array

if TYPE_CHECKING:
    import pandas as pd

    from reglm.comparison.judging import Judged

NULL = "null"
"""Name of the model without inputs."""
SCORES = {"log_score": -1.0, "deviance": 1.0}
"""Scores, and the sign that makes the smaller the better."""
HEADS = {
    "log_score": "log score", "log_score_diff": "difference", "log_score_se": "std err", "deviance": "deviance",
    "deviance_diff": "difference", "deviance_se": "std err", "d2": "D2", "parameters": "parameters",
    "seconds": "fit, s",
}  # fmt: skip


@dataclass(frozen=True, repr=False)
class Comparison:
    """Models on the same held-out rows.

    Parameters
    ----------
    log_density, deviance : DataFrame (held-out rows, models)
        Row by row, indexed by the position of the row in the data; of models of sequences, means over the rows of each
        sequence, indexed by its name. Log-densities are NaN without a likelihood, deviances without a response.
    weights : ndarray (held-out rows,)
        Of sequences, their numbers of rows.
    clusters : ndarray (held-out rows,)
        Rows of the same number are dependent: of the same group, or the same row held out repeatedly.
    fits : DataFrame (models, 2)
        ``parameters``, effective degrees of freedom where the model has them, and ``seconds`` of one fit.
    family : str
        Whose deviance this is.
    notes : tuple of str
    """

    log_density: pd.DataFrame
    deviance: pd.DataFrame
    weights: Array
    clusters: Array
    fits: pd.DataFrame
    family: str
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, judged: Mapping[str, Judged], held: Array, weights: Array, clusters: Array, family: str,
        notes: tuple[str, ...], unit: str = "row",
    ) -> Comparison:  # fmt: skip
        """Put models side by side; `held` are the positions of the held-out rows, or the names of the sequences."""
        import pandas as pd

        rows = pd.Index(held, name=unit)
        log_density = pd.DataFrame({name: j.log_density for name, j in judged.items()}, index=rows)
        deviance = pd.DataFrame({name: j.deviance for name, j in judged.items()}, index=rows)
        fits = pd.DataFrame({name: (j.parameters, j.seconds) for name, j in judged.items()}).T
        return cls(
            log_density, deviance, weights, clusters, fits.set_axis(["parameters", "seconds"], axis=1), family, notes
        )

    @property
    def ranking(self) -> list[str]:
        """Names, the best first: by log score where every model has one, otherwise by deviance."""
        score = "deviance" if self.log_density.isna().any(axis=None) else "log_score"
        return [str(name) for name in (SCORES[score] * self._means(score)).sort_values(kind="stable").index]

    def differences(self, score: str = "log_score", to: str | None = None, level: float = 0.95) -> pd.DataFrame:
        """Mean differences of the held-out score to one model, row by row on the same rows.

        Standard errors treat the fitted models as given and clusters of rows as independent. That the folds share
        training rows is not in them (Bengio & Grandvalet 2004): they say how certain the ranking of these fits is on
        new rows, and are too small for fits to new training rows.

        Parameters
        ----------
        score : {"log_score", "deviance"}
        to : str, optional
            By default the model with the best score.
        level : float
            Of the intervals.

        Returns
        -------
        DataFrame (models, 4)
            ``difference``, ``se``, ``low``, ``high``, the best first.

        Raises
        ------
        ValueError
            If the score, model or level is not known.
        """
        import pandas as pd

        if score not in SCORES:
            raise ValueError(f"score={score!r} must be one of {list(SCORES)}.")
        if not 0.0 < level < 1.0:
            raise ValueError(f"level={level!r} must be between 0 and 1.")
        values = self._values(score)
        order = (SCORES[score] * self._means(score)).sort_values(kind="stable").index
        to = order[0] if to is None else to
        if to not in values:
            raise ValueError(f"to={to!r} is none of the models {list(values)}.")
        with np.errstate(invalid="ignore"):  # infinite scores have no difference
            found = [self._mean_and_error((values[name] - values[to]).to_numpy()) for name in order]
        table = pd.DataFrame(found, index=order, columns=["difference", "se"])
        half = stats.norm.ppf((1 + level) / 2) * table["se"]
        return table.assign(low=table["difference"] - half, high=table["difference"] + half)

    def as_frame(self) -> pd.DataFrame:
        """Numbers unrounded, the best model first.

        Returns
        -------
        DataFrame (models, 9)
            ``log_score`` and ``deviance``, means over held-out rows, each with difference to the best and its standard
            error; ``d2``, the share of the null model's deviance that is explained; ``parameters``; ``seconds``.
        """
        parts: dict[str, pd.Series] = {}
        for score in SCORES:
            found = self.differences(score)
            parts |= {score: self._means(score), f"{score}_diff": found["difference"], f"{score}_se": found["se"]}
        d2 = 1.0 - parts["deviance"] / parts["deviance"][NULL]
        return self.fits.assign(**parts, d2=d2).loc[self.ranking, list(HEADS)]

    def as_text(self) -> str:
        """Plain text."""
        return self._table().as_text()

    def as_html(self) -> str:
        """HTML table and notes."""
        return self._table().as_html()

    def as_latex(self) -> str:
        """LaTeX, with the rules of booktabs."""
        return self._table().as_latex()

    def _repr_html_(self) -> str:
        return self.as_html()

    def __str__(self) -> str:
        return self.as_text()

    __repr__ = __str__

    def _values(self, score: str) -> pd.DataFrame:
        return self.log_density if score == "log_score" else self.deviance

    def _means(self, score: str) -> Any:
        values = self._values(score)
        return values.mul(self.weights, axis=0).sum(skipna=False) / self.weights.sum()

    def _mean_and_error(self, d: Array) -> tuple[float, float]:
        """Weighted mean of d (n,), and its standard error from sums over clusters."""
        total = self.weights.sum()
        mean = float(d @ self.weights / total)
        sums = np.bincount(self.clusters, weights=self.weights * (d - mean))[np.unique(self.clusters)]
        if len(sums) < 2:
            return mean, np.nan
        return mean, float(np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()) / total)

    def _table(self) -> Table:
        found = self.as_frame()
        forms = dict.fromkeys(found, "{:.4f}") | {"d2": "{:.1%}", "parameters": "{:.1f}", "seconds": "{:.3f}"}
        shown = found.apply(lambda values: values.map(lambda v: "" if np.isnan(v) else forms[values.name].format(v)))
        n = self.deviance.index.nunique()
        judged = "log score" if self.deviance.isna().all(axis=None) else f"log score and {self.family} deviance"
        title = f"{n} held-out {self.deviance.index.name}s: {judged}, differences to the best"
        return Table(title, shown.rename(columns=HEADS), self.notes)
