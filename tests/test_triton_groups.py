"""Small launches in one: which are joined, what they compute, and their machine code."""

from __future__ import annotations

import re

import numpy as np
import pytest

pytest.importorskip("triton")

from gpu_stand_in import gpu, interpreter  # noqa: F401 - fixtures
from schedule_graphs import Builder
from test_codegen_triton_ahead import accesses_in, spilled
from test_codegen_triton_programs import arrays_of, run, wanted

import dualflow as df
from dualflow.base.records import replaced
from dualflow.codegen import triton_groups
from dualflow.codegen.triton_groups import SMALL, group_forms, ordered
from dualflow.ir.backend import TRITON
from dualflow.ir.graph import Graph
from dualflow.ir.kernel import Check
from dualflow.ir.program import Program
from dualflow.ops import primitives as p
from dualflow.runtime.gpu.compile import build
from dualflow.schedule import plan

SHAPES = ((40, 30), (30,), (64, 64), (7,), (3, 5, 9))


def updates(shapes=SHAPES) -> Graph:
    """A step of gradient descent with momentum of parameters of many shapes."""
    b = Builder()
    outs = []
    for shape in shapes:
        x, m, g = b.tensor(*shape), b.tensor(*shape), b.tensor(*shape)
        m = b(p.add, b(p.multiply, m, b.full(shape, 0.9)), g)
        outs += [b(p.subtract, x, b(p.multiply, m, b.full(shape, 0.1))), m]
    return b.build(outs)


def check(process, graph: Graph, program: Program) -> None:
    """The program with its groups gives what the graph gives."""
    arrays = arrays_of(graph, 0)
    found = run(process, program, arrays, grouped=True)
    for one, other in zip(found, wanted(graph, arrays), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def program_of(graph: Graph) -> Program:
    return plan(graph, backend=TRITON)


def test_the_updates_of_a_list_of_parameters_are_one_launch(interpreter):  # noqa: F811
    graph = updates()
    program = program_of(graph)
    (form,) = group_forms(program, set())
    assert form.covers == tuple(range(len(SHAPES)))
    assert form.text.source.count("def part") == 1  # contiguous, they are one kernel
    arrays = arrays_of(graph, 0)
    for one, other in zip(
        run(interpreter, program, arrays, True), wanted(graph, arrays), strict=False
    ):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_kernels_of_several_kinds_are_joined(interpreter):  # noqa: F811
    """Rows, columns and maps of three dtypes, with joins of their own and words of the prelude."""
    b = Builder()
    x, y = b.tensor(9, 70), b.tensor(20, 33, dtype=np.dtype("float64"))
    z = b.tensor(50, dtype=np.dtype("complex64"))
    outs = [b(p.max, x, axes=(1,)), b(p.sum, y, axes=(0,)), b(p.exp, z), b(p.sum, x, axes=(0,)),
            b(p.argmax, y, axes=(1,))]  # fmt: skip
    graph = b.build(outs)
    program = program_of(graph)
    (form,) = group_forms(program, set())
    assert len(form.covers) == len(program.steps) >= 4
    arrays = arrays_of(graph, 0)
    for one, other in zip(
        run(interpreter, program, arrays, True), wanted(graph, arrays), strict=False
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_what_needs_another_one_waits_for_it(interpreter):  # noqa: F811
    """Chains of two folds: what comes to one number joins nothing that it reads."""
    b = Builder()
    outs = []
    for n in (30, 40, 50):
        total = b(p.sum, b.tensor(n, 8), axes=(0,))
        outs += [total, b(p.max, total, axes=(0,))]
    graph = b.build(outs)
    program = program_of(graph)
    groups = [form.covers for form in group_forms(program, set())]
    assert len(program.steps) == 6
    assert groups == [(1, 2), (3, 4)]
    check(interpreter, graph, program)


def chains(count: int) -> Graph:
    """Chains that do not need each other: a fold of columns, what it comes to, a map of that."""
    b = Builder()
    outs = []
    for n in range(count):
        x = b.tensor(30 + n, 8)
        total = b(p.sum, b(p.multiply, x, x), axes=(0,))
        top = b(p.max, total, axes=(0,))
        outs.append(b(p.divide, total, b.spread(top, (8,), (0,))))
    return b.build(outs)


def test_launches_that_do_not_need_each_other_stand_side_by_side(interpreter):  # noqa: F811
    """And memory that one chain has done with is not that of the next."""
    graph = chains(4)
    program = program_of(graph)
    assert [form.covers for form in group_forms(program, set())] != []
    put = ordered(program)
    assert sorted(map(id, put.steps)) == sorted(map(id, program.steps))
    groups = [form.covers for form in group_forms(put, set())]
    assert len(groups) == len(program.steps) // 4
    assert {len(group) for group in groups} == {4}
    check(interpreter, graph, put)
    assert ordered(put).steps == put.steps


def test_nothing_is_moved_before_what_it_needs_or_overwrites(interpreter):  # noqa: F811
    """In an arena without room to spare as in one with it; random programs among others."""
    graph = chains(5)
    close = plan(graph, backend=replaced(TRITON, apart=0))
    assert close.arena < program_of(graph).arena
    check(interpreter, graph, ordered(close))


def test_nothing_is_moved_before_a_check():
    b = Builder()
    x, at = b.tensor(6, 8), b.tensor(3, dtype=np.dtype("int64"))
    first = b(p.exp, b.tensor(5))
    taken = b(p.take, x, at, axis=0)
    graph = b.build([first, taken, b(p.exp, b.tensor(7))])
    program = program_of(graph)
    checks = [n for n, step in enumerate(program.steps) if program.errors
              and any(isinstance(sink, Check) for sink in step.kernel.sinks)]  # fmt: skip
    assert checks
    put = ordered(program)
    for step in program.steps[checks[0] + 1 :]:
        assert put.steps.index(step) > put.steps.index(program.steps[checks[0]])


def test_more_pieces_than_fill_a_gpu_are_taken_in_turn(interpreter, monkeypatch):  # noqa: F811
    monkeypatch.setattr(triton_groups, "PERSISTENT", 3)
    graph = updates(((900, 30), (30,), (64, 64)))
    program = program_of(graph)
    (form,) = group_forms(program, set())
    chosen = form.variants([True] * len(form.operands))[0]
    assert form.grid(chosen) == 3 < form.integers[-1]
    check(interpreter, graph, program)


def test_large_launches_and_taken_ones_stay_alone():
    large = program_of(updates(((2048, 1024), (9,), (10,))))
    groups = [form.covers for form in group_forms(large, set())]
    assert groups == [(1, 2)]
    assert not list(group_forms(large, {1}))
    assert SMALL < 2048


def test_a_group_ends_where_a_launch_has_too_many_parameters():
    groups = [form.covers for form in group_forms(program_of(updates(SHAPES * 20)), set())]
    assert len(groups) > 1
    assert sum(map(len, groups)) == len(SHAPES) * 20


@pytest.mark.parametrize("target", [("cuda", 80, 32), ("cuda", 90, 32), ("hip", "gfx942", 64)])
def test_machine_code_moves_16_bytes_at_a_time_and_spills_nothing(target, tmp_path):
    (form,) = group_forms(program_of(updates(((64, 64), (4096,), (32, 1024)))), set())
    asm = build(form.text, form.variants([True] * len(form.operands))[0], target).asm
    if target[0] == "hip":
        assert re.search(r"\.vgpr_spill_count:\s+0\b", asm["amdgcn"])
        return
    assert accesses_in(asm["ptx"], "ld")[0] >= 9
    assert accesses_in(asm["ptx"], "st")[0] >= 6
    assert spilled(asm["ptx"], tmp_path, target[1]) == 0


def test_a_compiled_step_of_adam_is_one_launch(gpu):  # noqa: F811
    """All parameters of a network in one launch, with the losses of the CPU."""

    def losses(device: str) -> tuple[list[float], str, dict]:
        df.random.seed(0)
        net = df.nn.Sequential(df.nn.Linear(6, 8), df.nn.Tanh(), df.nn.Linear(8, 1)).to(device)
        optimizer = df.optim.Adam(net.parameters(), lr=0.01)
        x = df.asarray(np.linspace(-1, 1, 24, dtype="float32").reshape(4, 6)).to(device)

        @df.compile(wait=True)
        def step(x):
            loss = (net(x) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        found = [step(x).item() for _ in range(4)]
        return found, step.explain(x), step.stats()

    with df.config(tuning=0.0):
        there, text, stats = losses("cuda")
    here, _, _ = losses("cpu")
    np.testing.assert_allclose(there, here, rtol=1e-4)
    assert stats["replays"] >= 2
    assert re.search(r"\d small kernels in one launch: run by a template", text)
