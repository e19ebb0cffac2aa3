"""The log-gamma function and its derivatives, with compiled forms that PyTensor's own lack.

Numba has no digamma or trigamma, so the stock Ops fall back there to calls into SciPy that are compiled anew
in every process.
"""

from __future__ import annotations

from pytensor.scalar.basic import upgrade_to_float
from pytensor.scalar.math import polygamma
from pytensor.tensor.elemwise import Elemwise

from reglm.ops.scalar import ElementaryOp, Variable


class LogGamma(ElementaryOp):
    """log Gamma(x) for x > 0."""

    nfunc_spec = ("scipy.special.gammaln", 1, 1)

    def slope(self, x: Variable, y: Variable) -> Variable:
        """Return the digamma function."""
        return digamma_(x)


class Digamma(ElementaryOp):
    """Derivative of log Gamma(x), for x > 0."""

    nfunc_spec = ("scipy.special.psi", 1, 1)

    def slope(self, x: Variable, y: Variable) -> Variable:
        """Return the trigamma function."""
        return trigamma_(x)


class Trigamma(ElementaryOp):
    """Second derivative of log Gamma(x), for x > 0."""

    nfunc_spec = ("reglm.ops.ufuncs_gamma.trigamma", 1, 1)

    def slope(self, x: Variable, y: Variable) -> Variable:
        """Return the third derivative of log Gamma."""
        return polygamma(2, x)


digamma_ = Digamma(upgrade_to_float, name="digamma")
trigamma_ = Trigamma(upgrade_to_float, name="trigamma")

log_gamma = Elemwise(LogGamma(upgrade_to_float, name="log_gamma"))
digamma = Elemwise(digamma_)
trigamma = Elemwise(trigamma_)
