"""What random Python functions are made of: a module around them, expressions, statements, changes.

In a template `{t}` stands for an expression of tensors, `{i}` for one of integers, and so on.
"""

from typing import Any

import dualflow as df

PROLOGUE = """
import collections, contextlib, copy, dataclasses, functools, heapq, io, itertools, json, logging
import math, operator, re, threading, types
import bisect, decimal, enum, fractions, random, weakref
import numpy as np
import dualflow as df

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
        draws.getstate()[1][-1], df.random.uniform((1,))], locals()
"""

#: expressions of tensors, integers, floats, bools, strings, and lists of tensors and integers,
#: dicts, boxes; `?` is anything
EXPRESSIONS: dict[str, tuple[str, ...]] = {
    "t": (
        "{t} + {t}", "{t} * {r}", "{t} - {i}", "{r} - {t}", "{t} * k", "{t} / {r}", "-{t}",
        "df.maximum({t}, {t})", "df.where({t} > {r}, {t}, {t})", "({t} if {b} else {t})",
        "{L}[{i} % 2]", "axpy({t}, {r})", "axpy({t}, {r}, {t}, b={i})", "axpy(*{L})",
        "axpy({t}, **{D})", "risky({i}, {t})", "deep({i} % 4, {t})", "{o}({t})", "{o}.state",
        "{t}[::-1]", "({t}[0] or {t})", "sum({L})", "{o}.mix({t}, {t})", "{t} + {o}.v",
        "next(walk({t}, log))", "sum(walk({t}, log))", "talked({t}, {i})[-1]", "slim.t",
        "functools.partial(axpy, a={r})({t})", "doubled(axpy)({t})", "{L}[operator.index({i})]",
        "(lambda a, b={r}: a * b)({t})", "{t} * {o}.scale", "abs({t})", "{t}.sum() * {t}",
        "sorted({L} or [x], key=lambda q: float(q.sum()))[0]", "copy.copy({o}).v * {t}",
        "max({L} or [y], key=lambda q: q.sum())", "copy.deepcopy({t})", "(-Pair({t})).a",
        "wrapped({t}, {r})", "wrapped(*{L}, **{D})", "Point({t}, {t}).total()", "Fixed({t}).a",
        "({t} * weight)", "Point({t}, {i})._replace(b={t}).b", "{t}.astype(df.int32)",
        "df.concat([{t}, {t}])[:3]", "df.stack([{t}, {t}]).sum(axis=0)", "{t}.reshape(-1, 1)[:, 0]",
        "df.clip({t}, -2, {r})", "df.flip({t})", "({t} + df.random.uniform((3,)))", "{t}[-1:]",
        "df.cumulative_sum({t})", "df.sort({t})", "df.asarray(np.asarray({t}.detach()) * 2)",
        "(lambda *a, **k: a[0] * len(k))({t}, **{D})", "df.broadcast_to({t}.sum(), (3,))",
    ),
    "i": (
        "0", "1", "2", "-3", "7", "{i} + {i}", "{i} - {i}", "{i} * {i}", "{i} // {i}", "{i} % {i}",
        "len({L})", "len({N})", "len({D})", "int({r})", "int({t}.sum())", "{N}[{i} % 3]",
        "{N}[0]", "{o}.n", "k",
        "COUNT", "min({i}, {i})", "abs({i})", "-{i}", "{i} & {i}", "({i} if {b} else {i})",
        "sum({N})", "max({N})", "{o}.bump()", "{o}.bump({i})", "tick()", "collect({?})", "len({o})",
        "({i} or {i})", "len({s})", "LIMITS[{i} % 3]", "({i} and {i})", "{N}.count({i})",
        "{t}.shape[0]", "queue[0]", "queue[-1]", "len(queue)", "counts[{s}]", "counts.total()",
        "queue.popleft()", "len(re.findall('a|b', {s}))", "operator.itemgetter(0)({N})", "guard.n",
        "slim.n", "guard.size", "guard.cached", "guard.stores", "len(order)", "len(groups[{s}])",
        "json.loads(str({i}))", "next(q for q in {N} if q > {i})",
        "sum(1 for q in {N} if q > {i})", "next(iter({N}))", "sum(upto({i}))", "2**40", "16777217",
        "{N}.index({i})", "id({?}) * 0", "divmod({i}, {i})[1]", "(len(names) << 1)",
        "square({i} % 5)", "several({i} % 4)[0]", "square.cache_info().hits", "pushed({N}, {i})[0]",
        "min({N} or [1], key=lambda q: -q)", "sum(nums[-2:])", "max(Task({i}), Task({i})).rank",
        "len(vars({o}))", "[4, 5, 6][df.argmax(x)]", "hash(Task.name)", "lazy.abc", "lazy[{i}]",
        "Rank.LOW | ({i} % 4)", "int(Rank.HIGH)", "Shade.DARK.value", "len(Shade)", "chained({i})",
        "cleaned(log, {i})[-1]", "sum(Steps({i}))", "len({s}.split('a'))", "{s}.find('b')",
        "int(fractions.Fraction({i}, 7) * 7)", "int(decimal.Decimal({i}) + 1)", "ord({s}[0])",
        "Fixed({i}).more().b", "Fixed({i}, {i}).b", "hash(Fixed({i}, 1))", "Point({i}, 2).total()",
        "draws.randrange(9)", "random.randrange(5)", "int(str({i})[:9])", "{i} ** 2 % 97", "~{i}",
        "{i} >> 1", "bisect.bisect_left([1, 3, 5], {i})", "round({r})", "math.gcd({i}, 6)",
        "df.argmax({t}).item()", "len(repr({N}))", "sum(map(len, [{N}, {N}]))",
        "max({N}, default={i})", "functools.reduce(lambda a, b: a - b, {N}, {i})",
        "axpy({i}, *{N})",
    ),
    "r": (
        "0.5", "-1.25", "2.0", "0.0", "{r} + {r}", "{r} - {i}", "{r} * {r}", "{r} / {r}",
        "{r} // {r}", "float({i})", "float({t}.sum())", "{t}[{i} % 2].item()", "{o}.v", "GAIN",
        "total",
        "{D}.get({s}, {r})", "{D}[{s}]", "round({r}, 1)", "({r} if {b} else {r})", "{o}.double",
        "math.floor({r})", "max({r}, {i})", "SETTINGS['rate']", "k", "{o}.scale", "{o} + {r}",
        "getattr({o}, 'extra', {r})", "({i} % 50) ** 2", "abs({r})", "-{r}", "{i} * {r}",
        "Box.scale", "order[{s}]", "json.loads(repr({r}))", "sum(order.values())", "draws.random()",
        "Shade.LIGHT.twice", "math.fsum([{r}, {r}])", "math.hypot({r}, {r})", "lazy[{r}]",
        "float(fractions.Fraction({i}, 3))", "float(str({r}))", "min({r}, {r}, {i})", "axpy({r})",
        "{t}.max().item()", "float({t}.mean())", "{r}.conjugate()", "math.copysign({r}, {i})",
        "divmod({r}, {r})[1]", "{t}.tolist()[0]", "float(np.float32({r}))", "sum([{r}, {i}], 0.5)",
    ),
    "b": (
        "{i} < {i}", "{r} > {r}", "not {b}", "({b} and {b})", "({b} or {b})", "{i} in {N}",
        "{s} in {D}", "({t}.sum() > {r})", "{o} is {o}", "{t} is {t}", "isinstance({?}, int)",
        "({i} < {i} <= {i})", "{N} == {N}", "{s} == {s}", "flag", "{i} != {r}", "{s} in names",
        "{i} in {o}", "hasattr({o}, 'extra')", "{?} is None", "any(q > {i} for q in {N})",
        "all({N})", "{i} == k", "bool({L})", "Task({i}) < Task({i})",
        "Pair({i}) == Pair({r})", "Pair({i}) > Pair({i})", "Pair({i}) != {?}",
        "({t} > {r}).any()", "k is True", "{r} == {r}",
        "{s} in order", "{i} in queue", "hasattr(guard, 'cached')", "any(walk({r}, log))",
        "hasattr(slim, 'n')", "bool(queue)", "type({o}) is Box", "not {N}", "callable({o})", "opts",
        "Shade({i} % 2 + 1) is Shade.DARK", "Rank.LOW in Rank({i} % 4)", "{s}.isalpha()",
        "isinstance({o}, Child)", "issubclass(type({o}), Box)", "Fixed({i}) == Fixed({i})",
        "Point({i}, 1) == ({i}, 1)", "{N} < {N}", "{D} == {D}", "{s} < {s}", "{i} == {?}",
        "{s}.startswith(('a', 'b'))", "({t} == {t}).all()", "any({t} > {r})", "{t}.shape == (3,)",
        "{i} in Steps({i})", "weight.grad is None", "{t}.requires_grad", "{r} in {N}",
        "math.isclose({r}, {r})", "{L} is {L}", "bool({s})", "weakref.ref({o})() is {o}",
    ),
    "s": (
        "'a'", "'b'", "'c'", 'f"{{{i0}}}"', "str({i})",
        "{s} + {s}", 'f"{{{r0}:.1f}}"', "{s}.upper()",
        "'%d' % {i}", "type({?}).__name__", "'-'.join(str(q) for q in {N})", "repr({r})",
        'f"{{{t0}}}"', "str({t})", "str({N})", "repr({D})", "str([{t}, {i}])", "json.dumps({N})",
        "'-'.join(order)", "re.sub('[ab]', 'x', {s})", "counts.most_common(1)[0][0]",
        'f"{{{s0}!r}}/{{{i0}:>3}}"', "'{{}}'.format({i})", "str({b})", "{s}[0]", "sorted({D})[0]",
        "written({i}, {r})", "written({t})", "[k for k in vars({o})][0]", "'%(a)s' % {D}",
        "kind_of({?})", "Shade.DARK.name", "str(Shade.LIGHT)", "{s}.replace('a', {s})", "{s} * 2",
        "{s}.join(['1', '2'])", 'f"{{{r0}:>{{{i0}}}}}"', 'f"{{{i0}=}}"', "repr(Fixed({i}))",
        "str(Point({i}, {r}))", "{s}.partition('a')[2]", "lazy[{s}]", "str({r}).rjust(8, '.')",
        "format({r}, '.2e')", "', '.join(map(str, {N}))", "str(decimal.Decimal({i}) / 8)",
        "str(fractions.Fraction({i}, 6))", "repr({s})", "{s}.title()[::-1]", "sorted({s})[0]",
        "max({s}, {s})", "str(type({?}))", "str(Rank({i} % 4))", "ascii({s})", "str(None)",
    ),
    "N": (
        "[{i}, {i}]", "[q + {i} for q in range(3)]", "sorted({N})", "{N} + {N}", "{N}[1:]", "nums",
        "list({N})", "[len(name) for name in {D}]", "list(range(3))", "LIMITS", "[*{N}, {i}]",
        "[q for q in {N} if q > {i}]", "[a * b for a, b in zip({N}, {N})]", "list(upto({i}))",
        "list(queue)", "sorted(counts.values())", "[*queue, {i}]", "sorted(groups)",
        "list(itertools.chain({N}, {N}))", "list(itertools.islice(upto({i}), 2))",
        "[q for q, _ in enumerate({L})]", "list(map(abs, {N}))", "[]", "sorted({N}, reverse={b})",
        "pushed({N}, {i})", "nums[-2:]", "list(itertools.accumulate({N}))", "copy.copy({N})",
        "[len(list(g)) for _, g in itertools.groupby({N}, key=lambda q: q > {i})]",
        "list(itertools.takewhile(lambda q: q > {i}, {N}))", "several({i} % 4)",
        "[b - a for a, b in itertools.pairwise({N})]", "list(itertools.chain(upto({i}), {N}))",
        "list(Steps({i}))", "[*Steps({i}), *{N}]", "cleaned(log, {i})", "list({t}.shape)",
        "[q for q in {N} for _ in range(2)]", "sorted({N}, key=lambda q: (-q % 5, q))",
        "list(dict.fromkeys({N}))", "list(zip({N}, {N}))[0:0]",
        "(lambda *a: list(a))(*{N})", "[len(q) for q in map(str, {N})]", "list(reversed({N}))",
        "list(itertools.zip_longest({N}, [1]))[0:0]", "sorted(map(int, {N}))", "{N}[::-1]",
        "[q.value for q in Rank]", "list(itertools.compress({N}, [1, 0, 1]))", "[*{N}][:{i} % 3]",
    ),
    "L": (
        "[{t}, {t}]", "[q * {r} for q in {L}]", "history", "list({L})", "[{t}]", "xs", "{L}[1:]",
        "list(walk({t}, log))", "[q for q in walk({t}, log)]", "talked({t}, {i})",
        "{o}.items", "[axpy(q) for q in {L}]", "list(reversed({L}))", "[{t} for q in {N}]", "()",
        "list(itertools.accumulate({L}))", "copy.deepcopy({L})",
        "sorted({L}, key=lambda q: q.sum())",
        "[q for q in itertools.starmap(lambda a, b: a * b, zip({L}, {N}))]",
    ),
    "D": (
        "{{'a': {i}, 'b': {r}}}", "dict({D})", "{{**{D}, 'c': {i}}}", "table", "SETTINGS",
        "{{q: v for q, v in {D}.items()}}", "dict(a={i})", "{D}.copy()", "({D} | {D})",
        "dict(order)", "dict(counts)", "{{**order}}", "dict(zip('ab', {N}))", "(opts or {D})",
        "copy.deepcopy({D})", "Point({i}, {r})._asdict()", "dataclasses.asdict(Fixed({i}))",
        "dict(sorted({D}.items()))", "{{q: {i} for q in {D}}}", "dict({D}, b={r})",
        "{{**{D}, **{D}}}",
    ),
    "o": ("box", "box", "other", "Box({r})", "Child({r}, {i})", "Box.make({r})", "Child.make({r})",
          "copy.copy({o})", "(box if {b} else other)", "box.keep({t})", "next(iter([{o}, {o}]))"),
}  # fmt: skip
LEAVES = {
    "t": ("x", "y", "(x * 2)"), "i": ("k", "1", "3", "(-1)", "len(nums)", "box.n"),
    "r": ("GAIN", "0.5", "box.v", "total", "(-2.0)"), "b": ("flag", "True", "(k > 1)"),
    "s": ("'a'", "'b'", "'z'"), "N": ("nums", "[1, 2]", "LIMITS"), "L": ("xs", "[x, y]", "history"),
    "D": ("table", "{'a': 2}", "SETTINGS"), "o": ("box", "other"),
}  # fmt: skip
KINDS = tuple(EXPRESSIONS)

SIMPLE = (
    "{tv} += {t}", "{tv} *= {r}", "{tv}[{i} % 3] = {r}", "{tv}[1:] *= {r}", "{tv}[{t} > {r}] = {i}",
    "box.v = {r}", "{o}.n += {i} % 5", "{o}.n = {i} % 11", "{o}.state = {t}",
    "box.items.append({t})",
    "log.append({?})", "table[{s}] = {r}", "table.pop({s}, None)", "del table[{s}]", "COUNT += 1",
    "COUNT = {i} % 11", "total += {r}", "total = {r}", "names.add({s})", "print({s})",
    "print({i}, {r})",
    "nums.append({i} % 13)", "nums.pop()", "nums[{i}] = {i} % 7", "nums.sort()", "nums.clear()",
    "nums.insert({i} % 4, {i} % 9)", "history.append({t})", "history[-1] = {t}", "history.clear()",
    "nums[1:] = {N}[:3]", "table.update({D})", "table.setdefault({s}, {r})", "box.keep({t})",
    "other.double = {r}", "Box.made += 1", "raise Oops({s})", "raise KeyError({s})",
    "assert {b}, {s}",
    "del box.items[:1]", "SETTINGS['rate'] = {r}", "x, y = y, x", "first, *rest = {N}",
    "[a, b] = {N}", "(a, b), c = {N}[:2], {i}", "setattr(box, 'extra', {r})", "names.discard({s})",
    "nums.extend({N}[:2])", "nums += {N}[:2]", "log.append(({i}, {s}))",
    "table['n'] = table.get('n', 0) + 1", "nums.remove({i})", "nums.reverse()", "{t}.sum()",
    "LIMITS[0] += 1", "log.append({D})", "log.append({b})", "y = x", "box.state = x", "return {t}",
    "return {?}, {?}", "x = x.detach()", "log.append(x)", "y = x[1:]", "box.items = []", "pass",
    "queue.append({i} % 7)", "queue.appendleft({i} % 5)", "queue.rotate({i} % 3)", "queue.clear()",
    "queue.extend({N}[:2])", "queue[0] = {i}", "counts[{s}] += 1", "counts.update({s})",
    "counts.clear()", "order[{s}] = {r}", "order.move_to_end({s})", "order.popitem()",
    "order.popitem(last=False)", "order.pop({s}, None)", "groups[{s}].append({i} % 5)",
    "del groups[{s}]", "groups.clear()", "del box.extra", "del {o}.state", "guard.n = {i} % 5",
    "guard.size = {i}", "del guard.cached", "slim.n = {i} % 7", "slim.t = {t}", "del slim.n",
    "print({t})", "print({N}, {D})", "log.append({t}.shape)",
    "log.append(collections.Counter({s}))", "log.append(types.SimpleNamespace(a={i}, t={t}))",
    "log.append(lambda a={i}: a)",
    "log.append(collections.deque({N}, 2))", "return [lambda a: a * {t}, {i}]",
    "collect({i}, {N})", "tick({i} % 3)", "del x", "flag = not flag", "k += 1", "k = {i}",
    "stream.write({s})", "print({i}, file=stream)", "heapq.heappush(nums, {i} % 9)",
    "logger.info('%s', {i})", "logger.warning({s})", "logger.debug('%s and %s', {s}, {r})",
    "several.cache_clear()", "heapq.heapify(nums)", "chained({i})", "weight.grad = None",
    "({t} * weight).sum().backward()", "log.append(Fixed({i}, {?}))", "Fixed({i}).a = 3",
    "log.append(Point({i}, {s}))", "log.append(Shade({i} % 3))", "draws.seed({i} % 5)",
    "raise Oops({i}) from KeyError({s})", "log.append(kind_of({?}))", "k, flag = flag, k",
    "nums[::2] = nums[::2]", "del nums[1:]", "nums[{i} % 2:] = {N}[:2]", "{tv} -= {tv}",
    "{o}.__dict__['n'] = {i} % 7", "other.items.extend({L}[:1])", "table |= {{'z': {i}}}",
    "box.n, other.n = other.n, box.n", "Box.scale = {r}", "{tv}[:] = {t}", "{tv}[...] = {r}",
    "(lambda: log.append({i}))()", "[log.append(q) for q in {N}[:2]]", "df.random.seed({i} % 5)",
    "log.append(random.random() < 2)", "log.append(weakref.ref({o})() is None)",
    "{tv}[::2] += {i}", "y = x[::-1]", "y = x.reshape(3, 1)[:, 0]", "xs = [*xs, {t}]",
    "log.append([v for q in nums if (v := q % 3)])", "log.append(x is y)",
    "print(f'{{{r0}:.3f}}', {s}, sep='/', end='|')",
    "opts = {{**(opts or {{}}), 'c': {i}}}", "assert {t}.shape == (3,), {i}", "log += [{s}]",
)  # fmt: skip
BLOCKS = (
    "if {b}:", "if {t}.sum() > {r}:", "for q in range({i} % 4):", "for q in {N}[:4]:",
    "for q in {L}[:3]:", "for q, v in {D}.items():", "for q, v in enumerate({L}[:3]):",
    "for q, v in zip({N}[:3], {L}):", "try:", "with {o} as q:", "with {o}:", "def inner(a, b={r}):",
    "while", "match", "if {b}:", "try:", "for q in nums:", "for q in sorted({D}):", "finally",
    "for q in walk({t}, log):", "for q in queue:", "for q in list(queue):", "decorated",
    "for q, v in order.items():", "with contextlib.suppress(KeyError, ZeroDivisionError):",
    "for q in sorted(counts):", "taken up again", "for q in upto({i}):",
    "if (q := {i}) > 1:", "with df.no_grad():", "with lock:",
    "with contextlib.redirect_stdout(io.StringIO()) as q:", "with held(log, {i}):",
    "for q in Steps({i}):", "with contextlib.ExitStack():", "with {o}, lock, held(log, 1):",
    "for q, *_ in zip({N}, {N}, {N}):", "for (_, v), q in zip(enumerate({N}), {L}):", "chain",
    "forever", "for q in itertools.islice(walk({t}, log), 2):", "for q in cleaned(log, {i}):",
)  # fmt: skip
ERRORS = ("Oops", "ValueError", "KeyError", "(IndexError, TypeError)", "ZeroDivisionError",
          "LookupError", "Exception", "ArithmeticError")  # fmt: skip
#: what happens to the world between two calls
CHANGES = (
    "g['GAIN'] = 3.0", "g['GAIN'] = 2", "g['GAIN'] = 2.0", "g['COUNT'] = 5", "s['box'].v = 0.5",
    "s['box'].v = 3", "s['box'].n = 0", "s['log'].clear()", "s['nums'][:] = [4, 2]",
    "s['nums'].append(6)",
    "s['table']['a'] = 7", "s['table'].pop('b', None)", "s['table']['b'] = 1.5",
    "g['LIMITS'].append(2)",
    "g['SETTINGS'] = dict(g['SETTINGS'], rate=0.25)", "g['Box'].scale = 2.5",
    "s['box'].extra = 4.0",
    "vars(s['box']).pop('extra', None)", "s['history'].clear()", "s['box'].state = df.ones(3)",
    "s['box'].scale = 9.0", "s['names'].add('b')", "s['box'].items.clear()",
    "s['box'].__class__ = g['Child']",
    "g['axpy'] = lambda x, *a, **b: x * 3", "g['Box'].bump = lambda self, by=1: 2", "None",
    "None", "None",
    "s['queue'].append(3)", "s['queue'].clear()", "s['counts'].clear()", "s['counts']['b'] = 4",
    "s['order'].clear()", "s['order'].update(z=3, a=2.5)",
    "s['groups'].setdefault('a', []).append(1)",
    "s['groups'].default_factory = None", "vars(s['guard']).pop('cached', None)",
    "s['slim'].n = 3", "g['Guard'].size = 4", "g['walk'] = lambda x, log: [x, x]",
    "g['risky'].__defaults__ = None", "g['axpy'].__kwdefaults__ = {'b': 0.75}", "s['other'].n = 1",
    "g['Lazy'].asked = 7", "s['weight'].grad = None", "g['Fixed'].more = lambda self, by=1: self",
    "s['weight'].requires_grad = not s['weight'].requires_grad", "s['draws'].seed(1)",
    "g['Point'].total = lambda self: 5", "g['Steps'].__iter__ = lambda self: iter([4, 5])",
    "g['kind_of'].register(str, lambda v: 's')", "g['Lazy'].abc = 11",
    "g['Box'].__len__ = lambda self: 3",
    "vars(g['Child']).get('scale') and delattr(g['Child'], 'scale')",
    "g['Pair'].__lt__ = lambda self, other: True", "g['held'] = contextlib.nullcontext",
    "g['Box'].double = 3.5", "s['box'].bump = lambda by=1: 9", "g['LIMITS'] = [2, 3, 4]",
    "s['tick'].__defaults__ = (2,)", "g['Child'].made = 4",
    "s['logger'].setLevel(20)", "s['keep'].setLevel(30)", "s['stream'].write('!')",
    "g['several'].cache_clear()", "s['logger'].removeHandler(s['keep'])",
)  # fmt: skip
KS = (1, 1, 1, 2, 3, 0, -1, 2.0, 1.5, True, 1.0, -0.0)
#: how many kinds of arguments there are
INPUTS = 6


def arguments(k: Any, flag: bool, kind: int, kept: df.Tensor) -> tuple[tuple[Any, ...], dict]:
    """What a call gets."""
    x, y = df.tensor([1.0, -2.0, 0.5]), df.tensor([0.5, 4.0, -1.0])
    return (
        (x, y, k), (x, x, k, flag), (kept, y, k, flag, [y, x]), (x, kept, k, flag, [x, x, kept]),
        (x, y, k, flag, (y,), {"a": 2, "b": k}), (x[:2], kept[1:], k, flag),
    )[kind], {}  # fmt: skip
