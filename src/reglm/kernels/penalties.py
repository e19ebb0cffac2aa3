"""What the penalty of a regression on landmarks is chosen by.

The criteria are those of `reglm.kernels.criteria`, of the model whose kernel is ``K_XZ K_ZZ^-1 K_ZX``. Leave-one-out
takes a pass over the rows for all penalties together; the others need none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy.optimize import minimize_scalar

from reglm.kernels.lowrank import LowRank
from reglm.parameters import Array

ALONE = 1e-10
"""A row whose leverage is this close to 1 cannot be left out."""
SPAN = (1e-10, 1e1)
"""Ends of the grid of penalties, as shares of the largest eigenvalue."""
FINER = 17
"""Penalties of the second pass of leave-one-out, between the neighbours of the best."""
CHUNK = 512
"""Rows whose leave-one-out residuals are found at once."""
TINY = np.finfo(float).tiny


def loo(model: LowRank, lam: Array) -> Array:
    """Weighted mean square of the exact leave-one-out residuals, (L, k), in one pass over the rows.

    As in `reglm.kernels.criteria`: where weights are repetitions one copy is left out, and rows that cannot be
    left out do not count. The landmarks stay: they are part of the model.
    """
    losses, counted = np.zeros((len(lam), len(model.total))), np.zeros(len(lam))
    for squares, weights in _left_out(model, lam):
        alone = np.isnan(squares[:, :, :1])[:, :, 0]
        losses += np.nansum(squares, axis=0)
        counted += np.where(alone, 0.0, weights[:, None]).sum(axis=0)
    return losses / counted[:, None]


def _left_out(model: LowRank, lam: Array) -> Iterator[tuple[Array, Array]]:
    """Yield squared scaled leave-one-out residuals (rows, L, k) and weights (rows,) of some rows at a time."""
    for at, block in model.features:
        for start in range(0, len(block), CHUNK):
            here = slice(at.start + start, min(at.start + start + CHUNK, at.stop))
            yield _left_out_of(model, lam, here, block[start : start + CHUNK])


def _left_out_of(model: LowRank, lam: Array, at: slice, Phi: Array) -> tuple[Array, Array]:
    """Leave-one-out residuals of some rows, from their features (rows, r)."""
    rows, w, inverse = model.rows, model.rows.weights[at], model.inverse(lam)
    P = np.sqrt(w)[:, None] * (Phi @ model.V) - rows.Q[at] @ model.C
    fitted = np.einsum("ir,rl,rk->ilk", P, inverse, model.t, optimize=True)
    leverage = (rows.Q[at] ** 2).sum(axis=1)[:, None] + np.square(P, out=P) @ inverse
    share = (np.minimum(w, 1.0) / w)[:, None] if rows.copies else 1.0
    stays = 1.0 - share * leverage
    residuals = rows.y[at][:, None, :] - fitted
    return (residuals / np.where(stays < ALONE, np.nan, stays)[:, :, None]) ** 2, w


def gcv(model: LowRank, lam: Array) -> Array:
    """Generalised cross-validation, (L, k)."""
    nobs = model.rows.nobs
    return nobs * model.rss(lam) / ((nobs - model.edf(lam)) ** 2)[:, None]


def reml(model: LowRank, lam: Array) -> Array:
    """Minus the restricted log-likelihood at the best scale, (L, k)."""
    return -log_likelihood(model, lam, restricted=True)


def ml(model: LowRank, lam: Array) -> Array:
    """Minus the log-likelihood at the best scale, (L, k)."""
    return -log_likelihood(model, lam, restricted=False)


def log_likelihood(model: LowRank, lam: Array, *, restricted: bool) -> Array:
    """Log-likelihood of ``y ~ N(Xb, s (K + lambda W^-1))`` at the best scale s, (L, k)."""
    degrees = model.rows.nobs - model.q if restricted else model.rows.nobs
    scale = np.maximum(model.quadratic(lam), TINY) / degrees
    return -0.5 * (degrees * (np.log(2 * np.pi * scale) + 1) + log_determinant(model, lam, restricted)[:, None])


def log_determinant(model: LowRank, lam: Array, restricted: bool) -> Array:
    """``log|V|``, and ``+ log|X'V^-1 X|`` if restricted, (L,)."""
    rows, rank = model.rows, len(model.d)
    others = (rows.nobs if rows.copies else len(rows.weights)) - model.q - rank
    found = np.log(model.d[:, None] + lam).sum(axis=0) + others * np.log(lam)
    if restricted:
        found = found + 2 * np.log(np.abs(np.diag(rows.T))).sum()
    elif model.q:
        shrunk = (model.C[None] * model.inverse(lam).T[:, None, :]) @ model.C.T
        found = found + np.linalg.slogdet(lam[:, None, None] * (np.eye(model.q) + shrunk))[1]
    return found if rows.copies else found - np.log(rows.weights).sum()


CRITERIA: dict[str, Callable[[LowRank, Array], Array]] = {"loo": loo, "gcv": gcv, "reml": reml, "ml": ml}


def grid(model: LowRank, points: int = 50) -> Array:
    """Penalties evenly spaced in logarithms, from interpolation to next to no kernel at all, (points,)."""
    top = model.d[-1] if model.d[-1] > 0 else 1.0
    return np.geomspace(SPAN[0] * top, SPAN[1] * top, points)


def best(model: LowRank, name: str, lam: Array, *, refine: bool = True, each: bool = False) -> tuple[Array, Array]:
    """Penalty that minimises a criterion.

    Parameters
    ----------
    model : LowRank
    name : str
        In `CRITERIA`.
    lam : ndarray (L,)
        Grid, ascending.
    refine : bool
        Search between the neighbours of the best point too: leave-one-out on a finer grid, in one more pass, the
        others by Brent's method.
    each : bool
        One penalty a target; otherwise one for the sum over targets.

    Returns
    -------
    penalty : ndarray (k,) or (1,)
    losses : ndarray (L, k) or (L, 1)
        The criterion on the grid.
    """
    losses = CRITERIA[name](model, lam)
    losses = losses if each else losses.sum(axis=1, keepdims=True)
    first = np.nanargmin(losses, axis=0)
    if not refine or len(lam) == 1:
        return lam[first], losses
    low, high = lam[np.maximum(first - 1, 0)], lam[np.minimum(first + 1, len(lam) - 1)]
    if name == "loo":
        return _finer(model, low, high, each), losses
    ends = zip(low, high, lam[first], losses.min(axis=0), strict=True)
    found = [_between(model, name, j if each else slice(None), *end) for j, end in enumerate(ends)]
    return np.array(found), losses


def _finer(model: LowRank, low: Array, high: Array, each: bool) -> Array:
    """Best penalties of leave-one-out on one finer grid for all targets together."""
    points = np.unique(np.geomspace(low, high, FINER))
    losses = loo(model, points)
    losses = losses if each else losses.sum(axis=1, keepdims=True)
    return points[np.nanargmin(losses, axis=0)]


def _between(
    model: LowRank, name: str, target: int | slice, low: float, high: float, start: float, value: float
) -> float:
    """Minimum of a criterion of ``log(lambda)`` between two ends, unless the grid's point is better."""

    def loss(log_lam: float) -> float:
        return float(np.sum(CRITERIA[name](model, np.exp([log_lam]))[0, target]))

    result = minimize_scalar(loss, bounds=(np.log(low), np.log(high)), method="bounded", options={"xatol": 1e-7})
    return float(np.exp(result.x)) if result.fun < value else float(start)
