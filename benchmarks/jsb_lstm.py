"""Test log-likelihood per frame of an LSTM on the JSB chorales: options chosen on the validation sequences.

    PYTHONPATH=src REGLM_DATA=../shared/data python benchmarks/jsb_lstm.py

The published LSTM has -8.45. About a minute on one core.
"""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from reglm import RecurrentGLM

OPTIONS = {
    "solver": "adam", "batch_size": 6, "learning_rate": 0.003, "schedule": "cosine", "dropout": 0.5,
    "dropout_inputs": 0.2, "alpha": 1.0, "dtype": "float32", "backend": "numba", "random_state": 0,
}  # fmt: skip


def main() -> None:
    path = Path(os.environ.get("REGLM_DATA", "../shared/data")) / "jsb_chorales.npz"
    if not path.exists():
        raise SystemExit(f"{path} is not here; set REGLM_DATA to the folder that holds jsb_chorales.npz.")
    stored = np.load(path)
    rows = {name: np.unpackbits(stored[name], axis=1)[:, :88].astype("float32") for name in ("train", "valid", "test")}
    lengths = {name: stored[f"{name}_lengths"] for name in rows}
    warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is an option here
    for parts, epochs in ((["train"], 48), (["train", "valid"], 52)):
        start = time.perf_counter()
        model = RecurrentGLM("lstm", 100, "bernoulli", max_iter=epochs, **OPTIONS)
        model.fit(np.vstack([rows[p] for p in parts]), lengths=np.concatenate([lengths[p] for p in parts]))
        seconds = time.perf_counter() - start
        scores = ", ".join(f"{name} {model.score(rows[name], lengths=lengths[name]):.3f}" for name in rows)
        print(f"fitted to {' and '.join(parts)} in {seconds:.0f} s: {scores}")


if __name__ == "__main__":
    main()
