"""Scalar Ops of the links: exp, tanh, sigmoid, the normal distribution function and their relatives.

PyTensor has most of these. It compiles them, under Numba, to calls of the mathematical library, which
costs 3-15 ns an element; a form without branches vectorises and costs about 1 ns. Each Op here names the
NumPy function the interpreter runs (``nfunc_spec``); the Numba forms are in `numba_scalar` and the JAX
forms in `jax_forms`. Gradients are written with the same Ops, so any order of derivative stays inside.

All functions are elementwise, take and return one tensor of any shape, keep float32 as float32, keep NaN
and give the limit at plus and minus infinity.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from pytensor.scalar.basic import UnaryScalarOp, constant, upgrade_to_float
from pytensor.tensor.elemwise import Elemwise
from pytensor.tensor.utils import import_func_from_string

Variable = Any  # PyTensor's variables: scalar ones inside an Op's gradient, tensors outside

TWO_OVER_SQRT_PI = 1.1283791670955126
ONE_OVER_SQRT_TWO_PI = 0.3989422804014327


def like(value: float, y: Variable) -> Variable:
    """Return a constant of the dtype of `y`; as Python numbers, these would make float32 slopes float64."""
    return constant(value, dtype=y.type.dtype)


class ElementaryOp(UnaryScalarOp):
    """A function of one real number.

    A subclass gives `nfunc_spec` (the NumPy function, one input, one output) and `slope`.
    """

    nfunc_spec: tuple[str, int, int]

    def impl(self, x: Any) -> Any:
        """Evaluate at one number, as constant folding and 0-d graphs do."""
        return import_func_from_string(self.nfunc_spec[0])(x)

    @abstractmethod
    def slope(self, x: Variable, y: Variable) -> Variable:
        """Derivative at `x`, where the function's value is `y`."""

    def L_op(self, inputs: list, outputs: list, output_gradients: list) -> list:
        """Multiply the incoming gradient by the slope."""
        return [output_gradients[0] * self.slope(inputs[0], outputs[0])]

    pullback = L_op


class Exp(ElementaryOp):
    """e^x."""

    nfunc_spec = ("numpy.exp", 1, 1)

    def slope(self, x: Variable, y: Variable) -> Variable:
        """Return e^x."""
        return y


class Expm1(ElementaryOp):
    """e^x - 1, exact near 0."""

    nfunc_spec = ("numpy.expm1", 1, 1)

    def slope(self, x: Variable, y: Variable) -> Variable:
        """Return e^x: 1 + y loses digits to the left."""
        return exp_(x)


class Log1p(ElementaryOp):
    """log(1 + x), exact near 0."""

    nfunc_spec = ("numpy.log1p", 1, 1)

    def slope(self, x: Variable, y: Variable) -> Variable:
        """Return 1 / (1 + x)."""
        return 1 / (1 + x)


class Tanh(ElementaryOp):
    """Hyperbolic tangent."""

    nfunc_spec = ("numpy.tanh", 1, 1)

    def slope(self, x: Variable, y: Variable) -> Variable:
        """Return 1 - y^2."""
        return 1 - y * y


class Sigmoid(ElementaryOp):
    """1 / (1 + e^-x)."""

    nfunc_spec = ("scipy.special.expit", 1, 1)

    def slope(self, x: Variable, y: Variable) -> Variable:
        """Return y (1 - y), with 1 - y from its own formula: it keeps its digits to the right."""
        return y * sigmoid_(-x)


class Softplus(ElementaryOp):
    """log(1 + e^x)."""

    nfunc_spec = ("reglm.ops.ufuncs.softplus", 1, 1)

    def slope(self, x: Variable, y: Variable) -> Variable:
        """Return the sigmoid."""
        return sigmoid_(x)


class Erf(ElementaryOp):
    """Error function."""

    nfunc_spec = ("scipy.special.erf", 1, 1)

    def slope(self, x: Variable, y: Variable) -> Variable:
        """Return 2 / sqrt(pi) e^(-x^2)."""
        return like(TWO_OVER_SQRT_PI, y) * exp_(-x * x)


class Ndtr(ElementaryOp):
    """Normal distribution function Phi(x)."""

    nfunc_spec = ("scipy.special.ndtr", 1, 1)

    def slope(self, x: Variable, y: Variable) -> Variable:
        """Return the normal density."""
        return like(ONE_OVER_SQRT_TWO_PI, y) * exp_(-0.5 * x * x)


class LogNdtr(ElementaryOp):
    """log Phi(x)."""

    nfunc_spec = ("scipy.special.log_ndtr", 1, 1)

    def slope(self, x: Variable, y: Variable) -> Variable:
        """Return the inverse Mills ratio."""
        return inverse_mills_(x)


class InverseMills(ElementaryOp):
    """phi(x) / Phi(x), the slope of log Phi."""

    nfunc_spec = ("reglm.ops.ufuncs.inverse_mills", 1, 1)

    def slope(self, x: Variable, y: Variable) -> Variable:
        """Return -y (x + y)."""
        return -y * (x + y)


class Gelu(ElementaryOp):
    """x Phi(x) (Hendrycks & Gimpel 2016)."""

    nfunc_spec = ("reglm.ops.ufuncs.gelu", 1, 1)

    def slope(self, x: Variable, y: Variable) -> Variable:
        """Return Phi(x) + x phi(x)."""
        return ndtr_(x) + like(ONE_OVER_SQRT_TWO_PI, y) * x * exp_(-0.5 * x * x)


class Log1mexp(ElementaryOp):
    """log(1 - e^-x) for x >= 0."""

    nfunc_spec = ("reglm.ops.ufuncs.log1mexp", 1, 1)

    def slope(self, x: Variable, y: Variable) -> Variable:
        """Return e^-x / (1 - e^-x), whose own derivatives stay finite where e^x overflows."""
        return exp_(-x) / -expm1_(-x)


class Elementwise(Elemwise):
    """A scalar Op over a tensor, as one loop over its memory under Numba.

    PyTensor's own loop nests one level per dimension; with ten columns its inner loop of ten is too short
    to vectorise well, which costs half of the speed.
    """


def _scalar(op_type: type[ElementaryOp]) -> ElementaryOp:
    """Make the scalar Op, whose name is what printed graphs show."""
    return op_type(upgrade_to_float, name=op_type.__name__.lower())


exp_ = _scalar(Exp)
expm1_ = _scalar(Expm1)
sigmoid_ = _scalar(Sigmoid)
ndtr_ = _scalar(Ndtr)
inverse_mills_ = _scalar(InverseMills)

exp = Elementwise(exp_)
expm1 = Elementwise(expm1_)
log1p = Elementwise(_scalar(Log1p))
tanh = Elementwise(_scalar(Tanh))
sigmoid = Elementwise(sigmoid_)
softplus = Elementwise(_scalar(Softplus))
erf = Elementwise(_scalar(Erf))
ndtr = Elementwise(ndtr_)
log_ndtr = Elementwise(_scalar(LogNdtr))
inverse_mills = Elementwise(inverse_mills_)
gelu = Elementwise(_scalar(Gelu))
log1mexp = Elementwise(_scalar(Log1mexp))
