"""LaTeX source of tables, with the rules of the booktabs package."""

from __future__ import annotations

from collections.abc import Sequence

SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}",
}  # fmt: skip


def escaped(text: str) -> str:
    """Text with LaTeX's special characters made harmless."""
    return "".join(SPECIAL.get(letter, letter) for letter in text)


def tabular(head: Sequence[str], rows: Sequence[Sequence[str]], align: str | None = None) -> str:
    """Return a tabular with booktabs rules.

    Parameters
    ----------
    head : sequence of str
        Names of the columns; empty for a table without a head.
    rows : sequence of sequences of str
        Plain text; escaped here.
    align : str, optional
        Column types; the first column left and the others right by default.
    """
    width = len(head) or max((len(row) for row in rows), default=1)
    body = [_line(row) for row in rows]
    top = [_line(head), r"\midrule"] if head else []
    align = align or "l" + "r" * (width - 1)
    # a line that begins with a bracket would be read as the option of the line break before it
    return "\n".join([rf"\begin{{tabular}}{{{align}}}", r"\toprule", *top, *body, r"\bottomrule", r"\end{tabular}"])


def table(caption: str, tabulars: Sequence[str], notes: Sequence[str] = ()) -> str:
    """Floating table: caption, tabulars one below the other, notes."""
    below = [rf"\par\footnotesize {escaped(note)}" for note in notes]
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{escaped(caption)}}}", *tabulars, *below, r"\end{table}"]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    found = [escaped(cell) for cell in cells]
    return " & ".join("{" + cell + "}" if cell.startswith("[") else cell for cell in found) + r" \\"
