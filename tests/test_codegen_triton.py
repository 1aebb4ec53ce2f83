"""Triton texts in Triton's interpreter, against NumPy: every form of kernel.

Nothing is launched on a GPU; the interpreter runs in a process of its own.
"""

from __future__ import annotations

import numpy as np
import pytest
from gpu_stand_in import interpreter  # noqa: F401 - fixture
from triton_interpreter import Job
from triton_kernels import (
    BOOL,
    F16,
    F32,
    F64,
    I32,
    I64,
    chain,
    cross_entropy,
    exact_softmax,
    fold_kernel,
    launch,
    layer_norm,
    load,
    map_kernel,
    numbers,
    random,  # noqa: F401 - fixture
    same,
    softmax,
    softmax_of_columns,
)

from dualflow.codegen.triton import emit
from dualflow.codegen.triton_variants import launch_grid, variant
from dualflow.ir.kernel import Access, Axis, Fold, Kernel, Let, Scalar, Stage, Store
from dualflow.ir.op import CATALOGUE

pytest.importorskip("triton")


@pytest.mark.parametrize("blocks", [(), (2, 32, 0), (1, 128, 1)])
@pytest.mark.parametrize("keep", [True, False])
def test_softmax_of_strided_rows_and_of_any_batch(interpreter, random, keep, blocks):  # noqa: F811
    kernel = softmax(keep=keep)
    for batch in (5, 37):
        x = random.standard_normal((batch, 150)).astype(F32)[:, 20:120]
        out = np.zeros((batch, 100), F32)
        launch(interpreter, kernel, [x, out], blocks=blocks)
        np.testing.assert_allclose(out, exact_softmax(x), rtol=3e-6)


@pytest.mark.parametrize("blocks", [(2, 4, 1), (1, 2, 0)])
def test_softmax_of_nan_infinities_and_zeros(interpreter, blocks):  # noqa: F811
    x = np.array([[1, 2, np.nan, 4], [np.inf, 1, 2, 3], [-np.inf] * 4, [-0.0] * 4,
                  [1000, -1000, 0, 5]], F32)  # fmt: skip
    out = np.zeros_like(x)
    launch(interpreter, softmax(), [x, out], blocks=blocks)
    np.testing.assert_allclose(out, exact_softmax(x), rtol=1e-6)


def test_long_rows_are_read_twice_for_a_softmax(interpreter):  # noqa: F811
    """Once for the maximum and the sum together, once for the result; however the maximum rises."""
    source = emit(softmax()).source
    assert source.partition("else:")[2].count("for b1 in range") == 2
    assert source.count("scaled(f1t, f0o, f0b)") == 1
    x = np.linspace(-300, 300, 3 * 200, dtype=F32).reshape(3, 200)
    x[1] = -np.inf
    x[1, 150] = 5.0
    x[2, 190] = np.nan
    out = np.empty_like(x)
    launch(interpreter, softmax(), [x, out], blocks=(2, 16, 0))
    np.testing.assert_allclose(out, exact_softmax(x), rtol=1e-6, atol=1e-37)


def test_softmax_of_every_second_element_and_of_nothing(interpreter, random):  # noqa: F811
    x = random.standard_normal((5, 200)).astype(F32)[:, ::2]
    out = np.zeros((5, 100), F32)
    launch(interpreter, softmax("s"), [x, out])
    np.testing.assert_allclose(out, exact_softmax(x), rtol=3e-6)
    launch(interpreter, softmax(), [x[:0], out[:0]])
    launch(interpreter, softmax(), [x[:, :0].copy(), out[:, :0].copy()])


def test_softmax_along_columns(interpreter, random):  # noqa: F811
    x = random.standard_normal((100, 70)).astype(F32)
    out = np.zeros_like(x)
    launch(interpreter, softmax_of_columns(), [x.T, out.T])
    np.testing.assert_allclose(out, exact_softmax(x, 0), rtol=3e-6)


def test_float64_softmax(interpreter, random):  # noqa: F811
    x = random.standard_normal((3, 300))
    for blocks in ((2, 512, 1), (2, 64, 0)):
        out = np.zeros_like(x)
        launch(interpreter, softmax(dtype=F64), [x, out], blocks=blocks)
        np.testing.assert_allclose(out, exact_softmax(x), rtol=1e-14)


@pytest.mark.parametrize("form", ["row", "column"])
@pytest.mark.parametrize(
    ("op", "source", "result"),
    [("sum", F32, F32), ("sum", F64, F64), ("sum", I32, I64), ("sum", BOOL, I64),
     ("sum", F16, F16), ("prod", F32, F32), ("max", F32, F32), ("min", F64, F64),
     ("max", I32, I32), ("max", BOOL, BOOL), ("any", BOOL, BOOL), ("all", BOOL, BOOL),
     ("min", np.dtype("uint64"), np.dtype("uint64")), ("min", np.dtype("int8"), np.dtype("int8")),
     ("argmax", F32, I64), ("argmin", I32, I64), ("argmax", BOOL, I64)],
)  # fmt: skip
def test_reductions(interpreter, random, form, op, source, result):  # noqa: F811
    x = random.standard_normal((6, 90)) * (1 if source.kind == "f" else 2)
    x = np.abs(x).astype(source) if source.kind in "bu" else x.astype(source)
    if source.kind == "f" and op != "prod":
        x[1, 3], x[2, 4], x[3, 5], x[4, :] = np.nan, np.inf, -np.inf, -np.inf
        x[5, 2] = x[5, 60] = np.nan
    if source == BOOL and op == "any":
        x[:3] = False
    kernel = fold_kernel(op, source, result, form)
    with np.errstate(all="ignore"):
        expected = CATALOGUE[op].numpy(x, axes=(1,))
    rows = [(), (2, 32, 0), (4, 128, 1)] if form == "row" else [(), (16, 4)]
    for blocks in rows:
        out = np.zeros(6, result)
        array = np.asfortranarray(x) if form == "column" else x
        launch(interpreter, kernel, [array, out], blocks=blocks)
        if result.kind == "f" and op in ("sum", "prod"):
            np.testing.assert_allclose(out, expected, rtol=8 * np.finfo(result).eps)
        else:
            np.testing.assert_array_equal(out, expected)


def test_a_long_float64_sum_is_as_accurate_as_numpy(interpreter, random):  # noqa: F811
    x = random.standard_normal((2, 3000)) * 10.0 ** random.integers(-8, 9, (2, 3000))
    exact = x.astype(np.longdouble).sum(1)
    out = np.zeros(2)
    launch(interpreter, fold_kernel("sum", F64, F64), [x, out], blocks=(2, 16, 0))
    assert (np.abs(out - exact) <= np.abs(x.sum(1) - exact) + np.spacing(out)).all()


def test_a_sum_over_two_axes_and_of_nothing(interpreter, random):  # noqa: F811
    axes = (Axis("i", "grid"), Axis("a", "loop"), Axis("b", "loop"))
    accesses = (Access("X", F32, "in", ("s", "s", 1)), Access("O", F32, "out", (1, 0, 0)),
                Access("P", I64, "out", (1, 0, 0)))  # fmt: skip
    folds = (Fold("f", "sum", "x", F32), Fold("g", "argmax", "x", I64))
    stages = (Stage(("a", "b"), (load("x", "X", F32),), folds),
              Stage((), (), (Store("O", "f"), Store("P", "g"))))  # fmt: skip
    kernel = Kernel(axes, accesses, (), stages, "b").verify()
    x = random.standard_normal((3, 5, 40)).astype(F32)
    out, place = np.zeros(3, F32), np.zeros(3, I64)
    launch(interpreter, kernel, [x, out, place], blocks=(2, 16))
    np.testing.assert_allclose(out, x.sum((1, 2)), rtol=1e-5)
    np.testing.assert_array_equal(place, x.reshape(3, -1).argmax(1))
    launch(interpreter, fold_kernel("sum", F32, F32), [x[0, :3, :0].copy(), out])
    assert (out == 0).all()


def test_a_full_reduction_without_grid_axes(interpreter, random):  # noqa: F811
    accesses = (Access("X", F32, "in", (1,)), Access("O", F32, "out", (0,)))
    stages = (Stage(("j",), (load("x", "X", F32),), (Fold("f", "max", "x", F32),)),
              Stage((), (), (Store("O", "f"),)))  # fmt: skip
    kernel = Kernel((Axis("j", "loop"),), accesses, (), stages, "j").verify()
    x = random.standard_normal(500).astype(F32)
    for blocks in ((512, 1), (64, 0)):
        out = np.zeros((), F32)
        launch(interpreter, kernel, [x, out], blocks=blocks)
        assert out == x.max()


@pytest.mark.parametrize("blocks", [(), (2, 16, 0)])
def test_layer_norm(interpreter, random, blocks):  # noqa: F811
    x = random.standard_normal((7, 60)).astype(F32)
    scale, shift = random.standard_normal((2, 60)).astype(F32)
    out = np.zeros_like(x)
    launch(interpreter, layer_norm(), [x, scale, shift, out], (1 / 60, 1e-5), blocks)
    wide = x.astype(F64)
    norm = (wide - wide.mean(1, keepdims=True)) / np.sqrt(wide.var(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(out, norm * scale + shift, rtol=1e-5, atol=1e-6)


def test_long_rows_are_read_twice_for_a_layer_norm(interpreter):  # noqa: F811
    """Once for the mean and the variance together, which is precise also far from zero."""
    source = emit(layer_norm()).source
    assert source.partition("else:")[2].count("for b1 in range") == 2
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5, 300)).astype(F32)
    x[1:3] += np.array([[100], [1e5]], F32)
    x[3] = 7.0
    x[4, 5] = np.inf
    scale, shift = np.ones(300, F32), np.zeros(300, F32)
    found, whole = np.empty_like(x), np.empty_like(x)
    for out, blocks in ((found, (2, 16, 0)), (whole, (2, 512, 1))):
        launch(interpreter, layer_norm(), [x, scale, shift, out], (1 / 300, 1e-5), blocks)
    wide = x[:3].astype(F64)
    mean = (wide.sum(1, keepdims=True).astype(F32) * F32.type(1 / 300)).astype(F64)
    near = (wide - mean) / np.sqrt(((wide - mean) ** 2).mean(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(found[:3], near, rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(found, whole, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("blocks", [(), (2, 16, 0)])
def test_cross_entropy_gathers_and_reports_bad_labels(interpreter, random, blocks):  # noqa: F811
    x = random.standard_normal((9, 50)).astype(F32)
    labels = random.integers(0, 50, 9)
    out = np.zeros(9, F32)
    arrays = [x, labels, x[:, 0], out]
    assert launch(interpreter, cross_entropy(), arrays, (50,), blocks) == 0
    wide = x.astype(F64)
    expected = np.log(np.exp(wide).sum(1)) - wide[np.arange(9), labels]
    np.testing.assert_allclose(out, expected, rtol=1e-5)
    for bad in (50, -1, 2**40):
        labels[3] = bad
        assert launch(interpreter, cross_entropy(), arrays, (50,), blocks) == 7


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_chain_in_full_and_in_masked_tiles(interpreter, random, rank):  # noqa: F811
    kernel = chain(rank)
    for batch in (3, 9):
        shape = {1: (batch * 70,), 2: (batch, 70), 3: (batch, 4, 70)}[rank]
        a, b, out = (random.standard_normal(shape).astype(F32) for _ in range(3))
        c = random.standard_normal(shape[-1:]).astype(F32)
        for blocks in ((), (64,) if rank == 1 else (2, 16)):
            out[:] = 0
            launch(interpreter, kernel, [a, b, c, out], blocks=blocks)
            with np.errstate(all="ignore"):
                same(out, np.tanh(a * b + c))


def test_a_transposed_operand_is_read_in_square_tiles(interpreter, random):  # noqa: F811
    accesses = (Access("X", F32, "in", (1, "s")), Access("Y", F32, "in", ("s", 1)),
                Access("O", F32, "out", ("s", 1)))  # fmt: skip
    lets = (load("x", "X", F32), load("y", "Y", F32), Let("z", "subtract", ("x", "y"), F32))
    kernel = map_kernel(lets, [("O", "z")], accesses, rank=2)
    x, y = (
        random.standard_normal((50, 45)).astype(F32),
        random.standard_normal((45, 50)).astype(F32),
    )
    out = np.zeros_like(y)
    chosen = variant(kernel, numbers(kernel, [x.T, y, out]), [True] * 3)
    assert chosen.constexprs == (32, 32)
    launch(interpreter, kernel, [x.T, y, out])
    same(out, x.T - y)


def test_flipped_input_several_outputs_booleans_and_integers(interpreter, random):  # noqa: F811
    accesses = (Access("X", I32, "in", (1,)), Access("Y", I32, "in", (-1,)),
                Access("M", BOOL, "in", (1,)), Access("O", I32, "out", (1,)),
                Access("Q", BOOL, "out", (1,)))  # fmt: skip
    lets = (load("x", "X", I32), load("y", "Y", I32), load("m", "M", BOOL),
            Let("c", "less", ("x", "y"), BOOL), Let("z", "add", ("x", "y"), I32),
            Let("w", "where", ("m", "z", "y"), I32),
            Let("q", "logical_xor", ("c", "m"), BOOL))  # fmt: skip
    kernel = map_kernel(lets, [("O", "w"), ("Q", "q")], accesses)
    x, y = random.integers(-(2**31), 2**31, (2, 1000), dtype=I32)
    mask, out, found = x > 0, np.zeros(1000, I32), np.zeros(1000, BOOL)
    launch(interpreter, kernel, [x, y[::-1], mask, out, found], blocks=(256,))
    with np.errstate(over="ignore"):
        same(out, np.where(mask, x + y[::-1], y[::-1]))
    same(found, (x < y[::-1]) ^ mask)


def test_padding_by_a_predicated_load_and_positions(interpreter, random):  # noqa: F811
    accesses = (Access("X", F32, "in", ("s", 1)), Access("O", F32, "out", ("s", 1)))
    lets = (Let("k", "index", ("j",), I64), Let("low", "greater_equal", ("k", "first"), BOOL),
            Let("high", "less", ("k", "last"), BOOL),
            Let("ok", "logical_and", ("low", "high"), BOOL),
            load("x", "X", F32, "ok", "fill"))  # fmt: skip
    scalars = (Scalar("first", I64), Scalar("last", I64), Scalar("fill", F32))
    kernel = map_kernel(lets, [("O", "x")], accesses, rank=2, scalars=scalars)
    x = random.standard_normal((4, 90)).astype(F32)
    out = np.zeros((4, 130), F32)
    shifted = np.lib.stride_tricks.as_strided(x, (4, 130), x.strides)  # its first element at 25
    text = emit(kernel)
    integers = numbers(kernel, [shifted, out])
    chosen = variant(kernel, integers, (False, True))
    roots = [x.reshape(-1).view(np.uint8), out.reshape(-1).view(np.uint8)]
    job = Job(text.source, text.name, roots, [(0, -25 * 4, F32), (1, 0, F32)],
              [I64.type(25), I64.type(115), F32.type(7)], [np.int32(n) for n in integers],
              chosen.constexprs, launch_grid(kernel, integers, chosen))  # fmt: skip
    found = interpreter.launch(job)[1].view(F32).reshape(4, 130)
    same(found, np.pad(x, ((0, 0), (25, 15)), constant_values=7))


def test_a_buffer_is_read_and_written_at_the_same_point(interpreter, random):  # noqa: F811
    accesses = (Access("X", F32, "inout", (1,)), Access("O", F32, "out", (1,)))
    lets = (load("x", "X", F32), Let("y", "multiply", ("x", "two"), F32))
    kernel = map_kernel(lets, [("X", "y"), ("O", "x")], accesses, scalars=(Scalar("two", F32),))
    x = random.standard_normal(100).astype(F32)
    before, out = x.copy(), np.zeros(100, F32)
    launch(interpreter, kernel, [x, out], (2.0,))
    same(x, before * 2)
    same(out, before)


def test_a_range_cut_into_pieces_gives_the_whole(interpreter, random):  # noqa: F811
    """The grid range of a launch is its arguments: pieces need no other text or variant."""
    kernel = softmax()
    x = random.standard_normal((10, 64)).astype(F32)
    out = np.zeros_like(x)
    text, integers = emit(kernel), numbers(kernel, [x, out])
    chosen = variant(kernel, integers, (True, True))
    buffers = [x.reshape(-1).view(np.uint8), out.reshape(-1).view(np.uint8)]
    for low, high in ((0, 3), (3, 10)):
        piece = [low, high, *integers[2:]]
        assert variant(kernel, piece, (True, True)) == chosen
        job = Job(text.source, text.name, buffers, [(0, 0, F32), (1, 0, F32)], [],
                  [np.int32(n) for n in piece], chosen.constexprs,
                  launch_grid(kernel, piece, chosen))  # fmt: skip
        buffers = interpreter.launch(job)
    np.testing.assert_allclose(buffers[1].view(F32).reshape(10, 64), exact_softmax(x), rtol=3e-6)
