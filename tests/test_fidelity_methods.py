"""Methods that Python's own functions ask of objects: text, order, size; errors of generators."""

import dataclasses
import datetime
import enum
import re
import string
import sys

import pytest
from fidelity_runner import check, parameters, tensor

X = (1.0, -2.0, 3.0)


def text_by_methods(compile, see):
    class Meter:
        def __init__(self, value, unit):
            self.value, self.unit = value, unit

        def __str__(self):
            return f"{self.value} {self.unit}"

        def __repr__(self):
            return f"Meter({self.value!r})"

        def __format__(self, spec):
            return format(self.value, spec or ".1f") + self.unit

    class Bare:
        def __repr__(self):
            return "bare"

    @compile
    def f(x, value):
        meter, bare = Meter(value, "m"), Bare()
        print(meter, bare)
        texts = [str(meter), repr(meter), f"{meter}", f"{meter:.3f}", f"{meter!r:>12}"]
        return x * value, texts, str(bare), f"{bare} {bare!s:<6}|", format(meter, "g")

    for value in (1.5, 1.5, 2.5, -0.0, 3, 3):
        see(f, tensor(*X), value)


def text_of_a_tensor_in_an_object(compile, see):
    class Loss:
        def __init__(self, value):
            self.value = value

        def __repr__(self):
            return f"Loss({float(self.value):.3f})"

    @compile
    def f(x):
        loss = Loss((x * x).sum())
        print(loss)
        return f"{loss!r}", x / loss.value

    for k in (1, 1, 2, 3):
        see(f, tensor(*X) * k)


def text_that_is_none(compile, see):
    class Odd:
        def __init__(self, answer):
            self.answer = answer

        def __str__(self):
            return self.answer

    @compile
    def f(x, answer):
        try:
            return x, str(Odd(answer))
        except TypeError as error:
            return x, str(error)

    for answer in ("a", "a", 1, 1, None, "b"):
        see(f, tensor(*X), answer)


def text_method_replaced(compile, see):
    class Plain:
        def __str__(self):
            return "one"

    @compile
    def f(x):
        return x + 1, str(Plain())

    see(f, tensor(*X))
    see(f, tensor(*X))
    Plain.__str__ = lambda self: "two"
    see(f, tensor(*X))
    see(f, tensor(*X))
    del Plain.__str__
    Plain.__repr__ = lambda self: "three"
    see(f, tensor(*X))
    see(f, tensor(*X))


def text_of_dataclasses(compile, see):
    @dataclasses.dataclass
    class Point:
        x: float
        tag: str = "p"
        hidden: int = dataclasses.field(default=3, repr=False)

    @compile
    def f(x, n):
        point = Point(n)
        return x * point.x, repr(point), f"{Point(n, 'q')}"

    for n in (1, 1, 2.5, 2.5, True):
        see(f, tensor(*X), n)


def frozen_dataclass_refuses(compile, see):
    @dataclasses.dataclass(frozen=True)
    class Key:
        name: str
        n: int = 1

    @compile
    def f(x, name, other):
        key = Key(name)
        try:
            setattr(key, other, 5)
        except dataclasses.FrozenInstanceError as error:
            return x * key.n, str(error)
        return x * key.n, vars(key)[other]

    for other in ("n", "n", "name", "name"):
        see(f, tensor(*X), "a", other)


def least_and_greatest_objects(compile, see):
    class Job:
        asked = 0

        def __init__(self, rank):
            self.rank = rank

        def __lt__(self, other):
            Job.asked += 1
            return self.rank < other.rank

        def __gt__(self, other):
            return self.rank > other.rank

    @compile
    def f(x, ranks):
        jobs = [Job(rank) for rank in ranks]
        return x * min(jobs).rank, max(jobs).rank, max(jobs[0], jobs[1]).rank

    for ranks in ([3, 1, 2], [3, 1, 2], [1, 1, 0], [1, 1, 0]):
        see(f, tensor(*X), ranks)
        see.that(Job.asked)


def least_of_pairs(compile, see):
    @compile
    def f(x):
        values = [float(x[i]) for i in range(3)]
        return min(zip(values, "abc", strict=True)), max(enumerate(values)), x + 1

    for k in (1, 1, 2, 2):
        see(f, tensor(*X) * k)


def members_of_flags(compile, see):
    class Opt(enum.IntFlag):
        A = 1
        B = 2

    class Strict(enum.Flag):
        A = 1
        B = 2

    @compile
    def f(x, value):
        found = Opt(value)
        try:
            strict = Strict(value)
        except ValueError as error:
            return x, str(error)
        if found & Opt.B:
            x = x * 2
        return x, found.value, Strict.A in strict, found == 3, (Opt.A | found).value

    for value in (1, 1, 3, 3, 0, 8, 8):
        see(f, tensor(*X), value)


def sizes_by_methods(compile, see):
    class Vector:
        def __init__(self, x):
            self.x = x

        def __abs__(self):
            return (self.x * self.x).sum()

        def __round__(self, digits=0):
            return digits + 1

    @compile
    def f(x, digits):
        return abs(Vector(x)), round(Vector(x)), x * round(Vector(x), digits)

    for digits in (1, 1, 2, 2):
        see(f, tensor(*X), digits)


def what_a_generator_returned(compile, see):
    def steps(x, n):
        for i in range(n):
            yield x * i
        return x + n

    @compile
    def f(x, n):
        running, last = steps(x, n), None
        while True:
            try:
                last = next(running)
            except StopIteration as over:
                return last, over.value, next(running, "over")

    for n in (2, 2, 0, 3, 3):
        see(f, tensor(*X), n)


def errors_thrown_into_generators(compile, see):
    log = []

    def worker():
        total = 0
        while True:
            try:
                total = total + (yield total)
            except ValueError as error:
                log.append(str(error))
                yield -total

    @compile
    def f(x, text):
        running = worker()
        next(running)
        running.send(x[0])
        skipped = running.throw(ValueError(text))
        next(running)
        try:
            running.throw(KeyError("out"))
        except KeyError as error:
            return skipped, str(error)

    for text in ("a", "a", "b"):
        see(f, tensor(*X), text)
        see.that(log)


def notes_of_errors(compile, see):
    class OverError(ValueError):
        def __init__(self, limit):
            super().__init__(f"over {limit}")
            self.limit = limit

    @compile
    def f(x, limit):
        try:
            if x.sum() > limit:
                raise OverError(limit)
        except OverError as error:
            error.add_note(f"checked {error.limit}")
            error.add_note("twice")
            if limit < 0:
                raise
            return x, error.limit
        return x + 1, None

    for limit in (1, 1, 5, 5, -1, -1):
        see(f, tensor(*X), limit)


def substitution_by_a_function(compile, see):
    pattern = re.compile(r"([a-z]+)(\d*)")

    @compile
    def f(x, text, by):
        def longer(match):
            return match.group(1) * 2 + str(len(match.group(2)) * by)

        once = pattern.sub(longer, text, 1)
        nothing = re.sub("b", lambda match: None, text)
        named = string.Template("$who has $n").substitute(who=text, n=by)
        return (
            x * by,
            pattern.sub(longer, text),
            once,
            re.sub("x*", lambda m: "-", text),
            nothing,
            named,
        )

    for text, by in (("ab1 c22", 2), ("ab1 c22", 2), ("ab1 c22", 3), ("xx", 2), ("", 2), ("é", 2)):
        see(f, tensor(*X), text, by)


def substitution_of_something_else(compile, see):
    @compile
    def f(x, by):
        try:
            return x, re.sub("a", lambda match: by, "banana")
        except TypeError as error:
            return x, str(error)

    for by in ("o", "o", 1, 1, b"o"):
        see(f, tensor(*X), by)


def dates_and_tables(compile, see):
    day = datetime.date(2024, 2, 27)

    @compile
    def f(x, days, text):
        then = day + datetime.timedelta(days=days)
        table = str.maketrans("ab", "AB", "c")
        return x * then.day, then.strftime("%d/%m %y"), text.translate(table), bytes([days, 1])

    for days, text in ((1, "abc"), (1, "abc"), (3, "abc"), (3, "cab")):
        see(f, tensor(*X), days, text)


def handled_error_asked_for(compile, see):
    @compile
    def f(x, n):
        try:
            x = x * (10 // n)
        except ZeroDivisionError as error:
            kind, value, _ = sys.exc_info()
            return x, value is error, kind.__name__
        return x, sys.exc_info()[1], None

    for n in (2, 2, 0, 0, 5):
        see(f, tensor(*X), n)


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
