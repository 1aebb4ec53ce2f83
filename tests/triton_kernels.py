"""Kernels written by hand, and launches of their Triton texts in the interpreter, for tests."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
import pytest
from triton_interpreter import Interpreter, Job

from dualflow.base.dtypes import real_dtype
from dualflow.base.records import replaced
from dualflow.codegen.spelling import spelling
from dualflow.codegen.triton import emit
from dualflow.codegen.triton_variants import launch_grid, variant
from dualflow.ir.kernel import Access, Axis, Check, Fold, Keep, Kernel, Let, Scalar, Stage, Store
from dualflow.ir.op import CATALOGUE, Kind, Op
from dualflow.ops import primitives

F32, F64, F16 = map(np.dtype, ("float32", "float64", "float16"))
C64, C128 = np.dtype("complex64"), np.dtype("complex128")
I32, I64, BOOL = map(np.dtype, ("int32", "int64", "bool"))


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


def same(found: np.ndarray, expected: np.ndarray) -> None:
    """Bit for bit, but for the payload and sign of NaN."""
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    if found.dtype.kind == "f":
        signs = np.isnan(expected) | (np.signbit(found) == np.signbit(expected))
        assert signs.all()


def exact_softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    with np.errstate(all="ignore"):
        e = np.exp(x.astype(F64) - x.astype(F64).max(axis, keepdims=True))
        return (e / e.sum(axis, keepdims=True)).astype(x.dtype)


def load(name: str, access: str, dtype: np.dtype, *rest: str) -> Let:
    return Let(name, "load", (access, *rest), dtype)


def map_kernel(lets, stores, accesses, rank=1, scalars=(), checks=()) -> Kernel:
    axes = tuple(Axis("ijk"[n], "grid") for n in range(rank))
    sinks = (*checks, *(Store(access, value) for access, value in stores))
    return Kernel(axes, accesses, scalars, (Stage((), tuple(lets), sinks),), axes[-1].name).verify()


def row_kernel(accesses, stages, scalars=()) -> Kernel:
    axes = (Axis("i", "grid"), Axis("j", "loop"))
    return Kernel(axes, accesses, scalars, stages, "j").verify()


def softmax_stages(over: str, keep: bool, dtype: np.dtype = F32) -> tuple[Stage, ...]:
    x = load("x", "X", dtype)
    e = (x, Let("d", "subtract", ("x", "m"), dtype), Let("e", "exp", ("d",), dtype))
    kept = (Keep("k", "e", dtype),) if keep else ()
    last = () if keep else e
    y = Let("y", "divide", ("k" if keep else "e", "s"), dtype)
    return (
        Stage((over,), (x,), (Fold("m", "max", "x", dtype),)),
        Stage((over,), e, (Fold("s", "sum", "e", dtype), *kept)),
        Stage((over,), (*last, y), (Store("O", "y"),)),
    )


def softmax(inner: int | str = 1, keep: bool = True, dtype: np.dtype = F32) -> Kernel:
    accesses = (Access("X", dtype, "in", ("s", inner)), Access("O", dtype, "out", ("s", 1)))
    return row_kernel(accesses, softmax_stages("j", keep, dtype))


def softmax_of_columns() -> Kernel:
    accesses = (Access("X", F32, "in", (1, "s")), Access("O", F32, "out", (1, "s")))
    axes = (Axis("j", "grid"), Axis("r", "loop"))
    return Kernel(axes, accesses, (), softmax_stages("r", keep=False), "j").verify()


def fold_kernel(op: str, source: np.dtype, result: np.dtype, form: str = "row") -> Kernel:
    """A reduction of a matrix along its rows, or (form "column") along its columns."""
    axes = (Axis("i", "grid"), Axis("j", "loop"))
    strides, lanes = (("s", 1), "j") if form == "row" else ((1, "s"), "i")
    accesses = (Access("X", source, "in", strides), Access("O", result, "out", (1, 0)))
    stages = (
        Stage(("j",), (load("x", "X", source),), (Fold("f", op, "x", result),)),
        Stage((), (), (Store("O", "f"),)),
    )
    return Kernel(axes, accesses, (), stages, lanes).verify()


def layer_norm() -> Kernel:
    """Two folds, a kept difference, and a scale and a shift that are broadcast over rows."""
    x = load("x", "X", F32)
    mean = (x, Let("mu", "multiply", ("sx", "rn"), F32), Let("d", "subtract", ("x", "mu"), F32))
    norm = (
        Let("v", "multiply", ("sq", "rn"), F32), Let("w", "add", ("v", "eps"), F32),
        Let("r", "sqrt", ("w",), F32), Let("h", "divide", ("kd", "r"), F32),
        load("g", "G", F32), load("b", "C", F32),
        Let("hg", "multiply", ("h", "g"), F32), Let("y", "add", ("hg", "b"), F32),
    )  # fmt: skip
    stages = (
        Stage(("j",), (x,), (Fold("sx", "sum", "x", F32),)),
        Stage(("j",), (*mean, Let("q", "multiply", ("d", "d"), F32)),
              (Fold("sq", "sum", "q", F32), Keep("kd", "d", F32))),
        Stage(("j",), norm, (Store("O", "y"),)),
    )  # fmt: skip
    accesses = (
        Access("X", F32, "in", ("s", 1)), Access("G", F32, "in", (0, 1)),
        Access("C", F32, "in", (0, 1)), Access("O", F32, "out", ("s", 1)),
    )  # fmt: skip
    return row_kernel(accesses, stages, (Scalar("rn", F32), Scalar("eps", F32)))


def cross_entropy() -> Kernel:
    """log(sum(exp(x - max))) + max - x[label]: a gather at a checked position."""
    x = load("x", "X", F32)
    e = (x, Let("d", "subtract", ("x", "m"), F32), Let("e", "exp", ("d",), F32))
    pick = (
        load("t", "T", I64), Let("zero", "constant", ("0",), I64),
        Let("low", "greater_equal", ("t", "zero"), BOOL), Let("high", "less", ("t", "width"), BOOL),
        Let("ok", "logical_and", ("low", "high"), BOOL), Let("nan", "constant", ("nan",), F32),
        Let("p", "gather", ("P", "t", "ok", "nan"), F32), Let("l", "log", ("s",), F32),
        Let("lm", "add", ("l", "m"), F32), Let("y", "subtract", ("lm", "p"), F32),
    )  # fmt: skip
    stages = (
        Stage(("j",), (x,), (Fold("m", "max", "x", F32),)),
        Stage(("j",), e, (Fold("s", "sum", "e", F32),)),
        Stage((), pick, (Check("ok", 7), Store("O", "y"))),
    )
    accesses = (
        Access("X", F32, "in", ("s", 1)), Access("T", I64, "in", (1, 0)),
        Access("P", F32, "in", ("s", 0)), Access("O", F32, "out", (1, 0)),
    )  # fmt: skip
    return row_kernel(accesses, stages, (Scalar("width", I64),))


def chain(rank: int = 2) -> Kernel:
    """tanh(a * b + row)."""
    big, row = {1: ((1,), (1,)), 2: (("s", 1), (0, 1)), 3: (("s", "s", 1), (0, 0, 1))}[rank]
    lets = (
        load("a", "A", F32), load("b", "B", F32), load("c", "C", F32),
        Let("p", "multiply", ("a", "b"), F32), Let("q", "add", ("p", "c"), F32),
        Let("t", "tanh", ("q",), F32),
    )  # fmt: skip
    accesses = tuple(
        Access(name, F32, mode, strides)
        for name, mode, strides in (("A", "in", big), ("B", "in", big), ("C", "in", row),
                                    ("O", "out", big))
    )  # fmt: skip
    return map_kernel(lets, [("O", "t")], accesses, rank)


def spelled_ops() -> list[tuple[str, np.dtype]]:
    """Each elementwise op of the catalogue with each kind of operand that it takes."""
    assert primitives.add.op.spelling["triton"]
    dtypes = [BOOL, np.dtype("int8"), I32, np.dtype("uint8"), np.dtype("uint64"), F16, F32, F64,
              C64, C128]  # fmt: skip
    return [
        (op.name, dtype)
        for op in CATALOGUE.values()
        if op.kind is Kind.ELEMENTWISE
        and "triton" in op.spelling
        and op.name not in ("cast", "bitcast")
        for dtype in dtypes
        if dtype.kind in op.rule.accepts and (dtype.kind != "c" or spells_complex(op))
    ]


def spells_complex(op: Op) -> bool:
    """Whether the record spells the op for complex numbers."""
    spelled = op.spelling["triton"]
    return isinstance(spelled, dict) and any("c" in letters for letters in spelled)


def op_kernel(names: Sequence[str], dtype: np.dtype) -> Kernel:
    """Ops on x and y (and the condition x == x), each to an output of its own."""
    lets = [load("x", "X", dtype), load("y", "Y", dtype), Let("c", "equal", ("x", "x"), BOOL)]
    accesses = [Access("X", dtype, "in", (1,)), Access("Y", dtype, "in", (1,))]
    stores = []
    for n, name in enumerate(names):
        op = CATALOGUE[name]
        template = spelling(name, "triton", dtype, dtype.kind == "c")
        count = template.count("{2}") + 1 + ("{1}" in template)
        result = op.rule.result or (real_dtype(dtype) if op.rule.to_real else dtype)
        operands = ("c", "x", "y") if op.rule.condition else ("x", "y")[:count]
        lets.append(Let(f"r{n}", name, operands, result))
        accesses.append(Access(f"O{n}", result, "out", (1,)))
        stores.append((f"O{n}", f"r{n}"))
    return map_kernel(lets, stores, tuple(accesses))


# Launches in the interpreter.


def numbers(kernel: Kernel, arrays: Sequence[np.ndarray], **sizes: int) -> list[int]:
    """The integers of a launch: an array has a dimension for each axis that its access moves on."""
    found: dict[str, int] = {}
    for access, array in zip(kernel.accesses, arrays, strict=True):
        moving = [a.name for a, s in zip(kernel.axes, access.strides, strict=True) if s != 0]
        for axis, size, step in zip(moving, array.shape, array.strides, strict=True):
            sizes.setdefault(axis, size)
            found[f"{access.name}_{axis}"] = step // array.itemsize
    for axis, size in sizes.items():
        found |= {f"lo_{axis}": 0, f"hi_{axis}": size, f"n_{axis}": size}
    return [found[name] for name in kernel.integers()]


def memory_of(array: np.ndarray) -> tuple[np.ndarray, int]:
    """All bytes of the array that `array` shows, and where its first element lies in them."""
    root = array
    while isinstance(root.base, np.ndarray):
        root = root.base
    low, high = np.lib.array_utils.byte_bounds(root)
    memory = (ctypes.c_char * (high - low)).from_address(low)
    return np.frombuffer(memory, np.uint8), array.ctypes.data - low


def launch(
    process: Interpreter, kernel: Kernel, arrays: Sequence[np.ndarray],
    scalars: Sequence[object] = (), blocks: tuple[int, ...] = (), **sizes: int,
) -> int:  # fmt: skip
    """Run `kernel` on the arrays' own memory, in tiles of `blocks` if given; the status word."""
    text = emit(kernel)
    integers = numbers(kernel, arrays, **sizes)
    chosen = variant(kernel, integers, [True] * len(arrays))
    chosen = replaced(chosen, constexprs=blocks or chosen.constexprs)
    memory = [memory_of(array) for array in arrays]
    status = np.zeros(1, np.int64)
    roots = [root for root, _ in memory] + [status.view(np.uint8)]
    offsets = [offset for _, offset in memory] + [0]
    pointers = [(n, offsets[n], dtype) for n, dtype in enumerate(text.pointers)]
    wide = np.int32 if chosen.indices == "i32" else np.int64
    left = process.launch(
        Job(text.source, text.name, roots, pointers,
            [s.dtype.type(v) for s, v in zip(kernel.scalars, scalars, strict=True)],
            [wide(n) for n in integers], chosen.constexprs,
            launch_grid(kernel, integers, chosen)),
    )  # fmt: skip
    for n, after in enumerate(left):
        if n == len(arrays) or kernel.accesses[n].mode != "in":
            roots[n][:] = after
    return int(status[0])
