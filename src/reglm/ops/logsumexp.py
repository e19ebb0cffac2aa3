"""The normaliser of a multinomial model with a reference class, as one Op."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from reglm.ops.scalar import Variable, exp


class LogSumExp(Op):
    """``log(1 + sum_k e^eta_k)``, (n, K) to (n, 1)."""

    __props__ = ()
    gufunc_signature = "(n,k)->(n,1)"

    def make_node(self, eta: Variable) -> Apply:
        """Accept eta (n, K)."""
        eta = pt.as_tensor(eta)
        return Apply(self, [eta], [pt.tensor(dtype=eta.dtype, shape=(eta.type.shape[0], 1))])

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        """Evaluate with NumPy."""
        (eta,) = inputs
        top = np.maximum(eta.max(axis=1, keepdims=True), 0)
        outputs[0][0] = top + np.log(np.exp(-top) + np.exp(eta - top).sum(axis=1, keepdims=True))

    def infer_shape(self, *context: Any) -> list:
        """Rows of eta, one column; PyTensor 2 passes (fgraph, node, shapes), 3 (node, shapes)."""
        return [(context[-1][0][0], 1)]

    def L_op(self, inputs: list, outputs: list, output_gradients: list) -> list:
        """Class probabilities times the incoming gradient."""
        return [output_gradients[0] * exp(inputs[0] - outputs[0])]

    pullback = L_op


log_sum_exp = LogSumExp()
