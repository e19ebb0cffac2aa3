"""Linear functions of estimates: the statistic that tests them together, and tables of them one by one."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from reglm.inference import latex
from reglm.inference.test_result import TestOutcome
from reglm.parameters import Array

if TYPE_CHECKING:
    import pandas as pd

SINGULAR = 1e-10
"""Below this share of the largest, an eigenvalue of the correlations of contrasts counts as zero."""


@dataclass(frozen=True, repr=False)
class WaldOutcome(TestOutcome):
    """A Wald test with the contrasts it rests on.

    Parameters
    ----------
    labels : tuple of str
    estimate : ndarray (q,)
        ``R b - r``.
    covariance : ndarray (q, q)
    """

    labels: tuple[str, ...] = ()
    estimate: Array = field(default_factory=lambda: np.zeros(0))
    covariance: Array = field(default_factory=lambda: np.zeros((0, 0)))


@dataclass(frozen=True, repr=False)
class Contrasts:
    """Linear functions of the parameters, each with its own test.

    Parameters
    ----------
    table : DataFrame (q, 6)
        coef, std err, z or t, P>|z|, and the ends of the interval.
    """

    table: pd.DataFrame

    def as_frame(self) -> pd.DataFrame:
        """The table, unrounded."""
        return self.table.copy()

    @property
    def effect(self) -> Array:
        """Estimates of ``R b`` (q,)."""
        return self.table.iloc[:, 0].to_numpy()

    @property
    def sd(self) -> Array:
        """Standard errors (q,)."""
        return self.table.iloc[:, 1].to_numpy()

    @property
    def tvalue(self) -> Array:
        """Distances from r in standard errors (q,)."""
        return self.table.iloc[:, 2].to_numpy()

    @property
    def pvalue(self) -> Array:
        """Two-sided p-values (q,)."""
        return self.table.iloc[:, 3].to_numpy()

    def conf_int(self) -> Array:
        """Ends of the intervals (q, 2)."""
        return self.table.iloc[:, 4:].to_numpy()

    def __str__(self) -> str:
        return self.table.to_string(float_format=lambda v: f"{v:.4g}")

    __repr__ = __str__

    def as_latex(self) -> str:
        """LaTeX, with the rules of booktabs; names are escaped."""
        rows = [
            [str(label), *(f"{v:.4g}" for v in row)]
            for label, row in zip(self.table.index, self.table.to_numpy(), strict=True)
        ]
        return latex.tabular(["", *map(str, self.table.columns)], rows) + "\n"

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(str(column))}</th>" for column in ["", *self.table.columns])
        rows = "".join(
            f"<tr><th>{escape(str(label))}</th>" + "".join(f"<td>{v:.4g}</td>" for v in row) + "</tr>"
            for label, row in zip(self.table.index, self.table.to_numpy(), strict=True)
        )
        return f"<table class='reglm-test'><tr>{head}</tr>{rows}</table>"


def wald_statistic(estimate: Array, V: Array) -> tuple[float, int]:
    """``d' V^- d`` and the rank of V, for contrasts d (q,) with covariance V (q, q) (Wald 1943).

    Raises
    ------
    ValueError
        If hypotheses contradict one another, or one has no variance.
    """
    diagonal = np.diag(V)
    if np.any(diagonal <= 0):
        raise ValueError(f"hypothesis {int(np.argmin(diagonal)) + 1} has variance zero and cannot be tested.")
    scale = np.sqrt(diagonal)
    values, vectors = np.linalg.eigh(V / np.outer(scale, scale))
    kept = values > SINGULAR * values[-1]
    along = vectors.T @ (estimate / scale)
    if np.any(np.abs(along[~kept]) > np.sqrt(SINGULAR) * max(1.0, float(np.abs(along).max()))):
        raise ValueError("the hypotheses contradict one another, or ask for more than the covariance has ranks.")
    return float(np.sum(along[kept] ** 2 / values[kept])), int(kept.sum())
