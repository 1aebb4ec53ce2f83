"""Corners of the language that CPython's own tests found: names, delegation, frames, copies."""

# ruff: noqa: B905, RUF058 - the programs are what users write

import copy
import gc
import itertools
import logging
import pickle
import sys
import traceback
import warnings
import weakref
from collections import namedtuple

import pytest
from fidelity_runner import check, parameters

import dualflow as df
from dualflow.capture.reasons import Reason


def private_names(compile, see):
    class Owner:
        def f(self, x, *, __a=42, __b=3):
            __c = x + __a + __b

            def __g():
                return __c

            class __Inner:
                __z = 5

                def __m(self, *, __k=4):
                    return __k + self.__z

                def n(self):
                    return self.__m()

            for __i in range(3):
                __c += __i
            try:
                __c //= x - 1
            except ZeroDivisionError as __e:
                __c += len(__e.args)
            return __g() + __Inner().n() + len([__q + 1 for __q in range(__c)])

    f = compile(Owner.f)
    owner = Owner()
    for x in (1, 1, 2, 2):
        see(f, owner, x)


def generators_that_delegate_to_each_other(compile, see):
    @compile
    def f():
        def one():
            yield 0
            yield from two()
            yield 3

        def two():
            yield 1
            try:
                yield from first
            except ValueError as error:
                yield str(error)
            yield 2

        first = one()
        return list(first)

    for _ in range(3):
        see(f)


def delegation_that_an_error_leaves(compile, see):
    def inner(x):
        yield x
        raise ValueError

    def outer(x):
        try:
            yield from inner(x)
        finally:
            yield x * 2

    @compile
    def f(x):
        found = []
        try:
            for value in outer(x):
                found.append(value)
        except ValueError:
            pass
        return found

    for x in (1, 1, 2):
        see(f, x)


def what_an_iterator_returns_to_yield_from(compile, see):
    class Steps:
        def __init__(self, end):
            self.end = end

        def __iter__(self):
            return self

        def __next__(self):
            raise StopIteration(self.end)

    class Made:
        def __init__(self, end):
            self.end = end

        def __iter__(self):
            got = yield self.end
            return got, self.end

    def outer(kind, end):
        result = yield from kind(end)
        yield result

    @compile
    def f(kind, end):
        return list(outer(kind, end))

    @compile
    def g(end):
        made = outer(Made, end)
        return next(made), made.send("sent")

    for kind, end in ((Steps, 42), (Steps, 42), (Made, 1), (Made, 1), (Made, 2)):
        see(f, kind, end)
        see(g, end)


def iterators_that_give_nothing(compile, see):
    def no_iterator():
        return 0

    class Things:
        def __iter__(self):
            return weakref.proxy(no_iterator)

    @compile
    def f(things):
        return list(things)

    @compile
    def g(x):
        return x + 1

    for k in range(3):
        see(f, Things())
        see(g, k)


def containers_that_hold_themselves(compile, see):
    @compile
    def f(k):
        a, b = [k, 2], {1: k}
        a.append(a)
        b[2] = b
        pair = ([],)
        pair[0].append(pair)
        made = copy.deepcopy(pair)
        return str(a), f"{b}", made is pair, made[0][0] is made

    @compile
    def g(k):
        class Emptying:
            def __eq__(self, other):
                held.clear()
                return NotImplemented

        held = {k: set()}
        return (k, Emptying()) in held.items(), (k + 1, 0) in held.items(), held

    for k in (1, 1, 2):
        see(f, k)
        see(g, k)


def copies_of_objects_that_answer_for_all(compile, see):
    class Strict:
        def __getattribute__(self, name):
            if name.startswith("__reduce"):
                raise AttributeError(name)
            return object.__getattribute__(self, name)

    asked = []

    class Open:
        def __getattr__(self, name):
            asked.append(name)
            raise AttributeError(name)

    @compile
    def f(value):
        return type(copy.copy(value)).__name__

    for _ in range(3):
        see(f, Strict())
        see(f, Open())
    see.that(asked)


def modules_of_named_tuples(compile, see):
    @compile
    def f(x):
        made = namedtuple("made", "a b")
        return made.__module__, made(x, 2).b

    for x in (1, 1, 2):
        see(f, x)


def arguments_by_name(compile, see):
    @compile
    def f(x):
        return round(number=x, ndigits=1), round(x, ndigits=1), int(x), sum((x, 1), start=x)

    for x in (2.55, 2.55, 3.0):
        see(f, x)


def frames_looked_at(compile, see):
    def below(x):
        y = x + 1
        return sorted(sys._getframe(1).f_locals), y

    def outer(x):
        a, b = x, [x]
        for b[0] in range(3):
            a += b[0]
        return below(a)

    def failing(x):
        y = x
        with open(__file__):
            y //= 0
        return y

    @compile
    def f(x):
        return outer(x), [line.f_code.co_name for line in [sys._getframe()]]

    @compile
    def g(x):
        try:
            failing(x)
        except ZeroDivisionError as error:
            told = traceback.TracebackException.from_exception(error, capture_locals=True)
            return [sorted(line.locals or ()) for line in told.stack]
        return None

    for x in (1, 1, 2):
        see(f, x)
        see(g, x)


def double(x):
    return x * 2


def iterators_copied_and_pickled(compile, see):
    @compile
    def f(xs):
        found = []
        for made in (
            map(double, xs), filter(None, xs), zip(xs, iter(xs)), enumerate(xs), reversed(xs),
            itertools.accumulate(xs), itertools.accumulate(xs, max), itertools.cycle(xs),
            itertools.zip_longest(xs, iter(xs)), itertools.takewhile(bool, iter(xs)),
            itertools.starmap(double, zip(xs)), itertools.islice(iter(xs), 3),
        ):  # fmt: skip
            next(made)
            again = [pickle.loads(pickle.dumps(made)), copy.deepcopy(made)]
            found += [next(one) for one in (*again, made)]
        return found

    for xs in ([1, 2, 3], [1, 2, 3], (4, 5, 6)):
        see(f, xs)


def a_group_asked_while_it_is_asked(compile, see):
    @compile
    def f(xs):
        group = ()

        def key(n):
            if n == 5:
                list(group)
            return n != 6

        found = []
        for kind, group in itertools.groupby(xs, key):
            found.append((kind, list(group)))
        return found

    for _ in range(3):
        see(f, range(10))


def test_callers_are_counted_as_undecorated():
    """`stacklevel` is about the caller's line, however the call runs, and so are log lines."""
    told = []

    class Keep(logging.Handler):
        def emit(self, record):
            told.append(record.lineno)

    log = logging.Logger("a")
    log.addHandler(Keep())

    def plain(x, k):
        warnings.warn("from here", stacklevel=2)
        log.warning("from here", stacklevel=2)
        return x + 1

    def both(f):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            here = sys._getframe().f_lineno + 2
            for k in range(4):
                f(df.ones(3), object() if k % 2 else k)
        assert [(one.filename, one.lineno) for one in seen] == [(__file__, here)] * 4
        assert told == [here] * 4
        told.clear()

    both(plain)
    f = df.compile(plain)
    f._stop = Reason("only co-execution is under test", None)
    both(f)
    assert f.way == "co-execute"
    both(df.compile(plain))
    with df.config(mode="eager"):
        both(df.compile(plain))


def test_memory_is_free_where_a_recording_is_given_up():
    class Thing:
        pass

    @df.compile
    def f(held):
        for _ in range(3):
            held.append(Thing())
        seen = []
        while held:
            seen.append(weakref.ref(held.pop()))
            gc.collect()
            assert seen[-1]() is None
        return gc.get_threshold()

    assert f([]) == f([]) == gc.get_threshold()


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
