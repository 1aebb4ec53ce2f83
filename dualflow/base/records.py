"""Frozen records: what `dataclass(frozen=True)` makes, in a tenth of the time.

Comes in: a class with annotations, defaults among them. Goes out: the same with `__init__`, a repr,
and for a `record` slots, a hash and comparison by type and fields. Each import makes fifty, so
methods are compiled when one is first called.
"""

from __future__ import annotations

from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")
_LEFT_OUT = ("__dict__", "__weakref__")
_COMPARED = ("__eq__", "__hash__", "__reduce__")


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
    made: dict[str, Any] = {"__slots__": names, "__match_args__": names, "__setattr__": _refuse,
                            "__delattr__": _refuse, "__repr__": _written}  # fmt: skip
    owner: list[type] = []
    made |= {name: _later(owner, name, defaults) for name in ("__init__", *_COMPARED)}
    found = type(cls)(cls.__name__, cls.__bases__, made | space)
    owner.append(found)
    return found  # type: ignore[return-value]


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
    made = {"__init__": _later([cls], "__init__", defaults), "__match_args__": names,
            "__setattr__": _refuse, "__delattr__": _refuse}  # fmt: skip
    for name, value in made.items():
        setattr(cls, name, value)
    if "__repr__" not in own:
        cls.__repr__ = _written  # type: ignore[method-assign]
    return cls


def _later(owner: list[type], name: str, defaults: dict[str, Any]) -> Any:
    """A method that, when it is first called, compiles the one of that name and its neighbours for
    the class in `owner`."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        (cls,) = owner
        if vars(cls)[name] is method:  # another thread may have been here
            write = _init if name == "__init__" else _compared
            made: dict[str, Any] = {}
            lines = write(cls.__match_args__, defaults)  # type: ignore[attr-defined]
            exec("\n".join(lines), {"put": object.__setattr__, "defaults": defaults}, made)
            for key, value in made.items():
                if getattr(vars(cls)[key], "__code__", None) is method.__code__:
                    setattr(cls, key, value)
        return vars(cls)[name](self, *args, **kwargs)

    return method


def _init(names: tuple[str, ...], defaults: dict[str, Any]) -> list[str]:
    given = [f"{name}=defaults[{name!r}]" if name in defaults else name for name in names]
    lines = [f"def __init__(self, {', '.join(given)}):"]
    return lines + [f" put(self, {name!r}, {name})" for name in names] + [" pass"]


def _compared(names: tuple[str, ...], defaults: dict[str, Any]) -> list[str]:
    mine, other = ("".join(f"{who}.{name}, " for name in names) for who in ("self", "other"))
    return [
        "def __eq__(self, other):",
        " if other.__class__ is not self.__class__: return NotImplemented",
        f" return ({mine}) == ({other})",
        f"def __hash__(self): return hash(({mine}))",
        f"def __reduce__(self): return self.__class__, ({mine})",
    ]


def replaced(old: T, **values: Any) -> T:
    """A record like `old` but for some fields."""
    names = old.__match_args__  # type: ignore[attr-defined]
    return type(old)(**{name: getattr(old, name) for name in names} | values)


def _refuse(self: Any, name: str, *value: Any) -> None:
    raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be set")


def _written(self: Any) -> str:
    fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
    return f"{type(self).__qualname__}({fields})"
