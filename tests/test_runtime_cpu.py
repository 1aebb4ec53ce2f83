"""The dispatcher and executables: pointers, arenas, BLAS, steps in Python, errors, both ways in."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest
from cpu_kernels import binary, compiled, load, program_of, softmax

from dualflow.base.dtypes import float32, float64, int64
from dualflow.base.errors import CompileError
from dualflow.codegen.numba import emit
from dualflow.ir.kernel import Access, Axis, Kernel, Let, Stage, Store
from dualflow.ir.op import CATALOGUE
from dualflow.ir.program import Buffer, Call, Launch, Operand, Program
from dualflow.ir.text import KernelText
from dualflow.ir.types import View
from dualflow.runtime import builds, cpu, native
from dualflow.runtime.memory import release_memory


def place(kind: str, index: int, array: np.ndarray) -> Operand:
    view = View(array.shape, tuple(step // array.itemsize for step in array.strides))
    return Operand(Buffer(kind, index, array.nbytes), array.dtype, view)


def chain(steps: int) -> tuple[Program, dict[Kernel, KernelText]]:
    """out = x + x * steps, through the arena, each step one launch."""
    kernel = binary("add", float32)
    x = np.zeros(100, np.float32)
    given, out = place("input", 0, x), place("output", 0, x)
    between = [Operand(Buffer("arena", 448 * (i % 2), 400), float32, View.contiguous((100,)))
               for i in range(steps)]  # fmt: skip
    places = [given, *between[: steps - 1], out]
    launches = tuple(
        Launch(kernel, (one, given, other), (0, 100), ())
        for one, other in itertools.pairwise(places)
    )
    return Program((given,), (out,), launches, 848, ()), {kernel: emit(kernel)}


# The way in.


def test_the_built_in_is_used_where_it_works():
    assert native.builtin_works()
    program, inputs = program_of(
        binary("add", float32), [np.ones(5, np.float32)] * 2 + [(5,)], {"j": 5}
    )
    executable = compiled(program)
    assert type(executable._only).__name__ == "builtin_function_or_method"
    np.testing.assert_array_equal(executable.run(inputs)[0], np.full(5, 2, np.float32))


@pytest.mark.parametrize("kernel", [softmax(True), softmax(False)])
def test_the_portable_way_gives_the_same_bits(kernel):
    x = np.random.default_rng(0).standard_normal((9, 80)).astype(np.float32)
    program, inputs = program_of(kernel, [x, (9, 80)], {"i": 9, "j": 80})
    text = {kernel: emit(kernel)}
    built = {kernel: builds.start(text[kernel])}
    portable = cpu.Executable(program, text, built, portable=True)
    assert type(portable._only).__name__ == "function"
    np.testing.assert_array_equal(portable.run(inputs)[0], compiled(program).run(inputs)[0])


def test_arrays_of_a_subclass_are_taken_too():
    class Mine(np.ndarray):
        pass

    x = np.arange(6, dtype=np.float32)
    program, _ = program_of(binary("multiply", float32), [x, x, (6,)], {"j": 6})
    found = compiled(program).run([x.view(Mine), x])[0]
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, x * x)


def test_outputs_are_ordinary_arrays_of_their_own():
    x = np.ones((2, 3), np.float32)
    program, inputs = program_of(softmax(True), [x, (2, 3)], {"i": 2, "j": 3})
    executable = compiled(program)
    first, second = executable.run(inputs)[0], executable.run(inputs)[0]
    assert first.flags.writeable
    assert first.flags.c_contiguous
    first[...] = 0
    assert second.min() > 0.3


# Arenas, threads, recursion.


def test_intermediates_live_in_the_arena():
    program, texts = chain(7)
    executable = cpu.prepare(program, texts).result()
    x = np.arange(100, dtype=np.float32)
    release_memory()
    np.testing.assert_array_equal(executable.run([x])[0], 8 * x)
    assert len(executable._arenas) == 1


def test_calls_in_several_threads_do_not_disturb_each_other():
    program, texts = chain(9)
    executable = cpu.prepare(program, texts).result()
    wrong: list[int] = []

    def work(number: int) -> None:
        x = np.full(100, number, np.float32)
        for _ in range(300):
            if not np.array_equal(executable.run([x])[0], 10 * x):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_large_programs_let_other_threads_run():
    n = 1 << 19
    x = np.ones(n, np.float32)
    program, inputs = program_of(binary("add", float32), [x, x, (n,)], {"j": n})
    np.testing.assert_array_equal(compiled(program).run(inputs)[0][:3], [2, 2, 2])


def test_a_call_inside_a_call_has_an_arena_of_its_own():
    outer: list[cpu.Executable] = []
    found: list[np.ndarray] = []

    def again(x: np.ndarray) -> np.ndarray:
        if not found:
            found.append(np.empty(0))
            found.append(outer[0].run([np.full(100, 5, np.float32)])[0])
        return x

    program, texts = chain(3)
    first, *rest = program.steps
    record = CATALOGUE["negative"]
    nested = type(record)("nested", record.kind, record.rule, again)
    middle = Operand(Buffer("arena", 896, 400), float32, View.contiguous((100,)))
    call = Call(nested, {}, (first.operands[2],), (middle,))
    second = Launch(rest[0].kernel, (middle, *rest[0].operands[1:]), rest[0].integers, ())
    program = Program(program.inputs, program.outputs, (first, call, second, *rest[1:]), 1344, ())
    outer.append(cpu.prepare(program, texts).result())
    x = np.arange(100, dtype=np.float32)
    release_memory()
    np.testing.assert_array_equal(outer[0].run([x])[0], 4 * x)
    np.testing.assert_array_equal(found[1], np.full(100, 20, np.float32))
    assert len(outer[0]._arenas) == 2


# Operands in other places.


def test_constants_inputs_and_views_as_operands_and_outputs():
    kernel = binary("add", float64)
    x = np.arange(20, dtype=np.float64)
    given = place("input", 0, x[::2])
    part = Operand(given.buffer, float64, View((4,), (2,), 4))
    moving = Kernel(
        kernel.axes,
        (Access("X", float64, "in", ("s",)), *kernel.accesses[1:]),
        (), kernel.stages, "j",
    )  # fmt: skip
    constant = np.array([1.0, 2.0, 3.0, 4.0])
    held = Operand(Buffer("constant", 0, 32), float64, View.contiguous((4,)))
    out = Operand(Buffer("output", 1, 32), float64, View.contiguous((4,)))
    turned = Operand(out.buffer, float64, View((2, 2), (1, 2)))
    launch = Launch(moving, (part, held, out), (0, 4, 2), ())
    program = Program((given,), (given, turned, held, part), (launch,), 0, (constant,))
    first, second, third, fourth = (
        cpu.prepare(program, {moving: emit(moving)}).result().run([x[::2]])
    )
    assert np.shares_memory(first, x)
    np.testing.assert_array_equal(first, x[::2])
    np.testing.assert_array_equal(second, (x[4:12:2] + constant).reshape(2, 2).T)
    np.testing.assert_array_equal(third, constant)
    np.testing.assert_array_equal(fourth, x[4:12:2])
    third[...] = 0
    assert constant[0] == 1.0


def test_steps_without_a_native_form_run_in_python():
    x = np.random.default_rng(0).standard_normal((6, 5)).astype(np.float32)
    order = Operand(Buffer("arena", 0, 240), int64, View.contiguous((6, 5)))
    out = Operand(Buffer("output", 0, 240), int64, View((5, 6), (1, 5)))
    add = binary("add", int64)
    flat = Operand(order.buffer, int64, View.contiguous((30,)))
    steps = (
        Call(CATALOGUE["argsort"], {"axis": 1}, (place("input", 0, x),), (order,)),
        Launch(add, (flat, flat, Operand(out.buffer, int64, View.contiguous((30,)))), (0, 30), ()),
    )
    program = Program((place("input", 0, x),), (out,), steps, 240, ())
    found = cpu.prepare(program, {add: emit(add)}).result().run([x])[0]
    np.testing.assert_array_equal(found, 2 * np.argsort(x, axis=1, kind="stable").T)


# Matrix products that have to have NumPy's bits; others are in `test_products.py`.


def matmul(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, str]:
    shape = (*a.shape[:-1], b.shape[-1])
    out = Operand(Buffer("output", 0, int(np.prod(shape)) * a.itemsize), a.dtype,
                  View.contiguous(shape))  # fmt: skip
    left, right = place("input", 0, a), place("input", 1, b)
    call = Call(CATALOGUE["matmul"], {}, (left, right), (out,), exact=True)
    executable = cpu.prepare(Program((left, right), (out,), (call,), 0, ()), {}).result()
    return executable.run([a, b])[0], type(executable._parts[0]).__name__


def normal(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("a", "b"),
    [
        (normal(30, 41), normal(41, 17)),
        (normal(41, 30).T, normal(41, 17)),
        (normal(41, 30).T, normal(17, 41).T),
        (normal(30, 50)[:, :41], normal(60, 20)[:41, 2:19]),
        (normal(3, 4, 5, 6), normal(3, 4, 6, 7)),
        (normal(3, 5, 6), normal(3, 7, 6).transpose(0, 2, 1)),
        (np.broadcast_to(normal(5, 6), (4, 5, 6)), normal(4, 6, 3)),
    ],
)
def test_products_are_native_and_have_numpys_bits(a, b, dtype):
    shared = 0 in a.strides
    a = np.broadcast_to(a[0].astype(dtype), a.shape) if shared else a.astype(dtype, order="K")
    b = b.astype(dtype, order="K")
    found, way = matmul(a, b)
    np.testing.assert_array_equal(found, np.matmul(a, b))
    assert way == "builtin_function_or_method"


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (normal(1, 6), normal(6, 7)),
        (normal(5, 6), normal(6, 1)),
        (normal(5, 8)[:, ::2], normal(4, 3)),
        (normal(4, 0), normal(0, 3)),
        (normal(4, 3, 5, 6).transpose(1, 0, 2, 3), normal(3, 4, 6, 7)),
        (np.arange(6).reshape(2, 3), np.arange(12).reshape(3, 4)),
    ],
)
def test_products_that_numpy_computes_otherwise_are_left_to_it(a, b):
    found, way = matmul(a, b)
    np.testing.assert_array_equal(found, np.matmul(a, b))
    assert way == "PythonCall"


# Errors.


def test_a_text_that_does_not_compile_is_told_with_its_text():
    text = KernelText("def kernel(p0):\n    p0[0] = no_such_word(p0[0])\n", "kernel",
                      (float32,), (), 0)  # fmt: skip
    kernel = Kernel((Axis("j", "grid"),), (Access("O", float32, "out", (1,)),), (),
                    (Stage((), (load("x", "O"), Let("y", "negative", ("x",), float32)),
                           (Store("O", "y"),)),), "j")  # fmt: skip
    compilation = cpu.prepare(Program((), (), (), 0, ()), {kernel: text})
    with pytest.raises(CompileError, match="no_such_word") as caught:
        compilation.result()
    assert "in the text" in str(caught.value)
    assert compilation.done
