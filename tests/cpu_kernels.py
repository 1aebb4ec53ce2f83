"""Kernels built by hand, and a way to run one on arrays.

Comes in: a Kernel, an array (inputs) or a shape (outputs) for each access, sizes of its axes. Goes
out: the output arrays, computed by machine code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

import dualflow.ops.primitives  # noqa: F401  # fills the catalogue
from dualflow.base.dtypes import BY_NAME, bool_, float32, float64, int64, is_complex
from dualflow.codegen.numba import emit
from dualflow.ir.kernel import Access, Axis, Fold, Keep, Kernel, Let, Stage, Store
from dualflow.ir.program import Buffer, Launch, Operand, Program
from dualflow.ir.types import View
from dualflow.runtime import cpu

GRID_I, GRID_J, LOOP_J, LOOP_R = (
    Axis("i", "grid"),
    Axis("j", "grid"),
    Axis("j", "loop"),
    Axis("r", "loop"),
)
Given = np.ndarray | tuple[int, ...]


def program_of(
    kernel: Kernel,
    given: Sequence[Given],
    sizes: Mapping[str, int],
    scalars: Sequence[bool | int | float] = (),
    errors: Sequence[tuple[type[Exception], str]] = (),
) -> tuple[Program, list[np.ndarray]]:
    """A program of one launch, and its inputs. Axes of an array are those its access moves on."""
    kernel.verify()
    places: dict[str, list[Operand]] = {"input": [], "output": []}
    operands, integers = [], {}
    for access, value in zip(kernel.accesses, given, strict=True):
        if isinstance(value, tuple):
            view = View.contiguous(value)
        else:
            view = View(value.shape, tuple(step // value.itemsize for step in value.strides))
        place = "output" if access.mode == "out" else "input"
        group = places[place]
        nbytes = int(np.prod(view.shape)) * access.dtype.itemsize
        operand = Operand(Buffer(place, len(group), nbytes), access.dtype, view)
        group.append(operand)
        operands.append(operand)
        moving = [a.name for a, s in zip(kernel.axes, access.strides, strict=True) if s != 0]
        integers |= {f"{access.name}_{a}": s for a, s in zip(moving, view.strides, strict=False)}
    for axis in kernel.axes:
        size = sizes[axis.name]
        integers |= {f"lo_{axis.name}": 0, f"hi_{axis.name}": size, f"n_{axis.name}": size}
    numbers = tuple(integers[name] for name in kernel.integers())
    launch = Launch(kernel, tuple(operands), numbers, tuple(scalars))
    program = Program(
        tuple(places["input"]), tuple(places["output"]), (launch,), 0, (), tuple(errors)
    )
    return program, [value for value in given if isinstance(value, np.ndarray)]


def compiled(program: Program) -> cpu.Executable:
    texts = {launch.kernel: emit(launch.kernel) for launch in program.launches}
    return cpu.prepare(program, texts).result()


def run(
    kernel: Kernel, given: Sequence[Given], sizes: Mapping[str, int], *rest
) -> list[np.ndarray]:
    """The outputs of one launch of `kernel`."""
    program, inputs = program_of(kernel, given, sizes, *rest)
    return compiled(program).run(inputs)


def load(name: str, access: str, dtype: np.dtype = float32) -> Let:
    return Let(name, "load", (access,), dtype)


def binary(op: str, dtype: np.dtype, result: np.dtype | None = None) -> Kernel:
    """O[j] = op(X[j], Y[j])."""
    out = result or dtype
    lets = (load("x", "X", dtype), load("y", "Y", dtype), Let("z", op, ("x", "y"), out))
    accesses = (Access("X", dtype, "in", (1,)), Access("Y", dtype, "in", (1,)),
                Access("O", out, "out", (1,)))  # fmt: skip
    return Kernel((GRID_J,), accesses, (), (Stage((), lets, (Store("O", "z"),)),), "j")


def reduce_rows(op: str, dtype: np.dtype, result: np.dtype | None = None) -> Kernel:
    """O[i] = op over j of X[i, j]; lanes on the loop."""
    out = result or dtype
    accesses = (Access("X", dtype, "in", ("s", 1)), Access("O", out, "out", (1, 0)))
    stages = (
        Stage(("j",), (load("x", "X", dtype),), (Fold("f", op, "x", out),)),
        Stage((), (), (Store("O", "f"),)),
    )
    return Kernel((GRID_I, LOOP_J), accesses, (), stages, "j")


def reduce_columns(op: str, dtype: np.dtype, result: np.dtype | None = None) -> Kernel:
    """O[j] = op over r of X[j, r], where X is a transposed row-major matrix; lanes on the grid."""
    out = result or dtype
    accesses = (Access("X", dtype, "in", (1, "s")), Access("O", out, "out", (1, 0)))
    stages = (
        Stage(("r",), (load("x", "X", dtype),), (Fold("f", op, "x", out),)),
        Stage((), (), (Store("O", "f"),)),
    )
    return Kernel((GRID_J, LOOP_R), accesses, (), stages, "j")


def softmax(keep: bool, dtype: np.dtype = float32) -> Kernel:
    """Rows of X; the exponentials are kept in row scratch, or computed twice."""
    exponential = (
        load("y", "X", dtype),
        Let("d", "subtract", ("y", "m"), dtype),
        Let("e", "exp", ("d",), dtype),
    )
    again = (
        load("y2", "X", dtype),
        Let("d2", "subtract", ("y2", "m"), dtype),
        Let("e2", "exp", ("d2",), dtype),
    )
    fold = Fold("s", "sum", "e", dtype)
    kept = (Keep("k", "e", dtype),) if keep else ()
    divide = Let("q", "divide", ("k" if keep else "e2", "s"), dtype)
    stages = (
        Stage(("j",), (load("x", "X", dtype),), (Fold("m", "max", "x", dtype),)),
        Stage(("j",), exponential, (fold, *kept)),
        Stage(("j",), (*(() if keep else again), divide), (Store("O", "q"),)),
    )
    accesses = (Access("X", dtype, "in", ("s", 1)), Access("O", dtype, "out", ("s", 1)))
    return Kernel((GRID_I, LOOP_J), accesses, (), stages, "j")


INT64 = int64


# What kernels are tried on, and compared with.

REAL = [dtype for dtype in BY_NAME.values() if not is_complex(dtype)]  # what kernels hold
NUMBERS = [dtype for dtype in REAL if dtype != bool_]
FLOATS = [float32, float64]
SPECIAL = np.array([0.0, -0.0, 1.5, -2.25, np.inf, -np.inf, np.nan, 1e-30, 7.0])


def values(dtype: np.dtype, *shape: int, seed: int = 0) -> np.ndarray:
    """Values of the whole range of an integer dtype, or normal ones."""
    rng = np.random.default_rng(seed)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    if dtype == bool_:
        return rng.integers(0, 2, shape).astype(bool)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def same(found: np.ndarray, wanted: np.ndarray) -> None:
    """Equal bits, but for the payload and sign of NaN."""
    np.testing.assert_array_equal(found, wanted, strict=True)
    if wanted.dtype.kind == "f":
        real = ~np.isnan(wanted)
        np.testing.assert_array_equal(np.signbit(found[real]), np.signbit(wanted[real]))
