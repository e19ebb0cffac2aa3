"""Certified and published numbers: log relative errors of estimates and standard errors."""

import numpy as np
import pytest

from reglm import RecursiveGLMClassifier, RecursiveGLMRegressor, datasets


def digits(found, certified):
    """Smallest number of digits that agree, -log10 of the relative error."""
    error = np.abs(np.asarray(found) / np.asarray(certified) - 1)
    return -np.log10(np.maximum(error, 1e-16)).min()


def test_star98_binomial_logit():
    # Gill (2000) and statsmodels' documentation
    data = datasets.load_star98()
    results = RecursiveGLMRegressor(family="binomial").fit(data.data, data.target).inference()
    assert digits(results.deviance, 4078.76541772) > 11
    assert digits(results.pearson_chi2, 4051.92101318) > 11
    assert digits(results.llf, -2998.61255899) > 11


def test_star98_equals_statsmodels():
    import statsmodels.api as sm

    data = datasets.load_star98()
    results = RecursiveGLMRegressor(family="binomial").fit(data.data, data.target).inference()
    # statsmodels is given centred and scaled columns: on the raw ones its own normal equations lose digits
    X = data.data.to_numpy()
    center, scale = X.mean(axis=0), X.std(axis=0)
    peer = sm.GLM(data.target, sm.add_constant((X - center) / scale), sm.families.Binomial()).fit(tol=1e-14)
    assert digits(results.params.iloc[1:], np.asarray(peer.params)[1:] / scale) > 8
    assert digits(results.bse.iloc[1:], np.asarray(peer.bse)[1:] / scale) > 8


def test_scotland_gamma_log():
    data = datasets.load_scotland()
    results = RecursiveGLMRegressor(family="gamma", link="log").fit(data.data, data.target).inference()
    assert digits(results.deviance, 0.08798781836) > 9
    assert digits(results.llf, -83.1095697253) > 9  # at the Pearson dispersion
    ml = RecursiveGLMRegressor(family="gamma", dispersion="ml").fit(data.data, data.target).inference()
    assert ml.llf == pytest.approx(-82.5829, abs=5e-5)


SPECTOR = {
    "GPA": (2.8261125949, 1.2629410756),
    "TUCE": (0.0951576613, 0.1415542057),
    "PSI": (2.3786876551, 1.0645642545),
    "Intercept": (-13.0213468581, 4.9313242136),
}


def test_spector_bernoulli_logit():
    # Greene (2003), table 21.1
    data = datasets.load_spector()
    results = RecursiveGLMClassifier().fit(data.data, data.target).inference()
    for name, (coefficient, error) in SPECTOR.items():
        assert digits(results.params[name], coefficient) > 8, name
        assert digits(results.bse[name], error) > 8, name
    assert digits(results.llf, -12.889634222) > 10


def test_spector_probit():
    data = datasets.load_spector()
    fit = RecursiveGLMRegressor(family="bernoulli", link="probit").fit(data.data, data.target).fit_
    assert digits(fit.log_likelihood, -12.818804069) > 10


def test_longley_is_ill_conditioned():
    # NIST StRD, linear least squares: certified
    data = datasets.load_longley()
    results = RecursiveGLMRegressor().fit(data.data, data.target).inference()
    names = ["Intercept", "GNPDEFL", "GNP", "UNEMP", "ARMED", "POP", "YEAR"]
    certified = [
        (-3482258.63459582, 890420.383607373),
        (15.0618722713733, 84.9149257747669),
        (-0.358191792925910e-01, 0.334910077722432e-01),
        (-2.02022980381683, 0.488399681651699),
        (-1.03322686717359, 0.214274163161675),
        (-0.511041056535807e-01, 0.226073200069370),
        (1829.15146461355, 455.478499142212),
    ]
    assert digits(results.params[names], [c for c, _ in certified]) > 9
    assert digits(results.bse[names], [s for _, s in certified]) > 9
    assert digits(np.sqrt(results.scale), 304.854073561965) > 11


def test_rat42_is_one_logistic_unit():
    # NIST StRD, nonlinear regression: certified, Gauss-Newton standard errors
    data = datasets.load_rat42()
    model = RecursiveGLMRegressor((1,), "sigmoid", output_bias=False, n_init=3, random_state=0)
    fit = model.fit(data.data, data.target).fit_
    sign = np.sign(fit.theta[2])
    assert digits(sign * fit.theta[[2, 1, 0]] * [1, -1, 1], [72.462237576, 2.6180768402, 0.067359200066]) > 8
    errors = np.sqrt(np.diag(model.inference("expected").cov_theta()))
    assert digits(errors[[2, 1, 0]], [1.7340283401, 0.088295217536, 0.0034465663377]) > 8
    assert digits(fit.deviance, 8.0565229338) > 10
    assert model.inference("observed").bse.iloc[0] == pytest.approx(1.6885, abs=5e-5)


def test_boxbod_is_one_unit_of_the_logc_link():
    data = datasets.load_boxbod()
    model = RecursiveGLMRegressor((1,), "logc", hidden_bias=False, output_bias=False, n_init=10, random_state=0)
    fit = model.fit(data.data, data.target).fit_
    assert digits(fit.theta[[1, 0]] * [1, -1], [213.80940889, 0.54723748542]) > 8
    errors = np.sqrt(np.diag(model.inference("expected").cov_theta()))
    assert digits(errors[[1, 0]], [12.354515176, 0.10455993237]) > 8
    assert digits(fit.deviance, 1168.0088766) > 10


def test_danwood_is_a_log_linear_model():
    data = datasets.load_danwood()
    X = np.log(data.data)
    results = RecursiveGLMRegressor(link="log").fit(X, data.target).inference()
    scale = np.exp(results.params["Intercept"])  # b1 = exp(intercept), b2 the slope
    found = np.array([scale, results.params.iloc[1]])
    assert digits(found, [0.76886226176, 3.8604055871]) > 8
    errors = np.array([scale * results.bse["Intercept"], results.bse.iloc[1]])
    assert digits(errors, [0.018281973860, 0.051726610913]) > 8
    assert digits(results.deviance, 4.3173084083e-3) > 9
