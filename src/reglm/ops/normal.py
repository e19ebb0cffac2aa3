"""Branch-free normal distribution function, its logarithm, the error function and GELU, in float64.

All rest on one approximation: Mills' ratio R(t) = (1 - Phi(t)) / phi(t) for t >= 0, as a polynomial in
q = (t - 5) / (t + 5) over (1 + t) (the transformation is Schonfelder 1978's). The exponential of -t^2/2 is
taken with the rounding error of the square, without which its relative error would grow like t^2.
float32 goes through float64.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reglm.ops.coefficients import ERF, MILLS, ONE_OVER_SQRT_TWO_PI, SQRT_TWO, SQRT_TWO_OVER_PI
from reglm.ops.elementary import DOUBLE, decay, kernel, log
from reglm.ops.intrinsics import leading_half, polynomial, with_sign

mills_polynomial, erf_polynomial = polynomial(MILLS), polynomial(ERF)
_decay = decay(DOUBLE)
_log = log(DOUBLE)


@kernel
def mills(t):
    """R(t) for 0 <= t < 1e300."""
    return mills_polynomial((t - 5.0) / (t + 5.0)) / (1.0 + t)


@kernel
def gaussian(t):
    """e^(-t^2/2) for 0 <= t < 1e150."""
    head = leading_half(t)
    return _decay(0.5 * head * head, 0.5 * (t - head) * (t + head))


@kernel
def upper_tail(t):
    """1 - Phi(t) for 0 <= t < 1e150."""
    return ONE_OVER_SQRT_TWO_PI * gaussian(t) * mills(t)


@kernel
def ndtr(x):
    """Phi(x)."""
    tail = upper_tail(min(abs(x), 40.0))
    return tail if x < 0.0 else 1.0 - tail


@kernel
def log_ndtr(x):
    """Log Phi(x): to the left -x^2/2 + log R(-x) + constant, to the right log1p(-(1 - Phi))."""
    t = min(abs(x), 1e100)
    left = x < 0.0
    ratio = ONE_OVER_SQRT_TWO_PI * mills(t)
    tail = gaussian(min(t, 40.0)) * ratio
    u = 1.0 - tail
    logarithm = _log(ratio if left else u, 0.0 if left else -tail - (u - 1.0))
    return logarithm - (0.5 * x * x if left else 0.0)


@kernel
def inverse_mills(x):
    """phi(x) / Phi(x): to the left 1 / R(-x), which is -x once its other terms are below rounding."""
    t = min(abs(x), 1e10)
    left = x < 0.0
    density = ONE_OVER_SQRT_TWO_PI * gaussian(min(t, 40.0))
    ratio = mills(t)
    y = (1.0 if left else density) / (ratio if left else 1.0 - density * ratio)
    return -x if x < -1e9 else y


@kernel
def gelu(x):
    """X Phi(x)."""
    t = min(abs(x), 40.0)
    tail = upper_tail(t)
    return -t * tail if x < 0.0 else x * (1.0 - tail)


@kernel
def erf(x):
    """Error function: x P(x^2) up to 1/2, then 1 - 2 (1 - Phi(sqrt(2) x))."""
    t = min(abs(x), 20.0)
    head = leading_half(t)
    g = _decay(head * head, (t - head) * (t + head))
    far = 1.0 - SQRT_TWO_OVER_PI * g * mills(SQRT_TWO * t)
    return with_sign(t * erf_polynomial(t * t) if t < 0.5 else far, x)


def through_double(form: Callable) -> Callable:
    """Make the float32 form of a float64 kernel."""

    @kernel
    def single(x):
        return np.float32(form(np.float64(x)))

    return single
