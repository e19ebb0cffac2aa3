"""Log-likelihood of hidden Markov chains as an Op whose gradient is the forward-backward algorithm.

With the entries of the logarithms of initial and transition probabilities and of the emission densities taken as
free, Fisher's identity makes the derivatives posterior expectations: of the first state, of the number of moves
i -> j, and of the state at t. So the pullback is the E-step, and emissions can be any graph. The Ops:

* `ChainLikelihood`: (initial, transition, emission, lengths) -> log-likelihoods (S,)
* `ChainPosterior`: (the same, g (S,)) -> derivatives of ``g' loglik`` in the first three
* `ChainTangent`: (the same, g, a direction of the first three) -> directional derivatives of the posterior, and of
  the log-likelihoods. It has no gradient of its own: third derivatives are not offered.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from reglm.ops import chains
from reglm.ops.affine import Variable, connected, same_dtype


def _checked(initial: Variable, transition: Variable, emission: Variable, lengths: Variable) -> list[Variable]:
    """Tensors of one precision, and whole lengths.

    Raises
    ------
    TypeError
        If dtypes or numbers of dimensions do not suit.
    """
    given = same_dtype("forward_backward", initial, transition, emission)
    sizes = pt.as_tensor(lengths)
    if [v.type.ndim for v in given] not in ([1, 2, 2], [1, 3, 2]) or sizes.type.ndim != 1:
        found = [v.type.ndim for v in (*given, sizes)]
        raise TypeError(
            f"initial, transition, emission and lengths have {found} dimensions; they need 1, 2 or 3 (a matrix a row), "
            "2 and 1."
        )
    if sizes.type.dtype not in ("int64", "int32"):
        raise TypeError(f"lengths holds {sizes.type.dtype}; it counts rows, in int64.")
    return [*given, sizes]


class _Chain(Op):
    """What the three Ops share."""

    __props__ = ("varying",)

    def __init__(self, varying: bool) -> None:
        self.varying = varying


class ChainLikelihood(_Chain):
    """Log-likelihood of each sequence."""

    def __init__(self, varying: bool) -> None:
        super().__init__(varying)
        self.gufunc_signature = f"(k),({'n,' * varying}k,k),(n,k),(s)->(s)"

    def make_node(self, *inputs: Variable) -> Apply:
        """Accept (initial, transition, emission, lengths)."""
        given = _checked(*inputs)
        return Apply(self, given, [pt.tensor(dtype=given[0].dtype, shape=given[3].type.shape)])

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        """Evaluate with NumPy."""
        initial, transition, emission, lengths = inputs
        found = chains.evidence(chains.forward(initial, transition, emission, lengths), lengths)
        outputs[0][0] = found.astype(initial.dtype, copy=False)

    def infer_shape(self, *args: Any) -> list:
        """One number a sequence."""
        return [args[-1][3]]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Lengths have no gradient."""
        return [[True], [True], [True], [False]]

    def L_op(self, inputs: list, outputs: list, output_gradients: list) -> list:
        """Return the posterior."""
        return [*ChainPosterior(self.varying)(*inputs, output_gradients[0]), DisconnectedType()()]

    pullback = L_op


class ChainPosterior(_Chain):
    """Derivatives of a weighted sum of log-likelihoods: expected counts of first states, moves and states."""

    def __init__(self, varying: bool) -> None:
        super().__init__(varying)
        matrices = f"({'n,' * varying}k,k)"
        self.gufunc_signature = f"(k),{matrices},(n,k),(s),(s)->(k),{matrices},(n,k)"

    def make_node(self, *inputs: Variable) -> Apply:
        """Accept (initial, transition, emission, lengths, g)."""
        *given, g = inputs
        given = [*_checked(*given), pt.as_tensor(g)]
        return Apply(self, given, [v.type() for v in given[:3]])

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        """Evaluate with NumPy."""
        for cell, found in zip(outputs, chains.posterior(*inputs)[:3], strict=True):
            cell[0] = found.astype(inputs[0].dtype, copy=False)

    def infer_shape(self, *args: Any) -> list:
        """Shapes of the first three inputs."""
        return list(args[-1][:3])

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Lengths have no gradient."""
        return [[i != 3] * 3 for i in range(5)]

    def L_op(self, inputs: list, outputs: list, output_gradients: list) -> list:
        """Directional derivatives: the Hessian of a sum of log-likelihoods is symmetric."""
        direction = [connected(v, out) for v, out in zip(output_gradients, outputs, strict=True)]
        first, moves, states, loglik = ChainTangent(self.varying)(*inputs, *direction)
        return [first, moves, states, DisconnectedType()(), loglik]

    pullback = L_op


class ChainTangent(_Chain):
    """Directional derivatives of `ChainPosterior`, and of the log-likelihoods."""

    def __init__(self, varying: bool) -> None:
        super().__init__(varying)
        matrices = f"({'n,' * varying}k,k)"
        self.gufunc_signature = f"(k),{matrices},(n,k),(s),(s),(k),{matrices},(n,k)->(k),{matrices},(n,k),(s)"

    def make_node(self, *inputs: Variable) -> Apply:
        """Accept (initial, transition, emission, lengths, g) and a direction of the first three."""
        given = [*_checked(*inputs[:4]), *map(pt.as_tensor, inputs[4:])]
        return Apply(self, given, [*(v.type() for v in given[:3]), given[4].type()])

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        """Evaluate with NumPy."""
        initial, transition, emission, lengths, g, *direction = inputs
        found = chains.tangent(initial, transition, emission, lengths, g, tuple(direction))
        for cell, value in zip(outputs, found, strict=True):
            cell[0] = np.asarray(value, initial.dtype)

    def infer_shape(self, *args: Any) -> list:
        """Shapes of the first three inputs and of g."""
        shapes = args[-1]
        return [*shapes[:3], shapes[4]]


def chain_log_likelihood(initial: Variable, transition: Variable, emission: Variable, lengths: Variable) -> Variable:
    """Log-likelihood of sequences under a hidden Markov chain.

    Parameters
    ----------
    initial : vector (K,)
        Log probabilities of the first state; -inf is allowed here and below.
    transition : matrix (K, K) or tensor (n, K, K)
        Log probabilities of moves; with one matrix a row, the matrix leads into that row and those of first rows are
        not used.
    emission : matrix (n, K)
        Log density of each row given each state; zeros where a row is not observed.
    lengths : vector of int (S,)
        Rows of each sequence, at least one.

    Returns
    -------
    vector (S,)

    Raises
    ------
    TypeError
        If dtypes or numbers of dimensions do not suit.
    """
    return ChainLikelihood(pt.as_tensor(transition).type.ndim == 3)(initial, transition, emission, lengths)
