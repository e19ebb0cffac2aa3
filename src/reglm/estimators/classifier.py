"""Recursive GLM for classes: Bernoulli, multinomial, ordinal."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, check_consistent_length, column_or_1d

from reglm import families
from reglm.estimators.base import BaseRecursiveGLM
from reglm.estimators.inputs import check_weights
from reglm.estimators.options import Options
from reglm.parameters import Array

FAMILIES = ("auto", "bernoulli", "multinomial", "ordinal")


class RecursiveGLMClassifier(ClassifierMixin, BaseRecursiveGLM):
    """Recursive GLM whose response is a class.

    Parameters
    ----------
    family : {"auto", "bernoulli", "multinomial", "ordinal"}
        "auto" is Bernoulli for two classes and multinomial for more (the first class is the reference); "ordinal" takes
        the sorted classes as ordered and models ``P(y <= j) = F(c_j - eta)``.
    class_weight : dict or "balanced", optional
        Weights of the classes, multiplied with `sample_weight`.
    **options
        As for `reglm.RecursiveGLMRegressor`.

    Attributes
    ----------
    classes_ : ndarray (K,)
    fit_ : reglm.record.Fit

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from reglm import RecursiveGLMClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> float(RecursiveGLMClassifier(alpha=1.0).fit(X, y).score(X, y).round(2))
    0.98
    """

    def __init__(
        self, hidden: Any = (), activation: Any = "tanh", family: Any = "auto", link: str | None = None, *,
        class_weight: Any = None, layers: Any = None, skip: Any = False, hidden_bias: bool = True,
        output_bias: bool = True, categorical: str = "auto", embedding_dim: int = 2, handle_unknown: str = "error",
        offset: Any = None, exposure: Any = None, formula: str | None = None, alpha: float = 0.0, l1: float = 0.0,
        solver: str = "auto", n_init: int = 1, max_iter: int | None = None, tol: float | None = None,
        batch_size: int = 200, learning_rate: float | None = None, schedule: Any = "constant",
        momentum: float | None = None, nesterov: bool = False, clip: float | None = None, dropout: float = 0.0,
        early_stopping: bool = False, validation_fraction: float = 0.1, n_iter_no_change: int = 10,
        balance: bool | str = "auto", dispersion: Any = "auto", freq_weights: bool = False, warm_start: bool = False,
        backend: str = "auto", dtype: str = "float64", n_jobs: int | None = None, verbose: int = 0,
        random_state: Any = None,
    ) -> None:  # fmt: skip
        given = {name: value for name, value in locals().items() if name not in ("self", "class_weight", "__class__")}
        Options.__init__(self, **given)
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, offset: Any = None, exposure: Any = None) -> Self:
        """Estimate by maximum likelihood, penalised if asked.

        Parameters
        ----------
        X : array, sparse matrix or data frame (n, p)
        y : array-like (n,)
            Labels of any type.
        sample_weight, offset, exposure : array-like (n,), optional
            See `RecursiveGLMRegressor.fit`.

        Returns
        -------
        self
        """
        labels = self._labels(y) if self.formula is None else column_or_1d(X[self.formula.split("~")[0].strip()])
        self.classes_ = np.unique(labels)
        weights = self._class_weights(labels, sample_weight)
        return self._fit(X, y, self._encode, self._family(), sample_weight=weights, offset=offset, exposure=exposure)

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None, offset: Any = None, exposure: Any = None
    ) -> Self:
        """Continue with one pass of mini-batches over these rows.

        Parameters
        ----------
        X, y, sample_weight, offset, exposure
            As in `fit`.
        classes : array-like, optional
            All labels there will be; needed in the first call.
        """
        if self.formula is not None:
            raise ValueError("partial_fit takes X and y, not formula=...; call fit, or give the columns as X.")
        if not hasattr(self, "fit_"):
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit: all labels there will be.")
            self.classes_ = np.unique(classes)
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(f"classes={classes!r} are not those of the first call to partial_fit, {self.classes_}.")
        return self._fit(
            X, y, self._encode, self._family(), sample_weight=self._class_weights(self._labels(y), sample_weight),
            offset=offset, exposure=exposure, partial=True,
        )  # fmt: skip

    def _labels(self, y: Any) -> Array:
        if y is None:
            raise ValueError("This estimator requires y to be passed, but the target y is None.")
        labels = column_or_1d(y, warn=True)
        assert_all_finite(labels, input_name="y")
        check_classification_targets(labels)
        return labels

    def _class_weights(self, labels: Array, sample_weight: Any) -> Any:
        if self.class_weight is None:
            return sample_weight
        own = compute_sample_weight(self.class_weight, labels)
        return check_weights(sample_weight, len(labels), "float64")[:, 0] * own

    def _family(self) -> families.Family:
        """Return the family for the classes there are."""
        name = getattr(self.family, "name", self.family)
        if name not in FAMILIES:
            raise ValueError(f"family={self.family!r} is not one of classes; choose one of {FAMILIES}.")
        if len(self.classes_) < 2:
            found = f"only one class: {self.classes_[0]!r}" if len(self.classes_) else "none: y is empty"
            raise ValueError(f"RecursiveGLMClassifier needs at least 2 classes in the data, but y contains {found}.")
        if name == "bernoulli" and len(self.classes_) > 2:
            raise ValueError(
                f"family='bernoulli' has two classes, y has {len(self.classes_)}; use family='multinomial'."
            )
        return families.get("bernoulli" if self._is_binary(name) else "multinomial" if name == "auto" else name)

    def _is_binary(self, family: str) -> bool:
        return family == "bernoulli" or (family == "auto" and len(self.classes_) == 2)

    def _encode(self, y: Any, n: int) -> Array:
        """Code labels as one indicator column (Bernoulli) or one a class."""
        labels = column_or_1d(y)
        check_consistent_length(np.empty(n), labels)
        codes = np.minimum(np.searchsorted(self.classes_, labels), len(self.classes_) - 1)
        known = self.classes_[codes] == labels
        if not known.all():
            raise ValueError(
                f"y holds the label {labels[~known][0]!r}, which is not among the classes {list(self.classes_)}."
            )
        one_hot = np.eye(len(self.classes_))[codes]
        return one_hot[:, 1:] if self._is_binary(getattr(self.family, "name", self.family)) else one_hot

    _new_response = _encode

    def _output_names(self, y: Array) -> list[str]:
        if y.shape[1] == 1 or self.family == "ordinal":
            return self._response_names[:1]
        return [str(label) for label in self.classes_[1:]]

    def predict_proba(self, X: Any, offset: Any = None, exposure: Any = None) -> Array:
        """Class probabilities (n, K), in the order of ``classes_``.

        Parameters
        ----------
        X, offset, exposure
            As in `fit`.
        """
        eta = self._eta(X, offset, exposure)
        p = self.fit_.likelihood.response.location(eta, self._shape())
        return np.column_stack([1.0 - p, p]) if p.shape[1] == 1 else p

    def predict_log_proba(self, X: Any, offset: Any = None, exposure: Any = None) -> Array:
        """Logarithms of `predict_proba`."""
        return np.log(self.predict_proba(X, offset, exposure))

    def decision_function(self, X: Any, offset: Any = None, exposure: Any = None) -> Array:
        """Linear predictor (n,) for two classes; (n, K) otherwise, 0 for the reference class."""
        eta = self._eta(X, offset, exposure)
        if self.family_.name == "bernoulli":
            return eta[:, 0]
        if self.family_.name == "multinomial":
            return np.column_stack([np.zeros(len(eta)), eta])
        p = self.fit_.likelihood.response.location(eta, self._shape())
        return eta[:, 0] if p.shape[1] == 2 else p

    def predict(self, X: Any, offset: Any = None, exposure: Any = None) -> Array:
        """Most probable class of each row, (n,)."""
        p = self.predict_proba(X, offset, exposure)
        return self.classes_[p.argmax(axis=1)]

    def score(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None, exposure: Any = None) -> float:
        """Accuracy; for the deviance see `reglm.metrics`."""
        return float(accuracy_score(y, self.predict(X, offset, exposure), sample_weight=sample_weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self.formula is None
        return tags

    def logpdf(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None, exposure: Any = None) -> Array:
        """Log-probability of each row's label, (n,)."""
        eta = self._eta(X, offset, exposure)
        return self._log_density(self._encode(y, len(eta)), eta, sample_weight)
