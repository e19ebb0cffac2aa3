"""What a penalty is chosen by, on a grid and between its points; each criterion is minimised.

* loo: weighted mean square of the exact leave-one-out residuals (Allen 1974; Craven & Wahba 1979);
* gcv: ``N RSS / (N - edf)^2`` (Golub, Heath & Wahba 1979);
* reml: minus the restricted log-likelihood ``-(1/2) [(N - q) log(2 pi s) + log|V| + log|X'V^-1 X| + y'Py / s]`` of
  ``y ~ N(Xb, s V)``, ``V = K + lambda W^-1``, at the best scale s (Patterson & Thompson 1971; Wahba 1985);
* ml: minus the log-likelihood of the same model at the best b and s; without X the log marginal likelihood of a
  Gaussian process (Rasmussen & Williams 2006, 5.8).

Where weights are repetitions all four are those of the repeated rows.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.optimize import minimize_scalar

from reglm.kernels.duals import FEW, Dual
from reglm.parameters import Array

TINY = np.finfo(float).tiny
SPAN = (1e-10, 1e1)
"""Ends of the grid of penalties, as shares of the largest eigenvalue."""


def loo(dual: Dual, lam: Array) -> Array:
    """Mean square leave-one-out residual, (L, k); rows that cannot be left out do not count."""
    diagonal, found = dual.inverse_diagonal(lam), np.empty((len(lam), dual.t.shape[1]))
    for target in range(found.shape[1]):
        scaled = dual.G @ (dual.t[:, [target]] * dual.inverse(lam))
        squares = dual.loo_scaled(scaled, diagonal, lam) ** 2
        weights = np.where(np.isnan(squares), 0.0, dual.weights[:, None]).sum(axis=0)
        found[:, target] = np.nansum(squares, axis=0) / weights
    return found


def gcv(dual: Dual, lam: Array) -> Array:
    """Generalised cross-validation, (L, k)."""
    rest = dual.nobs - dual.edf(lam)
    return dual.nobs * dual.rss(lam) / (rest**2)[:, None]


def reml(dual: Dual, lam: Array) -> Array:
    """Minus the restricted log-likelihood at the best scale, (L, k)."""
    return -log_likelihood(dual, lam, restricted=True)


def ml(dual: Dual, lam: Array) -> Array:
    """Minus the log-likelihood at the best scale, (L, k)."""
    return -log_likelihood(dual, lam, restricted=False)


Criterion = Callable[[Dual, Array], Array]
CRITERIA: dict[str, Criterion] = {"loo": loo, "gcv": gcv, "reml": reml, "ml": ml}


def log_likelihood(dual: Dual, lam: Array, *, restricted: bool, scale: Array | float | None = None) -> Array:
    """Log-likelihood of ``y ~ N(Xb, s (K + lambda W^-1))``, (L, k).

    Parameters
    ----------
    dual : Dual
    lam : ndarray (L,)
    restricted : bool
        REML, which integrates b out, or at the best b.
    scale : float or ndarray (k,), optional
        s; the best one by default.
    """
    degrees = dual.nobs - dual.q if restricted else dual.nobs
    quadratic = np.maximum(dual.quadratic(lam), TINY)
    s = quadratic / degrees if scale is None else scale
    determinant = log_determinant(dual, lam, restricted)[:, None]
    return -0.5 * (degrees * np.log(2 * np.pi * s) + determinant + quadratic / s)


def log_determinant(dual: Dual, lam: Array, restricted: bool) -> Array:
    """``log|V|``, and ``+ log|X'V^-1 X|`` if restricted, (L,)."""
    found = np.log(dual.d[:, None] + lam).sum(axis=0)
    if restricted:
        found = found + 2 * np.log(np.abs(np.diag(dual.R))).sum()
    elif dual.q:
        found = found + np.linalg.slogdet(dual.schur(lam))[1]
    if not dual.copies:
        return found - np.log(dual.weights).sum()
    return found + dual.repeats * np.log(lam) if dual.repeats else found


def grid(dual: Dual, points: int = 50) -> Array:
    """Penalties evenly spaced in logarithms, from interpolation to next to no kernel at all, (points,).

    None is so small that it drowns in the rounding errors of the eigenvalues.
    """
    least = 10 * dual.rounding
    top = max(dual.d[-1], least) or 1.0
    return np.geomspace(max(SPAN[0] * top, least), SPAN[1] * top, points)


def best(dual: Dual, name: str, lam: Array, *, refine: bool = True, each: bool = False) -> Array:
    """Penalty that minimises a criterion.

    Parameters
    ----------
    dual : Dual
    name : str
        In `CRITERIA`.
    lam : ndarray (L,)
        Grid, ascending.
    refine : bool
        Search between the neighbours of the best point too (Brent, in logarithms).
    each : bool
        One penalty a target; otherwise one for the sum over targets.

    Returns
    -------
    ndarray (k,) or (1,)
    """
    criterion = CRITERIA[name]
    losses = criterion(dual, lam)
    groups = [[j] for j in range(losses.shape[1])] if each else [list(range(losses.shape[1]))]
    found = []
    for group in groups:
        total = losses[:, group].sum(axis=1)
        first = int(np.nanargmin(total))
        chosen = lam[first]
        if refine and len(lam) > 1:
            ends = np.log(lam[[max(first - 1, 0), min(first + 1, len(lam) - 1)]])
            chosen = _between(partial(_total, criterion, dual, group), ends, chosen, total[first])
        found.append(chosen)
    return np.array(found)


def _total(criterion: Criterion, dual: Dual, group: list[int], log_lam: float) -> float:
    return float(criterion(dual, np.exp([log_lam]))[0, group].sum())


def _between(loss: Callable[[float], float], ends: Array, start: float, value: float) -> float:
    """Minimum of a criterion of ``log(lambda)`` between two ends, unless the grid's point is better."""
    result = minimize_scalar(loss, bounds=tuple(ends), method="bounded", options={"xatol": 1e-7})
    return float(np.exp(result.x)) if result.fun < value else start


def scale(dual: Dual, lam: Array, kind: str) -> Array:
    """Estimate s, (k,), so that the error variance is ``lambda s``.

    Parameters
    ----------
    dual : Dual
    lam : ndarray (k,) or (1,)
        Penalty of each target, or of all.
    kind : {"residual", "reml", "ml"}
        ``lambda s`` is ``RSS / (N - edf)`` (Wahba 1983), or the scale is that of the (restricted) likelihood.

    Raises
    ------
    ValueError
        If weights that are repetitions sum to less than the effective degrees of freedom.
    """
    if kind == "residual":
        inverse = dual.inverse(lam)
        rest = inverse.sum(axis=0) + (dual.repeats / lam if dual.repeats else 0.0)
        if np.any(rest <= 0):
            raise ValueError(FEW.format(dual.nobs, f"{dual.edf(lam).max():.4g} effective degrees of freedom"))
        return ((dual.t * inverse) ** 2).sum(axis=0) / rest
    degrees = dual.nobs - dual.q if kind == "reml" else dual.nobs
    return (dual.t**2 * dual.inverse(lam)).sum(axis=0) / degrees
