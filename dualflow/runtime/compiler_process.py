"""The helper process: does the jobs that come in on stdin, until stdin ends.

Started by `helper.py` as a module. A thread of its own reads, another writes, so that the parent
never waits for a pipe to drain. Nothing but frames goes to stdout. It ends when the parent does,
in the middle of a job too: what is finished by then is on disk. Texts that wait together are
compiled side by side.
"""

from __future__ import annotations

import gc
import os
import queue
import threading
from collections import deque
from functools import partial
from importlib import import_module
from typing import NoReturn

from . import side_by_side
from .frames import frame, read_frames, read_job

#: What compiles one text each.
_SINGLE = {
    "dualflow.runtime.compile:compile_written",
    "dualflow.runtime.gpu.compile:compile_pickled",
}
#: More copies share what is left of a program among too many.
_MOST_COPIES = 3


def main() -> NoReturn:
    """Serve until the parent closes our input."""
    output = os.dup(1)
    os.dup2(2, 1)  # whatever prints, prints to stderr
    jobs: queue.SimpleQueue[tuple[int, bytes]] = queue.SimpleQueue()
    frames: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(jobs,), daemon=True).start()
    import llvmlite.binding as llvm  # where that fails, the parent must see us end

    # Loops are vectorised and interleaved already: this took a sixth of the time, for no speed.
    llvm.set_option("", "-unroll-runtime=false")
    # Processors order instructions themselves: a twentieth of code generation, for no speed.
    llvm.set_option("", "-disable-post-ra")

    side_by_side.allow(_copies(), (0, output))
    gc.freeze()
    gc.set_threshold(100_000)  # modules under construction are large, and garbage as a whole
    threading.Thread(target=_write, args=(output, frames), daemon=True).start()
    waiting: deque[tuple[int, bytes]] = deque()
    while True:
        while not waiting or not jobs.empty():
            waiting.append(jobs.get())
        batch = _together(waiting)
        made = side_by_side.results([partial(_done, body) for _, body in batch])
        for (number, _), result in zip(batch, made, strict=True):
            if isinstance(result, Exception):  # told to the parent, who tells the user
                told = f"{type(result).__name__}: {result}".encode()
                frames.put(frame(number, False, told))
            else:
                frames.put(frame(number, True, result))


def _copies() -> int:
    """How many more processors there are to compile on."""
    if not hasattr(os, "sched_getaffinity"):  # where forks are not safe beside system libraries
        return 0
    return min(len(os.sched_getaffinity(0)) - 1, _MOST_COPIES)


def _together(waiting: deque[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """The next job, and those behind it if all compile one text each; they are taken out."""
    batch = [waiting.popleft()]
    while waiting and all(read_job(body)[0] in _SINGLE for _, body in (batch[-1], waiting[0])):
        batch.append(waiting.popleft())
    return batch


def _done(body: bytes) -> bytes:
    """What the function that a job names makes of what it is given."""
    task, given = read_job(body)
    module, _, function = task.partition(":")
    return getattr(import_module(module), function)(given)


def _read(jobs: queue.SimpleQueue[tuple[int, bytes]]) -> None:
    received = b""
    while data := os.read(0, 1 << 20):
        found, received = read_frames(received + data)
        for number, _, body in found:
            jobs.put((number, body))
    os._exit(0)  # the parent is gone: nobody waits for what is being compiled


def _write(output: int, frames: queue.SimpleQueue[bytes]) -> None:
    while True:
        view = memoryview(frames.get())
        try:
            while view:
                view = view[os.write(output, view) :]
        except BrokenPipeError:
            os._exit(0)


if __name__ == "__main__":
    main()
