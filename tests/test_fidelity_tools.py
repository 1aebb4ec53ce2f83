"""Everyday tools of the library in compiled functions: of iterators, sorted lists and protocols."""

import bisect
import csv
import io
import itertools
import logging
import os
import pickle
import tempfile
import types
import typing

import pytest
from fidelity_runner import check, parameters, tensor

X = (1.0, -2.0, 3.0)


def items_by_number(compile, see):
    class Batches:
        def __init__(self, x, size):
            self.x, self.size = x, size

        def __len__(self):
            return -(-self.x.shape[0] // self.size)

        def __getitem__(self, i):
            if i >= len(self):
                raise IndexError(i)
            return self.x[i * self.size : (i + 1) * self.size]

    @compile
    def f(x, data):
        total = 0.0
        for batch in data:
            total = total + batch.sum()
        for i, batch in enumerate(Batches(x, 1)):
            total = total + batch * i
        pairs = [(a, b) for a, b in zip(data, "abc", strict=False)]
        first, *rest = data
        return total, list(data), tuple(data), pairs, first, len(rest)

    for size in (2, 2, 1):
        see(f, tensor(*X), Batches(tensor(*X), size))


def a_method_taken_away(compile, see):
    class Items:
        def __getitem__(self, i):
            return [1.0, 2.0][i]

    items = Items()

    @compile
    def f(x):
        return x * sum(items), 2.0 in items, 5 in items

    for _ in range(3):
        see(f, tensor(*X))
    Items.__getitem__ = lambda self, i: [3.0][i]
    see(f, tensor(*X))
    Items.__iter__ = lambda self: iter((4.0, 5.0))
    see(f, tensor(*X))
    Items.__contains__ = lambda self, value: False
    see(f, tensor(*X))


def looked_for_in_iterators(compile, see):
    class Count:
        def __init__(self, n):
            self.i, self.n = 0, n

        def __iter__(self):
            return self

        def __next__(self):
            self.i += 1
            if self.i > self.n:
                raise StopIteration
            return self.i

    @compile
    def f(x, n, k):
        squares = (i * i for i in range(n))
        return x * n, k in Count(n), k in squares, list(squares), x.sum() in Count(5)

    for n, k in ((3, 2), (3, 2), (3, 1), (3, 1), (2, 4.0)):
        see(f, tensor(*X), n, k)


def the_item_is_asked_first(compile, see):
    class Never:
        def __eq__(self, other):
            return False

    class Always:
        def __eq__(self, other):
            return True

    class Holds:
        def __init__(self, *items):
            self.items = items

        def __iter__(self):
            return iter(self.items)

    never, always = Never(), Always()

    @compile
    def f(x):
        return x * 2, never in Holds(always), always in Holds(never), always in Holds(1)

    for _ in range(3):
        see(f, tensor(*X))


def tees_and_selections(compile, see):
    @compile
    def f(x, items, chosen):
        one, two = itertools.tee(y * 2 for y in items)
        next(two)
        steps = [b - a for a, b in zip(one, two, strict=False)]
        three = itertools.tee(items, 3)
        parts = list(itertools.compress(items, chosen))
        return steps, [next(part) for part in three], list(three[0]), parts

    for chosen in ([1, 0, 1], [1, 0, 1], [0, "a", None]):
        see(f, tensor(*X), [tensor(1), tensor(4), tensor(9)], chosen)


def sorted_lists(compile, see):
    history = []

    @compile
    def f(x, values):
        best, down = [], []
        for value in values:
            bisect.insort(best, value)
            bisect.insort_left(down, value, key=lambda v: -v)
            if len(best) > 2:
                best.pop()
        bisect.insort(best, float(x[0]))
        history.append(best[0])
        return x * best[0], best, down

    for values in ([3, 1, 2], [3, 1, 2], [7, 5, 6], [2, 2.0, 1], [1, 2, 3], [1, 2, 3]):
        see(f, tensor(*X), values)
    see.that(history)


def protocols(compile, see):
    @typing.runtime_checkable
    class Scales(typing.Protocol):
        def scale(self, x): ...

    class Doubles:
        def scale(self, x):
            return x * 2

    class Other:
        pass

    objects = [Doubles(), Other(), types.SimpleNamespace(scale=lambda x: x * 5), 3]

    @compile
    def f(x, i):
        found = objects[i]
        return found.scale(x) if isinstance(found, Scales) else x

    for i in (0, 0, 1, 1, 2, 2, 3):
        see(f, tensor(*X), i)
    objects[1].scale = lambda x: x * 7
    see(f, tensor(*X), 1)


def texts_read_like_files(compile, see):
    @compile
    def f(x, text):
        source = io.StringIO(text)
        head = source.readline()
        rates = [float(line) for line in source]
        with io.StringIO(text) as again:
            whole = again.read()
        return x * sum(rates), head, len(whole), io.StringIO(text).getvalue()

    for text in ("rates\n1.5\n2\n", "rates\n1.5\n2\n", "r\n3"):
        see(f, tensor(*X), text)


def tables_read_and_written(compile, see):
    @compile
    def f(x, text, mark):
        rows = list(csv.reader(io.StringIO(text), delimiter=mark))
        total = sum(float(row[1]) for row in rows[1:])
        named = csv.DictReader(text.splitlines(), delimiter=mark)
        names = [row["name"] for row in named]
        out = io.StringIO()
        writer = csv.writer(out)
        length = writer.writerow(["name", "value"])
        writer.writerow([names[0], float(x.sum())])
        writer.writerows([(i, x.shape) for i in ()])
        table = csv.DictWriter(out, ["a", "b"], restval="-", lineterminator="\n")
        table.writeheader()
        table.writerow({"a": total})
        return x * total, names, length, out.getvalue(), rows

    text = "name,value\na,1.5\n'b c',2\n"
    for v, t, mark in ((1, text, ","), (1, text, ","), (2, text, ","), (2, "name;value\nz;4", ";")):
        see(f, tensor(v, 1), t, mark)
    see(f, tensor(1), text, "two")
    see(f, tensor(1), text, ";")


def tables_in_files(compile, see):
    folder = tempfile.mkdtemp()

    @compile
    def f(x, name, k):
        path = os.path.join(folder, name)
        with open(path, "w", newline="") as file:
            csv.writer(file).writerows([("k", k), ("sum", float(x.sum()))])
        return x * k

    @compile
    def g(x, name):
        with open(os.path.join(folder, name), newline="") as file:
            found = {row[0]: float(row[1]) for row in csv.reader(file)}
        return x * found["sum"], found

    for v, k in ((1, 1), (1, 1), (2, 3), (2, 3)):
        see(f, tensor(v, 1), "a", k)
        see(g, tensor(v, 1), "a")


def pickled_settings(compile, see):
    class Own:
        pass

    @compile
    def f(x, options):
        data = pickle.dumps(options)
        again = pickle.loads(data)
        again["steps"] += 1
        return x * again["scale"] + again["steps"], options["steps"], again

    shared = [1, 2]
    for options in (
        {"scale": 2.0, "steps": 3},
        {"scale": 2.0, "steps": 3},
        {"scale": 2.5, "steps": 3},
        {"scale": 2.5, "steps": 3, "both": (shared, shared)},
        {"scale": 2.5, "steps": 3, "both": ([1, 2], [1, 2])},
    ):
        see(f, tensor(*X), options)
    see(f, tensor(*X), {"scale": 2, "steps": 1, "own": Own})


def logging_with_attributes(compile, see):
    records = []

    class Keeps(logging.Handler):
        def emit(self, record):
            records.append((record.getMessage(), record.lineno, getattr(record, "step", None)))

    stream = io.StringIO()
    logger = logging.getLogger("test_fidelity_tools")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    formatted = logging.StreamHandler(stream)
    formatted.setFormatter(logging.Formatter("%(message)s|%(step)s|%(funcName)s"))
    logger.handlers[:] = [Keeps(), formatted]

    @compile
    def f(x, step, name):
        logger.info("step %d of %s", step, name, extra={"step": step, "name_": name})
        logger.debug("hidden", extra={"step": step})
        logger.warning("sum", extra={"step": float(x.sum())})
        return x * step

    for v, step in ((1, 1), (1, 1), (1, 2), (2, 2)):
        see(f, tensor(v, 1), step, "run")
    see.that((list(records), stream.getvalue()))
    logger.handlers[:] = [formatted]
    for v, step in ((1, 1), (1, 1), (2, 1)):
        see(f, tensor(v, 1), step, "run")
    see.that((list(records), stream.getvalue()))


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
