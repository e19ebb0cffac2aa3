"""What families share."""

from __future__ import annotations

from reglm import ops
from reglm.links.forms import like
from reglm.links.record import Variable


def positive(given: float | None, log_estimate: Variable | None, x: Variable) -> Variable:
    """Return a positive shape parameter, given as an option or estimated as a logarithm, in the dtype of `x`.

    Raises
    ------
    TypeError
        If it is neither.
    """
    if given is not None:
        return like(given, x)
    if log_estimate is None:
        raise TypeError("a shape parameter that is estimated must be passed, by its name.")
    return ops.exp(log_estimate)
