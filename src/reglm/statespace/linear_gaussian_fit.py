"""Likelihood of a linear-Gaussian model in its parameters: value, gradient, Hessian, EM and gradient fits."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from reglm.ops import kalman_numpy
from reglm.ops.kalman_numpy import STEP, System
from reglm.optimize.minimize import minimize
from reglm.optimize.problem import Problem
from reglm.parameters import Array
from reglm.statespace.linear_gaussian_free import Free
from reglm.statespace.linear_gaussian_smoother import smooth
from reglm.statespace.linear_gaussian_structures import Matrices, Specification, Structure

COMPILATION = 60_000
"""Numbers read by the interpreter after which compiling has paid for itself."""
FIELDS = ("Z", "H", "T", "V", "a1", "P1")


class Data(NamedTuple):
    """Rows of all sequences, one sequence after the other.

    Parameters
    ----------
    y : ndarray (n, p)
        NaN is unobserved.
    X : ndarray (n, k)
        Covariates, the constant's column included.
    edges : ndarray of int (S + 1,)
    """

    y: Array
    X: Array
    edges: Array


class Fitted(NamedTuple):
    """End of a fit.

    Parameters
    ----------
    theta : ndarray (P,)
    loglik : float
    converged : bool
    n_iter : int
    message : str
    history : list of float
        Log-likelihood by iteration.
    """

    theta: Array
    loglik: float
    converged: bool
    n_iter: int
    message: str
    history: list[float]


def system_of(M: Matrices, X: Array) -> System:
    """Return the system of a model for rows with covariates X."""
    return System(X @ M.B, np.zeros((len(X), len(M.T)), M.T.dtype), M.Z, M.H, M.T, M.V, M.a1, M.P1)


@dataclass
class Likelihood:
    """Log-likelihood of a specification on data.

    Parameters
    ----------
    specification : Specification
    data : Data
    backend : {"auto", "python", "numba"}
        "auto" compiles once the interpreter has read as many numbers as compiling is worth.
    """

    specification: Specification
    data: Data
    backend: str = "auto"
    done: int = field(default=0)

    @property
    def compiled(self) -> bool:
        """Whether the next evaluation runs compiled."""
        return self.backend == "numba" or (self.backend == "auto" and self.done >= COMPILATION)

    def evaluate(self, system: System, gradient: bool = True) -> tuple[Array, System | None]:
        """Log-likelihood of each sequence (S,) and the gradient of their sum."""
        y, _, edges = self.data
        P1_inf, weights = self.specification.P1_inf, np.ones(len(edges) - 1)
        if self.compiled:
            from reglm.ops.kalman_numba import value_and_gradient

            arrays = (np.ascontiguousarray(x) for x in system.symmetric())
            values, *found = value_and_gradient(y, edges, P1_inf, *arrays, weights, gradient)
            return values, System(*found)
        self.done += y.size
        with np.errstate(all="ignore"):
            if not gradient:
                return kalman_numpy.log_likelihood(y, edges, P1_inf, system), None
            return kalman_numpy.value_and_gradient(y, edges, P1_inf, system, weights)

    def values(self, theta: Array) -> Array:
        """Log-likelihood of each sequence, (S,)."""
        return self.evaluate(system_of(self.specification.matrices(theta), self.data.X), False)[0]

    def value_grad(self, theta: Array) -> tuple[float, Array]:
        """Log-likelihood and its gradient (P,); minus infinity where the model has no stationary start."""
        with np.errstate(all="ignore"):
            M = self.specification.matrices(theta)
        finite = all(np.isfinite(x).all() for x in M)
        if not finite or (M.P1.any() and np.linalg.eigvalsh(M.P1).min() < -1e-8 * np.abs(M.P1).max()):
            return -np.inf, np.full(len(theta), np.nan)
        values, gradient = self.evaluate(system_of(M, self.data.X))
        assert gradient is not None
        return float(values.sum()), self.chain(theta, gradient)

    def chain(self, theta: Array, gradient: System) -> Array:
        """Gradient in theta of what has this gradient in the system, (P,)."""
        slopes = self.slopes(theta)
        found = np.array([
            sum((getattr(gradient, name) * getattr(slope, name)).sum() for name in FIELDS) for slope in slopes
        ])  # fmt: skip
        found[self.specification.coefficients] = (self.data.X.T @ gradient.d).ravel()
        return found

    def slopes(self, theta: Array) -> list[Matrices]:
        """Derivative of the matrices in each parameter, by complex steps."""
        found = []
        for j in range(len(theta)):
            moved = theta.astype(complex)
            moved[j] += 1j * STEP
            found.append(Matrices(*(np.imag(x) / STEP for x in self.specification.matrices(moved))))
        return found

    def hessian(self, theta: Array) -> Array:
        """Matrix (P, P) of second derivatives: those of the likelihood exact, those of the matrices by differences."""
        y, X, edges = self.data
        system = system_of(self.specification.matrices(theta), X)
        weights, P1_inf = np.ones(len(edges) - 1), self.specification.P1_inf
        gradient = kalman_numpy.pullback(y, edges, P1_inf, system, weights)
        H = np.empty((len(theta), len(theta)))
        for j, slope in enumerate(self.slopes(theta)):
            along = system_of(slope, X)
            change, _ = kalman_numpy.tangent(y, edges, P1_inf, system, weights, along)
            step = 1e-5 * np.eye(len(theta))[j]
            bend = (self.chain(theta + step, gradient) - self.chain(theta - step, gradient)) / 2e-5
            H[j] = self.chain(theta, change) + bend
        return (H + H.T) / 2


def by_gradient(likelihood: Likelihood, theta: Array, max_iter: int, tol: float) -> Fitted:
    """Maximise by L-BFGS; `tol` bounds the largest entry of the gradient per row."""

    def negative(point: Array) -> tuple[float, Array]:
        value, gradient = likelihood.value_grad(point)
        return -value, -gradient

    found = minimize(Problem(negative, len(likelihood.data.y)), theta, "lbfgs", max_iter=max_iter, tol=tol)
    history = [-value for value in found.history.get("objective", [])]
    return Fitted(found.theta, -found.value, found.converged, found.n_iter, found.message, history)


def by_em(likelihood: Likelihood, theta: Array, max_iter: int, tol: float) -> Fitted:
    """Maximise by EM (Shumway & Stoffer 1982): until an iteration gains less than `tol` of the log-likelihood."""
    history: list[float] = []
    for iteration in range(max_iter + 1):
        M = likelihood.specification.matrices(theta)
        values, gradient = likelihood.evaluate(system_of(M, likelihood.data.X))
        assert gradient is not None
        history.append(float(values.sum()))
        if iteration and history[-1] - history[-2] < tol * (1 + abs(history[-1])):
            return Fitted(theta, history[-1], True, iteration, f"an iteration gains less than tol={tol:g}", history)
        if iteration < max_iter:
            theta = em_step(likelihood, theta, M, gradient)
    message = f"max_iter={max_iter} iterations of EM have not been enough; raise it or use solver='auto'"
    return Fitted(theta, history[-1], False, max_iter, message, history)


def has_em(specification: Specification) -> bool:
    """Whether the M step has a closed form: variances and regressions, no other coefficients or stationary start."""
    if isinstance(specification, Free):
        return specification.initial == "estimated"
    assert isinstance(specification, Structure)
    return not any(part.coefficients or not part.diffuse for part in specification.parts)


def em_step(likelihood: Likelihood, theta: Array, M: Matrices, gradient: System) -> Array:
    """One iteration of EM.

    Expected moments of disturbances are those of the gradient, by Fisher's identity: ``E[sum e e' | y] = n H + 2 H G
    H`` for the gradient G in H (Koopman 1993): an unobserved number counts as it should, no variance is inverted.
    """
    specification = likelihood.specification
    if isinstance(specification, Free):
        return _free_step(likelihood, specification, M, gradient)
    assert isinstance(specification, Structure)
    y, X, edges = likelihood.data
    seen = ~np.isnan(y[:, 0])
    new, n_moves = theta.copy(), len(y) - (len(edges) - 1)
    gain = 0.0
    if X.shape[1]:
        shift = M.H[0, 0] * np.linalg.lstsq(X[seen].T @ X[seen], X.T @ gradient.d[:, 0], rcond=None)[0]
        gain = float(((X[seen] @ shift) ** 2).sum())
        new[specification.coefficients] += shift
    for at, matrix, places in specification.variances:
        old, slope = np.exp(theta[at]), np.diag(getattr(gradient, matrix))[list(places)].mean()
        count = seen.sum() if matrix == "H" else n_moves
        total = count * old + 2 * old**2 * slope - (gain if matrix == "H" else 0.0)
        new[at] = np.log(max(total / max(count, 1), 1e-12 * old))
    return new


def _free_step(likelihood: Likelihood, specification: Free, M: Matrices, gradient: System) -> Array:
    """EM of a free model: regressions of rows on states and covariates, and of states on the states before them."""
    y, X, edges = likelihood.data
    m, S = specification.m, len(edges) - 1
    mean, cov = kalman_numpy.smoothed(y, edges, system_of(M, X))
    second = cov + mean[:, :, None] * mean[:, None, :]
    moving = np.ones(len(y), bool)
    moving[edges[1:] - 1] = False
    T = M.T + np.linalg.solve(second[moving].sum(axis=0), gradient.T.T).T if moving.any() else M.T
    joint = np.zeros((len(y), m + X.shape[1], m + X.shape[1]))
    joint[:, :m, :m], joint[:, m:, m:] = second, X[:, :, None] * X[:, None, :]
    joint[:, :m, m:] = mean[:, :, None] * X[:, None, :]
    joint[:, m:, :m] = np.swapaxes(joint[:, :m, m:], 1, 2)
    Z, B, h = M.Z.copy(), M.B.copy(), np.diag(M.H).copy()
    for j, seen in enumerate((~np.isnan(y)).T):
        count, moments = max(seen.sum(), 1), joint[seen].sum(axis=0)
        slope = h[j] * np.concatenate([gradient.Z[j], X.T @ gradient.d[:, j]])
        shift = np.linalg.lstsq(moments, slope, rcond=None)[0]
        Z[j] += shift[:m]
        B[:, j] += shift[m:]
        total = count * h[j] + 2 * h[j] ** 2 * gradient.H[j, j] - shift @ moments @ shift
        h[j] = max(total / count, 1e-12 * h[j])
    a1 = M.a1 + M.P1 @ gradient.a1 / S
    P1 = M.P1
    if specification.spread:
        P1 = P1 + 2 / S * P1 @ gradient.P1 @ P1 - np.outer(a1 - M.a1, a1 - M.a1)
    return specification.pack(Matrices(Z, np.diag(h), T, M.V, a1, P1, B))


def smoothed(likelihood: Likelihood, M: Matrices) -> tuple[Array, Array]:
    """Means (n, m) and covariances (n, m, m) of the states given all rows of their sequences."""
    y, X, edges = likelihood.data
    system, P1_inf = system_of(M, X), likelihood.specification.P1_inf
    found = [
        smooth(y[a:b], system._replace(d=system.d[a:b], c=system.c[a:b]), P1_inf) for a, b in itertools.pairwise(edges)
    ]
    return np.concatenate([f.mean for f in found]), np.concatenate([f.cov for f in found])
