"""Recursive GLMs as scikit-learn estimators."""

from reglm.estimators.classifier import RecursiveGLMClassifier
from reglm.estimators.design import Design
from reglm.estimators.encode import design_from_dict, fit_design
from reglm.estimators.formula import FormulaDesign
from reglm.estimators.regressor import RecursiveGLMRegressor

__all__ = [
    "Design", "FormulaDesign", "RecursiveGLMClassifier", "RecursiveGLMRegressor", "design_from_dict", "fit_design",
]  # fmt: skip
