"""Selection by a condition, for piecewise functions.

PyTensor's ``switch``, ``maximum`` and ``clip`` turn float32 into float64 in their first or second
derivatives.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType
from pytensor.scalar.basic import ScalarOp, constant, upcast_out
from pytensor.tensor.elemwise import Elemwise

from reglm.ops.scalar import Variable


class Choose(ScalarOp):
    """The second argument where the first holds, else the third; the condition has no gradient."""

    nin = 3
    nfunc_spec = ("numpy.where", 3, 1)

    def output_types(self, types: list) -> list:
        """Return the wider type of the two values."""
        return upcast_out(*types[1:])

    def impl(self, condition: Any, yes: Any, no: Any) -> Any:
        """Evaluate at one point."""
        return np.where(condition, yes, no)[()]

    def connection_pattern(self, node: Any) -> list[list[bool]]:
        """Only the two values have gradients."""
        return [[False], [True], [True]]

    def c_code(self, node: Any, name: str, inputs: Any, outputs: Any, sub: Any) -> str:
        """Evaluate in C; having this also lets PyTensor fuse the Op into its loops."""
        return f"{outputs[0]} = {inputs[0]} ? {inputs[1]} : {inputs[2]};"

    def c_code_cache_version(self) -> tuple[int, ...]:
        """Version of the C code."""
        return (1,)

    def L_op(self, inputs: list, outputs: list, output_gradients: list) -> list:
        """Send the gradient to the value that was chosen, exactly zero to the other."""
        condition, (gradient,) = inputs[0], output_gradients
        zero = constant(0, dtype=gradient.type.dtype)
        return [DisconnectedType()(), choose_(condition, gradient, zero), choose_(condition, zero, gradient)]

    pullback = L_op


choose_ = Choose(name="choose")
choose = Elemwise(choose_)


def larger(x: Variable, bound: float) -> Variable:
    """Return max(x, bound), elementwise; NaN is kept, and the slope at the bound is 0."""
    bound = pt.constant(np.asarray(bound, dtype=x.dtype))
    return choose(pt.le(x, bound), bound, x)


def smaller(x: Variable, bound: float) -> Variable:
    """Return min(x, bound), elementwise; NaN is kept, and the slope at the bound is 0."""
    bound = pt.constant(np.asarray(bound, dtype=x.dtype))
    return choose(pt.ge(x, bound), bound, x)
