"""Names in compiled functions: globals, builtins, cells, defaults, attributes of functions."""

# ruff: noqa: B023 - the programs are what users write

import builtins
import linecache
import math
import sys
import types

import pytest
from fidelity_runner import check, parameters, tensor

import dualflow as df

X = (1.0, -2.0, 3.0)
GAIN = 2.0
OTHER = 0.0
THIS = sys.modules[__name__]


def set_gain(value):
    global GAIN
    GAIN = value


# Names ------------------------------------------------------------------------------------------


def global_rebound(compile, see):
    @compile
    def f(x):
        return x * GAIN + GAIN

    for value in (2.0, 2.0, 3.0, 3.0, 2, True, 2.0, -0.0):
        set_gain(value)
        see(f, tensor(*X))
    set_gain(2.0)


def global_becomes_a_tensor(compile, see):
    @compile
    def f(x):
        return x * GAIN

    for value in (2.0, 2.0, tensor(5, 6, 7), tensor(5, 6, 8), 2.0, tensor(2)):
        set_gain(value)
        see(f, tensor(*X))
    set_gain(2.0)


def global_deleted_and_made_again(compile, see):
    @compile
    def f(x):
        return x * TRANSIENT  # noqa: F821

    for value in (2.0, 2.0, None, 3.0, None, 2.0):
        if value is None:
            del THIS.TRANSIENT
        else:
            THIS.TRANSIENT = value
        see(f, tensor(*X))
    del THIS.TRANSIENT


def global_absent_then_present(compile, see):
    @compile
    def f(x):
        try:
            gain = LATER
        except NameError:
            gain = 1.0
        return x * gain

    for value in (None, None, 3.0, 3.0, None):
        if value is None:
            vars(THIS).pop("LATER", None)
        else:
            THIS.LATER = value
        see(f, tensor(*X))


def global_stored(compile, see):
    @compile
    def f(x):
        global OTHER
        OTHER = OTHER + 1
        return x * OTHER

    THIS.OTHER = 0.0
    for _ in range(4):
        see(f, tensor(*X))
        see.that(OTHER)


def module_attribute_stored_and_read_as_global(compile, see):
    @compile
    def f(x):
        THIS.OTHER = THIS.OTHER + 1
        return x * OTHER

    THIS.OTHER = 0.0
    for _ in range(4):
        see(f, tensor(*X))
        see.that(OTHER)


def builtin_shadowed(compile, see):
    @compile
    def f(x, items):
        return x * len(items)

    see(f, tensor(*X), [1, 2])
    see(f, tensor(*X), [1, 2])
    THIS.len = lambda items: 10
    see(f, tensor(*X), [1, 2])
    del THIS.len
    see(f, tensor(*X), [1, 2])


def builtin_patched(compile, see):
    @compile
    def f(x, a):
        return x * abs(a)

    see(f, tensor(*X), -2)
    see(f, tensor(*X), -2)
    before = builtins.abs
    try:
        builtins.abs = lambda v: 100
        see(f, tensor(*X), -2)
    finally:
        builtins.abs = before
    see(f, tensor(*X), -2)


def builtins_replaced_by_others(compile, see):
    @compile
    def f(x, a):
        log.append(a)
        return x * max(a, 2) + abs(a), len(str(a)), sorted([a, 1]), isinstance(a, int)

    @compile
    def g(x, a):
        log.append(-a)
        return x[a % 3 :].sum() * a, [q * a for q in range(3)]

    log = []
    for name in ("max", "len", "min", "isinstance", "sum", "any", "all", "zip", "sorted", "range"):
        see(f, tensor(*X), 3)
        see(g, tensor(*X), 3)
        before = getattr(builtins, name)
        results = []
        try:
            setattr(builtins, name, lambda v: 7)
            for a in (3, 4):
                try:
                    results.append((f(tensor(*X), a), g(tensor(*X), a)))
                except TypeError as error:
                    results.append(str(error))
        finally:
            setattr(builtins, name, before)
        see.that(results)
    see.that(log)


def builtins_of_ones_own(compile, see):
    known = {**vars(builtins), "abs": lambda v: v * 10}
    text = "def f(x, a):\n    return x * abs(a)"
    made = {"__builtins__": known}
    file = "<builtins of its own>"
    linecache.cache[file] = (len(text), None, text.splitlines(True), file)
    exec(builtins.compile(text, file, "exec"), made)
    f = compile(made["f"])
    for i in range(9):
        if i == 4:
            known["abs"] = abs
        see(f, tensor(*X), -2)


def module_attribute_with_default(compile, see):
    settings = types.ModuleType("settings")

    @compile
    def f(x):
        return x * getattr(settings, "gain", 1.0) if hasattr(settings, "on") else x

    see(f, tensor(*X))
    see(f, tensor(*X))
    settings.on = True
    see(f, tensor(*X))
    see(f, tensor(*X))
    settings.gain = 3.0
    see(f, tensor(*X))
    del settings.on
    see(f, tensor(*X))


def module_attribute_missing_and_caught(compile, see):
    settings = types.ModuleType("settings")

    @compile
    def f(x):
        try:
            return x * settings.gain
        except AttributeError:
            return x

    see(f, tensor(*X))
    see(f, tensor(*X))
    settings.gain = 4.0
    see(f, tensor(*X))


def module_replaced_in_sys_modules(compile, see):
    def module(gain):
        made = types.ModuleType("fidelity_settings")
        made.gain = gain
        return made

    @compile
    def f(x):
        import fidelity_settings

        return x * fidelity_settings.gain

    for gain in (2.0, 2.0, 3.0):
        sys.modules["fidelity_settings"] = module(gain)
        see(f, tensor(*X))
        see(f, tensor(*X))
    del sys.modules["fidelity_settings"]


def library_function_patched(compile, see):
    @compile
    def f(x):
        return df.exp(x) * math.sqrt(4.0)

    see(f, tensor(0, 0))
    see(f, tensor(0, 0))
    exp, sqrt = df.exp, math.sqrt
    try:
        df.exp = lambda v: v + 100
        see(f, tensor(0, 0))
        math.sqrt = lambda v: 7.0
        see(f, tensor(0, 0))
    finally:
        df.exp, math.sqrt = exp, sqrt
    see(f, tensor(0, 0))


def nonlocal_counter(compile, see):
    count, total = 0, 0.0

    @compile
    def f(x):
        nonlocal count, total
        count += 1
        total = total + float(x[0])
        return x * count + total

    for v in (1, 2, 3, 4):
        see(f, tensor(v, 1))
        see.that((count, total))


def cell_rebound_from_outside(compile, see):
    k = 1.0

    def put(v):
        nonlocal k
        k = v

    @compile
    def f(x):
        return x + k

    for v in (1.0, 1.0, 2.0, 2, True, tensor(1, 2, 3), 1.0):
        put(v)
        see(f, tensor(*X))


def late_binding_in_comprehension(compile, see):
    @compile
    def f(x, n):
        late = [lambda: x * i for i in range(n)]
        early = [lambda i=i: x * i for i in range(n)]
        return [g() for g in late], [g() for g in early]

    for n in (3, 3, 2, 0):
        see(f, tensor(*X), n)


def function_defaults_changed(compile, see):
    def helper(x, k=2.0, *, j=1.0):
        return x * k + j

    @compile
    def f(x):
        return helper(x)

    see(f, tensor(*X))
    see(f, tensor(*X))
    helper.__defaults__ = (5.0,)
    see(f, tensor(*X))
    helper.__kwdefaults__["j"] = 100.0
    see(f, tensor(*X))
    helper.__kwdefaults__ = {"j": tensor(7, 8, 9)}
    see(f, tensor(*X))


def function_code_replaced(compile, see):
    def helper(x):
        return x * 2

    def other(x):
        return x * 3

    @compile
    def f(x):
        return helper(x)

    see(f, tensor(*X))
    see(f, tensor(*X))
    helper.__code__ = other.__code__
    see(f, tensor(*X))


def mutable_default(compile, see):
    @compile
    def f(x, seen=[]):  # noqa: B006
        seen.append(x)
        return len(seen), seen[0] + seen[-1]

    for v in (1, 2, 3, 4):
        see(f, tensor(v, v))


def function_attribute(compile, see):
    def settings():
        pass

    settings.gain = 1.0

    @compile
    def f(x):
        settings.gain += 1
        return x * settings.gain

    for _ in range(3):
        see(f, tensor(*X))
    settings.gain = 10
    see(f, tensor(*X))
    see.that(settings.gain)


def two_names_of_one_function(compile, see):
    def double(x):
        return x * 2

    table = types.SimpleNamespace()

    class Table:
        pass

    table = Table()
    table.first = table.second = double

    @compile
    def f(x):
        return table.first(x), table.second(x)

    see(f, tensor(*X))
    see(f, tensor(*X))
    table.second = lambda x: x * 5
    see(f, tensor(*X))


def two_names_of_one_dtype(compile, see):
    @compile
    def f(x, a, b):
        return df.astype(x, a), df.astype(x, b)

    see(f, tensor(*X), df.float32, df.float32)
    see(f, tensor(*X), df.float64, df.float64)
    see(f, tensor(*X), df.float64, df.float64)
    see(f, tensor(*X), df.float64, df.int32)
    see(f, tensor(*X), df.int32, df.float64)


def two_names_of_one_tuple(compile, see):
    @compile
    def f(x, a, b):
        return df.reshape(x, a), df.reshape(x, b)

    wide, tall = (1, 4), (4, 1)
    see(f, tensor(1, 2, 3, 4), wide, wide)
    see(f, tensor(1, 2, 3, 4), wide, wide)
    see(f, tensor(1, 2, 3, 4), wide, tall)
    see(f, tensor(1, 2, 3, 4), tall, wide)


def two_names_of_one_class(compile, see):
    class Add:
        def __init__(self, k):
            self.k = k

    class Mul(Add):
        pass

    @compile
    def f(x, a, b):
        return isinstance(x, a), isinstance(x, b), a(2).k, type(b(3)).__name__

    see(f, 1, Add, Add)
    see(f, 1, Add, Add)
    see(f, 1, Add, Mul)
    see(f, 1, int, Mul)


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
