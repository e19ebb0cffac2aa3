"""Deep belief networks as a scikit-learn transformer, and what they become: classifiers, regressors, autoencoders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from reglm.energy import belief
from reglm.energy.belief import Machine
from reglm.estimators.boltzmann import RestrictedBoltzmannMachine
from reglm.estimators.classifier import RecursiveGLMClassifier
from reglm.estimators.options import seed_of
from reglm.estimators.regressor import RecursiveGLMRegressor
from reglm.estimators.saving import Saving
from reglm.layers import Dense, Tied
from reglm.network import Network
from reglm.parameters import Array, constant

RECONSTRUCTIONS = {"bernoulli": "bernoulli", "gaussian": "gaussian", "poisson": "poisson"}
"""Families of the autoencoder by kind of the visible units."""


class DeepBeliefNetwork(Saving, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Restricted Boltzmann machines, each trained on the hidden units of the one below (Hinton et al. 2006).

    Parameters
    ----------
    layers : int or sequence of int
        Hidden units of each machine, from below.
    visible : str or list of str
        Kinds of the columns, as in `reglm.RestrictedBoltzmannMachine`.
    method, n_steps, batch_size, max_iter, learning_rate, schedule, momentum, weight_decay, dtype
        Of the training of each machine; see there.
    verbose : int
        1 shows a line for each machine while it is trained.
    random_state : int, Generator, RandomState or None

    Attributes
    ----------
    machines_ : list of RestrictedBoltzmannMachine
    n_iter_ : int
        Epochs of the machine that was trained longest.
    log_z_, log_z_std_err_ : float
        Of the machine at the top, once `lower_bound` needed it.
    n_features_in_, feature_names_in_

    Examples
    --------
    >>> import numpy as np
    >>> from reglm import DeepBeliefNetwork
    >>> X = np.tile([[1, 1, 0, 0], [0, 0, 1, 1]], (50, 1))
    >>> model = DeepBeliefNetwork((3, 2), max_iter=5, random_state=0).fit(X)
    >>> model.transform(X).shape, model.sample(4, random_state=0).shape
    ((100, 2), (4, 4))
    """

    machines_: list[RestrictedBoltzmannMachine]

    def __init__(
        self, layers: Any = (500, 500), visible: Any = "auto", *, method: str = "pcd", n_steps: Any = 1,
        batch_size: int = 100, max_iter: int = 20, learning_rate: float = 0.05, schedule: Any = "cosine",
        momentum: float = 0.0, weight_decay: float = 0.0, dtype: str = "float32", verbose: int = 0,
        random_state: Any = None,
    ) -> None:  # fmt: skip
        self.layers = layers
        self.visible = visible
        self.method = method
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.dtype = dtype
        self.verbose = verbose
        self.random_state = random_state

    # -- fitting ------------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train the machines one after the other; an interrupt keeps what that machine found and goes on.

        Parameters
        ----------
        X : array or data frame (n, p)
            Complete rows.
        y : ignored

        Returns
        -------
        self
        """
        widths = list(self.layers) if isinstance(self.layers, Sequence) else [self.layers]
        if not widths:
            raise ValueError(f"layers={self.layers!r} must hold a number of units for each machine, at least one.")
        rows: Any = self._rows(X, reset=True)
        rng = np.random.default_rng(seed_of(self.random_state))
        self.machines_ = []
        for level, units in enumerate(widths):
            machine = self._machine(units, "bernoulli" if level else self.visible, int(rng.integers(2**31)))
            if self.verbose:
                print(f"DeepBeliefNetwork: machine {level + 1} of {len(widths)}, {units} hidden units")
            self.machines_.append(machine.fit(rows))
            rows = machine.transform(rows)
        self.n_iter_ = max(machine.n_iter_ for machine in self.machines_)
        self.__dict__.pop("log_z_", None)
        return self

    def _rows(self, X: Any, reset: bool = False) -> Any:
        numbers = isinstance(self.visible, str) and self.visible != "categorical"
        return validate_data(self, X, dtype=["float64", "float32"] if numbers else None, reset=reset)

    def _machine(self, n_hidden: int, visible: Any, seed: int) -> RestrictedBoltzmannMachine:
        names = (
            "method", "n_steps", "batch_size", "max_iter", "learning_rate", "schedule", "momentum", "weight_decay",
            "dtype", "verbose",
        )  # fmt: skip
        shared = {name: getattr(self, name) for name in names}
        return RestrictedBoltzmannMachine(n_hidden, visible, random_state=seed, **shared)

    # -- asking -------------------------------------------------------------------------------------------------

    @property
    def _parts(self) -> list[Machine]:
        check_is_fitted(self)
        return [Machine(machine.visible_, machine.theta_) for machine in self.machines_]

    def _coded(self, X: Any) -> Array:
        check_is_fitted(self)
        return self.machines_[0].columns_.encode(self._rows(X))

    def transform(self, X: Any) -> Array:
        """Probabilities (n, units at the top) of the hidden units at the top, means passed upwards."""
        V = self._coded(X)
        return belief.activities(self._parts, V)[-1].astype(getattr(X, "dtype", V.dtype), copy=False)

    def sample(self, n: int = 1, *, n_sweeps: int = 1000, kind: str = "draw", random_state: Any = None) -> Array:
        """Draw rows: Gibbs sweeps of the machine at the top, then one pass down.

        Parameters
        ----------
        n, n_sweeps : int
        kind : {"draw", "mean"}
            Values, or their conditional means given the layer above.
        random_state : int, Generator, RandomState or None
            By default that of the model.

        Returns
        -------
        ndarray (n, p)
        """
        parts = self._parts
        rng = np.random.default_rng(seed_of(self.random_state if random_state is None else random_state))
        top = self.machines_[-1].sample(
            n, n_sweeps=n_sweeps, kind=kind if len(parts) == 1 else "draw", random_state=rng
        )
        if len(parts) == 1:
            return np.asarray(top)
        if kind not in ("draw", "mean"):
            raise ValueError(f"kind={kind!r} is not known; choose 'draw' or 'mean'.")
        return self.machines_[0].columns_.decode(belief.generate(parts, top, rng, kind == "mean"))

    def lower_bound(self, X: Any, *, n_draws: int = 20, random_state: Any = None) -> Array:
        """Variational lower bound of the log-likelihood of each row, an average over draws of the hidden units.

        Parameters
        ----------
        X : array or data frame (n, p)
        n_draws : int
            Draws for each row.
        random_state : int, Generator, RandomState or None
            By default that of the model.

        Returns
        -------
        ndarray (n,)
            Log Z of the machine at the top is exact where one of its sides is small, else estimated at first need.
        """
        V, parts = self._coded(X), self._parts
        seed = seed_of(self.random_state if random_state is None else random_state)
        rng, other = np.random.default_rng(seed).spawn(2)
        if not hasattr(self, "log_z_"):
            top, rows = self.machines_[-1], None
            if len(parts) > 1:
                below = belief.activities(parts[:-1], V)[-1]
                rows = (other.random(below.shape) < below).astype(float)
            self.log_z_ = top.log_partition(rows, random_state=other)
            self.log_z_std_err_ = top.log_z_std_err_
        return belief.lower_bound(parts, self.log_z_, V, n_draws, rng)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean of `lower_bound` over rows."""
        return float(self.lower_bound(X).mean())

    # -- becoming -----------------------------------------------------------------------------------------------

    def _numeric(self) -> list[Machine]:
        parts = self._parts
        if "categorical" in self.machines_[0].kinds_:
            raise ValueError("categorical columns are coded by the machine; code them before fitting, as indicators.")
        return parts

    def _dense(self) -> list[Dense]:
        """Hidden layers that start at the machines' weights and biases."""
        found = belief.encoder(self._numeric())
        return [Dense(W.shape[1], "sigmoid", init=constant(W), bias_init=constant(c)) for W, c in found]

    def to_classifier(self, **options: Any) -> RecursiveGLMClassifier:
        """Return a classifier whose hidden layers start at the machines: fit it to fine-tune.

        Parameters
        ----------
        **options
            Of `reglm.RecursiveGLMClassifier`.
        """
        return RecursiveGLMClassifier(layers=self._dense(), **options)

    def to_regressor(self, family: Any = "gaussian", **options: Any) -> RecursiveGLMRegressor:
        """Return a regressor of any family whose hidden layers start at the machines: fit it to fine-tune.

        Parameters
        ----------
        family : str or reglm.families.Family
        **options
            Of `reglm.RecursiveGLMRegressor`.
        """
        return RecursiveGLMRegressor(family=family, layers=self._dense(), **options)

    def to_autoencoder(self, *, code: str = "sigmoid", **options: Any) -> Any:
        """Unroll into a deep autoencoder that starts at the machines (Hinton & Salakhutdinov 2006).

        Parameters
        ----------
        code : str
            Activation of the code.
        **options
            Of `reglm.Autoencoder`.

        Returns
        -------
        reglm.Autoencoder
            Of the family of the columns, which must be of one kind.
        """
        from reglm.estimators.autoencoder import Autoencoder

        parts, kinds = self._numeric(), set(self.machines_[0].kinds_)
        if len(kinds) > 1 and "family" not in options:
            raise ValueError(f"columns are of several kinds, {sorted(kinds)}; name one family=... for all.")
        widths = [len(machine.theta.c) for machine in parts]
        hidden = (*widths, *widths[-2::-1])
        activation = tuple(code if i == len(widths) - 1 else "sigmoid" for i in range(len(hidden)))
        start = np.concatenate([np.concatenate([W.ravel(), b]) for W, b in belief.unrolled(parts)])
        given = {"family": RECONSTRUCTIONS[min(kinds)], "hidden": hidden, "activation": activation, "start": start}
        return Autoencoder(**given | options)

    @property
    def _n_features_out(self) -> int:
        return len(self.machines_[-1].theta_.c)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "machines_")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def pretrained(model: Any, network: Network, rows: Array) -> Array:
    """Start values (P,) for an `Autoencoder` from machines trained on its rows.

    Raises
    ------
    ValueError
        If its layers cannot be those of Boltzmann machines.
    """
    last = network.chain.layers[-1]
    dense = [x for x in network.chain.layers[:-1] if isinstance(x, Dense)]
    half = list(last.layers) if isinstance(last, Tied) else dense[: len(dense) // 2 + 1]
    units = [layer.units for layer in dense]
    if {layer.activation for layer in half[:-1]} - {"sigmoid"} or half[-1].activation not in ("sigmoid", "identity"):
        raise ValueError(
            f"pretrain='rbm' needs activation='sigmoid' (the code may be 'identity'), got {model.activation!r}."
        )
    if units != units[::-1]:
        raise ValueError(f"pretrain='rbm' needs layers that read the same backwards, got hidden={model.hidden!r}.")
    kind = {"bernoulli": "bernoulli", "poisson": "poisson"}.get(getattr(model.family, "name", model.family), "auto")
    stack = DeepBeliefNetwork([x.units for x in half], kind, random_state=model.random_state, verbose=model.verbose)
    parts = stack.fit(rows)._parts
    if isinstance(last, Tied):
        up, down = belief.encoder(parts), [m.theta.b for m in reversed(parts)]
        return np.concatenate([*(np.concatenate([W.ravel(), c]) for W, c in up), *down])
    return np.concatenate([np.concatenate([W.ravel(), b]) for W, b in belief.unrolled(parts)])
