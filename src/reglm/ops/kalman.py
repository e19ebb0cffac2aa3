"""The likelihood of linear-Gaussian state-space models as an Op whose gradient is the disturbance smoother.

* `KalmanLogLikelihood`: system -> log-likelihood of each sequence, by the Kalman filter with exact diffuse start
* `KalmanGradient`: its gradient (Koopman & Shephard 1992); valid for singular covariances of the state noise
* `KalmanTangent`: the derivative of the gradient along a direction, for observed information

The first eleven inputs are the same for all: y (n, p), edges (S + 1,), P1_inf (m, m), and the eight arrays of
`reglm.ops.kalman_numpy.System`. Everything is in float64: variances of a diffuse start have no other precision to give.
"""

from __future__ import annotations

from typing import Any

import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from reglm.ops import kalman_numpy
from reglm.ops.affine import Variable, connected, same_dtype
from reglm.ops.kalman_numpy import System

SYSTEM = "(n,p),(n,m),(p,m),(p,p),(m,m),(m,m),(m),(m,m)"
INPUTS = f"(n,p),(e),(m,m),{SYSTEM}"
FREE = [True, False, False, *[True] * 8]


def _inputs(inputs: tuple[Variable, ...]) -> list[Variable]:
    """Tensors, checked: all but the second are float64."""
    y, edges, *rest = inputs
    floats = same_dtype("kalman", y, *rest)
    if floats[0].type.dtype != "float64":
        raise TypeError(f"kalman needs float64, got {floats[0].type.dtype}; cast its arguments first.")
    return [floats[0], pt.cast(pt.as_tensor(edges), "int64"), *floats[1:]]


def _empty(inputs: list[Variable]) -> list[Variable]:
    """Outputs of the types of the system among the inputs."""
    return [pt.tensor(dtype="float64", shape=v.type.shape) for v in inputs[3:11]]


class KalmanLogLikelihood(Op):
    """Log-likelihood of each sequence (S,)."""

    __props__ = ()
    gufunc_signature = f"{INPUTS}->(s)"

    def make_node(self, *inputs: Variable) -> Apply:
        """Accept y, edges, P1_inf and the system."""
        return Apply(self, _inputs(inputs), [pt.tensor(dtype="float64", shape=(None,))])

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        """Evaluate with NumPy."""
        y, edges, P1_inf, *system = inputs
        outputs[0][0] = kalman_numpy.log_likelihood(y, edges, P1_inf, System(*system))

    def infer_shape(self, *args: Any) -> list:
        """One number a sequence."""
        return [(args[-1][1][0] - 1,)]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Edges and the diffuse part have no gradient."""
        return [[free] for free in FREE]

    def L_op(self, inputs: list, outputs: list, output_gradients: list) -> list:
        """Disturbance smoother."""
        return _with_data(KalmanGradient()(*inputs, output_gradients[0]))

    pullback = L_op


class KalmanGradient(Op):
    """Gradient of ``g' log-likelihoods`` with respect to the eight arrays of the system."""

    __props__ = ()
    gufunc_signature = f"{INPUTS},(s)->{SYSTEM}"

    def make_node(self, *inputs: Variable) -> Apply:
        """Accept y, edges, P1_inf, the system and g (S,)."""
        given = [*_inputs(inputs[:11]), pt.as_tensor(inputs[11])]
        return Apply(self, given, _empty(given))

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        """Evaluate with NumPy."""
        y, edges, P1_inf, *system, g = inputs
        found = kalman_numpy.pullback(y, edges, P1_inf, System(*system), g)
        for cell, gradient in zip(outputs, found, strict=True):
            cell[0] = gradient

    def infer_shape(self, *args: Any) -> list:
        """Shapes of the system."""
        return list(args[-1][3:11])

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Edges and the diffuse part have no gradient."""
        return [[free] * 8 for free in [*FREE, True]]

    def L_op(self, inputs: list, outputs: list, output_gradients: list) -> list:
        """Second derivatives: the Hessian is symmetric, so they are those along the incoming gradient."""
        along = [connected(g, out) for g, out in zip(output_gradients, outputs, strict=True)]
        *gradient, values = KalmanTangent()(*inputs, *along)
        return [*_with_data(gradient), values]

    pullback = L_op


class KalmanTangent(Op):
    """Derivatives along a direction of the eight gradients, and of the log-likelihoods."""

    __props__ = ()
    gufunc_signature = f"{INPUTS},(s),{SYSTEM}->{SYSTEM},(s)"

    def make_node(self, *inputs: Variable) -> Apply:
        """Accept y, edges, P1_inf, the system, g (S,) and the direction, of the shapes of the system."""
        given = [*_inputs(inputs[:11]), *map(pt.as_tensor, inputs[11:])]
        return Apply(self, given, [*_empty(given), given[11].type()])

    def perform(self, node: Apply, inputs: list, outputs: list) -> None:
        """Evaluate with NumPy."""
        y, edges, P1_inf, *system = inputs[:11]
        along = System(*inputs[12:])
        gradient, values = kalman_numpy.tangent(y, edges, P1_inf, System(*system), inputs[11], along)
        for cell, found in zip(outputs, (*gradient, values), strict=True):
            cell[0] = found

    def infer_shape(self, *args: Any) -> list:
        """Shapes of the system, and of g."""
        return list(args[-1][3:12])


def _with_data(gradients: list[Variable]) -> list[Variable]:
    """Gradients of y, edges, P1_inf and the system: y enters as y - d."""
    return [-gradients[0], DisconnectedType()(), DisconnectedType()(), *gradients]


def kalman_log_likelihood(
    y: Variable, Z: Variable, H: Variable, T: Variable, V: Variable, a1: Variable, P1: Variable,
    P1_inf: Variable | None = None, d: Variable | None = None, c: Variable | None = None,
    edges: Variable | None = None,
) -> Variable:  # fmt: skip
    """Log-likelihood of a linear-Gaussian state-space model with exact diffuse start.

    ``y_t = d_t + Z a_t + e_t``, ``a_{t+1} = c_t + T a_t + w_t``, ``a_1 ~ N(a1, P1 + kappa P1_inf)``; the limit as kappa
    grows is exact (Durbin & Koopman 2012, ch. 5). Differentiable twice; all arguments are float64.

    Parameters
    ----------
    y : matrix (n, p)
        Rows of all sequences, one sequence after the other; NaN is unobserved.
    Z : matrix (p, m)
    H : matrix (p, p)
        Covariance of e; may be singular.
    T : matrix (m, m)
    V : matrix (m, m)
        Covariance of w, ``R Q R'`` where there are fewer disturbances than states; may be singular.
    a1 : vector (m,)
    P1 : matrix (m, m)
    P1_inf : matrix (m, m), optional
        None is no diffuse part.
    d : matrix (n, p), optional
    c : matrix (n, m), optional
        Rows that end a sequence are not used.
    edges : integer vector (S + 1,), optional
        First row of each sequence, and n; one sequence by default.

    Returns
    -------
    vector (S,)
        Minus infinity where an observation has no variance.

    Raises
    ------
    TypeError
        If a dtype is not float64.
    """
    y, T = pt.as_tensor(y), pt.as_tensor(T)
    n, m = y.shape[0], T.shape[0]
    return KalmanLogLikelihood()(
        y,
        pt.stack([pt.zeros((), "int64"), n]) if edges is None else edges,
        pt.zeros((m, m)) if P1_inf is None else P1_inf,
        pt.zeros_like(y) if d is None else d,
        pt.zeros((n, m)) if c is None else c,
        Z, H, T, V, a1, P1,
    )  # fmt: skip
