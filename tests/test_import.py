"""``import reglm`` is light, and every public name can be had from it."""

import subprocess
import sys

import pytest

import reglm

HEAVY = {"pymc", "nutpie", "arviz", "matplotlib", "dask", "jax", "statsmodels", "polars", "formulaic", "rich"}


def loaded_after(code):
    """Top-level packages in `sys.modules` of a fresh interpreter that ran `code`."""
    code += "\nimport sys; print(*{name.split('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_import_loads_nothing_heavy():
    assert not loaded_after("import reglm") & (HEAVY | {"pandas", "pytensor", "numba", "sklearn", "scipy"})


def test_estimators_load_nothing_heavy():
    # scikit-learn itself imports pandas and rich where they are installed
    assert not loaded_after("from reglm import RecursiveGLMRegressor") & (HEAVY - {"rich"})


@pytest.mark.parametrize("name", reglm.__all__)
def test_public_names_exist(name):
    assert getattr(reglm, name) is not None
    assert name in dir(reglm)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(AttributeError, match=r"no attribute 'Perceptron'.*RecursiveGLMRegressor"):
        _ = reglm.Perceptron
