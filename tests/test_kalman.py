"""Kalman likelihoods: equal to statsmodels and to dense normal densities, with exact first and second derivatives."""

import itertools

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
import statsmodels.api as sm
from pytensor.compile.mode import Mode
from scipy.stats import multivariate_normal
from statsmodels.tsa.statespace.kalman_smoother import KalmanSmoother

from reglm import compiling
from reglm.ops.kalman import kalman_log_likelihood
from reglm.ops.kalman_numpy import System, log_likelihood, pullback, smoothed, tangent
from reglm.statespace.linear_gaussian_smoother import smooth

NILE = sm.datasets.nile.load_pandas().data["volume"].to_numpy()[:, None]
# name: rows, numbers a row, states, diffuse states, errors of a row independent, one source of state noise
CASES = {
    "one state": (7, 1, 1, 0, False, False),
    "correlated errors": (8, 3, 2, 0, False, False),
    "singular noise": (8, 3, 2, 0, True, True),
    "partly diffuse": (9, 2, 3, 2, False, False),
    "diffuse for three rows": (16, 1, 3, 3, False, False),
    "diffuse within a row": (8, 3, 3, 3, False, True),
}


def case(name):
    n, p, m, diffuse, independent, singular = CASES[name]
    rng = np.random.default_rng(sum(map(ord, name)))
    y = rng.normal(size=(n, p))
    y[rng.random((n, p)) < 0.2] = np.nan
    y[2] = np.nan
    A, B, R = rng.normal(size=(p, p)), rng.normal(size=(m, m)), rng.normal(size=(m, 1 if singular else m))
    H, P1 = A @ A.T + 0.1 * np.eye(p), B @ B.T
    P1[:diffuse], P1[:, :diffuse] = 0, 0
    system = System(
        d=rng.normal(size=(n, p)), c=rng.normal(size=(n, m)), Z=rng.normal(size=(p, m)),
        H=np.diag(np.diag(H)) if independent else H, T=0.8 * np.eye(m) + 0.3 * rng.normal(size=(m, m)), V=R @ R.T,
        a1=rng.normal(size=m), P1=P1,
    )  # fmt: skip
    edges = np.array([0, n // 2 + 1, n])
    return y, edges, np.diag((np.arange(m) < diffuse) * 1.0), system, np.array([0.7, -1.3])


def direction(system, seed=0):
    rng = np.random.default_rng(seed)
    return System(*(rng.normal(size=x.shape) for x in system)).symmetric()


def moved(system, along, h):
    return System(*(x + h * v for x, v in zip(system, along, strict=True)))


def dense(y, edges, P1_inf, s, kappa):
    """Log-densities of the stacked observations."""
    values = []
    for first, stop in itertools.pairwise(edges):
        n, m = stop - first, len(s.a1)
        mean, P, means, cov = s.a1, s.P1 + kappa * P1_inf, [], np.zeros((n, m, n, m))
        for t in range(n):
            means.append(mean)
            block = P
            for u in range(t, n):
                cov[u, :, t], cov[t, :, u] = block, block.T
                block = s.T @ block
            mean, P = s.c[first + t] + s.T @ mean, s.T @ P @ s.T.T + s.V
        Z = np.kron(np.eye(n), s.Z)
        total = Z @ cov.reshape(n * m, n * m) @ Z.T + np.kron(np.eye(n), s.H)
        centre = Z @ np.concatenate(means) + s.d[first:stop].ravel()
        seen = ~np.isnan(y[first:stop].ravel())
        normal = multivariate_normal(centre[seen], total[np.ix_(seen, seen)])
        values.append(normal.logpdf(y[first:stop].ravel()[seen]) + np.log(kappa) / 2 * np.trace(P1_inf))
    return np.array(values)


def structural(Z, H, T, V, n):
    Z, T = np.atleast_2d(np.asarray(Z, dtype=float)), np.asarray(T, dtype=float)
    p, m = Z.shape
    return System(
        np.zeros((n, p)), np.zeros((n, m)), Z, np.eye(p) * H, T, np.asarray(V, float), np.zeros(m), np.zeros((m, m))
    )


@pytest.mark.parametrize("name", CASES)
def test_likelihood_is_the_density_of_the_stacked_normal(name):
    y, edges, P1_inf, system, _ = case(name)
    kappa, tolerance = (1.0, 1e-9) if not P1_inf.any() else (1e7, 1e-4)
    found = log_likelihood(y, edges, P1_inf, system)
    np.testing.assert_allclose(found, dense(y, edges, P1_inf, system, kappa), rtol=0, atol=tolerance)


@pytest.mark.parametrize("trend", [False, True])
def test_nile_as_in_statsmodels(trend):
    values = [15099.0, 1469.1, 3.0] if trend else [15099.0, 1469.1]
    model = sm.tsa.UnobservedComponents(NILE[:, 0], "lltrend" if trend else "llevel", use_exact_diffuse=True)
    T, Z, V = (np.array([[1, 1], [0, 1]]), [1, 0], np.diag(values[1:])) if trend else (np.eye(1), [1], [[1469.1]])
    system, edges = structural(Z, values[0], T, V, 100), np.array([0, 100])
    found = log_likelihood(NILE, edges, np.eye(len(T)), system)[0]
    assert found == pytest.approx(model.loglike(values), abs=1e-8)
    gradient = pullback(NILE, edges, np.eye(len(T)), system, np.ones(1))
    own = [gradient.H[0, 0], *np.diag(gradient.V)]
    np.testing.assert_allclose(own, model.score(values, approx_complex_step=True), rtol=1e-6, atol=1e-9)


def test_missing_rows_as_in_statsmodels():
    y, _, P1_inf, system, _ = case("partly diffuse")
    peer = KalmanSmoother(2, 3)
    peer.bind(y.copy())
    peer["design"], peer["obs_cov"], peer["transition"] = system.Z, system.H, system.T
    peer["selection"], peer["state_cov"] = np.eye(3), system.V
    peer["obs_intercept"], peer["state_intercept"] = system.d.T.copy(), system.c.T.copy()
    peer.initialize_components(a=system.a1, Pstar=system.P1, Pinf=P1_inf)
    peer.filter_collapsed = False
    found = log_likelihood(y, np.array([0, len(y)]), P1_inf, system)[0]
    assert found == pytest.approx(peer.loglike(), abs=1e-8)


@pytest.mark.parametrize("name", CASES)
def test_gradient_equals_differences(name):
    y, edges, P1_inf, system, g = case(name)
    gradient = pullback(y, edges, P1_inf, system, g)
    for i, field in enumerate(System._fields):
        along = System(*(v * (j == i) for j, v in enumerate(direction(system))))
        ends = [g @ log_likelihood(y, edges, P1_inf, moved(system, along, h)) for h in (1e-5, -1e-5)]
        expected = (ends[0] - ends[1]) / 2e-5
        assert (gradient[i] * along[i]).sum() == pytest.approx(expected, rel=1e-6, abs=1e-6), field


@pytest.mark.parametrize("name", CASES)
def test_tangent_equals_differences_of_the_gradient(name):
    y, edges, P1_inf, system, g = case(name)
    along, h = direction(system), 1e-5
    found, values = tangent(y, edges, P1_inf, system, g, along)
    above, below = (pullback(y, edges, P1_inf, moved(system, along, step), g) for step in (h, -h))
    for one, up, down in zip(found, above, below, strict=True):
        np.testing.assert_allclose(one, (up - down) / (2 * h), rtol=1e-5, atol=1e-6 * (1 + np.abs(one).max()))
    ends = [log_likelihood(y, edges, P1_inf, moved(system, along, step)) for step in (h, -h)]
    np.testing.assert_allclose(values, (ends[0] - ends[1]) / (2 * h), rtol=1e-6, atol=1e-6)


def program():
    """Value, gradient in y and the system, and derivatives of the gradient along a direction."""
    like = case("partly diffuse")
    y, edges, P1_inf, g = pt.dmatrix(), pt.lvector(), pt.dmatrix(), pt.dvector()
    system = System(*(pt.tensor(dtype="float64", shape=(None,) * x.ndim) for x in like[3]))
    along = [v.type() for v in system]
    s = system
    value = kalman_log_likelihood(y, s.Z, s.H, s.T, s.V, s.a1, s.P1, P1_inf, s.d, s.c, edges)
    gradient = pytensor.grad(None, [y, *system], known_grads={value: g})
    second = pytensor.grad(None, [y, g, *system], known_grads=dict(zip(gradient[1:], along, strict=True)))
    inputs = [y, edges, P1_inf, g, *system, *along]
    return compiling.Graph(inputs, [value, *gradient, *second])


def run(compiled, name):
    y, edges, P1_inf, system, g = case(name)
    return [np.asarray(x) for x in compiled(y, edges, P1_inf, g, *system, *direction(system))]


@pytest.fixture(scope="module")
def interpreted():
    graph = program()
    return compiling.Interpreted(graph.inputs, graph.outputs)


@pytest.mark.parametrize("backend", ["numba", "jax"])
def test_backends_agree(backend, interpreted):
    if backend == "jax":
        pytest.importorskip("jax")
    compiled = compiling.function(program, "test of Kalman filters", backend)
    for name in CASES if backend == "numba" else ["partly diffuse"]:  # JAX compiles for each size
        for found, expected in zip(run(compiled, name), run(interpreted, name), strict=True):
            scale = 1 + np.abs(expected).max(initial=0.0)
            np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=1e-11, err_msg=name)


def test_op_equals_the_functions(interpreted):
    y, edges, P1_inf, system, g = case("partly diffuse")
    value, dy, *rest = run(interpreted, "partly diffuse")
    gradient = pullback(y, edges, P1_inf, system, g)
    np.testing.assert_allclose(value, log_likelihood(y, edges, P1_inf, system))
    np.testing.assert_allclose(dy, -gradient.d)
    for found, expected in zip(rest[:8], gradient, strict=True):
        np.testing.assert_allclose(found, expected)
    second, values = tangent(y, edges, P1_inf, system, g, direction(system))
    np.testing.assert_allclose(rest[9], values)
    np.testing.assert_allclose(rest[8], -second.d)
    for found, expected in zip(rest[10:], second, strict=True):
        np.testing.assert_allclose(found, expected)


def test_defaults_are_one_sequence_and_a_proper_start():
    y, _, _, system, _ = case("one state")
    s = system._replace(d=0 * system.d, c=0 * system.c)
    value = kalman_log_likelihood(y, s.Z, s.H, s.T, s.V, s.a1, s.P1)
    assert value.eval(mode=Mode(linker="py", optimizer=None)) == pytest.approx(
        log_likelihood(y, np.array([0, len(y)]), np.zeros((1, 1)), s)
    )


def test_other_precisions_are_refused():
    with pytest.raises(TypeError, match="kalman needs float64"):
        kalman_log_likelihood(*(pt.matrix(dtype="float32") for _ in range(5)), pt.vector(dtype="float32"),
                              pt.matrix(dtype="float32"), *(pt.matrix(dtype="float32") for _ in range(3)))  # fmt: skip


def test_nothing_observed_and_nothing_random():
    y, edges, P1_inf, system, g = case("one state")
    nothing = np.full_like(y, np.nan)
    assert not log_likelihood(nothing, edges, P1_inf, system).any()
    assert not any(x.any() for x in pullback(nothing, edges, P1_inf, system, g))
    still = system._replace(H=np.zeros((1, 1)), V=np.zeros((1, 1)), P1=np.zeros((1, 1)))
    assert np.all(np.isneginf(log_likelihood(y, edges, P1_inf, still)))


def test_smoothed_states_equal_those_by_square_roots():
    for name in ("one state", "correlated errors", "singular noise"):
        y, edges, P1_inf, system, _ = case(name)
        mean, cov = smoothed(y, edges, system)
        for a, b in itertools.pairwise(edges):
            expected = smooth(y[a:b], system._replace(d=system.d[a:b], c=system.c[a:b]), P1_inf)
            np.testing.assert_allclose(mean[a:b], expected.mean, rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(cov[a:b], expected.cov, rtol=1e-9, atol=1e-9)
