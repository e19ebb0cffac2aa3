"""Value and gradient of an LSTM against PyTorch's; memory of the gradient through 10,000 steps.

    python benchmarks/lstm.py

Ours is the graph that a fit runs (affine map of the inputs, fused recurrence, gradients of all weights), compiled by
Numba; the sequences of a batch are shared by two threads, as PyTorch shares them. The value is half the sum of squares
of h. Peak memory is taken in a process of its own for each, above what is held before the first call.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable

import numpy as np
from common import GFLOPS, available, forget_peak, in_new_process, in_turns, memory, save, table
from threadpoolctl import threadpool_limits

CASES = {"batch 64, 32 -> 64": (100, 64, 32, 64), "batch 1, 8 -> 16": (100, 1, 8, 16)}
LONG = (10_000, 8, 8, 32)
"""Steps, sequences, inputs, units."""
REPEATS = 5
"""Calls in one timing."""


def operations(T: int, S: int, D: int, H: int) -> int:
    """Multiplications and additions of the matrix products; the gradient of the inputs is not asked for."""
    return 2 * T * S * 4 * H * (2 * D + 3 * H)


def data(T: int, S: int, D: int, H: int, dtype: str) -> list[np.ndarray]:
    """Inputs (T, S, D) and weights U (D, 4 H), b (4 H,), W (H, 4 H), gates in the order i, f, o, z."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(T, S, D))
    U, b, W = (rng.normal(scale=0.1, size=s) for s in [(D, 4 * H), (4 * H,), (H, 4 * H)])
    return [a.astype(dtype) for a in (X, U, b, W)]


def graph(dtype: str) -> Callable:
    """Builder of the graph, for `compiling.function`."""
    import pytensor
    import pytensor.tensor as pt

    from reglm import ops
    from reglm.compiling import Graph
    from reglm.ops import recurrence

    def build() -> Graph:
        X, U, W, h0 = (pt.matrix(dtype=dtype) for _ in range(4))
        b, sizes = pt.vector(dtype=dtype), pt.lvector()
        h = recurrence.run(recurrence.lstm(), ops.affine(X, U, b), sizes, W, h0, h0)
        value = 0.5 * (h * h).sum()
        return Graph([X, sizes, h0, U, b, W], [value, *pytensor.grad(value, [U, b, W])])

    return build


def ours(given: list[np.ndarray], share: bool) -> Callable[[], list[np.ndarray]]:
    """Value and gradient by reglm."""
    from reglm import compiling
    from reglm.threads import map_rows

    X, U, b, W = given
    T, S, D = X.shape
    program = compiling.function(graph(str(X.dtype)), ("benchmark lstm", str(X.dtype)), "numba")
    parts: dict[tuple[int, int], list[np.ndarray]] = {}

    def part(start: int, stop: int) -> list[np.ndarray]:
        if (start, stop) not in parts:
            rows = np.ascontiguousarray(X[:, start:stop]).reshape(-1, D)
            sizes = np.full(T, stop - start)
            parts[start, stop] = [rows, sizes, np.zeros((stop - start, len(W)), X.dtype)]
        return program(*parts[start, stop], U, b, W)

    def run() -> list[np.ndarray]:
        found = list(map_rows(part, S, max(S // 2, 8) if share else S, 2))
        return [sum(values) for values in zip(*found, strict=True)]

    return run


def torch(given: list[np.ndarray]) -> Callable[[], list[np.ndarray]]:
    """The same by PyTorch."""
    import torch

    X, U, b, W = (torch.from_numpy(a) for a in given)
    order = torch.cat([torch.arange(len(W)) + k * len(W) for k in (0, 1, 3, 2)])  # torch has i, f, z, o
    layer = torch.nn.LSTM(X.shape[2], len(W)).to(X.dtype)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(U.T[order])
        layer.weight_hh_l0.copy_(W.T[order])
        layer.bias_ih_l0.copy_(b[order])
        layer.bias_hh_l0.zero_()

    def run() -> list[np.ndarray]:
        layer.zero_grad()
        value = 0.5 * (layer(X)[0] ** 2).sum()
        value.backward()
        gradients = (layer.weight_ih_l0.grad, layer.bias_ih_l0.grad, layer.weight_hh_l0.grad)
        back = torch.argsort(order)
        return [value.detach().numpy(), *(g[back].numpy().T for g in gradients)]

    return run


PROGRAMS = {"reglm": lambda given: ours(given, given[0].shape[1] > 1), "torch": torch}


def repeated(program: Callable) -> Callable:
    """Run a program several times and return what it found."""
    return lambda: [program() for _ in range(REPEATS)][-1]


def compare(names: list[str], turns: int) -> list[list]:
    """Milliseconds of each case and precision, fraction of the roofline, largest difference of the gradients."""
    rows = []
    for case, size in CASES.items():
        for dtype in ("float64", "float32"):
            given = data(*size, dtype)
            programs = {name: PROGRAMS[name](given) for name in names}
            started = time.perf_counter()
            programs["reglm"]()
            first = time.perf_counter() - started
            timings = in_turns({name: repeated(program) for name, program in programs.items()}, turns)
            own = timings["reglm"]
            for name, timing in timings.items():
                wall, cpu = timing.wall / REPEATS, timing.cpu / REPEATS
                pairs = zip(timing.result, own.result, strict=True)
                error = max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)
                share = operations(*size) / wall / 1e9 / GFLOPS[dtype]
                ratio = timing.wall / own.wall
                rows.append([f"{case}, {dtype}: {name}", 1e3 * wall, 1e3 * cpu, ratio, share, error, first])
    return rows


def peak(name: str, dtype: str) -> None:
    """Print the memory that one value and gradient takes at its peak, in MB, and the seconds of it."""
    small, large = (PROGRAMS[name](data(T, *LONG[1:], dtype)) for T in (10, LONG[0]))
    small()
    forget_peak()
    before, started = memory("VmRSS"), time.perf_counter()
    large()
    print(json.dumps([memory("VmHWM") - before, time.perf_counter() - started]))


def main() -> None:
    """Measure, print the tables, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peak", nargs=2, metavar=("PROGRAM", "DTYPE"))
    options = parser.parse_args()
    threadpool_limits(options.threads)
    names = ["reglm", *available("torch")]
    if "torch" in names:
        import torch as library

        library.set_num_threads(options.threads)
    if options.peak:
        peak(*options.peak)
        return
    head = ["", "wall ms", "CPU ms", "wall/ours", "of roofline", "difference", "first s"]
    rows = compare(names, options.turns)
    table("LSTM, value and gradient, T = 100", head, rows)
    spent = [[f"{n}, {d}", *in_new_process(sys.argv[0], "--peak", n, d)] for n in names for d in ("float64", "float32")]
    table(f"Memory through T = {LONG[0]} steps, batch {LONG[1]}, {LONG[2]} -> {LONG[3]}", ["", "MB", "s"], spent)
    save(__file__, {"speed": [dict(zip(head, row, strict=True)) for row in rows], "memory": spent})


if __name__ == "__main__":
    main()
