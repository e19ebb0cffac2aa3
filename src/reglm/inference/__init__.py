"""Inference from a fitted recursive GLM: covariances, results, summaries."""

from reglm.inference.covariances import covariance
from reglm.inference.results import Results, results, summary
from reglm.inference.tables import Summary

__all__ = ["Results", "Summary", "covariance", "results", "summary"]
