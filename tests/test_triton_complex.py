"""Complex numbers in Triton texts: every op, cast, fold and access, in Triton's interpreter."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from test_codegen_triton_ahead import accesses_in, spilled
from triton_interpreter import Interpreter
from triton_kernels import (
    BOOL,
    C64,
    C128,
    F16,
    F32,
    F64,
    I64,
    launch,
    load,
    map_kernel,
    row_kernel,
    spelled_ops,
)

from dualflow.codegen.triton import emit
from dualflow.codegen.triton_variants import variant
from dualflow.ir.kernel import Access, Fold, Keep, Let, Stage, Store
from dualflow.ir.op import CATALOGUE, Kind
from dualflow.runtime.gpu.compile import build

pytest.importorskip("triton")

PARTS = (0.0, -0.0, 1.0, -1.0, 0.5, -2.5, np.inf, -np.inf, np.nan, 3.5, 30.0, -90.0)
#: Beyond any square, and so far from the axes that only one function survives them.
FAR = {C64: (1e-30, 1e30), C128: (1e-300, 1e300)}


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory) -> Iterator[Interpreter]:
    process = Interpreter(tmp_path_factory.mktemp("triton"))
    yield process
    process.close()


def numbers(dtype: np.dtype, far: bool = False) -> np.ndarray:
    """Every pair of parts."""
    parts = [*PARTS, *(FAR[dtype] if far else ())]
    rng = np.random.default_rng(0)
    parts += list(rng.standard_normal(6) * 2)
    re, im = np.meshgrid(np.array(parts), np.array(parts))
    out = np.empty(re.size, dtype)
    out.real, out.imag = re.ravel(), im.ravel()
    return out


SPELLED = [name for name, dtype in spelled_ops() if dtype == C64]


def test_what_the_other_backend_computes_of_complex_numbers_is_spelled_too():
    by_numba = {
        op.name for op in CATALOGUE.values()
        if op.kind is Kind.ELEMENTWISE and "c" in getattr(op.rule, "accepts", "c")
        and isinstance(op.spelling.get("numba"), dict)
        and any("c" in letters for letters in op.spelling["numba"])
    }  # fmt: skip
    assert by_numba == {*SPELLED, "cast"}


def close(found: np.ndarray, expected: np.ndarray) -> None:
    """Each part within 4 units in the last place where it is finite; else the same but for signs,
    which C leaves open."""
    real = found.real.dtype
    for one, other in ((found.real, expected.real), (found.imag, expected.imag)):
        plain = np.isfinite(other)
        np.testing.assert_allclose(
            one[plain], other[plain], 4 * np.finfo(real).eps, np.finfo(real).smallest_subnormal
        )
        np.testing.assert_array_equal(np.abs(one[~plain]), np.abs(other[~plain]))


def run(interpreter, lets, given, result: np.dtype) -> np.ndarray:
    """What the scalar code `lets` makes, as `r`, of arrays by their names."""
    loads = tuple(load(name, name.upper(), array.dtype) for name, array in given.items())
    accesses = [Access(name.upper(), array.dtype, "in", (1,)) for name, array in given.items()]
    accesses.append(Access("O", result, "out", (1,)))
    out = np.zeros(len(next(iter(given.values()))), result)
    kernel = map_kernel((*loads, *lets), [("O", "r")], tuple(accesses))
    for blocks in ((), (64,)):
        launch(interpreter, kernel, [*given.values(), out], blocks=blocks)
    return out


@pytest.mark.parametrize("dtype", [C64, C128], ids=str)
@pytest.mark.parametrize("name", SPELLED)
def test_an_op(interpreter, name, dtype):
    op = CATALOGUE[name]
    x = numbers(dtype, name in ("log", "log2", "log10", "sqrt", "abs", "multiply"))
    two = op.rule.condition or "{1}" in op.spelling["triton"].get("c", "")
    given = {"x": x, "y": np.roll(x, 7)} if two else {"x": x}
    given = {"c": x.real > 0, **given} if op.rule.condition else given
    with np.errstate(all="ignore"):
        expected = np.asarray(op.numpy(*given.values()))
        wide = [a.astype(np.clongdouble) if a.dtype == dtype else a for a in given.values()]
        right = np.asarray(op.numpy(*wide)).astype(expected.dtype)
    found = run(interpreter, (Let("r", name, tuple(given), expected.dtype),), given, expected.dtype)
    if expected.dtype.kind == "b" or op.is_exact(np.dtype(dtype)):  # NumPy fuses as kernels do
        np.testing.assert_array_equal(found, expected)
    elif expected.dtype.kind == "f":
        np.testing.assert_allclose(found, right, rtol=4 * np.finfo(found.dtype).eps)
    else:
        close(found, right)


@pytest.mark.parametrize("source", [BOOL, I64, F16, F32, F64, C64, C128], ids=str)
@pytest.mark.parametrize("target", [BOOL, C64, C128], ids=str)
def test_casts(interpreter, source, target):
    values = np.array([0, 1, 2.5, -3, 0]) if source.kind != "c" else np.array([0, 1, 2j, 3 - 1j])
    values = values.astype(source)
    found = run(interpreter, (Let("r", "cast", ("x",), target),), {"x": values}, target)
    np.testing.assert_array_equal(found, values.astype(target))


def test_pairs_padding_and_gathers(interpreter):
    """Numbers made of parts, elements beyond an edge, and elements at a computed place."""
    rng = np.random.default_rng(1)
    for dtype, part in ((C64, F32), (C128, F64)):
        x = (rng.standard_normal(40) + 1j * rng.standard_normal(40)).astype(dtype)
        at, keep = rng.integers(0, 40, 90), rng.random(90) > 0.5
        lets = (load("t", "T", I64), load("k", "K", BOOL), load("u", "U", part),
                Let("two", "constant", ("2.0",), part), Let("p", "pair", ("u", "two"), dtype),
                Let("r", "gather", ("X", "t", "k", "p"), dtype))  # fmt: skip
        accesses = (Access("T", I64, "in", (1,)), Access("K", BOOL, "in", (1,)),
                    Access("U", part, "in", (1,)), Access("X", dtype, "in", (0,)),
                    Access("O", dtype, "out", (1,)))  # fmt: skip
        out, u = np.zeros(90, dtype), rng.standard_normal(90).astype(part)
        kernel = map_kernel(lets, [("O", "r")], accesses)
        launch(interpreter, kernel, [at, keep, u, x[:1].reshape(()), out])
        np.testing.assert_array_equal(out, np.where(keep, x[at], u + dtype.type(2j)))


@pytest.mark.parametrize("blocks", [(), (2, 16, 0)])
@pytest.mark.parametrize("dtype", [C64, C128], ids=str)
def test_rows_of_strided_numbers_are_normalised(interpreter, dtype, blocks):
    """Folds of parts, a kept number, and a number over a fold; every second column, backwards."""
    part = F32 if dtype == C64 else F64
    x = load("x", "X", dtype)
    size = (x, Let("a", "abs", ("x",), part), Let("q", "multiply", ("a", "a"), part))
    last = (Let("n", "sqrt", ("s",), part), Let("c", "cast", ("n",), dtype),
            Let("y", "divide", ("k", "c"), dtype))  # fmt: skip
    stages = (
        Stage(("j",), size, (Fold("s", "sum", "q", part), Keep("k", "x", dtype))),
        Stage(("j",), last, (Store("O", "y"),)),
    )
    accesses = (Access("X", dtype, "in", ("s", "s")), Access("O", dtype, "out", ("s", 1)))
    kernel = row_kernel(accesses, stages)
    rng = np.random.default_rng(2)
    given = (rng.standard_normal((5, 80)) + 1j * rng.standard_normal((5, 80))).astype(dtype)
    given, out = given[:, ::-2], np.zeros((5, 40), dtype)
    launch(interpreter, kernel, [given, out], blocks=blocks)
    norm = np.sqrt((np.abs(given) ** 2).sum(1, keepdims=True))
    np.testing.assert_allclose(out, given / norm, rtol=8 * np.finfo(part).eps)


def test_a_number_is_written_where_it_is_read(interpreter):
    for dtype in (C64, C128):
        x = (np.arange(100) + 1j).astype(dtype)
        expected = x * x
        lets = (load("x", "X", dtype), Let("y", "multiply", ("x", "x"), dtype))
        kernel = map_kernel(lets, [("X", "y")], (Access("X", dtype, "inout", (1,)),))
        launch(interpreter, kernel, [x])
        np.testing.assert_array_equal(x, expected)


@pytest.mark.parametrize("dtype", [C64, C128], ids=str)
def test_machine_code_moves_16_bytes_at_a_time_and_spills_nothing(dtype, tmp_path):
    lets = (load("x", "X", dtype), load("y", "Y", dtype), Let("r", "divide", ("x", "y"), dtype))
    accesses = (Access("X", dtype, "in", (1,)), Access("Y", dtype, "in", (1,)),
                Access("O", dtype, "out", (1,)))  # fmt: skip
    kernel = map_kernel(lets, [("O", "r")], accesses)
    chosen = variant(kernel, [0, 4096], [True] * 3)
    for capability in (80, 90):
        ptx = build(emit(kernel), chosen, ("cuda", capability, 32)).asm["ptx"]
        for kind in ("ld", "st"):
            wide, narrow = accesses_in(ptx, kind)
            assert wide > 0
            assert narrow == 0 or dtype == C64  # the masked tile at the end
        assert spilled(ptx, tmp_path, capability) == 0
    asm = build(emit(kernel), chosen, ("hip", "gfx942", 64)).asm["amdgcn"]
    assert "global_load_dwordx4" in asm
