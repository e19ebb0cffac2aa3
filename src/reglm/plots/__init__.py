"""Pictures of a fit. Each function draws on given or new matplotlib axes and returns them.

``training_curve``: how the solver went down. ``calibration``: observed against fitted means, by groups of the
fitted mean. ``partial_effect``: the fitted mean as one input varies. ``lorenz``: how well the fitted means
order the rows. A model is a fitted estimator, a pipeline that ends in one, or (where no new predictions are needed)
the record ``est.fit_``.
"""

from reglm.plots.calibration import calibration, calibration_table
from reglm.plots.effects import effect_table, partial_effect
from reglm.plots.lift import gini, lorenz
from reglm.plots.training import training_curve

__all__ = [
    "calibration",
    "calibration_table",
    "effect_table",
    "gini",
    "lorenz",
    "partial_effect",
    "training_curve",
]
