"""Fisher scoring for a linear predictor: iteratively reweighted least squares (McCullagh & Nelder 1989, 2.5).

Each iteration takes two passes over X: one for X'WX and X'd, one for the new linear predictor. The step
solves the scaled normal equations by Cholesky while their condition allows, and an orthogonal reduction of X
else; as each step starts from the exact score, rounding in one step is corrected by the next.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from reglm.optimize.crossproduct import Design, normal_equations
from reglm.optimize.dependence import dependent_by_crossproduct
from reglm.optimize.least_squares import solve_normal, weighted_qr_step
from reglm.optimize.problem import Array, Result
from reglm.optimize.progress import Callback, limit_message

LinkRows = Callable[[Array], tuple[float, Array, Array]]

CONDITION_LIMIT = 1e7
MAX_HALVINGS = 30
GROWING = 1e-3
HOPELESS = 1e-6
"""Decrement (relative) below which a linear predictor that still moves is taken to move for ever."""
LASTING = 5
"""Steps for which it must have done so."""


@dataclass
class IRLSResult(Result):
    """A `Result` with what inference needs.

    Attributes
    ----------
    information : (P, P) array
        X'WX plus the penalty where the last step began, intercept last.
    aliased : (P,) bool array
        Columns dropped because they depend on the intercept and the columns before them; their coefficients
        keep their starting values.
    condition : float
        Largest estimated condition number of the scaled normal equations.
    method : str
        ``"cholesky"``, or ``"qr"`` if any step needed it.
    eta : (n,) array
        ``X @ coef + intercept`` at the solution.
    """

    information: Array = field(default_factory=lambda: np.zeros((0, 0)))
    aliased: Array = field(default_factory=lambda: np.zeros(0, dtype=bool))
    condition: float = math.nan
    method: str = "cholesky"
    eta: Array = field(default_factory=lambda: np.zeros(0))


@dataclass
class _Point:
    """Coefficients with what `link_rows` said about them."""

    beta: Array
    eta: Array
    objective: float
    d: Array
    w: Array


class _Model:
    """Design, penalty and row function: evaluates points and solves for steps."""

    def __init__(self, X: Design, link_rows: LinkRows, intercept: bool, l2: Array | None) -> None:
        self.X, self.link_rows, self.intercept = X, link_rows, intercept
        self.size = X.shape[1] + intercept
        self.l2 = np.zeros(self.size) if l2 is None else np.broadcast_to(np.asarray(l2, dtype=float), (self.size,))
        self.aliased = np.zeros(self.size, dtype=bool)
        self.sits_out = False
        self.present: Array | None = None
        self.condition = 0.0
        self.method = "cholesky"
        self.information = np.zeros((self.size, self.size))

    def eta(self, beta: Array) -> Array:
        """Linear predictor (n,) without offset."""
        p = self.X.shape[1]
        eta = self.X @ beta[:p].astype(self.X.dtype, copy=False)
        if self.intercept:
            eta += eta.dtype.type(beta[p])
        return eta

    def at(self, beta: Array, eta: Array) -> _Point:
        """Evaluate `beta` (P,) with linear predictor `eta` (n,)."""
        with np.errstate(all="ignore"):  # a step too far overflows; it is seen below and halved
            value, d, w = self.link_rows(eta)
        value = float(value) + 0.5 * float(self.l2 @ beta**2)
        if not (np.isfinite(w).all() and np.isfinite(d).all()):
            value = math.inf
        return _Point(beta, eta, value if math.isfinite(value) else math.inf, d, w)

    def step(self, point: _Point) -> tuple[Array, float]:
        """Fisher-scoring step (P,) and its decrement ``score' information^-1 score``."""
        if point.w.size and point.w.min() < 0:
            raise ValueError("link_rows returned a negative information weight; return the expected information")
        if self.present is None:
            self.present = point.w > 0
        self.sits_out = False
        G, g = normal_equations(self.X, point.w, point.d, self.intercept)
        G[np.diag_indices(self.size)] += self.l2
        g -= self.l2 * point.beta
        self.information = G
        delta, condition = self.solve(G, g)
        if condition > CONDITION_LIMIT and not self.aliased.any():
            dependent = dependent_by_crossproduct(self.X, self.present, self.l2, G, self.intercept)
            if dependent is not None:
                self.aliased = dependent
                delta, condition = self.solve(G, g)
        if condition > CONDITION_LIMIT:
            delta = self.qr_step(point)
        self.condition = max(self.condition, condition)
        return delta, float(g @ delta)

    def solve(self, G: Array, g: Array) -> tuple[Array, float]:
        """Step (P,) from the normal equations of the columns that were not dropped, and their condition."""
        kept = np.flatnonzero(~self.aliased)
        delta = np.zeros(self.size)
        delta[kept], condition = solve_normal(G[np.ix_(kept, kept)], g[kept])
        return delta, condition

    def qr_step(self, point: _Point) -> Array:
        """The same step from X itself; marks dependent columns.

        Weights that have all but vanished since the start make independent columns look dependent. Those sit
        out this step only.
        """
        self.method = "qr"
        z = np.divide(point.d, point.w, out=np.zeros_like(point.w), where=point.w > 0)
        found = weighted_qr_step(self.X, point.w, z, self.intercept, self.l2, -point.beta)
        if found.aliased.any() and not self.aliased.any():
            present = np.asarray(self.present, dtype=float)
            self.aliased = weighted_qr_step(self.X, present, present, self.intercept, self.l2).aliased
        self.sits_out = bool(np.any(found.aliased & ~self.aliased))
        return found.coef


def irls(
    X: Design,
    link_rows: LinkRows,
    beta0: Array,
    *,
    intercept: bool = True,
    l2: Array | None = None,
    max_iter: int = 100,
    tol: float = 1e-10,
    callback: Callback | None = None,
) -> IRLSResult:
    """Fit a generalized linear model by Fisher scoring with step-halving.

    Parameters
    ----------
    X : (n, p) array or CSR
        Design matrix, float32 or float64, in C or Fortran order; never copied.
    link_rows : callable
        ``eta (n,) -> (objective, d (n,), w (n,))``: minus the log-likelihood summed over rows, the derivative
        of the *log-likelihood* by eta, and the expected information of eta, all with prior weights. Adds any
        offset itself.
    beta0 : (p,) or (p + 1,) array
        Start, with the intercept last.
    intercept : bool
        Whether there is an implicit column of ones.
    l2 : array of the shape of `beta0`, optional
        Adds ``sum(l2 * beta**2) / 2`` to the objective.
    max_iter : int
        Iterations.
    tol : float
        Converged when the Newton decrement ``sqrt(score' information^-1 score)`` (for a log-likelihood at
        unit dispersion: the distance to the optimum in standard errors) that is expected *after* the step,
        from the speed of convergence so far, is at most ``tol * sqrt(|objective|)``.
    callback : callable, optional
        ``(iteration, objective, beta) -> True`` to stop.

    Returns
    -------
    IRLSResult
        ``grad_norm`` is the decrement of the last step, relative to ``sqrt(|objective|)``.

    Raises
    ------
    ValueError
        If the shapes of `beta0` and `X` disagree, or an information weight is negative.
    """
    model = _Model(X, link_rows, intercept, l2)
    beta = np.asarray(beta0, dtype=float)
    if beta.shape != (model.size,):
        raise ValueError(f"beta0 has shape {beta.shape}; X and intercept={intercept} need ({model.size},)")
    point = model.at(beta.copy(), model.eta(beta))
    result = IRLSResult(
        theta=point.beta, value=point.objective, grad_norm=math.nan, n_iter=0, n_eval=1, status="max_iter",
        message=limit_message(max_iter), history={"objective": [], "monitor": [], "step": []},
    )  # fmt: skip
    try:
        point = iterate(model, point, result, max_iter, tol, callback)
    except KeyboardInterrupt:
        result.status, result.message = "interrupted", f"interrupted after iteration {result.n_iter}"
    result.theta = result.theta.astype(np.asarray(beta0).dtype if X.dtype == np.float64 else X.dtype, copy=False)
    result.information, result.aliased = model.information, model.aliased
    result.condition, result.method, result.eta = model.condition, model.method, point.eta
    return result


def iterate(
    model: _Model, point: _Point, result: IRLSResult, max_iter: int, tol: float, callback: Callback | None
) -> _Point:
    """Score until converged, filling in `result` as it goes; returns the last point."""
    if not math.isfinite(point.objective):
        result.status = "non-finite"
        result.message = "the objective is not finite at the starting values; start where the mean is admissible"
        return point
    eps = float(np.finfo(model.X.dtype).eps)
    start = abs(point.objective)
    decrements: list[float] = []
    moves: list[float] = []
    for result.n_iter in range(1, max_iter + 1):
        delta, decrement = model.step(point)
        size = max(abs(point.objective), eps * start, np.finfo(float).tiny)
        result.grad_norm = math.sqrt(max(decrement, 0.0) / size)
        decrements.append(result.grad_norm)
        new, fraction, tried = halve(model, point, delta, decrement, eps)
        result.n_eval += 1 + tried
        small = remaining(decrements) <= max(tol, 4 * eps)
        vanished = abs(point.objective) <= eps * start
        if new is None:
            floor = small or vanished or result.grad_norm <= math.sqrt(eps)
            result.status = "converged" if floor else "stalled"
            result.message = "no further decrease beyond rounding" if floor else "step-halving found no lower objective"
            return point
        moves.append(float(np.max(np.abs(new.eta - point.eta), initial=0.0)))
        growing = (small or vanished) and (model.sits_out or relative_move(point.eta, new.eta) > GROWING)
        growing = growing or unbounded(decrements, moves)
        point = new
        result.theta, result.value = point.beta, point.objective
        result.history["objective"].append(point.objective)
        result.history["step"].append(fraction)
        if growing:
            result.status = "diverging"
            result.message = (
                "the linear predictor grows without end while the objective stands still: the response is "
                "(quasi-)separated by the columns of X; add a penalty or leave out the columns responsible"
            )
            return point
        if small or vanished:
            result.status = "converged"
            word = (
                f"decrement {result.grad_norm:.1e} <= tol = {tol:.1e}" if small else "the fit is exact up to rounding"
            )
            result.message = word
            return point
        if callback is not None and callback(result.n_iter, point.objective, point.beta):
            result.status = "callback"
            result.message = f"stopped by the callback after iteration {result.n_iter}"
            return point
    return point


def remaining(decrements: list[float]) -> float:
    """Decrement to expect after the next step, from those before the steps so far.

    Returns
    -------
    float
        The last one if it is the only one or still above 1e-6, so that the information is accurate too. Else
        it is taken to fall by the last ratio again, by its square where the ratios themselves fall (scoring
        of a canonical link is Newton's method and converges quadratically).
    """
    last = decrements[-1]
    if len(decrements) == 1 or last > 1e-6:
        return last
    ratio = last / decrements[-2]
    if ratio >= 1.0:
        return last
    superlinear = len(decrements) > 2 and ratio < 0.1 * decrements[-2] / decrements[-3]
    return last * ratio**2 if superlinear else last * ratio / (1.0 - ratio)


def unbounded(decrements: list[float], moves: list[float]) -> bool:
    """Whether the decrement falls while the linear predictor keeps moving as far as before: its optimum is infinite."""
    if len(moves) <= LASTING or decrements[-1] > HOPELESS:
        return False
    fall, move = np.array(decrements[-LASTING - 1 :]), np.array(moves[-LASTING - 1 :])
    return bool(np.all(fall[1:] < 0.8 * fall[:-1]) and np.all(move[1:] > 0.9 * move[:-1]))


def relative_move(old: Array, new: Array) -> float:
    """Largest change of a linear predictor (n,), relative to its size where that is above one."""
    return float(np.max(np.abs(new - old), initial=0.0)) / max(1.0, float(np.max(np.abs(new), initial=0.0)))


def halve(model: _Model, point: _Point, delta: Array, decrement: float, eps: float) -> tuple[_Point | None, float, int]:
    """Halve the step until the objective falls (a hair of rounding allowed).

    Returns
    -------
    point, fraction, tried
        The new point or None, the fraction of `delta` taken and the number of evaluations.
    """
    slack = 16 * eps * abs(point.objective)
    far = model.eta(point.beta + delta)
    fraction = 1.0
    for tried in range(1, MAX_HALVINGS + 1):
        eta = far if fraction == 1.0 else point.eta + point.eta.dtype.type(fraction) * (far - point.eta)
        new = model.at(point.beta + fraction * delta, eta)
        if new.objective <= point.objective - 1e-4 * fraction * decrement + slack:
            return new, fraction, tried
        fraction *= 0.5
    return None, 0.0, MAX_HALVINGS
