"""`benchmarks.gpu` at tiny size, so that it cannot rot before there is a device."""

from __future__ import annotations

import sys

import pytest

pytest.importorskip("triton")

from gpu_stand_in import gpu, interpreter  # noqa: F401 - fixtures

import dualflow as df
from benchmarks import gpu as bench
from benchmarks import gpu_host
from benchmarks.gpu_libraries import libraries
from benchmarks.gpu_workloads import WORKLOADS

NAMES = [workload.name for workload in WORKLOADS]


@pytest.mark.usefixtures("gpu")
def test_every_workload_runs(monkeypatch):
    monkeypatch.setattr(bench, "seconds_of", lambda call, wait: (call(), call(), 1e-3)[2])
    chosen, machine = libraries([])
    assert machine["device"] == "Stand-in"
    with df.config(tuning=0.0):
        limits, *rows = bench.rows(chosen, only=[], tiny=True, minutes=5.0)
    assert limits["float16"] > 0
    assert [row.name for row in rows] == NAMES
    for row in rows:
        assert not row.failed, row.failed
        assert row.line().startswith(row.name)


def test_the_cost_on_the_host_is_measured(monkeypatch, capsys):
    for name, value in {"KERNELS": (1, 3), "STRETCHES": 1, "CALLS": 3, "PROCESSES": 1}.items():
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
    assert len(set(NAMES)) == len(NAMES) >= 15
    for workload in WORKLOADS:
        assert workload.sizes
        assert workload.tiny
