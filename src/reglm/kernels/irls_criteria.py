"""What the penalty of a kernel regression of any family is chosen by; each criterion is minimised.

* loo: weighted mean deviance of the rows at their approximate leave-one-out predictions (Rahnama Rad & Maleki 2020);
* gcv: the same with all rows' leverages replaced by their mean (Xiang & Wahba 1996), ``N RSS / (N - edf)^2`` for
  gaussian responses. With the deviance in place of RSS that formula favours interpolation of binary responses;
* reml, ml: minus Laplace's approximation to the log-likelihood with f, or f and b, integrated out, f being a Gaussian
  process with covariance ``phi K / lambda`` (Wood 2011). An unknown phi is where it is largest.

For gaussian responses with the identity link all four are those of `reglm.kernels.criteria`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from reglm.kernels.irls_dual import Solution, solve
from reglm.kernels.irls_problem import Problem
from reglm.parameters import Array

SPAN = (1e-8, 1e1)
"""Ends of the grid of penalties, as shares of the largest eigenvalue times the mean information of an observation."""


def loo(solution: Solution) -> float:
    """Weighted mean approximate leave-one-out deviance."""
    found, weights = loo_deviance(solution), solution.problem.dual.weights
    counted = np.isfinite(found) | np.isposinf(found)
    return float((weights * np.where(counted, found, 0.0)).sum() / weights[counted].sum())


def loo_deviance(solution: Solution) -> Array:
    """Unit deviance of each row at its leave-one-out prediction, (n,).

    NaN where the row cannot be left out, infinite where the prediction is no parameter of the family.
    """
    problem, eta = solution.problem, solution.left_out
    with np.errstate(all="ignore"):
        found = problem.response.unit_deviance(problem.y, eta).sum(axis=1)
    return np.where(np.isnan(found) & np.isfinite(eta).all(axis=1), np.inf, found)


def gcv(solution: Solution) -> float:
    """Mean deviance as in `loo`, with the covariance of every row's linear predictor replaced by their mean."""
    problem, weights = solution.problem, solution.problem.weights
    mean = (weights[:, :, None] * solution.covariances).sum(axis=0) / problem.dual.nobs
    step = (solution.point.working.score / weights) @ mean / (1.0 - solution.edf / problem.nobs)
    with np.errstate(all="ignore"):
        found = problem.response.unit_deviance(problem.y, solution.point.eta - step)
    return float((weights * np.where(np.isnan(found), np.inf, found)).sum()) / problem.dual.nobs


def deviance(solution: Solution) -> float:
    """Weighted deviance."""
    problem = solution.problem
    return float((problem.weights * problem.response.unit_deviance(problem.y, solution.point.eta)).sum())


def reml(solution: Solution) -> float:
    """Minus the Laplace approximation to the restricted log-likelihood."""
    return -laplace(solution, restricted=True)[0]


def ml(solution: Solution) -> float:
    """Minus the Laplace approximation to the log-likelihood."""
    return -laplace(solution, restricted=False)[0]


CRITERIA: dict[str, Callable[[Solution], float]] = {"loo": loo, "gcv": gcv, "reml": reml, "ml": ml}


def available(problem: Problem) -> list[str]:
    """Names of the criteria that a family has: quasi families have no likelihood."""
    return [name for name in CRITERIA if problem.response.family.likelihood or name not in ("reml", "ml")]


def laplace(solution: Solution, *, restricted: bool) -> tuple[float, float]:
    """Laplace's approximation to the log marginal likelihood, and the dispersion at which it is taken.

    Parameters
    ----------
    solution : Solution
    restricted : bool
        Integrate b out under a flat prior, or take it where the likelihood is largest.
    """
    problem, lam, theta = solution.problem, solution.lam, solution.point.theta
    r, (p, K) = len(problem.kept), theta.shape
    free, squares = K * (p - r), float((theta[:r] ** 2).sum())
    fixed = 0.5 * K * r * np.log(lam) - 0.5 * solution.curvature.log_determinant
    fixed -= K * float(np.log(np.abs(np.diag(problem.dual.R))).sum())
    if not restricted and free:
        fixed -= 0.5 * np.linalg.slogdet(solution.linear_covariance())[1]

    def value(log_phi: float) -> float:
        phi = float(np.exp(log_phi))
        likelihood = fixed + log_likelihood(solution, phi) - 0.5 * lam * squares / phi
        return likelihood + 0.5 * free * restricted * (np.log(2 * np.pi) + log_phi)

    if problem.response.family.dispersion == "fixed":
        return value(0.0), 1.0
    centre = np.log(pearson(solution))
    found = minimize_scalar(lambda v: -value(v), bounds=(centre - 4, centre + 4), method="bounded")
    return float(-found.fun), float(np.exp(found.x))


def log_likelihood(solution: Solution, phi: float) -> float:
    """Log-likelihood at a dispersion: of the repeated rows if weights are repetitions."""
    problem, eta = solution.problem, solution.point.eta
    if problem.dual.copies:
        return float((problem.weights * problem.response.log_density(problem.y, eta, phi)).sum())
    return float(problem.response.log_density(problem.y, eta, phi, problem.weights).sum())


def pearson(solution: Solution) -> float:
    """Dispersion by Pearson's statistic over ``N - edf``."""
    problem, eta = solution.problem, solution.point.eta
    family, response = problem.response.family, problem.response
    size = np.asarray(family.size(problem.y))
    squares = (np.asarray(family.observed(problem.y)) - response.location(eta)) ** 2 / response.variance(eta)
    rest = max(problem.nobs - solution.edf, np.finfo(float).eps * problem.nobs)
    return max(float((problem.weights * size * squares).sum()) / rest, np.finfo(float).tiny)


class Path(NamedTuple):
    """Criteria over penalties: lam (L,) ascending, edf (L,), values by criterion, and coefficients (L, p, K)."""

    lam: Array
    edf: Array
    values: dict[str, Array]
    thetas: Array


@dataclass(frozen=True)
class Smoother:
    """A problem with the search for its penalty.

    Parameters
    ----------
    problem : Problem
    start : ndarray (n, K)
        Linear predictors from which the first fit starts.
    """

    problem: Problem
    start: Array

    def grid(self, points: int) -> Array:
        """Penalties evenly spaced in logarithms, from next to interpolation to next to no kernel at all, (points,)."""
        problem = self.problem
        information = problem.response.working(problem.y, self.start, problem.weights).information
        each = float(np.einsum("ikk->ik", information).sum()) / problem.nobs
        least = 10 * problem.dual.rounding
        top = max(problem.dual.d[-1], least) * max(each, np.finfo(float).tiny) or 1.0
        return np.geomspace(max(SPAN[0] * top, least * each), SPAN[1] * top, points)

    def at(self, lam: float, theta: Array | None = None) -> Solution:
        """Fit at a penalty, from coefficients near by if there are some."""
        return solve(self.problem, lam, self.problem.start(self.start, lam) if theta is None else theta)

    def path(self, lam: Array, names: Sequence[str] | None = None) -> Path:
        """Fits at penalties (L,), ascending; each starts from that of the next larger penalty.

        All criteria are computed, or those named.
        """
        names = available(self.problem) if names is None else names
        values = {name: np.empty(len(lam)) for name in names}
        theta, thetas, edf = None, [], np.empty(len(lam))
        for j in range(len(lam) - 1, -1, -1):
            solution = self.at(float(lam[j]), theta)
            theta = solution.point.theta
            thetas.append(theta)
            edf[j] = solution.edf
            for name in names:
                values[name][j] = CRITERIA[name](solution)
        return Path(lam, edf, values, np.array(thetas[::-1]))

    def best(self, path: Path, name: str, *, refine: bool) -> Solution:
        """Fit at the penalty that minimises a criterion, sought between the neighbours of the best on the path too."""
        first = int(np.nanargmin(path.values[name]))
        near = path.thetas[first]
        if refine and len(path.lam) > 1:
            ends = np.log(path.lam[[max(first - 1, 0), min(first + 1, len(path.lam) - 1)]])
            criterion = CRITERIA[name]
            found = minimize_scalar(
                lambda v: criterion(self.at(float(np.exp(v)), near)), bounds=tuple(ends), method="bounded",
                options={"xatol": 1e-3},
            )  # fmt: skip
            if found.fun < path.values[name][first]:
                return self.at(float(np.exp(found.x)), near)
        return self.at(float(path.lam[first]), near)
