"""Value and gradient of one tanh layer against PyTorch, and what compiling costs.

    python benchmarks/one_layer.py            # the table; writes benchmarks/results/one_layer.json
    python benchmarks/one_layer.py --no-peer  # where PyTorch is not installed

The layer is ``sum(tanh(X W + b)^2) / 2`` with its gradient with respect to W and b, float64, the sizes
16,152 x 9 -> 10 and 200 x 9 -> 100, with one thread and with two. All programs run in one process, in turns;
the figures are the medians of the turns and, since other work on the machine only ever adds, the fastest
turns. Compile times are those of the Poisson likelihood of a one-hidden-layer network, measured in fresh
processes, first on an empty cache and then on the one just filled: elapsed, and of the processor alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

SIZES = ((16_152, 9, 10), (200, 9, 100))
THREADS = (1, 2)
TURNS, CALLS = 40, 5
RESULTS = Path(__file__).parent / "results" / "one_layer.json"


def data(n: int, p: int, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw X, W and b."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, p)), rng.normal(size=(p, k)) / 3, rng.normal(size=k) / 3


def ours() -> Callable:
    """Compile our layer with Numba, rows shared among the threads: (X, W, b) -> value, dW, db."""
    import pytensor
    import pytensor.tensor as pt

    from reglm import ops
    from reglm.compiling import Graph, function

    def build() -> Graph:
        X, W, b = pt.dmatrix("X"), pt.dmatrix("W"), pt.dvector("b")
        value = 0.5 * (ops.tanh(ops.affine(X, W, b)) ** 2).sum()
        return Graph([X, W, b], [value, *pytensor.grad(value, [W, b])], rows=[X])

    return function(build, "one layer", "numba")


def interpreted() -> Callable:
    """Prepare the same layer for the interpreter."""
    import pytensor
    import pytensor.tensor as pt
    from pytensor.compile.mode import Mode
    from pytensor.graph.rewriting.db import RewriteDatabaseQuery

    from reglm import ops

    unfused = Mode(linker="py", optimizer=RewriteDatabaseQuery(include=["fast_run"], exclude=["fusion"]))
    X, W, b = pt.dmatrix("X"), pt.dmatrix("W"), pt.dvector("b")
    value = 0.5 * (ops.tanh(ops.affine(X, W, b)) ** 2).sum()
    gradients = pytensor.grad(value, [W, b])
    return pytensor.function([X, W, b], [value, *gradients], mode=unfused, trust_input=True)


def torch_layer(X: np.ndarray, W: np.ndarray, b: np.ndarray, threads: int) -> Callable:
    """Prepare the same layer in PyTorch."""
    import torch

    torch.set_num_threads(threads)
    Xt = torch.from_numpy(X)
    Wt, bt = (torch.from_numpy(a).requires_grad_() for a in (W, b))

    def run() -> tuple:
        value = 0.5 * (torch.tanh(torch.addmm(bt, Xt, Wt)) ** 2).sum()
        return value.detach(), *torch.autograd.grad(value, [Wt, bt])

    return run


def in_turns(programs: dict[str, Callable]) -> dict[str, list[float]]:
    """Median and fastest turn of each program, in microseconds per call."""
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(TURNS):
        for name, program in programs.items():
            start = time.perf_counter()
            for _ in range(CALLS):
                program()
            times[name].append((time.perf_counter() - start) / CALLS * 1e6)
    return {name: [float(np.median(t)), min(t)] for name, t in times.items()}


def agree(programs: dict[str, Callable]) -> None:
    """Check that all programs compute the same."""
    reference, *others = [[np.asarray(o) for o in program()] for program in programs.values()]
    for other in others:
        for a, b in zip(reference, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-8)


def layer_rows(peer: bool) -> list[dict]:
    """Measure the layer at both sizes, with one thread and with two."""
    from threadpoolctl import threadpool_limits

    numba, python, rows = ours(), interpreted(), []
    for threads in THREADS:
        for n, p, k in SIZES:
            arrays = data(n, p, k)
            programs = {"numba": partial(numba, *arrays), "python": partial(python, *arrays)}
            if peer:
                programs["torch"] = torch_layer(*arrays, threads)
            with threadpool_limits(threads):
                agree(programs)
                rows.append({"n": n, "p": p, "k": k, "threads": threads, **in_turns(programs)})
    return rows


def compile_once() -> None:
    """Time the first call of a compiled Poisson likelihood and print it (runs in its own process)."""
    import reglm.ops.numba_forms  # noqa: F401  (loads Numba, which is not what is timed)
    from reglm import families, links
    from reglm.likelihood import Data, Likelihood
    from reglm.network import multilayer

    network = multilayer((10,), ("tanh",), 9, 1)
    likelihood = Likelihood(network, families.get("poisson"), links.get("log"), backend="numba")
    rng = np.random.default_rng(0)
    y = rng.poisson(1.0, (50, 1)).astype(float)
    rows = Data(rng.normal(size=(50, 9)), y, np.zeros((50, 1)), np.ones((50, 1)))
    start = time.perf_counter(), time.process_time()
    likelihood.value_grad(np.zeros(likelihood.layout.size), rows)
    print(time.perf_counter() - start[0], time.process_time() - start[1])


def compile_seconds() -> dict[str, list[float]]:
    """Seconds, elapsed and of the processor, from graph to first result on an empty cache and on a full one."""
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTENSOR_FLAGS": f"base_compiledir={folder}"}
        for state in ("cold", "warm"):
            command = [sys.executable, __file__, "--compile-once"]
            run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            seconds[state] = [float(word) for word in run.stdout.split()]
    return seconds


def table(rows: list[dict], seconds: dict[str, list[float]]) -> str:
    """One line a size and number of threads, one for the compilation."""
    programs = [name for name in ("numba", "python", "torch") if name in rows[0]]
    lines = ["microseconds per value and gradient, median (fastest)"]
    lines.append(f"{'':>18} {'threads':>7}" + "".join(f"{name:>16}" for name in programs) + f"{'torch/numba':>16}")
    for row in rows:
        size = f"{row['n']:,} x {row['p']} -> {row['k']}"
        cells = [f"{row[name][0]:,.0f} ({row[name][1]:,.0f})" for name in programs]
        if "torch" in row:
            median, fastest = (peer / own for peer, own in zip(row["torch"], row["numba"], strict=True))
            cells.append(f"{median:.2f} ({fastest:.2f})")
        lines.append(f"{size:>18} {row['threads']:>7}" + "".join(f"{cell:>16}" for cell in cells))
    times = (f"{state} {elapsed:.2f} s ({cpu:.2f} s of processor)" for state, (elapsed, cpu) in seconds.items())
    lines.append("compile Poisson, one hidden layer: " + ", ".join(times))
    return "\n".join(lines)


def main() -> None:
    """Measure, print one table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--no-peer", action="store_true", help="leave PyTorch out")
    parser.add_argument("--compile-once", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.compile_once:
        compile_once()
        return
    import pytensor

    version = {"python": platform.python_version(), "pytensor": pytensor.__version__}
    rows, seconds = layer_rows(not options.no_peer), compile_seconds()
    print(f"Python {version['python']}, PyTensor {version['pytensor']}")
    print(table(rows, seconds))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({**version, "layer": rows, "compile": seconds}, indent=1) + "\n")


if __name__ == "__main__":
    main()
