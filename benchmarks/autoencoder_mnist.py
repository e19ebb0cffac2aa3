"""MNIST through a code of 30 numbers: squared error per test image of PCA and of deep autoencoders.

    python benchmarks/autoencoder_mnist.py --epochs 100

Hinton & Salakhutdinov (2006) give 13.87 for PCA, 8.01 for logistic PCA and 3.00 for a 784-1000-500-250-30 autoencoder
started from Boltzmann machines. Ours: Bernoulli likelihood, Adam, float32, from random start values, and with
`--pretrain` from Boltzmann machines.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
from common import mnist, save, table
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning

from reglm import Autoencoder

ENCODER, CODE = (1000, 500, 250), 30


def squared_error(images: np.ndarray, restored: np.ndarray) -> float:
    """Mean over images of the squared distance to what is restored."""
    return float(((images - restored) ** 2).sum(axis=1).mean())


def deep(pretrain: str | None, epochs: int, seed: int) -> Autoencoder:
    """Return the published architecture; units of the hidden layers are logistic, the code is linear."""
    hidden = (*ENCODER, CODE, *ENCODER[::-1])
    f = "sigmoid" if pretrain else "relu"
    activation = (*(f for _ in ENCODER), "identity", *(f for _ in ENCODER))
    return Autoencoder(
        hidden, activation, "bernoulli", pretrain=pretrain, solver="adam", batch_size=128, learning_rate=1e-3,
        schedule="cosine", max_iter=epochs, n_iter_no_change=epochs, tol=0.0, dtype="float32", verbose=1,
        random_state=seed,
    )  # fmt: skip


def main() -> None:
    """Fit and compare."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--pretrain", action="store_true")
    arguments = parser.parse_args()
    (train, _), (test, _) = mnist(), mnist("t10k")
    train = train[: arguments.rows]
    start = time.perf_counter()
    pca = PCA(CODE, random_state=0).fit(train)
    rows = [["PCA", time.perf_counter() - start, squared_error(test, pca.inverse_transform(pca.transform(test)))]]
    for name, pretrain in (("deep, random start", None), ("deep, from RBMs", "rbm"))[: 1 + arguments.pretrain]:
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is the limit
            model = deep(pretrain, arguments.epochs, 0).fit(train)
        rows.append([name, time.perf_counter() - start, squared_error(test, model.predict(test))])
    table(f"code of {CODE}, {len(train):,} images, {arguments.epochs} epochs", ["", "s", "squared error"], rows)
    save(__file__, [dict(zip(("model", "seconds", "squared_error"), row, strict=True)) for row in rows])


if __name__ == "__main__":
    main()
