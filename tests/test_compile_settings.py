"""The eager mode, warm-up, and what is told of many recordings."""

from __future__ import annotations

import subprocess
import sys

from test_compile import vector, ways

import dualflow as df


def test_many_recordings_for_one_value_are_told_once(caplog):
    f = df.compile(lambda x, name: {name: x}, wait=True)
    for i in range(12):
        f(vector(1), f"key{i}")
    (record,) = caplog.records
    assert record.name == "dualflow"
    assert "was recorded 8 times: last for" in record.message
    assert "args[1]" in record.message
    assert "key7" in record.message
    assert record.message in f.explain()


def test_many_recordings_for_shapes_are_told_with_the_remedy(caplog):
    f = df.compile(lambda x: x * 2, wait=True)
    for n in range(1, 12):
        assert f(df.ones(n)).shape == (n,)
    (record,) = caplog.records
    assert "args[0]: shape (7,)" in record.message
    assert "shape (8,)" in record.message
    assert "few different shapes" in record.message


def test_few_recordings_are_not_told(caplog):
    f = df.compile(lambda x: x * 2, wait=True)
    for n in range(1, 7):
        f(df.ones(n))
    assert caplog.records == []


def test_the_eager_mode_turns_decorators_off():
    f = df.compile(lambda x: x + 1, wait=True)
    with df.config(mode="eager"):
        assert [f(vector(k)).tolist() for k in (1, 2)] == [[2.0], [3.0]]
    assert f.stats()["calls"] == 0
    f(vector(1))
    f(vector(2))
    assert ways(f) == (1, 1, 0, 0)


def test_the_variable_for_the_mode(monkeypatch):
    code = (
        "import dualflow as df\n"
        "f = df.compile(lambda x: x + 1, wait=True)\n"
        "f(df.ones(2)); f(df.ones(2)); print(f.stats()['calls'])"
    )
    for mode, calls in (("eager", "0"), ("compiled", "2")):
        monkeypatch.setenv("DUALFLOW_MODE", mode)
        made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert made.stdout.strip() == calls, made.stderr
    monkeypatch.setenv("DUALFLOW_MODE", "quick")
    made = subprocess.run([sys.executable, "-c", "import dualflow as df; df.ones(1)"],
                          capture_output=True, text=True)  # fmt: skip
    assert "DUALFLOW_MODE='quick'" in made.stderr
    assert "compiled, eager" in made.stderr


def test_eager_runs_the_function_as_written_and_all_below_it():
    inner = df.compile(lambda x: x * 3, wait=True)
    outer = df.compile(lambda x: inner(x) + 1, wait=True)
    assert outer.eager(vector(1)).tolist() == [4.0]
    assert inner.stats()["calls"] == outer.stats()["calls"] == 0
    assert outer(vector(2)).tolist() == [7.0]


def test_warmup_compiles_and_puts_back_what_it_changed():
    state = {"w": df.ones(3), "steps": 0}

    @df.compile
    def step(x):
        state["w"] -= x
        state["steps"] += 1
        return state["w"].sum()

    step.warmup(df.ones(3))
    assert state["w"].tolist() == [1.0, 1.0, 1.0]
    assert state["steps"] == 0
    before = step.stats()["replays"]
    assert step(df.ones(3)).item() == 0.0
    assert step.stats()["replays"] == before + 1
    assert state["steps"] == 1
