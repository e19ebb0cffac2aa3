"""While a fit runs: a progress bar, and scikit-learn's callbacks."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from reglm.parameters import Array


class Monitor:
    """Context manager and solver callback in one.

    Parameters
    ----------
    estimator : estimator
        With `verbose`, and scikit-learn's callback support.
    X, y : arrays
        Handed to scikit-learn's callbacks.
    """

    def __init__(self, estimator: Any, X: Any, y: Array) -> None:
        self.estimator, self.X, self.y = estimator, X, y
        self.bar: Any = None
        self.task: Any = None
        self.context: Any = None

    def __enter__(self) -> Self:
        estimator = self.estimator
        self.context = estimator._init_callback_context(max_subtasks=None)
        self.context.call_on_fit_task_begin(estimator=estimator, X=self.X, y=self.y)
        if estimator.verbose:
            from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

            columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
            self.bar = Progress(*columns, transient=estimator.verbose < 2)
            self.bar.start()
            self.task = self.bar.add_task(f"{type(estimator).__name__}: starting", total=None)
        return self

    def __call__(self, iteration: int, value: float, theta: Array) -> bool | None:
        """Report an iteration; True asks the solver to stop."""
        if self.bar is not None:
            self.bar.update(self.task, description=f"iteration {iteration}  objective {value:.6g}")
        if not hasattr(self.estimator, "_skl_callbacks"):
            return None
        step = self.context.subcontext(task_name="iteration")
        step.call_on_fit_task_begin(estimator=self.estimator, X=self.X, y=self.y)
        return bool(step.call_on_fit_task_end(estimator=self.estimator, X=self.X, y=self.y))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()
        if kind is None:
            self.context.call_on_fit_task_end(estimator=self.estimator, X=self.X, y=self.y)
