"""Deviances of predictions, and scorers that know about offsets and exposures.

A deviance follows from the family's log-density, so every family has one. scikit-learn's own scorers call
`predict` without offset or exposure; those made here pass them on, from columns of X or by metadata routing.
"""

from reglm.metrics.deviance import d2_deviance, mean_deviance, null_mean, unit_deviance
from reglm.metrics.scorer import DevianceScorer, deviance_scorer

__all__ = ["DevianceScorer", "d2_deviance", "deviance_scorer", "mean_deviance", "null_mean", "unit_deviance"]
