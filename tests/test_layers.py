"""Every layer of the registry: what it declares is what its graph does; bases and units against closed forms."""

import json

import numpy as np
import pytensor.tensor as pt
import pytest
from network_cases import LAYERS, NAMES, ROWS, X, differences, label, make, simplest, single
from scipy import sparse
from scipy.interpolate import CubicSpline

from reglm import layers
from reglm.compiling import evaluate
from reglm.jacobian import jacobian
from reglm.layers import Layer, Scope, from_config
from reglm.network import compose
from reglm.parameters import Layout

READERS = [layer for layer in LAYERS if hasattr(layer, "columns")]


def applied(layer, x=X, parameters=None, training=False, noise=()):
    """Output (n, width) of a layer at given parameters, its parameters and its scope."""
    layer = layer.resolve(x, NAMES)
    layout = Layout(layer.specs(x.shape[1]))
    theta = layout.start(np.random.default_rng(0))
    values = layout.views(theta) | (parameters or {})
    buffers = layer.buffers(x.shape[1])
    static = {0: (), 1: (None,), 2: (1, None)}
    symbols = {k: pt.tensor(k, dtype="float64", shape=(None,) * v.ndim) for k, v in values.items()}
    fixed = {k: pt.tensor(k, dtype=str(v.dtype), shape=static[v.ndim]) for k, v in buffers.items()}
    h = pt.matrix("h")
    scope = Scope(symbols, fixed, h.shape[0], "float64", training)
    out = layer.apply(h, scope)
    given = {h: x} | {symbols[k]: v for k, v in values.items()} | {fixed[k]: v for k, v in buffers.items()}
    given |= dict(zip(scope.trace.noise, noise, strict=True))
    statistics = scope.trace.statistics
    results = evaluate([out, *statistics.values()], given)
    return results[0], values, dict(zip(statistics, results[1:], strict=True))


@pytest.mark.parametrize("layer", LAYERS, ids=label)
def test_configuration_survives_json(layer):
    for stage in (layer, layer.resolve(X, NAMES)):
        again = from_config(json.loads(json.dumps(stage.config())))
        assert type(again) is type(stage)
        assert again.config() == stage.config()
        assert again.structure() == stage.structure()
    assert from_config(layer.config()).resolve(X, NAMES).config() == layer.resolve(X, NAMES).config()


@pytest.mark.parametrize("layer", LAYERS, ids=label)
def test_declarations_match_the_graph(layer):
    lik, theta, data = make(single(layer))
    resolved = lik.network.chain.layers[0]
    out, *_ = applied(layer)
    assert out.shape == (ROWS, resolved.width(X.shape[1]))
    assert np.isfinite(out).all()
    tapped = {name for tap, *_ in lik.taps(theta, data, np.ones((1, 1))) for name in (tap.weight, tap.bias) if name}
    assert tapped == set(lik.layout.slices)
    training = lik.symbols(training=True)
    assert len(training.trace.noise) == len(lik.network.noise())
    assert set(training.trace.statistics) <= set(lik.buffers)
    assert all(buffer.ndim < 2 or len(buffer) == 1 for buffer in lik.buffers.values())


@pytest.mark.parametrize("layer", LAYERS, ids=label)
def test_derivatives_are_those_of_the_graph(layer):
    lik, theta, data = make(single(layer))
    _, gradient = lik.value_grad(theta, data)
    np.testing.assert_allclose(gradient, differences(lambda t: lik.value_grad(t, data)[0], theta), rtol=1e-6, atol=1e-6)
    J = jacobian(lik, theta, data)
    np.testing.assert_allclose(J, differences(lambda t: lik.eta(t, X)[:, 0], theta), rtol=1e-6, atol=1e-8)
    v = np.random.default_rng(5).normal(size=len(theta))
    curved = (lik.value_grad(theta + 1e-6 * v, data)[1] - lik.value_grad(theta - 1e-6 * v, data)[1]) / 2e-6
    np.testing.assert_allclose(lik.hessp(theta, data, v), curved, rtol=1e-5, atol=1e-5)
    own = [J[:, where] for name, where in lik.layout.slices.items() if name.startswith("layer1.")]
    assert all(np.abs(part).max(axis=0).min() > 0 for part in own)


@pytest.mark.parametrize("layer", LAYERS, ids=label)
def test_rows_do_not_see_one_another(layer):
    lik, theta, data = make(single(layer))
    lik.buffers.update(lik.batch_moments(theta, data))
    np.testing.assert_allclose(lik.eta(theta, X[3:7]), lik.eta(theta, X)[3:7], rtol=1e-12)


@pytest.mark.parametrize("layer", READERS, ids=label)
def test_layers_that_read_columns_say_where_they_may_stand(layer):
    name = type(layer).__name__
    with pytest.raises(ValueError, match=f"{'Select' if name == 'Periodic' else name} reads columns of X"):
        compose([layers.Dense(3), layer], 5, 1).resolve(X, NAMES)
    with pytest.raises(ValueError, match="needs dense X"):
        layer.resolve(sparse.csr_matrix(X), NAMES)
    with pytest.raises(ValueError, match=r"column 'z' is not in X; its columns are \['a', 'b'"):
        type(layer)(("z",)).resolve(X, NAMES)
    with pytest.raises(ValueError, match="column 9 is outside X, which has 5 columns"):
        type(layer)((9,)).resolve(X, NAMES)


@pytest.mark.parametrize(
    ("make_layer", "message"),
    [
        (lambda: layers.Dense(0), "units=0 must be a positive integer"),
        (lambda: layers.Dense(3, "swoosh"), "swoosh"),
        (lambda: layers.Dense(3, init="swoosh").specs(2), "init='swoosh' is not known"),
        (lambda: layers.RBF(-1), "units=-1"),
        (lambda: layers.Dropout(1.0), r"dropout=1.0 must be in \[0, 1\)"),
        (lambda: layers.Activation("softmax"), "not elementwise"),
        (lambda: layers.Parallel((layers.Dense(2),), "mean"), "combine='mean'"),
        (lambda: layers.Parallel((layers.Dense(2), layers.Dense(3)), "sum").width(4), "one width"),
        (lambda: layers.Residual((layers.Dense(2),)).specs(4), "equal widths, got 4 in and 2 out"),
        (lambda: layers.Embedding(("d",), 0), "dim=0"),
        (lambda: layers.Spline(("a",), bins=0).resolve(X, NAMES), "bins=0"),
        (lambda: layers.Spline(("a",), knots=((1.0, 0.0),)).resolve(X, NAMES), "increasing"),
        (lambda: layers.PiecewiseLinear(("a", "b"), knots=((0.0, 1.0),)).resolve(X, NAMES), "one sequence a col"),
        (lambda: from_config({"layer": "Swoosh"}), "layer 'Swoosh' is not known"),
    ],
)
def test_errors_name_the_argument(make_layer, message):
    with pytest.raises(ValueError, match=message):
        make_layer()


@pytest.mark.parametrize("layer", [layers.RBF(2), layers.BatchNorm(), layers.Residual((layers.Dense(5),))])
def test_layers_that_need_dense_rows_say_so(layer):
    with pytest.raises(ValueError, match=r"needs? dense rows"):
        make(single(layer), is_sparse=True)[0].symbols()


def test_an_abstract_layer_cannot_be_made():
    with pytest.raises(TypeError, match="abstract"):
        Layer()


# -- closed forms ---------------------------------------------------------------------------------------------


def test_ramps_span_what_np_interp_draws():
    knots = np.array([-1.0, -0.2, 0.3, 1.1])
    heights = np.array([0.5, 2.0, -1.0, 0.7])
    x = np.linspace(-2, 2, 41)[:, None]
    ramps, *_ = applied(layers.PiecewiseLinear((0,), knots=(knots,)), x)
    np.testing.assert_allclose(heights[0] + ramps @ np.diff(heights), np.interp(x[:, 0], knots, heights), atol=1e-14)


def test_splines_span_the_natural_cubic_splines():
    knots = np.array([-1.0, -0.2, 0.3, 1.1, 2.0])
    x = np.linspace(-1, 2, 61)[:, None]
    basis, *_ = applied(layers.Spline((0,), knots=(knots,)), x)
    assert basis.shape[1] == len(knots) - 1
    design = np.column_stack([np.ones(len(x)), basis])
    assert np.linalg.matrix_rank(design) == len(knots)
    for values in np.eye(len(knots)):
        target = CubicSpline(knots, values, bc_type="natural")(x[:, 0])
        fitted = design @ np.linalg.lstsq(design, target, rcond=None)[0]
        np.testing.assert_allclose(fitted, target, atol=1e-10)


def test_splines_are_linear_beyond_the_outer_knots():
    x = np.concatenate([np.linspace(-9, -2, 8), np.linspace(2, 9, 8)])[:, None]
    basis, *_ = applied(layers.Spline((0,), knots=((-2.0, -1.0, 0.5, 2.0),)), x)
    for side in (basis[:8], basis[8:]):
        np.testing.assert_allclose(np.diff(side, n=2, axis=0), 0.0, atol=1e-10)


def test_knots_where_the_data_have_ties():
    few = np.repeat([0.0, 1.0, 5.0], 10)[:, None]
    assert layers.PiecewiseLinear(bins=4).resolve(few, ["a"]).knots == ((0.0, 1.0, 5.0),)
    flat = np.full((6, 1), 3.0)
    assert layers.Spline(bins=4).resolve(flat, ["a"]).knots == ((3.0, 4.0),)
    many_zeros = np.concatenate([np.zeros(90), np.arange(1.0, 31.0)])[:, None]
    (knots,) = layers.PiecewiseLinear(bins=5).resolve(many_zeros, ["a"]).knots
    assert len(knots) == 6
    assert np.all(np.diff(knots) > 0)
    assert (knots[0], knots[-1]) == (0.0, 30.0)


@pytest.mark.parametrize("pool", [False, True])
def test_an_embedding_is_an_affine_map_of_indicators(pool):
    E = np.random.default_rng(0).normal(size=(3 + 2, 2))
    out, *_ = applied(layers.Embedding(("d", "e"), 2, pool=pool), parameters={"E": E})
    first, second = np.eye(3)[X[:, 3].astype(int)] @ E[:3], np.eye(2)[X[:, 4].astype(int)] @ E[3:]
    np.testing.assert_array_equal(out, first + second if pool else np.hstack([first, second]))


def test_unseen_levels_are_zero_vectors():
    layer = layers.Embedding((3,), 2).resolve(X, NAMES)
    lik, theta, _ = make(compose([layer], 5, 1))
    unseen = X[:3].copy()
    unseen[:, 3] = [-1.0, 3.0, 99.0]
    np.testing.assert_array_equal(lik.eta(theta, unseen), np.full((3, 1), lik.layout.views(theta)["output.b"]))


def test_maxout_is_the_larger_of_two_affine_maps():
    out, p, _ = applied(layers.Dense(3, "maxout"))
    np.testing.assert_allclose(out, np.maximum(X @ p["W"] + p["b"], X @ p["W2"] + p["b2"]), rtol=1e-14)


def test_radial_units_are_bumps_around_their_centres():
    out, p, _ = applied(layers.RBF(3))
    expected = [
        [np.exp(-np.exp(p["log_scale"][0, k]) * np.sum((row - p["c"][0, :, k]) ** 2)) for k in range(3)] for row in X
    ]
    np.testing.assert_allclose(out, expected, rtol=1e-12)


def test_waves():
    out, p, _ = applied(layers.Periodic(("a", "b"), waves=2))
    z = np.repeat((X[:, :2] - X[:, :2].mean(0)) / X[:, :2].std(0), 2, axis=1)
    np.testing.assert_allclose(out, np.sin(2 * np.pi * z * p["frequency"] + p["phase"]), rtol=1e-10, atol=1e-12)


def test_selection_standardises():
    out, *_ = applied(layers.Select(("c", "a"), standardize=True))
    np.testing.assert_allclose(out, (X[:, [2, 0]] - X[:, [2, 0]].mean(0)) / X[:, [2, 0]].std(0), rtol=1e-12)
    constant = np.column_stack([np.full(4, 2.0), np.arange(4.0)])
    np.testing.assert_array_equal(applied(layers.Select(standardize=True), constant)[0][:, 0], 0.0)


def test_batch_normalisation_takes_moments_of_the_batch_and_then_of_the_training_set():
    p = {"scale": np.array([[1.0, 2.0, 3.0, 1.0, 1.0]]), "shift": np.array([[0.0, 1.0, 0.0, 0.0, -1.0]])}
    out, _, found = applied(layers.BatchNorm(), parameters=p, training=True)
    expected = (X - X.mean(0)) / np.sqrt(X.var(0) + 1e-5) * p["scale"] + p["shift"]
    np.testing.assert_allclose(out, expected, rtol=1e-12)
    np.testing.assert_allclose(found["mean"], X.mean(0, keepdims=True), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found["variance"], X.var(0, keepdims=True), rtol=1e-12)
    lik, theta, data = make(compose([layers.Dense(3, "tanh"), layers.BatchNorm()], 5, 1))
    lik.buffers.update(lik.batch_moments(theta, data))
    as_one_batch, _ = lik.value_grad(theta, data, noise=[])
    assert lik.value_grad(theta, data)[0] == pytest.approx(as_one_batch, rel=1e-12)


def test_dropout_keeps_the_mean_and_is_off_outside_training():
    draws = np.random.default_rng(0).random((ROWS, 5)).astype("float32")
    out, *_ = applied(simplest(layers.Dropout), training=True, noise=[draws])
    np.testing.assert_allclose(out, np.where(draws < 0.7, X / 0.7, 0.0), rtol=1e-12)
    np.testing.assert_array_equal(applied(simplest(layers.Dropout))[0], X)


def test_moments_are_taken_with_dropout_off():
    chain = [layers.Dense(3, "tanh"), layers.Dropout(0.5), layers.BatchNorm()]
    lik, theta, data = make(compose(chain, 5, 1))
    p = lik.layout.views(theta)
    hidden = np.tanh(X @ p["layer1.W"] + p["layer1.b"])
    moments = lik.batch_moments(theta, data)
    np.testing.assert_allclose(moments["layer3.mean"][0], hidden.mean(0), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(moments["layer3.variance"][0], hidden.var(0), rtol=1e-12)
