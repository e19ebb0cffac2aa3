"""Deep belief networks against sums over all hidden states, and what they turn into."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logsumexp
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning

from reglm import Autoencoder, DeepBeliefNetwork, load
from reglm.energy import belief
from reglm.energy.belief import Machine
from reglm.energy.coding import half
from reglm.energy.enumeration import hidden_states, log_likelihood, log_partition
from reglm.energy.free_energy import Theta
from reglm.energy.visible import layer
from reglm.estimators.belief import pretrained

KINDS = {
    "bernoulli": ["bernoulli"] * 4,
    "gaussian": ["gaussian"] * 3,
    "poisson": ["poisson"] * 3,
    "categorical": [("categorical", 3), ("categorical", 2)],
}


def stack(kinds, widths=(4, 3), scale=0.7, seed=0):
    rng, visible, machines = np.random.default_rng(seed), layer(kinds), []
    for units in widths:
        log_var = np.where(visible.columns_of("gaussian"), rng.normal(size=visible.size) / 2, 0.0)
        W = scale * rng.normal(size=(visible.size, units))
        machines.append(Machine(visible, Theta(W, rng.normal(size=visible.size), rng.normal(size=units), log_var)))
        visible = belief.binary(units)
    return machines


def rows_of(machines, n=20):
    rng = np.random.default_rng(1)
    top = (rng.random((n, machines[-1].visible.size)) < 0.5).astype(float)
    return belief.generate(machines, top, rng, mean=False)


def exact(machines, V):
    """Log p(v) of two machines: the sum over the states of the units between them."""
    below, top = machines
    h = np.concatenate(list(hidden_states(top.visible.size)))
    prior = log_likelihood(*top, h)
    given = np.stack([belief.log_conditional(below, V, np.tile(state, (len(V), 1))) for state in h], axis=1)
    return logsumexp(given + prior, axis=1)


@pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)
def test_the_bound_is_below_the_likelihood(kinds):
    machines = stack(kinds)
    V, log_z = rows_of(machines), log_partition(*machines[-1])
    found = belief.lower_bound(machines, log_z, V, 200, np.random.default_rng(2))
    gap = exact(machines, V) - found
    assert gap.min() > -0.1
    assert gap.mean() > 0
    assert gap.max() < 3


def test_the_bound_is_tight_where_the_upper_machine_continues_the_lower_one():
    """The posterior is factorial if the prior of the hidden units is that of the machine below (Hinton et al. 2006)."""
    below = stack(KINDS["bernoulli"], (3,))[0]
    turned = Theta(below.theta.W.T.copy(), below.theta.c, below.theta.b, np.zeros(3))
    machines = [below, Machine(belief.binary(3), turned)]
    V = rows_of(machines)
    found = belief.lower_bound(machines, log_partition(*machines[-1]), V, 1000, np.random.default_rng(3))
    assert found == pytest.approx(log_likelihood(*below, V), abs=0.08)


def test_conditional_densities_add_up():
    below = stack(KINDS["bernoulli"], (3,))[0]
    V = below.visible.states()
    h = np.tile([1.0, 0.0, 1.0], (len(V), 1))
    assert np.exp(belief.log_conditional(below, V, h)).sum() == pytest.approx(1)


@pytest.fixture(scope="module")
def digits():
    rng = np.random.default_rng(4)
    prototypes = rng.random((3, 12)) < 0.5
    y = rng.integers(3, size=300)
    return (prototypes[y] ^ (rng.random((300, 12)) < 0.05)).astype(float), y


@pytest.fixture(scope="module")
def fitted(digits):
    return DeepBeliefNetwork((8, 5), max_iter=30, batch_size=20, learning_rate=0.2, random_state=0).fit(digits[0])


def test_a_fit_finds_structure(fitted, digits):
    X, _ = digits
    p = X.mean(axis=0)
    independent = (X * np.log(p) + (1 - X) * np.log1p(-p)).sum(axis=1).mean()
    assert fitted.score(X) > independent + 1
    assert fitted.log_z_std_err_ == 0
    draws = fitted.sample(500, n_sweeps=200, random_state=1)
    assert set(np.unique(draws)) <= {0.0, 1.0}
    assert np.abs(draws.mean(axis=0) - p).max() < 0.25
    means = fitted.sample(5, n_sweeps=10, kind="mean", random_state=1)
    assert ((means > 0) & (means < 1)).all()


def test_codes_are_means_passed_upwards(fitted, digits):
    h = digits[0]
    for machine in fitted.machines_:
        h = expit(h @ machine.theta_.W + machine.theta_.c)
    assert fitted.transform(digits[0]) == pytest.approx(h)
    assert list(fitted.get_feature_names_out()[:2]) == ["deepbeliefnetwork0", "deepbeliefnetwork1"]


def test_a_classifier_starts_at_the_machines(fitted, digits):
    model = fitted.to_classifier(solver="lbfgs", max_iter=2, random_state=0)
    rng = np.random.default_rng(0)
    for dense, machine in zip(model.layers, fitted.machines_, strict=True):
        W, b = dense.specs(len(machine.theta_.b))
        assert np.array_equal(W.init(rng, W.shape), machine.theta_.W)
        assert np.array_equal(b.init(rng, b.shape), machine.theta_.c)
    assert model.set_params(max_iter=200, alpha=0.1).fit(*digits).score(*digits) > 0.97


def test_a_regressor_of_any_family(fitted, digits):
    X, y = digits
    counts = np.random.default_rng(5).poisson(np.exp(y - 1.0))
    model = fitted.to_regressor("poisson", alpha=1.0, random_state=0).fit(X, counts)
    assert model.score(X, counts) > 0.3


def test_an_autoencoder_starts_at_the_machines(fitted, digits):
    X, _ = digits
    model = fitted.to_autoencoder(solver="lbfgs", max_iter=1, random_state=0)
    assert model.hidden == (8, 5, 8)
    with pytest.warns(ConvergenceWarning):
        model.fit(X)
    network = model.fit_.likelihood.network
    assert half(network, model.start, X, decode=False) == pytest.approx(fitted.transform(X))
    code = fitted.transform(X)
    for machine in fitted.machines_[::-1]:
        eta = code @ machine.theta_.W.T + machine.theta_.b
        code = expit(eta)
    assert half(network, model.start, fitted.transform(X), decode=True) == pytest.approx(eta)


@pytest.mark.parametrize("tied", [False, True])
def test_pretraining_gives_start_values(digits, tied):
    X, _ = digits
    model = Autoencoder((6, 3, 6), "sigmoid", "bernoulli", tied=tied, pretrain="rbm", max_iter=2, random_state=0)
    with pytest.warns(ConvergenceWarning):
        model.fit(X)
    network = model.fit_.likelihood.network
    start, stack = pretrained(model, network, X), DeepBeliefNetwork((6, 3), random_state=0).fit(X)
    assert half(network, start, X, decode=False) == pytest.approx(stack.transform(X))
    code, (below, above) = stack.transform(X), [machine.theta_ for machine in stack.machines_]
    eta = expit(code @ above.W.T + above.b) @ below.W.T + below.b
    assert half(network, start, code, decode=True) == pytest.approx(eta)


def test_gaussian_columns(tmp_path):
    X = load_iris().data
    model = DeepBeliefNetwork((6, 4), max_iter=20, random_state=0).fit(X)
    assert model.machines_[0].kinds_ == ("gaussian",) * 4
    classifier = model.to_classifier(alpha=0.01, random_state=0).fit(X, load_iris().target)
    assert classifier.score(X, load_iris().target) > 0.9
    model.save(tmp_path / "dbn.reglm")
    loaded = load(tmp_path / "dbn.reglm")
    assert np.array_equal(loaded.transform(X), model.transform(X))
    assert np.array_equal(loaded.lower_bound(X, random_state=1), model.lower_bound(X, random_state=1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda X: DeepBeliefNetwork(()).fit(X), "at least one"),
        (lambda X: DeepBeliefNetwork((3, 0)).fit(X), "n_hidden=0"),
        (lambda X: DeepBeliefNetwork(3, "bernoulli").fit(X - 5), "bernoulli"),
        (lambda X: Autoencoder(3, pretrain="rbm").fit(X), "needs activation='sigmoid'"),
        (lambda X: Autoencoder((3, 2, 4), "sigmoid", pretrain="rbm").fit(X), "read the same backwards"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make(np.random.default_rng(0).random((30, 4)))
