"""Exceptions that leave compiled functions: replayed, with the same effects, messages and lines."""

# ruff: noqa: B904 - the programs are what users write

import contextlib
import gc
import sys
import traceback
import weakref

import pytest
from fidelity_runner import check, parameters, tensor

X = (1.0, -2.0, 3.0)


class LimitError(ValueError):
    def __init__(self, what, value):
        super().__init__(f"{what} over {value:.1f}")
        self.what, self.value = what, value


def effects_before_an_error(compile, see):
    log = []

    def check_(x, limit):
        top = float(x.max())
        if top > limit:
            raise LimitError("max", top)
        return top

    @compile
    def f(x, limit):
        log.append(limit)
        x += 1
        try:
            return x / check_(x, limit)
        finally:
            log.append("left")

    for values, limit in (
        ((1, 2), 5.0),
        ((1, 5), 3.0),
        ((1, 5), 3.0),
        ((2, 7), 3.0),
        ((1, 2), 5.0),
    ):
        see(f, tensor(*values), limit)
        x = tensor(*values)
        try:
            f(x, limit)
        except LimitError as error:
            see.that((error.what, error.value, error.args, x))
        see.that(list(log))


def lines_of_a_chain(compile, see):
    class Chain:
        def next(self):
            return self

        def nothing(self):
            return None

        def refused(self, x):
            raise ValueError(self.next() is x)

    @compile
    def f(x, chain, way):
        # fmt: off
        if way == 0:
            return (chain
                .next()
                .nothing()
                .next(
                    x))
        if way == 1:
            return (chain
                .next(
                )
                .missing
                .next)
        return (chain
            .next()
            .refused(
                x + 1
            ))
        # fmt: on

    for way in (0, 1, 2, 0, 1, 2, 2):
        see(f, tensor(*X), Chain(), way)


def errors_from_errors(compile, see):
    @compile
    def f(x, d, k):
        try:
            return x * d[k]
        except KeyError as error:
            if k == "c":
                raise
            if k == "d":
                raise ValueError("hidden") from None
            raise RuntimeError("outer", k) from error

    def told(k):
        try:
            f(tensor(*X), {"a": 2}, k)
        except Exception as error:
            before = error.__context__
            chain = repr(error.__cause__), repr(before), error.__suppress_context__
            see.that((repr(error), *chain, repr(before and before.__context__)))

    for k in "abbcbddcab":
        see(f, tensor(*X), {"a": 2}, k)
        told(k)
    for k in "bcb":
        try:
            raise OSError("around")
        except OSError:
            told(k)
    told("b")


def errors_of_python(compile, see):
    @compile
    def f(x, i, n):
        if n < 0:
            raise ValueError
        if n == 7:
            raise TypeError("n is " + str(n))
        return x * [1, 2, 3][i] / (1 // n)

    for i, n in ((0, 1), (5, 1), (5, 1), (0, -1), (0, -1), (0, 7), (0, 7), (1, 1), (0, 0), (0, 0)):
        see(f, tensor(*X), i, n)


def errors_with_values_of_tensors(compile, see):
    @compile
    def f(x, k):
        total = x.sum()
        if total > k:
            raise ArithmeticError(f"{float(total):.2f}", int(total), k)
        return total

    for values in (X, (5, 6), (5, 7), (5, 6), X):
        for k in (2.5, 2.5, 3):
            see(f, tensor(*values), k)


def notes_and_lines(compile, see):
    def inner(n):
        error = LookupError("deep", n)
        raise error

    def middle(n):
        return inner(n + 1)

    @compile
    def f(x, n):
        return (
            x
            + middle(n)
        )  # fmt: skip

    for n in (1, 1, 2, 1):
        see(f, tensor(*X), n)
        try:
            f(tensor(*X), n)
        except LookupError as error:
            lines = traceback.extract_tb(error.__traceback__)
            mine = [(at.name, at.line) for at in lines if at.filename == __file__]
            see.that(mine)
            first = error.__traceback__
            see.that(first is not None and first.tb_frame is sys._getframe())


def errors_of_calls_with_stars(compile, see):
    class Callable:
        def __call__(self, *args, **kwargs):
            return args

        def __str__(self):
            return "a callable"

    def told(x, *rest, scale=1, **more):
        return x * scale

    functions = (told, Callable(), abs, lambda *args, **kwargs: args, "text".join)

    @compile
    def f(x, which, rest, more):
        return functions[which](x, *rest, scale=2, **more)

    for rest, more in (((), {}), ((), {}), ((), {"scale": 3}), (5, {}), ((), 7), ((), {})):
        for which in range(5):
            see(f, tensor(*X), which, rest, more)


def errors_let_go(compile, see):
    class Held:
        pass

    @compile
    def f(x, held, n):
        try:
            if n % 3 == 0:
                raise KeyError(n)
        except KeyError:
            raise LookupError("again")
        if n % 3 == 1:
            raise ValueError(n)
        return x * n

    gc.collect()
    gc.disable()
    try:
        for n in (*range(6), *range(6)):
            held, x = Held(), tensor(*X)
            alive = weakref.ref(held), weakref.ref(x)
            with contextlib.suppress(LookupError, ValueError):
                f(x, held, n)
            del held, x
            see.that([one() is None for one in alive])
            see(f, tensor(*X), None, n)
    finally:
        gc.enable()


def deep_recursion(compile, see):
    def down(n):
        return 0 if n == 0 else 1 + down(n - 1)

    @compile
    def f(x, n):
        try:
            return x * down(n)
        except RecursionError:
            return x

    for n in (3, 3, 5, 3):
        see(f, tensor(*X), n)


def compiled_functions_through_each_other(compile, see):
    @compile
    def inner(x, n):
        if n > 2:
            raise IndexError(n)
        return x * n

    @compile
    def outer(x, n):
        try:
            return inner(x, n)
        except IndexError as error:
            if n > 4:
                raise KeyError("far", *error.args)
            return x - n

    for n in (1, 3, 5, 1, 3, 5, 5, 6, 6):
        see(outer, tensor(*X), n)
        see(inner, tensor(*X), n)


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
