"""Ordinary Python in compiled functions: names, control flow, containers, text, exceptions."""

# ruff: noqa: B007, B023, B905, UP031, UP032 - the programs are what users write

import builtins
import contextlib
import functools
import itertools
import linecache
import logging
import math
import operator
import os
import random
import sys
import threading
import types
import warnings

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


# Arguments --------------------------------------------------------------------------------------


def true_one_and_one_point_zero(compile, see):
    @compile
    def f(x, k):
        return x * k, k, x == k, k + k

    for k in (1, 1, True, 1.0, 1, True, 0, False, -0.0, 0.0):
        see(f, df.tensor([1, 2, 3]), k)


def kinds_of_keyword_calls(compile, see):
    @compile
    def f(x, k=2.0, *rest, j=1.0, **named):
        total = x * k + j
        for r in rest:
            total = total + r
        for name, value in named.items():
            total = total * len(name) + value
        return total

    x = tensor(*X)
    for _ in range(2):
        see(f, x)
        see(f, x, 3.0)
        see(f, x, 3.0, 4.0, x)
        see(f, x=x, k=3.0)
        see(f, x, j=5.0)
        see(f, x, a=1.0, bbb=2.0)
        see(f, x, bbb=2.0, a=1.0)
        see(f, x, a=2.0, bbb=1.0)


def keyword_order_of_the_result(compile, see):
    @compile
    def f(**named):
        return dict(named), list(named), {k: v * 2 for k, v in named.items()}

    for _ in range(2):
        see(f, a=tensor(1), b=tensor(2))
        see(f, b=tensor(1), a=tensor(2))


def wrong_arguments(compile, see):
    @compile
    def f(x, k):
        return x * k

    see(f, tensor(*X), 2)
    see(f, tensor(*X), 2)
    for args, named in (((), {}), ((1, 2, 3), {}), ((1,), {"z": 1}), ((1, 2), {"k": 1})):
        try:
            f(*args, **named)
        except TypeError as error:
            see.that(str(error).split("()")[-1])


def positional_only_name_in_keywords(compile, see):
    @compile
    def f(x, k=2.0, /, **named):
        return x * k + named.get("k", 0.0)

    for named in ({}, {}, {"k": 3.0}, {"k": 3.0}, {"k": 4.0}):
        see(f, tensor(*X), **named)


def starred_dict_for_a_list(compile, see):
    def g(p, q):
        return p if isinstance(p, int) else p * q

    @compile
    def f(items):
        return g(*items)

    x = tensor(*X)
    see(f, [2.0, x])
    see(f, [2.0, x])
    see(f, (3.0, x))
    see(f, {0: 2.0, 1: x})


def star_and_double_star(compile, see):
    def g(*args, **named):
        return [a * 2 for a in args], {k: v * 3 for k, v in named.items()}

    @compile
    def f(items, table):
        return g(items[0], *items, *items[1:], last=items[-1], **table)

    x = tensor(*X)
    for _ in range(2):
        see(f, [x, 2.0], {"a": x})
        see(f, [x, 3.0, x], {"b": x, "a": 1.0})
        see(f, (x,), {})


def big_and_negative_integers(compile, see):
    @compile
    def f(x, k):
        return k * k, k // 7, k % 7, -k, k << 3, x + (k % 5)

    for k in (3, 3, -3, 2**70, -(2**70), 0, 2**31, -(2**63)):
        see(f, tensor(*X), k)


def integer_beyond_the_dtype(compile, see):
    @compile
    def f(x, k):
        return x + k

    x = df.tensor([1, 2], dtype=df.int8)
    for k in (3, 3, 127, 128, -129, 3, 2**70):
        see(f, x, k)


def integers_and_floats_as_weak_scalars(compile, see):
    @compile
    def f(x, k):
        return x * k, x / 3, x // 2 if x.dtype != df.bool_ else x, k - x

    for dtype in (df.int8, df.uint8, df.int64, df.float16, df.float32, df.float64):
        for k in (2, 0.1, 3, 0.3, True):
            see(f, df.tensor([1, 2, 100], dtype=dtype), k)


def numpy_scalars_as_arguments(compile, see):
    import numpy as np

    @compile
    def f(x, k):
        return x * k

    for k in (np.float32(2), np.float32(2), np.float64(0.1), np.int64(3), 3, np.float64(0.1)):
        see(f, tensor(*X), k)


def nan_and_zero_arguments(compile, see):
    @compile
    def f(x, k):
        if k != k:
            return x * 0, "nan"
        if k > 0:
            return x * k, "positive"
        return x / k, "rest", k

    for k in (math.nan, math.nan, 1.0, 0.0, -0.0, 0.0, -0.0, -math.inf, math.nan):
        with contextlib.suppress(ZeroDivisionError):
            see(f, tensor(*X), k)


def nested_arguments(compile, see):
    @compile
    def f(tree):
        a, (b, *rest), d = tree["a"], tree["b"], tree.get("d")
        return {"sum": a + b, "rest": rest, "n": len(rest)}, d

    x = tensor(*X)
    for _ in range(2):
        see(f, {"a": x, "b": [x, 1.0]})
        see(f, {"a": x, "b": (x,)})
        see(f, {"b": (x, 1.0, [x]), "a": 2.0, "d": None})
        see(f, {"b": (x, 2.0, [x]), "a": 2.0, "d": x})


# Control flow -----------------------------------------------------------------------------------


def while_on_a_value(compile, see):
    @compile
    def f(x, limit):
        n = 0
        while df.sum(x) < limit:
            x = x * 2
            n += 1
            if n > 6:
                break
        else:
            return x, "done"
        return x, n

    for v, limit in ((1, 10), (1, 10), (3, 10), (0, 10), (20, 10), (1, 5.0)):
        see(f, tensor(v, v), limit)


def for_else_break_continue(compile, see):
    @compile
    def f(x, items, stop):
        for i, k in enumerate(items):
            if k == 0:
                continue
            if i == stop:
                break
            x = x * k
        else:
            x = x + 100
        return x, i

    for items, stop in (
        ([1, 0, 2], 9),
        ([1, 0, 2], 9),
        ([1, 2, 3], 1),
        ([0, 0], 0),
        ([2, 3, 4], 2),
    ):
        see(f, tensor(*X), items, stop)


def list_grows_while_iterated(compile, see):
    @compile
    def f(x, start):
        work = [start]
        for n in work:
            x = x + n
            if n > 0:
                work.append(n - 1)
        return x, work

    for start in (4, 4, 2):
        see(f, tensor(*X), start)


def argument_list_grows_while_iterated(compile, see):
    @compile
    def f(x, work):
        for n in work:
            x = x + n
            if n > 1:
                work.append(n - 1)
        return x

    for _ in range(3):
        see(f, tensor(*X), [3, 2])


def list_shrinks_while_iterated(compile, see):
    @compile
    def f(x):
        items = [1, 2, 3, 4, 5, 6]
        for k in items:
            if k % 2:
                items.pop(0)
            x = x + k
        return x, items

    for _ in range(3):
        see(f, tensor(*X))


def dict_grows_while_iterated(compile, see):
    @compile
    def f(x):
        table = {"a": x}
        for key in table:
            table[key + "b"] = x
        return table

    for _ in range(2):
        see(f, tensor(*X))


def match_statement(compile, see):
    @compile
    def f(x, what):
        match what:
            case {"op": "add", "k": k}:
                return x + k
            case [a, b, *_]:
                return x * a + b
            case int(n) if n > 3:
                return x * n
            case None:
                return x
            case _:
                return -x

    for what in (
        {"op": "add", "k": 2.0},
        [1.0, 2.0, 3.0],
        5,
        2,
        None,
        "s",
        {"op": "add", "k": 3.0},
    ):
        see(f, tensor(*X), what)
        see(f, tensor(*X), what)


def walrus_after_use(compile, see):
    """A variable is bound anew in the expression that uses its old value."""

    @compile
    def f(x, k):
        pair = (k, (k := 2), k)
        text = f"{k}{(k := k + 1)}{k}"
        small = 1 if k < (k := 3) else 2
        k += (k := 4)
        return x + pair[0] * 100 + pair[1] + (k + (k := 5)) * small + max(k, (k := 0)), text

    for k in (1, 4, 4, 5, 9):
        see(f, tensor(*X), k)


def walrus_and_chains(compile, see):
    @compile
    def f(x, a, b):
        if (n := a + b) > 3 and 0 < a <= b < 10:
            return x * n
        total = [y := 1.0, y**2]
        return x + total[1] + (m := b) + m

    for a, b in ((1, 2), (1, 2), (2, 3), (3, 2), (2, 20), (2, 3)):
        see(f, tensor(*X), a, b)


def chained_comparison_of_values(compile, see):
    @compile
    def f(x):
        if 0 < x[0] < x[1] <= 5:
            return x + 1
        return x - 1

    for v in ((1, 2), (1, 2), (2, 1), (-1, 2), (1, 6), (1, 5)):
        see(f, tensor(*v))


def and_or_values(compile, see):
    @compile
    def f(x, a, b):
        return (a and b) or x, a or b, not a, x[0] > 0 and x[1] > 0, x[0] > 0 or a

    for v in ((1, 2), (-1, 2), (1, -2)):
        for a, b in ((0, 0.0), (1, ""), (None, 3), ([], {}), ("a", 2), (0, 0.0)):
            see(f, tensor(*v), a, b)


def branch_on_nan(compile, see):
    @compile
    def f(x):
        if x[0] < 1:
            return "less"
        if x[0] >= 1:
            return "more"
        return "neither", x

    for v in (math.nan, 0.0, 2.0, math.nan, math.nan):
        see(f, tensor(v))


def recursion(compile, see):
    @compile
    def f(x, n):
        return x if n <= 0 else f(x * 2, n - 1) + n

    for n in (3, 3, 0, 5, 3):
        see(f, tensor(*X), n)


def mutual_recursion_on_a_value(compile, see):
    def down(x):
        return up(x - 3) if x[0] > 0 else x

    def up(x):
        return down(x + 1)

    @compile
    def f(x):
        return down(x)

    for v in (1, 1, 4, -1, 8):
        see(f, tensor(v, 0))


def membership(compile, see):
    @compile
    def f(x, k, items, table):
        return x * 2 if k in items else x, k in table, k not in {1, 2, "a"}

    for k, items, table in (
        (1, [1, 2], {}),
        (1.0, (1, 2), {1: 0}),
        ("a", "abc", {"a": 1}),
        (3, [1, 2], {3: 1}),
        (math.nan, [math.nan], {}),
        (True, [1], {}),
    ):
        for _ in range(2):
            see(f, tensor(*X), k, items, table)


def identity_tests(compile, see):
    marker = object()

    @compile
    def f(x, y, k=marker):
        if k is marker:
            return "default", x is y
        if k is None or k is True:
            return k, x is not y
        return x + y, k is x

    a, b = tensor(*X), tensor(*X)
    for args in ((a, a), (a, b), (a, a, None), (a, b, True), (a, b, a), (a, b, 1), (a, a)):
        see(f, *args)
        see(f, *args)


# Iterables --------------------------------------------------------------------------------------


def iterables(compile, see):
    @compile
    def f(x, items):
        pairs = list(zip(items, reversed(items)))
        total = sum(a * b for a, b in pairs)
        return (
            x * total,
            max(items),
            min(items),
            sorted(items, reverse=True),
            any(i > 2 for i in items),
            all(i > 0 for i in items),
            [i + j for i, j in enumerate(items, 1)],
            list(map(str, items)),
            list(filter(None, items)),
        )

    for items in ([1, 2, 3], [1, 2, 3], [0, -1], [1.5, True], (3, 3, 3)):
        see(f, tensor(*X), items)


def iterator_objects(compile, see):
    @compile
    def f(x):
        pairs = zip([1, 2], [x, x])
        names = [type(i).__name__ for i in (pairs, enumerate([x]), map(abs, [1]), reversed([1]))]
        return names, isinstance(pairs, zip)

    for _ in range(2):
        see(f, tensor(*X))


def iterators_returned(compile, see):
    @compile
    def f(x):
        return zip([1, 2], [x, x * 2])

    for _ in range(3):
        found = f(tensor(*X))
        see.that((type(found).__name__, list(found)))


def iterator_stepped_by_hand(compile, see):
    @compile
    def f(x, items):
        it = iter(items)
        first = next(it)
        second = next(it, x)
        rest = [v + first for v in it]
        return first, second, rest, next(it, "end")

    for items in ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0], [4.0, 5.0]):
        see(f, tensor(*X), items)


def one_iterator_zipped_with_itself(compile, see):
    @compile
    def f(x, items):
        it = iter(items)
        return [a * b for a, b in zip(it, it)], x

    for items in ([1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3]):
        see(f, tensor(*X), items)


def views_of_a_dict_are_live(compile, see):
    @compile
    def f(x):
        table = {"a": x}
        keys, values, items = table.keys(), table.values(), table.items()
        table["b"] = x * 2
        return list(keys), list(values), [k for k, v in items]

    for _ in range(3):
        see(f, tensor(*X))


def reversed_is_live(compile, see):
    @compile
    def f(x):
        items = [x, x * 2, x * 3]
        back = reversed(items)
        items[0] = x * 100
        return list(back)

    for _ in range(3):
        see(f, tensor(*X))


def extended_by_itself(compile, see):
    @compile
    def f(x):
        items = [x, x * 2]
        items.extend(items)
        items += items
        return items

    for _ in range(3):
        see(f, tensor(*X))


def max_with_a_key(compile, see):
    log = []

    @compile
    def f(x):
        return x * max([1, 2, 3], key=by_gain), min([3, 4], key=lambda v: -v * GAIN)

    THIS.log_of_keys = log
    for gain in (2.0, 2.0, -2.0, -2.0, 2.0):
        set_gain(gain)
        see(f, tensor(*X))
        see.that(log)
    set_gain(2.0)


def by_gain(v):
    log_of_keys.append(v)  # noqa: F821
    return v * GAIN


def sorted_by_key(compile, see):
    @compile
    def f(items, k):
        return sorted(items, key=lambda v: (-len(v.shape), v.shape[0] * k)), sorted("bca")

    a, b, c = tensor(1), tensor(1, 2), df.zeros((2, 2))
    for k in (1, 1, -1):
        see(f, [a, b, c], k)
        see(f, [c, a, b], k)


def set_of_numbers(compile, see):
    @compile
    def f(x, items):
        seen = set()
        for i in items:
            if i in seen:
                x = x * 2
            seen.add(i)
        return x, len(seen), {i for i in items if i > 1}

    for items in ([1, 2, 2], [1, 2, 2], [1, 1, 1, 3]):
        see(f, tensor(*X), items)


def generator_function(compile, see):
    def parts(x, n):
        for i in range(n):
            yield x * i

    @compile
    def f(x, n):
        return sum(parts(x, n), 0.0), list(parts(x, 2))

    for n in (3, 3, 0, 2):
        see(f, tensor(*X), n)


def compiled_generator(compile, see):
    @compile
    def f(x, n):
        for i in range(n):
            got = yield x * i
            if got is not None:
                x = x + got

    for n in (2, 2, 3):
        made = f(tensor(*X), n)
        see.that((next(made), made.send(1.0), list(made)))


def generator_argument(compile, see):
    @compile
    def f(x, items):
        return [x * i for i in items]

    for n in (2, 2, 3):
        see(lambda n=n: f(tensor(*X), (i for i in range(n))))


def itertools_and_functools(compile, see):
    @compile
    def f(x, items):
        a = list(itertools.chain(items, [x]))
        b = [u * v for u, v in itertools.product(items, repeat=2)]
        return a, b, functools.reduce(operator.add, items, x), list(itertools.accumulate(items))

    for items in ([1, 2], [1, 2], [3.0]):
        see(f, tensor(*X), items)


def functions_of_operators(compile, see):
    for name in sorted({*operator.__all__} - {"call", "length_hint", "index"}):
        function = getattr(operator, name)
        if isinstance(function, type):
            continue
        one = name in ("neg", "pos", "abs", "inv", "invert", "not_", "truth")

        @compile
        def f(x, y, function=function, one=one):
            return function(x) if one else function(x, y)

        for x, y in ((tensor(*X), tensor(2, 2, 2)), (tensor(2), 2), (6, 3), ([1], [2]), ("a", "a")):
            for _ in range(2):
                see(f, x, y)


def comprehension_scopes(compile, see):
    @compile
    def f(x, n):
        i = 100
        table = {i: [j * i for j in range(i)] for i in range(n)}
        return x * i, table, [(i, j) for i in range(2) for j in range(i + 1) if (i + j) % 2]

    for n in (2, 2, 3):
        see(f, tensor(*X), n)


# Containers from outside ------------------------------------------------------------------------


def outside_list(compile, see):
    log = []

    @compile
    def f(x):
        log.append(x * 2)
        log.append(len(log))
        return log[-2] + log[0] if len(log) < 6 else x

    for _ in range(5):
        see(f, tensor(*X))
        see.that(log)


def outside_list_changed_in_all_ways(compile, see):
    @compile
    def f(x, items):
        items.append(x)
        items.insert(1, x * 2)
        last = items.pop()
        items[0] = last + 1
        items += [x, 3]
        items.reverse()
        return items, len(items)

    for n in (2, 2, 3):
        see(f, tensor(*X), [tensor(i, i) for i in range(n)])


def two_lists_that_are_one(compile, see):
    @compile
    def f(x, a, b):
        a.append(x)
        return len(b), len(a)

    for _ in range(2):
        see(f, tensor(*X), [1], [1])
        one = [1]
        see(f, tensor(*X), one, one)


def pop_of_an_empty_list(compile, see):
    @compile
    def f(x, items):
        try:
            k = items.pop()
        except IndexError:
            k = 100
        return x * k

    for items in ([], [], [], [2], [2], []):
        see(f, tensor(*X), list(items))


def outside_dict(compile, see):
    @compile
    def f(x, table):
        table["y"] = x * 2
        if "n" in table:
            table["n"] += 1
        return table.get("z", x), len(table), list(table)

    for table in ({"n": 1}, {"n": 1}, {}, {"y": 2}, {"z": 3, "y": 1}, {"n": 2}):
        see(f, tensor(*X), dict(table))


def dict_methods(compile, see):
    @compile
    def f(x, table):
        made = dict(table)
        made.update({"b": x}, c=3)
        made.setdefault("d", x * 2)
        popped = made.pop("a", None)
        merged = {**made, "e": 1} | {"f": 2}
        return made, popped, merged, list(merged.values())

    for table in ({"a": 1}, {"a": 1}, {"b": 2}, {"a": 2.0, "d": 1}):
        see(f, tensor(*X), table)


def order_of_dict_keys(compile, see):
    @compile
    def f(table):
        out = None
        for key, value in table.items():
            out = value if out is None else out * 2 + value
        return out, list(table)

    a, b = tensor(1, 2), tensor(3, 4)
    for table in ({"a": a, "b": b}, {"a": a, "b": b}, {"b": b, "a": a}, {"a": b, "b": a}):
        see(f, table)


def keys_that_are_equal(compile, see):
    @compile
    def f(table, k):
        return table[k] * 2, {k: 1}

    table = {1: tensor(1), "1": tensor(2), (1, 2): tensor(3), None: tensor(4)}
    for k in (1, True, 1.0, "1", (1, 2), None, 1, 7):
        see(f, table, k)


def containers_of_other_classes(compile, see):
    from collections import Counter, OrderedDict, defaultdict, deque

    @compile
    def f(x, table):
        table["k"] = x
        return len(table), list(table), table["k"] + x

    for kind in (dict, OrderedDict, lambda: defaultdict(int), Counter, dict):
        see(f, tensor(*X), kind())

    @compile
    def g(x, queue):
        queue.append(x)
        return queue[0] * 2, len(queue)

    for _ in range(3):
        see(g, tensor(*X), deque([tensor(1, 1, 1)], maxlen=2))


def identity_in_results(compile, see):
    @compile
    def f(x, items):
        y = x + 1
        inner = [y]
        return [y, y, inner], inner, items, x, {"items": items}, (y,)

    for _ in range(3):
        see(f, tensor(*X), [1])


def result_is_fresh_each_time(compile, see):
    @compile
    def f(x):
        return [1, 2], {"a": []}, x + 0

    for _ in range(3):
        a, b, c = see(f, tensor(*X))
        a.append(3)
        b["a"].append(1)
        c[0] = 99


def unpacking(compile, see):
    @compile
    def f(x, items):
        (a, *b), c = items
        d, e = e, d = a, c
        return x * d + e, b

    for items in (([1, 2, 3], 4), ([1, 2, 3], 4), ([1], 2), ((5, 6), 7.0)):
        see(f, tensor(*X), items)


# Text -------------------------------------------------------------------------------------------


def printing(compile, see):
    @compile
    def f(x, k, sep):
        print("k", k, sep=sep, end="|\n")
        print(f"{k:>5} {k!r} {float(x[0]):.2f}")
        if x[0] > 1:
            print("large", file=sys.stdout)
        return x * k

    for v, k, sep in (
        (1, 1, " "),
        (1, 1, " "),
        (2, 1, "-"),
        (2, 1.5, "-"),
        (1, True, ""),
        (1, 1, ""),
    ):
        see(f, tensor(v, 1), k, sep)


def printing_a_tensor(compile, see):
    @compile
    def f(x):
        print(x, x.shape, [x[0]])
        return x * 2

    for v in (1, 1, 2):
        see(f, tensor(v, 1))


def formatting(compile, see):
    @compile
    def f(x, k, name):
        text = f"{name!r:>8}|{k:+.3f}|{x.shape}|{x.dtype}"
        return text, "%s=%.1f" % (name, k), "{} {k}".format(1, k=k)

    for k, name in ((1.0, "a"), (1.0, "a"), (2, "b"), (-0.0, "c"), (math.nan, "a")):
        see(f, tensor(*X), k, name)


def text_methods(compile, see):
    @compile
    def f(x, name):
        if name.upper().startswith("A"):
            x = x * len(name)
        return x, name.split(","), "-".join([name, "z"]), name[::-1], name * 2 + "!"

    for name in ("a,b", "a,b", "b", "ab,c,d", ""):
        see(f, tensor(*X), name)


def text_of_an_exception(compile, see):
    @compile
    def f(x, k):
        try:
            if k > 1:
                raise ValueError("bad")
            raise KeyError("key")
        except (ValueError, KeyError) as error:
            return x, f"{error!r}", str(error), f"{error}", repr(error), error.args

    for k in (1, 1, 2, 2, 1):
        see(f, tensor(*X), k)


# Exceptions -------------------------------------------------------------------------------------


class OwnError(ValueError):
    def __init__(self, code, where=None):
        super().__init__(f"code {code}")
        self.code, self.where = code, where


def own_exception_leaves(compile, see):
    @compile
    def f(x, k):
        y = x * k
        if k > 1:
            raise OwnError(k, where="f")
        return y

    for k in (1, 1, 2, 2, 3, 1):
        see(f, tensor(*X), k)


def exception_on_a_value(compile, see):
    log = []

    @compile
    def f(x):
        log.append(float(x[0]))
        if x[0] > 1:
            raise ValueError(f"large {float(x[0])}")
        log.append("fine")
        return x * 2

    for v in (1, 1, 2, 2, 3, 1):
        see(f, tensor(v, 1))
        see.that(log)


def try_else_finally(compile, see):
    log = []

    @compile
    def f(x, k):
        try:
            log.append("try")
            if k == 1:
                raise OwnError(k)
            y = x / k
        except OwnError as error:
            log.append(error.code)
            return x
        except ZeroDivisionError:
            log.append("zero")
            return -x
        else:
            log.append("else")
            return y
        finally:
            log.append("finally")

    for k in (1, 1, 2, 2, 0, 1):
        see(f, tensor(*X), k)
        see.that(log)


def raise_from(compile, see):
    @compile
    def f(x, table, k):
        try:
            return x * table[k]
        except KeyError as error:
            raise OwnError(k) from error

    for k in ("a", "a", "b", "b", "a"):
        see(f, tensor(*X), {"a": 2.0}, k)


def return_in_finally(compile, see):
    @compile
    def f(x, k):
        try:
            if k:
                raise ValueError("lost")
            return x
        finally:
            if k != 2:
                return x * 10  # noqa: B012

    for k in (0, 0, 1, 1, 2, 2):
        see(f, tensor(*X), k)


def exception_class_rebound(compile, see):
    caught = [ValueError]

    @compile
    def f(x):
        try:
            raise KeyError("a")
        except caught[0]:
            return x * 2
        except LookupError:
            return x

    for kind in (ValueError, ValueError, KeyError, KeyError, ValueError):
        caught[0] = kind
        see(f, tensor(*X))


def shape_error_caught(compile, see):
    @compile
    def f(x, y):
        try:
            return x + y
        except Exception as error:
            return type(error).__name__, x

    for n in (2, 2, 3, 3, 1, 2):
        see(f, tensor(1, 2), df.ones((n,)))


def assertion(compile, see):
    @compile
    def f(x, k):
        assert k > 0, f"k is {k}"
        assert x[0] > 0
        return x * k

    for v, k in ((1, 1), (1, 1), (1, 0), (-1, 1), (1, 2)):
        see(f, tensor(v), k)


def index_error_caught(compile, see):
    @compile
    def f(x, items, i):
        try:
            return x * items[i]
        except IndexError:
            return x * items[-1]

    for items, i in (([1, 2], 1), ([1, 2], 1), ([1, 2], 5), ([1, 2, 3], 2), ([7], 1), ([1, 2], -3)):
        see(f, tensor(*X), items, i)


def error_in_the_middle_of_effects(compile, see):
    log = []

    @compile
    def f(x, y, table, k):
        x += 1
        log.append("one")
        y *= 2
        out = table[k]
        log.append("two")
        return x + out

    x, y = tensor(*X), tensor(*X)
    for k in ("a", "a", "b", "b", "a"):
        see(f, x, y, {"a": 2.0}, k)
        see.that((log, x, y))


# The world --------------------------------------------------------------------------------------


def random_and_environment(compile, see):
    @compile
    def f(x):
        gain = float(os.environ.get("FIDELITY_GAIN", "1"))
        return x * random.random() + gain, hash("a") == hash("a")

    random.seed(3)
    for value in (None, None, "2", "2", "3"):
        if value is not None:
            os.environ["FIDELITY_GAIN"] = value
        see(f, tensor(*X))
    del os.environ["FIDELITY_GAIN"]
    see.that(random.random())


def environment_alone(compile, see):
    @compile
    def f(x):
        if os.environ.get("FIDELITY_GAIN"):
            return x * float(os.environ["FIDELITY_GAIN"])
        return x * float(os.getenv("FIDELITY_GAIN", "7"))

    for value in (None, None, "2", "2", "3", "", None):
        os.environ.pop("FIDELITY_GAIN", None)
        if value is not None:
            os.environ["FIDELITY_GAIN"] = value
        see(f, tensor(*X))


def warnings_at_each_call(compile, see):
    @compile
    def f(x, k):
        if k > 1:
            warnings.warn(f"k is {k}", UserWarning, stacklevel=2)
        return x * k

    for k in (1, 1, 2, 2, 3):
        see(f, tensor(*X), k)


def logging_levels(compile, see):
    logger = logging.getLogger("fidelity")
    logger.propagate = False
    lines = []

    class Keep(logging.Handler):
        def emit(self, record):
            lines.append(record.getMessage())

    logger.handlers = [Keep()]

    @compile
    def f(x):
        logger.debug("debug %s", x.shape)
        logger.warning("warning")
        return x * 2

    for level in (logging.WARNING, logging.WARNING, logging.DEBUG, logging.DEBUG, logging.ERROR):
        logger.setLevel(level)
        see(f, tensor(*X))
        see.that(lines)


def own_context_manager(compile, see):
    class Scale:
        depth = 0

        def __init__(self, swallow):
            self.swallow = swallow

        def __enter__(self):
            Scale.depth += 1
            return self

        def __exit__(self, kind, error, trace):
            Scale.depth -= 1
            return self.swallow and kind is ValueError

    @compile
    def f(x, k, swallow):
        with Scale(swallow) as scale:
            x = x * Scale.depth
            if k > 1:
                raise ValueError("k")
            x = x + 1
        return x, scale.swallow, Scale.depth

    for k, swallow in ((1, True), (1, True), (2, True), (2, False), (1, False)):
        see(f, tensor(*X), k, swallow)


def contextlib_manager(compile, see):
    log = []

    @contextlib.contextmanager
    def note(name):
        log.append(f"enter {name}")
        try:
            yield name
        finally:
            log.append(f"exit {name}")

    @compile
    def f(x, k):
        with note("a") as a, note("b"), contextlib.suppress(ValueError):
            if k > 1:
                raise ValueError(a)
            x = x * 2
        return x

    for k in (1, 1, 2, 2):
        see(f, tensor(*X), k)
        see.that(log)


def threads(compile, see):
    @compile
    def f(x, k):
        if x[0] > 2:
            return x * k
        return x + k

    results = {}

    def work(name):
        results[name] = [f(tensor(name, i), i % 3) for i in range(12)]

    workers = [threading.Thread(target=work, args=(i,)) for i in range(5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    see.that([results.get(i) for i in range(5)])
    see(f, tensor(1, 2), 1)
    see(f, tensor(1, 2), 1)


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
