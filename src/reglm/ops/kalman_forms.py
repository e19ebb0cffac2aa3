"""Numba forms of the Kalman Ops. Importing this module registers them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_default_op_cache_key

from reglm.ops import kalman_numpy
from reglm.ops.kalman import KalmanGradient, KalmanLogLikelihood, KalmanTangent
from reglm.ops.kalman_numba import value_and_gradient
from reglm.ops.kalman_numpy import System

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
        with numba.objmode(
            dd="float64[:, ::1]", dc="float64[:, ::1]", dZ="float64[:, ::1]", dH="float64[:, ::1]",
            dT="float64[:, ::1]", dV="float64[:, ::1]", da1="float64[::1]", dP1="float64[:, ::1]",
            values="float64[::1]",
        ):  # fmt: skip
            dd, dc, dZ, dH, dT, dV, da1, dP1, values = _by_numpy(
                y, edges, P1_inf, System(d, c, Z, H, T, V, a1, P1), g, System(vd, vc, vZ, vH, vT, vV, va1, vP1)
            )
        return dd, dc, dZ, dH, dT, dV, da1, dP1, values

    return tangent, VERSION


def _by_numpy(y: Any, edges: Any, P1_inf: Any, system: System, g: Any, along: System) -> list[Any]:
    """Second derivatives as NumPy computes them: complex kernels would double the time that compiling takes."""
    gradient, values = kalman_numpy.tangent(y, edges, P1_inf, system, g, along)
    return [np.ascontiguousarray(x) for x in (*gradient, values)]
