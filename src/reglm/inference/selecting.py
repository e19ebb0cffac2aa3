"""Comparing a fit with other models: information criteria, analysis of deviance, terms one by one."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from reglm.inference import criteria as formulas
from reglm.inference import deviances
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

    def anova(self, *others: Any) -> Table:
        """Analysis of deviance of this fit and others, in this order: see `reglm.anova`.

        Parameters
        ----------
        *others : fitted estimators, Results or Fits
            To the same responses.
        """
        return deviances.anova(self, *others)

    def drop1(self, *, n_init: int = 3, seed: int = 0) -> Table:
        """Table of the models without one term each, like R's `drop1`.

        A term is an input with all its columns; in a formula with products, a term of the formula. Its columns are set
        to zero and the model is fitted again.

        Parameters
        ----------
        n_init : int
            Starts of each refit, the first from the estimates.
        seed : int

        Returns
        -------
        Table
            Df, Deviance and AIC of the model without the term, F or LR and its p-value.

        Raises
        ------
        ValueError
            If the model was loaded from a file.
        """
        return deviances.drop_one(self.fit, self._term_columns(), n_init=n_init, seed=seed)

    def anova_table(self, typ: int = 3, *, test: str = "lr", n_init: int = 3, seed: int = 0) -> Table:
        """Analysis of deviance by terms.

        Parameters
        ----------
        typ : {1, 3}
            Each term given those before it, or given all others.
        test : {"lr", "wald"}
            Refits without the term, or Wald tests of its weights in the first layer and the skip term (type III).
        n_init, seed : int
            As in `drop1`.

        Raises
        ------
        ValueError
            If an argument is not known, if there is nothing to refit, or for "wald" no standard errors.
        """
        if test not in ("lr", "wald") or (test == "wald" and typ != 3):
            raise ValueError(f"test={test!r} with typ={typ!r}: choose 'lr', or 'wald' with typ=3.")
        terms = self._term_columns()
        if test == "wald":
            if self.refusal:
                raise ValueError(f"test='wald': no standard errors: {self.refusal} Use test='lr'.")
            return deviances.wald_table(self.fit, terms, self.theta, self.cov_theta(), self.df_inference)
        return deviances.terms_table(self.fit, terms, typ, n_init=n_init, seed=seed)

    def _term_columns(self) -> dict[str, tuple[int, ...]]:
        names = map(str, self.fit.input_names)
        inputs = {name: (i,) for i, name in enumerate(names)} if self.reader is None else self.reader.columns
        return deviances.term_columns(self.fit, inputs)
