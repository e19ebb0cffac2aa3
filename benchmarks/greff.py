"""Which parts of an LSTM matter (Greff et al. 2015), in small: the LSTM with peepholes and its eight variants.

    python benchmarks/greff.py
    python benchmarks/greff.py --tasks polyphony --seeds 5

Two tasks, 16 units, the same Adam for all, several random starts: sums of two marked numbers (mean squared error) and
simulated music (negative log-likelihood a row), both of held-out sequences. Greff et al. found that without the forget
gate (NFG) or the activation of the output (NOAF) an LSTM is worse on all their data, and hardly so without the rest.

Seen on the music with three starts: NFG is last by far (4.81 against 4.27 of V) and NOAF last but one (4.30), though by
less than its spread over starts (0.04). Coupled gates (CIFG, 4.23) cost nothing; FGR, with the most weights, is first.
About a minute of CPU time; the sums take about four.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from common import save, table
from sklearn.exceptions import ConvergenceWarning

from reglm import RecurrentGLM, datasets

VARIANTS = {
    "V": "vanilla, with peepholes", "NIG": "no input gate", "NFG": "no forget gate", "NOG": "no output gate",
    "NIAF": "no input activation", "NOAF": "no output activation", "NP": "no peepholes",
    "CIFG": "coupled input and forget gates", "FGR": "gates see gates",
}  # fmt: skip
OPTIONS = {
    "cell": "lstm", "hidden": 16, "solver": "adam", "learning_rate": 0.02, "schedule": "cosine", "clip": 1.0,
    "batch_size": 20, "backend": "python",
}  # fmt: skip
COLUMNS = ("variant", "what it lacks", "loss", "sd over starts", "above V", "seconds")


def cell(variant: str) -> dict[str, Any]:
    """Options of a variant; all but NP have peepholes, as theirs have."""
    return {"variant": None if variant == "V" else variant, "peepholes": variant != "NP"}


def adding(length: int = 30) -> Callable[[str, int], float]:
    """Mean squared error of sums."""
    train, test = (datasets.simulate_adding(n, length, seed) for seed, n in enumerate((500, 500)))

    def loss(variant: str, seed: int) -> float:
        model = RecurrentGLM(task="sequence", max_iter=24, random_state=seed, **cell(variant), **OPTIONS)
        model.fit(train.data.to_numpy(), train.target.to_numpy(), train.lengths)
        return float(np.mean((model.predict(test.data.to_numpy(), test.lengths) - test.target) ** 2))

    return loss


def polyphony(keys: int = 24) -> Callable[[str, int], float]:
    """Negative log-likelihood a row of music."""
    train, test = (datasets.simulate_polyphony(n, 40, keys, seed) for seed, n in enumerate((100, 100)))

    def loss(variant: str, seed: int) -> float:
        model = RecurrentGLM(family="bernoulli", max_iter=16, random_state=seed, alpha=1.0, **cell(variant), **OPTIONS)
        model.fit(train.data.to_numpy(), lengths=train.lengths)
        return -model.score(test.data.to_numpy(), lengths=test.lengths)

    return loss


TASKS = {"adding": adding, "polyphony": polyphony}


def measured(task: str, seeds: int) -> list[list[Any]]:
    """Rows of one table, least loss first."""
    loss, rows = TASKS[task](), []
    for variant, lacks in VARIANTS.items():
        start = time.perf_counter()
        losses = [loss(variant, seed) for seed in range(seeds)]
        seconds = (time.perf_counter() - start) / seeds
        print(f"{task}, {variant}: " + ", ".join(f"{each:.3g}" for each in losses), flush=True)
        rows.append([variant, lacks, float(np.mean(losses)), float(np.std(losses, ddof=1)), 0.0, seconds])
    vanilla = rows[0][2]
    return sorted(([*row[:4], row[2] - vanilla, row[5]] for row in rows), key=lambda row: row[2])


def main() -> None:
    """Fit, print one table a task, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is an option here
    figures = {}
    for task in options.tasks:
        rows = measured(task, options.seeds)
        table(f"{task}, {options.seeds} starts", COLUMNS, rows)
        figures[task] = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    save(__file__, figures)


if __name__ == "__main__":
    main()
