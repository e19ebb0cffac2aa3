"""Recursive GLMs as scikit-learn estimators."""

from reglm.estimators.architecture import ArchitectureSearch, select_architecture
from reglm.estimators.classifier import RecursiveGLMClassifier
from reglm.estimators.design import Design
from reglm.estimators.encode import design_from_dict, fit_design
from reglm.estimators.formula import FormulaDesign
from reglm.estimators.regressor import RecursiveGLMRegressor

__all__ = [
    "ArchitectureSearch", "Design", "FormulaDesign", "RecursiveGLMClassifier", "RecursiveGLMRegressor",
    "design_from_dict", "fit_design", "select_architecture",
]  # fmt: skip
