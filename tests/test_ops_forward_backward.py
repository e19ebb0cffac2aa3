"""Hidden Markov chains: likelihood, posterior and its derivatives against enumeration, hmmlearn and differences."""

import itertools
from functools import cache
from importlib.util import find_spec

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode
from pytensor.graph.replace import vectorize_graph

from reglm import compiling
from reglm.ops import chains
from reglm.ops.forward_backward import chain_log_likelihood

BACKENDS = ("python", "numba", *(["jax"] if find_spec("jax") else []))
PYTHON = Mode(linker="py", optimizer=None)
LENGTHS = np.array([3, 1, 4])
K, N = 3, 8


def logs(rng, *shape):
    p = rng.uniform(0.1, 1, shape)
    return np.log(p / p.sum(axis=-1, keepdims=True))


def chain(varying=False, masked=False, seed=0, n=N):
    rng = np.random.default_rng(seed)
    transition = logs(rng, *([n] if varying else []), K, K)
    initial, emission = logs(rng, K), 2 * rng.normal(size=(n, K))
    if masked:
        transition[..., [1, 2, 2], [0, 0, 1]] = -np.inf
        initial[1] = -np.inf
        emission[n // 2, 0] = -np.inf
    return initial, transition, emission


CASES = {f"{v=} {m=}": chain(v, m) for v in (False, True) for m in (False, True)}


def enumerate_paths(initial, transition, emission):
    """Log joint probability of every path through one sequence."""
    n = len(emission)
    matrices = np.broadcast_to(transition, (n, K, K))
    paths = np.array(list(itertools.product(range(K), repeat=n)))
    total = initial[paths[:, 0]] + emission[np.arange(n), paths].sum(axis=1)
    for t in range(1, n):
        total = total + matrices[t, paths[:, t - 1], paths[:, t]]
    return paths, total


def by_enumeration(initial, transition, emission, lengths, weights):
    """What `chains.posterior` returns."""
    varying = transition.ndim == 3
    first, counts, gamma, loglik = np.zeros(K), np.zeros(transition.shape), np.zeros(emission.shape), []
    ends = np.cumsum(lengths)
    for start, stop, g in zip(ends - lengths, ends, weights, strict=True):
        own = transition[start:stop] if varying else transition
        paths, joint = enumerate_paths(initial, own, emission[start:stop])
        loglik.append(np.log(np.exp(joint).sum()))
        p = g * np.exp(joint - loglik[-1])
        for path, q in zip(paths, p, strict=True):
            first[path[0]] += q
            gamma[np.arange(start, stop), path] += q
            for t in range(1, stop - start):
                counts[(start + t, path[t - 1], path[t]) if varying else (path[t - 1], path[t])] += q
    return first, counts, gamma, np.array(loglik)


WEIGHTS = np.array([1.0, 0.5, 2.0])


@cache
def program(backend, varying, dtype="float64"):
    """Likelihood, its gradient along g, and the gradient of <v, gradient> in everything; of nothing but our Ops."""
    given = [pt.vector("initial", dtype=dtype), pt.tensor("transition", dtype=dtype, shape=(None,) * (2 + varying))]
    given.append(pt.matrix("emission", dtype=dtype))
    lengths, g = pt.lvector("lengths"), pt.vector("g", dtype=dtype)
    loglik = chain_log_likelihood(*given, lengths)
    gradient = pytensor.grad(None, given, known_grads={loglik: g})
    v = [x.type() for x in given]
    second = pytensor.grad(None, [*given, g], known_grads=dict(zip(gradient, v, strict=True)))
    graph = compiling.Graph([*given, lengths, g, *v], [loglik, *gradient, *second])
    return compiling.function(lambda: graph, ("test of forward-backward", varying, dtype), backend)


def directions(case, seed=5):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=x.shape) for x in case]


def run(backend, case, dtype="float64"):
    floats = [*case, WEIGHTS, *directions(case)]
    initial, transition, emission, g, *v = (x.astype(dtype) for x in floats)
    given = [initial, transition, emission, LENGTHS, g, *v]
    return [np.asarray(x) for x in program(backend, transition.ndim == 3, dtype)(*given)]


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return CASES[request.param]


@pytest.mark.parametrize("backend", BACKENDS)
def test_likelihood_and_gradient_equal_enumeration_of_all_paths(case, backend):
    loglik, *gradient = run(backend, case)[:4]
    *expected, total = by_enumeration(*case, LENGTHS, WEIGHTS)
    np.testing.assert_allclose(loglik, total, rtol=1e-12)
    for found, wanted in zip(gradient, expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-13)


@pytest.mark.parametrize("backend", BACKENDS)
def test_second_derivatives_equal_differences_of_the_gradient(case, backend):
    step, v = 1e-5, directions(case)
    *second, along = run(backend, case)[4:]
    moved = [[x + sign * step * d for x, d in zip(case, v, strict=True)] for sign in (1, -1)]
    up, down = (by_enumeration(*m, LENGTHS, WEIGHTS) for m in moved)
    for found, plus, minus in zip([*second, along], up, down, strict=True):
        np.testing.assert_allclose(found, (plus - minus) / (2 * step), atol=2e-8)


@pytest.mark.parametrize("backend", [b for b in BACKENDS if b != "numba"])  # which computes in double precision
def test_single_precision(backend):
    double, single = (run(backend, CASES["v=False m=True"], dtype) for dtype in ("float64", "float32"))
    for a, b in zip(double, single, strict=True):
        assert b.dtype == np.float32
        np.testing.assert_allclose(b, a, atol=2e-5, rtol=2e-5)


def test_long_sequence_equals_hmmlearn():
    hmmlearn = pytest.importorskip("hmmlearn._hmmc")
    initial, transition, emission = chain(n=300)
    with np.errstate(divide="ignore"):
        loglik, log_alpha = hmmlearn.forward_log(np.exp(initial), np.exp(transition), emission)
        log_beta = hmmlearn.backward_log(np.exp(initial), np.exp(transition), emission)
        counts = np.exp(hmmlearn.compute_log_xi_sum(log_alpha, np.exp(transition), log_beta, emission))
    first, moves, gamma, total = chains.posterior(initial, transition, emission, np.array([300]), np.ones(1))
    np.testing.assert_allclose(total, [loglik], rtol=1e-12)
    np.testing.assert_allclose(gamma, np.exp(log_alpha + log_beta - loglik), atol=1e-11)
    np.testing.assert_allclose(moves, counts, rtol=1e-9)
    np.testing.assert_allclose(first, gamma[0])


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_is_lost_where_probabilities_underflow(backend):
    # the first rows make state 0 e^2000 times likelier, but only state 2 can produce the last ones
    initial, transition, emission = chain(masked=True)
    transition[:] = np.where(np.eye(K), 0.0, -np.inf)
    emission[:] = [0.0, 0.0, -1000.0]
    emission[[2, 7]] = [-np.inf, -5000.0, 0.0]
    loglik, *gradient = run(backend, (initial, transition, emission))[:4]
    possible = [initial[2] - 2000, initial[0], initial[2] - 3000]
    np.testing.assert_allclose(loglik, possible, rtol=1e-12)
    np.testing.assert_allclose(gradient[2][[0, 1, 2, 4, 7]], np.outer([1, 1, 1, 2, 2], [0, 0, 1]), atol=1e-12)
    assert np.isfinite(np.concatenate([x.ravel() for x in gradient])).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_impossible_sequence_has_likelihood_zero_and_no_posterior(backend):
    initial, transition, emission = chain()
    emission[3] = -np.inf  # the sequence of one row
    loglik, first, moves, gamma = run(backend, (initial, transition, emission))[:4]
    assert np.array_equal(np.isfinite(loglik), [True, False, True])
    assert not gamma[3].any()
    np.testing.assert_allclose([first.sum(), moves.sum()], [3, 1 * 2 + 2 * 3])


def test_stack_of_draws():
    initial, transition, emission = (pt.as_tensor(x) for x in CASES["v=False m=False"])
    loglik = chain_log_likelihood(initial, transition, emission, pt.as_tensor(LENGTHS))
    stacked = pt.as_tensor(np.stack([CASES["v=False m=False"][2]] * 2))
    found = vectorize_graph(loglik, {emission: stacked}).eval(mode=PYTHON)
    np.testing.assert_allclose(found, np.tile(loglik.eval(mode=PYTHON), (2, 1)))


def test_batch_of_models_shares_the_rows():
    cases = [chain(seed=s) for s in (1, 2)]
    stacked = [np.stack(parts) for parts in zip(*cases, strict=True)]
    log_alpha, log_beta = chains.forward(*stacked, LENGTHS), chains.backward(*stacked[1:], LENGTHS)
    found = chains.smoothed(log_alpha, log_beta, LENGTHS)
    for one, gamma in zip(cases, found, strict=True):
        np.testing.assert_allclose(gamma, chains.posterior(*one, LENGTHS, np.ones(3))[2], atol=1e-14)


def test_wrong_arguments_say_what_is_wrong():
    vector, matrix = pt.vector(), pt.matrix()
    with pytest.raises(TypeError, match=r"1, 2 or 3 \(a matrix a row\), 2 and 1"):
        chain_log_likelihood(matrix, matrix, matrix, pt.lvector())
    with pytest.raises(TypeError, match="lengths holds float64"):
        chain_log_likelihood(vector, matrix, matrix, vector)
    with pytest.raises(TypeError, match="float32"):
        chain_log_likelihood(pt.fvector(), matrix, matrix, pt.lvector())
