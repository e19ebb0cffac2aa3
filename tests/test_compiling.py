"""Programs: interpreted and compiled forms agree, structures are compiled once, tiers switch by counting."""

import threading

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from network_cases import ROWS, X, make
from pytensor.link.c.op import COp
from threadpoolctl import threadpool_limits

from reglm import compiling, links, ops
from reglm.compiling import Graph, Interpreted, count_compilations, evaluate, function
from reglm.network import multilayer
from reglm.ops import recurrence


def count(counted):
    return {backend: n for backend, n in counted.items() if n}


@pytest.fixture
def fresh(monkeypatch):
    """Forget programs for the length of a test."""
    monkeypatch.setattr(compiling, "_programs", {})


def squares():
    x, W = pt.matrix("x"), pt.matrix("W")
    value = ops.tanh(ops.affine(x, W)).sum()
    return Graph([x, W], [value, pytensor.grad(value, W)], note="kept")


RNG = np.random.default_rng(0)
ARGUMENTS = [RNG.normal(size=(6, 3)), RNG.normal(size=(3, 2))]


@pytest.mark.parametrize("backend", ["auto", "python", "c", "numba", "jax"])
def test_backends_agree(backend):
    if backend == "jax":
        pytest.importorskip("jax")
    lik, theta, data = make(multilayer((3,), ("tanh",), 5, 1, skip=True), backend="python")
    other, *_ = make(multilayer((3,), ("tanh",), 5, 1, skip=True), backend=backend)
    expected, slope = lik.value_grad(theta, data)
    value, gradient = other.value_grad(theta, data)
    assert isinstance(gradient, np.ndarray)
    assert gradient.dtype == np.float64
    assert value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(gradient, slope, rtol=1e-10, atol=1e-11)


def test_jax_computes_second_derivatives_and_deltas():
    pytest.importorskip("jax")
    lik, theta, data = make(multilayer((2,), ("tanh",), 5, 2), backend="python")
    other, *_ = make(multilayer((2,), ("tanh",), 5, 2), backend="jax")
    v = np.ones(len(theta))
    np.testing.assert_allclose(other.hessp(theta, data, v), lik.hessp(theta, data, v), rtol=1e-10, atol=1e-11)
    for (_, _, one), (_, _, two) in zip(
        lik.taps(theta, data, np.eye(2)[:1]), other.taps(theta, data, np.eye(2)[:1]), strict=True
    ):
        np.testing.assert_allclose(one, two, rtol=1e-10, atol=1e-12)


def test_interpreting_is_what_compiling_gives(fresh):
    graph = squares()
    run = function(squares, "squares", "c")
    for one, other in zip(
        evaluate(graph.outputs, dict(zip(graph.inputs, ARGUMENTS, strict=True))), run(*ARGUMENTS), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-13)


def test_interpreting_compiles_nothing_and_leaves_its_inputs_alone():
    graph = squares()
    copies = [a.copy() for a in ARGUMENTS]
    with count_compilations() as counted:
        run = Interpreted(graph.inputs, graph.outputs)
        first, second = run(*ARGUMENTS), run(*ARGUMENTS)
    assert count(counted) == {}
    np.testing.assert_array_equal(first[1], second[1])
    for now, then in zip(ARGUMENTS, copies, strict=True):
        np.testing.assert_array_equal(now, then)


def test_any_variable_of_a_graph_may_be_given_or_asked_for():
    x = pt.matrix("x")
    middle = x**2
    last = middle + 1
    assert evaluate([last, middle, pt.constant(3.0)], {middle: np.full((1, 1), 4.0)})[0].item() == 5.0
    np.testing.assert_array_equal(evaluate([x, last], {x: np.full((1, 1), 2.0)}), [[[2.0]], [[5.0]]])


def test_one_structure_is_built_and_compiled_once(fresh):
    built = []

    def build():
        built.append(1)
        return squares()

    with count_compilations() as counted:
        first, second = function(build, "key", "python"), function(build, "key", "python")
        first(*ARGUMENTS)
        second(*[a.repeat(4, axis=1) for a in ARGUMENTS[:1]], np.ones((12, 5)))
    assert built == [1]
    assert first.program is second.program
    assert first.program.graph.note == "kept"
    assert count(counted) == {"python": 1}


def test_widths_rows_dtypes_and_families_in_the_count_of_compilations(fresh):
    def fit(units, activation="tanh", rows=ROWS, **options):
        x = np.tile(X, (2, 1))[:rows]
        lik, theta, data = make(multilayer(units, (activation,) * len(units), 5, 1), x=x, backend="python", **options)
        lik.value_grad(theta, data)

    with count_compilations() as counted:
        for width in (1, 2, 7):
            fit((width,))
        fit((3,), rows=33)
    assert count(counted) == {"python": 1}
    with count_compilations() as counted:
        fit((3,), "relu")
        fit((3, 3))
        fit((3,), family="gaussian")
        fit((3,), link="sqrt")
    assert count(counted) == {"python": 4}


def test_the_tier_switches_on_a_count_and_not_on_a_clock(fresh, monkeypatch):
    price = 100
    calls = []
    monkeypatch.setattr(compiling.Program, "operations", lambda self, arguments: 30)
    monkeypatch.setattr(compiling, "COMPILATION_OPERATIONS", price)
    monkeypatch.setattr(compiling.Program, "run", lambda self, tier, arguments: calls.append(tier) or [])
    run = function(squares, "key", "auto")
    for _ in range(6):
        run(*ARGUMENTS)
    assert calls == ["python"] * 4 + ["numba"] * 2
    calls.clear()
    function(squares, "key", "auto")(*ARGUMENTS)  # another fit counts for itself
    assert calls == ["python"]


def test_operations_grow_with_rows_and_parameters_only():
    program = function(squares, "key", "python").program
    small, same, wide, long = (
        program.operations([np.zeros((n, p)), np.zeros((p, k))])
        for n, p, k in [(90, 3, 2), (90, 3, 2), (90, 3, 9), (900, 3, 2)]
    )
    assert small == same
    assert wide > small
    assert long - program.nodes * compiling.NODE_OPERATIONS == 10 * (small - program.nodes * compiling.NODE_OPERATIONS)


def test_a_first_small_call_leaves_numba_alone(fresh):
    with count_compilations() as counted:
        lik, theta, data = make(multilayer((3,), ("tanh",), 5, 1))
        lik.value_grad(theta, data)
        lik.eta(theta, X)
    assert count(counted) == {"python": 1}


def test_predictions_compile_nothing(fresh):
    lik, theta, data = make(multilayer((3,), ("tanh",), 5, 1))
    with count_compilations() as counted:
        for _ in range(3):
            lik.response.mean(lik.eta(theta, X, data.offset))
        lik.working(theta, data)
    assert count(counted) == {}


@pytest.mark.parametrize("name", sorted(name for name, link in links.REGISTRY.items() if "activation" in link.roles))
def test_interpreting_needs_no_compiler(name, fresh, monkeypatch):
    def refuse(self, node, *rest):
        raise AssertionError(f"{node} is compiled")

    monkeypatch.setattr(COp, "make_c_thunk", refuse)
    lik, theta, data = make(multilayer((3,), (name,), 5, 1))
    lik.value_grad(theta, data)
    lik.taps(theta, data, np.ones((1, 1)))
    lik.response.mean(lik.eta(theta, X))


def test_threads_may_share_a_program():
    lik, theta, data = make(multilayer((4,), ("tanh",), 5, 1), backend="python")
    thetas = [theta * scale for scale in (0.5, 1.0, 2.0, 3.0)]
    expected = [lik.value_grad(t, data)[0] for t in thetas]
    found = [[] for _ in thetas]

    def work(i):
        found[i] = [lik.value_grad(thetas[i], data)[0] for _ in range(50)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(thetas))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[value] * 50 for value in expected]


def test_overflow_is_an_infinite_value_and_no_warning():
    lik, theta, data = make(multilayer((), (), 5, 1), backend="python")
    value, _ = lik.value_grad(theta + 1e4, data._replace(X=np.abs(X)))
    assert value == np.inf


def test_clear_forgets_programs(fresh):
    function(squares, "key")
    compiling.clear()
    assert compiling._programs == {}


def test_an_unknown_backend_names_the_known_ones():
    with pytest.raises(ValueError, match=r"backend='cuda' is not known; choose one of \('auto', 'python', 'numba'"):
        function(squares, "key", "cuda")


def test_a_missing_jax_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(compiling, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'reglm\[jax\]'"):
        compiling.check_backend("jax")


def row_sums():
    graph = squares()
    return graph._replace(rows=graph.inputs[:1])


@pytest.mark.parametrize("n", [100, 1_000, 20_011])
def test_sums_over_rows_are_taken_in_blocks_whatever_the_number_of_threads(fresh, n):
    x, W = RNG.normal(size=(n, 30)), RNG.normal(size=(30, 20)) / 5
    expected = Interpreted(*squares()[:2])(x, W)
    run = function(row_sums, "row sums", "numba")
    found = []
    for threads in (1, 2, 3):
        with threadpool_limits(threads):
            found.append(run(x, W))
    for value, gradient in found:
        assert value == found[0][0]
        np.testing.assert_array_equal(gradient, found[0][1])
    np.testing.assert_allclose(found[0][0], expected[0], rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(found[0][1], expected[1], rtol=1e-10, atol=1e-9)


def test_blocks_serve_several_threads_at_once(fresh):
    x, W = RNG.normal(size=(30_000, 30)), RNG.normal(size=(30, 20)) / 5
    run = function(row_sums, "row sums", "numba")
    expected = run(x, W)
    found = []
    threads = [threading.Thread(target=lambda: found.append(run(x, W))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for one in found:
        np.testing.assert_array_equal(one[1], expected[1])


def test_operations_of_a_recursion_grow_with_its_steps(monkeypatch):
    cell = recurrence.elman()

    def build():
        sizes, (a, W, h0) = pt.lvector(), (pt.matrix() for _ in range(3))
        return Graph([a, sizes, W, h0], [recurrence.run(cell, a, sizes, W, h0)])

    program = function(build, "recursion", "python").program
    arguments = [np.zeros((120, 2)), np.full(4, 30), np.zeros((2, 2)), np.zeros((30, 2))]
    found = program.operations(arguments)
    monkeypatch.setattr(compiling, "STEP_OPERATIONS", 0)
    assert found - program.operations(arguments) == 4 * 10_000
