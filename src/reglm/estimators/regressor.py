"""Recursive GLM for responses of any family."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.exceptions import DataConversionWarning

from reglm import families
from reglm.estimators.base import BaseRecursiveGLM
from reglm.estimators.inputs import check_weights, response_matrix
from reglm.fitting.intercept import fit_intercept
from reglm.parameters import Array

KINDS = ("mean", "link", "quantile", "terms")


class RecursiveGLMRegressor(RegressorMixin, BaseRecursiveGLM):
    """Generalized linear model whose predictor is a network: ``y ~ Family(g^-1(eta))``, eta recursive.

    With ``hidden=()`` this is a generalized linear model. Each hidden layer is a layer of such models: an activation
    is an inverse link (McCullagh & Nelder 1989; Mohamed 2015).

    Parameters
    ----------
    hidden : int or sequence of int
        Units of each hidden layer.
    activation : str or sequence of str
        One for all hidden layers, or one each: any name in `reglm.links.REGISTRY`.
    family : str or reglm.families.Family
        Response distribution.
    link : str, optional
        Response link; the family's default if None.
    layers : sequence of reglm.layers.Layer, optional
        Replaces `hidden` and `activation` by a composition of layers; the output layer is added. Columns then enter as
        they are: begin with ``layers.Select(standardize=True)`` to standardise.
    skip : bool or reglm.layers.Layer
        Add the linear predictor of the inputs to the output layer: the GLM nested in the network. With `layers`, a
        layer as wide as the output may take its place.
    hidden_bias, output_bias : bool
        Whether the layers have intercepts.
    categorical : {"auto", "onehot", "embedding"}
        Coding of categorical columns of data frames. "auto" is "onehot": indicators of all levels but the most
        frequent.
    embedding_dim : int
        Coordinates a level with ``categorical="embedding"``.
    handle_unknown : {"error", "reference"}
        What a level that was not seen in `fit` does in `predict`.
    offset, exposure : str or int, optional
        Column of X that holds the offset or the exposure; it is then not an input.
    formula : str, optional
        Formula for the columns of a data frame, see `from_formula`.
    alpha : float
        L2 penalty: the objective is minus the log-likelihood at dispersion 1, summed over rows, plus
        ``alpha / 2 ||W||^2``. Weights stand on the scale of X as given, biases are free.
    l1 : float
        L1 penalty, ``l1 ||W||_1``.
    solver : str
        "auto" (by size), "irls", "newton", "fisher", "newton-cg", "trust-newton", "hessian-free", "lbfgs", "gd", "sgd",
        "adagrad", "adadelta", "adam".
    n_init : int
        Restarts; the best is kept and `summary` says how many agree.
    max_iter, tol : int, float, optional
        The solver's defaults if None. Mini-batch solvers count epochs.
    batch_size : int
    learning_rate : float, optional
        For the objective per unit weight; the rule's default if None.
    schedule : str or callable
        "constant", "inverse" (1/k), "linear" (until tau), "plateau", "cosine".
    momentum : float, optional
    nesterov : bool
    clip : float, optional
        Largest norm of a gradient.
    dropout : float
        Rate after each hidden layer, while training.
    early_stopping : bool
        Hold `validation_fraction` of the rows out and stop when their deviance has not fallen for `n_iter_no_change`
        iterations; the best parameters are kept.
    validation_fraction : float
    n_iter_no_change : int
    balance : {"auto", True, False, "output"}
        With a canonical link and an output bias, refit the bias so that fitted and observed totals agree; "output"
        refits the whole output layer.
    dispersion : {"auto", "pearson", "deviance", "ml"} or float
        Estimator of phi after the fit; "auto" is "pearson".
    freq_weights : bool
        Weights are numbers of repetitions (they count in n); precision weights otherwise.
    warm_start : bool
        Begin at the previous fit's estimates.
    backend : {"auto", "python", "numba", "c", "jax"}
        "auto" interprets until compiling pays.
    dtype : {"float64", "float32"}
    n_jobs : int, optional
        Processes for restarts.
    verbose : int
        1 shows a progress bar.
    random_state : int, Generator, RandomState or None

    Attributes
    ----------
    fit_ : reglm.record.Fit
        Estimates and everything inference needs.
    coef_, intercept_ : arrays
        For ``hidden=()``.
    dispersion_ : float
        phi.
    n_iter_ : int
    converged_ : bool
    loss_curve_ : list of float
        Objective by iteration or epoch.
    n_features_in_, feature_names_in_

    Examples
    --------
    >>> from reglm import RecursiveGLMRegressor, datasets
    >>> data = datasets.load_rat42()
    >>> growth = RecursiveGLMRegressor(hidden=(1,), activation="sigmoid", output_bias=False, n_init=5, random_state=0)
    >>> growth.fit(data.data, data.target).fit_.converged
    True
    """

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, offset: Any = None, exposure: Any = None) -> Self:
        """Estimate by maximum likelihood, penalised if asked.

        Parameters
        ----------
        X : array, sparse matrix or data frame (n, p)
        y : array-like (n,) or (n, m)
            Binomial: successes and failures; multinomial and ordinal: one column a class.
        sample_weight : array-like (n,), optional
            Precision weights, or repetitions with ``freq_weights``.
        offset : array-like (n,), optional
            Added to the linear predictor.
        exposure : array-like (n,), optional
            Multiplies the mean; needs a log link.

        Returns
        -------
        self
        """
        return self._fit(
            X, y, self._encode, families.get(self.family), sample_weight=sample_weight, offset=offset, exposure=exposure
        )

    def partial_fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, offset: Any = None, exposure: Any = None
    ) -> Self:
        """Continue with one pass of mini-batches over these rows; the first call starts a model.

        Columns, levels, knots and the memory of the solver are those of the first call. The solver is `solver` if it
        works on mini-batches, "adam" otherwise; `early_stopping` and `balance` have no part in it. Statistics in `fit_`
        are those of the rows of the last call.

        Parameters
        ----------
        X, y, sample_weight, offset, exposure
            As in `fit`.

        Returns
        -------
        self
        """
        if self.formula is not None:
            raise ValueError("partial_fit takes X and y, not formula=...; call fit, or give the columns as X.")
        return self._fit(
            X, y, self._encode, families.get(self.family), sample_weight=sample_weight, offset=offset,
            exposure=exposure, partial=True,
        )  # fmt: skip

    def _encode(self, y: Any, n: int) -> Array:
        response = response_matrix(y, n)
        self._is_vector = len(getattr(y, "shape", (n,))) == 1 and response.shape[1] == 1
        if response.shape[1] == 1 and not self._is_vector:
            message = "A column-vector y was passed when a 1d array was expected."
            warnings.warn(message, DataConversionWarning, stacklevel=5)
        return response

    def _output_names(self, y: Array) -> list[str]:
        names, K = self._response_names, self.family_.outputs(y)
        return names if len(names) == K else names[:1] if K == 1 else [f"{names[0]}{k}" for k in range(K)]

    def predict(
        self, X: Any, offset: Any = None, exposure: Any = None, *, kind: str = "mean", level: float = 0.5
    ) -> Array:
        """Return the mean of the response, or what `kind` says.

        Parameters
        ----------
        X : array, sparse matrix or data frame (n, p)
        offset, exposure : array-like (n,), optional
            Needed if `fit` was given them.
        kind : {"mean", "link", "quantile", "terms"}
            "link" is the linear predictor; "quantile" that of the fitted distribution at `level`; "terms", for
            ``hidden=()``, each column's part of the linear predictor, (n, p).
        level : float
            In (0, 1).

        Returns
        -------
        ndarray (n,) or (n, m)
        """
        if kind not in KINDS:
            raise ValueError(f"kind={kind!r} is not known; choose one of {KINDS}.")
        if kind == "terms":
            return self._terms(X)
        eta = self._eta(X, offset, exposure)
        if kind == "link":
            return self._shaped(eta)
        response = self.fit_.likelihood.response
        if kind == "mean":
            return self._shaped(response.mean(eta, self._shape()))
        if not 0.0 < level < 1.0:
            raise ValueError(f"level={level!r} must be between 0 and 1.")
        location, shape = response.location(eta, self._shape()), self._shape()
        distribution = self.family_.distribution(location, self.dispersion_, **shape)
        return self._shaped(np.asarray(distribution.ppf(level), dtype=float))

    def _shaped(self, values: Array) -> Array:
        return values[:, 0] if values.shape[1] == 1 and (self._is_vector or self.family_.name == "binomial") else values

    def _terms(self, X: Any) -> Array:
        if not hasattr(self, "coef_") or self.coef_.ndim != 1:
            raise ValueError("kind='terms' splits one linear predictor by columns, which needs hidden=().")
        coded = self.design_.transform(X, self).X
        return np.asarray(coded.multiply(self.coef_).todense() if hasattr(coded, "multiply") else coded * self.coef_)

    def score(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None, exposure: Any = None) -> float:
        """Return D^2, the share of deviance explained, against the best constant mean (with the same offset).

        Parameters
        ----------
        X, y, sample_weight, offset, exposure
            As in `fit`.

        Returns
        -------
        float
            1 is perfect, 0 as good as no inputs; R^2 for the gaussian family with identity link (several responses
            are pooled: sums of squares are added before they are divided).
        """
        matrix, shift = self._rows(X, offset, exposure)
        likelihood, shape = self.fit_.likelihood, self._shape()
        eta = likelihood.eta(self.fit_.theta, matrix, shift)
        y = self._new_response(y, len(eta))
        weights = check_weights(sample_weight, len(y), "float64")
        deviance = float((weights * likelihood.response.unit_deviance(y, eta, shape)).sum())
        null = fit_intercept(likelihood.response, y, weights, np.zeros_like(eta) if shift is None else shift, shape)
        rounding = float(weights.sum()) * (16.0 * np.finfo(eta.dtype).eps * np.abs(y).max()) ** 2
        return 1.0 - deviance / null.deviance if null.deviance > rounding else float(deviance <= rounding)

    def _new_response(self, y: Any, n: int) -> Array:
        found = response_matrix(y, n)
        self.family_.check_response(found)
        return found

    def logpdf(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None, exposure: Any = None) -> Array:
        """Log predictive density of each row at the estimates, (n,).

        Parameters
        ----------
        X, y, sample_weight, offset, exposure
            As in `fit`; weights are precision weights.
        """
        eta = self._eta(X, offset, exposure)
        return self._log_density(self._new_response(y, len(eta)), eta, sample_weight)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self.formula is None
        try:
            family = families.get(self.family)
        except ValueError:  # fit says what is wrong; asking for tags must not raise
            return tags
        tags.target_tags.multi_output = family.name in ("gaussian", "student_t")
        tags.target_tags.positive_only = not family.support.contains(np.array([-1.0]))[0]
        return tags
