"""Fit and judge one candidate of an architecture search."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import _safe_indexing

from reglm.estimators import columns as frames
from reglm.estimators.base import BaseRecursiveGLM
from reglm.estimators.candidates import Candidate
from reglm.estimators.growing import Parent, grown
from reglm.estimators.inputs import check_weights
from reglm.inference import criteria
from reglm.parameters import Array
from reglm.record import Fit

CRITERIA: dict[str, Callable[[Fit], float]] = {
    "aic": criteria.aic, "aicc": criteria.aicc, "bic": criteria.bic, "tic": criteria.tic,
}  # fmt: skip
"""Information criteria by name; "cv" is the out-of-sample deviance."""
BETTER = 1e-9
"""Share of the objective by which a search from the parent's estimates has to be better."""
SATURATED = "{} rows leave no degrees of freedom"

Folds = Sequence[tuple[Array, Array]]


class Rows(NamedTuple):
    """What `fit` was given."""

    X: Any
    y: Any
    sample_weight: Any = None
    offset: Any = None
    exposure: Any = None

    def take(self, which: Array) -> Rows:
        """Some of the rows."""
        return Rows(*(None if part is None else _safe_indexing(part, which) for part in self))


@dataclass(frozen=True)
class Evaluation:
    """How good a candidate is.

    Parameters
    ----------
    candidate : Candidate
    criterion : float
        Lower is better; infinite if it could not be fitted or judged, minus infinity for a perfect fit.
    standard_error : float
        Of an out-of-sample deviance, over folds; else NaN.
    n_parameters : int
    log_likelihood : float
        NaN for out-of-sample deviances.
    converged : bool
    seconds : float
    parent : str
        Key of the candidate whose estimates one of the searches began at; empty without.
    estimates : dict or None
        JSON form of `Parent`.
    error : str
        Why it could not be fitted (it then has no parameters), or not be judged.
    """

    candidate: Candidate
    criterion: float
    standard_error: float = float("nan")
    n_parameters: int = 0
    log_likelihood: float = float("nan")
    converged: bool = False
    seconds: float = 0.0
    parent: str = ""
    estimates: dict[str, Any] | None = None
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self) | {"candidate": self.candidate}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Evaluation:
        """Rebuild from `to_dict`'s result."""
        hidden, activation, inputs = saved["candidate"]
        return cls(**saved | {"candidate": Candidate(tuple(hidden), activation, tuple(inputs))})


@dataclass(frozen=True)
class Judge:
    """Fits candidates and says how good they are.

    Parameters
    ----------
    estimator : estimator
        Cloned, not changed.
    rows : Rows
    criterion : str
        One of `CRITERIA` or "cv".
    folds : sequence of (ndarray, ndarray) or None
        Training and held-out rows.
    all_columns : tuple of int
        Columns of X that may be inputs; candidates leave some of them out.
    n_init : int
    seed : int
    n_jobs : int, optional
        Processes for the restarts of one fit.
    """

    estimator: BaseRecursiveGLM
    rows: Rows
    criterion: str
    folds: Folds | None
    all_columns: tuple[int, ...]
    n_init: int
    seed: int
    n_jobs: int | None = None

    def __call__(self, candidate: Candidate, parent: Evaluation | None) -> Evaluation:
        """Evaluate a candidate, one of its searches from the estimates of `parent`.

        Raises
        ------
        KeyboardInterrupt
            If the user interrupted a fit.
        """
        began = time.perf_counter()
        try:
            found = self._out_of_sample(candidate) if self.folds else self._in_sample(candidate, parent)
        except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
            found = Evaluation(candidate, float("inf"), error=str(error))
        return replace(found, seconds=time.perf_counter() - began)

    def fit(self, candidate: Candidate, parent: Evaluation | None, rows: Rows | None = None) -> BaseRecursiveGLM:
        """Fit a candidate; the same estimates every time."""
        rows = self.rows if rows is None else rows
        rows = rows._replace(X=self.columns(rows.X, candidate))
        seed = np.random.SeedSequence([self.seed, *candidate.key.encode()])
        own, other = seed.spawn(2)
        model = self._model(candidate).set_params(random_state=int(own.generate_state(1)[0]))
        _quietly(model, rows)
        if parent is None or parent.estimates is None or not model.fit_.at_optimum:
            return model
        start = grown(Parent.from_dict(parent.estimates), model.fit_, np.random.default_rng(other))
        return model if start is None else _better(model, start, rows)

    def columns(self, X: Any, candidate: Candidate) -> Any:
        """X without the columns that are no inputs of a candidate."""
        kept = self.kept(X, candidate)
        return X if kept is None else select(X, kept)

    def kept(self, X: Any, candidate: Candidate) -> list[int] | None:
        """Positions of the columns that stay; None if all do."""
        gone = self._left_out(candidate)
        return [j for j in range(np.shape(X)[1]) if j not in gone] if gone else None

    def _left_out(self, candidate: Candidate) -> set[int]:
        return set(self.all_columns) - set(candidate.inputs)

    def _model(self, candidate: Candidate) -> BaseRecursiveGLM:
        """Unfitted estimator of a candidate."""
        model = clone(self.estimator).set_params(
            hidden=candidate.hidden, n_init=self.n_init, n_jobs=self.n_jobs, verbose=0, warm_start=False
        )
        if candidate.activation is not None:
            model.set_params(activation=candidate.activation)
        gone = self._left_out(candidate)
        for name in ("offset", "exposure"):
            position = getattr(model, name)
            if isinstance(position, (int, np.integer)) and not frames.is_frame(self.rows.X):
                model.set_params(**{name: int(position) - sum(j < position for j in gone)})
        return model

    def _in_sample(self, candidate: Candidate, parent: Evaluation | None) -> Evaluation:
        fit = self.fit(candidate, parent).fit_
        full = "n <= P" in fit.dispersion_method
        value = float("inf") if full else CRITERIA[self.criterion](fit)
        if np.isnan(value):
            raise ValueError(f"hidden={candidate.hidden} has no finite {self.criterion}; try criterion='cv'.")
        return Evaluation(
            candidate, value, n_parameters=criteria.rank(fit), log_likelihood=fit.log_likelihood,
            converged=fit.converged, parent="" if parent is None else parent.candidate.key,
            estimates=Parent.of(fit).to_dict(), error=SATURATED.format(fit.n_rows) if full else "",
        )  # fmt: skip

    def _out_of_sample(self, candidate: Candidate) -> Evaluation:
        """Mean deviance of held-out rows, and its standard error from the folds' means."""
        assert self.folds is not None
        means, weights, models = [], [], []
        for train, test in self.folds:
            model = self.fit(candidate, None, self.rows.take(train))
            held = self.rows.take(test)
            mean, weight = held_out_deviance(model, held._replace(X=self.columns(held.X, candidate)))
            means.append(mean)
            weights.append(weight)
            models.append(model)
        error = float(np.std(means, ddof=1) / np.sqrt(len(means))) if len(means) > 1 else float("nan")
        return Evaluation(
            candidate, float(np.average(means, weights=weights)), error, max(criteria.rank(m.fit_) for m in models),
            converged=all(m.converged_ for m in models),
        )  # fmt: skip


def select(X: Any, kept: Sequence[int]) -> Any:
    """Columns of an array, sparse matrix or data frame, by position."""
    if frames.is_frame(X) or sparse.issparse(X):
        return _safe_indexing(X, list(kept), axis=1)
    return np.asarray(X)[:, list(kept)]


def held_out_deviance(model: BaseRecursiveGLM, rows: Rows) -> tuple[float, float]:
    """Mean deviance of new rows and the sum of their weights.

    For families that estimate a shape parameter, minus twice the log-density instead: deviances at different shapes
    cannot be compared.
    """
    matrix, shift = model._rows(rows.X, rows.offset, rows.exposure)
    likelihood, fit = model.fit_.likelihood, model.fit_
    eta = likelihood.eta(fit.theta, matrix, shift)
    y, w = model._new_response(rows.y, len(eta)), check_weights(rows.sample_weight, len(eta), "float64")
    shape = likelihood.shape(fit.theta)
    if likelihood.shape_specs:
        unit = -2.0 * likelihood.response.log_density(y, eta, fit.dispersion, None, shape)
    else:
        unit = likelihood.response.unit_deviance(y, eta, shape)
    total = float(w.sum())
    return float((w * unit).sum()) / total, total


def _quietly(model: BaseRecursiveGLM, rows: Rows) -> None:
    """Fit; whether it converged is in the record.

    Raises
    ------
    KeyboardInterrupt
        If one ended the fit: solvers keep it to themselves.
    """
    given = {name: value for name, value in rows._asdict().items() if name not in ("X", "y") and value is not None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(rows.X, rows.y, **given)
    fit = model.fit_
    cut = fit.solver != "irls" and len(fit.restarts) < model.n_init
    if cut or fit.details.get("status") == "interrupted":
        raise KeyboardInterrupt


def _better(model: BaseRecursiveGLM, start: Array, rows: Rows) -> BaseRecursiveGLM:
    """Return the model, or its fit from another start where that is better."""
    other = clone(model).set_params(warm_start=True, n_init=1)
    other.fit_ = replace(model.fit_, theta=start)
    _quietly(other, rows)
    if not other.fit_.objective < model.fit_.objective - BETTER * abs(model.fit_.objective):
        return model
    other.fit_.restarts[:0] = model.fit_.restarts
    return other.set_params(warm_start=False, n_init=model.n_init)
