"""JAX forms of the Ops of log-densities: gamma functions, Tweedie series, choice. Import registers them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from pytensor.link.jax.dispatch.basic import jax_funcify

from reglm.ops import gamma
from reglm.ops.choose import Choose
from reglm.ops.logsumexp import LogSumExp
from reglm.ops.tweedie import TweedieSeries
from reglm.ops.ufuncs_gamma import log_rising, rising_curvature, rising_slope, tweedie_series


def _forms() -> dict[type, Callable]:
    from jax import numpy as jnp
    from jax.scipy import special

    def trigamma(x: Any) -> Any:
        return special.zeta(2.0, x)

    return {
        Choose: jnp.where,
        gamma.LogGamma: special.gammaln,
        gamma.Digamma: special.digamma,
        gamma.Trigamma: trigamma,
        gamma.LogRising: partial(log_rising, xp=jnp, log_gamma=special.gammaln),
        gamma.RisingSlope: partial(rising_slope, xp=jnp, digamma=special.digamma),
        gamma.RisingCurvature: partial(rising_curvature, xp=jnp, trigamma=trigamma),
    }


@jax_funcify.register(Choose)
@jax_funcify.register(gamma.LogGamma)
@jax_funcify.register(gamma.Digamma)
@jax_funcify.register(gamma.Trigamma)
@jax_funcify.register(gamma.RisingOp)
def _elementwise(op: Any, node: Any = None, **kwargs: Any) -> Callable:
    return _forms()[type(op)]


@jax_funcify.register(LogSumExp)
def _log_sum_exp(op: LogSumExp, node: Any = None, **kwargs: Any) -> Callable:
    from jax import numpy as jnp

    def log_sum_exp(eta: Any) -> Any:
        top = jnp.maximum(eta.max(axis=1, keepdims=True), 0)
        return top + jnp.log(jnp.exp(-top) + jnp.exp(eta - top).sum(axis=1, keepdims=True))

    return log_sum_exp


@jax_funcify.register(TweedieSeries)
def _tweedie(op: TweedieSeries, node: Any = None, **kwargs: Any) -> Callable:
    """Call back into NumPy: the number of terms depends on the data."""
    import jax
    import numpy as np

    def host(y: Any, phi: Any, p: Any) -> np.ndarray:
        out = tweedie_series(np.ravel(y).astype(float), np.ravel(phi).astype(float), float(p))
        return out.reshape(6, *np.shape(y)).astype(y.dtype)

    def tweedie(y: Any, phi: Any, p: Any) -> tuple[Any, ...]:
        out = jax.pure_callback(host, jax.ShapeDtypeStruct((6, *y.shape), y.dtype), y, phi, p)
        return tuple(out[k] for k in range(6))

    return tweedie
