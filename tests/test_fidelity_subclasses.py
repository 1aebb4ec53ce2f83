"""Instances of subclasses of list and dict in compiled functions."""

import pytest
from fidelity_runner import check, parameters, tensor

X = (1.0, -2.0, 3.0)


class Params(dict):
    """A dict whose items are attributes."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class Stored(Params):
    """One that stores attributes as items, too."""

    def __setattr__(self, name, value):
        self[name] = value


class Stack(list):
    """A list with a name and methods of its own."""

    kind = "stack"

    def __init__(self, items=(), name="none"):
        super().__init__(items)
        self.name = name

    def push(self, *values):
        for value in values:
            self.append(value)
        return self

    @property
    def top(self):
        return self[-1]


class Counts(dict):
    """A dict that knows what is missing."""

    def __missing__(self, key):
        self[key] = 0
        return len(key)


def dicts_with_attributes(compile, see):
    @compile
    def f(x, rate):
        p = Params(w=x * 2, rate=rate)
        p["steps"] = 3
        p.update(bias=x)
        names = sorted(p)
        found = p.pop("bias")
        total = [value for key, value in p.items() if key != "w"]
        return p.w * p.rate + p.steps, names, found, total, p, len(p), "w" in p, bool(Params())

    for rate in (1.5, 1.5, 2, 2):
        see(f, tensor(*X), rate)
    missing = compile(lambda x: Params(a=x).b)
    for _ in range(3):
        see(missing, tensor(*X))


def attributes_stored_as_items(compile, see):
    config = Stored(rate=0.5, steps=1)

    @compile
    def f(x, k):
        made = Stored()
        made.w = x * k
        config.steps += 1
        config.last = k
        return made.w * config.rate + config["steps"], made, dict(config), {**config}, list(config)

    for k in (1, 1, 2, 2):
        see(f, tensor(*X), k)
        see.that(config)
    config.rate = 2.0
    for k in (2, 2):
        see(f, tensor(*X), k)


def lists_with_methods(compile, see):
    @compile
    def f(x, k):
        s = Stack([x], name="s")
        s.push(x * 2, x * k).push(k)
        s.depth = len(s)
        first, *rest = s
        last = s.pop()
        s[0] = s[0] + 1
        del s[1]
        part = s[:1]
        return s.top + s[0], last, first, len(rest), s, part, type(part), s.kind, Stack()

    for k in (1, 1, 2, 2):
        see(f, tensor(*X), k)


def lists_from_outside(compile, see):
    history, other = Stack([1.0], "history"), Stack()

    @compile
    def f(x, k):
        history.append(k)
        history.last = k
        other.push(x)
        return x * history[0] + len(history), history.top, history.name, history

    for k in (1.0, 1.0, 2.0, 2.0, 3.0, 3.0):
        see(f, tensor(*X), k)
        see.that((history, other))


def what_is_missing(compile, see):
    counts = Counts(a=1)

    @compile
    def f(x, word):
        here = Counts()
        return x * counts[word] + here["abc"], here, counts.get("nothing"), "abc" in here

    for word in ("a", "a", "bc", "bc", "bc"):
        see(f, tensor(*X), word)
        see.that(counts)


def classes_that_change(compile, see):
    class Items(list):
        pass

    class Length(list):
        def __len__(self):
            return 7

    items, lengths = Items([2.0, 3.0]), Length([1.0])

    @compile
    def f(x):
        return x * items[0], [i * 2 for i in items], len(items), 3.0 in items

    @compile
    def g(x):
        return x * len(lengths), bool(lengths), list(lengths), lengths[0]

    for _ in range(3):
        see(f, tensor(*X))
        see(g, tensor(*X))
    Items.__getitem__ = lambda self, i: 5.0
    see(f, tensor(*X))
    Items.__iter__ = lambda self: iter((9.0,))
    see(f, tensor(*X))
    Items.__len__ = lambda self: 4
    see(f, tensor(*X))
    Items.__contains__ = lambda self, value: False
    see(f, tensor(*X))


def other_kinds_in_their_place(compile, see):
    @compile
    def f(x, items):
        return x * items[0], len(items), sorted(items), max(items), items[-1:]

    for items in ([1, 2], Stack([1, 2]), Stack([1, 2]), [1, 2], (1, 2), Stack([3], "a")):
        see(f, tensor(*X), items)


def shared_and_nested(compile, see):
    @compile
    def f(x, k):
        inner = Params(x=x * k)
        outer = Stack([inner, inner])
        again = outer
        again.push(k)
        outer.owner = inner
        return outer, inner, outer is again, isinstance(outer, list)

    for k in (1, 1, 2):
        see(f, tensor(*X), k)


def stores_of_ones_own(compile, see):
    class Upper(dict):
        def __setitem__(self, key, value):
            super().__setitem__(key.upper(), value)

        def __getitem__(self, key):
            return super().__getitem__(key.upper()) * 2

    @compile
    def f(x, name):
        made = Upper()
        made[name] = x
        return made[name], list(made)

    for name in ("a", "a", "b"):
        see(f, tensor(*X), name)


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
