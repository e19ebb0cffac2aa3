"""Numba forms of the Kalman Ops. Importing this module registers them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_default_op_cache_key

from reglm.ops.kalman import KalmanGradient, KalmanLogLikelihood, KalmanTangent
from reglm.ops.kalman_numba import value_and_gradient
from reglm.ops.kalman_numpy import STEP

Form = tuple[Callable, int]

VERSION = 1
"""Raise it whenever a form changes: compiled programs are kept on disk under it."""


@numba_njit
def _half(M):
    out = np.empty(M.shape, M.dtype)
    for i in range(M.shape[0]):
        for j in range(M.shape[1]):
            out[i, j] = 0.5 * (M[i, j] + M[j, i])
    return out


@numba_njit
def _dense(M):
    return np.ascontiguousarray(M)


@numba_njit
def _moved(x, v):
    """Complex step of x along v."""
    out = np.empty(x.shape, np.complex128)
    for i, (value, along) in enumerate(zip(x.flat, v.flat)):  # noqa: B905  (Numba's zip has no strict)
        out.flat[i] = complex(value, STEP * along)
    return out


@numba_njit
def _slope(x):
    out = np.empty(x.shape)
    for i, value in enumerate(x.flat):
        out.flat[i] = value.imag / STEP
    return out


@register_funcify_default_op_cache_key(KalmanLogLikelihood)
def _log_likelihood(op: KalmanLogLikelihood, node: Any = None, **kwargs: Any) -> Form:
    @numba_njit
    def kalman(y, edges, P1_inf, d, c, Z, H, T, V, a1, P1):
        return value_and_gradient(
            _dense(y), _dense(edges), _dense(P1_inf), _dense(d), _dense(c), _dense(Z), _half(H), _dense(T), _half(V),
            _dense(a1), _half(P1), np.ones(len(edges) - 1), False,
        )[0]  # fmt: skip

    return kalman, VERSION


@register_funcify_default_op_cache_key(KalmanGradient)
def _gradient(op: KalmanGradient, node: Any = None, **kwargs: Any) -> Form:
    @numba_njit
    def gradient(y, edges, P1_inf, d, c, Z, H, T, V, a1, P1, g):
        _, dd, dc, dZ, dH, dT, dV, da1, dP1 = value_and_gradient(
            _dense(y), _dense(edges), _dense(P1_inf), _dense(d), _dense(c), _dense(Z), _half(H), _dense(T), _half(V),
            _dense(a1), _half(P1), _dense(g), True,
        )  # fmt: skip
        return dd, dc, dZ, dH, dT, dV, da1, dP1

    return gradient, VERSION


@register_funcify_default_op_cache_key(KalmanTangent)
def _tangent(op: KalmanTangent, node: Any = None, **kwargs: Any) -> Form:
    @numba_njit
    def tangent(y, edges, P1_inf, d, c, Z, H, T, V, a1, P1, g, vd, vc, vZ, vH, vT, vV, va1, vP1):
        y, edges, P1_inf = _dense(y), _dense(edges), _dense(P1_inf)
        d, c, Z, H = _moved(d, vd), _moved(c, vc), _moved(Z, vZ), _half(_moved(H, vH))
        T, V, a1, P1 = _moved(T, vT), _half(_moved(V, vV)), _moved(a1, va1), _half(_moved(P1, vP1))
        values, dd, dc, dZ, dH, dT, dV, da1, dP1 = value_and_gradient(
            y, edges, P1_inf, d, c, Z, H, T, V, a1, P1, _dense(g), True
        )
        gradients = _slope(dd), _slope(dc), _slope(dZ), _slope(dH), _slope(dT), _slope(dV), _slope(da1), _slope(dP1)
        return (*gradients, _slope(values))

    return tangent, VERSION
