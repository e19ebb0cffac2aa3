"""Numba forms of the Ops of log-densities: gamma, Tweedie, log-sum-exp, choice. Importing registers them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from pytensor.link.numba.dispatch.basic import (
    numba_njit,
    register_funcify_and_cache_key,
    register_funcify_default_op_cache_key,
)

from reglm.ops import gamma
from reglm.ops.choose import Choose
from reglm.ops.logsumexp import LogSumExp
from reglm.ops.tweedie import TweedieSeries
from reglm.ops.ufuncs_gamma import STIRLING

VERSION = 0


@numba_njit(error_model="numpy")
def log_gamma(x: float) -> float:
    """Return log Gamma(x) for x > 0."""
    return math.lgamma(x)


@numba_njit(error_model="numpy")
def digamma(x: float) -> float:
    """Return its derivative: recurrence up to 10, then the asymptotic series (Abramowitz & Stegun 6.3.18)."""
    if not x > 0:
        return np.nan
    total = 0.0
    while x < 10:
        total -= 1 / x
        x += 1
    z = 1 / (x * x)
    tail = z * (1 / 12 - z * (1 / 120 - z * (1 / 252 - z * (1 / 240 - z * (1 / 132 - z * (691 / 32760 - z / 12))))))
    return total + math.log(x) - 0.5 / x - tail


@numba_njit(error_model="numpy")
def trigamma(x: float) -> float:
    """Return its second derivative, likewise (Abramowitz & Stegun 6.4.12)."""
    if not x > 0:
        return np.nan
    total = 0.0
    while x < 10:
        total += 1 / (x * x)
        x += 1
    z = 1 / (x * x)
    tail = z * (1 / 6 - z * (1 / 30 - z * (1 / 42 - z * (1 / 30 - z * (5 / 66 - z * (691 / 2730 - z * 7 / 6))))))
    return total + (1 + tail) / x + z / 2


@numba_njit(error_model="numpy")
def log_rising(y: float, r: float) -> float:
    """Return ``log Gamma(r + y) - log Gamma(r) - y log r``; see the NumPy form for the two ranges."""
    if r <= STIRLING:
        return math.lgamma(r + y) - math.lgamma(r) - y * math.log(r)
    end = r + y
    return (end - 0.5) * math.log1p(y / r) - y + (1 / end - 1 / r) / 12 - (end**-3 - r**-3) / 360


@numba_njit(error_model="numpy")
def rising_slope(y: float, r: float) -> float:
    """Return its derivative in r."""
    if r <= STIRLING:
        return digamma(r + y) - digamma(r) - y / r
    end = r + y
    correction = (end**-4 - r**-4) / 120 - (end**-2 - r**-2) / 12
    return math.log1p(y / r) - y / r + 0.5 * y / (r * end) + correction


@numba_njit(error_model="numpy")
def rising_curvature(y: float, r: float) -> float:
    """Return its second derivative in r."""
    if r <= STIRLING:
        return trigamma(r + y) - trigamma(r) + y / r**2
    end = r + y
    correction = (end**-3 - r**-3) / 6 - (end**-5 - r**-5) / 30
    return y**2 / (r**2 * end) - 0.5 * y * (r + end) / (r * end) ** 2 + correction


@numba_njit(error_model="numpy")
def series(y: float, phi: float, p: float, out: np.ndarray) -> None:
    """Sum the Tweedie series at one y > 0 into out (6,), outwards from its largest term."""
    a, a1, a2 = (2 - p) / (p - 1), -1 / (p - 1) ** 2, 2 / (p - 1) ** 3
    ratio = math.log(y / (p - 1)) - math.log(phi)
    g = a * ratio - math.log(phi) - math.log(2 - p)
    g1 = a1 * ratio - a / (p - 1) + 1 / (2 - p)
    g2 = a2 * ratio - 2 * a1 / (p - 1) + a / (p - 1) ** 2 + 1 / (2 - p) ** 2
    centre = max(1.0, np.floor(y ** (2 - p) / (phi * (2 - p))))
    step = max(1.0, np.floor(math.sqrt(centre * (p - 1)) / 6))
    top = centre * g - math.lgamma(centre + 1) - math.lgamma(centre * a)
    psi = digamma(centre * a)
    shift = centre * (g1 - a1 * psi)
    s0 = s_j = s_p = s_jj = s_jp = s_pp = s_d = 0.0
    for direction in (-1, 1):
        j = centre if direction == 1 else centre - step
        while j >= 1:
            w = math.exp(j * g - math.lgamma(j + 1) - math.lgamma(j * a) - top)
            psi = digamma(j * a)
            dj, dp = j - centre, j * (g1 - a1 * psi) - shift
            s0 += w
            s_j += w * dj
            s_p += w * dp
            s_jj += w * dj * dj
            s_jp += w * dj * dp
            s_pp += w * dp * dp
            s_d += w * (j * (g2 - a2 * psi) - (a1 * j) ** 2 * trigamma(j * a))
            if w < 1e-18 * s0:
                break
            j += direction * step
    m_j, m_p, slope = s_j / s0, s_p / s0, -(1 + a) / phi
    out[0] = top + math.log(s0 * step) - math.log(y)
    out[1] = slope * (centre + m_j)
    out[2] = shift + m_p
    out[3] = slope**2 * (s_jj / s0 - m_j**2) - slope / phi * (centre + m_j)
    out[4] = slope * (s_jp / s0 - m_j * m_p) - a1 / phi * (centre + m_j)
    out[5] = s_pp / s0 - m_p**2 + s_d / s0


@numba_njit
def choose(condition: bool, yes: float, no: float) -> float:
    """Return one of two values."""
    return yes if condition else no


def _register(op_type: type, form: Callable) -> None:
    @register_funcify_and_cache_key(op_type)
    def funcify(op: Any, node: Any = None, **kwargs: Any) -> tuple[Callable, str]:
        return form, f"reglm-{op_type.__name__}-{VERSION}"


for _op_type, _form in {
    gamma.LogGamma: log_gamma,
    gamma.Digamma: digamma,
    gamma.Trigamma: trigamma,
    gamma.LogRising: log_rising,
    gamma.RisingSlope: rising_slope,
    gamma.RisingCurvature: rising_curvature,
    Choose: choose,
}.items():
    _register(_op_type, _form)


@register_funcify_default_op_cache_key(TweedieSeries)
def _tweedie(op: TweedieSeries, node: Any = None, **kwargs: Any) -> Callable:
    @numba_njit(error_model="numpy")
    def tweedie(y: Any, phi: Any, p: Any) -> tuple[Any, ...]:
        n, m = y.shape
        out = np.zeros((6, n, m), y.dtype)
        row = np.empty(6)
        for i in range(n):
            for k in range(m):
                if y[i, k] > 0:
                    series(y[i, k], phi[i, k], p.item(), row)
                    out[:, i, k] = row
        return out[0], out[1], out[2], out[3], out[4], out[5]

    return tweedie


@register_funcify_default_op_cache_key(LogSumExp)
def _log_sum_exp(op: LogSumExp, node: Any = None, **kwargs: Any) -> Callable:
    @numba_njit(error_model="numpy")
    def log_sum_exp(eta: Any) -> Any:
        out = np.empty((eta.shape[0], 1), eta.dtype)
        for i in range(eta.shape[0]):
            top = max(eta[i].max(), 0)
            total = math.exp(-top)
            for k in range(eta.shape[1]):
                total += math.exp(eta[i, k] - top)
            out[i, 0] = top + math.log(total)
        return out

    return log_sum_exp
