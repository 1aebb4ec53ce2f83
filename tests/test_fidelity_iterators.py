"""What is iterated: itertools, objects that give iterators, folds of nothing."""

# ruff: noqa: B023 - the programs are what users write

import functools
import itertools
import operator

import pytest
from fidelity_runner import check, parameters, tensor

X = (1.0, -2.0, 3.0)


def runs_of_iterators(compile, see):
    @compile
    def f(x, tags):
        items = [x[i] for i in range(len(tags))]
        runs = itertools.groupby(zip(tags, items, strict=True), key=lambda pair: pair[0])
        groups = {key: sum(value for _, value in run) for key, run in runs}
        sums = list(itertools.accumulate(items))
        products = list(itertools.accumulate([x, x * 2], operator.mul, initial=x))
        steps = [b - a for a, b in itertools.pairwise(items)]
        pairs = list(itertools.starmap(lambda a, b: a * b, zip(items, sums, strict=True)))
        first = list(itertools.takewhile(lambda tag: tag != "b", tags))
        rest = list(itertools.dropwhile(lambda v: v < 2, items))
        small = list(itertools.filterfalse(lambda v: v > 1, items))
        long = list(itertools.zip_longest(items, [1, 2], "z", fillvalue=x))
        flat = list(itertools.chain.from_iterable([items, (1, 2)]))
        both = list(itertools.islice(itertools.chain((v for v in items), [x], "a"), 1, 5))
        round_ = [b for _, b in zip(range(5), itertools.cycle(items), strict=False)]
        return groups, sums, products, steps, pairs, first, rest, small, long, flat, both, round_

    for row, tags in ((X, "aab"), (X, "aab"), ((1.0, 5.0, 0.0), "aab"), (X, "aba"), (X, "aba")):
        see(f, tensor(*row), tags)


def iterators_that_begin_again(compile, see):
    class Numbers:
        def __init__(self, n):
            self.n, self.at = n, 0

        def __iter__(self):
            self.at = 0
            return self

        def __next__(self):
            if self.at >= self.n:
                raise StopIteration
            self.at += 1
            return self.at

    @compile
    def f(x, numbers):
        first, *rest = numbers
        for value in numbers:
            x = x * value
        return x, first, rest, list(numbers)

    for n in (2, 2, 3, 2, 3):
        see(f, tensor(*X), Numbers(n))


def expressions_ask_at_once(compile, see):
    log = []

    class Asked:
        def __init__(self, items):
            self.items = items

        def __iter__(self):
            log.append("asked")
            return self.items

    @compile
    def f(x, items, more):
        try:
            scaled = (x * item for item in items)
        except TypeError as error:
            return str(error)
        log.append("made")
        if more:
            items.clear()
            items[3] = 4
            try:
                return list(scaled)
            except RuntimeError as error:
                return str(error)
        return sum(scaled) if more is None else x

    for n in range(3):
        see(f, tensor(*X), Asked(iter([1, 2])), None)
        see(f, tensor(*X), Asked(iter([1, 2])), False)
        see(f, tensor(*X), [n], False)
        see(f, tensor(*X), 5, False)
        see(f, tensor(*X), Asked([1, 2]), False)
        see(f, tensor(*X), {1: n, 2: n}, True)
        see(f, tensor(*X), {1: n, 2: n}, None)
        see.that(log)


def what_iter_gives(compile, see):
    class Row:
        def __init__(self, given):
            self.given = given

        def __iter__(self):
            return self.given

    @compile
    def f(x, row):
        return [x * item for item in row], row.given

    for given in (iter([1]), iter([1]), 1, True, "a", iter([2]), None, iter([1, 2])):
        see(f, tensor(*X), Row(given))


def generators_given_away(compile, see):
    log = []

    def items(n):
        log.append("opened")
        try:
            yield n
            if n > 3:
                raise ValueError(n)
            yield n + 1
        finally:
            log.append("closed")

    @compile
    def f(x, n):
        first = next(items(n))
        log.append("first")
        some = any(items(n))
        log.append("some")
        try:
            every = sum(items(n))
        except ValueError:
            log.append("bad")
            every = 0
        log.append("every")
        return x * first, some, every

    for n in (1, 1, 2, 4, 1, 4):
        see(f, tensor(*X), n)
        see.that(log)
        log.clear()


def objects_that_give_iterators(compile, see):
    asked = []

    class Row:
        def __init__(self, *items):
            self.items = items

        def __iter__(self):
            asked.append("row")
            return iter(self.items)

    class Lazy(Row):
        def __iter__(self):
            asked.append("lazy")
            yield from self.items

    class Closing(Row):
        def __iter__(self):
            try:
                yield from self.items
            finally:
                asked.append("closed")

    @compile
    def f(x):
        products = [p * q for p, q in zip(Row(x, x * 2), Lazy(x, 1), strict=True)]
        return products, [i * v for i, v in enumerate(Lazy(x, x))], list(map(abs, Row(x, 3)))

    @compile
    def closed(x):
        return [v * i for i, v in enumerate(Closing(x, x))]

    for _ in range(4):
        see(f, tensor(*X))
        see(closed, tensor(*X))
    see.that(asked)


def iterators_asked_by_hand(compile, see):
    asked = []

    class Sized:
        def __init__(self, *items):
            self.items = items

        def __len__(self):
            asked.append("len")
            return len(self.items)

        def __iter__(self):
            asked.append("iter")
            return iter(self.items)

    class Count:
        def __init__(self):
            self.n = 0

        def __iter__(self):
            return self

        def __next__(self):
            if self.n == 3:
                raise StopIteration
            self.n += 1
            return self.n

    shared = Count()

    @compile
    def f(x, names, table):
        sized = Sized(x, x * 2)
        rows = [*sized], tuple(sized), list(sized), sorted(Sized(2, 1)), "-".join(Sized("a", "b"))
        firsts = next(iter(names)), next(iter(table)), next(iter(sized)), next(iter("xy"))
        left = iter(table)
        next(left, None)
        return rows, firsts, next(iter(shared), -1), next(left, "none"), list(left)

    one, other, none = ({"a"}, {"p": 1, "q": 2}), ({"b"}, {"r": 1}), (set(), {})
    for names, table in (one, one, other, other, other, none, other, one):
        see(f, tensor(*X), names, table)
        see.that([asked, shared.n])


def lengths_that_are_none(compile, see):
    class Odd:
        def __init__(self, length):
            self.length = length

        def __iter__(self):
            return iter((1, 2))

        def __len__(self):
            return self.length

    @compile
    def f(x, length):
        return x * 2, list(Odd(length))

    for length in (2, 2, 7, 7, -1, "two", 2):
        see(f, tensor(*X), length)


def variables_of_comprehensions_that_are_captured(compile, see):
    @compile
    def f(x, rows, n):
        late = [lambda v: v * i + n for i in range(n)]
        best = [max(rows, key=lambda row: row[i]) for i in range(2)]
        some = [i for i in range(n) if any((lambda v: v[0] == i)(row) for row in rows)]
        pairs = {j: (lambda k: k * j + i)(2) for i in range(2) for j in (lambda: (i, 3))()}
        lazy = ((lambda: (i, j)) for i in (5, 6) for j in (x, n))
        kept = [next(lazy), next(lazy), next(lazy)]
        return [g(x) for g in late], best, some, pairs, [made() for made in kept]

    one, other = [[1, 5], [3, 2]], [[2, 5], [0, 9]]
    for rows, n in ((one, 2), (one, 2), (other, 2), (other, 3), (other, 3), (one, 2)):
        see(f, tensor(*X), rows, n)


def generators_left_by_break(compile, see):
    log = []

    def rows(x):
        try:
            for i in range(x.shape[0]):
                yield x[i]
        finally:
            log.append("closed")

    @compile
    def f(x, n):
        total = 0.0
        for i, row in enumerate(rows(x)):
            if i == n:
                break
            total = total + row
        return total

    for n in (2, 9, 2):
        see(f, tensor(*X), n)
        see.that(list(log))


def nothing_is_folded(compile, see):
    @compile
    def f(x, items):
        return x + 1, functools.reduce(lambda a, b: a + b, items)

    for items in ([1, 2], [1, 2], [1, 2], [], [], [1]):
        see(f, tensor(*X), items)


def errors_caught_between_items(compile, see):
    @compile
    def f(x, k):
        total = x * 0
        for q in (x[i] * i for i in range(k)):
            try:
                if k > 1:
                    raise KeyError(k)
                total = total + 1
            except LookupError:
                total = total + q
        return total

    for k in (2, 3, 3, 1, 2, 3):
        see(f, tensor(1, 2, 3), k)


def values_sent_into_generator_expressions(compile, see):
    @compile
    def f(x):
        def inner():
            yield from (x[i] * 2 for i in range(3))

        going, found = inner(), []
        found.append(next(going))
        found.append(going.send(5))
        found.append(next(going, None))
        return found

    for k in range(4):
        see(f, tensor(1, 2, k))


def values_sent_into_iterators(compile, see):
    def outer(log):
        while True:
            try:
                log.append((yield len(log)))
            except KeyError as error:
                log.append(repr(error))

    @compile
    def f(x, given, log):
        def through():
            try:
                yield from given
            finally:
                log.append("left")

        run = through()
        out = [next(run)]
        try:
            out.append(run.send(42))
            out.append(run.throw(KeyError(1)))
        except AttributeError as error:
            out.append(str(error))
        run.close()
        return x * 2, out

    for _ in range(3):
        for make in (lambda: range(3), lambda: [1, 2], lambda: outer([])):
            log = []
            see(f, tensor(1, 2), make(), log)
            see.that(log)


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
