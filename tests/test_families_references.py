"""Families against SciPy, statsmodels, quadrature over the response, and draws."""

import family_cases as cases
import numpy as np
import pytensor.tensor as pt
import pytest
from family_cases import ALL, make, quantities
from scipy import special, stats

from reglm import families
from reglm.compiling import evaluate
from reglm.families import Mean

PHI = 0.4
NO_QUANTILES = ("multinomial", "ordinal")  # classes have probabilities instead
LIKELIHOODS = [f for f in ALL if f.likelihood]


@pytest.fixture(params=LIKELIHOODS, ids=repr)
def case(request):
    return make(request.param)


def location(case):
    return case.run(case.family.location(case.mean, **case.shape))[0]


def distribution(case, mu):
    y = case.values[case.y]
    return case.family.distribution(mu, PHI, case.family.size(y), **case.natural)


def test_log_density_agrees_with_scipy(case):
    if case.family.name in (*NO_QUANTILES, "tweedie", "tobit", "columns"):
        pytest.skip("tested by a reference of its own below")
    reference, y = distribution(case, location(case)), case.values[case.y][:, :1]
    expected = reference.logpmf(y) if hasattr(reference.dist, "logpmf") else reference.logpdf(y)
    found = case.run(case.family.log_density(case.y, case.mean, PHI, **case.shape))[0]
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)


def test_columns_add_up():
    """Two gaussian columns with a gap, counts, and a class: the sum of what SciPy says of those observed."""
    family = families.Columns(("gaussian", "poisson", "multinomial"), (2, 1, 3), gaps=True)
    rng = np.random.default_rng(0)
    y = np.column_stack([rng.normal(size=(4, 2)), rng.poisson(2.0, 4), np.eye(3)[[0, 2, 1, 1]], np.ones((4, 6))])
    y[1, 6] = y[2, 8] = y[3, 9] = 0.0
    family.check_response(y)
    values, phi = rng.normal(size=(4, 5)), 0.3
    Y, eta, s = pt.matrix(), pt.matrix(), pt.scalar()
    mean, shape = Mean(family.resolve_link(), eta), {"part1_log_dispersion": s}
    density = family.log_density(Y, mean, **shape)
    outputs = [density, family.location(mean, **shape), family.score(Y, mean, **shape)]
    given = {Y: y, eta: values, s: np.array(np.log(phi))}
    found, mu, score = evaluate([*outputs, family.curvature(Y, mean, **shape)], given)[:3]
    parts = np.column_stack([
        stats.norm.logpdf(y[:, :2], values[:, :2], np.sqrt(phi)), stats.poisson.logpmf(y[:, 2], np.exp(values[:, 2])),
        np.log(mu[:, 3:][y[:, 3:6] > 0]),
    ])  # fmt: skip
    np.testing.assert_allclose(found[:, 0], (parts * y[:, 6:10]).sum(axis=1), rtol=1e-12)
    assert score[1, 0] == score[2, 2] == score[3, 3] == 0.0
    curvature = evaluate([family.curvature(Y, mean, **shape)], given)[0]
    step = 1e-6 * np.eye(5)
    slopes = [(evaluate([outputs[2]], given | {eta: values + e})[0] - score) / 1e-6 for e in step]
    np.testing.assert_allclose(curvature, -np.stack(slopes, axis=2), atol=1e-4)
    drawn = family.simulate(rng, mu, **{"part1_log_dispersion": np.log(phi)})
    family.check_response(drawn)
    assert family.outputs(drawn) == 5


def test_multinomial_agrees_with_scipy():
    case = make(families.Multinomial())
    y = np.random.default_rng(0).integers(0, 4, (cases.ROWS, 4)) + np.eye(4)[0]
    expected = stats.multinomial.logpmf(y, y.sum(axis=1), location(case))
    found = case.run(quantities(case)["log_density"], given={case.y: y})[0]
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-11)


@pytest.mark.parametrize(("link", "cdf"), [("logit", stats.logistic.cdf), ("probit", stats.norm.cdf)])
def test_ordinal_is_a_difference_of_distribution_functions(link, cdf):
    case = make(families.Ordinal(), link)
    cuts = case.family.natural(**case.natural)["cutpoints"]
    below = cdf(cuts - case.values[case.eta])
    ends = np.zeros((cases.ROWS, 1)), np.ones((cases.ROWS, 1))
    expected = np.diff(np.hstack([ends[0], below, ends[1]]), axis=1)
    np.testing.assert_allclose(location(case), expected, rtol=1e-10)
    observed = np.log((expected * case.values[case.y]).sum(axis=1))
    np.testing.assert_allclose(case.run(quantities(case)["kernel"])[0][:, 0], observed, rtol=1e-10)


def test_ordinal_with_two_classes_is_logistic_regression():
    eta, y, cut = pt.matrix("eta"), pt.matrix("y"), pt.scalar("cut")
    family, given = families.Ordinal(), {eta: np.array([[0.3], [-1.2]]), y: np.eye(2), cut: np.array(0.4)}
    mean = Mean(family.resolve_link(), eta)
    density, chances = evaluate([family.kernel(y, mean, first_cut=cut), family.location(mean, first_cut=cut)], given)
    second = special.expit(given[eta] - 0.4)
    np.testing.assert_allclose(chances, np.hstack([1 - second, second]), rtol=1e-13)
    np.testing.assert_allclose(density, np.log([1 - second[0], second[1]]), rtol=1e-13)
    assert len(family.specs(np.eye(2))) == 1


@pytest.mark.parametrize(("left", "right"), [(0.0, None), (0.0, 2.0), (None, 1.0)])
def test_tobit_is_a_censored_normal(left, right):
    family = families.Tobit(left, right)
    eta, y, s = pt.matrix("eta"), pt.matrix("y"), pt.scalar("s")
    mean = Mean(family.resolve_link(), eta)
    at, scale = np.linspace(-1, 3, 9)[:, None], 0.7
    low, high = -np.inf if left is None else left, np.inf if right is None else right
    responses = np.clip(np.linspace(-0.5, 2.5, 9)[::-1, None], low, high)
    given = {eta: at, y: responses, s: np.log(scale)}
    latent = stats.norm(at, scale)
    expected = np.where(
        responses <= low, latent.logcdf(low), np.where(responses >= high, latent.logsf(high), latent.logpdf(responses))
    )
    found = evaluate([family.log_density(y, mean, log_scale=s)], given)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    recorded = stats.norm.ppf((np.arange(40_000) + 0.5) / 40_000) * scale + at
    recorded = np.clip(recorded, low, high)
    response, variance = evaluate([family.response(mean, s), family.variance(eta, s)], given)
    np.testing.assert_allclose(response[:, 0], recorded.mean(axis=1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(variance[:, 0], recorded.var(axis=1), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("phi", "power"), [(0.5, 1.3), (2.0, 1.8)])
def test_tweedie_density_integrates_to_one(phi, power):
    family, y, eta, p = families.Tweedie(power), pt.matrix("y"), pt.matrix("eta"), pt.scalar("phi")
    density = family.log_density(y, Mean(family.resolve_link(), eta), p)

    def f(values):
        values = np.atleast_1d(values)[:, None]
        return np.exp(evaluate([density], {y: values, eta: np.full_like(values, 0.4), p: np.array(phi)})[0][:, 0])

    nodes, weights = np.polynomial.legendre.leggauss(300)
    u = (nodes + 1) / 2  # y = 80 u^4: denser towards zero, where the density may be unbounded
    mass = f(0.0)[0] + np.sum(weights / 2 * f(80 * u**4) * 320 * u**3)
    np.testing.assert_allclose(mass, 1, rtol=1e-7)


def draw(case, phi, n, seed):
    """Draw n responses, (n, 3, m), for the three rows whose linear predictors are least extreme."""
    rows = np.argsort(np.abs(case.values[case.eta]).max(axis=1))[:3]
    size = np.broadcast_to(case.family.size(case.values[case.y]), (cases.ROWS, 1))
    at, rng = np.tile(rows, n), np.random.default_rng(seed)
    y = case.family.simulate(rng, location(case)[at], phi, size[at], **case.natural)
    return y.reshape(n, 3, -1), rows, size[rows]


def test_draws_have_the_declared_mean_and_variance(case):
    f, n = case.family, 20_000
    if f.name == "student_t" and f.natural(**case.natural)["df"] <= 4:
        pytest.skip("the sample variance has no variance of its own")
    y, rows, size = draw(case, PHI, n, seed=7)
    flat = y.reshape(-1, y.shape[-1])
    f.check_response(flat)
    observed = f.observed(flat).reshape(n, 3, -1)
    response, variance = case.run(
        f.response(case.mean, **case.shape), f.variance(f.location(case.mean, **case.shape), **case.shape)
    )
    phi = PHI if f.dispersion == "estimated" else 1.0
    spread = phi * variance[rows] / size
    error = np.abs(observed.mean(axis=0) - response[rows])
    assert (error <= 5 * np.sqrt(spread / n) + 1e-12).all()
    fourth = ((observed - response[rows]) ** 4).mean(axis=0)
    assert (np.abs(observed.var(axis=0) - spread) <= 6 * np.sqrt(fourth / n) + 1e-12).all()


def test_information_is_the_expected_square_of_the_score(case):
    """Over draws at dispersion 1: the score has mean 0 and its outer product the declared information."""
    n = 20_000
    if "information" not in quantities(case):
        pytest.skip("only observed information is offered")
    y, rows, _ = draw(case, 1.0, n, seed=3)
    given = {case.eta: np.tile(case.values[case.eta][rows], (n, 1)), case.y: y.reshape(3 * n, -1)}
    score, information = case.run(quantities(case)["score"], quantities(case)["information"], given=given)
    score, expected = score.reshape(n, 3, -1), information[:3]
    if expected.ndim == 2:
        expected = expected[:, :, None] * np.eye(score.shape[2])
    products = score[:, :, :, None] * score[:, :, None, :]
    assert (np.abs(score.mean(axis=0)) <= 5 * score.std(axis=0) / np.sqrt(n)).all()
    assert (np.abs(products.mean(axis=0) - expected) <= 6 * products.std(axis=0) / np.sqrt(n) + 1e-12).all()


@pytest.mark.parametrize(
    "family", [families.StudentT(4.0), families.Beta(5.0), families.Beta(2.5), families.Tobit(0.0, 2.0)], ids=repr
)
def test_declared_information_by_quadrature(family):
    """More digits than draws give, for the families whose information is not derived from the kernel."""
    case = make(family)
    q = (np.arange(40_000) + 0.5) / 40_000
    y = np.asarray(family.distribution(location(case)[0], **case.natural).ppf(q)).reshape(-1, 1)
    inside = family.support.contains(y)[:, 0]
    given = {case.y: y[inside], case.eta: np.repeat(case.values[case.eta][:1], inside.sum(), axis=0)}
    score, information = case.run(quantities(case)["score"], quantities(case)["information"], given=given)
    np.testing.assert_allclose(np.mean(score**2), information[0, 0], rtol=2e-3)


STATSMODELS = {
    "gaussian": "Gaussian", "bernoulli": "Binomial", "poisson": "Poisson", "gamma": "Gamma",
    "inverse_gaussian": "InverseGaussian", "negative_binomial": "NegativeBinomial", "tweedie": "Tweedie",
}  # fmt: skip


@pytest.mark.parametrize("name", STATSMODELS)
def test_variance_deviance_and_likelihood_agree_with_statsmodels(name):
    from statsmodels.genmod import families as reference

    options = {"negative_binomial": {"alpha": 0.5}, "tweedie": {"power": 1.6}}.get(name, {})
    case = make(families.REGISTRY[name](**options))
    keywords = {"tweedie": {"var_power": 1.6}}.get(name, options)
    other = getattr(reference, STATSMODELS[name])(**keywords)
    y, mu = case.values[case.y], location(case)
    weights = np.linspace(0.5, 2, cases.ROWS)[:, None]
    symbol = pt.matrix("mu")
    variance = evaluate([case.family.variance(symbol)], {symbol: mu})[0]
    np.testing.assert_allclose(variance, other.variance(mu), rtol=1e-12)
    deviance = case.run(quantities(case)["unit_deviance"])[0]
    np.testing.assert_allclose((weights * deviance).sum(), other.deviance(y[:, 0], mu[:, 0], weights[:, 0]), rtol=1e-11)
    if name != "tweedie":  # for which statsmodels gives the quasi-likelihood
        estimated = case.family.dispersion == "estimated"
        w = weights if estimated or name != "gaussian" else np.ones_like(weights)
        density = case.family.log_density(case.y, case.mean, PHI, pt.constant(w))
        expected = other.loglike(y[:, 0], mu[:, 0], w[:, 0], scale=PHI if estimated else 1.0)
        if name != "gaussian":  # whose reference profiles out the scale
            np.testing.assert_allclose(case.run(density)[0].sum(), expected, rtol=1e-11)


def test_tweedie_density_agrees_with_wright_bessel_functions():
    """statsmodels' formula: a(y, phi, p) y = Phi(-a, 0, z), from SciPy's Wright Bessel function."""
    y, phi, p = np.array([0.3, 1.0, 4.0, 9.0]), 0.9, 1.4
    a = (2 - p) / (p - 1)
    z = (y / (p - 1)) ** a / (phi ** (1 + a) * (2 - p))
    expected = np.log(special.wright_bessel(a, 0, z)) - np.log(y)
    family, symbol = families.Tweedie(p), pt.matrix("y")
    found = evaluate([family.base(symbol, pt.constant(phi))], {symbol: y[:, None]})[0]
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-10)


def test_negative_binomial_tends_to_poisson():
    """As alpha vanishes the log-density and its gradient in the mean stay smooth."""
    poisson, y = make(families.Poisson()), np.array([[0.0], [1.0], [3.0], [40.0]])
    eta = np.array([[0.1], [0.5], [1.0], [3.0]])
    expected = poisson.run(quantities(poisson)["log_density"], given={poisson.y: y, poisson.eta: eta})[0]
    case = make(families.NegativeBinomial())
    for log_alpha in (-14.0, -23.0, -40.0, -200.0):
        given = {case.y: y, case.eta: eta, case.shape["log_alpha"]: np.array(log_alpha)}
        found = case.run(quantities(case)["log_density"], given=given)[0]
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=900 * np.exp(log_alpha))


@pytest.mark.parametrize("power", [1.2, 1.6])
def test_compound_poisson_quantiles_invert_its_distribution_function(power):
    reference = families.Tweedie(power).distribution(np.array([[0.5], [3.0]]), 0.8)
    q = np.array([[0.3, 0.7, 0.95]])
    y = reference.ppf(q)
    np.testing.assert_allclose(reference.cdf(y)[y > 0], np.broadcast_to(q, y.shape)[y > 0], rtol=1e-9)
    assert (reference.cdf(y)[y == 0] >= np.broadcast_to(q, y.shape)[y == 0]).all()
    draws = families.Tweedie(power).distribution(np.full(40_000, 3.0), 0.8).rvs(np.random.default_rng(0))
    empirical = (draws <= y[1, 1]).mean()
    assert abs(empirical - 0.7) < 0.015


def test_quasi_families_claim_no_likelihood():
    for family in (families.QuasiPoisson(), families.QuasiBinomial()):
        assert not family.likelihood
        parent = make(cases.simulator(family))
        quasi = make(family)
        for name in ("kernel", "score", "unit_deviance", "information"):
            np.testing.assert_array_equal(
                quasi.run(quantities(quasi)[name])[0], parent.run(quantities(parent)[name])[0]
            )
        with pytest.raises(ValueError, match="no distribution"):
            family.simulate(np.random.default_rng(0), np.ones((3, 1)))
