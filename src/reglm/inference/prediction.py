"""Confidence bands for means and linear predictors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from reglm.inference.estimates import Estimates
from reglm.inference.information import in_double
from reglm.inference.moments import Moments, draw_theta, drawn, known, moments, new_rows
from reglm.likelihood import Data, Likelihood
from reglm.parameters import Array

if TYPE_CHECKING:
    import pandas as pd

SCALES = ("mean", "linpred")
METHODS = ("endpoint", "delta", "quantile")


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """Predicted means and linear predictors with standard errors and confidence bands.

    One output has arrays (n,), several have (n, M).

    Parameters
    ----------
    likelihood : Likelihood
        In double precision.
    theta : ndarray (P,)
    V : ndarray (P, P)
        Covariance of theta.
    rows : Data
    reference : frozen SciPy distribution
        Gives the critical values.
    draws : ndarray (D, P), optional
        Draws of theta, whose quantiles then are the bands.
    index : sequence, optional
        Labels of the rows.
    """

    likelihood: Likelihood
    theta: Array
    V: Array
    rows: Data
    reference: Any
    draws: Array | None = None
    index: Any = None

    @cached_property
    def _moments(self) -> Moments:
        return moments(self.likelihood, self.theta, self.V, self.rows)

    @property
    def mean(self) -> Array:
        """Expected responses, shares for counts out of a total, class probabilities."""
        return _squeezed(self._moments.mean)

    @property
    def linpred(self) -> Array:
        """Linear predictors, offset included."""
        return _squeezed(self._moments.eta)

    @property
    def mean_se(self) -> Array:
        """Standard errors of `mean`, by the delta method."""
        return _squeezed(np.sqrt(self._moments.mean_variance))

    @property
    def linpred_se(self) -> Array:
        """Standard errors of `linpred`."""
        return _squeezed(np.sqrt(self._moments.eta_variance))

    @property
    def has_endpoints(self) -> bool:
        """Whether each mean is a monotone function of one linear predictor and of nothing else."""
        family = self.likelihood.family
        same = self._moments.mean.shape == self._moments.eta.shape
        return same and self.likelihood.link.elementwise and family.name not in ("tobit", "ordinal")

    def conf_int(self, alpha: float = 0.05, which: str = "mean", method: str | None = None) -> Array:
        """Pointwise confidence bands.

        Parameters
        ----------
        alpha : float
            Bands have level ``1 - alpha`` at each row.
        which : {"mean", "linpred"}
        method : {"endpoint", "delta", "quantile"}, optional
            "endpoint" carries the band of the linear predictor over to the mean; "delta" is the estimate plus
            and minus a multiple of its standard error, cut at the ends of what a mean can be; "quantile" takes
            the quantiles of the draws of theta. By default "quantile" if there are draws, else "endpoint",
            and "delta" where the mean depends on several parameters (classes, Tobit).

        Returns
        -------
        ndarray (n, 2), or (n, M, 2) for several outputs

        Raises
        ------
        ValueError
            If alpha is not between 0 and 1, or the method is not known or does not suit the model.
        """
        check_alpha(alpha)
        if which not in SCALES:
            raise ValueError(f"which={which!r} is not known; choose one of {list(SCALES)}.")
        if method is None:
            method = "quantile" if self.draws is not None else "endpoint" if self.has_endpoints else "delta"
        self._check(method)
        if method == "quantile":
            ends = self._quantiles(alpha, which)
        elif which == "linpred":
            ends = self._around(self._moments.eta, self._moments.eta_variance, alpha)
        elif method == "endpoint":
            ends = self._endpoints(alpha)
        else:
            domain = self.likelihood.family.domain
            ends = self._around(self._moments.mean, self._moments.mean_variance, alpha).clip(domain.low, domain.high)
        return ends[:, 0] if ends.shape[1] == 1 else ends

    def _check(self, method: str) -> None:
        if method not in METHODS:
            raise ValueError(f"method={method!r} is not known; choose one of {list(METHODS)}.")
        if method == "quantile" and self.draws is None:
            raise ValueError("method='quantile' needs draws: get_prediction(method='simulation') or a bootstrap.")
        if method == "endpoint" and not self.has_endpoints:
            raise ValueError(
                f"method='endpoint' needs means that depend on one linear predictor each, which those of family "
                f"{self.likelihood.family.name!r} do not; use method='delta'."
            )

    def _around(self, value: Array, variance: Array, alpha: float) -> Array:
        """Value plus and minus a multiple of its standard error, (n, M, 2)."""
        half = self.reference.isf(alpha / 2.0) * np.sqrt(variance)
        return np.stack([value - half, value + half], axis=2)

    def _endpoints(self, alpha: float) -> Array:
        domain = self.likelihood.link.eta_domain
        eta = self._around(self._moments.eta, self._moments.eta_variance, alpha).clip(domain.low, domain.high)
        with np.errstate(divide="ignore", over="ignore"):  # an end at the edge of the link's domain is infinite
            shape = self.likelihood.shape(self.theta)
            ends = [self.likelihood.response.mean(np.ascontiguousarray(eta[:, :, j]), shape) for j in (0, 1)]
        return np.sort(np.stack(ends, axis=2), axis=2)

    def _quantiles(self, alpha: float, which: str) -> Array:
        assert self.draws is not None
        levels = [alpha / 2.0, 1.0 - alpha / 2.0]
        parts = drawn(self.likelihood, self.draws, self.rows, which)
        return np.concatenate([np.moveaxis(np.quantile(part, levels, axis=0), 0, 2) for part in parts])

    def summary_frame(self, alpha: float = 0.05) -> pd.DataFrame:
        """Means with standard errors and bands, under statsmodels' names; several outputs one below the other.

        Parameters
        ----------
        alpha : float
        """
        import pandas as pd

        M = self._moments.mean.shape[1]
        ends = self.conf_int(alpha).reshape(-1, 2)
        columns = {"mean": self.mean, "mean_se": self.mean_se, "mean_ci_lower": ends[:, 0], "mean_ci_upper": ends[:, 1]}
        index = row_labels(self.index, len(self.rows.y), M)
        return pd.DataFrame({name: np.ravel(values) for name, values in columns.items()}, index=index)

    def __repr__(self) -> str:
        return f"<Prediction: {len(self.rows.y)} rows, family {self.likelihood.family.name}>"


def check_alpha(alpha: float) -> None:
    """Raise unless alpha is between 0 and 1."""
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha={alpha!r} must be between 0 and 1; 0.05 gives 95% intervals.")


def row_labels(index: Any, n: int, outputs: int) -> pd.Index:
    """Labels of n rows, given or numbers; of every row and output where there are several outputs."""
    import pandas as pd

    rows = pd.RangeIndex(n) if index is None else index
    return rows if outputs == 1 else pd.MultiIndex.from_product([rows, range(outputs)], names=["row", "output"])


def _squeezed(values: Array) -> Array:
    return values[:, 0] if values.shape[1] == 1 else values


def predict(
    results: Estimates, X: Any = None, offset: Any = None, exposure: Any = None, *, method: str = "delta",
    n_draws: int = 1000, seed: int = 0,
) -> Prediction:  # fmt: skip
    """Return the prediction of `Predictions.get_prediction`, where the arguments are described."""
    if method not in ("delta", "simulation"):
        raise ValueError(f"method={method!r} is not known; choose 'delta' or 'simulation'.")
    theta, V = known(results)
    rows = new_rows(results, X, offset, exposure)
    draws = draw_theta(theta, V, n_draws, np.random.default_rng(seed)) if method == "simulation" else None
    likelihood = in_double(results.fit).likelihood
    return Prediction(likelihood, theta, V, rows, results.reference, draws, getattr(X, "index", None))
