"""The first fit in a fresh process with empty caches: 1,000 x 10, ten units, import included.

    python benchmarks/first_fit.py

Each row is a process of its own, with an empty folder for compiled code (and the same folder again for "warm").
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from common import in_new_process, save, table

CASES = {
    "import reglm": "pass",
    "import estimators": "reglm.RecursiveGLMRegressor",
    "fit, gaussian": "reglm.RecursiveGLMRegressor((10,), random_state=0).fit(X, y)",
    "fit, poisson": "reglm.RecursiveGLMRegressor((10,), family='poisson', random_state=0).fit(X, counts)",
    "fit, classes": "reglm.RecursiveGLMClassifier((10,), random_state=0).fit(X, y > 0)",
    "fit, GLM": "reglm.RecursiveGLMRegressor(family='poisson').fit(X, counts)",
    "fit, numba": (
        "reglm.RecursiveGLMRegressor((10,), family='poisson', backend='numba', random_state=0).fit(X, counts)"
    ),
}
PEERS = {
    "scikit-learn, import": "import sklearn.neural_network",
    "scikit-learn, fit": (
        "from sklearn.neural_network import MLPRegressor;"
        "MLPRegressor(hidden_layer_sizes=(10,), activation='tanh', solver='lbfgs', alpha=0., max_iter=500)"
        ".fit(X, y)"
    ),
}
HEAD = (
    "import time, warnings; a, c = time.perf_counter(), time.process_time(); warnings.simplefilter('ignore')\n"
    "import numpy as np\n"
    "def data():\n"
    "    r = np.random.default_rng(0); X = r.normal(size=(1000, 10)); z = np.sin(X[:, 0]) + X[:, 1] * X[:, 2] / 2\n"
    "    return X, z + r.normal(size=1000) / 2, r.poisson(np.exp(z / 2)).astype(float)\n"
)


def script(code: str, is_ours: bool) -> str:
    """Python that times itself and prints [wall, CPU, compilations by backend]."""
    lines, counts = [HEAD], is_ours and "fit" in code
    if is_ours:
        lines.append("import reglm\n")
    if "X" in code:
        lines.append("X, y, counts = data()\n")
    if counts:
        lines.append("from reglm.compiling import count_compilations\n")
        lines.append("count = count_compilations(); n = count.__enter__()\n")
    lines.append(code + "\n")
    lines.append("b, d = time.perf_counter() - a, time.process_time() - c\n")
    if counts:
        lines.append("count.__exit__(None, None, None)\n")
    lines.append(f"import json; print(json.dumps([b, d, {'n' if counts else '{}'}]))\n")
    return "".join(lines)


def main() -> None:
    """Measure, print one table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--only", default="", help="part of the names of the rows to measure")
    options = parser.parse_args()
    rows = []
    for name, code in {**CASES, **PEERS}.items():
        if options.only not in name:
            continue
        best: dict[str, list] = {}
        for _ in range(options.turns):
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "case.py"
                file.write_text(script(code, name in CASES))
                environment = {"PYTENSOR_FLAGS": f"base_compiledir={folder}", "NUMBA_CACHE_DIR": f"{folder}/numba"}
                for state in ("cold", "warm"):
                    start = time.perf_counter()
                    figures = in_new_process(str(file), environment=environment)
                    figures.append(time.perf_counter() - start)
                    best[state] = min(best.get(state, figures), figures)
        cold, warm = best["cold"], best["warm"]
        compiled = " ".join(f"{backend} {n}" for backend, n in cold[2].items() if n) or "none"
        rows.append([name, cold[0], cold[1], cold[3], warm[0], warm[1], compiled])
    head = ["", "cold s", "CPU s", "process s", "warm s", "CPU s ", "compiled"]
    table("First fit, 1,000 x 10, fresh process, empty caches", head, rows)
    save(__file__, [dict(zip(head, row, strict=True)) for row in rows])


if __name__ == "__main__":
    main()
