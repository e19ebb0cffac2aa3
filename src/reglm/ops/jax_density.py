"""JAX forms of the Ops of log-densities: gamma functions, Tweedie series, choice. Import registers them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytensor.link.jax.dispatch.basic import jax_funcify

from reglm.ops import gamma
from reglm.ops.choose import Choose
from reglm.ops.tweedie import TweedieSeries
from reglm.ops.ufuncs_gamma import tweedie_series


@jax_funcify.register(gamma.LogGamma)
@jax_funcify.register(gamma.Digamma)
@jax_funcify.register(gamma.Trigamma)
def _gamma(op: Any, node: Any = None, **kwargs: Any) -> Callable:
    from jax.scipy import special

    forms: dict[type, Callable] = {
        gamma.LogGamma: special.gammaln,
        gamma.Digamma: special.digamma,
        gamma.Trigamma: lambda x: special.zeta(2.0, x),
    }
    return forms[type(op)]


@jax_funcify.register(Choose)
def _choose(op: Choose, node: Any = None, **kwargs: Any) -> Callable:
    from jax import numpy as jnp

    return jnp.where


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
