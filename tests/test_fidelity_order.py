"""Sorting, heaps and comparisons of numbers, tensors and objects."""

import dataclasses
import heapq
from typing import Any

import pytest
from fidelity_runner import check, parameters, tensor

import dualflow as df

X = (1.0, -2.0, 3.0)
NAN, OTHER_NAN = float("nan"), float("nan")


@dataclasses.dataclass
class Box:
    value: Any


def nan_in_what_is_compared(compile, see):
    @compile
    def f(x, p, q):
        a, b = Box(p), Box(q)
        return x + 1, [p] == [q], (p,) == (q,), {1: p} == {1: q}, {1: [p]} == {1: [q]}, a == b

    for p, q in ((1.0, 1.0), (1.0, 1.0), (1.0, 2.0)):
        see(f, tensor(*X), p, q)
    for p, q in ((NAN, NAN), (NAN, NAN), (NAN, OTHER_NAN), (OTHER_NAN, OTHER_NAN), (1.0, 1.0)):
        see(f, tensor(*X), p, q)


def heap_of_jobs(compile, see):
    @compile
    def f(x, jobs):
        heap, order = [], []
        for i, (priority, k) in enumerate(jobs):
            heapq.heappush(heap, (priority, i, k))
        while heap:
            _, i, k = heapq.heappop(heap)
            x = x * k + i
            order.append(i)
        return x, order

    jobs = [(2, 1.5), (1, 2.0), (3, 0.5)]
    for given in (jobs, jobs, [(5, 2.5), (4, 2.0), (6, 0.25)], [(1, 1.0), (2, 1.0)], [], jobs):
        see(f, tensor(*X), given)


def heap_from_outside(compile, see):
    heap = [3.0, 5.0]

    @compile
    def f(x):
        heapq.heappush(heap, float(x[0]))
        heapq.heappop(heap)
        return x * heapq.heappushpop(heap, 4.0), heap[0], len(heap)

    for first in (1.0, 2.0, 9.0, 9.5, 1.5, 2.5):
        see(f, tensor(first, 1.0))
        see.that(heap)


def order_of_tensors(compile, see):
    @compile
    def f(x):
        parts = sorted([x[0], x[1], x[2]])
        names = {"b": [x], "a": [x * 2]}
        return parts, [k for k, _ in sorted(names.items())], min(x[0], x[1], key=abs)

    for row in (X, (1.5, -2.5, 3.5), (3.0, 2.0, 1.0), (2.0, 2.0, 1.0), (9.0, 8.0, 7.0)):
        see(f, tensor(*row))

    @compile
    def backwards(x, reverse):
        return sorted([x[0], x[1]], reverse=reverse)

    for reverse in (True, True, 0, tensor(1.0)[0] > 0, None, False):
        see(backwards, tensor(*X), reverse)


def order_of_numbers(compile, see):
    @compile
    def f(x, key):
        values = [float(v) for v in x]
        values.sort(reverse=True)
        return values, max(range(3), key=lambda i: values[i] * key), min([(2, key), (key, 1)])

    nan = float("nan")
    for row in (X, (2.0, -3.0, 4.0), (1.0, nan, 2.0), (nan, 1.0, 0.0), (3.0, 1.0, 2.0)):
        see(f, tensor(*row), 1)
        see(f, tensor(*row), 3)


def order_of_objects(compile, see):
    @dataclasses.dataclass(order=True)
    class Task:
        priority: int
        name: str = dataclasses.field(compare=False)
        weight: float = 1.0

    @dataclasses.dataclass(frozen=True)
    class Key:
        n: int
        lr: float = 0.5

    @compile
    def f(x, priorities):
        tasks = [Task(p, f"t{i}") for i, p in enumerate(priorities)]
        tasks.sort()
        for task in tasks:
            x = x * task.priority + task.weight
        same = tasks[0] == Task(min(priorities), "other"), tasks[0] < tasks[1], tasks[0] != 3
        return x, [t.name for t in tasks], same, hash(Key(1)) == hash(Key(priorities[0]))

    for given in ([3, 1, 2], [3, 1, 2], [5, 1, 2], [1, 2], [1, 2]):
        see(f, tensor(*X), given)


def tensors_among_numbers_are_ordered_as_tensors(compile, see):
    @compile
    def f(a, b):
        heap = []
        heapq.heappush(heap, a)
        heapq.heappush(heap, b)
        falling = sorted([a, b], reverse=True)
        return [v * 1 for v in (*sorted([a, b]), *falling, max(a, b), heap[0])]

    for v in (0.1, 0.1, 0.1, 0.3, 0.1, 0.05):
        see(f, df.tensor(0.1), v)
    for v in (16777217, 16777217, 16777217, 3):
        see(f, df.tensor(16777216.0), df.tensor(v, dtype=df.int32))


def a_list_is_empty_while_it_is_sorted(compile, see):
    @compile
    def f(x, items):
        sizes = []

        def key(value):
            sizes.append(len(items))
            return -value

        items.sort(key=key)
        return x * items[0], sizes, len(items)

    for items in ([1, 3, 2], [1, 3, 2], [1, 3, 2], [3, 1, 2], []):
        see(f, tensor(*X), items)


def a_list_changed_while_it_is_sorted(compile, see):
    @compile
    def f(x, items, bad):
        def key(value):
            if bad:
                items.append(value)
            return value

        try:
            items.sort(key=key)
        except ValueError as error:
            return x, str(error), items
        return x * 2, items

    for bad in (False, False, False, True, True, False):
        see(f, tensor(*X), [2, 1, 3], bad)


class Late:
    def __init__(self, v):
        self.v = v

    def __lt__(self, other):
        if 13 in (self.v, other.v):
            raise KeyError(self.v)
        return self.v < other.v


def an_error_leaves_a_list_half_sorted(compile, see):
    @compile
    def f(x, items):
        try:
            items.sort()
        except (KeyError, TypeError):
            return x, items
        return x * 2, items

    for values in ((5, 4, 3), (5, 4, 3), (5, 4, 3), (3, 5, 2, 13), (3, 5, 2, 13), (5, 4, 3)):
        see(f, tensor(*X), [Late(v) for v in values])
    for items in ([5, 4, 3], [5, 4, 3], [3, 5, 2, "a"], [3, 5, 2, "a"], [5, 4, 3]):
        see(f, tensor(*X), items)


def functions_that_return_what_they_are_given(compile, see):
    @compile
    def f(x, rows):
        top = heapq.nlargest(1, rows)
        if type(rows[0]) is list:
            top[0].append(9)
        return x + 1, top, heapq.nsmallest(2, rows), rows

    for rows in ([1, 2], [1, 2], [1, 2]):
        see(f, tensor(*X), rows)
    for _ in range(5):
        see(f, tensor(*X), [[1], [2]])


def operators_of_objects(compile, see):
    asked = []

    class Length:
        def __init__(self, x):
            self.x = x

        def __neg__(self):
            return Length(-self.x)

        def __invert__(self):
            return self.x * 0

        def __lt__(self, other):
            asked.append("lt")
            return NotImplemented if not isinstance(other, Length) else self.x[0] < other.x[0]

        def __add__(self, other):
            asked.append("add")
            return NotImplemented

        def __eq__(self, other):
            asked.append("eq")
            return (
                NotImplemented if not isinstance(other, Length) else bool(other.x[0] == self.x[0])
            )

        __hash__ = None

    class Plain:
        pass

    @compile
    def f(x, other):
        a, b = Length(x), -Length(x * 2)
        said = [a < b, a > b, a == b, a != b, a == other, other != a, Plain() == Plain()]
        for wrong in (lambda: a < other, lambda: a + other, lambda: a + b):
            try:
                wrong()
            except TypeError as error:
                said.append(str(error))
        return said, ~a

    for x in (X, X, (-1.0, 2.0, 3.0)):
        for other in (3, None, "text"):
            see(f, tensor(*x), other)
    see.that(asked)


def sentinels(compile, see):
    absent = object()

    @compile
    def f(x, extra=absent):
        if extra is absent:
            return x
        return x * extra

    for more in ((), (2,), (2,), (3.5,), (3.5,), (), (2,)):
        see(f, tensor(*X), *more)


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
