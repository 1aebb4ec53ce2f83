"""Storage: the memory that a tensor, its views and its aliases share. Made when first needed.

It never refers to a Tensor, so that a tape record, which keeps an alias of its own output, makes
no cycle.
"""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np

from dualflow.ops import door

#: A token for each co-executed call that holds back writes to memory from outside: while there is
#: one, a thread in eager mode looks at a storage's note before it reads.
held_back: list[object] = []


def may_share(a: Any, b: Any) -> bool:
    """Whether two arrays may share memory; never those of different devices."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.may_share_memory(a, b)
    return type(a) is type(b) and door.away[0].may_share(a, b)


class Storage:
    """One piece of memory.

    Attributes:
        array: the root array, of which views show parts; None while it is pending.
        version: how many in-place writes it has seen.
        exposed: whether code outside dualflow may write it (adopted without a copy, or exported).
        note: what a co-executing mode knows of its contents; None elsewhere.
        number: that of no other piece, also of those that are dead.
    """

    __slots__ = ("__weakref__", "array", "exposed", "note", "number", "version")

    def __init__(self, array: np.ndarray | None, exposed: bool = False) -> None:
        self.array = array
        self.exposed = exposed
        self.version = 0
        self.note: Any = None
        self.number = next(_numbers)


_numbers = count()
