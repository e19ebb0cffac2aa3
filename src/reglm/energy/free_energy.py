"""Free energy of a restricted Boltzmann machine: one PyTensor graph for all kinds of visible units.

With ``s = v / sigma^2`` on Gaussian columns and ``s = v`` on others,

    E(v, h) = E_0(v) - c'h - s'W h,
    F(v) = -log sum_h e^-E(v, h) = E_0(v) - sum_j softplus(c_j + s'W_j),

where E_0 is ``(v - b)^2 / 2 sigma^2`` on Gaussian and ``-b v`` on other columns, plus ``log v!`` on Poisson ones. The
gradient is derived from this formula, and ``-dF/dtheta`` is the conditional mean of ``-dE/dtheta`` given v.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import grad
from scipy.special import expit

from reglm import ops
from reglm.compiling import Graph, function
from reglm.energy.visible import Visible
from reglm.parameters import Array


class Theta(NamedTuple):
    """Parameters of a restricted Boltzmann machine, or anything of their shapes, such as a gradient.

    Attributes
    ----------
    W : (D, H) array
    b : (D,) array
        Biases of the coded visible columns.
    c : (H,) array
        Biases of the hidden units.
    log_var : (D,) array
        Logarithms of sigma^2 of Gaussian columns, 0 for others.
    """

    W: Array
    b: Array
    c: Array
    log_var: Array

    def scaled(self, V: Array) -> Array:
        """Divide V (n, D) by the variances: s."""
        return V * np.exp(-self.log_var) if self.log_var.any() else V

    def hidden_input(self, V: Array) -> Array:
        """Linear predictors of the hidden units (n, H), ``c + s'W``."""
        return self.c + self.scaled(V) @ self.W

    def hidden_mean(self, V: Array) -> Array:
        """Probabilities (n, H) that hidden units are on given V (n, D)."""
        return expit(self.hidden_input(V))

    def visible_input(self, h: Array) -> Array:
        """Linear predictors of the visible units (..., D), ``b + W h``, given h (..., H)."""
        return self.b + h @ self.W.T

    def rescaled(self, center: Array, scale: Array) -> Theta:
        """Return the same machine for columns ``center + scale v``, both (D,), 0 and 1 on all but Gaussian columns."""
        W, log_var = self.W * scale[:, None], self.log_var + 2 * np.log(scale)
        return Theta(W, center + scale * self.b, self.c - (center * np.exp(-log_var)) @ W, log_var)


def _graph() -> Graph:
    """Free energies (n,), and the gradient of their sum by the parameters."""
    V, W, extra = pt.matrix("V"), pt.matrix("W"), pt.matrix("extra")
    b, c, log_var, is_gaussian = (pt.vector(name) for name in ("b", "c", "log_var", "is_gaussian"))
    precision = ops.exp(-log_var)
    quadratic = is_gaussian * precision * (V - b) ** 2 / 2
    linear = (1 - is_gaussian) * b * V
    base = (quadratic - linear).sum(axis=1, keepdims=True) + extra
    F = base - ops.softplus(ops.affine(V * precision, W, c)).sum(axis=1, keepdims=True)
    parameters = [W, b, c, log_var]
    return Graph([V, extra, is_gaussian, *parameters], [F, *grad(F.sum(), parameters)])


def _evaluate(visible: Visible, theta: Theta, V: Array, outputs: slice) -> list[Array]:
    """Some outputs of the graph, by NumPy in double precision."""

    def build() -> Graph:
        graph = _graph()
        return Graph(graph.inputs, graph.outputs[outputs])

    program = function(build, ("rbm", outputs.start)).program
    V = np.asarray(V, dtype=float)
    extra, is_gaussian = visible.base_measure(V)[:, None], visible.columns_of("gaussian").astype(float)
    return program.interpret([V, extra, is_gaussian, *(np.asarray(block, dtype=float) for block in theta)])


def free_energy(visible: Visible, theta: Theta, V: Array) -> Array:
    """Free energies of rows, in double precision.

    Parameters
    ----------
    visible : Visible
    theta : Theta
    V : (n, D) array
        Coded values, complete.

    Returns
    -------
    (n,) array
        F(v); ``-F(v) - log Z`` is the log-density.
    """
    return _evaluate(visible, theta, V, slice(0, 1))[0][:, 0]


def gradient(visible: Visible, theta: Theta, V: Array) -> Theta:
    """Return ``sum over rows of -dF/dtheta`` at V (n, D), as PyTensor derives it; 0 for variances of other columns."""
    dW, db, dc, dz = _evaluate(visible, theta, V, slice(1, None))
    return Theta(-dW, -db, -dc, np.where(visible.columns_of("gaussian"), -dz, 0.0))


def initial(visible: Visible, n_hidden: int, V: Array, rng: np.random.Generator, scale: float = 0.01) -> Theta:
    """Start values: small normal weights, visible biases and variances of independent columns (Hinton 2012, 8).

    Parameters
    ----------
    visible : Visible
    n_hidden : int
    V : (n, D) array
        Coded rows; NaN is unobserved.
    rng : Generator
    scale : float
        Standard deviation of the weights.

    Returns
    -------
    Theta
    """
    observed = ~np.isnan(V)
    count = np.maximum(observed.sum(axis=0), 1)
    mean = np.where(observed, V, 0.0).sum(axis=0, dtype=float) / count
    spread = np.where(observed, (np.where(observed, V, 0.0) - mean) ** 2, 0.0).sum(axis=0) / count
    b, log_var = mean.copy(), np.zeros(visible.size)
    for kind, at in visible.parts:
        share = (mean[at] * count[at] + 0.5) / (count[at] + 1.0)  # as if half a row more were on: no infinite logits
        if kind == "bernoulli":
            b[at] = np.log(share / (1 - share))
        elif kind == "gaussian":
            log_var[at] = np.log(np.where(spread[at] > 0, spread[at], 1.0))
        else:
            b[at] = np.log(share)
    W = scale * rng.standard_normal((visible.size, n_hidden)) * np.exp(log_var / 2)[:, None]
    return Theta(W, b, np.zeros(n_hidden), log_var)
