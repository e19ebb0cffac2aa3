"""What every hypothesis test returns."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from reglm.inference import latex

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 78


@dataclass(frozen=True, repr=False)
class TestOutcome:
    """Statistic and p-value of one test.

    Parameters
    ----------
    name : str
        What is tested, in words.
    statistic : float
    df : float or tuple of float
        Degrees of freedom of the reference distribution; numerator and denominator of an F.
    pvalue : float
    distribution : str
        ``"chi2"``, ``"F"``, ``"normal"``, ``"t"`` or ``"bootstrap"``.
    notes : tuple of str
        What the reader has to know before believing the p-value.
    """

    __test__ = False  # not a test case, whatever pytest makes of the name

    name: str
    statistic: float
    df: float | tuple[float, ...]
    pvalue: float
    distribution: str
    notes: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """Reference distribution as tables print it, ``"chi2(3)"``."""
        df = self.df if isinstance(self.df, tuple) else (self.df,)
        known = [f"{value:g}" for value in df if value == value]
        return f"{self.distribution}({', '.join(known)})" if known else self.distribution

    def as_frame(self) -> pd.DataFrame:
        """One row: statistic, df, reference and p-value."""
        import pandas as pd

        row = {"statistic": self.statistic, "df": self.df, "distribution": self.distribution, "pvalue": self.pvalue}
        return pd.DataFrame([row], index=[self.name])

    def as_latex(self) -> str:
        """LaTeX, with the rules of booktabs; the name is escaped."""
        head, row = (
            ["statistic", "reference", "p-value"],
            [f"{self.statistic:.4f}", self.reference, p_text(self.pvalue)],
        )
        return latex.table(self.name, [latex.tabular(head, [row], "rlr")], self.notes)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{column}</th>" for column in ("statistic", "reference", "p-value"))
        row = "".join(f"<td>{escape(v)}</td>" for v in (f"{self.statistic:.4f}", self.reference, p_text(self.pvalue)))
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        caption = f"<caption>{escape(self.name)}</caption>"
        return f"<table class='reglm-test'>{caption}<tr>{head}</tr><tr>{row}</tr></table>{notes}"

    def __str__(self) -> str:
        line = f"{self.name}: statistic {self.statistic:.4f}, {self.reference}, p-value {p_text(self.pvalue)}"
        notes = [part for note in self.notes for part in textwrap.wrap(note, WIDTH, initial_indent="  ",
                                                                       subsequent_indent="  ")]  # fmt: skip
        return "\n".join([line, *notes])

    __repr__ = __str__


def p_text(pvalue: float) -> str:
    """Return a p-value as text, three significant digits."""
    return f"{pvalue:.3g}" if pvalue >= 1e-4 or pvalue == 0 or pvalue != pvalue else f"{pvalue:.1e}"
