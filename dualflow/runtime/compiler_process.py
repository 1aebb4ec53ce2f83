"""The helper process: does the jobs that come in on stdin, until stdin ends.

Started by `helper.py` as a module. A thread of its own reads, another writes, so that the parent
never waits for a pipe to drain. Nothing but frames goes to stdout. It ends when the parent does,
in the middle of a job too: what is finished by then is on disk.
"""

from __future__ import annotations

import gc
import os
import queue
import sys
import threading
from importlib import import_module

from .frames import frame, read_frames, read_job


def main() -> None:
    """Serve until the parent closes our input."""
    output = os.dup(1)
    os.dup2(2, 1)  # whatever prints, prints to stderr
    jobs: queue.SimpleQueue[tuple[int, bytes] | None] = queue.SimpleQueue()
    frames: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(jobs,), daemon=True).start()
    import llvmlite.binding as llvm  # where that fails, the parent must see us end

    # Loops are vectorised and interleaved already: this took a sixth of the time, for no speed.
    llvm.set_option("", "-unroll-runtime=false")

    gc.freeze()
    gc.set_threshold(100_000)  # modules under construction are large, and garbage as a whole
    writer = threading.Thread(target=_write, args=(output, frames), daemon=True)
    writer.start()
    while (item := jobs.get()) is not None:
        number, body = item
        try:
            frames.put(frame(number, True, _done(body)))
        except Exception as error:  # told to the parent, who tells the user
            frames.put(frame(number, False, f"{type(error).__name__}: {error}".encode()))
    frames.put(None)
    writer.join()


def _done(body: bytes) -> bytes:
    """What the function that a job names makes of what it is given."""
    task, given = read_job(body)
    module, _, function = task.partition(":")
    return getattr(import_module(module), function)(given)


def _read(jobs: queue.SimpleQueue[tuple[int, bytes] | None]) -> None:
    received = b""
    while data := os.read(0, 1 << 20):
        found, received = read_frames(received + data)
        for number, _, body in found:
            jobs.put((number, body))
    os._exit(0)  # the parent is gone: nobody waits for what is being compiled


def _write(output: int, frames: queue.SimpleQueue[bytes | None]) -> None:
    while (data := frames.get()) is not None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(output, view) :]
        except BrokenPipeError:
            os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
