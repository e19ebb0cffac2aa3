"""Small networks and data, and finite differences, for the tests of the recursion and its derivatives."""

from dataclasses import MISSING, fields

import numpy as np

from reglm import families, layers
from reglm.likelihood import Data, Likelihood
from reglm.network import compose

ROWS = 20
NAMES = ["a", "b", "c", "d", "e"]
rng = np.random.default_rng(7)
X = np.column_stack([rng.normal(size=(ROWS, 3)), np.arange(ROWS) % 3, np.arange(ROWS) % 2]).astype(float)

# What to build a layer of any kind with, by the name of the constructor argument.
ARGUMENTS = {
    "units": 3,
    "rate": 0.3,
    "name": "softplus",
    "columns": ("d", "e"),
    "layers": (layers.Dense(4, "tanh"), layers.Dense(5)),
    "branches": (layers.Dense(2, "tanh"), layers.Select(("a", "c"))),
}
VARIANTS = [
    layers.Tied((layers.Dense(4, "tanh"), layers.Dense(2, "sigmoid"), layers.Dense(3))),
    layers.Corrupt("gaussian", 0.5),
    layers.Dense(3, "maxout"),
    layers.Dense(3, "relu", bias=False, init="orthogonal"),
    layers.Dense(3, "softmax"),
    layers.Embedding(("d", "e"), 2, pool=True),
    layers.Select(("b", "a"), standardize=True),
    layers.Spline(("a",), knots=((-1.0, 0.0, 0.5, 2.0),)),
    layers.PiecewiseLinear((0, 1), bins=3),
    layers.Parallel((layers.Dense(2), layers.Dense(2, "tanh", bias=False)), "sum", ("left", "right")),
    layers.Parallel((layers.Embedding(("d",), 2), layers.Spline(("a",), bins=2))),
]


def simplest(kind):
    """A layer of this kind with every required argument from the table above."""
    required = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]
    assert set(required) <= set(ARGUMENTS), f"say in ARGUMENTS what to build {kind.__name__} with"
    return kind(**{name: ARGUMENTS[name] for name in required})


LAYERS = [simplest(kind) for kind in layers.Layer.registry.values() if not kind.sequential] + VARIANTS


def label(layer):
    """Short name of a case."""
    return repr(layer)[:60]


def make(network, family="poisson", y=None, x=X, **options):
    """Likelihood, start values and data for a network, resolved on `x`."""
    family = families.get(family)
    if y is None:
        y = np.random.default_rng(1).poisson(2.0, (len(x), network.outputs())).astype(float)
    lik = Likelihood(
        network.resolve(x, NAMES[: x.shape[1]]) if isinstance(x, np.ndarray) else network,
        family,
        family.resolve_link(options.pop("link", None)),
        shape_specs=family.specs(y),
        **options,
    )
    theta = lik.layout.start(np.random.default_rng(2)) + 0.05 * np.random.default_rng(3).normal(size=lik.layout.size)
    K = lik.network.outputs()
    draw = np.random.default_rng(4)
    rows = Data(x, y, 0.1 * draw.normal(size=(len(x), K)), draw.uniform(0.5, 2.0, (len(x), 1)))
    return lik, theta, rows


def single(layer, outputs=1):
    """Network that holds one layer and a nonlinear one behind it."""
    return compose([layer, layers.Dense(2, "tanh")], X.shape[1], outputs)


def differences(f, theta, h=1e-5):
    """Central differences of f, whatever its shape, in every coordinate of theta; these come last."""
    steps = h * np.eye(len(theta))
    return np.stack([(np.asarray(f(theta + e)) - np.asarray(f(theta - e))) / (2 * h) for e in steps], axis=-1)
