"""Work shared by rows: results in order, BLAS held to one thread meanwhile and given back."""

import multiprocessing
import subprocess
import sys
import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from reglm.threads import allowed, controller, map_rows, single_threaded


def counts():
    return [library["num_threads"] for library in controller().info()]


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 7, 100])
def test_ranges_cover_the_rows_in_order(n, threads):
    with threadpool_limits(threads):
        ranges = list(map_rows(lambda start, stop: (start, stop), n, 10))
    assert ranges[0][0] == 0
    assert ranges[-1][1] == n
    assert [start for start, _ in ranges[1:]] == [stop for _, stop in ranges[:-1]]
    assert len(ranges) == {1: 1, 7: 1, 100: 8}[n]


def test_blas_is_held_to_one_thread_and_given_back():
    with threadpool_limits(2):
        before = counts()
        with single_threaded(), single_threaded():
            assert set(counts()) == {1}
            assert allowed() == max(before)
        assert counts() == before


def test_errors_come_out_and_threads_go_on_working():
    def fail(start, stop):
        if start:
            raise ValueError("row 50 is bad")
        return start

    with threadpool_limits(2):
        with pytest.raises(ValueError, match="row 50"):
            list(map_rows(fail, 100, 50))
        assert list(map_rows(lambda start, stop: stop, 100, 50)) == [50, 100]


def test_shares_within_shares_do_not_wait_for_one_another():
    def inner(start, stop):
        return sum(map_rows(lambda a, b: b - a, stop - start, 10))

    with threadpool_limits(2):
        assert sum(map_rows(inner, 1000, 100)) == 1000


def test_several_callers_at_once():
    found = []

    def work():
        found.append(sum(map_rows(lambda start, stop: np.arange(start, stop).sum(), 10_000, 100)))

    with threadpool_limits(2):
        callers = [threading.Thread(target=work) for _ in range(4)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    assert found == [49_995_000] * 4


FORKED = """
import os, sys
from threadpoolctl import threadpool_limits
from reglm.threads import map_rows

def total():
    with threadpool_limits(2):
        return sum(map_rows(lambda start, stop: stop - start, 1000, 100))

assert total() == 1000
child = os.fork()
if not child:
    os._exit(0 if total() == 1000 else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_a_forked_process_makes_threads_of_its_own():
    run = subprocess.run([sys.executable, "-c", FORKED], timeout=60, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
