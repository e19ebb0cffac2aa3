"""Choose hidden units, activations and inputs of a recursive GLM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import joblib
import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.model_selection import KFold, StratifiedKFold, check_cv
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from reglm.estimators import columns as frames
from reglm.estimators.base import BaseRecursiveGLM
from reglm.estimators.candidates import MODES, MOST_CANDIDATES, Candidate, Space, hidden_list
from reglm.estimators.checkpoint import Checkpoint
from reglm.estimators.evaluating import CRITERIA, Folds, Judge, Rows, select
from reglm.estimators.searching import Path, from_key, run
from reglm.parameters import Array

if TYPE_CHECKING:
    import pandas as pd

    from reglm.inference import Results


def _has(name: str) -> Callable[[Any], bool]:
    """Whether the estimator has a method."""
    return lambda search: hasattr(getattr(search, "best_estimator_", search.estimator), name)


class ArchitectureSearch(MetaEstimatorMixin, BaseEstimator):
    """Choose hidden units, activations and inputs by an information criterion or out-of-sample deviance.

    Units are chosen first, then inputs, then both one at a time until no single step is an improvement
    (McInerney & Burke 2022). Larger networks are also started at the estimates of smaller ones.

    Parameters
    ----------
    estimator : RecursiveGLMRegressor or RecursiveGLMClassifier
        Everything but the architecture: family, penalty, solver. It is cloned, not changed.
    hidden : sequence of int or sequence of int, optional
        Hidden layers to try, ``[(), (1,), (2,), (4, 2)]``. By default a walk from the estimator's own, a unit more or
        less in a layer at a time.
    activations : sequence of str, optional
        By default the estimator's own.
    inputs : {None, "backward", "forward", "exhaustive"}
        Whether columns of X may be left out: one at a time from all, taken in one at a time, or every
        subset with every one of `hidden`. At least one stays. A categorical column is in or out with all its levels.
    criterion : {"bic", "aic", "aicc", "tic", "cv"}
        "cv" is the mean deviance of held-out rows.
    max_units : int
        Of a layer, on a walk.
    cv : int or splitter
        Folds for "cv": a number (shuffled, stratified for classifiers) or what scikit-learn takes.
    one_standard_error : bool
        With "cv", the smallest model within one standard error of the best (Breiman et al. 1984).
    n_init : int
        Random starts of every candidate.
    checkpoint : path-like, optional
        File to which every evaluation is added at once. A search that was stopped goes on there and gives what it
        would have given.
    n_jobs : int, optional
        Processes: for candidates that can be tried side by side, else for restarts.
    verbose : int
        1 shows progress.
    random_state : int, Generator, RandomState or None
        An integer gives the same answer every time, whatever `n_jobs`.

    Attributes
    ----------
    best_estimator_ : estimator
        Fitted to all rows and the chosen inputs.
    best_params_ : dict
        "hidden", "activation" and "inputs" (labels of columns).
    best_score_ : float
        Minus the criterion.
    best_index_ : int
        Row of `cv_results_`.
    cv_results_ : dict of arrays
        As `sklearn.model_selection.GridSearchCV` has it, in the order of evaluation.
    interrupted_ : bool
        Whether Ctrl-C ended the search; the best so far was kept.
    n_features_in_, feature_names_in_

    References
    ----------
    McInerney & Burke (2022), A statistically-based approach to feedforward neural network model selection.

    Examples
    --------
    >>> from reglm import ArchitectureSearch, RecursiveGLMRegressor, datasets
    >>> data = datasets.load_rat42()
    >>> search = ArchitectureSearch(RecursiveGLMRegressor(), hidden=[(), (1,)], random_state=0)
    >>> search.fit(data.data, data.target).best_params_["hidden"]
    (1,)
    """

    def __init__(
        self, estimator: Any, hidden: Any = None, *, activations: Any = None, inputs: str | None = None,
        criterion: str = "bic", max_units: int = 10, cv: Any = 5, one_standard_error: bool = False, n_init: int = 5,
        checkpoint: Any = None, n_jobs: int | None = None, verbose: int = 0, random_state: Any = None,
    ) -> None:  # fmt: skip
        self.estimator = estimator
        self.hidden = hidden
        self.activations = activations
        self.inputs = inputs
        self.criterion = criterion
        self.max_units = max_units
        self.cv = cv
        self.one_standard_error = one_standard_error
        self.n_init = n_init
        self.checkpoint = checkpoint
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    # -- searching --------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, offset: Any = None, exposure: Any = None) -> Self:
        """Search, then fit the chosen model to all rows.

        Parameters
        ----------
        X, y, sample_weight, offset, exposure
            As in the estimator's `fit`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an argument cannot be used, or no candidate could be fitted.
        """
        self._check()
        formula = self.estimator.formula is not None
        if not formula:
            validate_data(self, X, reset=True, skip_check_array=True)
        rows = Rows(X, y, sample_weight, offset, exposure)
        space = self._space(X)
        own = clone(self.estimator).set_params(random_state=self.random_state)
        fixed = int(self.random_state) if isinstance(self.random_state, (int, np.integer)) else None
        file = Checkpoint(self.checkpoint, self._fingerprint(rows), fixed, own._seed() if fixed is None else fixed)
        folds = self._folds(rows, file.seed) if self.criterion == "cv" else None
        judge = Judge(self.estimator, rows, self.criterion, folds, space.columns, int(self.n_init), file.seed)
        path = run(space, judge, file, self.n_jobs, int(self.verbose))
        best = path.best(self.one_standard_error)
        parent = path.done[from_key(best.parent)] if best.parent else None
        self.best_estimator_ = replace(judge, n_jobs=self.n_jobs).fit(best.candidate, parent)
        self.interrupted_ = path.interrupted
        self.best_index_ = list(path.done).index(best.candidate)
        self.best_score_ = -best.criterion
        self._kept = judge.kept(X, best.candidate)
        if formula:
            for name in ("n_features_in_", "feature_names_in_"):
                setattr(self, name, getattr(self.best_estimator_, name))
        self._describe(path, X)
        return self

    def _describe(self, path: Path, X: Any) -> None:
        """Set what the search found, candidate by candidate."""
        labels = frames.labels(X) if frames.is_frame(X) else [f"x{j}" for j in range(self.n_features_in_)]
        every = list(self.best_estimator_.design_.groups)

        def params(candidate: Candidate) -> dict[str, Any]:
            activation = self.estimator.activation if candidate.activation is None else candidate.activation
            inputs = every if self.inputs is None else [labels[j] for j in candidate.inputs]
            return {"hidden": candidate.hidden, "activation": activation, "inputs": inputs}

        self.cv_results_ = path.results([params(candidate) for candidate in path.done])
        self.best_params_ = self.cv_results_["params"][self.best_index_]

    # -- what is asked for ------------------------------------------------------------------------------------

    def _check(self) -> None:
        """Raise ValueError for an argument that cannot be used."""
        estimator = self.estimator
        if not isinstance(estimator, BaseRecursiveGLM):
            raise ValueError(
                f"estimator={type(estimator).__name__}: the search builds RecursiveGLMRegressor and "
                "RecursiveGLMClassifier; in a pipeline, let the search be the last step."
            )
        if estimator.layers is not None:
            raise ValueError("estimator has layers=[...], which the search does not change; give it hidden=.")
        for name, known in [("inputs", MODES), ("criterion", (*CRITERIA, "cv"))]:
            if getattr(self, name) not in known:
                raise ValueError(f"{name}={getattr(self, name)!r} is not known; choose one of {list(known)}.")
        for name in ("n_init", "max_units"):
            value = getattr(self, name)
            if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name}={value!r} must be an integer >= 1.")
        if estimator.formula is not None and (self.inputs is not None or self.criterion == "cv"):
            raise ValueError("estimator has a formula=...: inputs and criterion='cv' need the columns as X and y.")
        if self.one_standard_error and self.criterion != "cv":
            raise ValueError("one_standard_error=True needs criterion='cv': information criteria have no folds.")
        if self.inputs == "exhaustive" and self.hidden is None:
            raise ValueError("inputs='exhaustive' needs a list hidden=[...]; with a walk use 'backward' or 'forward'.")

    def _space(self, X: Any) -> Space:
        """What may be tried with these columns."""
        sizes, names = hidden_list(self.hidden), self.activations
        if names is not None and (isinstance(names, str) or not len(names)):
            raise ValueError(f"activations={names!r} must be a list of names, or None for the estimator's own.")
        columns = () if self.inputs is None else self._input_positions(X)
        count = len(sizes or ()) * len(names or [None]) * (2.0 ** len(columns) - 1)
        if self.inputs == "exhaustive" and count > MOST_CANDIDATES:
            raise ValueError(
                f"inputs='exhaustive' makes {count:.3g} models of {len(columns)} columns, more than {MOST_CANDIDATES}; "
                "use 'backward' or 'forward'."
            )
        activations = (None,) if names is None else tuple(names)
        return Space(sizes, self.estimator._hidden(), int(self.max_units), activations, self.inputs, columns)

    def _input_positions(self, X: Any) -> tuple[int, ...]:
        """Columns of X that hold neither the offset nor the exposure."""
        labels = frames.labels(X) if frames.is_frame(X) else list(range(self.n_features_in_))
        taken = (self.estimator.offset, self.estimator.exposure)
        return tuple(j for j, label in enumerate(labels) if label not in taken)

    def _folds(self, rows: Rows, seed: int) -> Folds:
        """Training and held-out rows."""
        cv = self.cv
        if isinstance(cv, (int, np.integer)):
            kind = StratifiedKFold if is_classifier(self.estimator) else KFold
            cv = kind(int(cv), shuffle=True, random_state=seed % 2**32)
        return list(check_cv(cv).split(rows.X, rows.y))

    def _fingerprint(self, rows: Rows) -> str:
        """Hash of everything that evaluations depend on, the seed apart; empty without a checkpoint."""
        if self.checkpoint is None:
            return ""
        quiet = {"random_state", "n_jobs", "verbose", "hidden", "n_init"}
        options = {name: repr(v) for name, v in self.estimator.get_params(deep=False).items() if name not in quiet}
        cv = repr(self.cv) if self.criterion == "cv" else ""
        return str(joblib.hash((tuple(rows), sorted(options.items()), self.criterion, cv, int(self.n_init))))

    # -- the chosen model -----------------------------------------------------------------------------------------

    def _best(self) -> Any:
        """Chosen model; NotFittedError without one."""
        check_is_fitted(self)
        return self.best_estimator_

    def _columns(self, X: Any) -> Any:
        """X without the columns that were left out."""
        if self._kept is None:
            return X
        validate_data(self, X, reset=False, skip_check_array=True)
        return select(X, self._kept)

    def predict(self, X: Any, offset: Any = None, exposure: Any = None, **options: Any) -> Array:
        """Predict with the chosen model.

        Parameters
        ----------
        X : array, sparse matrix or data frame (n, columns)
            All columns that `fit` was given.
        offset, exposure
            As in the estimator's `predict`.
        **options
            Of the regressor's `predict`: kind, level.
        """
        return self._best().predict(self._columns(X), offset, exposure, **options)

    @available_if(_has("predict_proba"))
    def predict_proba(self, X: Any, offset: Any = None, exposure: Any = None) -> Array:
        """Class probabilities (n, K) of the chosen model."""
        return self._best().predict_proba(self._columns(X), offset, exposure)

    @available_if(_has("predict_log_proba"))
    def predict_log_proba(self, X: Any, offset: Any = None, exposure: Any = None) -> Array:
        """Logarithms of `predict_proba`."""
        return self._best().predict_log_proba(self._columns(X), offset, exposure)

    @available_if(_has("decision_function"))
    def decision_function(self, X: Any, offset: Any = None, exposure: Any = None) -> Array:
        """Linear predictor of the chosen classifier."""
        return self._best().decision_function(self._columns(X), offset, exposure)

    def logpdf(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None, exposure: Any = None) -> Array:
        """Log predictive density of each row under the chosen model, (n,)."""
        return self._best().logpdf(self._columns(X), y, sample_weight, offset, exposure)

    def score(
        self, X: Any, y: Any = None, sample_weight: Any = None, offset: Any = None, exposure: Any = None
    ) -> float:
        """Return the chosen model's score: D^2, or accuracy."""
        return self._best().score(self._columns(X), y, sample_weight, offset, exposure)

    def inference(self, *args: Any, **options: Any) -> Results:
        """Inference for the chosen model; it does not allow for the choice, so that its p-values are too small.

        The arguments are those of the estimator's `inference`.
        """
        return self._best().inference(*args, **options)

    @property
    def classes_(self) -> Array:
        """Labels of the classes."""
        return self._best().classes_

    def results_frame(self) -> pd.DataFrame:
        """Path of the search, a row for every candidate in the order of evaluation.

        Returns
        -------
        DataFrame
            stage, hidden, activation, inputs, the criterion under its own name (lower is better), std_err,
            n_parameters, log_likelihood, converged, seconds, chosen.
        """
        import pandas as pd

        check_is_fitted(self)
        r = self.cv_results_
        columns = {
            "stage": r["stage"], "hidden": r["param_hidden"], "activation": r["param_activation"],
            "inputs": [", ".join(map(str, names)) for names in r["param_inputs"]],
            self.criterion: -r["mean_test_score"], "std_err": r["std_err_test_score"],
            "n_parameters": r["n_parameters"], "log_likelihood": r["log_likelihood"], "converged": r["converged"],
            "seconds": r["mean_fit_time"], "chosen": np.arange(len(r["stage"])) == self.best_index_,
        }  # fmt: skip
        return pd.DataFrame(columns)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "best_estimator_")

    def __sklearn_tags__(self) -> Any:
        tags, own = super().__sklearn_tags__(), get_tags(self.estimator)
        for name in ("estimator_type", "classifier_tags", "regressor_tags", "target_tags"):
            setattr(tags, name, getattr(own, name))
        tags.input_tags.sparse = own.input_tags.sparse
        return tags


def select_architecture(
    estimator: Any, X: Any, y: Any = None, *, sample_weight: Any = None, offset: Any = None, exposure: Any = None,
    **options: Any,
) -> ArchitectureSearch:  # fmt: skip
    """Search an architecture; the fitted `ArchitectureSearch`, whose options these are.

    Parameters
    ----------
    estimator : RecursiveGLMRegressor or RecursiveGLMClassifier
    X, y, sample_weight, offset, exposure
        As in the estimator's `fit`.
    **options
        Of `ArchitectureSearch`.
    """
    search = ArchitectureSearch(estimator, **options)
    return search.fit(X, y, sample_weight=sample_weight, offset=offset, exposure=exposure)
