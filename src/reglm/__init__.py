"""Neural networks as recursive generalized linear models.

Names are imported when they are first used, so ``import reglm`` itself takes no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Public name -> module that defines it. A name that is the module's own last part is the module.
_EXPORTS = {
    "ArchitectureSearch": "reglm.estimators",
    "Autoencoder": "reglm.estimators.autoencoder",
    "DeepBeliefNetwork": "reglm.estimators.belief",
    "Autoregression": "reglm.comparison",
    "EchoStateNetwork": "reglm.estimators.echo_state",
    "HiddenMarkovModel": "reglm.estimators.hidden_markov",
    "KernelDualClassifier": "reglm.estimators.kernel_classifier",
    "KernelDualRegressor": "reglm.estimators.kernel_dual",
    "LinearGaussianSSM": "reglm.estimators.linear_gaussian",
    "NetworkKernel": "reglm.kernels.network_kernel",
    "RandomFeatures": "reglm.estimators.random_features",
    "RecurrentGLM": "reglm.estimators.recurrent",
    "RecursiveGLMClassifier": "reglm.estimators",
    "RecursiveGLMRegressor": "reglm.estimators",
    "RestrictedBoltzmannMachine": "reglm.estimators.boltzmann",
    "anova": "reglm.inference.deviances",
    "compare": "reglm.comparison",
    "datasets": "reglm.datasets",
    "families": "reglm.families",
    "layers": "reglm.layers",
    "links": "reglm.links",
    "load": "reglm.persistence",
    "metrics": "reglm.metrics",
    "plots": "reglm.plots",
    "save": "reglm.persistence",
    "select_architecture": "reglm.estimators",
}

__all__ = ["__version__", *_EXPORTS]


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in _EXPORTS:
        raise AttributeError(f"module 'reglm' has no attribute {name!r}; it has {', '.join(_EXPORTS)}.")
    module = import_module(_EXPORTS[name])
    value = module if module.__name__ == f"reglm.{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(__all__)
