"""Estimates, standard errors and measures of fit, under the names that users of statsmodels know."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from reglm.inference.covariances import Covariance, estimate, observed_numbers
from reglm.inference.terms import coefficients, shape_terms
from reglm.parameters import Array
from reglm.record import Fit, Reader

if TYPE_CHECKING:
    import pandas as pd


class Estimates:
    """Estimates, standard errors and measures of fit: what the other parts of `Results` rest on.

    `params` holds the coefficients of a generalized linear model, or the output layer and skip term of a
    network, and then the family's shape parameters on their natural scale. `theta` has all parameters.

    Parameters
    ----------
    fit : Fit
    cov : str, optional
        One of `reglm.inference.covariances.KINDS`; by default the inverse of the expected information for a
        generalized linear model, of the observed one for a network and where shape parameters are estimated.
    use_t : bool
        Refer to Student's t with `df_inference` degrees of freedom instead of the normal distribution: exact for
        ordinary least squares. The default is the normal distribution, as in `statsmodels.GLM`.
    reader : Reader, optional
        Reads rows as users have them; without one, X is the model matrix and y is coded as the family says.
    **options
        Of the covariance: ``groups=``, ``use_correction=``, ``df_correction=`` and ``information=``, see
        `reglm.inference.covariances.estimate`.

    Attributes
    ----------
    cov_type : str
    refusal : str
        Why there are no standard errors; empty if there are.
    notes : list of str
        Warnings that belong to the table.
    """

    def __init__(
        self, fit: Fit, cov: str | None = None, use_t: bool = False, reader: Reader | None = None, **options: Any
    ) -> None:
        self.fit = fit
        self.use_t = bool(use_t)
        self.reader = reader
        self._covariance: Covariance = estimate(fit, cov, **options)
        self.cov_type = self._covariance.kind
        self.refusal = self._covariance.refusal
        self.notes = list(self._covariance.notes)
        self._terms = coefficients(fit)
        self._shape = shape_terms(fit)

    # -- estimates and their standard errors --------------------------------------------------------------

    @cached_property
    def theta(self) -> Array:
        """All parameters (P,); one that the others determine is NaN, and theirs are as if it were zero."""
        return self._covariance.theta

    @cached_property
    def names(self) -> list[str]:
        """Labels of `params`."""
        return [term.label for term in self._terms] + self._shape.labels

    def _series(self, values: Array) -> pd.Series:
        import pandas as pd

        return pd.Series(values, index=self.names)

    @cached_property
    def params(self) -> pd.Series:
        """Estimates (M,)."""
        return self._series(np.concatenate([self.theta[[term.position for term in self._terms]], self._shape.values]))

    def cov_params(self) -> pd.DataFrame:
        """Covariance matrix of `params` (M, M); NaN throughout if there are no standard errors."""
        import pandas as pd

        matrix = self._covariance.matrix
        V = np.full((len(self.names),) * 2, np.nan)
        if matrix is not None:
            shown = np.array([term.position for term in self._terms], dtype=int)
            moved = np.flatnonzero(self._shape.slope.any(axis=0))
            slope = self._shape.slope[:, moved]  # the delta method, for shape parameters on their natural scale
            cross = matrix[np.ix_(shown, moved)] @ slope.T
            inner = slope @ matrix[np.ix_(moved, moved)] @ slope.T
            V = np.block([[matrix[np.ix_(shown, shown)], cross], [cross.T, inner]])
        return pd.DataFrame(V, index=self.names, columns=self.names)

    def params_along(self, change: Array) -> Array:
        """Changes of `params` (n, M) that go with changes of `theta` (n, P), to first order."""
        shown = change[:, [term.position for term in self._terms]]
        return np.hstack([shown, np.nan_to_num(change) @ self._shape.slope.T])

    def cov_theta(self) -> Array:
        """Covariance matrix of `theta` (P, P); NaN without standard errors."""
        matrix = self._covariance.matrix
        return np.full((len(self.theta),) * 2, np.nan) if matrix is None else matrix

    @cached_property
    def bse(self) -> pd.Series:
        """Standard errors (M,)."""
        return self._series(np.sqrt(np.diag(self.cov_params())))

    @cached_property
    def tvalues(self) -> pd.Series:
        """Estimates divided by their standard errors (M,)."""
        return self.params / self.bse

    @property
    def reference(self) -> Any:
        """Distribution to which `tvalues` are referred."""
        return stats.t(self.df_inference) if self.use_t else stats.norm()

    @cached_property
    def pvalues(self) -> pd.Series:
        """Two-sided p-values of the hypotheses that single parameters are zero (M,)."""
        return self._series(2.0 * self.reference.sf(np.abs(self.tvalues.to_numpy())))

    def conf_int(self, alpha: float = 0.05) -> pd.DataFrame:
        """Wald intervals (M, 2) of level ``1 - alpha``, with columns 0 and 1.

        Raises
        ------
        ValueError
            If `alpha` is not between 0 and 1.
        """
        import pandas as pd

        if not 0.0 < alpha < 1.0:
            raise ValueError(f"alpha={alpha!r} must be between 0 and 1; 0.05 gives 95% intervals.")
        half = self.reference.isf(alpha / 2.0) * self.bse
        return pd.DataFrame({0: self.params - half, 1: self.params + half})

    # -- measures of fit ----------------------------------------------------------------------------------

    @property
    def nobs(self) -> float:
        """Rows with positive weight; the sum of the weights if they are frequencies."""
        return self.fit.nobs

    @property
    def rank(self) -> int:
        """Estimated parameters, dispersion not counted."""
        return self.fit.n_parameters - int(self._covariance.aliased.sum())

    @property
    def df_resid(self) -> float:
        """Observed numbers, one a row and independent response, minus estimated parameters."""
        return observed_numbers(self.fit) - self.rank

    @property
    def df_inference(self) -> float:
        """Degrees of freedom for t and F statistics: `df_resid`, or clusters less one."""
        known = self._covariance.df_inference
        return self.df_resid if known is None else known

    @property
    def df_model(self) -> int:
        """Estimated parameters, intercept and dispersion not counted."""
        return self.rank - int("output.b" in self.fit.likelihood.layout.slices)

    @property
    def scale(self) -> float:
        """Dispersion phi."""
        return self.fit.dispersion

    @property
    def deviance(self) -> float:
        """Deviance at dispersion 1."""
        return self.fit.deviance

    @property
    def pearson_chi2(self) -> float:
        """Sum of squared Pearson residuals at dispersion 1."""
        return float(self.fit.details.get("pearson", np.nan))

    @property
    def null_deviance(self) -> float:
        """Deviance of the model with an intercept only and the same offset."""
        return self.fit.null_deviance

    @property
    def d2(self) -> float:
        """Share of the null deviance that the model explains."""
        return 1.0 - self.deviance / self.null_deviance if self.null_deviance else float("nan")

    @property
    def llf(self) -> float:
        """Log-likelihood; NaN for quasi families."""
        return self.fit.log_likelihood

    @property
    def llnull(self) -> float:
        """Log-likelihood of the model with an intercept only, at the same dispersion (gaussian: at its own)."""
        if self.fit.likelihood.family.name == "gaussian":
            columns = self.fit.likelihood.network.outputs()
            return self.llf - columns * self.nobs / 2.0 * float(np.log(self.null_deviance / self.deviance))
        return self.llf - (self.null_deviance - self.deviance) / (2.0 * self.scale)

    def pseudo_rsquared(self, kind: str = "cs") -> float:
        """Share of the log-likelihood that the model explains.

        Parameters
        ----------
        kind : {"cs", "mcf"}
            ``1 - exp(2 (llnull - llf) / nobs)`` (Cox & Snell 1989) or ``1 - llf / llnull`` (McFadden 1974).

        Raises
        ------
        ValueError
            For another kind.
        """
        if kind not in ("cs", "mcf"):
            raise ValueError(f"kind={kind!r} is not known; choose 'cs' (Cox & Snell) or 'mcf' (McFadden).")
        if kind == "mcf":
            return 1.0 - self.llf / self.llnull
        return 1.0 - float(np.exp(2.0 * (self.llnull - self.llf) / self.nobs))

    @property
    def aic(self) -> float:
        """Akaike's criterion ``-2 llf + 2 rank`` (Akaike 1974)."""
        return -2.0 * self.llf + 2.0 * self.rank

    @property
    def bic(self) -> float:
        """Schwarz's criterion ``-2 llf + rank log(nobs)`` (Schwarz 1978)."""
        return -2.0 * self.llf + self.rank * float(np.log(self.nobs))

    def __repr__(self) -> str:
        fit = self.fit
        return (
            f"<Results: {fit.likelihood.family.name}, {self.rank} parameters, "
            f"deviance {self.deviance:.6g}, cov_type={self.cov_type!r}>"
        )
