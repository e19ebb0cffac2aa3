"""Recurrent layers under a family: derivatives, independence of the batch, and PyTorch with the same weights."""

from dataclasses import replace

import numpy as np
import pytest

from reglm import families
from reglm.fitting.objective import Penalised
from reglm.jacobian import SequentialGaussNewton
from reglm.layers import Dense, Dropout, Last, Parallel, Recurrent, Sequential, from_config
from reglm.likelihood import Data, Likelihood
from reglm.network import Network
from reglm.statespace.packing import Packed, packing

LENGTHS = np.array([2, 4, 1, 3])
N, P, H = LENGTHS.sum(), 2, 3
FOUND = packing(LENGTHS)

CELLS = {
    "elman": Recurrent(H, "elman"),
    "irnn": Recurrent(H, "irnn", init="orthogonal"),
    "leaky": Recurrent(H, "leaky", "sigmoid"),
    "leaky given": Recurrent(H, "leaky", leak=0.3),
    "gru": Recurrent(H, "gru"),
    "gru after": Recurrent(H, "gru", reset_after=True),
    "lstm": Recurrent(H),
    "peepholes": Recurrent(H, peepholes=True),
    **{name: Recurrent(H, variant=name) for name in ("NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG", "FGR")},
    "reverse": Recurrent(H, "gru", reverse=True),
    "both": Parallel((Recurrent(H, "elman"), Recurrent(H, "elman", reverse=True))),
}


def make(*layers, family="poisson", per_sequence=False, seed=0, **options):
    """Likelihood of a stack over the sequences, parameters, and data."""
    rng = np.random.default_rng(seed)
    family = families.get(family)
    names = tuple(f"layer{i + 1}" for i in range(len(layers)))
    net = Network(Sequential((*layers, Dense(1)), (*names, "output")), P)
    lik = Likelihood(net, family, family.resolve_link(), **options)
    theta = 0.5 * lik.layout.start(rng) + 0.3 * rng.normal(size=lik.layout.size)
    m = len(LENGTHS) if per_sequence else N
    X = Packed(FOUND.pack(rng.normal(size=(N, P))), FOUND.sizes)
    y = rng.poisson(1.5, (m, 1)).astype(float)
    return lik, theta, Data(X, y, 0.1 * rng.normal(size=(m, 1)), rng.uniform(0.5, 2.0, (m, 1)))


def check_gradient(lik, theta, data, gradient):
    """Along a few directions, against differences of the objective."""
    for v in np.random.default_rng(2).normal(size=(3, len(theta))):
        up, down = (lik.value_grad(theta + e * v, data)[0] for e in (1e-5, -1e-5))
        assert gradient @ v == pytest.approx((up - down) / 2e-5, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("layer", CELLS.values(), ids=CELLS)
def test_gradient_and_hessian_products_against_differences(layer):
    lik, theta, data = make(layer)
    value, gradient = lik.value_grad(theta, data)
    check_gradient(lik, theta, data, gradient)
    v = np.random.default_rng(1).normal(size=len(theta))
    up, down = (lik.value_grad(theta + e * v, data)[1] for e in (1e-6, -1e-6))
    curved = lik.hessp(theta, data, v)
    np.testing.assert_allclose(curved, (up - down) / 2e-6, atol=1e-5 * max(1.0, np.abs(curved).max()))
    eta = lik.eta(theta, data.X, data.offset)
    assert value == pytest.approx(lik.response.objective(data.y, eta, data.weights), rel=1e-12)
    assert from_config(layer.config()).config() == layer.config()


@pytest.mark.parametrize(
    "layers", [(Recurrent(H), Recurrent(2, "gru")), (Recurrent(H), Last()), (CELLS["both"], Last())]
)
def test_one_sequence_at_a_time_adds_up_to_all(layers):
    lik, theta, data = make(*layers, per_sequence=isinstance(layers[-1], Last))
    value, gradient = lik.value_grad(theta, data)
    parts = [lik.value_grad(theta, data.rows(np.array([s]))) for s in range(len(LENGTHS))]
    assert sum(part for part, _ in parts) == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(sum(slope for _, slope in parts), gradient, rtol=1e-10, atol=1e-12)
    check_gradient(lik, theta, data, gradient)


@pytest.mark.parametrize("layers", [(Recurrent(H, "gru"),), (CELLS["both"], Last())])
def test_gauss_newton_products(layers):
    lik, theta, data = make(*layers, per_sequence=len(layers) > 1)
    rng = np.random.default_rng(0)
    v, u = rng.normal(size=len(theta)), rng.normal(size=data.y.shape)
    up, down = (lik.eta(theta + e * v, data.X, data.offset) for e in (1e-6, -1e-6))
    Jv = lik.tangent(theta, data, v)
    np.testing.assert_allclose(Jv, (up - down) / 2e-6, atol=1e-7)
    assert lik.cotangent(theta, data, u) @ v == pytest.approx((u * Jv).sum())
    W = lik.working(theta, data).information[:, 0]
    product = SequentialGaussNewton(lik, theta, data)(v)
    assert product @ v == pytest.approx((W * Jv**2).sum())


def test_rows_of_a_sequence_share_their_dropout():
    lik, theta, data = make(Recurrent(H), Dropout(0.5))
    problem = Penalised(lik, data, np.zeros(len(theta)), np.random.default_rng(0))
    (noise,) = problem._noise(data)
    assert noise.shape == (N, H)
    for s in range(len(LENGTHS)):
        assert len(np.unique(noise[data.X.sequence == s], axis=0)) == 1
    assert len(np.unique(noise, axis=0)) == len(LENGTHS)
    assert problem.batch_value_grad(theta, np.arange(2))[0] != lik.value_grad(theta, data.rows(np.arange(2)))[0]


TORCH_GATES = {"lstm": "ifzo", "gru": "ruz", "elman": "h"}


@pytest.mark.parametrize("cell", TORCH_GATES)
def test_against_torch_with_the_same_weights(cell):
    torch = pytest.importorskip("torch")
    layer = Recurrent(H, cell, reset_after=cell == "gru")
    lik, theta, data = make(layer)
    views, gates = lik.layout.views(theta), "".join(layer.kind().gates)
    module = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "elman": torch.nn.RNN}[cell](P, H, dtype=torch.float64)
    head = torch.nn.Linear(H, 1, dtype=torch.float64)

    def theirs(weights):
        """Blocks in torch's order and sign: its update gate is one minus ours."""
        blocks = dict(zip(gates, np.split(weights, len(gates), axis=-1), strict=True))
        return torch.tensor(
            np.concatenate([-blocks[g] if g == "u" else blocks[g] for g in TORCH_GATES[cell]], axis=-1).T
        )

    reset = np.zeros(len(gates) * H)
    if cell == "gru":
        reset[2 * H :] = views["layer1.c"][0]
    with torch.no_grad():
        module.weight_ih_l0.copy_(theirs(views["layer1.W"]))
        module.weight_hh_l0.copy_(theirs(views["layer1.U"]))
        module.bias_ih_l0.copy_(theirs(views["layer1.b"]))
        module.bias_hh_l0.copy_(torch.tensor(reset))
        head.weight.copy_(torch.tensor(views["output.W"].T))
        head.bias.copy_(torch.tensor(views["output.b"]))
    rows = torch.nn.utils.rnn.PackedSequence(torch.tensor(data.X.rows), torch.tensor(data.X.sizes))
    eta = head(module(rows)[0].data) + torch.tensor(data.offset)
    loss = (torch.tensor(data.weights) * (torch.exp(eta) - torch.tensor(data.y) * eta)).sum()
    loss.backward()
    value, gradient = lik.value_grad(theta, data)
    assert value == pytest.approx(loss.item(), rel=1e-10)
    ours = lik.layout.views(gradient)
    np.testing.assert_allclose(
        theirs(ours["layer1.U"]).numpy(), module.weight_hh_l0.grad.numpy(), rtol=1e-8, atol=1e-10
    )
    np.testing.assert_allclose(
        theirs(ours["layer1.W"]).numpy(), module.weight_ih_l0.grad.numpy(), rtol=1e-8, atol=1e-10
    )
    np.testing.assert_allclose(ours["output.W"].T, head.weight.grad.numpy(), rtol=1e-8)


@pytest.mark.parametrize(
    "layers", [(Recurrent(H, "elman", omega=0.7),), (Recurrent(H, omega=0.3), Recurrent(2, "gru"))]
)
def test_priced_gradients(layers):
    """The price is added to the objective, with its exact gradient, and to nothing else."""
    lik, theta, data = make(*layers)
    free, *_ = make(*(replace(layer, omega=0.0) for layer in layers))
    value, gradient = lik.value_grad(theta, data)
    check_gradient(lik, theta, data, gradient)
    twice, *_ = make(*(replace(layer, omega=2 * layer.omega) for layer in layers))
    price = value - free.value_grad(theta, data)[0]
    assert price > 0.01
    assert twice.value_grad(theta, data)[0] == pytest.approx(value + price, rel=1e-12)
    np.testing.assert_array_equal(lik.eta(theta, data.X), free.eta(theta, data.X))
    v = np.ones(len(theta))
    np.testing.assert_array_equal(lik.hessp(theta, data, v), free.hessp(theta, data, v))
