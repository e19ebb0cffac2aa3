"""Kernel regression of any family: penalised likelihood by Fisher scoring in the eigenvectors of the kernel.

The objective is ``-sum_i w_i log p(y_i | eta_i) + lambda/2 sum_k f_k'K^-1 f_k`` at dispersion 1, with
``eta_k = offset_k + X b_k + f_k`` and ``f_k = K a_k``; for gaussian responses it is half that of `reglm.kernels.duals`,
with the same minimum. At the minimum ``lambda a_k`` is the score of ``eta_k``, and ``X'a_k = 0`` (Green & Silverman
1994, section 5.3). In the letters of `reglm.kernels.duals`, ``a~ = G D^-1/2 t`` and ``R b = u - C D^-1/2 t`` make

    eta = offset + F theta,   F = W^-1/2 [G D^1/2, Q],   theta = (t, u),   f'K^-1 f = t't,

so each step solves ``(F'MF + lambda P) step = F's - lambda P theta`` with the score s and the information M of eta.
Eigenvalues within the rounding errors are left out. One decomposition serves every penalty.

Conventions
-----------
n rows of positive weight, K linear predictors, r eigenvalues, q columns of X, p = r + q columns of F.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import linalg

from reglm.kernels.irls_problem import Curvature, Point, Problem
from reglm.parameters import Array

CLOSE = 1e-2
"""Decrement, as a share of the objective, from which the observed information takes the place of the expected one."""
MAX_HALVINGS = 40
FLAT = 1e-10
"""Share of the mean diagonal that is added to a singular information."""
GROWING = 1e-3
"""Step of a linear predictor, relative to its size, that is no rounding."""
NEAR = 1e-9
"""Decrement, as a share of the objective, below which its rounding errors say nothing about a step."""


@dataclass(frozen=True)
class Solution:
    """Fit at one penalty; what follows from it is computed when asked for."""

    problem: Problem
    lam: float
    point: Point
    converged: bool
    n_iter: int

    @cached_property
    def information(self) -> Array:
        """Observed information of eta (n, K, K), or the expected one where that makes no minimum."""
        return self._observed[0]

    @cached_property
    def curvature(self) -> Curvature:
        """Of the penalised objective."""
        return self._observed[1]

    @cached_property
    def _observed(self) -> tuple[Array, Curvature]:
        problem, point = self.problem, self.point
        observed = point.working.information if problem.is_canonical else problem.observed(point.eta)
        try:
            return observed, problem.curvature(observed, self.lam)
        except np.linalg.LinAlgError:
            return point.working.information, _regular(problem, point.working.information, self.lam)

    @cached_property
    def covariances(self) -> Array:
        """Inverse curvature between the linear predictors of each row, (n, K, K)."""
        return self.curvature.covariances(self.problem.F)

    @cached_property
    def leverage(self) -> Array:
        """Trace of each row's block of the hat matrix, (n,)."""
        return np.einsum("ijk,ikj->i", self.covariances, self.information)

    @property
    def edf(self) -> float:
        """Effective degrees of freedom of all linear predictors together."""
        return float(self.leverage.sum())

    def coefficients(self) -> tuple[Array, Array]:
        """Dual coefficients a (n, K) and those of the kept columns of X (q, K)."""
        problem, dual, theta = self.problem, self.problem.dual, self.point.theta
        r = len(problem.kept)
        # t says nothing about eigenvalues of zero; the score says what it is there
        g = dual.G.T @ (self.point.working.score / dual.root) / self.lam
        g[problem.kept] = theta[:r] / problem.roots[:, None]
        return dual.root * (dual.G @ g), linalg.solve_triangular(dual.R, theta[r:] - dual.C @ g)

    def linear_covariance(self) -> Array:
        """Covariance of the kept columns' coefficients (q K, q K) at dispersion 1, a column's together.

        That of the Gaussian process, whose part within the columns' span the responses say nothing about.
        """
        problem, dual, K = self.problem, self.problem.dual, self.point.theta.shape[1]
        C, half = dual.C[:, problem.kept] / problem.roots, linalg.solve_triangular(dual.R, np.eye(dual.q))
        T = half @ np.hstack([-C, np.eye(dual.q)])
        unknown = half @ (dual.A - C @ C.T) @ half.T / self.lam
        basis = np.kron(T, np.eye(K)).reshape(dual.q * K, -1, K)
        inverse = np.array([self.curvature.solve(row) for row in basis]).reshape(len(basis), -1)
        return np.kron(T, np.eye(K)) @ inverse.T + np.kron(unknown, np.eye(K))

    @cached_property
    def left_out(self) -> Array:
        """Linear predictors of each row from the fit without it, or without one copy of it, (n, K).

        One Newton step from the fit to all rows (Rahnama Rad & Maleki 2020, equation 8); exact for gaussian responses
        with the identity link. NaN where the row alone determines a coefficient of the unpenalised part.
        """
        share = self.problem.dual.left_out[:, :, None]
        stays = np.eye(self.covariances.shape[1]) - share * (self.information @ self.covariances)
        alone = np.abs(np.linalg.det(stays)) < FLAT
        stays[alone] = np.eye(stays.shape[1])
        step = self.covariances @ np.linalg.solve(stays, share * self.point.working.score[:, :, None])
        return np.where(alone[:, None], np.nan, self.point.eta - step[:, :, 0])


def solve(problem: Problem, lam: float, theta: Array, *, max_iter: int = 100, tol: float = 1e-10) -> Solution:
    """Minimise the objective at one penalty by Fisher scoring with step-halving.

    Parameters
    ----------
    problem : Problem
    lam : float
        Positive.
    theta : ndarray (p, K)
        Start.
    max_iter : int
    tol : float
        Converged when the Newton decrement is at most ``tol`` times the square root of the objective's size.

    Raises
    ------
    ValueError
        If the likelihood is not finite at the start.
    """
    point = problem.at(theta, lam)
    if not np.isfinite(point.value):
        raise ValueError(
            f"family={problem.response.family.name!r} with link={problem.response.link.name!r}: the likelihood is not "
            "finite where the search starts. Choose a link whose inverse takes any number, such as 'log', or fit an "
            "intercept."
        )
    step, decrement = _step(problem, point, lam)
    for iteration in range(max_iter):
        size = max(abs(point.value), 1.0)
        if decrement <= tol**2 * size:
            return Solution(problem, lam, point, not _is_growing(problem, point, step), iteration)
        if decrement > NEAR * size:
            found = _lower(problem, point, step, decrement, lam)
            if found is None:
                return Solution(problem, lam, point, False, iteration)
            point, (step, decrement) = found, _step(problem, found, lam)
            continue
        found = problem.at(point.theta + step, lam)
        next_step, next_decrement = _step(problem, found, lam)
        if not next_decrement < decrement:
            return Solution(problem, lam, point, True, iteration)
        point, step, decrement = found, next_step, next_decrement
    return Solution(problem, lam, point, False, max_iter)


def _is_growing(problem: Problem, point: Point, step: Array) -> bool:
    """Whether linear predictors still move where the objective stands still: their optimum is infinite."""
    moved = float(np.abs(problem.F @ step).max())
    return moved > GROWING * max(1.0, float(np.abs(point.eta).max()))


def _step(problem: Problem, point: Point, lam: float) -> tuple[Array, float]:
    """Scoring step (p, K) and its decrement; Newton's near the minimum, where it converges faster."""
    if not np.isfinite(point.value):
        return np.zeros_like(point.theta), np.inf
    g = problem.F.T @ point.working.score - lam * problem.is_penalised * point.theta
    step = _regular(problem, point.working.information, lam).solve(g)
    decrement = float((g * step).sum())
    if problem.is_canonical or decrement > CLOSE * max(abs(point.value), 1.0):
        return step, decrement
    try:
        step = problem.curvature(problem.observed(point.eta), lam).solve(g)
    except np.linalg.LinAlgError:
        return step, decrement
    return step, float((g * step).sum())


def _regular(problem: Problem, information: Array, lam: float) -> Curvature:
    """Factorise the penalised information, made positive definite where it is not."""
    K, added = information.shape[1], 0.0
    size = max(float(np.einsum("ikk->ik", information).mean()), np.finfo(float).tiny)
    while True:
        try:
            return problem.curvature(information + added * size * np.eye(K), lam)
        except np.linalg.LinAlgError:
            added = max(FLAT, 100.0 * added)


def _lower(problem: Problem, point: Point, step: Array, decrement: float, lam: float) -> Point | None:
    """Halve a step until the objective falls enough; None if it never does."""
    fraction, slack = 1.0, 16 * np.finfo(float).eps * abs(point.value)
    for _ in range(MAX_HALVINGS):
        trial = problem.at(point.theta + fraction * step, lam)
        if trial.value <= point.value - 1e-4 * fraction * decrement + slack:
            return trial
        fraction /= 2.0
    return None
