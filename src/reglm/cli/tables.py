"""Tables of the user's own files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

PARQUET = (".parquet", ".pq")


def read(path: str, separator: str = ",") -> pd.DataFrame:
    r"""Read a CSV file (compressed or not) or a parquet file.

    Parameters
    ----------
    path : str
    separator : str
        Between the columns of a CSV file; ``"\t"`` may be written as two characters.

    Raises
    ------
    ValueError
        If the file is not such a table, or has no rows.
    OSError
        If it cannot be opened.
    """
    import pandas as pd

    is_parquet = Path(path).suffix.lower() in PARQUET
    try:
        comma = separator.replace("\\t", "\t")
        frame = pd.read_parquet(path) if is_parquet else pd.read_csv(path, sep=comma)
    except ValueError as error:
        kind = "parquet" if is_parquet else "CSV"
        raise ValueError(f"{path} cannot be read as a {kind} file: {str(error).rstrip('.')}.") from error
    if frame.empty:
        raise ValueError(f"{path} has no rows.")
    return frame
