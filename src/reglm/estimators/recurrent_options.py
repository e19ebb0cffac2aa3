"""Constructor arguments of the recurrent GLM: stored as they come, checked when fitting starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from reglm.compiling import BACKENDS
from reglm.estimators.options import DISPERSIONS, _number, _require, _whole, seed_of
from reglm.layers import Dense, Dropout, Last, Layer, Ordered, Parallel, Select, Sequential
from reglm.layers.recurrent import recurrent_stack
from reglm.network import Network, Rescaling
from reglm.optimize import SCHEDULES
from reglm.parameters import Array, zeros

TASKS = ("auto", "step", "sequence", "density")
FLAGS = ("peepholes", "reset_after", "bidirectional", "skip", "ordered", "nesterov", "early_stopping", "warm_start")
CHOICES = {"task": TASKS, "dtype": ("float64", "float32"), "backend": BACKENDS}


class RecurrentOptions:
    """Constructor arguments; each has a default."""

    def __init__(
        self, cell: str = "lstm", hidden: Any = (32,), family: Any = "gaussian", link: Any = None, *,
        activation: str = "tanh", variant: str | None = None, peepholes: bool = False, reset_after: bool = False,
        leak: float | None = None, bidirectional: bool = False, skip: bool = False, ordered: bool = False,
        task: str = "auto", formula: str | None = None, group: str | None = None, time: str | None = None,
        alpha: float = 0.0, l1: float = 0.0, solver: str = "auto", n_init: int = 1, max_iter: int | None = None,
        tol: float | None = None, batch_size: int = 16, bptt: int | None = None, learning_rate: float | None = None,
        schedule: str | Callable[..., float] = "constant", momentum: float | None = None, nesterov: bool = False,
        clip: float | None = None, clip_value: float | None = None, dropout: float = 0.0, dropout_inputs: float = 0.0,
        forget_bias: float = 1.0, init: Any = "auto", omega: float = 0.0, early_stopping: bool = False,
        validation_fraction: float = 0.1, n_iter_no_change: int = 10, dispersion: str | float = "auto",
        warm_start: bool = False, backend: str = "auto", dtype: str = "float64", n_jobs: int | None = None,
        verbose: int = 0, random_state: Any = None,
    ) -> None:  # fmt: skip
        self.cell = cell
        self.hidden = hidden
        self.family = family
        self.link = link
        self.activation = activation
        self.variant = variant
        self.peepholes = peepholes
        self.reset_after = reset_after
        self.leak = leak
        self.bidirectional = bidirectional
        self.skip = skip
        self.ordered = ordered
        self.task = task
        self.formula = formula
        self.group = group
        self.time = time
        self.alpha = alpha
        self.l1 = l1
        self.solver = solver
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.batch_size = batch_size
        self.bptt = bptt
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.momentum = momentum
        self.nesterov = nesterov
        self.clip = clip
        self.clip_value = clip_value
        self.dropout = dropout
        self.dropout_inputs = dropout_inputs
        self.forget_bias = forget_bias
        self.init = init
        self.omega = omega
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.dispersion = dispersion
        self.warm_start = warm_start
        self.backend = backend
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    def _check_options(self) -> None:
        """Raise ValueError for an argument out of range, naming it and the remedy."""
        tiny = np.nextafter(0.0, 1.0)
        for name in ("alpha", "l1", "omega"):
            _require(name, getattr(self, name), _number(getattr(self, name), 0.0), "a finite number >= 0")
        positive = ("learning_rate", "clip", "clip_value")
        for name in (*positive, "tol", "momentum"):
            value, low = getattr(self, name), tiny if name in positive else 0.0
            _require(name, value, value is None or _number(value, low), "a positive number, or None for the default")
        for name in ("n_init", "batch_size", "n_iter_no_change"):
            _require(name, getattr(self, name), _whole(getattr(self, name)), "an integer >= 1")
        for name in ("max_iter", "bptt"):
            value = getattr(self, name)
            _require(name, value, value is None or _whole(value), "an integer >= 1, or None")
        for name in FLAGS:
            _require(name, getattr(self, name), isinstance(getattr(self, name), (bool, np.bool_)), "True or False")
        for name, words in CHOICES.items():
            value = getattr(self, name)
            _require(name, value, isinstance(value, str) and value in words, f"one of {list(words)}")
        if self.bptt is not None and self.bidirectional:
            raise ValueError(f"bptt={self.bptt!r} carries states forwards only; use bidirectional=False.")
        for name in ("dropout", "dropout_inputs"):
            rate = getattr(self, name)
            _require(name, rate, _number(rate, 0.0) and rate < 1.0, "in [0, 1)")
        _require("forget_bias", self.forget_bias, _number(self.forget_bias, -np.inf), "a finite number")
        fraction = self.validation_fraction
        _require("validation_fraction", fraction, _number(fraction, tiny) and fraction < 1.0, "between 0 and 1")
        known = isinstance(self.schedule, str) and self.schedule in SCHEDULES
        _require("schedule", self.schedule, known or callable(self.schedule), f"one of {sorted(SCHEDULES)} or callable")
        phi = self.dispersion
        known = phi in DISPERSIONS if isinstance(phi, str) else _number(phi, tiny)
        _require("dispersion", phi, known, f"one of {list(DISPERSIONS)} or a positive number")

    def _hidden(self) -> tuple[int, ...]:
        """Units of the recurrent layers."""
        given = self.hidden
        hidden = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (given,)
        right = bool(hidden) and all(_whole(k) for k in hidden)
        _require("hidden", given, right, "positive integers, one a recurrent layer")
        return hidden

    def _network(self, inputs: int, outputs: int, *, per_sequence: bool, bias: bool, scaled: bool) -> Network:
        """Stack of recurrent layers under the linear predictor.

        Parameters
        ----------
        inputs, outputs : int
            Columns that come from before; linear predictors. Under `ordered` as many columns of the row itself follow.
        per_sequence : bool
            One linear predictor a sequence instead of one a row.
        bias : bool
            Of the output layer.
        scaled : bool
            Whether to fit on standardised columns.
        """
        stack = recurrent_stack(
            self._hidden(), bidirectional=bool(self.bidirectional), cell=self.cell, activation=self.activation,
            variant=self.variant, peepholes=self.peepholes, reset_after=self.reset_after, leak=self.leak,
            forget_bias=float(self.forget_bias), init=self.init, omega=float(self.omega),
        )  # fmt: skip
        before = Select(tuple(range(inputs)))
        chain: list[tuple[str, Layer]] = [("before", before)] if self.ordered else []
        if self.dropout_inputs:
            chain.append(("dropout0", Dropout(self.dropout_inputs)))
        for i, (name, layer) in enumerate(stack):
            chain.append((name, layer))
            if self.dropout:
                chain.append((f"dropout{i + 1}", Dropout(self.dropout)))
        last: list[tuple[str, Layer]] = [("last", Last())] if per_sequence else []
        names, layers = zip(*chain, *last, ("output", Dense(outputs, bias=bias)), strict=True)
        linear: Layer = Dense(outputs, bias=False, init=zeros)
        if per_sequence or self.ordered:
            linear = Sequential((Last() if per_sequence else before, linear), ("rows", "linear"))
        return Network(
            Sequential(layers, names), (1 + bool(self.ordered)) * inputs, self._beside(linear, inputs),
            self._rescalings(inputs, per_sequence, bias) if scaled else (),
        )  # fmt: skip

    def _beside(self, linear: Layer, inputs: int) -> Layer | None:
        """What is added to the output of the recurrent layers."""
        if not self.ordered:
            return linear if self.skip else None
        own = Select(tuple(range(inputs, 2 * inputs)))
        order = Sequential((own, Ordered()), ("own", "order"))
        return Parallel((linear, order), "sum", ("before", "row")) if self.skip else order

    def _rescalings(self, inputs: int, per_sequence: bool, bias: bool) -> tuple[Rescaling, ...]:
        """Weights that act on columns of X."""
        columns = tuple(range(inputs))
        stems = ["recurrent1.forward", "recurrent1.backward"] if self.bidirectional else ["recurrent1"]
        found = [Rescaling(f"{stem}.W", f"{stem}.b", 0, columns) for stem in stems]
        if self.skip:
            stem = "skip.before." if self.ordered else "skip."
            name = f"{stem}linear.W" if per_sequence or self.ordered else f"{stem}W"
            found.append(Rescaling(name, "output.b" if bias else None, 0, columns))
        return tuple(found)

    def _seed(self) -> int:
        """Entropy from `random_state`: an integer, a Generator, a RandomState or None."""
        return seed_of(self.random_state)


def columns_are_binary(rows: Array) -> bool:
    """Whether all entries are 0 or 1, which is a scale of its own."""
    return bool(np.isin(rows, (0.0, 1.0)).all())
