"""Triton texts: what they say, what they refuse, what is written twice, which tiles they take."""

from __future__ import annotations

import numpy as np
import pytest
from gpu_stand_in import interpreter  # noqa: F401 - fixture
from triton_kernels import (
    BOOL,
    F32,
    I32,
    chain,
    exact_softmax,
    fold_kernel,
    launch,
    load,
    map_kernel,
    numbers,
    random,  # noqa: F401 - fixture
    row_kernel,
    same,
    softmax,
    softmax_stages,
)

from dualflow.codegen.triton import emit
from dualflow.codegen.triton_attention import Attention, attention_variants
from dualflow.codegen.triton_attention import integers as attention_integers
from dualflow.codegen.triton_products import Code, Product
from dualflow.codegen.triton_rows import rows_variants
from dualflow.codegen.triton_scans import Scan, scan_variants
from dualflow.codegen.triton_variants import launch_grid, variant
from dualflow.ir.kernel import Access, Check, Keep, Kernel, Let, Stage, Store
from dualflow.ir.text import KernelText

pytest.importorskip("triton")


def test_kernels_that_differ_in_names_have_one_text():
    def named(x: str, m: str) -> Kernel:
        lets = (load("tl", x, F32), Let("k", "exp", ("tl",), F32))
        accesses = (Access(x, F32, "in", (1,)), Access(m, F32, "out", (1,)))
        return map_kernel(lets, [(m, "k")], accesses)

    assert emit(named("X", "Y")) == emit(named("kernel", "lo_i"))


def test_a_value_used_twice_is_computed_once():
    source = emit(softmax(keep=False)).source
    whole = source.partition("if WHOLE")[2].partition("else:")[0]
    assert whole.count("tl.load") == 1
    assert whole.count("libdevice.exp") == 1


def test_an_op_without_spelling_is_named():
    lets = (load("x", "X", I32), Let("y", "integer_power", ("x", "x"), I32))
    accesses = (Access("X", I32, "in", (1,)), Access("O", I32, "out", (1,)))
    with pytest.raises(NotImplementedError, match="integer_power"):
        emit(map_kernel(lets, [("O", "y")], accesses))


def test_variants_do_not_depend_on_the_batch():
    cases = [(softmax(), lambda n: [np.empty((n, 100), F32)] * 2),
             (chain(2), lambda n: [np.empty((n, 64), F32)] * 2
              + [np.empty(64, F32), np.empty((n, 64), F32)]),
             (chain(1), lambda n: [np.empty(n * 63, F32)] * 4),
             (fold_kernel("sum", F32, F32, "column"), lambda n: [np.empty((n, 64), F32).T,
                                                              np.empty(64, F32)])]  # fmt: skip
    for kernel, arrays in cases:
        found = {variant(kernel, numbers(kernel, arrays(n)), [True] * len(kernel.accesses))
                 for n in (1, 3, 64, 1000)}  # fmt: skip
        assert len(found) == 1


def test_large_offsets_ask_for_wide_indices():
    kernel = softmax()
    assert variant(kernel, [0, 100, 64, 64, 64], (True, True)).indices == "i32"
    assert variant(kernel, [0, 100, 64, 2**26, 64], (True, True)).indices == "i64"


def test_large_offsets_of_templates_ask_for_wide_indices():
    """Where a size times a stride is large, though neither is."""
    across = Scan("cumsum", F32, F32, True, False)
    for step, words in ((1000, "i32"), (70000, "i64")):
        assert {v.indices for v in scan_variants(across, (1, 70000, 1, 1, step, 1), [True] * 2)
                } == {words}  # fmt: skip
    attention = Attention(np.dtype("float16"), 64)
    for tokens, words in ((4096, "i32"), (1 << 20, "i64")):
        count = len(attention_integers(attention, "attention")) - 3
        numbers = [12, tokens, tokens, *[2304] * count]
        found = attention_variants(attention, "attention", numbers, [True] * 5)
        assert {v.indices for v in found} == {words}
    product = Product(Code((), (), ()), Code((), (), ()), (), Code((), (), ()), F32)
    kernel, text = softmax(), KernelText("", "kernel", (), (), 0)
    for rows, words in ((1000, "i32"), (1 << 24, "i64")):
        of_rows = [
            {"lo": 0, "hi": rows, "n_": 256}.get(name[:2], 256) for name in kernel.integers()
        ]
        found = rows_variants(product, kernel, text, [1, rows, 256, 64, *of_rows], [True] * 4)
        assert {v.indices for v in found} == {words}


def test_softmax_in_place(interpreter, random):  # noqa: F811
    """The value that is kept is made again before its own element is overwritten."""
    accesses = (Access("X", F32, "inout", ("s", 1)),)
    *first, last = softmax_stages("j", keep=True)
    stages = (*first, Stage(last.over, last.lets, (Store("X", "y"),)))
    kernel = row_kernel(accesses, stages)
    for blocks in ((2, 64, 1), (2, 16, 0)):
        x = random.standard_normal((5, 50)).astype(F32)
        expected = exact_softmax(x)
        launch(interpreter, kernel, [x], blocks=blocks)
        np.testing.assert_allclose(x, expected, rtol=3e-6)


def test_what_was_overwritten_is_loaded_anew(interpreter, random):  # noqa: F811
    accesses = (Access("X", F32, "inout", ("s", 1)), Access("O", F32, "out", ("s", 1)))
    stages = (
        Stage(("j",), (load("x", "X", F32), Let("y", "negative", ("x",), F32)), (Store("X", "y"),)),
        Stage(("j",), (load("x", "X", F32),), (Store("O", "x"),)),
    )
    x = random.standard_normal((5, 20)).astype(F32)
    before, out = x.copy(), np.zeros_like(x)
    launch(interpreter, row_kernel(accesses, stages), [x, out], blocks=(2, 32, 1))
    same(x, -before)
    same(out, -before)


def test_a_check_looks_at_the_points_of_the_grid_alone(interpreter):  # noqa: F811
    """Beyond the end a masked load may give anything, such as 0, which would fail here."""
    lets = (load("x", "X", F32), Let("zero", "constant", ("0.0",), F32),
            Let("ok", "greater", ("x", "zero"), BOOL))  # fmt: skip
    accesses = (Access("X", F32, "in", (1,)), Access("O", F32, "out", (1,)))
    kernel = map_kernel(lets, [("O", "x")], accesses, checks=(Check("ok", 3),))
    x = np.arange(1, 101, dtype=F32)
    for blocks in ((), (32,)):
        x[:] = np.arange(1, 101)
        assert launch(interpreter, kernel, [x, np.zeros_like(x)], blocks=blocks) == 0
        x[[7, 99]] = 0, np.nan
        assert launch(interpreter, kernel, [x[:90], np.zeros(90, F32)], blocks=blocks) == 3
        x[7] = 1
        assert launch(interpreter, kernel, [x, np.zeros_like(x)], blocks=blocks) == 3


def test_a_kept_value_whose_source_was_overwritten_is_refused():
    accesses = (Access("X", F32, "inout", ("s", 1)), Access("O", F32, "out", ("s", 1)))
    y = Let("y", "negative", ("x",), F32)
    stages = (
        Stage(("j",), (load("x", "X", F32), y), (Keep("k", "x", F32), Store("X", "y"))),
        Stage(("j",), (), (Store("O", "k"),)),
    )
    with pytest.raises(NotImplementedError, match="k is kept"):
        emit(row_kernel(accesses, stages))


def test_the_launch_grid_counts_tiles():
    kernel = chain(3)
    integers = [0, 5, 0, 9, 0, 600, *[1] * 6]
    chosen = variant(kernel, integers, [True] * 4)
    assert chosen.constexprs == (1, 1024)
    assert launch_grid(kernel, integers, chosen) == 5 * 9 * 1
    narrow = variant(kernel, [0, 5, 0, 9, 0, 60, *[1] * 6], [True] * 4)
    assert narrow.constexprs == (16, 64)
    assert launch_grid(kernel, [2, 5, 0, 33, 0, 60, *[1] * 6], narrow) == 3 * 3 * 1
    assert launch_grid(kernel, [0, 0, 0, 9, 0, 60, *[1] * 6], narrow) == 0
    rows = softmax()
    assert launch_grid(rows, [0, 100, 64, 64, 64],
                       variant(rows, [0, 100, 64, 64, 64], [True] * 2)) == 7  # fmt: skip
