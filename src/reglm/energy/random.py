"""Uniform random numbers for compiled sweeps: xoshiro128++ in lanes (Blackman & Vigna 2021).

Each of the fixed parts that rows are shared in has a generator of its own, 16 lanes wide, so that the numbers depend
neither on the number of threads nor on who is faster, and the loop over lanes becomes vector instructions.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from reglm.parameters import Array

LANES = 16

compiled = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"}, boundscheck=False)


def streams(rng: np.random.Generator, parts: int) -> Array:
    """Return the states of independent generators.

    Parameters
    ----------
    rng : Generator
        Seeds them.
    parts : int

    Returns
    -------
    (parts, 4, LANES) array of uint32
        Advanced in place by who draws.
    """
    return rng.integers(1, 2**32, size=(parts, 4, LANES), dtype=np.uint32)


@compiled
def _bits(state: Any, out: Any) -> None:
    """Write the next 32 bits of every lane."""
    for lane in range(LANES):
        a, b, c, d = state[0, lane], state[1, lane], state[2, lane], state[3, lane]
        total = np.uint32(a + d)
        turned = np.uint32(np.uint32(total << np.uint32(7)) | np.uint32(total >> np.uint32(25)))
        out[lane] = np.uint32(turned + a)
        c, d = np.uint32(c ^ a), np.uint32(d ^ b)
        state[0, lane], state[1, lane] = np.uint32(a ^ d), np.uint32(b ^ c)
        state[2, lane] = np.uint32(c ^ np.uint32(b << np.uint32(9)))
        state[3, lane] = np.uint32(np.uint32(d << np.uint32(11)) | np.uint32(d >> np.uint32(21)))


@compiled
def fill(state: Any, u: Any) -> None:
    """Fill u, whose length is a multiple of LANES, with numbers in [0, 1): 24 bits in single precision, else 53."""
    bits, more = np.empty(LANES, np.uint32), np.empty(LANES, np.uint32)
    if u.itemsize == 4:
        for start in range(0, len(u), LANES):
            _bits(state, bits)
            for lane in range(LANES):
                u[start + lane] = np.float32(np.int32(bits[lane] >> np.uint32(8))) * np.float32(2.0**-24)
    else:
        for start in range(0, len(u), LANES):
            _bits(state, bits)
            _bits(state, more)
            for lane in range(LANES):
                high, low = np.float64(bits[lane] >> np.uint32(5)), np.float64(more[lane] >> np.uint32(6))
                u[start + lane] = (high * 67108864.0 + low) * 2.0**-53


@compiled
def buffer(width: int, like: Any) -> Any:
    """Make room for at least `width` numbers of the precision of `like`."""
    return np.empty((width + LANES - 1) // LANES * LANES, like.dtype)
