"""Context variables, and stacks of context managers, in compiled functions."""

import contextlib
import contextvars

import pytest
from fidelity_runner import check, parameters, tensor

X = (1.0, -2.0, 3.0)


def variables_set_for_a_part(compile, see):
    scale = contextvars.ContextVar("scale", default=1.0)
    log = []

    @contextlib.contextmanager
    def scaled(by):
        token = scale.set(scale.get() * by)
        try:
            yield scale.get()
        finally:
            scale.reset(token)

    @compile
    def f(x, by):
        with scaled(by) as outer:
            x = x * outer
            log.append(scale.get())
            with scaled(2.0):
                x = x + scale.get()
        return x, scale.get()

    for by in (1.5, 1.5, 3.0, 3.0):
        see(f, tensor(*X), by)
    scale.set(tensor(2.0))
    for by in (1.5, 1.5):
        see(f, tensor(*X), by)
    see.that((log, scale.get()))


def variables_set_for_good(compile, see):
    last, other = contextvars.ContextVar("last", default=0), contextvars.ContextVar("other")

    @compile
    def f(x, k):
        before = last.get()
        last.set(before + k)
        last.set(last.get() * 2)
        return x * before, other.get(None), other.get("none"), last.get()

    for k in (1, 1, 2, 2):
        see(f, tensor(*X), k)
        see.that(last.get())
    other.set("some")
    for k in (1, 1):
        see(f, tensor(*X), k)
    see(lambda: contextvars.copy_context().run(f, tensor(*X), 3))
    see.that(last.get())


def variables_that_printing_may_see(compile, see):
    last: contextvars.ContextVar[int] = contextvars.ContextVar("last")

    class Told:
        def __str__(self):
            return str(last.get("unset"))

    told = Told()

    @compile
    def f(x, k):
        token = last.set(k)
        print(told)
        last.reset(token)
        return x * k, last.get(None)

    for k in (1, 1, 2):
        see(f, tensor(*X), k)


def tokens_used_twice(compile, see):
    last: contextvars.ContextVar[int] = contextvars.ContextVar("last")

    @compile
    def f(x, k):
        token = last.set(k)
        last.reset(token)
        if k > 1:
            with contextlib.suppress(RuntimeError):
                last.reset(token)
                x = x * 5
        return x * k, last.get(None)

    for k in (1, 1, 2, 2):
        see(f, tensor(*X), k)


def stacks_of_managers(compile, see):
    log = []

    @contextlib.contextmanager
    def resource(name):
        log.append("+" + name)
        try:
            yield name.upper()
        except KeyError:
            log.append("?" + name)
            raise
        finally:
            log.append("-" + name)

    @compile
    def f(x, names, error):
        with contextlib.ExitStack() as stack:
            opened = [stack.enter_context(resource(name)) for name in names]
            stack.callback(log.append, "called")
            stack.enter_context(contextlib.suppress(ZeroDivisionError))
            if error is not None:
                raise error
            x = x * len(opened)
        return x, opened

    for names in (["a"], ["a", "b"]):
        for error in (None, None, KeyError, KeyError, ZeroDivisionError, ZeroDivisionError):
            see(f, tensor(*X), names, error)
    see.that(log)


def managers_entered_later(compile, see):
    log = []

    @contextlib.contextmanager
    def resource(name):
        log.append(name)
        yield name
        log.append("end")

    @compile
    def f(x, name):
        made = resource(name)
        log.append("made")
        with made as got:
            x = x * len(got)
        return x

    for name in ("ab", "ab", "abc"):
        see(f, tensor(*X), name)
    see.that(log)


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
