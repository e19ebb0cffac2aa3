"""The normaliser of the Tweedie density, which has no closed form, as one Op."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from reglm.ops.scalar import Variable
from reglm.ops.ufuncs_gamma import tweedie_series


class TweedieSeries(Op):
    """``log a(y, phi, p)`` and its first and second derivatives in phi and p.

    The six outputs share one pass over the series. The first is differentiable twice, through the others;
    those of second order are not.
    """

    __props__ = ()
    gufunc_signature = "(n,m),(n,m),()->" + ",".join(["(n,m)"] * 6)

    def make_node(self, y: Variable, phi: Variable, p: Variable) -> Apply:
        """Accept y (n, 1), phi (n, 1) and p, a scalar, of one dtype."""
        y, phi, p = (pt.as_tensor(v) for v in (y, phi, p))
        return Apply(self, [y, phi, p], [y.type() for _ in range(6)])

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        """Evaluate with NumPy."""
        y, phi, p = inputs
        derivatives = tweedie_series(np.ravel(y).astype(float), np.ravel(phi).astype(float), float(p))
        for cell, values in zip(outputs, derivatives, strict=True):
            cell[0] = values.reshape(y.shape).astype(y.dtype)

    def infer_shape(self, *context: Any) -> list:
        """Six times the shape of y; PyTensor 2 passes (fgraph, node, shapes), 3 (node, shapes)."""
        return [context[-1][0]] * 6

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Only value and first derivatives have gradients, and none in y."""
        return [[False] * 6, [True] * 3 + [False] * 3, [True] * 3 + [False] * 3]

    def L_op(self, inputs: list, outputs: list, output_gradients: list) -> list:
        """Chain the gradients of the first three outputs through the derivatives computed beside them."""
        _, d_phi, d_p, d_phi_phi, d_phi_p, d_p_p = outputs
        slopes = ((d_phi, d_p), (d_phi_phi, d_phi_p), (d_phi_p, d_p_p))
        in_phi, in_p = pt.zeros_like(d_phi), pt.zeros_like(d_p)
        for g, (by_phi, by_p) in zip(output_gradients, slopes, strict=False):
            if not isinstance(g.type, DisconnectedType):
                in_phi, in_p = in_phi + g * by_phi, in_p + g * by_p
        return [DisconnectedType()(), in_phi, in_p.sum()]

    pullback = L_op


def tweedie_normaliser(y: Variable, phi: Variable, p: Variable) -> Variable:
    """Return ``log a(y, phi, p)`` (n, 1): the log-density of y less its kernel; 0 where y = 0.

    Parameters
    ----------
    y : matrix (n, 1)
    phi : variable, broadcast to y
    p : scalar in (1, 2)
    """
    y = pt.as_tensor(y)
    phi, p = (pt.as_tensor(v).astype(y.dtype) for v in (phi, p))
    return TweedieSeries()(y, phi + pt.zeros_like(y), p)[0]
