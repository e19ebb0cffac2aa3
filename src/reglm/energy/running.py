"""The epochs of a training run, with an eye on where they lead."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from reglm.energy.free_energy import Theta
from reglm.energy.monitoring import Watch
from reglm.energy.training import Trainer
from reglm.parameters import Array

Report = Callable[[int, Watch], bool | None]


class Outcome(NamedTuple):
    """Parameters with how the run ended: "max_iter", "stopped", "interrupted" or "diverged"."""

    theta: Theta
    status: str
    epochs: int


def run(
    trainer: Trainer, V: Array, free: Array | None, watch: Watch, n_epochs: int, report: Report = lambda i, w: None
) -> Outcome:
    """Train for some epochs.

    Parameters
    ----------
    trainer : Trainer
    V : (n, D) array
        Of the trainer's precision; what is free in it is overwritten.
    free : (n, D) bool array or None
    watch : Watch
    n_epochs : int
    report : callable
        ``(epoch, watch) -> bool or None`` after every epoch; True ends the run.

    Returns
    -------
    Outcome
        At the end of the epochs their (averaged) parameters; those that looked best where the run blew up or was
        interrupted.
    """
    best, score = trainer.result(), float("-inf")
    done, status = 0, "max_iter"
    try:
        for done in range(1, n_epochs + 1):
            trainer.epoch(V, free, watch.history["reconstruction_error"])
            if not watch(trainer.theta):
                return Outcome(best, "diverged", done)
            if watch.score > score:
                best, score = trainer.current(), watch.score
            if report(done, watch):
                status = "stopped"
                break
    except KeyboardInterrupt:
        return Outcome(best, "interrupted", done)
    return Outcome(trainer.result(), status, done)
