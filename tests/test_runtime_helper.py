"""The compiler's helper process: it works from anywhere, and its loss costs time only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cpu_kernels import binary, compiled, program_of

from dualflow.base.config import config
from dualflow.base.counters import stats
from dualflow.base.dtypes import float64
from dualflow.codegen.numba import emit
from dualflow.runtime import builds, cpu, helper

X = np.arange(1.0, 9.0)
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    """No disk cache, no kernel in memory, and a helper that may start at once."""
    builds.forget()
    monkeypatch.setattr(helper, "_PAUSE", 0.0)
    with config(cache=None):
        yield


def right(op: str = "add") -> bool:
    program, inputs = program_of(binary(op, float64), [X, X, (8,)], {"j": 8})
    return np.array_equal(compiled(program).run(inputs)[0], getattr(np, op)(X, X))


def test_texts_are_compiled_in_the_helper():
    before = stats()
    assert right()
    assert helper.current() is not None
    assert helper.current().pid != os.getpid()
    assert stats()["helper_failures"] == before["helper_failures"]
    assert stats()["kernels_compiled"] == before["kernels_compiled"] + 1


def test_a_compilation_is_polled_until_it_is_done():
    kernel = binary("multiply", float64)
    program, inputs = program_of(kernel, [X, X, (8,)], {"j": 8})
    compilation = cpu.prepare(program, {kernel: emit(kernel)})
    deadline = time.monotonic() + 30
    while not compilation.done:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    np.testing.assert_array_equal(compilation.result().run(inputs)[0], X * X)


@pytest.mark.parametrize("when", ["before", "during"])
def test_a_helper_that_dies_is_counted_and_replaced(when):
    assert right()
    before = stats()["helper_failures"]
    first = helper.current().pid
    kernel = binary("subtract", float64)
    program, inputs = program_of(kernel, [X, X, (8,)], {"j": 8})
    if when == "before":
        os.kill(first, signal.SIGKILL)
        time.sleep(0.05)
        compilation = cpu.prepare(program, {kernel: emit(kernel)})
    else:
        os.kill(first, signal.SIGSTOP)
        compilation = cpu.prepare(program, {kernel: emit(kernel)})
        assert not compilation.done
        os.kill(first, signal.SIGKILL)
    np.testing.assert_array_equal(compilation.result().run(inputs)[0], X - X)
    assert stats()["helper_failures"] == before + 1
    builds.forget()
    assert right("divide")
    assert helper.current().pid != first
    assert stats()["helper_failures"] == before + 1


def test_a_helper_that_cannot_start_leaves_the_work_to_this_process(monkeypatch, tmp_path):
    helper.close()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    before = stats()["helper_failures"]
    assert right()
    assert stats()["helper_failures"] == before + 1
    assert helper.current() is None


def test_a_helper_without_llvmlite_leaves_the_work_to_this_process(monkeypatch, tmp_path):
    helper.close()
    (tmp_path / "llvmlite.py").write_text("raise ImportError('broken')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    before = stats()["helper_failures"]
    assert right()
    assert stats()["helper_failures"] == before + 1


SCRIPT = """
import os, sys
sys.path[:0] = [{tests!r}, {root!r}]
import test_runtime_helper as t
from dualflow.base.config import set_config
set_config(cache=None)
os.chdir("/")
assert t.right()
assert t.stats()["helper_failures"] == 0
assert "numba" not in sys.modules
print(t.helper.current().pid)
"""


def test_it_works_from_a_command_line_in_another_folder_and_ends_with_its_parent(tmp_path):
    code = SCRIPT.format(tests=str(ROOT / "tests"), root=str(ROOT))
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert gone(int(run.stdout))


def test_it_ends_when_its_parent_is_killed(tmp_path):
    code = SCRIPT.format(tests=str(ROOT / "tests"), root=str(ROOT))
    code += "sys.stdout.flush(); os.kill(os.getpid(), 9)"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert run.returncode == -signal.SIGKILL
    assert gone(int(run.stdout))


def gone(pid: int) -> bool:
    """Whether the process ends within some seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        status = Path(f"/proc/{pid}/stat")
        if status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return True
        time.sleep(0.02)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_has_what_its_parent_leaves():
    helper.begin()
    made = helper.current()
    assert made is not None
    helper.submit("dualflow.runtime.frames:frame", b"").result()  # it runs by now
    fields = Path(f"/proc/{made.pid}/stat").read_text().rpartition(")")[2].split()
    assert int(fields[16]) >= 10  # its niceness
    assert int(fields[3]) == os.getsid(0)
    assert int(fields[2]) == made.pid != os.getpgrp()  # an interrupt does not reach it


def test_a_fork_leaves_pending_results_to_the_parent():
    kernel = binary("multiply", float64)
    program, inputs = program_of(kernel, [X, X, (8,)], {"j": 8})
    compilation = cpu.prepare(program, {kernel: emit(kernel)})
    child = os.fork()
    if child == 0:
        found = compilation.result().run(inputs)[0]
        os._exit(0 if np.array_equal(found, X * X) else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    before = stats()["helper_failures"]
    np.testing.assert_array_equal(compilation.result().run(inputs)[0], X * X)
    assert stats()["helper_failures"] == before


def test_a_forked_child_starts_a_helper_of_its_own():
    assert right()
    mine = helper.current().pid
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        builds.forget()
        answer = b"right" if right("multiply") and helper.current().pid != mine else b"wrong"
        os.write(write, answer)
        helper.close()
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == b"right"
    builds.forget()
    assert right("subtract")
    assert helper.current().pid == mine
