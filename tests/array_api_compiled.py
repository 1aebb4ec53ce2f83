"""dualflow's namespace with every function compiled, for the Array API's test suite.

Comes in: calls by the suite. Goes out: the result of a second call of a function compiled for the
purpose: the first call records (or defers), the second one replays. `COUNTS` says how they ran; it
is printed when the process ends.
"""

from __future__ import annotations

import atexit
import functools
import inspect
from collections import Counter
from types import ModuleType, SimpleNamespace
from typing import Any

import dualflow as df

df.set_config(on_compiler_error="raise")

#: how often second calls ran in each way, by the name of the function
COUNTS: dict[str, Counter[str]] = {}
#: names of what is no function of arrays
PLAIN = frozenset({"compile", "pure", "config", "set_config", "stats"})
WAYS = ("replays", "co_executions", "eager_calls", "recordings")


def compiled(function: Any, name: str) -> Any:
    """`function`, compiled anew for each call and called twice; the second result."""
    counts = COUNTS.setdefault(name, Counter())

    @functools.wraps(function)
    def twice(*args: Any, **kwargs: Any) -> Any:
        @functools.partial(df.compile, wait=True)
        def call(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        call(*args, **kwargs)
        before = call.stats()
        out = call(*args, **kwargs)
        after = call.stats()
        counts.update({way: after[way] - before[way] for way in WAYS})
        return out

    return twice


def _wrapped(value: Any, name: str) -> Any:
    if isinstance(value, ModuleType):
        names = getattr(value, "__all__", None) or [n for n in vars(value) if n[0] != "_"]
        parts = {n: _wrapped(getattr(value, n), f"{name}.{n}") for n in names}
        return SimpleNamespace(**parts)
    if name in PLAIN or not inspect.isfunction(value):
        return value
    return compiled(value, name)


def __getattr__(name: str) -> Any:
    if name.startswith("__") and not name.startswith("__array_"):
        raise AttributeError(name)
    made = globals()[name] = _wrapped(getattr(df, name), name)
    return made


def __dir__() -> list[str]:
    return dir(df)


@atexit.register
def report() -> None:
    """Print how the calls ran."""
    total: Counter[str] = Counter()
    for name, counts in sorted(COUNTS.items()):
        total.update(counts)
        unusual = {way: n for way, n in counts.items() if n and way != "replays"}
        if unusual:
            print(f"{name}: {counts['replays']} replays, {unusual}")
    print("compiled calls:", {way: total[way] for way in WAYS})
