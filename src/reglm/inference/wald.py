"""Wald tests of linear hypotheses: single coefficients, contrasts, and all weights that take up an input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from reglm.inference.contrasts import Contrasts, WaldOutcome, wald_statistic
from reglm.inference.estimates import Estimates
from reglm.inference.flow import theta_names
from reglm.inference.hypotheses import Hypothesis, read, without_input
from reglm.inference.iterative import covariance_of
from reglm.parameters import Array

if TYPE_CHECKING:
    import pandas as pd

ONLY_INPUT = (
    "Without its only input the hidden units are constant and their other weights are not identified: the statistic "
    "need not have its reference distribution."
)


class WaldTests(Estimates):
    """Wald tests, and p-values corrected for their number."""

    def theta_names(self) -> list[str]:
        """Names of all parameters `theta` (P,): ``"hidden1.W[age, 1]"``, units counted from one."""
        return theta_names(self.fit)

    def wald_test(self, hypothesis: Any, r: Any = None, *, use_f: bool | None = None) -> WaldOutcome:
        """Wald test that linear hypotheses hold all at once.

        Parameters
        ----------
        hypothesis : str, sequence of str or array (q, M)
            ``"x1 = x2, 2 * x3 = 1"`` in names of `params` or `theta_names`; names with brackets or blanks may
            stand between backticks. An array R has a column for each of `params`, or of `theta`.
        r : float or array (q,), optional
            Right-hand side of an array; zero by default.
        use_f : bool, optional
            F with `df_inference` denominator degrees of freedom instead of chi-squared; by default `use_t`.

        Returns
        -------
        WaldOutcome

        Raises
        ------
        ValueError
            If there are no standard errors, or a hypothesis cannot be read or tested.
        """
        found, C = self._along_theta(hypothesis, r)
        return self._wald(", ".join(found.labels), found.labels, self._values(found, C), C, use_f)

    def t_test(self, hypothesis: Any, r: Any = None, *, alpha: float = 0.05) -> Contrasts:
        """Estimates, standard errors, tests and intervals of linear functions, one by one.

        Parameters
        ----------
        hypothesis, r
            As in `wald_test`; intervals are for ``R b``.
        alpha : float
            Intervals have level ``1 - alpha``.
        """
        import pandas as pd

        found, C = self._along_theta(hypothesis, r)
        distance, se = self._values(found, C), np.sqrt(np.diag(self._spread(C)))
        effect, half = distance + found.r, self.reference.isf(alpha / 2) * se
        letter = "t" if self.use_t else "z"
        columns = {
            "coef": effect, "std err": se, letter: distance / se,
            f"P>|{letter}|": 2 * self.reference.sf(np.abs(distance / se)),
            f"[{alpha / 2:g}": effect - half, f"{1 - alpha / 2:g}]": effect + half,
        }  # fmt: skip
        return Contrasts(pd.DataFrame(columns, index=found.labels))

    def wald_test_input(self, name: str, *, use_f: bool | None = None) -> WaldOutcome:
        """Wald test that an input has no effect: all first-layer and skip weights that take it up are zero.

        Parameters
        ----------
        name : str
            Input as the user has it; a categorical one stands for all its columns.
        use_f : bool, optional
            As in `wald_test`.
        """
        inputs = self._input_columns()
        if name not in inputs:
            raise ValueError(f"input {name!r} is not known; the inputs are {', '.join(map(str, inputs))}.")
        found = without_input(self.fit, inputs[name], name)
        alone = len(inputs) == 1 and not self.fit.is_linear
        C = found.R[~found.R[:, np.isnan(self.theta)].any(axis=1)]
        if not len(C):
            raise ValueError(f"input {name!r} is not estimable: other inputs determine it.")
        notes = (ONLY_INPUT,) if alone else ()
        return self._wald(f"{name} has no effect", found.labels, C @ np.nan_to_num(self.theta), C, use_f, notes)

    def wald_test_terms(self, *, use_f: bool | None = None) -> pd.DataFrame:
        """`wald_test_input` of every input: statistic, df, p-value (inputs, 3)."""
        import pandas as pd

        tests = {name: self.wald_test_input(name, use_f=use_f) for name in self._input_columns()}
        rows = [(t.statistic, t.df[0] if isinstance(t.df, tuple) else t.df, t.pvalue) for t in tests.values()]
        return pd.DataFrame(rows, index=list(tests), columns=["statistic", "df", "pvalue"])

    def pvalues_adjusted(self, method: str = "holm", names: Sequence[str] | None = None) -> pd.Series:
        """Adjust p-values for their number (`statsmodels.stats.multitest.multipletests`).

        Parameters
        ----------
        method : str
            "holm", "bonferroni", "fdr_bh", ...
        names : sequence of str, optional
            Which of `params` are tested together; by default all but intercepts and shape parameters.
        """
        from statsmodels.stats.multitest import multipletests

        slopes = [term.label for term in self._terms if not term.label.endswith("Intercept")]
        chosen = self.pvalues[slopes if names is None else list(names)]
        known = chosen.notna()
        adjusted = chosen.copy()
        if known.any():
            adjusted[known] = multipletests(chosen[known].to_numpy(), method=method)[1]
        return adjusted

    def variance_of(self, contrasts: Any, cov: str | None = None, **options: Any) -> Array:
        """Covariance ``C V C'`` (q, q) of linear functions of `theta`, without forming V.

        For networks of thousands of parameters, of which a few are looked at: each function costs one solution by
        conjugate gradients.

        Parameters
        ----------
        contrasts : array (q, P), or sequence of str (q,)
            C, or names of single parameters, see `theta_names`.
        cov : str, optional
            Kind of covariance; by default that of these results.
        **options
            Of `reglm.inference.iterative.covariance_of`.

        Raises
        ------
        ValueError
            If a name is not known, or there are no standard errors.
        """
        if all(isinstance(name, str) for name in contrasts):
            position = {name: i for i, name in enumerate(self.theta_names())}
            unknown = [name for name in contrasts if name not in position]
            if unknown:
                raise ValueError(f"contrasts: {unknown[0]!r} is not one of theta_names().")
            contrasts = np.eye(len(position))[[position[name] for name in contrasts]]
        C = np.atleast_2d(np.asarray(contrasts, dtype=float))
        if C.shape[1] != len(self.theta):
            raise ValueError(f"contrasts has {C.shape[1]} columns; theta has {len(self.theta)}.")
        return covariance_of(self.fit, C, cov or self.cov_type, **options)

    # -- from hypotheses to contrasts of theta ------------------------------------------------------------

    def _input_columns(self) -> dict[str, tuple[int, ...]]:
        if self.reader is not None:
            return dict(self.reader.columns)
        names = [str(name) for name in self.fit.input_names]
        return {
            name: (j,) for j, name in enumerate(names or [f"x{j}" for j in range(self.fit.likelihood.network.inputs)])
        }

    def _along_theta(self, hypothesis: Any, r: Any) -> tuple[Hypothesis, Array]:
        """Return the hypothesis about params and theta, and its slope (q, P) in theta."""
        P, M = len(self.theta), len(self.names)
        slope = np.vstack([self.params_along(np.eye(P)).T, np.eye(P)])
        names = [*self.names, *self.theta_names()]
        texts = [hypothesis] if isinstance(hypothesis, str) else list(hypothesis)
        if texts and all(isinstance(text, str) for text in texts):
            found = read(", ".join(texts), names)
        else:
            R = np.atleast_2d(np.asarray(hypothesis, dtype=float))
            if R.shape[1] not in (M, P):
                raise ValueError(f"hypothesis has {R.shape[1]} columns; it needs {M} (params) or {P} (theta).")
            wide = np.zeros((len(R), M + P))
            wide[:, slice(0, M) if R.shape[1] == M else slice(M, None)] = R
            values = np.broadcast_to(np.asarray(0.0 if r is None else r, dtype=float), len(R))
            found = Hypothesis(wide, values, [f"c{i}" for i in range(len(R))])
        return found, found.R @ slope

    def _values(self, found: Hypothesis, C: Array) -> Array:
        """``R b - r`` (q,)."""
        b = np.concatenate([self.params.to_numpy(), self.theta])
        touched = np.isnan(b) & (found.R != 0).any(axis=0)
        if touched.any():
            name = [*self.names, *self.theta_names()][int(touched.argmax())]
            raise ValueError(
                f"{name!r} is not estimable: other parameters determine it; leave it out of the hypothesis."
            )
        return found.R @ np.nan_to_num(b) - found.r

    def _spread(self, C: Array) -> Array:
        """``C V C'`` (q, q)."""
        if self.refusal:
            raise ValueError(f"no standard errors: {self.refusal}")
        V = self.cov_theta()
        kept = np.isfinite(np.diag(V))
        held = ~kept & ~np.isnan(self.theta) & (C != 0).any(axis=0)
        if held.any():
            raise ValueError(
                f"{self.theta_names()[int(held.argmax())]!r} is held at its estimate, because the scale of its unit is "
                "free without a penalty: test the weights into the unit, or an input by wald_test_input."
            )
        return C[:, kept] @ V[np.ix_(kept, kept)] @ C[:, kept].T

    def _wald(
        self, name: str, labels: Sequence[str], values: Array, C: Array, use_f: bool | None, notes: tuple[str, ...] = ()
    ) -> WaldOutcome:
        V = self._spread(C)
        statistic, df = wald_statistic(values, V)
        if df < len(C):
            notes = (*notes, f"Only {df} of {len(C)} hypotheses are independent.")
        if self.use_t if use_f is None else use_f:
            F = statistic / df
            p = float(stats.f.sf(F, df, self.df_inference))
            return WaldOutcome(name, F, (float(df), self.df_inference), p, "F", notes, tuple(labels), values, V)
        p = float(stats.chi2.sf(statistic, df))
        return WaldOutcome(name, statistic, float(df), p, "chi2", notes, tuple(labels), values, V)
