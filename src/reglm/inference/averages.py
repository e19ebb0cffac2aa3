"""Weighted averages of fitted means and what the delta method needs of them.

Every effect of an input is a smooth function of averages ``m(theta) = sum_i w_i mu(x_i; theta)`` over rows whose
inputs have been set to something. Their gradient is ``sum_i w_i (dmu_i / deta_i) J_i``, plus the derivative in
the family's shape parameters where these enter the mean, and their covariance ``G V G'`` (Greene 2018, section
4.6), V that of theta.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from reglm.inference.information import in_double
from reglm.jacobian import blocks, jacobian
from reglm.likelihood import Data
from reglm.parameters import Array
from reglm.record import Fit

SCALES = ("response", "link")
STEP = float(np.finfo(float).eps ** (1 / 3))


class Averages(NamedTuple):
    """Values (m,) and their gradient in theta (m, P); the gradient has no columns where none was asked for."""

    value: Array
    gradient: Array

    def combined(self, L: Array) -> Averages:
        """Linear combinations, L (k, m)."""
        return Averages(L @ self.value, L @ self.gradient)

    def transformed(self, value: Array, slope: Array) -> Averages:
        """Other values (m,), whose derivative in the present ones is `slope` (m,)."""
        return Averages(value, slope[:, None] * self.gradient)

    def covariance(self, V: Array) -> Array:
        """Covariance (m, m) by the delta method."""
        return self.gradient @ V @ self.gradient.T


def stacked(parts: list[Averages]) -> Averages:
    """Averages one after the other."""
    return Averages(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


class Means:
    """Fitted means of one output and their averages.

    Parameters
    ----------
    fit : Fit
    output : int
        Column of the expected response; of the linear predictor on the link scale.
    scale : {"response", "link"}
        Averages of means or of linear predictors.
    theta : ndarray (P,), optional
        Other parameters than those of the fit.
    gradient : bool
        Whether averages come with their gradient.

    Raises
    ------
    ValueError
        If `scale` is not known or there is no such output.
    """

    def __init__(
        self, fit: Fit, output: int = 0, scale: str = "response", theta: Array | None = None, gradient: bool = True
    ) -> None:
        if scale not in SCALES:
            raise ValueError(f"scale={scale!r} is not known; choose one of {list(SCALES)}.")
        fit = in_double(fit)
        self.likelihood = fit.likelihood
        self.theta = np.asarray(fit.theta if theta is None else theta, dtype=float)
        self.shape = self.likelihood.shape(self.theta)
        self.scale = scale
        self.output = output
        self.gradient = gradient
        outputs = self._columns(np.zeros((1, self.likelihood.network.outputs()))).shape[1]
        if not 0 <= output < outputs:
            raise ValueError(f"output={output} must be from 0 to {outputs - 1}, one of the model's {outputs} outputs.")

    def _columns(self, eta: Array) -> Array:
        return eta if self.scale == "link" else self.likelihood.response.mean(eta, self.shape)

    def eta(self, X: Any, offset: Array) -> Array:
        """Linear predictors (n, K) of coded rows."""
        return self.likelihood.eta(self.theta, _double(X), np.asarray(offset, dtype=float))

    def values(self, X: Any, offset: Array) -> Array:
        """Means (n,), or linear predictors, of coded rows."""
        return self._columns(self.eta(X, offset))[:, self.output]

    def average(self, X: Any, offset: Array, weights: Array) -> Averages:
        """Averages over coded rows.

        Parameters
        ----------
        X : ndarray or CSR (n, p)
        offset : ndarray (n, K)
        weights : ndarray (n, m)
            One column for each average.
        """
        X, offset, n = _double(X), np.asarray(offset, dtype=float), X.shape[0]
        if not self.gradient:
            return Averages(weights.T @ self.values(X, offset), np.zeros((weights.shape[1], 0)))
        data = Data(X, np.zeros((n, 1)), offset, np.zeros((n, 1)))
        parts = [self._block(data.rows(rows), weights[rows]) for rows in blocks(self.likelihood, data)]
        return Averages(sum(part.value for part in parts), sum(part.gradient for part in parts))  # type: ignore[arg-type]  # never 0

    def _block(self, data: Data, weights: Array) -> Averages:
        eta = self.eta(data.X, data.offset)
        slope = self._slope(eta)
        gradient = self._shape_gradient(eta, weights)
        for k in np.flatnonzero(slope.any(axis=0)):
            gradient += (weights * slope[:, [k]]).T @ jacobian(self.likelihood, self.theta, data, int(k))
        return Averages(weights.T @ self._columns(eta)[:, self.output], gradient)

    def _slope(self, eta: Array) -> Array:
        """Derivative of the output in the linear predictors of its row (n, K)."""
        if self.scale == "link":
            return np.broadcast_to(np.eye(eta.shape[1])[self.output], eta.shape)
        return self.likelihood.response.mean_slope(eta, self.output, self.shape)

    def _shape_gradient(self, eta: Array, weights: Array) -> Array:
        """Derivative of averages of means in the shape parameters (m, P), by central differences; zero elsewhere."""
        layout = self.likelihood.layout
        gradient = np.zeros((weights.shape[1], layout.size))
        if self.scale == "link":
            return gradient
        for spec in self.likelihood.shape_specs:
            part = layout.slices[spec.name]
            for i in range(part.start, part.stop):
                step = np.zeros(layout.size)
                step[i] = STEP * max(1.0, abs(float(self.theta[i])))
                ahead, behind = (
                    self.likelihood.response.mean(eta, self.likelihood.shape(self.theta + s * step)) for s in (1, -1)
                )
                gradient[:, i] = weights.T @ (ahead - behind)[:, self.output] / (2 * step[i])
        return gradient


def _double(X: Any) -> Any:
    return X if X.dtype == np.float64 else X.astype(float)
