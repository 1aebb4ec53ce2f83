"""A compiler that fails, or makes wrong kernels, fails the tests; users get right results all the
same, and a count."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dualflow as df
from dualflow.base.errors import CompileError
from dualflow.base.records import replaced
from dualflow.codegen import numba
from dualflow.ir.kernel import Kernel
from dualflow.ir.text import KernelText
from dualflow.runtime import helper

HERE = Path(__file__).resolve().parent
emit = numba.emit


class BrokenError(Exception):
    """What the stub raises."""


def raises(kernel: Kernel) -> KernelText:
    raise BrokenError("no code today")


def writes_nonsense(kernel: Kernel) -> KernelText:
    text = emit(kernel)
    return replaced(text, source=text.source.replace("for i0 in", "for i0 out of"))


def subtracts(kernel: Kernel) -> KernelText:
    text = emit(kernel)
    return replaced(text, source=re.sub(r" \+ c(\d)", r" - c\1", text.source))


STUBS: dict[str, Callable[[Kernel], KernelText]] = {
    "raises": raises,
    "nonsense": writes_nonsense,
}


def affine(x: df.Tensor) -> df.Tensor:
    return x * 3.0 + 1.5


def branching(x: df.Tensor) -> df.Tensor:
    if df.sum(x) > 0:
        return x * 3.0
    return x - 1.0


def co_executed(x: df.Tensor) -> float:
    found = (x * 3.0 + 1.5).sum().item()
    assert "found" in locals()  # which looks at the frame
    return found


@pytest.fixture(params=STUBS)
def broken(request, monkeypatch):
    """No kernel can be made."""
    monkeypatch.setattr(numba, "emit", STUBS[request.param])


@pytest.mark.parametrize("function", [affine, branching, co_executed])
def test_tests_fail_when_the_compiler_does(broken, function):
    compiled = df.compile(function, wait=True)
    if function is co_executed:  # its first call only takes notes
        compiled(df.ones((4,)))
    for _ in range(3):
        with pytest.raises(CompileError):
            compiled(df.ones((4,)))
    assert compiled.stats()["replays"] == 0


@pytest.mark.parametrize("wait", [False, True])
@pytest.mark.parametrize("function", [affine, branching, co_executed])
def test_users_get_right_results_and_a_count(broken, function, wait, monkeypatch):
    if not wait:  # the helper process, which would plan, has no stub
        monkeypatch.setattr(helper, "submit", lambda task, given: None)
    compiled = df.compile(function, wait=wait)
    before = df.stats()
    with df.config(on_compiler_error="eager"):
        for value in (1.0, 1.0, -2.0, 3.0):
            x = df.full((4,), value)
            found, wanted = compiled(x), function(x)
            assert found == wanted if function is co_executed else found.tolist() == wanted.tolist()
    after = df.stats()
    assert compiled.stats()["replays"] == 0
    assert after["kernel_launches"] == before["kernel_launches"]
    if wait or function is affine:  # else the compiler may still be at work
        assert after["compiler_errors"] > before["compiler_errors"]


def test_a_failing_compiler_is_told_in_explain(broken):
    compiled = df.compile(affine, wait=True)
    with df.config(on_compiler_error="eager"):
        compiled(df.ones((4,)))
        compiled(df.ones((4,)))
        assert "the compiler failed" in compiled.explain()


def test_a_wrong_kernel_is_noticed(monkeypatch):
    monkeypatch.setattr(numba, "emit", subtracts)
    compiled = df.compile(affine, wait=True)
    x = df.ones((4,))
    compiled(x)
    assert compiled(x).tolist() == [1.5] * 4 != affine(x).tolist()
    assert compiled.stats()["replays"] == 1


PLUGIN = """
from dualflow.codegen import numba

def fail(kernel):
    raise RuntimeError("no code today")

numba.emit = fail
"""


def test_the_suite_goes_red(tmp_path):
    (tmp_path / "nocode.py").write_text(PLUGIN)
    places = [
        "test_errors.py::test_a_replay_that_meets_a_bad_value_gives_the_eager_error",
        "test_demonstration.py::test_composites_are_one_kernel",
        "test_programs.py::test_every_transcendental_function_in_one_kernel",
        "test_threads.py::test_threads_share_a_compiled_function",
    ]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "nocode", "-p", "no:cacheprovider",
               *(str(HERE / place) for place in places)]  # fmt: skip
    paths = os.pathsep.join([str(tmp_path), str(HERE.parent)])
    environment: dict[str, Any] = {**os.environ, "PYTHONPATH": paths}
    environment["DUALFLOW_CACHE"] = str(tmp_path / "cache")
    done = subprocess.run(command, cwd=HERE.parent, env=environment, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    assert " passed" not in done.stdout
    for place in places:
        assert f"FAILED tests/{place}" in done.stdout
    assert "CompileError" in done.stdout
