"""Log-likelihood per frame of models of the JSB chorales, every frame scored, the first included.

    python benchmarks/jsb.py
    python benchmarks/jsb.py --models "HMM, 50 states" "LSTM"

Vectors of 88 keys (Boulanger-Lewandowski et al. 2012). Options were chosen on the validation sequences; the test
sequences are scored once. "ordered" predicts the keys of a frame from the lowest to the highest, each also from those
below it; "transposed" fits to the training pieces in twelve keys, five semitones down to six up.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from common import DATA, save, table
from scipy.special import xlogy
from sklearn.exceptions import ConvergenceWarning

from reglm import HiddenMarkovModel, RecurrentGLM

COLUMNS = ("model", "train", "valid", "test", "seconds")
KEYS = 88
TRANSPOSED = range(-5, 7)
ADAM = {"solver": "adam", "learning_rate": 0.003, "schedule": "cosine", "dtype": "float32", "backend": "numba"}
INDEPENDENT = {"max_iter": 48, "batch_size": 6, "dropout": 0.5, "dropout_inputs": 0.2, "alpha": 1.0}
ORDERED = {"ordered": True, "max_iter": 40, "batch_size": 8, "dropout": 0.5, "alpha": 1.0}
LARGE = {"ordered": True, "max_iter": 16, "batch_size": 16, "dropout": 0.3, "dropout_inputs": 0.1, "alpha": 1.0}
PRIORS = {"emission": 0.02, "transition": 0.01, "initial": 0.01}

Pieces = tuple[np.ndarray, np.ndarray]


def pieces() -> dict[str, Pieces]:
    """Rows and lengths of the three parts."""
    stored = np.load(DATA / "jsb_chorales.npz")
    return {
        name: (np.unpackbits(stored[name], axis=1)[:, :KEYS].astype("float32"), stored[f"{name}_lengths"])
        for name in ("train", "valid", "test")
    }


def transposed(rows: np.ndarray, lengths: np.ndarray) -> Pieces:
    """The pieces in twelve keys; none comes near the ends of the keyboard."""
    return np.vstack([np.roll(rows, k, axis=1) for k in TRANSPOSED]), np.tile(lengths, len(TRANSPOSED))


def lstm(units: int, rows: np.ndarray, lengths: np.ndarray, options: dict[str, Any]) -> Any:
    """Fit an LSTM by Adam."""
    return RecurrentGLM("lstm", units, "bernoulli", random_state=0, **ADAM, **options).fit(rows, lengths=lengths)


def hmm(states: int, rows: np.ndarray, lengths: np.ndarray) -> Any:
    """Fit a hidden Markov model by 60 steps of EM."""
    model = HiddenMarkovModel(
        states, "bernoulli", init="random", priors=PRIORS, max_iter=60, tol=0.0, backend="numba", random_state=2
    )
    return model.fit(rows.astype(float), lengths=lengths)


MODELS: dict[str, Callable[[np.ndarray, np.ndarray], Any]] = {
    "HMM, 50 states": lambda rows, lengths: hmm(50, rows, lengths),
    "HMM, 100 states": lambda rows, lengths: hmm(100, rows, lengths),
    "HMM, 100 states, transposed": lambda rows, lengths: hmm(100, *transposed(rows, lengths)),
    "LSTM": lambda rows, lengths: lstm(100, rows, lengths, INDEPENDENT),
    "LSTM, ordered": lambda rows, lengths: lstm(64, rows, lengths, ORDERED),
    "LSTM, ordered, transposed": lambda rows, lengths: lstm(100, *transposed(rows, lengths), LARGE),
}


def independent(parts: dict[str, Pieces]) -> list[Any]:
    """Keys independent of one another and of time."""
    p = parts["train"][0].mean(axis=0, dtype=float).clip(1e-4)
    scores = [float((xlogy(rows, p) + xlogy(1 - rows, 1 - p)).sum() / len(rows)) for rows, _ in parts.values()]
    return ["independent keys", *scores, 0.0]


def measured(name: str, parts: dict[str, Pieces]) -> list[Any]:
    """One line of the table."""
    start = time.perf_counter()
    model = MODELS[name](*parts["train"])
    seconds = time.perf_counter() - start
    scores = [float(model.logpdf(rows, lengths=lengths).sum() / len(rows)) for rows, lengths in parts.values()]
    print(name, *(f"{score:.3f}" for score in scores), f"{seconds:.0f} s", flush=True)
    return [name, *scores, seconds]


def main() -> None:
    """Measure, print one table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # the numbers of epochs and of EM steps are options here
    parts = pieces()
    lines = [independent(parts), *(measured(name, parts) for name in options.models)]
    table("JSB chorales, log-likelihood per frame", COLUMNS, lines)
    save(__file__, [dict(zip(COLUMNS, line, strict=True)) for line in lines])


if __name__ == "__main__":
    main()
