"""dualflow's namespace with every function compiled, for the Array API's test suite.

Comes in: calls by the suite. Goes out: the result of a second call of a function compiled for the
purpose: the first call records, the second one must replay, or be co-executed where shapes depend
on values; else the test fails. Operators of tensors are compiled too. `COUNTS` says how the calls
ran; it is printed when the process ends.
"""

from __future__ import annotations

import atexit
import functools
import inspect
import operator
import os
from collections import Counter
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import dualflow as df

#: how often second calls ran in each way, by the name of the function
COUNTS: dict[str, Counter[str]] = {}
#: what the namespace has been asked for
MADE: dict[str, Any] = {}
#: names of what is no function of arrays
PLAIN = frozenset({"compile", "pure", "config", "set_config", "stats"})
#: functions whose second calls may be co-executed: their shapes depend on values, or they take
#: memory that others can write
BY_VALUE = frozenset({
    "asarray", "from_dlpack", "nonzero", "repeat", "unique_all", "unique_counts", "unique_inverse",
    "unique_values", "[]", "[]=",
})  # fmt: skip
WAYS = ("replays", "co_executions", "eager_calls", "recordings")
BINARY = (
    "add", "and", "eq", "floordiv", "ge", "gt", "le", "lshift", "lt", "matmul", "mod", "mul", "ne",
    "or", "pow", "rshift", "sub", "truediv", "xor",
)  # fmt: skip
UNARY = ("abs", "invert", "neg", "pos")
#: operators that write into their first operand
WRITING = frozenset({*(f"i{name}" for name in BINARY), "[]="})


def _spared(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The operands with a copy of the first one, which the first of two calls writes."""
    return args[0].copy(), *(args[0].copy() if arg is args[0] else arg for arg in args[1:])


class Inside:
    """Whether an operator is being compiled: then those within it are dualflow's own."""

    now = False


def compiled(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """`function`, compiled anew for each call and called twice; the second result."""
    counts = COUNTS.setdefault(name, Counter())

    @functools.wraps(function)
    def twice(*args: Any, **kwargs: Any) -> Any:
        @functools.partial(df.compile, wait=True)
        def call(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        before, Inside.now = Inside.now, True
        try:
            call(*(_spared(args) if name in WRITING else args), **kwargs)
            first = call.stats()
            out = call(*args, **kwargs)
        finally:
            Inside.now = before
        ran = {way: call.stats()[way] - first[way] for way in WAYS}
        counts.update(ran)
        fine = ran["replays"] or (ran["co_executions"] and name in BY_VALUE)
        assert fine, f"the second call of {name} was no replay: {ran}; {call.explain()}"
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
    if name not in MADE:  # not a global, which would hide Python's own `sum` here
        MADE[name] = _wrapped(getattr(df, name), name)
    return MADE[name]


def __dir__() -> list[str]:
    return dir(df)


# Operators ------------------------------------------------------------------------------------


def _operator(method: str, function: Callable[..., Any], name: str) -> None:
    """Let a special method of tensors run `function`, which calls it, compiled."""
    own, twice = getattr(df.Tensor, method), compiled(function, name)

    @functools.wraps(own)
    def run(*operands: Any) -> Any:
        return own(*operands) if Inside.now or _is_element(operands) else twice(*operands)

    setattr(df.Tensor, method, run)


def _is_element(operands: tuple[Any, ...]) -> bool:
    """Whether this is how the suite itself reads and writes single elements, very often."""
    key = operands[1] if len(operands) > 1 else None
    return type(key) is tuple and all(type(part) is int for part in key)


def _store(x: Any, key: Any, value: Any) -> None:
    x[key] = value


def compile_operators() -> None:
    """Change `Tensor`, for the rest of the process."""
    for name in BINARY:
        _operator(f"__{name}__", getattr(operator, f"__{name}__"), name)
        if hasattr(df.Tensor, f"__i{name}__"):
            _operator(f"__i{name}__", getattr(operator, f"__i{name}__"), f"i{name}")
    for name in UNARY:
        _operator(f"__{name}__", getattr(operator, f"__{name}__"), name)
    _operator("__getitem__", lambda x, key: x[key], "[]")
    _operator("__setitem__", _store, "[]=")


def report() -> None:
    """Print how the calls ran."""
    total: Counter[str] = Counter()
    for name, counts in sorted(COUNTS.items()):
        total.update(counts)
        unusual = {way: n for way, n in counts.items() if n and way != "replays"}
        if unusual:
            print(f"{name}: {counts['replays']} replays, {unusual}")
    called = sum(1 for counts in COUNTS.values() if counts)
    print(f"compiled calls of {called} functions and operators:", {w: total[w] for w in WAYS})


if os.environ.get("ARRAY_API_TESTS_MODULE") == __name__:  # the suite's own process
    df.set_config(on_compiler_error="raise")
    compile_operators()
    atexit.register(report)
