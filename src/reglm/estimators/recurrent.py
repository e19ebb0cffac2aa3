"""Recurrent GLM: sequences whose responses have any family, given a state that a recurrent network carries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.callback import with_callbacks
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from reglm.estimators.formula import FormulaDesign
from reglm.estimators.recurrent_checks import Checks
from reglm.estimators.recurrent_rows import Shape, named_column, observed, row_weights
from reglm.fitting.intercept import fit_intercept
from reglm.parameters import Array

if TYPE_CHECKING:
    from reglm.inference import Results, Summary

KINDS = ("mean", "link")


def _has_classes(model: Any) -> bool:
    """Whether responses are labels."""
    return hasattr(model, "classes_")


class RecurrentGLM(Checks):
    """Generalized linear model of sequences whose predictor has a memory.

    ``h_t = f(h_{t-1}, x_t)``, ``y_t ~ Family(g^-1(h_t V + c))``: a state-space model with a deterministic transition, a
    recurrent network. There are three tasks: a response for each row; a response for each sequence; and, with
    ``y=None``, the density of the rows of X themselves, each predicted from the rows before it, the first from the
    initial state alone, ``log p(x_1, ..., x_T) = sum_t log p(x_t | x_1, ..., x_{t-1})``. Rows are stacked;
    `lengths` or `groups` say where sequences end (see `reglm.statespace.sequences.sequences`). NaN in a response is
    unobserved.

    Parameters
    ----------
    cell : {"lstm", "gru", "elman", "leaky", "irnn"}
        See `reglm.layers.Recurrent`, which `activation`, `variant`, `peepholes`, `reset_after`, `leak`, `forget_bias`
        and `init` are passed to.
    hidden : int or sequence of int
        Units of each recurrent layer.
    family : str, reglm.families.Family or list of these
        Of the response; columns of a response are independent given the state, and a list names the family of each.
        Under "bernoulli", "multinomial" and "ordinal" a response of one column holds labels.
    link : str or list of str, optional
        The family's default if None.
    bidirectional : bool
        Run each layer in both directions: predictions then depend on later rows too.
    skip : bool
        Add the linear predictor of the inputs (of a sequence's last row, for a response a sequence).
    ordered : bool
        Predict the columns of a density in their order, each also from those before it in its row (Frey 1998): columns
        are then dependent given the state, and the density stays exact. `predict` gives these conditional means.
    task : {"auto", "step", "sequence", "density"}
        "auto": density without y, "sequence" if y has as many entries as there are sequences and fewer than rows.
    formula, group, time : str, optional
        Of data frames, see `from_formula`.
    alpha, l1 : float
        Penalties of the weights, see `reglm.RecursiveGLMRegressor`.
    solver : str
        "auto" (L-BFGS; Adam with dropout, early stopping, `bptt` or much data), "hessian-free" (conjugate gradients on
        exact Hessian products in a trust region; after Martens & Sutskever 2011), "newton-cg" (the same on Gauss-Newton
        products), "trust-newton" (the Hessian formed), "lbfgs", "gd", "sgd", "adagrad", "adadelta", "adam".
    n_init, max_iter, tol, learning_rate, schedule, momentum, nesterov
        See `reglm.RecursiveGLMRegressor`.
    batch_size : int
        Sequences a mini-batch.
    bptt : int, optional
        Truncate backpropagation after so many steps; the state is carried on. Mini-batches then hold sequences of
        similar length, and there is one update a piece.
    omega : float
        Price, while training, of steps back that change a gradient's norm (Pascanu et al. 2013, eq. 9): the objective
        gets this times ``sum_t (|dL/dh_t dh_t/dh_(t-1)| / |dL/dh_t| - 1)^2``.
    clip, clip_value : float, optional
        Largest Euclidean norm of a gradient per unit weight, largest size of its entries (Pascanu et al. 2013).
    dropout, dropout_inputs : float
        Rates after each recurrent layer and of the inputs while training, one mask a sequence (Gal & Ghahramani 2016).
    early_stopping : bool
        Hold `validation_fraction` of the sequences out and stop when their deviance has not fallen for
        `n_iter_no_change` iterations.
    dispersion, warm_start, backend, dtype, n_jobs, verbose, random_state
        See `reglm.RecursiveGLMRegressor`.

    Attributes
    ----------
    fit_ : reglm.record.Fit
        Estimates and everything inference needs.
    task_ : {"step", "sequence", "density"}
    classes_ : ndarray (K,)
        Labels, for a response that is one.
    dispersion_ : float
    n_iter_ : int
    converged_ : bool
    loss_curve_ : list of float
        Objective by iteration or epoch.
    n_features_in_, feature_names_in_

    Examples
    --------
    >>> import numpy as np
    >>> from reglm import RecurrentGLM
    >>> x = np.sin(np.arange(60) / 3)[:, None]
    >>> model = RecurrentGLM("elman", 3, random_state=0).fit(x, lengths=[30, 30])
    >>> model.logpdf(x, lengths=[30, 30]).shape
    (2,)
    """

    @with_callbacks
    def fit(
        self, X: Any, y: Any = None, lengths: Any = None, groups: Any = None, sample_weight: Any = None,
        offset: Any = None,
    ) -> Self:  # fmt: skip
        """Estimate by maximum likelihood, penalised if asked.

        Parameters
        ----------
        X : array or data frame (n, p)
            Rows of all sequences. With ``y=None`` they are the responses: an array, NaN where unobserved.
        y : array-like (n,), (n, m), (S,) or (S, m), optional
            Responses of the rows, or of the sequences.
        lengths : array-like of int (S,), optional
            Rows of each sequence, in order; one sequence by default.
        groups : array-like (n,), optional
            Sequence of each row: the same said so that scikit-learn's splitters can cut it.
        sample_weight : array-like, optional
            Weights of the responses, or of the sequences (S,).
        offset : array-like, optional
            Added to the linear predictors.

        Returns
        -------
        self
        """
        self._fit(X, y, lengths, groups, sample_weight, offset)
        return self

    @classmethod
    def from_formula(
        cls, formula: str, data: Any, *, groups: str | None = None, time: str | None = None, **options: Any
    ) -> Self:
        """Fit a formula to panel data in a data frame.

        Parameters
        ----------
        formula : str
            ``"y ~ a + C(b)"``; see formulaic for the grammar.
        data : data frame
        groups : str, optional
            Column that names the sequence of each row; one sequence by default.
        time : str, optional
            Column that orders the rows of a sequence; as they stand by default.
        **options
            Constructor arguments.

        Returns
        -------
        Fitted estimator, whose methods take data frames with these columns, rows in any order.
        """
        return cls(formula=formula, group=groups, time=time, **options).fit(data)

    def predict(
        self, X: Any, lengths: Any = None, groups: Any = None, offset: Any = None, *, kind: str = "mean"
    ) -> Array:
        """Return the mean of each response, its most probable label where it is one.

        Parameters
        ----------
        X, lengths, groups, offset
            As in `fit`. A row of a density is predicted from the rows before it.
        kind : {"mean", "link"}
            "link" is the linear predictor.

        Returns
        -------
        ndarray (n,) or (n, m); one row a sequence where the response is one a sequence
        """
        if kind not in KINDS:
            raise ValueError(f"kind={kind!r} is not known; choose one of {KINDS}.")
        if kind == "mean" and self._labelled():
            return self.classes_[self.predict_proba(X, lengths, groups, offset).argmax(axis=1)]
        _, eta, _ = self._eta(X, lengths, groups, offset)
        found = eta if kind == "link" else self.fit_.likelihood.response.mean(eta, self._shape())
        return found[:, 0] if found.shape[1] == 1 and self._coding.is_vector else found

    def _labelled(self) -> bool:
        return hasattr(self, "fit_") and self._coding.classes is not None

    @available_if(_has_classes)
    def predict_proba(self, X: Any, lengths: Any = None, groups: Any = None, offset: Any = None) -> Array:
        """Probabilities (n, K) of the labels ``classes_``.

        Parameters
        ----------
        X, lengths, groups, offset
            As in `fit`.
        """
        _, eta, _ = self._eta(X, lengths, groups, offset)
        p = self.fit_.likelihood.response.location(eta, self._shape())
        return np.column_stack([1.0 - p, p]) if p.shape[1] == 1 else p

    def inference(self, cov: str | None = None, *, use_t: bool = False) -> Results:
        """Standard errors, tests, intervals and criteria of the parameters.

        Parameters
        ----------
        cov : {"observed", "frequentist", "HC0", "HC1"}, optional
            Inverse of the observed information by default; "HC0" and "HC1" are sandwiches of scores summed by sequence.
        use_t : bool
            Refer to Student's t instead of the normal distribution.

        Returns
        -------
        reglm.inference.Results
            What asks for the design matrix of a row (leverage, effects, expected information) has none here.
        """
        from reglm import inference

        check_is_fitted(self)
        return inference.results(self.fit_, cov, use_t)

    def summary(self, cov: str | None = None, alpha: float = 0.05, *, use_t: bool = False) -> Summary:
        """Table of the fit in the style of statsmodels.

        Parameters
        ----------
        cov, use_t
            See `inference`.
        alpha : float
            Level of the intervals is ``1 - alpha``.
        """
        return self.inference(cov, use_t=use_t).summary(alpha)

    def logpdf(self, X: Any, y: Any = None, lengths: Any = None, groups: Any = None, offset: Any = None) -> Array:
        """Log-density of the responses of each sequence, (S,); unobserved ones add nothing.

        Parameters
        ----------
        X, y, lengths, groups, offset
            As in `fit`.
        """
        shape, entries, _ = self._log_density(X, y, lengths, groups, offset)
        if self.task_ == "sequence":
            return entries
        stacked = shape.sequences.stack(entries)
        return np.add.reduceat(stacked, shape.sequences.edges[:-1])

    def _log_density(self, X: Any, y: Any, lengths: Any, groups: Any, offset: Any) -> tuple[Shape, Array, Array]:
        """Sequences, log-density of each response, 0 where unobserved, and which are observed."""
        shape, eta, coded = self._eta(X, lengths, groups, offset)
        if not self.family_.likelihood:
            raise ValueError(f"family={self.family_.name!r} claims no likelihood, so it has no logpdf; use score.")
        response = observed(self._target(X, y, coded, len(eta)), np.ones((len(eta), 1)), self.family_)
        seen = response.weights[:, 0] > 0
        found = self.fit_.likelihood.response.log_density(response.y, eta, self.dispersion_, None, self._shape())
        return shape, np.where(seen, found.sum(axis=1), 0.0), seen

    def _target(self, X: Any, y: Any, coded: Array | None, m: int) -> Array:
        """Coded responses (m, Ky), NaN where unobserved."""
        if coded is not None:
            if y is not None:
                raise ValueError("this model is a density of the rows of X: y must be None.")
            return coded
        if y is None:
            if not isinstance(self._design, FormulaDesign):
                raise ValueError("requires y to be passed, but the target y is None.")
            y = named_column(X, "response", self._design.response)
        return self._coding.code(y, m)

    def score(
        self, X: Any, y: Any = None, lengths: Any = None, groups: Any = None, sample_weight: Any = None,
        offset: Any = None,
    ) -> float:  # fmt: skip
        """Return D^2 of a response, the accuracy of labels, or the mean log-density a row of a density.

        Users of hmmlearn: for a density this is the mean over observed rows, not the sum; the sum is ``logpdf.sum()``.

        Parameters
        ----------
        X, y, lengths, groups, sample_weight, offset
            As in `fit`.
        """
        if self.task_ == "density":
            _, entries, seen = self._log_density(X, y, lengths, groups, offset)
            return float(entries.sum() / seen.sum())
        shape, eta, _ = self._eta(X, lengths, groups, offset)
        response = observed(
            self._target(X, y, None, len(eta)), row_weights(sample_weight, shape, len(eta)), self.family_
        )
        if self._labelled():
            p = self.predict_proba(X, lengths, groups, offset)
            right = response.y.argmax(axis=1) if response.y.shape[1] > 1 else response.y[:, 0]
            return float(np.average(p.argmax(axis=1) == right, weights=response.weights[:, 0]))
        likelihood, w = self.fit_.likelihood, response.weights
        deviance = float((w * likelihood.response.unit_deviance(response.y, eta, self._shape())).sum())
        shift = np.zeros_like(eta) if offset is None else self._read(X, lengths, groups, offset)[1].offset
        shift = shift if offset is None else self._in_order(shape, shift)
        null = fit_intercept(likelihood.response, response.y, w, shift, self._shape()).deviance
        rounding = float(w.sum()) * (16.0 * np.finfo(eta.dtype).eps * np.abs(response.y).max()) ** 2
        return 1.0 - deviance / null if null > rounding else float(deviance <= rounding)
