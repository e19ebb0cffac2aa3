"""Options of a training run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reglm.optimize import schedules

METHODS = ("pcd", "cd", "pt")
STARTS = ("draw", "mean-field")
DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Settings:
    """How the likelihood is climbed; names and meanings as in `RestrictedBoltzmannMachine`.

    Raises
    ------
    ValueError
        For values that cannot be used, by name.
    """

    method: str = "pcd"
    n_steps: int | tuple[int, int] = 1
    n_chains: int | None = None
    n_temperatures: int = 8
    start: str = "draw"
    batch_size: int = 100
    max_iter: int = 20
    learning_rate: float = 0.05
    schedule: Any = "cosine"
    momentum: float = 0.0
    weight_decay: float = 0.0
    sparsity_target: float | None = None
    sparsity_cost: float = 0.1
    centring: bool = True
    averaging: float = 0.25
    learn_variance: bool = True
    dtype: str = "float32"

    def __post_init__(self) -> None:
        schedules.get(self.schedule)
        for name, right, rule in self._rules():
            if not right:
                raise ValueError(f"{name}={getattr(self, name)!r} must be {rule}.")

    def _rules(self) -> list[tuple[str, bool, str]]:
        steps = self.n_steps if isinstance(self.n_steps, tuple) else (self.n_steps, self.n_steps)
        return [
            ("method", self.method in METHODS, f"one of {METHODS}"),
            ("start", self.start in STARTS, f"one of {STARTS}"),
            ("dtype", self.dtype in DTYPES, f"one of {DTYPES}"),
            ("n_steps", len(steps) == 2 and min(steps) >= 1, "a whole number of at least 1, or a pair of them"),
            ("n_chains", self.n_chains is None or self.n_chains >= 1, "None or at least 1"),
            ("n_temperatures", self.n_temperatures >= 2, "at least 2"),
            ("batch_size", self.batch_size >= 1, "at least 1"),
            ("max_iter", self.max_iter >= 1, "at least 1"),
            ("learning_rate", 0 < self.learning_rate < float("inf"), "positive"),
            ("momentum", 0 <= self.momentum < 1, "in [0, 1)"),
            ("weight_decay", 0 <= self.weight_decay < float("inf"), "0 or positive"),
            ("sparsity_target", self.sparsity_target is None or 0 < self.sparsity_target < 1, "None or in (0, 1)"),
            ("sparsity_cost", self.sparsity_cost >= 0, "0 or positive"),
            ("averaging", 0 <= self.averaging <= 1, "in [0, 1]"),
        ]

    def steps(self, epoch: int) -> int:
        """Sweeps for each update of an epoch: a pair is the first and the last number."""
        if not isinstance(self.n_steps, tuple):
            return self.n_steps
        first, last = self.n_steps
        return round(first + (last - first) * min(1.0, epoch / max(1, self.max_iter - 1)))
