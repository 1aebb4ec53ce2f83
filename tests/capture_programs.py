"""Programs for the tests of compiled functions: each runs once with `compile` doing nothing and
once with `df.compile`, and must give the same. A program takes the decorator, and gives the
decorated function and what it observed."""

import contextlib
import io
import types

import numpy as np

import dualflow as df
from dualflow import nn, optim
from dualflow.base.errors import DTypeError, InPlaceError

PROGRAMS = {}


def program(**counts):
    """Register a program; `counts` are what `fn.stats()` must say at least."""

    def register(function):
        PROGRAMS[function.__name__] = (function, counts)
        return function

    return register


def vector(*values):
    return df.tensor([float(value) for value in values])


def square():
    return df.tensor(np.arange(16, dtype=np.float32).reshape(4, 4))


module = types.SimpleNamespace
SCALE = 3.0


def scaled(x):
    return x * SCALE


class Layer:
    def __init__(self, w):
        self.weight = w

    def __call__(self, x):
        return x @ self.weight


class Net:
    def __init__(self, count):
        self.layers = [
            Layer(df.tensor(np.full((4, 4), i + 1, dtype=np.float32))) for i in range(count)
        ]
        self.n = 0
        self.__scale = 2.0

    def forward(self, x):
        for i, layer in enumerate(self.layers):
            x = layer(x) * (i + 1)
        for a, b in zip(self.layers, self.layers, strict=True):
            x = x + a.weight - b.weight
        self.n += 1
        return x * self.n * self.__scale


class Sub(Net):
    def forward(self, x):
        return super().forward(x) + 1.0


@contextlib.contextmanager
def patched(owner, name, value):
    before = vars(owner)[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


# What may change between two calls ------------------------------------------------------------


@program(replays=7)
def list_of_modules(wrap):
    net, out = Net(2), []
    f = wrap(lambda net, x: net.forward(x))
    out += [f(net, square()), f(net, square()), net.n]
    net.layers.append(Layer(square()))
    out.append(f(net, square()))
    net.layers.reverse()
    out.append(f(net, square()))
    net.layers[1] = net.layers[0]
    out += [f(net, square()), f(net, square())]
    net.layers[0] = type("Other", (Layer,), {"__call__": lambda self, x: x})(square())
    out.append(f(net, square()))
    with patched(Layer, "__call__", lambda self, x: x):
        out.append(f(net, square()))
    out.append(f(net, square()))
    net.forward = lambda x: x
    out.append(f(net, square()))
    del net.forward
    return f, [*out, f(net, square()), f(net, square()), net.n]


@program(replays=3)
def super_method_patched(wrap):
    net = Sub(2)
    f = wrap(lambda net, x: net.forward(x))
    out = [f(net, square()) for _ in range(3)]
    with patched(Net, "forward", lambda self, x: x):
        out.append(f(net, square()))
    return f, [*out, f(net, square())]


@program(replays=3)
def creation_by_size(wrap):
    def heat(n):
        u, v = df.zeros((n,)), df.ones((n,))
        for _ in range(3):
            u = u + 0.1 * (v - u)
        return u

    f = wrap(heat)
    return f, [f(n) for n in (5, 5, 6, 5, 6)]


@program(replays=5)
def integer_in_arithmetic(wrap):
    f = wrap(lambda x, n: x * (n + 1) / 2)
    return f, [f(square(), n) for n in (3, 3, 4, 4.5, True, 3, 4, 2**40, 3)]


@program(replays=3)
def global_and_helper(wrap):
    global SCALE, scaled
    f = wrap(lambda x: scaled(x) + SCALE)
    out = [f(square()), f(square())]
    SCALE = 4.0
    out.append(f(square()))
    SCALE = 4
    out.append(f(square()))
    SCALE = 3.0
    before, scaled = scaled, lambda x: x
    out.append(f(square()))
    scaled = before
    return f, [*out, f(square())]


@program(replays=2)
def builtin_shadowed(wrap):
    f = wrap(lambda x, xs: x * len(xs))
    out = [f(vector(1, 2), [1, 2]), f(vector(1, 2), [1, 2])]
    globals()["len"] = lambda xs: 7
    try:
        out.append(f(vector(1, 2), [1, 2]))
    finally:
        del globals()["len"]
    return f, [*out, f(vector(1, 2), [1, 2, 3])]


@program(replays=4)
def default_that_grows(wrap):
    log = []

    def collect(x, log=log):
        log.append(1)
        return x * len(log)

    f = wrap(collect)
    out = [f(vector(1, 2)) for _ in range(4)]
    log.append(1)
    return f, [*out, f(vector(1, 2)), list(log)]


@program(replays=1)
def bound_method_mapped(wrap):
    log = []
    f = wrap(lambda xs: list(map(log.append, xs)))
    return f, [f([1, 2]), f([1, 2]), log]


@program(replays=3)
def lambdas_made_in_the_call(wrap):
    f = wrap(lambda x, k: (lambda a: a * k)(x) + (lambda a: a)(x))
    return f, [f(vector(1, 2), k) for k in (2, 2, 3, 3.5, 4.5)]


@program(replays=2)
def own_cell_written_by_inner(wrap):
    def outer(x):
        n = 0

        def bump(v):
            nonlocal n
            n += 1
            return v * n

        return bump(bump(x)), n

    f = wrap(outer)
    return f, [f(vector(1, 2)) for _ in range(3)]


@program(replays=4)
def outside_cell_written(wrap):
    t = 2

    def inner(x):
        nonlocal t
        t = t + 1
        return x * t

    f = wrap(inner)
    return f, [*(f(vector(1, 2)) for _ in range(5)), t]


@program(replays=2)
def caught_index_error(wrap):
    def first_or(xs, i):
        try:
            return xs[i] * 2
        except IndexError:
            return xs[0]

    f = wrap(first_or)
    a, b = vector(1), vector(2)
    calls = [([a, b], 1), ([a, b], 1), ([a, b], 0), ([a, b], 5), ([a, b], 5), ([a, b] * 4, 5),
             ([a, b], 9), ([a, b], -1), ([a, b, b], -1), ([a], -1)]  # fmt: skip
    return f, [f(*call) for call in calls]


@program(replays=1)
def generator_followed(wrap):
    def doubled(xs):
        for x in xs:
            yield x * 2

    def total(xs):
        t = xs[0]
        for y in doubled(xs):
            t = t + y
        return t

    f = wrap(total)
    return f, [f([vector(1), vector(2)]), f([vector(1), vector(2)]), f([vector(1)] * 3)]


@program(replays=2)
def star_arguments(wrap):
    def inner(a, b, x, k=1):
        return x * a + b * k

    f = wrap(lambda x, *a, **k: inner(*a, x, **k))
    return f, [f(vector(1), 2, 3), f(vector(1), 2, 3), f(vector(1), 2, 4),
               f(vector(1), 2, 4, k=5), f(vector(1), 2, 4, k=6)]  # fmt: skip


@program(replays=1)
def attribute_that_is_missing(wrap):
    class Options:
        pass

    options = Options()
    f = wrap(lambda x: x * 2 if hasattr(options, "k") else x * getattr(options, "j", 1))
    out = [f(vector(1)), f(vector(1))]
    options.j = 5
    out.append(f(vector(1)))
    Options.k = 7
    return f, [*out, f(vector(1))]


@program(replays=2)
def key_that_is_missing(wrap):
    d = {}
    f = wrap(lambda x: x * 2 if "a" in d else x * d.get("b", 1))
    out = [f(vector(1)), f(vector(1))]
    d["b"] = 3
    out.append(f(vector(1)))
    d["a"] = 1
    out.append(f(vector(1)))
    d.clear()
    return f, [*out, f(vector(1))]


@program(replays=3)
def dict_order(wrap):
    d = {"a": vector(1), "b": vector(2)}

    def fold(x):
        for value in d.values():
            x = x * 10 + value
        return x, list(d)

    f = wrap(fold)
    out = [f(vector(1)), f(vector(1))]
    d["a"] = d.pop("a")
    out += [f(vector(1)), f(vector(1))]
    d["c"] = vector(5)
    return f, [*out, f(vector(1)), f(vector(1))]


@program(replays=3)
def defaults_replaced(wrap):
    def g(x, k=2, *, b=1):
        return x * k + b

    f = wrap(g)
    out = [f(vector(1)), f(vector(1)), f(vector(1), k=3), f(vector(1), 3)]
    g.__defaults__ = (7,)
    out.append(f(vector(1)))
    g.__kwdefaults__ = {"b": 9}
    return f, [*out, f(vector(1))]


@program(replays=1)
def code_replaced(wrap):
    def g(x):
        return x * 2

    f = wrap(g)
    out = [f(vector(1)), f(vector(1))]
    g.__code__ = (lambda x: x * 3).__code__
    return f, [*out, f(vector(1))]


@program(replays=2)
def property_and_its_class(wrap):
    class Options:
        @property
        def k(self):
            return self.inner + 1

    options = Options()
    options.inner = 1
    f = wrap(lambda x: x * options.k)
    out = [f(vector(1)), f(vector(1))]
    options.inner = 5
    out.append(f(vector(1)))
    Options.k = 3
    return f, [*out, f(vector(1))]


@program(replays=3)
def division_by_zero(wrap):
    f = wrap(lambda x, n: x * (1 / n))
    out = []
    for n in (1, 1, 2, 0, 2):
        try:
            out.append(f(vector(1), n))
        except ZeroDivisionError:
            out.append("division by zero")
    return f, out


@program(co_executions=2)
def unknown_function(wrap):
    import random

    random.seed(7)
    f = wrap(lambda x: x * len(random.sample(["a", "bc", "def"], 1)[0]))
    return f, [f(vector(1)), f(vector(1)), f(vector(1))]


@program(replays=4)
def numbers_of_python(wrap):
    import random

    random.seed(7)
    own = random.Random(4)

    def f(x, a):
        number, pick = random.random(), random.choice([10, 20, 30])
        y = x * number + pick
        return y * random.uniform(-a, a) + own.randint(0, 9), number, pick, random.gauss(0, 1)

    f = wrap(f)
    made = [f(vector(1, 2), float(i)) for i in range(5)]
    return f, [made, random.random(), own.random()]


# Objects that are one, or are not ---------------------------------------------------------------


@program(replays=3)
def stored_through_another_name(wrap):
    class Options:
        pass

    def g(a, b, x):
        a.n = 5
        return x * b.n

    f = wrap(g)
    a, b = Options(), Options()
    a.n, b.n = 1, 2
    pairs = ((a, b), (a, b), (a, a), (b, b), (b, a))
    return f, [*(f(p, q, vector(1)) for p, q in pairs), a.n, b.n]


@program(replays=3)
def appended_through_another_name(wrap):
    def g(a, b, x):
        a.append(1)
        return x * len(b)

    f = wrap(g)
    a, b = [], []
    pairs = ((a, b), (a, b), (a, a), (a, a), (b, a))
    return f, [*(f(p, q, vector(1)) for p, q in pairs), a, b]


@program(replays=6)
def tensors_that_overlap(wrap):
    def g(x, y):
        x += 1
        return x * y

    f = wrap(g)
    out = []
    for _ in range(2):
        a, b = vector(1, 2, 3, 4), vector(5, 6, 7, 8)
        pairs = ((a, b), (a, b), (a, a), (a[:2], a[2:]), (a[1:], a[:3]), (b, a))
        out += [*(f(p, q) for p, q in pairs), a, b]
    return f, out


@program(replays=1)
def memory_of_numpy(wrap):
    base = np.arange(8, dtype=np.float32)

    def g(x, y):
        x += 1
        return x + y

    f = wrap(g)
    halves = ((slice(0, 4), slice(4, 8)), (slice(0, 4), slice(4, 8)), (slice(2, 6), slice(4, 8)),
              (slice(0, 4), slice(0, 4)))  # fmt: skip
    return f, [*(f(df.asarray(base[p]), df.asarray(base[q])) for p, q in halves), base]


@program(replays=2)
def result_views(wrap):
    def g(x):
        y = x * 2
        v = y[0]
        v += 10
        return y, v, x[1:], x.T

    f = wrap(g)
    out = []
    for _ in range(3):
        x = square()
        y, v, a, b = f(x)
        v += 100
        x += 1000
        out += [y, v, a, b]
    return f, out


@program(replays=2)
def one_value_in_three_places(wrap):
    def g(x, y):
        z = x + y
        w = df.zeros_like(z)
        w[...] = z
        x[...] = z
        return z, w

    f = wrap(g)
    out = []
    for _ in range(3):
        x, y = vector(1, 2), vector(3, 4)
        z, w = f(x, y)
        z += 1
        w += 10
        x += 100
        out += [x, y, z, w]
    return f, out


@program(replays=1)
def instances_in_the_result(wrap):
    class Pair:
        def __init__(self, a, b):
            self.a, self.b = a, b

    def g(x):
        p = Pair(x * 2, [x, 3])
        q = {"p": p, "again": p}
        return p.a, p.b, q["p"] is q["again"], [p.a, p.a]

    f = wrap(g)
    x = vector(1, 2)
    first, second = f(x), f(x)
    return f, [first, second, second[3][0] is second[3][1], second[1][0] is x]


# Effects, branches ------------------------------------------------------------------------------


@program(replays=3)
def counters_and_caches(wrap):
    class Model:
        def __init__(self):
            self.n, self.history, self.last = 0, [], {}

        def step(self, x):
            self.n += 1
            self.history.append(self.n)
            self.last["y"] = x * self.n
            self.t = x + self.n
            return self.last["y"] + self.t

    model = Model()
    f = wrap(model.step)
    out = [f(vector(1, 2)) for _ in range(4)]
    model.n = 10
    return f, [*out, f(vector(1, 2)), model.n, model.history, model.last, model.t]


@program(replays=3)
def printed(wrap):
    def g(x, n):
        print("n", n, n * 2)
        print(f"{x.sum().item():.1f} {n}")
        return x

    f = wrap(g)
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        for n in (1, 1, 2, 3):
            f(vector(1, n), n)
    return f, [text.getvalue()]


@program(replays=2)
def numbers_from_tensors(wrap):
    def g(x):
        s = x.sum().item()
        return s, x * s, s + 1, x * (s + 1), s > 3, f"{s:.2f}", {"s": s}

    f = wrap(g)
    return f, [f(vector(1, 2)), f(vector(1, 2)), f(vector(5, 2))]


@program(replays=4)
def branch_on_value(wrap):
    def g(x):
        if x.sum().item() > 3:
            return x * 2
        return x

    f = wrap(g)
    nan = float("nan")
    return f, [f(vector(a, b)) for a, b in ((1, 1), (1, 1), (5, 2), (5, 2), (1, 1), (nan, 1))]


@program(replays=2, branches=3)
def loop_until_small(wrap):
    def g(x):
        n = 0
        while x.sum().item() > 1:
            x = x * 0.5
            n += 1
        return x, n

    f = wrap(g)
    return f, [f(vector(v)) for v in (8, 8, 16, 0.5, 16)]


@program(replays=2)
def argument_written(wrap):
    def g(x):
        x[0] = 5.0
        x *= 2

    f = wrap(g)
    out = []
    for _ in range(3):
        x = vector(1, 2, 3)
        f(x)
        out.append(x)
    return f, out


# Gradients, random numbers ----------------------------------------------------------------------


def model_and_data():
    df.random.seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 3))
    return model, df.random.normal((16, 4)), df.random.integers(0, 3, (16,))


@program(replays=5)
def training_step(wrap):
    model, x, y = model_and_data()
    optimizer = optim.Adam(model.parameters(), lr=0.01)

    def step(x, y):
        optimizer.zero_grad()
        loss = df.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    f = wrap(step)
    out = []
    for _ in range(6):
        loss = f(x, y)
        out.append(loss.detach())
        try:
            loss.backward()
        except InPlaceError as error:
            out.append(type(error).__name__)
    return f, [*out, *model.parameters()]


@program(replays=5)
def training_step_with_momentum(wrap):
    model, x, y = model_and_data()
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step(x, y):
        optimizer.zero_grad()
        loss = df.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    f = wrap(step)
    return f, [*(f(x, y) for _ in range(6)), *model.parameters()]


@program(replays=2)
def differentiated_outside(wrap):
    model, x, _ = model_and_data()
    f = wrap(lambda x: model(x))
    out = []
    for _ in range(3):
        y = f(x)
        y.sum().backward()
        out += [y.detach(), *(p.grad for p in model.parameters())]
    return f, out


@program(replays=2)
def result_written_before_backward(wrap):
    w = df.tensor([1.0, 2.0], requires_grad=True)
    f = wrap(lambda x: df.exp(w * x))
    out = []
    for _ in range(3):
        y = f(vector(1, 2))
        with df.no_grad():
            y += 1
        try:
            y.sum().backward()
        except InPlaceError as error:
            out.append(type(error).__name__)
    return f, out


@program(replays=3)
def gradients_accumulate(wrap):
    w = df.tensor([1.0, 2.0], requires_grad=True)

    def g(x):
        (w * x).sum().backward()
        return w.grad

    f = wrap(g)
    out = []
    for _ in range(4):
        found = f(vector(1, 2))
        out += [found * 1, found is w.grad]
    w.grad = None
    return f, [*out, f(vector(1, 2)) * 1]


@program(replays=2)
def grad_mode_and_requires_grad(wrap):
    w = df.tensor([1.0, 2.0], requires_grad=True)
    f = wrap(lambda x: x * w)
    out = []
    for _ in range(2):
        out.append(f(vector(1, 2)).requires_grad)
        with df.no_grad():
            out.append(f(vector(1, 2)).requires_grad)
    w.requires_grad_(False)
    return f, [*out, f(vector(1, 2)).requires_grad]


@program(replays=2)
def two_leaves_become_one(wrap):
    def g(a, b):
        (a * a + b * 3).sum().backward()

    f = wrap(g)
    out = []
    for same in (False, False, True, False):
        a = df.tensor([1.0, 2.0], requires_grad=True)
        b = a if same else df.tensor([5.0, 6.0], requires_grad=True)
        f(a, b)
        out += [a.grad, b.grad]
    return f, out


@program(replays=3)
def dropout(wrap):
    df.random.seed(3)
    layer = nn.Dropout(0.5)
    f = wrap(lambda x: layer(x))
    out = [f(vector(1, 2, 3, 4, 5, 6)) for _ in range(4)]
    out.append(df.random.uniform((3,)))
    layer.eval()
    return f, [*out, f(vector(1, 2, 3, 4, 5, 6))]


@program(replays=2)
def gradient_function(wrap):
    def loss(p, x):
        return ((x * p["w"]).sum() + p["b"]).sum() ** 2

    f = wrap(df.value_and_grad(loss))
    out = []
    for k in (1, 1, 2):
        out.append(f({"w": vector(k, 2), "b": vector(3)}, vector(4, 5)))
    return f, out


# More of Python ---------------------------------------------------------------------------------


@program(replays=3)
def list_stored_then_changed(wrap):
    class Model:
        pass

    model = Model()
    model.log = []

    def g(x, n):
        entry = [n]
        model.log.append(entry)
        entry.append(x * n)
        model.last = entry
        return entry

    f = wrap(g)
    out = [f(vector(1), n) for n in (1, 1, 2, 3)]
    return f, [*out, model.log, model.last is model.log[-1], out[1] is model.log[1]]


@program(replays=1)
def list_grown_while_iterated(wrap):
    def g(xs, x):
        for v in xs:
            if len(xs) < 5:
                xs.append(v)
            x = x + v
        return x

    f = wrap(g)
    return f, [f([1, 2], vector(1)), f([1, 2], vector(1)), f([1, 2, 3], vector(1))]


@program(replays=7)
def truth_of_anything(wrap):
    f = wrap(lambda x, a, b: (x if a and b else x * 2, a or b, not a))
    return f, [f(vector(1), a, b) for a in (0, 1, 2, [], [1]) for b in (0, 3, None)]


@program(replays=2)
def type_of_smallest(wrap):
    f = wrap(lambda x, a, b: x + min(a, b))
    x = df.asarray([1, 2])
    return f, [f(x, a, b) for a, b in ((1, 2.5), (1, 2.5), (3, 2.5), (3, 2.5), (1, 2))]


@program(replays=3)
def type_of_power(wrap):
    f = wrap(lambda x, a, b: x + a**b)
    x = df.asarray([1, 2])
    return f, [f(x, a, b) for a, b in ((2, 3), (2, 3), (2, -1), (2, 2), (2, -2))]


@program(replays=2)
def chained_comparison(wrap):
    f = wrap(lambda x, n: x if 0 < n < 10 else (x * 2 if n == 0 else x * 3))
    return f, [f(vector(1), n) for n in (5, 5, 0, 20, -1, 7, 0.5, True)]


@program(replays=4)
def exceptions_and_finally(wrap):
    log = []

    def g(x, n):
        try:
            if n > 2:
                raise ValueError(n)
            return x
        except ValueError:
            log.append("caught")
            return x * 2
        finally:
            log.append("done")

    f = wrap(g)
    return f, [*(f(vector(1), n) for n in (1, 1, 3, 3, 1, 4)), log]


@program(replays=4)
def attributes_swapped(wrap):
    class Pair:
        pass

    pair = Pair()
    pair.a, pair.b = vector(1), vector(2)

    def g(x):
        pair.a, pair.b = pair.b, pair.a
        return pair.a * x

    f = wrap(g)
    return f, [*(f(vector(1)) for _ in range(5)), pair.a, pair.b]


@program(replays=4)
def running_mean_new_tensor(wrap):
    class Model:
        pass

    model = Model()
    model.mean = vector(0, 0)

    def g(x):
        model.mean = model.mean * 0.9 + x * 0.1
        return model.mean

    f = wrap(g)
    out = [f(vector(1, k)) for k in range(5)]
    return f, [*out, model.mean, out[-1] is model.mean]


@program(replays=4)
def running_mean_in_place(wrap):
    class Model:
        pass

    model = Model()
    model.mean = kept = vector(0, 0)

    def g(x):
        model.mean *= 0.9
        model.mean += x
        return model.mean.sum()

    f = wrap(g)
    return f, [*(f(vector(1, k)) for k in range(5)), model.mean, kept is model.mean]


@program(replays=6)
def written_memory_that_others_see(wrap):
    def g(x):
        x *= 2

    f = wrap(g)
    one, two, three = vector(1, 2), vector(1, 2), vector(1, 2, 3)
    alias, array, view = one.detach(), two.numpy(), three[1:]
    for x in (one, two, three) * 3:
        f(x)
    return f, [one, two, three, alias, array.tolist(), view]


@program(replays=7)
def learning_rate_changes(wrap):
    model, x, _ = model_and_data()
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def step(x):
        optimizer.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    f = wrap(step)
    out = []
    for i in range(8):
        optimizer.lr = 0.1 / (i + 1)
        out.append(f(x))
    return f, [*out, *model.parameters()]


@program(replays=5)
def gradients_clipped_by_their_norm(wrap):
    model, x, _ = model_and_data()
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def step(x):
        optimizer.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        norm = sum((p.grad * p.grad).sum() for p in model.parameters()).item() ** 0.5
        if norm > 0.5:
            for p in model.parameters():
                p.grad = p.grad * (0.5 / norm)
        optimizer.step()
        return loss.item(), norm

    f = wrap(step)
    return f, [*(f(x) for _ in range(8)), *model.parameters()]


@program(replays=6)
def parameter_frozen_and_freed(wrap):
    model, x, y = model_and_data()
    optimizer = optim.Adam(model.parameters(), lr=0.1)

    def step(x, y):
        optimizer.zero_grad()
        loss = df.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    f = wrap(step)
    out = [f(x, y) for _ in range(3)]
    first = next(iter(model.parameters()))
    first.requires_grad_(False)
    out += [f(x, y) for _ in range(3)]
    first.requires_grad_(True)
    out += [f(x, y) for _ in range(2)]
    return f, [*out, *model.parameters()]


@program(replays=1)
def iterators_taken_apart(wrap):
    def g(x):
        it = iter([1, 2, 3])
        a, b = next(it), next(it, None)
        rest, end = list(it), next(it, "end")
        pairs = [(i, p, q) for i, (p, q) in enumerate(zip([x, x * 2], (5, 6), strict=True))]
        return x * a * b, rest, end, pairs, list(filter(None, [0, 1])), list(reversed([1, x]))

    f = wrap(g)
    return f, [f(vector(1)), f(vector(2))]


@program(co_executions=1)
def live_iterator_returned(wrap):
    f = wrap(lambda x: zip([x, x], [1, 2], strict=True))
    first, second = f(vector(1)), f(vector(1))
    return f, [type(first).__name__, list(first), list(second)]


@program(replays=1)
def module_function_patched(wrap):
    f = wrap(lambda x: df.exp(x))
    out = [f(vector(1)), f(vector(1))]
    with patched(df, "exp", lambda x: x * 0):
        out.append(f(vector(1)))
    return f, [*out, f(vector(1))]


@program(replays=2)
def integers_that_do_not_fit(wrap):
    f = wrap(lambda x, n: x + n)
    x = df.asarray(np.array([1, 2], np.int8))
    out = [f(x, n) for n in (1, 1, 100, 5)]
    try:
        f(x, 1000)
    except DTypeError as error:
        out.append(type(error).__name__)
    return f, [*out, f(x, 3)]


@program(replays=1)
def shapes_of_views(wrap):
    f = wrap(lambda x: (x[1:].shape[0], x.detach().shape, len(x[0:2])))
    return f, [f(vector(1, 2)), f(vector(1, 2)), f(vector(1, 2, 3))]


@program(replays=2)
def detached_parameter(wrap):
    w = df.tensor([1.0, 2.0], requires_grad=True)
    f = wrap(lambda x: x * w.detach())
    return f, [f(vector(1, k)) for k in range(3)]


@program(replays=2)
def memory_order_of_results(wrap):
    f = wrap(lambda x: x.T * 2)
    out = []
    for _ in range(3):
        y = f(df.tensor(np.arange(6, dtype=np.float32).reshape(2, 3)))
        flat = y.reshape((-1,))
        flat += 100
        out += [y, flat]
    return f, out


@program(replays=3)
def written_before_a_branch(wrap):
    def g(x):
        x += 1
        if x.sum() > 5:
            return x * 2
        x *= 3
        return x

    f = wrap(g)
    out = []
    for value in (1, 1, 5, 5, 1):
        x = vector(value, value)
        out += [f(x), x]
    return f, out


@program(replays=3)
def effects_around_a_branch(wrap):
    log = []

    def g(x):
        log.append(1)
        if x.sum() > 5:
            log.append("big")
            return x
        log.append("small")
        return x * 2

    f = wrap(g)
    return f, [*(f(vector(value)) for value in (1, 1, 9, 9, 1)), log]


@program(replays=9)
def draws_around_a_branch(wrap):
    df.random.seed(1)

    def g(x):
        r = df.random.uniform((3,))
        if r[0] > 0.5:
            return x + df.random.normal((3,))
        return x + r

    f = wrap(g)
    return f, [*(f(vector(1, 2, 3)) for _ in range(12)), df.random.uniform((2,))]


@program(replays=3)
def generators_that_are_one(wrap):
    f = wrap(lambda x, g, h: x + g.uniform((2,)) * 10 + h.uniform((2,)))
    a, b = df.random.Generator(3), df.random.Generator(4)
    pairs = ((a, b), (a, b), (a, a), (b, b), (a, a))
    return f, [*(f(vector(1, 2), *pair) for pair in pairs), a.uniform(), b.uniform()]


@program(replays=2)
def history_of_views_and_parts(wrap):
    w = df.tensor([1.0, 2.0], requires_grad=True)

    def g(x):
        y = w * x
        v = y[0:1]
        return y, v, y.sum(), w[0:1], y.detach()

    f = wrap(g)
    out = []
    for _ in range(3):
        w.grad = None
        y, v, z, part, alone = f(vector(3, 4))
        (v.sum() * 2 + z + part.sum() * 5).backward()
        flags = [t.requires_grad for t in (y, v, part, alone)]
        out += [w.grad, alone, *flags]
    return f, out


@program(replays=2)
def second_derivative_outside(wrap):
    f = wrap(lambda x: x * x * x)
    slope = df.grad(lambda x: f(x).sum())
    bend = df.grad(lambda x: slope(x).sum())
    return f, [bend(vector(1, 2)) for _ in range(3)]


@program(replays=2)
def history_with_writes(wrap):
    w = df.tensor([1.0, 2.0], requires_grad=True)

    def g(x):
        y = x * 1
        y[0:1] = w[1:2] * x[0:1]
        return y * y

    f = wrap(g)
    out = []
    for _ in range(3):
        w.grad = None
        f(vector(3, 4)).sum().backward()
        out.append(w.grad)
    return f, out


@program(replays=4)
def one_leaf_given_twice(wrap):
    f = wrap(lambda a, b: (a * b).sum())
    out = []
    for same in (False, False, True, True, False):
        a = df.tensor([1.0, 2.0], requires_grad=True)
        b = a if same else df.tensor([3.0, 4.0], requires_grad=True)
        f(a, b).backward()
        out += [a.grad, b.grad]
    return f, out


@program(replays=2)
def grad_read_through_another_name(wrap):
    def g(a, b, x):
        a.grad = None
        return x * 2 if b.grad is None else x * b.grad

    f = wrap(g)
    out = []
    for same in (False, False, True, True):
        a = df.tensor([1.0], requires_grad=True)
        b = a if same else df.tensor([3.0], requires_grad=True)
        b.grad = vector(7)
        out += [f(a, b, vector(1)), a.grad]
    return f, out


class Scope:
    def __init__(self, number, swallows=False):
        self.number, self.swallows, self.depth, self.last = number, swallows, 0, None

    def __enter__(self):
        self.depth += 1
        return self.number

    def __exit__(self, kind, error, trace):
        self.depth -= 1
        self.last = None if kind is None else kind.__name__
        return self.swallows


NOTED = []


@contextlib.contextmanager
def noted(k):
    NOTED.append(("in", k))
    try:
        yield k + 1
    except KeyError:
        NOTED.append("KeyError")
    finally:
        NOTED.append(("out", k))


@program(replays=7)
def own_manager(wrap):
    def g(x, scope, k):
        with scope as n:
            x = x * n
            if k == 3:
                raise ValueError("three")
        return x + k

    f, scope, out = wrap(g), Scope(2, swallows=True), []
    for k in (1, 1, 2, 2, 3, 3, 1, 3):
        out += [f(vector(1), scope, k), scope.depth, scope.last]
    before = Scope.__enter__
    Scope.__enter__ = lambda self: 9
    try:
        out += [f(vector(1), scope, 1), f(vector(1), scope, 1)]
    finally:
        Scope.__enter__ = before
    return f, out


@program(replays=5)
def generator_manager(wrap):
    def g(x, k):
        with noted(k) as n, contextlib.nullcontext(x) as y, contextlib.suppress(IndexError):
            x = x * n + y
            if k == 2:
                raise KeyError("k")
            if k == 3:
                return [x][k]
            if k == 4:
                return x * 10
        return x

    f, out = wrap(g), []
    NOTED.clear()
    for k in (1, 1, 2, 2, 3, 3, 4, 4, 1):
        out += [f(vector(1), k), list(NOTED)]
    return f, out


@program(replays=1)
def generator_manager_left_alone(wrap):
    def g(x):
        manager = noted(1)
        manager.__enter__()
        del manager
        NOTED.append("end")
        return x

    f, out = wrap(g), []
    NOTED.clear()
    for _ in range(2):
        out += [f(vector(1)), list(NOTED)]
    return f, out


@program(replays=3)
def same_number_at_another_place(wrap):
    def g(x, n):
        xs = [1, 1, 1]
        backward, forward = reversed(xs), iter(xs)
        xs[0] = n
        for i, v in enumerate(xs):
            x = x * v
            if i == 0:
                xs[1] = n
        return x * list(backward)[-1] + next(forward)

    f = wrap(g)
    return f, [f(vector(1), n) for n in (1, 1, 2, 3)]


@program(replays=3)
def popped_until_empty(wrap):
    def g(x, xs):
        while True:
            try:
                x = x * xs.pop()
            except IndexError:
                return x, xs

    f = wrap(g)
    return f, [f(vector(1), xs) for xs in ([1, 2], [1, 2], [3, 4], [], [], [2])]


@program(replays=2)
def greatest_by_a_key(wrap):
    factor = [1]

    def g(x, xs):
        return x * max(xs, key=lambda v: v * factor[0]) + min(1, 2, 3, key=lambda v: -v)

    f = wrap(g)
    out = [f(vector(1), [1, 3, 2]) for _ in range(3)]
    factor[0] = -1
    return f, [*out, f(vector(1), [1, 3, 2]), f(vector(1), [1, 3, 2])]


class Length:
    def __init__(self, v):
        self.v = v

    def __mul__(self, other):
        return NotImplemented if isinstance(other, str) else Length(self.v * other)

    def __rmul__(self, other):
        return Length(other * self.v)

    def __len__(self):
        return self.v


@program(replays=4)
def operators_asked_in_turn(wrap):
    class Unit:
        def __rmul__(self, other):
            return 7

    class Plain:
        pass

    def g(x, a, b):
        made = a * b
        return x * (made.v if isinstance(made, Length) else made), bool(made)

    f = wrap(g)
    pairs = ((Length(2), 3), (2, Length(3)), (Length(0), 2), (Plain(), Unit()))
    out = [f(vector(1), a, b) for a, b in pairs for _ in range(2)]
    Plain.__mul__ = lambda self, other: 11
    return f, [*out, f(vector(1), Plain(), Unit())]


@program(replays=2)
def changed_dict_read_as_a_whole(wrap):
    def g(x, d):
        d["n"] = x
        d["n"] = x * 2
        d["m"] = d.get("m", 0) + 1
        return list(d), len(d), sum(v for k, v in d.items() if k != "n")

    f = wrap(g)
    return f, [f(vector(1), d) for d in ({}, {}, {"m": 1}, {"m": 2}, {"z": 3}, {"n": 1, "z": 3})]


@program(co_executions=1)
def calls_that_do_not_fit(wrap):
    out = []
    calls = (lambda: [].append(), lambda: len(), lambda: getattr(1), lambda: next(),
             lambda: [1].insert(0), lambda: {}.get(), lambda: list(1, 2), lambda: isinstance(1),
             lambda: enumerate(), lambda: map(), lambda: {}.items(1), lambda: dict([1]),
             lambda: int(1, 2, 3), lambda: max(1, kee=1), lambda: sorted())  # fmt: skip
    for call in calls:
        f = wrap(call)
        for _ in range(2):
            try:
                f()
            except TypeError as error:
                out.append(str(error))
    return f, out
