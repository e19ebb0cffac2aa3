"""Laws of every family under every admissible link; a new one in the registry is tested by being there."""

import json

import family_cases as cases
import numpy as np
import pytensor.tensor as pt
import pytest
from family_cases import ALL, PAIRS, STENCIL, STEP, central, gradient, label, make, quantities

from reglm import families, links
from reglm.families import Mean


@pytest.fixture(params=PAIRS, ids=lambda pair: f"{pair[0]!r}-{pair[1]}")
def case(request):
    return make(*request.param)


@pytest.fixture(params=ALL, ids=repr)
def family(request):
    return request.param


def test_score_and_curvature_match_finite_differences(case):
    q = quantities(case)
    at = case.values[case.eta]
    for k, column in enumerate(np.eye(at.shape[1])):
        moved = np.stack([at + j * STEP * column for j in STENCIL])
        found = case.run(q["kernel"], q["score"], q["curvature"], given=case.at(moved))
        kernel, score, curvature = (x.reshape(5, len(at), *x.shape[1:]) for x in found)
        np.testing.assert_allclose(score[2, :, [k]].T, central(kernel), rtol=2e-7, atol=2e-7)
        slope = -central(score)
        coupled = curvature.ndim == 4
        found, expected = (curvature[2, :, k], slope) if coupled else (curvature[2, :, k], slope[:, k])
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_shape_derivatives_match_finite_differences(family):
    case = make(family)
    weights = np.linspace(0.5, 3, cases.ROWS)[:, None]
    value = family.objective(case.y, case.mean, pt.constant(weights), **case.shape).sum()
    for name, symbol in case.shape.items():
        slope = gradient(value, symbol)
        for i in np.ndindex(case.values[symbol].shape):
            entry = slope[i] if i else slope
            outputs = [value, entry, gradient(entry, symbol)]
            step = np.zeros(case.values[symbol].shape)
            step[i] = STEP
            moved = [case.run(*outputs, given={symbol: case.values[symbol] + j * step}) for j in STENCIL]
            along, first, second = ([m[k][i] if k == 2 else m[k] for m in moved] for k in range(3))
            np.testing.assert_allclose(first[2], central(along), rtol=1e-6, atol=1e-6, err_msg=name)
            np.testing.assert_allclose(second[2], central(first), rtol=1e-6, atol=1e-6, err_msg=name)


def reaches(case, eta):
    """Whether the mean at eta, exactly computed, lies in the family's domain and its square in range."""
    link, domain = case.link, case.family.domain
    if not link.elementwise or (link.domain.high == 1 and link.eta_domain == links.REAL):
        return True
    mu = case.run(case.mean.value, given={case.eta: eta})[0]
    inside = link.eta_domain.contains(eta) & domain.contains(mu)
    return bool((inside & (np.abs(mu) < 1e100) & (np.abs(mu) > 1e-100)).all())


def test_tails_are_finite(case):
    """At eta = +-30, and +-500 unless the mean overflows, nothing is NaN or infinite."""
    rows, K = case.values[case.eta].shape
    q = quantities(case)
    ends = [end for end in (-500.0, -30.0, 30.0, 500.0) if reaches(case, np.full((rows, K), end))]
    if not ends:
        pytest.skip("the mean leaves the domain first")
    eta = np.stack([np.full((rows, K), end) for end in ends])
    for name, value in zip(q, case.run(*q.values(), given=case.at(eta)), strict=True):
        finite = np.isfinite(value).reshape(len(ends), -1).all(axis=1)
        overflows = name == "information" and case.family.name == "beta"  # e^1000 / nu^2 under the log-log links
        assert finite[np.abs(ends) < 100 if overflows else ...].all(), (name, ends, finite)


@pytest.mark.parametrize(
    ("family", "name"),
    [*{f.name: (f, None) for f in ALL}.values(), *{n: (f, n) for f, n in PAIRS}.values()],
    ids=label,
)
def test_float32_stays_float32(family, name):
    case = make(family, name, dtype="float32")
    weights = pt.tensor("weights", dtype="float32", shape=(None, 1))
    objective = family.objective(case.y, case.mean, weights, **case.shape)
    outputs = [objective, *(quantities(case)[n] for n in quantities(case) if n != "log_density")]
    outputs += [gradient(objective, x) for x in (case.eta, *case.shape.values())]
    assert {x.dtype for x in outputs} == {"float32"}


def test_weights_are_precisions(family):
    case = make(family)
    weights = pt.tensor("weights", dtype="float64", shape=(None, 1))
    w = np.linspace(0.5, 3, cases.ROWS)[:, None]
    plain = family.log_density(case.y, case.mean, 0.7, **case.shape)
    weighted = family.log_density(case.y, case.mean, 0.7, weights, **case.shape)
    if family.dispersion == "estimated":
        expected = family.log_density(case.y, case.mean, 0.7 / weights, **case.shape)
    elif "log_phi" in case.shape:
        shape = case.shape | {"log_phi": case.shape["log_phi"] - pt.log(weights)}
        expected = family.log_density(case.y, case.mean, **shape)
    else:
        expected = weights * plain
    found, wanted = (cases.evaluate([e], case.values | {weights: w})[0] for e in (weighted, expected))
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


def test_objective_is_the_log_density_up_to_a_constant(family):
    """Differences between two linear predictors agree, weights included."""
    case = make(family)
    weights = pt.tensor("weights", dtype="float64", shape=(None, 1))
    w = np.linspace(0.5, 3, cases.ROWS)[:, None]
    parts = [family.objective(case.y, case.mean, weights, **case.shape)]
    parts.append(family.log_density(case.y, case.mean, 1.0, weights, **case.shape))
    one, other = (
        cases.evaluate(parts, case.values | {weights: w, case.eta: case.values[case.eta] * scale}) for scale in (1, 0.9)
    )
    np.testing.assert_allclose(one[0] - other[0], one[1] - other[1], rtol=1e-9, atol=1e-11)


def test_deviance_vanishes_at_saturation_only(case):
    deviance = case.run(quantities(case)["unit_deviance"])[0]
    if case.family.name != "beta":  # whose deviance is taken from mu = y, a little off the maximum
        assert (deviance >= -1e-12).all()
    y = case.values[case.y]
    if y.shape[1] == 1 and case.family.name != "tobit" and (y.all() or case.family.name != "tweedie"):
        saturated = case.family.unit_deviance(case.y, Mean.at(case.y), **case.shape)
        np.testing.assert_allclose(case.run(saturated)[0], 0, atol=1e-12)


def test_names_and_options_round_trip(family):
    record = json.loads(json.dumps(family.to_dict()))
    assert families.from_dict(record) == family
    assert families.get(family) is family
    assert hash(family.structure()) == hash(
        type(family)(**{k: v for k, v in record.items() if k != "name"}).structure()
    )


def test_registered_names_and_aliases():
    for name, make_family in families.REGISTRY.items():
        assert families.get(name) == make_family()
        assert make_family().name == name
    for alias, name in families.ALIASES.items():
        assert families.get(alias).name == name
    assert families.get("tweedie(1.5)") == families.Tweedie(power=1.5)
    assert families.get("tobit(0, 10)") == families.Tobit(left=0.0, right=10.0)


@pytest.mark.parametrize("name", ["poison", "tweedie(x)", "", None, 3])
def test_unknown_families_say_what_is_known(name):
    with pytest.raises(ValueError, match=r"choose one of .*poisson"):
        families.get(name)


@pytest.mark.parametrize(
    ("make_family", "message"),
    [
        (lambda: families.Tweedie(2.0), r"power=2\.0 must lie between 1 and 2.*gamma"),
        (lambda: families.NegativeBinomial(0.0), r"alpha=0\.0 must be positive"),
        (lambda: families.StudentT(-1.0), "df=-1.0 must be positive"),
        (lambda: families.Beta(0.0), "precision=0.0 must be positive"),
        (lambda: families.Tobit(1.0, 0.0), r"left=1\.0 must be below"),
        (lambda: families.get("poisson(3)"), "does not take these options"),
        (lambda: families.from_dict({"name": "poisson", "alpha": 1}), "does not take these options"),
        (lambda: families.from_dict({"name": "os.system"}), "unknown family"),
    ],
)
def test_options_out_of_range(make_family, message):
    with pytest.raises(ValueError, match=message):
        make_family()


def test_links_are_checked(family):
    assert family.resolve_link().name == family.default_link
    with pytest.raises(ValueError, match=f"threshold.*{family.name}.*{family.default_link}"):
        family.resolve_link("threshold")
    if family.canonical_link is not None:
        assert family.resolve_link(family.canonical_link)


def test_information_equals_curvature_at_the_canonical_link(family):
    if family.canonical_link is None:
        pytest.skip("no canonical link")
    case = make(family, family.canonical_link)
    found = case.run(quantities(case)["information"], quantities(case)["curvature"])
    np.testing.assert_allclose(*found, rtol=1e-9)


def test_responses_are_checked(family):
    good = cases.template(family)
    family.check_response(good)
    bad = good.copy()
    bad[3, 0] = np.nan
    with pytest.raises(ValueError, match=rf"y\[3\] = nan: family '{family.name}' needs"):
        family.check_response(bad)
    bad[3, 0] = -7.0
    if not family.support.contains(np.array(-7.0)):
        with pytest.raises(ValueError, match=r"y\[3\] = -7"):
            family.check_response(bad)


@pytest.mark.parametrize(
    ("name", "y", "message"),
    [
        ("bernoulli", [[0.5]], "needs 0 or 1"),
        ("gamma", [[0.0]], "tweedie"),
        ("beta", [[1.0]], "shrink"),
        ("binomial", [[1.0]], "needs two"),
        ("binomial", [[0.5, 0.5]], "whole numbers"),
        ("binomial", [[0.0, 0.0]], "at least one trial"),
        ("multinomial", [[1.0]], "two or more"),
        ("multinomial", [[0.0, 0.0]], "at least one trial"),
        ("ordinal", [[1.0, 1.0, 0.0]], "exactly one class"),
        ("ordinal", [[1.0]], "two or more"),
        ("tobit(0, 2)", [[3.0]], r"\[0, 2\].*left"),
        ("poisson", [[np.inf]], "finite"),
    ],
)
def test_impossible_responses(name, y, message):
    with pytest.raises(ValueError, match=message):
        families.get(name).check_response(np.array(y))


def test_starts_are_inside_the_domain(family):
    y = cases.template(family)
    mu = family.start(y)
    assert family.domain.contains(mu).all()
    for spec in family.specs(y):
        assert np.isfinite(spec.init(np.random.default_rng(0), spec.shape)).all()
        assert not spec.penalised


def test_shape_parameters_have_natural_values(family):
    case = make(family)
    natural = family.natural(**case.natural)
    assert bool(natural) >= bool(case.shape)
    assert all(np.isfinite(value).all() for value in natural.values())
