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


def add_parser(commands: Any) -> None:
    """Add the command to the subparsers of ``reglm``."""
    parser = commands.add_parser(
        "fit", help="fit a GLM or network to a table", description="Fit a GLM or a network to a table.",
        epilog="Example: reglm fit claims.csv 'claims ~ age + C(region) + exposure(years)' --family poisson "
        "--hidden 16,8 --alpha 1 --save claims.reglm --output claims.html",
    )  # fmt: skip
    add = parser.add_argument
    add("data", help="CSV or parquet file")
    add("formula", help="'y ~ a + C(b)'; offset(...) and exposure(...) may be terms of it")
    add("--family", default="gaussian", help="response distribution (default: gaussian)")
    add("--link", help="response link (default: the family's)")
    add("--hidden", type=widths, default=(), metavar="16,8", help="hidden layers (default: none, a GLM)")
    add("--activation", default="tanh", help="inverse link of the hidden layers (default: tanh)")
    add("--skip", action="store_true", help="add the linear predictor of the inputs to the network")
    add("--offset", metavar="COLUMN", help="column added to the linear predictor")
    add("--exposure", metavar="COLUMN", help="column that multiplies the mean")
    add("--alpha", type=float, default=0.0, help="L2 penalty (default: 0)")
    add("--solver", default="auto", help="solver (default: auto)")
    add("--restarts", type=int, default=1, metavar="N", help="random starts (default: 1)")
    add("--seed", type=int, default=0, help="seed of the random numbers (default: 0)")
    add("--sep", default=",", help="separator of a CSV file (default: comma)")
    add("--save", metavar="PATH", help="file for the model; 'reglm predict' and reglm.load read it")
    add("--output", metavar="PATH", help="file for an HTML report with figures")
    parser.set_defaults(run=run)


def widths(text: str) -> tuple[int, ...]:
    """Read ``"16,8"``; an empty text or 0 means no hidden layer."""
    try:
        found = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        found = (-1,)
    if min(found, default=0) < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of widths like 16,8")
    return tuple(k for k in found if k)


def run(args: argparse.Namespace) -> int:
    """Fit, print the summary, write what was asked for."""
    frame = read(args.data, args.sep)
    model = estimator(args).fit(frame)
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
