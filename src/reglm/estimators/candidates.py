"""The architectures a search tries, and in which order.

A plan yields batches of candidates and looks at the evaluations after each; candidates of a batch do not depend on one
another, so that they may be evaluated side by side.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any, NamedTuple

MOST_CANDIDATES = 10_000
"""Candidates of an exhaustive search from which on it is refused."""
MODES = (None, "forward", "backward", "exhaustive")

Hidden = tuple[int, ...]


class Candidate(NamedTuple):
    """An architecture: units of the hidden layers, activation (None: the estimator's own), positions of its inputs."""

    hidden: Hidden
    activation: str | None
    inputs: tuple[int, ...]

    @property
    def key(self) -> str:
        """The candidate as text."""
        return json.dumps([list(self.hidden), self.activation, list(self.inputs)])

    @property
    def size(self) -> int:
        """Hidden units and inputs, by which candidates are ordered from small to large."""
        return sum(self.hidden) + len(self.inputs)


@dataclass(frozen=True)
class Space:
    """What a search may try.

    Parameters
    ----------
    hidden : tuple of tuple of int or None
        Hidden layers to choose from; None to walk from `start`, a unit more or less at a time.
    start : tuple of int
    max_units : int
        Of each layer, on a walk.
    activations : tuple of (str or None)
    mode : str or None
        How inputs are chosen, one of `MODES`.
    columns : tuple of int
        Positions of the columns of X that may be inputs.
    """

    hidden: tuple[Hidden, ...] | None
    start: Hidden
    max_units: int
    activations: tuple[str | None, ...]
    mode: str | None
    columns: tuple[int, ...]

    def candidate(self, hidden: Hidden, activation: str | None, inputs: Iterable[int]) -> Candidate:
        """Candidate; without hidden layers the activation is the first, as it has no part in it."""
        return Candidate(hidden, activation if hidden else self.activations[0], tuple(sorted(inputs)))

    def all_hidden(self, inputs: Iterable[int]) -> list[Candidate]:
        """Candidates with every hidden size (on a walk the first) and activation."""
        sizes = (self.start,) if self.hidden is None else self.hidden
        return unique(self.candidate(h, a, inputs) for h, a in product(sizes, self.activations))

    def every(self) -> list[Candidate]:
        """Every candidate there is."""
        subsets = [s for k in range(1, len(self.columns) + 1) for s in combinations(self.columns, k)]
        return unique(c for inputs in subsets for c in self.all_hidden(inputs))

    def units(self, here: Candidate) -> list[Candidate]:
        """Neighbours with a unit more or less in a layer (of a list: the next larger and smaller ones)."""
        sizes = steps(here.hidden, self.max_units) if self.hidden is None else next_to(here.hidden, self.hidden)
        return unique(self.candidate(h, here.activation, here.inputs) for h in sizes)

    def others(self, here: Candidate) -> list[Candidate]:
        """Neighbours with another activation."""
        return unique(self.candidate(here.hidden, a, here.inputs) for a in self.activations if a != here.activation)

    def added(self, here: Candidate) -> list[Candidate]:
        """Neighbours with one input more."""
        return [here._replace(inputs=tuple(sorted({*here.inputs, j}))) for j in self.columns if j not in here.inputs]

    def dropped(self, here: Candidate) -> list[Candidate]:
        """Neighbours with one input less, as long as one is left."""
        if len(here.inputs) < 2:
            return []
        return [here._replace(inputs=tuple(i for i in here.inputs if i != j)) for j in here.inputs]

    def around(self, here: Candidate) -> list[Candidate]:
        """All neighbours."""
        inputs = [] if self.mode is None else [*self.dropped(here), *self.added(here)]
        return unique([*self.units(here), *self.others(here), *inputs])


def unique(found: Iterable[Candidate]) -> list[Candidate]:
    """Candidates in their order, each once."""
    return list(dict.fromkeys(found))


def steps(hidden: Hidden, most: int) -> list[Hidden]:
    """Hidden layers with a unit more or less in one layer; ``()`` and ``(1,)`` are neighbours."""
    if not hidden:
        return [(1,)]
    found = [(*hidden[:j], hidden[j] + d, *hidden[j + 1 :]) for j in range(len(hidden)) for d in (-1, 1)]
    inside = [h for h in found if all(1 <= units <= most for units in h)]
    return [(), *inside] if hidden == (1,) else inside


def below(one: Hidden, other: Hidden) -> bool:
    """Whether a network holds another: as many layers and nowhere more units, or no hidden layer."""
    same = len(one) == len(other) and all(a <= b for a, b in zip(one, other, strict=True))
    return one != other and (not one or same)


def next_to(hidden: Hidden, sizes: Sequence[Hidden]) -> list[Hidden]:
    """Members of a list that hold `hidden`, or are held by it, with none in between."""
    above = [h for h in sizes if below(hidden, h)]
    under = [h for h in sizes if below(h, hidden)]
    return [h for h in above if not any(below(g, h) for g in above)] + [
        h for h in under if not any(below(h, g) for g in under)
    ]


def plan(
    space: Space, done: Collection[Candidate], best: Callable[[], Candidate]
) -> Iterator[tuple[str, list[Candidate]]]:
    """Yield stages and batches of candidates.

    Units first, then inputs, then both in single steps until none is an improvement (McInerney & Burke 2022); with
    ``mode="forward"`` inputs come first.

    Parameters
    ----------
    space : Space
    done : collection of Candidate
        What has been evaluated; grows between batches.
    best : callable
        The best of these.
    """
    if space.mode == "exhaustive":
        yield from _by_size("exhaustive", space.every())
        return
    if space.mode == "forward":
        first = space.start if space.hidden is None or space.start in space.hidden else min(space.hidden, key=_small)
        yield "inputs", [space.candidate(first, space.activations[0], (j,)) for j in space.columns]
        yield from _climb("inputs", space.added, done, best)
        yield from _by_size("units", [c for c in space.all_hidden(best().inputs) if c not in done])
    else:
        yield from _by_size("units", space.all_hidden(space.columns))
    if space.hidden is None:
        yield from _climb("units", space.units, done, best)
    if space.mode == "backward":
        yield from _climb("inputs", space.dropped, done, best)
    yield from _climb("single steps", space.around, done, best)


def _climb(
    stage: str,
    moves: Callable[[Candidate], list[Candidate]],
    done: Collection[Candidate],
    best: Callable[[], Candidate],
) -> Iterator[tuple[str, list[Candidate]]]:
    """Move to the best neighbour as long as that is an improvement."""
    here = None
    while here != best():
        here = best()
        fresh = [candidate for candidate in moves(here) if candidate not in done]
        if fresh:
            yield stage, fresh


def _by_size(stage: str, candidates: Sequence[Candidate]) -> Iterator[tuple[str, list[Candidate]]]:
    """Yield batches from small to large, so that larger networks may start from smaller ones."""
    for size in sorted({c.size for c in candidates}):
        yield stage, [c for c in candidates if c.size == size]


def _small(hidden: Hidden) -> tuple[int, Hidden]:
    return sum(hidden), hidden


def hidden_list(given: Any) -> tuple[Hidden, ...] | None:
    """Hidden sizes to try, from a list whose members are integers or sequences of them.

    Raises
    ------
    ValueError
        If it is empty or holds something else.
    """
    if given is None:
        return None
    try:
        found = [(int(h),) if not isinstance(h, Iterable) else tuple(int(k) for k in h) for h in given]
        right = bool(found) and all(k >= 1 for h in found for k in h)
    except (TypeError, ValueError):
        right = False
    if not right:
        raise ValueError(
            f"hidden={given!r} must list hidden layers to try, such as [(), (1,), (2,), (4, 2)], or be None to walk "
            "from the estimator's own."
        )
    return tuple(dict.fromkeys(sorted(found, key=_small)))
