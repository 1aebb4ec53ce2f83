"""What careful programs do every day: choosing, looking up, asking objects, keys, history."""

import collections
import collections.abc
import fractions
import itertools
import numbers

import pytest
from fidelity_runner import check, parameters, tensor

import dualflow as df

X = (1.0, -2.0, 3.0)


class Plain:
    """A plain object."""

    def __init__(self, **values):
        vars(self).update(values)


# Numbers ----------------------------------------------------------------------------------------


def greatest_of_tensors(compile, see):
    @compile
    def f(x, y):
        return max(x[0], x[1]) * 2, min(x), max(x[0], y, 1.5), min([x[1], 0.5, x[0]])

    for values in ((1, 2), (2, 1), (1, 2), (2, 2), (2, 1), (float("nan"), 1), (1, float("nan"))):
        see(f, tensor(*values), tensor(3.0)[0])
        see(f, tensor(*values), tensor(-3.0)[0])


def greatest_of_many(compile, see):
    @compile
    def f(x):
        return max(x)

    for _ in range(3):
        see(f, df.ones((2, 2)))


def least_with_a_default(compile, see):
    @compile
    def f(x, items, default):
        low = min((v * 2 for v in items), default=default)
        return x * low, max([], default="none"), max([3, len(items)], default=0)

    for items, default in (([3, 1], 7), ([], 7), ([3, 1], 7), ([], 8), ([2.5], 7), ([], 7)):
        see(f, tensor(*X), items, default)


def parts_of_numbers(compile, see):
    @compile
    def f(x, n):
        k = 3
        return x * n.numerator + n.real, k.numerator, k.imag, n.denominator

    for n in (1, 2, True, 2, 2.5):
        see(f, tensor(*X), n)


def abstract_numbers(compile, see):
    class Own:
        pass

    @compile
    def f(x, n):
        if isinstance(n, fractions.Fraction):
            return x
        if isinstance(n, numbers.Integral):
            return x + n, isinstance(n, (collections.abc.Sized, numbers.Real))
        return isinstance(n, collections.abc.Sequence), isinstance(x, numbers.Number)

    def calls():
        for n in (1, 2.5, [1], "s", Own(), 1, 2, Own(), Own()):
            see(f, tensor(*X), n)

    calls()
    numbers.Integral.register(Own)
    see(f, tensor(*X), 3)
    calls()


def abstract_class_with_a_hook(compile, see):
    hits = []

    class Odd(collections.abc.Hashable):
        @classmethod
        def __subclasshook__(cls, kind):
            hits.append(kind.__name__)
            return kind is int

    @compile
    def f(x, n):
        return x * isinstance(n, Odd)

    for n in (1, 2.5, 1, 2.5):
        see(f, tensor(*X), n)
    see.that(hits)


# Objects ----------------------------------------------------------------------------------------


def missing_names(compile, see):
    class Base:
        gain = 2.0

    class Child(Base):
        pass

    class Slots:
        __slots__ = ("a", "b")

    slots = Slots()

    @compile
    def f(x):
        bias = getattr(Child, "bias", 0.5)
        return x * getattr(Child, "gain", 1.0) + bias, hasattr(slots, "a"), getattr(slots, "b", 3)

    def calls():
        for _ in range(3):
            see(f, tensor(*X))

    calls()
    Base.bias = 7.0
    calls()
    slots.a = 1
    calls()
    slots.b = 5
    calls()
    del Base.bias, slots.b
    calls()


def parts_of_methods(compile, see):
    class Layer:
        def __init__(self, gain):
            self.gain = gain

        def run(self, x):
            return x * self.gain

        def other(self, x):
            return x - self.gain

    a, b = Layer(2.0), Layer(3.0)

    @compile
    def f(x, method):
        own = a.run
        same = own.__self__ is a
        return method(x) + method.__self__.gain, method.__func__.__name__, same, own.__func__(b, x)

    for method in (a.run, b.run, a.other, a.run, b.run, a.other):
        see(f, tensor(*X), method)


# Keys, lists ------------------------------------------------------------------------------------


def keys_of_several_parts(compile, see):
    Point = collections.namedtuple("Point", "a b")
    count = {}

    @compile
    def f(x, p):
        count[x.shape] = count.get(x.shape, 0) + 1
        key = (x.shape, x.dtype, "k")
        if key not in count:
            count[key] = len(count)
        count[p] = 1
        return x * count[key], (2, 3) in count, count.get((9, 9), -1)

    for shape in ((2,), (3,), (2,), (2, 2), (3,), (2,), (1,)):
        see(f, df.ones(shape), Point(1, 2))
        see(f, df.ones(shape), Point(1, 2.0))
        see.that(list(count.items()))


def keys_that_are_equal(compile, see):
    table = {(1, 2): "int", (0.5, "a"): "float"}

    @compile
    def f(x, key):
        found = table.get(key, "none")
        table[key] = len(table)
        return x, found

    nan = float("nan")
    for key in ((1, 2), (True, 2), (1.0, 2), (0.5, "a"), (0.5, b"a"), (nan, 1), (nan, 1)) * 2:
        see(f, tensor(*X), key)
    see.that(list(table.items()))


def nan_as_a_key(compile, see):
    table = {}

    @compile
    def f(x, key):
        table[key] = len(table)
        return x, key in table

    for _ in range(3):
        see(f, tensor(*X), float("nan"))
    see.that(len(table))


def history_from_its_end(compile, see):
    kept = []

    @compile
    def f(x):
        old = kept[-1] if kept else None
        kept.append(x)
        return x * 1 if old is None else old + x

    for i in range(14):
        see(f, tensor(i, 1))
        if i == 9:
            kept.clear()
    see.that(kept)


def ranges_as_arguments(compile, see):
    @compile
    def f(x, steps):
        for i in steps:
            x = x + i
        return x, len(steps), 2 in steps

    for steps in (
        range(3),
        range(3),
        range(1, 6, 2),
        range(3),
        range(0),
        range(5, 5),
        [2],
        range(0),
    ):
        see(f, tensor(*X), steps)


# Errors -----------------------------------------------------------------------------------------


def errors_with_parts(compile, see):
    log = []

    class TooBigError(Exception):
        kind = "size"

        def __init__(self, value, where=0):
            super().__init__(f"{value} at {where}")
            self.value, self.where = value, where
            self.told = False

        def tell(self):
            self.told = True
            return f"{self.kind} {self.value:.1f}"

    def check(x):
        for i in range(x.shape[0]):
            if x[i] > 10:
                raise TooBigError(float(x[i]), where=i)
        return x * 2

    @compile
    def f(x):
        try:
            return check(x)
        except TooBigError as error:
            log.append(str(error))
            text = error.tell()
            return x / error.value, error.where, error.args, text, error.told, f"{error}"

    for values in ((1, 2), (20, 1), (1, 30), (1, 2), (20, 1), (20, 2), (1, 30), (40, 1)):
        see(f, tensor(*values))
        see.that(log)


def errors_without_super(compile, see):
    class ToldError(ValueError):
        def __init__(self, text):
            self.text = text

    class PlainError(KeyError):
        pass

    @compile
    def f(x, k):
        try:
            if k > 2:
                raise ToldError(f"k is {k}")
            raise PlainError("a", k)
        except (ToldError, KeyError) as error:
            return x * 2, str(error), repr(error), error.args, getattr(error, "text", None)

    for k in (1, 3, 1, 3, 4, 2, 4, 1):
        see(f, tensor(*X), k)


def error_classes_raised(compile, see):
    log = []

    class CountedError(Exception):
        def __init__(self, *args):
            super().__init__(*args)
            log.append(len(args))

    @compile
    def f(x, k):
        try:
            if k:
                raise CountedError
            raise CountedError(k)
        except CountedError:
            return x * 2

    for k in (1, 0, 1, 0, 1):
        see(f, tensor(*X), k)
        see.that(log)


def errors_that_leave(compile, see):
    class ToldError(Exception):
        def __init__(self, value):
            super().__init__(value)
            self.value = value

    @compile
    def f(x, k):
        if k > 1:
            raise ToldError(k) from KeyError(k)
        return x * k

    for k in (0, 1, 2, 1, 3, 0):
        see(f, tensor(*X), k)


def error_kept(compile, see):
    kept = []

    class ToldError(Exception):
        def __init__(self, value):
            self.value = value

    @compile
    def f(x):
        try:
            raise ToldError(x * 2)
        except ToldError as error:
            kept.append(error.value)
            return error.value

    for i in range(4):
        see(f, tensor(i, 1))
    see.that(kept)


def errors_of_shapes(compile, see):
    @compile
    def f(x, y, i):
        told = []
        try:
            out = x + y
        except ValueError:
            out = x
            told.append("shapes")
        try:
            out = out + df.expand_dims(x, axis=i)[0]
        except IndexError as error:
            told.append(type(error).__name__)
        try:
            out = out + x[i]
        except IndexError:
            out = out - 1
        return out, told

    for n, i in ((2, 0), (3, 1), (2, 5), (3, 5), (2, 0), (3, 1), (2, 5), (3, 5), (2, 7)):
        see(f, tensor(1, 2), df.ones((n,)), i)


def errors_of_values(compile, see):
    @compile
    def f(x, i):
        try:
            return x[i] * 2
        except IndexError:
            return x

    for i in (0, 7, 1, 7, 0):
        see(f, tensor(*X), df.tensor([i, 0]))


# Shapes that values decide ----------------------------------------------------------------------


def masks_with_state(compile, see):
    chosen = []

    @compile
    def f(x, k):
        y = x + 0
        y[y < 0] = 0
        y[k] = 9
        kept = x[x > 1]
        chosen.append(kept)
        x[x > 2] *= 10
        return y, kept.shape[0], df.nonzero(x)[0] * 2, df.unique_values(x)

    for _ in range(2):
        for values, k in (((-1, 2, 3), 0), ((1, -2, 3), 2), ((-1, -2, -3), 1), ((0, 0, 0), 1)):
            x = tensor(*values)
            see(f, x, df.tensor(k))
            see.that((x, chosen))


def masks_of_long_tensors(compile, see):
    @compile
    def f(x):
        return df.sum(x[x > 0]), df.sum(x * 2)

    for i in range(3):
        see(f, df.arange(8000) - float(i))


# Match ------------------------------------------------------------------------------------------


def match_of_values(compile, see):
    class Point:
        __match_args__ = ("x", "y")

        def __init__(self, x, y):
            self.x, self.y = x, y

    class Slots:
        __slots__ = ("a",)

    class Red:
        code = 3

    @compile
    def f(x, what):
        match what:
            case {"op": "add", "k": k, **rest}:
                return x + k, sorted(rest)
            case ["scale", k]:
                return x * k
            case [1 | 2 as first, *rest, [last]]:
                return x * first, rest, last
            case [_, *_, "end"]:
                return x, "end"
            case []:
                return x, "empty"
            case int(n) if n > 3:
                return x * n
            case Red.code | -1:
                return x, "code"
            case Point(x=0):
                return x, "origin"
            case Point(a, b):
                return x * a + b
            case Slots(a=3):
                return x, "slots"
            case True | None:
                return x, "single"
            case float() | str() as value:
                return x, value
            case {}:
                return x, "mapping"
            case other:
                return -x, type(other).__name__

    unset, three, four = Slots(), Slots(), Slots()
    three.a, four.a = 3, 4
    for what in (
        {"op": "add", "k": 2.0}, {"op": "add", "k": 3.0, "z": 1}, {"op": "sub"}, ["scale", 2.0],
        ("scale", 4), [1, [2]], [2, 5, 6, [7]], [3, 5, [7]], [1, "end"], ["end"], [], (), 5, 2, 3,
        -1, True, False, None, 2.5, "s", Point(0, 1), Point(2, 3), Point(4, 5), unset, three, four,
        range(0), range(3), b"ab", {1, 2},
    ):  # fmt: skip
        for _ in range(3):
            see(f, tensor(*X), what)


def match_on_tensors(compile, see):
    count = {"n": 0}

    @compile
    def f(x, y):
        match (x.shape, float(x[0])):
            case ((2,), v) if v > y:
                count["n"] += 1
                return x * v
            case ((n,), _) if n > 2:
                return x + n
        return x

    for values, y in (((1, 2), 0.5), ((1, 2), 3.0), ((1, 2, 3), 0.5), ((5, 2), 0.5), ((1,), 0)) * 3:
        see(f, tensor(*values), y)
        see.that(count["n"])


def match_that_raises(compile, see):
    class Point:
        __match_args__ = ("x",)

    @compile
    def f(x, what, cls):
        match what:
            case cls(a):
                return x, a
            case cls(a, b):
                return x * a + b
        return x

    for cls in (int, Point, str):
        for what in (1, 1, "s", "s", Point()):
            see(f, tensor(*X), what, cls)


def text_of_shapes(compile, see):
    @compile
    def f(x, k):
        print(x.shape, x.dtype, k, (1, k), sep="|")
        print("bits", k.bit_length(), (2.5).is_integer())
        return x * k

    for n, k in ((2, 1), (3, 1), (2, 1), (2, 2), (2, 2)):
        see(f, df.ones((n,)), k)


# Dicts that make values -------------------------------------------------------------------------


def counters_from_outside(compile, see):
    count, groups = collections.Counter(a=1), collections.defaultdict(list)
    order, plain = collections.OrderedDict(z=1), collections.defaultdict(None)

    @compile
    def f(x, key):
        count[key] += 1
        groups[key].append(x * count[key])
        order[key] = len(groups[key])
        known = key in plain
        try:
            plain[key]
        except KeyError:
            known = None
        return groups[key][-1], count["none"], "none" in count, known

    def told():
        see.that([list(count.items()), list(groups.items()), list(order.items()), len(plain)])

    for key in ("a", "b", "a", "b", "a", "c", "c", "a", "b"):
        see(f, tensor(*X), key)
        told()
    groups.clear()
    count.clear()
    for key in ("a", "b", "a"):
        see(f, tensor(*X), key)
        told()
    groups.default_factory = tuple
    plain["c"] = 1
    for key in ("c", "d", "c"):
        see(f, tensor(*X), key)
        told()


def guards_make_no_keys(compile, see):
    table = collections.defaultdict(lambda: 7, a=2, b=3)

    @compile
    def f(x):
        return x * table["a"] + table["b"]

    for change in (None, None, "a", None, "b", None):
        if change:
            del table[change]
        see(f, tensor(*X))
        see.that(list(table.items()))


def factory_that_tells(compile, see):
    log = []

    def make():
        log.append(len(log))
        return len(log)

    table = collections.defaultdict(make)

    @compile
    def f(x, key):
        return x * table[key] + table[key]

    for key in (1, 2, 1, 3, 2, 3, 4, 1):
        see(f, tensor(*X), key)
        see.that((log, dict(table)))


# itertools --------------------------------------------------------------------------------------


def itertools_over_tensors(compile, see):
    told = []

    def pair(a, b):
        told.append(len(told))
        return a * b

    @compile
    def f(x, y, items, n):
        chained = list(itertools.chain([x], (y, 1.5), items, "ab", range(2)))
        alone = list(itertools.chain(pair(v, 2) for v in items))
        products = [a * b for a, b in itertools.product([x[0], x[1]], items, repeat=1)]
        twice = list(itertools.product(items, repeat=2))
        chosen = [a + b for a, b in itertools.combinations(items, 2)]
        orders = [p[0] - p[-1] for p in itertools.permutations(items, n)]
        cut = list(itertools.islice(items, 0, None, 2)), list(itertools.islice("abc", n))
        mapped = [pair(v, 2) for v in itertools.islice((pair(v, 3) for v in items), n)]
        steps = [i * k for i, k in zip(items, itertools.count(n, 2))]
        same = list(itertools.islice([x, y, x, y], 1, 4, 2))
        return chained, alone, products, twice, chosen, orders, cut, mapped, steps, same

    for items, n in (([1, 2], 2), ([1, 2], 2), ([3.0], 1), ([1, 2, 5], 2), ([1, 2], 1)) * 2:
        see(f, tensor(*X), tensor(4, 5, 6), items, n)
        see.that(told)
    for items in ([tensor(1, 1, 1), 2], [tensor(1, 1, 2), 3], [tensor(1, 1, 2), 3], []):
        see(f, tensor(*X), tensor(4, 5, 6), items, 2)
        see.that(told)


def itertools_left_half_way(compile, see):
    kept = []

    @compile
    def f(x, n):
        chain = itertools.chain([x, x + 1], (), [x + 2])
        first = next(chain)
        rest = sum(chain) if n > 1 else next(chain)
        kept.append(n)
        return first, rest, next(chain, "none"), next(itertools.islice([x], 5, None), None)

    for n in (1, 2, 1, 2, 3):
        see(f, tensor(*X), n)
    see.that(kept)


def itertools_with_wrong_arguments(compile, see):
    @compile
    def f(x, n):
        try:
            return [v * x for v in itertools.islice([1, 2, 3], n)]
        except ValueError:
            return list(itertools.combinations([x, x], n))

    for n in (1, -1, 2, -1, 1, 2):
        see(f, tensor(*X), n)


def objects_given_to_itertools(compile, see):
    class Bag:
        def __init__(self, *items):
            self.items = items

        def __iter__(self):
            return iter(self.items)

    @compile
    def f(x, bag):
        return list(itertools.chain(bag, [x]))

    for _ in range(3):
        see(f, tensor(*X), Bag(1, 2))


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
