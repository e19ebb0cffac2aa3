"""Options and rows of `LinearGaussianSSM`."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from reglm.estimators.design import Design
from reglm.parameters import Array
from reglm.statespace.linear_gaussian_fit import Data, has_em
from reglm.statespace.linear_gaussian_free import Free
from reglm.statespace.linear_gaussian_structures import Specification, Structure, columns, of
from reglm.statespace.sequences import Sequences, sequences

SOLVERS = ("auto", "em", "gradient")
INITIAL = ("auto", "diffuse", "stationary", "estimated")
BACKENDS = ("auto", "python", "numba")


class Rows(NamedTuple):
    """Rows as they were given: how they divide, and stacked."""

    division: Sequences
    data: Data


class LinearGaussianRows:
    """Constructor arguments, and what is read from X and y."""

    specification_: Specification
    _design: Design | None
    _constant: bool
    _series: list[str]

    def __init__(
        self, n_states: int = 1, *, structure: Any = "free", initial: str = "auto", fit_intercept: bool = True,
        solver: str = "auto", n_init: int = 1, max_iter: int = 1000, tol: float = 1e-6, backend: str = "auto",
        random_state: Any = None, verbose: int = 0,
    ) -> None:  # fmt: skip
        self.n_states = n_states
        self.structure = structure
        self.initial = initial
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.backend = backend
        self.random_state = random_state
        self.verbose = verbose

    def _check_options(self) -> None:
        """Raise ValueError for arguments out of range."""
        whole = (int, np.integer)
        for name, right, rule in (
            ("n_states", isinstance(self.n_states, whole) and self.n_states >= 1, "a whole number of at least 1"),
            ("n_init", isinstance(self.n_init, whole) and self.n_init >= 1, "a whole number of at least 1"),
            ("max_iter", isinstance(self.max_iter, whole) and self.max_iter >= 1, "a whole number of at least 1"),
            ("tol", self.tol > 0, "positive"),
            ("solver", self.solver in SOLVERS, f"one of {SOLVERS}"),
            ("initial", self.initial in INITIAL, f"one of {INITIAL}"),
            ("backend", self.backend in BACKENDS, f"one of {BACKENDS}"),
        ):
            if not right:
                raise ValueError(f"{name}={getattr(self, name)!r} must be {rule}.")

    @property
    def _is_free(self) -> bool:
        return isinstance(self.structure, str) and self.structure == "free"

    def _specify(self, p: int, names: list[str] | None, k: int, n_sequences: int) -> Specification:
        """Return the specification for p series and k covariates, the constant not counted."""
        if self._is_free:
            if self.initial == "diffuse":
                raise ValueError(
                    "initial='diffuse' needs a structure: the diffuse likelihood of free matrices rewards small "
                    "loadings. Use 'estimated' or 'stationary'."
                )
            self._constant = bool(self.fit_intercept)
            labels = columns(names, k, self._constant)
            start = "stationary" if self.initial == "stationary" else "estimated"
            return Free(p, len(labels), self.n_states, labels, self._series, start, n_sequences > 1)
        parts = of(self.structure, p)
        diffuse = [part.diffuse for part in parts]
        if self.initial == "estimated" or (self.initial == "stationary" and any(diffuse)):
            raise ValueError(
                f"initial={self.initial!r} is not for structure={self.structure!r}: levels, trends and seasons have no "
                "stationary distribution, their start is diffuse; use initial='auto'."
            )
        if self.initial == "diffuse" and not all(diffuse):
            raise ValueError("initial='diffuse': autoregressions and cycles start stationary; use initial='auto'.")
        self._constant = bool(self.fit_intercept) and not any(diffuse)
        labels = columns(names, k, self._constant)
        specification = Structure(p, len(labels), self.structure, labels)
        if self.solver == "em" and not has_em(specification):
            raise ValueError("solver='em' has no closed M step for autoregressions and cycles; use solver='gradient'.")
        return specification

    def _first_read(self, X: Any, y: Any) -> tuple[Array, Array, list[str] | None]:
        """Series (n, p), covariates (n, k) and their names, the coding learned."""
        if y is None:
            self._design, self._is_vector = None, False
            series = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan")
            self._series = [str(name) for name in getattr(self, "feature_names_in_", range(series.shape[1]))]
            return np.array(series), np.empty((len(series), 0)), None
        self._design = Design.fit(X, estimator=self)
        given = check_array(y, ensure_2d=False, dtype="float64", input_name="y", ensure_all_finite="allow-nan")
        series, self._is_vector = self._numbers(given), given.ndim < 2
        if series.shape[1] == 1 and not self._is_vector and not hasattr(y, "columns"):
            message = "A column-vector y was passed when a 1d array was expected."
            warnings.warn(message, DataConversionWarning, stacklevel=4)
        self._series = (
            [str(c) for c in y.columns] if hasattr(y, "columns") else [f"y{j}" for j in range(series.shape[1])]
        )
        return series, self._coded(X), list(self._design.names_out)

    @staticmethod
    def _numbers(y: Any) -> Array:
        found = check_array(y, ensure_2d=False, dtype="float64", input_name="y", ensure_all_finite="allow-nan")
        return np.array(found).reshape(len(found), -1)

    def _coded(self, X: Any) -> Array:
        assert self._design is not None
        matrix = self._design.transform(X, self).X
        return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix, dtype=float)

    def _covariates(self, X: Array) -> Array:
        """Covariates with the constant."""
        return np.column_stack([np.ones(len(X)), X]) if self._constant else X

    def _check_series(self, series: Array, n: int) -> None:
        if len(series) != n:
            raise ValueError(f"inconsistent numbers of samples: y has {len(series)} rows, X has {n}.")
        empty = np.flatnonzero(np.isnan(series).all(axis=0))
        if empty.size:
            raise ValueError(f"series {self._series[empty[0]]!r} is NaN in every row; drop it.")
        if n > 1 and (still := np.flatnonzero(np.nanmin(series, axis=0) == np.nanmax(series, axis=0))).size:
            raise ValueError(f"series {self._series[still[0]]!r} is constant: its variances would be zero; drop it.")
        if n < 2:
            raise ValueError(f"n_samples={n}: 1 sample says nothing about how states move; give at least 2 rows.")

    def _read(self, X: Any, y: Any, lengths: Any, groups: Any) -> Rows:
        """Rows of a fitted model; those of `fit` for X=None."""
        check_is_fitted(self)
        if X is None and y is None:
            return self._training
        if self._design is None:
            if y is not None:
                raise ValueError("y was not given to fit, whose X is the series: pass the series as X.")
            series = np.asarray(validate_data(self, X, reset=False, dtype=np.float64, ensure_all_finite="allow-nan"))
            X = np.empty((len(series), 0))
        else:
            X = self._coded(X)
            series = np.full((len(X), self.specification_.p), np.nan) if y is None else self._numbers(y)
        if series.shape != (len(X), self.specification_.p):
            raise ValueError(f"y has shape {series.shape}, it should be {(len(X), self.specification_.p)}.")
        return self._stacked(series, X, lengths, groups)

    def _stacked(self, series: Array, X: Array, lengths: Any, groups: Any) -> Rows:
        division = sequences(len(series), lengths, groups)
        y, covariates = division.stack(series), self._covariates(division.stack(X))
        return Rows(division, Data(np.ascontiguousarray(y), np.ascontiguousarray(covariates), division.edges))

    def _generator(self) -> np.random.Generator:
        if isinstance(self.random_state, np.random.Generator):
            return self.random_state
        return np.random.default_rng(check_random_state(self.random_state).randint(2**31))

    def _shaped(self, values: Array) -> Array:
        return values[:, 0] if self._is_vector and values.shape[1] == 1 else values

    _training: Rows
    _is_vector: bool
