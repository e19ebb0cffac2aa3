"""The command line's grammar. It imports none of what the commands need, so that help comes at once."""

from __future__ import annotations

import argparse

import reglm

EXAMPLE = (
    "Example: reglm fit claims.csv 'claims ~ age + C(region) + exposure(years)' --family poisson "
    "--hidden 16,8 --alpha 1 --save claims.reglm --output claims.html"
)


def parser() -> argparse.ArgumentParser:
    """Return the parser; its results say in ``module`` where the command's ``run`` is."""
    top = argparse.ArgumentParser("reglm", description="Neural networks as recursive generalized linear models.")
    top.add_argument("--version", action="version", version=f"reglm {reglm.__version__}")
    top.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="compare a GLM and a network on real data, in under a minute")
    fit = commands.add_parser("fit", help="fit a GLM or network to a table", epilog=EXAMPLE)
    predict = commands.add_parser("predict", help="predict from a saved model for a new table")
    _demo(demo)
    _fit(fit)
    _predict(predict)
    return top


def widths(text: str) -> tuple[int, ...]:
    """Read ``"16,8"``; an empty text or 0 means no hidden layer."""
    try:
        found = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        found = (-1,)
    if min(found, default=0) < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of widths like 16,8")
    return tuple(k for k in found if k)


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output", default="reglm-demo.html", metavar="PATH", help="the report (default: reglm-demo.html)"
    )
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)  # a smaller sample, for tests
    parser.set_defaults(module="reglm.cli.demo")


def _fit(parser: argparse.ArgumentParser) -> None:
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
    parser.set_defaults(module="reglm.cli.fit")


def _predict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="file that 'reglm fit --save' or est.save wrote")
    parser.add_argument("data", help="CSV or parquet file with the columns of the formula")
    parser.add_argument("-o", "--output", help="CSV file to write; standard output by default")
    parser.add_argument("--sep", default=",", help="separator of a CSV file (default: comma)")
    parser.set_defaults(module="reglm.cli.predict")
