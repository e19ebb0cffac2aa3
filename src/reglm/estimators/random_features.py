"""Random features as a scikit-learn transformer."""

from __future__ import annotations

from numbers import Real
from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from reglm.estimators.saving import Saving
from reglm.kernels import features
from reglm.kernels.network_kernel import NetworkKernel

Array = np.ndarray
DTYPES = ["float64", "float32"]


class RandomFeatures(Saving, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Columns whose inner products estimate a kernel without bias.

    A generalized linear model on these columns is a kernel model, of any family and for any number of rows. With
    random directions w and biases b, standard normal, the kernels estimated are

    * ``"rbf"``: ``exp(-gamma ||x - x'||^2)`` (Rahimi & Recht 2007), from pairs of cosines and sines;
    * ``"arccosine"``: the arc-cosine kernel of `degree` (Cho & Saul 2009) at ``sqrt(gamma) x``: a wide layer of
      threshold (0) or rectified linear (1) units;
    * the name of an activation: ``E[f(u) f(u')]`` with ``u = sqrt(gamma) w'x + sqrt(bias) b``, the covariance
      of a wide layer of such units;
    * a `reglm.NetworkKernel` of kind "nngp": the last hidden layer of a random network, then a column for the output's
      bias, then the inputs for its skip connection, where it has them. With more than one hidden layer the estimate has
      a bias of order 1 / n_components.

    The columns estimate, they do not learn: compare them with a network that does.

    Parameters
    ----------
    kernel : str or NetworkKernel
        ``"rbf"``, ``"arccosine"`` or the name of an activation (``"tanh"``, ``"probit"``, ``"relu"``, ``"erf"``,
        ``"cos"``, ``"sin"``, ...).
    n_components : int
        Number of columns, those for a network's bias and skip connection not counted. An even number is better for
        ``"rbf"``: cosines and sines come in pairs.
    gamma : float, optional
        Scale, see above; 1 / (number of columns of X) by default. A network kernel has its own scales.
    bias : float
        Variance of the biases: 0 for none. The rbf kernel does not depend on it.
    degree : int
        Of the arc-cosine kernel.
    orthogonal : bool
        Draw directions that are orthogonal in blocks, which lowers the variance (Yu et al. 2016).
    random_state : int, RandomState or None

    Attributes
    ----------
    directions_ : ndarray (columns, m)
        Scaled directions, m = n_components or half of it, rounded up, for ``"rbf"``.
    intercepts_ : ndarray (m,)
        Scaled biases, phases for ``"rbf"``.
    layers_ : list of (ndarray (m, m), ndarray (m,))
        Scaled weights and biases of a network kernel's further layers.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where X was a data frame.

    Examples
    --------
    A Poisson model that is not linear in x:

    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from reglm import RandomFeatures, RecursiveGLMRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-3, 3, size=(300, 1))
    >>> y = rng.poisson(np.exp(np.sin(X[:, 0])))
    >>> model = make_pipeline(
    ...     RandomFeatures(n_components=20, random_state=0),
    ...     RecursiveGLMRegressor(family="poisson", alpha=1.0),
    ... )
    >>> bool(model.fit(X, y).score(X, y) > 0.2)
    True
    """

    directions_: Array
    intercepts_: Array

    def __init__(
        self,
        kernel: str | NetworkKernel = "rbf",
        n_components: int = 100,
        *,
        gamma: float | None = None,
        bias: float = 0.0,
        degree: int = 1,
        orthogonal: bool = True,
        random_state: Any = None,
    ) -> None:
        self.kernel = kernel
        self.n_components = n_components
        self.gamma = gamma
        self.bias = bias
        self.degree = degree
        self.orthogonal = orthogonal
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Draw the directions; of X only the number and the names of its columns matter.

        Parameters
        ----------
        X : array, sparse matrix or data frame (n, columns)
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an argument or X cannot be used.
        """
        X = validate_data(self, X, accept_sparse="csr", dtype=DTYPES)
        self._check()
        rng = np.random.default_rng(_seed(self.random_state))
        self.layers_: list[tuple[Array, Array]] = []
        if isinstance(self.kernel, NetworkKernel):
            self._draw_network(self.kernel, rng, X.shape[1], X.dtype)
            return self
        gamma = 1 / X.shape[1] if self.gamma is None else self.gamma
        is_rbf, biased = self.kernel == "rbf", self.kernel != "rbf" and self.bias > 0
        m = -(-self.n_components // 2) if is_rbf else self.n_components
        # a bias is one more input, so that directions are orthogonal with it
        W = features.normal_directions(rng, X.shape[1] + biased, m, self.orthogonal)
        phases = rng.uniform(0, 2 * np.pi, size=m) if is_rbf else np.zeros(m)
        self.directions_ = (np.sqrt(2 * gamma if is_rbf else gamma) * W[: X.shape[1]]).astype(X.dtype)
        self.intercepts_ = (np.sqrt(self.bias) * W[-1] if biased else phases).astype(X.dtype)
        return self

    def transform(self, X: Any) -> Any:
        """Return the columns.

        Parameters
        ----------
        X : array, sparse matrix or data frame (n, columns)

        Returns
        -------
        ndarray (n, n_components), and the columns of a network's bias and skip connection
            A data frame where `set_output` asks for one.
        """
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=DTYPES, reset=False)
        W, b = self.directions_.astype(X.dtype, copy=False), self.intercepts_.astype(X.dtype, copy=False)
        A = features.project(X, W, b)
        if isinstance(self.kernel, NetworkKernel):
            return self._network(self.kernel, A, X)
        if self.kernel == "rbf":
            return features.fourier(A, self.n_components)
        return features.mean_of_units(A, self._unit())

    def _draw_network(self, kernel: NetworkKernel, rng: np.random.Generator, p: int, dtype: Any) -> None:
        """Draw weights and biases of all hidden layers."""
        m, drawn = self.n_components, []
        for inputs in [p, *[m] * (kernel.hidden_layers - 1)]:
            # a bias is one more input, so that directions are orthogonal with it
            W = features.normal_directions(rng, inputs + 1, m, self.orthogonal)
            scaled = np.sqrt(kernel.weight_variance / inputs) * W[:-1], np.sqrt(kernel.bias_variance) * W[-1]
            drawn.append(tuple(part.astype(dtype) for part in scaled))
        (self.directions_, self.intercepts_), *self.layers_ = drawn

    def _network(self, kernel: NetworkKernel, A: Array, X: Any) -> Array:
        """Columns (n, n_components) from the first layer's projections A (n, m)."""
        units = [features.activation(name) for name in kernel.activations()]
        for unit, (W, b) in zip(units, self.layers_, strict=False):
            A = features.project(unit(A), W.astype(A.dtype, copy=False), b.astype(A.dtype, copy=False))
        w, ones = A.dtype.type(kernel.weight_variance), np.ones((len(A), 1), A.dtype)
        columns = [np.sqrt(w) * features.mean_of_units(A, units[-1])]
        if kernel.bias_variance > 0:
            columns.append(np.sqrt(A.dtype.type(kernel.bias_variance)) * ones)
        if kernel.skip:
            columns.append(np.sqrt(w / A.dtype.type(X.shape[1])) * (X.toarray() if sparse.issparse(X) else X))
        return np.hstack(columns)

    @property
    def _n_features_out(self) -> int:
        if not isinstance(self.kernel, NetworkKernel):
            return self.n_components
        return self.n_components + (self.kernel.bias_variance > 0) + self.n_features_in_ * self.kernel.skip

    def _unit(self) -> features.Unit:
        if self.kernel == "arccosine":
            return features.arc_cosine(self.degree)
        if not isinstance(self.kernel, str):
            raise ValueError(f"kernel={self.kernel!r} must be a name or a NetworkKernel.")
        return features.activation(self.kernel)

    def _check(self) -> None:
        """Raise ValueError for arguments that cannot be used."""
        whole, m = "a whole number of at least", self.n_components
        _require("n_components", m, isinstance(m, int | np.integer) and m >= 1, f"{whole} 1")
        _require("degree", self.degree, isinstance(self.degree, int | np.integer) and self.degree >= 0, f"{whole} 0")
        _require("bias", self.bias, isinstance(self.bias, Real) and 0 <= float(self.bias) < np.inf, "0 or positive")
        if self.gamma is not None:
            _require("gamma", self.gamma, isinstance(self.gamma, Real) and 0 < float(self.gamma) < np.inf, "positive")
        if isinstance(self.kernel, NetworkKernel):
            self._check_network(self.kernel)
        elif self.kernel != "rbf":
            self._unit()

    def _check_network(self, kernel: NetworkKernel) -> None:
        """Raise ValueError for a network kernel that has no such columns."""
        for name, value, none in (("gamma", self.gamma, None), ("bias", self.bias, 0.0)):
            _require(name, value, value == none, f"{none!r} with kernel={kernel!r}, which holds its variances")
        if kernel.kind != "nngp" or not kernel.activations():
            raise ValueError(
                f"kernel={kernel!r} must be of kind='nngp' with a hidden layer; a fitted network's tangent kernel is "
                "its tangent_kernel, and columns of inputs are linear already."
            )
        for name in kernel.activations():
            features.activation(name)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = DTYPES
        return tags


def _seed(random_state: Any) -> Any:
    """What a NumPy generator starts from: RandomState objects give it a number, so that they move on."""
    return random_state.randint(2**31 - 1) if isinstance(random_state, np.random.RandomState) else random_state


def _require(name: str, value: Any, right: bool, rule: str) -> None:
    if not right:
        raise ValueError(f"{name}={value!r} must be {rule}.")
