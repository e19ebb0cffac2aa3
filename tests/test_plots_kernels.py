"""Pictures of kernel regressions show the numbers of the fit."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from reglm import KernelDualClassifier, KernelDualRegressor, RecursiveGLMRegressor, plots

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

rng = np.random.default_rng(0)
X = rng.normal(size=(50, 2))
y = np.sin(2 * X[:, 0]) + 0.3 * rng.normal(size=50)
CLASSES = np.digitize(y + 0.5 * rng.normal(size=50), [-0.5, 0.5])


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def test_path_is_the_criterion_and_the_ring_the_chosen_penalty():
    model = KernelDualRegressor(alpha="gcv").fit(X, y)
    ax = plots.penalty_path(model, name="rbf")
    curve, ring, _ = ax.lines
    np.testing.assert_array_equal(curve.get_ydata(), model.path_.gcv)
    assert ring.get_xdata()[0] == model.alpha_
    assert ring.get_ydata()[0] <= 1.01 * model.path_.gcv.min()
    assert (ax.get_xscale(), ax.get_ylabel()) == ("log", "generalised cross-validation")
    assert plots.penalty_path(KernelDualRegressor("laplacian").fit(X, y), criterion="gcv", ax=ax) is ax
    assert sum(child.get_label() == "edf" for child in ax.child_axes) == 1
    with pytest.raises(ValueError, match="criterion='aic' is not on this path"):
        plots.penalty_path(model, criterion="aic")


def test_paths_of_classes_and_of_several_targets():
    model = KernelDualClassifier(alphas=6).fit(X, CLASSES)
    ax = plots.penalty_path(model)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), model.path_.loo)
    assert ax.get_ylabel() == "leave-one-out deviance"
    several = KernelDualRegressor(alpha_per_target=True).fit(X, np.column_stack([y, X[:, 1]]))
    ax = plots.penalty_path(several)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["target 0", "target 1"]


def test_spectrum_has_the_shares_of_the_effective_degrees_of_freedom():
    model = KernelDualRegressor(alpha=0.1).fit(X, y)
    ax = plots.spectrum(make_pipeline(StandardScaler(), model).fit(X, y))
    points, penalty = ax.lines
    d = points.get_ydata()
    assert np.all(np.diff(d) <= 0)
    assert penalty.get_ydata()[0] == 0.1
    assert 1 + (d / (d + 0.1)).sum() == pytest.approx(model.edf_, rel=1e-6)
    classes = KernelDualClassifier(alpha=0.1).fit(X, CLASSES)
    assert plots.spectrum(classes).lines[1].get_ydata()[0] > 0.1
    low = KernelDualRegressor(alpha=0.1, approximation="nystroem", n_landmarks=20).fit(X, y)
    assert len(plots.spectrum(low).lines[0].get_ydata()) <= 20


def test_matrix_is_ordered():
    model = KernelDualRegressor(alpha=0.1, gamma=0.5).fit(X, y)
    K, order = rbf_kernel(X, gamma=0.5), np.argsort(X[:, 1])
    ax = plots.kernel_matrix(model, X, by=1)
    np.testing.assert_allclose(ax.images[0].get_array(), K[np.ix_(order, order)])
    matrix = KernelDualRegressor("precomputed", alpha=0.1).fit(K, y)
    drawn = plots.kernel_matrix(matrix, K, by=X[:, 1]).images[0].get_array()
    np.testing.assert_allclose(drawn, K[np.ix_(order, order)])
    np.testing.assert_allclose(plots.kernel_matrix(matrix, K).images[0].get_array(), K)
    frame = pd.DataFrame(X, columns=["a", "b"]).assign(g=np.array(["u", "v", "w"])[CLASSES])
    ax = plots.kernel_matrix(KernelDualClassifier(alpha=0.1).fit(frame, CLASSES), frame, by="g")
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["u", "v", "w"]
    with pytest.raises(ValueError, match="for 50 rows"):
        plots.kernel_matrix(model, X, by=[1, 2])


def test_other_models_are_refused():
    with pytest.raises(ValueError, match="RecursiveGLMRegressor is no kernel regression"):
        plots.spectrum(RecursiveGLMRegressor().fit(X, y))
