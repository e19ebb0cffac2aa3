"""Models side by side on data they have not seen."""

from reglm.comparison.autoregression import Autoregression
from reglm.comparison.held_out import compare
from reglm.comparison.result import Comparison

__all__ = ["Autoregression", "Comparison", "compare"]
