"""NumPy forms around the gamma function: trigamma, and the differences of log-gammas, the Tweedie series."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

Array = np.ndarray
Function = Callable[[Array], Array]

EXACT_WIDTH = 20.0
"""Standard deviation of the terms' index up to which every term is summed."""
STIRLING = 1000.0
"""Where Stirling's series takes over from differences of gamma functions."""
BLOCK = 1_000_000
"""Terms held at once."""


def trigamma(x: Array) -> Array:
    """Return the second derivative of log Gamma, elementwise; any shape."""
    return special.zeta(2, x)


def log_rising(y: Array, r: Array, xp: Any = np, log_gamma: Function = special.gammaln) -> Array:
    """Return ``log Gamma(r + y) - log Gamma(r) - y log r``, elementwise; y and r broadcast.

    Beyond r = `STIRLING`, where the difference of the first two loses digits, by Stirling's series, whose next
    term is below 1e-18 there. The derivatives below likewise. `xp` is NumPy or JAX's copy of it.
    """
    near, far = xp.minimum(r, STIRLING), xp.maximum(r, STIRLING)
    end = far + y
    direct = log_gamma(near + y) - log_gamma(near) - y * xp.log(near)
    correction = (1 / end - 1 / far) / 12 - (end**-3 - far**-3) / 360
    return xp.where(r > STIRLING, (end - 0.5) * xp.log1p(y / far) - y + correction, direct)


def rising_slope(y: Array, r: Array, xp: Any = np, digamma: Function = special.psi) -> Array:
    """Return the derivative of `log_rising` in r."""
    near, far = xp.minimum(r, STIRLING), xp.maximum(r, STIRLING)
    end = far + y
    direct = digamma(near + y) - digamma(near) - y / near
    correction = (end**-4 - far**-4) / 120 - (end**-2 - far**-2) / 12
    stirling = xp.log1p(y / far) - y / far + 0.5 * y / (far * end) + correction
    return xp.where(r > STIRLING, stirling, direct)


def rising_curvature(y: Array, r: Array, xp: Any = np, trigamma: Function = trigamma) -> Array:
    """Return the second derivative of `log_rising` in r."""
    near, far = xp.minimum(r, STIRLING), xp.maximum(r, STIRLING)
    end = far + y
    direct = trigamma(near + y) - trigamma(near) + y / near**2
    correction = (end**-3 - far**-3) / 6 - (end**-5 - far**-5) / 30
    stirling = y**2 / (far**2 * end) - 0.5 * y * (far + end) / (far * end) ** 2 + correction
    return xp.where(r > STIRLING, stirling, direct)


def tweedie_series(y: Array, phi: Array, p: float) -> Array:
    """Return ``log a(y, phi, p)`` and its derivatives for 1 < p < 2 (Dunn & Smyth 2005).

    The density is ``a exp((y mu^(1-p) / (1-p) - mu^(2-p) / (2-p)) / phi)`` with ``a = sum_j W_j / y``,
    j = 1, 2, ... The terms are log-concave in j around ``y^(2-p) / (phi (2-p))``. Where their spread is small
    all of them are summed. Where it is large they are a smooth function of j, and the trapezoidal rule with a
    step of a sixth of the spread is exact to far below rounding.

    Parameters
    ----------
    y, phi : arrays (m,)
        y >= 0, phi > 0.
    p : float

    Returns
    -------
    array (6, m)
        log a, its derivatives in phi, p, (phi, phi), (phi, p) and (p, p). All are 0 where y = 0.
    """
    out = np.zeros((6, len(y)))
    positive = np.flatnonzero(y > 0)
    centre = np.maximum(1.0, y[positive] ** (2 - p) / (phi[positive] * (2 - p)))
    spread = np.sqrt(centre * (p - 1))
    level = np.where(spread > EXACT_WIDTH, -1, np.ceil(np.log2(spread + 1)))
    for same in (np.flatnonzero(level == k) for k in np.unique(level)):
        smooth = spread[same[0]] > EXACT_WIDTH
        reach = 145 if smooth else 50 + int(24 * 2 ** level[same[0]])
        for rows in np.array_split(same, 1 + len(same) * reach // BLOCK):
            at = positive[rows]
            step = spread[rows] / 6 if smooth else np.ones(len(rows))
            first = centre[rows] - 72 * step if smooth else np.maximum(1, np.floor(centre[rows]) - reach // 2)
            j = first[:, None] + step[:, None] * np.arange(reach)
            out[:, at] = _sum_terms(y[at], phi[at], p, j, step)
    return out


def _sum_terms(y: Array, phi: Array, p: float, j: Array, step: Array) -> Array:
    """Sum the series over the columns of j (m, reach); see `tweedie_series` for what is returned."""
    a, a1, a2 = (2 - p) / (p - 1), -1 / (p - 1) ** 2, 2 / (p - 1) ** 3
    log_ratio = np.log(y / (p - 1)) - np.log(phi)
    g = a * log_ratio - np.log(phi) - np.log(2 - p)
    g1 = a1 * log_ratio - a / (p - 1) + 1 / (2 - p)
    g2 = a2 * log_ratio - 2 * a1 / (p - 1) + a / (p - 1) ** 2 + 1 / (2 - p) ** 2
    log_gamma, psi, psi1 = _gammas(j, a, whole=bool(step[0] == 1))
    log_terms = j * g[:, None] - log_gamma
    top = log_terms.max(axis=1)
    terms = np.exp(log_terms - top[:, None])
    total = terms.sum(axis=1)
    terms /= total[:, None]
    d_p = j * (g1[:, None] - a1 * psi)
    d_pp = j * (g2[:, None] - a2 * psi) - (a1 * j) ** 2 * psi1
    mean_j, mean_p = (terms * j).sum(axis=1), (terms * d_p).sum(axis=1)
    dj, dp = j - mean_j[:, None], d_p - mean_p[:, None]
    var_j, cov, var_p = ((terms * x).sum(axis=1) for x in (dj * dj, dj * dp, dp * dp))
    slope = -(1 + a) / phi  # d log W_j / d phi = slope j
    return np.stack([
        top + np.log(total * step) - np.log(y),
        slope * mean_j,
        mean_p,
        slope**2 * var_j - slope / phi * mean_j,
        slope * cov - a1 / phi * mean_j,
        var_p + (terms * d_pp).sum(axis=1),
    ])  # fmt: skip


def _gammas(j: Array, a: float, whole: bool) -> tuple[Array, ...]:
    """``log Gamma(j + 1) + log Gamma(j a)``, digamma, trigamma at j a; by table where j are whole numbers."""
    low = j.min()
    tabulate = whole and j.max() - low < j.size
    at = np.arange(low, j.max() + 1) if tabulate else j
    found = special.gammaln(at + 1) + special.gammaln(at * a), special.psi(at * a), trigamma(at * a)
    return tuple(table[(j - low).astype(int)] for table in found) if tabulate else found
