"""Kernels and regression in the dual: pure functions on arrays.

* `reglm.kernels.duals`: ridge with an unpenalised part, all penalties from one eigendecomposition.
* `reglm.kernels.criteria`: leave-one-out, GCV, REML and marginal likelihood of a penalty.
* `reglm.kernels.posterior`: predictive means and variances, universal kriging.
* `reglm.kernels.gradients`: derivatives of the criteria in the kernel matrix.
* `reglm.kernels.grams`: kernel matrices of names, scikit-learn's kernels and functions.
* `reglm.kernels.tuning`: a kernel's parameters by the gradient of a criterion.
* `reglm.kernels.budget`: whether n rows fit into memory.
* `reglm.kernels.network_kernel`: the kernels of an architecture; `architecture`, `activations` and `hermite` hold its
  recursion and the expectations of activations.
"""
