"""How far back through time the gradient of a recurrent network reaches."""

from __future__ import annotations

import numpy as np
import pytensor

from reglm.compiling import Graph
from reglm.likelihood import Data, Likelihood
from reglm.ops import lookup, recurrence
from reglm.parameters import Array


def norms(likelihood: Likelihood, theta: Array, data: Data) -> Array:
    """Norms of the gradient of each sequence's last linear predictors, summed, in the hidden state of each of its rows.

    Parameters
    ----------
    likelihood : Likelihood
        Of a network with recurrent layers; the states are those of the layer next to the output.
    theta : ndarray (P,)
    data : Data
        Packed rows.

    Returns
    -------
    ndarray (n,)
        In packed order.
    """

    def build() -> Graph:
        s = likelihood.symbols()
        h = [state for state in s.trace.states if _is_output(state)][-1]
        last = lookup(s.X.last[:, None], s.eta, True).sum()
        flow = recurrence.flow(h, pytensor.grad(last, h))
        return Graph(s.inputs(), [flow])

    program = likelihood._program("gradient flow", build).program
    (flow,) = program.interpret(likelihood.arguments(theta, data))
    return np.linalg.norm(flow, axis=1)


def _is_output(state: pytensor.graph.basic.Variable) -> bool:
    """Whether a state is what a layer hands on: h and not c."""
    return isinstance(state.owner.op, recurrence.Recurrence) and state is state.owner.outputs[0]
