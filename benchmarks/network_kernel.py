"""Gram matrices of architectures: seconds, and the fraction of the roofline.

    python benchmarks/network_kernel.py
    python benchmarks/network_kernel.py --rows 1000

NTK of depth 3, 20 columns. The roofline of a closed form is what its transcendental functions cost by NumPy on arrays
in cache, half the pairs once a layer (arc-cosine and root; for erf an arc-sine and a root), shared by the threads,
plus writing the matrix. None is stated for the Hermite series (tanh). Everything else,
products, correlations, the mirrored half, is what keeps us from it.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
from common import in_turns, save, table

from reglm import NetworkKernel
from reglm.threads import allowed

DEPTH, COLUMNS = 3, 20
ACTIVATIONS = ("relu", "erf", "sin+cos", "tanh")
CHUNK = np.linspace(-0.99, 0.99, 1 << 14)
FLOORS: dict[str, Callable[[], object]] = {
    "relu": lambda: (np.arccos(CHUNK), np.sqrt(1 - CHUNK)),
    "erf": lambda: (np.arcsin(CHUNK), np.sqrt(1 - CHUNK)),
    "sin+cos": lambda: np.exp(CHUNK),
}


def per_number(program: Callable[[], object], turns: int = 200) -> float:
    """Seconds a number, best of many."""
    best = np.inf
    for _ in range(turns):
        start = time.perf_counter()
        program()
        best = min(best, time.perf_counter() - start)
    return best / len(CHUNK)


def floor(activation: str, n: int) -> float:
    """Least seconds for the matrix on these threads; NaN where none is stated."""
    if activation not in FLOORS:
        return float("nan")
    pairs = n * (n + 1) / 2
    copy = CHUNK.copy()
    write = per_number(lambda: np.copyto(copy, CHUNK))
    return (DEPTH * pairs * per_number(FLOORS[activation]) + n**2 * write) / allowed()


def main() -> None:
    """Measure, print one table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)
    figures, lines = {}, []
    for n in options.rows:
        X = np.random.default_rng(0).normal(size=(n, COLUMNS))
        kernels = {f: NetworkKernel(DEPTH, f, "ntk", weight_variance=1.0) for f in ACTIVATIONS}
        timings = in_turns({f: lambda k=k, X=X: k(X) for f, k in kernels.items()}, options.turns)
        for f, timing in timings.items():
            least = floor(f, n)
            lines.append([f"{f}, n = {n}", timing.wall, timing.cpu, least, least * allowed() / timing.cpu])
            figures[f"{f} {n}"] = dict(zip(("wall", "cpu", "floor", "fraction"), lines[-1][1:], strict=True))
    table(f"NTK of depth {DEPTH}", ("activation", "wall s", "cpu s", "roofline s", "fraction of cpu"), lines)
    save(__file__, {"threads": allowed(), "times": figures})


if __name__ == "__main__":
    main()
