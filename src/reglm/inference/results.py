"""The results of a fit: everything inference has to say, one part a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reglm.inference.diagnosing import Diagnostics
from reglm.inference.effects import Effects
from reglm.inference.predicting import Predictions
from reglm.inference.report import report
from reglm.inference.selecting import Selection
from reglm.inference.testing import Testing
from reglm.inference.wald import WaldTests
from reglm.record import Fit, Reader

if TYPE_CHECKING:
    from reglm.inference.tables import Summary


class Results(WaldTests, Testing, Predictions, Diagnostics, Effects, Selection):
    """Estimates, standard errors, tests, intervals, diagnostics, effects and criteria of a recursive GLM.

    The parameters are those of `reglm.inference.estimates.Estimates`.
    """

    def summary(self, alpha: float = 0.05, title: str | None = None) -> Summary:
        """Table of the model in the style of statsmodels.

        Parameters
        ----------
        alpha : float
            Intervals have level ``1 - alpha``.
        title : str, optional
        """
        return report(self, alpha, title)


def results(
    fit: Fit, cov: str | None = None, use_t: bool = False, reader: Reader | None = None, **options: Any
) -> Results:
    """Return the results of a fit; see `Results` for the arguments."""
    return Results(fit, cov, use_t, reader, **options)


def summary(
    fit: Fit, cov: str | None = None, alpha: float = 0.05, *, use_t: bool = False, title: str | None = None
) -> Summary:
    """Return the summary of a fit; see `Results` and `Results.summary` for the arguments."""
    return Results(fit, cov, use_t).summary(alpha, title)
