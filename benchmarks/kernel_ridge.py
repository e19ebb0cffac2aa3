"""Penalty of a kernel ridge regression among 50: exact leave-one-out against cross-validation with 5 folds.

    python benchmarks/kernel_ridge.py
    python benchmarks/kernel_ridge.py --rows 500

The same kernel (rbf), the same 50 penalties and the same rows for both; scikit-learn's GridSearchCV(KernelRidge) refits
250 times, here one eigendecomposition serves all penalties. "eigh" is that decomposition alone. Errors are root mean
squares on 2,000 new rows about the true function.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from common import in_turns, save, table
from scipy import linalg
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import GridSearchCV

from reglm import KernelDualRegressor

ROWS = (500, 1_000, 2_000, 4_000)
ALPHAS = np.geomspace(1e-6, 1e3, 50)
COLUMNS = ("rows", "GridSearchCV", "leave-one-out", "ratio", "eigh", "CPU ratio", "error, CV", "error, LOO")
GAMMA = 0.05


def drawn(n: int, seed: int) -> tuple[Any, Any, Any]:
    """Friedman's first function of ten inputs, standardised in x, with unit noise (Friedman 1991)."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(n, 10))
    f = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    return (x - 0.5) * np.sqrt(12), f, f + rng.normal(size=n)


def measured(n: int, turns: int) -> list[float]:
    """One line of the table."""
    (X, _, y), (new, truth, _) = drawn(n, 0), drawn(2_000, 1)
    search = GridSearchCV(KernelRidge(kernel="rbf", gamma=GAMMA), {"alpha": ALPHAS}, cv=5)
    ours = KernelDualRegressor(gamma=GAMMA, alphas=ALPHAS)
    K = rbf_kernel(X, gamma=GAMMA)
    times = in_turns(
        {"cv": lambda: search.fit(X, y - y.mean()), "loo": lambda: ours.fit(X, y), "eigh": lambda: linalg.eigh(K)},
        turns, warm=n <= 1_000,
    )  # fmt: skip
    predicted = {"cv": search.predict(new) + y.mean(), "loo": ours.predict(new)}
    errors = {name: float(np.sqrt(np.mean((found - truth) ** 2))) for name, found in predicted.items()}
    ratio, cpu = times["cv"].wall / times["loo"].wall, times["cv"].cpu / times["loo"].cpu
    return [n, times["cv"].wall, times["loo"].wall, ratio, times["eigh"].wall, cpu, errors["cv"], errors["loo"]]


def main() -> None:
    """Measure, print one table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--turns", type=int, default=2)
    options = parser.parse_args()
    lines = [measured(n, options.turns) for n in options.rows]
    table("one penalty among 50, seconds", COLUMNS, [[f"{line[0]:,}", *line[1:]] for line in lines])
    save(__file__, [dict(zip(COLUMNS, line, strict=True)) for line in lines])


if __name__ == "__main__":
    main()
