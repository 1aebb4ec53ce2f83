"""Every op of the catalogue on a GPU: eagerly, and as a compiled program (see `gpu_stand_in`)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("triton")

from gpu_stand_in import gpu, interpreter  # noqa: F401 - fixtures
from harness import Case, cases, check_against_reference, ops
from schedule_graphs import arrays_for, graphs

import dualflow as df
from dualflow.ir.interpret import interpret
from dualflow.ir.op import Kind, Op
from dualflow.ops import door
from dualflow.ops.portable import portable
from dualflow.pipeline import compile_graph

pytestmark = pytest.mark.usefixtures("gpu")
CUDA = df.device("cuda:0")
#: Cases of each op: the rest of the harness runs on the CPU.
EACH = 5
#: ops that NumPy computes on the host, counted: no other module has what they are
ON_THE_HOST = {
    "adjugate", "expm", "eig", "eigvals", "integer_power", "loop", "branch",
    "polygamma",
    "expm1",  # of complex numbers
}  # fmt: skip


def some(op: Op) -> Iterator[Case]:
    """Cases of the op, evenly from all of them."""
    found = list(cases(op))
    assert found, op
    return iter(found[:: max(1, len(found) // EACH)])


def moved(arrays) -> list[df.Tensor]:
    return [df.asarray(np.array(array)).to(CUDA) for array in arrays]


@pytest.mark.parametrize("op", ops(), ids=lambda op: op.name)
def test_eager(op: Op):
    before = df.stats()["host_fallbacks"]
    for case in some(op):
        with df.device(CUDA):
            made = door.run(op, tuple(moved(case.arrays)), case.attributes)
        made = made if isinstance(made, tuple) else (made,)
        assert {tensor.device for tensor in made} == {CUDA}
        with np.errstate(all="ignore"):
            check_against_reference(case, tuple(door.state.mode.values(t) for t in made))
    assert (df.stats()["host_fallbacks"] > before) <= (op.name in ON_THE_HOST)


@pytest.mark.parametrize(
    "op",
    [op for op in ops() if op.kind not in (Kind.LIBRARY, Kind.LOOP, Kind.BRANCH)],
    ids=lambda op: op.name,
)
def test_compiled(op: Op):
    for case in some(op):
        program = compile_graph(case.graph, device=CUDA).result()
        arrays = [tensor.array for tensor in moved(case.arrays)]
        with np.errstate(all="ignore"):
            check_against_reference(case, tuple(array.get() for array in program.run(arrays)))


def test_the_table_of_the_host_is_no_longer_than_needed():
    elsewhere = {op.name for op in ops() if portable(op) is not None}
    assert ON_THE_HOST & elsewhere == {"expm1"}
    assert {op.name for op in ops()} >= ON_THE_HOST


@settings(
    max_examples=25, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large,
                           HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(graphs(), st.integers(0, 99))
def test_random_programs(drawn, seed):
    graph, _ = drawn
    arrays = arrays_for(graph, seed)
    program = compile_graph(graph, device=CUDA).result()
    found = program.run([tensor.array for tensor in moved(arrays)])
    with np.errstate(all="ignore"):
        wanted = interpret(graph, arrays)
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one.get(), other, rtol=1e-6, atol=1e-6)
