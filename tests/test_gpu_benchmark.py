"""`benchmarks.gpu` at tiny size, so that it cannot rot before there is a device."""

from __future__ import annotations

import json
import sys
import time
import types

import pytest

pytest.importorskip("triton")

from gpu_stand_in import gpu, interpreter  # noqa: F401 - fixtures

import dualflow as df
from benchmarks import gpu as bench
from benchmarks import gpu_child, gpu_host
from benchmarks.gpu_libraries import libraries
from benchmarks.gpu_workloads import WORKLOADS

NAMES = [workload.name for workload in WORKLOADS]


@pytest.mark.usefixtures("gpu")
def test_every_workload_runs(monkeypatch):
    monkeypatch.setattr(gpu_child, "seconds_of", lambda call, wait: (call(), call(), 1e-3)[2])
    chosen, machine = libraries([])
    assert machine["device"] == "Stand-in"
    results, finished = bench.Results(), []
    with df.config(tuning=0.0):
        for event in gpu_child.events(chosen, only=[], tiny=True, skipped=[]):
            row = results.take(json.loads(json.dumps(event)))
            finished += [row] if row is not None else []
    assert results.limits["float16"] > 0
    assert [row.name for row in finished] == NAMES
    for row in finished:
        assert not row.failed, row.failed
        assert row.line(results.limits).startswith(row.name)
    assert [each["name"] for each in json.loads(results.text())["rows"]] == NAMES


CHILD = """
import json, sys, time
skipped = json.loads(sys.argv[-1])
say = lambda event: print(json.dumps(event), flush=True)
say({"machine": {"device": "none"}, "limits": {"bytes": 8.0}})
for name in "abcd":
    at = json.dumps([name, "1", "dualflow"])
    if at in skipped:
        continue
    say({"begins": at})
    if name == "b":
        time.sleep(60)
    if name == "c":
        sys.exit(3)
    say({"row": [name, "1"], "seconds": {"dualflow": 2.0}})
    say({"row": [name, "1"], "work": ["bytes", 8.0], "finished": True})
"""


def test_what_hangs_or_breaks_off_costs_no_other_row(monkeypatch):
    monkeypatch.setattr(bench, "PATIENCE", 1.0)
    results, told = bench.Results(), []
    bench.supervise([sys.executable, "-c", CHILD], results, 1.0, told.append)
    assert [row.name for row in told] == ["a", "d"]
    assert [row.share(results.limits) for row in told] == [0.5, 0.5]
    assert results.rows["b", "1"].failed == {"dualflow": "took longer than 1 s"}
    assert results.rows["c", "1"].failed == {"dualflow": "ended with 3"}
    assert results.machine == {"device": "none"}


def test_time_is_up_when_it_was_said():
    results, begun = bench.Results(), time.monotonic()
    bench.supervise([sys.executable, "-c", CHILD], results, 0.05, lambda row: None)
    assert time.monotonic() - begun < 30
    assert "d" not in {name for name, _ in results.rows}


def test_a_process_that_cannot_begin_ends_it():
    results = bench.Results()
    bench.supervise([sys.executable, "-c", "raise SystemExit(2)"], results, 1.0, None)
    assert not results.rows


@pytest.mark.usefixtures("gpu")
def test_rows_that_are_known_are_not_measured_again():
    chosen, _ = libraries([])
    known = [json.dumps([w.name, "x".join(map(str, size)), "dualflow"])
             for w, size in gpu_child.sizes([], True)[0]]  # fmt: skip
    found = list(gpu_child.events(chosen, only=[], tiny=True, skipped=known))
    assert [list(event) for event in found] == [["limits"]]


def test_what_compiles_for_long_comes_behind_all_else_of_the_first_sizes(monkeypatch):
    begun = []

    def measured(workload, size, chosen, skipped, reference=None):
        assert (reference is None) == (chosen[0].name == "dualflow")
        begun.extend((workload.name, size == workload.sizes[0], each.name) for each in chosen)
        yield from ()

    monkeypatch.setattr(gpu_child, "measured", measured)
    monkeypatch.setattr(gpu_child, "ceilings", lambda *_: {})
    names = ("dualflow", "torch", "torch.compile", "torch max-autotune", "cupy")
    chosen = [types.SimpleNamespace(name=name) for name in names]
    list(gpu_child.events(chosen, only=["chain", "adam"], tiny=False, skipped=[]))
    soon = ["dualflow", "torch", "cupy"]
    order = [("chain", True, n) for n in soon] + [("adam", True, n) for n in soon]
    order += [(w, True, n) for n in names[2:4] for w in ("chain", "adam")]
    assert begun[: len(order)] == order
    assert not any(first for _, first, _ in begun[len(order) :])
    assert len(begun) == len(names) * 6


def test_a_second_run_goes_on_where_the_first_ended(tmp_path, monkeypatch, capsys):
    """And not from what another device was found to take."""
    command = [sys.executable, "-c", CHILD.replace('"b"', '"-"').replace('"c"', '"-"')]
    first = bench.Results()
    bench.supervise(command, first, 1.0, lambda row: None)
    for name in "bd":
        del first.rows[name, "1"]
    again, told = bench.Results.of(first.text()), []
    assert again == first
    bench.supervise(command, again, 1.0, told.append)
    assert [row.name for row in told] == ["b", "d"]
    with pytest.raises(ValueError, match="measured on"):
        again.take({"machine": {"device": "another"}})


def test_the_cost_on_the_host_is_measured(monkeypatch, capsys):
    for name, value in {"KERNELS": (1, 3), "STRETCHES": 1, "PROCESSES": 1}.items():
        monkeypatch.setattr(gpu_host, name, value)
    found = {}
    monkeypatch.setattr(gpu_host.keeping, "save", lambda figures, of: found.update(figures))
    monkeypatch.setattr(sys, "argv", ["gpu_host", "--save"])
    gpu_host.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "a replay of   1 kernels", "a replay of   3 kernels",
        "a co-executed call, 15 operations, 3 reads", "the first two calls of a process, cold",
        "the first two calls of a process, warm"]  # fmt: skip
    assert not df.cuda.is_available()
    cold, warm = found["first calls"].values()
    assert (cold["kernels_compiled"], cold["kernels_loaded"], cold["plans_loaded"]) == (2, 0, 0)
    assert (warm["kernels_compiled"], warm["kernels_loaded"], warm["plans_loaded"]) == (0, 2, 1)
    assert warm["replays"] == 1  # of the second call
    assert not warm["triton"]
    assert warm["cpu ms"] < 600  # 70 where nothing else runs


def test_the_workloads_of_the_promise_are_there():
    words = ("chain", "softmax", "layer_norm", "rms_norm silu", "cross_entropy", "column sum",
             "full sum", "adam", "matmul gelu", "matmul layer_norm", "attention causal",
             "transformer block", "GPT-2 small step", "LeNet", "ResNet", "convolution", "histogram",
             "embedding gradient", "many small ops")  # fmt: skip
    assert len(set(NAMES)) == len(NAMES)
    for word in words:
        assert any(name.startswith(word) for name in NAMES), word
    for name in ("softmax", "layer_norm", "rms_norm silu", "cross_entropy", "attention causal",
                 "convolution"):  # fmt: skip
        assert {name, f"{name} backward"} <= set(NAMES)
    assert any(name.endswith("bfloat16") for name in NAMES)
    for workload in WORKLOADS:
        assert workload.sizes
        assert workload.tiny
