"""What the optima of a fit are, which of its parameters the data identify, and tests between models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reglm.inference.canonical import canonical
from reglm.inference.estimates import Estimates
from reglm.inference.identifiability import Identifiability, identifiability
from reglm.inference.optima import optima_table

if TYPE_CHECKING:
    import pandas as pd


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
        """All parameters (P,) in the form that their symmetric images share: see `reglm.inference.canonical`."""
        import pandas as pd

        return pd.Series(canonical(self.fit.likelihood.network, self.fit.theta), self.fit.likelihood.layout.labels())

    def identifiability(self) -> Identifiability:
        """Report on what the data determine: rank and weakest direction of the information, units without a say.

        Raises
        ------
        ValueError
            If the model was loaded from a file.
        """
        return identifiability(self.fit, self.refusal)
