"""Kernel regression with the penalty chosen by leave-one-out, GCV, REML or marginal likelihood."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.gaussian_process.kernels import DotProduct
from sklearn.utils.validation import check_is_fitted

from reglm.estimators import kernel_families, nystroem
from reglm.estimators.inputs import check_weights, response_matrix, response_names
from reglm.estimators.kernel_options import KernelOptions
from reglm.estimators.kernel_predictions import KernelPredictions
from reglm.estimators.kernel_rows import KernelDesign, Rows
from reglm.estimators.saving import Saving
from reglm.kernels import budget, criteria, penalties
from reglm.kernels.duals import Dual, decompose
from reglm.kernels.grams import checked_gram, resolve
from reglm.kernels.tuning import tune
from reglm.parameters import Array

if TYPE_CHECKING:
    import pandas as pd

    from reglm.inference import Summary

SINGULAR = 1e-13
"""Share of the largest eigenvalue below which the smallest one does not allow for alpha=0."""


class KernelDualRegressor(KernelPredictions, Saving, RegressorMixin, KernelOptions, BaseEstimator):
    """Kernel ridge regression with an unpenalised linear part, and the Gaussian process that it is.

    Minimises ``sum_i w_i (y_i - offset_i - x_i'b - f(x_i))^2 + alpha ||f||^2`` over b and over f in the kernel's
    space. One eigendecomposition gives the fit, exact leave-one-out residuals and likelihoods for every penalty
    (Wahba 1990). Equivalently ``f`` is a Gaussian process with covariance ``dispersion_ / alpha_`` times the kernel.

    Parameters
    ----------
    kernel : str, sklearn.gaussian_process.kernels.Kernel or callable
        A kernel of `sklearn.metrics.pairwise` ("rbf", "laplacian", "polynomial", ...); a distance ("euclidean",
        "manhattan"), for ``exp(-gamma distance)``; a kernel of scikit-learn's Gaussian processes, network kernels among
        them; a function of two matrices that returns the kernel of each pair of rows; or "precomputed": X is then the
        kernel matrix.
    alpha : {"loo", "gcv", "reml", "ml"} or float
        Penalty, or what chooses it: exact leave-one-out, generalised cross-validation, restricted or plain marginal
        likelihood. See `reglm.kernels.criteria`.
    alphas : int or sequence of float
        Size of a grid that spans the eigenvalues of the kernel, between the points of which the minimum is then sought;
        or the penalties to choose among.
    alpha_per_target : bool
        One penalty for each column of y.
    family, link : str
        Distribution of the response and its link, see `reglm.families`; shape parameters have to be given, as in
        "negative_binomial(0.5)". Other families than the gaussian with identity link minimise minus the log-likelihood
        at dispersion 1 plus half the penalty; see `reglm.kernels.irls_dual`.
    linear : True or sequence of str or int, optional
        Inputs with an unpenalised linear effect. Named inputs leave the kernel (a partially linear model); True means
        all of them, and they stay in the kernel, which then holds what is not linear.
    fit_intercept : bool
        Unpenalised.
    gamma : float, optional
        By default one over the sum of the columns' variances, which is half the mean squared distance of two rows;
        for exponentials of other distances one over the mean distance.
    kernel_params : dict, optional
        Further arguments of a kernel of scikit-learn or of a callable.
    optimize_kernel : {None, "criterion", "loo", "gcv", "reml", "ml"}
        Tune the kernel's parameters (gamma, or those of a Gaussian process kernel) by the gradient of a criterion, the
        penalty's own if "criterion".
    n_restarts : int
        Further starts of that search.
    freq_weights : bool
        Weights are numbers of repetitions: they count as observations, and leaving one out leaves out one copy.
        Otherwise they are precisions, the error variance of a row being ``dispersion_ / weight``, and a row is left out
        whole.
    offset, exposure : str or int, optional
        Column of X that holds the offset, or the exposure that multiplies the mean; it is then not an input.
    handle_unknown : {"error", "reference"}
        What a level that was not seen in `fit` does in `predict`.
    approximation : {None, "nystroem"}
        For many rows: f is a combination of kernels at landmarks (Williams & Seeger 2001), see
        `reglm.kernels.lowrank`. The penalty is then chosen for the model on the landmarks. Other families than the
        gaussian keep a matrix of rows and landmarks in memory.
    n_landmarks : int
    landmarks : {"uniform", "leverage", "kmeans"}
        Rows drawn uniformly or by approximate leverage (Rudi et al. 2018), or centres of clusters.
    solver : {"auto", "direct", "cg"}
        With landmarks: one decomposition for every penalty, or preconditioned conjugate gradients at a given alpha
        (Rudi et al. 2017), which "auto" takes from 4,000 landmarks on. The second estimates `edf_` from a sample of
        rows and has no standard errors.
    tol, max_iter : float and int
        Of the conjugate gradients: relative residual, iterations.
    dtype : {"float64", "float32"}
        Of the kernel between rows and landmarks.
    memory_limit : float or str, optional
        Bytes, or "4GB": more rows than fit are refused; with landmarks the kernel is made in blocks that fit. The
        machine's memory by default.
    random_state : int, Generator, RandomState or None
        Draws the starts of the search, and the landmarks.
    verbose : int
        1 prints a line for each start, and shows the progress of conjugate gradients.

    Attributes
    ----------
    alpha_ : float or ndarray (targets,)
    dual_coef_ : ndarray (n,) or (n, targets)
        For the rows `support_`: ``f(x) = sum_i k(x, x_i) dual_coef_i``.
    coef_, intercept_ : ndarray and float
        Unpenalised part.
    edf_ : float or ndarray (targets,)
        Effective degrees of freedom, the unpenalised part's included.
    dispersion_ : float or ndarray (targets,)
        Error variance: that of the likelihood for "reml" and "ml", ``RSS / (n - edf)`` otherwise.
    log_marginal_likelihood_ : float
        At these estimates; b is integrated out under a flat prior, as in REML. Laplace's approximation for other
        families than the gaussian.
    loo_residuals_, leverage_ : ndarray (n,) or (n, targets)
        Not with landmarks, unless the family is another than the gaussian; leave-one-out then is one Newton step from
        the fit to all rows.
    landmarks_ : ndarray (m, p)
        With landmarks, to which `dual_coef_` then belongs: those that do not depend on the others.
    n_iter_ : int
        Of conjugate gradients, or of scoring; 1 for a decomposition.
    support_ : ndarray of int
        Rows of positive weight.
    kernel_ : reglm.kernels.grams.GramSource
        The kernel at the parameters used.
    restarts_ : list of dict
        Of the search for the kernel's parameters.
    dual_ : reglm.kernels.duals.Dual
        With landmarks a `reglm.kernels.lowrank.LowRank` or a `reglm.kernels.falkon.Solution`.
    n_features_in_, feature_names_in_

    Examples
    --------
    >>> import numpy as np
    >>> from reglm import KernelDualRegressor
    >>> x = np.linspace(0, 6, 50)[:, None]
    >>> model = KernelDualRegressor().fit(x, np.sin(x[:, 0]))
    >>> bool(abs(model.predict([[2.0]])[0] - np.sin(2.0)) < 1e-3)
    True
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None, exposure: Any = None) -> Self:
        """Fit, choosing the penalty as `alpha` says.

        Parameters
        ----------
        X : array, sparse matrix or data frame (n, p); ndarray (n, n) for "precomputed"
        y : array-like (n,) or (n, targets)
        sample_weight : array-like (n,), optional
            See `freq_weights`.
        offset : array-like (n,), optional
            Known part of the linear predictor.
        exposure : array-like (n,), optional
            Multiplies the mean; needs a log link.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an argument is out of range, the kernel is not positive semidefinite, or n rows do not fit into memory.
        """
        self.family_, self.link_ = self._check_options()
        nystroem.check(self)
        is_direct = kernel_families.is_direct(self.family_, self.link_)
        if not is_direct:
            kernel_families.check(self, self.family_)
        self._design = KernelDesign.fit(
            X, linear=self.linear, intercept=self.fit_intercept, precomputed=self._is_precomputed, offset=self.offset,
            exposure=self.exposure, handle_unknown=self.handle_unknown, estimator=self,
        )  # fmt: skip
        rows = self._design.read(X, self)
        n = rows.X.shape[0]
        if self.approximation is None:
            budget.check(n, self.memory_limit)
        self._names = response_names(y, None)
        self.uses_offset_ = any(v is not None for v in (offset, exposure, rows.offset, rows.exposure))
        weights = check_weights(sample_weight, n, "float64")[:, 0]
        self.support_, self._solution = np.flatnonzero(weights), None
        if not is_direct:
            kernel_families.fit(self, rows, y, weights, offset, exposure)
            return self
        response = response_matrix(y, n)
        self._is_vector = len(getattr(y, "shape", (n,))) == 1 and response.shape[1] == 1
        target = response - kernel_families.shift_of(self, rows, offset, exposure, response.shape[1])
        if self.approximation is not None:
            nystroem.fit(self, rows, target, weights)
            return self
        self._solve(rows, target, weights)
        self._describe(rows, target)
        return self

    @property
    def _is_precomputed(self) -> bool:
        return isinstance(self.kernel, str) and self.kernel == "precomputed"

    def _solve(self, rows: Rows, target: Array, weights: Array) -> None:
        """Kernel, decomposition and penalty."""
        chosen = self.support_
        w, linear, y = weights[chosen], rows.linear[chosen], target[chosen]
        X = rows.X[np.ix_(chosen, chosen)] if self._is_precomputed else rows.X[chosen]
        source = resolve(self.kernel, X, w, self.gamma, self.kernel_params)

        def dual_of(K: Array) -> Dual:
            return decompose(checked_gram(K), y, linear, w, copies=self.freq_weights)

        self.restarts_: list[dict[str, Any]] = []
        if self.optimize_kernel is not None:
            budget.check(len(y), self.memory_limit, 3 + len(source.theta))
            name = str(self.alpha if self.optimize_kernel == "criterion" else self.optimize_kernel)
            penalty = None if isinstance(self.alpha, str) else float(self.alpha)
            source, self.restarts_ = tune(
                source, X, dual_of, name, penalty, self.n_restarts, self._generator(), self._report
            )
        self.kernel_, self._X = source, None if self._is_precomputed else X
        self.dual_ = dual_of(source.gram(X))
        self._lam = self._penalty()

    def _report(self, restart: dict[str, Any]) -> None:
        if self.verbose:
            print(f"kernel parameters {np.exp(restart['theta'])}: criterion {restart['value']:.6g}")

    def _grid(self) -> Array:
        """Penalties to look at, ascending."""
        if isinstance(self.alphas, (int, np.integer)):
            if not kernel_families.is_direct(self.family_, self.link_):
                return self._smoother.grid(int(self.alphas))
            return self._rules.grid(self.dual_, int(self.alphas))
        return np.unique(np.asarray(self.alphas, dtype=float))

    def _penalty(self) -> Array:
        """Penalty of each target, (k,)."""
        d = self.dual_.d
        if isinstance(self.alpha, str):
            refine = isinstance(self.alphas, (int, np.integer))
            found = self._rules.best(self.dual_, self.alpha, self._grid(), refine=refine, each=self.alpha_per_target)
        else:
            found = np.array([float(self.alpha)])
            if self.alpha == 0 and d[0] <= max(SINGULAR * len(d) * d[-1], self.dual_.rounding):
                raise ValueError(
                    "alpha=0 interpolates, which a singular kernel does not allow for (its eigenvalues go from "
                    f"{d[0]:.3g} to {d[-1]:.3g}; duplicate rows and smooth kernels make it so): use alpha > 0 or "
                    "alpha='loo'."
                )
        return np.broadcast_to(found, self.dual_.t.shape[1]).copy()

    def _describe(self, rows: Rows, target: Array) -> None:
        """Set the public attributes."""
        dual, lam, inside = self.dual_, self._lam, self.support_
        kind = self.alpha if self.alpha in ("reml", "ml") else "residual"
        self._scale = criteria.scale(dual, lam, str(kind))
        self._publish(dual.coefficients(lam), dual.linear(lam), dual.kept, dual.edf(self._penalties), rows)
        self.log_marginal_likelihood_ = float(np.sum([
            criteria.log_likelihood(dual, lam[[j]], restricted=True, scale=self._scale)[0, j] for j in range(len(lam))
        ]))  # fmt: skip
        leverage, residuals = np.zeros((len(target), len(lam))), np.empty((len(target), len(lam)))
        leverage[inside], residuals[inside] = dual.leverage(self._penalties), dual.loo_residuals(lam)
        outside = np.setdiff1d(np.arange(len(target)), inside)
        if len(outside):
            residuals[outside] = target[outside] - self._mean(_taken(rows, outside))
        self.leverage_ = self._shaped(leverage) if self.alpha_per_target else leverage[:, 0]
        self.loo_residuals_ = self._shaped(residuals)

    def _publish(self, beta: Array, b: Array, kept: Array, edf: Array, rows: Rows) -> None:
        """Set the attributes that every kind of fit has, from its coefficients (m, k) and (q, k)."""
        lam, first = self._lam, int(self.fit_intercept)
        self._beta, self._b, self._kept, self.n_iter_ = beta, b, kept, 1
        self.alpha_ = float(lam[0]) if not self.alpha_per_target else self._shaped(lam)
        self.edf_ = float(edf[0]) if not self.alpha_per_target else self._shaped(edf)
        self.dispersion_ = self._shaped(lam * self._scale)
        self.dual_coef_ = self._shaped(beta)
        every = np.zeros((rows.linear.shape[1], len(lam)))
        every[kept] = b
        self.intercept_ = self._shaped(every[0] if first else np.zeros(len(lam)))
        self.coef_ = self._shaped(every[first:]) if self._is_vector else every[first:].T

    @property
    def _rules(self) -> Any:
        """What chooses penalties of this kind of fit."""
        return criteria if self.approximation is None else penalties

    # -- asking ---------------------------------------------------------------------------------------------------

    @property
    def path_(self) -> pd.DataFrame:
        """Criteria by penalty: ``loo``, ``gcv``, minus the log-likelihoods ``reml`` and ``ml``, and ``edf``.

        With several targets and `alpha_per_target` the columns are (criterion, target); otherwise the targets are
        summed.
        """
        import pandas as pd

        check_is_fitted(self)
        nystroem.check_decomposed(self)
        if self._solution is not None:
            return kernel_families.path(self)
        lam = self._grid()
        found = {name: criterion(self.dual_, lam) for name, criterion in self._rules.CRITERIA.items()}
        if self.alpha_per_target and not self._is_vector:
            columns: dict[Any, Array] = {(name, j): v[:, j] for name, v in found.items() for j in range(v.shape[1])}
        else:
            columns = {name: values.sum(axis=1) for name, values in found.items()}
            columns["edf"] = self.dual_.edf(lam)
        return pd.DataFrame(columns, index=pd.Index(lam, name="alpha"))

    def primal(self) -> Array:
        """Weights of the kernel's columns where it is an inner product: ``f(x) = x'w``, and ``||f||^2 = ||w||^2``.

        Returns
        -------
        ndarray (p,) or (targets, p)

        Raises
        ------
        ValueError
            If the kernel is not "linear" or `DotProduct(0, "fixed")`.
        """
        check_is_fitted(self)
        inner = getattr(self.kernel, "sigma_0", None) == 0.0 and type(self.kernel) is DotProduct
        if not (inner or (isinstance(self.kernel, str) and self.kernel == "linear")):
            raise ValueError(f"kernel={self.kernel!r} is not an inner product of X; primal needs kernel='linear'.")
        found = self._beta.T @ self._X
        return found[0] if self._is_vector else found

    def summary(self, level: float = 0.95) -> Summary:
        """Table of the fit: unpenalised coefficients with standard errors, penalty, degrees of freedom, likelihood.

        Parameters
        ----------
        level : float
            Of the intervals.
        """
        from reglm.estimators.kernel_summary import summary

        check_is_fitted(self)
        nystroem.check_decomposed(self)
        return summary(self, level)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = not self._is_precomputed
        tags.input_tags.pairwise = self._is_precomputed
        try:
            family, link = self._check_options()
        except ValueError:  # fit says what is wrong; asking for tags must not raise
            return tags
        tags.target_tags.multi_output = kernel_families.is_direct(family, link)
        tags.target_tags.positive_only = not family.support.contains(np.array([-1.0]))[0]
        return tags


def _taken(rows: Rows, chosen: Array) -> Rows:
    return Rows(rows.X[chosen], rows.linear[chosen], None, None)
