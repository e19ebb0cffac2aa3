"""Pictures of a fit. Each function draws on given or new matplotlib axes and returns them.

``training_curve``: how the solver went down. ``calibration``: observed against fitted means, by groups of the
fitted mean. ``partial_effect``: the fitted mean as one input varies. ``lorenz``: how well the fitted means
order the rows. A model is a fitted estimator, a pipeline that ends in one, or (where no new predictions are needed)
the record ``est.fit_``.

What takes the results ``est.inference()`` shows effects with their uncertainty: ``partial_dependence``, ``ale``,
``individual_curves``, ``interaction``, ``marginal_effects``, ``relativities``, and ``importance``.
"""

from reglm.plots.calibration import calibration, calibration_table
from reglm.plots.curves import ale, individual_curves, partial_dependence
from reglm.plots.effects import effect_table, partial_effect
from reglm.plots.forests import importance, marginal_effects, relativities
from reglm.plots.interactions import interaction
from reglm.plots.lift import gini, lorenz
from reglm.plots.training import training_curve

__all__ = [
    "ale",
    "calibration",
    "calibration_table",
    "effect_table",
    "gini",
    "importance",
    "individual_curves",
    "interaction",
    "lorenz",
    "marginal_effects",
    "partial_dependence",
    "partial_effect",
    "relativities",
    "training_curve",
]
