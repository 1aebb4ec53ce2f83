"""The module around a random Python function: classes, globals, helpers, and what it is made in."""

IMPORTS = """
import collections, contextlib, copy, dataclasses, functools, heapq, io, itertools, json, logging
import math, operator, re, threading, types
import bisect, decimal, enum, fractions, random, weakref
import numpy as np
import dualflow as df
"""

PROLOGUE = """
GAIN, COUNT, LIMITS, SETTINGS = 2.0, 0, [1, 5, 9], {"rate": 0.5, "a": 1}

class Box:
    scale, made = 1.5, 0
    def __init__(self, v, n=0):
        self.v, self.n, self.state, self.items = v, n, None, []
    def __repr__(self):
        return f"Box {self.n}"
    def bump(self, by=1):
        self.n = (self.n + by) % 11
        return self.n
    def keep(self, value):
        self.items.append(value)
        return self
    @property
    def double(self):
        return self.v * 2
    @double.setter
    def double(self, value):
        self.v = value / 2
    @classmethod
    def make(cls, v):
        return cls(v, 3)
    @staticmethod
    def mix(a, b):
        return a + b * 2
    def __enter__(self):
        self.n += 1
        return self
    def __exit__(self, kind, error, trace):
        self.n -= 1
        return kind is KeyError
    def __len__(self):
        return len(self.items)
    def __contains__(self, value):
        return value == self.n
    def __add__(self, other):
        return self.v + other
    def __call__(self, value):
        return value * self.v

class Child(Box):
    scale = 0.5
    def bump(self, by=2):
        return super().bump(by) + 1

class Oops(ValueError):
    pass

def axpy(x, a=2.0, *rest, b=0.5, **more):
    for value in rest:
        x = x + value
    return x * a + b + len(more)

def risky(n, x):
    if n % 3 == 0:
        raise Oops(f"bad {n}")
    return x / n

def collect(value, seen=[]):
    seen.append(value)
    return len(seen)

def deep(n, x):
    return x if n <= 0 else deep(n - 1, x * 0.5 + n)

def upto(n):
    for q in range(min(n, 4)):
        yield q

def walk(x, log):
    log.append("opened")
    try:
        for q in range(3):
            yield x * q
    finally:
        log.append("closed")

def talk(x):
    told = yield x
    while told is not None:
        told = yield told + x
    yield from [x, x * 2]

def talked(x, n):
    talking = talk(x)
    found = [next(talking)]
    for q in range(min(n, 3)):
        found.append(talking.send(x * q))
    found.extend(talking)
    return found

def doubled(fn):
    return lambda *args: fn(*args) * 2

class Bounded:
    def __set_name__(self, owner, name):
        self.name = "_" + name
    def __get__(self, o, kind=None):
        return getattr(o, self.name, 0)
    def __set__(self, o, value):
        setattr(o, self.name, value % 5)

class Guard:
    size, stores = Bounded(), 0
    def __init__(self):
        self.n = 1
    def __setattr__(self, name, value):
        object.__setattr__(self, "stores", (self.stores + 1) % 100)
        object.__setattr__(self, name, value)
    @functools.cached_property
    def cached(self):
        return self.n * 2

Task = dataclasses.make_dataclass("Task", [("rank", int), ("name", str, "a")], order=True)

class Pair:
    def __init__(self, a):
        self.a = a
    def __neg__(self):
        return Pair(-self.a)
    def __lt__(self, other):
        return self.a < other.a if isinstance(other, Pair) else NotImplemented
    def __eq__(self, other):
        return self.a == other.a if isinstance(other, Pair) else NotImplemented

@functools.lru_cache(maxsize=3)
def square(n):
    return n * n

@functools.cache
def several(n):
    return [n, n + 1]

class Keep(logging.Handler):
    kept = ()
    def emit(self, record):
        self.kept = (*self.kept[-3:], (record.levelname, self.format(record)))

def pushed(values, n):
    heap = list(values)
    heapq.heapify(heap)
    heapq.heappush(heap, n)
    return [heapq.heappop(heap) for _ in range(min(len(heap), 4))]

def written(*values):
    out = io.StringIO()
    print(*values, file=out, end=";")
    out.write("end")
    return out.getvalue()

class Slim:
    __slots__ = ("n", "t")

class Shade(enum.Enum):
    DARK, LIGHT = 1, 2.5
    @property
    def twice(self):
        return self.value * 2

class Rank(enum.IntFlag):
    LOW, HIGH = 1, 2

class Point(collections.namedtuple("Point", "a b")):
    __slots__ = ()
    def total(self):
        return self.a + self.b

@dataclasses.dataclass(frozen=True)
class Fixed:
    a: object
    b: object = 2
    def more(self, by=1):
        return dataclasses.replace(self, b=self.b + by)

class Lazy:
    asked = 0
    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        Lazy.asked = (Lazy.asked + 1) % 50
        return len(name)
    def __getitem__(self, key):
        return key * 2 if isinstance(key, (int, float, str)) else 1

class Steps:
    def __init__(self, n):
        self.n = n
    def __iter__(self):
        for q in range(self.n % 4):
            yield q * 2

@functools.singledispatch
def kind_of(value):
    return "other"

@kind_of.register
def _(value: int):
    return f"int {value}"

@kind_of.register(list)
def _(value):
    return f"list {len(value)}"

@functools.wraps(axpy)
def wrapped(*args, **kwargs):
    return axpy(*args, **kwargs) + 1

@contextlib.contextmanager
def held(log, value):
    log.append("in")
    try:
        yield value
    except ValueError as error:
        log.append(repr(error))
    finally:
        log.append("out")

def chained(n):
    try:
        return 1 // (n % 3)
    except ZeroDivisionError as error:
        if n % 2:
            raise Oops(n) from error
        error.add_note(f"n is {n}")
        raise

def cleaning(log):
    n = 0
    while True:
        try:
            n = (n + ((yield n) or 1)) % 9
        except KeyError as error:
            log.append(str(error))
            n = -1
        finally:
            log.append(n)

def cleaned(log, n):
    run = cleaning(log)
    found = [next(run), run.send(n), next(run)]
    if n % 2:
        found.append(run.throw(KeyError(n)))
    run.close()
    return found

def counter(start):
    n = start
    def step(by=1):
        nonlocal n
        n = (n + by) % 7
        return n
    return step
"""

MAKE = """
def make(compile):
    box, other, total = Box(1.5), Child(-2.0, 4), 0.0
    log, nums, history, names, table = [], [3, 1, 2], [], {"a"}, {"a": 1, "b": 2.5}
    queue, counts, groups = collections.deque([1, 2], 4), collections.Counter("ab"), None
    order, groups = collections.OrderedDict(a=1, b=2), collections.defaultdict(list)
    guard, slim, tick = Guard(), Slim(), counter(0)
    stream, lock, keep = io.StringIO(), threading.RLock(), Keep()
    logger = logging.Logger("random")
    logger.addHandler(keep)
    lazy, weight, draws = Lazy(), df.tensor([0.5, -1.0, 2.0]), random.Random(3)
    weight.requires_grad = True
    random.seed(7)
    def f(x, y, k=1, flag=False, xs=(), opts=None):
        global COUNT
        nonlocal total, nums
"""

EPILOGUE = """
    return compile(f), lambda: [box, other, total, log, nums, history, names, table, tick(0), GAIN,
        COUNT, LIMITS, SETTINGS, collect.__defaults__, Box.scale, Box.made, queue, counts, order,
        groups, guard, getattr(slim, "n", None), getattr(slim, "t", None), stream.getvalue(),
        keep.kept, square.cache_info()[:], several.cache_info()[:], Lazy.asked, weight,
        draws.getstate()[1][-1],
        df.random.get_state()], locals()
"""
