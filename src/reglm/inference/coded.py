"""Model matrices read as rows: numeric columns by their own names, factors through their 0/1 or level columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from reglm.parameters import Array
from reglm.record import Fit, Reader


@dataclass(frozen=True)
class Factor:
    """How columns of a model matrix code a categorical input.

    Parameters
    ----------
    columns : tuple of int
    levels : list
    level_of : ndarray (columns,) of int or None
        The level whose rows are 1 in a column; None for one column of level numbers.
    reference : int
        The level that is 0 in every column.
    """

    columns: tuple[int, ...]
    levels: list[Any]
    level_of: Array | None
    reference: int = 0

    def numbers(self, block: Array) -> Array:
        """Level numbers (n,) of coded rows (n, columns)."""
        if self.level_of is None:
            return block[:, 0].astype(int)
        return (block @ self.level_of + (1 - block.sum(axis=1)) * self.reference).round().astype(int)

    def block(self, numbers: Array) -> Array:
        """Coded rows (n, columns) of level numbers."""
        return numbers[:, None] if self.level_of is None else numbers[:, None] == self.level_of


def factor(name: str, levels: Sequence[Any], columns: Sequence[int], names: Sequence[str]) -> Factor | None:
    """Coding of a categorical input, read off the names of its columns; None if these do not tell it.

    Parameters
    ----------
    name : str
    levels : sequence
    columns : sequence of int
        Of the model matrix.
    names : sequence of str
        Of all its columns.
    """
    if [names[j] for j in columns] == [name]:
        return Factor(tuple(columns), list(levels), None)
    number = {f"{name}[{mark}{label(level)}]": i for i, level in enumerate(levels) for mark in ("", "T.")}
    found = [number.get(names[j]) for j in columns]
    rest = set(range(len(levels))) - set(found)
    if None in found or len(rest) != 1 or len(set(found)) < len(found):
        return None
    return Factor(tuple(columns), list(levels), np.array(found, dtype=int), rest.pop())


def label(level: Any) -> str:
    """Name of a level; that of missing values is ``missing``."""
    return "missing" if level is None else str(level)


class CodedRows:
    """Reader of model matrices.

    Parameters
    ----------
    names : sequence of str
        Of the columns; every one that no factor takes is a numeric input.
    factors : mapping of str to Factor or None
        Categorical inputs; None for those that cannot be varied in coded form.
    taken : mapping of int to str
        Columns that code categorical inputs, which they name.
    outputs : int
        Linear predictors.
    """

    def __init__(
        self, names: Sequence[str], factors: Mapping[str, Factor | None], taken: Mapping[int, str], outputs: int
    ) -> None:
        self.factors = {name: factor for name, factor in factors.items() if factor is not None}
        self.hidden = [name for name in factors if name not in self.factors]
        numeric: dict[str, tuple[int, ...]] = {name: (j,) for j, name in enumerate(names) if j not in taken}
        found = numeric | {name: factor.columns for name, factor in self.factors.items()}
        self.columns = dict(sorted(found.items(), key=lambda item: item[1]))
        self._taken = {names[j]: name for j, name in taken.items()}
        self._outputs = outputs

    def rows(self, X: Any, offset: Any = None, exposure: Any = None) -> tuple[Any, Array]:
        """Model matrix (n, p) and total offset (n, K)."""
        total = np.zeros((X.shape[0], self._outputs)) if offset is None else np.asarray(offset, dtype=float)
        total = total.reshape(X.shape[0], -1)
        return X, total if exposure is None else total + np.log(exposure)[:, None]

    def response(self, y: Any) -> Array:
        """Response (n, Ky), coded as the family says."""
        return np.asarray(y, dtype=float).reshape(len(y), -1)

    def values(self, X: Any, name: str) -> Array:
        """Values (n,) of a numeric column; level numbers of a factor."""
        block = X[:, list(self._positions(name))]
        block = np.asarray(block.toarray() if sparse.issparse(block) else block, dtype=float)
        return self.factors[name].numbers(block) if name in self.factors else block[:, 0]

    def levels(self, X: Any, name: str) -> list[Any] | None:
        """Levels of a factor; None for a numeric column."""
        return self.factors[name].levels if name in self.factors else None

    def replace(self, X: Any, name: str, values: Any) -> Any:
        """Copy of X with other values (n,), or one value, of an input."""
        positions = self._positions(name)
        if name in self.factors:
            number = {level: i for i, level in enumerate(self.factors[name].levels)}
            several = isinstance(values, np.ndarray | list)
            numbers = np.array([number[value] for value in (values if several else [values])])
            block = self.factors[name].block(numbers)
        else:
            block = np.asarray(values, dtype=float).reshape(-1, 1)
        block = np.broadcast_to(block, (X.shape[0], len(positions)))
        copy: Any = X.tolil() if sparse.issparse(X) else np.array(X)
        copy[:, list(positions)] = block
        return copy.tocsr() if sparse.issparse(X) else copy

    def _positions(self, name: str) -> tuple[int, ...]:
        hidden = name if name in self.hidden else self._taken.get(name)
        if name not in self.columns and hidden is not None:
            raise ValueError(
                f"input {hidden!r} is categorical, and the rows of the fit are kept in coded form: pass X, the data "
                f"frame{'' if hidden in self.hidden else f', or name the input {hidden!r}'}, to see its effect."
            )
        if name not in self.columns:
            raise ValueError(f"input {name!r} is not known; the inputs are {list(self.columns)[:30]}.")
        return self.columns[name]


def coded_reader(fit: Fit, reader: Reader | None) -> CodedRows:
    """Reader of the model matrix of a fit; its user's reader tells which columns code categories."""
    names = list(map(str, fit.input_names)) or [f"x{j}" for j in range(fit.likelihood.network.inputs)]
    factors: dict[str, Factor | None] = {}
    taken: dict[int, str] = {}
    known = {} if reader is None else reader.columns
    for name, columns in known.items():
        levels = None if reader is None else reader.levels(None, name)
        if levels is not None:
            factors[name] = factor(name, levels, columns, names)
            taken |= dict.fromkeys(columns, name)
    return CodedRows(names, factors, taken, fit.likelihood.network.outputs())
