"""What the regressor and the classifier share: constructor arguments, fitting, and the questions asked of a fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin
from sklearn.utils.validation import check_is_fitted

from reglm import families
from reglm.compiling import check_backend
from reglm.estimators.encode import fit_design
from reglm.estimators.inputs import check_weights, contiguous, total_offset
from reglm.estimators.monitor import Monitor
from reglm.estimators.options import Options
from reglm.fitting import Settings
from reglm.fitting import fit as fit_likelihood
from reglm.layers import Layer
from reglm.likelihood import Data, Likelihood
from reglm.network import Network, compose, multilayer
from reglm.parameters import Array
from reglm.record import Fit

if TYPE_CHECKING:
    from reglm.inference import Results, Summary


class BaseRecursiveGLM(Options, CallbackSupportMixin, BaseEstimator):
    """A generalized linear model whose predictor is a network; see the subclasses."""

    fit_: Fit

    # -- fitting --------------------------------------------------------------------------------------------------

    def _fit(
        self, X: Any, y: Any, encode: Callable[[Any, int], Array], family: families.Family, *,
        sample_weight: Any, offset: Any, exposure: Any, start: Array | None = None, max_iter: int | None = None,
    ) -> Self:  # fmt: skip
        """Code the data, build the likelihood, fit it."""
        self._check_options()
        link = family.resolve_link(self.link)
        self.design_, y = fit_design(
            X, y, formula=self.formula, categorical=self._coding(), layer_columns=self._layer_columns(),
            offset=self.offset, exposure=self.exposure, handle_unknown=self.handle_unknown, estimator=self,
        )  # fmt: skip
        coded = self.design_.transform(X, self)
        matrix = contiguous(coded.X, self.dtype)
        n = matrix.shape[0]
        response = encode(y, n)
        family.check_response(response)
        K = family.outputs(response)
        self.uses_offset_ = not (offset is None and exposure is None)
        total = total_offset(offset, exposure, coded.offset, coded.exposure, link, n, K)
        weights = check_weights(sample_weight, n, self.dtype)
        self.network_ = self._network(matrix, K, family)
        specs = tuple(_prefixed(spec) for spec in family.specs(response))
        likelihood = Likelihood(
            self.network_, family, link, dtype=self.dtype, backend=check_backend(self.backend),
            is_sparse=sparse.issparse(matrix), shape_specs=specs,
        )  # fmt: skip
        shift = np.zeros((n, K)) if total is None else total
        data = Data(matrix, contiguous(response, self.dtype), contiguous(shift, self.dtype), weights)
        self.family_, self.link_ = family, link
        self._run(likelihood, data, start, max_iter)
        return self

    def _run(self, likelihood: Likelihood, data: Data, start: Array | None, max_iter: int | None) -> None:
        """Fit with progress and callbacks, then set the public attributes."""
        with Monitor(self, data.X, data.y) as monitor:
            settings = self._settings(start, max_iter, monitor)
            names = self.design_.names_out
            self.fit_ = fit_likelihood(likelihood, data, settings, list(names), self._output_names(data.y))
        self.n_iter_ = self.fit_.n_iter
        self.converged_ = self.fit_.converged
        self.dispersion_ = self.fit_.dispersion
        self.loss_curve_ = self.fit_.history.get("objective", [])
        if self.fit_.is_linear and self.network_.skip is None:
            views = likelihood.layout.views(self.fit_.theta)
            self.coef_ = self._squeeze(views["output.W"].T)
            self.intercept_ = self._squeeze(views.get("output.b", np.zeros(data.offset.shape[1])))
        self._warn()

    def _squeeze(self, values: Array) -> Any:
        """Drop the axis of a single linear predictor."""
        return values[0] if len(values) == 1 else values

    def _warn(self) -> None:
        """Say what went wrong, once."""
        import warnings

        from sklearn.exceptions import ConvergenceWarning

        status = self.fit_.details["status"]
        if status in ("max_iter", "non-finite", "stalled") and not self.fit_.converged:
            quiet = status == "max_iter" and self.max_iter is not None and self.max_iter <= 1
            if not quiet:
                warnings.warn(f"{type(self).__name__}: {self.fit_.message}", ConvergenceWarning, stacklevel=4)

    def _settings(self, start: Array | None, max_iter: int | None, monitor: Monitor) -> Settings:
        rng = np.random.default_rng(self._seed())
        return Settings(
            solver=self.solver, alpha=float(self.alpha), l1=float(self.l1), n_init=self.n_init,
            max_iter=self.max_iter if max_iter is None else max_iter, tol=self.tol, batch_size=self.batch_size,
            learning_rate=self.learning_rate, schedule=self.schedule, momentum=self.momentum, nesterov=self.nesterov,
            clip=self.clip, early_stopping=self.early_stopping, validation_fraction=self.validation_fraction,
            patience=self.n_iter_no_change, dispersion=self.dispersion, freq_weights=self.freq_weights,
            balance=self.balance, n_jobs=self.n_jobs, verbose=self.verbose, seed=int(rng.integers(2**63)),
            start=start if start is not None else self._warm(), callback=monitor,
        )  # fmt: skip

    def _warm(self) -> Array | None:
        """Estimates of the previous fit, if they may be and can be continued."""
        if not (self.warm_start and hasattr(self, "fit_")):
            return None
        same = self.fit_.likelihood.network.specs() == self.network_.specs()
        return self.fit_.theta.copy() if same else None

    def _network(self, X: Any, K: int, family: families.Family) -> Network:
        """Return the network of the constructor's arguments, resolved on the data."""
        bias = self.output_bias and self.design_.has_intercept and family.name != "ordinal"
        if self.layers is not None:
            network = compose(tuple(self.layers), X.shape[1], K, skip=self.skip, output_bias=bias)
        elif isinstance(self.skip, Layer):
            raise ValueError("skip as a layer goes with layers=[...]; with hidden=... use skip=True.")
        else:
            hidden = self._hidden()
            network = multilayer(
                hidden, self._activations(len(hidden)), X.shape[1], K, skip=self.skip, dropout=self.dropout,
                hidden_bias=self.hidden_bias, output_bias=bias, categorical=self.design_.categorical_columns,
                embedding_dim=self.embedding_dim,
            )  # fmt: skip
        if X.shape[1] == 0 and not bias:
            raise ValueError("X has no columns and there is no intercept: nothing to fit.")
        return network.resolve(X, self.design_.names_out)

    def _layer_columns(self) -> Sequence[int | str]:
        """Columns that embedding layers read by name, which are therefore coded as level numbers."""
        return sorted({c for layer in self._given_layers() for c in embedded_columns(layer)}, key=str)

    def _given_layers(self) -> list[Layer]:
        return [*(self.layers or ()), *([self.skip] if isinstance(self.skip, Layer) else [])]

    # -- asking ---------------------------------------------------------------------------------------------------

    def _eta(self, X: Any, offset: Any = None, exposure: Any = None) -> Array:
        """Linear predictor (n, K), offset included."""
        check_is_fitted(self)
        coded = self.design_.transform(X, self)
        n, K = coded.X.shape[0], self.network_.outputs()
        if self.uses_offset_ and offset is None and exposure is None and coded.offset is None and coded.exposure is None:
            raise ValueError(
                "fit was given an offset or exposure, predict was not: pass offset= or exposure= (zeros or ones for "
                "a unit of exposure), or name the column in the constructor, exposure='column'."
            )
        total = total_offset(offset, exposure, coded.offset, coded.exposure, self.link_, n, K)
        likelihood = self.fit_.likelihood
        shift = None if total is None else contiguous(total, likelihood.dtype)
        return likelihood.eta(self.fit_.theta, contiguous(coded.X, likelihood.dtype), shift)

    def _shape(self) -> dict[str, Array]:
        return self.fit_.likelihood.shape(self.fit_.theta)

    def _log_density(self, y: Array, eta: Array, sample_weight: Any = None) -> Array:
        """Log-density of each row (n,)."""
        if not self.family_.likelihood:
            raise ValueError(f"family={self.family_.name!r} claims no likelihood, so it has no logpdf; use score.")
        weights = None if sample_weight is None else check_weights(sample_weight, len(y), "float64")
        response = self.fit_.likelihood.response
        return response.log_density(y, eta, self.dispersion_, weights, self._shape()).sum(axis=1)

    def inference(self, cov: str | None = None) -> Results:
        """Standard errors, tests and intervals.

        Parameters
        ----------
        cov : {"expected", "observed"}, optional
            Information the covariance inverts; by default the expected one for ``hidden=()`` and the observed one for
            networks.

        Returns
        -------
        reglm.inference.Results
        """
        from reglm import inference

        check_is_fitted(self)
        return inference.results(self.fit_, cov)

    def summary(self, cov: str | None = None, alpha: float = 0.05) -> Summary:
        """Table of the fit in the style of statsmodels.

        Parameters
        ----------
        cov : str, optional
            See `inference`.
        alpha : float
            Level of the intervals is ``1 - alpha``.
        """
        from reglm import inference

        check_is_fitted(self)
        return inference.summary(self.fit_, cov, alpha)

    def save(self, path: Any) -> None:
        """Write the model as JSON and arrays; `reglm.load` reads it.

        Parameters
        ----------
        path : str or path-like
        """
        from importlib import import_module

        # One floor up, so it is looked up when called and not imported.
        import_module("reglm.persistence").save(self, path)

    @classmethod
    def from_formula(cls, formula: str, data: Any, **options: Any) -> Self:
        """Fit a formula to a data frame.

        Parameters
        ----------
        formula : str
            ``"y ~ a + C(b) + offset(log(e))"``; see formulaic for the grammar. ``exposure(e)`` multiplies the mean.
        data : data frame
        **options
            Constructor arguments.

        Returns
        -------
        Fitted estimator, whose `predict` takes data frames with the formula's columns.
        """
        return cls(formula=formula, **options).fit(data)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "fit_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _prefixed(spec: Any) -> Any:
    from dataclasses import replace

    return replace(spec, name=f"family.{spec.name}")


def embedded_columns(layer: Layer) -> list[str]:
    """Names of the columns that embeddings inside a layer read."""
    from reglm.layers import Embedding

    if isinstance(layer, Embedding):
        return [c for c in layer.columns or () if isinstance(c, str)]
    inner = [*getattr(layer, "layers", ()), *getattr(layer, "branches", ())]
    return [c for part in inner for c in embedded_columns(part)]


