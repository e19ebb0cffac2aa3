"""Kernel regression for classes: Bernoulli and multinomial."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    assert_all_finite,
    check_is_fitted,
    column_or_1d,
)

from reglm.estimators.inputs import check_weights
from reglm.estimators.kernel_dual import KernelDualRegressor
from reglm.estimators.saving import Saving
from reglm.parameters import Array

if TYPE_CHECKING:
    import pandas as pd

    from reglm.inference import Summary

FAMILIES = ("auto", "bernoulli", "multinomial")
FORWARDED = (
    "alpha_", "edf_", "dual_coef_", "coef_", "intercept_", "log_marginal_likelihood_", "leverage_", "support_",
    "kernel_", "dual_", "n_iter_", "converged_",
)  # fmt: skip


class KernelDualClassifier(Saving, ClassifierMixin, BaseEstimator):
    """Kernel logistic and multinomial regression with an unpenalised linear part.

    Minimises minus the log-likelihood plus ``alpha/2 sum_k ||f_k||^2``; the linear predictor ``x'b_k + f_k(x)`` of the
    first class is zero (Zhu & Hastie 2005).

    Parameters
    ----------
    kernel, linear, fit_intercept, gamma, kernel_params, freq_weights, offset, handle_unknown, memory_limit
        As for `reglm.KernelDualRegressor`.
    alpha : {"loo", "gcv", "reml", "ml"} or float
        Penalty, or what chooses it: the approximate leave-one-out deviance, generalised cross-validation, restricted or
        plain marginal likelihood by Laplace's approximation. See `reglm.kernels.irls_criteria`.
    alphas : int or sequence of float
        Size of a grid, between the points of which the minimum is then sought; or the penalties to choose among.
    family : {"auto", "bernoulli", "multinomial"}
        "auto" is Bernoulli for two classes and multinomial for more.
    link : str, optional
        Of the Bernoulli family: "logit" by default.
    class_weight : dict or "balanced", optional
        Weights of the classes, multiplied with `sample_weight`. They repeat nothing, so leaving one out then leaves out
        a whole row, whatever `freq_weights` says.

    Attributes
    ----------
    classes_ : ndarray (K,)
    regression_ : KernelDualRegressor
        The fit to indicators of classes, whose attributes the others are.
    alpha_, edf_, dual_coef_, coef_, intercept_, log_marginal_likelihood_, leverage_, support_, kernel_, dual_
    n_iter_, converged_, n_features_in_, feature_names_in_

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from reglm import KernelDualClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> float(KernelDualClassifier(alpha=0.1).fit(X, y).score(X, y).round(2))
    0.97
    """

    def __init__(
        self, kernel: str | Callable[..., Any] | Any = "rbf", *, alpha: str | float = "loo",
        alphas: int | Sequence[float] = 20, family: str = "auto", link: str | None = None,
        linear: bool | Sequence[str | int] | None = None, fit_intercept: bool = True, gamma: float | None = None,
        kernel_params: Mapping[str, Any] | None = None, class_weight: Any = None, freq_weights: bool = True,
        offset: str | int | None = None, handle_unknown: str = "error", memory_limit: float | str | None = None,
    ) -> None:  # fmt: skip
        self.kernel = kernel
        self.alpha = alpha
        self.alphas = alphas
        self.family = family
        self.link = link
        self.linear = linear
        self.fit_intercept = fit_intercept
        self.gamma = gamma
        self.kernel_params = kernel_params
        self.class_weight = class_weight
        self.freq_weights = freq_weights
        self.offset = offset
        self.handle_unknown = handle_unknown
        self.memory_limit = memory_limit

    def fit(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None) -> Self:
        """Fit, choosing the penalty as `alpha` says.

        Parameters
        ----------
        X : array, sparse matrix or data frame (n, p); ndarray (n, n) for "precomputed"
        y : array-like (n,)
            Labels of any type.
        sample_weight : array-like (n,), optional
            Repetitions, or precisions without `freq_weights`.
        offset : array-like (n,) or (n, K - 1), optional
            Known part of the linear predictor.

        Returns
        -------
        self
        """
        if y is None:
            raise ValueError("This estimator requires y to be passed, but the target y is None.")
        _check_n_features(self, X, reset=True)
        _check_feature_names(self, X, reset=True)
        labels = column_or_1d(y, warn=True)
        assert_all_finite(labels, input_name="y")
        check_classification_targets(labels)
        self.classes_ = np.unique(labels)
        if self.class_weight is not None:
            own = compute_sample_weight(self.class_weight, labels)
            sample_weight = check_weights(sample_weight, len(labels), "float64")[:, 0] * own
        self.regression_ = self._regression()
        self.regression_.fit(X, self._encode(labels), sample_weight, offset)
        return self

    def _regression(self) -> KernelDualRegressor:
        """Regression of the indicators of the classes, unfitted."""
        if self.family not in FAMILIES:
            raise ValueError(f"family={self.family!r} is not one of classes; choose one of {FAMILIES}.")
        if len(self.classes_) < 2:
            found = f"only one class: {self.classes_[0]!r}" if len(self.classes_) else "none: y is empty"
            raise ValueError(f"KernelDualClassifier needs at least 2 classes in the data, but y contains {found}.")
        if self.family == "bernoulli" and len(self.classes_) > 2:
            raise ValueError(f"family='bernoulli' has two classes, y has {len(self.classes_)}; use 'multinomial'.")
        return KernelDualRegressor(
            self.kernel, alpha=self.alpha, alphas=self.alphas, family="bernoulli" if self._is_binary else "multinomial",
            link=self.link, linear=self.linear, fit_intercept=self.fit_intercept, gamma=self.gamma,
            kernel_params=self.kernel_params, freq_weights=self.freq_weights and self.class_weight is None,
            offset=self.offset, handle_unknown=self.handle_unknown, memory_limit=self.memory_limit,
        )  # fmt: skip

    @property
    def _is_binary(self) -> bool:
        return len(self.classes_) == 2 and self.family != "multinomial"

    def _encode(self, y: Any) -> Array:
        """Indicators (n,) of the second class, or (n, K) of all."""
        labels = column_or_1d(y)
        codes = np.minimum(np.searchsorted(self.classes_, labels), len(self.classes_) - 1)
        known = self.classes_[codes] == labels
        if not known.all():
            raise ValueError(
                f"y holds the label {labels[~known][0]!r}, which is not among the classes {list(self.classes_)}."
            )
        return codes.astype(float) if self._is_binary else np.eye(len(self.classes_))[codes]

    def predict_proba(self, X: Any, offset: Any = None) -> Array:
        """Class probabilities (n0, K), in the order of ``classes_``.

        Parameters
        ----------
        X, offset
            As in `fit`; X is (n0, n) for "precomputed".
        """
        check_is_fitted(self)
        p = self.regression_.predict(X, offset)
        return np.column_stack([1.0 - p, p]) if self._is_binary else p

    def predict_log_proba(self, X: Any, offset: Any = None) -> Array:
        """Logarithms of `predict_proba`."""
        return np.log(self.predict_proba(X, offset))

    def predict(self, X: Any, offset: Any = None) -> Array:
        """Most probable class of each row, (n0,)."""
        p = self.predict_proba(X, offset)
        return self.classes_[p.argmax(axis=1)]

    def decision_function(self, X: Any, offset: Any = None) -> Array:
        """Linear predictor (n0,) for two classes; (n0, K) otherwise, 0 for the reference class."""
        check_is_fitted(self)
        eta = self.regression_.predict(X, offset, kind="link")
        if self._is_binary:
            return eta
        found = np.column_stack([np.zeros(len(eta)), eta])
        return found[:, 1] if len(self.classes_) == 2 else found

    def intervals(self, X: Any, offset: Any = None, *, level: float = 0.95) -> tuple[Array, Array]:
        """Intervals for the class probabilities, normal on the scale of the link or of the log odds.

        Parameters
        ----------
        X, offset
            As in `predict_proba`.
        level : float

        Returns
        -------
        lower, upper : ndarray (n0, K)
        """
        check_is_fitted(self)
        low, high = self.regression_.intervals(X, offset, level=level, kind="mean")
        if not self._is_binary:
            return low, high
        return np.column_stack([1.0 - high, low]), np.column_stack([1.0 - low, high])

    def logpdf(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None) -> Array:
        """Log-probability of each row's label, (n0,)."""
        check_is_fitted(self)
        return self.regression_.logpdf(X, self._encode(y), sample_weight, offset)

    def score(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None) -> float:
        """Accuracy; for the deviance see `reglm.metrics`."""
        return float(accuracy_score(y, self.predict(X, offset), sample_weight=sample_weight))

    @property
    def path_(self) -> pd.DataFrame:
        """Criteria by penalty, see `KernelDualRegressor.path_`."""
        check_is_fitted(self)
        return self.regression_.path_

    def summary(self, level: float = 0.95) -> Summary:
        """Table of the fit, see `KernelDualRegressor.summary`.

        Parameters
        ----------
        level : float
            Of the intervals.
        """
        from reglm.estimators.kernel_summary import summary

        check_is_fitted(self)
        names = [str(label) for label in self.classes_[1:]]
        return summary(self.regression_, level, names)

    def __getattr__(self, name: str) -> Any:
        """Look up an attribute of the regression."""
        if name in FORWARDED and "regression_" in self.__dict__:
            return getattr(self.regression_, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "regression_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        is_precomputed = isinstance(self.kernel, str) and self.kernel == "precomputed"
        tags.input_tags.sparse = not is_precomputed
        tags.input_tags.pairwise = is_precomputed
        return tags
