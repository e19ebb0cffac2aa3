"""Kernels as users name them: matrices, diagonals, and derivatives in the logarithms of their parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import xlogy
from sklearn.gaussian_process.kernels import Kernel as ProcessKernel
from sklearn.gaussian_process.kernels import WhiteKernel
from sklearn.metrics import pairwise

from reglm.parameters import Array

EXPONENTIAL = {"rbf": "sqeuclidean", "laplacian": "manhattan", "chi2": "chi2"}
"""Kernels that are the exponential of minus gamma times a distance; a distance's own name is one too."""
DISTANCES = ("euclidean", "l2", "manhattan", "l1", "cityblock")
BLOCK = 64
DECADES = 4.0
"""How far gamma is searched on either side of where it starts."""


class GramSource(ABC):
    """A kernel with its parameters fixed.

    Methods take X (n, p), dense or CSR, and Y (n0, p).
    """

    def __call__(self, Y: Any, X: Any) -> Array:
        """Call `cross`."""
        return self.cross(Y, X)

    @abstractmethod
    def cross(self, Y: Any, X: Any) -> Array:
        """Kernel between the rows of Y and those of X, (n0, n)."""

    @abstractmethod
    def diagonal(self, X: Any) -> Array:
        """Kernel of each row with itself, (n,)."""

    @abstractmethod
    def gram(self, X: Any) -> Array:
        """Kernel between the rows of X, (n, n)."""

    @property
    def theta(self) -> Array:
        """Logarithms of the parameters that can be tuned."""
        return np.empty(0)

    @property
    def bounds(self) -> Array:
        """Bounds of theta (parameters, 2)."""
        return np.empty((0, 2))

    def at(self, theta: Array) -> GramSource:
        """Return the same kernel with other parameters."""
        return self

    def derivatives(self, X: Any) -> tuple[Array, Array]:
        """Kernel matrix (n, n) and its derivatives in theta (n, n, parameters)."""
        K = self.gram(X)
        return K, np.empty((*K.shape, 0))


@dataclass(frozen=True)
class Exponential(GramSource):
    """``exp(-gamma distance)``.

    Parameters
    ----------
    name : str
        In `EXPONENTIAL` or `DISTANCES`.
    gamma : float
    start : float, optional
        Middle of the range in which gamma is tuned; gamma itself by default.
    """

    name: str
    gamma: float
    start: float | None = field(default=None, repr=False)

    def cross(self, Y: Any, X: Any) -> Array:
        """Kernel between two sets of rows."""
        return np.exp(-self.gamma * distances(self.name, Y, X))

    def gram(self, X: Any) -> Array:
        """Kernel matrix."""
        return np.exp(-self.gamma * distances(self.name, X, None))

    def diagonal(self, X: Any) -> Array:
        """Kernel of each row with itself."""
        return np.ones(X.shape[0])

    @property
    def theta(self) -> Array:
        """Logarithms of the parameters."""
        return np.log([self.gamma])

    @property
    def bounds(self) -> Array:
        """Bounds of theta."""
        return np.log([self.start or self.gamma])[:, None] + DECADES * np.log(10.0) * np.array([[-1.0, 1.0]])

    def at(self, theta: Array) -> Exponential:
        """Return the kernel with other parameters."""
        return replace(self, gamma=float(np.exp(theta[0])), start=self.start or self.gamma)

    def derivatives(self, X: Any) -> tuple[Array, Array]:
        """Kernel matrix and its derivatives."""
        K = self.gram(X)
        return K, xlogy(K, K)[:, :, None]


@dataclass(frozen=True)
class Pairwise(GramSource):
    """A kernel of `sklearn.metrics.pairwise` with nothing to tune.

    Parameters
    ----------
    name : str
    options : dict
    """

    name: str
    options: Mapping[str, Any]

    def cross(self, Y: Any, X: Any) -> Array:
        """Kernel between two sets of rows."""
        return pairwise.pairwise_kernels(Y, X, metric=self.name, **self.options)

    def gram(self, X: Any) -> Array:
        """Kernel matrix."""
        return pairwise.pairwise_kernels(X, metric=self.name, **self.options)

    def diagonal(self, X: Any) -> Array:
        """Kernel of each row with itself."""
        return blockwise_diagonal(self.cross, X)


@dataclass(frozen=True)
class Process(GramSource):
    """A kernel of scikit-learn's Gaussian processes, network kernels among them.

    Parameters
    ----------
    kernel : sklearn.gaussian_process.kernels.Kernel
    """

    kernel: Any

    def cross(self, Y: Any, X: Any) -> Array:
        """Kernel between two sets of rows."""
        return self.kernel(dense(Y), dense(X))

    def gram(self, X: Any) -> Array:
        """Kernel matrix."""
        return self.kernel(dense(X))

    def diagonal(self, X: Any) -> Array:
        """Kernel of each row with itself."""
        return self.kernel.diag(dense(X))

    @property
    def theta(self) -> Array:
        """Logarithms of the parameters."""
        return self.kernel.theta

    @property
    def bounds(self) -> Array:
        """Bounds of theta."""
        return np.reshape(self.kernel.bounds, (-1, 2))

    def at(self, theta: Array) -> Process:
        """Return the kernel with other parameters."""
        return Process(self.kernel.clone_with_theta(theta))

    def derivatives(self, X: Any) -> tuple[Array, Array]:
        """Kernel matrix and its derivatives."""
        return self.kernel(dense(X), eval_gradient=True)


@dataclass(frozen=True)
class Function(GramSource):
    """A user's function ``kernel(Y, X, **options) -> (n0, n)``.

    Parameters
    ----------
    function : callable
    options : dict
    """

    function: Callable[..., Any]
    options: Mapping[str, Any]

    def cross(self, Y: Any, X: Any) -> Array:
        """Kernel between two sets of rows."""
        found = np.asarray(self.function(Y, X, **self.options), dtype=float)
        if found.shape != (Y.shape[0], X.shape[0]):
            raise ValueError(
                f"kernel={self.function!r} gave shape {found.shape} for {Y.shape[0]} and {X.shape[0]} rows; it is "
                "called with two matrices and must return a value for each pair of rows."
            )
        return found

    def gram(self, X: Any) -> Array:
        """Kernel matrix."""
        return self.cross(X, X)

    def diagonal(self, X: Any) -> Array:
        """Kernel of each row with itself."""
        return blockwise_diagonal(self.cross, X)


@dataclass(frozen=True)
class Precomputed(GramSource):
    """X holds the kernel itself: (n, n) in training, (n0, n) for new rows."""

    def cross(self, Y: Any, X: Any) -> Array:
        """Kernel between two sets of rows."""
        return Y

    def gram(self, X: Any) -> Array:
        """Kernel matrix."""
        return X

    def diagonal(self, X: Any) -> Array:
        """Kernel of each row with itself."""
        raise ValueError(
            "kernel='precomputed' says nothing about new rows with themselves, so there is no variance of predictions; "
            "pass a kernel that can be evaluated."
        )


def resolve(kernel: Any, X: Any, weights: Array, gamma: float | None, options: Mapping[str, Any] | None) -> GramSource:
    """Return the kernel of an estimator's arguments.

    Parameters
    ----------
    kernel : str, sklearn.gaussian_process.kernels.Kernel or callable
    X : ndarray or CSR (n, p)
        Training rows.
    weights : ndarray (n,)
        Their weights, which count in the default of gamma.
    gamma : float, optional
        By default one over the sum of the columns' variances (half the mean squared distance of two rows); for
        exponentials of other distances one over their mean.
    options : dict, optional
        Further arguments of a kernel of scikit-learn or of a callable.

    Raises
    ------
    ValueError
        If the kernel is not known or does not take the arguments.
    """
    given = dict(options or {})
    if isinstance(kernel, ProcessKernel):
        return _process(kernel, gamma, given)
    if callable(kernel):
        return Function(kernel, given | ({} if gamma is None else {"gamma": gamma}))
    if kernel == "precomputed":
        return Precomputed()
    known = sorted({*pairwise.kernel_metrics(), *DISTANCES, "precomputed"})
    if not isinstance(kernel, str) or kernel not in known:
        raise ValueError(
            f"kernel={kernel!r} is not known; choose one of {known}, a kernel of "
            "sklearn.gaussian_process, or a callable."
        )
    if kernel in EXPONENTIAL or kernel in DISTANCES:
        if given:
            raise ValueError(f"kernel_params={given!r}: kernel={kernel!r} has no parameter but gamma.")
        return Exponential(kernel, _gamma(kernel, X, weights) if gamma is None else float(gamma))
    return Pairwise(kernel, given | _pairwise_gamma(kernel, X, weights, gamma))


def _process(kernel: Any, gamma: float | None, options: Mapping[str, Any]) -> Process:
    if gamma is not None or options:
        raise ValueError(f"kernel={kernel!r} holds its own parameters; leave gamma and kernel_params out.")
    if any(isinstance(part, WhiteKernel) for part in [kernel, *kernel.get_params().values()]):
        raise ValueError(f"kernel={kernel!r} contains a WhiteKernel: noise is what alpha stands for, leave it out.")
    return Process(kernel)


def _pairwise_gamma(name: str, X: Any, weights: Array, gamma: float | None) -> dict[str, float]:
    if "gamma" not in pairwise.KERNEL_PARAMS.get(name, ()):
        if gamma is not None:
            raise ValueError(f"gamma={gamma!r}: kernel={name!r} has no such parameter.")
        return {}
    return {"gamma": _gamma("rbf", X, weights) if gamma is None else float(gamma)}


def _gamma(name: str, X: Any, weights: Array) -> float:
    share = weights / weights.sum()
    if name == "rbf":
        mean = share @ X
        squares = share @ (X.multiply(X) if sparse.issparse(X) else (X - mean) ** 2)
        spread = float(np.sum(squares - mean**2) if sparse.issparse(X) else np.sum(squares))
    else:
        spread = float(share @ distances(name, X, None) @ share)
    return 1.0 / spread if spread > np.finfo(float).tiny else 1.0


def distances(name: str, Y: Any, X: Any | None) -> Array:
    """Return the distance in the exponent of a kernel, (n0, n); of Y with itself where X is None."""
    metric = EXPONENTIAL.get(name, name)
    if metric == "sqeuclidean":
        return pairwise.euclidean_distances(Y, X, squared=True)
    if metric == "chi2":
        return -pairwise.additive_chi2_kernel(dense(Y), None if X is None else dense(X))
    return pairwise.pairwise_distances(Y, X, metric=metric)


def blockwise_diagonal(cross: Callable[[Any, Any], Array], X: Any) -> Array:
    """Kernel of each row with itself from small square blocks, (n,)."""
    blocks = [X[start : start + BLOCK] for start in range(0, X.shape[0], BLOCK)]
    return np.concatenate([np.diag(cross(block, block)) for block in blocks])


def dense(X: Any) -> Array:
    """Return X as an array."""
    return X.toarray() if sparse.issparse(X) else X


def checked_gram(K: Array) -> Array:
    """Return a kernel matrix that is finite and symmetric, made exactly so.

    Raises
    ------
    ValueError
    """
    if not np.all(np.isfinite(K)):
        i, j = np.argwhere(~np.isfinite(K))[0]
        raise ValueError(f"the kernel is {K[i, j]} between rows {i} and {j}; rescale X or choose another kernel.")
    gap = np.abs(K - K.T)
    if not gap.any():
        return K
    if gap.max() > 1e-8 * np.abs(K).max():
        i, j = np.unravel_index(int(gap.argmax()), K.shape)
        raise ValueError(f"the kernel is not symmetric: {K[i, j]:.6g} at ({i}, {j}), {K[j, i]:.6g} at ({j}, {i}).")
    return (K + K.T) / 2
