"""Kernel regressions and recursive GLMs on the concrete and energy data, over the 20 published splits.

    python benchmarks/uci_kernels.py
    python benchmarks/uci_kernels.py --data concrete --splits 2

Root mean squared error and mean log-density of the test rows, in the units of the response, with standard errors over
splits; seconds are those of one fit, choice of penalty and kernel parameters included. Inputs and response are
standardised by the training rows. scikit-learn's KernelRidge gets a normal density with the cross-validated variance of
the penalty and width it chose; all others have one of their own. Everything runs on one thread.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from common import DATA, save, table
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV, KFold
from threadpoolctl import threadpool_limits

from reglm import KernelDualRegressor, NetworkKernel, RecursiveGLMRegressor

COLUMNS = ("model", "RMSE", "std err", "log-density", "std err", "seconds")
PENALTIES = np.geomspace(1e-4, 1, 7)
WIDTHS = np.geomspace(0.01, 1, 5)

Array = np.ndarray


class Split(NamedTuple):
    """Standardised rows of one split."""

    X: Array
    y: Array
    new: Array
    response: Array


Predictor = Callable[[Split], tuple[Array, Array]]
"""Means of the test rows and their log-densities."""


def splits(name: str, count: int) -> tuple[list[Split], list[float]]:
    """Return the first published splits, standardised by the training rows, and the scales of the response."""
    rows = np.load(DATA / f"uci_{name}.npz")
    data = rows[rows.files[0]].astype(float)
    rs, found, scales = np.random.RandomState(1), [], []
    for _ in range(count):
        order = rs.choice(range(len(data)), len(data), replace=False)
        first = round(0.9 * len(data))
        train, test = data[order[:first]], data[order[first:]]
        spread = train.std(axis=0)
        train, test = ((part - train.mean(axis=0)) / np.where(spread > 0, spread, 1.0) for part in (train, test))
        found.append(Split(train[:, :-1], train[:, -1], test[:, :-1], test[:, -1]))
        scales.append(float(spread[-1]))
    return found, scales


def dual(kernel: object, alpha: str, **options: object) -> Predictor:
    """Kernel regression with parameters and penalty by a criterion."""

    def predict(s: Split) -> tuple[Array, Array]:
        model = KernelDualRegressor(kernel, alpha=alpha, optimize_kernel="criterion", **options).fit(s.X, s.y)
        return model.predict(s.new), model.logpdf(s.new, s.response)

    return predict


def network(s: Split) -> RecursiveGLMRegressor:
    """Recursive GLM with two layers of tanh units, its penalty by three folds."""
    model = RecursiveGLMRegressor(hidden=(20, 10), n_init=2, max_iter=500, random_state=0)
    folds = KFold(3, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is stopped early on purpose
        return GridSearchCV(model, {"alpha": [0.3, 1.0, 3.0]}, cv=folds).fit(s.X, s.y).best_estimator_


def recursive_glm(s: Split) -> tuple[Array, Array]:
    """Return the network's own predictions."""
    model = network(s)
    return model.predict(s.new), model.logpdf(s.new, s.response)


def learned_dual(s: Split) -> tuple[Array, Array]:
    """Kernel regression on the network's last hidden layer, its penalty by marginal likelihood."""
    model = network(s)
    K, cross = model.feature_kernel(s.X), model.feature_kernel(s.new, s.X)
    diagonal = np.diag(model.feature_kernel(s.new))
    found = KernelDualRegressor("precomputed", alpha="reml").fit(K, s.y)
    mean = found.predict(cross)
    # new rows of a precomputed kernel have no diagonal, so the variance of the mean is that of the weights
    scale = found.dispersion_ / found.alpha_
    solved = np.linalg.solve(K + found.alpha_ * np.eye(len(K)), cross.T)
    variance = found.dispersion_ + scale * np.maximum(diagonal - np.einsum("ij,ji->i", cross, solved), 0)
    return mean, norm.logpdf(s.response, mean, np.sqrt(variance))


def kernel_ridge(s: Split) -> tuple[Array, Array]:
    """scikit-learn's kernel ridge, penalty and width by five folds."""
    folds = KFold(5, shuffle=True, random_state=0)
    search = GridSearchCV(
        KernelRidge(kernel="rbf"), {"alpha": PENALTIES, "gamma": WIDTHS}, scoring="neg_mean_squared_error", cv=folds
    ).fit(s.X, s.y)
    mean = search.predict(s.new)
    return mean, norm.logpdf(s.response, mean, np.sqrt(-search.best_score_))


def gaussian_process(s: Split) -> tuple[Array, Array]:
    """scikit-learn's Gaussian process with one length scale, as the duals have."""
    kernel = ConstantKernel(1.0) * RBF(2.0) + WhiteKernel(0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = GaussianProcessRegressor(kernel, normalize_y=True).fit(s.X, s.y)
    mean, spread = model.predict(s.new, return_std=True)
    return mean, norm.logpdf(s.response, mean, spread)


MODELS: dict[str, Predictor] = {
    "rbf dual, leave-one-out": dual("rbf", "loo"),
    "rbf dual, REML": dual("rbf", "reml"),
    "NTK dual (2 layers, relu), REML": dual(NetworkKernel(2, "relu", "ntk"), "reml"),
    "NTK dual (2 layers, erf), REML": dual(NetworkKernel(2, "erf", "ntk"), "reml"),
    "learned features, dual, REML": learned_dual,
    "recursive GLM": recursive_glm,
    "scikit-learn KernelRidge, CV": kernel_ridge,
    "scikit-learn Gaussian process": gaussian_process,
}


def measured(predict: Predictor, every: list[Split], scales: list[float]) -> list[float]:
    """Line of the table: means over splits with standard errors."""
    errors, densities, seconds = [], [], []
    for split, scale in zip(every, scales, strict=True):
        began = time.perf_counter()
        mean, log_density = predict(split)
        seconds.append(time.perf_counter() - began)
        errors.append(scale * float(np.sqrt(np.mean((mean - split.response) ** 2))))
        densities.append(float(np.mean(log_density)) - np.log(scale))
    root = np.sqrt(len(every))
    deviations = [float(np.std(values, ddof=1)) / root if len(every) > 1 else np.nan for values in (errors, densities)]
    return [
        float(np.mean(errors)), deviations[0], float(np.mean(densities)), deviations[1], float(np.mean(seconds))
    ]  # fmt: skip


def main() -> None:
    """Measure, print a table for each data set, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", default=["concrete", "energy"], choices=["concrete", "energy", "yacht"])
    parser.add_argument("--splits", type=int, default=20)
    options = parser.parse_args()
    if not DATA.exists():
        raise SystemExit(f"no data in {DATA}; set REGLM_DATA.")
    figures = {}
    for name in options.data:
        every, scales = splits(name, options.splits)
        with threadpool_limits(1):
            lines = [[model, *measured(predict, every, scales)] for model, predict in MODELS.items()]
        table(f"{name}, {options.splits} splits", COLUMNS, lines)
        keys = ("model", "rmse", "rmse_se", "log_density", "log_density_se", "seconds")
        figures[name] = [dict(zip(keys, line, strict=True)) for line in lines]
    save(__file__, figures)


if __name__ == "__main__":
    main()
