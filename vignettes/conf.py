"""Sphinx configuration: every page is executed by the build, and any error stops it."""

import os
from typing import Any

import reglm

os.environ.pop("MPLBACKEND", None)  # figures go into the pages, whatever backend the caller has chosen

project = "reglm"
author = "the reglm developers"
copyright = "2026, the reglm developers"
version = release = reglm.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
]
exclude_patterns = ["_build", "jupyter_execute"]
html_theme = "furo"
html_title = "reglm"
html_static_path = ["_static"]
html_css_files = ["tables.css"]

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_default_options = {"members": True, "show-inheritance": True, "member-order": "bysource"}
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True


def skip_member(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out the methods that scikit-learn adds for metadata requests: their text refers to its own glossary."""
    return True if name.startswith("set_") and name.endswith("_request") else None


def setup(app: Any) -> None:
    """Connect the handlers above."""
    app.connect("autodoc-skip-member", skip_member)
