"""Score tests for what a model leaves out: inputs in the linear predictor, or another hidden unit.

For candidate columns Z with coefficients gamma, the score at gamma = 0 is ``Z' s``, s that of the linear predictor.
The design matrix J of the network stands for the estimated parameters, as X does in a generalized linear model:
the statistic is ``u' (D - C' A^-1 C)^-1 u / phi`` with A, C, D the blocks of the information of theta and gamma, and
``u = Z' s - C' A^-1 J' s`` (Rao 1948; Pregibon 1982).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import linalg, stats

from reglm.inference.information import SMALLEST_EIGENVALUE, in_double
from reglm.inference.test_result import TestOutcome
from reglm.jacobian import jacobian
from reglm.likelihood import Data
from reglm.parameters import Array
from reglm.record import Fit
from reglm.response import has_information

STEP = float(np.finfo(float).eps ** (1 / 3))
ALIASED = 1e-9
"""Share of a candidate's information, given the model, below which the model holds it already."""


class Blocks(NamedTuple):
    """Information of theta (P, P), of theta and gamma (P, Q), of gamma (Q, Q), and scores (P,), (Q,)."""

    A: Array
    C: Array
    D: Array
    score: Array
    candidate_score: Array


def score_test_input(fit: Fit, Z: Array, information: str = "observed", name: str = "") -> TestOutcome:
    """Score test of adding columns to every linear predictor.

    Parameters
    ----------
    fit : Fit
    Z : ndarray (n,) or (n, q)
        Candidates at the training rows.
    information : {"observed", "expected"}
    name : str
        Of the candidates.

    Returns
    -------
    TestOutcome
        Chi-square with as many degrees of freedom as Z adds to the model.

    Raises
    ------
    ValueError
        If `information` is not known or not to be had, if Z does not suit the rows, if the model holds all of
        Z already, or if the model was loaded from a file.
    """
    exact, data = _prepared(fit)
    Z = _candidates(Z, len(data.y))
    blocks = _blocks(exact, data, Z, information)
    statistic, df = _statistic(blocks, information)
    statistic /= fit.dispersion
    notes = ["The penalty counts as information about the estimated parameters."] if np.any(fit.penalty) else []
    if not fit.at_optimum or not fit.converged:
        notes.append("The fit is not at its optimum; the test allows for that to first order only.")
    title = f"score test for adding {name or 'the candidate columns'}"
    return TestOutcome(title, statistic, df, float(stats.chi2.sf(statistic, df)), "chi2", tuple(notes))


def score_test_hidden_unit(
    fit: Fit,
    method: str = "random",
    *,
    units: int = 20,
    components: int = 6,
    seed: int = 0,
    information: str | None = None,
) -> TestOutcome:
    """Score test of a neglected nonlinearity: of another hidden unit beside the fitted network.

    Without the unit its weights in are not identified, so they are not estimated: they are drawn at random (White
    1989; Lee, White & Granger 1993), or the unit is replaced by its Taylor expansion, squares, cubes and products of
    the inputs (Terasvirta, Lin & Granger 1993). What the model holds already is taken out of these regressors,
    and their leading principal components are tested. None of this looks at y, so that the chi-square holds.

    Parameters
    ----------
    fit : Fit
    method : {"random", "taylor"}
    units : int
        Random units, "random" only.
    components : int
        Principal components tested; "taylor" takes all of its regressors where they are fewer.
    seed : int
        Of the random weights.
    information : {"expected", "observed"}, optional
        By default the expected one, where the family has it.

    Raises
    ------
    ValueError
        As `score_test_input`, and if `method` or a number is out of its range.
    """
    if method not in ("random", "taylor"):
        raise ValueError(f"method={method!r} is not known; choose 'random' or 'taylor'.")
    for key, value in {"units": units, "components": components}.items():
        if value < 1:
            raise ValueError(f"{key}={value!r} must be at least 1.")
    exact, data = _prepared(fit)
    X = _standardised(data)
    G = _random_units(X, units, np.random.default_rng(seed)) if method == "random" else _taylor(X)
    information = information or ("expected" if _expected(exact) else "observed")
    Z = _leading(G, jacobian(exact.likelihood, exact.theta, data), data.weights, components)
    found = score_test_input(fit, Z, information)
    how = f"{units} random units" if method == "random" else "squares, cubes and products of the inputs"
    note = f"Without the unit the weights into it are not identified; tested are {Z.shape[1]} components of {how}."
    return TestOutcome(
        "score test for another hidden unit", found.statistic, found.df, found.pvalue, "chi2", (note, *found.notes)
    )


def _prepared(fit: Fit) -> tuple[Fit, Data]:
    if fit.data is None:
        raise ValueError("score tests need the training rows, which a model loaded from a file does not hold.")
    exact = in_double(fit)
    assert exact.data is not None
    return exact, exact.data


def _candidates(Z: Array, n: int) -> Array:
    Z = np.asarray(Z, dtype=float)
    Z = Z[:, None] if Z.ndim == 1 else Z
    if Z.ndim != 2 or len(Z) != n:
        raise ValueError(f"z has shape {Z.shape}: it needs the {n} rows that the model was fitted to.")
    if not np.all(np.isfinite(Z)):
        raise ValueError("z holds values that are not finite; leave out or impute missing ones.")
    return Z


def _expected(fit: Fit) -> bool:
    return not fit.likelihood.shape_specs and has_information(fit.likelihood.family)


# -- information of the model and its candidates --------------------------------------------------------------


def _blocks(fit: Fit, data: Data, Z: Array, information: str) -> Blocks:
    """Information and scores at dispersion 1; gamma is ordered by output, then by column of Z."""
    if information not in ("observed", "expected"):
        raise ValueError(f"information={information!r} is not known; choose 'observed' or 'expected'.")
    if information == "expected" and not _expected(fit):
        raise ValueError(
            f"information='expected': family {fit.likelihood.family.name!r} has no expected information for all of "
            "its parameters; use information='observed'."
        )
    likelihood, observed = fit.likelihood, information == "observed"
    K, q = likelihood.network.outputs(), Z.shape[1]
    J = np.stack([jacobian(likelihood, fit.theta, data, k) for k in range(K)])
    eta = likelihood.eta(fit.theta, data.X, data.offset)
    shape = likelihood.shape(fit.theta)
    _, s, W = likelihood.response.working(data.y, eta, data.weights, shape, observed=observed)
    C = np.einsum("kip,ikm,iq->pmq", J, W, Z, optimize=True).reshape(-1, K * q)
    D = np.einsum("ir,ikm,iq->krmq", Z, W, Z, optimize=True).reshape(K * q, K * q)
    if observed:
        A = likelihood.hessian(fit.theta, data)
        C += _shape_cross(fit, data, Z, eta)
    else:
        A = np.einsum("kip,ikm,imr->pr", J, W, J.transpose(1, 0, 2), optimize=True)
    score = -likelihood.value_grad(fit.theta, data)[1] - fit.penalty * fit.theta
    return Blocks(A + np.diag(fit.penalty), C, D, score, (s.T @ Z).ravel())


def _shape_cross(fit: Fit, data: Data, Z: Array, eta: Array) -> Array:
    """Block (P, K q) of the observed information that the family's shape parameters have, by central differences."""
    likelihood = fit.likelihood
    cross = np.zeros((len(fit.theta), eta.shape[1] * Z.shape[1]))
    for spec in likelihood.shape_specs:
        for i in range(*likelihood.layout.slices[spec.name].indices(len(fit.theta))):
            step = np.zeros(len(fit.theta))
            step[i] = STEP * max(1.0, abs(float(fit.theta[i])))
            ahead, behind = (
                likelihood.response.working(data.y, eta, data.weights, likelihood.shape(fit.theta + sign * step)).score
                for sign in (1, -1)
            )
            cross[i] = -((ahead - behind).T @ Z).ravel() / (2 * step[i])
    return cross


def _statistic(blocks: Blocks, information: str) -> tuple[float, int]:
    """Quadratic form of the efficient score at dispersion 1, and its rank."""
    A, C, D, score, candidate_score = blocks
    diagonal = np.diag(A)
    scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    values, vectors = linalg.eigh(scale[:, None] * A * scale)
    if information == "observed" and values[0] < -SMALLEST_EIGENVALUE * values[-1]:
        raise ValueError("the observed information is not positive definite at the fit; use information='expected'.")
    kept = values > SMALLEST_EIGENVALUE * values[-1]
    root = (scale[:, None] * vectors[:, kept]) / np.sqrt(values[kept])
    half = root.T @ C
    u, V = candidate_score - half.T @ (root.T @ score), D - half.T @ half
    size = np.sqrt(np.where(np.diag(D) > 0, np.diag(D), 1.0))
    values, vectors = linalg.eigh(V / np.outer(size, size))
    kept = values > ALIASED
    if not kept.any():
        raise ValueError("z adds nothing to the model: its columns depend on what the model holds already.")
    return float(np.sum((vectors[:, kept].T @ (u / size)) ** 2 / values[kept])), int(kept.sum())


# -- regressors in place of a hidden unit ---------------------------------------------------------------------


def _standardised(data: Data) -> Array:
    X = np.asarray(data.X.toarray() if hasattr(data.X, "toarray") else data.X, dtype=float)
    spread = X.std(axis=0)
    return (X[:, spread > 0] - X[:, spread > 0].mean(axis=0)) / spread[spread > 0]


def _random_units(X: Array, units: int, rng: np.random.Generator) -> Array:
    """Outputs (n, units) of units with weights uniform on (-2, 2), as in Lee, White & Granger (1993)."""
    weights, bias = rng.uniform(-2.0, 2.0, (X.shape[1], units)), rng.uniform(-2.0, 2.0, units)
    return np.tanh(X @ weights + bias)


def _taylor(X: Array) -> Array:
    """Products of two and three inputs, powers included: the terms of a unit's expansion."""
    i, j = np.triu_indices(X.shape[1])
    pairs = X[:, i] * X[:, j]
    triples = [pairs[:, j <= m] * X[:, [m]] for m in range(X.shape[1])]
    return np.concatenate([pairs, *triples], axis=1)


def _leading(G: Array, J: Array, weights: Array, components: int) -> Array:
    """Leading principal components of what the design matrix leaves of the regressors, on rows that count."""
    seen = (weights > 0).astype(float)
    basis = np.concatenate([np.ones_like(seen), J], axis=1) * seen
    rest = (G - basis @ linalg.lstsq(basis, G * seen)[0]) * seen
    U, size, _ = linalg.svd(rest, full_matrices=False)
    kept = size[:components] > 1e-8 * np.linalg.norm(G)
    if not kept.any():
        raise ValueError("the model already holds what a hidden unit of its inputs could add.")
    return U[:, :components][:, kept] * np.sqrt(len(G))
