"""Kernel texts -> loaded machine code: from memory, from the disk cache, or compiled.

In: a `KernelText`. Out: a `Build` that is polled, or waited for, and then has an address. Texts
that are equal share one build for the life of the process.
"""

from __future__ import annotations

import pickle
import threading

from dualflow.base.counters import count
from dualflow.base.errors import CompileError
from dualflow.base.interrupts import pass_on
from dualflow.ir.text import KernelText

from . import cache
from .compile import BY_NUMBA, compile_text, fingerprint, symbol
from .helper import Job, submit
from .loader import Native, load

#: what the helper does with a text
COMPILE = "dualflow.runtime.compile:compile_written"


class Done:
    """A job that is done: object bytes, or what went wrong with a text."""

    def __init__(self, image: bytes | str) -> None:
        self._image = image

    def poll(self) -> bool:
        return True

    def result(self) -> bytes | str:
        return self._image


class Build:
    """One text on its way to machine code."""

    def __init__(self, text: KernelText, key: str) -> None:
        self.text, self.key = text, key
        self.native: Native | None = None
        self.failure = ""
        self.job: Job | Done | None = None
        self._finishing = threading.Lock()

    @property
    def address(self) -> int:
        """Where the code lies; CompileError if it could not be made. Waits for it."""
        self.wait()
        if self.native is None:
            raise CompileError(
                "a kernel could not be compiled",
                why=f"{self.failure.strip()}\nin the text\n{self.text.source}",
                instead="nothing: this is a fault of dualflow; on_compiler_error='eager' runs on",
            )
        return self.native[symbol(self.text)]

    def load_cached(self) -> bool:
        """Whether the disk cache had it, and it could be loaded."""
        image = cache.fetch(self.key)
        if image is None:
            return False
        try:
            self.native = load(image, symbol(self.text))
        except RuntimeError:  # sound bytes that this machine cannot link
            count("cache_rebuilds")
            return False
        count("kernels_loaded")
        return True

    def poll(self) -> bool:
        """Whether it is finished, well or not; does not wait for the helper process."""
        if self.native is None and not self.failure and (self.job is None or self.job.poll()):
            self._finish()
        return self.native is not None or bool(self.failure)

    def wait(self) -> None:
        """Return when it is finished, well or not."""
        if self.native is None and not self.failure:
            self._finish()

    def _finish(self) -> None:
        with self._finishing:
            if self.native is not None or self.failure:
                return
            image = self.job.result() if self.job is not None else None
            if isinstance(image, str):
                self.failure = image
                return
            if image is None:
                if self.job is not None:
                    count("helper_failures")
                image = self._compile_here()
            if image is not None:
                self._take(image)

    def _take(self, image: bytes) -> None:
        try:
            self.native = load(image, symbol(self.text))
        except RuntimeError as error:
            self.failure = f"the machine code cannot be loaded: {error}"
            return
        if not (
            isinstance(self.job, Done) and cache.holds(self.key)
        ):  # the helper keeps what it can
            cache.store(self.key, image, self.text.source)
        count("kernels_compiled")
        if BY_NUMBA.encode() in image:
            count("kernels_by_numba")

    def _compile_here(self) -> bytes | None:
        try:
            return compile_text(self.text)
        except Exception as error:  # whatever Numba and LLVM raise; told to the user in `address`
            pass_on(error)
            self.failure = f"{type(error).__name__}: {error}"
            return None


_builds: dict[str, Build] = {}
#: how often all builds were dropped; what is shared across calls belongs to one generation
generation = 0
_lock = threading.Lock()


def key(text: KernelText) -> str:
    """The name of `text` in the disk cache."""
    return cache.key("numba", fingerprint(text))


def start(text: KernelText, image: bytes | str | None = None) -> Build:
    """The build of `text`: begun now, unless an equal text was begun before; `image` is what the
    helper has made of it, if it was asked already."""
    name = key(text)
    with _lock:
        build = _builds.get(name)
        if build is not None:
            return build
        build = _builds[name] = Build(text, name)
        if image is not None:
            build.job = Done(image)
        elif not build.load_cached():
            build.job = submit(COMPILE, pickle.dumps(text))
        return build


def forget() -> None:
    """Drop all builds, as a new process would find it (tests and benchmarks)."""
    global generation
    with _lock:
        _builds.clear()
        generation += 1
