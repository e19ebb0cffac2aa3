"""Rows that calibrate conformal prediction: given ones, a part that is held out, or every row in turn."""

from __future__ import annotations

from typing import Any

import numpy as np

from reglm.inference import conformity
from reglm.inference.conformal import Conformal, checked_ratio
from reglm.inference.estimates import Estimates
from reglm.inference.information import in_double
from reglm.inference.moments import new_rows
from reglm.likelihood import Data
from reglm.parameters import Array
from reglm.record import Fit

METHODS = ("split", "cv+", "jackknife+")


def calibrate(
    results: Estimates, X_cal: Any = None, y_cal: Any = None, *, offset: Any = None, exposure: Any = None,
    method: str = "split", score: str | None = None, fraction: float = 0.3, n_folds: int = 10,
    likelihood_ratio: Any = None, seed: int = 0,
) -> Conformal:  # fmt: skip
    """Return the calibrated model of `Predictions.conformal`, where the arguments are described."""
    if method not in METHODS:
        raise ValueError(f"method={method!r} is not known; choose one of {list(METHODS)}.")
    if (X_cal is None) != (y_cal is None):
        raise ValueError("X_cal and y_cal belong together: give both, or neither to hold out training rows.")
    score = conformity.resolve(results.fit, score)
    rng = np.random.default_rng([seed, 0])
    if X_cal is not None:
        if method != "split":
            raise ValueError(f"method={method!r} calibrates on the training rows; X_cal needs method='split'.")
        rows = _given(results, X_cal, y_cal, offset, exposure)
        folds = [(in_double(results.fit), rows)]
        ratio = None if likelihood_ratio is None else checked_ratio(likelihood_ratio, len(rows.y))
    else:
        parts = _parts(_data(results.fit), method, fraction, n_folds, rng)
        folds = [_without(results.fit, part, seed) for part in parts]
        ratio = _held_ratio(likelihood_ratio, method, parts, len(_data(results.fit).y))
    scores = [_scores(fit, rows, score, rng) for fit, rows in folds]
    return Conformal(results, method, score, [fit for fit, _ in folds], scores, ratio, seed)


def _given(results: Estimates, X: Any, y: Any, offset: Any, exposure: Any) -> Data:
    rows = new_rows(results, X, offset, exposure)
    coded = np.asarray(y, dtype=float) if results.reader is None else results.reader.response(y).astype(float)
    return rows._replace(y=coded[:, None] if coded.ndim == 1 else coded)


def _data(fit: Fit) -> Data:
    """Training rows."""
    if fit.data is None or fit.refit is None:
        raise ValueError("a model loaded from a file cannot be fitted again; pass X_cal and y_cal.")
    if fit.freq_weights:
        raise ValueError("with freq_weights a row stands for several; repeat the rows, or pass X_cal and y_cal.")
    return fit.data


def _parts(data: Data, method: str, fraction: float, n_folds: int, rng: np.random.Generator) -> list[Array]:
    """Row numbers to leave out, one array a fit."""
    n = len(data.y)
    order = rng.permutation(n)
    if method == "split":
        held = round(fraction * n)
        if not 0 < held < n:
            raise ValueError(f"fraction={fraction!r} of {n} rows holds out {held}; both parts need at least one row.")
        return [np.sort(order[:held])]
    folds = n if method == "jackknife+" else n_folds
    if not 2 <= folds <= n:
        raise ValueError(f"n_folds={n_folds!r} must be between 2 and the number of rows, {n}.")
    return [np.sort(part) for part in np.array_split(order, folds)]


def _without(fit: Fit, part: Array, seed: int) -> tuple[Fit, Data]:
    """Fit of all rows but `part`, and those rows.

    Searches start afresh: estimates from all rows would tell the new fit about the rows it must not know.
    """
    assert fit.data is not None
    assert fit.refit is not None
    kept = np.setdiff1d(np.arange(len(fit.data.y)), part)
    again = fit.refit(fit.data.rows(kept), n_init=max(1, len(fit.restarts)), seed=seed)
    rows = fit.data.rows(part)
    return in_double(again), Data(*(array.astype(float) for array in rows))


def _held_ratio(ratio: Any, method: str, parts: list[Array], n: int) -> Array | None:
    if ratio is None:
        return None
    if method != "split":
        raise ValueError(f"likelihood_ratio is for method='split', not for method={method!r}.")
    return checked_ratio(ratio, n)[parts[0]]


def _scores(fit: Fit, rows: Data, score: str, rng: np.random.Generator) -> Array:
    """Scores (m, K) of responses, (m, 1) of labels."""
    if score in conformity.CLASSES:
        u = rng.uniform(size=(len(rows.y), 1))
        y = conformity.codes(fit, rows.y)
        return conformity.CLASSES[score](fit, rows, u)[np.arange(len(y)), y][:, None]
    u = rng.uniform(size=conformity.recorded(fit, rows.y).shape)
    return conformity.NUMERIC[score].scores(fit, rows, u)
