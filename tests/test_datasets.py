"""The tables are what they claim to be: shapes, published fits, NIST's certified values."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.optimize import least_squares

from reglm import datasets

LOADERS = [getattr(datasets, name) for name in datasets.__all__ if name != "simulate_adding"]  # no target a row
SHAPES = {
    "load_boxbod": (6, 1),
    "load_danwood": (6, 1),
    "load_longley": (16, 6),
    "load_nile": (100, 1),
    "load_randhie": (20190, 9),
    "load_rat42": (9, 1),
    "load_scotland": (32, 7),
    "load_spector": (32, 3),
    "load_star98": (303, 20),
    "load_sunspots": (309, 1),
    "simulate_claims": (20_000, 7),
    "simulate_mackey_glass": (2000, 1),
    "simulate_polyphony": (6037, 48),
}

# Model, start (NIST's second), certified parameters, standard deviations, residual sum of squares, from the
# NIST Statistical Reference Datasets, nonlinear regression.
CERTIFIED = {
    "rat42": (
        lambda b, x: b[0] / (1 + np.exp(b[1] - b[2] * x)),
        [75, 2.5, 0.07],
        [7.2462237576e01, 2.6180768402e00, 6.7359200066e-02],
        [1.7340283401e00, 8.8295217536e-02, 3.4465663377e-03],
        8.0565229338e00,
    ),
    "boxbod": (
        lambda b, x: b[0] * (1 - np.exp(-b[1] * x)),
        [100, 0.75],
        [2.1380940889e02, 5.4723748542e-01],
        [1.2354515176e01, 1.0455993237e-01],
        1.1680088766e03,
    ),
    "danwood": (
        lambda b, x: b[0] * x ** b[1],
        [0.7, 4],
        [7.6886226176e-01, 3.8604055871e00],
        [1.8281973860e-02, 5.1726610913e-02],
        4.3173084083e-03,
    ),
}


@pytest.mark.parametrize("loader", LOADERS, ids=lambda loader: loader.__name__)
def test_bunch_is_complete(loader):
    bunch = loader()
    assert bunch.data.shape == SHAPES[loader.__name__]
    assert list(bunch.data.columns) == bunch.feature_names
    assert len(bunch.target) == len(bunch.data)
    assert not bunch.frame.isna().any(axis=None)
    assert bunch.source
    assert bunch.DESCR
    joined = bunch.data.join(bunch.target)
    pd.testing.assert_frame_equal(joined[bunch.frame.columns], bunch.frame)


@pytest.mark.parametrize("name", CERTIFIED)
def test_nist_tables_give_the_certified_fit(name):
    model, start, params, errors, rss = CERTIFIED[name]
    bunch = getattr(datasets, f"load_{name}")()
    x, y = bunch.data["x"].to_numpy(), bunch.target.to_numpy()
    tight = dict.fromkeys(("xtol", "ftol", "gtol"), 1e-15)
    fit = least_squares(lambda b: model(b, x) - y, start, jac="cs", x_scale="jac", **tight)
    covariance = np.linalg.inv(fit.jac.T @ fit.jac) * 2 * fit.cost / (len(y) - len(start))
    np.testing.assert_allclose(2 * fit.cost, rss, rtol=1e-10)
    # 5e-9: what SciPy's stopping rule leaves of BoxBOD's second parameter
    np.testing.assert_allclose(fit.x, params, rtol=5e-9)
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), errors, rtol=5e-8)


def test_bundled_tables_give_the_published_deviance():
    star = datasets.load_star98()
    fit = sm.GLM(star.target, sm.add_constant(star.data), family=sm.families.Binomial()).fit()
    np.testing.assert_allclose(fit.deviance, 4078.76541772, rtol=1e-10)
    scotland = datasets.load_scotland()
    gamma = sm.families.Gamma(sm.families.links.Log())
    fit = sm.GLM(scotland.target, sm.add_constant(scotland.data), family=gamma).fit()
    np.testing.assert_allclose(fit.deviance, 0.08798781836, rtol=1e-8)


def test_simulated_claims_follow_the_known_frequency():
    bunch = datasets.simulate_claims(200_000, seed=3)
    mean = (bunch.data["exposure"] * bunch.frequency).to_numpy()
    claims = bunch.target.to_numpy()
    assert 0.05 < bunch.frequency.mean() < 0.15
    assert bunch.frequency.max() / bunch.frequency.min() > 20
    # calibrated overall and in every tenth of the frequency, within four standard errors
    tenth = np.digitize(bunch.frequency, np.quantile(bunch.frequency, np.linspace(0.1, 0.9, 9)))
    expected, observed = np.bincount(tenth, mean), np.bincount(tenth, claims)
    assert np.all(np.abs(observed - expected) < 4 * np.sqrt(expected))
    assert bunch.data["exposure"].between(0, 1, inclusive="right").all()
    for column in bunch.data.columns:
        assert bunch.data[column].nunique() > 1


def test_simulation_is_seeded():
    first, again, other = (datasets.simulate_claims(500, seed=seed).frame for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)


def test_simulation_needs_a_policy():
    with pytest.raises(ValueError, match="n=0 policies"):
        datasets.simulate_claims(0)
