"""What can be asked of a fitted Boltzmann machine about rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import logsumexp, softmax
from sklearn.base import BaseEstimator
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from reglm.compiling import check_backend
from reglm.energy import annealing, enumeration, jax_gibbs
from reglm.energy.conditional import complete
from reglm.energy.free_energy import Theta, free_energy
from reglm.energy.gibbs import Chains, Layers
from reglm.energy.visible import Visible
from reglm.estimators.options import seed_of
from reglm.estimators.visible_columns import Columns
from reglm.parameters import Array

KINDS = ("mean", "draw")


def _is_supervised(model: Any) -> bool:
    if not model.supervised:
        raise AttributeError("labels are part of the machine with supervised=True only.")
    return True


class BoltzmannRows(BaseEstimator):
    """Methods of `RestrictedBoltzmannMachine` that need a fit."""

    theta_: Theta
    visible_: Visible
    columns_: Columns
    classes_: Array
    log_z_: float
    visible: Any
    random_state: Any
    supervised: bool

    # -- rows ---------------------------------------------------------------------------------------------------

    def _read(self, X: Any, reset: bool = False) -> Array:
        """Rows as an array: numbers, or objects where columns may be categorical."""
        numbers = self.visible != "categorical" and isinstance(self.visible, str)
        dtype: Any = [np.float64, np.float32] if numbers else None
        try:
            return validate_data(self, X, dtype=dtype, ensure_all_finite="allow-nan", reset=reset)
        except ValueError as error:
            if "could not convert string" not in str(error):
                raise
            raise ValueError(
                f"X holds text ({error}); give the kind of each column: visible=['categorical', ...]."
            ) from None

    def _coded(self, X: Any) -> Array:
        check_is_fitted(self)
        return self.columns_.encode(self._read(X))

    def _labelled(self, V: Array, labels: Array | None = None) -> Array:
        """Rows with the block of labels: given by number (n,), else unobserved; as they are if there is none."""
        if not self.supervised:
            return V
        block = np.full((len(V), len(self.classes_)), np.nan)
        if labels is not None:
            block = np.eye(len(self.classes_))[labels]
        return np.hstack([V, block])

    def _whole(self, X: Any) -> Array:
        V = self._coded(X)
        if np.isnan(V).any():
            raise ValueError("X holds NaN; free energies and densities need complete rows: see reconstruct.")
        return V

    def _log_joint(self, V: Array) -> Array:
        """Minus free energy of rows with each label (n, classes); of rows without labels (n, 1)."""
        count = len(self.classes_) if self.supervised else 1
        found = [
            free_energy(self.visible_, self.theta_, self._labelled(V, np.full(len(V), k))) for k in range(count)
        ]  # fmt: skip
        return -np.stack(found, axis=1)

    def _rng(self, random_state: Any = None) -> np.random.Generator:
        return np.random.default_rng(seed_of(self.random_state if random_state is None else random_state))

    # -- questions ----------------------------------------------------------------------------------------------

    def transform(self, X: Any) -> Any:
        """Return probabilities that hidden units are on.

        Parameters
        ----------
        X : array or data frame (n, p)
            Over what is unobserved, labels included, the probabilities are averaged: exactly over labels, by Gibbs
            sweeps over NaN.

        Returns
        -------
        ndarray (n, n_hidden)
        """
        V = self._coded(X)
        kind = np.float32 if getattr(X, "dtype", None) == np.float32 else np.float64
        incomplete = np.isnan(V).any(axis=1)
        found = np.empty((len(V), len(self.theta_.c)))
        if incomplete.any():
            rows = self._labelled(V[incomplete])
            found[incomplete] = complete(self.visible_, self.theta_, rows, self._rng()).hidden
        rest = V[~incomplete]
        if len(rest) and self.supervised:
            p = softmax(self._log_joint(rest), axis=1)
            given = [self.theta_.hidden_mean(self._labelled(rest, np.full(len(rest), k))) for k in range(p.shape[1])]
            found[~incomplete] = np.einsum("nk,knh->nh", p, np.stack(given))
        elif len(rest):
            found[~incomplete] = self.theta_.hidden_mean(rest)
        return found.astype(kind, copy=False)

    def free_energy(self, X: Any) -> Array:
        """Return free energies (n,) of complete rows; ``-F(x) - log Z`` is the log-density."""
        return -logsumexp(self._log_joint(self._whole(X)), axis=1)

    def log_partition(
        self, X: Any = None, *, n_chains: int = 100, temperatures: Any = None, random_state: Any = None
    ) -> float:  # fmt: skip
        """Find log Z: by enumeration where one side has at most 22 units, else by annealed importance sampling.

        Parameters
        ----------
        X : array or data frame (n, p), optional
            Training rows for base rates, and for a bound from above.
        n_chains : int
        temperatures : int or array, optional
            Of annealed importance sampling (`reglm.energy.annealing.log_partition`); chosen after a pilot run.
        random_state : int, Generator, RandomState or None
            By default that of the model.

        Returns
        -------
        float
            Kept as `log_z_`, its standard error (0 if exact) as `log_z_std_err_`.
        """
        check_is_fitted(self)
        visible, theta = self.visible_, self.theta_
        if enumeration.is_small(visible, len(theta.c)):
            self.log_z_, self.log_z_std_err_ = enumeration.log_partition(visible, theta), 0.0
            return self.log_z_
        rows = self.base_rates_[None] if X is None else self._labelled(self._coded(X))
        found = annealing.log_partition(
            visible, theta, rows, n_chains=n_chains, temperatures=temperatures, backward=X is not None,
            rng=self._rng(random_state),
        )  # fmt: skip
        self.log_z_, self.log_z_std_err_ = float(found.log_z), float(found.std_err)
        return self.log_z_

    def logpdf(self, X: Any, y: Any = None) -> Array:
        """Return log-densities of complete rows.

        Parameters
        ----------
        X : array or data frame (n, p)
        y : array-like (n,), optional
            Labels, with ``supervised=True``: the density of both; without, that of X alone.

        Returns
        -------
        ndarray (n,)
            Log Z is found by `log_partition` at first need.
        """
        joint = self._log_joint(self._whole(X))
        log_z = self.log_z_ if hasattr(self, "log_z_") else self.log_partition()
        if y is None or not self.supervised:
            return logsumexp(joint, axis=1) - log_z
        return joint[np.arange(len(joint)), self._label_numbers(y)] - log_z

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean log-density of rows X; `y` as in `logpdf`."""
        return float(np.mean(self.logpdf(X, y)))

    def reconstruct(
        self, X: Any, *, kind: str = "mean", n_sweeps: int = 200, burn_in: int = 50, random_state: Any = None
    ) -> Array:
        """Fill in what is unobserved, given the rest of the row.

        Parameters
        ----------
        X : array or data frame (n, p)
            NaN is unobserved.
        kind : {"mean", "draw"}
            Conditional means (the most probable level of categorical columns), averaged over `n_sweeps` Gibbs sweeps,
            or one draw.
        n_sweeps, burn_in : int
        random_state : int, Generator, RandomState or None
            By default that of the model.

        Returns
        -------
        ndarray (n, p)
        """
        if kind not in KINDS:
            raise ValueError(f"kind={kind!r} is not known; choose one of {KINDS}.")
        rows = self._labelled(self._coded(X))
        found = complete(self.visible_, self.theta_, rows, self._rng(random_state), n_sweeps, burn_in)
        return self.columns_.decode(found.means if kind == "mean" else found.draws)

    def sample(
        self, n: int = 1, *, n_sweeps: int = 1000, kind: str = "draw", backend: str = "numba", random_state: Any = None
    ) -> Any:  # fmt: skip
        """Draw rows, each at the end of a Markov chain of its own.

        Parameters
        ----------
        n : int
        n_sweeps : int
            Length of the chains, from independent columns.
        kind : {"draw", "mean"}
            Values, or their conditional means given the last hidden units.
        backend : {"numba", "jax"}
            What runs the sweeps.
        random_state : int, Generator, RandomState or None
            By default that of the model.

        Returns
        -------
        ndarray (n, p)
            With ``supervised=True`` a pair with the labels (n,).
        """
        check_is_fitted(self)
        if kind not in KINDS:
            raise ValueError(f"kind={kind!r} is not known; choose one of {KINDS}.")
        if backend not in ("numba", "jax"):
            raise ValueError(f"backend={backend!r} is not known; choose 'numba' or 'jax'.")
        check_backend(backend)
        rng, layers = self._rng(random_state), Layers.of(self.visible_, self.theta_)
        start = self.visible_.draw(np.tile(self.theta_.b, (n, 1)), self.theta_.log_var, rng)
        chains = Chains(np.zeros((n, len(self.theta_.c))), self.visible_.size, rng)
        chains.start_at(layers, start)
        if backend == "jax":
            V, h = jax_gibbs.sweeps(self.visible_, self.theta_, chains.h, int(rng.integers(2**31)), n_sweeps)
            V = V if kind == "draw" else self.visible_.mean(self.theta_.visible_input(h))
        else:
            chains.advance(layers, n_sweeps)
            V = chains.v if kind == "draw" else chains.eta
        rows = self.columns_.decode(V)
        return (rows, self.classes_[np.argmax(V[:, -len(self.classes_) :], axis=1)]) if self.supervised else rows

    # -- labels -------------------------------------------------------------------------------------------------

    def _label_numbers(self, y: Any) -> Array:
        y = np.asarray(y)
        numbers = np.minimum(np.searchsorted(self.classes_, y), len(self.classes_) - 1)
        wrong = self.classes_[numbers] != y
        if wrong.any():
            raise ValueError(f"y holds {y[wrong][0]!r}, which is none of the classes {self.classes_.tolist()}.")
        return numbers

    @available_if(_is_supervised)
    def predict_proba(self, X: Any) -> Array:
        """Return exact probabilities (n, classes) of the labels given complete rows (Larochelle & Bengio 2008)."""
        return softmax(self._log_joint(self._whole(X)), axis=1)

    @available_if(_is_supervised)
    def predict(self, X: Any) -> Array:
        """Return the most probable label of each row (n,)."""
        return self.classes_[np.argmax(self.predict_proba(X), axis=1)]
