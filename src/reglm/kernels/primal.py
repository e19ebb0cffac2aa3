"""The penalty of a generalized linear model on given features, chosen by leave-one-out from one decomposition.

With an unpenalised intercept, rows scaled by the roots of their weights, Q the basis of the intercept's column and
``M = I - Q Q'``, the singular values ``M F~ = U S V'`` of the features F serve every penalty: for gaussian responses
leave-one-out is exact (`reglm.kernels.penalties`), for others it is one Newton step from the fit to all rows
(`reglm.kernels.irls_dual`). No crossproduct is formed: the states of a reservoir, for one, are all but collinear.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import linalg

from reglm.kernels import irls_criteria, penalties
from reglm.kernels.blocks import MOST_ROWS, Blocks
from reglm.kernels.duals import Dual
from reglm.kernels.irls_criteria import Smoother
from reglm.kernels.irls_problem import Problem
from reglm.kernels.lowrank import LowRank, Rows, scaled_rows
from reglm.parameters import Array

if TYPE_CHECKING:
    from reglm.response import Response

SPAN = (1e-15, 1e1)
"""Ends of the grid of penalties, as shares of the largest squared singular value."""
INTERPOLATING = 1e-8
"""The lower end where the states could interpolate: residuals and what they are divided by vanish together."""


class Chosen(NamedTuple):
    """A penalty and the fit there.

    Parameters
    ----------
    alpha : float
    loss : float
        Weighted mean leave-one-out deviance (squared residual for gaussian responses), per observation.
    edf : float
        Effective degrees of freedom, the intercept's included.
    dispersion : float
        Pearson's statistic over ``n - edf``; 1 where the family has none.
    coef : ndarray (p, K)
    intercept : ndarray (K,)
    converged : bool
    """

    alpha: float
    loss: float
    edf: float
    dispersion: float
    coef: Array
    intercept: Array
    converged: bool


class Decomposition:
    """Singular value decomposition of features beside an intercept.

    Parameters
    ----------
    F : ndarray (n, p)
    weights : ndarray (n,)
        Positive; precisions.

    Raises
    ------
    ValueError
        If there are fewer than two rows.
    """

    def __init__(self, F: Array, weights: Array) -> None:
        self.F = F
        self.rows = scaled_rows(np.zeros((len(F), 1)), np.ones((len(F), 1)), weights, copies=False)
        scaled = np.sqrt(weights)[:, None] * F
        self.S = self.rows.Q.T @ scaled
        self.rest = scaled - self.rows.Q @ self.S
        (R,) = linalg.qr(self.rest, mode="r", check_finite=False)
        _, s, Vt = linalg.svd(R[: len(R.T)], full_matrices=False, check_finite=False)
        self.s, self.V = s[::-1], Vt[::-1].T  # ascending, as eigenvalues are

    def grid(self, points: int) -> Array:
        """Penalties evenly spaced in logarithms, (points,), ascending."""
        top = float(self.s[-1]) ** 2 or 1.0
        least = SPAN[0] if len(self.F) > len(self.s) + 1 else INTERPOLATING
        return np.geomspace(least * top, SPAN[1] * top, points)

    def gaussian(self, y: Array, alphas: Array | int, criterion: str) -> list[Chosen]:
        """Choose the penalty of each column of gaussian responses y (n, k), offsets taken off, by a criterion.

        A single penalty is not chosen, but described.
        """
        rows = scaled_rows(y, np.ones((len(y), 1)), self.rows.weights, copies=False)
        model = self._low_rank(rows)
        refine, lam = isinstance(alphas, int), self.grid(alphas) if isinstance(alphas, int) else alphas
        with np.errstate(invalid="ignore"):  # penalties at which no row can be left out have no criterion
            best = penalties.best(model, criterion, lam, refine=refine, each=True)
        found = np.broadcast_to(best, y.shape[1])
        edf, rss = model.edf(found), np.diagonal(model.rss(found))
        losses = np.diagonal(penalties.loo(model, found))
        rest = np.maximum(rows.nobs - edf, np.finfo(float).eps * rows.nobs)
        coef = self.V @ (model.t * model.inverse(found))
        phi, intercept = rss / rest, self._intercept(rows.u, coef)
        return [
            Chosen(float(found[j]), float(losses[j]), float(edf[j]), float(phi[j]), coef[:, [j]], intercept[[j]], True)
            for j in range(len(found))
        ]

    def _intercept(self, u: Array, coef: Array) -> Array:
        """Intercepts (K,) from coordinates u (q, K) along the intercept's column."""
        return linalg.solve_triangular(self.rows.T, u - self.S @ coef)[0]

    def _low_rank(self, rows: Rows) -> LowRank:
        """The states as a kernel's features; their unit vectors are the landmarks."""
        unit = np.eye(self.F.shape[1])
        blocks = Blocks(lambda X, Z: X, self.F, unit, MOST_ROWS, False, lambda block: block)
        t, C = self.V.T @ (self.rest.T @ rows.y), self.S @ self.V
        return LowRank(unit, unit, self.s**2, self.V, t, C, rows, blocks)

    def any_family(
        self, y: Array, offset: Array, response: Response, start: Array, alphas: Array | int, criterion: str
    ) -> Chosen:
        """Choose the penalty for a response of any family without shape parameters to estimate.

        Parameters
        ----------
        y : ndarray (n, m)
        offset : ndarray (n, K)
        response : Response
        start : ndarray (n, K)
            Linear predictors to start from.
        alphas : ndarray (L,) or int
            Penalties to choose among, one that is given, or the number of points of a grid.
        criterion : str
            In `reglm.kernels.irls_criteria.CRITERIA`.
        """
        smoother = Smoother(Problem(self._dual, response, y, offset), start)
        if isinstance(alphas, int):
            solution = smoother.best(smoother.path(smoother.grid(alphas), [criterion]), criterion, refine=True)
        elif len(alphas) > 1:
            solution = smoother.best(smoother.path(alphas, [criterion]), criterion, refine=False)
        else:
            solution = smoother.at(float(alphas[0]))
        fixed = response.family.dispersion == "fixed"
        phi = 1.0 if fixed else irls_criteria.pearson(solution)
        theta, r = solution.point.theta, len(solution.problem.kept)
        coef = self.V[:, solution.problem.kept] @ theta[:r]
        intercept = self._intercept(theta[r:], coef)
        return Chosen(solution.lam, irls_criteria.loo(solution), solution.edf, phi, coef, intercept, solution.converged)

    @property
    def _dual(self) -> Dual:
        """The same decomposition in the dual, without the eigenvalues of zero."""
        rows, d, none = self.rows, self.s**2, np.zeros((len(self.s), 1))
        rounding = float(d[-1]) * len(self.F) * np.finfo(float).eps ** 2
        U, C = self.rest @ (self.V / np.maximum(self.s, np.finfo(float).tiny)), (self.S @ self.V) * self.s
        return Dual(d, U, none, rows.Q, rows.T, rows.u, self.S @ self.S.T, C, rows.weights, rows.kept, False, rounding)
