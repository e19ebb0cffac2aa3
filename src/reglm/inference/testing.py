"""What the optima of a fit are, which of its parameters the data identify, and tests between models."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from reglm.inference.canonical import canonical, canonical_covariance
from reglm.inference.estimates import Estimates
from reglm.inference.flow import theta_names
from reglm.inference.identifiability import Identifiability, identifiability
from reglm.inference.likelihood_ratio import Pair, outcome, paired, without_columns
from reglm.inference.optima import optima_table
from reglm.inference.parametric import bootstrap_test
from reglm.inference.score_tests import score_test_hidden_unit, score_test_input
from reglm.inference.test_result import TestOutcome
from reglm.record import Fit

if TYPE_CHECKING:
    import pandas as pd

NO_REFERENCE = (
    "The larger model has no standard errors, and for the same reason the statistic need not have its reference "
    "distribution; take bootstrap=999."
)


class Testing(Estimates):
    """Optima, identifiability, likelihood-ratio and score tests."""

    def optima(self) -> pd.DataFrame:
        """Distinct optima that the restarts ended in, best first.

        Symmetric images count as one (see `reglm.inference.optima`).

        Returns
        -------
        DataFrame
            log_likelihood (each at its own dispersion), bic, objective (penalty included, at dispersion 1), reached
            (how many restarts), converged (how many of them say so), chosen.

        Raises
        ------
        ValueError
            If the model was loaded from a file.
        """
        return optima_table(self.fit)

    def canonical_theta(self) -> pd.Series:
        """All parameters (P,) in the form that their symmetric images share: see `reglm.inference.canonical`.

        Units are numbered as in that form, not as in the summary.
        """
        import pandas as pd

        return pd.Series(canonical(self.fit.likelihood.network, self.fit.theta), theta_names(self.fit))

    def canonical_bse(self) -> pd.Series:
        """Standard errors (P,) of `canonical_theta`, by the delta method; NaN if there are none."""
        import pandas as pd

        V = canonical_covariance(self.fit.likelihood.network, self.fit.theta, self.cov_theta())
        return pd.Series(np.sqrt(np.diag(V)), theta_names(self.fit))

    def identifiability(self) -> Identifiability:
        """Report on what the data determine: rank and weakest direction of the information, units without a say.

        Raises
        ------
        ValueError
            If the model was loaded from a file.
        """
        return identifiability(self.fit, self.refusal)

    def score_test_input(self, z: Any, information: str = "observed") -> TestOutcome:
        """Score test of adding candidate columns to the linear predictor; nothing is fitted.

        Parameters
        ----------
        z : array-like (n,) or (n, q)
            Candidates at the training rows, numeric.
        information : {"observed", "expected"}
            Without hidden layers and observed, the test of `statsmodels.GLMResults.score_test`.

        Raises
        ------
        ValueError
            If z does not suit the training rows, if the model holds it already, or if there are no training rows.
        """
        columns = getattr(z, "columns", None)
        names = [getattr(z, "name", None)] if columns is None else list(columns)
        return score_test_input(self.fit, z, information, ", ".join(str(name) for name in names if name is not None))

    def score_test_hidden_unit(self, method: str = "random", **options: Any) -> TestOutcome:
        """Score test of a neglected nonlinearity: of another hidden unit beside the fitted model.

        Parameters
        ----------
        method : {"random", "taylor"}
            Random units (White 1989), or squares, cubes and products (Terasvirta, Lin & Granger 1993).
        **options
            Of `reglm.inference.score_tests.score_test_hidden_unit`: units, components, seed, information.

        Raises
        ------
        ValueError
            If an option is out of its range, or if there are no training rows.
        """
        return score_test_hidden_unit(self.fit, method, **options)

    def lr_test(self, smaller: Estimates | Fit, bootstrap: int = 0, **options: Any) -> TestOutcome:
        """Likelihood-ratio test of a smaller model that this one contains.

        Parameters
        ----------
        smaller : Results or Fit
            Fitted to the same rows.
        bootstrap : int
            Samples of a parametric bootstrap, which gives valid p-values also where hidden units are dropped or fits
            penalised; 0 for the asymptotic reference: chi-square, or F where the dispersion is estimated.
        **options
            Of `reglm.inference.parametric.bootstrap_test`: n_init, seed, n_jobs, verbose.

        Raises
        ------
        ValueError
            If the two are not fits of one family and link to the same rows, or cannot be simulated from.
        """
        other = smaller if isinstance(smaller, Fit) else smaller.fit
        return _tested(paired(self.fit, other), bootstrap, "likelihood-ratio test", options, self.refusal)

    def drop_input_test(
        self, name: str, bootstrap: int = 0, *, n_init: int = 3, seed: int = 0, **options: Any
    ) -> TestOutcome:
        """Likelihood-ratio test of an input: of all its weights in the first layer and the skip term.

        The model is fitted again with the columns of the input at zero.

        Parameters
        ----------
        name : str
            Of the input.
        bootstrap : int
            As in `lr_test`.
        n_init : int
            Starts of the refit, the first from the estimates.
        seed : int
        **options
            As in `lr_test`.

        Raises
        ------
        ValueError
            If the input is not known, or if the model was loaded from a file.
        """
        pair = without_columns(self.fit, self._columns_of(name), n_init=n_init, seed=seed)
        title = f"likelihood-ratio test of input {name!r}"
        return _tested(pair, bootstrap, title, {"seed": seed, **options}, self.refusal)

    def _columns_of(self, name: str) -> tuple[int, ...]:
        """Columns of the model matrix that an input fills."""
        names = list(map(str, self.fit.input_names))
        known = {key: (i,) for i, key in enumerate(names)} if self.reader is None else dict(self.reader.columns)
        if name not in known:
            raise ValueError(f"input {name!r} is not known; the inputs are {', '.join(list(known)[:30])}.")
        return tuple(known[name])


def _tested(pair: Pair, bootstrap: int, name: str, options: dict[str, Any], refusal: str) -> TestOutcome:
    if bootstrap:
        return bootstrap_test(pair, bootstrap, name=name, **options)
    found = outcome(pair, name)
    return replace(found, notes=(*found.notes, NO_REFERENCE)) if refusal else found
