"""What compiled functions iterate, and containers from outside that they change."""

# ruff: noqa: B007, B905 - the programs are what users write

import functools
import itertools
import operator
import sys

import pytest
from fidelity_runner import check, parameters, tensor

import dualflow as df

X = (1.0, -2.0, 3.0)
GAIN = 2.0
THIS = sys.modules[__name__]


def set_gain(value):
    global GAIN
    GAIN = value


# Iterables --------------------------------------------------------------------------------------


def iterables(compile, see):
    @compile
    def f(x, items):
        pairs = list(zip(items, reversed(items)))
        total = sum(a * b for a, b in pairs)
        return (
            x * total,
            max(items),
            min(items),
            sorted(items, reverse=True),
            any(i > 2 for i in items),
            all(i > 0 for i in items),
            [i + j for i, j in enumerate(items, 1)],
            list(map(str, items)),
            list(filter(None, items)),
        )

    for items in ([1, 2, 3], [1, 2, 3], [0, -1], [1.5, True], (3, 3, 3)):
        see(f, tensor(*X), items)


def iterator_objects(compile, see):
    @compile
    def f(x):
        pairs = zip([1, 2], [x, x])
        names = [type(i).__name__ for i in (pairs, enumerate([x]), map(abs, [1]), reversed([1]))]
        return names, isinstance(pairs, zip)

    for _ in range(2):
        see(f, tensor(*X))


def iterators_returned(compile, see):
    @compile
    def f(x):
        return zip([1, 2], [x, x * 2])

    for _ in range(3):
        found = f(tensor(*X))
        see.that((type(found).__name__, list(found)))


def iterator_stepped_by_hand(compile, see):
    @compile
    def f(x, items):
        it = iter(items)
        first = next(it)
        second = next(it, x)
        rest = [v + first for v in it]
        return first, second, rest, next(it, "end")

    for items in ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0], [4.0, 5.0]):
        see(f, tensor(*X), items)


def one_iterator_zipped_with_itself(compile, see):
    @compile
    def f(x, items):
        it = iter(items)
        return [a * b for a, b in zip(it, it)], x

    for items in ([1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3]):
        see(f, tensor(*X), items)


def views_of_a_dict_are_live(compile, see):
    @compile
    def f(x):
        table = {"a": x}
        keys, values, items = table.keys(), table.values(), table.items()
        table["b"] = x * 2
        return list(keys), list(values), [k for k, v in items]

    for _ in range(3):
        see(f, tensor(*X))


def reversed_is_live(compile, see):
    @compile
    def f(x):
        items = [x, x * 2, x * 3]
        back = reversed(items)
        items[0] = x * 100
        return list(back)

    for _ in range(3):
        see(f, tensor(*X))


def extended_by_itself(compile, see):
    @compile
    def f(x):
        items = [x, x * 2]
        items.extend(items)
        items += items
        return items

    for _ in range(3):
        see(f, tensor(*X))


def max_with_a_key(compile, see):
    log = []

    @compile
    def f(x):
        return x * max([1, 2, 3], key=by_gain), min([3, 4], key=lambda v: -v * GAIN)

    THIS.log_of_keys = log
    for gain in (2.0, 2.0, -2.0, -2.0, 2.0):
        set_gain(gain)
        see(f, tensor(*X))
        see.that(log)
    set_gain(2.0)


def by_gain(v):
    log_of_keys.append(v)  # noqa: F821
    return v * GAIN


def sorted_by_key(compile, see):
    @compile
    def f(items, k):
        return sorted(items, key=lambda v: (-len(v.shape), v.shape[0] * k)), sorted("bca")

    a, b, c = tensor(1), tensor(1, 2), df.zeros((2, 2))
    for k in (1, 1, -1):
        see(f, [a, b, c], k)
        see(f, [c, a, b], k)


def set_of_numbers(compile, see):
    @compile
    def f(x, items):
        seen = set()
        for i in items:
            if i in seen:
                x = x * 2
            seen.add(i)
        return x, len(seen), {i for i in items if i > 1}

    for items in ([1, 2, 2], [1, 2, 2], [1, 1, 1, 3]):
        see(f, tensor(*X), items)


def generator_function(compile, see):
    def parts(x, n):
        for i in range(n):
            yield x * i

    @compile
    def f(x, n):
        return sum(parts(x, n), 0.0), list(parts(x, 2))

    for n in (3, 3, 0, 2):
        see(f, tensor(*X), n)


def compiled_generator(compile, see):
    @compile
    def f(x, n):
        for i in range(n):
            got = yield x * i
            if got is not None:
                x = x + got

    def drive(x, n):
        made = f(x, n)
        return next(made), made.send(1.0), list(made)

    for n in (2, 2, 3):
        see(drive, tensor(*X), n)


def generator_argument(compile, see):
    @compile
    def f(x, items):
        return [x * i for i in items]

    for n in (2, 2, 3):
        see(lambda n=n: f(tensor(*X), (i for i in range(n))))


def itertools_and_functools(compile, see):
    @compile
    def f(x, items):
        a = list(itertools.chain(items, [x]))
        b = [u * v for u, v in itertools.product(items, repeat=2)]
        return a, b, functools.reduce(operator.add, items, x), list(itertools.accumulate(items))

    for items in ([1, 2], [1, 2], [3.0]):
        see(f, tensor(*X), items)


def functions_of_operators(compile, see):
    for name in sorted({*operator.__all__} - {"call", "length_hint", "index"}):
        function = getattr(operator, name)
        if isinstance(function, type):
            continue
        one = name in ("neg", "pos", "abs", "inv", "invert", "not_", "truth")

        @compile
        def f(x, y, function=function, one=one):
            return function(x) if one else function(x, y)

        for x, y in ((tensor(*X), tensor(2, 2, 2)), (tensor(2), 2), (6, 3), ([1], [2]), ("a", "a")):
            for _ in range(2):
                see(f, x, y)


def comprehension_scopes(compile, see):
    @compile
    def f(x, n):
        i = 100
        table = {i: [j * i for j in range(i)] for i in range(n)}
        return x * i, table, [(i, j) for i in range(2) for j in range(i + 1) if (i + j) % 2]

    for n in (2, 2, 3):
        see(f, tensor(*X), n)


# Containers from outside ------------------------------------------------------------------------


def outside_list(compile, see):
    log = []

    @compile
    def f(x):
        log.append(x * 2)
        log.append(len(log))
        return log[-2] + log[0] if len(log) < 6 else x

    for _ in range(5):
        see(f, tensor(*X))
        see.that(log)


def outside_list_changed_in_all_ways(compile, see):
    @compile
    def f(x, items):
        items.append(x)
        items.insert(1, x * 2)
        last = items.pop()
        items[0] = last + 1
        items += [x, 3]
        items.reverse()
        return items, len(items)

    for n in (2, 2, 3):
        see(f, tensor(*X), [tensor(i, i) for i in range(n)])


def two_lists_that_are_one(compile, see):
    @compile
    def f(x, a, b):
        a.append(x)
        return len(b), len(a)

    for _ in range(2):
        see(f, tensor(*X), [1], [1])
        one = [1]
        see(f, tensor(*X), one, one)


def pop_of_an_empty_list(compile, see):
    @compile
    def f(x, items):
        try:
            k = items.pop()
        except IndexError:
            k = 100
        return x * k

    for items in ([], [], [], [2], [2], []):
        see(f, tensor(*X), list(items))


def outside_dict(compile, see):
    @compile
    def f(x, table):
        table["y"] = x * 2
        if "n" in table:
            table["n"] += 1
        return table.get("z", x), len(table), list(table)

    for table in ({"n": 1}, {"n": 1}, {}, {"y": 2}, {"z": 3, "y": 1}, {"n": 2}):
        see(f, tensor(*X), dict(table))


def dict_methods(compile, see):
    @compile
    def f(x, table):
        made = dict(table)
        made.update({"b": x}, c=3)
        made.setdefault("d", x * 2)
        popped = made.pop("a", None)
        merged = {**made, "e": 1} | {"f": 2}
        return made, popped, merged, list(merged.values())

    for table in ({"a": 1}, {"a": 1}, {"b": 2}, {"a": 2.0, "d": 1}):
        see(f, tensor(*X), table)


def order_of_dict_keys(compile, see):
    @compile
    def f(table):
        out = None
        for key, value in table.items():
            out = value if out is None else out * 2 + value
        return out, list(table)

    a, b = tensor(1, 2), tensor(3, 4)
    for table in ({"a": a, "b": b}, {"a": a, "b": b}, {"b": b, "a": a}, {"a": b, "b": a}):
        see(f, table)


def keys_that_are_equal(compile, see):
    @compile
    def f(table, k):
        return table[k] * 2, {k: 1}

    table = {1: tensor(1), "1": tensor(2), (1, 2): tensor(3), None: tensor(4)}
    for k in (1, True, 1.0, "1", (1, 2), None, 1, 7):
        see(f, table, k)


def containers_of_other_classes(compile, see):
    from collections import Counter, OrderedDict, defaultdict, deque

    @compile
    def f(x, table):
        table["k"] = x
        return len(table), list(table), table["k"] + x

    for kind in (dict, OrderedDict, lambda: defaultdict(int), Counter, dict):
        see(f, tensor(*X), kind())

    @compile
    def g(x, queue):
        queue.append(x)
        return queue[0] * 2, len(queue)

    for _ in range(3):
        see(g, tensor(*X), deque([tensor(1, 1, 1)], maxlen=2))


def identity_in_results(compile, see):
    @compile
    def f(x, items):
        y = x + 1
        inner = [y]
        return [y, y, inner], inner, items, x, {"items": items}, (y,)

    for _ in range(3):
        see(f, tensor(*X), [1])


def result_is_fresh_each_time(compile, see):
    @compile
    def f(x):
        return [1, 2], {"a": []}, x + 0

    for _ in range(3):
        a, b, c = see(f, tensor(*X))
        a.append(3)
        b["a"].append(1)
        c[0] = 99


def unpacking(compile, see):
    @compile
    def f(x, items):
        (a, *b), c = items
        d, e = e, d = a, c
        return x * d + e, b

    for items in (([1, 2, 3], 4), ([1, 2, 3], 4), ([1], 2), ((5, 6), 7.0)):
        see(f, tensor(*X), items)


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
