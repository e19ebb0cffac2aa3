"""Restricted Boltzmann machines as a scikit-learn transformer."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags

from reglm.energy.free_energy import Theta, initial
from reglm.energy.monitoring import ROWS, Watch
from reglm.energy.running import Outcome, run
from reglm.energy.settings import Settings
from reglm.energy.training import Trainer
from reglm.energy.visible import Block, Visible
from reglm.estimators.boltzmann_rows import BoltzmannRows
from reglm.estimators.monitor import Monitor
from reglm.estimators.saving import Saving
from reglm.estimators.visible_columns import learn
from reglm.parameters import Array

ENDS = {
    "diverged": "training blew up in epoch {}: it is not finite or worse than independent columns. The best parameters "
    "before were kept; lower learning_rate={!r}.",
    "interrupted": "interrupted in epoch {} after the last that was completed; the best parameters so far were kept "
    "(learning_rate={!r}).",
}  # fmt: skip


class RestrictedBoltzmannMachine(
    Saving, ClassNamePrefixFeaturesOutMixin, CallbackSupportMixin, TransformerMixin, BoltzmannRows
):
    """A density of rows: two generalized linear models that share a matrix of weights.

    ``p(v, h)`` is proportional to ``exp(b'v + c'h + v'W h)`` for binary columns v and hidden units h; given either, the
    other is independent logistic regressions. Columns may be categorical, counts, or real too (`reglm.energy.visible`).

    Parameters
    ----------
    n_hidden : int
    visible : str or list of str
        Kind of the columns, one for all or one for each: "bernoulli" (numbers between 0 and 1 count as probabilities),
        "categorical", "poisson", "gaussian", or "auto": bernoulli where all values lie in [0, 1], else gaussian. What
        was chosen is `kinds_`.
    supervised : bool
        Labels y are a categorical column more, so that the machine classifies (Larochelle & Bengio 2008). Otherwise y
        is ignored.
    method : {"pcd", "cd", "pt"}
        Persistent contrastive divergence, contrastive divergence, parallel tempering.
    n_steps : int or (int, int)
        Gibbs sweeps for each update; a pair is the first and the last number of a rise over the epochs.
    n_chains : int, optional
        Of "pcd" and "pt", `batch_size` by default.
    n_temperatures : int
        Of "pt".
    start : {"draw", "mean-field"}
        Whether the chains of "cd" begin at draws of the hidden units or at their probabilities.
    batch_size, max_iter : int
        Rows for each update; epochs.
    learning_rate : float
    schedule : str or callable
        How the rate falls: "constant", "inverse", "linear", "cosine", "plateau" (`reglm.optimize.schedules`).
    momentum : float
    weight_decay : float
        L2 penalty of the weights.
    sparsity_target, sparsity_cost : float
        Mean activation that hidden units are drawn to, and how strongly (Hinton 2012, section 11).
    centring : bool
        Centre visible and hidden units in the gradient (Montavon & Mueller 2012).
    averaging : float
        Share of the epochs, the last ones, over which parameters are averaged.
    learn_variance : bool
        Also learn the variances of Gaussian columns given the hidden units; else they stay those of the columns.
    validation_fraction : float
        Rows that are not trained on but watched.
    likelihood_every : int
        Epochs between two estimates of the log-likelihood on the way, by annealed importance sampling where the machine
        is large; 0 for none.
    dtype : {"float32", "float64"}
        Of training; all questions are answered in double precision.
    verbose : int
        1 shows a line that moves, 2 leaves it.
    random_state : int, Generator, RandomState or None

    Attributes
    ----------
    theta_ : Theta
        W (D, n_hidden), b (D,), c (n_hidden,) and logarithms of variances (D,) of the coded columns.
    components_ : ndarray (n_hidden, D)
        Weights of each hidden unit.
    kinds_ : tuple of str
        Kind of each column.
    classes_ : ndarray
        With ``supervised=True``.
    history_ : dict of lists
        By epoch, on up to 500 rows: "pseudo_likelihood", "reconstruction_error" (1 is that of the column means),
        "free_energy_train", "free_energy_validation" and their "gap", which grows when the machine overfits;
        "log_likelihood" where it was estimated, else NaN. Rows held out are looked at if there are any.
    n_iter_ : int
        Epochs.
    status_ : str
        How training ended: "max_iter", "stopped", "interrupted" or "diverged".
    log_z_, log_z_std_err_ : float
        Once `log_partition` or `logpdf` was called.
    visible_, columns_
        Visible layer, and how columns of X become its units.
    n_features_in_, feature_names_in_

    Examples
    --------
    >>> import numpy as np
    >>> from reglm import RestrictedBoltzmannMachine
    >>> X = np.tile([[1, 1, 0, 0], [0, 0, 1, 1]], (50, 1))
    >>> model = RestrictedBoltzmannMachine(2, batch_size=10, max_iter=50, learning_rate=0.5, random_state=0).fit(X)
    >>> bool(model.score(X) > -4 * np.log(2))
    True
    >>> model.reconstruct([[1, np.nan, 0, 0]]).round().tolist()
    [[1.0, 1.0, 0.0, 0.0]]
    """

    kinds_: tuple[str, ...]
    base_rates_: Array
    history_: dict[str, list[float]]
    n_iter_: int
    status_: str
    components_: Array
    _trainer: Trainer

    def __init__(
        self, n_hidden: int = 64, visible: Any = "auto", *, supervised: bool = False, method: str = "pcd",
        n_steps: int | tuple[int, int] = 1, n_chains: int | None = None, n_temperatures: int = 8, start: str = "draw",
        batch_size: int = 100, max_iter: int = 20, learning_rate: float = 0.05, schedule: Any = "cosine",
        momentum: float = 0.0, weight_decay: float = 0.0, sparsity_target: float | None = None,
        sparsity_cost: float = 0.1, centring: bool = True, averaging: float = 0.25, learn_variance: bool = True,
        validation_fraction: float = 0.0, likelihood_every: int = 0, dtype: str = "float32", verbose: int = 0,
        random_state: Any = None,
    ) -> None:  # fmt: skip
        self.n_hidden = n_hidden
        self.visible = visible
        self.supervised = supervised
        self.method = method
        self.n_steps = n_steps
        self.n_chains = n_chains
        self.n_temperatures = n_temperatures
        self.start = start
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.sparsity_target = sparsity_target
        self.sparsity_cost = sparsity_cost
        self.centring = centring
        self.averaging = averaging
        self.learn_variance = learn_variance
        self.validation_fraction = validation_fraction
        self.likelihood_every = likelihood_every
        self.dtype = dtype
        self.verbose = verbose
        self.random_state = random_state

    @with_callbacks
    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on rows, which may be incomplete.

        Parameters
        ----------
        X : array or data frame (n, p)
            NaN is unobserved: it is drawn anew, given the rest of its row, whenever the row is met, so that the
            likelihood is that of what is observed.
        y : array-like (n,), optional
            Labels with ``supervised=True``, else ignored.

        Returns
        -------
        self

        Warns
        -----
        ConvergenceWarning
            If training blew up or was interrupted; the best parameters so far are kept.
        """
        V, settings, rng = self._begin(X, y)
        theta = initial(self.visible_, self.n_hidden, V, rng)
        train, held = self._split(V, rng)
        self._trainer = Trainer(self.visible_, theta, np.nanmean(V, axis=0), settings, rng)
        self._train(train, held, theta, settings.max_iter, rng, X, y)
        return self

    @with_callbacks
    def partial_fit(self, X: Any, y: Any = None, classes: Any = None) -> Self:
        """Train one epoch at the full learning rate, going on from where training ended.

        Parameters
        ----------
        X : array or data frame (n, p)
            The first call learns kinds, levels and scales of the columns.
        y : array-like (n,), optional
        classes : array-like, optional
            All labels, for the first call with ``supervised=True``; by default those of y.

        Returns
        -------
        self
        """
        again = hasattr(self, "theta_")
        if again:
            settings, rng = self._settings(once=True), self._rng()
            V = self._scaled(self._targets(self._coded(X), y))
        else:
            V, settings, rng = self._begin(X, y, classes, once=True)
        columns = self._label_scales()
        theta = initial(self.visible_, self.n_hidden, V, rng)
        if again:
            theta = self.theta_.rescaled(-columns[0] / columns[1], 1 / columns[1])
        if not again or not hasattr(self, "_trainer"):
            self._trainer = Trainer(self.visible_, theta, np.nanmean(V, axis=0), settings, rng)
        self._train(V, V[:0], theta, 1, rng, X, y)
        return self

    # -- steps of a fit -----------------------------------------------------------------------------------------

    def _settings(self, once: bool = False) -> Settings:
        names = (f for f in Settings.__dataclass_fields__ if f not in ("schedule", "averaging"))
        ends = {"schedule": "constant", "averaging": 0.0} if once else {
            "schedule": self.schedule, "averaging": self.averaging
        }  # fmt: skip
        return Settings(**{name: getattr(self, name) for name in names}, **ends)

    def _begin(self, X: Any, y: Any, classes: Any = None, once: bool = False) -> tuple[Array, Settings, Any]:
        """Check options, learn the columns; scaled coded rows, settings and generator."""
        if not isinstance(self.n_hidden, int | np.integer) or self.n_hidden < 1:
            raise ValueError(f"n_hidden={self.n_hidden!r} must be a whole number of at least 1.")
        if not 0 <= self.validation_fraction < 1:
            raise ValueError(f"validation_fraction={self.validation_fraction!r} must be in [0, 1).")
        if self.likelihood_every < 0:
            raise ValueError(f"likelihood_every={self.likelihood_every!r} must be 0 or a number of epochs.")
        settings = self._settings(once)
        rows = self._read(X, reset=True)
        self.columns_ = learn(rows, self.visible)
        self.kinds_, visible = self.columns_.kinds, self.columns_.visible
        if self.supervised:
            if y is None:
                raise ValueError("supervised=True needs labels y.")
            self.classes_ = np.unique(np.asarray(y) if classes is None else np.asarray(classes))
            visible = Visible((*visible.blocks, Block("categorical", len(self.classes_))))
        self.visible_ = visible
        V = self._scaled(self._targets(self.columns_.encode(rows), y))
        return V, settings, self._rng()

    def _targets(self, V: Array, y: Any) -> Array:
        """Rows with their labels."""
        if self.supervised and (y is None or len(np.asarray(y)) != len(V)):
            raise ValueError(f"y must hold a label for each of {len(V)} rows with supervised=True.")
        return self._labelled(V, self._label_numbers(y)) if self.supervised else V

    def _label_scales(self) -> tuple[Array, Array]:
        """Centre and scale of all visible units."""
        extra = self.visible_.size - len(self.columns_.center)
        return np.append(self.columns_.center, np.zeros(extra)), np.append(self.columns_.scale, np.ones(extra))

    def _scaled(self, V: Array) -> Array:
        center, scale = self._label_scales()
        return (V - center) / scale if "gaussian" in self.kinds_ else V

    def _split(self, V: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """Rows to train on and rows to watch."""
        if not self.validation_fraction:
            return V, V[:0]
        order, held = rng.permutation(len(V)), min(round(self.validation_fraction * len(V)), len(V) - 1)
        return V[order[held:]], V[order[:held]]

    def _train(
        self, V: Array, held: Array, base: Theta, epochs: int, rng: np.random.Generator, X: Any, y: Any
    ) -> None:  # fmt: skip
        """Run the epochs and keep what they found."""
        free, values = np.isnan(V), V.astype(self.dtype)
        gaps = np.flatnonzero(free.any(axis=1))
        values[gaps] = np.where(
            free[gaps], self.visible_.draw(np.tile(base.b, (len(gaps), 1)), base.log_var, rng), V[gaps]
        )
        complete = [rows[np.flatnonzero(~np.isnan(rows).any(axis=1))[:ROWS]] for rows in (V, held)]
        if not len(complete[0]):
            complete[0] = values[:ROWS].astype(float)
        rates = values.mean(axis=0, dtype=float)
        shift = -float(np.log(self.columns_.scale).sum())
        watch = Watch(self.visible_, base, complete[0], complete[1], every=self.likelihood_every, shift=shift)
        with Monitor(self, X, y) as monitor:
            outcome = run(
                self._trainer, values, free if len(gaps) else None, watch, epochs,
                lambda epoch, seen: monitor(epoch, -seen.score, self._trainer.theta.b),
            )  # fmt: skip
        self._keep(outcome, watch, rates)

    def _keep(self, outcome: Outcome, watch: Watch, rates: Array) -> None:
        center, scale = self._label_scales()
        self.theta_ = outcome.theta.rescaled(center, scale)
        self.components_, self.base_rates_ = self.theta_.W.T.copy(), center + scale * rates
        self.history_, self.status_, self.n_iter_ = watch.history, outcome.status, self._trainer.epochs
        self.__dict__.pop("log_z_", None)
        if outcome.status in ENDS:
            message = ENDS[outcome.status].format(outcome.epochs, self.learning_rate)
            warnings.warn(message, ConvergenceWarning, stacklevel=3)

    @property
    def _n_features_out(self) -> int:
        return len(self.theta_.c)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.required = bool(self.supervised)
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
