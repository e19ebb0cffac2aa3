"""What files may name: estimators, records that fitted models hold, kernels.

A class joins by its name here; nothing else is imported or called because of what a file says.

* An estimator of `reglm`'s public names joins `ESTIMATORS`. Its constructor arguments and its fitted attributes are
  stored: numbers, text, arrays, CSR matrices, lists, tuples, dicts, families, links, designs, kernels, other estimators
  and `RECORDS`. A public attribute of another kind is an error when saving; a private one is left out, so the class
  makes it anew when it is needed. ``save = saving.save`` of `reglm.estimators` gives it the method.
* A dataclass, a named tuple, or a class whose constructor arguments are attributes joins `RECORDS` and is stored by
  them. With a method ``stored()`` it is stored as what that returns: a copy without training rows, say.

Then `tests/test_persistence_estimators.py` gets a case: predictions of the loaded model are those of the saved one.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

ESTIMATORS = (
    "RecursiveGLMRegressor", "RecursiveGLMClassifier", "KernelDualRegressor", "KernelDualClassifier", "NetworkKernel",
    "RandomFeatures", "RestrictedBoltzmannMachine", "Autoencoder", "DeepBeliefNetwork", "RecurrentGLM",
    "EchoStateNetwork", "HiddenMarkovModel", "LinearGaussianSSM",
)  # fmt: skip
"""Public names of classes that files may hold."""

RECORDS = {
    "Fit": "reglm.record",
    "Restart": "reglm.record",
    "Network": "reglm.network",
    "Rescaling": "reglm.network",
    "Response": "reglm.response",
    "Working": "reglm.response",
    "KernelDesign": "reglm.estimators.kernel_rows",
    "Exponential": "reglm.kernels.grams",
    "Pairwise": "reglm.kernels.grams",
    "Precomputed": "reglm.kernels.grams",
    "Process": "reglm.kernels.grams",
    "Gaussian": "reglm.kernels.blocks",
    "Projected": "reglm.kernels.projected",
    "Dual": "reglm.kernels.duals",
    "LowRank": "reglm.kernels.lowrank",
    "lowrank.Rows": "reglm.kernels.lowrank",
    "falkon.Solution": "reglm.kernels.falkon",
    "irls_dual.Solution": "reglm.kernels.irls_dual",
    "Point": "reglm.kernels.irls_problem",
    "Problem": "reglm.kernels.irls_problem",
    "Path": "reglm.kernels.irls_criteria",
    "Smoother": "reglm.kernels.irls_criteria",
    "Theta": "reglm.energy.free_energy",
    "Visible": "reglm.energy.visible",
    "Block": "reglm.energy.visible",
    "Columns": "reglm.estimators.visible_columns",
    "ResponseCoding": "reglm.estimators.recurrent_rows",
    "Readouts": "reglm.estimators.readouts",
    "Readout": "reglm.estimators.readouts",
    "Chosen": "reglm.kernels.primal",
    "Reservoir": "reglm.statespace.reservoir",
    "hidden_markov.Model": "reglm.statespace.hidden_markov",
    "hidden_markov.Parameters": "reglm.statespace.hidden_markov",
    "Transitions": "reglm.statespace.transitions",
    "DrivenTransitions": "reglm.statespace.transitions",
    "emissions.Gaussian": "reglm.statespace.emissions.gaussian",
    "emissions.Mixture": "reglm.statespace.emissions.mixture",
    "emissions.Counts": "reglm.statespace.emissions.counts",
    "emissions.Regression": "reglm.statespace.emissions.regression",
    "emissions.Product": "reglm.statespace.emissions.product",
    "Sequences": "reglm.statespace.sequences",
    "Free": "reglm.statespace.linear_gaussian_free",
    "Structure": "reglm.statespace.linear_gaussian_structures",
    "Matrices": "reglm.statespace.linear_gaussian_structures",
    "linear_gaussian.Data": "reglm.statespace.linear_gaussian_fit",
    "linear_gaussian.Likelihood": "reglm.statespace.linear_gaussian_fit",
    "linear_gaussian.Rows": "reglm.estimators.linear_gaussian_rows",
}
"""Name in files -> module; what precedes a dot tells classes of one name apart."""

KERNELS = dict.fromkeys(
    ("RBF", "Matern", "RationalQuadratic", "ExpSineSquared", "DotProduct", "ConstantKernel", "WhiteKernel", "Sum",
     "Product", "Exponentiation"),
    "sklearn.gaussian_process.kernels",
) | {"NetworkKernel": "reglm.kernels.network_kernel"}  # fmt: skip
"""Kernels of Gaussian processes; they are stored by name and parameters."""

_NAMES = {(module, name.rpartition(".")[2]): name for name, module in (RECORDS | KERNELS).items()}


class Unstorable(TypeError):
    """A value that no file can hold."""


def name_of(value: Any, table: dict[str, str]) -> str | None:
    """Name in a table of the class of a value, None for values of other classes and of subclasses."""
    name = _NAMES.get((type(value).__module__, type(value).__name__))
    return name if name in table and type(value) is named(name, table) else None


def named(name: Any, table: dict[str, str]) -> Any:
    """Class of a name.

    Raises
    ------
    ValueError
        If it is not in the table.
    """
    if name not in table:
        raise ValueError(f"class {name!r:.60} is not known")
    return getattr(import_module(table[name]), name.rpartition(".")[2])
