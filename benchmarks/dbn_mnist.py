"""MNIST errors with features of a Boltzmann machine, and of a deep belief network that is fine-tuned.

    python benchmarks/dbn_mnist.py --epochs 20 --tuning 30

Published: 1.83% for an RBM with logistic regression on its features, 1.27% to 1.34% for a fine-tuned network of 500,
500 and 2,000 units. The same network without pre-training stands beside it.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
from common import mnist, save, table
from sklearn.exceptions import ConvergenceWarning

from reglm import DeepBeliefNetwork, RecursiveGLMClassifier


def tuning(epochs: int) -> dict:
    """Options of the classifiers."""
    return {
        "solver": "adam", "learning_rate": 1e-3, "schedule": "cosine", "batch_size": 128, "max_iter": epochs,
        "n_iter_no_change": epochs, "tol": 0.0, "balance": False, "dtype": "float32", "verbose": 1, "random_state": 0,
    }  # fmt: skip


def main() -> None:
    """Train, fine-tune, compare."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--tuning", type=int, default=30)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--layers", type=int, nargs="+", default=[500, 500, 2000])
    parser.add_argument("--features", type=int, default=1000)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is the limit
    (train, y), (test, labels) = mnist(), mnist("t10k")
    train, y = train[: arguments.rows], y[: arguments.rows]
    rows = []

    def judge(name: str, seconds: float, predicted: np.ndarray) -> None:
        rows.append([name, seconds, 100 * float((predicted != labels).mean())])

    options = {"max_iter": arguments.epochs, "verbose": 1, "random_state": 0}
    start = time.perf_counter()
    features = DeepBeliefNetwork([arguments.features], "bernoulli", **options).fit(train)
    glm = RecursiveGLMClassifier(alpha=1.0, **tuning(arguments.tuning)).fit(features.transform(train), y)
    judge("RBM + logistic regression", time.perf_counter() - start, glm.predict(features.transform(test)))
    start = time.perf_counter()
    stack = DeepBeliefNetwork(arguments.layers, "bernoulli", **options).fit(train)
    model = stack.to_classifier(**tuning(arguments.tuning)).fit(train, y)
    judge("DBN, fine-tuned", time.perf_counter() - start, model.predict(test))
    start = time.perf_counter()
    cold = RecursiveGLMClassifier(arguments.layers, "sigmoid", **tuning(arguments.tuning)).fit(train, y)
    judge("the same network, random start", time.perf_counter() - start, cold.predict(test))
    title = f"MNIST, {len(train):,} images, {arguments.epochs} epochs of training and {arguments.tuning} of tuning"
    table(title, ["", "s", "error %"], rows)
    save(__file__, [dict(zip(("model", "seconds", "error"), row, strict=True)) for row in rows])


if __name__ == "__main__":
    main()
