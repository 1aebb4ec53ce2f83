"""Values of the standard library that never change: dates, decimals, fractions, patterns, paths.

Comes in: any object. Goes out: whether it is such a value, and how a guard recognises an equal one.
Nothing is imported for it: the classes are found by their names where a program has loaded them.
"""

from __future__ import annotations

import sys
from _locale import LC_TIME, setlocale
from typing import Any

_NAMES = {
    "datetime": ("date", "datetime", "time", "timedelta", "timezone"),
    "decimal": ("Decimal",),
    "fractions": ("Fraction",),
    "operator": ("itemgetter", "attrgetter", "methodcaller"),
    "pathlib": ("Path", "PurePath", "PurePosixPath", "PureWindowsPath", "PosixPath", "WindowsPath"),
    "re": ("Match", "Pattern"),
    "uuid": ("UUID",),
    "zoneinfo": ("ZoneInfo",),
}
#: of these an equal one is another object
_BY_IDENTITY = frozenset(["operator", "re", "zoneinfo"])
#: methods and attributes that do not depend on the value alone
_IMPURE = {
    "datetime": frozenset(["now", "today", "utcnow", "fromtimestamp", "utcfromtimestamp",
                           "timestamp", "astimezone", "strptime", "ctime"]),
    "uuid": frozenset(["is_safe"]),
    "zoneinfo": frozenset(["clear_cache", "no_cache", "from_file"]),
}  # fmt: skip


class _Kinds(type):
    def __instancecheck__(cls, value: Any) -> bool:
        return is_value_class(type(value))


class Unchanging(metaclass=_Kinds):
    """The class of all of them, for `isinstance`."""


def is_value_class(kind: type) -> bool:
    """Whether instances of a class never change, and do nothing but what the library says."""
    names = _NAMES.get(kind.__module__)
    if names is None or kind.__name__ not in names:
        return False
    return getattr(sys.modules.get(kind.__module__), kind.__name__, None) is kind


def by_identity(value: Any) -> bool:
    """Whether only the same object is the same value."""
    module = type(value).__module__
    zone = getattr(value, "tzinfo", None)
    return module in _BY_IDENTITY or (zone is not None and type(zone).__module__ != "datetime")


def pure(kind: type, name: str) -> bool:
    """Whether a method or attribute of a value depends on nothing else."""
    if kind.__module__ == "pathlib":  # the others look at the disk
        return any(name in vars(cls) for cls in kind.__mro__ if cls.__name__.startswith("Pure"))
    return name not in _IMPURE.get(kind.__module__, ())


def language() -> str:
    """The language in which dates are told."""
    return setlocale(LC_TIME)


def arithmetic_state() -> tuple[Any, ...]:
    """What decimals are computed by."""
    context = sys.modules["decimal"].getcontext()
    raised = tuple(sorted(kind.__name__ for kind, told in context.traps.items() if told))
    return context.prec, context.rounding, context.Emin, context.Emax, context.capitals, raised
