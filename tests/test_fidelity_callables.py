"""Functions around functions: decorators, partials, caches, methods, copies, compiled ones."""

import copy
import functools
import gc
import inspect
import pickle
import sys
import typing
import weakref

import pytest
from fidelity_runner import check, parameters, tensor

import dualflow as df

X = (1.0, -2.0, 3.0)
THIS = sys.modules[__name__]


class Plain:
    """A plain object; its class stays as it is."""

    def __init__(self, **values):
        vars(self).update(values)


def wrapper_that_keeps_its_function(compile, see):
    def plus(fn):
        @functools.wraps(fn)
        def wrapper(x):
            return fn(x) + 100

        wrapper.fn = fn
        wrapper.wait = "own"
        return wrapper

    @compile
    @plus
    def f(x):
        return x * 2

    for _ in range(2):
        see(f, tensor(*X))
    see.that((f.wait, f.__name__))


def decorators_below_and_above(compile, see):
    log = []

    def logged(fn):
        @functools.wraps(fn)
        def wrapper(*args, **named):
            log.append(fn.__name__)
            return fn(*args, **named)

        return wrapper

    @logged
    @compile
    @logged
    def f(x, k=2.0):
        return x * k

    for k in (1.0, 1.0, 2.0):
        see(f, tensor(*X), k=k)
        see.that(log)
    see(f, tensor(*X))


def partials(compile, see):
    def base(a, x, *, k=1.0):
        return x * k + a

    p = functools.partial(base, 1.0, k=2.0)
    f = compile(p)

    @compile
    def g(x, a):
        return functools.partial(base, a)(x, k=3.0), p(x)

    for a in (1.0, 1.0, 4.0):
        see(f, tensor(*X))
        see(f, tensor(*X), k=a)
        see(g, tensor(*X), a)
    p.keywords["k"] = 9.0
    see(g, tensor(*X), 1.0)
    see(f, tensor(*X))


def lru_cache_inside(compile, see):
    asked = []

    @functools.lru_cache(maxsize=2)
    def table(n):
        asked.append(n)
        return tensor(*range(n))

    @compile
    def f(x, n):
        return x[:n] * table(n), table(n) is table(n)

    for n in (2, 2, 3, 1, 2):
        see(f, tensor(*X), n)
        see.that((asked, table.cache_info().hits))


def single_dispatch(compile, see):
    @functools.singledispatch
    def scale(k, x):
        return x

    @scale.register
    def _(k: int, x):
        return x * k

    @scale.register
    def _(k: list, x):
        return x + len(k)

    @compile
    def f(x, k):
        return scale(k, x)

    for k in (2, 2, [1], 2.0, 3):
        see(f, tensor(*X), k)
    scale.register(float, lambda k, x: x * 100)
    see(f, tensor(*X), 2.0)


def compiled_calls_compiled(compile, see):
    @compile
    def inner(x, k):
        if x[0] > 1:
            return x * k
        return x - k

    @compile
    def outer(x, k):
        return inner(inner(x, k), k + 1) + 1

    for v, k in ((1, 1), (1, 1), (2, 1), (1, 2), (5, 2), (1, 1)):
        see(outer, tensor(v, 1), k)
        see(inner, tensor(v, 1), k)


def compiled_function_rebound(compile, see):
    @compile
    def one(x):
        return x + 1

    @compile
    def two(x):
        return x + 2

    o = Plain(step=one)

    @compile
    def f(x):
        return o.step(x)

    for step in (one, one, two, two, lambda x: x * 5, one):
        o.step = step
        see(f, tensor(*X))


def function_as_argument(compile, see):
    @compile
    def f(g, x):
        return g(x) + g(x * 2)

    def scale(k):
        return lambda x: x * k

    for g in (scale(2.0), scale(2.0), scale(3.0), df.exp, abs, scale(2.0), tensor(*X).__add__):
        see(f, g, tensor(0, 1, 2))


def bound_method_kept(compile, see):
    class Model:
        def __init__(self, k):
            self.k = k

        def step(self, x):
            return x * self.k

    a, b = Model(2.0), Model(3.0)
    o = Plain(callback=a.step)

    @compile
    def f(x):
        return o.callback(x)

    see(f, tensor(*X))
    see(f, tensor(*X))
    a.k = 5.0
    see(f, tensor(*X))
    o.callback = b.step
    see(f, tensor(*X))


def what_a_function_looks_like(compile, see):
    @compile
    def f(x: float, k: int = 2) -> float:
        """The docstring."""
        return x * k

    see(f, tensor(*X))
    see(f, tensor(*X))
    see.that((f.__name__, f.__doc__, f.__qualname__, f.__module__, str(inspect.signature(f))))
    see.that((f.__annotations__, callable(f), typing.get_type_hints(f), f.__defaults__))


def defaults_of_the_compiled_function_changed(compile, see):
    @compile
    def f(x, k=2.0):
        return x * k

    see(f, tensor(*X))
    see(f, tensor(*X))
    f.__defaults__ = (5.0,)
    see(f, tensor(*X))


def attribute_of_the_compiled_function(compile, see):
    @compile
    def f(x):
        f.calls += 1
        return x * f.calls

    f.calls = 0
    for _ in range(3):
        see(f, tensor(*X))
        see.that(f.calls)


def pickled_by_name(x):
    return x * 3


def pickled_function(compile, see):
    original = THIS.pickled_by_name
    THIS.pickled_by_name = compile(original)
    try:
        f = pickle.loads(pickle.dumps(THIS.pickled_by_name))
        see(f, tensor(*X))
        see(THIS.pickled_by_name, tensor(*X))
        see(THIS.pickled_by_name, tensor(*X))
        see.that(f is THIS.pickled_by_name)
    finally:
        THIS.pickled_by_name = original


def copied_function(compile, see):
    @compile
    def f(x, seen=[]):  # noqa: B006
        seen.append(1)
        return x * len(seen)

    g = copy.copy(f)
    h = copy.deepcopy(f)
    for each in (f, f, g, h, f):
        see(each, tensor(*X))


def objects_are_let_go(compile, see):
    class Model:
        def __init__(self):
            self.k = 2.0

    @compile
    def f(x, m):
        m.last = x * m.k
        return m.last + 1

    for _ in range(3):
        m, x = Model(), tensor(*X)
        kept, memory = weakref.ref(m), weakref.ref(x)
        out = f(x, m)
        see.that(out)
        del m, x, out
        gc.collect()
        see.that((kept() is None, memory() is None))
    see(f, tensor(*X), Model())


def modules_of_layers(compile, see):
    model = df.nn.Sequential(df.nn.Linear(3, 2), df.nn.ReLU(), df.nn.Linear(2, 1))
    with df.no_grad():
        for parameter in model.parameters():
            parameter[...] = 0.5

    @compile
    def f(x):
        return model(x)

    see(f, df.ones((2, 3)))
    see(f, df.ones((2, 3)))
    with df.no_grad():
        next(iter(model.parameters()))[0] = 3.0
    see(f, df.ones((2, 3)))
    model.eval()
    see(f, df.ones((2, 3)))


def starred_after_a_change(compile, see):
    def last(*args):
        return args[-1], len(args)

    @compile
    def f(x, xs):
        xs.append(5)
        return x + last(*xs)[0], last(*xs), [*xs, *xs]

    for xs in ([1, 2], [1, 2], [1, 2, 9], []):
        see(f, tensor(*X), xs)


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
