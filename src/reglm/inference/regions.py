"""What predictions of single responses return: intervals of numbers and sets of labels, with what they promise."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from reglm.inference.prediction import row_labels
from reglm.parameters import Array

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class Region:
    """A prediction of single responses.

    Parameters
    ----------
    alpha : float
        Responses fall outside with at most about this probability.
    method : str
    guarantee : str
        Which coverage is promised, under which assumptions.
    notes : list of str
    index : sequence, optional
        Labels of the rows.
    """

    alpha: float
    method: str
    guarantee: str
    notes: list[str] = field(default_factory=list)
    index: Any = None

    def __repr__(self) -> str:
        line = f"<{type(self).__name__}: alpha={self.alpha:g}, {self.method}>"
        return "\n".join([line, *(part for text in (self.guarantee, *self.notes) for part in textwrap.wrap(text, 78))])


@dataclass(frozen=True, eq=False, repr=False)
class PredictionInterval(Region):
    """Intervals that hold single responses, counts of successes for counts out of a total.

    Parameters
    ----------
    lower, upper : ndarray (n,), or (n, K) for several responses
        Both belong to the interval.
    """

    lower: Array = field(default_factory=lambda: np.zeros(0))
    upper: Array = field(default_factory=lambda: np.zeros(0))

    def covers(self, y: Array) -> Array:
        """Say of each response (n,) or (n, K) whether it is inside."""
        return (self.lower <= y) & (y <= self.upper)

    def summary_frame(self) -> pd.DataFrame:
        """Ends of the intervals, under statsmodels' names."""
        import pandas as pd

        index = row_labels(self.index, len(self.lower), self.lower[:1].size)
        return pd.DataFrame({"obs_ci_lower": self.lower.ravel(), "obs_ci_upper": self.upper.ravel()}, index=index)


@dataclass(frozen=True, eq=False, repr=False)
class LabelSets(Region):
    """Sets that hold the class of single responses.

    Parameters
    ----------
    contains : ndarray of bool (n, K)
        Whether each class belongs to the set of each row; classes are in the order of ``classes_``.
    """

    contains: Array = field(default_factory=lambda: np.zeros((0, 2), dtype=bool))

    @property
    def sizes(self) -> Array:
        """Classes in each set (n,); an empty set calls its row unlike the calibration rows."""
        return self.contains.sum(axis=1)

    def covers(self, codes: Array) -> Array:
        """Say of each class number (n,), from 0, whether it is in its set."""
        return self.contains[np.arange(len(self.contains)), np.asarray(codes, dtype=int)]

    def labels(self, classes: Any) -> list[Array]:
        """Return the sets as arrays of labels, given all labels in the order of ``classes_``."""
        return [np.asarray(classes)[row] for row in self.contains]


def interval(lower: Array, upper: Array, **region: Any) -> PredictionInterval:
    """Return intervals (n, K) without the axis of a single response; see `Region` for the other arguments."""
    one = lower.shape[1] == 1
    return PredictionInterval(lower=lower[:, 0] if one else lower, upper=upper[:, 0] if one else upper, **region)
