"""Every family of the registry with responses, linear predictors and shape parameters to test it at."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt

from reglm import families, links
from reglm.compiling import evaluate
from reglm.families import Mean

OPTIONS = [
    families.NegativeBinomial(alpha=0.5), families.Tweedie(power=1.6), families.StudentT(df=4.0),
    families.Beta(precision=5.0), families.Tobit(left=0.0, right=2.0), families.Tobit(left=None, right=1.0),
    families.Columns(("negative_binomial", "tweedie(1.5)")), families.Columns(("gaussian",), (2,), gaps=True),
]  # fmt: skip
ALL = [make() for make in families.REGISTRY.values()] + OPTIONS

ROWS = 12
_pattern = np.arange(ROWS)
TEMPLATES = [
    (_pattern % 2.0)[:, None],  # 0 and 1
    0.2 + (_pattern % 4)[:, None] / 6,  # inside (0, 1)
    np.eye(4)[_pattern % 4],  # one-hot
    np.stack([_pattern % 3, 3 - _pattern % 3], axis=1) + 0.0,  # successes and failures
]


def template(family):
    """A response that the family accepts."""
    for y in TEMPLATES:
        try:
            family.check_response(y)
        except ValueError:
            continue
        return y
    raise AssertionError(f"no template suits {family}; add one")


@dataclass(frozen=True, eq=False)
class Case:
    """A family under a link, with graph inputs y, eta, shape and values for them."""

    family: families.Family
    link: links.Link
    y: Any
    eta: Any
    shape: dict[str, Any]
    values: dict[Any, np.ndarray]

    @property
    def mean(self):
        return Mean(self.link, self.eta)

    @property
    def natural(self):
        """Shape parameters as arrays by name, on the unconstrained scale."""
        return {name: self.values[symbol] for name, symbol in self.shape.items()}

    def run(self, *outputs, given=None):
        with np.errstate(all="ignore"):
            return evaluate(list(outputs), self.values | (given or {}))

    def at(self, eta):
        """Values with the rows repeated for each block of linear predictors, (blocks, n, K)."""
        y = np.concatenate([self.values[self.y]] * len(eta))
        return {self.y: y, self.eta: eta.reshape(-1, eta.shape[-1])}


def bulk(family, link, outputs, rng):
    """Linear predictors whose means lie well inside the family's domain."""
    if not link.elementwise:
        return rng.uniform(-2, 2, (ROWS, outputs))
    low, high = max(family.domain.low, link.domain.low, -3.0), min(family.domain.high, link.domain.high, 4.0)
    symbol = pt.matrix("mu")
    mu = low + (high - low) * rng.uniform(0.05, 0.95, (ROWS, outputs))
    return evaluate([link.forward(symbol)], {symbol: mu})[0]


@cache
def make(family, link_name=None, dtype="float64", seed=0):
    """Build a case with responses from the template."""
    rng = np.random.default_rng(seed)
    link = family.resolve_link(link_name)
    response = template(family)
    specs = family.specs(response)
    shape = {s.name: pt.tensor(s.name, dtype=dtype, shape=(None,) * len(s.shape)) for s in specs}
    y, eta = pt.matrix("y", dtype=dtype), pt.matrix("eta", dtype=dtype)
    values = {shape[s.name]: np.asarray(s.init(rng, s.shape), dtype) for s in specs}
    at = bulk(family, link, family.outputs(response), rng)
    return Case(family, link, y, eta, shape, values | {y: response.astype(dtype), eta: at.astype(dtype)})


def names(family):
    """Admissible links, powers by one that has no name of its own."""
    return [name if name != "power" else "power(0.3)" for name in family.links]


def label(value):
    return value if isinstance(value, str) else repr(value)


def pairs():
    """Each log-density under each of its links; inherited ones and further options under the default link."""
    for family in ALL:
        own = "kernel" in vars(type(family)) and family not in OPTIONS
        yield from ((family, name) for name in (names(family) if own else [family.default_link]))


PAIRS = list(pairs())


def simulator(family):
    """The family itself, or the one with a likelihood that it extends."""
    return next(c for c in type(family).__mro__ if c.likelihood)() if not family.likelihood else family


STENCIL = (2, 1, 0, -1, -2)
STEP = 1e-3


def central(values):
    """Fourth-order central difference from values (5, ...) at x + k STEP, k in STENCIL."""
    f2, f1, _, b1, b2 = values
    return (8 * (f1 - b1) - (f2 - b2)) / (12 * STEP)


def gradient(expression, x):
    return pytensor.grad(expression.sum(), x, disconnected_inputs="ignore")


@cache
def quantities(case):
    """Expressions by name; built once."""
    f, arguments = case.family, (case.y, case.mean)
    found = {
        name: getattr(f, name)(*arguments, **case.shape)
        for name in ("kernel", "score", "curvature", "information", "log_density", "unit_deviance")
    }
    found["response"] = f.response(case.mean, **case.shape)
    return {name: expression for name, expression in found.items() if expression is not None}
