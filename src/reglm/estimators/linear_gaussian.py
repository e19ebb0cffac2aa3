"""Linear-Gaussian state-space models: structural time series and free dynamic factors."""

from __future__ import annotations

import itertools
import warnings
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from scipy import stats
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted

from reglm.estimators import linear_gaussian_summary
from reglm.estimators.linear_gaussian_rows import LinearGaussianRows
from reglm.estimators.saving import Saving
from reglm.parameters import Array
from reglm.statespace.forecasts import NormalForecast
from reglm.statespace.linear_gaussian import Filtered, Moments, kalman_filter, root
from reglm.statespace.linear_gaussian_fit import Data, Fitted, Likelihood, system_of
from reglm.statespace.linear_gaussian_search import search
from reglm.statespace.linear_gaussian_smoother import smooth

if TYPE_CHECKING:
    import pandas as pd

    from reglm.inference.tables import Summary

Kind = Literal["smoothed", "filtered", "predicted"]


class LinearGaussianSSM(LinearGaussianRows, Saving, RegressorMixin, BaseEstimator):
    """Linear-Gaussian state-space model, fitted by its likelihood (Durbin & Koopman 2012).

    ``y_t = x_t B + Z a_t + e_t``, ``a_{t+1} = T a_t + w_t`` with normal e and w. With ``fit(X, y)`` the rows of X
    are covariates; with ``fit(X)`` they are the series. NaN in a series is unobserved; `lengths` or `groups` say where
    sequences end, see `reglm.statespace.sequences.sequences`.

    Parameters
    ----------
    n_states : int
        Of the free structure.
    structure : str or list of str
        "free", or for one series a sum of components: "local-level", "local-linear-trend", "smooth-trend",
        "seasonal(12)", "ar(2)", "cycle", as a list or joined by "+". See `reglm.statespace.linear_gaussian_structures`.
    initial : {"auto", "diffuse", "stationary", "estimated"}
        First state. Levels, trends and seasons start exactly diffuse, autoregressions and cycles stationary. A free
        structure estimates the mean, and with several sequences the covariance, which else is that of a step; or it
        starts stationary.
    fit_intercept : bool
        A constant among the covariates, where no component is a level.
    solver : {"auto", "em", "gradient"}
        EM never lowers the likelihood; L-BFGS is faster near the maximum. "auto" starts a free structure by EM and ends
        it by L-BFGS.
    n_init : int
        Starts of a free structure, of which the best counts; all but the first are random.
    max_iter : int
    tol : float
        Largest entry of the gradient per row; gain of an iteration of EM, relative to the log-likelihood.
    backend : {"auto", "python", "numba"}
        "auto" compiles where that pays.
    random_state : int, Generator, RandomState or None
    verbose : int
        1 prints a line for each start.

    Attributes
    ----------
    matrices_ : reglm.statespace.linear_gaussian_structures.Matrices
        Z, H, T, V, a1, P1 and B. The states of a free structure have unit noise and are turned to the principal axes of
        their second moments, the largest first, each state's largest loading positive. That is a rule and no estimate:
        `summary` has standard errors only of what no rotation changes.
    loglik_, aic_, bic_ : float
        A diffuse start counts as parameters, one for each state, in `aic_` and `bic_`.
    converged_, n_iter_, message_ : bool, int, str
    history_ : list of float
        Log-likelihood by iteration, in the scale of the standardised series.
    restarts_ : list of dict
        ``loglik`` and ``converged`` of each start.
    specification_ : reglm.statespace.linear_gaussian_structures.Specification
    theta_ : ndarray
        Unconstrained parameters.
    n_features_in_, feature_names_in_

    Examples
    --------
    >>> from reglm import LinearGaussianSSM, datasets
    >>> flow = datasets.load_nile().target.to_frame()
    >>> model = LinearGaussianSSM(structure="local-level").fit(flow)
    >>> round(model.loglik_, 2)
    -633.46
    """

    def fit(self, X: Any, y: Any = None, lengths: Any = None, groups: Any = None) -> Self:
        """Fit by maximum likelihood.

        Parameters
        ----------
        X : array or data frame (n, k)
            Covariates, or the series themselves if y is None.
        y : array-like (n,) or (n, p), optional
            Series.
        lengths : array-like of int (S,), optional
            Rows of each sequence.
        groups : array-like (n,), optional
            Name of the sequence of each row.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an argument is out of range, a series is never observed, or there is one row only.
        """
        self._check_options()
        series, covariates, names = self._first_read(X, y)
        self._check_series(series, len(covariates))
        self._constant = False
        division = self._stacked(series, covariates, lengths, groups).division
        self.specification_ = self._specify(series.shape[1], names, covariates.shape[1], len(division))
        self._training = self._stacked(series, covariates, lengths, groups)
        found, self.restarts_ = search(
            self.specification_, self._training.data, solver=self.solver, n_init=self.n_init, max_iter=self.max_iter,
            tol=self.tol, backend=self.backend, constant=self._constant, rng=self._generator(),
            report=print if self.verbose else None,
        )  # fmt: skip
        self._publish(found)
        return self

    def _publish(self, found: Fitted) -> None:
        """Set the public attributes."""
        specification, data = self.specification_, self._training.data
        self.theta_, self.history_, self.n_iter_ = found.theta, found.history, found.n_iter
        self.converged_, self.message_ = found.converged, found.message
        self.matrices_ = specification.matrices(found.theta)
        self._likelihood = Likelihood(specification, data, self.backend)
        self.loglik_ = float(self._likelihood.values(found.theta).sum())
        size = specification.n_free + round(float(np.trace(specification.P1_inf)))
        self.aic_ = -2 * self.loglik_ + 2 * size
        self.bic_ = -2 * self.loglik_ + np.log(np.isfinite(data.y).sum()) * size
        if not found.converged:
            warnings.warn(f"the fit has not converged: {found.message}", ConvergenceWarning, stacklevel=3)

    @property
    def params_(self) -> pd.Series:
        """Variances, coefficients and eigenvalues."""
        import pandas as pd

        check_is_fitted(self)
        return pd.Series(self.specification_.natural(self.theta_), self.specification_.names)

    # -- asking ---------------------------------------------------------------------------------------------------

    def _filtered(self, data: Data) -> list[Filtered]:
        """What the filter finds in each sequence."""
        P1_inf = self.specification_.P1_inf
        return [kalman_filter(part.y, system_of(self.matrices_, part.X), P1_inf) for part in _parts(data)]

    def _moments(self, data: Data, kind: str) -> list[Moments]:
        if kind not in ("smoothed", "filtered", "predicted"):
            raise ValueError(f"kind={kind!r} must be 'smoothed', 'filtered' or 'predicted'.")
        found = self._filtered(data)
        if kind != "smoothed":
            return [getattr(f, kind) for f in found]
        P1_inf = self.specification_.P1_inf
        parts = zip(_parts(data), found, strict=True)
        return [smooth(part.y, system_of(self.matrices_, part.X), P1_inf, f) for part, f in parts]

    def states(
        self, X: Any = None, y: Any = None, lengths: Any = None, groups: Any = None, *, kind: Kind = "smoothed"
    ) -> Moments:
        """Means and covariances of the states.

        Parameters
        ----------
        X, y, lengths, groups
            As in `fit`; the rows of `fit` by default.
        kind : {"smoothed", "filtered", "predicted"}
            Given all rows of their sequence, those up to their own, or those before it.

        Returns
        -------
        Moments
            ``mean`` (n, m) and ``cov`` (n, m, m), the parameters taken as known. NaN and infinite variances where the
            rows do not yet determine a diffuse start.
        """
        rows = self._read(X, y, lengths, groups)
        found = self._moments(rows.data, kind)
        return Moments(*(rows.division.unstack(np.concatenate(part)) for part in zip(*found, strict=True)))

    def predict(
        self, X: Any = None, y: Any = None, lengths: Any = None, groups: Any = None, *, kind: Kind = "smoothed"
    ) -> Array:
        """Fitted means ``x_t B + Z E[a_t]``.

        Parameters
        ----------
        X, y, lengths, groups
            As in `fit`; the rows of `fit` by default. Covariates X without y are those of rows that follow the
            sequence of `fit`, of which there has to be one only: their means are forecasts.
        kind : {"smoothed", "filtered", "predicted"}
            See `states`.

        Returns
        -------
        ndarray (n,) or (n, p)

        Raises
        ------
        ValueError
            If X comes without y and `fit` saw several sequences.
        """
        check_is_fitted(self)
        if X is not None and y is None and self._design is not None:
            if lengths is not None or groups is not None or len(self._training.division) > 1:
                raise ValueError("predict without y continues the one sequence of fit; pass y, NaN where unobserved.")
            rows = self._coded(X)
            return self._shaped(self._continued(self._covariates(rows))[0].mean)
        rows_read = self._read(X, y, lengths, groups)
        means = np.concatenate([m.mean for m in self._moments(rows_read.data, kind)])
        fitted = rows_read.data.X @ self.matrices_.B + means @ self.matrices_.Z.T
        return self._shaped(rows_read.division.unstack(fitted))

    def _continued(self, X: Array) -> list[Moments]:
        """Moments of rows that follow each sequence of `fit`, with covariates X (steps, k)."""
        steps, found = len(X), []
        unseen = np.full((steps, self.specification_.p), np.nan)
        for part in _parts(self._training.data):
            system = system_of(self.matrices_, np.vstack([part.X, X]))
            forecast = kalman_filter(np.vstack([part.y, unseen]), system, self.specification_.P1_inf).forecast
            found.append(Moments(forecast.mean[-steps:], forecast.cov[-steps:]))
        return found

    def forecast(self, steps: int = 1, X: Any = None, *, level: float = 0.95) -> NormalForecast:
        """Continue the sequences of `fit`.

        Parameters
        ----------
        steps : int
        X : array or data frame (steps, k), optional
            Covariates of the rows to come, the same for every sequence; needed where `fit` saw covariates.
        level : float
            Of the intervals, in (0, 1).

        Returns
        -------
        NormalForecast
            Means, intervals and standard errors (S, steps, p) of the rows, the parameters taken as known.

        Raises
        ------
        ValueError
            If an argument is out of range, or X is missing or has another number of rows.
        """
        check_is_fitted(self)
        if not (isinstance(steps, int | np.integer) and steps >= 1 and 0.0 < level < 1.0):
            raise ValueError(f"{steps=} must be a whole number of at least 1, {level=} between 0 and 1.")
        if self._design is None:
            rows = np.empty((steps, 0))
        elif X is None:
            raise ValueError("X is missing: the model has covariates, whose values in the rows to come it needs.")
        else:
            rows = self._coded(X)
        if len(rows) != steps:
            raise ValueError(f"X has {len(rows)} rows for steps={steps}.")
        found = self._continued(self._covariates(rows))
        mean = np.stack([m.mean for m in found])
        error = np.sqrt(np.stack([np.diagonal(m.cov, axis1=1, axis2=2) for m in found]))
        half = stats.norm.ppf((1 + level) / 2) * error
        return NormalForecast(mean, mean - half, mean + half, error)

    def residuals(self, X: Any = None, y: Any = None, lengths: Any = None, groups: Any = None) -> Array:
        """Standardised one-step prediction errors: independent standard normal if the model is right.

        Parameters
        ----------
        X, y, lengths, groups
            As in `fit`; the rows of `fit` by default.

        Returns
        -------
        ndarray (n,) or (n, p)
            NaN where y is unobserved, or the rows before do not determine a diffuse start.
        """
        rows = self._read(X, y, lengths, groups)
        found = np.concatenate([f.residuals for f in self._filtered(rows.data)])
        return self._shaped(rows.division.unstack(found))

    def logpdf(self, X: Any = None, y: Any = None, lengths: Any = None, groups: Any = None) -> Array:
        """Log-density of each sequence, (S,); arguments as in `fit`, whose rows are the default."""
        rows = self._read(X, y, lengths, groups)
        return Likelihood(self.specification_, rows.data, self.backend).values(self.theta_)

    def score(self, X: Any, y: Any = None, lengths: Any = None, groups: Any = None) -> float:
        """Mean log-density per row for series without covariates, R squared of `predict` without y else.

        Parameters
        ----------
        X, y, lengths, groups
            As in `fit`. hmmlearn's `score` is the sum instead of the mean.

        Returns
        -------
        float
        """
        check_is_fitted(self)
        if self._design is None:
            return float(self.logpdf(X, y, lengths, groups).sum() / len(self._read(X, y, lengths, groups).data.y))
        series = self._numbers(y)
        seen = ~np.isnan(series).any(axis=1)
        return float(r2_score(series[seen], self.predict(X).reshape(len(series), -1)[seen]))

    def sample(self, n: int = 1, X: Any = None, random_state: Any = None) -> tuple[Array, Array]:
        """Simulate a sequence.

        Parameters
        ----------
        n : int
            Rows.
        X : array (n, k), optional
            Covariates, where `fit` saw some.
        random_state : int, Generator or None
            The constructor's by default.

        Returns
        -------
        y : ndarray (n,) or (n, p)
        states : ndarray (n, m)
            A diffuse start is drawn as the first state of the first sequence of `fit` given its rows.

        Raises
        ------
        ValueError
            If n is below 1, or X is missing.
        """
        check_is_fitted(self)
        if not (isinstance(n, int | np.integer) and n >= 1) or (X is None) != (self._design is None):
            raise ValueError(f"n={n!r} must be at least 1, and X is needed exactly where fit saw covariates.")
        rng = self._generator() if random_state is None else np.random.default_rng(random_state)
        rows = self._covariates(np.empty((n, 0)) if X is None else self._coded(X))
        if len(rows) != n:
            raise ValueError(f"X has {len(rows)} rows for n={n}.")
        M = self.matrices_
        a, P = M.a1, M.P1
        if self.specification_.P1_inf.any():
            first = self._moments(_parts(self._training.data)[0], "smoothed")[0]
            a, P = first.mean[0], first.cov[0]
        states, noise = np.empty((n, len(a))), root(M.V)
        factor = root(P)
        states[0] = a + factor @ rng.normal(size=factor.shape[1])
        for t in range(1, n):
            states[t] = M.T @ states[t - 1] + noise @ rng.normal(size=noise.shape[1])
        errors = rng.normal(size=(n, len(M.H))) @ np.linalg.cholesky(M.H).T
        return self._shaped(rows @ M.B + states @ M.Z.T + errors), states

    def summary(self, alpha: float = 0.05) -> Summary:
        """Table of the parameters with standard errors from the observed information.

        Parameters
        ----------
        alpha : float
            One minus the level of the intervals; those of variances are exponentials of intervals of their logarithms.

        Returns
        -------
        Summary
            It says where standard errors are refused and why.
        """
        check_is_fitted(self)
        return linear_gaussian_summary.summary(self, alpha)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "theta_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = self._is_free
        return tags


def _parts(data: Data) -> list[Data]:
    """Data of each sequence."""
    edges = data.edges
    return [Data(data.y[a:b], data.X[a:b], np.array([0, b - a])) for a, b in itertools.pairwise(edges)]
