"""What single rows do to a fit: leverage, and the change when a row is left out, without fitting again.

With J the design matrix, W the expected information about eta and H the information of the objective, the
leverage of row i is ``h_i = W_i J_i H^-1 J_i'``, the derivative of its fitted mean in its own response (Wei, Hu
& Fung 1998). Leaving the row out changes theta by one Newton step, ``H^-1 J_i' s_i / (1 - h_i)`` with the score
s_i about eta (Pregibon 1981). For a linear model that is exact; for networks H is the exact Hessian, and the
step does not see how the row bends eta.

With several linear predictors ``h_i`` is a K x K matrix and its trace is what is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import stats

from reglm.inference.covariances import FACTORS, default_kind
from reglm.inference.residuals import CLASSES, Rows, pearson, training_rows
from reglm.inference.scores import LARGEST_LEVERAGE, designs, leverages, scores_along, without_own_pull
from reglm.inference.units import estimable
from reglm.jacobian import blocks
from reglm.likelihood import Data
from reglm.parameters import Array

if TYPE_CHECKING:
    import pandas as pd

    from reglm.inference.estimates import Estimates


class Step(NamedTuple):
    """A block of rows: leverages (b, K, K), ``J F`` (K, b, Q), step in F's coordinates (b, Q), se of eta (b, K)."""

    A: Array
    JF: Array
    step: Array
    se: Array


@dataclass(frozen=True)
class Influence:
    """Influence of each training row, under the names of statsmodels' `GLMInfluence`.

    A row without which some parameter is not determined (leverage 1 or more) has an infinite Cook's distance
    and NaN for changes.

    Parameters
    ----------
    results : Results
    F : ndarray (Q, Q)
        Factor of the inverse information, ``F F' = H^-1``, for the parameters that are not aliased.
    kept : ndarray of int (Q,)
        Their positions in theta.
    """

    results: Estimates = field(repr=False)
    F: Array = field(repr=False)
    kept: Array = field(repr=False)

    @cached_property
    def rows(self) -> Rows:
        """Training rows."""
        return training_rows(self.results.fit)

    def _steps(self) -> Iterator[Step]:
        """Go through the rows block by block."""
        fit, data = self.rows.fit, self.rows.data
        likelihood, V = fit.likelihood, self.results.cov_theta()[np.ix_(self.kept, self.kept)]
        for part in (data.rows(which) for which in blocks(likelihood, data)):
            J = designs(likelihood, fit.theta, part)
            eta = likelihood.eta(fit.theta, part.X, part.offset)
            shape = likelihood.shape(fit.theta)
            W = likelihood.response.working(part.y, eta, part.weights, shape).information
            s, *rest = likelihood.response.row_scores(part.y, eta, part.weights, shape)
            JF = J[:, :, self.kept] @ self.F
            A = leverages(W, JF)
            A_known = np.where(_undetermined(A)[:, None, None], 0.0, A)
            U = scores_along(likelihood, J, without_own_pull(s, A_known, 1.0), rest)
            step = np.where(_undetermined(A)[:, None], np.nan, U[:, self.kept] @ self.F)
            se = np.sqrt(np.einsum("knp,pq,knq->nk", J[:, :, self.kept], V, J[:, :, self.kept], optimize=True))
            yield Step(A, JF, step, se)

    @cached_property
    def _walk(self) -> tuple[Array, Array, Array, Array]:
        """Leverages (n, K), squared length of the step (n,), change of eta (n, K) and its standard error."""
        found = [
            (np.einsum("nkk->nk", s.A), (s.step**2).sum(axis=1), np.einsum("knq,nq->nk", s.JF, s.step), s.se)
            for s in self._steps()
        ]
        h, length, d_eta, se = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return h, np.where(np.isnan(length), np.inf, length), d_eta, se

    @property
    def hat_matrix_diag(self) -> Array:
        """Leverages (n,): their sum over the linear predictors where there are several."""
        return self._walk[0].sum(axis=1)

    @cached_property
    def cooks_distance(self) -> tuple[Array, Array]:
        """Cook's distances (n,), ``d_theta' H d_theta / (phi Q)``, and their p-values from F(Q, df_resid)."""
        Q = len(self.kept)
        distance = self._walk[1] / (self.results.scale * Q)
        return distance, stats.f.sf(distance, Q, self.results.df_resid)

    @cached_property
    def d_theta(self) -> Array:
        """Estimates less those without the row, for all parameters (n, P); NaN for aliased ones."""
        change = np.full((len(self.rows.eta), len(self.rows.fit.theta)), np.nan)
        change[:, self.kept] = np.concatenate([s.step for s in self._steps()]) @ self.F.T
        return change

    @property
    def d_params(self) -> Array:
        """Changes of `params` (n, M): of all coefficients, or of a network's output layer and skip term."""
        return self.results.params_along(self.d_theta)

    @property
    def dfbetas(self) -> Array:
        """`d_params` in standard errors (n, M)."""
        return self.d_params / self.results.bse.to_numpy()

    @property
    def d_linpred(self) -> Array:
        """Linear predictor of the row less that without it, (n,) or (n, K)."""
        return _flat(self._walk[2])

    @property
    def d_linpred_scaled(self) -> Array:
        """`d_linpred` in standard errors of the linear predictor, (n,) or (n, K)."""
        return _flat(self._walk[2] / self._walk[3])

    @property
    def d_fittedvalues(self) -> Array:
        """Fitted mean of the row less that without it, to first order, (n,) or (n, m)."""
        return _flat(self._mean_change(self.rows.eta, self._walk[2]))

    @property
    def d_fittedvalues_scaled(self) -> Array:
        """`d_fittedvalues` in standard errors of the fitted mean: DFFITS (n,) or (n, K).

        Raises
        ------
        ValueError
            For classes.
        """
        self._need_columns("d_fittedvalues_scaled")
        unit = self._mean_change(self.rows.eta, np.ones_like(self.rows.eta))
        return _flat(np.sign(unit) * self._walk[2] / self._walk[3])

    @property
    def resid_studentized(self) -> Array:
        """Pearson residuals over ``sqrt(phi (1 - h))``, (n,) or (n, K); for classes see `cooks_distance`.

        Raises
        ------
        ValueError
            For classes.
        """
        return _flat(self.studentize(pearson(self.rows)))

    @property
    def resid_studentized_external(self) -> Array:
        """Pearson residuals over ``sqrt(phi_(i) (1 - h))``, the dispersion being that without the row, (n,).

        Raises
        ------
        ValueError
            For classes.
        """
        r = self.studentize(pearson(self.rows))
        if self.rows.fit.likelihood.family.dispersion == "fixed":
            return _flat(r)
        df = self.results.df_resid
        return _flat(r * np.sqrt((df - 1) / np.maximum(df - r**2, 0.0)))

    @property
    def dffits(self) -> tuple[Array, float]:
        """DFFITS of Belsley, Kuh & Welsch (1980) with its threshold ``2 sqrt(Q / n)``, as in `OLSInfluence`.

        ``r sqrt(h / (1 - h))`` with the externally studentized residual r.
        """
        h = _flat(self._walk[0])
        with np.errstate(invalid="ignore"):
            values = self.resid_studentized_external * np.sqrt(h / (1.0 - h))
        return values, float(2.0 * np.sqrt(len(self.kept) / self.results.nobs))

    def studentize(self, residuals: Array) -> Array:
        """Divide residuals (n, K) at dispersion 1 by ``sqrt(phi (1 - h))``; NaN where h is 1 or more.

        Raises
        ------
        ValueError
            For classes, whose residuals have no leverage each.
        """
        self._need_columns("studentized residuals")
        h = self._walk[0]
        room = np.where(h < LARGEST_LEVERAGE, 1.0 - h, np.nan)
        return residuals / np.sqrt(self.results.scale * room)

    def on_prediction(self, X: Any, offset: Any = None, exposure: Any = None, *, output: int = 0) -> Array:
        """Change of predictions by leaving out each training row, to first order.

        Parameters
        ----------
        X : table or array (m, p)
            Rows to predict for. What a row does to its own prediction is `d_fittedvalues`.
        offset, exposure : optional
            As in `predict`.
        output : int
            Which response or class.

        Returns
        -------
        ndarray (m, n)
            Prediction for row i of X less that of the model without training row j.
        """
        likelihood, theta = self.rows.fit.likelihood, self.rows.fit.theta
        data = self._read(X, offset, exposure)
        J = designs(likelihood, theta, data)[:, :, self.kept] @ self.F
        slope = likelihood.response.mean_slope(
            likelihood.eta(theta, data.X, data.offset), output, likelihood.shape(theta)
        )
        step = np.concatenate([s.step for s in self._steps()])
        return np.asarray(np.einsum("mk,kmq->mq", slope, J) @ step.T)

    def _read(self, X: Any, offset: Any, exposure: Any) -> Data:
        reader, K = self.results.reader, self.rows.eta.shape[1]
        X, total = (X, np.zeros((X.shape[0], K))) if reader is None else reader.rows(X, offset, exposure)
        n = X.shape[0]
        return Data(X, np.zeros((n, self.rows.data.y.shape[1])), np.asarray(total, dtype=float), np.ones((n, 1)))

    def summary_frame(self) -> pd.DataFrame:
        """``dfb_`` of every parameter, ``cooks_d``, ``standard_resid``, ``hat_diag`` and ``dffits_internal``.

        Raises
        ------
        ValueError
            With several linear predictors, which a table of one line a row has no room for.
        """
        import pandas as pd

        if self.rows.eta.shape[1] > 1:
            raise ValueError("summary_frame needs one linear predictor; take cooks_distance, hat_matrix_diag, d_theta.")
        frame = pd.DataFrame(self.dfbetas, columns=[f"dfb_{name}" for name in self.results.names])
        return frame.assign(
            cooks_d=self.cooks_distance[0],
            standard_resid=self.resid_studentized,
            hat_diag=self.hat_matrix_diag,
            dffits_internal=self.d_fittedvalues_scaled,
        )

    def _mean_change(self, eta: Array, change: Array) -> Array:
        """Change of the means (n, m) that goes with a change of eta (n, K)."""
        response, shape = self.rows.fit.likelihood.response, self.rows.shape
        slopes = [response.mean_slope(eta, k, shape) for k in range(self.rows.mean.shape[1])]
        return np.stack([(slope * change).sum(axis=1) for slope in slopes], axis=1)

    def _need_columns(self, what: str) -> None:
        name = self.rows.fit.likelihood.family.name
        if name in CLASSES:
            raise ValueError(f"{what} are not defined for family {name!r}; take cooks_distance and d_theta.")


def _undetermined(A: Array) -> Array:
    """Rows (n,) whose leverage leaves nothing for the others."""
    largest = A[:, 0, 0] if A.shape[1] == 1 else np.linalg.eigvals(A).real.max(axis=1)
    return np.asarray(largest >= LARGEST_LEVERAGE)


def _flat(values: Array) -> Array:
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def influence(results: Estimates, information: str | None = None) -> Influence:
    """Influence of each training row of a fit.

    Parameters
    ----------
    results : Results
    information : {"expected", "observed"}, optional
        H; by default the expected one for a generalized linear model and the observed one for a network,
        whatever the covariance of `results`.

    Raises
    ------
    ValueError
        If there is no covariance, or `information` is not known or singular.
    """
    if results.refusal:
        raise ValueError(f"no influence measures: {results.refusal}")
    rows = training_rows(results.fit)
    kind = default_kind(rows.fit) if information is None else information
    if kind not in FACTORS:
        raise ValueError(f"information={kind!r} is not known; choose one of {sorted(FACTORS)}.")
    kept = estimable(rows.fit, rows.data)
    F = FACTORS[kind](rows.fit, rows.data, kept)
    if F is None:
        raise ValueError(f"no influence measures: the {kind} information is not positive definite.")
    return Influence(results, F, kept)
