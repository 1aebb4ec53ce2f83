"""Instances of classes of the program as keys of dicts."""

import collections
import dataclasses
import gc
import weakref

import pytest
from fidelity_runner import check, parameters, tensor

import dualflow as df

X = (1.0, -2.0, 3.0)


class Key:
    """Equal where layer and name are; another attribute does not matter."""

    def __init__(self, layer, name, note=None):
        self.layer, self.name, self.note = layer, name, note

    def _parts(self):
        return self.layer, self.name

    def __eq__(self, other):
        return isinstance(other, Key) and self._parts() == other._parts()

    def __hash__(self):
        return hash(self._parts())

    def __repr__(self):
        return f"Key({self.layer}, {self.name})"


@dataclasses.dataclass(frozen=True)
class Shape:
    rows: int
    columns: int = 2


class Heard:
    """Its methods can be heard, so they are called as often as eagerly."""

    calls = 0

    def __init__(self, n):
        self.n = n

    def __eq__(self, other):
        Heard.calls += 1
        return self.n == other.n

    def __hash__(self):
        print("hash", self.n)
        return self.n % 2


class Slotted:
    """A key with slots, all of equal hash."""

    __slots__ = ("n",)

    def __init__(self, n):
        self.n = n

    def __eq__(self, other):
        return self.n == other.n

    def __hash__(self):
        return 7


def looked_up(compile, see):
    table = {Key(0, "w"): 2.0, Key(1, "w", note=[1]): 3.0}

    @compile
    def f(x, layer, name):
        key = Key(layer, name, note=x)
        if key not in table:
            return x * table.get(key, -1.0), table.get(key)
        return x * table[key], table.get(Key(layer, name)), Key(layer, "b") in table

    for layer, name in ((0, "w"), (0, "w"), (1, "w"), (0, "b"), (1, "w"), (0, "b")):
        see(f, tensor(*X), layer, name)
    table[Key(0, "b")] = 5.0
    del table[Key(1, "w")]
    for layer, name in ((0, "w"), (1, "w"), (0, "b"), (1, "w"), (0, "b")):
        see(f, tensor(*X), layer, name)


def kept_under_keys(compile, see):
    cache, order = {}, []

    @compile
    def f(x, rows):
        key = Shape(rows, len(x))
        if key not in cache:
            cache[key] = x * rows
            order.append(key)
        cache[Shape(0)] = rows
        cache.setdefault(Shape(-1), rows)
        return cache[key] + cache[Shape(0)] + x, key

    for rows in (1, 1, 2, 1, 2, 3, 3):
        see(f, tensor(*X), rows)
        see.that(list(cache.values()))
        see.that([(k.rows, k.columns) for k in cache])
        see.that([key in cache and any(key is k for k in cache) for key in order])


def given_keys(compile, see):
    state = collections.defaultdict(dict)
    keys = [Key(0, "w"), Key(0, "b"), Key(0, "w")]

    @compile
    def f(x, key):
        entry = state[key]
        entry["n"] = entry.get("n", 0) + 1
        return x * entry["n"]

    for i in (0, 1, 0, 2, 1, 0):
        see(f, tensor(*X), keys[i])
        see.that([(repr(k), dict(v)) for k, v in state.items()])
    see.that([any(k is key for k in state) for key in keys])
    keys[0].name = "other"  # its hash changes behind the back of the dict
    for i in (0, 2, 0, 2):
        see(f, tensor(*X), keys[i])
        see.that(len(state))


class Counted:
    """Its hash is its number."""

    def __init__(self, n):
        self.n = n

    def __eq__(self, other):
        return self.n == other.n

    def __hash__(self):
        return self.n


def a_key_found_by_its_identity(compile, see):
    first, second = Counted(0), Counted(1)
    table = {first: 1.0, second: 2.0}

    @compile
    def f(x, key):
        return x * table.get(key, -1.0)

    for key in (first, second, second, Counted(1), Counted(1)):
        see(f, tensor(*X), key)
    del table[first]
    second.n = 0  # a look-up comes by its place, and only the object itself is found there
    for key in (second, Counted(0), second, Counted(0)):
        see(f, tensor(*X), key)


def keys_of_equal_hash(compile, see):
    table = {Slotted(1): 1.0, Slotted(2): 2.0}

    @compile
    def f(x, n):
        try:
            return x * table[Slotted(n)]
        except KeyError as error:
            return x, type(error).__name__

    for n in (1, 2, 1, 3, 2, 3):
        see(f, tensor(*X), n)


def keys_that_are_heard(compile, see):
    Heard.calls = 0
    table = {Heard(1): 1.0, Heard(3): 3.0}

    @compile
    def f(x, n):
        return x * table.get(Heard(n), 0.0), Heard.calls

    for n in (1, 3, 5, 3, 1):
        see(f, tensor(*X), n)


def methods_that_change(compile, see):
    class Name:
        def __init__(self, text):
            self.text = text

        def __eq__(self, other):
            return self.text == other.text

        def __hash__(self):
            return hash(self.text)

    table = {Name("a"): 1.0, Name("A"): 2.0}

    @compile
    def f(x, text):
        return x * table.get(Name(text), 0.0)

    for text in ("a", "A", "a", "b", "b"):
        see(f, tensor(*X), text)
    Name.__eq__ = lambda self, other: False
    for text in ("a", "A", "a"):
        see(f, tensor(*X), text)
    Name.__hash__ = lambda self: 5
    for text in ("a", "a"):
        see(f, tensor(*X), text)


def numbers_in_keys(compile, see):
    table = {Shape(1.0): 2.0, Shape(0.0): 3.0}

    @compile
    def f(x, n):
        return x * table.get(Shape(n), -1.0)

    for n in (1.0, True, 1, -0.0, 0, 1.0, True, 1, -0.0, 0, float("nan")):
        see(f, tensor(*X), n)


def nan_in_a_key(compile, see):
    nan = float("nan")
    table = {Shape(nan): 1.0, Shape(1.0): 2.0}

    @compile
    def f(x, n):
        return x * table.get(Shape(n), 0.0)

    for n in (1.0, nan, 1.0, float("nan"), nan):
        see(f, tensor(*X), n)


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_value_keys(program, way):
    check(program, way)


def test_classes_of_keys_die():
    def made():
        class Local:
            def __init__(self, n):
                self.n = n

            def __eq__(self, other):
                return isinstance(other, Local) and self.n == other.n

            def __hash__(self):
                return hash(self.n)

        table = {Local(1): 2.0}
        f = df.compile(lambda x: x * table[Local(1)], wait=True)
        for _ in range(2):
            f(tensor(*X))
        assert f.stats()["replays"] == 1
        return weakref.ref(Local)

    found = made()
    gc.collect()
    assert found() is None
