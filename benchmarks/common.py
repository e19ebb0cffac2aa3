"""What the benchmarks share: timing in turns, peak memory in a process of its own, one table, one JSON file.

Wall time and CPU time (all threads of the process) are both taken: on a busy machine the second is the steadier.
"""

from __future__ import annotations

import gzip
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

HERE = Path(__file__).parent
RESULTS = HERE / "results"
DATA = Path(os.environ.get("REGLM_DATA", HERE.parent.parent / "shared" / "data"))
GFLOPS = {"float64": 121.0, "float32": 251.0}
"""Largest rate seen in matrix products on the two cores the figures were taken on, in 1e9 operations a second."""


class Timing(NamedTuple):
    """Best and median seconds of the turns, and what the last turn returned."""

    wall: float
    cpu: float
    median: float
    result: Any


def in_turns(programs: Mapping[str, Callable[[], Any]], turns: int = 3, warm: bool = True) -> dict[str, Timing]:
    """Run every program `turns` times, one after the other in each turn, after one run that is not counted."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
    results: dict[str, Any] = {}
    for turn in range(-1 if warm else 0, turns):
        for name, program in programs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            results[name] = program()
            if turn >= 0:
                seconds[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {
        name: Timing(*np.min(taken, axis=0).tolist(), float(np.median([wall for wall, _ in taken])), results[name])
        for name, taken in seconds.items()
    }


def available(*modules: str) -> list[str]:
    """Names of the peers that are installed; says which are not."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        print(f"not installed, left out: {', '.join(missing)} (pip install 'reglm[bench]')")
    return [name for name in modules if name not in missing]


def mnist(part: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """Pixels in [0, 1] (n, 784), float32, and labels; part is "train" or "t10k"."""
    with gzip.open(DATA / "mnist" / f"{part}-images-idx3-ubyte.gz") as images:
        pixels = np.frombuffer(images.read(), np.uint8, offset=16).reshape(-1, 784)
    with gzip.open(DATA / "mnist" / f"{part}-labels-idx1-ubyte.gz") as labels:
        return (pixels / 255).astype(np.float32), np.frombuffer(labels.read(), np.uint8, offset=8).astype(int)


def memory(field: str) -> float:
    """Memory of the process in MB: "VmRSS" is what it holds now, "VmHWM" the most since `forget_peak` (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1e3


def forget_peak() -> None:
    """Start the peak afresh at what is held now."""
    Path("/proc/self/clear_refs").write_text("5")


def in_new_process(script: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Any:
    """Run a script with arguments and return what it printed last, read as JSON."""
    run = subprocess.run(
        [sys.executable, script, *arguments], env={**os.environ, **(environment or {})}, capture_output=True, text=True
    )
    if run.returncode:
        raise RuntimeError(f"{script} {' '.join(arguments)} failed:\n{run.stderr}")
    return json.loads(run.stdout.splitlines()[-1])


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print one table; numbers with three significant digits."""
    cells = [[cell if isinstance(cell, str) else f"{cell:.3g}" for cell in row] for row in rows]
    widths = [max(len(line[j]) for line in [columns, *cells]) for j in range(len(columns))]
    print(f"\n{title}")
    for line in [columns, *cells]:
        padded = [text.rjust(width) for text, width in zip(line[1:], widths[1:], strict=True)]
        print("  ".join([line[0].ljust(widths[0]), *padded]))


def save(script: str, figures: Any) -> None:
    """Write the figures of a script, with versions and load, to benchmarks/results."""
    RESULTS.mkdir(exist_ok=True)
    about = {
        "python": platform.python_version(), "numpy": np.__version__, "cpus": os.cpu_count(),
        "load": os.getloadavg()[0], "date": time.strftime("%Y-%m-%d %H:%M"),
    }  # fmt: skip
    path = RESULTS / f"{Path(script).stem}.json"
    path.write_text(json.dumps({"about": about, "figures": figures}, indent=1) + "\n")
