"""Constructor arguments of echo state networks: stored as they come, checked when fitting starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from reglm.estimators.kernel_options import is_number
from reglm.estimators.readouts import check_alpha
from reglm.statespace.reservoir import ACTIVATIONS

CHOICES = {"activation": tuple(ACTIVATIONS), "task": ("auto", "step", "sequence"), "pool": ("mean", "last")}
POSITIVE = {"spectral_radius": np.inf, "leak": 1.0, "density": 1.0, "input_scaling": np.inf}
"""Largest value of the arguments that are positive."""


class EchoStateOptions:
    """Constructor arguments; each has a default."""

    def __init__(
        self,
        n_units: int = 100,
        spectral_radius: float = 0.9,
        leak: float = 1.0,
        *,
        density: float = 0.1,
        input_scaling: float = 0.5,
        bias_scaling: float = 0.5,
        washout: int | str = "auto",
        feedback: bool = False,
        activation: str = "tanh",
        family: Any = "gaussian",
        link: str | None = None,
        alpha: str | float = "loo",
        alphas: int | Sequence[float] = 30,
        skip: bool = True,
        task: str = "auto",
        pool: str = "mean",
        n_init: int = 1,
        random_state: Any = None,
    ) -> None:
        self.n_units = n_units
        self.spectral_radius = spectral_radius
        self.leak = leak
        self.density = density
        self.input_scaling = input_scaling
        self.bias_scaling = bias_scaling
        self.washout = washout
        self.feedback = feedback
        self.activation = activation
        self.family = family
        self.link = link
        self.alpha = alpha
        self.alphas = alphas
        self.skip = skip
        self.task = task
        self.pool = pool
        self.n_init = n_init
        self.random_state = random_state

    def _check_options(self) -> None:
        """Raise ValueError for arguments out of range."""
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r} must be one of {list(allowed)}.")
        for name, high in POSITIVE.items():
            value = getattr(self, name)
            if not (is_number(value) and 0.0 < value <= high):
                rule = "a positive number" if high == np.inf else f"above 0 and at most {high:g}"
                raise ValueError(f"{name}={value!r} must be {rule}.")
        if not (is_number(self.bias_scaling) and self.bias_scaling >= 0.0):
            raise ValueError(f"bias_scaling={self.bias_scaling!r} must be a number from 0 on.")
        for name in ("n_units", "n_init"):
            _check_whole(name, getattr(self, name), 1)
        if self.washout != "auto":
            _check_whole("washout", self.washout, 0)
        check_alpha(self.alpha, self.alphas)
        if self.n_init > 1 and not isinstance(self.alpha, str):
            raise ValueError(f"n_init={self.n_init} reservoirs are compared by leave-one-out: use alpha='loo'.")

    def _reservoir_options(self) -> dict[str, Any]:
        return {
            "spectral_radius": self.spectral_radius, "leak": self.leak, "density": self.density,
            "input_scaling": self.input_scaling, "bias_scaling": self.bias_scaling, "activation": self.activation,
        }  # fmt: skip

    def _generator(self) -> np.random.Generator:
        """Generator from `random_state`."""
        state = self.random_state
        return np.random.default_rng(state.randint(2**31) if isinstance(state, np.random.RandomState) else state)


def _check_whole(name: str, value: Any, least: int) -> None:
    if not (isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= least):
        raise ValueError(f"{name}={value!r} must be a whole number from {least} on.")
