"""Constructor arguments of the recursive GLMs: stored as they come, checked when fitting starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from reglm import links
from reglm.layers import Layer
from reglm.optimize import SCHEDULES

DTYPES = ("float64", "float32")


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
            value = getattr(self, name)
            if not (np.isscalar(value) and np.isfinite(value) and value >= 0):
                raise ValueError(f"{name}={value!r} must be a finite number >= 0.")
        for name in ("n_init", "batch_size", "n_iter_no_change", "embedding_dim"):
            value = getattr(self, name)
            if not (isinstance(value, (int, np.integer)) and value >= 1):
                raise ValueError(f"{name}={value!r} must be an integer >= 1.")
        if self.max_iter is not None and not (isinstance(self.max_iter, (int, np.integer)) and self.max_iter >= 1):
            raise ValueError(f"max_iter={self.max_iter!r} must be an integer >= 1, or None for the solver's default.")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype={self.dtype!r} must be one of {DTYPES}.")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout={self.dropout!r} must be in [0, 1).")
        if not 0.0 < self.validation_fraction < 1.0:
            raise ValueError(f"validation_fraction={self.validation_fraction!r} must be between 0 and 1.")
        if isinstance(self.schedule, str) and self.schedule not in SCHEDULES:
            raise ValueError(f"schedule={self.schedule!r} is not known; choose one of {sorted(SCHEDULES)}.")
        if self.categorical not in ("auto", "onehot", "embedding"):
            raise ValueError(f"categorical={self.categorical!r} must be 'auto', 'onehot' or 'embedding'.")

    def _hidden(self) -> tuple[int, ...]:
        """Units of the hidden layers."""
        given = self.hidden
        hidden = (given,) if isinstance(given, (int, np.integer)) else tuple(given)
        if any(not isinstance(k, (int, np.integer)) or k < 1 for k in hidden):
            raise ValueError(f"hidden={given!r} must hold positive integers, one a hidden layer.")
        return hidden

    def _activations(self, layers: int) -> tuple[str, ...]:
        """One activation a hidden layer; refuses those without a gradient."""
        given = self.activation
        names = (given,) * layers if isinstance(given, str) else tuple(given)
        if len(names) != layers:
            raise ValueError(f"activation={given!r} has {len(names)} names for {layers} hidden layers; give one or as many.")
        for name in names:
            if not links.get(name).differentiable:
                raise ValueError(
                    f"activation={name!r} has no gradient, so no solver here can train it; "
                    "use 'sigmoid' or 'tanh', which approach it as their weights grow."
                )
        return names

    def _coding(self) -> str:
        """How categorical columns are coded: indicators by default; "embedding" on request, with hidden layers."""
        if self.categorical == "embedding" and not self._hidden() and self.layers is None:
            raise ValueError("categorical='embedding' needs a hidden layer to read it; use categorical='onehot'.")
        return "onehot" if self.categorical == "auto" else self.categorical

    def _seed(self) -> int:
        """Entropy from `random_state`: an integer, a Generator, a RandomState or None."""
        state = self.random_state
        if isinstance(state, np.random.Generator):
            return int(state.integers(2**63))
        if isinstance(state, np.random.RandomState):
            return int(state.randint(2**31))
        if state is None:
            return int(np.random.SeedSequence().generate_state(1, "uint64")[0] >> np.uint64(1))
        return int(state)
