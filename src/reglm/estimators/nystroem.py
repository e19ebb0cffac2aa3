"""Kernel regression on landmarks: what `KernelDualRegressor` does with ``approximation="nystroem"``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from scipy import sparse

from reglm.estimators.kernel_rows import Rows as CodedRows
from reglm.kernels import budget, falkon, penalties
from reglm.kernels.blocks import Blocks, Gaussian, Gram
from reglm.kernels.grams import Exponential, GramSource, resolve
from reglm.kernels.landmarks import KINDS, select
from reglm.kernels.lowrank import LowRank, Rows, decompose, scaled_rows
from reglm.kernels.projected import Projected, projected
from reglm.parameters import Array

SOLVERS = ("auto", "direct", "cg")
DTYPES = ("float64", "float32")
DIRECT = 4000
"""Landmarks up to which a given penalty is solved for directly by ``solver="auto"``."""
ROWS = 4096
"""New rows that are predicted at once."""


def check(model: Any) -> None:
    """Raise ValueError for arguments that cannot be used with landmarks."""
    m = model.n_landmarks
    for name, right, rule in (
        ("approximation", model.approximation in (None, "nystroem"), "None or 'nystroem'"),
        ("n_landmarks", isinstance(m, int | np.integer) and m >= 1, "a whole number of at least 1"),
        ("landmarks", model.landmarks in KINDS, f"one of {KINDS}"),
        ("solver", model.solver in SOLVERS, f"one of {SOLVERS}"),
        ("dtype", model.dtype in DTYPES, f"one of {DTYPES}"),
    ):
        if not right:
            raise ValueError(f"{name}={getattr(model, name)!r} must be {rule}.")
    if model.approximation is None:
        return
    if isinstance(model.kernel, str) and model.kernel == "precomputed":
        raise ValueError("approximation='nystroem' evaluates the kernel itself; it cannot use kernel='precomputed'.")
    if model.optimize_kernel is not None:
        raise ValueError(
            f"optimize_kernel={model.optimize_kernel!r} needs approximation=None; tune on a sample of the rows first."
        )
    if not isinstance(model.alpha, str) and not model.alpha > 0:
        raise ValueError(f"alpha={model.alpha!r} must be positive with approximation='nystroem'.")
    if isinstance(model.alpha, str) and model.solver == "cg":
        raise ValueError(f"alpha={model.alpha!r} needs solver='direct': conjugate gradients solve for one penalty.")


def fit(model: Any, coded: CodedRows, target: Array, weights: Array) -> None:
    """Fit a `KernelDualRegressor` on landmarks and set its attributes.

    Parameters
    ----------
    model : KernelDualRegressor
    coded : reglm.estimators.kernel_rows.Rows
    target : ndarray (n, k)
        Responses less offsets.
    weights : ndarray (n,)
    """
    rng = model._generator()
    X, Z, rows = prepared(model, coded, target, weights, rng)
    memory = int(budget.parse(model.memory_limit))
    direct = (
        Z.shape[0] <= DIRECT or isinstance(model.alpha, str) if model.solver == "auto" else model.solver == "direct"
    )
    if direct:
        model.dual_ = decompose(model._gram, X, Z, rows, memory=memory, dtype=model.dtype)
        _describe(model, model.dual_, coded)
        model.dual_.features.forget()
    else:
        model._lam = np.full(target.shape[1], float(model.alpha))
        with progress(model.verbose) as report:
            model.dual_ = falkon.solve(
                model._gram, X, Z, rows, float(model.alpha), rng, memory=memory, dtype=model.dtype, tol=model.tol,
                max_iter=model.max_iter, progress=report,
            )  # fmt: skip
        _describe_iterated(model, model.dual_, rows, coded)


def prepared(
    model: Any, coded: CodedRows, target: Array, weights: Array, rng: np.random.Generator
) -> tuple[Any, Any, Rows]:
    """Set the kernel; return the rows of positive weight that it sees, its landmarks, and the scaled rows."""
    chosen = slice(None) if len(model.support_) == len(weights) else model.support_
    X, w = coded.X[chosen].astype(model.dtype, copy=False), weights[chosen]
    model.kernel_ = resolve(model.kernel, X, w, model.gamma, model.kernel_params)
    model._gram = gram_of(model.kernel_, X)
    Z = select(model.landmarks, X, model.n_landmarks, model._gram, rng, w)
    return X, Z, scaled_rows(target[chosen], coded.linear[chosen], w, copies=model.freq_weights)


def project(model: Any, coded: CodedRows, shift: Array, weights: Array) -> Projected:
    """Decompose the landmarks' kernel for a fit by scoring; set the kernel and the landmarks."""
    X, Z, rows = prepared(model, coded, shift, weights, model._generator())
    memory = int(budget.parse(model.memory_limit))
    found = decompose(model._gram, X, Z, rows, memory=memory, dtype=model.dtype)
    model.landmarks_ = found.landmarks
    return projected(found)


def cross(model: Any, coded: CodedRows) -> Array:
    """Landmarks' kernel between new rows and the training rows, (n0, n)."""
    X = coded.X.astype(model.dtype, copy=False)
    return model._projected.cross(np.asarray(model._gram(X, model.landmarks_), dtype=float))


def gram_of(source: GramSource, X: Any) -> Gram:
    """Return the kernel between two sets of rows; the Gaussian one by a single product where X is an array."""
    if isinstance(source, Exponential) and source.name == "rbf" and not sparse.issparse(X):
        return Gaussian(source.gamma, X.mean(axis=0))
    return source


def _describe(model: Any, dual: LowRank, coded: CodedRows) -> None:
    model._lam = model._penalty()
    lam = model._lam
    kind = model.alpha if model.alpha in ("reml", "ml") else "residual"
    model._scale = penalties.scale(dual, lam, str(kind))
    model.landmarks_ = dual.landmarks
    model._publish(dual.coefficients(lam), dual.linear(lam), dual.kept, dual.edf(model._penalties), coded)
    likelihoods = penalties.log_likelihood(dual, lam, restricted=True, scale=model._scale)
    model.log_marginal_likelihood_ = float(np.trace(likelihoods))


def _describe_iterated(model: Any, found: falkon.Solution, rows: Rows, coded: CodedRows) -> None:
    model._scale = found.rss / (rows.nobs - found.edf) / model._lam
    model.landmarks_ = found.landmarks
    edf = np.full(len(model._penalties), found.edf)
    model._publish(found.beta, found.linear, rows.kept, edf, coded)
    model.n_iter_ = found.n_iter


@contextmanager
def progress(verbose: int) -> Iterator[Callable[[int, float], None] | None]:
    """Give a report of iterations that moves a line with the relative residual, None unless verbose."""
    if not verbose:
        yield None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    with Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()) as bar:
        task = bar.add_task("conjugate gradients", total=None)

        def report(iteration: int, residual: float) -> None:
            bar.update(task, description=f"iteration {iteration}  relative residual {residual:.2g}")

        yield report


def mean(model: Any, coded: CodedRows, parts: str = "both") -> Array:
    """Means at new rows (n0, k), some rows at a time; or their part from the kernel only (`parts` "kernel")."""
    X = coded.X.astype(model.dtype, copy=False)
    beta = model._beta.astype(model.dtype)
    blocks = Blocks(model._gram, X, model.landmarks_, ROWS, False, np.asarray, model.dtype)
    found = np.concatenate([K @ beta for _, K in blocks]).astype(float)
    return found if parts == "kernel" else found + coded.linear[:, model._kept] @ model._b


def check_decomposed(model: Any) -> None:
    """Raise ValueError for a fit by conjugate gradients, which has neither variances nor criteria."""
    if isinstance(model.dual_, falkon.Solution):
        raise ValueError("conjugate gradients give no standard errors and no criteria; fit with solver='direct'.")


def variance(model: Any, coded: CodedRows) -> Array:
    """Variance of the error of means at new rows (n0, k), some rows at a time.

    Raises
    ------
    ValueError
        If the fit was by conjugate gradients.
    """
    check_decomposed(model)
    X, found = coded.X.astype(model.dtype, copy=False), []
    for at, K in Blocks(model._gram, X, model.landmarks_, ROWS, False, np.asarray, model.dtype):
        diagonal = model.kernel_.diagonal(X[at])
        found.append(model.dual_.variance(model._penalties, K.astype(float), coded.linear[at], diagonal))
    return np.concatenate(found) * model._scale
