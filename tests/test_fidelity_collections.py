"""Lists, deques, counters and named tuples that grow, hold themselves or iterate otherwise."""

import collections
from typing import Any

import pytest
from fidelity_runner import check, parameters, tensor

import dualflow as df

X = (1.0, -2.0, 3.0)


def lists_that_grow(compile, see):
    losses = [1.5]

    @compile
    def f(x):
        losses.append(float(x[0]))
        recent = losses[-2:]
        mean = sum(recent) / len(recent)
        return x - mean, sum(losses), max(losses), min(losses), losses[-1], len(losses) % 2 == 0

    for i in range(8):
        see(f, tensor(float(i), 2.0))
    losses[:] = [2, 3]
    see(f, tensor(1.0, 2.0))
    losses.clear()
    see(f, tensor(1.0, 2.0))
    see(f, tensor(1.0, 2.0))
    see.that(losses)


def lists_that_hold_themselves(compile, see):
    @compile
    def f(x, items):
        items.append(items)
        return x + 1, len(items), items

    for _ in range(4):
        see(f, tensor(*X), [1])


def deques_that_grow_long(compile, see):
    @compile
    def f(x, count):
        queue = collections.deque()
        for i in range(count):
            queue.append(i)
        return x * queue.popleft(), len(queue)

    for count in (9, 9, 5000, 5000):
        see(f, tensor(*X), count)


def deques_of_other_bounds(compile, see):
    @compile
    def f(x, items):
        made = items.copy()
        made.append(4)
        items.append(3)
        items.extend(items)
        return x + 1, items, made, made.maxlen

    @compile
    def copied(x, items):
        made = items.copy()
        made.append(4)
        return x + 1, made

    for bound in (3, 3, 3, None, None, 4, 3):
        see(f, tensor(*X), collections.deque([1, 2], bound))
        see(copied, tensor(*X), collections.deque([1, 2], bound))


def counts_that_are_taken_as_they_are(compile, see):
    @compile
    def f(x, counts, into):
        into.update(counts)
        return x + 1, collections.Counter(counts), into, into.most_common(1)

    @compile
    def named(x, text):
        return x + 1, collections.Counter(text, a=5), collections.Counter(a=True)

    for _ in range(3):
        see(named, tensor(*X), "ab")
    for counts in ("ab", "ab", {"a": 2.5}, {"a": 2.5}, {"a": True}, {"a": True}, {"a": -0.0}):
        see(f, tensor(*X), counts, collections.Counter())
        see(f, tensor(*X), counts, collections.Counter("bb"))


Pair = collections.namedtuple("Pair", "a b")


class Odd(Pair):
    def __iter__(self):
        return iter((9, 8, 7))

    def __getitem__(self, i) -> Any:
        return 5

    def __len__(self):
        return 3


def named_tuples_that_iterate_otherwise(compile, see):
    @compile
    def f(x, pair):
        return x * 2, [v for v in pair], list(zip(pair, pair, strict=True))  # noqa: C416

    for pair in (Pair(1, 2), Pair(1, 2), Pair(1, 2), Odd(1, 2), Odd(1, 2), Pair(1, 2)):
        see(f, tensor(*X), pair)


def bytes_that_change(compile, see):
    raw = bytearray(b"\x02\x03x")

    @compile
    def f(x, part):
        for value, name in zip(raw, "ab"):  # noqa: B905
            x = x + value * len(name)
        return x * raw[0] * len(raw), list(raw), [*enumerate(raw)], part.start, part.step

    for i in range(8):
        see(f, tensor(*X), slice(i // 4, 3))
        if i == 2:
            raw[0] = 7
        if i == 5:
            raw.append(1)


def tensors_as_indices(compile, see):
    table = ["low", "mid", "high"]

    @compile
    def f(x, i):
        return table[i], x * len(table[i])

    for i in (0, 1, 2, 0, 1, -1):
        see(f, tensor(*X), tensor(i, dtype=df.int64)[0])


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
