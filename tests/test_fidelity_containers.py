"""Lists, dicts and sets from outside and made in the call: taken from, put together, sorted."""

import pytest
from fidelity_runner import check, parameters, tensor

X = (1.0, -2.0, 3.0)


def dicts_taken_from(compile, see):
    table = {"a": 1.0, "b": 2.5}

    @compile
    def f(x, k):
        rest = table.pop("z", 4) + table.setdefault("n", k)
        table["n"] += 1
        first = table.pop("a", None)
        del table["b"]
        table["b"] = k
        return x * rest, first, list(table), len({**table}), "a" in table

    for k in (1, 1, 2.0, 3.0, 3.0):
        see(f, tensor(*X), k)
        see.that(table)
        table["a"] = k * 2
    table.clear()
    see(f, tensor(*X), 1)
    see.that(table)


def dicts_put_together(compile, see):
    base = {"rate": 0.5, "steps": 3}

    @compile
    def f(x, extra):
        both = {**base, "more": x, **extra, "rate": 2.0}
        made = base | extra
        made |= {"last": 1}
        copied = made.copy()
        copied.clear()
        return both, made, copied, dict(base, k=1), x * both["steps"]

    for extra in ({}, {"steps": 4}, {"steps": 5}, {"other": 1.0}, {"steps": 5}):
        see(f, tensor(*X), extra)
        see(f, tensor(*X), extra)
    base["rate"] = 3
    see(f, tensor(*X), {})


def dict_changed_and_handed_on(compile, see):
    table = {"a": 1.0}

    def axpy(x, a=1.0, b=0.0, **more):
        return x * a + b + len(more)

    @compile
    def f(x, k):
        table["b"] = k
        table["n"] = 1
        return axpy(x, **table)

    for k in (1.0, 1.0, 2.0, -1.0, -1.0, 3.0):
        see(f, tensor(*X), k)
        see.that(table)
    table["a"] = 5.0
    see(f, tensor(*X), 3.0)


def keys_that_are_missing(compile, see):
    table = {"a": 1}

    @compile
    def f(x, name):
        try:
            return x * table.pop(name)
        except KeyError as error:
            return x, str(error)

    @compile
    def g(x, name):
        del table[name]
        return x

    for name in ("b", "b", "a", "b", "a", "b"):
        see(f, tensor(*X), name)
        see.that(table)
    for name in ("a", "a", "a"):
        see(g, tensor(*X), name)


def sets_changed(compile, see):
    seen = {"a"}

    @compile
    def f(x, name):
        new = name not in seen
        seen.add(name)
        seen.discard("nothing")
        both = {1, 2} | set(range(3, 4))
        return (
            x * len(both),
            new,
            name in seen,
            len(seen) > 1,
            both - {1},
            {1} <= both,
            sorted(both),
        )

    for name in ("a", "a", "b", "b", "c", "a"):
        see(f, tensor(*X), name)
        see.that(seen)
    seen.clear()
    see(f, tensor(*X), "a")


def lists_changed(compile, see):
    items, order = [3, 1, 2], []

    @compile
    def f(x, k):
        items.sort()
        items[1:] = [7, k, *items[:1]]
        del items[0]
        items.remove(7)
        order.append(items[-1])
        pairs = [(k, "b"), (1, "a")]
        pairs.sort(key=lambda pair: pair[0], reverse=True)
        return x * items[0], pairs, len(items)

    for k in (4, 4, 5, 0, 4):
        see(f, tensor(*X), k)
        see.that((items, order))
        items[:] = [3, 1, 2]
    items.clear()
    see(f, tensor(*X), 1)


def lists_of_tensors_cut(compile, see):
    kept = [tensor(1.0), tensor(2.0), tensor(3.0)]

    @compile
    def f(x):
        kept.append(x * 2)
        del kept[:1]
        kept[0:1] = [x, x + 1]
        kept[-1:] = (kept[-1],)
        return sum(kept[:2]), len(kept)

    for _ in range(5):
        see(f, tensor(2.0))
        see.that(kept)
        del kept[3:]


def slices_that_do_not_fit(compile, see):
    @compile
    def f(x, k):
        items = [1, 2, 3, 4]
        try:
            items[::2] = [k] * k
        except ValueError as error:
            return x, str(error)
        return x * items[2], items

    for k in (2, 2, 3, 3, 2):
        see(f, tensor(*X), k)


def sets_of_variables(compile, see):
    @compile
    def f(x, k):
        both = {k, 2, 3}
        squares = {i * k for i in range(3)}
        return x * len(both), both, squares, k * 2 in squares

    for k in (1, 1, 2, 1, 3, 2):
        see(f, tensor(*X), k)


class Version:
    """Compared by methods written in Python."""

    def __init__(self, n):
        self.n = n

    def __eq__(self, other):
        return self.n == other.n if isinstance(other, Version) else NotImplemented

    def __lt__(self, other):
        return self.n < other.n

    __hash__ = None


def objects_compared(compile, see):
    @compile
    def f(x, a, b):
        return x if a < b else -x, a == b, a != b, Version(1) == a

    for n, m in ((1, 2), (1, 2), (2, 1), (2, 2), (1, 2)):
        see(f, tensor(*X), Version(n), Version(m))
    see(f, tensor(*X), Version(1), "other")


def containers_compared(compile, see):
    @compile
    def f(x, table):
        nested = {0: (1, {}), 1: [[]]}
        same = nested == {0: (1, {}), 1: [[]]}, nested != {0: 2}, {1: {}} == {1: {}}
        return x * 2.0, same, table == {"a": [1, (2, None)]}, [] == {}, (1,) == [1], {1: ()} != ()

    for table in ({"a": [1, (2, None)]}, {"a": [1, (2, None)]}, {"a": [1]}, {}, [], None):
        see(f, tensor(*X), table)


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
