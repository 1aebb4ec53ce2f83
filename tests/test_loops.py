"""LOOP nodes: a body planned once and run many times by the dispatcher."""

import numpy as np
import pytest
from kernel_interpreter import run as interpreted

import dualflow as df  # noqa: F401  the catalogue
from dualflow.base.dtypes import bool_, float32, float64, int64
from dualflow.base.errors import IndexingError, ShapeError
from dualflow.ir.graph import Graph, GraphBuilder
from dualflow.ir.interpret import interpret
from dualflow.ir.op import CATALOGUE
from dualflow.ir.program import Launch, Loop
from dualflow.ir.types import TensorType, View, Window
from dualflow.pipeline import compile_graph
from dualflow.runtime import division
from dualflow.runtime.cpu import Executable
from dualflow.schedule import plan_with_reasons

op = CATALOGUE.__getitem__


def body_of(types, make):
    """A body graph: `make(builder, step, *values)` gives the outputs."""
    builder = GraphBuilder()
    values = [builder.input(TensorType((), int64)), *(builder.input(t) for t in types)]
    return builder.build(make(lambda name, *x, **a: builder.add(op(name), x, a).result, *values))


def looping(types, body, count, carried, reads=(), writes=(), extra=()) -> Graph:
    """A graph of one loop over inputs of `types`."""
    builder = GraphBuilder()
    values = [builder.input(type_) for type_ in types]
    attributes = {"body": body, "count": count, "carried": carried, "reads": reads,
                  "writes": writes}  # fmt: skip
    node = builder.add(op("loop"), values, attributes)
    return builder.build([*node.results, *(values[i] for i in extra)]).verify()


def check(graph, arrays, native=True, layouts=None) -> Executable:
    """Compiled equals interpreted, bit for bit, natively or not, also through ctypes."""
    wanted = interpret(graph, arrays)
    given = [array.copy() for array in arrays]
    compilation = compile_graph(graph, layouts)
    assert sum(isinstance(step, Loop) for step in compilation.program.steps) == 1
    executable = compilation.result()
    assert executable.native == native
    portable = Executable(compilation.program, compilation.texts, compilation._builds, True)
    for run in (executable.run, portable.run, executable.run):
        for got, want in zip(run(arrays), wanted, strict=True):
            np.testing.assert_array_equal(got, want, strict=True)
    for array, before in zip(arrays, given, strict=True):
        np.testing.assert_array_equal(array, before)
    return executable


ROW = TensorType((5,), float64)


@pytest.mark.parametrize("count", [1, 2, 7, 8])
def test_carried(count):
    """u, v = v, u * c + v: values change places, nothing is copied from step to step."""

    def step(do, k, u, v, c):
        return v, do("add", do("multiply", u, c), v)

    graph = looping([ROW] * 3, body_of([ROW] * 3, step), count, 2)
    rng = np.random.default_rng(0)
    check(graph, [rng.normal(size=5) for _ in range(3)])


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_rotation(count):
    """Three values in turn, a constant, and a value returned twice."""

    def step(do, k, a, b, c, d, e, f):
        s = do("add", a, f)
        return b, c, s, f, s

    graph = looping([ROW] * 6, body_of([ROW] * 6, step), count, 5)
    rng = np.random.default_rng(1)
    check(graph, [rng.normal(size=5) for _ in range(6)])


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_carried_of_several_sizes(count):
    """Memory changes places among values of one type only."""
    types = [ROW, TensorType((2, 5), float64), TensorType((), float64), ROW]

    def step(do, k, a, b, c, d):
        new = do("add", d, do("sum", b, axes=(0,)))
        wide = do("expand", do("reshape", a, shape=(1, 5)), shape=(2, 5))
        return new, do("add", b, wide), do("sum", new, axes=(0,)), a

    graph = looping(types, body_of(types, step), count, 4)
    rng = np.random.default_rng(1)
    check(graph, [np.asarray(rng.integers(-9, 9, t.shape) / 8) for t in types])


def test_step_number():
    def step(do, k, u):
        return (do("add", u, do("cast", do("expand", k, shape=(5,)), dtype=float64)),)

    check(looping([ROW], body_of([ROW], step), 9, 1), [np.arange(5.0)])


@pytest.mark.parametrize("layout", ["packed", "transposed"])
def test_windows(layout):
    """Rows of a constant are read backwards, results stored forwards; the first row stays."""
    count, rows = 6, TensorType((7, 5), float64)
    reads = (Window(2, (6, 0), (1, 5), (1, 1), (-1, 0)),)
    writes = (Window(1, (1, 0), (1, 5), (1, 1), (1, 0)),)

    def step(do, k, u, x):
        new = do("add", u, do("reshape", x, shape=(5,)))
        return new, do("reshape", do("sin", new), shape=(1, 5))

    body = body_of([ROW, TensorType((1, 5), float64)], step)
    graph = looping([ROW, rows, rows], body, count, 1, reads, writes, extra=(2,))
    rng = np.random.default_rng(2)
    x = rng.normal(size=(7, 5)) if layout == "packed" else rng.normal(size=(5, 7)).T
    layouts = [View.contiguous((5,)), View.contiguous((7, 5)),
               View(x.shape, tuple(s // 8 for s in x.strides))]  # fmt: skip
    check_near(graph, [rng.normal(size=5), rng.normal(size=(7, 5)), x], layouts)


def check_near(graph, arrays, layouts):
    wanted = interpret(graph, arrays)
    compilation = compile_graph(graph, layouts)
    executable = compilation.result()
    assert executable.native
    for got, want in zip(executable.run(arrays), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-14)


def test_written_and_read():
    """x[k + 1] = x[k] * c: the window that is read is not the one written."""
    rows = TensorType((9, 5), float64)
    reads = (Window(0, (0, 0), (1, 5), (1, 1), (1, 0)),)
    writes = (Window(0, (1, 0), (1, 5), (1, 1), (1, 0)),)

    def step(do, k, c, x):
        return (do("multiply", x, do("reshape", c, shape=(1, 5))),)

    body = body_of([ROW, TensorType((1, 5), float64)], step)
    graph = looping([rows, ROW], body, 8, 0, reads, writes)
    check(graph, [np.random.default_rng(3).normal(size=(9, 5)), np.linspace(0.5, 1.5, 5)])


def test_what_overlaps_is_left_to_numpy():
    """x[k] = x[k] + 1: NumPy runs the loop as a whole."""
    rows = TensorType((9, 5), float64)
    same = (Window(0, (0, 0), (1, 5), (1, 1), (1, 0)),)
    body = body_of([TensorType((1, 5), float64)], lambda do, k, x: (do("add", x, x),))
    graph = looping([rows], body, 8, 0, same, same)
    compilation = compile_graph(graph)
    assert not any(isinstance(step, Loop) for step in compilation.program.steps)
    x = np.random.default_rng(4).normal(size=(9, 5))
    (got,) = compilation.result().run([x])
    np.testing.assert_array_equal(got[:8], 2 * x[:8])
    np.testing.assert_array_equal(got[8], x[8])


def test_products_and_library_steps():
    """BLAS runs inside the native loop; an op that only NumPy has makes the loop Python's."""
    square = TensorType((6, 6), float32)

    def product(do, k, h, w):
        return (do("tanh", do("matmul", h, w)),)

    rng = np.random.default_rng(5)
    arrays = [rng.normal(size=(6, 6)).astype("f") for _ in range(2)]
    graph = looping([square] * 2, body_of([square] * 2, product), 11, 1)
    (got,) = compile_graph(graph).result().run(arrays)
    np.testing.assert_allclose(got, interpret(graph, arrays)[0], rtol=1e-5)
    assert compile_graph(graph).result().native

    def sorting(do, k, h, w):
        return (do("sort", do("add", h, w), axis=0),)

    graph = looping([square] * 2, body_of([square] * 2, sorting), 11, 1)
    check(graph, arrays, native=False)


def test_loop_in_a_loop():
    def inner(do, k, u, c):
        return (do("add", do("slice", u, starts=(4,), stops=(-1,), steps=(-1,)), c),)

    def outer(do, k, u, c):
        return (do("multiply", do("loop", u, c, body=body_of([ROW] * 2, inner), count=3,
                                    carried=1), c),)  # fmt: skip

    graph = looping([ROW] * 2, body_of([ROW] * 2, outer), 5, 1)
    executable = check(graph, [np.arange(5.0), np.full(5, 1.5)])
    assert executable.program.runs == (5 * 4, 0)


@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("shape", [(5,), (3, 300), (70, 2, 9)])
def test_steps_of_single_points_are_one_kernel(count, shape):
    """Each point takes all steps at once: state of several types, constants, rows spread out."""
    types = [TensorType(shape, float32), TensorType(shape, int64), TensorType(shape, bool_),
             TensorType(shape, float32), TensorType(shape[-1:], float32)]  # fmt: skip

    def step(do, k, x, n, on, c, row):
        row = do("reshape", row, shape=(1,) * (len(shape) - 1) + shape[-1:])
        moved = do("add", do("multiply", x, do("expand", row, shape=shape)), c)
        on = do("logical_and", on, do("less", moved, c))
        return moved, do("add", n, do("cast", on, dtype=int64)), on

    graph = looping(types, body_of(types, step), count, 3)
    rng = np.random.default_rng(count)
    given = [rng.normal(size=shape), rng.integers(0, 9, shape), rng.normal(size=shape) > 0,
             rng.normal(size=shape), rng.normal(size=shape[-1:])]  # fmt: skip
    arrays = [x.astype(t.dtype) for x, t in zip(given, types, strict=True)]
    wanted = interpret(graph, arrays)
    compilation = compile_graph(graph)
    (launch,) = compilation.program.steps
    assert isinstance(launch, Launch)
    assert len(launch.kernel.repeated or ()) == 3
    assert f"range({count})" not in next(iter(compilation.texts.values())).source
    for run in (compilation.result().run, lambda x: interpreted(compilation.program, x)):
        for got, want in zip(run(arrays), wanted, strict=True):
            np.testing.assert_array_equal(got, want, strict=True)


def test_repeated_kernels_are_divided_over_threads(monkeypatch):
    def step(do, k, x):
        return (do("add", do("multiply", x, x), do("sin", x)),)

    types = [TensorType((5000,), float32)]
    graph = looping(types, body_of(types, step), 50, 1)
    (launch,) = compile_graph(graph).program.steps
    monkeypatch.setattr(division.threads, "most", lambda: 4)
    found = division.divide(launch)
    assert found is not None
    assert found.parts > 2
    once = [TensorType((5000,), float32)]
    (launch,) = compile_graph(looping(once, body_of(once, step), 1, 1)).program.steps
    assert division.divide(launch) is None


def test_an_index_out_of_bounds_stops_it():
    """At step 3 the index is 5 of 5: the status ends the loop and becomes an exception."""

    def step(do, k, i, x):
        taken = do("take", x, i, axis=0)
        return (do("add", i, do("cast", do("greater_equal", taken, taken), dtype=int64)),)

    index = TensorType((1,), int64)
    graph = looping([index, ROW], body_of([index, ROW], step), 4, 1)
    executable = compile_graph(graph).result()
    assert executable.native
    (got,) = executable.run([np.array([1]), np.arange(5.0)])
    assert got == [5]
    with pytest.raises(IndexingError):
        executable.run([np.array([2]), np.arange(5.0)])
    (got,) = executable.run([np.array([1]), np.arange(5.0)])
    assert got == [5]


def test_memory_does_not_grow():
    def step(do, k, u, c):
        return (do("sum", do("expand", do("multiply", u, c), shape=(4, 5)), axes=(0,)),)

    programs = [
        plan_with_reasons(looping([ROW] * 2, body_of([ROW] * 2, step), count, 1)).program
        for count in (9, 9999)
    ]
    assert programs[0].arena == programs[1].arena <= 256
    assert "9999 times, with" in str(programs[1])


def test_rule():
    body = body_of([ROW, ROW], lambda do, k, u, x: (u,))
    with pytest.raises(ShapeError, match="Window"):
        looping([ROW, TensorType((8,), float64)], body, 3, 1,
                (Window(1, (0,), (5,), (1,), (2,)),))  # fmt: skip
    with pytest.raises(ShapeError, match="carries"):
        looping([ROW, ROW], body_of([ROW, ROW], lambda do, k, u, x: (u, x)), 3, 1)
