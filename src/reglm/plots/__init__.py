"""Pictures of a fit. Each function draws on given or new matplotlib axes and returns them.

How the fit went: ``training_curve``; how a search of architectures went: ``architecture``. Fitted means against
observed ones: ``calibration`` by groups, ``reliability`` without groups, ``lift`` and ``lorenz`` for the order of the
rows, ``double_lift`` and ``murphy`` to compare two models, ``comparison`` for several on held-out rows. What the model
says: ``partial_effect``. Whether to believe it: ``residuals``, ``qq``, ``scale_location``, ``leverage``, and
``diagnose`` for the four of them.

A model is a fitted estimator, a pipeline that ends in one, or (where no new predictions are needed) the record
``est.fit_`` or the results ``est.inference()``. Pictures of means against observed ones take models of other
libraries too.

What takes the results ``est.inference()`` shows effects with their uncertainty: ``partial_dependence``, ``ale``,
``individual_curves``, ``interaction``, ``marginal_effects``, ``relativities``, and ``importance``.

Of sequence models: ``forecast`` draws the fan after the series, ``state_paths`` the states under it,
``transition_graph`` a hidden chain, ``gradient_norms`` how far back a recurrent network looks, ``rank_histogram``
whether one-step forecasts are as wide as they should be.

Of kernel regressions: ``penalty_path`` for what chose the penalty, ``kernel_matrix`` and ``spectrum`` for the kernel.

Of Boltzmann machines: ``filters`` for the weights, ``samples`` for rows, ``free_energy_gap`` for overfitting.
"""

from reglm.plots.architecture import architecture
from reglm.plots.calibration import calibration, calibration_table
from reglm.plots.comparison import comparison
from reglm.plots.curves import ale, individual_curves, partial_dependence
from reglm.plots.effects import effect_table, partial_effect
from reglm.plots.energy import filters, free_energy_gap, samples
from reglm.plots.forecasts import forecast
from reglm.plots.forests import importance, marginal_effects, relativities
from reglm.plots.influence import diagnose, leverage
from reglm.plots.interactions import interaction
from reglm.plots.kernels import kernel_matrix, penalty_path, spectrum
from reglm.plots.lift import double_lift, gini, lift, lorenz
from reglm.plots.reliability import decomposition, murphy, reliability
from reglm.plots.residuals import qq, residuals, scale_location
from reglm.plots.sequences import gradient_norms, rank_histogram, state_paths, transition_graph
from reglm.plots.training import training_curve

__all__ = [
    "ale",
    "architecture",
    "calibration",
    "calibration_table",
    "comparison",
    "decomposition",
    "diagnose",
    "double_lift",
    "effect_table",
    "filters",
    "forecast",
    "free_energy_gap",
    "gini",
    "gradient_norms",
    "importance",
    "individual_curves",
    "interaction",
    "kernel_matrix",
    "leverage",
    "lift",
    "lorenz",
    "marginal_effects",
    "murphy",
    "partial_dependence",
    "partial_effect",
    "penalty_path",
    "qq",
    "rank_histogram",
    "relativities",
    "reliability",
    "residuals",
    "samples",
    "scale_location",
    "spectrum",
    "state_paths",
    "training_curve",
    "transition_graph",
]
