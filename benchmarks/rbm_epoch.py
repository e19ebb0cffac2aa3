"""One epoch of persistent contrastive divergence: 20,000 x 784 pixels, 500 hidden units, batches of 100, float32.

    python benchmarks/rbm_epoch.py

Ours and scikit-learn's BernoulliRBM, one Gibbs sweep an update each, the same learning rate. Seconds an epoch are the
difference between a long and a short fit, so that start-up and compiling do not count; ours include what it watches
after every epoch. The pseudo-likelihood of 2,000 rows, estimated by the same code for both, shows that the work was
done. Reads the binarised MNIST from ../shared/data (or $REGLM_DATA); random pixels where it is absent.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from common import DATA, GFLOPS, save, table
from threadpoolctl import threadpool_limits

N, P, UNITS, BATCH, RATE = 20_000, 784, 500, 100, 0.05
OPERATIONS = N * 5 * 2 * P * UNITS
"""Of the matrix products: two for the chains, one for the data, two for the gradient."""


def data() -> np.ndarray:
    """Binary pixels, float32."""
    try:
        with np.load(DATA / "rbm_cd25_500.npz") as file:
            return np.unpackbits(file["train"][:N], axis=1)[:, :P].astype(np.float32)
    except FileNotFoundError:
        print(f"no rbm_cd25_500.npz in {DATA}: random pixels")
        return (np.random.default_rng(0).random((N, P)) < 0.13).astype(np.float32)


def pseudo(weights: np.ndarray, visible: np.ndarray, hidden: np.ndarray, X: np.ndarray) -> float:
    """Pseudo-likelihood of 2,000 rows."""
    from reglm.energy.free_energy import Theta
    from reglm.energy.monitoring import pseudo_likelihood
    from reglm.energy.visible import layer

    blocks = (np.asarray(block, dtype=float) for block in (weights.T, visible, hidden, np.zeros(P)))
    return pseudo_likelihood(layer(["bernoulli"] * P), Theta(*blocks), X[:2000], np.random.default_rng(0))


def ours(X: np.ndarray, epochs: int) -> float:
    """Pseudo-likelihood after so many epochs of reglm."""
    from reglm import RestrictedBoltzmannMachine

    model = RestrictedBoltzmannMachine(
        UNITS, "bernoulli", batch_size=BATCH, learning_rate=RATE, max_iter=epochs, schedule="constant", averaging=0.0,
        random_state=0,
    ).fit(X)  # fmt: skip
    return pseudo(model.components_, model.theta_.b, model.theta_.c, X)


def sklearn(X: np.ndarray, epochs: int) -> float:
    """The same of scikit-learn."""
    from sklearn.neural_network import BernoulliRBM

    model = BernoulliRBM(UNITS, learning_rate=RATE, batch_size=BATCH, n_iter=epochs, random_state=0).fit(X)
    return pseudo(model.components_, model.intercept_visible_, model.intercept_hidden_, X)


def seconds(program: Callable, X: np.ndarray, epochs: int) -> tuple[np.ndarray, float]:
    """Wall and CPU seconds of a fit, and its pseudo-likelihood."""
    before = np.array([time.perf_counter(), time.process_time()])
    figure = program(X, epochs)
    return np.array([time.perf_counter(), time.process_time()]) - before, figure


def main() -> None:
    """Measure, print one table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    X = data()
    threadpool_limits(options.threads)
    programs = {"reglm": ours, "scikit-learn": sklearn}
    short, long = 1, 1 + options.epochs
    taken: dict[str, list[np.ndarray]] = {name: [] for name in programs}
    figure = {name: program(X, short) for name, program in programs.items()}
    for _ in range(options.turns):
        for name, program in programs.items():
            first, _ = seconds(program, X, short)
            whole, figure[name] = seconds(program, X, long)
            taken[name].append((whole - first) / options.epochs)
    best = {name: np.min(turns, axis=0) for name, turns in taken.items()}
    own, rows = best["reglm"], []
    for name, (wall, cpu) in best.items():
        rate = OPERATIONS / wall / 1e9
        figures = [wall, cpu, wall / own[0], cpu / own[1], rate, rate / GFLOPS["float32"], figure[name]]
        rows.append([name, *map(float, figures)])
    head = ["", "wall s", "CPU s", "wall/ours", "CPU/ours", "GFLOP/s", "of roofline", "pseudo-likelihood"]
    table(f"PCD-1 epoch, {N} x {P}, {UNITS} hidden units, batch {BATCH}, float32", head, rows)
    save(__file__, [dict(zip(head, row, strict=True)) for row in rows])


if __name__ == "__main__":
    main()
