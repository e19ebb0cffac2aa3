"""Constructor arguments of the kernel regressions: stored as they come, checked when fitting starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from reglm import families
from reglm.kernels.criteria import CRITERIA
from reglm.links import Link
from reglm.parameters import Array

FLAGS = ("alpha_per_target", "fit_intercept", "freq_weights")
TUNED_BY = (None, "criterion", *CRITERIA)


class KernelOptions:
    """Constructor arguments; each has a default."""

    def __init__(
        self,
        kernel: str | Callable[..., Any] | Any = "rbf",
        *,
        alpha: str | float = "loo",
        alphas: int | Sequence[float] = 50,
        alpha_per_target: bool = False,
        family: Any = "gaussian",
        link: str | None = None,
        linear: bool | Sequence[str | int] | None = None,
        fit_intercept: bool = True,
        gamma: float | None = None,
        kernel_params: Mapping[str, Any] | None = None,
        optimize_kernel: str | None = None,
        n_restarts: int = 0,
        freq_weights: bool = True,
        offset: str | int | None = None,
        exposure: str | int | None = None,
        handle_unknown: str = "error",
        approximation: str | None = None,
        n_landmarks: int = 1000,
        landmarks: str = "uniform",
        solver: str = "auto",
        tol: float = 1e-6,
        max_iter: int = 100,
        dtype: str = "float64",
        memory_limit: float | str | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.kernel = kernel
        self.alpha = alpha
        self.alphas = alphas
        self.alpha_per_target = alpha_per_target
        self.family = family
        self.link = link
        self.linear = linear
        self.fit_intercept = fit_intercept
        self.gamma = gamma
        self.kernel_params = kernel_params
        self.optimize_kernel = optimize_kernel
        self.n_restarts = n_restarts
        self.freq_weights = freq_weights
        self.offset = offset
        self.exposure = exposure
        self.handle_unknown = handle_unknown
        self.approximation = approximation
        self.n_landmarks = n_landmarks
        self.landmarks = landmarks
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.dtype = dtype
        self.memory_limit = memory_limit
        self.random_state = random_state
        self.verbose = verbose

    def _check_options(self) -> tuple[families.Family, Link]:
        """Raise ValueError for an argument out of range; return family and link."""
        self._check_penalty()
        for name in FLAGS:
            if not isinstance(getattr(self, name), (bool, np.bool_)):
                raise ValueError(f"{name}={getattr(self, name)!r} must be True or False.")
        if self.gamma is not None and not (is_number(self.gamma) and self.gamma > 0):
            raise ValueError(f"gamma={self.gamma!r} must be a positive number, or None for the default.")
        if self.optimize_kernel not in TUNED_BY:
            raise ValueError(f"optimize_kernel={self.optimize_kernel!r} must be one of {list(TUNED_BY)}.")
        if self.optimize_kernel == "criterion" and not isinstance(self.alpha, str):
            raise ValueError(
                f"optimize_kernel='criterion' needs a criterion, and alpha={self.alpha!r} is a number; name one, as in "
                "optimize_kernel='reml'."
            )
        if not isinstance(self.n_restarts, (int, np.integer)) or self.n_restarts < 0:
            raise ValueError(f"n_restarts={self.n_restarts!r} must be an integer >= 0.")
        family = families.get(self.family)
        return family, family.resolve_link(self.link)

    def _check_penalty(self) -> None:
        alpha = self.alpha
        if isinstance(alpha, str):
            if alpha not in CRITERIA:
                raise ValueError(f"alpha={alpha!r} must be one of {list(CRITERIA)}, or a number >= 0.")
        elif not (is_number(alpha) and alpha >= 0):
            raise ValueError(f"alpha={alpha!r} must be one of {list(CRITERIA)}, or a number >= 0.")
        if isinstance(self.alphas, (int, np.integer)) and not isinstance(self.alphas, bool):
            right = self.alphas >= 2
        else:
            given = np.asarray(self.alphas, dtype=float)
            right = given.ndim == 1 and len(given) > 0 and bool(np.all(np.isfinite(given) & (given > 0)))
        if not right:
            raise ValueError(f"alphas={self.alphas!r} must be a number of penalties >= 2, or positive penalties.")

    def _generator(self) -> np.random.Generator:
        """Generator from `random_state`."""
        state = self.random_state
        if isinstance(state, np.random.RandomState):
            return np.random.default_rng(state.randint(2**31))
        return np.random.default_rng(state)


def is_number(value: Any) -> bool:
    """Whether a value is a finite real number."""
    right = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    return bool(right and np.isfinite(value))


def squeezed(values: Array) -> Any:
    """Last axis dropped where there is one target; a float if nothing else is left."""
    found = values[..., 0]
    return float(found) if found.ndim == 0 else found
