"""Independent tasks in copies of a process: each is done, whatever becomes of a copy."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from cpu_kernels import binary, program_of

from dualflow.base.config import config
from dualflow.base.counters import stats
from dualflow.base.dtypes import float64
from dualflow.codegen.numba import emit
from dualflow.runtime import builds, compiler_process, cpu, helper, side_by_side
from dualflow.runtime.frames import job

X = np.arange(1.0, 9.0)
ROOT = Path(__file__).resolve().parents[1]
SCRIPT = """
import os, signal, sys, time
from functools import partial
from dualflow.runtime import side_by_side

main = os.getpid()

def where(n):
    time.sleep(0.02)
    return n, os.getpid() == main

def fails(n):
    raise ValueError(n)

def kills(n):
    if os.getpid() != main:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.02)
    return n

def large(n):
    time.sleep(0.02)
    return bytes(1 << 20)

class Odd(Exception):
    def __reduce__(self):
        raise TypeError

def odd(n):
    time.sleep(0.02)
    return Odd(n)

open_file = os.dup(2)
side_by_side.allow(2, (open_file,))
"""


def run(lines: str) -> None:
    """A process of its own: one that forks has no threads of pytest's."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT + lines],
        capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_copies_take_their_part():
    run("""
found = side_by_side.results([partial(where, n) for n in range(12)])
assert [n for n, _ in found] == list(range(12))
assert {here for _, here in found} == {True, False}
""")


def test_an_exception_is_a_result():
    run("""
found = side_by_side.results([partial(fails, n) for n in range(6)] + [partial(where, 6)])
assert [error.args for error in found[:6]] == [(n,) for n in range(6)]
assert found[6][0] == 6
""")


@pytest.mark.parametrize("task", ["kills", "odd"])
def test_what_a_copy_cannot_hand_over_is_done_here(task):
    run(f"""
found = side_by_side.results([partial({task}, n) for n in range(9)])
assert len(found) == 9 and all(f.args[0] == n if {task} is odd else f == n
                               for n, f in enumerate(found)), found
""")


def test_results_larger_than_a_pipe():
    run("""
assert side_by_side.results([partial(large, n) for n in range(8)]) == [bytes(1 << 20)] * 8
""")


def test_no_file_and_no_process_is_left():
    run("""
before = os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd") else []
side_by_side.results([partial(where, n) for n in range(8)])
assert before == (os.listdir("/proc/self/fd") if before else [])
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    pass
else:
    raise AssertionError("a copy is left")
""")


def test_without_a_further_process_all_is_done_here():
    run("""
def refused():
    raise BlockingIOError

fork, left = os.fork, [1]
os.fork = lambda: fork() if left and left.pop() else refused()
before = os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd") else []
for _ in range(2):  # one copy, and then none
    found = side_by_side.results([partial(where, n) for n in range(6)])
    assert [n for n, _ in found] == list(range(6))
assert before == (os.listdir("/proc/self/fd") if before else [])
""")


def test_this_process_makes_no_copies():
    pid = os.getpid()
    assert side_by_side.results([os.getpid] * 4) == [pid] * 4


def test_more_tasks_than_a_pipe_holds(monkeypatch):
    monkeypatch.setattr(side_by_side, "_MOST", 3)
    assert side_by_side.results([partial(int, n) for n in range(8)]) == list(range(8))


def test_a_copy_closes_the_files_of_the_user():
    """Else whoever reads them would not see that this process has died."""
    run("""
def is_closed(n):
    time.sleep(0.02)
    try:
        os.fstat(open_file)
    except OSError:
        return True
    return os.getpid() == main

assert all(side_by_side.results([partial(is_closed, n) for n in range(12)]))
os.fstat(open_file)
""")


def test_texts_that_wait_together_are_one_batch():
    texts = [job("dualflow.runtime.compile:compile_written", b"%d" % n) for n in range(4)]
    other = job("dualflow.pipeline:plan_pickled", b"")
    waiting = deque(enumerate([*texts[:2], other, other, *texts[2:]]))
    batches = []
    while waiting:
        batches.append([number for number, _ in compiler_process._together(waiting)])
    assert batches == [[0, 1], [2], [3], [4, 5]]


def test_a_stopped_helper_finds_texts_that_wait_together(monkeypatch):
    monkeypatch.setattr(helper, "_PAUSE", 0.0)
    builds.forget()
    names = ("add", "subtract", "multiply", "divide", "maximum", "minimum")
    kernels = [binary(op, float64) for op in names]
    made = [program_of(kernel, [X, X, (8,)], {"j": 8}) for kernel in kernels]
    with config(cache=None):
        helper.begin()
        process = helper.current()
        assert process is not None
        os.kill(process.pid, signal.SIGSTOP)
        compilations = [
            cpu.prepare(program, {kernel: emit(kernel)})
            for kernel, (program, _) in zip(kernels, made, strict=True)
        ]
        os.kill(process.pid, signal.SIGCONT)
        failures = stats()["helper_failures"]
        for op, (_, inputs), compilation in zip(names, made, compilations, strict=True):
            assert np.array_equal(compilation.result().run(inputs)[0], getattr(np, op)(X, X))
        assert stats()["helper_failures"] == failures
