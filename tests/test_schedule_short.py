"""Axes of few points: folds and grid axes that are written out, strides that stand in the text."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_interpreter import run
from schedule_graphs import Builder

import dualflow as df
from dualflow.base.dtypes import bool_, float16, float32, float64, int8, int64
from dualflow.codegen.numba import emit
from dualflow.ir.backend import TRITON
from dualflow.ir.interpret import interpret
from dualflow.ir.kernel import Fold, Kernel
from dualflow.ir.types import View
from dualflow.ops import primitives as p
from dualflow.schedule import plan


def kernels(b: Builder, *outputs, layouts=None, arrays=None, backend=None) -> list[Kernel]:
    """The kernels of a graph, which compute what it means."""
    graph = b.build(outputs)
    program = plan(graph, layouts) if backend is None else plan(graph, layouts, backend)
    if arrays is not None:
        for one, other in zip(run(program, arrays), interpret(graph, arrays), strict=True):
            np.testing.assert_array_equal(one, other, strict=True)
    return [launch.kernel for launch in program.launches]


def attraction(b: Builder, n: int) -> tuple:
    """Bodies that attract each other: a short fold within a fold, three values a point."""
    pos = b.tensor(n, 3, dtype=float64)
    rows = b(p.expand, b(p.reshape, pos, shape=(n, 1, 3)), shape=(n, n, 3))
    columns = b(p.expand, b(p.reshape, pos, shape=(1, n, 3)), shape=(n, n, 3))
    d = b(p.subtract, rows, columns)
    r2 = b(p.sum, b(p.multiply, d, d), axes=(2,))
    r2 = b(p.add, r2, b.full((n, n), 0.5, float64))
    r3 = b(p.reshape, b(p.multiply, r2, b(p.sqrt, r2)), shape=(n, n, 1))
    return b(p.sum, b(p.divide, d, b(p.expand, r3, shape=(n, n, 3))), axes=(1,)), pos


def test_bodies_that_attract_each_other_are_one_kernel_with_three_sums():
    texts = set()
    for n in (9, 33):
        b = Builder()
        force, _ = attraction(b, n)
        (kernel,) = kernels(b, force)
        assert [(axis.role, axis.size) for axis in kernel.axes][1] == ("short", 3)
        assert sum(isinstance(sink, Fold) for sink in kernel.sinks) == 1
        source = emit(kernel).source
        assert source.count("m_sqrt") == 1
        assert [f"f0_{k} = radd" in source for k in range(4)] == [True, True, True, False]
        texts.add(source)
    assert len(texts) == 1
    b = Builder()
    for kernel in kernels(b, attraction(b, 9)[0], backend=TRITON):
        assert not kernel.short


@pytest.mark.parametrize("n", [1, 2, 7, 40])
def test_three_sums_are_those_of_numpy(n):
    @df.compile(wait=True)
    def force(x):
        d = x[:, None, :] - x[None, :, :]
        r2 = (d * d).sum(axis=2) + 0.5
        return (d / (r2 * df.sqrt(r2))[:, :, None]).sum(axis=1)

    x = np.random.default_rng(n).normal(size=(n, 3))
    given = df.asarray(x)
    force(given)
    found = force(given).numpy()
    assert force.stats()["replays"] == 1
    d = x[:, None, :] - x[None, :, :]
    r2 = (d * d).sum(axis=2) + 0.5
    wanted = (d / (r2 * np.sqrt(r2))[:, :, None]).sum(axis=1)
    np.testing.assert_allclose(found, wanted, 1e-13, 1e-15)


@pytest.mark.parametrize(("op", "dtype"), [
    (p.sum, float64), (p.sum, float32), (p.max, float16), (p.sum, int8), (p.sum, bool_),
    (p.prod, float32), (p.prod, int8), (p.max, float32), (p.min, int64), (p.any, bool_),
    (p.all, bool_),
])  # fmt: skip
def test_folds_of_few_are_operations_with_the_bits_of_numpy(op, dtype):
    for shape, axes in (((5, 3), (1,)), ((5, 2, 2), (1, 2)), ((4, 4, 6), (1,))):
        b = Builder()
        x = b.tensor(*shape, dtype=dtype)
        data = (3 * np.random.default_rng(0).normal(size=shape)).astype(dtype)
        (kernel,) = kernels(b, b(op, x, axes=axes), arrays=[data])
        assert not kernel.loops
        assert not any(isinstance(sink, Fold) for sink in kernel.sinks)


def test_a_batch_and_what_is_dear_are_folded_in_a_loop():
    b = Builder()
    (kernel,) = kernels(b, b(p.sum, b.tensor(3, 50), axes=(0,)))
    assert kernel.loops
    b = Builder()
    (kernel,) = kernels(b, b(p.sum, b(p.exp, b.tensor(50, 3)), axes=(1,)))
    assert kernel.loops


def test_rows_of_few_run_side_by_side():
    b = Builder()
    x, w = b.tensor(50, 3), b.tensor(3)
    wide = b(p.expand, b(p.reshape, w, shape=(1, 3)), shape=(50, 3))
    data = [np.arange(150, dtype=float32).reshape(50, 3), np.arange(3, dtype=float32)]
    (kernel,) = kernels(b, b(p.multiply, x, wide), arrays=data)
    assert kernel.grid == (kernel.lanes,)
    assert [axis.size for axis in kernel.short] == [3]
    assert kernel.accesses[0].strides == (3, 1)


def test_neighbours_between_steps_are_read_as_one_stretch():
    b = Builder()
    x = b.tensor(6, 16)

    def part(i: int, j: int):
        attributes = {"starts": (i, j), "stops": (6, 16), "steps": (2, 2)}
        return b(p.slice, x, **attributes)

    total = b(p.add, b(p.add, part(0, 0), part(0, 1)), b(p.add, part(1, 0), part(1, 1)))
    (kernel,) = kernels(b, total, arrays=[np.arange(96, dtype=float32).reshape(6, 16)])
    assert [access.near for access in kernel.accesses] == [
        None, ("a0", 1), None, ("a2", 1), None,
    ]  # fmt: skip
    assert "p0[1 + i0 * s0_0 + 2 * i1]" in emit(kernel).source


@pytest.mark.parametrize("stride", [2, 3, 4, 5, -2])
def test_strided_lanes(stride):
    @df.compile(wait=True)
    def f(x):
        return x * 2.0 + 1.0, (x * x).sum()

    x = np.random.default_rng(0).normal(size=700).astype(np.float32)[::stride]
    given = df.asarray(x)
    f(given)
    found, total = f(given)
    assert f.stats()["replays"] == 1
    np.testing.assert_array_equal(found.numpy(), x * 2 + 1)
    np.testing.assert_allclose(total.numpy(), (x.astype(np.float64) ** 2).sum(), 1e-6)


def test_a_strided_view_and_a_packed_array_in_one_program():
    b = Builder()
    x = b.tensor(20, 3)
    (kernel,) = kernels(b, b(p.sum, x, axes=(1,)), layouts=[View((20, 3), (8, 2))])
    assert not kernel.loops


def test_no_text_depends_on_how_long_a_batch_is():
    texts = set()
    for batch in (2, 5, 8, 300):
        b = Builder()
        x = b.tensor(batch, 6)
        rows, columns = b(p.sum, b(p.exp, x), axes=(1,)), b(p.max, b(p.exp, x), axes=(0,))
        texts.add(tuple(emit(kernel).source for kernel in kernels(b, rows, columns)))
    assert len(texts) == 1
