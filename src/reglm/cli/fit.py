"""``reglm fit``: a formula and the user's own table."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import reglm
from reglm.cli.document import Document
from reglm.cli.figures import calibration_figure, effects_figure, training_figure
from reglm.cli.tables import read
from reglm.estimators.terms import term_columns

if TYPE_CHECKING:
    import pandas as pd

CALIBRATION = (
    "Groups of rows of about equal size, by fitted mean. Intervals (95%) say how well the rows of a group determine "
    "their mean. The model was fitted to these rows: on new ones a network with little penalty fares worse."
)
EFFECTS = (
    "Mean of the fitted values when one input has the value on the axis in all rows and the others stay as they "
    "are. Bars: where the data lie."
)
CLASSES = ("bernoulli", "multinomial", "ordinal")


def run(args: argparse.Namespace) -> int:
    """Fit, print the summary, write what was asked for."""
    frame = read(args.data, args.sep)
    model = estimator(args)
    check_response(model, frame)
    model.fit(frame)
    summary = model.summary()
    print(summary.as_text())
    if args.save:
        model.save(args.save)
        print(f"\nModel: {args.save}")
    if args.output:
        report(model, frame, summary, args.data).write(args.output)
        print(f"Report: {args.output}")
    return 0


def estimator(args: argparse.Namespace) -> Any:
    """Return the estimator that the arguments describe."""
    kind = reglm.RecursiveGLMClassifier if args.family in CLASSES else reglm.RecursiveGLMRegressor
    same = (
        "formula",
        "hidden",
        "activation",
        "family",
        "link",
        "skip",
        "offset",
        "exposure",
        "alpha",
        "solver",
    )
    options = {name: getattr(args, name) for name in same}
    return kind(**options, n_init=args.restarts, random_state=args.seed)


def check_response(model: Any, frame: pd.DataFrame) -> None:
    """Raise ValueError if the response is text and the family wants numbers."""
    from pandas.api.types import is_numeric_dtype

    name = model.formula.split("~")[0].strip()
    if model.family in CLASSES or name not in frame or is_numeric_dtype(frame[name]):
        return
    raise ValueError(
        f"the response {name!r} holds text, such as {frame[name].iloc[0]!r}, but family {model.family!r} needs "
        f"numbers; for classes use --family {' or '.join(CLASSES)}."
    )


def report(model: Any, frame: pd.DataFrame, summary: Any, source: str) -> Document:
    """Return the page about a model and its own training rows."""
    what = "A generalized linear model" if model.fit_.is_linear else "A recursive generalized linear model"
    page = Document(model.formula, f"{what} of {source}, {len(frame):,} rows.")
    models = {"model": model}
    page.heading("Summary")
    page.summary(summary)
    page.heading("Calibration")
    page.figure(calibration_figure(models), CALIBRATION, "Observed against fitted means")
    inputs = input_columns(model)
    if inputs:
        page.heading("Partial effects")
        page.figure(effects_figure(models, frame, inputs), EFFECTS, "Fitted mean against each input")
    if len(model.loss_curve_) > 1:
        page.heading("Training")
        page.figure(training_figure(models), "What the solver lowers.", "Objective by iteration")
    return page


def input_columns(model: Any, most: int = 12) -> list[str]:
    """Columns of the table that the linear predictor uses, offsets and exposures left out; at most `most`."""
    design = model.design_
    found = (name for term in design.inputs for name in term_columns(term, design.feature_names_in))
    return list(dict.fromkeys(found))[:most]
