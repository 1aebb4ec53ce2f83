"""Python's collector of reference cycles, put off while graphs are made.

A recording of 10,000 steps is a hundred thousand objects and none of them garbage: looking through
them again and again costs more than all passes together.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from typing import ParamSpec, Self, TypeVar, final

from .thread import RLock

P = ParamSpec("P")
R = TypeVar("R")


def put_off(fn: Callable[P, R]) -> Callable[P, R]:
    """`fn`, during which no cycles are collected; where they never are, that stays so.

    >>> put_off(gc.isenabled)(), gc.isenabled()
    (False, True)
    """

    @functools.wraps(fn)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        enabled = gc.isenabled()
        try:  # from here on, for an interrupt may come as soon as they are put off
            gc.disable()
            return fn(*args, **kwargs)
        finally:
            if enabled:
                gc.enable()

    return run


#: Objects made between two collections of the young ones, and so on, while a call is recorded.
_RARE = (200_000, 10, 10)
_lock = RLock()
_within = 0
_before: tuple[int, int, int] = gc.get_threshold()


@final
class Seldom:
    """A stretch of the user's code, whose own cycles go on being collected, more seldom.

    >>> with Seldom():
    ...     gc.get_threshold() == _RARE
    True
    """

    __slots__ = ("_over",)

    def __enter__(self) -> Self:
        global _before, _within
        with _lock:
            if not _within:
                _before = gc.get_threshold()
                if 0 < _before[0] < _RARE[0]:
                    gc.set_threshold(*_RARE)
            _within += 1
            self._over = False
        return self

    def __exit__(self, *raised: object) -> None:
        self.end()

    def end(self) -> None:
        """From now on as before, if it is not so already."""
        global _within
        with _lock:
            if self._over:
                return
            self._over = True
            _within -= 1
            if not _within and gc.get_threshold() == _RARE:
                gc.set_threshold(*_before)
