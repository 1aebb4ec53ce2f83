"""Attributes: views of `__dict__`, members by value, slots, `__getattr__`."""

import enum
from typing import Any

import pytest
from fidelity_runner import check, parameters, tensor

X = (1.0, -2.0, 3.0)


def views_of_objects(compile, see):
    class Layer:
        def __init__(self, k):
            self.w, self.n = k, 0

    layer = Layer(tensor(1.0, 2.0, 3.0))

    @compile
    def f(x):
        made = Layer(x)
        made.extra = 2
        names, total = list(vars(made)), sum(v for v in vars(layer).values())
        vars(made)["late"] = x + 1
        return names, total, made.late, vars(made)["n"], len(made.__dict__)

    for i in range(4):
        see(f, tensor(*X))
        layer.n = i // 2


def views_of_changed_objects(compile, see):
    class Thing:
        pass

    thing = Thing()
    thing.n, thing.w = 1, 2

    @compile
    def f(x):
        thing.n += 1
        thing.z = 3
        return list(vars(thing).items()), x * vars(thing)["n"]

    @compile
    def g(x):
        thing.n += 1
        vars(thing)["q"] = x
        return vars(thing)["n"]

    for i in range(5):
        see(f, tensor(*X))
        see(g, tensor(*X))
        if i == 2:
            del thing.q
    see.that(thing)


def members_by_value(compile, see):
    class Kind(enum.Enum):
        NONE = "none"
        TWICE = "twice"

        def of(self, x):
            return {"none": lambda v: v, "twice": lambda v: v * 2}[self.value](x)

    @compile
    def f(x, how):
        kind = Kind(how)
        return kind.of(x), kind.name, kind is Kind.TWICE

    for how in ("twice", "twice", "none", "bad", "none", "bad", "twice"):
        see(f, tensor(*X), how)


class Asked:
    """It counts how often it is asked for what it does not have."""

    def __init__(self):
        self.held, self.asked = {"rate": 1}, 0

    def __getattr__(self, name: str) -> Any:
        if name in ("held", "asked"):
            raise AttributeError(name)
        self.asked += 1
        try:
            return self.held[name]
        except KeyError:
            raise AttributeError(f"no {name}") from None


class Slotted:
    __slots__ = ("asked", "rate")

    def __init__(self):
        self.asked = 0

    def __getattr__(self, name):
        self.asked += 1
        raise AttributeError(name)


def slots_and_a_getattr(compile, see):
    @compile
    def f(x, owner):
        return x * (owner.rate if hasattr(owner, "rate") else 4)

    @compile
    def plain(x):
        return x + 1

    owner: Any = Slotted()
    for change in (None, None, None, "set", "set", "gone", None):
        if change == "set":
            owner.rate = 9
        elif change == "gone":
            del owner.rate
        see(f, tensor(*X), owner)
        see(plain, tensor(*X))
        see.that(owner.asked)


def guards_ask_no_getattr(compile, see):
    @compile
    def f(x, owner):
        return x * owner.rate, getattr(owner, "other", 4)

    owner: Any = Asked()
    for change in (None, None, None, "own", "own", "gone", "nothing", "nothing"):
        if change == "own":
            owner.rate = 9
        elif change == "gone":
            del owner.rate
        elif change == "nothing":
            owner.held.clear()
        see(f, tensor(*X), owner)
        see.that(owner.asked)


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
