"""Frozen records: what `dataclass(frozen=True)` makes, in a third of the time.

Comes in: a class with annotations, defaults among them. Goes out: the same with `__init__`, a repr,
and for a `record` slots, a hash and comparison by type and fields. Each import makes fifty.
"""

from __future__ import annotations

from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")
_LEFT_OUT = ("__dict__", "__weakref__")


@dataclass_transform(frozen_default=True)
def record(cls: type[T]) -> type[T]:
    """The class as a frozen record.

    >>> @record
    ... class Point:
    ...     x: int
    ...     y: int = 0
    >>> Point(1), Point(1) == Point(1, 0), Point(1) == (1, 0), hash(Point(2)) == hash(Point(2, 0))
    (Point(x=1, y=0), True, False, True)
    >>> replaced(Point(1, 2), y=3)
    Point(x=1, y=3)
    """
    own = vars(cls)
    names = tuple(own.get("__annotations__", ()))
    space = {k: v for k, v in own.items() if k not in names and k not in _LEFT_OUT}
    defaults = {name: own[name] for name in names if name in own}
    lines = _init(names, defaults)
    mine, other = ("".join(f"{who}.{name}, " for name in names) for who in ("self", "other"))
    lines += [
        "def __eq__(self, other):",
        " if other.__class__ is not self.__class__: return NotImplemented",
        f" return ({mine}) == ({other})",
        f"def __hash__(self): return hash(({mine}))",
        f"def __reduce__(self): return self.__class__, ({mine})",
    ]
    made: dict[str, Any] = {}
    exec("\n".join(lines), {"put": object.__setattr__, "defaults": defaults}, made)
    made |= {"__slots__": names, "__match_args__": names, "__setattr__": _refuse,
             "__delattr__": _refuse, "__repr__": _written}  # fmt: skip
    return type(cls)(cls.__name__, cls.__bases__, made | space)  # type: ignore[return-value]


@dataclass_transform(frozen_default=True, eq_default=False)
def entity(cls: type[T]) -> type[T]:
    """The class as frozen too, but without slots, and equal to nothing else:
    `dataclass(frozen=True, eq=False)`.

    >>> @entity
    ... class Place:
    ...     x: int
    >>> Place(1).x, Place(1) == Place(1)
    (1, False)
    """
    own = vars(cls)
    names = tuple(own.get("__annotations__", ()))
    defaults = {name: own[name] for name in names if name in own}
    made: dict[str, Any] = {}
    exec("\n".join(_init(names, defaults)), {"put": object.__setattr__, "defaults": defaults}, made)
    made |= {"__match_args__": names, "__setattr__": _refuse, "__delattr__": _refuse}
    for name, value in made.items():
        setattr(cls, name, value)
    if "__repr__" not in own:
        cls.__repr__ = _written  # type: ignore[method-assign]
    return cls


def _init(names: tuple[str, ...], defaults: dict[str, Any]) -> list[str]:
    given = [f"{name}=defaults[{name!r}]" if name in defaults else name for name in names]
    lines = [f"def __init__(self, {', '.join(given)}):"]
    return lines + [f" put(self, {name!r}, {name})" for name in names]


def replaced(old: T, **values: Any) -> T:
    """A record like `old` but for some fields."""
    names = old.__match_args__  # type: ignore[attr-defined]
    return type(old)(**{name: getattr(old, name) for name in names} | values)


def _refuse(self: Any, name: str, *value: Any) -> None:
    raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be set")


def _written(self: Any) -> str:
    fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
    return f"{type(self).__qualname__}({fields})"
