"""500 hidden units on binarised MNIST from scratch: test log-likelihood against minutes of training.

    python benchmarks/rbm_mnist.py --minutes 25

Persistent chains, centred, with a rate that falls along a cosine, sweeps that rise in number as the chains mix more
slowly, and parameters averaged over the last quarter. The number of epochs is taken from the seconds of two, so that
training fills the minutes given; log Z by annealed importance sampling on the way and at the end, which does not
count as training. To compare with (Salakhutdinov & Murray 2008): CD-1 -125.53, CD-3 -105.50, CD-25 -86.34. Reads
../shared/data/rbm_cd25_500.npz (or $REGLM_DATA) for the binarised images.
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import replace

import numpy as np
from common import DATA, save, table
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from reglm.energy import annealing
from reglm.energy.free_energy import Theta, free_energy, initial
from reglm.energy.settings import Settings
from reglm.energy.training import Trainer
from reglm.energy.visible import layer

P, UNITS = 784, 500
VISIBLE = layer(["bernoulli"] * P)
MARKS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Minutes of training after which the likelihood is looked at."""


def images(name: str) -> np.ndarray:
    """Binary pixels, float32."""
    with np.load(DATA / "rbm_cd25_500.npz") as file:
        return np.unpackbits(file[name], axis=1)[:, :P].astype(np.float32)


def likelihood(theta: Theta, train: np.ndarray, test: np.ndarray, temperatures: int) -> tuple[float, float, float]:
    """Mean log-likelihood of test and of as many training rows, and the standard error of log Z."""
    rng = np.random.default_rng(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = annealing.log_partition(
            VISIBLE, theta, train[:10_000], temperatures=temperatures, backward=False, rng=rng
        )
    means = [float(-free_energy(VISIBLE, theta, rows).mean() - found.log_z) for rows in (test, train[: len(test)])]
    return means[0], means[1], float(found.std_err)


def planned(settings: Settings, trainer: Trainer, train: np.ndarray, minutes: float) -> tuple[Settings, float]:
    """Settings with the epochs that fit into the minutes, from the time of two; and the seconds these took."""
    rows = train[: min(len(train), 10_000)]
    taken = []
    for k in (1, 2):
        trainer.settings = replace(settings, n_steps=k, max_iter=10**6, averaging=0.0)
        begin = time.perf_counter()
        trainer.epoch(rows)
        taken.append((time.perf_counter() - begin) * len(train) / len(rows))
    first, last = settings.n_steps
    each = taken[0] + max(taken[1] - taken[0], 0.05 * taken[0]) * ((first + last) / 2 - 1)
    spent = sum(taken) * len(rows) / len(train)
    return replace(settings, max_iter=max(2, int((60 * minutes - spent) / each))), spent


def main() -> None:
    """Train, print the curve, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=25.0)
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--steps", type=int, nargs=2, default=(1, 10), help="sweeps of the first and the last epoch")
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--temperatures", type=int, default=15_000, help="of the last estimate of log Z")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    threadpool_limits(options.threads)
    train, test = images("train")[: options.rows], images("test")
    rng = np.random.default_rng(0)
    settings = Settings(n_steps=tuple(options.steps), learning_rate=options.rate)
    start = initial(VISIBLE, UNITS, train, rng)
    trainer = Trainer(VISIBLE, start, train.mean(axis=0), settings, rng)
    trainer.update(train.copy(), np.arange(settings.batch_size), 1e-9, 1)  # compiled before the clock starts
    settings, seconds = planned(settings, trainer, train, options.minutes)
    trainer.settings, trainer.epochs = settings, 0
    print(f"{settings.max_iter} epochs planned", flush=True)
    marks = [mark for mark in MARKS if mark < options.minutes]
    rows = []
    for epoch in range(settings.max_iter):
        begin = time.perf_counter()
        trainer.epoch(train)
        seconds += time.perf_counter() - begin
        last = epoch == settings.max_iter - 1
        if last or (marks and seconds > 60 * marks[0]):
            marks = [mark for mark in marks if 60 * mark > seconds]
            theta = trainer.result() if last else trainer.current()
            found = likelihood(theta, train, test, options.temperatures if last else 2000)
            rows.append(["averaged" if last else "on the way", seconds / 60, epoch + 1, settings.steps(epoch), *found])
            print(rows[-1], flush=True)
    head = ["parameters", "minutes", "epochs", "sweeps", "test", "training", "s.e. of log Z"]
    table(f"mean log-likelihood of binarised MNIST, {UNITS} hidden units", head, rows)
    save(__file__, [dict(zip(head, row, strict=True)) for row in rows])


if __name__ == "__main__":
    main()
