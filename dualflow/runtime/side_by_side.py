"""Tasks that do not need each other, divided over this process and copies of it.

Comes in: functions of no arguments. Goes out: what each gave, or the exception that it raised.
Copies are made by fork, where the helper process asked for that (`allow`): it computes nothing
but LLVM's work and has no user. Everywhere else, this process does one task after the other.
"""

from __future__ import annotations

import os
import pickle
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

Task = Callable[[], Any]

_NUMBER = struct.Struct("<H")
#: so many numbers fit into a pipe; later tasks are done here
_MOST = 1 << 14
#: How far copies stand back, so that all together take little from who computes meanwhile.
_BEHIND = 9
#: the most copies there are, and the files that they close: those of this process's user
_copies, _private = 0, ()


def allow(copies: int, private: tuple[int, ...]) -> None:
    """Make up to so many copies from now on, which close the files `private`."""
    global _copies, _private
    _copies, _private = copies, private


def results(tasks: Sequence[Task]) -> list[Any]:
    """What each task gave, or its exception; those that take long stand first best.

    >>> results([lambda: 1, lambda: 1 // 0])
    [1, ZeroDivisionError('integer division or modulo by zero')]
    """
    numbers, write = os.pipe()  # who is free takes the next
    with open(write, "wb") as file:
        file.write(b"".join(map(_NUMBER.pack, range(min(len(tasks), _MOST)))))
    copies = []
    with suppress(OSError):  # no memory or no number for one more process
        for _ in range(min(_copies, len(tasks) - 1)):
            copies.append(_Copy(tasks, numbers))
    found = dict(_taken(tasks, numbers))
    os.close(numbers)
    for copy in copies:
        found.update(copy.results())
    return [found[n] if n in found else _outcome(task) for n, task in enumerate(tasks)]


def _taken(tasks: Sequence[Task], numbers: int) -> Iterator[tuple[int, Any]]:
    while number := os.read(numbers, _NUMBER.size):
        (n,) = _NUMBER.unpack(number)
        yield n, _outcome(tasks[n])


def _outcome(task: Task) -> Any:
    try:
        return task()
    except Exception as error:
        return error


class _Copy:
    """A copy of this process at work; a thread takes in what it made."""

    def __init__(self, tasks: Sequence[Task], numbers: int) -> None:
        self._read, write = os.pipe()
        try:
            self._process = os.fork()
        except OSError:
            os.close(self._read)
            os.close(write)
            raise
        if not self._process:
            _work(tasks, numbers, write)
        os.close(write)
        self._made: list[tuple[int, Any]] = []
        self._thread = threading.Thread(target=self._take_in)
        self._thread.start()

    def _take_in(self) -> None:
        with open(self._read, "rb") as file:
            made = file.read()
        _, status = os.waitpid(self._process, 0)
        if not status:
            self._made = pickle.loads(made)

    def results(self) -> list[tuple[int, Any]]:
        """What it made, when it has ended; nothing if it died."""
        self._thread.join()
        return self._made


def _work(tasks: Sequence[Task], numbers: int, write: int) -> None:
    """All that a copy does."""
    status = 1
    try:
        os.nice(_BEHIND)
        for file in _private:
            os.close(file)
        with open(write, "wb") as made:
            made.write(pickle.dumps(list(_taken(tasks, numbers))))
        status = 0
    finally:
        os._exit(status)
