"""A kernel text and a variant -> machine code: from memory, from the disk cache, or compiled.

On a hit neither Triton nor a compiler is touched. Texts that are equal share one build for the
life of the process; another process compiles, as for the CPU.
"""

from __future__ import annotations

import importlib.util
import pickle
import threading
from functools import cache as once
from pathlib import Path
from typing import Any

from dualflow.base.counters import count
from dualflow.base.digest import hashed
from dualflow.base.errors import CompileError
from dualflow.ir.text import KernelText, Variant
from dualflow.runtime import cache
from dualflow.runtime.helper import submit

from .image import Image, parameter_types

#: what the helper does with a text
COMPILE = "dualflow.runtime.gpu.compile:compile_pickled"


class Build:
    """One text on its way to machine code."""

    def __init__(self, text: KernelText, chosen: Variant, capability: int) -> None:
        self.given = text, chosen, capability
        self.key = key(text, chosen, capability)
        self.image: Image | None = None
        self.failure = ""
        self._job: Any = None
        self._finishing = threading.Lock()
        kept = cache.fetch(self.key)
        if kept is not None:
            self.image = Image.read(kept)
            count("kernels_loaded")
        else:
            self._job = submit(COMPILE, pickle.dumps(self.given))

    def poll(self) -> bool:
        """Whether it is finished, well or not; does not wait for the helper process."""
        if self.image is None and not self.failure and (self._job is None or self._job.poll()):
            self._finish()
        return self.image is not None or bool(self.failure)

    def result(self) -> Image:
        """The machine code; waits for it.

        Raises:
            CompileError: it could not be made.
        """
        if self.image is None and not self.failure:
            self._finish()
        if self.image is None:
            raise CompileError(
                "a kernel could not be compiled for the GPU",
                why=f"{self.failure.strip()}\nin the text\n{self.given[0].source}",
                instead="nothing: this is a fault of dualflow; on_compiler_error='eager' runs on",
            )
        return self.image

    def _finish(self) -> None:
        with self._finishing:
            if self.image is not None or self.failure:
                return
            made = self._job.result() if self._job is not None else None
            if isinstance(made, str):
                self.failure = made
                return
            if made is None:
                made = self._compile_here()
            if made is not None:
                self.image = Image.read(made)
                cache.store(self.key, made, self.given[0].source)
                count("kernels_compiled")

    def _compile_here(self) -> bytes | None:
        if self._job is not None:
            count("helper_failures")
        try:
            room = importlib.import_module("dualflow.runtime.gpu.compile")  # slow to import
            return room.compile_text(*self.given).written()
        except Exception as error:  # whatever Triton raises; told to the user in `result`
            self.failure = f"{type(error).__name__}: {error}"
            return None


_builds: dict[str, Build] = {}
_lock = threading.Lock()


def start(text: KernelText, chosen: Variant, capability: int) -> Build:
    """The build of `text`: begun now, unless an equal one was begun before."""
    name = key(text, chosen, capability)
    with _lock:
        build = _builds.get(name)
        if build is None:
            build = _builds[name] = Build(text, chosen, capability)
        return build


def forget() -> None:
    """Drop all builds, as a new process would find it (tests and benchmarks)."""
    with _lock:
        _builds.clear()


def key(text: KernelText, chosen: Variant, capability: int) -> str:
    """The name in the disk cache: a hash of all that decides the machine code."""
    types = parameter_types(text, chosen)
    parts = text.source, text.name, text.options, types, chosen, capability, _triton()
    return hashed(repr(("triton", *parts)).encode()).hexdigest()


@once
def _triton() -> str:
    """Which Triton there is, without importing it or reading its metadata."""
    found = importlib.util.find_spec("triton")
    if found is None or found.origin is None:
        return ""
    installed = Path(found.origin).parents[1].glob("triton-*.dist-info")
    return ",".join(sorted(path.name for path in installed)) or found.origin
