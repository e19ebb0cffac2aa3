"""Regression on landmarks: seconds, peak memory and test error, ours and scikit-learn's Nystroem + Ridge.

    python benchmarks/nystroem.py
    python benchmarks/nystroem.py --rows 20000 --landmarks 300

All fit the same kernel on uniformly drawn landmarks. scikit-learn is given a penalty of the grid at which it predicts
best on the test rows; ours choose it from the training rows (GCV, leave-one-out) or get the one GCV chose (conjugate
gradients). Each program runs in a process of its own; memory is the rise of its peak over what held the data.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
from common import forget_peak, in_new_process, memory, save, table

ROWS, LANDMARKS, INPUTS, TEST = 500_000, 2_000, 8, 20_000
GAMMA, NOISE = 0.1, 0.5
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
LIMIT = "4GB"
COLUMNS = ("fit", "seconds", "predict, s", "peak MB", "test RMSE", "penalty")


def drawn(n: int, seed: int) -> tuple[Any, Any, Any]:
    """Inputs, responses and their means: a smooth surface with noise."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, INPUTS))
    mean = np.sin(X[:, 0] * X[:, 1]) + np.cos(X[:, 2] + X[:, 3]) + 0.5 * X[:, 4] - 0.3 * np.abs(X[:, 5])
    return X, mean + NOISE * rng.normal(size=n), mean


def ours(m: int, **options: Any) -> Any:
    from reglm import KernelDualRegressor

    return KernelDualRegressor(
        gamma=GAMMA, approximation="nystroem", n_landmarks=m, memory_limit=LIMIT, random_state=0, **options
    )


def peer(m: int, penalty: float) -> Any:
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    return make_pipeline(Nystroem(gamma=GAMMA, n_components=m, random_state=0), Ridge(penalty))


def program(name: str, m: int, penalty: float) -> Any:
    programs = {
        "gcv": lambda: ours(m, alpha="gcv"),
        "gcv, float32": lambda: ours(m, alpha="gcv", dtype="float32"),
        "loo": lambda: ours(m, alpha="loo"),
        "cg": lambda: ours(m, alpha=penalty, solver="cg"),
        "cg, float32": lambda: ours(m, alpha=penalty, solver="cg", dtype="float32"),
        "scikit-learn": lambda: peer(m, penalty),
    }
    return programs[name]()


def measured(name: str, n: int, m: int, penalty: float) -> dict[str, float]:
    """Seconds, peak and error of one fit."""
    X, y, _ = drawn(n, 0)
    X_test, _, mean = drawn(TEST, 1)
    model = program(name, m, penalty)
    program(name, 50, penalty).fit(X[:500], y[:500])  # imports
    before = memory("VmRSS")
    forget_peak()
    start = time.perf_counter()
    model.fit(X, y)
    fitted = time.perf_counter()
    found = model.predict(X_test)
    predicted = time.perf_counter()
    return {
        "seconds": fitted - start, "predict": predicted - fitted, "peak": memory("VmHWM") - before,
        "rmse": float(np.sqrt(np.mean((found - mean) ** 2))), "penalty": float(getattr(model, "alpha_", penalty)),
    }  # fmt: skip


def main() -> None:
    """Measure, print one table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--landmarks", type=int, default=LANDMARKS)
    parser.add_argument("--penalties", type=float, nargs="+", default=PENALTIES)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--penalty", type=float, default=1.0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    n, m = options.rows, options.landmarks
    if options.one:
        print(json.dumps(measured(options.one, n, m, options.penalty)))
        return

    def run(name: str, penalty: float = 1.0) -> dict[str, float]:
        sizes = ("--rows", str(n), "--landmarks", str(m))
        return in_new_process(__file__, *sizes, "--one", name, "--penalty", repr(penalty))

    found = {name: run(name) for name in ("gcv", "gcv, float32", "loo")}
    found |= {name: run(name, found["gcv"]["penalty"]) for name in ("cg", "cg, float32")}
    peers = [run("scikit-learn", penalty) for penalty in options.penalties]
    found["scikit-learn, best penalty"] = min(peers, key=lambda one: one["rmse"])
    found["scikit-learn, all penalties"] = found["scikit-learn, best penalty"] | {
        "seconds": sum(one["seconds"] for one in peers)
    }
    lines = [[name, *one.values()] for name, one in found.items()]
    table(f"{n} rows, {m} landmarks, memory_limit {LIMIT}", COLUMNS, lines)
    save(__file__, found)


if __name__ == "__main__":
    main()
