"""Kernel regressions and recursive GLMs on the concrete and energy data, over the 20 published splits.

    python benchmarks/uci_kernels.py
    python benchmarks/uci_kernels.py --data concrete --splits 2

Root mean squared error and mean log-density of the test rows, in the units of the response, with standard errors over
splits; seconds are those of one fit, choice of penalty and kernel parameters included. Inputs and response are
standardised by the training rows. Whatever a method leaves open is chosen on the training rows of each split: forms and
parameters of kernels on 400 of them, by the criterion that then chooses the penalty on all; architecture, penalty and
number of starts of the network by its log-density on a fifth of them that it is not fitted to. The dual on learned
features takes the network as it is, so its seconds come on top of the network's. scikit-learn's KernelRidge gets a
normal density with the cross-validated variance of the penalty and width it chose; all others have one of their own.
Everything runs on one thread.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from common import DATA, save, table
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Kernel, WhiteKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV, KFold
from threadpoolctl import threadpool_limits

from reglm import KernelDualRegressor, NetworkKernel, RecursiveGLMRegressor

COLUMNS = ("model", "RMSE", "std err", "log-density", "std err", "seconds")
PENALTIES = np.geomspace(1e-4, 1, 7)
WIDTHS = np.geomspace(0.01, 1, 5)
SEARCHED = 400
HIDDEN = ((20,), (50,), (20, 10))
DECAYS = (0.1, 0.3, 1.0, 3.0)
STARTS, STEPS = 3, 300

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Split:
    """Standardised rows of one split."""

    X: Array
    y: Array
    new: Array
    response: Array


Settings = tuple[tuple[int, ...], float, int]
"""Hidden layers, penalty, number of starts."""
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


def searched(s: Split) -> tuple[Array, Array]:
    """Rows on which kernels are chosen; their order is random."""
    return s.X[:SEARCHED], s.y[:SEARCHED]


def lengths(s: Split) -> list[RBF]:
    """Forms of the squared exponential: one length scale, or one for each input."""
    return [RBF(2.0), RBF(np.full(s.X.shape[1], 2.0))]


def wide_networks(s: Split) -> list[NetworkKernel]:
    """Tangent kernels of several depths and activations."""
    forms = [("relu", 1), ("relu", 2), ("relu", 3), ("erf", 1)]
    return [NetworkKernel(depth, activation, "ntk") for activation, depth in forms]


def dual(forms: Callable[[Split], list[Kernel]], alpha: str) -> Predictor:
    """Kernel regression: form, parameters and penalty of the kernel by one criterion of the training rows."""

    def predict(s: Split) -> tuple[Array, Array]:
        tried = [
            KernelDualRegressor(form, alpha=alpha, optimize_kernel="criterion").fit(*searched(s)) for form in forms(s)
        ]
        chosen = min(tried, key=lambda model: model.restarts_[0]["value"])
        model = KernelDualRegressor(chosen.kernel_.kernel, alpha=alpha).fit(s.X, s.y)
        return model.predict(s.new), model.logpdf(s.new, s.response)

    return predict


def fitted_network(X: Array, y: Array, settings: Settings) -> RecursiveGLMRegressor:
    """Recursive GLM of tanh units."""
    hidden, alpha, starts = settings
    model = RecursiveGLMRegressor(hidden=hidden, alpha=alpha, n_init=starts, max_iter=STEPS, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is stopped early on purpose
        return model.fit(X, y)


@cache
def network(s: Split) -> RecursiveGLMRegressor:
    """Architecture, penalty and number of starts by the log-density of every fifth training row."""
    held = np.arange(len(s.y)) % 5 == 0

    def loss(settings: Settings) -> float:
        model = fitted_network(s.X[~held], s.y[~held], settings)
        return -float(np.mean(model.logpdf(s.X[held], s.y[held])))

    losses = {(hidden, alpha, 1): loss((hidden, alpha, 1)) for hidden in HIDDEN for alpha in DECAYS}
    hidden, alpha, _ = best = min(losses, key=losses.__getitem__)
    more = (hidden, alpha, STARTS)
    return fitted_network(s.X, s.y, more if loss(more) < losses[best] else best)


def recursive_glm(s: Split) -> tuple[Array, Array]:
    """Return the network's own predictions."""
    model = network(s)
    return model.predict(s.new), model.logpdf(s.new, s.response)


def learned_dual(s: Split) -> tuple[Array, Array]:
    """The network's dual: kernel regression on its last hidden layer, the penalty by marginal likelihood."""
    model = network(s).dual(alpha="reml")
    return model.predict(s.new), model.logpdf(s.new, s.response)


def kernel_ridge(s: Split) -> tuple[Array, Array]:
    """scikit-learn's kernel ridge, penalty and width by five folds."""
    folds = KFold(5, shuffle=True, random_state=0)
    search = GridSearchCV(
        KernelRidge(kernel="rbf"), {"alpha": PENALTIES, "gamma": WIDTHS}, scoring="neg_mean_squared_error", cv=folds
    ).fit(s.X, s.y)
    mean = search.predict(s.new)
    return mean, norm.logpdf(s.response, mean, np.sqrt(-search.best_score_))


def gaussian_process(s: Split) -> tuple[Array, Array]:
    """scikit-learn's Gaussian process: length scales where the duals have theirs, variances on all rows."""

    def fitted(form: Kernel, X: Array, y: Array) -> GaussianProcessRegressor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            kernel = ConstantKernel(1.0) * form + WhiteKernel(0.1)
            return GaussianProcessRegressor(kernel, normalize_y=True).fit(X, y)

    tried = [fitted(form, *searched(s)) for form in lengths(s)]
    chosen = max(tried, key=lambda model: model.log_marginal_likelihood_value_)
    form = RBF(chosen.kernel_.k1.k2.length_scale, "fixed")
    mean, spread = fitted(form, s.X, s.y).predict(s.new, return_std=True)
    return mean, norm.logpdf(s.response, mean, spread)


MODELS: dict[str, Predictor] = {
    "rbf dual, leave-one-out": dual(lengths, "loo"),
    "rbf dual, REML": dual(lengths, "reml"),
    "NTK dual, REML": dual(wide_networks, "reml"),
    "recursive GLM": recursive_glm,
    "learned features, dual, REML": learned_dual,
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
