"""Numba forms of the scalar Ops. Importing this module registers them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_and_cache_key

from reglm.ops import scalar

VERSION = 0


def _exp(x):
    return np.exp(x)


def _expm1(x):
    return np.expm1(x)


def _log1p(x):
    return np.log1p(x)


def _tanh(x):
    return np.tanh(x)


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _softplus(x):
    return max(x, 0) + np.log1p(np.exp(-abs(x)))


def _erf(x):
    return math.erf(x)


def _ndtr(x):
    return 0.5 * math.erfc(-0.7071067811865476 * x)


def _log_ndtr(x):
    if x > -1.0:
        return math.log1p(-0.5 * math.erfc(0.7071067811865476 * x))
    if x > -20.0:
        return math.log(0.5 * math.erfc(-0.7071067811865476 * x))
    z = 1 / (x * x)
    return -0.5 * x * x - math.log(-x) - 0.9189385332046727 + math.log1p(-z * (1 - z * (3 - z * (15 - z * 105))))


def _inverse_mills(x):
    if x > -20.0:
        return 0.3989422804014327 * math.exp(-0.5 * x * x) / (0.5 * math.erfc(-0.7071067811865476 * x))
    z = 1 / (x * x)
    return -x / (1 - z * (1 - z * (3 - z * (15 - z * 105))))


def _gelu(x):
    return max(x, -40.0) * 0.5 * math.erfc(-0.7071067811865476 * x)


def _log1mexp(x):
    return math.log(-math.expm1(-x)) if x < 0.6931471805599453 else math.log1p(-math.exp(-x))


FORMS: dict[type, Callable] = {
    scalar.Exp: _exp,
    scalar.Expm1: _expm1,
    scalar.Log1p: _log1p,
    scalar.Tanh: _tanh,
    scalar.Sigmoid: _sigmoid,
    scalar.Softplus: _softplus,
    scalar.Erf: _erf,
    scalar.Ndtr: _ndtr,
    scalar.LogNdtr: _log_ndtr,
    scalar.InverseMills: _inverse_mills,
    scalar.Gelu: _gelu,
    scalar.Log1mexp: _log1mexp,
}


def _register(op_type: type, form: Callable) -> None:
    @register_funcify_and_cache_key(op_type)
    def funcify(op: Any, node: Any = None, **kwargs: Any) -> tuple[Callable, str]:
        return numba_njit(form, error_model="numpy"), f"reglm-{op_type.__name__}-{VERSION}"


for _op_type, _form in FORMS.items():
    _register(_op_type, _form)
