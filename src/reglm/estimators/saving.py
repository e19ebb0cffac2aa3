"""The `save` method of estimators."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class Saving:
    """Estimators that `reglm.load` reads; see `reglm.persistence.tables` for how a class joins them."""

    def save(self, path: Any) -> None:
        """Write the model as JSON and arrays; `reglm.load` reads it.

        Parameters
        ----------
        path : str or path-like

        Raises
        ------
        ValueError
            If the model is not fitted, or holds what no file can.
        """
        # One floor up, so it is looked up when called and not imported.
        import_module("reglm.persistence").save(self, path)
