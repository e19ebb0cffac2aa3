"""The command ``reglm``: ``demo``, ``fit``, ``predict``."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module

from reglm.cli.arguments import parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; those of the process by default.

    Returns
    -------
    int
        0; 2 if the arguments or the data are no good, which one line on stderr explains; 130 if interrupted.
    """
    args = parser().parse_args(argv)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        try:
            status: int = import_module(args.module).run(args)
        except KeyboardInterrupt:
            return _fail("interrupted", 130)
        except Exception as error:  # whatever went wrong, the user of a command is owed a sentence
            if args.debug:
                raise
            return _fail(_sentence(error), 2)
        finally:
            for said in dict.fromkeys(str(warning.message) for warning in caught):
                print(f"reglm: warning: {_line(said)}", file=sys.stderr)
    return status


def _fail(message: str, status: int) -> int:
    print(f"reglm: error: {message}", file=sys.stderr)
    return status


def _sentence(error: Exception) -> str:
    """One line about an error."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}"
    kind = "" if isinstance(error, ValueError | OSError | ImportError) else f"{type(error).__name__}: "
    return _line(f"{kind}{error}")


def _line(text: str) -> str:
    return " ".join(text.split())
