"""The compiler's helper process, as its parent sees it: jobs in, their results out.

One process, `python -m dualflow.runtime.compiler_process`, talks through pipes: no multiprocessing,
no fork of this process, no thread. It starts with the first job, or when one is to be expected,
ends when this process does, and results are taken in when somebody polls or waits. Where it cannot
start, or dies, jobs end with None and the caller does them in its own process; that is counted.
Nobody ever waits for the pipe either: what it cannot take yet is sent when somebody polls.

A caller that waits uses it too: this process stays free of LLVM, and there is one way
that everybody tests.
"""

from __future__ import annotations

import atexit
import importlib
import os
import select
import sys
import threading
import time
from contextlib import suppress
from importlib import import_module
from typing import Any

from dualflow.base.counters import count

from .frames import frame, job, read_frames

fcntl: Any = importlib.import_module("fcntl") if os.name == "posix" else None
#: Where the package lies, so that the helper finds it from any working directory.
_PARENT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
_MODULE = "dualflow.runtime.compiler_process"
#: Bytes that a pipe shall hold, where the system lets us say so (Linux).
_PIPE = 1 << 20
#: How far the helper stands back.
_BEHIND = 10
#: Seconds that the helper has to end by itself when this process does.
_PATIENCE = 1.0


class Job:
    """Something that the helper does."""

    def __init__(self, helper: Helper, number: int) -> None:
        self._helper, self._number = helper, number

    def poll(self) -> bool:
        """Whether `result()` will not wait."""
        return self._helper.take_in(self._number, wait=False)

    def result(self) -> bytes | str | None:
        """What it made; or what went wrong; or None: the helper is no more."""
        self._helper.take_in(self._number, wait=True)
        return self._helper.results.pop(self._number, None)


class Helper:
    """The process and its pipes."""

    def __init__(self) -> None:
        paths = [_PARENT, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        subprocess = import_module("subprocess")  # 3 ms, which a warm start saves
        self._late = subprocess.TimeoutExpired
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            # An interrupt at the terminal is meant for this process alone. A session of its own
            # would do that too, but Linux divides processors among sessions before niceness.
            process_group=0,
        )
        if hasattr(os, "setpriority"):  # who computes meanwhile keeps nine tenths of each core
            os.setpriority(os.PRIO_PROCESS, self._process.pid, _BEHIND)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout
        for pipe in (self._to, self._from):
            os.set_blocking(pipe.fileno(), False)
            if hasattr(fcntl, "F_SETPIPE_SZ"):
                with suppress(OSError):  # the system's limit is lower
                    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
        self.results: dict[int, bytes | str] = {}
        self.alive = True
        self.owner = os.getpid()
        self._received, self._unsent = b"", bytearray()
        self._numbers = 0
        self._lock = threading.RLock()

    def submit(self, task: str, given: bytes) -> Job:
        """Begin `task`; OSError if the helper is gone."""
        with self._lock:
            self._numbers += 1
            self._unsent += frame(self._numbers, True, job(task, given))
            self._send()
            return Job(self, self._numbers)

    def _send(self) -> None:
        """As much as the pipe takes."""
        try:
            with suppress(BlockingIOError):
                while self._unsent:
                    del self._unsent[: os.write(self._to.fileno(), self._unsent)]
        except BaseException:  # after an interrupt nobody knows how much was sent
            self.alive = False
            raise

    def take_in(self, number: int, wait: bool) -> bool:
        """Read what has come; whether job `number` is finished (or never will be)."""
        if os.getpid() != self.owner:
            self.alive = False  # in a forked child: what comes through the pipe is the parent's
        while True:
            with self._lock:
                if number in self.results or not self.alive:
                    return True
                with suppress(OSError):
                    self._send()
                try:
                    self._read()
                except BaseException:  # an interrupt: part of a message may be lost
                    self.alive = False
                    raise
                if number in self.results or not self.alive:
                    return True
            if not wait:
                return False
            select.select([self._from], [], [], 0.02)  # another thread may read it all

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._from.fileno(), 1 << 20)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self.alive = False
                return
            self._received += data
            found, self._received = read_frames(self._received)
            for number, ok, body in found:
                self.results[number] = body if ok else body.decode()

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        """End the process: it stops when its input ends."""
        self.alive = False
        for pipe in (self._to, self._from):
            try:
                pipe.close()
            except OSError:
                continue  # it died with a text half sent: nothing is left to flush to
        try:
            self._process.wait(_PATIENCE)
        except self._late:
            self._process.kill()
            self._process.wait()


_helper: Helper | None = None
_lock = threading.Lock()
_started = 0.0
#: After a failure, this many seconds pass before a new helper is tried.
_PAUSE = 10.0


def begin() -> None:
    """Start the helper, if it does not run: its compiler takes a moment to load."""
    with _lock, suppress(OSError, ValueError):
        _running()


def submit(task: str, given: bytes) -> Job | None:
    """Let the helper, started if need be, call the function `task` ("module:name"), which makes
    bytes of bytes; None where there is no helper."""
    with _lock:
        try:
            return _running().submit(task, given)
        except (OSError, ValueError):
            if _helper is not None:
                _helper.alive = False
            count("helper_failures")
            return None


def _running() -> Helper:
    """The helper; OSError where it cannot be started, or failed a moment ago."""
    global _helper, _started
    if _helper is not None and _helper.owner != os.getpid():
        _helper = None  # this process was forked: the pipes belong to the parent
    if _helper is not None and not _helper.alive:
        _helper.close()
        _helper = None
    if os.name != "posix":
        raise OSError("no pipes here that can be asked without waiting")
    if _helper is None:
        if time.monotonic() - _started < _PAUSE and _started:
            raise OSError("the helper failed a moment ago")
        _started = time.monotonic()
        _helper = Helper()
    return _helper


def current() -> Helper | None:
    """The helper, if it runs."""
    return _helper


@atexit.register
def close() -> None:
    """End the helper, if this process has one."""
    global _helper
    with _lock:
        if _helper is not None and _helper.owner == os.getpid():
            _helper.close()
        _helper = None
