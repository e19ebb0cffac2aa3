"""Rows of a hidden Markov model in the order of their sequences, and its fit from several starts."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_array

from reglm.estimators.inputs import check_weights
from reglm.parameters import Array
from reglm.statespace.emissions import Rows
from reglm.statespace.expectation import EStep, Expectation
from reglm.statespace.hidden_markov import Model, Run, em, first_guess
from reglm.statespace.sequences import Sequences


def rows_of(model: Any, X: Array | None, y: Array, offset: Any, division: Sequences) -> Rows:
    """Rows in the order of the sequences, covariates standardised, lagged rows beside them."""
    y = division.stack(y)
    emission, moves = None, None
    if model.conditional_ and X is not None:
        mean, scale = model._scaling
        inputs = division.stack((X - mean) / scale)
        emission = inputs if model.covariates != "transition" else None
        moves = inputs if model.covariates != "emission" else None
    if model.order:
        before = lagged(y, division.lengths, model.order)
        emission = before if emission is None else np.hstack([emission, before])
    shift = None
    if offset is not None:
        shift = check_array(offset, ensure_2d=False, dtype="float64", input_name="offset").reshape(-1, 1)
        if len(shift) != len(y):
            raise ValueError(f"offset has {len(shift)} values for {len(y)} rows; give one a row.")
        if emission is None:
            raise ValueError("offset is added to a linear predictor: it needs y given covariates, or order.")
        shift = division.stack(shift)
    return Rows(y, emission, shift, moves)


def lagged(y: Array, lengths: Array, order: int) -> Array:
    """The `order` rows before each, side by side, nearest first; 0 before the first row and where not observed."""
    n, m = y.shape
    place = np.arange(n) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    out = np.zeros((n, order * m))
    for lag in range(1, order + 1):
        rows = np.flatnonzero(place >= lag)
        out[rows, (lag - 1) * m : lag * m] = np.nan_to_num(y[rows - lag])
    return out


def sequence_weights(sample_weight: Any, division: Sequences) -> Array:
    """Weights of the sequences (S,): the means of their rows' weights.

    Raises
    ------
    ValueError
        If weights are negative, or all zero.
    """
    if sample_weight is None:
        return np.ones(len(division))
    w = check_weights(sample_weight, division.n, "float64")[:, 0]
    return np.add.reduceat(division.stack(w), division.edges[:-1]) / division.lengths


def fit_model(
    estimator: Any, model: Model, rows: Rows, division: Sequences, weights: Array, seed: int
) -> tuple[Run, list[float], Expectation, Array]:
    """Best run of several starts, where all ended, expectations under it, and average transition probabilities."""
    constrained = not model.transitions.allowed.all()
    returns = not constrained or _returns(model.transitions.allowed)
    step = EStep(division.lengths, weights, estimator.backend)
    runs = []
    for which in range(estimator.n_init):
        rng = np.random.default_rng([seed, which])
        kind = "position" if not returns and not which else "random" if which else estimator.init
        gamma = first_guess(rows, division.lengths, estimator.n_states, kind, rng)
        runs.append(_run(estimator, model, rows, step, model.start(rows, division.lengths, gamma, weights)))
        if estimator.verbose:
            print(f"start {which + 1}: log-posterior {runs[-1].objective:.6g} after {len(runs[-1].history) - 1} steps")
    best = max(runs, key=lambda run: run.objective)
    parameters = best.parameters
    if not constrained:
        parameters = model.permute(parameters, np.argsort(model.emission.level(parameters.emission), kind="stable"))
    found = step(*model.logs(parameters, rows))
    moves = model.transitions.average(parameters.moves, rows.Z)
    return best._replace(parameters=parameters), [run.objective for run in runs], found, moves


def _run(estimator: Any, model: Model, rows: Rows, step: EStep, start: Any) -> Run:
    from reglm.statespace.free import ascend

    if estimator.solver == "gradient":
        return ascend(model, rows, step, start, max_iter=estimator.max_iter, tol=estimator.tol)
    first = em(model, rows, step, start, max_iter=estimator.max_iter, tol=estimator.tol)
    if estimator.solver == "em":
        return first
    second = ascend(model, rows, step, first.parameters, max_iter=estimator.max_iter, tol=estimator.tol)
    return second._replace(history=[*first.history, second.history[-1]])


def _returns(allowed: Array) -> bool:
    """Whether a chain can come back to a state that it left."""
    return bool(np.linalg.matrix_power(allowed & ~np.eye(len(allowed), dtype=bool), len(allowed)).any())
