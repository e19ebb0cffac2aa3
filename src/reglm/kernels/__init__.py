"""Kernels and regression in the dual: pure functions on arrays.

* `reglm.kernels.duals`: ridge with an unpenalised part, all penalties from one eigendecomposition.
* `reglm.kernels.criteria`: leave-one-out, GCV, REML and marginal likelihood of a penalty.
* `reglm.kernels.posterior`: predictive means and variances, universal kriging.
* `reglm.kernels.gradients`: derivatives of the criteria in the kernel matrix.
* `reglm.kernels.grams`: kernel matrices of names, scikit-learn's kernels and functions.
"""
