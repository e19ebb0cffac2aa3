"""Every number of statsmodels' GLM results, its robust covariances and Wald tests, on three of its data sets.

Columns of these data differ in size by up to 10^6. statsmodels inverts the Hessian for its sandwiches, which costs it
half the digits on the columns as they are; it is therefore given standardised ones, and its covariance is carried back.
"""

import numpy as np
import pytest
import statsmodels.api as sm

from reglm import RecursiveGLMRegressor

FAMILIES = sm.families
RTOL = 1e-8


def _data(name):
    found = getattr(sm.datasets, name).load()
    return found.exog.astype(float).reset_index(drop=True), np.asarray(found.endog, dtype=float)


CASES = {
    "longley": ("gaussian", None, FAMILIES.Gaussian()),
    "star98": ("binomial", "logit", FAMILIES.Binomial()),
    "scotland": ("gamma", "inverse", FAMILIES.Gamma()),
}


class Pair:
    """A fit of ours and the tools to fit theirs."""

    def __init__(self, name):
        family, link, self.family = CASES[name]
        self.X, self.y = _data(name)
        self.model = RecursiveGLMRegressor(family=family, link=link, tol=1e-12).fit(self.X, self.y)
        self.found = self.model.inference()
        self.groups = np.arange(len(self.X)) % 7

    def theirs(self, X=None, **options):
        model = sm.GLM(self.y, sm.add_constant(self.X if X is None else X), self.family)
        return model.fit(tol=1e-15, maxiter=40, **options)

    def robust(self, cov_type, **kwds):
        """Their covariance, from standardised columns carried back."""
        center, scale = self.X.mean(), self.X.std()
        V = self.theirs((self.X - center) / scale, cov_type=cov_type, cov_kwds=kwds or None).cov_params().to_numpy()
        back = np.diag([1.0, *1 / scale])
        back[0, 1:] = -center / scale
        return back @ V @ back.T


@pytest.fixture(scope="module", params=CASES)
def pair(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *a, **k: None)  # statsmodels on the inverse link of Gamma
        yield Pair(request.param)


def close(found, expected, V=None):
    """Relative to the number itself; entries of a covariance relative to the two variances."""
    size = 0.0 if V is None else np.sqrt(np.outer(np.diag(V), np.diag(V)))
    error = np.abs(np.asarray(found, dtype=float) - np.asarray(expected, dtype=float))
    assert np.all(error <= RTOL * np.maximum(np.abs(np.asarray(expected, dtype=float)), size))


def test_the_coefficient_table(pair):
    expected = pair.theirs()
    for name in ("params", "bse", "tvalues", "pvalues"):
        close(getattr(pair.found, name), getattr(expected, name))
    for alpha in (0.05, 0.2):
        close(pair.found.conf_int(alpha), expected.conf_int(alpha))
    V = expected.cov_params().to_numpy()
    close(pair.found.cov_params(), V, V)


def test_the_measures_above_it(pair):
    expected, found = pair.theirs(), pair.found
    for name in ("nobs", "df_resid", "df_model", "scale", "deviance", "null_deviance", "pearson_chi2", "llf"):
        close(getattr(found, name), getattr(expected, name))
    close(found.aic, expected.aic)
    close(found.bic, expected.bic_llf)
    if isinstance(
        pair.family, FAMILIES.Gaussian
    ):  # theirs takes llf at the dispersion of ML and llnull at RSS / (n - P)
        least_squares = sm.OLS(pair.y, sm.add_constant(pair.X)).fit()
        close(found.pseudo_rsquared("cs"), least_squares.rsquared)
        close(found.llnull, sm.OLS(pair.y, np.ones(len(pair.y))).fit().llf)
    else:
        close(found.llnull, expected.llnull)
        for kind in ("cs", "mcf"):
            close(found.pseudo_rsquared(kind), expected.pseudo_rsquared(kind))


def test_robust_covariances(pair):
    V = pair.robust("HC0")
    close(pair.model.inference("HC0").cov_params(), V, V)
    V = pair.robust("cluster", groups=pair.groups)
    found = pair.model.inference("cluster", groups=pair.groups)
    close(found.cov_params(), V, V)
    close(found.bse, np.sqrt(np.diag(V)))
    V = pair.robust("cluster", groups=pair.groups, use_correction=False)
    found = pair.model.inference("cluster", groups=pair.groups, use_correction=False)
    close(found.cov_params(), V, V)


def test_wald_tests(pair):
    expected, names = pair.theirs(), list(pair.X.columns)
    a, b, c = names[:3]
    for text in (f"{a} = 0, {b} = 0, {c} = 0", f"{a} - 2*{b} = 0.1", ", ".join(f"{name} = 0" for name in names)):
        theirs, ours = expected.wald_test(text, scalar=True), pair.found.wald_test(text)
        close(ours.statistic, float(theirs.statistic))
        close(ours.pvalue, float(theirs.pvalue))
        lines = expected.t_test(text)
        table = pair.found.t_test(text)
        for name in ("effect", "sd", "tvalue", "pvalue"):
            close(getattr(table, name), np.ravel(getattr(lines, name)))
    for text in (f"{a} = 0, {c} = 0", f"{a} = {b}"):
        theirs, ours = expected.wald_test(text, scalar=True, use_f=True), pair.found.wald_test(text, use_f=True)
        close(ours.statistic, float(theirs.statistic))
        close(ours.pvalue, float(theirs.pvalue))
        assert ours.df == (float(theirs.df_num), float(theirs.df_denom))


def test_student_t_as_reference(pair):
    expected, found = pair.theirs(use_t=True), pair.model.inference(use_t=True)
    close(found.pvalues, expected.pvalues)
    close(found.conf_int(), expected.conf_int())


def test_unknown_measures_are_named(pair):
    with pytest.raises(ValueError, match="kind='adjusted' is not known"):
        pair.found.pseudo_rsquared("adjusted")
