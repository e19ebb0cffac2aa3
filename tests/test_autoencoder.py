"""Autoencoders: the linear one against principal components, tied weights, noise, families."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning

from reglm import Autoencoder, load

IRIS = load_iris().data


def leading(X, k):
    pca = PCA(k).fit(X)
    return pca.inverse_transform(pca.transform(X)), pca.components_


@pytest.mark.parametrize("tied", [False, True])
def test_the_linear_autoencoder_is_principal_components(tied):
    model = Autoencoder(2, activation="identity", tied=tied, tol=1e-10, max_iter=3000, random_state=0).fit(IRIS)
    restored, components = leading(IRIS, 2)
    assert model.predict(IRIS) == pytest.approx(restored, abs=1e-6)
    grid = model.inverse_transform(np.eye(2)) - model.inverse_transform(np.zeros((2, 2)))
    basis = np.linalg.qr(grid.T)[0]
    assert basis @ basis.T == pytest.approx(components.T @ components, abs=1e-6)
    total = ((IRIS - IRIS.mean(axis=0)) ** 2).sum()
    assert model.score(IRIS) == pytest.approx(1 - ((IRIS - restored) ** 2).sum() / total, abs=1e-9)


@pytest.mark.parametrize("options", [{"tied": True}, {}, {"noise": "mask"}, {"noise": "gaussian", "tied": True}])
def test_decoding_the_code_is_predicting(options):
    model = Autoencoder((3, 2, 3), max_iter=5, random_state=0, solver="adam", **options)
    with pytest.warns(ConvergenceWarning):
        model.fit(IRIS)
    codes = model.transform(IRIS)
    assert codes.shape == (150, 2)
    assert model.inverse_transform(codes) == pytest.approx(model.predict(IRIS), abs=1e-12)
    assert list(model.get_feature_names_out()) == ["autoencoder0", "autoencoder1"]


def test_tied_weights_are_those_of_the_encoder():
    model = Autoencoder((3, 2, 3), ("tanh", "identity", "tanh"), tied=True, alpha=0.1, max_iter=20, random_state=0)
    with pytest.warns(ConvergenceWarning):
        model.fit(IRIS)
    views = model.fit_.likelihood.layout.views(model.fit_.theta)
    W1, W2 = views["output.layer1.W"], views["output.layer2.W"]
    code = np.tanh(IRIS @ W1 + views["output.layer1.b"]) @ W2 + views["output.layer2.b"]
    restored = np.tanh(code @ W2.T + views["output.b1"]) @ W1.T + views["output.b"]
    assert model.transform(IRIS) == pytest.approx(code)
    assert model.predict(IRIS) == pytest.approx(restored)
    assert sum(v.size for v in views.values()) == 4 * 3 + 3 + 3 * 2 + 2 + 3 + 4


def test_a_curved_code_restores_a_circle_better_than_components():
    t = np.random.default_rng(0).uniform(0, 1.5 * np.pi, 200)
    X = np.column_stack([np.cos(t), np.sin(t)])
    model = Autoencoder((6, 1, 6), max_iter=300, random_state=0)
    with pytest.warns(ConvergenceWarning):
        model.fit(X)
    restored, _ = leading(X, 1)
    assert ((X - model.predict(X)) ** 2).mean() < 0.1 * ((X - restored) ** 2).mean()


@pytest.mark.parametrize("noise", ["mask", "gaussian"])
def test_denoising_restores_what_is_missing(noise):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(400, 1)) * np.ones(6) + 0.05 * rng.normal(size=(400, 6))
    model = Autoencoder(3, activation="identity", noise=noise, noise_level=0.5, solver="adam", max_iter=60,
                        batch_size=20, learning_rate=0.01, random_state=0)  # fmt: skip
    model.fit(X)
    spoiled = X * (rng.random(X.shape) > 0.3) if noise == "mask" else X + 0.5 * rng.normal(size=X.shape)
    assert ((X - model.predict(spoiled)) ** 2).mean() < 0.7 * ((X - spoiled) ** 2).mean()


def test_bernoulli_columns_have_their_likelihood():
    rng = np.random.default_rng(2)
    X = (rng.random((200, 1)) < 0.5) ^ (rng.random((200, 5)) < 0.1)
    X = X.astype(float)
    model = Autoencoder(2, activation="identity", family="bernoulli", alpha=1.0, random_state=0).fit(X)
    mu = model.predict(X)
    assert model.logpdf(X) == pytest.approx((X * np.log(mu) + (1 - X) * np.log1p(-mu)).sum(axis=1))
    assert 0.3 < model.score(X) < 1


def test_grey_levels_count_as_probabilities():
    X = np.random.default_rng(3).uniform(size=(60, 4))
    model = Autoencoder(1, activation="identity", family="bernoulli", alpha=1.0, random_state=0).fit(X)
    mu = model.predict(X)
    assert model.logpdf(X) == pytest.approx((X * np.log(mu) + (1 - X) * np.log1p(-mu)).sum(axis=1))
    assert 0 < model.score(X) < 1


def test_start_values_are_where_a_fit_starts():
    model = Autoencoder(1, alpha=1.0, random_state=0).fit(IRIS[:, :3])
    again = Autoencoder(1, alpha=1.0, start=model.fit_.theta, random_state=1).fit(IRIS[:, :3])
    assert again.n_iter_ <= 5
    assert again.predict(IRIS[:, :3]) == pytest.approx(model.predict(IRIS[:, :3]), abs=1e-3)
    assert clone(again).start is not None


def test_a_saved_model_codes_as_it_did(tmp_path):
    for i, tied in enumerate((False, True)):
        model = Autoencoder(2, activation="identity", tied=tied, random_state=0).fit(IRIS)
        model.save(tmp_path / f"{i}.reglm")
        loaded = load(tmp_path / f"{i}.reglm")
        assert np.array_equal(loaded.transform(IRIS), model.transform(IRIS))
        assert np.array_equal(loaded.predict(IRIS), model.predict(IRIS))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": (3, 2)}, "odd number of layers"),
        ({"hidden": ()}, "odd number of layers"),
        ({"hidden": (3, 2, 4), "tied": True}, "read the same backwards"),
        ({"tied": "yes"}, "tied='yes' must be one of"),
        ({"noise": "salt"}, "noise='salt' is not known"),
        ({"noise": "mask", "noise_level": 1.0}, "noise_level=1.0 must be at least 0, and below 1"),
        ({"pretrain": "pca"}, "pretrain='pca' must be one of"),
        ({"family": "binomial"}, "no linear predictor for each column"),
        ({"family": "bernoulli"}, "y"),
        ({"activation": "softmax"}, "must act on each unit alone"),
        ({"start": np.zeros(3)}, r"start has shape \(3,\); there are 22 parameters"),
        ({"noise": "mask", "solver": "lbfgs"}, "cannot use; use solver='adam'"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        Autoencoder(**{"hidden": 2, **options}).fit(IRIS)


def test_codes_of_another_width_are_refused():
    model = Autoencoder(2, activation="identity").fit(IRIS)
    with pytest.raises(ValueError, match="X has 3 columns, codes have 2"):
        model.inverse_transform(np.zeros((1, 3)))
