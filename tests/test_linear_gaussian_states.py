"""States of linear-Gaussian models in square-root form: equal to statsmodels and to conditional normal densities."""

import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.tsa.statespace.kalman_smoother import KalmanSmoother

from reglm.ops.kalman_numpy import System
from reglm.statespace.linear_gaussian import kalman_filter
from reglm.statespace.linear_gaussian_smoother import smooth

NILE = sm.datasets.nile.load_pandas().data["volume"].to_numpy()[:, None]


def nile(trend):
    T, V = (np.array([[1.0, 1.0], [0.0, 1.0]]), np.diag([1469.1, 3.0])) if trend else (np.eye(1), np.array([[1469.1]]))
    m, n = len(T), len(NILE)
    system = System(
        np.zeros((n, 1)), np.zeros((n, m)), np.eye(1, m), np.array([[15099.0]]), T, V, np.zeros(m), np.zeros((m, m))
    )
    return system, np.eye(m)


def correlated(diffuse, n=14):
    """Three states, two numbers a row with correlated errors, rows and numbers missing, one source of noise."""
    rng = np.random.default_rng(4)
    y = rng.normal(size=(n, 2))
    y[rng.random((n, 2)) < 0.2] = np.nan
    y[[0, 3, n - 1]] = np.nan
    R, B = rng.normal(size=(3, 1)), rng.normal(size=(3, 3))
    P1 = B @ B.T
    P1[:diffuse], P1[:, :diffuse] = 0, 0
    system = System(
        rng.normal(size=(n, 2)), rng.normal(size=(n, 3)), rng.normal(size=(2, 3)), np.array([[1.0, 0.6], [0.6, 0.8]]),
        0.8 * np.eye(3) + 0.3 * rng.normal(size=(3, 3)), R @ R.T, rng.normal(size=3), P1,
    )  # fmt: skip
    return y, system, np.diag((np.arange(3) < diffuse) * 1.0)


def peer_of(y, system, P1_inf):
    peer = KalmanSmoother(y.shape[1], len(P1_inf))
    peer.bind(y.copy())
    peer["design"], peer["obs_cov"], peer["transition"] = system.Z, system.H, system.T
    peer["selection"], peer["state_cov"] = np.eye(len(P1_inf)), system.V
    peer["obs_intercept"], peer["state_intercept"] = system.d.T.copy(), system.c.T.copy()
    peer.initialize_components(a=system.a1, Pstar=system.P1, Pinf=P1_inf)
    peer.filter_univariate = True
    return peer.smooth()


CASES = {
    "local level": (NILE, *nile(False)),
    "local linear trend": (NILE, *nile(True)),
    "partly diffuse": correlated(2),
    "diffuse": correlated(3),
    "proper": correlated(0),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore:The univariate filtering approach")
def test_states_as_in_statsmodels(name):
    y, system, P1_inf = CASES[name]
    peer, found = peer_of(y, system, P1_inf), kalman_filter(y, system, P1_inf)
    known = np.flatnonzero(np.isfinite(found.filtered.cov).all(axis=(1, 2)))
    assert len(known) >= len(y) - 5
    scale = np.abs(peer.filtered_state_cov[:, :, known]).max()
    np.testing.assert_allclose(found.filtered.mean[known], peer.filtered_state.T[known], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(
        found.filtered.cov[known], np.moveaxis(peer.filtered_state_cov, 2, 0)[known], rtol=1e-8, atol=1e-12 * scale
    )
    smoothed = smooth(y, system, P1_inf, found)
    np.testing.assert_allclose(smoothed.mean, peer.smoothed_state.T, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(smoothed.cov, np.moveaxis(peer.smoothed_state_cov, 2, 0), rtol=1e-8, atol=1e-11 * scale)
    np.testing.assert_allclose(smoothed.mean[-1], found.filtered.mean[-1], rtol=1e-9, atol=1e-9)
    later = known[known > known[0]]
    error = np.sqrt(np.diagonal(smoothed.cov, axis1=1, axis2=2))
    np.testing.assert_allclose(error, np.sqrt(np.diagonal(peer.smoothed_state_cov).copy()), rtol=1e-8, atol=1e-8)
    if y.shape[1] == 1:
        expected = peer.standardized_forecasts_error.T
        np.testing.assert_allclose(found.residuals[later], expected[later], rtol=1e-8, atol=1e-8)


def test_states_are_conditional_normals():
    """Against the joint normal of all states and rows."""
    y, s, P1_inf = correlated(0, 6)
    n, m = len(y), 3
    mean, P, means, cov = s.a1, s.P1, [], np.zeros((n, m, n, m))
    for t in range(n):
        means.append(mean)
        block = P
        for u in range(t, n):
            cov[u, :, t], cov[t, :, u] = block, block.T
            block = s.T @ block
        mean, P = s.c[t] + s.T @ mean, s.T @ P @ s.T.T + s.V
    Z, C, mu = np.kron(np.eye(n), s.Z), cov.reshape(n * m, n * m), np.concatenate(means)
    seen = ~np.isnan(y.ravel())
    Z = Z[seen]
    gain = C @ Z.T @ np.linalg.inv(Z @ C @ Z.T + np.kron(np.eye(n), s.H)[np.ix_(seen, seen)])
    expected = mu + gain @ (y.ravel()[seen] - Z @ mu - s.d.ravel()[seen])
    found = smooth(y, s, P1_inf)
    np.testing.assert_allclose(found.mean.ravel(), expected, atol=1e-10)
    left = (C - gain @ Z @ C).reshape(n, m, n, m)
    for t in range(n):
        np.testing.assert_allclose(found.cov[t], left[t, :, t], atol=1e-10)


def test_what_rows_do_not_determine_is_infinite():
    system, P1_inf = nile(True)
    found = kalman_filter(NILE, system, P1_inf)
    assert np.isinf(found.filtered.cov[0, 1, 1])
    assert np.isnan(found.filtered.mean[0, 1])
    assert np.isfinite(found.filtered.cov[1:]).all()
    np.testing.assert_allclose(found.filtered.mean[0, 0], NILE[0, 0])
    y = np.full_like(NILE, np.nan)
    y[50] = NILE[50]
    smoothed = smooth(y, system, P1_inf)
    assert np.isfinite(smoothed.cov[50, 0, 0])
    assert np.isinf(smoothed.cov[:, 1, 1]).all()
    assert np.isinf(smoothed.cov[[0, 49, 51, 99], 0, 0]).all()


def test_covariances_stay_positive_where_rounding_is_worst():
    """Errors so small beside the noise that a filter by subtraction loses positive variances."""
    system, P1_inf = nile(True)
    system = system._replace(H=np.array([[1e-12]]), V=np.diag([0.0, 1e-8]), P1=1e10 * np.eye(2))
    found = kalman_filter(NILE, system, 0 * P1_inf)
    smoothed = smooth(NILE, system, 0 * P1_inf, found)
    for cov in (*found.filtered.cov, *smoothed.cov):
        assert np.linalg.eigvalsh(cov).min() >= -1e-16 * np.abs(cov).max()


def test_covariances_that_are_none_are_refused():
    system, P1_inf = nile(False)
    with pytest.raises(ValueError, match="error of positive variance"):
        kalman_filter(NILE, system._replace(H=np.zeros((1, 1))), P1_inf)
    with pytest.raises(ValueError, match="negative eigenvalue -1"):
        kalman_filter(NILE, system._replace(V=-np.eye(1)), P1_inf)
