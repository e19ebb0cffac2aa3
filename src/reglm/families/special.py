"""What families share: shape parameters, ratios of gamma functions, the log of a sum of exponentials."""

from __future__ import annotations

import pytensor.tensor as pt

from reglm import ops
from reglm.links.forms import like
from reglm.links.record import Variable
from reglm.ops.choose import choose, larger, smaller
from reglm.ops.gamma import log_gamma


def positive(given: float | None, log_estimate: Variable | None, x: Variable) -> Variable:
    """Return a positive shape parameter, given as an option or estimated as a logarithm, in the dtype of `x`.

    Raises
    ------
    TypeError
        If it is neither.
    """
    if given is not None:
        return like(given, x)
    if log_estimate is None:
        raise TypeError("a shape parameter that is estimated must be passed, by its name.")
    return ops.exp(log_estimate)


def log_rising(y: Variable, r: Variable) -> Variable:
    """Return ``log Gamma(r + y) - log Gamma(r) - y log r`` for y >= 0, r > 0, which tends to 0 as r grows.

    For r > 1000, where the difference of the first two loses digits, by Stirling's series, whose next term is
    below 1e-18 there.
    """
    large = pt.gt(r, 1000)
    near, far = smaller(r, 1000), larger(r, 1000)
    direct = log_gamma(near + y) - log_gamma(near) - y * pt.log(near)
    end = far + y
    correction = (1 / end - 1 / far) / 12 - (end**-3 - far**-3) / 360
    return choose(large, (end - like(0.5, r)) * ops.log1p(y / far) - y + correction, direct)


def log_sum_exp(eta: Variable) -> Variable:
    """Return ``log(1 + sum_k e^eta_k)``, (n, K) to (n, 1)."""
    top = larger(eta.max(axis=1, keepdims=True), 0)
    return top + pt.log(ops.exp(-top) + ops.exp(eta - top).sum(axis=1, keepdims=True))
