"""What NumPy had to compute itself because no primitive does: counted, by name.

Comes in: names of NumPy's functions. Goes out: `names`, the counter "numpy_fallbacks", and a call
of `state.on_fallback`, by which a compiled function learns of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from dualflow.base.counters import count
from dualflow.base.thread import local

#: how often each function was computed by NumPy, in this process
names: Counter[str] = Counter()


def _nothing(name: str, why: str) -> None:
    pass


class State(local):
    """Who is told, in a thread.

    Attributes:
        on_fallback: called with the name of a function and the reason before NumPy computes it.
    """

    on_fallback: Callable[[str, str], None] = staticmethod(_nothing)


state = State()


def before(name: str, why: str) -> None:
    """Tell that NumPy is about to compute the function called `name`."""
    state.on_fallback(name, why or "dualflow has no operation for it")


def note(name: str) -> None:
    """Count one call of `name` that NumPy computed."""
    names[name] += 1
    count("numpy_fallbacks")


def name_of(function: Any) -> str:
    """How a user writes `function`: np.sort, np.add.at, ndarray.view."""
    owner = getattr(function, "__self__", None)
    name = getattr(function, "__name__", type(function).__name__)
    if owner is not None and type(owner).__name__ == "ufunc":
        return f"np.{owner.__name__}.{name}"
    qualified = getattr(function, "__qualname__", name)
    return qualified if qualified.startswith("ndarray.") else f"np.{name}"
