"""Branch-free normal distribution function, its logarithm, the error function and GELU, in float64.

All rest on one approximation: Mills' ratio R(t) = (1 - Phi(t)) / phi(t) for t >= 0, as a polynomial in
q = (t - 5) / (t + 5) over (1 + t) (the transformation is Schonfelder 1978's). The exponential of -t^2/2 is
taken with the rounding error of the square, without which its relative error would grow like t^2.
float32 goes through float64.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reglm.ops.elementary import DOUBLE, decay, kernel, log
from reglm.ops.intrinsics import leading_half, polynomial, with_sign

SQRT_TWO_PI = 2.5066282746310002
ONE_OVER_SQRT_TWO_PI = 0.3989422804014327
SQRT_TWO = 1.4142135623730951
SQRT_TWO_OVER_PI = 0.7978845608028654

mills_polynomial = polynomial((
    1.1568486282918946, -0.22948753825211318, 0.07778159886873558, 0.02507217930163978, -0.06617760077899582,
    0.061505045840161206, -0.03802659218771832, 0.016348231281331425, -0.004201290311078416,
    1.9530636365484052e-05, 0.0004570438205116078, -0.0001343742704194541, -2.480546663097941e-05,
    2.270959149359291e-05, -1.7721527238693433e-07, -3.2772513658038686e-06, 3.2194150125726876e-07,
    4.919558007942762e-07, -6.735246707235891e-08, -7.755689282319666e-08, 1.006273629203449e-08,
    1.1020770424653135e-08, -1.0770966817867951e-09, -9.545215884456858e-10, 6.163047198655167e-11,
))  # fmt: skip
erf_polynomial = polynomial((
    1.1283791670955126, -0.37612638903183476, 0.11283791670925353, -0.026866170632887928, 0.00522397737302147,
    -0.0008548297753674966, 0.00012053335124353741, -1.4845849259707869e-05, 1.4725865480556744e-06,
))  # fmt: skip
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
