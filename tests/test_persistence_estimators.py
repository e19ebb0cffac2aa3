"""Saved kernel regressions and random features: the loaded ones answer the same; hostile kernels are refused."""

import json
import zipfile

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.gaussian_process import kernels as process

import reglm
from reglm import KernelDualClassifier, KernelDualRegressor, NetworkKernel, RandomFeatures
from reglm.persistence import archive

rng = np.random.default_rng(0)
n = 40
X = pd.DataFrame({"a": rng.normal(size=n), "b": rng.normal(size=n), "g": rng.choice(["u", "v"], n)})
NEW = X[:7].assign(a=lambda rows: rows["a"] + 0.3)
Y = np.sin(X["a"].to_numpy()) + 0.1 * rng.normal(size=n)
COUNTS = rng.poisson(np.exp(X["a"]))
ARD = 2.0 * process.RBF([1.0, 2.0, 3.0]) + process.DotProduct() ** 2
MODELS = {
    "rbf": (KernelDualRegressor(linear=["b"]), Y),
    "process": (KernelDualRegressor(ARD, alpha="reml"), Y),
    "network": (KernelDualRegressor(NetworkKernel(2, ["erf", "relu"], "ntk"), alpha=0.1), Y),
    "pairwise": (KernelDualRegressor("polynomial", kernel_params={"degree": 2}, alpha=0.1), Y),
    "targets": (KernelDualRegressor(alpha_per_target=True), np.column_stack([Y, -Y])),
    "poisson": (KernelDualRegressor(family="poisson", alphas=5), COUNTS),
    "landmarks": (KernelDualRegressor(approximation="nystroem", n_landmarks=10, random_state=0), Y),
    "counts on landmarks": (
        KernelDualRegressor(family="poisson", alphas=5, approximation="nystroem", n_landmarks=10, random_state=0),
        COUNTS,
    ),
    "laplacian": (KernelDualRegressor("laplacian", approximation="nystroem", n_landmarks=10, random_state=0), Y),
}


def reloaded(model, tmp_path):
    model.save(tmp_path / "model")
    return reglm.load(tmp_path / "model")


@pytest.mark.parametrize("name", MODELS)
def test_a_loaded_kernel_regression_answers_the_same(name, tmp_path):
    model, y = MODELS[name]
    loaded = reloaded(model.fit(X, y), tmp_path)
    assert repr(loaded) == repr(model)
    for one, other in zip(loaded.predict(NEW, return_std=True), model.predict(NEW, return_std=True), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    np.testing.assert_allclose(loaded.intervals(NEW), model.intervals(NEW), rtol=1e-12)
    np.testing.assert_allclose(loaded.logpdf(NEW, y[:7]), model.logpdf(NEW, y[:7]), rtol=1e-12)
    if model.approximation is None or model.family == "poisson":
        assert loaded.summary().as_text() == model.summary().as_text()
        pd.testing.assert_frame_equal(loaded.path_, model.path_)
    else:
        with pytest.raises(ValueError, match="a loaded model on landmarks does not have"):
            _ = loaded.path_
        pd.testing.assert_frame_equal(loaded.summary().table, model.summary().table)


def test_conjugate_gradients_and_sparse_rows(tmp_path):
    rows = sparse.random_array((60, 8), density=0.3, format="csr", rng=np.random.default_rng(1))
    y = rows.sum(axis=1)
    model = KernelDualRegressor(approximation="nystroem", n_landmarks=20, solver="cg", alpha=1.0, random_state=0)
    for est in (model, KernelDualRegressor(alpha=1.0)):
        np.testing.assert_array_equal(reloaded(est.fit(rows, y), tmp_path).predict(rows), est.predict(rows))


@pytest.mark.parametrize("labels", [["no", "yes"], [1, 2, 5]])
def test_a_loaded_classifier_answers_the_same(labels, tmp_path):
    y = np.array(labels)[np.digitize(Y, [0.0, 0.5][: len(labels) - 1])]
    model = KernelDualClassifier(alphas=4).fit(X, y)
    loaded = reloaded(model, tmp_path)
    np.testing.assert_array_equal(loaded.predict(NEW), model.predict(NEW))
    np.testing.assert_allclose(loaded.predict_proba(NEW), model.predict_proba(NEW), rtol=1e-12)
    assert loaded.summary().as_text() == model.summary().as_text()
    assert loaded.alpha_ == model.alpha_


@pytest.mark.parametrize("kernel", ["rbf", "arccosine", "tanh", NetworkKernel(2, "erf")])
def test_loaded_features_are_the_same(kernel, tmp_path):
    rows = X[["a", "b"]]
    model = RandomFeatures(kernel, 6, random_state=0).fit(rows)
    np.testing.assert_array_equal(reloaded(model, tmp_path).transform(rows), model.transform(rows))


def test_a_kernel_is_saved_by_its_parameters(tmp_path):
    kernel = NetworkKernel(2, "erf", kind="ntk", bias_variance=0.3, skip=True)
    reglm.save(kernel, tmp_path / "kernel")
    assert reglm.load(tmp_path / "kernel") == kernel


def test_parts_that_are_shared_are_stored_once(tmp_path):
    KernelDualRegressor(family="poisson", alpha=1.0).fit(X, COUNTS).save(tmp_path / "model")
    assert (tmp_path / "model").stat().st_size < 8 * 6 * n * n


class Mine(process.RBF):
    pass


@pytest.mark.parametrize("kernel", [lambda Y, X: Y @ X.T, Mine(), process.PairwiseKernel()])
def test_kernels_that_files_cannot_hold(kernel, tmp_path):
    model = KernelDualRegressor(kernel, alpha=1.0).fit(X[["a", "b"]], Y)
    with pytest.raises(ValueError, match=r"kernel_ holds a .*by name"):
        model.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda kernel: kernel.update(name="PairwiseKernel"), "class 'PairwiseKernel' is not known"),
        (lambda kernel: kernel.update(name="os.system"), "class 'os.system' is not known"),
        (lambda kernel: kernel["fields"].update(code="1"), "unexpected keyword argument 'code'"),
        (lambda kernel: kernel.update({"$": "call"}), "kind 'call' is not known"),
        (lambda kernel: kernel.update({"$": "estimator", "class": "Popen"}), "'Popen' is not one of"),
        (lambda kernel: kernel.update({"$": "record", "name": "Function", "fields": {}}), "'Function' is not known"),
    ],
)
def test_hostile_kernels(change, message, tmp_path):
    KernelDualRegressor(process.RBF(), alpha=1.0).fit(X[["a", "b"]], Y).save(tmp_path / "model")
    refused(tmp_path, lambda model: change(model["options"]["kernel"]), message)


def test_hostile_sparse_matrices(tmp_path):
    rows = sparse.csr_array(np.eye(4))
    KernelDualRegressor(alpha=1.0).fit(rows, np.arange(4.0)).save(tmp_path / "model")
    refused(tmp_path, lambda model: model["fitted"]["_X"].update(shape=[4, 1]), "indices must be < 1")


def refused(folder, change, message):
    """Rewrite the document of a file and see that it does not load."""
    with zipfile.ZipFile(folder / "model") as file:
        members = {name: file.read(name) for name in file.namelist()}
    document = json.loads(members[archive.DOCUMENT])
    change(document["model"])
    members[archive.DOCUMENT] = json.dumps(document).encode()
    with zipfile.ZipFile(folder / "changed", "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    with pytest.raises(ValueError, match=message):
        reglm.load(folder / "changed")
