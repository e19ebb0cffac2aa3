"""Finite networks against the kernels of their architecture.

    python benchmarks/wide_networks.py
    python benchmarks/wide_networks.py --draws 100 --widths 128 512

First, random networks of width 4,096 in the NTK parametrisation: covariances of outputs given the last hidden layer
(NNGP) and tangent kernels, averaged over draws; the largest z over the entries with its Bonferroni bound. With two
hidden layers the mean itself is off by O(1 / width); what of the difference exceeds the noise is given as a multiple
of 1 / width.

Then networks of one hidden layer trained by full-batch gradient descent on 100 points with a penalty lambda on the
distance from the start, the initial function subtracted. As the width m grows their predictions approach kernel ridge
regression with the tangent kernel as m^-1/2: the curve, and its slope in logarithms.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from common import save, table
from scipy.stats import norm

from reglm import NetworkKernel

WIDTH, WEIGHT, BIAS = 4096, 1.7, 0.2
ACTIVATIONS = {
    "relu": (lambda a: np.maximum(a, 0), lambda a: (a > 0).astype(float)),
    "tanh": (np.tanh, lambda a: 1 - np.tanh(a) ** 2),
    "sin+cos": (lambda a: np.sin(a) + np.cos(a), lambda a: np.cos(a) - np.sin(a)),
}
POINTS, NEW, PENALTIES, WIDTHS, REPEATS = 100, 50, (1.0, 0.1), (128, 256, 512, 1024, 2048, 4096), 10


class Layer(NamedTuple):
    """Standard normal weights and biases; the scales are in `forward`."""

    W: np.ndarray
    b: np.ndarray


def drawn(rng: np.random.Generator, sizes: Sequence[int]) -> list[Layer]:
    """Random network with these widths, the input's first."""
    return [Layer(rng.normal(size=(p, q)), rng.normal(size=q)) for p, q in pairwise(sizes)]


def forward(layers: Sequence[Layer], X: np.ndarray, f) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Inputs h of the layers and what their affine maps give."""
    h, inputs, affine = X, [], []
    for layer in layers:
        inputs.append(h)
        affine.append(np.sqrt(WEIGHT / h.shape[1]) * h @ layer.W + np.sqrt(BIAS) * layer.b)
        h = f(affine[-1])
    return inputs, affine


def kernels(layers: Sequence[Layer], X: np.ndarray, activation: str) -> tuple[np.ndarray, np.ndarray]:
    """Covariance (n, n) of the outputs given the last hidden layer, and ``J J'`` by all weights and biases."""
    f, slope = ACTIVATIONS[activation]
    inputs, affine = forward(layers, X, f)
    delta, tangent = np.ones((len(X), 1)), np.zeros((len(X), len(X)))
    for layer, h, below in reversed(list(zip(layers, inputs, [None, *affine[:-1]], strict=True))):
        tangent += (WEIGHT / h.shape[1] * h @ h.T + BIAS) * (delta @ delta.T)
        if below is not None:
            delta = np.sqrt(WEIGHT / h.shape[1]) * delta @ layer.W.T * slope(below)
    return WEIGHT / inputs[-1].shape[1] * inputs[-1] @ inputs[-1].T + BIAS, tangent


def random_networks(draws: int, seed: int = 0) -> list[list[object]]:
    """Lines of the first table."""
    X = np.random.default_rng(seed).normal(size=(5, 4))
    upper = np.triu_indices(len(X))
    lines: list[list[object]] = []
    for activation in ACTIVATIONS:
        for depth in (1, 2):
            rng = np.random.default_rng(seed + 1)
            sizes = [X.shape[1], *[WIDTH] * depth, 1]
            found = np.array(
                [kernels(drawn(rng, sizes), X, activation) for _ in range(draws if depth == 1 else draws // 8)]
            )
            for j, kind in enumerate(("nngp", "ntk")):
                entries = found[:, j][:, upper[0], upper[1]]
                expected = NetworkKernel(depth, activation, kind, WEIGHT, BIAS)(X)[upper]
                error = entries.std(axis=0, ddof=1) / np.sqrt(len(entries))
                gap = np.abs(entries.mean(axis=0) - expected)
                bound = norm.isf(0.005 / len(error))
                excess = np.maximum(gap - bound * error, 0) / np.abs(expected) * WIDTH
                lines.append([f"{activation}, {depth} hidden, {kind}", float(len(entries)), (gap / error).max(), bound,
                              excess.max()])  # fmt: skip
    return lines


def trained(
    layers: list[Layer], X: np.ndarray, y: np.ndarray, new: np.ndarray, activation: str, penalty: float
) -> np.ndarray:
    """Predictions for `new`, less the initial function, after gradient descent on the penalised squared error.

    The step is 1 over the largest eigenvalue of ``J J' + lambda`` at the start, with Nesterov's momentum for its
    condition number; iterations go on until the gradient has fallen by 1e-7.
    """
    f, slope = ACTIVATIONS[activation]
    start = [Layer(layer.W.copy(), layer.b.copy()) for layer in layers]
    before, before_new = (forward(start, rows, f)[1][-1][:, 0] for rows in (X, new))
    largest = np.linalg.eigvalsh(kernels(start, X, activation)[1])[-1] + penalty
    root = np.sqrt(penalty / largest)
    momentum, step, first = (1 - root) / (1 + root), 1 / largest, None
    now, ahead = start, start
    for _ in range(20_000):
        inputs, affine = forward(ahead, X, f)
        delta = (affine[-1][:, 0] - before - y)[:, None]
        gradient: list[Layer] = []
        for k in (1, 0):
            h = inputs[k]
            scale = np.sqrt(WEIGHT / h.shape[1])
            pull = penalty * (ahead[k].W - layers[k].W), penalty * (ahead[k].b - layers[k].b)
            gradient.insert(0, Layer(scale * h.T @ delta + pull[0], np.sqrt(BIAS) * delta.sum(axis=0) + pull[1]))
            if k:
                delta = scale * delta @ ahead[k].W.T * slope(affine[0])
        size = max(float(np.abs(part).max()) for layer in gradient for part in layer)
        first = first or size
        then = [Layer(*(p - step * g for p, g in zip(a, b, strict=True))) for a, b in zip(ahead, gradient, strict=True)]
        ahead = [
            Layer(*(p + momentum * (p - q) for p, q in zip(a, b, strict=True))) for a, b in zip(then, now, strict=True)
        ]
        now = then
        if size < 1e-7 * first:
            break
    return forward(now, new, f)[1][-1][:, 0] - before_new


def training(
    widths: Sequence[int], repeats: int, penalty: float, activation: str = "tanh"
) -> tuple[list[list[object]], float, float]:
    """Lines of the second table, the slope of the logarithms, and the condition number of ``T + lambda``."""
    rng = np.random.default_rng(0)
    X, new = rng.normal(size=(POINTS, 3)), rng.normal(size=(NEW, 3))
    y = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + 0.1 * rng.normal(size=POINTS)
    kernel = NetworkKernel(1, activation, "ntk", WEIGHT, BIAS)
    T = kernel(X) + penalty * np.eye(POINTS)
    limit = kernel(new, X) @ np.linalg.solve(T, y)
    lines: list[list[object]] = []
    for width in widths:
        gaps = [
            np.sqrt(np.mean((trained(drawn(rng, [3, width, 1]), X, y, new, activation, penalty) - limit) ** 2))
            for _ in range(repeats)
        ]
        relative = np.array(gaps) / np.sqrt(np.mean(limit**2))
        mean = relative.mean()
        lines.append([str(width), mean, relative.std(ddof=1) / np.sqrt(repeats), mean * np.sqrt(width)])
    slope = np.polyfit(np.log(widths), np.log([line[1] for line in lines]), 1)[0]
    return lines, float(slope), float(np.linalg.cond(T))


def main() -> None:
    """Measure, print two tables, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=4000)
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--penalties", type=float, nargs="+", default=PENALTIES)
    options = parser.parse_args()
    random = random_networks(options.draws)
    table(f"random networks of width {WIDTH}", ("case", "draws", "largest z", "bound", "excess x width"), random)
    curves = {}
    for penalty in options.penalties:
        lines, slope, condition = training(options.widths, options.repeats, penalty)
        table(f"trained networks, lambda {penalty:g}", ("width", "relative gap", "its error", "gap x width^1/2"), lines)
        print(f"slope {slope:.3f}, condition number {condition:.3g}", flush=True)
        curves[f"{penalty:g}"] = {"lines": lines, "slope": slope, "condition": condition}
    save(__file__, {"random": random, "trained": curves})


if __name__ == "__main__":
    main()
