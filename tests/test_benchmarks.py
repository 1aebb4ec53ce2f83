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
    call_kinds,
    calls,
    capture,
    ceilings,
    checking,
    contractions,
    derivatives,
    libraries,
    loops,
    memory_bound,
    numpy_programs,
    overhead,
    regressions,
    running,
    segments,
)
from benchmarks.task import GRADIENT, Task, Workload  # noqa: E402
from benchmarks.workloads import WORKLOADS  # noqa: E402


def command(*options: str, cache: Path) -> subprocess.CompletedProcess[str]:
    """`python -m benchmarks` in a process of its own."""
    environment = {**os.environ, "DUALFLOW_CACHE": str(cache), "PYTHONPATH": str(ROOT)}
    environment["DUALFLOW_ON_COMPILER_ERROR"] = "raise"
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "benchmarks", *options],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200,
    )  # fmt: skip


def test_the_command_runs(tmp_path):
    file = tmp_path / "page.html"
    done = command(
        "--tiny", "--only", "softmax over rows,heat", "--html", str(file), cache=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    written = file.read_text()
    for name in ("softmax over rows of 256", "heat equation", "2-D heat stencil", "program: heat"):
        assert name in done.stdout
        assert name in written
    for fact in ("import dualflow", "warm cache", "replayed call", "eager x + y", "the most of"):
        assert fact in done.stdout
        assert fact in written
    assert "numpy" in done.stdout
    assert "LSTM" not in done.stdout
    assert written.count("<svg") == 1 + 5
    assert "http" not in written


def test_the_command_lists_workloads(tmp_path):
    done = command("--list", cache=tmp_path)
    assert len(done.stdout.splitlines()) == len(WORKLOADS) >= 40
    assert all(len(workload.sizes) == 3 for workload in WORKLOADS)
    assert len({workload.name for workload in WORKLOADS}) == len(WORKLOADS)


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
    calls = contractions.in_dualflow(row, eager=False)
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
                 "co-execution, an op", "co-executed", "beside the compiling helper"):  # fmt: skip
        assert word in said


def test_what_loops_cost_is_measured(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["loops", "--tiny"])
    assert loops.main() == 0
    rows = [row for row in capsys.readouterr().out.splitlines() if " steps " in row]
    assert len(rows) == 2 * len(loops.PROGRAMS)
    for row in rows:
        eager, recording, waited, _, replay = map(float, row.partition(" steps ")[2].split())
        assert min(eager, recording, waited, replay) > 0


def test_calls_of_each_kind_are_native():
    found = call_kinds.measure(stretches=1)
    assert len(found) == 2 * len(call_kinds.kinds())
    assert min(found.values()) > 0


def test_the_parts_of_a_call_are_measured():
    found = calls.measure(stretches=5)
    assert len(found) == 13 * len(calls.SIZES)
    assert min(found.values()) > 0
    for size in calls.SIZES:
        native = found[f"{size} elements: native call, tensors"]
        assert native < found[f"{size} elements: portable call, tensors"]


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


# the short form, which CI runs, checks all of them
@pytest.mark.parametrize("workload", WORKLOADS[::5], ids=lambda workload: workload.name)
def test_a_workload_computes_what_numpy_does(workload: Workload):
    task = workload.make(workload.sizes[0])
    call = libraries.call_of("dualflow", task)
    before = df.stats()
    results = [libraries.arrays_of(call()) for _ in range(3)]
    after = df.stats()
    assert checking.Reference(task).differs(results) == ""
    assert after["replays"] == before["replays"] + 2
    done = ("kernel_launches", "library_calls")
    assert sum(after[name] for name in done) > sum(before[name] for name in done)


def test_results_that_differ_are_told():
    task = Task(lambda xp, x: x * 2 + xp.exp(x), (np.ones(3, np.float32),))
    reference = checking.Reference(task)
    right = task.function(np, *task.arrays)
    assert reference.differs([[right]] * 3) == ""
    assert "call 2 deviates" in reference.differs([[right], [right + 0.001], [right]])
    assert "shape" in reference.differs([[right], [right], [right[:2]]])
    assert "2 arrays" in reference.differs([[right, right], [right], [right]])
    assert "deviates by nan" in reference.differs([[right * np.nan]] * 3)


def test_a_wrong_gradient_is_found(monkeypatch):
    task = Task(lambda xp, x: (x * x).sum(), (np.ones(3, np.float32),), GRADIENT)
    checking.Reference(task)
    monkeypatch.setattr(
        checking, "call_of", lambda name, task: lambda: (np.float64(3.0), np.full(3, 2.1))
    )
    with pytest.raises(AssertionError):
        checking.Reference(task)


def test_ratios_and_means():
    rows = [
        {"times": {"dualflow": 1.0, "dualflow eager": 0.1, "numpy": 8.0, "torch": 2.0}},
        {"times": {"dualflow": 2.0, "jax.jit": 1.0}},
        {"times": {"dualflow": 2.0}},
    ]
    assert running.best_peer(rows[0]) == ("torch", 2.0)
    assert running.best_peer(rows[2]) is None
    assert running.mean(rows) == pytest.approx(1.0)
    assert running.behind(rows) == rows[1:2]


def test_the_ceiling_that_limits():
    found = ceilings.Ceilings((1e9,) * len(ceilings.SIZES), {"float32": 1e10, "float64": 5e9})
    assert found.least(1e6, 1e6, "float32") == (pytest.approx(1e-3), "bandwidth")
    assert found.least(1e3, 1e9, "float64") == (pytest.approx(0.2), "arithmetic")


@pytest.mark.parametrize(("speed", "verdict"), [(1.0, 0), (1.4, 0), (1.6, 1)])
def test_the_short_form_fails_where_a_ratio_fell_by_a_third(speed, verdict, monkeypatch, capsys):
    def row(own: float) -> dict[str, object]:
        times = {"dualflow": own, "numpy": 3.0}
        return {"workload": "w", "size": 1, "threads": 1, "medians": times, "least": times}

    kept = {"machine": regressions.machine(), "rows": [row(1.0)]}
    monkeypatch.setattr(regressions, "newest", lambda: kept)
    runs = []

    def run(wanted: running.Wanted, warm: bool) -> running.Results:
        runs.append(wanted)
        return running.Results([row(speed)])

    monkeypatch.setattr(regressions, "run", run)
    assert regressions.check(running.Wanted(["w"], [], [0], [1], 0.1)) == verdict
    assert len(runs) == (regressions.TRIES if verdict else 1)
    assert ("w, 1: " in capsys.readouterr().out) == bool(verdict)


def test_parts_that_are_slower_than_eager_mode_are_told(capsys):
    random = next(segments.random_parts(1))
    values = [np.asarray(each.numpy()) for each in random.eager()]
    for _ in range(2):
        found = random.compiled()
    assert random.compiled.func.stats()["replays"] >= 1
    for one, other in zip(found, values, strict=True):
        np.testing.assert_allclose(one.numpy(), other, rtol=1e-4, atol=1e-4)
    slow = segments.Part("slow", lambda: None, lambda: sum(range(5000)))
    fast = segments.Part("fast", lambda: sum(range(5000)), lambda: None)
    told, ratios = segments.slower([slow, fast])
    assert [line.rpartition(" ")[2] for line in told] == ["slow"]
    assert ratios[0] < 0.1 < 10 < ratios[1]
    assert "slow" in capsys.readouterr().out


def test_kernels_beyond_the_caches_are_timed_beside_copies(monkeypatch, capsys):
    monkeypatch.setattr(memory_bound, "SECONDS", 0.001)
    memory_bound.main(["--side", "64"])
    lines = capsys.readouterr().out.splitlines()
    assert [line[:24].strip() for line in lines] == [row.name for row in memory_bound.ROWS]
    assert all(float(line.split()[-1]) > 0 for line in lines)
