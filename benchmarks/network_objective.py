"""Time to scikit-learn's final training objective: a Poisson network on the RAND health insurance visits.

    python benchmarks/network_objective.py

80% of randhie (16,152 x 9), standardised, ten tanh units, L2 penalty 1 (scikit-learn's ``alpha``: its objective is the
mean loss plus ``alpha / (2 n)`` times the squared weights, ours n times that), from five seeds. Ours stops where
its objective passes the one scikit-learn ends at; a start that ends in a worse optimum is followed by another, whose
time is added.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
from common import save, table
from scipy.special import xlogy

UNITS, ALPHA, ROWS = 10, 1.0, 16_152


def data() -> tuple[np.ndarray, np.ndarray]:
    """Standardised training rows."""
    from reglm import datasets

    visits = datasets.load_randhie()
    chosen = np.random.default_rng(0).permutation(len(visits.target))[:ROWS]
    X = visits.data.to_numpy(dtype=float)[chosen]
    return (X - X.mean(axis=0)) / X.std(axis=0), visits.target.to_numpy(dtype=float)[chosen]


def clock() -> tuple[float, float]:
    """Wall and CPU seconds."""
    return time.perf_counter(), time.process_time()


def peer(X: np.ndarray, y: np.ndarray, seed: int) -> tuple[float, float, float, int]:
    """Seconds (wall, CPU), final objective without the constant of y, and iterations of scikit-learn's MLP."""
    from sklearn.neural_network import MLPRegressor

    model = MLPRegressor(
        "poisson", (UNITS,), activation="tanh", solver="lbfgs", alpha=ALPHA, max_iter=500, random_state=seed
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wall, cpu = clock()
        model.fit(X, y)
        wall, cpu = (b - a for a, b in zip((wall, cpu), clock(), strict=True))
    return wall, cpu, float(model.loss_ - np.mean(xlogy(y, y) - y)), model.n_iter_


def stop_at(target: float) -> Callable[[int, float, np.ndarray], bool]:
    """Solver callback that ends the search once the objective is down to `target`."""
    return lambda iteration, value, theta: value <= target


def ours(
    X: np.ndarray, y: np.ndarray, seed: int, target: float, solver: str, backend: str
) -> tuple[float, float, float, int]:
    """The same of reglm, from as many starts as it takes to reach the objective `target`."""
    from reglm import RecursiveGLMRegressor

    wall, cpu = clock()
    for attempt in range(5):
        model = RecursiveGLMRegressor(
            (UNITS,), "tanh", "poisson", alpha=ALPHA, solver=solver, backend=backend, balance=False, max_iter=500,
            random_state=1000 * attempt + seed,
        )  # fmt: skip
        model._settings = settings_with(model, stop_at(target * len(y)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(X, y)
        if model.fit_.objective <= target * len(y):
            break
    wall, cpu = (b - a for a, b in zip((wall, cpu), clock(), strict=True))
    return wall, cpu, model.fit_.objective / len(y), attempt + 1


def settings_with(model: object, callback: Callable) -> Callable:
    """The estimator's settings with a callback of ours in place of its monitor."""
    from dataclasses import replace

    original = model._settings
    return lambda *given: replace(original(*given), callback=callback)


def main() -> None:
    """Measure, print one table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--solver", default="lbfgs")
    parser.add_argument("--backend", default="numba", help="auto decides at each fit, so each pays its share anew")
    options = parser.parse_args()
    X, y = data()
    ours(X, y, 99, np.inf, options.solver, options.backend)  # imports, compiled code and thread pools
    head = ["seed", "sklearn s", "CPU s", "objective", "iterations"]
    head += ["reglm s", "CPU s ", "objective ", "starts", "wall ratio", "CPU ratio"]
    rows = []
    for seed in range(options.seeds):
        theirs = peer(X, y, seed)
        mine = ours(X, y, seed, theirs[2], options.solver, options.backend)
        cells = [[wall, cpu, f"{value:.6f}", str(count)] for wall, cpu, value, count in (theirs, mine)]
        rows.append([str(seed), *cells[0], *cells[1], theirs[0] / mine[0], theirs[1] / mine[1]])
    totals = [sum(row[j] for row in rows) for j in (1, 2, 5, 6)]
    rows.append(["all", *totals[:2], "", "", *totals[2:], "", "", totals[0] / totals[2], totals[1] / totals[3]])
    title = f"randhie, {len(y)} x {X.shape[1]}, {UNITS} tanh units, alpha {ALPHA:g}: to scikit-learn's objective"
    table(title, head, rows)
    save(__file__, [dict(zip(head, row, strict=True)) for row in rows])


if __name__ == "__main__":
    main()
