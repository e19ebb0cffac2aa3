"""Constructor arguments of the recursive GLMs: stored as they come, checked when fitting starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from reglm import links
from reglm.compiling import BACKENDS
from reglm.layers import Layer
from reglm.optimize import SCHEDULES

CHOICES = {
    "dtype": ("float64", "float32"),
    "categorical": ("auto", "onehot", "embedding"),
    "handle_unknown": ("error", "reference"),
    "backend": BACKENDS,
}
FLAGS = ("hidden_bias", "output_bias", "nesterov", "early_stopping", "freq_weights", "warm_start")
DISPERSIONS = ("auto", "pearson", "deviance", "ml")


def _require(name: str, value: Any, right: bool, rule: str) -> None:
    if not right:
        raise ValueError(f"{name}={value!r} must be {rule}.")


def _number(value: Any, low: float) -> bool:
    """Whether a value is a finite real number of at least `low`."""
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    return bool(number and np.isfinite(value) and value >= low)


def _whole(value: Any) -> bool:
    """Whether a value is an integer of at least 1."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value >= 1)


class Options:
    """Constructor arguments; each has a default."""

    def __init__(
        self,
        hidden: int | Sequence[int] = (),
        activation: str | Sequence[str] = "tanh",
        family: Any = "gaussian",
        link: str | None = None,
        *,
        layers: Sequence[Layer] | None = None,
        skip: bool | Layer = False,
        hidden_bias: bool = True,
        output_bias: bool = True,
        categorical: str = "auto",
        embedding_dim: int = 2,
        handle_unknown: str = "error",
        offset: str | int | None = None,
        exposure: str | int | None = None,
        formula: str | None = None,
        alpha: float = 0.0,
        l1: float = 0.0,
        solver: str = "auto",
        n_init: int = 1,
        max_iter: int | None = None,
        tol: float | None = None,
        batch_size: int = 200,
        learning_rate: float | None = None,
        schedule: str | Callable[..., float] = "constant",
        momentum: float | None = None,
        nesterov: bool = False,
        clip: float | None = None,
        dropout: float = 0.0,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        balance: bool | str = "auto",
        dispersion: str | float = "auto",
        freq_weights: bool = False,
        warm_start: bool = False,
        backend: str = "auto",
        dtype: str = "float64",
        n_jobs: int | None = None,
        verbose: int = 0,
        random_state: Any = None,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.family = family
        self.link = link
        self.layers = layers
        self.skip = skip
        self.hidden_bias = hidden_bias
        self.output_bias = output_bias
        self.categorical = categorical
        self.embedding_dim = embedding_dim
        self.handle_unknown = handle_unknown
        self.offset = offset
        self.exposure = exposure
        self.formula = formula
        self.alpha = alpha
        self.l1 = l1
        self.solver = solver
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.momentum = momentum
        self.nesterov = nesterov
        self.clip = clip
        self.dropout = dropout
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.balance = balance
        self.dispersion = dispersion
        self.freq_weights = freq_weights
        self.warm_start = warm_start
        self.backend = backend
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    def _check_options(self) -> None:
        """Raise ValueError for an argument out of range, naming it and the remedy."""
        for name in ("alpha", "l1"):
            _require(name, getattr(self, name), _number(getattr(self, name), 0.0), "a finite number >= 0")
        for name in ("learning_rate", "clip", "tol", "momentum"):
            value = getattr(self, name)
            low = np.nextafter(0.0, 1.0) if name in ("learning_rate", "clip") else 0.0
            _require(name, value, value is None or _number(value, low), "a positive number, or None for the default")
        for name in ("n_init", "batch_size", "n_iter_no_change", "embedding_dim"):
            _require(name, getattr(self, name), _whole(getattr(self, name)), "an integer >= 1")
        _require("max_iter", self.max_iter, self.max_iter is None or _whole(self.max_iter), "an integer >= 1, or None")
        for name in FLAGS:
            _require(name, getattr(self, name), isinstance(getattr(self, name), (bool, np.bool_)), "True or False")
        _require(
            "verbose",
            self.verbose,
            isinstance(self.verbose, (int, np.integer)) and self.verbose >= 0,
            "an integer >= 0",
        )
        _require(
            "n_jobs",
            self.n_jobs,
            self.n_jobs is None or isinstance(self.n_jobs, (int, np.integer)),
            "an integer or None",
        )
        _require("skip", self.skip, isinstance(self.skip, (bool, Layer)), "True, False or a layer of reglm.layers")
        known = self.layers is None or isinstance(self.layers, Sequence)
        _require("layers", self.layers, known, "a sequence of layers of reglm.layers, or None")
        for name, words in CHOICES.items():
            value = getattr(self, name)
            _require(name, value, isinstance(value, str) and value in words, f"one of {list(words)}")
        _require("dropout", self.dropout, _number(self.dropout, 0.0) and self.dropout < 1.0, "in [0, 1)")
        fraction = self.validation_fraction
        _require("validation_fraction", fraction, _number(fraction, 0.0) and 0.0 < fraction < 1.0, "between 0 and 1")
        known = isinstance(self.schedule, str) and self.schedule in SCHEDULES
        _require("schedule", self.schedule, known or callable(self.schedule), f"one of {sorted(SCHEDULES)} or callable")
        phi = self.dispersion
        known = phi in DISPERSIONS if isinstance(phi, str) else _number(phi, np.nextafter(0.0, 1.0))
        _require("dispersion", phi, known, f"one of {list(DISPERSIONS)} or a positive number")

    def _hidden(self) -> tuple[int, ...]:
        """Units of the hidden layers."""
        given = self.hidden
        hidden = tuple(given) if isinstance(given, Iterable) else (given,)
        _require("hidden", given, all(_whole(k) for k in hidden), "positive integers, one a hidden layer")
        return hidden

    def _activations(self, layers: int) -> tuple[str, ...]:
        """One activation a hidden layer; refuses those without a gradient."""
        given = self.activation
        names = (given,) * layers if isinstance(given, str) or not isinstance(given, Iterable) else tuple(given)
        if len(names) != layers:
            raise ValueError(
                f"activation={given!r} has {len(names)} names for {layers} hidden layers; give one or as many."
            )
        for name in names:
            refuse_threshold(f"activation={name!r}", name)
        return names

    def _coding(self) -> str:
        """How categorical columns are coded: indicators by default; "embedding" on request, with hidden layers."""
        if self.categorical == "embedding" and not self._hidden() and self.layers is None:
            raise ValueError("categorical='embedding' needs a hidden layer to read it; use categorical='onehot'.")
        return "onehot" if self.categorical == "auto" else self.categorical

    def _seed(self) -> int:
        """Entropy from `random_state`: an integer, a Generator, a RandomState or None."""
        return seed_of(self.random_state)


def seed_of(state: Any) -> int:
    """Entropy from a `random_state`: an integer, a Generator, a RandomState or None.

    Raises
    ------
    ValueError
        If it is none of these.
    """
    if isinstance(state, np.random.Generator):
        return int(state.integers(2**63))
    if isinstance(state, np.random.RandomState):
        return int(state.randint(2**31))
    if state is None:
        return int(np.random.SeedSequence().generate_state(1, "uint64")[0] >> np.uint64(1))
    right = isinstance(state, (int, np.integer)) and bool(state >= 0)
    _require("random_state", state, right, "an integer >= 0, a Generator or None")
    return int(state)


def refuse_threshold(given: str, activation: str | links.Link) -> None:
    """Raise ValueError for an activation without a gradient; `given` is how the user wrote it."""
    if not links.get(activation).differentiable:
        raise ValueError(
            f"{given} has no gradient, so no solver here can train it; "
            "use 'sigmoid' or 'tanh', which approach it as their weights grow."
        )
