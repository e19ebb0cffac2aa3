"""Keep freed arrays within the process.

The C library of Linux returns blocks above a threshold to the system when they are freed, 128 kilobytes at
first, and every page of the next array is then faulted in anew. On the temporaries of a likelihood this
costs as much as the arithmetic: the interpreter ran 1.5 to 8 times slower in our measurements, Numba up
to 1.7 times. The threshold rises to the size of the largest such block yet freed (mallopt(3), "dynamic
mmap threshold", at most 32 megabytes), so that freeing one large block settles it. The block is never
written to and occupies nothing.
"""

from __future__ import annotations

import numpy as np

LARGEST = 2**25 - 2**14


def keep_freed_memory() -> None:
    """Raise the threshold as far as it goes; elsewhere than on glibc this does nothing of note."""
    np.empty(LARGEST, np.int8)
