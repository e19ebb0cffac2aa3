"""One epoch of Adam: 20,000 x 784, 100 ReLU units, 10 classes, batches of 200, float32.

    python benchmarks/adam_epoch.py

Ours, scikit-learn's MLPClassifier and PyTorch on the CPU, the same number of epochs each. Seconds an epoch are taken
from the difference between a long and a short fit, so that start-up and compiling do not count; they are given
apart. Reads MNIST from ../shared/data/mnist (or $REGLM_DATA/mnist); random pixels where it is absent.
"""

from __future__ import annotations

import argparse
import gzip
import time
import warnings
from collections.abc import Callable
from importlib import import_module

import numpy as np
from common import DATA, GFLOPS, available, save, table
from threadpoolctl import threadpool_limits

N, P, UNITS, CLASSES, BATCH = 20_000, 784, 100, 10, 200
OPERATIONS = N * (2 * 3 * UNITS * CLASSES + 2 * 2 * P * UNITS)
"""Of the matrix products: forward and gradient of the weights, and for the output layer of its inputs."""


def data() -> tuple[np.ndarray, np.ndarray]:
    """Images in [0, 1], float32, and labels."""
    try:
        with gzip.open(DATA / "mnist" / "train-images-idx3-ubyte.gz") as images:
            pixels = np.frombuffer(images.read(), np.uint8, offset=16).reshape(-1, P)[:N]
        with gzip.open(DATA / "mnist" / "train-labels-idx1-ubyte.gz") as labels:
            return (pixels / 255).astype(np.float32), np.frombuffer(labels.read(), np.uint8, offset=8)[:N].astype(int)
    except FileNotFoundError:
        print(f"no MNIST in {DATA / 'mnist'}: random pixels")
        rng = np.random.default_rng(0)
        return rng.random((N, P), dtype=np.float32), rng.integers(0, CLASSES, N)


def ours(X: np.ndarray, y: np.ndarray, epochs: int) -> float:
    """Training accuracy of reglm after so many epochs."""
    from reglm import RecursiveGLMClassifier

    model = RecursiveGLMClassifier(
        (UNITS,), "relu", solver="adam", batch_size=BATCH, learning_rate=1e-3, max_iter=epochs, dtype="float32",
        balance=False, tol=0.0, n_iter_no_change=10**6, random_state=0,
    )  # fmt: skip
    return float(np.mean(model.fit(X, y).predict(X[:2000]) == y[:2000]))


def sklearn(X: np.ndarray, y: np.ndarray, epochs: int) -> float:
    """The same of scikit-learn."""
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(
        (UNITS,), alpha=0.0, batch_size=BATCH, max_iter=epochs, tol=0.0, n_iter_no_change=10**6, random_state=0
    )
    return float(model.fit(X, y).score(X[:2000], y[:2000]))


def torch(X: np.ndarray, y: np.ndarray, epochs: int) -> float:
    """The same of PyTorch on two threads, batches gathered by a permutation of an array in memory."""
    import torch

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(P, UNITS), torch.nn.ReLU(), torch.nn.Linear(UNITS, CLASSES))
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    loss, rows, labels = torch.nn.CrossEntropyLoss(), torch.from_numpy(X), torch.from_numpy(y)
    for _ in range(epochs):
        for chosen in torch.randperm(len(y)).split(BATCH):
            optimiser.zero_grad()
            loss(net(rows[chosen]), labels[chosen]).backward()
            optimiser.step()
    with torch.no_grad():
        return float((net(rows[:2000]).argmax(1) == labels[:2000]).float().mean())


def seconds(program: Callable, X: np.ndarray, y: np.ndarray, epochs: int) -> tuple[np.ndarray, float]:
    """Wall and CPU seconds of a fit, and its accuracy."""
    before = np.array([time.perf_counter(), time.process_time()])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        accuracy = program(X, y, epochs)
    return np.array([time.perf_counter(), time.process_time()]) - before, accuracy


def main() -> None:
    """Measure, print one table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    X, y = data()
    programs = {"reglm": ours, "scikit-learn": sklearn} | ({"torch": torch} if available("torch") else {})
    if "torch" in programs:
        import_module("torch").set_num_threads(options.threads)
    threadpool_limits(options.threads)
    short, long = 2, 2 + options.epochs
    taken: dict[str, list[np.ndarray]] = {name: [] for name in programs}
    starts, accuracy = dict.fromkeys(programs, 0.0), dict.fromkeys(programs, 0.0)
    for name, program in programs.items():
        starts[name] = seconds(program, X, y, long)[0][0]
    for _ in range(options.turns):
        for name, program in programs.items():
            first, _ = seconds(program, X, y, short)
            whole, accuracy[name] = seconds(program, X, y, long)
            taken[name].append((whole - first) / options.epochs)
    best = {name: np.min(turns, axis=0) for name, turns in taken.items()}
    own, rows = best["reglm"], []
    for name, (wall, cpu) in best.items():
        rate = OPERATIONS / wall / 1e9
        share = rate / GFLOPS["float32"]
        figures = [wall, cpu, wall / own[0], cpu / own[1], rate, share, starts[name], accuracy[name]]
        rows.append([name, *map(float, figures)])
    head = ["", "wall s", "CPU s", "wall/ours", "CPU/ours", "GFLOP/s", "of roofline", f"first {long} s", "accuracy"]
    table(f"Adam epoch, {N} x {P}, {UNITS} ReLU, {CLASSES} classes, batch {BATCH}, float32", head, rows)
    save(__file__, [dict(zip(head, row, strict=True)) for row in rows])


if __name__ == "__main__":
    main()
