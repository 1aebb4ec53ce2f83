"""The benchmarks run at tiny size, all of them, and dualflow computes what NumPy does in each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dualflow as df

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import (  # noqa: E402
    capture,
    contractions,
    derivatives,
    numpy_programs,
    overhead,
    peers,
    workloads,
)


def test_the_command_runs(tmp_path):
    environment = {**os.environ, "DUALFLOW_CACHE": str(tmp_path), "PYTHONPATH": str(ROOT)}
    environment["DUALFLOW_ON_COMPILER_ERROR"] = "raise"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "benchmarks", "--tiny"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for workload in workloads.WORKLOADS:
        assert workload.name in done.stdout
    for fact in ("import dualflow", "warm cache", "replayed call", "eager x + y", "the most of"):
        assert fact in done.stdout
    assert "numpy" in done.stdout


def test_the_workloads_are_those_of_the_readme():
    names = " ".join(workload.name for workload in workloads.WORKLOADS)
    for word in ("chain", "softmax", "layer_norm", "cross_entropy", "Adam", "Black-Scholes",
                 "stencil", "MLP"):  # fmt: skip
        assert word in names


@pytest.mark.parametrize("pair", [*derivatives.tangents(True), *derivatives.maps(True)],
                         ids=lambda pair: pair.name)  # fmt: skip
def test_what_derivatives_are_compared_with(pair: derivatives.Pair):
    found, wanted = pair.first(*pair.args), pair.second(*pair.args)
    found = found[0] if isinstance(found, tuple) else found
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), 1e-5, 1e-5)


def test_the_costs_of_derivatives_are_measured(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["derivatives", "--tiny"])
    assert derivatives.main() == 0
    said = capsys.readouterr().out
    assert "jvp of softmax" in said
    assert "vmap of a gradient" in said


@pytest.mark.parametrize("row", contractions.rows(True), ids=lambda row: row.name)
def test_what_contractions_give(row: contractions.Row):
    calls = contractions.in_dualflow(row)
    xs = [df.asarray(x.astype(np.float64)) for x in row.arrays()]
    wanted, pull = df.vjp(row.of(df), *xs)
    np.testing.assert_allclose(calls["forward"]().numpy(), wanted.numpy(), 1e-3, 1e-3)
    for found, gradient in zip(calls["gradients"](), pull(wanted * 2.0), strict=True):
        scale = abs(gradient.numpy()).max()
        np.testing.assert_allclose(found.numpy(), gradient.numpy(), 1e-3, 1e-4 * scale)


def test_contractions_are_measured(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["contractions", "--tiny"])
    assert contractions.main() == 0
    assert "attention of 1024, causal" in capsys.readouterr().out


def test_programs_of_numpy_are_measured(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["numpy_programs", "--tiny"])
    assert numpy_programs.main() == 0
    said = capsys.readouterr().out
    assert "heat" in said
    assert "replay" in said
    assert "no slower than undecorated" in said


def test_the_costs_of_recording_and_replaying_are_measured(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["capture", "--tiny"])
    assert capture.main() == 0
    said = capsys.readouterr().out
    for word in ("recording, digits step", "hook: a global", "guards of 100 reads",
                 "co-execution, an op", "co-executed"):  # fmt: skip
        assert word in said


ROWS = {overhead.text_of(row): row for rows in overhead.TABLE.values() for row in rows}


def outcome(text: str, variables: dict[str, object]) -> list[np.ndarray]:
    """The arrays that a row gives, or, of a statement, what it leaves."""
    try:
        return arrays(eval(text, variables))
    except SyntaxError:
        exec(text, variables)
        return arrays([variables["x"], variables["m"]])


@pytest.mark.parametrize("name", ROWS)
def test_a_row_of_the_overheads_is_numpys(name):
    row = ROWS[name]
    mine, theirs = (row, row) if isinstance(row, str) else row
    found = outcome(mine, overhead.tensors())
    wanted = outcome(theirs, overhead.arrays())
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_rows_named_twice_exist():
    assert set(overhead.OPERATIONS) <= set(ROWS)


def arrays(result: object) -> list[np.ndarray]:
    """The arrays in what a call gave."""
    if isinstance(result, (tuple, list)):
        return [array for part in result for array in arrays(part)]
    return [result.numpy() if isinstance(result, df.Tensor) else np.asarray(result)]


@pytest.mark.parametrize("workload", workloads.WORKLOADS, ids=lambda workload: workload.name)
def test_a_workload_computes_what_numpy_does(workload, monkeypatch):
    monkeypatch.setattr(peers, "CHOSEN", set())
    calls = workload.make(workload.sizes[0])
    assert "dualflow" in calls
    assert workload.moved(workload.sizes[0]) > 0
    before = df.stats()
    found = [arrays(calls["dualflow"]()) for _ in range(3)]
    after = df.stats()
    assert after["replays"] > before["replays"]
    assert after["kernel_launches"] > before["kernel_launches"]
    if "numpy" in calls:
        wanted = arrays(calls["numpy"]())
        assert len(wanted) == len(found[-1])
        for one, other in zip(found[-1], wanted, strict=True):
            np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)
