"""How a recurrent GLM is fitted: rows are read and packed, network and likelihood built, the fit run."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import ClassifierTags, RegressorTags
from sklearn.utils.validation import check_is_fitted, validate_data

from reglm.compiling import check_backend
from reglm.estimators.design import Design
from reglm.estimators.encode import fit_design
from reglm.estimators.formula import FormulaDesign
from reglm.estimators.inputs import response_names, total_offset
from reglm.estimators.monitor import Monitor
from reglm.estimators.recurrent_options import RecurrentOptions, columns_are_binary
from reglm.estimators.recurrent_rows import (
    OF_CLASSES,
    Observed,
    ResponseCoding,
    Shape,
    family_of,
    named_column,
    observed,
    pack,
    row_weights,
    rows_in,
    shape_of,
    shifted,
    task_of,
    with_gaps,
)
from reglm.estimators.saving import Saving
from reglm.families import Family
from reglm.fitting import Settings
from reglm.fitting import fit as fit_likelihood
from reglm.likelihood import Data, Likelihood
from reglm.links import Link
from reglm.network import Network
from reglm.parameters import Array
from reglm.record import Fit

QUIET = ("converged", "stopped early", "callback")
"""Ends of a fit that need no warning."""


class BaseRecurrentGLM(RecurrentOptions, Saving, CallbackSupportMixin, BaseEstimator):
    """Fitting and reading; see `reglm.estimators.recurrent.RecurrentGLM`."""

    fit_: Fit
    task_: str
    family_: Family
    link_: Link
    network_: Network
    _design: Design | FormulaDesign | None
    _coding: ResponseCoding
    _start: Array
    _size: float | None
    classes_: Array

    def _fit(self, X: Any, y: Any, lengths: Any, groups: Any, sample_weight: Any, offset: Any) -> None:
        """Read, build, fit."""
        self._check_options()
        family, link = family_of(self.family, self.link)
        shape, target = self._first_read(X, y, lengths, groups)
        self._coding = ResponseCoding.fit(target, family, is_density=self.task_ == "density")
        self.__dict__.pop("classes_", None)
        if self._coding.classes is not None:
            self.classes_ = self._coding.classes
        m = len(shape.sequences) if self.task_ == "sequence" else shape.sequences.n
        coded = self._coding.code(target, m)
        family, link = with_gaps(family, link, coded)
        response = observed(coded, row_weights(sample_weight, shape, m), family)
        self._start = np.nanmean(coded, axis=0)
        sizes = np.unique(np.asarray(family.size(response.y)))
        self._size = float(sizes[0]) if len(sizes) == 1 else None
        inputs = self._inputs(X, coded, shape)
        self.family_, self.link_ = family, family.resolve_link(link)
        K = family.outputs(response.y)
        self.uses_offset_ = offset is not None
        self.network_ = self._network(
            inputs.shape[1] // self._blocks, K, per_sequence=self.task_ == "sequence",
            bias=family.name != "ordinal" and (self._design is None or self._design.has_intercept),
            scaled=not columns_are_binary(inputs),
        )  # fmt: skip
        likelihood = Likelihood(
            self.network_, family, self.link_, dtype=self.dtype, backend=check_backend(self.backend),
            shape_specs=tuple(family.specs(response.y)),
        )  # fmt: skip
        shift = self._shift(X, offset, m, K)
        data = pack(inputs, response, shift, shape, per_sequence=self.task_ == "sequence", dtype=self.dtype)
        self._run(likelihood, data, self._output_names(target, K))

    def _first_read(self, X: Any, y: Any, lengths: Any, groups: Any) -> tuple[Shape, Any]:
        """Sequences and response, the columns of X learned."""
        if y is None and self.formula is None and self.task in ("auto", "density"):
            if self.bidirectional:
                raise ValueError("bidirectional=True lets a row see itself, which a density of the rows must not do.")
            self.task_, self._design = "density", None
            rows = self._density_rows(X, reset=True)
            return self._shape_of(X, lengths, groups), rows
        if self.ordered:
            raise ValueError("ordered=True predicts columns of a row from one another: fit(X) without y.")
        self._design, y = fit_design(X, y, formula=self.formula, estimator=self)
        shape = self._shape_of(X, lengths, groups)
        self.task_ = task_of(self.task, y, shape)
        if self.bptt is not None and self.task_ == "sequence":
            raise ValueError(f"bptt={self.bptt!r} cuts sequences, which needs a response for each row; use bptt=None.")
        return shape, y

    def _shape_of(self, X: Any, lengths: Any, groups: Any) -> Shape:
        """How the rows divide into sequences, by the arguments or by the columns named in the constructor."""
        if self.group is not None and lengths is None and groups is None:
            groups = named_column(X, "group", self.group)
        time = None if self.time is None else named_column(X, "time", self.time)
        return shape_of(rows_in(X), lengths, groups, time)

    def _density_rows(self, X: Any, *, reset: bool) -> Array:
        """Rows that are responses: numbers or NaN, or labels of a family of classes."""
        name = family_of(self.family, self.link)[0].name
        kind: Any = None if name in OF_CLASSES and name != "bernoulli" else np.float64
        return np.asarray(validate_data(self, X, reset=reset, dtype=kind, ensure_all_finite="allow-nan"))

    def _inputs(self, X: Any, coded: Array | None, shape: Shape) -> Array:
        """Inputs of the network (n, p) in the user's order; `coded` are the responses of a density."""
        if self.task_ == "density":
            assert coded is not None
            before = shifted(shape.sequences.stack(coded), self._start, shape.sequences.lengths)
            rows = shape.sequences.unstack(before)
            return np.hstack([rows, np.where(np.isnan(coded), self._start, coded)]) if self.ordered else rows
        return self._designed(X)

    @property
    def _blocks(self) -> int:
        """Rows side by side in the inputs: the row before, and the row itself where columns have an order."""
        return 1 + bool(self.ordered)

    def _shift(self, X: Any, offset: Any, m: int, K: int) -> Array:
        """Offset (m, K), that of a formula included; zeros by default."""
        coded = self._design.transform(X, self) if isinstance(self._design, FormulaDesign) else None
        named = (None, None) if coded is None else (coded.offset, coded.exposure)
        total = total_offset(offset, None, *named, self.link_, m, K)
        return np.zeros((m, K)) if total is None else total

    def _designed(self, X: Any) -> Array:
        """Columns of the model (n, p), dense."""
        assert self._design is not None
        matrix = self._design.transform(X, self).X
        return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix)

    def _run(self, likelihood: Likelihood, data: Data, outputs: list[str]) -> None:
        """Fit with progress and callbacks, then set the public attributes."""
        with Monitor(self, data.X.rows, data.y) as monitor:
            self.fit_ = fit_likelihood(likelihood, data, self._settings(monitor), self._input_names(), outputs)
        self.n_iter_ = self.fit_.n_iter
        self.converged_ = self.fit_.converged
        self.dispersion_ = self.fit_.dispersion
        self.loss_curve_ = self.fit_.history.get("objective", [])
        if self.fit_.details["status"] not in QUIET:
            warnings.warn(f"{type(self).__name__}: {self.fit_.message}", ConvergenceWarning, stacklevel=5)

    def _settings(self, monitor: Monitor) -> Settings:
        rng = np.random.default_rng(self._seed())
        return Settings(
            solver=self.solver, alpha=float(self.alpha),
            l1=float(self.l1), n_init=self.n_init, max_iter=self.max_iter, tol=self.tol, batch_size=self.batch_size,
            learning_rate=self.learning_rate, schedule=self.schedule, momentum=self.momentum, nesterov=self.nesterov,
            clip=self.clip, clip_value=self.clip_value, bptt=self.bptt, early_stopping=self.early_stopping,
            validation_fraction=self.validation_fraction, patience=self.n_iter_no_change, dispersion=self.dispersion,
            balance=False, n_jobs=self.n_jobs, verbose=self.verbose, seed=int(rng.integers(2**62)), start=self._warm(),
            callback=monitor,
        )  # fmt: skip

    def _warm(self) -> Array | None:
        """Estimates of the previous fit, if they may be and can be continued."""
        if not (self.warm_start and hasattr(self, "fit_")):
            return None
        before = self.fit_.likelihood
        same = before.network.specs() == self.network_.specs() and before.family == self.family_
        return self.fit_.theta.copy() if same else None

    def _input_names(self) -> list[str]:
        if self._design is not None:
            return list(self._design.names_out)
        p = self.network_.inputs // self._blocks
        own = list(getattr(self, "feature_names_in_", [f"x{j}" for j in range(p)]))
        labels = [str(label) for label in self.classes_] if hasattr(self, "classes_") else own
        own = own if len(own) == p else labels[-p:]
        return [f"{name} before" for name in own] + (own if self.ordered else [])

    def _output_names(self, y: Any, K: int) -> list[str]:
        if self.task_ == "density":
            names = list(getattr(self, "feature_names_in_", [f"x{j}" for j in range(K)]))
        else:
            names = response_names(y, getattr(self._design, "response", None))
        if K > 1 and self._coding.classes is not None:
            return [str(label) for label in self._coding.classes[1:]]
        return names if len(names) == K else names[:1] if K == 1 else [f"{names[0]}{k}" for k in range(K)]

    def _read(
        self, X: Any, lengths: Any, groups: Any, offset: Any, *, needs_offset: bool = True
    ) -> tuple[Shape, Data, Array | None]:
        """Sequences, rows without responses, and the coded responses of a density."""
        check_is_fitted(self)
        if self.uses_offset_ and offset is None and needs_offset:
            raise ValueError("fit was given an offset, this call was not: pass offset=, zeros for none.")
        coded = None
        if self.task_ == "density":
            rows = self._density_rows(X, reset=False)
            coded = self._coding.code(rows, len(rows))
        n = rows_in(X)
        shape = self._shape_of(X, lengths, groups)
        inputs = self._inputs(X, coded, shape)
        m = len(shape.sequences) if self.task_ == "sequence" else n
        nothing = Observed(np.zeros((m, 1)), np.zeros((m, 1)))
        shift = self._shift(X, offset, m, self.network_.outputs())
        dtype = self.fit_.likelihood.dtype
        data = pack(inputs, nothing, shift, shape, per_sequence=self.task_ == "sequence", dtype=dtype)
        return shape, data, coded

    def _in_order(self, shape: Shape, values: Array) -> Array:
        """Rows, or values of sequences, in the user's order from packed ones."""
        return shape.packing.unpack_sequences(values) if self.task_ == "sequence" else shape.unpack(values)

    def _eta(self, X: Any, lengths: Any, groups: Any, offset: Any) -> tuple[Shape, Array, Array | None]:
        """Sequences, linear predictors in the user's order, and the coded responses of a density."""
        shape, data, coded = self._read(X, lengths, groups, offset)
        eta = self.fit_.likelihood.eta(self.fit_.theta, data.X, data.offset)
        return shape, self._in_order(shape, eta), coded

    def _shape(self) -> dict[str, Array]:
        """Shape parameters of the family."""
        return self.fit_.likelihood.shape(self.fit_.theta)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "fit_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        try:
            family = family_of(self.family, self.link)[0]
        except (ValueError, TypeError):  # fit says what is wrong; asking for tags must not raise
            return tags
        if family.name in OF_CLASSES:
            tags.estimator_type, tags.classifier_tags = "classifier", ClassifierTags()
            tags.classifier_tags.multi_class = family.name != "bernoulli"
        else:
            tags.estimator_type, tags.regressor_tags = "regressor", RegressorTags()
            tags.target_tags.multi_output = family.name in ("gaussian", "student_t")
            tags.target_tags.positive_only = not family.support.contains(np.array([-1.0]))[0]
        tags.input_tags.sparse = True
        return tags
