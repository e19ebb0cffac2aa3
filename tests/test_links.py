"""Laws that every link and activation obeys; a new record in the registry is tested by being there."""

import pickle

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from scipy import special, stats

from reglm import links
from reglm.compiling import evaluate

PARAMETRIC = ("power(0.3)", "power(-1.5)", "leaky_relu(0.2)")
ALL = [links.get(name) for name in (*links.REGISTRY, *PARAMETRIC)]
SMOOTH = [link for link in ALL if link.elementwise and link.differentiable]
BULK = np.array([-4.1, -1.3, -0.6, -0.2, 0.15, 0.4, 1.1, 3.3])
TAILS = np.array([-500.0, -40.0, -37.0, -30.0, -12.0, 12.0, 30.0, 40.0, 500.0])


def column(values, dtype="float64"):
    return np.asarray(values, dtype=dtype)[:, None]


def forms(link, eta):
    """Every elementwise expression a link carries, by name."""
    found = {name: getattr(link, name) for name in ("inverse", "log_inverse", "log1m_inverse", "log_odds")}
    found = {name: form(eta) for name, form in found.items() if form}
    if link.power_inverse:
        found["power"] = link.power_inverse(eta, -1.5)
    if link.log_between:
        found["between"] = link.log_between(eta - 0.75, eta + 0.5)
    return found


def derivatives(expression, eta):
    first = pytensor.grad(expression.sum(), eta)
    return first, pytensor.grad(first.sum(), eta, disconnected_inputs="ignore")


def inside(link, values):
    return values[link.eta_domain.contains(values)]


@pytest.fixture(params=ALL, ids=lambda link: link.name)
def link(request):
    return request.param


@pytest.fixture(params=SMOOTH, ids=lambda link: link.name)
def smooth(request):
    return request.param


def run(outputs, eta, values):
    with np.errstate(all="ignore"):
        return evaluate(list(outputs), {eta: values})


def test_names_round_trip(link):
    assert links.get(link.name) is link
    assert links.get(link) is link
    assert pickle.loads(pickle.dumps(link)) is link
    assert link.roles <= {"link", "activation"}
    assert link.roles


def test_links_are_invertible(link):
    if link.forward is None:
        assert "link" not in link.roles
        return
    eta = pt.matrix("eta")
    values = column(inside(link, BULK)) if link.elementwise else np.log([[0.2, 0.5, 0.3]])
    mu, back = run([link.inverse(eta), link.forward(link.inverse(eta))], eta, values)
    assert link.domain.contains(mu).all()
    well_conditioned = np.abs(values) < 2
    np.testing.assert_allclose(back[well_conditioned], values[well_conditioned], rtol=1e-11, atol=1e-12)


def test_stable_forms_agree_with_the_mean(smooth):
    eta = pt.matrix("eta")
    values = column(inside(smooth, BULK))
    found = dict(zip(forms(smooth, eta), run(forms(smooth, eta).values(), eta, values), strict=True))
    mu = found["inverse"]
    with np.errstate(all="ignore"):
        expected = {"log_inverse": np.log(mu), "log1m_inverse": np.log1p(-mu), "power": mu**-1.5}
        expected["log_odds"] = np.log(mu / (1 - mu))
    if "between" in found:
        high, low = (run([smooth.inverse(eta)], eta, values + shift)[0] for shift in (0.5, -0.75))
        expected["between"] = np.log(high - low)
    for name, value in found.items():
        valid = np.isfinite(expected.get(name, value)) & (mu < 0.999)  # nearer 1 the plain form is the wrong one
        np.testing.assert_allclose(value[valid], expected.get(name, value)[valid], rtol=1e-9, atol=1e-12, err_msg=name)


def test_derivatives_match_finite_differences(smooth):
    eta = pt.matrix("eta")
    values = inside(smooth, np.concatenate([BULK, [-30.0, -12.0, 12.0, 30.0]]))
    h = 1e-3 * np.maximum(1, np.abs(values)) * (1 if smooth.eta_domain == links.REAL else 0.1)
    for name, f in forms(smooth, eta).items():
        first, second = derivatives(f, eta)
        grid = (values + h * k for k in (-2, -1, 0, 1, 2))
        parts = [run([f, first, second], eta, column(x)) for x in grid]
        parts = [np.array(part)[:, :, 0] for part in parts]
        valid = np.isfinite(parts[2][0])  # 1 - mu < 0 has no logarithm
        for order in (0, 1):
            steps = [part[order][valid] for part in parts]
            difference = (steps[0] - 8 * steps[1] + 8 * steps[3] - steps[4]) / (12 * h[valid])
            scale = np.abs(steps[2]) / values[valid] ** 2 + 1e-4
            error = np.abs(difference - parts[2][order + 1][valid])
            assert np.all(error <= 1e-6 * (scale + np.abs(difference))), (name, order, values[valid], error)


def defined(link, name, mu):
    """Where a form exists in the reals and within the range of doubles."""
    if name == "log1m_inverse":
        return (mu < 1) | (link.domain.high == 1)  # rounding to 1 is no excuse where mu < 1 by definition
    if name == "power":
        return (mu > 1e-200) & (mu < 1e200)
    return np.full(mu.shape, True)


def test_tails_are_finite_twice_differentiable(smooth):
    eta = pt.matrix("eta")
    values = column(inside(smooth, TAILS))
    mu = run([smooth.inverse(eta)], eta, values)[0]
    for name, f in forms(smooth, eta).items():
        found = np.stack(run([f, *derivatives(f, eta)], eta, values))
        assert np.isfinite(found[:, defined(smooth, name, mu)]).all(), name


def test_float32_stays_float32(link):
    eta = pt.matrix("eta", dtype="float32")
    found = forms(link, eta) if link.elementwise else {"inverse": link.inverse(eta)}
    for name, f in found.items():
        assert f.dtype == "float32", name
        if link.differentiable:
            assert pytensor.grad(f.sum(), eta).dtype == "float32", name


REFERENCES = {
    "logit": stats.logistic, "probit": stats.norm, "cauchit": stats.cauchy, "cloglog": stats.gumbel_l,
    "loglog": stats.gumbel_r,
}  # fmt: skip


@pytest.mark.parametrize("name", REFERENCES)
def test_distribution_functions_agree_with_scipy(name):
    link, reference = links.get(name), REFERENCES[name]
    eta = pt.matrix("eta")
    values = column([-200.0, -30.0, -8.0, -1.0, 0.0, 1.0, 5.0, 30.0])
    value, log, log1m = run([link.inverse(eta), link.log_inverse(eta), link.log1m_inverse(eta)], eta, values)
    np.testing.assert_allclose(value, reference.cdf(values), rtol=1e-13)
    np.testing.assert_allclose(log1m, reference.logsf(values), rtol=1e-12, atol=1e-15)
    with np.errstate(divide="ignore"):
        expected = reference.logcdf(values)
    expected = np.where(np.isfinite(expected), expected, -200.0)  # SciPy's log(1 - exp(-e^-200)) is -inf
    np.testing.assert_allclose(log, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("centre", [-30.0, -3.0, 0.3, 3.0, 30.0])
def test_log_between_keeps_narrow_intervals(name, centre):
    link, reference = links.get(name), REFERENCES[name]
    eta = pt.matrix("eta")
    a, b = centre - 1e-4, centre + 1e-4
    value = run([link.log_between(eta - 1e-4, eta + 1e-4)], eta, column([centre]))[0].item()
    far, near = (reference.logsf(b), reference.logsf(a)) if centre > 0 else (reference.logcdf(a), reference.logcdf(b))
    expected = near + np.log(-np.expm1(far - near))
    np.testing.assert_allclose(value, expected, rtol=1e-8)


def test_activations_have_the_values_they_are_known_for():
    eta = pt.matrix("eta")
    x = np.array([[-2.0, -0.5, 0.0, 0.5, 2.0, -1.0]])
    expected = {
        "relu": np.maximum(x, 0), "leaky_relu": np.where(x > 0, x, 0.01 * x), "tanh": np.tanh(x),
        "elu": np.where(x > 0, x, np.exp(x) - 1), "gelu": x * stats.norm.cdf(x), "sigmoid": special.expit(x),
        "softplus": np.log1p(np.exp(x)), "rbf": np.exp(-(x**2)), "threshold": x > 0, "exp": np.exp(x),
        "maxout": np.maximum(x[:, :3], x[:, 3:]), "softmax": special.softmax(x, axis=1), "logc": 1 - np.exp(x),
    }  # fmt: skip
    for name, value in expected.items():
        np.testing.assert_allclose(run([links.get(name).inverse(eta)], eta, x)[0], value, rtol=1e-12, err_msg=name)


def test_slopes_at_kinks_and_nan():
    """The rectifier has slope 0 at 0, the exponential unit 1; NaN comes out as NaN."""
    eta = pt.matrix("eta")
    values = np.array([[0.0, np.nan, 1.0, -1.0]])
    slopes = {"relu": [0, 1, 0], "leaky_relu": [0.01, 1, 0.01], "elu": [1, 1, np.exp(-1)]}
    for name, expected in slopes.items():
        mu, slope = run([links.get(name).inverse(eta), derivatives(links.get(name).inverse(eta), eta)[0]], eta, values)
        assert np.isnan(mu[0, 1]), name
        np.testing.assert_allclose(slope[0, [0, 2, 3]], expected, err_msg=name)
    for name in ("softplus", "cloglog", "probit", "logit"):
        stable = links.get(name).log_inverse(eta)
        for at in (-37.0, 4.0):  # where pieces meet
            first = [run([derivatives(stable, eta)[0]], eta, np.array([[at + h]]))[0].item() for h in (-1e-9, 0, 1e-9)]
            np.testing.assert_allclose(first[1], first[::2], rtol=1e-6, atol=1e-8)
        assert np.isnan(run([stable], eta, np.array([[np.nan]]))[0])


def test_aliases_are_the_same_records():
    for alias, name in links.ALIASES.items():
        assert links.get(alias) is links.REGISTRY[name]
    assert links.get("sigmoid") is links.get("logit")
    assert links.get("exp") is links.get("log")


@pytest.mark.parametrize(("k", "name"), [(1, "identity"), (0, "log"), (-1, "inverse"), (0.5, "sqrt")])
def test_named_powers(k, name):
    assert links.power(k) is links.get(name)
    assert links.get(f"power({k})") is links.get(name)


@pytest.mark.parametrize("name", ["sigmoyd", "power()", "power(two)", "", None, 3])
def test_unknown_names_say_what_is_known(name):
    with pytest.raises(ValueError, match=r"choose one of .*logit.*power\(k\)"):
        links.get(name)


@pytest.mark.parametrize("make", [lambda: links.leaky_relu(1.0), lambda: links.power(np.inf)])
def test_parameters_out_of_range(make):
    with pytest.raises(ValueError, match="needs a"):
        make()


def test_threshold_says_that_it_has_no_gradient():
    assert not links.get("threshold").differentiable


def test_interval_ends():
    half_open = links.Interval(0.0, 1.0, low_closed=True)
    assert half_open.contains(np.array([0.0, 1.0, np.nan, 0.5])).tolist() == [True, False, False, True]
    assert str(half_open) == "[0, 1)"
