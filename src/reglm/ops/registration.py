"""Compiled forms are registered when a graph is first compiled by the backend that needs them.

Numba and JAX take half a second or more to import, and the interpreter needs neither. PyTensor runs the
rewrites tagged "numba" or "jax" before it hands a graph to that backend, so a rewrite that changes nothing
is the place to import the forms: it also fires when a user compiles our Ops inside a model of their own.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from pytensor.compile.mode import optdb
from pytensor.graph.rewriting.basic import GraphRewriter


class RegisterForms(GraphRewriter):
    """Import a module of backend forms; the graph stays as it is."""

    def __init__(self, module: str) -> None:
        super().__init__()
        self.module = module

    def apply(self, fgraph: Any) -> None:
        """Import the module, which registers the forms on its first import."""
        import_module(self.module)


def register_on_demand() -> None:
    """Arrange that compiling for Numba or JAX first registers the forms for it."""
    for backend in ("numba", "jax"):
        if f"reglm_{backend}_forms" not in optdb:
            optdb.register(f"reglm_{backend}_forms", RegisterForms(f"reglm.ops.{backend}_forms"), backend, position=0)
