"""An effect with its uncertainty: values, their covariance, and bands that hold point by point or all at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from reglm.inference.averages import Averages
from reglm.inference.estimates import Estimates
from reglm.parameters import Array

if TYPE_CHECKING:
    import pandas as pd

DRAWS = 10_000
"""Simulations behind a simultaneous band."""


@dataclass(frozen=True, eq=False)
class Effect:
    """Values of an effect and their uncertainty.

    Parameters
    ----------
    grid : mapping of str to sequence (m,)
        Where: values of the input or inputs.
    value : ndarray (m,)
    covariance : ndarray (m, m)
        By the delta method; NaN where standard errors are refused, and `notes` say why.
    df : float
        Degrees of freedom of Student's t; infinite for the normal distribution.
    notes : list of str
    """

    grid: Mapping[str, Sequence[Any]]
    value: Array
    covariance: Array
    df: float = np.inf
    notes: list[str] = field(default_factory=list)

    @property
    def has_bands(self) -> bool:
        """Whether there are standard errors."""
        return bool(np.isfinite(self.covariance).all())

    @property
    def se(self) -> Array:
        """Standard errors (m,)."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))

    def conf_int(self, alpha: float = 0.05, *, simultaneous: bool = False, seed: int = 0) -> Array:
        """Ends (m, 2) of intervals of level ``1 - alpha``.

        Parameters
        ----------
        alpha : float
        simultaneous : bool
            Whether all intervals together have that level: the critical value is then the quantile of the largest
            ``|t|`` over the grid, simulated (Ruppert, Wand & Carroll 2003, section 6.5).
        seed : int
            Of the simulation.

        Raises
        ------
        ValueError
            If `alpha` is not between 0 and 1.
        """
        if not 0.0 < alpha < 1.0:
            raise ValueError(f"alpha={alpha!r} must be between 0 and 1; 0.05 gives 95% intervals.")
        critical = self._largest_t(alpha, seed) if simultaneous else stats.t.isf(alpha / 2, self.df)
        half = critical * self.se
        return np.column_stack([self.value - half, self.value + half])

    def _largest_t(self, alpha: float, seed: int) -> float:
        """Quantile of ``max |t|`` over the points whose value is uncertain."""
        moving = self.se > 1e-12 * np.nanmax(self.se, initial=0.0)
        if not self.has_bands or not moving.any():
            return float(stats.t.isf(alpha / 2, self.df))
        R = self.covariance[np.ix_(moving, moving)] / np.outer(self.se[moving], self.se[moving])
        roots, vectors = np.linalg.eigh((R + R.T) / 2)
        rng = np.random.default_rng(seed)
        z = rng.standard_normal((DRAWS, len(roots))) @ (vectors * np.sqrt(np.maximum(roots, 0.0))).T
        scale = np.ones(DRAWS) if np.isinf(self.df) else np.sqrt(rng.chisquare(self.df, DRAWS) / self.df)
        return float(np.quantile(np.abs(z).max(axis=1) / scale, 1 - alpha))

    def as_frame(self, alpha: float = 0.05, *, simultaneous: bool = False, seed: int = 0) -> pd.DataFrame:
        """Table (m, inputs + 4): the grid, ``effect``, ``std err``, ``low`` and ``high``; see `conf_int`."""
        import pandas as pd

        low, high = self.conf_int(alpha, simultaneous=simultaneous, seed=seed).T
        columns = {name: list(values) for name, values in self.grid.items()}
        return pd.DataFrame(columns | {"effect": self.value, "std err": self.se, "low": low, "high": high})

    def _repr_html_(self) -> str:
        return self.as_frame()._repr_html_()

    def __repr__(self) -> str:
        return "\n".join([repr(self.as_frame()), *(f"[{i}] {note}" for i, note in enumerate(self.notes, 1))])


def effect(results: Estimates, averages: Averages, grid: Mapping[str, Sequence[Any]]) -> Effect:
    """Effect made of averages at the results' covariance of theta.

    Parameters
    ----------
    results : Estimates
    averages : Averages
        Of m values, with their gradient unless standard errors are refused.
    grid : mapping of str to sequence (m,)
    """
    m = len(averages.value)
    df = float(results.df_inference) if results.use_t else np.inf
    if results.refusal:
        notes = [f"No standard errors: {results.refusal}"]
        return Effect(grid, averages.value, np.full((m, m), np.nan), df, notes)
    V = np.nan_to_num(results.cov_theta(), nan=0.0)  # aliased parameters are held at zero
    return Effect(grid, averages.value, averages.covariance(V), df, list(results.notes))
