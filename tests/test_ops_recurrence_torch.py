"""LSTM and GRU (reset gate after the product) against PyTorch's with the same weights."""

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode

from reglm import ops
from reglm.ops import recurrence

torch = pytest.importorskip("torch")

INPUTS, UNITS, LENGTHS = 3, 4, [7, 5, 5, 2]
SIZES = np.array([sum(length > t for length in LENGTHS) for t in range(max(LENGTHS))])
# Where torch has the gates i, f, o, z and u, r, z, and their signs: its update gate is 1 - u.
ORDER = {"lstm": (0, 1, 3, 2), "gru": (1, 0, 2)}
SIGNS = {"lstm": (1, 1, 1, 1), "gru": (-1, 1, 1)}


def theirs(kind, reverse):
    """Network in double precision, its packed h, and gradients of the sum of squares of h."""
    torch.manual_seed(3)
    layer = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[kind](INPUTS, UNITS, bidirectional=reverse).double()
    X = [torch.randn(length, INPUTS, dtype=torch.float64) for length in LENGTHS]
    packed = torch.nn.utils.rnn.pack_sequence(X)
    rows = packed.data.clone().requires_grad_()
    found = layer(torch.nn.utils.rnn.PackedSequence(rows, packed.batch_sizes))[0].data
    h = found[:, UNITS:] if reverse else found
    (h**2 * torch.arange(1, 1 + h.numel()).reshape(h.shape)).sum().backward()
    end = "_l0_reverse" if reverse else "_l0"
    named = {name.removesuffix(end): p for name, p in layer.named_parameters() if name.endswith(end)}
    return rows, h, {k: named[k] for k in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}


def turned(kind, rows):
    """Rows of a weight of torch as columns of ours."""
    parts = np.split(rows.detach().numpy() if hasattr(rows, "detach") else rows, len(ORDER[kind]))
    pieces = [sign * parts[k] for k, sign in zip(ORDER[kind], SIGNS[kind], strict=True)]
    return np.concatenate(pieces).T


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_equal_to_torch(kind, reverse):
    rows, h_torch, weights = theirs(kind, reverse)
    X, U, b, W, bias = pt.matrix(), pt.matrix(), pt.vector(), pt.matrix(), pt.matrix()
    cell = recurrence.lstm() if kind == "lstm" else recurrence.gru(reset_after=True)
    zeros = np.zeros((len(LENGTHS), UNITS))
    rest = (zeros, zeros) if kind == "lstm" else (bias, zeros)
    h = recurrence.run(cell, ops.affine(X, U, b), SIZES, W, *rest, reverse=reverse)
    scale = np.arange(1.0, 1 + h_torch.numel()).reshape(h_torch.shape)
    inputs = [X, U, b, W, *([bias] if kind == "gru" else [])]
    program = pytensor.function(
        inputs, [h, *pytensor.grad((scale * h**2).sum(), inputs)], mode=Mode(linker="py", optimizer=None)
    )
    U_, W_, b_, c_ = (turned(kind, weights[k]) for k in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    inside = slice(2 * UNITS, None)
    given = (
        [U_, b_ + c_, W_] if kind == "lstm" else [U_, np.r_[(b_ + c_)[: 2 * UNITS], b_[inside]], W_, c_[None, inside]]
    )
    values, dX, dU, db, dW, *dbias = program(rows.detach().numpy(), *given)
    np.testing.assert_allclose(values, h_torch.detach().numpy(), rtol=1e-10, atol=1e-12)
    expected = [rows.grad.numpy(), *(turned(kind, weights[k].grad) for k in ("weight_ih", "bias_ih", "weight_hh"))]
    for found, true in zip([dX, dU, db, dW], expected, strict=True):
        np.testing.assert_allclose(found, true, rtol=1e-8, atol=1e-10)
    if dbias:
        np.testing.assert_allclose(dbias[0][0], turned(kind, weights["bias_hh"].grad)[inside], rtol=1e-8, atol=1e-10)
