"""What the regressor and the classifier share: constructor arguments, fitting, and the questions asked of a fit."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from reglm import families
from reglm.compiling import check_backend
from reglm.estimators.duality import Duality
from reglm.estimators.encode import fit_design
from reglm.estimators.inputs import check_weights, contiguous, response_names, total_offset
from reglm.estimators.monitor import Monitor
from reglm.estimators.options import Options, refuse_threshold
from reglm.estimators.reader import FittedReader
from reglm.estimators.saving import Saving
from reglm.fitting import Settings
from reglm.fitting import fit as fit_likelihood
from reglm.layers import Activation, Dense, Embedding, Layer, inner_layers
from reglm.likelihood import Data, Likelihood
from reglm.network import Network, compose, multilayer
from reglm.parameters import Array
from reglm.record import Fit

if TYPE_CHECKING:
    from reglm.inference import Results, Summary

QUIET = ("converged", "stopped early", "callback")
"""Ends of a fit that need no warning."""


class BaseRecursiveGLM(Duality, Saving, Options, CallbackSupportMixin, BaseEstimator):
    """A generalized linear model whose predictor is a network; see the subclasses."""

    fit_: Fit
    _new_response: Callable[[Any, int], Array]

    # -- fitting ------------------------------------------------------------------------------------------------

    @with_callbacks
    def _fit(
        self, X: Any, y: Any, encode: Callable[[Any, int], Array], family: families.Family, *,
        sample_weight: Any, offset: Any, exposure: Any, partial: bool = False,
    ) -> Self:  # fmt: skip
        """Code the data, build the likelihood, fit it; a partial fit continues the one before."""
        self._check_options()
        again = partial and hasattr(self, "fit_")
        if not again:
            self.design_, y = fit_design(
                X, y, formula=self.formula, categorical=self._coding(), layer_columns=self._layer_columns(),
                offset=self.offset, exposure=self.exposure, handle_unknown=self.handle_unknown, estimator=self,
            )  # fmt: skip
        coded = self.design_.transform(X, self)
        matrix = contiguous(coded.X, self.dtype)
        n = matrix.shape[0]
        self._response_names = response_names(y, getattr(self.design_, "response", None))
        response = encode(y, n)
        family.check_response(response)
        weights = check_weights(sample_weight, n, self.dtype)
        likelihood = self.fit_.likelihood if again else self._likelihood(matrix, response, family)
        K = likelihood.network.outputs()
        if family.outputs(response) != K:
            raise ValueError(f"y has {response.shape[1]} columns, which is not what it had in the first partial_fit.")
        total = total_offset(offset, exposure, coded.offset, coded.exposure, likelihood.link, n, K)
        self.uses_offset_ = not (offset is None and exposure is None)
        shift = np.zeros((n, K)) if total is None else total
        data = Data(matrix, contiguous(response, self.dtype), contiguous(shift, self.dtype), weights)
        self._run(likelihood, data, partial)
        return self

    def _likelihood(self, X: Any, response: Array, family: families.Family) -> Likelihood:
        """Network and family for these data."""
        self.family_, self.link_ = family, family.resolve_link(self.link)
        self.network_ = self._network(X, family.outputs(response), family)
        return Likelihood(
            self.network_, family, self.link_, dtype=self.dtype, backend=check_backend(self.backend),
            is_sparse=sparse.issparse(X), shape_specs=tuple(family.specs(response)),
        )  # fmt: skip

    def _run(self, likelihood: Likelihood, data: Data, partial: bool) -> None:
        """Fit with progress and callbacks, then set the public attributes."""
        with Monitor(self, data.X, data.y) as monitor:
            settings = self._settings(monitor, partial)
            names = self.design_.names_out
            self.fit_ = fit_likelihood(likelihood, data, settings, list(names), self._output_names(data.y))
        self.fit_.details["levels"] = dict(self.design_.levels)
        self.n_iter_ = self.fit_.n_iter
        self.converged_ = self.fit_.converged
        self.dispersion_ = self.fit_.dispersion
        self.loss_curve_ = self.fit_.history.get("objective", [])
        self._set_coefficients()
        status = self.fit_.details["status"]
        if status not in QUIET and not (partial and status == "max_iter"):
            message = f"{type(self).__name__}: {self.fit_.message}"
            warnings.warn(message, ConvergenceWarning, stacklevel=6)

    def _set_coefficients(self) -> None:
        """Give a generalized linear model the coefficients users look for; take a former fit's away."""
        for name in ("coef_", "intercept_"):
            self.__dict__.pop(name, None)
        if self.fit_.is_linear and self.network_.skip is None:
            views = self.fit_.likelihood.layout.views(self.fit_.theta)
            self.coef_ = self._squeeze(views["output.W"].T)
            self.intercept_ = self._squeeze(views.get("output.b", np.zeros(self.network_.outputs())))

    def _squeeze(self, values: Array) -> Any:
        """Drop the axis of a single linear predictor."""
        return values[0] if len(values) == 1 else values

    def _settings(self, monitor: Monitor, partial: bool) -> Settings:
        before = self.fit_ if partial and hasattr(self, "fit_") else None
        memory = None if before is None else before.details.get("memory")
        epochs = getattr(getattr(memory, "state", None), "epochs", 0)
        rng = np.random.default_rng(self._seed())
        return Settings(
            solver=self.solver, alpha=float(self.alpha), l1=float(self.l1), n_init=1 if partial else self.n_init,
            max_iter=1 if partial else self.max_iter, tol=self.tol, batch_size=self.batch_size,
            learning_rate=self.learning_rate, schedule=self.schedule, momentum=self.momentum, nesterov=self.nesterov,
            clip=self.clip, early_stopping=self.early_stopping, validation_fraction=self.validation_fraction,
            patience=self.n_iter_no_change, dispersion=self.dispersion, freq_weights=self.freq_weights,
            balance=self.balance, n_jobs=self.n_jobs, verbose=self.verbose, seed=int(rng.integers(2**62)) + epochs,
            start=self._warm() if before is None else before.theta.copy(), callback=monitor, partial=partial,
            memory=memory,
        )  # fmt: skip

    def _warm(self) -> Array | None:
        """Estimates of the previous fit, if they may be and can be continued."""
        if not (self.warm_start and hasattr(self, "fit_")):
            return None
        before = self.fit_.likelihood
        same = before.network.specs() == self.network_.specs() and before.family == self.family_
        return self.fit_.theta.copy() if same else None

    def _network(self, X: Any, K: int, family: families.Family) -> Network:
        """Return the network of the constructor's arguments, resolved on the data."""
        bias = self.output_bias and self.design_.has_intercept and family.name != "ordinal"
        if self.layers is not None:
            self._check_layers()
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
        inside = (part for layer in self._given_layers() for part in inner_layers(layer))
        embeddings = (part for part in inside if isinstance(part, Embedding))
        return sorted({c for part in embeddings for c in part.columns or () if isinstance(c, str)})

    def _check_layers(self) -> None:
        """Refuse layers that are none, and activations without a gradient."""
        for layer in self._given_layers():
            if not isinstance(layer, Layer):
                raise ValueError(f"layers={self.layers!r} must hold layers of reglm.layers, got {layer!r}.")
            for part in inner_layers(layer):
                if isinstance(part, Dense):
                    refuse_threshold(f"layers: activation={part.activation!r}", part.activation)
                elif isinstance(part, Activation):
                    refuse_threshold(f"layers: name={part.name!r}", part.name)

    def _given_layers(self) -> list[Layer]:
        return [*(self.layers or ()), *([self.skip] if isinstance(self.skip, Layer) else [])]

    # -- asking ---------------------------------------------------------------------------------------------------

    def _rows(self, X: Any, offset: Any = None, exposure: Any = None) -> tuple[Any, Array | None]:
        """Coded X and the total offset (n, K), or None without one."""
        check_is_fitted(self)
        coded = self.design_.transform(X, self)
        given = (offset, exposure, coded.offset, coded.exposure)
        if self.uses_offset_ and all(part is None for part in given):
            raise ValueError(
                "fit was given an offset or exposure, predict was not: pass offset= or exposure= (zeros or ones for "
                "a unit of exposure), or name the column in the constructor, exposure='column'."
            )
        dtype = self.fit_.likelihood.dtype
        total = total_offset(*given, self.link_, coded.X.shape[0], self.network_.outputs())
        return contiguous(coded.X, dtype), None if total is None else contiguous(total, dtype)

    def _eta(self, X: Any, offset: Any = None, exposure: Any = None) -> Array:
        """Linear predictor (n, K), offset included."""
        matrix, shift = self._rows(X, offset, exposure)
        return self.fit_.likelihood.eta(self.fit_.theta, matrix, shift)

    def _shape(self) -> dict[str, Array]:
        return self.fit_.likelihood.shape(self.fit_.theta)

    def _log_density(self, y: Array, eta: Array, sample_weight: Any = None) -> Array:
        """Log-density of each row (n,)."""
        if not self.family_.likelihood:
            raise ValueError(f"family={self.family_.name!r} claims no likelihood, so it has no logpdf; use score.")
        weights = None if sample_weight is None else check_weights(sample_weight, len(y), "float64")
        response = self.fit_.likelihood.response
        return response.log_density(y, eta, self.dispersion_, weights, self._shape()).sum(axis=1)

    def inference(self, cov: str | None = None, *, use_t: bool = False, **options: Any) -> Results:
        """Standard errors, tests, intervals, diagnostics and effects.

        Parameters
        ----------
        cov : str, optional
            Kind of covariance, see `reglm.inference.covariance`; by default the inverse of the expected information for
            ``hidden=()`` and of the observed one for networks.
        use_t : bool
            Refer to Student's t instead of the normal distribution.
        **options
            What the kind asks for, such as ``groups`` for ``cov="cluster"``.

        Returns
        -------
        reglm.inference.Results
        """
        from reglm import inference

        check_is_fitted(self)
        reader = FittedReader(self.design_, self._rows, self._new_response, self.network_.outputs())
        return inference.results(self.fit_, cov, use_t, reader, **options)

    def summary(self, cov: str | None = None, alpha: float = 0.05, *, use_t: bool = False, **options: Any) -> Summary:
        """Table of the fit in the style of statsmodels.

        Parameters
        ----------
        cov, use_t, **options
            See `inference`.
        alpha : float
            Level of the intervals is ``1 - alpha``.
        """
        return self.inference(cov, use_t=use_t, **options).summary(alpha)

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
