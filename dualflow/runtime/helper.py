"""The compiler's helper process, as its parent sees it: texts in, object bytes out.

One process, `python -m dualflow.runtime.compiler_process`, talks through pipes: no multiprocessing,
no fork of this process, no thread. It starts when the first text must be compiled, ends when this
process does, and results are taken in when somebody polls or waits. Where it cannot start, or dies,
jobs end with None and the caller compiles in its own process; that is counted.

A caller that waits uses it too. Measured (2 cores, one softmax): the first text takes 0.52 s by the
helper and 0.40 s in this process, most of it Numba's import; later texts take the same. For those
0.12 s, once, this process stays free of Numba, and there is one way that everybody tests.
"""

from __future__ import annotations

import atexit
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path

from dualflow.base.counters import count
from dualflow.ir.text import KernelText

from .frames import read_frames, text_frame

#: Where the package lies, so that the helper finds it from any working directory.
_PARENT = str(Path(__file__).resolve().parents[2])
_MODULE = "dualflow.runtime.compiler_process"
#: Seconds that the helper has to end by itself when this process does.
_PATIENCE = 1.0


class Job:
    """One text being compiled in the helper."""

    def __init__(self, helper: Helper, number: int) -> None:
        self._helper, self._number = helper, number

    def poll(self) -> bool:
        """Whether `result()` will not wait."""
        return self._helper.take_in(self._number, wait=False)

    def result(self) -> bytes | str | None:
        """Object bytes; or what went wrong with this text; or None: the helper is no more."""
        self._helper.take_in(self._number, wait=True)
        return self._helper.results.pop(self._number, None)


class Helper:
    """The process and its pipes."""

    def __init__(self) -> None:
        paths = [_PARENT, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # an interrupt at the terminal is meant for this process
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout
        os.set_blocking(self._from.fileno(), False)
        self.results: dict[int, bytes | str] = {}
        self.alive = True
        self.owner = os.getpid()
        self._received = b""
        self._numbers = 0
        self._lock = threading.RLock()

    def submit(self, text: KernelText) -> Job:
        """Send `text`; OSError if the helper is gone."""
        with self._lock:
            self._numbers += 1
            self._to.write(text_frame(self._numbers, text))
            self._to.flush()
            return Job(self, self._numbers)

    def take_in(self, number: int, wait: bool) -> bool:
        """Read what has come; whether job `number` is finished (or never will be)."""
        if os.getpid() != self.owner:
            self.alive = False  # in a forked child: what comes through the pipe is the parent's
        while True:
            with self._lock:
                if number in self.results or not self.alive:
                    return True
                self._read()
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
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


_helper: Helper | None = None
_lock = threading.Lock()
_started = 0.0
#: After a failure, this many seconds pass before a new helper is tried.
_PAUSE = 10.0


def submit(text: KernelText) -> Job | None:
    """Send `text` to the helper, starting it if need be; None where there is no helper."""
    global _helper, _started
    with _lock:
        if _helper is not None and _helper.owner != os.getpid():
            _helper = None  # this process was forked: the pipes belong to the parent
        if _helper is not None and not _helper.alive:
            _helper.close()
            _helper = None
        try:
            if _helper is None:
                if time.monotonic() - _started < _PAUSE and _started:
                    raise OSError("the helper failed a moment ago")
                _started = time.monotonic()
                _helper = Helper()
            return _helper.submit(text)
        except (OSError, ValueError):
            if _helper is not None:
                _helper.alive = False
            count("helper_failures")
            return None


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
