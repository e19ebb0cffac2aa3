"""The adding problem over 200 steps (Hochreiter & Schmidhuber 1997): error by epoch, with gates and without.

    python benchmarks/adding.py
    python benchmarks/adding.py --length 50 --models gru

4,000 sequences, each with one sum of two marked numbers; a constant has error 1/6. Adam in single precision with a
falling learning rate and gradients clipped in norm. Errors by epoch are those of the mini-batches, before their
updates; the last column is that of 1,000 sequences that were not fitted. Seen: GRU below 1e-3 in epoch 7 (held out
6e-5 at the end, 34 CPU seconds), LSTM in epoch 12 (1.1e-4, 77 s), IRNN in epoch 23 (2.9e-4, 53 s).
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import numpy as np
from common import save, table
from sklearn.exceptions import ConvergenceWarning

from reglm import RecurrentGLM, datasets

MODELS = {
    "gru": {"cell": "gru", "hidden": 32, "learning_rate": 0.01, "max_iter": 40},
    "lstm": {"cell": "lstm", "hidden": 32, "learning_rate": 0.01, "max_iter": 40},
    "irnn": {"cell": "irnn", "hidden": 64, "learning_rate": 0.002, "max_iter": 50},
}
OPTIONS = {
    "task": "sequence", "solver": "adam", "schedule": "cosine", "batch_size": 50, "clip": 1.0, "dtype": "float32",
    "backend": "numba", "random_state": 0,
}  # fmt: skip
TRAIN, TEST, GOAL = 4_000, 1_000, 1e-3
COLUMNS = ("model", "epochs", "first below 1e-3", "seconds", "CPU seconds", "error at the end", "held out")


def fitted(options: dict[str, Any], train: Any) -> tuple[RecurrentGLM, float, float]:
    """Return the model, wall and CPU seconds; compilation counts."""
    wall, cpu = time.perf_counter(), time.process_time()
    model = RecurrentGLM(**options, **OPTIONS)
    model.fit(train.data.to_numpy(), train.target.to_numpy(), lengths=train.lengths)
    return model, time.perf_counter() - wall, time.process_time() - cpu


def errors(model: RecurrentGLM) -> Any:
    """Mean squared error by epoch; the objective is half the sum of squares."""
    return 2.0 * np.array(model.loss_curve_) / TRAIN


def main() -> None:
    """Fit, print the errors by epoch and one table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--length", type=int, default=200)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is an option here
    train, test = (datasets.simulate_adding(n, arguments.length, seed) for seed, n in enumerate((TRAIN, TEST)))
    rows: list[list[Any]] = []
    for name in arguments.models:
        model, wall, cpu = fitted(MODELS[name], train)
        curve = errors(model)
        print(f"{name}: " + " ".join(f"{error:.2g}" for error in curve), flush=True)
        below = np.flatnonzero(curve < GOAL)
        held_out = float(np.mean((model.predict(test.data.to_numpy(), test.lengths) - test.target) ** 2))
        first = str(below[0] + 1) if below.size else "never"
        rows.append([name, str(len(curve)), first, wall, cpu, float(curve[-1]), held_out])
    table(f"adding problem, {arguments.length} steps", COLUMNS, rows)
    save(__file__, [dict(zip(COLUMNS, row, strict=True)) for row in rows])


if __name__ == "__main__":
    main()
