"""A family after a link, in numbers: means, deviances, densities and working quantities."""

import pickle

import numpy as np
import pytest
from family_cases import ALL, template
from scipy import stats

from reglm import families
from reglm.families.base import ExponentialDispersion
from reglm.response import Response, has_information

RNG = np.random.default_rng(0)
ETA = RNG.normal(size=(30, 1))
COUNTS = RNG.poisson(2.0, (30, 1)).astype(float)
WEIGHTS = RNG.uniform(0.5, 2.0, (30, 1))


def response(name, link=None):
    family = families.get(name)
    return Response(family, family.resolve_link(link))


def test_poisson_in_closed_form():
    r, mu = response("poisson"), np.exp(ETA)
    np.testing.assert_allclose(r.mean(ETA), mu, rtol=1e-14)
    np.testing.assert_allclose(r.variance(ETA), mu, rtol=1e-13)
    np.testing.assert_allclose(r.log_density(COUNTS, ETA), stats.poisson(mu).logpmf(COUNTS), rtol=1e-10, atol=1e-12)
    positive = np.where(COUNTS > 0, COUNTS, 1.0)
    expected = 2 * (np.where(COUNTS > 0, COUNTS * np.log(positive / mu), 0.0) - (COUNTS - mu))
    np.testing.assert_allclose(r.unit_deviance(COUNTS, ETA), expected, rtol=1e-9, atol=1e-12)
    working = r.working(COUNTS, ETA, WEIGHTS)
    assert working.objective == pytest.approx(np.sum(WEIGHTS * (mu - COUNTS * ETA)), rel=1e-12)
    np.testing.assert_allclose(working.score, WEIGHTS * (COUNTS - mu), rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(working.information[:, :, 0], WEIGHTS * mu, rtol=1e-12)


def test_the_dispersion_is_divided_by_the_weights():
    found = response("gaussian").log_density(COUNTS, ETA, 1.7, WEIGHTS)
    np.testing.assert_allclose(found, stats.norm(ETA, np.sqrt(1.7 / WEIGHTS)).logpdf(COUNTS), rtol=1e-11)
    found = response("gamma", "log").log_density(COUNTS + 1, ETA, 0.6)
    expected = stats.gamma(1 / 0.6, scale=0.6 * np.exp(ETA)).logpdf(COUNTS + 1)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_shape_parameters_by_name():
    r = response("negative_binomial")
    shape = {"log_alpha": np.asarray(np.log(0.5))}
    expected = stats.nbinom(2.0, 2.0 / (2.0 + np.exp(ETA))).logpmf(COUNTS)
    np.testing.assert_allclose(r.log_density(COUNTS, ETA, shape=shape), expected, rtol=1e-9)
    np.testing.assert_allclose(r.variance(ETA, shape), np.exp(ETA) + 0.5 * np.exp(2 * ETA), rtol=1e-10)


def test_observed_and_expected_information_differ_off_the_canonical_link():
    r = response("poisson", "sqrt")
    eta = 1.0 + np.abs(ETA)
    expected, observed = (r.working(COUNTS, eta, WEIGHTS, observed=kind).information[:, 0, 0] for kind in (False, True))
    np.testing.assert_allclose(expected, 4 * WEIGHTS[:, 0], rtol=1e-10)
    np.testing.assert_allclose(observed, (WEIGHTS * (2 + 2 * COUNTS / eta**2))[:, 0], rtol=1e-10)


def test_coupled_classes_have_full_information():
    r, eta = response("multinomial"), RNG.normal(size=(30, 2))
    p = r.location(eta)
    assert p.shape == (30, 3)
    np.testing.assert_allclose(p.sum(1), 1.0, rtol=1e-14)
    W = r.working(np.eye(3)[np.arange(30) % 3], eta, WEIGHTS).information
    q = p[:, 1:]
    expected = WEIGHTS[:, :, None] * (q[:, :, None] * np.eye(2) - q[:, :, None] * q[:, None, :])
    np.testing.assert_allclose(W, expected, rtol=1e-10, atol=1e-14)


def test_location_and_mean_of_a_censored_response():
    r = Response(families.Tobit(left=0.0), families.Tobit().resolve_link())
    shape = {"log_scale": np.asarray(np.log(1.5))}
    np.testing.assert_allclose(r.location(ETA, shape), ETA, rtol=1e-14)
    z = ETA / 1.5
    np.testing.assert_allclose(r.mean(ETA, shape), ETA * stats.norm.cdf(z) + 1.5 * stats.norm.pdf(z), rtol=1e-10)


def test_blocks_and_no_rows_at_all(monkeypatch):
    r = response("poisson")
    whole = r.working(COUNTS, ETA, WEIGHTS)
    monkeypatch.setattr("reglm.response.BLOCK_ROWS", 7)
    for one, other in zip(whole, r.working(COUNTS, ETA, WEIGHTS), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)
    assert r.mean(ETA[:0]).shape == (0, 1)


def test_results_are_new_arrays_in_the_precision_of_eta():
    r = response("gaussian")
    mu = r.mean(ETA)
    assert not np.shares_memory(mu, ETA)
    low = ETA.astype("float32")
    found = response("poisson").working(COUNTS, low, WEIGHTS)
    assert (found.score.dtype, found.information.dtype) == (np.float32, np.float32)


def test_tails_overflow_without_a_word():
    far = np.array([[-1e4], [1e4]])
    assert np.isfinite(response("bernoulli").working(np.array([[1.0], [0.0]]), far, np.ones((2, 1))).objective)
    np.testing.assert_array_equal(response("poisson").mean(far), [[0.0], [np.inf]])


def test_it_pickles():
    r = pickle.loads(pickle.dumps(response("negative_binomial")))
    assert r.mean(ETA).shape == ETA.shape


@pytest.mark.parametrize("family", ALL, ids=repr)
def test_families_say_whether_they_declare_an_expected_information(family):
    if not family.specs(template(family)):
        exponential = isinstance(family, ExponentialDispersion)
        assert has_information(family) or not exponential
    assert has_information(families.Poisson())
