"""A GPU that is none: modules that stand in for CuPy and CUDA's driver, over NumPy's memory.

`installed(interpreter)` puts them where imports find them. Arrays are of a class of their own that
refuses NumPy's arrays, as CuPy's does, and has no more functions than CuPy; kernels that are
launched run in Triton's interpreter, on exactly the parameters that CUDA would be given. So all of
dualflow's path to a GPU runs but the compiler (which other tests run) and the hardware.
"""

from __future__ import annotations

import pickle
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from stand_in_arrays import Device, Memory
from stand_in_cupy import Clock, ErrState, Graph, make_cupy, module
from stand_in_driver import Result, make_cublas, make_driver
from triton_interpreter import Interpreter

import dualflow as df
from dualflow.array import kernels, on_device
from dualflow.ops import door
from dualflow.runtime import builds
from dualflow.runtime.gpu import compile as gpu_compile
from dualflow.runtime.gpu import gemm, graphs, images, launching, libraries, tuning

__all__ = ["Clock", "Device", "Graph", "Memory", "Result", "forget", "gpu", "installed",
           "interpreter"]  # fmt: skip


@contextmanager
def installed(interpreter: Interpreter, monkeypatch: Any) -> Iterator[types.ModuleType]:
    """The stand-in in place of CuPy, the driver and the compiler."""

    def compile_text(text: Any, chosen: Any, capability: int) -> images.Image:
        assert capability == 90
        return images.Image(pickle.dumps((text, chosen)), text.name, 1 << 16, chosen.warps)

    cupy, driver = make_cupy(), make_driver(interpreter)
    bindings = module("cuda.bindings", driver=driver)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "cupyx", module("cupyx", errstate=ErrState))
    monkeypatch.setitem(sys.modules, "cuda", module("cuda", bindings=bindings))
    monkeypatch.setitem(sys.modules, "cuda.bindings", bindings)
    library = make_cublas()
    monkeypatch.setattr(gemm, "cublas", lambda: library)
    monkeypatch.setattr(images, "submit", lambda task, given: None)
    monkeypatch.setattr(gpu_compile, "compile_text", compile_text)
    forget()
    door.away[:] = [on_device]
    yield cupy
    forget()
    door.away.clear()


def forget() -> None:
    """Drop what was imported, loaded and compiled."""
    for cached in (libraries.cupy, libraries.driver, libraries.capability, launching.function):
        cached.cache_clear()
    tuning.forget()
    graphs._workspaces.clear()
    gemm._handles.found.clear()
    gemm._used.clear()
    images.forget()
    builds.forget()
    kernels._programs.clear()


@pytest.fixture(scope="session")
def interpreter(tmp_path_factory) -> Iterator[Interpreter]:
    """The process in which kernels run."""
    process = Interpreter(tmp_path_factory.mktemp("triton"))
    yield process
    process.close()


@pytest.fixture
def gpu(interpreter, monkeypatch, tmp_path) -> Iterator[types.ModuleType]:
    """The stand-in; a failure of the compiler is an error."""
    with (
        df.config(cache=tmp_path, on_compiler_error="raise"),
        installed(interpreter, monkeypatch) as cupy,
    ):
        yield cupy
