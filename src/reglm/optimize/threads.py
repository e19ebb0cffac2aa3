"""Work split by rows over a few threads, each with single-threaded BLAS.

BLAS threads meet at a barrier after every small product; whole row ranges per thread do not. The number of
ranges is fixed and their results are combined in order, so the bits do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import TypeVar

from threadpoolctl import ThreadpoolController

T = TypeVar("T")

PARTS = 8
THREADS_PAY = 1000
BATCH_PAYS = 100_000_000


@cache
def controller() -> ThreadpoolController:
    """Return the handle on the loaded BLAS libraries; finding them takes milliseconds, so once."""
    return ThreadpoolController().select(user_api="blas")


def one_thread(size: int) -> AbstractContextManager:
    """Return a context of single-threaded BLAS for factorisations of order `size`, none where threads pay."""
    return controller().limit(limits=1) if size <= THREADS_PAY else nullcontext()


def batch_threads(rows: int, parameters: int) -> AbstractContextManager:
    """Return a context of single-threaded BLAS for mini-batches whose products are too small to share."""
    return controller().limit(limits=1) if rows * parameters <= BATCH_PAYS else nullcontext()


def map_rows(function: Callable[[int, int], T], n_rows: int, smallest: int, parts: int = PARTS) -> Iterator[T]:
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
        Most ranges.

    Yields
    ------
    object
        One result per range; there is at least one range.
    """
    parts = max(1, min(parts, n_rows // smallest))
    edges = [n_rows * part // parts for part in range(parts + 1)]
    workers = min(parts, max((library["num_threads"] for library in controller().info()), default=1))
    if parts == 1:
        yield function(0, n_rows)
        return
    with controller().limit(limits=1):
        if workers == 1:
            yield from map(function, edges[:-1], edges[1:])
            return
        with ThreadPoolExecutor(workers) as pool:
            yield from pool.map(function, edges[:-1], edges[1:])
