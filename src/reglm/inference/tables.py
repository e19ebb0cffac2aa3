"""Summaries as text, HTML and data frame."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from reglm.inference import latex

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 78


@dataclass(frozen=True, repr=False)
class Summary:
    """A printable summary.

    Parameters
    ----------
    title : str
    left, right : list of (str, str)
        Name and value; the two columns above the table.
    table : DataFrame
        Coefficients with standard errors, statistics and intervals; coefficients alone without.
    notes : list of str
    """

    title: str
    left: list[tuple[str, str]]
    right: list[tuple[str, str]]
    table: pd.DataFrame
    notes: list[str]

    def as_frame(self) -> pd.DataFrame:
        """Table of coefficients, unrounded."""
        return self.table.copy()

    def as_text(self) -> str:
        """Plain text, 78 characters wide unless names are long."""
        body = self._body()
        width = max(WIDTH, len(body[0]) if body else 0)
        pairs = [_pair(*a, (width - 2) // 2) + "  " + _pair(*b, width - 2 - (width - 2) // 2) for a, b in self._pairs()]
        lines = [self.title.center(width).rstrip(), "=" * width, *pairs, "=" * width]
        if body:
            lines += [body[0], "-" * width, *body[1:], "=" * width]
        return "\n".join([*lines, *self._wrapped(width)])

    def as_html(self) -> str:
        """HTML tables and notes; names are escaped."""
        pairs = "".join(
            "<tr>" + "".join(f"<th>{escape(name)}</th><td>{escape(value)}</td>" for name, value in pair) + "</tr>"
            for pair in self._pairs()
        )
        top = f"<table class='reglm-summary'><caption>{escape(self.title)}</caption>{pairs}</table>"
        return (
            top + self._html_table() + "".join(f"<p>[{i}] {escape(note)}</p>" for i, note in enumerate(self.notes, 1))
        )

    def as_latex(self) -> str:
        """LaTeX, with the rules of booktabs; names are escaped."""
        top = latex.tabular([], [[*a, *b] for a, b in self._pairs()], "lrlr")
        body = [latex.tabular(["", *map(str, self.table.columns)], self._cells())] if len(self.table) else []
        return latex.table(self.title, [top, *body], self.notes)

    def _pairs(self) -> list[tuple[tuple[str, str], tuple[str, str]]]:
        length = max(len(self.left), len(self.right))
        columns = [[*column, *[("", "")] * (length - len(column))] for column in (self.left, self.right)]
        return list(zip(*columns, strict=True))

    def _cells(self) -> list[list[str]]:
        return [
            [str(label), *(cell(name, value) for name, value in zip(self.table.columns, row, strict=True))]
            for label, row in zip(self.table.index, self.table.to_numpy(), strict=True)
        ]

    def _body(self) -> list[str]:
        """Head and rows of the table, aligned; empty without rows."""
        if not len(self.table):
            return []
        cells = [["", *map(str, self.table.columns)], *self._cells()]
        label, *widths = (max(len(row[j]) for row in cells) for j in range(len(cells[0])))
        if label + sum(max(w, 10) + 1 for w in widths) <= WIDTH:
            widths = [max(w, 10) for w in widths]
        label = max(label, WIDTH - sum(widths) - len(widths))
        return [
            " ".join([row[0].ljust(label), *(c.rjust(w) for c, w in zip(row[1:], widths, strict=True))])
            for row in cells
        ]

    def _html_table(self) -> str:
        if not len(self.table):
            return ""
        head = "".join(f"<th>{escape(str(column))}</th>" for column in self.table.columns)
        rows = (
            f"<tr><th>{escape(c[0])}</th>" + "".join(f"<td>{v}</td>" for v in c[1:]) + "</tr>" for c in self._cells()
        )
        return f"<table class='reglm-summary'><tr><th></th>{head}</tr>{''.join(rows)}</table>"

    def _wrapped(self, width: int) -> list[str]:
        lines = (
            textwrap.wrap(f"[{i}] {note}", width, subsequent_indent="    ") for i, note in enumerate(self.notes, 1)
        )
        found = [line for wrapped in lines for line in wrapped]
        return ["", "Notes:", *found] if found else []

    def _repr_html_(self) -> str:
        return self.as_html()

    def __str__(self) -> str:
        return self.as_text()

    __repr__ = __str__


def cell(column: str, value: float) -> str:
    """Return one number of the table as statsmodels prints it."""
    if value != value:
        return "nan"
    if column.startswith("P>"):
        return f"{value:.3f}"
    digits = 4 if column == "coef" else 3
    plain = value == 0 or 1e-4 <= abs(value) < 1e5
    return f"{value:.{digits}f}" if plain else f"{value:.{digits}g}"


def number(value: float) -> str:
    """Return a number of the header: integers in full, others to six significant digits."""
    whole = abs(value) < 1e15 and value == round(value)
    return f"{value:.0f}" if whole else f"{value:#.6g}".rstrip(".")


def _pair(name: str, value: str, width: int) -> str:
    text = f"{name}:" if name else ""
    return text + " " * max(width - len(text) - len(value), 1) + value


def stacked(pairs: Sequence[tuple[str, str | None]]) -> list[tuple[str, str]]:
    """Pairs whose value is known."""
    return [(name, value) for name, value in pairs if value is not None]
