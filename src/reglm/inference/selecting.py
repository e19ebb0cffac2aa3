"""Comparing a fit with other models: information criteria, analysis of deviance, terms one by one."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from reglm.inference import criteria as formulas
from reglm.inference.estimates import Estimates

if TYPE_CHECKING:
    from reglm.inference.printable import Table


class Selection(Estimates):
    """Information criteria and tables of nested models."""

    def criteria(self) -> Table:
        """Table of AIC, AICc, AIC with effective degrees of freedom, BIC and TIC: see `reglm.inference.criteria`."""
        return formulas.criteria(self.fit)

    @cached_property
    def edf(self) -> float:
        """Effective degrees of freedom ``tr((H + P)^-1 H)``: the number of parameters without a penalty."""
        return formulas.edf(self.fit)

    @property
    def aicc(self) -> float:
        """AIC corrected for small samples (Hurvich & Tsai 1989)."""
        return formulas.aicc(self.fit)

    @cached_property
    def tic(self) -> float:
        """Takeuchi's criterion (Takeuchi 1976), for models that may be wrong."""
        return formulas.tic(self.fit)
