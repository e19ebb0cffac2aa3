"""Branch-free elementary functions that LLVM vectorises: exp, log and what is made of them.

Every function is reduction to a short interval, a polynomial there, and exact scaling. Each keeps NaN, is
right at plus and minus infinity, over- and underflows gradually, and is within a few units in the last
place of the true value. The factories take a `Precision`, so float32 is computed in float32.

Coefficients are Chebyshev interpolants computed with 50 digits; relative errors of the approximations
are below 2e-17 (float64) and 3e-8 (float32).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from reglm.ops.intrinsics import (
    exponent_of,
    fraction_of,
    nearest_integer,
    polynomial,
    power_of_two,
    with_sign,
)


@dataclass(frozen=True)
class Precision:
    """Constants of one floating-point format."""

    kind: type
    ln2_high: float
    """Leading bits of log 2, so few that an integer times it is exact."""
    ln2_low: float
    lowest: float
    """Below this exp is zero."""
    highest: float
    """Above this exp is infinite."""
    shift: int
    """Underflowing powers are formed 2^shift too large, then scaled down in one rounding."""
    exp_tail: tuple[float, ...]
    """(e^r - 1 - r) / r^2 on |r| <= log(2) / 2."""
    log_tail: tuple[float, ...]
    """(2 artanh(s) - 2 s) / s^3 as a polynomial in s^2, for 3 - 2 sqrt(2) >= s."""

    @property
    def tiny(self) -> float:
        """Smallest normal number."""
        return float(np.finfo(self.kind).tiny)


DOUBLE = Precision(
    kind=np.float64,
    ln2_high=6.93147180369123816490e-01,
    ln2_low=1.90821492927058770002e-10,
    lowest=-746.0,
    highest=710.0,
    shift=64,
    exp_tail=(
        0.5, 0.1666666666666667, 0.04166666666666667, 0.008333333333326136, 0.0013888888888883748,
        0.00019841269874820627, 2.4801587325547743e-05, 2.7557255400206422e-06, 2.75572736431103e-07,
        2.5105217004720745e-08, 2.0914686968086876e-09,
    ),
    log_tail=(
        0.666666666666667, 0.3999999999989889, 0.28571428626253836, 0.22222211089379496,
        0.1818289243253687, 0.15331611722055008, 0.14617807153417325,
    ),
)  # fmt: skip

SINGLE = Precision(
    kind=np.float32,
    ln2_high=0.693359375,
    ln2_low=-2.12194440e-4,
    lowest=-104.0,
    highest=89.0,
    shift=32,
    exp_tail=(0.5, 0.16666576989698775, 0.041666554617204574, 0.008363179052722578, 0.0013926183587713494),
    log_tail=(0.6666668509542907, 0.39988757716604845, 0.29580985929974424),
)


def kernel(function: Callable) -> Any:
    """Compile for inlining into a loop. Only contraction to multiply-adds is allowed: NaN and infinity count."""
    return numba.njit(
        function,
        fastmath={"contract"},
        error_model="numpy",
        forceinline=True,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
    )


def reduction(precision: Precision) -> Callable:
    """Make ``x, low -> k, q`` with e^(x + low) = 2^k (1 + q) and |q| < 0.42; |low| is far below 1."""
    number = precision.kind
    per_ln2, high, low_part = number(1 / np.log(2)), number(precision.ln2_high), number(precision.ln2_low)
    tail = polynomial(precision.exp_tail)

    @kernel
    def reduce(x, low):
        k = nearest_integer(x * per_ln2)
        r = (x - k * high) - k * low_part + low
        return k, r + r * r * tail(r)

    return reduce


def exp(precision: Precision) -> Callable:
    """Make e^x. The power of two is applied in two halves, which over- and underflow gradually."""
    number, reduce = precision.kind, reduction(precision)
    zero, half = number(0), number(0.5)
    lowest, highest = number(precision.lowest), number(precision.highest)

    @kernel
    def exp_kernel(x):
        k, q = reduce(min(max(x, lowest), highest), zero)
        first = nearest_integer(half * k)
        scale = power_of_two(first)
        return (scale + scale * q) * power_of_two(k - first)

    return exp_kernel


def decay(precision: Precision) -> Callable:
    """Make ``x, low -> e^-(x + low)`` for x >= 0."""
    number, reduce = precision.kind, reduction(precision)
    lowest, shift, back = number(precision.lowest), number(precision.shift), number(2.0**-precision.shift)

    @kernel
    def decay_kernel(x, low):
        k, q = reduce(max(-x, lowest), -low)
        scale = power_of_two(k + shift)
        return (scale + scale * q) * back

    return decay_kernel


def expm1(precision: Precision) -> Callable:
    """Make e^x - 1 as 2 (2^(k-1) q + (2^(k-1) - 1/2)), which is exact near 0 and does not overflow early."""
    number, reduce = precision.kind, reduction(precision)
    zero, half, one, two = number(0), number(0.5), number(1), number(2)
    lowest, highest = number(-50), number(precision.highest)

    @kernel
    def expm1_kernel(x):
        k, q = reduce(min(max(x, lowest), highest), zero)
        scale = power_of_two(k - one)
        return two * (scale * q + (scale - half))

    return expm1_kernel


def tanh(precision: Precision) -> Callable:
    """Make tanh(x) = -m / (2 + m) with m = e^(-2|x|) - 1, and the sign of x."""
    number, reduce = precision.kind, reduction(precision)
    zero, one, two, lowest = number(0), number(1), number(2), number(-50)

    @kernel
    def tanh_kernel(x):
        k, q = reduce(max(-two * abs(x), lowest), zero)
        scale = power_of_two(k)
        m = scale * q + (scale - one)
        return with_sign(-m / (two + m), x)

    return tanh_kernel


def sigmoid(precision: Precision) -> Callable:
    """Make 1 / (1 + e^-x) from e^-|x|, so that nothing overflows and the left tail keeps its digits."""
    number, decay_kernel = precision.kind, decay(precision)
    zero, one = number(0), number(1)

    @kernel
    def sigmoid_kernel(x):
        e = decay_kernel(abs(x), zero)
        upper = one / (one + e)
        return e * upper if x < zero else upper

    return sigmoid_kernel


def softplus(precision: Precision) -> Callable:
    """Make log(1 + e^x) = max(x, 0) + log(1 + e^-|x|), the logarithm by its series in s = f / (2 + f)."""
    number, decay_kernel = precision.kind, decay(precision)
    zero, half, one, two = number(0), number(0.5), number(1), number(2)
    turn, high, low_part = number(np.sqrt(2) - 1), number(precision.ln2_high), number(precision.ln2_low)
    tail = polynomial(precision.log_tail)

    @kernel
    def softplus_kernel(x):
        e = decay_kernel(abs(x), zero)
        large = e > turn  # then 1 + e is 2 (1 + f) with f = (e - 1) / 2, else 1 + f with f = e
        f = half * (e - one) if large else e
        s = f / (two + f)
        z = s * s
        h = half * f * f
        rest = s * (h + z * tail(z)) + (low_part if large else zero)
        logarithm = (high if large else zero) - ((h - rest) - f)
        return logarithm + max(x, zero)

    return softplus_kernel


def log(precision: Precision) -> Callable:
    """Make ``u, correction -> log(u + correction)`` where the correction is below the last digit of u."""
    number = precision.kind
    zero, half, one, two = number(0), number(0.5), number(1), number(2)
    tiny, up, bits = number(precision.tiny), number(2.0**precision.shift), number(precision.shift)
    high, low_part = number(precision.ln2_high), number(precision.ln2_low)
    infinity, nan = number(np.inf), number(np.nan)
    tail = polynomial(precision.log_tail)

    @kernel
    def log_kernel(u, correction):
        subnormal = u < tiny
        v = u * up if subnormal else u
        k = exponent_of(v) - (bits if subnormal else zero)
        f = fraction_of(v) - one
        s = f / (two + f)
        z = s * s
        h = half * f * f
        rest = s * (h + z * tail(z)) + (k * low_part + correction / u)
        y = k * high - ((h - rest) - f)
        y = y if u < infinity else u
        return y if u > zero else (-infinity if u == zero else nan)

    return log_kernel


def log1p(precision: Precision) -> Callable:
    """Make log(1 + x): the rounding error of 1 + x is the correction of the logarithm."""
    number, log_kernel = precision.kind, log(precision)
    one = number(1)

    @kernel
    def log1p_kernel(x):
        u = one + x
        return log_kernel(u, one - (u - x) if x > one else x - (u - one))

    return log1p_kernel


def log1mexp(precision: Precision) -> Callable:
    """Make log(1 - e^-x) for x >= 0: the logarithm of -expm1(-x), or beyond log 2 of 1 - e^-x with a correction."""
    number, reduce = precision.kind, reduction(precision)
    zero, one, log_kernel = number(0), number(1), log(precision)
    ln2, lowest, highest = number(np.log(2)), number(precision.lowest), number(precision.highest)
    shift, back = number(precision.shift), number(2.0**-precision.shift)

    @kernel
    def log1mexp_kernel(x):
        k, q = reduce(min(max(-x, lowest), highest), zero)
        scale = power_of_two(k + shift)
        e = (scale + scale * q) * back
        scale = power_of_two(k)
        near = -(scale * q + (scale - one))
        far = one - e
        small = x < ln2
        return log_kernel(near if small else far, zero if small else -e - (far - one))

    return log1mexp_kernel
