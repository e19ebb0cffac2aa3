"""One self-contained HTML page: text, tables and embedded figures, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import io
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import reglm

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

STYLE = """
:root { color-scheme: light; }
body { font: 17px/1.55 Charter, "Bitstream Charter", "Iowan Old Style", Georgia, serif; color: #222;
  background: #fff; max-width: 46rem; margin: 3rem auto 5rem; padding: 0 1.2rem; }
h1 { font-size: 1.9rem; line-height: 1.2; font-weight: 600; margin: 0 0 .4rem; }
h2 { font-size: 1.25rem; font-weight: 600; margin: 2.8rem 0 .6rem; }
p { margin: .6rem 0; }
.lead { color: #555; margin-bottom: 1.6rem; }
code, pre { font: 13px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
pre { background: #f6f7f9; padding: .8rem 1rem; overflow-x: auto; border-radius: 4px; }
figure { margin: 1.4rem 0; }
figure img { width: 100%; height: auto; display: block; }
figcaption { margin-top: .5rem; }
.scroll p { margin: .2rem 0; }
figcaption, .scroll p, .note { font-size: .88rem; line-height: 1.45; color: #555; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; font-size: .86rem;
  font-family: "Helvetica Neue", Arial, "Liberation Sans", sans-serif; font-variant-numeric: tabular-nums;
  border-top: 1.5px solid #222; border-bottom: 1.5px solid #222; }
caption { caption-side: top; text-align: left; font-weight: 600; padding-bottom: .4rem; }
th { text-align: left; font-weight: 400; padding: .22rem .6rem .22rem 0; }
td { text-align: right; padding: .22rem 0 .22rem .6rem; }
thead th, .reglm-summary tr:first-child th:empty ~ th { border-bottom: 1px solid #999; color: #555;
  text-align: right; padding: .22rem 0 .22rem .6rem; }
.reglm-summary td + th { padding-left: 2rem; }
tr.best td, tr.best th { font-weight: 600; }
footer { margin-top: 3.5rem; border-top: 1px solid #ddd; padding-top: .8rem; font-size: .82rem; color: #777; }
"""


class Document:
    """A page that grows from top to bottom.

    Parameters
    ----------
    title, lead : str
        Headline and the sentence under it.
    """

    def __init__(self, title: str, lead: str) -> None:
        self.title = title
        self.parts = [f"<h1>{escape(title)}</h1>", f"<p class='lead'>{escape(lead)}</p>"]

    def heading(self, text: str) -> None:
        """Begin a section."""
        self.parts.append(f"<h2>{escape(text)}</h2>")

    def text(self, text: str, kind: str = "") -> None:
        """Add a paragraph; `kind` is "" or "note"."""
        self.parts.append(f"<p class='{kind}'>{escape(text)}</p>" if kind else f"<p>{escape(text)}</p>")

    def code(self, text: str) -> None:
        """Add lines of code."""
        self.parts.append(f"<pre>{escape(text)}</pre>")

    def summary(self, summary: Any) -> None:
        """Add a model's summary."""
        self.parts.append(f"<div class='scroll'>{summary.as_html()}</div>")

    def table(self, frame: pd.DataFrame, best: str | None = None) -> None:
        """Add a table of ready-made strings; the row called `best` is set in bold."""
        head = "".join(f"<th>{escape(str(column))}</th>" for column in frame.columns)
        lines = [f"<thead><tr><th></th>{head}</tr></thead>"]
        for name, row in frame.iterrows():
            cells = "".join(f"<td>{escape(str(value))}</td>" for value in row)
            mark = " class='best'" if name == best else ""
            lines.append(f"<tr{mark}><th>{escape(str(name))}</th>{cells}</tr>")
        self.parts.append(f"<div class='scroll'><table>{''.join(lines)}</table></div>")

    def figure(self, figure: Figure, caption: str, alt: str) -> None:
        """Add a figure as an embedded drawing, and close it."""
        import matplotlib.pyplot as plt

        drawing = io.BytesIO()
        figure.savefig(drawing, format="svg", metadata={"Date": None})
        plt.close(figure)
        data = base64.b64encode(drawing.getvalue()).decode()
        image = f"<img alt='{escape(alt)}' src='data:image/svg+xml;base64,{data}'>"
        self.parts.append(f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>")

    def html(self) -> str:
        """Return the page."""
        foot = f"<footer>Written by reglm {reglm.__version__}.</footer>"
        head = (
            "<meta charset='utf-8'><meta name='viewport' content='width=device-width, initial-scale=1'>"
            f"<title>{escape(self.title)}</title><style>{STYLE}</style>"
        )
        body = "\n".join([*self.parts, foot])
        return f"<!doctype html>\n<html lang='en'><head>{head}</head><body>\n{body}\n</body></html>\n"

    def write(self, path: str) -> None:
        """Write the page to a file."""
        Path(path).write_text(self.html(), encoding="utf-8")
