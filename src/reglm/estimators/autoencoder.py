"""Autoencoders as a scikit-learn transformer: a recursive GLM whose response is its inputs."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from reglm import families
from reglm.compiling import check_backend
from reglm.energy.coding import autoencoder, code_width, half
from reglm.estimators.inputs import contiguous
from reglm.estimators.monitor import Monitor
from reglm.estimators.options import Options, seed_of
from reglm.estimators.saving import Saving
from reglm.fitting import Settings
from reglm.fitting import fit as fit_likelihood
from reglm.fitting.intercept import fit_intercept
from reglm.layers import Corrupt
from reglm.likelihood import Data, Likelihood
from reglm.network import Network
from reglm.parameters import Array
from reglm.record import Fit

QUIET = ("converged", "stopped early", "callback")
PRETRAINING = (None, "rbm")


def _check(family: families.Family, rows: Array) -> None:
    """Raise ValueError for rows outside the support; Bernoulli columns may hold probabilities, such as grey levels."""
    if family.name == "bernoulli" and ((rows >= 0) & (rows <= 1)).all():
        return
    family.check_response(rows)


class Autoencoder(
    Saving, ClassNamePrefixFeaturesOutMixin, CallbackSupportMixin, TransformerMixin, BaseEstimator
):  # fmt: skip
    """Network that predicts its own inputs through a narrow middle layer, the code.

    The output is a likelihood of any family: with the gaussian one and identity activations the code spans the leading
    principal components (Baldi & Hornik 1989).

    Parameters
    ----------
    hidden : int or sequence of int
        Units of all hidden layers, an odd number of them; the middle one is the code.
    activation : str or sequence of str
        One for all hidden layers, or one each: names in `reglm.links.REGISTRY`.
    family : str or reglm.families.Family
        Distribution of a column given the code: one with a linear predictor for each column. With "bernoulli" numbers
        between 0 and 1 count as probabilities.
    link : str, optional
    noise : {None, "mask", "gaussian"}
        Spoil the inputs while training, but not what is to be restored: a denoising autoencoder (Vincent et al. 2010).
    noise_level : float
        Share of the entries that are masked, or standard deviation of the noise.
    tied : bool
        The decoder has the transposed weights of the encoder; hidden layers are then symmetric.
    pretrain : {None, "rbm"}
        Start from restricted Boltzmann machines, stacked and unrolled (Hinton & Salakhutdinov 2006). Activations are
        then "sigmoid", save that of the code, which may be "identity".
    start : array (P,), optional
        Start values of all parameters, in the order of ``fit_.likelihood.layout``.
    alpha, solver, n_init, max_iter, tol, batch_size, learning_rate, schedule, momentum, clip, early_stopping, \
validation_fraction, n_iter_no_change, backend, dtype, verbose, random_state
        As in `reglm.RecursiveGLMRegressor`.

    Attributes
    ----------
    fit_ : reglm.record.Fit
    n_iter_ : int
    converged_ : bool
    loss_curve_ : list of float
    n_features_in_, feature_names_in_

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from reglm import Autoencoder
    >>> X = load_iris().data
    >>> Autoencoder(2, activation="identity").fit(X).score(X).round(3)
    np.float64(0.978)
    """

    fit_: Fit

    def __init__(
        self, hidden: Any = (32,), activation: Any = "tanh", family: Any = "gaussian", link: str | None = None, *,
        noise: str | None = None, noise_level: float = 0.3, tied: bool = False, pretrain: str | None = None,
        start: Any = None, alpha: float = 0.0, solver: str = "auto", n_init: int = 1, max_iter: int | None = None,
        tol: float | None = None, batch_size: int = 200, learning_rate: float | None = None, schedule: Any = "constant",
        momentum: float | None = None, clip: float | None = None, early_stopping: bool = False,
        validation_fraction: float = 0.1, n_iter_no_change: int = 10, backend: str = "auto", dtype: str = "float64",
        verbose: int = 0, random_state: Any = None,
    ) -> None:  # fmt: skip
        self.hidden = hidden
        self.activation = activation
        self.family = family
        self.link = link
        self.noise = noise
        self.noise_level = noise_level
        self.tied = tied
        self.pretrain = pretrain
        self.start = start
        self.alpha = alpha
        self.solver = solver
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.momentum = momentum
        self.clip = clip
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.backend = backend
        self.dtype = dtype
        self.verbose = verbose
        self.random_state = random_state

    # -- fitting ------------------------------------------------------------------------------------------------

    @with_callbacks
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn to restore the rows.

        Parameters
        ----------
        X : array or data frame (n, p)
            Complete numbers in the family's support.
        y : ignored

        Returns
        -------
        self

        Warns
        -----
        ConvergenceWarning
        """
        options = self._options()
        rows = contiguous(validate_data(self, X, dtype=["float64", "float32"]), self.dtype)
        family = families.get(self.family)
        network = self._network(options, rows.shape[1], family)
        _check(family, rows)
        weights = np.ones((len(rows), 1), dtype=self.dtype)
        likelihood = Likelihood(
            network, family, family.resolve_link(self.link), dtype=self.dtype, backend=check_backend(self.backend),
            shape_specs=tuple(family.specs(rows)),
        )  # fmt: skip
        data = Data(rows, rows, np.zeros_like(rows), weights)
        names = [str(name) for name in getattr(self, "feature_names_in_", range(rows.shape[1]))]
        with Monitor(self, rows, rows) as monitor:
            settings = self._settings(monitor, self._start(likelihood, rows))
            self.fit_ = fit_likelihood(likelihood, data, settings, names, names)
        self.n_iter_, self.converged_ = self.fit_.n_iter, self.fit_.converged
        self.loss_curve_ = self.fit_.history.get("objective", [])
        if self.fit_.details["status"] not in QUIET:
            warnings.warn(f"{type(self).__name__}: {self.fit_.message}", ConvergenceWarning, stacklevel=4)
        return self

    def _options(self) -> Options:
        """Options that a recursive GLM has too, checked."""
        shared = {name: value for name, value in self.get_params(deep=False).items() if name in Options().__dict__}
        options = Options(**shared)
        options._check_options()
        for name, allowed in (("pretrain", PRETRAINING), ("tied", (True, False))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r} must be one of {allowed}.")
        return options

    def _network(self, options: Options, width: int, family: families.Family) -> Network:
        """Layers of the constructor's arguments."""
        hidden = options._hidden()
        if len(hidden) % 2 == 0:
            raise ValueError(f"hidden={self.hidden!r} must have an odd number of layers: the middle one is the code.")
        if family.outputs(np.zeros((1, width))) != width or family.name == "multinomial":
            raise ValueError(
                f"family={family.name!r} has no linear predictor for each column; use 'gaussian', 'bernoulli', "
                "'poisson' or another with one."
            )
        activation = options._activations(len(hidden))
        if "maxout" in activation or "softmax" in activation:
            raise ValueError(
                f"activation={self.activation!r} must act on each unit alone: 'tanh', 'relu', 'identity' ..."
            )
        if self.tied and (hidden != hidden[::-1] or tuple(activation) != tuple(activation)[::-1]):
            raise ValueError(f"tied=True needs layers that read the same backwards, got hidden={self.hidden!r}.")
        noise = None if self.noise is None else Corrupt(self.noise, self.noise_level)
        return autoencoder(hidden, activation, width, tied=self.tied, noise=noise)

    def _settings(self, monitor: Monitor, start: Array | None) -> Settings:
        names = (
            "n_init", "max_iter", "tol", "batch_size", "learning_rate", "schedule", "momentum", "clip",
            "early_stopping", "validation_fraction", "verbose",
        )  # fmt: skip
        solver = "adam" if self.solver == "auto" and self.noise is not None else self.solver
        return Settings(
            solver=solver, alpha=float(self.alpha), patience=self.n_iter_no_change, balance=False,
            seed=seed_of(self.random_state) % 2**62, start=start, callback=monitor,
            **{name: getattr(self, name) for name in names},
        )  # fmt: skip

    def _start(self, likelihood: Likelihood, rows: Array) -> Array | None:
        """Start values (P,) that were given or come from Boltzmann machines; None for random ones."""
        if self.pretrain == "rbm":
            from reglm.estimators.belief import pretrained

            return pretrained(self, likelihood.network, rows)
        if self.start is None:
            return None
        start = check_array(self.start, ensure_2d=False, dtype=self.dtype, input_name="start")
        if start.shape != (likelihood.layout.size,):
            raise ValueError(f"start has shape {start.shape}; there are {likelihood.layout.size} parameters.")
        return start

    # -- asking -------------------------------------------------------------------------------------------------

    def _rows(self, X: Any) -> Array:
        check_is_fitted(self)
        found: Array = contiguous(validate_data(self, X, dtype=["float64", "float32"], reset=False), self._kind)
        return found

    @property
    def _kind(self) -> str:
        return self.fit_.likelihood.dtype

    def _half(self, h: Array, decode: bool) -> Array:
        likelihood = self.fit_.likelihood
        theta = self.fit_.theta.astype(self._kind, copy=False)[: likelihood.network.layout().size]
        return half(likelihood.network, theta, h, decode=decode)

    def _mean(self, eta: Array) -> Array:
        likelihood = self.fit_.likelihood
        return likelihood.response.mean(eta, likelihood.shape(self.fit_.theta))

    def transform(self, X: Any) -> Array:
        """Codes of rows.

        Parameters
        ----------
        X : array or data frame (n, p)

        Returns
        -------
        ndarray (n, units of the middle layer)
        """
        return self._half(self._rows(X), decode=False)

    def inverse_transform(self, X: Any) -> Array:
        """Return the means (n, p) that codes X (n, units of the middle layer) stand for."""
        check_is_fitted(self)
        codes = check_array(X, dtype=["float64", "float32"], input_name="X")
        if codes.shape[1] != self._n_features_out:
            raise ValueError(f"X has {codes.shape[1]} columns, codes have {self._n_features_out}.")
        return self._mean(self._half(contiguous(codes, self._kind), decode=True))

    def predict(self, X: Any) -> Array:
        """Restore rows: the means (n, p) at their codes."""
        return self._mean(self._eta(self._rows(X)))

    def _eta(self, rows: Array) -> Array:
        return self.fit_.likelihood.eta(self.fit_.theta, rows, None)

    def logpdf(self, X: Any) -> Array:
        """Log-density (n,) of rows given their codes, all columns together; not a density of rows."""
        rows, fit = self._rows(X), self.fit_
        _check(fit.likelihood.family, rows)
        shape = fit.likelihood.shape(fit.theta)
        return fit.likelihood.response.log_density(rows, self._eta(rows), fit.dispersion, None, shape).sum(axis=1)

    def score(self, X: Any, y: Any = None) -> float:
        """Share of the deviance of rows from their column means that codes explain; for gaussian columns R^2, pooled.

        Parameters
        ----------
        X : array or data frame (n, p)
        y : ignored
        """
        rows, likelihood = self._rows(X), self.fit_.likelihood
        weights, shape = np.ones((len(rows), 1), dtype=self._kind), likelihood.shape(self.fit_.theta)
        deviance = likelihood.response.unit_deviance(rows, self._eta(rows), shape).sum()
        null = fit_intercept(likelihood.response, rows, weights, np.zeros_like(rows), shape).deviance
        return float(1.0 - deviance / null) if null > 0 else float(deviance <= 0)

    @property
    def _n_features_out(self) -> int:
        return code_width(self.fit_.likelihood.network)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "fit_")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags
