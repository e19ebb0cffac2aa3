"""Diagnostics of a fit: residuals, influence of single rows, tests of the specification."""

from __future__ import annotations

from functools import cached_property

from reglm.inference.dispersion import dispersion_test
from reglm.inference.estimates import Estimates
from reglm.inference.influence import Influence, influence
from reglm.inference.residuals import residuals
from reglm.inference.specification import calibration_test, link_test, normality_test, zero_inflation_test
from reglm.inference.test_result import TestOutcome
from reglm.parameters import Array


class Diagnostics(Estimates):
    """What `Results` says about single rows and about the form of the model."""

    # -- residuals ----------------------------------------------------------------------------------------

    def resid(self, kind: str = "deviance", *, studentized: bool = False, seed: int | None = 0) -> Array:
        """Residuals of the training rows.

        Parameters
        ----------
        kind : {"response", "pearson", "deviance", "anscombe", "working", "quantile"}
            See `reglm.inference.residuals`. Quantile residuals are standard normal under the model for
            every family.
        studentized : bool
            Divide by ``sqrt(phi (1 - h))`` with the leverage h, for Pearson and deviance residuals.
        seed : int or None
            Of the randomisation of quantile residuals.

        Returns
        -------
        ndarray (n,) or (n, K)
            A column for each response or class where there are several.

        Raises
        ------
        ValueError
            If `kind` is not known or not defined for the family, or cannot be studentized.
        """
        found = residuals(self.fit, kind, seed)
        if studentized:
            if kind not in ("pearson", "deviance"):
                raise ValueError(f"studentized=True needs kind 'pearson' or 'deviance', not {kind!r}.")
            found = self._influence.studentize(found)
        return found[:, 0] if found.shape[1] == 1 else found

    @property
    def resid_response(self) -> Array:
        """``y - mu``."""
        return self.resid("response")

    @property
    def resid_pearson(self) -> Array:
        """``(y - mu) sqrt(w / V(mu))``."""
        return self.resid("pearson")

    @property
    def resid_deviance(self) -> Array:
        """Root of the unit deviance, signed."""
        return self.resid("deviance")

    @property
    def resid_working(self) -> Array:
        """``(y - mu) d eta / d mu``."""
        return self.resid("working")

    @property
    def resid_anscombe(self) -> Array:
        """Residuals on the scale that makes the response most nearly normal, over the root of phi."""
        return self.resid("anscombe")

    # -- influence ----------------------------------------------------------------------------------------

    @cached_property
    def _influence(self) -> Influence:
        return influence(self)

    def get_influence(self, information: str | None = None) -> Influence:
        """Leverages, Cook's distances, DFBETAS and changes of estimates by leaving out single rows.

        Parameters
        ----------
        information : {"expected", "observed"}, optional
            Information from which they are taken; by default expected for a generalized linear model and
            observed for a network.

        Returns
        -------
        Influence
            With the attributes of statsmodels' `GLMInfluence`.

        Raises
        ------
        ValueError
            If standard errors were refused.
        """
        return self._influence if information is None else influence(self, information)

    # -- specification ------------------------------------------------------------------------------------

    def dispersion_test(self, method: str = "score") -> TestOutcome:
        """Test whether the variance is what the family says.

        Parameters
        ----------
        method : {"score", "nb2", "nb1", "pearson"}
            For the Poisson the score test of Dean & Lawless (1989) or regressions of Cameron & Trivedi (1990);
            for counts and successes out of trials Pearson's statistic.
        """
        return dispersion_test(self.fit, method, self.df_resid)

    def zero_inflation_test(self, method: str = "count") -> TestOutcome:
        """Test whether a model of counts allows for as many zeros as there are.

        Parameters
        ----------
        method : {"count", "broek"}
            The number of zeros against its expectation (He et al. 2019), or van den Broek's score test (1995).
        """
        return zero_inflation_test(self.fit, method)

    def link_test(self, method: str = "score") -> TestOutcome:
        """Test the link by adding the square of the linear predictor (Pregibon 1980).

        Parameters
        ----------
        method : {"score", "lr"}
            From this fit alone, or by fitting the larger model.
        """
        return link_test(self.fit, method)

    def hosmer_lemeshow(self, groups: int = 10) -> TestOutcome:
        """Test of the calibration of probabilities by groups of risk (Hosmer & Lemeshow 1980).

        Parameters
        ----------
        groups : int
        """
        return calibration_test(self.fit, groups)

    def normality_test(self, seed: int | None = 0) -> TestOutcome:
        """Test whether quantile residuals are normal, that is whether the family's distribution fits.

        Parameters
        ----------
        seed : int or None
            Of their randomisation.
        """
        return normality_test(self.fit, seed)
