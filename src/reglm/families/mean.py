"""The mean of a response as log-densities see it: a link applied to eta, in whichever form is stable."""

from __future__ import annotations

from functools import cached_property

import pytensor.tensor as pt

from reglm import ops
from reglm.links import Link
from reglm.links.forms import like
from reglm.links.record import Variable


def _guarded(x: Variable) -> Variable:
    """Return x where it is positive and next to nothing elsewhere, so that 0 log 0 comes out as 0."""
    return pt.switch(pt.gt(x, 0), x, like(1e-30, x))


SATURATED = Link(
    "saturated",
    inverse=lambda mu: mu,
    log_inverse=lambda mu: pt.log(_guarded(mu)),
    log1m_inverse=lambda mu: pt.log(_guarded(1 - mu)),
    power_inverse=lambda mu, k: mu**k,
    note="mu = y; a logarithm of zero stands beside a factor of zero",
)


class Mean:
    """``mu = inverse(eta)`` with its logarithms and powers.

    Parameters
    ----------
    link : Link
    eta : variable (n, K)
    """

    def __init__(self, link: Link, eta: Variable) -> None:
        self.link = link
        self.eta = eta

    @classmethod
    def at(cls, mu: Variable) -> Mean:
        """Return the mean of the saturated model, `mu` itself; zeros are allowed."""
        return cls(SATURATED, mu)

    @cached_property
    def value(self) -> Variable:
        """``mu``."""
        return self.link.inverse(self.eta)

    @cached_property
    def log(self) -> Variable:
        """``log mu``."""
        return self.link.log_inverse(self.eta) if self.link.log_inverse else pt.log(self.value)

    @cached_property
    def log1m(self) -> Variable:
        """``log(1 - mu)``."""
        return self.link.log1m_inverse(self.eta) if self.link.log1m_inverse else ops.log1p(-self.value)

    def power(self, k: float | Variable) -> Variable:
        """``mu ** k``."""
        return self.link.power_inverse(self.eta, k) if self.link.power_inverse else ops.exp(k * self.log)

    def log_mass(self, successes: Variable, failures: Variable) -> Variable:
        """``successes log mu + failures log(1 - mu)``."""
        if self.link.log_odds:
            return successes * self.link.log_odds(self.eta) + (successes + failures) * self.log1m
        return successes * self.log + failures * self.log1m
