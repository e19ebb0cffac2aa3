"""The log-gamma function, its differences and their derivatives, with compiled forms that PyTensor's own lack.

Numba has no digamma or trigamma, so the stock Ops fall back there to calls into SciPy that are compiled anew
in every process.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from pytensor.gradient import DisconnectedType
from pytensor.scalar.basic import BinaryScalarOp, upgrade_to_float
from pytensor.scalar.math import polygamma
from pytensor.tensor.elemwise import Elemwise
from pytensor.tensor.utils import import_func_from_string

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


class RisingOp(BinaryScalarOp):
    """A function of y and r, differentiable in r; a subclass gives `nfunc_spec` and `slope`."""

    nfunc_spec: tuple[str, int, int]

    def impl(self, y: Any, r: Any) -> Any:
        """Evaluate at one pair of numbers."""
        return import_func_from_string(self.nfunc_spec[0])(y, r)

    @abstractmethod
    def slope(self, y: Variable, r: Variable) -> Variable:
        """Return the derivative in r."""

    def connection_pattern(self, node: Any) -> list[list[bool]]:
        """The response y has no gradient."""
        return [[False], [True]]

    def L_op(self, inputs: list, outputs: list, output_gradients: list) -> list:
        """Multiply the incoming gradient by the slope."""
        return [DisconnectedType()(), output_gradients[0] * self.slope(*inputs)]

    pullback = L_op


class LogRising(RisingOp):
    """``log Gamma(r + y) - log Gamma(r) - y log r`` for y >= 0, r > 0, which tends to 0 as r grows."""

    nfunc_spec = ("reglm.ops.ufuncs_gamma.log_rising", 2, 1)

    def slope(self, y: Variable, r: Variable) -> Variable:
        """Return ``psi(r + y) - psi(r) - y / r``."""
        return rising_slope_(y, r)


class RisingSlope(RisingOp):
    """Derivative of `LogRising` in r."""

    nfunc_spec = ("reglm.ops.ufuncs_gamma.rising_slope", 2, 1)

    def slope(self, y: Variable, r: Variable) -> Variable:
        """Return ``psi'(r + y) - psi'(r) + y / r^2``."""
        return rising_curvature_(y, r)


class RisingCurvature(RisingOp):
    """Second derivative of `LogRising` in r."""

    nfunc_spec = ("reglm.ops.ufuncs_gamma.rising_curvature", 2, 1)

    def slope(self, y: Variable, r: Variable) -> Variable:
        """Return the third derivative, from PyTensor's polygamma function."""
        return polygamma(2, r + y) - polygamma(2, r) - 2 * y / r**3


digamma_ = Digamma(upgrade_to_float, name="digamma")
trigamma_ = Trigamma(upgrade_to_float, name="trigamma")

rising_slope_ = RisingSlope(upgrade_to_float, name="rising_slope")
rising_curvature_ = RisingCurvature(upgrade_to_float, name="rising_curvature")

log_gamma = Elemwise(LogGamma(upgrade_to_float, name="log_gamma"))
digamma = Elemwise(digamma_)
trigamma = Elemwise(trigamma_)
log_rising = Elemwise(LogRising(upgrade_to_float, name="log_rising"))
