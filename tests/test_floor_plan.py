"""The house plan: who may import whom, what is imported late, and that no room grows too big."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "reglm"
FILES = sorted(SRC.rglob("*.py"))
# From the ground up; a room may look into the rooms before its own line.
FLOORS = [
    {"ops", "threads"},
    {"links", "parameters", "compiling"},
    {"families", "layers", "optimize"},
    {"network", "response"},
    {"kernels", "statespace", "energy"},
    {"likelihood"},
    {"jacobian", "record"},
    {"fitting", "inference", "bayes"},
    {"estimators"},
    {"comparison", "plots", "formula", "persistence", "distributed", "datasets", "cli", "metrics"},
]
FLOOR = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
HEAVY = {
    "pymc",
    "nutpie",
    "arviz",
    "matplotlib",
    "dask",
    "jax",
    "statsmodels",
    "pandas",
    "polars",
    "formulaic",
}
HEAVY |= {"rich"}
# Loaded only when a graph is compiled by JAX; test_import.py watches that nothing loads it sooner.
LATE = {"ops/jax_forms.py": {"jax"}, "ops/kalman_jax.py": {"jax"}}


def room_of(path):
    return path.relative_to(SRC).with_suffix("").parts[0]


def imports(node, path, late=True):
    """Yield the dotted names imported under `node`; `late` includes those inside functions."""
    for child in ast.iter_child_nodes(node):
        typing_only = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            package = ["reglm", *path.relative_to(SRC).parts[:-1]]
            base = package[: len(package) - child.level + 1] if child.level else []
            stem = ".".join([*base, *([child.module] if child.module else [])])
            yield from (f"{stem}.{alias.name}" for alias in child.names)
        elif not typing_only and (late or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)):
            yield from imports(child, path, late)


@pytest.fixture(params=FILES, ids=lambda path: str(path.relative_to(SRC)))
def file(request):
    return request.param, ast.parse(request.param.read_text())


def test_imports_point_down(file):
    path, tree = file
    room = room_of(path)
    if room == "__init__":
        return
    assert room in FLOOR, f"{room} has no floor: give it one here"
    for name in imports(tree, path):
        package, *rest = name.split(".")
        if package != "reglm" or rest[:1] in ([room], ["__version__"]):
            continue
        # the package itself, with its table of public names, is for the top floor to look at
        below = FLOOR.get(rest[0], 99) < FLOOR[room] if rest else room in FLOORS[-1]
        assert below, f"{path.name} (floor {FLOOR[room]}) imports {name}"


def test_heavy_packages_are_imported_late(file):
    path, tree = file
    early = {name.split(".")[0] for name in imports(tree, path, late=False)} & HEAVY
    early -= LATE.get(path.relative_to(SRC).as_posix(), set())
    assert not early, f"{path.name} imports {early} at module level"


def test_only_compiling_compiles(file):
    path, tree = file
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    compilers = calls & {
        "pytensor.function",
        "pytensor.compile.function",
        "pytensor.compile.function.function",
    }
    names = set(imports(tree, path)) & {"pytensor.function", "pytensor.compile.function"}
    assert path.name == "compiling.py" or not (compilers | names)


def test_files_stay_short(file):
    path, _ = file
    assert len(path.read_text().splitlines()) <= 400
