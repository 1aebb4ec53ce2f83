"""What is made once for the whole process, by whichever thread comes first.

Comes in: a function without arguments. Goes out: the same, which computes at its first call only.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from dualflow.base.counters import count

T = TypeVar("T")


def once(make: Callable[[], T]) -> Callable[[], T]:
    """`make`, whose one result all threads get. `functools.lru_cache` may call it in two threads
    and drop one result, which is no good where its memory is in use.

    >>> made = once(list)
    >>> made() is made()
    True
    """
    lock = threading.RLock()
    found: list[T] = []

    @wraps(make)
    def made() -> T:
        if not found:
            with lock:
                if not found:
                    found.append(make())
        return found[0]

    return made


def trial(part: Callable[[], T]) -> Callable[[], T]:
    """As `once`; what is given is false where a native part does not work here, and that is
    counted (`df.stats()["portable_parts"]`).

    >>> trial(lambda: 1 + 1 == 2)()
    True
    """

    @wraps(part)
    def tried() -> T:
        found = part()
        if not found:
            count("portable_parts")
        return found

    return once(tried)
