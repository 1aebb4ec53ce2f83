"""Every form of kernel, from hand-built Kernels to machine code, against NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from cpu_kernels import (
    FLOATS,
    GRID_I,
    GRID_J,
    NUMBERS,
    REAL,
    SPECIAL,
    binary,
    compiled,
    load,
    program_of,
    run,
    same,
    values,
)

from dualflow.base.config import config
from dualflow.base.counters import stats
from dualflow.base.dtypes import (
    BY_NAME,
    bool_,
    float16,
    float32,
    float64,
    int32,
    int64,
    uint8,
)
from dualflow.base.errors import IndexingError
from dualflow.codegen.numba import emit
from dualflow.codegen.numba_values import literal
from dualflow.ir.kernel import Access, Axis, Check, Kernel, Let, Scalar, Stage, Store
from dualflow.runtime.by_numba import with_loop_hints

# Maps.


@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
@pytest.mark.parametrize("op", ["add", "multiply", "subtract"])
def test_arithmetic_wraps_and_rounds_as_numpy_does(op, dtype):
    x, y = values(dtype, 100), values(dtype, 100, seed=1)
    with np.errstate(all="ignore"):
        wanted = getattr(np, op)(x, y)
    same(run(binary(op, dtype), [x, y, (100,)], {"j": 100})[0], wanted)


@pytest.mark.parametrize("dtype", REAL, ids=str)
def test_comparisons_of_every_dtype_store_booleans(dtype):
    x, y = values(dtype, 50), values(dtype, 50, seed=1)
    y[::3] = x[::3]
    same(run(binary("less_equal", dtype, bool_), [x, y, (50,)], {"j": 50})[0], x <= y)


@pytest.mark.parametrize("dtype", [float16, *FLOATS], ids=str)
def test_special_values_and_signs_of_zero_are_kept(dtype):
    x, y = (a.ravel().astype(dtype) for a in np.meshgrid(SPECIAL, SPECIAL))
    with np.errstate(all="ignore"):
        for op in ("add", "multiply", "divide"):
            same(run(binary(op, dtype), [x, y, x.shape], {"j": x.size})[0], getattr(np, op)(x, y))


def test_a_product_and_a_sum_are_rounded_one_by_one():
    lets = (
        load("x", "X"),
        load("y", "Y"),
        Let("p", "multiply", ("x", "y"), float32),
        Let("q", "add", ("p", "c"), float32),
    )
    accesses = (
        Access("X", float32, "in", ("s", 1)),
        Access("Y", float32, "in", (0, 1)),
        Access("O", float32, "out", ("s", 1)),
    )
    kernel = Kernel(
        (GRID_I, GRID_J),
        accesses,
        (Scalar("c", float32),),
        (Stage((), lets, (Store("O", "q"),)),),
        "j",
    )
    x, y = values(float32, 9, 37), values(float32, 37, seed=1)
    found = run(kernel, [x, y, (9, 37)], {"i": 9, "j": 37}, [0.1])[0]
    same(found, x * y + np.float32(0.1))


def test_a_double_becomes_a_half_in_one_rounding():
    halves = np.arange(0x7C00, dtype=np.uint16).view(float16).astype(float64)
    middle = (halves[:-1] + halves[1:]) / 2
    x = np.concatenate(
        [
            middle,
            np.nextafter(middle, 0),
            np.nextafter(middle, 1e9),
            -middle,
            [65519.999, 65520.0, 1e300, -1e300, np.inf, np.nan, -0.0, 1e-30],
        ]
    )
    lets = (load("x", "X", float64), Let("h", "cast", ("x",), float16))
    accesses = (Access("X", float64, "in", (1,)), Access("O", float16, "out", (1,)))
    kernel = Kernel((GRID_J,), accesses, (), (Stage((), lets, (Store("O", "h"),)),), "j")
    with np.errstate(all="ignore"):
        same(run(kernel, [x, x.shape], {"j": x.size})[0], x.astype(float16))


def test_fast_numerics_may_round_a_product_and_a_sum_once():
    one = np.float32(1 + 2**-12)
    lets = (
        load("x", "X"),
        Let("p", "multiply", ("x", "x"), float32),
        Let("q", "subtract", ("p", "c"), float32),
    )
    accesses = (Access("X", float32, "in", (1,)), Access("O", float32, "out", (1,)))
    kernel = Kernel(
        (GRID_J,), accesses, (Scalar("c", float32),), (Stage((), lets, (Store("O", "q"),)),), "j"
    )
    x = np.full(64, one)
    given = ([x, (64,)], {"j": 64}, [float(one * one)])
    assert not run(kernel, *given)[0].any()
    with config(numerics="fast"):
        assert (run(kernel, *given)[0] == np.float32(2**-24)).all()


def test_several_outputs_of_different_dtypes():
    lets = (
        load("x", "X", int32),
        Let("c", "less", ("x", "x0"), bool_),
        Let("n", "cast", ("x",), float64),
    )
    accesses = (
        Access("X", int32, "in", (-1,)),
        Access("O", float64, "out", (1,)),
        Access("M", bool_, "out", (1,)),
    )
    kernel = Kernel(
        (GRID_J,),
        accesses,
        (Scalar("x0", int32),),
        (Stage((), lets, (Store("O", "n"), Store("M", "c"))),),
        "j",
    )
    x = np.arange(-5, 6, dtype=np.int32)
    found, mask = run(kernel, [x[::-1], (11,), (11,)], {"j": 11}, [0])
    same(found, x[::-1].astype(float64))
    same(mask, x[::-1] < 0)


def test_a_transposed_operand_is_walked_in_tiles():
    lets = (load("x", "X"), load("y", "Y"), Let("z", "add", ("x", "y"), float32))
    accesses = (
        Access("X", float32, "in", (1, "s")),
        Access("Y", float32, "in", ("s", 1)),
        Access("O", float32, "out", ("s", 1)),
    )
    kernel = Kernel((GRID_I, GRID_J), accesses, (), (Stage((), lets, (Store("O", "z"),)),), "j")
    assert ", 16):" in emit(kernel).source
    x, y = values(float32, 50, 35), values(float32, 35, 50, seed=1)
    same(run(kernel, [x.T, y, (35, 50)], {"i": 35, "j": 50})[0], x.T + y)


@pytest.mark.parametrize("dtype", [bool_, float16, float32, int32], ids=str)
def test_operands_in_steps_along_the_lanes_are_computed_on_copies(dtype):
    op = "logical_xor" if dtype == bool_ else "multiply"
    lets = (load("x", "X", dtype), load("y", "Y", dtype), Let("z", op, ("x", "y"), dtype))
    accesses = (
        Access("X", dtype, "in", ("s", "s")),
        Access("Y", dtype, "in", ("s", 1)),
        Access("O", dtype, "out", ("s", "s")),
    )
    kernel = Kernel((GRID_I, GRID_J), accesses, (), (Stage((), lets, (Store("O", "z"),)),), "j")
    assert emit(kernel).source.count("beside_p") >= 6
    x, y = values(dtype, 5, 3000)[:, ::3], values(dtype, 5, 1000, seed=1)
    with np.errstate(all="ignore"):
        wanted = x ^ y if dtype == bool_ else x * y
    same(run(kernel, [x, y, (5, 1000)], {"i": 5, "j": 1000})[0], wanted)


def test_what_all_rows_take_in_steps_is_copied_once():
    lets = (load("x", "X"), load("y", "Y"), Let("z", "multiply", ("x", "y"), float32))
    accesses = (
        Access("X", float32, "in", (0, "s")),
        Access("Y", float32, "in", ("s", 1)),
        Access("O", float32, "out", ("s", 1)),
    )
    kernel = Kernel((GRID_I, GRID_J), accesses, (), (Stage((), lets, (Store("O", "z"),)),), "j")
    before, rows = emit(kernel).source.split("for i0 in")
    assert "beside_p0[i1 - b1] = " in before
    assert "beside_p0[i1 - b1]" in rows
    x, y = values(float32, 5000, 3)[:, 1], values(float32, 7, 5000, seed=1)
    same(run(kernel, [x, y, (7, 5000)], {"i": 7, "j": 5000})[0], x * y)


def test_a_transposed_operand_of_costly_code_is_copied_by_tiles():
    lets = (load("x", "X"), Let("z", "exp", ("x",), float32))
    accesses = (Access("X", float32, "in", (1, "s")), Access("O", float32, "out", ("s", 1)))
    kernel = Kernel((GRID_I, GRID_J), accesses, (), (Stage((), lets, (Store("O", "z"),)),), "j")
    x = values(float32, 45, 70)
    found = run(kernel, [x.T, (70, 45)], {"i": 70, "j": 45})[0]
    np.testing.assert_allclose(found, np.exp(x.T), rtol=3e-7)


def test_an_element_may_be_replaced_where_it_lies():
    lets = (load("x", "X"), load("y", "Y"), Let("z", "add", ("x", "y"), float32))
    accesses = (Access("X", float32, "inout", ("s",)), Access("Y", float32, "in", (1,)))
    kernel = Kernel((GRID_J,), accesses, (), (Stage((), lets, (Store("X", "z"),)),), "j")
    x, y = np.zeros(600, np.float32), values(float32, 300, seed=1)
    program, inputs = program_of(kernel, [x[::2], y], {"j": 300})
    assert compiled(program).run(inputs) == []
    same(x[::2], y)
    assert not x[1::2].any()


def test_loads_under_a_predicate_pad():
    lets = (
        Let("k", "index", ("j",), int64),
        Let("low", "greater_equal", ("k", "p"), bool_),
        Let("high", "less", ("k", "q"), bool_),
        Let("in", "logical_and", ("low", "high"), bool_),
        Let("x", "load", ("X", "in", "v"), float32),
    )
    kernel = Kernel(
        (GRID_J,),
        (Access("X", float32, "in", (1,)), Access("O", float32, "out", (1,))),
        (Scalar("p", int64), Scalar("q", int64), Scalar("v", float32)),
        (Stage((), lets, (Store("O", "x"),)),),
        "j",
    )
    x = values(float32, 20)
    found = run(kernel, [x, (12,)], {"j": 12}, [2, 9, -7.5])[0]
    same(found, np.where((np.arange(12) >= 2) & (np.arange(12) < 9), x[:12], np.float32(-7.5)))


def test_constants_are_typed_and_exact():
    numbers = [
        (-0.0, float32),
        (0.1, float32),
        (0.1, float64),
        (math.inf, float32),
        (2**64 - 1, BY_NAME["uint64"]),
        (-(2**63), int64),
        (True, bool_),
    ]
    for value, dtype in numbers:
        let = Let("x", "constant", (repr(value),), dtype)
        kernel = Kernel(
            (GRID_J,),
            (Access("O", dtype, "out", (1,)),),
            (),
            (Stage((), (let,), (Store("O", "x"),)),),
            "j",
        )
        same(run(kernel, [(3,)], {"j": 3})[0], np.full(3, value, dtype))


# Gathers and checks.


def gather_kernel() -> Kernel:
    lets = (
        load("k", "K", int64),
        Let("zero", "constant", ("0",), int64),
        Let("low", "greater_equal", ("k", "zero"), bool_),
        Let("high", "less", ("k", "n"), bool_),
        Let("ok", "logical_and", ("low", "high"), bool_),
        Let("none", "constant", ("0.0",), float32),
        Let("x", "gather", ("X", "k", "ok", "none"), float32),
    )
    accesses = (
        Access("X", float32, "in", (0,)),
        Access("K", int64, "in", (1,)),
        Access("O", float32, "out", (1,)),
    )
    sinks = (Check("ok", 2), Store("O", "x"))
    return Kernel((GRID_J,), accesses, (Scalar("n", int64),), (Stage((), lets, sinks),), "j")


ERRORS = ((ZeroDivisionError, "never"), (IndexingError, "index out of bounds"))


def test_a_gather_takes_elements_by_position():
    x, k = values(float32, 40), np.random.default_rng(0).integers(0, 40, 100)
    same(run(gather_kernel(), [x, k, (100,)], {"j": 100}, [40], ERRORS)[0], x[k])


@pytest.mark.parametrize("bad", [-1, 40])
def test_a_failed_check_raises_the_error_of_its_code(bad):
    x, k = values(float32, 40), np.zeros(100, np.int64)
    k[63] = bad
    with pytest.raises(IndexingError, match="index out of bounds"):
        run(gather_kernel(), [x, k, (100,)], {"j": 100}, [40], ERRORS)


# Texts.


def test_names_do_not_matter_to_the_text():
    def kernel(x: str, i: str) -> Kernel:
        lets = (Let(x, "load", ("A" + x,), uint8), Let("r" + x, "add", (x, x), uint8))
        accesses = (Access("A" + x, uint8, "in", (1,)), Access("O", uint8, "out", (1,)))
        return Kernel(
            (Axis(i, "grid"),), accesses, (), (Stage((), lets, (Store("O", "r" + x),)),), i
        )

    assert emit(kernel("x", "i")) == emit(kernel("select", "range"))


def test_a_new_size_compiles_nothing():
    kernel = binary("atan2", float64)
    x = values(float64, 10)
    run(kernel, [x, x, (10,)], {"j": 10})
    before = stats()
    run(kernel, [x[:7], x[:7], (7,)], {"j": 7})
    after = stats()
    assert after["kernels_compiled"] == before["kernels_compiled"]
    assert after["kernel_launches"] == before["kernel_launches"] + 1


def test_an_op_without_a_spelling_is_refused():
    with pytest.raises(NotImplementedError, match="integer_power"):
        emit(binary("integer_power", int64))


def test_literals_are_typed():
    assert literal(0.1, float32) == "np.float32(0.10000000149011612)"
    assert literal(float("nan"), float64) == "np.float64(np.nan)"
    assert literal(-math.inf, float16) == "np.float32(-np.inf)"
    assert literal(1, bool_) == "True"


def test_marks_of_loops_become_hints_on_their_branches():
    module = """
define void @f() {
top:
  br label %loop
loop:
  call void @mark()
  br label %loop
other:
  br label %loop
}
declare void @mark()
"""
    lines = with_loop_hints(module, "mark").splitlines()
    assert sum("br label %loop" in line for line in lines) == 3
    (hinted,) = (line for line in lines if "!llvm.loop" in line and "br" in line)
    name = hinted.rpartition(" ")[2]
    assert lines[lines.index(hinted) - 1] == "loop:"
    assert any(line.startswith(f"{name} = distinct !{{{name}, ") for line in lines)
    assert not any("call void @mark" in line for line in lines)
