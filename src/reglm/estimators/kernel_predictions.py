"""What a kernel regression for gaussian responses predicts: means, their errors, intervals and densities."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats
from sklearn.utils.validation import check_is_fitted

from reglm.estimators import kernel_families, nystroem
from reglm.estimators.inputs import check_weights, response_matrix
from reglm.estimators.kernel_options import squeezed
from reglm.estimators.kernel_rows import KernelDesign, Rows
from reglm.kernels import posterior
from reglm.kernels.grams import GramSource
from reglm.kernels.irls_dual import Solution
from reglm.parameters import Array

KINDS = ("mean", "link", "quantile", "linear", "kernel")


class KernelPredictions:
    """Predictions from a decomposition, penalties and scales; other families' are in `kernel_families`."""

    dual_: Any
    kernel_: GramSource
    support_: Array
    uses_offset_: bool
    alpha_per_target: bool
    approximation: str | None
    _design: KernelDesign
    _X: Any
    _lam: Array
    _beta: Array
    _b: Array
    _kept: Array
    _scale: Array
    _is_vector: bool
    _solution: Solution | None

    def predict(
        self, X: Any, offset: Any = None, exposure: Any = None, *, return_std: bool = False, kind: str = "mean",
        level: float = 0.5,
    ) -> Any:  # fmt: skip
        """Return the mean of the response, or what `kind` says.

        Parameters
        ----------
        X : array, sparse matrix or data frame (n0, p); ndarray (n0, n) for "precomputed"
        offset, exposure : array-like (n0,), optional
            Needed if `fit` was given them.
        return_std : bool
            Also return the standard deviation of the error of the mean, without the response's own. It needs the kernel
            of each new row with itself, which "precomputed" does not say: ValueError, as for intervals and densities.
        kind : {"mean", "link", "quantile", "linear", "kernel"}
            "link" is the linear predictor; "quantile" that of the predictive distribution of a response, at `level`
            (for other families than the gaussian, of the distribution at the estimated mean); "linear" and "kernel" are
            the parts of the linear predictor.
        level : float
            In (0, 1).

        Returns
        -------
        ndarray (n0,) or (n0, targets), or two of them
        """
        if kind not in KINDS:
            raise ValueError(f"kind={kind!r} is not known; choose one of {KINDS}.")
        rows, shift = self._new_rows(X, offset, exposure)
        if self._solution is not None:
            return kernel_families.predict(self, rows, shift, kind, level, return_std)
        if kind in ("linear", "kernel"):
            return self._shaped(self._part(rows, kind))
        mean = self._mean(rows) + shift
        if kind == "quantile":
            if not 0.0 < level < 1.0:
                raise ValueError(f"level={level!r} must be between 0 and 1.")
            total = self._variance(rows) + self._lam * self._scale
            return self._shaped(mean + stats.norm.ppf(level) * np.sqrt(total))
        if return_std:
            return self._shaped(mean), self._shaped(np.sqrt(self._variance(rows)))
        return self._shaped(mean)

    def intervals(
        self, X: Any, offset: Any = None, exposure: Any = None, *, level: float = 0.95, kind: str = "response"
    ) -> tuple[Array, Array]:
        """Central intervals of the Gaussian process at the estimated penalty and kernel.

        For other families than the gaussian those for means are normal on the scale of the link (the log odds of each
        class for several classes), and those for responses are of the distribution at the estimated mean.

        Parameters
        ----------
        X, offset, exposure
            As in `predict`.
        level : float
        kind : {"response", "mean"}
            For new responses of weight 1, or for their mean.

        Returns
        -------
        lower, upper : ndarray (n0,) or (n0, targets)
        """
        if not 0.0 < level < 1.0:
            raise ValueError(f"level={level!r} must be between 0 and 1.")
        if kind not in ("response", "mean"):
            raise ValueError(f"kind={kind!r} is not known; choose 'response' or 'mean'.")
        rows, shift = self._new_rows(X, offset, exposure)
        if self._solution is not None:
            low, high = kernel_families.intervals(self, rows, shift, level, kind)
            return self._shaped(low), self._shaped(high)
        mean, var = self._predictive(rows, shift, kind == "response")
        low, high = posterior.interval(mean, var, level)
        return self._shaped(low), self._shaped(high)

    def logpdf(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None, exposure: Any = None) -> Array:
        """Log predictive density of each row, (n0,).

        For gaussian responses normal, with the uncertainty about the mean; at the estimates for other families.

        Parameters
        ----------
        X, y, offset, exposure
            As in `fit`.
        sample_weight : array-like (n0,), optional
            Precisions: the error variance is ``dispersion_ / weight``.
        """
        rows, shift = self._new_rows(X, offset, exposure)
        if self._solution is not None:
            return kernel_families.logpdf(self, rows, shift, y, sample_weight)
        mean, var = self._predictive(rows, shift, False)
        weights = check_weights(sample_weight, len(mean), "float64")
        return posterior.log_density(response_matrix(y, len(mean)), mean, var + self._lam * self._scale / weights)

    def score(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None, exposure: Any = None) -> float:
        """Return R^2 against the best constant (with the same offset); several targets are pooled.

        For other families than the gaussian, the share of the deviance explained.

        Parameters
        ----------
        X, y, sample_weight, offset, exposure
            As in `fit`.
        """
        rows, shift = self._new_rows(X, offset, exposure)
        if self._solution is not None:
            return kernel_families.score(self, rows, shift, y, sample_weight)
        target = response_matrix(y, rows.X.shape[0]) - shift
        weights = check_weights(sample_weight, len(target), "float64")
        residual = float((weights * (target - self._mean(rows)) ** 2).sum())
        null = float((weights * (target - np.average(target, axis=0, weights=weights[:, 0])) ** 2).sum())
        rounding = float(weights.sum()) * (16.0 * np.finfo(float).eps * np.abs(target).max()) ** 2
        return 1.0 - residual / null if null > rounding else float(residual <= rounding)

    def _new_rows(self, X: Any, offset: Any, exposure: Any) -> tuple[Rows, Array]:
        check_is_fitted(self)
        rows = self._design.read(X, self)
        if self.uses_offset_ and all(v is None for v in (offset, exposure, rows.offset, rows.exposure)):
            raise ValueError(
                "fit was given an offset or exposure, predict was not: pass offset= or exposure= (zeros or ones for "
                "none)."
            )
        return rows, kernel_families.shift_of(self, rows, offset, exposure, len(self._lam))

    def _cross(self, rows: Rows) -> Array:
        """Kernel between new rows and the support, (n0, n)."""
        return rows.X[:, self.support_] if self._X is None else self.kernel_.cross(rows.X, self._X)

    def _mean(self, rows: Rows) -> Array:
        if self.approximation is not None:
            return nystroem.mean(self, rows)
        return posterior.mean(self.dual_, self._lam, self._cross(rows), rows.linear)

    def _part(self, rows: Rows, kind: str) -> Array:
        if kind == "linear":
            return rows.linear[:, self._kept] @ self._b
        if self.approximation is not None:
            return nystroem.mean(self, rows, "kernel")
        return self._cross(rows) @ self.dual_.coefficients(self._lam)

    def _variance(self, rows: Rows) -> Array:
        """Variance of the error of the mean, (n0, k)."""
        if self.approximation is not None:
            return nystroem.variance(self, rows)
        diagonal = self.kernel_.diagonal(rows.X)
        return posterior.variance(self.dual_, self._penalties, self._cross(rows), rows.linear, diagonal) * self._scale

    def _predictive(self, rows: Rows, shift: Array, response: bool) -> tuple[Array, Array]:
        """Mean and variance of the mean or of a response of weight 1, each (n0, k)."""
        return self._mean(rows) + shift, self._variance(rows) + response * self._lam * self._scale

    @property
    def _penalties(self) -> Array:
        """The penalties that differ: one a target, or one for all."""
        return self._lam if self.alpha_per_target else self._lam[:1]

    def _shaped(self, values: Array) -> Any:
        return squeezed(values) if self._is_vector else values
