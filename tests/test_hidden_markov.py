"""Hidden Markov models against enumeration and hmmlearn; EM, constraints, missing values, states, bad input."""

import itertools
import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn.exceptions import ConvergenceWarning

from reglm.estimators.hidden_markov import HiddenMarkovModel
from reglm.statespace import expectation
from reglm.statespace.emissions import Gaussian, Mixture, Rows
from reglm.statespace.expectation import EStep
from reglm.statespace.hidden_markov import Model, Parameters, em
from reglm.statespace.transitions import Transitions

K = 3
LENGTHS = np.array([40, 1, 59])
RNG = np.random.default_rng(3)
STATES = np.repeat(np.arange(20) % K, 5)
Y = RNG.normal(size=(100, 2)) + 3 * STATES[:, None]


def quiet(model, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(*args, **kwargs)


def simulated(family, rng=None):
    """Rows of a family whose level rises with the state."""
    rng, z = rng or np.random.default_rng(5), STATES
    successes = rng.binomial(6, 0.1 + 0.35 * z)
    return {
        "gaussian": rng.normal(3 * z),
        "bernoulli": (rng.random((100, 4)) < 0.1 + 0.4 * z[:, None]).astype(float),
        "poisson": rng.poisson(1 + 4 * z),
        "binomial": np.column_stack([successes, 6 - successes]),
        "gamma": rng.gamma(4, 1 + 2 * z),
        "inverse_gaussian": rng.wald(1 + 2 * z, 9),
        "negative_binomial": rng.poisson(rng.gamma(4, 1 + 2 * z)),
        "tweedie": rng.poisson(1 + z) * rng.gamma(2, 1 + z),
        "multinomial": np.eye(K)[(z + (rng.random(100) < 0.2)) % K],
        "ordinal": np.eye(K)[np.minimum(z + (rng.random(100) < 0.2), 2)],
        "beta": rng.beta(1 + 2 * z, 4),
        "student_t": 3 * z + rng.standard_t(5, 100),
        "tobit": np.maximum(rng.normal(3 * z - 1), 0),
    }[family].reshape(100, -1).astype(float)  # fmt: skip


def test_states_and_likelihood_equal_enumeration_of_all_paths():
    model = quiet(HiddenMarkovModel(K, random_state=0, max_iter=3), Y, lengths=LENGTHS)
    y = Y[36:44]  # of all three states
    paths = np.array(list(itertools.product(range(K), repeat=8)))
    e = model.emission_
    density = np.stack([stats.multivariate_normal(e["mean"][k], e["covariance"][k]).logpdf(y) for k in range(K)], 1)
    with np.errstate(divide="ignore"):
        joint = np.log(model.initial_)[paths[:, 0]] + density[np.arange(8), paths].sum(axis=1)
        joint += np.log(model.transition_)[paths[:, :-1], paths[:, 1:]].sum(axis=1)
    p = np.exp(joint)
    np.testing.assert_allclose(model.logpdf(y), [np.log(p.sum())], rtol=1e-12)
    np.testing.assert_array_equal(model.predict(y), paths[joint.argmax()])
    smoothed = np.stack([(p[:, None] * (paths == k)).sum(axis=0) / p.sum() for k in range(K)], axis=1)
    np.testing.assert_allclose(model.predict_proba(y), smoothed, atol=1e-12)
    filtered = model.filtered_proba(y)
    np.testing.assert_allclose(filtered[-1], smoothed[-1], atol=1e-12)
    np.testing.assert_allclose(filtered[3], model.predict_proba(y[:4])[-1], atol=1e-12)
    np.testing.assert_allclose(model.score(y), np.log(p.sum()) / 8)


@pytest.mark.parametrize(
    ("ours", "theirs"), [("full", "full"), ("diagonal", "diag"), ("spherical", "spherical"), ("tied", "tied")]
)
def test_em_equals_hmmlearn_step_by_step(ours, theirs):
    hmm = pytest.importorskip("hmmlearn.hmm")
    emission = Gaussian(ours, Y.std(axis=0), floor=1e-9)
    model = Model(emission, Transitions(np.ones((K, K), bool), np.zeros((K, K))), np.ones(K, bool), np.zeros(K))
    step = EStep(LENGTHS, np.ones(3))
    gamma = np.eye(K)[STATES] * 0.8 + 0.2 / K
    start = model.start(Rows(Y), LENGTHS, gamma, np.ones(3))
    peer = hmm.GaussianHMM(
        K, theirs, init_params="", n_iter=6, tol=-1, min_covar=0, covars_prior=0, covars_weight=0, means_weight=0
    )
    peer.startprob_, peer.transmat_, peer.means_ = start.initial, start.moves["transition"], start.emission["mean"]
    c = start.emission["covariance"]
    diagonal = np.einsum("kii->ki", c)
    peer.covars_ = {"full": c, "diag": diagonal, "spherical": diagonal[:, 0], "tied": c[0]}[theirs]
    found = em(model, Rows(Y), step, start, max_iter=5, tol=0)
    peer.fit(Y, LENGTHS)
    np.testing.assert_allclose(found.history, list(peer.monitor_.history), rtol=1e-9)
    peer.n_iter = 0
    again = em(model, Rows(Y), step, start, max_iter=6, tol=0).parameters
    np.testing.assert_allclose(again.emission["mean"], peer.means_, rtol=1e-9)
    np.testing.assert_allclose(again.moves["transition"], peer.transmat_, atol=1e-9)


FAMILIES = ["gaussian", "bernoulli", "poisson", "binomial", "gamma", "inverse_gaussian", "negative_binomial", "tweedie",
            "multinomial", "ordinal", "beta", "student_t", "tobit"]  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_em_never_decreases_whatever_the_family(family):
    y = simulated(family)
    y[7] = np.nan
    model = quiet(HiddenMarkovModel(K, family, random_state=0, max_iter=4), y, lengths=LENGTHS)
    assert np.diff(model.history_).min() > -1e-9 * abs(model.loglik_)
    assert model.history_[-1] > model.history_[0] + 0.01
    drawn, _ = model.sample(5, random_state=1)
    assert drawn.shape == (5, y.shape[1])
    assert np.isfinite(model.logpdf(drawn)).all()
    assert model.predict_proba(y, lengths=LENGTHS).sum(axis=1) == pytest.approx(np.ones(100))


@pytest.mark.parametrize("covariance", ["full", "diagonal", "tied"])
def test_em_never_decreases_with_missing_entries(covariance):
    y = np.where(np.random.default_rng(0).random(Y.shape) < 0.25, np.nan, Y)
    model = quiet(HiddenMarkovModel(K, covariance=covariance, random_state=0, max_iter=15), y, lengths=LENGTHS)
    assert np.diff(model.history_).min() > -1e-9
    np.testing.assert_allclose(model.emission_["mean"], [[0, 0], [3, 3], [6, 6]], atol=0.8)


def test_an_unobserved_row_leaves_its_density_out():
    model = quiet(HiddenMarkovModel(K, random_state=0, max_iter=3), Y, lengths=LENGTHS)
    y = Y[:4].copy()
    y[2] = np.nan
    p = model.predict_proba(y)
    before = model.filtered_proba(y[:2])[-1] @ model.transition_
    np.testing.assert_allclose(model.filtered_proba(y)[2], before)
    assert p.shape == (4, K)


def test_columns_of_mixed_families_are_independent_given_the_state():
    y = np.hstack([simulated("gaussian"), simulated("poisson")])
    model = quiet(HiddenMarkovModel(K, ["gaussian", "poisson"], random_state=0, max_iter=5), y, lengths=LENGTHS)
    e = model.emission_
    density = stats.norm.logpdf(y[:, :1], e["y0.mean"][:, 0], np.sqrt(e["y0.covariance"][:, 0, 0]))
    density = density + stats.poisson.logpmf(y[:, 1:], e["y1.mean"][:, 0])
    rows = Rows(y)
    np.testing.assert_allclose(model.model_.emission.log_density(e, rows), density, rtol=1e-10)


def test_mixtures_of_one_component_are_gaussians_and_more_fit_better():
    one, two = (
        quiet(HiddenMarkovModel(2, n_mixtures=m, random_state=0, max_iter=40), Y, lengths=LENGTHS) for m in (1, 2)
    )
    assert np.diff(two.history_).min() > -1e-9
    assert two.loglik_ > one.loglik_
    plain = Gaussian("full", Y.std(axis=0))
    start = Mixture(plain, 1).maximise(None, Rows(Y), np.eye(2)[STATES % 2])
    direct = plain.maximise(None, Rows(Y), np.eye(2)[STATES % 2])
    np.testing.assert_allclose(start["mean"][:, 0], direct["mean"])


def test_left_right_models_start_at_the_left_and_never_return():
    y = np.concatenate([np.repeat([0.0, 5.0, -5.0], 10), np.repeat([0.0, 5.0, -5.0], [3, 12, 5])])
    y = (y + np.random.default_rng(1).normal(size=50))[:, None]
    model = quiet(HiddenMarkovModel(3, transitions="left-right", random_state=0), y, lengths=[30, 20])
    np.testing.assert_allclose(model.initial_, [1, 0, 0])
    assert not model.transition_[np.tril_indices(3, -1)].any()
    assert model.transition_[0, 2] == 0
    np.testing.assert_allclose(model.emission_["mean"][:, 0], [0, 5, -5], atol=1)
    assert (np.diff(model.predict(y, lengths=[30, 20])[:30]) >= 0).all()


def test_priors_pull_and_never_lower_the_posterior():
    plain, sticky = (
        quiet(HiddenMarkovModel(K, priors=priors, random_state=0, max_iter=30), Y, lengths=LENGTHS)
        for priors in (None, {"transition": 50 * np.eye(K), "initial": 5.0, "emission": 3.0})
    )
    assert np.diff(sticky.history_).min() > -1e-9
    assert np.diag(sticky.transition_).min() > np.diag(plain.transition_).min()
    assert np.ptp(sticky.initial_) < np.ptp(plain.initial_)


def test_weights_repeat_sequences():
    weight = np.repeat([2.0, 1.0, 1.0], LENGTHS)
    repeated, lengths = np.vstack([Y[:40], Y]), [40, *LENGTHS]
    start = {"random_state": 0, "max_iter": 100, "tol": 1e-10}
    one = quiet(HiddenMarkovModel(K, **start), Y, lengths=LENGTHS, sample_weight=weight)
    two = quiet(HiddenMarkovModel(K, **start), repeated, lengths=lengths)
    assert one.loglik_ == pytest.approx(two.loglik_, rel=1e-8)
    np.testing.assert_allclose(one.transition_, two.transition_, atol=1e-4)


def test_groups_do_the_job_of_lengths_in_any_order():
    names = np.repeat(["b", "c", "a"], LENGTHS)
    mixed = np.concatenate([np.flatnonzero(names == n) for n in ("a", "b", "c")])
    options = {"random_state": 0, "max_iter": 5}
    by_length = quiet(HiddenMarkovModel(K, **options), Y, lengths=LENGTHS)
    np.testing.assert_array_equal(
        by_length.predict(Y[mixed], groups=names[mixed]), by_length.predict(Y, lengths=LENGTHS)[mixed]
    )


def test_gradient_and_em_reach_the_same_maximum():
    options = {"random_state": 0, "tol": 1e-8, "max_iter": 500}
    fits = [quiet(HiddenMarkovModel(2, solver=s, **options), Y, lengths=LENGTHS) for s in ("em", "gradient", "auto")]
    assert [fit.loglik_ for fit in fits] == pytest.approx([fits[0].loglik_] * 3, abs=1e-4)


def test_numba_and_numpy_agree():
    rng = np.random.default_rng(0)
    logs = [np.log(rng.dirichlet(np.ones(K), size)) for size in (None, K)]
    emission = rng.normal(size=(100, K)) * 20
    found = [EStep(LENGTHS, np.array([1.0, 2.0, 0.5]), b)(*logs, emission) for b in ("python", "numba")]
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


def test_stationary_distribution_is_kept():
    P = np.array([[0.9, 0.1, 0.0], [0.0, 0.5, 0.5], [0.3, 0.0, 0.7]])
    pi = expectation.stationary(P)
    np.testing.assert_allclose(pi @ P, pi)
    np.testing.assert_allclose(pi.sum(), 1)
    np.testing.assert_allclose(expectation.stationary(np.eye(2)[::-1]), [0.5, 0.5])


def test_draws_have_the_moments_of_the_model():
    model = quiet(HiddenMarkovModel(K, random_state=0, max_iter=20), Y, lengths=LENGTHS)
    y, states = model.sample(lengths=[3000, 3000], random_state=2)
    moves = np.zeros((K, K))
    np.add.at(moves, (states[:2999], states[1:3000]), 1)
    np.testing.assert_allclose(moves / moves.sum(axis=1, keepdims=True), model.transition_, atol=0.06)
    for k in range(K):
        np.testing.assert_allclose(y[states == k].mean(axis=0), model.emission_["mean"][k], atol=0.15)


def test_one_state_is_a_plain_distribution():
    model = quiet(HiddenMarkovModel(1, random_state=0), Y, lengths=LENGTHS)
    wanted = stats.multivariate_normal(Y.mean(axis=0), np.cov(Y.T, bias=True)).logpdf(Y).sum()
    assert model.loglik_ == pytest.approx(wanted, rel=1e-10)
    assert model.n_parameters_ == 5


BAD = {
    "lengths add up": (lambda: HiddenMarkovModel().fit(Y, lengths=[50, 51]), "add up"),
    "empty": (lambda: HiddenMarkovModel().fit(Y, lengths=[100, 0]), "empty"),
    "nan": (lambda: HiddenMarkovModel().fit(np.full((5, 1), np.nan)), "nowhere observed"),
    "inf": (lambda: HiddenMarkovModel().fit(np.full((5, 1), np.inf)), "infinity"),
    "mask": (lambda: HiddenMarkovModel(transitions=np.ones((3, 3))).fit(Y), r"\(2, 2\)"),
    "dead end": (lambda: HiddenMarkovModel(transitions=[[1, 1], [0, 0]]).fit(Y), "state 1 can neither"),
    "states": (lambda: HiddenMarkovModel(0).fit(Y), "n_states=0"),
    "quasi": (lambda: HiddenMarkovModel(family="quasipoisson").fit(np.abs(Y)), "claims no likelihood"),
    "counts": (lambda: HiddenMarkovModel(family="poisson").fit(Y - 50), "Counts cannot be negative"),
    "list": (lambda: HiddenMarkovModel(family=["gaussian"]).fit(Y), "names 1 columns"),
    "weights": (lambda: HiddenMarkovModel().fit(Y, sample_weight=-np.ones(100)), "must not be negative"),
    "priors": (lambda: HiddenMarkovModel(priors={"mean": 1}).fit(Y), "priors has"),
    "solver": (lambda: HiddenMarkovModel(solver="adam").fit(Y), "solver='adam'"),
    "hidden": (lambda: HiddenMarkovModel(hidden=(3, 3)).fit(Y), "at most one hidden layer"),
    "mixture": (lambda: HiddenMarkovModel(family="poisson", n_mixtures=2).fit(np.abs(Y)), "n_mixtures=2"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_says_what_is_wrong(name):
    call, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        call()


def test_a_singular_covariance_is_held_at_the_floor():
    y = np.concatenate([np.zeros(30), np.random.default_rng(0).normal(9, 1, 30)])[:, None]
    model = quiet(HiddenMarkovModel(2, random_state=0), y)
    assert model.emission_["covariance"][0, 0, 0] == pytest.approx(1e-6 * y.var())
    assert model.model_.emission.at_floor(model.emission_)[0]
    assert np.isfinite(model.loglik_)


def test_too_many_states_and_too_few_steps_warn():
    with pytest.warns(ConvergenceWarning, match="max_iter=1"):
        HiddenMarkovModel(2, max_iter=1, tol=0, random_state=0).fit(Y)
    one_row = quiet(HiddenMarkovModel(2, random_state=0, max_iter=2), Y[:1])
    assert np.isfinite(one_row.loglik_)
    with pytest.warns(ConvergenceWarning, match="never visited"):
        HiddenMarkovModel(3, transitions="left-right", random_state=0).fit(Y[:3], lengths=[1, 1, 1])


def test_an_impossible_sequence_is_named():
    model = Model(
        Gaussian("full", np.ones(1)),
        Transitions(np.eye(2, dtype=bool), np.zeros((2, 2))),
        np.ones(2, bool),
        np.zeros(2),
    )
    start = Parameters(
        np.array([1.0, 0.0]), {"transition": np.eye(2)}, {"mean": np.zeros((2, 1)), "covariance": np.ones((2, 1, 1))}
    )
    with pytest.raises(FloatingPointError, match="sequence 1"):
        em(model, Rows(np.array([[0.0], [1e200]])), EStep(np.array([1, 1]), np.ones(2)), start, max_iter=1, tol=0)


def test_lines_under_normal_errors_are_raised_by_weighted_least_squares():
    y = quiet(HiddenMarkovModel(1, order=2, tol=1e-9), Y[:, :1])
    Z = np.column_stack([np.ones(100), np.r_[0, Y[:-1, 0]], np.r_[0, 0, Y[:-2, 0]]])
    line, rest, *_ = np.linalg.lstsq(Z, Y[:, 0])
    np.testing.assert_allclose(y.emission_["intercept"][0], line[:1])
    np.testing.assert_allclose(y.emission_["coef"][0, :, 0], line[1:])
    assert np.exp(y.emission_["log_dispersion"])[0, 0] == pytest.approx(rest[0] / 100)
    gaps = np.where(np.arange(100)[:, None] % 9 == 0, np.nan, Y)
    model = quiet(HiddenMarkovModel(2, order=1, alpha=0.5, random_state=0), gaps, lengths=LENGTHS)
    assert np.diff(model.history_).min() > -1e-9
    assert np.isfinite(quiet(HiddenMarkovModel(2, order=1), np.ones((6, 1))).loglik_)
