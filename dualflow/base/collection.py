"""Python's collector of reference cycles, put off while graphs are made.

A recording of 10,000 steps is a hundred thousand objects and none of them garbage: looking through
them again and again costs more than all passes together.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from typing import ParamSpec, TypeVar

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
        gc.disable()
        try:
            return fn(*args, **kwargs)
        finally:
            if enabled:
                gc.enable()

    return run
