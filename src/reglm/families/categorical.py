"""Families of classes: multinomial (unordered) and ordinal (ordered, cumulative link)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytensor.tensor as pt

from reglm import ops
from reglm.families.base import Family, Number
from reglm.families.mean import Mean
from reglm.links.record import NON_NEGATIVE, UNIT, Binary, Unary, Variable
from reglm.ops.choose import choose
from reglm.ops.gamma import log_gamma
from reglm.ops.logsumexp import log_sum_exp
from reglm.parameters import Array, Spec, constant


@dataclass(frozen=True)
class Multinomial(Family):
    """One of K classes, or counts of them: y (n, K) is one-hot or counts, eta (n, K - 1).

    The first class is the reference: its linear predictor is 0.
    """

    name = "multinomial"
    domain = UNIT
    support = NON_NEGATIVE
    links = ("softmax",)
    default_link = "softmax"
    canonical_link = "softmax"
    remedy = "Give one column a class, holding 0 and 1 or counts."

    def kernel(self, y: Variable, mean: Mean) -> Variable:
        """``sum_k y_k eta_k - size log(1 + sum_k e^eta_k)``, (n, 1)."""
        linear = (y[:, 1:] * mean.eta).sum(axis=1, keepdims=True)
        return linear - self.size(y) * log_sum_exp(mean.eta)

    def base(self, y: Variable, phi: Variable) -> Variable:
        """Logarithm of the multinomial coefficient, (n, 1)."""
        return log_gamma(self.size(y) + 1) - log_gamma(y + 1).sum(axis=1, keepdims=True)

    def saturated(self, y: Variable) -> Variable:
        """``sum_k y_k log(y_k / size)``, (n, 1)."""
        return (y * Mean.at(self.observed(y)).log).sum(axis=1, keepdims=True)

    def information(self, y: Variable, mean: Mean) -> Variable:
        """``size (diag(p) - p p')``, (n, K - 1, K - 1)."""
        p = ops.exp(mean.eta - log_sum_exp(mean.eta))
        identity = pt.eye(p.shape[1], dtype=p.dtype)
        return self.size(y)[:, :, None] * p[:, :, None] * (identity - p[:, None, :])

    def curvature(self, y: Variable, mean: Mean) -> Variable:
        """Equal to `information`: the link is canonical."""
        return self.information(y, mean)

    def variance(self, mu: Variable) -> Variable:
        """``p (1 - p)`` for each class."""
        return mu * (1 - mu)

    def location(self, mean: Mean) -> Variable:
        """Class probabilities, (n, K)."""
        log_first = -log_sum_exp(mean.eta)
        return ops.exp(pt.concatenate([log_first, mean.eta + log_first], axis=1))

    def simulate(self, rng: np.random.Generator, mu: Array, phi: Number = 1.0, size: Number = 1) -> Array:
        """Draw counts (n, K); `mu` holds class probabilities."""
        trials = np.broadcast_to(np.asarray(size, dtype=int).reshape(-1), len(mu))
        return rng.multinomial(trials, mu / mu.sum(axis=1, keepdims=True)).astype(float)

    def outputs(self, y: Array) -> int:
        """One less than the number of classes."""
        return y.shape[1] - 1

    def observed(self, y: Variable) -> Variable:
        """Shares of the classes, (n, K)."""
        return y / self.size(y)

    def size(self, y: Variable) -> Variable:
        """Trials, (n, 1): 1 for one-hot rows."""
        return y.sum(axis=1, keepdims=True)

    def start(self, y: Array) -> Array:
        """Shares (n, K) with one trial spread over the classes added."""
        return (y + 1 / y.shape[1]) / (self.size(y) + 1)

    def check_response(self, y: Array) -> None:
        """Accept at least two columns of counts, with at least one trial a row."""
        if y.shape[1] < 2:
            raise ValueError(f"y has {y.shape[1]} column: family {self.name!r} needs two or more. {self.remedy}")
        self.reject(~(np.isfinite(y) & (y >= 0)), y, "counts from 0 upwards")
        self.reject((y.sum(axis=1) == 0)[:, None], y, "at least one trial a row")


def _distribution_function(mean: Mean) -> tuple[Unary, Unary, Binary]:
    """Logarithms of F, of 1 - F and of differences of F, where F is the inverse link."""
    F = mean.link
    if F.log_inverse is None or F.log1m_inverse is None or F.log_between is None:
        raise ValueError(f"link={F.name!r} does not suit family 'ordinal'; choose one of {', '.join(Ordinal.links)}.")
    return F.log_inverse, F.log1m_inverse, F.log_between


def _gaps_below(y: Variable, gaps: Variable, k: int) -> Variable:
    """Indicator (K, K - 2) of the gaps that lie below the upper (k = 0) or lower (k = 1) cutpoint of a class."""
    classes, gap = pt.arange(y.shape[1]), pt.arange(gaps.shape[0])
    return pt.cast(pt.gt(classes[:, None], gap[None, :] + k), y.dtype)


@dataclass(frozen=True)
class Ordinal(Family):
    """One of K ordered classes: ``P(y <= j) = F(c_j - eta)`` (McCullagh 1980); one-hot y (n, K), eta (n, 1).

    F is the inverse link. The cutpoints c are shape parameters: ``first_cut``, and ``log_gaps``, the
    logarithms of the distances between neighbours. They hold the level, so eta has no intercept.
    """

    name = "ordinal"
    domain = UNIT
    support = NON_NEGATIVE
    links = ("logit", "probit", "cloglog", "loglog", "cauchit")
    default_link = "logit"
    remedy = "Give one column a class, in order, with a single 1 in each row."
    intercept = False

    def kernel(self, y: Variable, mean: Mean, first_cut: Variable, log_gaps: Variable | None = None) -> Variable:
        """``log(F(c_j - eta) - F(c_(j-1) - eta))`` for the class j of each row, (n, 1)."""
        lowest, highest = pt.gt(y[:, :1], 0), pt.gt(y[:, -1:], 0)
        if log_gaps is None:
            a = b = first_cut - mean.eta
        else:
            gaps = ops.exp(log_gaps).dimshuffle(0, "x")
            lower, upper = (ops.affine(y, ops.affine(_gaps_below(y, gaps, k), gaps)) for k in (1, 0))
            a, b = lower + first_cut - mean.eta, upper + first_cut - mean.eta
        log_below, log_above, log_between = _distribution_function(mean)
        between = log_between(choose(lowest, b - 1, a), choose(highest, a + 1, b))
        inner = choose(highest, log_above(a), between)
        return choose(lowest, log_below(b), inner)

    def base(self, y: Variable, phi: Variable) -> Variable:
        """Zero."""
        return pt.zeros_like(y[:, :1])

    def saturated(self, y: Variable, **shape: Any) -> Variable:
        """Zero: the observed class is certain."""
        return pt.zeros_like(y[:, :1])

    def information(self, y: Variable, mean: Mean, **shape: Any) -> None:
        """Return None: cutpoints and eta are estimated together, from the observed information."""

    def variance(self, mu: Variable, **shape: Any) -> Variable:
        """``p (1 - p)`` for each class."""
        return mu * (1 - mu)

    def location(self, mean: Mean, first_cut: Variable, log_gaps: Variable | None = None) -> Variable:
        """Class probabilities, (n, K)."""
        cuts = first_cut.dimshuffle("x", "x")
        if log_gaps is not None:
            cuts = pt.concatenate([cuts, first_cut + pt.cumsum(ops.exp(log_gaps)).dimshuffle("x", 0)], axis=1)
        eta = cuts - pt.specify_broadcastable(mean.eta, 1)
        log_below, log_above, log_between = _distribution_function(mean)
        ends = ops.exp(log_below(eta[:, :1])), ops.exp(log_above(eta[:, -1:]))
        if log_gaps is None:
            return pt.concatenate(ends, axis=1)
        inner = ops.exp(log_between(eta[:, :-1], eta[:, 1:]))
        return pt.concatenate([ends[0], inner, ends[1]], axis=1)

    def simulate(
        self, rng: np.random.Generator, mu: Array, phi: Number = 1.0, size: Number = 1, **shape: Array
    ) -> Array:
        """Draw one-hot rows (n, K); `mu` holds class probabilities."""
        return rng.multinomial(1, mu / mu.sum(axis=1, keepdims=True)).astype(float)

    def outputs(self, y: Array) -> int:
        """One."""
        return 1

    def start(self, y: Array) -> Array:
        """Shares of the classes among all rows, (n, K)."""
        return np.broadcast_to((y.sum(axis=0) + 0.5) / (len(y) + 0.5 * y.shape[1]), y.shape)

    def specs(self, y: Array) -> tuple[Spec, ...]:
        """Cutpoints, started at the logits of the cumulative shares."""
        below = np.cumsum(self.start(y)[0])[:-1]
        cuts = np.log(below / (1 - below))
        first = Spec("first_cut", (), constant(cuts[0]))
        if len(cuts) == 1:
            return (first,)
        return first, Spec("log_gaps", (len(cuts) - 1,), constant(np.log(np.diff(cuts))))

    def natural(self, **shape: Array) -> dict[str, Array]:
        """``cutpoints`` (K - 1,)."""
        steps = np.exp(shape.get("log_gaps", np.empty(0)))
        return {"cutpoints": np.concatenate([[shape["first_cut"]], shape["first_cut"] + np.cumsum(steps)])}

    def check_response(self, y: Array) -> None:
        """Accept one-hot rows over at least two classes."""
        if y.shape[1] < 2:
            raise ValueError(f"y has {y.shape[1]} column: family {self.name!r} needs two or more. {self.remedy}")
        self.reject((y != 0) & (y != 1), y, "0 or 1 in each column")
        self.reject((y.sum(axis=1) != 1)[:, None], y, "exactly one class a row")
