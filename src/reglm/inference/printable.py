"""A table with a title and notes, as text, HTML, data frame and LaTeX."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from reglm.inference import latex
from reglm.inference.test_result import p_text

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 78


@dataclass(frozen=True, repr=False)
class Table:
    """A printable table.

    Parameters
    ----------
    title : str
    frame : DataFrame
        Numbers and words; missing values print as blanks, columns that begin with ``P>`` as p-values.
    notes : tuple of str
        What the reader has to know.
    """

    title: str
    frame: pd.DataFrame
    notes: tuple[str, ...] = ()

    def as_frame(self) -> pd.DataFrame:
        """The numbers, unrounded."""
        return self.frame.copy()

    def as_text(self) -> str:
        """Plain text, as wide as the table needs."""
        head, rows = self._cells()
        widths = [max(len(row[j]) for row in [head, *rows]) for j in range(len(head))]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
            for row in [head, *rows]
        ]
        width = max(len(lines[0]), len(self.title))
        notes = [
            line
            for i, note in enumerate(self.notes, 1)
            for line in textwrap.wrap(f"[{i}] {note}", max(width, WIDTH), subsequent_indent="    ")
        ]
        return "\n".join([self.title, "=" * width, lines[0], "-" * width, *lines[1:], "=" * width, *notes])

    def as_html(self) -> str:
        """HTML table and notes; names are escaped."""
        head, rows = self._cells()
        top = "".join(f"<th>{escape(name)}</th>" for name in head)
        body = "".join(
            f"<tr><th>{escape(row[0])}</th>" + "".join(f"<td>{escape(c)}</td>" for c in row[1:]) + "</tr>"
            for row in rows
        )
        notes = "".join(f"<p>[{i}] {escape(note)}</p>" for i, note in enumerate(self.notes, 1))
        caption = f"<caption>{escape(self.title)}</caption>"
        return f"<table class='reglm-table'>{caption}<tr>{top}</tr>{body}</table>{notes}"

    def as_latex(self) -> str:
        """LaTeX, with the rules of booktabs; names are escaped."""
        return latex.table(self.title, [latex.tabular(*self._cells())], self.notes)

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        """Head and rows as text, the labels first."""
        columns = list(map(str, self.frame.columns))
        rows = [
            [str(label), *(text(name, value) for name, value in zip(columns, row, strict=True))]
            for label, row in zip(self.frame.index, self.frame.itertuples(index=False), strict=True)
        ]
        return ["", *columns], rows

    def _repr_html_(self) -> str:
        return self.as_html()

    def __str__(self) -> str:
        return self.as_text()

    __repr__ = __str__


def text(column: str, value: Any) -> str:
    """Return an entry of a table: six significant digits, blank if missing."""
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        return ", ".join(map(str, value))
    if value is None or value != value:
        return ""
    if column.startswith("P>"):
        return p_text(float(value))
    return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.6g}"
