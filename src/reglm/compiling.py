"""From a PyTensor graph to something that runs: interpreted, Numba, C or JAX.

The only module that compiles. Three ideas:

* `Interpreted` walks a graph node by node with NumPy and compiles nothing; predictions use it.
* `function` keeps one compiled program for each *structure* (depth, activations, family), never for sizes.
* ``backend="auto"`` is tiered: calls are interpreted until interpreting has done as much work as a
  compilation costs, then Numba takes over (the ski-rental rule: never worse than twice the best choice).
  The switch depends on an operation count and not on a clock, so that a seed fixes every bit of a fit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytensor
from pytensor.compile.mode import Mode
from pytensor.graph.basic import Constant, Variable
from pytensor.graph.traversal import toposort

from reglm.ops.affine import is_wide
from reglm.ops.plain import PLAIN
from reglm.threads import map_rows

Array = np.ndarray

BACKENDS = ("auto", "python", "numba", "c", "jax")
NODE_OPERATIONS = 3_000
"""What dispatching one node costs, in elementary operations of about a nanosecond."""
STEP_OPERATIONS = 10_000
"""What a step of a recursion over time costs an interpreted node, on the same scale."""
COMPILATION_OPERATIONS = 3_000_000_000
"""What a compilation costs on the same scale: about three seconds."""

_programs: dict[Hashable, Program] = {}
_counts = {"python": 0, "numba": 0, "c": 0, "jax": 0}


SHARE_OPERATIONS = 2_000_000
"""Work from which rows are shared among threads, on the same scale."""
SHARE_ROWS = 64
"""Rows that a thread takes at least: fewer, and adding up gradients costs what the thread saves."""
CACHE_NUMBERS = 2**17
"""Rows are taken in blocks that hold about this many numbers and so stay in the cache."""


class Graph(NamedTuple):
    """Inputs and outputs of a graph, and what its builder wants remembered with it.

    `rows` are the inputs with a row for each observation, where every output is a sum over the observations;
    compiled forms then may take the rows in blocks, on several threads.
    """

    inputs: Sequence[Variable]
    outputs: Sequence[Variable]
    note: Any = None
    rows: Sequence[Variable] = ()


def check_backend(backend: str) -> str:
    """Return `backend` if it is one of `BACKENDS`.

    Raises
    ------
    ValueError
        For an unknown name, or for ``"jax"`` where JAX is not installed.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend={backend!r} is not known; choose one of {BACKENDS}.")
    if backend == "jax" and find_spec("jax") is None:
        raise ValueError("backend='jax' needs JAX: pip install 'reglm[jax]', or backend='auto'.")
    return backend


def _mode(backend: str) -> Mode:
    """Linker and rewrites of a backend; names are spelt out since FAST_RUN differs between PyTensor lines."""
    if backend == "numba":
        return Mode(linker=_released(), optimizer=pytensor.compile.mode.NUMBA.optimizer)
    if backend == "jax":
        jax_mode = pytensor.compile.mode.JAX  # made first: PyTensor sets JAX's precision when it loads JAX
        import jax

        jax.config.update("jax_enable_x64", True)
        return jax_mode
    if backend == "c":
        return Mode(linker="cvm", optimizer="fast_run")
    # The interpreter wants each node to be one NumPy call: no fusion, and none of the rewrites that
    # introduce scalar operations without a NumPy form.
    return Mode(linker="py", optimizer=PLAIN)


def _released() -> Any:
    """Return PyTensor's Numba linker, with two changes.

    Its functions run without the interpreter lock; and the outermost one is cached itself, where PyTensor caches a
    second function around it that takes nearly as long to compile.
    """
    from pytensor.link.numba.cache import CACHED_SRC_FUNCTIONS
    from pytensor.link.numba.dispatch.basic import numba_funcify_and_cache_key, numba_njit
    from pytensor.link.numba.linker import NumbaLinker

    class Released(NumbaLinker):
        def fgraph_convert(self, fgraph: Any, **kwargs: Any) -> Any:
            return numba_funcify_and_cache_key(fgraph, **kwargs)

        def jit_compile(self, fn_and_cache: Any) -> Any:
            source, key = fn_and_cache[0].py_func, fn_and_cache[1]
            cache = key is not None and pytensor.config.numba__cache
            if cache:  # its file is a temporary one, whose name would be part of the cached one's
                source.__code__ = source.__code__.replace(co_filename="<string>")
                CACHED_SRC_FUNCTIONS[source] = f"reglm-{key}-{pytensor.config.numba__fastmath}"
            return numba_njit(source, final_function=True, cache=cache, nogil=True)

    return Released()


def _compile(graph: Graph, backend: str) -> Callable[..., list[Array]]:
    _counts[backend] += 1
    compiled = pytensor.function(
        list(graph.inputs),
        list(graph.outputs),
        mode=_mode(backend),
        trust_input=True,
        on_unused_input="ignore",
    )
    # Numba's own function has no storage that calls from several threads would share.
    return compiled.vm.jit_fn if backend == "numba" else compiled


@contextmanager
def count_compilations() -> Iterator[dict[str, int]]:
    """Count compilations by backend inside a ``with`` block (for tests and curious users)."""
    before = dict(_counts)
    counted: dict[str, int] = {}
    yield counted
    counted.update({name: _counts[name] - before[name] for name in _counts})


def clear() -> None:
    """Forget every program compiled in this process."""
    _programs.clear()


class Program:
    """A graph with its compiled forms, each made when first called for and shared within the process.

    Parameters
    ----------
    build : callable
        Returns the `Graph`; called once.
    """

    def __init__(self, build: Callable[[], Graph]) -> None:
        self.graph = build()
        nodes = list(toposort(self.graph.outputs))
        self.nodes = len(nodes)
        self._steps = [self.graph.inputs.index(v) for v in map(_steps_of, nodes) if v in set(self.graph.inputs)]
        self._rows = [i for i, v in enumerate(self.graph.inputs) if v in set(self.graph.rows)]
        self._forms: dict[str, Callable[..., list[Array]]] = {}
        self._lock = threading.Lock()

    def run(self, tier: str, arguments: Sequence[Array]) -> list[Array]:
        """Run the compiled form of a tier."""
        with self._lock:  # forms other than Numba's hold their arguments while they run
            if tier not in self._forms:
                self._forms[tier] = _compile(self.graph, tier)
            if tier != "numba":
                with np.errstate(all="ignore"):  # as the compiled forms do: a line search may try what overflows
                    return self._forms[tier](*arguments)
        return self._in_blocks(self._forms[tier], arguments)

    def _in_blocks(self, form: Callable[..., Sequence[Array]], arguments: Sequence[Array]) -> list[Array]:
        """Run on blocks of rows where that pays and add up the outputs; the blocks depend on sizes alone."""
        n = len(arguments[self._rows[0]]) if self._rows else 0
        if n < 2 * SHARE_ROWS or self.operations(arguments) < SHARE_OPERATIONS:
            return [np.asarray(output) for output in form(*arguments)]
        block = max(SHARE_ROWS, CACHE_NUMBERS // sum(a.shape[-1] for a in arguments if a.ndim))

        def part(start: int, stop: int) -> Sequence[Array]:
            edges = [*range(start, stop, block), stop]
            return _total(form(*self._cut(arguments, *pair)) for pair in pairwise(edges))

        wide = any(a.ndim == 2 and is_wide(*a.shape) for i, a in enumerate(arguments) if i not in self._rows)
        return [np.asarray(output) for output in _total(map_rows(part, n, SHARE_ROWS, hold=wide))]

    def _cut(self, arguments: Sequence[Array], start: int, stop: int) -> list[Array]:
        cut = list(arguments)
        for i in self._rows:
            cut[i] = arguments[i][start:stop]
        return cut

    def interpret(self, arguments: Sequence[Array]) -> list[Array]:
        """Run the graph as it was built, by NumPy; threads need not wait for one another."""
        return self._interpreted(*arguments)

    @cached_property
    def _interpreted(self) -> Interpreted:
        return Interpreted(self.graph.inputs, self.graph.outputs)

    def operations(self, arguments: Sequence[Array]) -> int:
        """Estimate elementary operations of one call: rows times parameters, plus a price for each node and step."""
        rows = max((a.shape[0] for a in arguments if a.ndim == 2), default=1)
        parameters = sum(a.size for a in arguments if a.ndim == 0 or a.shape[0] != rows)
        widths = sum(a.shape[-1] for a in arguments if a.ndim)
        steps = sum(len(arguments[i]) for i in self._steps)
        return self.nodes * NODE_OPERATIONS + steps * STEP_OPERATIONS + rows * (parameters + 20 * widths)


def _steps_of(node: Any) -> Variable | None:
    """Return the input with an entry for each step, of a node that goes through time step by step."""
    return node.inputs[0] if getattr(node.op, "is_recursive", False) else None


def _total(parts: Iterable[Sequence[Array]]) -> Sequence[Array]:
    """Add up the outputs of several calls."""
    total, *others = parts
    if others:
        total = [np.asarray(a + b) for a, b in zip(total, others[0], strict=True)]  # anew: an output may be an input
    for other in others[1:]:
        for i, b in enumerate(other):
            total[i] += b
    return total


class Tiered:
    """A program as one fit sees it: with an operation count of its own that decides the tier.

    Parameters
    ----------
    program : Program
    backend : str
        One of `BACKENDS`.
    """

    def __init__(self, program: Program, backend: str) -> None:
        self.program = program
        self.backend = backend
        self.done = 0

    def _tier(self, arguments: Sequence[Array]) -> str:
        if self.backend != "auto":
            return self.backend
        if self.done < COMPILATION_OPERATIONS:
            self.done += self.program.operations(arguments)
            return "python"
        return "numba"

    def __call__(self, *arguments: Array) -> list[Array]:
        """Run the graph on C-contiguous arrays of the declared types."""
        tier = self._tier(arguments)
        results = self.program.run(tier, arguments)
        return [np.asarray(r) for r in results] if tier == "jax" else results


def function(build: Callable[[], Graph], key: Hashable, backend: str = "auto") -> Tiered:
    """Return the program of a structure, building its graph at first sight.

    Parameters
    ----------
    build : callable
        Returns the `Graph`.
    key : hashable
        Names the structure: what, layers, activations, family, dtype. Sizes do not belong in it.
    backend : {"auto", "python", "numba", "c", "jax"}

    Returns
    -------
    Tiered
    """
    check_backend(backend)
    if key not in _programs:
        _programs[key] = Program(build)
    return Tiered(_programs[key], backend)


class Interpreted:
    """A graph as a list of NumPy calls; nothing is rewritten or compiled.

    Parameters
    ----------
    inputs, outputs : sequences of variables
        Inputs may be any variables of the graph.
    """

    def __init__(self, inputs: Sequence[Variable], outputs: Sequence[Variable]) -> None:
        self.inputs = list(inputs)
        self.outputs = list(outputs)
        nodes = list(toposort(self.outputs, blockers=self.inputs))
        kept = {*self.inputs, *self.outputs}
        last = {v: node for node in nodes for v in node.inputs if v not in kept and not isinstance(v, Constant)}
        self._steps: list[tuple[Any, list[Variable]]] = []
        for node in nodes:
            node.op.prepare_node(node, None, None, "py")
            self._steps.append((node, [v for v in dict.fromkeys(node.inputs) if last.get(v) is node]))
        used = [v for node in nodes for v in node.inputs] + self.outputs
        self._constants = {v: v.data for v in used if isinstance(v, Constant)}

    def __call__(self, *arguments: Array) -> list[Array]:
        """Evaluate the outputs; what is no longer needed is let go on the way."""
        values: dict[Variable, Any] = self._constants | dict(zip(self.inputs, arguments, strict=True))
        with np.errstate(all="ignore"):  # tails may overflow inside a branch that is not taken
            for node, done in self._steps:
                cells: list[list[Any]] = [[None] for _ in node.outputs]
                node.op.perform(node, [values[v] for v in node.inputs], cells)
                values.update((v, cell[0]) for v, cell in zip(node.outputs, cells, strict=True))
                for v in done:
                    del values[v]
        return [values[v] for v in self.outputs]


def evaluate(outputs: Sequence[Variable], given: Mapping[Variable, Array]) -> list[Array]:
    """Evaluate a graph once by NumPy, without rewriting or compiling it.

    Parameters
    ----------
    outputs : sequence of variables
    given : mapping from input variable to array

    Returns
    -------
    list of ndarray
    """
    return Interpreted(list(given), outputs)(*given.values())
