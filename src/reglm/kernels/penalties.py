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
"""A row whose leverage in the unpenalised part is this close to 1 cannot be left out."""
SPAN = (1e-8, 1e1)
"""Ends of the grid of penalties, as shares of the largest eigenvalue. Sums of squares do not resolve smaller ones."""
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
    if model.features is None:
        raise ValueError("leave-one-out needs the training rows, which a loaded model on landmarks does not have.")
    for at, block in model.features:
        for start in range(0, len(block), CHUNK):
            here = slice(at.start + start, min(at.start + start + CHUNK, at.stop))
            yield _left_out_of(model, lam, here, block[start : start + CHUNK])


def _left_out_of(model: LowRank, lam: Array, at: slice, Phi: Array) -> tuple[Array, Array]:
    """Leave-one-out residuals of some rows, from their features (rows, r)."""
    rows, w, inverse = model.rows, model.rows.weights[at], model.inverse(lam)
    P = np.sqrt(w)[:, None] * (Phi @ model.V) - rows.Q[at] @ model.C
    squares, outside = P**2, 1.0 - (rows.Q[at] ** 2).sum(axis=1)
    residuals = rows.y[at][:, None, :] - np.einsum("ir,rl,rk->ilk", P, inverse, model.t, optimize=True)
    free = outside[:, None] - squares @ inverse
    met = outside - squares @ model.pseudo_inverse <= model.rounding
    if met.any():
        residuals[met], free[met] = _reproduced(model, lam, P[met])
    share = (np.minimum(w, 1.0) / w)[:, None] if rows.copies else np.ones((len(w), 1))
    alone = (outside[:, None] < ALONE) & (share == 1.0)
    return (residuals / np.where(alone, np.nan, 1.0 - share + share * free)[:, :, None]) ** 2, w


def _reproduced(model: LowRank, lam: Array, P: Array) -> tuple[Array, Array]:
    """Residuals (rows, L, k) and one minus leverages (rows, L) of rows that are reproduced without a penalty.

    Both vanish with it, and differences would be nothing but rounding; here ``I - H`` is
    ``lambda G (D + lambda)^-1 G'`` with ``G = P D^-1/2``, as in `reglm.kernels.duals`.
    """
    root, inverse = np.sqrt(model.pseudo_inverse)[:, None], model.inverse(lam)
    G = P * root.T
    residuals = np.einsum("ir,rl,rk->ilk", G, inverse, model.t * root, optimize=True)
    return lam[:, None] * residuals, lam * (G**2 @ inverse)


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


def log_likelihood(model: LowRank, lam: Array, *, restricted: bool, scale: Array | float | None = None) -> Array:
    """Log-likelihood of ``y ~ N(Xb, s (K + lambda W^-1))``, (L, k), at the best scale s by default."""
    degrees = model.rows.nobs - model.q if restricted else model.rows.nobs
    quadratic = np.maximum(model.quadratic(lam), TINY)
    s = quadratic / degrees if scale is None else scale
    return -0.5 * (degrees * np.log(2 * np.pi * s) + log_determinant(model, lam, restricted)[:, None] + quadratic / s)


def scale(model: LowRank, lam: Array, kind: str) -> Array:
    """Estimate s, (k,), so that the error variance is ``lambda s``; see `reglm.kernels.criteria.scale`."""
    lam = np.broadcast_to(lam, len(model.total))
    if kind == "residual":
        return np.diagonal(model.rss(lam)) / (model.rows.nobs - model.edf(lam)) / lam
    return np.diagonal(model.quadratic(lam)) / (model.rows.nobs - model.q * (kind == "reml"))


def log_determinant(model: LowRank, lam: Array, restricted: bool) -> Array:
    """``log|V|``, and ``+ log|X'V^-1 X|`` if restricted, (L,)."""
    rows, rank = model.rows, len(model.d)
    others = (rows.nobs if rows.copies else len(rows.weights)) - model.q - rank
    found = np.log(model.d[:, None] + lam).sum(axis=0) + others * np.log(lam)
    if restricted:
        found = found + 2 * np.log(np.abs(np.diag(rows.T))).sum()
    elif model.q:
        found = found + np.linalg.slogdet(model.schur(lam))[1]
    return found if rows.copies else found - np.log(rows.weights).sum()


CRITERIA: dict[str, Callable[[LowRank, Array], Array]] = {"loo": loo, "gcv": gcv, "reml": reml, "ml": ml}


def grid(model: LowRank, points: int = 50) -> Array:
    """Penalties evenly spaced in logarithms, from interpolation to next to no kernel at all, (points,)."""
    top = model.d[-1] if model.d[-1] > 0 else 1.0
    return np.geomspace(SPAN[0] * top, SPAN[1] * top, points)


def best(model: LowRank, name: str, lam: Array, *, refine: bool = True, each: bool = False) -> Array:
    """Penalty that minimises a criterion.

    Parameters
    ----------
    model : LowRank
    name : str
        In `CRITERIA`.
    lam : ndarray (L,)
        Grid, ascending.
    refine : bool
        Search between the neighbours of the best point too: by Brent's method, for leave-one-out, of which each value
        takes a pass over the rows, at the vertex of the parabola through the three points.
    each : bool
        One penalty a target; otherwise one for the sum over targets.

    Returns
    -------
    ndarray (k,) or (1,)
    """
    losses = CRITERIA[name](model, lam)
    losses = losses if each else losses.sum(axis=1, keepdims=True)
    found = []
    for j, column in enumerate(losses.T):
        first = int(np.nanargmin(column))
        inside = 0 < first < len(lam) - 1
        if refine and inside and name == "loo":
            found.append(_vertex(lam[first - 1 : first + 2], column[first - 1 : first + 2]))
        elif refine and len(lam) > 1 and name != "loo":
            ends = lam[max(first - 1, 0)], lam[min(first + 1, len(lam) - 1)]
            found.append(_between(model, name, j if each else slice(None), *ends, lam[first], column[first]))
        else:
            found.append(lam[first])
    return np.array(found)


def _vertex(lam: Array, losses: Array) -> float:
    """Where the parabola through three points, in the logarithm of lambda, is lowest; the middle one if it is flat."""
    curve = np.polynomial.Polynomial.fit(np.log(lam), losses, 2)
    slope = curve.deriv()
    x = slope.roots() if curve.convert().coef[-1] > 0 else np.log(lam[1:2])
    return float(np.exp(np.clip(x[0], np.log(lam[0]), np.log(lam[2]))))


def _between(
    model: LowRank, name: str, target: int | slice, low: float, high: float, start: float, value: float
) -> float:
    """Minimum of a criterion of ``log(lambda)`` between two ends, unless the grid's point is better."""

    def loss(log_lam: float) -> float:
        return float(np.sum(CRITERIA[name](model, np.exp([log_lam]))[0, target]))

    result = minimize_scalar(loss, bounds=(np.log(low), np.log(high)), method="bounded", options={"xatol": 1e-7})
    return float(np.exp(result.x)) if result.fun < value else float(start)
