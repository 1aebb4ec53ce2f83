"""Graphs with complex values, compiled: fused as real ones are, but for products.

Every result is compared with the graph's meaning.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernel_interpreter import run
from schedule_graphs import Builder, arrays_for, graphs

import dualflow as df
from dualflow.base.dtypes import bool_, complex64, complex128, float32, float64, int64
from dualflow.codegen import numba
from dualflow.ir.graph import Graph, Value, attribute_key
from dualflow.ir.interpret import interpret
from dualflow.ir.program import Program
from dualflow.ops import primitives as p
from dualflow.passes import simplify
from dualflow.runtime import cpu
from dualflow.schedule import plan

COMPLEX = [complex64, complex128]


def checked(graph: Graph, kernels: int, calls: int) -> Program:
    """The program, after a run of both kinds; it has so many kernels and library calls."""
    program = plan(simplify(graph.verify()))
    rng = np.random.default_rng(0)
    arrays = []
    for value in graph.inputs:
        data = rng.standard_normal(value.shape) + 0j
        data += 1j * rng.standard_normal(value.shape)
        arrays.append((data if value.dtype.kind == "c" else data.real).astype(value.dtype))
    compare(program, arrays, interpret(graph, arrays))
    assert len(program.launches) == kernels, str(program)
    assert len(program.steps) - kernels == calls, str(program)
    return program


def compare(program: Program, arrays: list[np.ndarray], wanted: Sequence[np.ndarray]) -> None:
    """Both ways to run the program give what is wanted."""
    texts = {launch.kernel: numba.emit(launch.kernel) for launch in program.launches}
    for found in (run(program, arrays), cpu.prepare(program, texts).result().run(arrays)):
        for one, other in zip(found, wanted, strict=True):
            close = {"rtol": 1e-5} if other.dtype in (complex64, float32) else {"rtol": 1e-13}
            np.testing.assert_allclose(one, other, strict=True, **close)


@settings(max_examples=40, deadline=None, derandomize=True,
          suppress_health_check=list(HealthCheck))  # fmt: skip
@given(graphs(dtypes=(complex64, complex128, float32)), st.integers(0, 99))
def test_random_graphs(drawn, seed):
    graph, _ = drawn
    arrays = arrays_for(graph, seed)
    with np.errstate(all="ignore"):
        compare(plan(simplify(graph)), arrays, interpret(graph, arrays))


def cast(b: Builder, x: Value, dtype: np.dtype) -> Value:
    return b(p.cast, x, dtype=dtype)


@pytest.mark.parametrize("dtype", COMPLEX)
def test_real_parts_around_complex_ones_are_fused(dtype):
    b = Builder()
    x = b.tensor(4, 8, dtype=float64 if dtype == complex128 else float32)
    before = b(p.exp, b(p.negative, x))
    z = b(p.multiply, cast(b, before, dtype), b.tensor(4, 8, dtype=dtype))
    after = b(p.sqrt, b(p.add, b(p.abs, z), b(p.abs, z)))
    checked(b.build([after]), kernels=1, calls=0)


@pytest.mark.parametrize("dtype", COMPLEX)
def test_views_of_complex_values_cost_nothing(dtype):
    b = Builder()
    z = b.tensor(6, 4, dtype=dtype)
    turned = b(p.permute, z, axes=(1, 0))
    part = b(p.slice, turned, starts=(0, 1), stops=(4, 5), steps=(2, 1))
    spread = b(p.expand, b(p.reshape, b.tensor(dtype=dtype), shape=(1, 1)), shape=(2, 4))
    program = checked(b.build([b(p.add, part, spread)]), kernels=1, calls=0)
    assert program.arena == 0


@pytest.mark.parametrize("dtype", COMPLEX)
def test_views_that_are_outputs_or_no_view_are_copied(dtype):
    b = Builder()
    z = b.tensor(6, 4, dtype=dtype)
    turned = b(p.permute, z, axes=(1, 0))
    flat = b(p.reshape, turned, shape=(24,))  # no view: the axes do not lie one after the other
    checked(b.build([turned, b(p.negative, flat)]), kernels=2, calls=0)
    doubled = b(p.add, z, z)
    checked(b.build([doubled, doubled, z]), kernels=1, calls=0)


@pytest.mark.parametrize("dtype", COMPLEX)
def test_every_kind_takes_complex_values(dtype):
    b = Builder()
    z, w = b.tensor(5, 5, dtype=dtype), b.tensor(5, 5, dtype=dtype)
    product = b(p.matmul, b(p.permute, z, axes=(1, 0)), w)
    rows = b(p.sum, b(p.concat, product, b.full((2, 5), 1 - 2j, dtype), axis=0), axes=(1,))
    steps = b(p.cumsum, b(p.pad, rows, widths=((1, 1),), fill=2j), axis=0)
    at = b(p.iota, shape=(3,), axis=0, dtype=int64)
    chosen = b(p.where, b(p.less, at, b.full((3,), 2, int64)), b(p.take, steps, at, axis=0),
               b.full((3,), complex(-0.0, 1.0), dtype))  # fmt: skip
    same = cast(b, b(p.equal, chosen, chosen), float32)
    checked(b.build([chosen, b(p.exp, b(p.negative, same))]), kernels=3, calls=2)


@pytest.mark.parametrize("dtype", COMPLEX)
def test_complex_intermediates_share_the_arena(dtype):
    b = Builder()
    z = b.tensor(64, 64, dtype=dtype)
    for _ in range(5):
        z = b(p.matmul, z, z)
    program = checked(b.build([z]), kernels=0, calls=5)
    assert program.needed == 2 * 64 * 64 * dtype.itemsize
    assert program.arena == 64 * 64 * dtype.itemsize  # the other one is the output


def test_complex_numbers_of_other_signs_and_nans_are_told_apart():
    inf, nan = float("inf"), float("nan")
    numbers = [0j, complex(-0.0, 0.0), complex(0.0, -0.0), complex(nan, 0), complex(0, nan),
               complex(inf, nan), 0.0, -0.0, 0, False, 1 + 0j, 1.0]  # fmt: skip
    for made in (complex, np.complex64, np.complex128):
        keys = [attribute_key(made(n) if isinstance(n, complex) else n) for n in numbers]
        assert len(set(keys)) == len(numbers)
        again = [attribute_key(made(n) if isinstance(n, complex) else n) for n in numbers]
        assert keys == again


def test_equal_complex_constants_are_merged_and_others_are_not():
    b = Builder()
    z = b.tensor(3, dtype=complex128)
    first, second, third = (b(p.add, z, b.full((3,), number, complex128))
                            for number in (0j, complex(0.0, -0.0), 0j))  # fmt: skip
    graph = simplify(b.build([first, second, third]))
    assert sum(node.op is p.add.op for node in graph.nodes) == 2
    assert graph.outputs[0] is graph.outputs[2]
    (found, other, _) = interpret(graph, [np.full(3, complex(1.0, -0.0))])
    assert not np.signbit(found.imag).any()
    assert np.signbit(other.imag).all()


def test_rules_for_real_numbers_leave_complex_ones_alone():
    one, zero, two = (complex(number) for number in (1, 0, 2))
    b = Builder()
    z = b.tensor(2, dtype=complex128)
    made = [b(p.multiply, z, b.full((2,), one, complex128)),
            b(p.subtract, z, b.full((2,), zero, complex128)),
            b(p.power, z, b.full((2,), two, complex128))]  # fmt: skip
    graph = b.build(made)
    assert [node.op for node in simplify(graph).nodes] == [node.op for node in graph.nodes]
    data = np.array([complex(np.inf, 1), complex(-0.0, -1)])
    with np.errstate(all="ignore"):
        for found, wanted in zip(interpret(simplify(graph), [data]), interpret(graph, [data]),
                                 strict=True):  # fmt: skip
            np.testing.assert_array_equal(found.view(float64), wanted.view(float64))


def test_operations_on_complex_constants_are_folded():
    b = Builder()
    left, right = b.full((3,), 1 + 2j, complex64), b.full((3,), complex(-0.0, 3), complex64)
    graph = simplify(b.build([b(p.multiply, left, right)]))
    (node,) = graph.nodes
    assert node.op is p.full.op
    assert node.attributes["value"] == np.complex64(1 + 2j) * np.complex64(complex(-0.0, 3))


def test_a_cast_by_way_of_complex_numbers_goes_where_they_hold_every_value():
    for dtype, casts in ((int64, 2), (float64, 1), (bool_, 1), (complex64, 1)):
        b = Builder()
        narrow = cast(b, cast(b, b.tensor(3, dtype=dtype), complex128), complex64)
        nodes = simplify(b.build([narrow])).nodes
        assert len(nodes) == casts, dtype


def spectrum(z: df.Tensor, x: df.Tensor) -> tuple[df.Tensor, df.Tensor]:
    """Complex values between a fused real part before and one after."""
    weights = df.exp(-x * x) / 2
    turned = z.T * weights + 1j
    power = df.abs(turned)
    return turned, df.sqrt(power * power + 1)


@pytest.mark.parametrize("dtype", COMPLEX)
def test_a_compiled_function_of_complex_tensors(dtype):
    rng = np.random.default_rng(1)
    real = float32 if dtype == complex64 else float64
    compiled = df.compile(spectrum, wait=True)
    before = df.stats()
    for _ in range(3):
        z = df.tensor(
            (rng.standard_normal((4, 6)) + 1j * rng.standard_normal((4, 6))).astype(dtype)
        )
        x = df.tensor(rng.standard_normal((6, 4)).astype(real))
        for found, wanted in zip(compiled(z, x), spectrum(z, x), strict=True):
            assert found.dtype == wanted.dtype
            np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-6)
    after = df.stats()
    assert compiled.stats()["replays"] == 2
    assert compiled.stats()["eager_calls"] == 0
    assert after["kernel_launches"] - before["kernel_launches"] == 2
    assert after["library_calls"] == before["library_calls"]
