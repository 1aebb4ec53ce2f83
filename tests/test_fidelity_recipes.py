"""What production code does beside its arrays: orders, heaps, copies, caches, comparisons."""

# ruff: noqa: B019 - the programs are what users write

import collections
import contextlib
import copy
import dataclasses
import enum
import functools
import heapq
import io
import itertools
import logging
import operator
import random
import sys
import threading

import pytest
from fidelity_runner import check, parameters, tensor

import dualflow as df

X = (1.0, -2.0, 3.0)


# Order ------------------------------------------------------------------------------------------


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


# Comparisons ------------------------------------------------------------------------------------


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


# Copies and caches ------------------------------------------------------------------------------


def copies(compile, see):
    class State:
        def __init__(self):
            self.w = tensor(1.0, 2.0)
            self.cfg = {"lr": 0.5, "tags": ["a"]}
            self.me = self

    state = State()

    @compile
    def f(g):
        shallow = copy.copy(state)
        shallow.w = shallow.w - shallow.cfg["lr"] * g
        deep = copy.deepcopy(state)
        deep.cfg["tags"].append("b")
        pair = [g, {"a": (g, 1), "b": (1, 2)}]
        again, flat = copy.deepcopy(pair), copy.copy(pair)
        same = deep.me is deep, deep.w is state.w, again[0] is again[1]["a"][0], flat[0] is g
        return shallow.w, deep.w, deep.cfg, same, again[1]["b"] is pair[1]["b"], again

    for i in range(6):
        see(f, tensor(1.0, float(i)))
        if i == 2:
            state.cfg["more"] = 1
        if i == 3:
            state.extra = 2
    see.that(state.cfg)


def cached_functions(compile, see):
    @functools.lru_cache(maxsize=4)
    def fib(n):
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    @functools.cache
    def table(n):
        return [1 / (i + 1) for i in range(n)]

    class Scale:
        @functools.lru_cache
        def of(self, k):
            return k * 2.0

    scale = Scale()

    @compile
    def f(x, n):
        return (
            x * fib(n) + sum(table(n)) * scale.of(n),
            table.cache_info(),
            fib.cache_info().maxsize,
        )

    for n in (2, 3, 2, 3, 2, 3, 7, 2, 7, 2, 7, 2):
        see(f, tensor(*X), n)
        see.that([fib.cache_info()[:], table.cache_info()[:], Scale.of.cache_info()[:]])
    table.cache_clear()
    see(f, tensor(*X), 2)
    see(f, tensor(*X), 2)
    see.that(table.cache_info()[:])


# What grows, what is written, what is held ------------------------------------------------------


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


def deques_that_grow_long(compile, see):
    @compile
    def f(x, count):
        queue = collections.deque()
        for i in range(count):
            queue.append(i)
        return x * queue.popleft(), len(queue)

    for count in (9, 9, 5000, 5000):
        see(f, tensor(*X), count)


def functions_that_count(compile, see):
    def times(k):
        def decorate(fn):
            @functools.wraps(fn)
            def wrapper(*args, **kwargs):
                wrapper.calls += 1
                return fn(*args, **kwargs) * k

            wrapper.calls = 0
            return wrapper

        return decorate

    @times(3)
    def base(x, b=0):
        return x + b

    @compile
    def f(x, b):
        return base(x, b=b), base.calls, base.__name__

    for b in (1, 2, 1, 2):
        see(f, tensor(*X), b)
    see.that(base.calls)


def streams(compile, see):
    log = io.StringIO()

    def table(x, names):
        out = io.StringIO()
        for i, name in enumerate(names):
            print(name.ljust(5), f"{float(x[i]):8.3f}", sep="|", file=out)
        out.write("end")
        return out

    @compile
    def f(x, names):
        found = io.StringIO()
        with contextlib.redirect_stdout(found):
            print("inside", float(x[0]), x)
        print("outside", end="")
        log.write(f"{len(names)} ")
        print(x.shape, file=log)
        made = table(x, names)
        return made.getvalue().splitlines(), found.getvalue(), made

    for row, names in ((X, "ab"), (X, "ab"), ((0.5, 2.0, 1.0), "ab"), (X, "a"), (X, "a")):
        made = see(f, tensor(*row), list(names))[2]
        made.write("!")
        see.that([made.getvalue(), log.getvalue()])
    see.that(sys.stdout is sys.__stdout__)


def logging_to_handlers_of_ones_own(compile, see):
    kept = []

    class Keep(logging.Handler):
        count = 0

        def emit(self, record):
            kept.append((record.levelname, record.getMessage(), record.lineno))
            self.count += 1

    class Text(logging.Handler):
        def emit(self, record):
            kept.append(self.format(record))

    log = logging.getLogger("dualflow.tests.handlers")
    log.propagate = False
    log.setLevel(logging.INFO)
    keep, text, stream = Keep(), Text(), logging.StreamHandler(io.StringIO())
    text.setFormatter(logging.Formatter("%(levelname)s:%(name)s:%(message)s"))
    log.handlers[:] = [keep, text, stream]

    @compile
    def f(x):
        log.debug("shape %s", x.shape)
        log.info("sum %.2f", float(x[0]))
        if x[0] > 5:
            log.warning("large: %s", "yes")
        return x * 2

    def some():
        for first in (1.0, 2.0, 9.0, 8.0, 1.5):
            see(f, tensor(first, 2.0))
        see.that([kept, keep.count, stream.stream.getvalue()])

    some()
    log.setLevel(logging.DEBUG)
    some()
    text.setLevel(logging.WARNING)
    log.handlers.remove(stream)
    some()


def locks(compile, see):
    lock, again = threading.Lock(), threading.RLock()
    total = {"n": 0, "sum": 0.0}

    @compile
    def f(x):
        value = float(x[0])
        with lock:
            total["n"] += 1
            with again as taken:
                total["sum"] += value
        lock.acquire()
        try:
            total["n"] += 1
        finally:
            lock.release()
        with threading.Lock():
            return x / 2, taken, total["n"]

    for i in range(4):
        see(f, tensor(float(i), 2.0))
    see.that([total, lock.locked()])
    lock.acquire()
    waiting = threading.Thread(target=lambda: see(f, tensor(5.0, 2.0)))
    waiting.start()
    waiting.join(0.05)
    see.that([total, waiting.is_alive()])
    lock.release()
    waiting.join()
    see.that([total, lock.locked()])


# What the standard library iterates -------------------------------------------------------------


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


def views_of_objects(compile, see):
    class Layer:
        def __init__(self, k):
            self.w, self.n = k, 0

    layer = Layer(tensor(1.0, 2.0, 3.0))

    @compile
    def f(x):
        made = Layer(x)
        made.extra = 2
        names, total = list(vars(made)), sum(v for v in vars(layer).values())
        vars(made)["late"] = x + 1
        return names, total, made.late, vars(made)["n"], len(made.__dict__)

    for i in range(4):
        see(f, tensor(*X))
        layer.n = i // 2


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


def members_by_value(compile, see):
    class Kind(enum.Enum):
        NONE = "none"
        TWICE = "twice"

        def of(self, x):
            return {"none": lambda v: v, "twice": lambda v: v * 2}[self.value](x)

    @compile
    def f(x, how):
        kind = Kind(how)
        return kind.of(x), kind.name, kind is Kind.TWICE

    for how in ("twice", "twice", "none", "bad", "none", "bad", "twice"):
        see(f, tensor(*X), how)


def stacks_of_exits(compile, see):
    log = []

    @compile
    def f(x):
        with contextlib.ExitStack() as stack:
            stack.callback(log.append, "first")
            stack.callback(log.append, "second")
            with contextlib.suppress(ZeroDivisionError):
                log.append(1 / int(x[0]))
                x = x + 1
        return x

    for first in (1.0, 2.0, 3.0, 0.0, 0.0, 4.0):
        see(f, tensor(first, 1.0))
    try:
        raise ValueError
    except ValueError:
        see(f, tensor(1.0, 1.0))
    see.that(log)


def numbers_drawn(compile, see):
    rng = random.Random(3)

    @compile
    def f(x):
        k = rng.randint(1, 6)
        noise = rng.uniform(-1, 1) + rng.gauss(0, 1) * rng.random() - rng.random()
        return x * k + noise

    for _ in range(5):
        see(f, tensor(*X))
    see.that(rng.random())


def views_of_changed_objects(compile, see):
    class Thing:
        pass

    thing = Thing()
    thing.n, thing.w = 1, 2

    @compile
    def f(x):
        thing.n += 1
        thing.z = 3
        return list(vars(thing).items()), x * vars(thing)["n"]

    @compile
    def g(x):
        thing.n += 1
        vars(thing)["q"] = x
        return vars(thing)["n"]

    for i in range(5):
        see(f, tensor(*X))
        see(g, tensor(*X))
        if i == 2:
            del thing.q
    see.that(thing)


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
