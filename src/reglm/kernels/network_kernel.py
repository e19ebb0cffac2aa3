"""`NetworkKernel`: the kernels of an architecture as a scikit-learn kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.gaussian_process.kernels import Hyperparameter, Kernel

from reglm.kernels.activations import dual_activation
from reglm.kernels.analytic import STEP
from reglm.kernels.architecture import Architecture
from reglm.kernels.hermite import HermiteDual
from reglm.parameters import Array

KINDS = ("nngp", "ntk")
Bounds = tuple[float, float] | str


class NetworkKernel(Kernel):
    """Kernel of a dense network with random normal weights as its hidden layers become wide.

    "nngp" is the covariance of its outputs (Neal 1996, Lee et al. 2018), "ntk" the tangent kernel, whose ridge
    regression gradient descent on the network converges to (Jacot et al. 2018). Weights are standard normal and each
    layer is scaled by ``s_w / sqrt(fan-in)``; biases are scaled by ``s_b``.

    Parameters
    ----------
    hidden_layers : int
        0 for the linear model.
    activation : str or sequence of str
        One for all hidden layers or one each: a link of `reglm.links` that is an activation, "erf", "cos", "sin" or
        "sin+cos". Identity, ReLU, leaky ReLU, threshold (nngp only), erf, probit, exp, cos, sin and rbf are in closed
        form, the others a Hermite series, see `quadrature_error`.
    kind : {"nngp", "ntk"}
    weight_variance : float
        ``s_w^2``; 2 keeps the variance of ReLU layers (He et al. 2015).
    bias_variance : float
        ``s_b^2``; at 0 it is no hyperparameter.
    skip : bool
        Whether the output holds the linear predictor of the inputs too, with variance ``s_w^2 / d`` a coefficient.
    weight_variance_bounds, bias_variance_bounds : pair of floats or "fixed"
        For the search of hyperparameters.

    Examples
    --------
    >>> from sklearn.gaussian_process import GaussianProcessRegressor
    >>> from reglm import NetworkKernel
    >>> gp = GaussianProcessRegressor(NetworkKernel(2, "erf", kind="nngp"))
    """

    def __init__(
        self,
        hidden_layers: int = 1,
        activation: str | Sequence[str] = "relu",
        kind: str = "nngp",
        weight_variance: float = 2.0,
        bias_variance: float = 0.1,
        skip: bool = False,
        weight_variance_bounds: Bounds = (1e-3, 1e3),
        bias_variance_bounds: Bounds = (1e-5, 1e3),
    ) -> None:
        self.hidden_layers = hidden_layers
        self.activation = activation
        self.kind = kind
        self.weight_variance = weight_variance
        self.bias_variance = bias_variance
        self.skip = skip
        self.weight_variance_bounds = weight_variance_bounds
        self.bias_variance_bounds = bias_variance_bounds

    @property
    def hyperparameter_weight_variance(self) -> Hyperparameter:
        """``s_w^2``."""
        return Hyperparameter("weight_variance", "numeric", self.weight_variance_bounds)

    @property
    def hyperparameter_bias_variance(self) -> Hyperparameter:
        """``s_b^2``, which cannot move from zero: its logarithm is searched."""
        return Hyperparameter("bias_variance", "numeric", self.bias_variance_bounds if self.bias_variance else "fixed")

    def __call__(self, X: Any, Y: Any = None, eval_gradient: bool = False) -> Any:
        """Kernel matrix.

        Parameters
        ----------
        X : array_like (n, d)
        Y : array_like (m, d), optional
        eval_gradient : bool
            Return the derivatives by the logarithms of the hyperparameters too; for ``Y=None``.

        Returns
        -------
        K : ndarray (n, m)
        gradient : ndarray (n, n, number of hyperparameters)
            In the order of `theta`; with `eval_gradient`.

        Raises
        ------
        ValueError
            If an argument of the constructor is out of range, X and Y differ in columns, or a gradient is asked for
            with Y.
        """
        X = _matrix("X", X)
        Y = None if Y is None else _matrix("Y", Y)
        if Y is not None and Y.shape[1] != X.shape[1]:
            raise ValueError(f"X has {X.shape[1]} columns and Y has {Y.shape[1]}; pass as many.")
        if not eval_gradient:
            return self._architecture().gram(X, Y)
        if Y is not None:
            raise ValueError("eval_gradient=True needs Y=None.")
        # a complex run gives the value too, but not to the last bit of the real one
        return self._architecture().gram(X), self._gradient(X)

    def _gradient(self, X: Array) -> Array:
        """Derivatives (n, n, k) by the logarithms of the free hyperparameters, by complex steps."""
        free = [h.name for h in self.hyperparameters if not h.fixed]
        gradient = np.empty((len(X), len(X), len(free)))
        for k, name in enumerate(free):
            gradient[:, :, k] = self._architecture(along=name).gram(X).imag / STEP
        return gradient

    def diag(self, X: Any) -> Array:
        """Kernel (n,) of each row of X (n, d) with itself."""
        return self._architecture().diagonal(_matrix("X", X))

    def is_stationary(self) -> bool:
        """No: the kernel depends on the lengths of the rows and the angle between them."""
        return False

    def quadrature_error(self, X: Any) -> float:
        """Bound on the error of the expectations behind the kernel of these rows.

        Parameters
        ----------
        X : array_like (n, d)

        Returns
        -------
        float
            Largest over layers and pairs of rows; zero for activations in closed form.
        """
        architecture = self._architecture()
        X = _matrix("X", X)
        w, b = architecture.weight_variance, architecture.bias_variance
        S, worst = w * np.einsum("ij,ij->i", X, X) / X.shape[1] + b, 0.0
        for activation in architecture.activations:
            if isinstance(activation, HermiteDual):
                values, slopes = activation.error(S)
                worst = max(worst, values, slopes if architecture.tangent else 0.0)
            rows = activation.rows(S)
            S = w * activation.pairs(rows, S, rows)[0] + b
        return worst

    def __repr__(self) -> str:
        given = f"{self.hidden_layers}, {self.activation!r}, {self.kind!r}"
        return (
            f"NetworkKernel({given}, {self.weight_variance:.3g}, {self.bias_variance:.3g}{', skip=True' * self.skip})"
        )

    def _architecture(self, along: str | None = None) -> Architecture:
        """Return the recursion at these hyperparameters, one of which may have a complex step on its logarithm."""
        names = self.activations()
        step = {name: getattr(self, name) * (1 + 1j * STEP) if name == along else getattr(self, name)
                for name in ("weight_variance", "bias_variance")}  # fmt: skip
        if self.kind == "ntk" and "threshold" in names:
            raise ValueError("kind='ntk' needs activations with a derivative; 'threshold' has none, use kind='nngp'.")
        return Architecture([dual_activation(f) for f in names], **step, tangent=self.kind == "ntk", skip=self.skip)

    def activations(self) -> list[str]:
        """Return the name of each hidden layer's activation.

        Raises
        ------
        ValueError
            If an argument of the constructor is out of range.
        """
        self._check()
        if isinstance(self.activation, str):
            return [self.activation] * self.hidden_layers
        if len(self.activation) != self.hidden_layers:
            raise ValueError(
                f"activation={self.activation!r} names {len(self.activation)} activations for hidden_layers="
                f"{self.hidden_layers}; give one for all, or one each."
            )
        return list(self.activation)

    def _check(self) -> None:
        layers = self.hidden_layers
        if isinstance(layers, bool) or not isinstance(layers, (int, np.integer)) or layers < 0:
            raise ValueError(f"hidden_layers={layers!r} must be an integer, 0 or more.")
        if self.kind not in KINDS:
            raise ValueError(f"kind={self.kind!r} must be one of {KINDS}.")
        if not 0 < self.weight_variance < np.inf:
            raise ValueError(f"weight_variance={self.weight_variance!r} must be positive and finite.")
        if not 0 <= self.bias_variance < np.inf:
            raise ValueError(f"bias_variance={self.bias_variance!r} must be finite and not negative.")


def _matrix(name: str, X: Any) -> Array:
    X = np.ascontiguousarray(X, dtype=float)
    if X.ndim != 2 or X.shape[1] == 0:
        raise ValueError(f"{name} must be a matrix with columns, got shape {X.shape}.")
    return X
