"""Whether a program is told, or can ask, when an object dies.

Comes in: an object that is about to be dropped. Goes out: the name of the class in it that has a
`__del__`, or a weak reference; None if there is none.
"""

from __future__ import annotations

from typing import Any
from weakref import getweakrefcount, getweakrefs

from dualflow.array.tensor import Tensor

from .kinds import STREAMS
from .ndarrays.arrays import OwnReference
from .provenance import SCALARS

#: of more objects in one nothing is known
_MOST = 10_000


def finalized(value: Any) -> str | None:
    """The name of a class in `value` that would be told; "so much" where it holds too much."""
    seen: set[int] = set()
    todo = [value]
    while todo:
        here = todo.pop()
        kind = type(here)
        if kind in SCALARS or kind is Tensor or isinstance(here, type) or id(here) in seen:
            continue
        seen.add(id(here))
        told = hasattr(kind, "__del__") and kind not in STREAMS  # which are closed, no more
        if told or _watched(here):
            return kind.__qualname__
        if len(seen) > _MOST:
            return "so much"
        if isinstance(here, (list, tuple, set, frozenset)):
            todo += here
        elif isinstance(here, dict):
            todo += [*here, *here.values()]
        if kind.__flags__ & (1 << 9):  # of a class written in Python
            todo += getattr(here, "__dict__", {}).values()
            slots = (getattr(cls, "__slots__", ()) for cls in kind.__mro__)
            names = [n for found in slots for n in ((found,) if type(found) is str else found)]
            todo += [getattr(here, name, None) for name in names if not name.startswith("__")]
    return None


def _watched(value: Any) -> bool:
    try:
        count = getweakrefcount(value)
    except TypeError:
        return False
    return count > 0 and any(type(r) is not OwnReference for r in getweakrefs(value))
