"""The standard library in compiled functions: unchanging values, pure functions, collections."""

# ruff: noqa: B010, C416, SIM118, UP031 - the programs are what users write

import collections
import datetime
import decimal
import fractions
import io
import json
import logging
import operator
import os
import pathlib
import re
import statistics
import sys
import textwrap
import time
import types
import weakref

import numpy as np
import pytest
from fidelity_runner import check, parameters, tensor

X = (1.0, -2.0, 3.0)
THIS = sys.modules[__name__]
BASE = datetime.date(2024, 2, 28)
PATTERN = re.compile(r"(\w+)=(\d+)")


# Values -----------------------------------------------------------------------------------------


def dates(compile, see):
    @compile
    def f(x, days):
        day = BASE + datetime.timedelta(days=days)
        return x * day.day, day.isoformat(), (day - BASE).days, f"{day:%d}", day > BASE, day

    for days in (1, 2, 1, 2, 40):
        see(f, tensor(*X), days)
    setattr(THIS, "BASE", datetime.date(2023, 2, 28))
    see(f, tensor(*X), 1)
    setattr(THIS, "BASE", datetime.date(2024, 2, 28))
    see(f, tensor(*X), 1)


def dates_given(compile, see):
    zone = datetime.timezone(datetime.timedelta(hours=2))

    @compile
    def f(x, when):
        return x * when.hour, when.isoformat(), when.tzinfo, when + datetime.timedelta(hours=1)

    for when in (
        datetime.datetime(2024, 1, 2, 3),
        datetime.datetime(2024, 1, 2, 3),
        datetime.datetime(2024, 1, 2, 3, tzinfo=zone),
        datetime.datetime(2024, 1, 2, 4),
        datetime.datetime(2024, 1, 2, 3, fold=1),
        datetime.datetime(2024, 1, 2, 3),
    ):
        see(f, tensor(*X), when)


def patterns(compile, see):
    @compile
    def f(x, text):
        found = {m.group(1): int(m.group(2)) for m in PATTERN.finditer(text)}
        match = PATTERN.match(text)
        if match is None:
            return x, re.sub("a", "b", text)
        return x * found.get("k", 1), match.groups(), re.split(r"\W+", text)

    for text in ("k=3, b=4", "none at all", "k=3, b=4", "b=1"):
        see(f, tensor(*X), text)
    setattr(THIS, "PATTERN", re.compile(r"(b)=(\d)"))
    see(f, tensor(*X), "k=3, b=4")
    setattr(THIS, "PATTERN", re.compile(r"(\w+)=(\d+)"))


def exact_numbers(compile, see):
    @compile
    def f(x, p):
        d, q = decimal.Decimal(p) / 3, fractions.Fraction(1, 3) + fractions.Fraction(p)
        d += 1
        kept = isinstance(q, fractions.Fraction), d > 2, -d, q.numerator, q.limit_denominator(2)
        return x * float(d) + float(q), str(q), d.quantize(decimal.Decimal("0.01")), kept, round(d)

    for p in (2, 5, 2, 5):
        see(f, tensor(*X), p)
    with decimal.localcontext() as context:
        context.prec = 4
        see(f, tensor(*X), 2)
        see(f, tensor(*X), 2)
    see(f, tensor(*X), 2)


def exact_numbers_given(compile, see):
    @compile
    def f(x, d):
        return x * float(d), str(d), d + 1

    texts = "1.0 1.00 1.0 NaN 2".split()  # noqa: SIM905
    for d in [*map(decimal.Decimal, texts), fractions.Fraction(1, 2), fractions.Fraction(2, 4)]:
        see(f, tensor(*X), d)
        see(f, tensor(*X), d)


def division_by_zero(compile, see):
    @compile
    def f(x, n):
        try:
            return x * float(decimal.Decimal(1) / n)
        except decimal.DivisionByZero as error:
            return x, type(error).__name__

    for n in (1, 0, 0, 2, 0):
        see(f, tensor(*X), n)


def paths(compile, see):
    @compile
    def f(x, name):
        path = pathlib.PurePosixPath("/a") / name
        return x * len(path.parts), path.suffix, str(path), os.path.join("a", name), path.stem

    for name in ("b.txt", "c/d.py", "b.txt", "c/d.py"):
        see(f, tensor(*X), name)


# Pure functions ---------------------------------------------------------------------------------


def texts_of_data(compile, see):
    @compile
    def f(x, text):
        config = json.loads(text)
        y = x * config["scale"]
        for layer in config.get("layers", []):
            y = y + layer["b"]
        config["scale"] = 9
        told = {
            "n": len(config),
            "mean": round(float(x.mean()), 3),
            "deep": [1, {"s": float(x[0])}],
        }
        return y, json.dumps(told), config

    for text in ('{"scale": 2, "layers": [{"b": 1}, {"b": 2}]}', '{"scale": 0.5}'):
        for values in (X, X, (5.0, 6.0, 7.0), (0.5, 6.0, 7.0)):
            see(f, tensor(*values), text)
    for text in ("{", "{", '{"scale": 0.5}'):
        see(f, tensor(*X), text)


def numbers_of_tensors(compile, see):
    @compile
    def f(x, n):
        values = [float(v) for v in x]
        return statistics.fmean(values), statistics.median([n, 2, 3]), statistics.mean([n, 1])

    for values in (X, X, (4.0, 5.0, 6.0), X):
        for n in (1, 7):
            see(f, tensor(*values), n)


def wrapped_text(compile, see):
    @compile
    def f(x, words, width):
        return x * width, textwrap.wrap(words, width), textwrap.shorten(words, 8)

    for words in ("one two three", "one two three", "four"):
        see(f, tensor(*X), words, 5)


Pair = collections.namedtuple("Pair", "a b")
SECOND = operator.itemgetter(1)


def getters(compile, see):
    @compile
    def f(p, pairs):
        best = sorted(pairs, key=SECOND)[0]
        a, n = operator.attrgetter("a", "b.real")(p)
        k, j = operator.itemgetter("k", "j")({"k": a, "j": 3})
        return k * SECOND(best) + j, n, operator.methodcaller("upper")(best[0])

    for pairs in ([("x", 3), ("y", 2)], [("x", 1), ("y", 2)], [("x", 3), ("y", 2)]):
        see(f, Pair(tensor(*X), 2), pairs)
    setattr(THIS, "SECOND", operator.itemgetter(-1))
    see(f, Pair(tensor(*X), 2), [("x", 3), ("y", 2)])
    setattr(THIS, "SECOND", operator.itemgetter(1))


# Collections ------------------------------------------------------------------------------------


def deques_made(compile, see):
    @compile
    def f(x, n):
        q = collections.deque([1, 2, 3])
        q.rotate(n)
        q.appendleft(x)
        short = collections.deque((x[i] for i in range(3)), maxlen=2)
        short.append(x[0] * 2)
        a, first = q.popleft(), q[0]
        q.extendleft([7, 8])
        return a, q, short, short.maxlen, 2 in q, first + len(q), [v for v in short]

    for n in (1, 2, 1, 2):
        see(f, tensor(*X), n)
    see(f, tensor(5, 6, 7), 1)


def deque_from_outside(compile, see):
    window = collections.deque(maxlen=3)

    @compile
    def f(x):
        window.append(float(x.sum()))
        return x * (sum(window) / len(window)), window[0], window.maxlen

    for i in range(8):
        see(f, tensor(*X) * i)
        see.that(list(window))
    window = collections.deque(window, maxlen=4)
    for i in range(5):
        see(f, tensor(*X) * i)
        see.that(list(window))


def deque_changed_while_iterated(compile, see):
    @compile
    def f(x, n):
        q = collections.deque([x, x + 1])
        try:
            for v in q:
                if n:
                    q.append(v)
        except RuntimeError as error:
            return str(error), len(q)
        return x

    for n in (0, 1, 0, 1):
        see(f, tensor(*X), n)


def empty_deque(compile, see):
    q = collections.deque()

    @compile
    def f(x):
        try:
            return x * q.popleft()
        except IndexError as error:
            q.append(2)
            return str(error)

    for _ in range(6):
        see(f, tensor(*X))


def ordered_dict_as_cache(compile, see):
    cache = collections.OrderedDict()

    @compile
    def f(x, k):
        if k in cache:
            cache.move_to_end(k)
        else:
            cache[k] = x * k
            if len(cache) > 2:
                cache.popitem(last=False)
        return cache[k] + 1

    for k in (1, 2, 1, 3, 2) * 4:
        see(f, tensor(*X), k)
        see.that(cache)


def ordered_dict_made(compile, see):
    @compile
    def f(x, last):
        d = collections.OrderedDict(b=x, a=x + 1)
        d["c"] = 3
        d.move_to_end("b", last=last)
        key, value = d.popitem()
        return list(d), key, value, d, dict(d), {**d}

    for last in (True, False, True, False):
        see(f, tensor(*X), last)


def default_dicts(compile, see):
    outside = collections.defaultdict(list)

    @compile
    def f(x, k):
        made = collections.defaultdict(int)
        for i in range(3):
            made[i % 2] += i
        outside[k].append(x * 2)
        groups = collections.defaultdict(lambda: [0])
        groups["a"].append(k)
        return made, len(outside), outside[k][-1], dict(groups), "zz" in outside, made.get(9)

    for k in ("a", "b", "a", "a", "b"):
        see(f, tensor(*X), k)
        see.that(outside)
    outside.default_factory = lambda: [5]
    see(f, tensor(*X), "a")
    see(f, tensor(*X), "c")
    outside.default_factory = None
    see(f, tensor(*X), "d")
    see.that(outside)


def counters(compile, see):
    outside = collections.Counter()

    @compile
    def f(x, word):
        c = collections.Counter(word)
        c["z"] += 2
        c.update("zz")
        outside.update(word)
        outside[word[0]] += 1
        best, n = c.most_common(1)[0]
        return x * n + sum(c.values()), best, c, c["nope"], c.total(), list(c.elements())

    for word in ("hello", "aab", "hello", "aab", "hello"):
        see(f, tensor(*X), word)
        see.that(outside)


def namespaces(compile, see):
    @compile
    def f(x, n):
        ns = types.SimpleNamespace(a=x, n=n)
        ns.b = ns.a * 2
        return ns, ns.b + n

    for n in (1, 1, 2, 1):
        see(f, tensor(*X), n)


# Text and time ----------------------------------------------------------------------------------


def texts_of_tensors(compile, see):
    @compile
    def f(x, n):
        y = x * 2
        told = f"{y} {y[0]:.2f} {x.shape}" + str([y, n]) + repr(y[0]) + "%s %r" % (y, n)
        print("tensor:", y, x.shape, [1, y[0]], {"a": n}, sep="|")
        y += 1
        print(y)
        return y, told, f"{y[0]} {(y, n)}", str(x[:0])

    for values in (X, X, (5.0, 6.0, 7.0), X, (float("nan"), -0.0, 1e30)):
        for n in (1, 2.5):
            see(f, tensor(*values), n)
    with np.printoptions(precision=2):
        see(f, tensor(1.23456, 2.0, 3.0), 1)
    see(f, tensor(*X).requires_grad_(), 1)


def text_that_decides(compile, see):
    @compile
    def f(x):
        text = str(x)
        return x * len(text) if "nan" not in text else -x

    for values in (X, X, (1.0, float("nan")), X, (1.0, float("nan")), (1.0,)):
        see(f, tensor(*values))


def wrong_formats(compile, see):
    @compile
    def f(x, spec):
        try:
            return f"{x[0]:{spec}}"
        except ValueError as error:
            return str(error)

    for spec in (".1f", ".1f", "q", ".1f"):
        see(f, tensor(*X), spec)


def clocks(compile, see):
    times = []

    @compile
    def f(x):
        start = time.perf_counter()
        y = x * x + 1
        times.append((start, time.perf_counter()))
        if time.time() < 5:
            return x
        return y, time.monotonic() >= 0, time.perf_counter() - start < 60

    for _ in range(4):
        see(f, tensor(*X))
    flat = [t for pair in times for t in pair]
    see.that((flat == sorted(flat), len(set(flat))))


def clock_replaced(compile, see):
    now = time.time

    @compile
    def f(x):
        return x * time.time()

    try:
        for value in (1.0, 2.0, 3.0):
            time.time = lambda value=value: value
            see(f, tensor(*X))
    finally:
        time.time = now


# Logging, lists, views, references ----------------------------------------------------------------


def tensors_logged(compile, see):
    out, log = io.StringIO(), logging.getLogger("test_fidelity_library")
    log.propagate, log.handlers = False, [logging.StreamHandler(out)]
    log.handlers[0].setFormatter(logging.Formatter("%(lineno)d %(message)s"))
    log.setLevel(logging.INFO)

    @compile
    def f(x):
        y = x * 2
        log.debug("hidden %s", y)
        log.info("shape %s loss %s %r %.3f", x.shape, y, [1, y[0]], y[0])
        y += 1
        return y

    for values in ((1.0, 2.0), (1.0, 2.0), (3.0, 4.0)):
        see(f, tensor(*values))
    see.that(out.getvalue())


def values_as_lists(compile, see):
    @compile
    def f(x):
        values = x.tolist()
        best = max(range(len(values)), key=lambda i: values[i])
        return x * sum(values), min(values), best, values, (x > 0).tolist(), x.sum().tolist()

    for values in (X, X, (3.0, 1.0, 2.0), (1.0, 2.0, 4.0), X):
        see(f, tensor(*values))


def views_of_dicts(compile, see):
    @compile
    def f(a, b, names):
        common = a.keys() & b.keys()
        sums = {k: a[k] + b[k] for k in sorted(common)}
        told = sorted(set(a) - set(b)), "a" in a.keys(), len(a.items()), list(a.keys() | {"z"})[:0]
        return sums, told, [name for name in names], {"n": len(a)} == {"n": 1}

    x = tensor(*X)
    for names in ({"u", "v"}, {"u", "v"}, {"u"}, frozenset("uv")):
        for a, b in (("ab", "b"), ("a", "ba"), ("ab", "b")):
            see(f, dict.fromkeys(a, x), dict.fromkeys(b, x), names)


def named_tuples_compared(compile, see):
    @compile
    def f(x, c, d):
        return x * c.a, c == Pair(1, 2), d == {"a": 1}

    for n in (2, 2, 3, 2):
        see(f, tensor(*X), Pair(1, n), {"a": n - 1})
    see(f, tensor(*X), Pair(True, 2), {"a": 1.0})


class Held:
    k = 3


def references_asked(compile, see):
    held = Held()
    reference = weakref.ref(held)

    @compile
    def f(x):
        found = reference()
        return x * (found.k if found is not None else 0), found is held

    for k in (3, 3, 4, 4):
        held.k = k
        see(f, tensor(*X))
    held = None
    see(f, tensor(*X))
    see(f, tensor(*X))


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
