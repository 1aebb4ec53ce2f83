"""Warnings in compiled functions: told at their lines, caught, made errors, and filtered."""

import warnings

import pytest
from fidelity_runner import check, parameters, tensor

import dualflow as df

X = (1.0, -2.0, 3.0)


def warnings_told(compile, see):
    @compile
    def f(x, n):
        if n > 1:
            warnings.warn(f"n is {n}")
        warnings.warn("late", DeprecationWarning, stacklevel=1)
        y = x * n
        warnings.warn(RuntimeError.__name__ + f" {float(y[0]):.1f}", UserWarning)
        return y

    for n in (1, 1, 2, 2, 3, 3):
        see(f, tensor(*X), n)


def warnings_caught(compile, see):
    def old(x):
        warnings.warn("old is deprecated", DeprecationWarning, stacklevel=2)
        return x * 2

    @compile
    def f(x, n):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            y = old(x)
            for i in range(n):
                warnings.warn(f"step {i}")
        told = [(str(w.message), w.category.__name__, w.lineno) for w in caught]
        return y, told, len(caught), caught[0].filename == __file__

    for n in (1, 1, 2, 2, 0, 0):
        see(f, tensor(*X), n)


def warnings_that_are_errors(compile, see):
    @compile
    def f(x, n):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                if n:
                    warnings.warn(f"bad {n}", FutureWarning)
            except FutureWarning as error:
                return x, str(error)
        return x * 2, None

    for n in (1, 1, 0, 0, 2, 2):
        see(f, tensor(*X), n)


def warnings_of_kinds(compile, see):
    @compile
    def f(x):
        with warnings.catch_warnings(record=True) as outer:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", DeprecationWarning)
            warnings.filterwarnings("ignore", message="not this", category=DeprecationWarning)
            warnings.warn("one")
            warnings.warn("two", DeprecationWarning)
            warnings.warn("not this one", DeprecationWarning)
            with warnings.catch_warnings(record=True, action="default") as inner:
                for _ in range(3):
                    warnings.warn("again")
            warnings.warn("three", DeprecationWarning)
        return x, [str(w.message) for w in outer], [str(w.message) for w in inner]

    for _ in range(3):
        see(f, tensor(*X))


def filters_change_between_calls(compile, see):
    @compile
    def f(x):
        warnings.warn("told")
        return x * 2

    for action in ("always", "always", "error", "error", "ignore", "ignore", "always"):
        see(lambda x, action=action: _under(action, f, x), tensor(*X))


def _under(action, f, x):
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        return f(x)


def warnings_shown_by_a_program(compile, see):
    log = []

    @compile
    def f(x):
        warnings.warn("told")
        return x * len(log)

    before = warnings.showwarning
    for shown in (None, None, log.append, log.append, None):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            if shown is not None:
                warnings.showwarning = lambda message, *rest: log.append(str(message))
            result = f(tensor(*X))
        see.that(result)
        see(f, tensor(*X))
        see.that(log)
    warnings.showwarning = before


def filters_for_good(compile, see):
    @compile
    def f(x):
        warnings.simplefilter("ignore")
        warnings.warn("told")
        return x

    for _ in range(3):
        see(f, tensor(*X))


def _told(f, x):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(4):
            f(x)  # the line that is told
    return [(w.filename, w.lineno, str(w.message)) for w in told]


def test_lines_of_callers():
    def inner():
        warnings.warn("caller", stacklevel=2)
        warnings.warn("outside", stacklevel=3)
        warnings.warn("further", stacklevel=4)

    def f(x):
        inner()
        return x * 2

    compiled = df.compile(f, wait=True)
    assert _told(compiled, tensor(*X)) == _told(f, tensor(*X))
    assert compiled.stats()["replays"] == 3


def test_told_once():
    def f(x):
        warnings.warn("once", stacklevel=2)
        return x * 2

    def calls(f):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("default")
            for _ in range(4):
                f(tensor(*X))
        return len(told)

    compiled = df.compile(f, wait=True)
    assert calls(compiled) == calls(f) == 1
    assert compiled.stats()["replays"] == 3


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
