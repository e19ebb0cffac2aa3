"""Expressions of links that stay finite and differentiable, twice, far into both tails.

The trouble is never the value alone: ``log(log(1 + e^eta))`` at eta = -500 is -500, but its slope, written
as a quotient, is 0 / 0. Where a function is a line to within rounding it is continued by that line.
"""

from __future__ import annotations

import math

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import disconnected_grad

from reglm import ops
from reglm.links.record import Unary, Variable
from reglm.ops.choose import choose, larger, smaller


def like(value: float, x: Variable) -> Variable:
    """Return a constant of the dtype of `x`, so that float32 graphs stay float32."""
    return pt.constant(np.asarray(value, dtype=x.dtype))


def log1mexp(x: Variable) -> Variable:
    """Return ``log(1 - e^-x)`` for x > 0; beyond 40, where it is below rounding, it is constant."""
    return ops.log1mexp(smaller(x, 40))


def line_before(start: int, f: Unary, eta: Variable) -> Variable:
    """Return f(eta), continued with slope one left of `start`.

    For ``f(eta) = eta + O(e^eta)`` and start = -37 the line is exact to rounding, and so are its derivatives.
    """
    return f(larger(eta, start)) + choose(pt.gt(eta, start), like(0, eta), eta - start)


def log_softplus(eta: Variable) -> Variable:
    """Return ``log(log(1 + e^eta))``."""
    return line_before(-37, lambda x: pt.log(ops.softplus(x)), eta)


def log_cloglog(eta: Variable) -> Variable:
    """Return ``log(1 - exp(-e^eta))``, zero to rounding right of 4."""
    return line_before(-37, lambda x: log1mexp(ops.exp(smaller(x, 4))), eta)


def cauchy_cdf(eta: Variable) -> Variable:
    """Return ``1/2 + arctan(eta) / pi``, without the cancellation on the left."""
    return pt.arctan2(1, -eta) / like(math.pi, eta)


def between_logit(a: Variable, b: Variable) -> Variable:
    """Return ``log(F(b) - F(a))`` for the logistic F: ``F(b) (1 - F(a)) (1 - e^(a-b))``."""
    return log1mexp(b - a) - ops.softplus(-b) - ops.softplus(a)


def between_probit(a: Variable, b: Variable) -> Variable:
    """Return ``log(Phi(b) - Phi(a))``; intervals of the right tail are mirrored into the left one."""
    centre, half = (a + b) / 2, (b - a) / 2
    centre = choose(pt.gt(centre, 0), -centre, centre)
    log_high = ops.log_ndtr(centre + half)
    return log_high + log1mexp(log_high - ops.log_ndtr(centre - half))


def between_cloglog(a: Variable, b: Variable) -> Variable:
    """Return ``log(F(b) - F(a))`` for F = 1 - exp(-e^eta): ``exp(-e^a) (1 - exp(-(e^b - e^a)))``."""
    return log_cloglog(b + log1mexp(b - a)) - ops.exp(a)


def between_cauchit(a: Variable, b: Variable) -> Variable:
    """Return ``log(F(b) - F(a))`` for the Cauchy F, by the addition theorem of arctan."""
    return pt.log(pt.arctan2(b - a, 1 + a * b)) - like(math.log(math.pi), a)


def softmax_rows(eta: Variable) -> Variable:
    """Return ``e^eta_k / sum_j e^eta_j`` over the last axis, (n, K) to (n, K)."""
    # written out: PyTensor 3's own Op compiles C code even where it is interpreted
    top = disconnected_grad(eta.max(axis=-1, keepdims=True))
    odds = ops.exp(eta - top)
    return odds / odds.sum(axis=-1, keepdims=True)


def maxout(eta: Variable) -> Variable:
    """Return the larger of the first and the second K columns, (n, 2K) to (n, K)."""
    half = eta.shape[-1] // 2
    one, other = eta[..., :half], eta[..., half:]
    return choose(pt.or_(pt.gt(one, other), pt.isnan(one)), one, other)


def elu(eta: Variable) -> Variable:
    """Return eta right of zero, ``e^eta - 1`` left of it."""
    right = pt.gt(eta, 0)
    return choose(right, eta, ops.expm1(choose(right, like(0, eta), eta)))


def elu_forward(mu: Variable) -> Variable:
    """Invert `elu`."""
    right = pt.gt(mu, 0)
    return choose(right, mu, ops.log1p(choose(right, like(0, mu), mu)))


def threshold(eta: Variable) -> Variable:
    """Return 1 for eta > 0, else 0."""
    return pt.cast(pt.gt(eta, 0), eta.dtype)
