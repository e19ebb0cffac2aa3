"""Diagnostic pictures show the numbers they claim to show."""

import numpy as np
import pytest
from scipy import special, stats
from sklearn.linear_model import LogisticRegression, PoissonRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from reglm import RecursiveGLMClassifier, RecursiveGLMRegressor, datasets, plots
from reglm.inference.envelope import exact_envelope, simulated_envelope

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

N = 120
RNG = np.random.default_rng(9)
X = RNG.normal(size=(N, 2))
REAL = X[:, 0] + RNG.normal(size=N)
BINARY = RNG.random(N) < special.expit(X[:, 0])


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def ols():
    return RecursiveGLMRegressor().fit(X, REAL)


@pytest.fixture(scope="module")
def claims():
    return datasets.simulate_claims(400, seed=3)


@pytest.fixture(scope="module")
def glm(claims):
    return RecursiveGLMRegressor(family="poisson", exposure="exposure").fit(claims.data, claims.target)


def points(ax, line=0):
    return np.asarray(ax.lines[line].get_xdata(), dtype=float), np.asarray(ax.lines[line].get_ydata(), dtype=float)


def test_residuals_against_everything(ols, glm, claims):
    results = ols.inference()
    for model in (ols, ols.fit_, results, make_pipeline(StandardScaler(), ols).fit(X, REAL)):
        ax = plots.residuals(model, "response")
        assert len(ax.lines) == 3  # points, zero, smooth
    x, y = points(plots.residuals(results, "pearson", "x1"))
    np.testing.assert_allclose(x, X[:, 1])
    np.testing.assert_allclose(y, results.resid_pearson)
    x, y = points(plots.residuals(ols, "deviance", "row", studentized=True))
    np.testing.assert_allclose(y, results.resid("deviance", studentized=True))
    np.testing.assert_allclose(points(plots.residuals(glm, against="eta"))[0], np.log(glm.predict(claims.data)))
    ax = plots.residuals(glm, against="region", seed=4)
    x, y = points(ax)
    names = np.array([tick.get_text() for tick in ax.get_xticklabels()])
    assert np.array_equal(names[np.round(x).astype(int)], claims.data["region"].astype(str))
    assert abs(stats.spearmanr(x - np.round(x), y).statistic) < 0.15  # the jitter is drawn apart
    with pytest.raises(ValueError, match="against='age' is not known"):
        plots.residuals(glm, against="age")


def test_categories_that_are_embedded(claims):
    model = RecursiveGLMRegressor(
        (2,), family="poisson", categorical="embedding", alpha=1.0, random_state=0, exposure="exposure"
    ).fit(claims.data, claims.target)
    ax = plots.residuals(model, against="region")
    names = np.array([tick.get_text() for tick in ax.get_xticklabels()])
    assert np.array_equal(names[np.round(points(ax)[0]).astype(int)], claims.data["region"].astype(str))


def test_quantiles_and_envelopes(ols):
    _, y = points(plots.qq(ols), 1)
    np.testing.assert_allclose(y, np.sort(ols.inference().resid("quantile")))
    low, high = exact_envelope(9, 0.9)
    draws = np.sort(np.random.default_rng(0).normal(size=(20_000, 9)))
    np.testing.assert_allclose(low, np.quantile(draws, 0.05, axis=0), atol=0.05)
    np.testing.assert_allclose(high, np.quantile(draws, 0.95, axis=0), atol=0.05)
    low, high = simulated_envelope(ols.fit_, 60, 0.9, seed=2)
    exact = exact_envelope(N, 0.9)
    middle = slice(N // 4, 3 * N // 4)
    assert np.mean(high[middle] - low[middle]) < np.mean(exact[1][middle] - exact[0][middle])  # scale is estimated
    assert plots.qq(ols, simulations=5, name="refits").get_legend() is not None


def test_spread_leverage_and_panel(ols, glm):
    results = ols.inference()
    _, y = points(plots.scale_location(ols, "deviance"))
    np.testing.assert_allclose(y**2, np.abs(results.resid("deviance", studentized=True)))
    ax = plots.leverage(ols)
    x, y = points(ax)
    found = results.get_influence()
    np.testing.assert_allclose(x, found.hat_matrix_diag)
    np.testing.assert_allclose(y, found.resid_studentized)
    assert str(int(np.argmax(found.cooks_distance[0]))) in [text.get_text() for text in ax.texts]
    assert plots.diagnose(glm).shape == (2, 2)
    own = np.column_stack([X, np.arange(N) == 7])
    plots.diagnose(RecursiveGLMRegressor().fit(own, REAL))  # a row with leverage one
    quasi = RecursiveGLMRegressor(family="quasipoisson").fit(X, np.abs(np.round(REAL)))
    assert "studentized deviance" in plots.diagnose(quasi)[0, 1].get_ylabel()
    with pytest.raises(ValueError, match="this model has several"):
        plots.leverage(RecursiveGLMRegressor().fit(X, np.column_stack([REAL, REAL**2])))


def test_a_contour_is_a_distance(ols):
    ax = plots.leverage(ols)
    h, r = next((x, y) for x, y in (points(ax, i) for i in range(2, len(ax.lines))) if len(x) > 2)
    np.testing.assert_allclose(r**2 / 3 * h / (1 - h), 0.5)


def test_lift_of_one_and_two_models(glm, claims):
    table = plots.calibration_table(glm, claims.data, claims.target, exposure="exposure", bins=5)
    ax = plots.lift(glm, claims.data, claims.target, exposure="exposure", bins=5)
    overall = claims.target.sum() / claims.data["exposure"].sum()
    np.testing.assert_allclose(points(ax, 1)[1], table["fitted"] / overall)
    columns = ["driver_age", "power"]
    other = PoissonRegressor(alpha=0.0).fit(claims.data[columns], claims.target)
    means = other.predict(claims.data[columns])
    ax = plots.double_lift(glm, means, claims.data, claims.target, names=("ours", "theirs"))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["ours", "theirs", "observed"]
    np.testing.assert_allclose(points(ax, 2)[1].mean(), claims.target.mean(), rtol=0.05)


def test_reliability_and_scores_of_several_models():
    ours = RecursiveGLMClassifier((2,), alpha=0.5, random_state=0).fit(X, BINARY)
    theirs = LogisticRegression().fit(X, BINARY)
    ax = plots.reliability(ours, X, BINARY, output=1, name="ours", resamples=10)
    plots.reliability(theirs, X, BINARY, output=1, name="theirs", resamples=0, ax=ax)
    parts = plots.decomposition(theirs, X, BINARY, output=1)
    assert f"theirs: MCB {parts.miscalibration:.3g}" in ax.get_legend().get_texts()[1].get_text()
    p = theirs.predict_proba(X)[:, 1]
    assert parts.score == pytest.approx(-2 * np.mean(np.log(np.where(BINARY, p, 1 - p))))
    brier = plots.decomposition(theirs, X, BINARY, output=1, family="gaussian")
    assert brier.score == pytest.approx(np.mean((p - BINARY) ** 2))
    ax = plots.murphy(theirs, X, BINARY, output=1)
    x, y = points(ax)
    assert 2 * np.trapezoid(y, x) == pytest.approx(brier.score, rel=0.02)


def test_decomposition_takes_the_deviance_of_the_model(ols, glm, claims):
    assert plots.decomposition(ols).score == pytest.approx(ols.inference().deviance / N)
    assert plots.decomposition(glm.inference()).score == pytest.approx(glm.inference().deviance / 400)
    rate = plots.decomposition(glm, claims.data, claims.target, exposure="exposure")
    total = glm.inference().deviance / claims.data["exposure"].sum()
    assert rate.score == pytest.approx(total)
    array = plots.decomposition(ols.predict(X), y=REAL)
    assert array.score == pytest.approx(np.mean((REAL - ols.predict(X)) ** 2))


def test_two_classes_show_the_second_on_new_and_on_training_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 2))
    y = np.where(rng.random(120) < 1 / (1 + np.exp(-1 - X[:, 0])), "yes", "no")
    model = RecursiveGLMClassifier().fit(X, y)
    for output, share in ((None, np.mean(y == "yes")), (1, np.mean(y == "yes")), (0, np.mean(y == "no"))):
        fitted, given = (plots.calibration_table(model, *rows, bins=1, output=output) for rows in ((), (X, y)))
        assert fitted["observed"].item() == pytest.approx(share)
        assert fitted["fitted"].item() == pytest.approx(given["fitted"].item())
    assert plots.calibration(model).get_xlabel() == "fitted mean of P(yes)"
