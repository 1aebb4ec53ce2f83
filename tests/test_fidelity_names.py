"""Names that are there or not, errors of names and of the library that leave, locals of threads."""

import re
import threading

import numpy as np
import pytest
from fidelity_runner import check, parameters, tensor

import dualflow as df

X = (1.0, -2.0, 3.0)
LATER: float


def a_global_comes_and_goes(compile, see):
    @compile
    def f(x):
        return x * LATER

    @compile
    def tried(x):
        try:
            return x * LATER
        except NameError as error:
            return x, str(error), error.name

    for value in (None, None, None, 2.0, 2.0, 3.0, None, None):
        globals().pop("LATER", None)
        if value is not None:
            globals()["LATER"] = value
        see(f, tensor(*X))
        see(tried, tensor(*X))
    globals().pop("LATER", None)


def a_builtin_of_that_name(compile, see):
    import builtins

    @compile
    def f(x):
        return x * NEW  # noqa: F821 # pyright: ignore

    for value in (None, None, None, 5.0, 5.0, None, None):
        vars(builtins).pop("NEW", None)
        if value is not None:
            vars(builtins)["NEW"] = value
        see(f, tensor(*X))
    vars(builtins).pop("NEW", None)


def locals_that_are_not_bound(compile, see):
    @compile
    def f(x, n):
        if n > 1:
            k = n
        try:
            return x * k
        except UnboundLocalError:
            return x

    @compile
    def captured(x, n):
        def inner():
            return k

        if n > 1:
            k = n
        return x * inner()

    for n in (1, 1, 1, 2, 2, 1):
        see(f, tensor(*X), n)
        see(captured, tensor(*X), n)


def a_name_that_the_call_takes_away(compile, see):
    space = globals()

    @compile
    def f(x):
        global LATER
        y = x * LATER
        del LATER
        return y * LATER  # noqa: F821

    for _ in range(4):
        space["LATER"] = 2.0
        see(f, tensor(*X))
        see.that("LATER" in space)


def errors_of_the_library_leave(compile, see):
    @compile
    def f(x, axis):
        return df.sum(x * 2, axis=axis)

    @compile
    def array(x, axis):
        return np.sum(x * 2, axis=axis)

    for axis in (0, 1, 1, 1, 0, -3, -3):
        see(f, tensor(*X), axis)
        see(array, np.array(X), axis)
    for axis in (1, 1, 2):
        see(f, df.ones((2, 2)), axis)


def locals_of_threads(compile, see):
    local = threading.local()
    table = {"local": local}

    @compile
    def f(x, k):
        local.count = getattr(local, "count", 0) + 1
        if hasattr(local, "scale"):
            return x * local.scale, local.count
        return x * k, table["local"].count

    def some():
        for i in range(5):
            see(f, tensor(*X), 2)
            if i == 2:
                local.scale = 3.0
        see.that(vars(local))

    some()
    other = threading.Thread(target=some)
    other.start()
    other.join()
    del local.scale
    see(f, tensor(*X), 2)
    table["local"] = threading.local()
    see(f, tensor(*X), 2)


def what_is_found_in_texts(compile, see):
    number = re.compile(r"(?P<name>\w+)=(?P<value>[\d.]+)")

    @compile
    def f(x, text):
        found = {m["name"]: float(m[2]) for m in number.finditer(text)}
        first = number.search(text)
        try:
            return x * found["k"], first[0], first["other"]
        except (IndexError, KeyError, TypeError) as error:
            return x, str(error)

    for text in ("k=2.5 b=1", "k=2.5 b=1", "b=1", "b=1", "", "k=3", "k=3"):
        see(f, tensor(*X), text)


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
