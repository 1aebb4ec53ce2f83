"""Arguments of compiled functions, branches, loops and recursion."""

import contextlib
import math

import pytest
from fidelity_runner import check, parameters, tensor

import dualflow as df

X = (1.0, -2.0, 3.0)


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


def errors_that_came_of_others(compile, see):
    table = {"a": 1.0}

    def found(name):
        try:
            return table[name]
        except KeyError as error:
            raise ValueError(f"no {name}") from error

    @compile
    def f(x, name):
        try:
            return x * found(name)
        except ValueError as error:
            cause, context = error.__cause__, error.__context__
            told = str(cause), cause is context, error.__suppress_context__, cause.__cause__
            return -x, told, type(cause).__name__, repr(context)

    def handling(x, name):
        try:
            raise LookupError("of the caller")
        except LookupError:
            return f(x, name)

    for name in ("a", "b", "a", "b", "c", "b"):
        see(f, tensor(1.0, 2.0), name)
        see(handling, tensor(1.0, 2.0), name)


def errors_that_nothing_caused(compile, see):
    @compile
    def f(x, n):
        try:
            if n > 1:
                raise ValueError(n)
        except ValueError as error:
            return x * n, error.__cause__, error.__suppress_context__
        return x

    for n in (1, 2, 2, 1, 3, 2):
        see(f, tensor(1.0, 2.0), n)


def a_context_of_the_caller(compile, see):
    @compile
    def f(x):
        try:
            raise ValueError("inner")
        except ValueError as error:
            return x * 2, repr(error.__context__)

    def handling(x):
        try:
            raise LookupError("of the caller")
        except LookupError:
            return f(x)

    for _ in range(2):
        see(f, tensor(1.0, 2.0))
        see(handling, tensor(1.0, 2.0))


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
