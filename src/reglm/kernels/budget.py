"""Whether a kernel matrix and its decomposition fit into memory."""

from __future__ import annotations

import os
import re

MATRICES = 6
"""Matrices (n, n) of doubles that are held at once at the peak: two of the kernel's, the eigenvectors', LAPACK's."""
UNITS = {"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def parse(limit: float | str | None) -> float:
    """Return a limit in bytes; the machine's memory by default.

    Parameters
    ----------
    limit : float, str or None
        Bytes, or a number with a unit: ``"4GB"``, ``"512 MiB"``.

    Raises
    ------
    ValueError
    """
    if limit is None:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) if hasattr(os, "sysconf") else 8e9
    found = re.fullmatch(r"\s*([\d.]+(?:e\d+)?)\s*([a-z]*)\s*", str(limit), re.IGNORECASE)
    unit = found[2].upper() if found else "?"
    if found is None or unit not in UNITS or float(found[1]) <= 0:
        raise ValueError(f"memory_limit={limit!r} must be a number of bytes or one with a unit, such as '4GB'.")
    return float(found[1]) * UNITS[unit]


def check(n: int, limit: float | str | None, derivatives: int = 0) -> None:
    """Refuse a problem of n rows that is over the budget.

    Parameters
    ----------
    n : int
    limit : float, str or None
        See `parse`.
    derivatives : int
        Derivatives of the kernel matrix that are held beside it.

    Raises
    ------
    ValueError
        Naming the rows that fit and what to do with more.
    """
    most, needed = parse(limit), 8.0 * (MATRICES + derivatives) * n**2
    if needed > most:
        fit = int((most / (8.0 * (MATRICES + derivatives))) ** 0.5)
        raise ValueError(
            f"a kernel between {n} rows takes {needed / 1e9:.3g} GB, memory_limit allows {most / 1e9:.3g} GB, enough "
            f"for {fit} rows. Raise memory_limit, or approximate the kernel by landmarks: approximation='nystroem'."
        )


def check_columns(columns: int, limit: float | str | None) -> None:
    """Refuse an information matrix that is over the budget.

    Parameters
    ----------
    columns : int
        Coefficients, those of all linear predictors.
    limit : float, str or None
        See `parse`.

    Raises
    ------
    ValueError
    """
    needed = 8.0 * MATRICES * columns**2
    if needed > parse(limit):
        raise ValueError(
            f"scoring with {columns} coefficients takes {needed / 1e9:.3g} GB, memory_limit allows "
            f"{parse(limit) / 1e9:.3g} GB. Raise memory_limit, or take RandomFeatures before RecursiveGLMClassifier."
        )
