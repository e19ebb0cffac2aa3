"""Work split by rows over a few threads, each with single-threaded BLAS.

BLAS threads meet at a barrier after every small product; whole row ranges per thread do not. The number of
ranges is fixed and their results are combined in order, so the bits do not depend on the number of threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

T = TypeVar("T")

PARTS = 8
THREADS_PAY = 1000
BATCH_PAYS = 100_000_000


@cache
def controller() -> ThreadpoolController:
    """Return the handle on the loaded BLAS libraries; finding them takes milliseconds, so once."""
    return ThreadpoolController().select(user_api="blas")


class _Hold:
    """How many threads each BLAS library had before it was held to one, and how many contexts hold it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.depth = 0
        self.before: list[tuple[Any, int]] = []


_held = _Hold()


def allowed() -> int:
    """Return the threads that the user allows BLAS, which are those we may run."""
    counts = [count for _, count in _held.before] if _held.depth else _counts()
    return max(counts, default=1)


def _counts() -> list[int]:
    return [library.get_num_threads() for library in controller().lib_controllers]


@contextmanager
def single_threaded() -> Iterator[None]:
    """Hold BLAS to one thread; contexts may be nested and entered from several threads."""
    with _held.lock:
        if not _held.depth:
            _held.before = [(library, library.get_num_threads()) for library in controller().lib_controllers]
            _set(1)
        _held.depth += 1
    try:
        yield
    finally:
        with _held.lock:
            _held.depth -= 1
            if not _held.depth:
                _set(None)


def _set(count: int | None) -> None:
    """Give every library `count` threads, or as many as it had."""
    for library, before in _held.before:
        if before != 1:
            library.set_num_threads(count or before)


def one_thread(size: int) -> AbstractContextManager:
    """Return a context of single-threaded BLAS for factorisations of order `size`, none where threads pay."""
    return single_threaded() if size <= THREADS_PAY else nullcontext()


def batch_threads(rows: int, parameters: int) -> AbstractContextManager:
    """Return a context of single-threaded BLAS for mini-batches whose products are too small to share."""
    return single_threaded() if rows * parameters <= BATCH_PAYS else nullcontext()


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, thread_name_prefix="reglm")


os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process has the pool but none of its threads


def map_rows(
    function: Callable[[int, int], T], n_rows: int, smallest: int, parts: int = PARTS, *, hold: bool = True
) -> Iterator[T]:
    """Apply `function` to consecutive row ranges and yield the results in order.

    Parameters
    ----------
    function : callable
        ``(start, stop) -> result``; must release the interpreter lock in its heavy parts to gain anything.
    n_rows : int
        Rows in all.
    smallest : int
        Rows below which a range is not worth a thread.
    parts : int
        Most ranges; there are a power of two.
    hold : bool
        Hold BLAS to one thread meanwhile. Where products are too small for its threads anyway, better not: each
        release wakes them, and they spin on a core for a while.

    Yields
    ------
    object
        One result per range; there is at least one range.
    """
    parts = 1 << (max(1, min(parts, n_rows // smallest)).bit_length() - 1)  # a power of two: equal shares
    edges = [n_rows * part // parts for part in range(parts + 1)]
    if parts == 1:
        yield function(0, n_rows)
        return
    with single_threaded() if hold else nullcontext():
        yield from _shared(function, edges, min(parts, allowed()))


def _shared(function: Callable[[int, int], T], edges: list[int], workers: int) -> Iterator[T]:
    """Let `workers` threads, this one among them, take the ranges in turn; yield the results in order."""
    if workers == 1 or threading.current_thread().name.startswith("reglm"):  # a worker does not wait for another
        yield from map(function, edges[:-1], edges[1:])
        return
    parts = len(edges) - 1
    shares = [range(parts * w // workers, parts * (w + 1) // workers) for w in range(workers)]

    def run(share: range) -> list[T]:
        return [function(edges[part], edges[part + 1]) for part in share]

    others = [_pool(workers - 1).submit(run, share) for share in shares[1:]]
    try:
        yield from run(shares[0])
    finally:
        found = [other.result() for other in others]  # whatever happens, nobody works on after this
    for results in found:
        yield from results
