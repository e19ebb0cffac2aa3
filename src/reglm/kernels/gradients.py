"""Derivatives of the criteria in the kernel matrix.

With ``B = G (D + lambda)^-1 G'`` and ``a~ = B y~``, a change of the scaled kernel by dK gives ``dB = -B dK B``; hence

    d y~'By~ = -a~'dK a~,    d log|Z'(K~ + lambda)Z| = tr(B dK),    d a~ = -B dK a~,    d B_ii = -B_i' dK B_i,

and ``d log|K~ + lambda| = tr((K~ + lambda)^-1 dK)``. A kernel's parameters then need only
``sum_ij (dJ/dK)_ij (dK/dtheta)_ij``. At a penalty that minimises the same criterion no derivative in lambda is
needed (envelope theorem).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reglm.kernels.criteria import CRITERIA
from reglm.kernels.duals import Dual
from reglm.parameters import Array


def value_and_gradient(dual: Dual, name: str, lam: float) -> tuple[float, Array]:
    """A criterion summed over targets and its derivative in the kernel matrix.

    Parameters
    ----------
    dual : Dual
    name : {"loo", "gcv", "reml", "ml"}
        The first two are taken as logarithms, so that their scale is that of a log-likelihood.
    lam : float
        Penalty of all targets.

    Returns
    -------
    value : float
    gradient : ndarray (n, n), symmetric
        Of the criterion in K as `reglm.kernels.duals.decompose` was given it.
    """
    at = np.array([lam])
    total = float(np.nansum(CRITERIA[name](dual, at)))
    inner = GRADIENTS[name](dual, at, total)
    value = float(np.log(total)) if name in ("loo", "gcv") else total
    return value, (inner + inner.T) / 2 * dual.root * dual.root.T


def _inverse(dual: Dual, lam: Array, power: int = 1) -> Array:
    """``G (D + lambda)^-power G'``, (n, n)."""
    half = dual.G * (dual.d + lam) ** (-power / 2)
    return half @ half.T


def _loo(dual: Dual, lam: Array, total: float) -> Array:
    B, a = _inverse(dual, lam), dual.scaled_coefficients(lam)
    r = dual.loo_scaled(a, np.diag(B)[:, None], lam)
    used = ~np.isnan(r)
    weight = (dual.weights[:, None] * used).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(used & (a != 0), r / a, 0.0)  # 1 over what a~ is divided by
    r = np.where(used, r, 0.0)
    pull = 2 / weight * r * slope
    push = (2 / weight * r**2 * slope * dual.left_out).sum(axis=1)
    return ((B * push) @ B - (B @ pull) @ a.T) / total


def _gcv(dual: Dual, lam: Array, total: float) -> Array:
    a = dual.scaled_coefficients(lam)
    residual = lam**2 * (a**2).sum()
    rest = dual.nobs - dual.edf(lam)
    return 2 * lam / rest * _inverse(dual, lam, 2) - 2 * lam**2 / residual * (_apply(dual, lam, a) @ a.T)


def _apply(dual: Dual, lam: Array, a: Array) -> Array:
    return dual.G @ (dual.inverse(lam) * (dual.G.T @ a))


def _reml(dual: Dual, lam: Array, total: float) -> Array:
    return 0.5 * (dual.t.shape[1] * _inverse(dual, lam) - _spread(dual, lam, dual.nobs - dual.q))


def _ml(dual: Dual, lam: Array, total: float) -> Array:
    full = _inverse(dual, lam)
    if dual.q:
        rest = dual.Q - dual.G @ (dual.inverse(lam) * dual.C.T)
        full += rest @ np.linalg.solve(dual.schur(lam)[0], rest.T)
    return 0.5 * (dual.t.shape[1] * full - _spread(dual, lam, dual.nobs))


def _spread(dual: Dual, lam: Array, degrees: float) -> Array:
    """``sum over targets of a~ a~' / s``, the derivative of ``-degrees log(y~'By~)``."""
    a = dual.scaled_coefficients(lam)
    return (a * (degrees / dual.quadratic(lam))) @ a.T


GRADIENTS: dict[str, Callable[[Dual, Array, float], Array]] = {"loo": _loo, "gcv": _gcv, "reml": _reml, "ml": _ml}
