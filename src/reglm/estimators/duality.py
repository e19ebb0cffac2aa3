"""The kernels of a fitted network, and the kernel regression that its penalised parameters are the primal side of.

With some parameters ``b`` (the last layer, or all of them), eta is ``o(x) + J(x) b`` exactly (the last layer) or to
first order (all). Minimising minus the log-likelihood plus ``alpha/2 ||b||^2`` then is ridge regression on the columns
of J, whose dual has the kernel ``J J'`` over penalised parameters and the columns of the others as its linear part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from reglm.estimators.inputs import contiguous
from reglm.jacobian import jacobian
from reglm.kernels.empirical import feature_gram
from reglm.layers import Dense
from reglm.likelihood import Data, Likelihood
from reglm.parameters import Array
from reglm.record import Fit

if TYPE_CHECKING:
    from reglm.estimators.base import BaseRecursiveGLM
    from reglm.estimators.kernel_dual import KernelDualRegressor


def rows_only(likelihood: Likelihood, X: Any) -> Data:
    """Return coded rows, for questions that response, offset and weights have no part in."""
    n, K = X.shape[0], likelihood.network.outputs()
    zeros = np.zeros((n, K), dtype=likelihood.dtype)
    return Data(X, zeros, zeros, np.ones((n, 1), dtype=likelihood.dtype))


def last_features(fit: Fit, X: Any) -> Array:
    """Input h (n, H) of the output layer, for coded rows X."""
    likelihood = fit.likelihood
    seed = np.eye(likelihood.network.outputs())[None, 0]
    for tap, h, _ in likelihood.taps(fit.theta, rows_only(likelihood, X), seed):
        if tap.weight == "output.W":
            return h[0] if tap.kind == "dense" else X.toarray()
    raise ValueError("the network has no output layer.")


@dataclass(frozen=True)
class Linearisation:
    """``eta = o(x) + J(x) b`` in chosen parameters of a fit.

    Parameters
    ----------
    fit : Fit
    penalised, free : ndarray of int
        Positions in theta of the parameters b of the first output: those with a penalty, and those without.
    scale : ndarray
        Root of alpha over the penalty of each penalised parameter: one, unless a layer has a penalty of its own.
    """

    fit: Fit
    penalised: Array
    free: Array
    scale: Array

    @property
    def labels(self) -> list[str]:
        """Names of the free parameters, "Intercept" that of the output layer."""
        every, outputs = self.fit.likelihood.layout.labels(), self.fit.likelihood.layout.slices.get("output.b")
        inside = range(outputs.start, outputs.stop) if outputs else range(0)
        return ["Intercept" if j in inside else every[j] for j in self.free]

    def columns(self, X: Any) -> tuple[Array, Array]:
        """Columns of J (n, .) of penalised parameters, scaled to the same penalty, and of free ones."""
        J = jacobian(self.fit.likelihood, self.fit.theta, rows_only(self.fit.likelihood, X)).astype(float)
        return J[:, self.penalised] * self.scale, J[:, self.free]

    def rest(self, X: Any, offset: Array | None) -> Array:
        """``o(x)`` (n, K), offset included."""
        first, second = self.columns(X)
        eta = self.fit.likelihood.eta(self.fit.theta, X, offset)
        return eta - first @ (self._values(self.penalised) / self.scale[:, None]) - second @ self._values(self.free)

    def _values(self, positions: Array) -> Array:
        """Estimates (., K) of parameters; those of the other outputs follow the first output's in memory."""
        return self.fit.theta[positions[:, None] + np.arange(self.fit.likelihood.network.outputs())]

    def with_values(self, penalised: Array, free: Array) -> Array:
        """Theta (P,) with other coefficients (., K) of the columns."""
        theta, outputs = self.fit.theta.astype(float), np.arange(self.fit.likelihood.network.outputs())
        theta[self.penalised[:, None] + outputs] = penalised * self.scale[:, None]
        theta[self.free[:, None] + outputs] = free
        return theta


@dataclass(frozen=True)
class NetworkDual:
    """Kernel regression that is the dual of a network's penalised likelihood.

    Parameters
    ----------
    estimator : estimator
        The fitted network.
    linearisation : Linearisation
    regressor : KernelDualRegressor
        Fitted to the columns of J, those of penalised parameters first, with ``o(x)`` as offset. It has leave-one-out
        residuals, leverage, effective degrees of freedom, likelihoods, and the path over other penalties.
    """

    estimator: BaseRecursiveGLM
    linearisation: Linearisation
    regressor: KernelDualRegressor

    def kernel(self, X: Any, X2: Any = None) -> Array:
        """Kernel (n, m) of rows as the estimator takes them."""
        coded, other = (None if rows is None else coded_rows(self.estimator, rows) for rows in (X, X2))
        width = len(self.linearisation.penalised)
        return feature_gram(lambda rows: self.linearisation.columns(rows)[0], width, coded, other)

    def predict(self, X: Any, offset: Any = None, exposure: Any = None) -> Array:
        """Mean responses (n,) or (n, m) at the linear predictor ``o(x) + k(x, X) a + x'b``."""
        columns, rest = self._columns(X, offset, exposure)
        return self.regressor.predict(columns, offset=rest)

    def logpdf(self, X: Any, y: Any, offset: Any = None, exposure: Any = None) -> Array:
        """Log predictive density of each row (n,); see `KernelDualRegressor.logpdf`."""
        columns, rest = self._columns(X, offset, exposure)
        return self.regressor.logpdf(columns, y, offset=rest)

    def _columns(self, X: Any, offset: Any, exposure: Any) -> tuple[Array, Array]:
        """Columns of J and ``o(x)`` of new rows."""
        coded, shift = self.estimator._rows(X, offset, exposure)
        return np.hstack(self.linearisation.columns(coded)), self.linearisation.rest(coded, shift)

    def primal(self) -> Array:
        """Parameters theta (P,) of the network whose predictions these are: ``J'a`` in place of the penalised ones."""
        weights, free = (np.atleast_2d(b).T for b in (self.regressor.primal(), self.regressor.coef_))
        return self.linearisation.with_values(weights, free)


def coded_rows(estimator: BaseRecursiveGLM, X: Any) -> Any:
    """Coded X; offsets, which no kernel depends on, may be missing."""
    return contiguous(estimator.design_.transform(X, estimator).X, estimator.fit_.likelihood.dtype)


def network_dual(estimator: BaseRecursiveGLM, alpha: float | str | None, linearised: bool) -> NetworkDual:
    """See `Duality.dual`."""
    from reglm.estimators.kernel_dual import KernelDualRegressor  # loads scikit-learn's kernels: not for every fit

    fit = estimator.fit_
    alpha = _penalty(estimator, alpha)
    data = fit.data
    if data is None:
        raise ValueError("dual() needs the training rows, which a loaded model does not have; fit it again.")
    if linearised and fit.likelihood.network.outputs() > 1:
        raise ValueError("dual(linearised=True) is for one output: hidden parameters are shared between outputs.")
    linear = _linearisation(fit, alpha if isinstance(alpha, float) else float(estimator.alpha) or 1.0, linearised)
    penalised, free = linear.columns(data.X)
    target, rest = data.y.astype(float), linear.rest(data.X, data.offset)
    first = penalised.shape[1]
    regressor = KernelDualRegressor(
        "linear", alpha=alpha, family=estimator.family_, link=estimator.link_.name, fit_intercept=False,
        linear=list(range(first, first + free.shape[1])), freq_weights=fit.freq_weights,
    )  # fmt: skip
    weights = data.weights[:, 0].astype(float)
    regressor.fit(np.hstack([penalised, free]), target[:, 0] if target.shape[1] == 1 else target, weights, rest)
    regressor._design = replace(regressor._design, labels=linear.labels)
    return NetworkDual(estimator, linear, regressor)


def _penalty(estimator: BaseRecursiveGLM, alpha: float | str | None) -> float | str:
    """Return alpha, checked, for a model that has a dual."""
    if estimator.l1:
        raise ValueError(f"l1={estimator.l1!r} has no dual here; fit with l1=0.")
    if isinstance(alpha, str):
        return alpha
    alpha = float(estimator.alpha) if alpha is None else float(alpha)
    if not 0 < alpha < np.inf:
        raise ValueError(f"alpha={alpha!r} gives no dual: fit with alpha > 0, or pass dual(alpha=...).")
    return alpha


def _linearisation(fit: Fit, alpha: float, everything: bool) -> Linearisation:
    """In all parameters, or in the first output's of the last layer."""
    layout = fit.likelihood.layout
    chosen = np.arange(layout.size)
    if not everything:
        skip = ("skip.W",) if isinstance(fit.likelihood.network.skip, Dense) else ()
        index = layout.views(chosen)
        chosen = np.concatenate([index[n][..., 0].ravel() for n in ("output.W", "output.b", *skip) if n in index])
    penalty = layout.penalties(alpha)
    penalised = chosen[penalty[chosen] > 0]
    return Linearisation(fit, penalised, chosen[penalty[chosen] == 0], np.sqrt(alpha / penalty[penalised]))


class Duality:
    """Methods of estimators: their network's kernels, and its dual."""

    def tangent_kernel(self: Any, X: Any, X2: Any = None, output: int = 0) -> Array:
        """Empirical tangent kernel ``J J'`` of the fitted network (Jacot et al. 2018).

        J holds the derivatives of a linear predictor by all parameters, in the network's own parametrisation.

        Parameters
        ----------
        X : array_like or data frame (n, p)
        X2 : array_like or data frame (m, p), optional
            By default X.
        output : int
            Which of the K linear predictors.

        Returns
        -------
        ndarray (n, m)

        Raises
        ------
        ValueError
            If there is no such output.
        """
        check_is_fitted(self)
        likelihood, theta = self.fit_.likelihood, self.fit_.theta
        if not 0 <= output < likelihood.network.outputs():
            raise ValueError(f"output={output!r} must be between 0 and {likelihood.network.outputs() - 1}.")
        coded, other = (None if rows is None else coded_rows(self, rows) for rows in (X, X2))
        return feature_gram(
            lambda rows: jacobian(likelihood, theta, rows_only(likelihood, rows), output),
            likelihood.layout.size, coded, other,
        )  # fmt: skip

    def feature_kernel(self: Any, X: Any, X2: Any = None) -> Array:
        """``h h'``, h being what the output layer is given: the responses of the last hidden layer.

        Parameters
        ----------
        X : array_like or data frame (n, p)
        X2 : array_like or data frame (m, p), optional
            By default X.

        Returns
        -------
        ndarray (n, m)
        """
        check_is_fitted(self)
        coded, other = (None if rows is None else coded_rows(self, rows) for rows in (X, X2))
        width = self.fit_.likelihood.layout.views(self.fit_.theta)["output.W"].shape[0]
        return feature_gram(lambda rows: last_features(self.fit_, rows), width, coded, other)

    def dual(self: Any, alpha: float | str | None = None, *, linearised: bool = False) -> NetworkDual:
        """Kernel regression whose predictions are those of the network with its last layer refitted.

        Parameters
        ----------
        alpha : float or {"loo", "gcv", "reml", "ml"}, optional
            Penalty, by default that of the network, or what chooses it; see `reglm.KernelDualRegressor`. Penalties of
            single layers keep their ratio to it. Biases are not penalised.
        linearised : bool
            Take all parameters, eta being linearised in them at the estimates, instead of those of the output layer
            (and of ``skip=True``, in which eta is linear). At a stationary point of the penalised likelihood the
            linearised fit is the network's own.

        Returns
        -------
        NetworkDual

        Raises
        ------
        ValueError
            If the family has shape parameters to estimate, there is no penalty or an L1 one, or the model has been
            loaded from disk.
        """
        check_is_fitted(self)
        return network_dual(self, alpha, linearised)
