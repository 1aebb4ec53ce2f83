"""The reference: every public name says what it does, names its arguments and shows an example.

That the examples are right is checked where they stand (`--doctest-modules`).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import dualflow as df

ROOMS = ("data", "fft", "linalg", "nn", "optim", "random")


def found() -> Iterator[tuple[str, Any]]:
    """The functions and classes of the project that users call, by name."""
    places = {"df": df, **{f"df.{room}": getattr(df, room) for room in ROOMS}}
    for place, module in places.items():
        for name in module.__all__:
            value = getattr(module, name)
            own = str(getattr(value, "__module__", "")).startswith("dualflow")
            if own and callable(value) and not isinstance(value, ModuleType):
                yield f"{place}.{name}", value


def members() -> Iterator[tuple[type, str, Any]]:
    """The methods and properties of public classes."""
    for cls in {id(value): value for _, value in found() if inspect.isclass(value)}.values():
        for name, member in vars(cls).items():
            if not name.startswith("_") and (callable(member) or isinstance(member, property)):
                yield cls, name, member


PUBLIC = dict(found())
MEMBERS = {f"{cls.__name__}.{name}": (cls, name, member) for cls, name, member in members()}


def without_examples(value: Any) -> str:
    """The docstring up to its examples, those of the bases included."""
    return (inspect.getdoc(value) or "").partition(">>>")[0]


def explained(value: Any, seen: set[int]) -> str:
    """What the docstring says, and those of the functions that it points to."""
    seen.add(id(value))
    text = without_examples(value)
    for name in re.findall(r"`(?:df\.)?([\w.]+)`", text):
        there: Any = next((PUBLIC[full] for full in PUBLIC if full.endswith(f".{name}")), None)
        if there is not None and id(there) not in seen:
            text += explained(there, seen)
    return text


@pytest.mark.parametrize("name", PUBLIC)
def test_a_name_says_what_it_does_and_shows_it(name: str):
    value = PUBLIC[name]
    assert without_examples(value).strip(), "no docstring"
    assert ">>> " in inspect.getdoc(value), "no example"
    text = explained(value, set())
    for argument in inspect.signature(value).parameters.values():
        if argument.name.strip("_"):
            assert re.search(rf"\b{argument.name}\b", text), f"{argument} is not explained"


@pytest.mark.parametrize("name", MEMBERS)
def test_a_member_says_what_it_does(name: str):
    cls, short, member = MEMBERS[name]
    text = inspect.getdoc(getattr(cls, short)) or ""
    assert text.strip(), "no docstring"
    pointed = explained(member, set()) != without_examples(member)
    if pointed or hasattr(cls.__base__, short):
        return  # it is shown there
    own, inherited = inspect.getdoc(member) or "", (inspect.getdoc(c) or "" for c in cls.__mro__)
    shown = any(re.search(rf"^(>>>|\.\.\.) .*\b{short}\b", each, re.M) for each in inherited)
    assert shown or ">>> " in own, "no example"
