"""First-order update rules, each a pair (init, step) acting in place.

``init(theta)`` returns the state; ``step(state, theta, gradient, learning_rate, l1)`` moves `theta`. With L1
penalties (on the scale of `gradient`) each step ends in the proximal operator *in the metric of the rule*, so
that its fixed points are the minima of the penalised objective, with exact zeros.

The vectors are walked in blocks that stay in the cache, so that a step reads memory once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from reglm.optimize.problem import Array, soft_threshold

BLOCK = 32768
KERNEL_PAYS = 30_000_000  # parameter updates, after which loading the compiled kernel pays


@dataclass
class State:
    """Memory of a rule.

    Attributes
    ----------
    vectors : tuple of (P,) arrays
        Velocity or moment accumulators.
    scratch : (min(P, BLOCK),) array
        Work space.
    count : int
        Steps taken.
    """

    vectors: tuple[Array, ...]
    scratch: Array
    count: int = 0


Step = Callable[[State, Array, Array, float, "Array | None"], None]


@dataclass(frozen=True)
class Rule:
    """A first-order update rule.

    Attributes
    ----------
    name : str
        Name in the registry.
    step : callable
        ``(state, theta, gradient, learning_rate, l1) -> None``, in place.
    n_vectors : int
        Accumulators of the size of theta.
    learning_rate : float
        Default per-step rate.
    """

    name: str
    step: Step = field(repr=False)
    n_vectors: int
    learning_rate: float

    def init(self, theta: Array) -> State:
        """Return the state at the start, for `theta` (P,)."""
        vectors = tuple(np.zeros_like(theta) for _ in range(self.n_vectors))
        return State(vectors, np.empty(min(theta.size, BLOCK), theta.dtype))


def blocks(state: State, *vectors: Array) -> Iterator[tuple[Array, ...]]:
    """Yield the scratch array and the views of all `vectors`, block by block."""
    size = vectors[0].size
    for start in range(0, size, BLOCK):
        stop = min(start + BLOCK, size)
        yield (state.scratch[: stop - start], *(vector[start:stop] for vector in vectors))


def shrink(theta: Array, rate: Array | float, l1: Array | None) -> None:
    """Proximal step of the L1 penalty in the metric of `rate`, in place."""
    if l1 is not None:
        soft_threshold(theta, rate * l1)


def sgd() -> Rule:
    """Gradient descent: ``theta -= rate * g`` (Robbins & Monro 1951 when g is that of a batch)."""

    def step(state: State, theta: Array, gradient: Array, rate: float, l1: Array | None) -> None:
        for work, x, g in blocks(state, theta, gradient):
            np.multiply(g, rate, out=work)
            x -= work
        shrink(theta, rate, l1)

    return Rule("sgd", step, 0, 0.01)


def momentum(decay: float = 0.9) -> Rule:
    """Heavy ball (Polyak 1964): ``v = decay * v - rate * g; theta += v``."""

    def step(state: State, theta: Array, gradient: Array, rate: float, l1: Array | None) -> None:
        velocity = state.vectors[0]
        for work, x, g, v in blocks(state, theta, gradient, velocity):
            np.multiply(g, rate, out=work)
            v *= decay
            v -= work
            x += v
        if l1 is not None:
            # The velocity is the distance moved, the shrinkage included (proximal heavy ball).
            velocity -= theta
            shrink(theta, rate, l1)
            velocity += theta

    return Rule("momentum", step, 1, 0.01)


def nesterov(decay: float = 0.9) -> Rule:
    """Nesterov's (1983) look-ahead momentum, theta being the look-ahead point (Sutskever et al. 2013)."""

    def step(state: State, theta: Array, gradient: Array, rate: float, l1: Array | None) -> None:
        velocity = state.vectors[0]
        if l1 is not None:
            moved = theta - rate * gradient
            shrink(moved, rate, l1)
            velocity *= decay
            velocity += moved - theta
            np.add(moved, decay * velocity, out=theta)
            return
        for work, x, g, v in blocks(state, theta, gradient, velocity):
            np.multiply(g, rate, out=work)
            v *= decay
            v -= work
            x -= work
            np.multiply(v, decay, out=work)
            x += work

    return Rule("nesterov", step, 1, 0.01)


def adagrad(epsilon: float = 1e-8) -> Rule:
    """AdaGrad (Duchi, Hazan & Singer 2011): rates fall with the root of the summed squared gradients."""

    def step(state: State, theta: Array, gradient: Array, rate: float, l1: Array | None) -> None:
        for work, x, g, s in blocks(state, theta, gradient, state.vectors[0]):
            np.multiply(g, g, out=work)
            s += work
            np.sqrt(s, out=work)
            work += epsilon
            np.divide(g, work, out=work)
            work *= rate
            x -= work
        if l1 is not None:
            shrink(theta, rate / (np.sqrt(state.vectors[0]) + epsilon), l1)

    return Rule("adagrad", step, 1, 0.05)


def adadelta(decay: float = 0.95, epsilon: float = 1e-6) -> Rule:
    """AdaDelta (Zeiler 2012): steps in the ratio of past step lengths to past gradients."""

    def step(state: State, theta: Array, gradient: Array, rate: float, l1: Array | None) -> None:
        squares, moves = state.vectors
        squares *= decay
        squares += (1 - decay) * gradient * gradient
        rates = rate * np.sqrt((moves + epsilon) / (squares + epsilon))
        before = theta.copy()
        theta -= rates * gradient
        shrink(theta, rates, l1)
        before -= theta
        moves *= decay
        moves += (1 - decay) / rate**2 * before * before

    return Rule("adadelta", step, 2, 1.0)


def adam(beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> Rule:
    """Adam (Kingma & Ba 2015).

    The accumulators hold ``m / (1 - beta1)`` and ``v / (1 - beta2)``, and the bias corrections are folded
    into two scalars, which saves a third of the passes. A compiled kernel with the same bits takes over once
    enough has been updated.
    """

    def step(state: State, theta: Array, gradient: Array, rate: float, l1: Array | None) -> None:
        state.count += 1
        to_second = math.sqrt((1 - beta2) / (1 - beta2**state.count))
        scaled = rate * (1 - beta1) / (1 - beta1**state.count) / to_second
        small = epsilon / to_second
        compiled = state.count * theta.size > KERNEL_PAYS
        (adam_compiled if compiled else adam_blocks)(state, theta, gradient, (beta1, beta2, small, scaled))
        if l1 is not None:
            shrink(theta, rate / (to_second * (np.sqrt(state.vectors[1]) + small)), l1)

    return Rule("adam", step, 2, 1e-3)


def adam_blocks(state: State, theta: Array, gradient: Array, scalars: tuple[float, float, float, float]) -> None:
    """Adam's update by NumPy, block by block."""
    beta1, beta2, small, scaled = scalars
    for work, x, g, m, v in blocks(state, theta, gradient, *state.vectors):
        m *= beta1
        m += g
        np.multiply(g, g, out=work)
        v *= beta2
        v += work
        np.sqrt(v, out=work)
        work += small
        np.divide(m, work, out=work)
        work *= scaled
        x -= work


def adam_compiled(state: State, theta: Array, gradient: Array, scalars: tuple[float, float, float, float]) -> None:
    """The same update in one compiled pass; the same operations in the same order, hence the same bits."""
    from reglm.optimize.kernels import adam_update

    adam_update(theta, gradient, *state.vectors, *map(theta.dtype.type, scalars))


RULES: dict[str, Callable[..., Rule]] = {
    "sgd": sgd, "momentum": momentum, "nesterov": nesterov,
    "adagrad": adagrad, "adadelta": adadelta, "adam": adam,
}  # fmt: skip


def clip_by_norm(gradient: Array, limit: float) -> Array:
    """Scale `gradient` (P,) down to Euclidean norm `limit` if it is longer (Pascanu et al. 2013).

    Parameters
    ----------
    gradient : (P,) array
        Left unchanged.
    limit : float
        Largest norm allowed.

    Returns
    -------
    (P,) array
    """
    norm = math.sqrt(float(gradient @ gradient))
    return gradient if norm <= limit else gradient * gradient.dtype.type(limit / norm)


def clipped(gradient: Array, norm: float | None, size: float | None) -> Array:
    """Bound the entries of a gradient (P,) by `size`, then its Euclidean norm; None leaves them alone."""
    if size is not None:
        gradient = np.clip(gradient, -gradient.dtype.type(size), gradient.dtype.type(size))
    return gradient if norm is None else clip_by_norm(gradient, norm)
