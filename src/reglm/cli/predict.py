"""``reglm predict``: a saved model's means for a new table."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

import reglm
from reglm.cli.tables import read

if TYPE_CHECKING:
    import pandas as pd


def run(args: argparse.Namespace) -> int:
    """Write the table with the predictions beside it."""
    model, frame = reglm.load(args.model), read(args.data, args.sep)
    predictions(model, frame).to_csv(args.output or sys.stdout, index=False)
    return 0


def predictions(model: Any, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table with columns ``fitted``, or ``P(class)`` for each class, added."""
    if hasattr(model, "predict_proba"):
        names = [f"P({label})" for label in model.classes_]
        values = model.predict_proba(frame)
    else:
        values = model.predict(frame)
        values = values.reshape(len(frame), -1)
        several = values.shape[1] > 1
        names = [f"fitted {name}" if several else "fitted" for name in model.fit_.output_names]
    return frame.assign(**dict(zip(names, values.T, strict=True)))
