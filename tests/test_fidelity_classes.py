"""Generators, descriptors, stores that run Python, deletions, inner functions, in compiled ones."""

# pyright: reportFunctionMemberAccess=false, reportAttributeAccessIssue=false
# ruff: noqa: B007, B905, B010, C416 - the programs are what users write

import functools
import types
from typing import Any

import pytest
from fidelity_assertions import asserting
from fidelity_runner import check, parameters, tensor

X = (1.0, -2.0, 3.0)


# Generators -------------------------------------------------------------------------------------


def iterators_left_and_taken_up_again(compile, see):
    def numbers(x):
        for i in range(4):
            yield x * i

    @compile
    def f(x):
        made, plain = numbers(x), iter([1, 2, 3])
        a = b = c = d = None
        for a in made:
            break
        for b in plain:
            break
        later, pairs = (y * 2 for y in [x, x + 1, x + 2]), enumerate([x, x * 5])
        for c in later:
            break
        for d in pairs:
            break
        return a, next(made), b, next(plain), c, next(later), d, next(pairs), list(made)

    for _ in range(3):
        see(f, tensor(*X))


def values_sent(compile, see):
    def averager():
        total, n, value = 0, 0, None
        while True:
            got = yield value
            if got is None:
                return
            total, n = total + got, n + 1
            value = total / n

    @compile
    def f(x, k):
        g = averager()
        next(g)
        means = [g.send(x * i + k) for i in range(3)]
        try:
            g.send(None)
        except StopIteration:
            means.append("over")
        g.close()
        return means

    for k in (1, 1, 2.5, 2.5):
        see(f, tensor(*X), k)
    see(f, tensor(5, 6), 1)


def generators_that_clean_up(compile, see):
    log = []

    def rows(x, name):
        try:
            for i in range(x.shape[0]):
                log.append(f"{name}{i}")
                yield x[i]
        finally:
            log.append(f"closed {name}")

    @compile
    def f(x, n):
        total = 0.0
        for i, row in zip(range(9), [1, 2]):
            total += row
        for row in rows(x, "a"):
            if n == 0:
                break
            n -= 1
            total = total + row
        log.append("after")
        g = rows(x, "b")
        next(g)
        g = None
        log.append("dropped")
        h = rows(x, "c")
        next(h)
        h.close()
        return total, [v for v in rows(x, "d")], len(log)

    for n in (1, 1, 9, 9, 0, 0, 1):
        see(f, tensor(*X), n)
        see.that(list(log))
        log.clear()


def generators_that_clean_up_elsewhere(compile, see):
    """Where C code or a generator expression keeps the generator, hooks must not."""
    log = []

    def rows(x):
        try:
            yield from (x[i] for i in range(3))
        finally:
            log.append("closed")

    @compile
    def f(x, how):
        if how == 0:
            for i, row in enumerate(rows(x)):
                break
        elif how == 1:
            any(v > 0 for v in rows(x))
        elif how == 2:
            next(rows(x))
        else:
            kept.append(rows(x))
            next(kept[-1])
        log.append("after")
        return x * how

    kept = []
    for how in (0, 0, 1, 1, 2, 2, 3, 3):
        see(f, tensor(*X), how)
        see.that(list(log))
        kept.clear()
        see.that(list(log))


def delegation(compile, see):
    def inner(x):
        got = yield x
        while got is not None:
            got = yield got * 2
        return x + 100

    def outer(x):
        yield from [x * 3, x * 4]
        result = yield from inner(x)
        yield result
        yield from (x + i for i in range(2))

    @compile
    def f(x, n):
        g = outer(x)
        found = [next(g), next(g), next(g)]
        for i in range(n):
            found.append(g.send(x + i))
        return [*found, *g]

    for n in (0, 2, 0, 2):
        see(f, tensor(*X), n)


def messages_of_assertions(compile, see):
    f = compile(asserting)
    for n in (1, 1, 2, 3, 9, 2):
        see(f, tensor(*X), n)


def values_of_generators(compile, see):
    def numbers(n):
        yield n
        return n + 1

    @compile
    def f(x, n):
        made = numbers(n)
        next(made)
        try:
            next(made)
        except StopIteration as over:
            if n == 0:
                return x
            return x * n, str(over), over.value

    for n in (0, 0, 1, 1, 2, 0):
        see(f, tensor(*X), n)


# Attributes -------------------------------------------------------------------------------------


class Slotted:
    __slots__ = ("n", "v")


def deletions(compile, see):
    b, o = Slotted(), types.SimpleNamespace(t=3)
    b.n = 0

    @compile
    def f(x):
        y = x
        if hasattr(b, "v"):
            y = b.v + x
            del b.v
        else:
            b.v = x * 2
        b.n += 1
        made = types.SimpleNamespace(a=x)
        del made.a
        t = o.t
        del o.t
        gone = getattr(o, "t", "gone")
        o.t = t + 1
        try:
            del made.nothing
        except AttributeError as error:
            return y, gone, hasattr(b, "v"), made, str(error)

    for i in range(6):
        see(f, tensor(*X))
        see.that((b.n, hasattr(b, "v"), o.t))
        if i == 3:
            b.v = tensor(*X)
    del o.t
    see(f, tensor(*X))
    see.that((b.n, hasattr(b, "v")))


class Limited:
    top = 5

    def __init__(self):
        self.k = 1

    @property
    def w(self):
        return self._w

    @w.setter
    def w(self, value):
        self._w = value

    @w.deleter
    def w(self):
        self._w = 0.0
        del self.k


def deleted_by_a_property(compile, see):
    o = Limited()

    @compile
    def f(x, w):
        o.w = w
        a = o.w
        o.k = 2
        del o.w
        if hasattr(o, "top"):
            o.top = 7
            del o.top
        return x * a + o.w, hasattr(o, "k"), o.top

    for w in (2.0, 3.0, 2.0, 3.0):
        see(f, tensor(*X), w)
        see.that(vars(o))


class Counted:
    writes: int
    y: Any

    def __init__(self):
        object.__setattr__(self, "writes", 0)

    def __setattr__(self, name, value):
        object.__setattr__(self, "writes", self.writes + 1)
        super().__setattr__(name, value)


def own_setattr(compile, see):
    o = Counted()

    @compile
    def f(x, k):
        o.k = k
        o.y = x * k
        made = Counted()
        made.z = x
        return o.y + o.writes, made

    for k in (2, 3, 2, 3):
        see(f, tensor(*X), k)
        see.that(o)
    before = Counted.__setattr__
    try:
        setattr(Counted, "__setattr__", object.__setattr__)
        see(f, tensor(*X), 2)
        see.that(o)
    finally:
        setattr(Counted, "__setattr__", before)


class Positive:
    def __set_name__(self, owner, name):
        self.name, self.floor = "_" + name, 0

    def __get__(self, o, kind=None):
        return self if o is None else getattr(o, self.name) + self.floor

    def __set__(self, o, value):
        setattr(o, self.name, value if value > 0 else 0)


class Shown:
    def __init__(self, text):
        self.text = text

    def __get__(self, o, kind=None):
        return f"{self.text} of {type(o).__name__ if kind is None else kind.__name__}"


class Config:
    k = Positive()
    told = Shown("text")


def own_descriptors(compile, see):
    c = Config()

    @compile
    def f(x, k):
        c.k = k
        return x * c.k, c.told

    for k in (2, -3, 2, -3, 4):
        see(f, tensor(*X), k)
        see.that(c)
    vars(Config)["k"].floor = 10
    see(f, tensor(*X), 2)
    see(f, tensor(*X), 2)
    vars(c)["told"] = "its own"
    see(f, tensor(*X), 2)
    Config.k = 5
    see(f, tensor(*X), 2)
    Config.k = Positive()
    vars(Config)["k"].__set_name__(Config, "k")


class Model:
    made = 0

    def __init__(self, w):
        self.w = w

    @functools.cached_property
    def doubled(self):
        Model.made += 1
        return self.w * 2

    def scaled(self, k, extra=0):
        return self.w * k + extra

    thrice = functools.partialmethod(scaled, 3, extra=1)

    @functools.singledispatchmethod
    def mixed(self, value, x):
        return x

    @mixed.register
    def _(self, value: int, x):
        return x + value * self.w

    @mixed.register
    def _(self, value: str, x):
        return x * len(value)


def library_descriptors(compile, see):
    Model.made = 0
    shared = Model(3.0)

    @compile
    def f(x, value):
        m = Model(2.0)
        return x * m.doubled * shared.doubled, m.doubled, shared.thrice(), shared.mixed(value, x)

    for value in (3, "abc", 3, "abc", 2.5, 2.5):
        see(f, tensor(*X), value)
        see.that((shared, Model.made))
    del shared.doubled
    shared.w = 4.0
    see(f, tensor(*X), 3)
    see.that((shared, Model.made))


def functions_by_type(compile, see):
    @functools.singledispatch
    def scale(k, x):
        return x

    @scale.register
    def _(k: int, x):
        return x * k

    @scale.register(list)
    def _(k, x):
        for v in k:
            x = x + v
        return x

    @compile
    def f(x, k):
        return scale(k, x)

    for k in (2, [1, 2], 2, [1, 2], "other", "other", True):
        see(f, tensor(*X), k)
    scale.register(str, lambda k, x: x - len(k))
    see(f, tensor(*X), "other")
    see(f, tensor(*X), "other")


# Methods and functions as values ----------------------------------------------------------------


def methods_and_partials(compile, see):
    def g(a, b, *, c=1, d=0):
        return a * b + c - d

    p = functools.partial(g, c=5)
    model = Model(2.0)

    @compile
    def f(x, y):
        q = functools.partial(p, x, d=2)
        m = model.scaled
        names = m.__name__, m.__self__ is model, m.__func__.__name__, q.func is g, p.keywords["c"]
        return q(y), p(x, y), m(3), names

    for y in (2.0, 3.0, 2.0):
        see(f, tensor(*X), y)
    p = functools.partial(g, c=6)
    see(f, tensor(*X), 2.0)
    see(f, tensor(*X), 2.0)


def inner_decorators(compile, see):
    log = []

    def twice(fn):
        log.append(fn.__name__)
        return lambda *a: fn(fn(*a))

    def plus(n):
        log.append(n)
        return lambda fn: lambda *a: fn(*a) + n

    @compile
    def f(x, k):
        @twice
        @plus(log[-1] if log and log[-1] == 7 else k)
        def step(v, c=k * 2):
            return v * k + c

        return step(x)

    for k in (2.0, 3.0, 2.0, 3.0):
        see(f, tensor(*X), k)
        see.that(list(log))
        log.clear()


def functions_given_back(compile, see):
    @compile
    def f(x, k):
        y, n = x * k, 0

        def later(z, c=k, *, d=2):
            nonlocal n
            n += 1
            return y + z * c + d + n

        model = Model(k)
        return later, lambda: n, functools.partial(later, x, c=1), model.scaled

    for k in (2, 2, 3, 3, 2):
        later, count, part, method = see(f, tensor(*X), k)
        see(later, tensor(*X))
        see(later, tensor(*X), d=5)
        see(part)
        see.that((count(), method(4), later.__name__, later.__qualname__, later.__defaults__))


def wrappers_given_back(compile, see):
    def counted(fn):
        @functools.wraps(fn)
        def inner(*a):
            inner.calls += 1
            return fn(*a) + inner.calls

        inner.calls = 0
        return inner

    def base(x):
        """What it says."""
        return x * 2

    @compile
    def f(x):
        g = counted(base)
        return g(x), g(x), g, g.__name__, g.calls

    for _ in range(3):
        g = see(f, tensor(*X))[2]
        see(g, tensor(*X))
        see.that((g.calls, g.__wrapped__ is base, g.__doc__, g.__qualname__, g.__module__))


class Net:
    """Methods compiled on their own call each other."""

    inner: Any
    run: Any

    def __init__(self, hooks):
        self.hooks, self.n = hooks, 0


def compiled_methods(compile, see):
    def inner(self, x):
        return x * 2 + self.n

    def run(self, x):
        self.n += 1
        y = self.inner(x)
        for hook in self.hooks:
            hook(self, y)
        return y

    Net.inner, Net.run = compile(inner), compile(run)
    seen = []
    nets = [Net([]), Net([lambda net, y: seen.append(net.n)])]
    for i in (0, 1, 0, 1, 0, 1):
        see(nets[i].run, tensor(*X))
        see.that((seen, nets[0].n, nets[1].n))


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
