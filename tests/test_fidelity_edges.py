"""The edges of what is replayed: NaN, aliases, errors in the middle, what instances override."""

import collections
import contextlib
import copy
import dataclasses
import datetime
import enum
import functools
import heapq
import io
import logging
import logging.handlers
import math
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


# Order ------------------------------------------------------------------------------------------


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


# Copies -----------------------------------------------------------------------------------------


def copies_of_other_kinds(compile, see):
    @compile
    def f(x, v):
        return x * 2, copy.deepcopy(v), copy.copy(v)

    for v in (1, 1, 1, [1], [1], {1: 2}, 1.5, [[1], 2], [1, [2]], [1, 2], [1, 2], [1, [3]]):
        see(f, tensor(*X), v)


def copies_keep_aliases(compile, see):
    @compile
    def f(items):
        made = copy.deepcopy(items)
        return made, made[0] is made[1]

    for a, b in ((tensor(*X), tensor(*X)), ([1], [1]), (Box(1), Box(1))):
        for items in ([a, b], [a, b], [a, b], [a, a], [a, a], [a, b]):
            see(f, items)


class Own(enum.Enum):
    A = 1

    def __deepcopy__(self, memo) -> Any:
        return 5


def copies_of_what_does_not_change(compile, see):
    @compile
    def f(x, v):
        try:
            return x * 2, copy.deepcopy(v) is v, copy.copy(v) is v
        except TypeError as error:
            return x, str(error)

    day = datetime.date(2020, 1, 1)
    for v in (1.5, len, frozenset({1}), slice(1, 2), math, day, df.float32, Own.A, (1, (2,))):
        for _ in range(3):
            see(f, tensor(*X), v)


def copied_as_an_instance_says(compile, see):
    @compile
    def f(x, box, deep):
        made = copy.deepcopy(box) if deep else copy.copy(box)
        return x * 2, made.value, made is box

    for deep in (True, False):
        box: Any = Box(1)
        for name, value in (
            ("__deepcopy__", lambda memo, box=box: box),
            ("__reduce_ex__", lambda n: (Box, (7,))),
        ):
            for _ in range(3):
                see(f, tensor(*X), box, deep)
            setattr(box, name, value)
            for _ in range(2):
                see(f, tensor(*X), box, deep)
            delattr(box, name)


# Streams and logs -------------------------------------------------------------------------------


class Kept(logging.Handler):
    def __init__(self, kept):
        super().__init__()
        self.kept = kept

    def emit(self, record):
        self.kept.append(record.getMessage())


def _logger(handler):
    made = logging.Logger("edges", 10)
    made.propagate = False
    made.addHandler(handler)
    return made


def log_read_in_the_call(compile, see):
    text, kept = io.StringIO(), []
    loggers = (
        _logger(logging.StreamHandler(text)),
        _logger(logging.handlers.MemoryHandler(1, target=Kept(kept))),
        _logger(Kept(kept)),
    )

    @compile
    def f(x, logger, k):
        logger.info("k %s", k)
        return x * k, text.getvalue() if k > 1 else "", len(kept)

    for logger in loggers:
        for k in (1, 1, 1, 2, 2, 3):
            see(lambda x, k, logger=logger: f(x, logger, k), tensor(*X), k)
            see.that((text.getvalue(), list(kept)))


def handlers_with_an_emit_of_their_own(compile, see):
    @compile
    def f(x, logger, kept, k):
        logger.info("k %s", k)
        return x * k, len(kept)

    for made in (Kept, lambda _: logging.StreamHandler(io.StringIO())):
        kept: list[str] = []
        handler: Any = made(kept)
        logger = _logger(handler)
        for own in (False, True, False):
            if own:
                handler.emit = lambda record, kept=kept: kept.extend(["own", record.msg])
            for k in (1, 1, 2):
                see(lambda x, k, a=logger, b=kept: f(x, a, b, k), tensor(*X), k)
                see.that(list(kept))
            vars(handler).pop("emit", None)


def printed_text_read_in_the_call(compile, see):
    text = io.StringIO()

    @compile
    def f(x, stream, read):
        print("hi")
        return x * 2, stream.getvalue() if read else None

    def into(x, read):
        with contextlib.redirect_stdout(text):
            return f(x, text, read)

    for read in (False, False, False, True, True, True):
        see(into, tensor(*X), read)


def streams_closed_between_calls(compile, see):
    kept: list[int] = []

    @compile
    def f(x, stream):
        kept.append(1)
        stream.write("a")
        print("b", file=stream)
        kept.append(2)
        return x * 2

    for closed in (False, True, False):
        text = io.StringIO()
        for _ in range(3):
            see(lambda x, text=text: f(x, text), tensor(*X))
            see.that((text.getvalue(), list(kept)))
        text.close()
        for _ in range(2 if closed else 0):
            see(lambda x, text=text: f(x, text), tensor(*X))
            see.that(list(kept))


# Named tuples -----------------------------------------------------------------------------------

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


# What the library makes of what it is given -----------------------------------------------------


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


def nothing_is_folded(compile, see):
    @compile
    def f(x, items):
        return x + 1, functools.reduce(lambda a, b: a + b, items)

    for items in ([1, 2], [1, 2], [1, 2], [], [], [1]):
        see(f, tensor(*X), items)


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


def lists_that_hold_themselves(compile, see):
    @compile
    def f(x, items):
        items.append(items)
        return x + 1, len(items), items

    for _ in range(4):
        see(f, tensor(*X), [1])


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


def output_redirected_in_turn(compile, see):
    @compile
    def f(x, table):
        with contextlib.redirect_stdout(io.StringIO()) as inner:
            table["n"] = table.get("n", 0) + 1
            print(table["n"])
        print(x * 2.0)
        return x, inner.getvalue()

    table = {}
    for n in range(6):
        with contextlib.redirect_stdout(io.StringIO()) as outer:
            see(f, tensor(*X), table)
        see.that((outer.getvalue(), n))


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
