"""Compilation behind the first call: the helper process plans, its plans are kept on disk."""

from __future__ import annotations

import pickle
import subprocess
import sys
import time

import numpy as np
import pytest

import dualflow as df
from dualflow import pipeline
from dualflow.base.errors import CompileError
from dualflow.capture import blocks
from dualflow.ir.interpret import interpret
from dualflow.runtime import behind, builds, cache, helper, machine


def f(x):
    y = df.exp(x) * 2.0
    return y + y.sum()


def many(x):
    for k in range(40):
        x = x * (1.0 - k % 7 / 10) + 0.25 * k
    return x


X = np.linspace(0.0, 1.0, 12, dtype=np.float32)


@pytest.fixture(autouse=True)
def nothing_kept(tmp_path, monkeypatch):
    """An empty cache folder, nothing in memory, and a helper that may start at once."""
    builds.forget()
    blocks._compilations.clear()
    monkeypatch.setattr(helper, "_PAUSE", 0.0)
    with df.config(cache=tmp_path):
        yield


@pytest.fixture
def no_planning(monkeypatch):
    """This process must not plan."""

    def plan(*given):
        raise AssertionError("planned in this process")

    monkeypatch.setattr(pipeline, "plan", plan)


def until_replayed(compiled, x, seconds=60.0):
    """Call until a call is replayed; how often it was called."""
    wanted = compiled.__wrapped__(x).numpy()
    deadline, calls = time.monotonic() + seconds, 0
    while not compiled.stats()["replays"]:
        assert time.monotonic() < deadline, compiled.explain()
        np.testing.assert_allclose(compiled(x).numpy(), wanted, rtol=1e-6)
        calls += 1
        time.sleep(0.01)
    return calls


def counted(*names):
    stats = df.stats()
    return [stats[name] for name in names]


def test_the_helper_plans_and_the_next_process_finds_its_plan(no_planning, tmp_path):
    before = counted("kernels_compiled", "plans_loaded", "helper_failures")
    compiled = df.compile(f)
    assert until_replayed(compiled, df.tensor(X)) > 1
    after = counted("kernels_compiled", "plans_loaded", "helper_failures")
    assert after == [before[0] + 1, before[1], before[2]]
    assert len(list(tmp_path.rglob("*.plan"))) == 1
    builds.forget()
    blocks._compilations.clear()
    again = df.compile(f)
    assert until_replayed(again, df.tensor(X)) == 2  # the second call is a replay
    assert counted("kernels_compiled", "plans_loaded") == [after[0], after[1] + 1]
    assert "exp(x) * 2.0" in again.explain()


def test_a_caller_that_waits_finds_the_plan_of_the_process_before(monkeypatch, tmp_path):
    monkeypatch.setattr(pipeline, "KEEPS", True)
    wanted = f(df.tensor(X)).numpy()
    df.compile(f, wait=True)(df.tensor(X))
    (kept,) = tmp_path.rglob("*.plan")
    builds.forget()
    blocks._compilations.clear()
    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "plan", lambda *given: pytest.fail("planned again"))
        before, again = df.stats()["plans_loaded"], df.compile(f, wait=True)
        for _ in range(2):
            np.testing.assert_allclose(again(df.tensor(X)).numpy(), wanted, rtol=1e-6)
        assert again.stats()["replays"] == 1
        assert df.stats()["plans_loaded"] == before + 1
    cache.store(kept.stem, b"no pickle", "", cache.PLAN)  # and one that is damaged is made anew
    blocks._compilations.clear()
    before = df.stats()["cache_rebuilds"]
    df.compile(f, wait=True)(df.tensor(X))
    assert df.stats()["cache_rebuilds"] == before + 1


def test_the_machine_for_whole_calls_is_made_after_the_first_plan(monkeypatch):
    helper.close()  # which made it for another test, in another folder
    monkeypatch.setattr(behind, "_machine", [])
    name = cache.key("native", repr(machine.part()))
    compiled = df.compile(f)
    compiled(X)
    assert len(behind._machine) == 1
    until_replayed(compiled, df.asarray(X))
    deadline = time.monotonic() + 60
    while behind.machine_under_way():
        assert time.monotonic() < deadline
        compiled(X)
        assert compiled._whole is None or cache.holds(name)  # nobody makes it a second time
    assert cache.holds(name)
    while compiled._whole is None:
        assert time.monotonic() < deadline
        compiled(X)
    many_compiled = df.compile(many)
    many_compiled(X)
    assert len(behind._machine) == 1


def test_a_damaged_plan_is_made_anew(tmp_path):
    compiled = df.compile(f)
    until_replayed(compiled, df.tensor(X))
    (kept,) = tmp_path.rglob("*.plan")
    cache.store(kept.stem, b"no pickle", "", cache.PLAN)
    builds.forget()
    blocks._compilations.clear()
    before = df.stats()["cache_rebuilds"]
    until_replayed(df.compile(f), df.tensor(X))
    assert df.stats()["cache_rebuilds"] == before + 1


def test_without_a_helper_this_process_plans_and_counts(monkeypatch, tmp_path):
    helper.close()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    before = df.stats()["helper_failures"]
    until_replayed(df.compile(f), df.tensor(X))
    assert df.stats()["helper_failures"] > before


def test_a_helper_that_dies_while_it_plans_is_counted(monkeypatch):
    compiled = df.compile(f)
    compiled(df.tensor(X))
    before = df.stats()["helper_failures"]
    helper.close()
    until_replayed(compiled, df.tensor(X))
    assert df.stats()["helper_failures"] == before + 1


def test_what_planning_raises_is_raised_where_the_program_is_wanted(monkeypatch):
    def plan(*given):
        raise ValueError("no plan today")

    monkeypatch.setattr(pipeline, "plan", plan)
    monkeypatch.setattr(helper, "submit", lambda task, given: None)
    compiled = df.compile(f)
    compiled(df.tensor(X))
    with pytest.raises(CompileError, match="no plan today"):
        compiled(df.tensor(X))


@pytest.mark.parametrize("wait", [False, True])
def test_graphs_too_long_to_plan_are_co_executed(monkeypatch, wait):
    monkeypatch.setattr(blocks, "MOST_NODES", 20)
    compiled, x = df.compile(many, wait=wait), df.tensor(X)
    compiled(x)
    deadline = time.monotonic() + 60
    while not compiled.stats()["co_executions"]:
        assert time.monotonic() < deadline
        np.testing.assert_array_equal(compiled(x).numpy(), many(x).numpy())
    assert "more than 20 operations, in which no loop was found" in compiled.explain()
    assert compiled.stats()["replays"] == 0


def recorded():
    compiled = df.compile(f, wait=True)
    compiled(df.tensor(X))
    block = compiled._last[2]
    return block.graph, block.layouts


def test_a_graph_goes_through_pickle():
    graph, layouts = recorded()
    again = pickle.loads(pickle.dumps(graph)).verify()
    assert again.key == graph.key
    assert pipeline.digest(again, layouts) == pipeline.digest(graph, layouts)
    assert [node.line for node in again.nodes] == [node.line for node in graph.nodes]
    for one, other in zip(interpret(again, [X]), interpret(graph, [X]), strict=True):
        np.testing.assert_array_equal(one, other)


def test_long_chains_go_through_pickle():
    x = df.tensor(X)
    compiled = df.compile(lambda x: many(many(many(many(x)))), wait=True)
    compiled(x)
    graph = compiled._last[2].graph
    assert len(graph.nodes) > 300
    assert pickle.loads(pickle.dumps(graph)).key == graph.key


def test_a_digest_is_the_same_in_every_process():
    graph, layouts = recorded()
    code = (
        "import pickle, sys; from dualflow import pipeline;"
        "print(pipeline.digest(*pickle.loads(sys.stdin.buffer.read())))"
    )
    given = pickle.dumps((graph, layouts))
    run = subprocess.run([sys.executable, "-c", code], input=given, capture_output=True, timeout=60)
    assert run.stdout.decode().strip() == pipeline.digest(graph, layouts), run.stderr


def test_other_numbers_and_lines_have_other_digests():
    x = df.tensor(X)
    found = set()
    for g in (lambda x: x * 0.0, lambda x: x * -0.0, lambda x: x * 0.0, lambda x: x * 2.0):
        compiled = df.compile(g, wait=True)
        compiled(x)
        found.add(compiled._last[2].graph.digest)
    assert len(found) == 3  # the lambdas stand in one line


def test_the_helper_keeps_what_it_made_though_nobody_asks(tmp_path):
    compiled = df.compile(f)
    compiled(df.tensor(X))
    deadline = time.monotonic() + 60
    while not list(tmp_path.rglob("*.plan")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert len(list(tmp_path.rglob("*.o"))) >= 1
    builds.forget()
    blocks._compilations.clear()
    before = counted("kernels_compiled", "plans_loaded")
    assert until_replayed(df.compile(f), df.tensor(X)) == 2
    assert counted("kernels_compiled", "plans_loaded") == [before[0], before[1] + 1]
