"""Compiled generator functions and coroutines: each stretch between two stops is a call."""

import asyncio
import contextlib
import inspect
import types

import pytest
from fidelity_runner import check, parameters, tensor

import dualflow as df

X = (1.0, -2.0, 3.0)


def loops_and_values_sent(compile, see):
    @compile
    def running(xs, n):
        total, count = None, 0
        for i, x in enumerate(xs):
            total = x if total is None else total + x * i
            while count < n:
                sent = yield total, count
                if sent is not None:
                    total = total + sent
                count += 1
            else:
                count = 0
        return total

    def drive(xs, n):
        made, found = running(xs, n), []
        sent = None
        while True:
            try:
                found.append(made.send(sent))
            except StopIteration as over:
                return found, over.value, next(made, "over")
            sent = 2.0 if len(found) % 2 else None

    for k in (1, 1, 2, 2):
        see(drive, [tensor(*X), tensor(k, k, k)], k)


def generators_with_cleanup(compile, see):
    log = []

    @compile
    def steps(x, most):
        log.append("start")
        try:
            for i in range(most):
                x = x * 2
                yield i, x
            return "all"
        except ValueError as error:
            log.append(str(error))
            y = x - 1
        finally:
            log.append("end")
        yield "after", y

    def broken(x, n):
        found = []
        for i, y in steps(x, 9):
            found.append(y)
            if i == n:
                break
        return found

    def thrown(x, error):
        made = steps(x, 3)
        return next(made), made.throw(error), list(made)

    for n in (1, 1, 2):
        see(broken, tensor(*X), n)
        see.that(list(log))
        see(thrown, tensor(*X), ValueError("into"))
        see(thrown, tensor(*X), KeyError("through"))
        see(lambda n=n: list(steps(tensor(*X), n)))
        see.that(list(log))


def stops_within_expressions(compile, see):
    seen = []

    @compile
    def f(x, d, /, *rest, scale=1.0, **more):
        seen.append((yield x * scale))
        key = yield "key"
        d[key] = x + (yield "left") * 2 - (yield "right")
        x += yield rest
        if (yield "branch") > 1:
            x = -x
        y = yield x
        y.append((yield len(y)))
        return (yield), y, more, [x * k for k in (1, 2)]

    def drive(x, d, *sent):
        made = f(x, d, 1, 2, scale=2.0, a=3)
        found = [next(made)]
        for value in sent:
            try:
                found.append(made.send(value))
            except StopIteration as over:
                return found, over.value, d
        return None

    for k in (1, 1, 2, 2):
        see(drive, tensor(*X), {}, "s", "k", 3.0, tensor(*X), 1.0, k, [], 5, "last")
        see.that(list(seen))


def yield_from_others(compile, see):
    def inner(x, n):
        for _ in range(n):
            got = yield x
            x = x + (got or 0)
        return x * 3

    @compile
    def f(x, n):
        x = yield from inner(x * 2, n)
        yield from [x, n]
        yield x

    for n in (1, 2, 2):
        see(lambda n=n: list(f(tensor(*X), n)))


def errors_at_their_lines(compile, see):
    @compile
    def f(x, n):
        y = x * 2
        yield y
        if n > 1:
            raise ValueError(f"n is {n}")
        yield y / n
        raise StopIteration(n)

    def taken(n):
        return list(f(tensor(*X), n))

    for n in (2, 1, 2, 1, 0):
        see(taken, n)
    see(f)
    see(lambda: f(1, 2, 3))


def coroutines(compile, see):
    log = []

    @compile
    async def work(x, n):
        for i in range(n):
            x = x * 2 + i
            await asyncio.sleep(0)
            log.append((n, i))
        try:
            x = x + await fails(x, n)
        except ZeroDivisionError as error:
            log.append(str(error))
        return x

    async def fails(x, n):
        await asyncio.sleep(0)
        return 1 // (n - 2)

    async def both(x, n):
        return await asyncio.gather(work(x, n), work(x, 3))

    for n in (4, 4, 2, 2):
        see(lambda n=n: asyncio.run(both(tensor(*X), n)))
        see.that(list(log))


def methods_that_yield(compile, see):
    class Tree:
        def __init__(self, value, children=()):
            self.value, self.children = value, children

        @compile
        def walk(self, scale):
            yield self.value * scale
            for child in self.children:
                yield from child.walk(scale)

    tree = Tree(tensor(1.0), [Tree(tensor(2.0), [Tree(tensor(3.0))]), Tree(tensor(4.0))])
    for k in (1, 1, 2.0):
        see(lambda k=k: list(tree.walk(k)))


def not_entered_in_the_middle(compile, see):
    @compile
    def f(x, n):
        with contextlib.suppress(KeyError):
            for i in range(n):
                x = x * 2 + i
                got = yield x
                x = x if got is None else x + got * 3
        del got
        yield x

    def drive(x, error):
        made = f(x, 3)
        return next(made), made.send(2.0), made.throw(error), list(made)

    for error in (KeyError("a"), KeyError("a"), ValueError("b")):
        see(drive, tensor(*X), error)


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)


def test_every_stretch_is_replayed():
    def f(x, n):
        for i in range(n):
            x = x * 2 + i
            yield x

    compiled = df.compile(f, wait=True)
    for k in range(4):
        x = df.tensor([1.0, 2.0]) + k
        assert [y.tolist() for y in compiled(x, 3)] == [y.tolist() for y in f(x, 3)]
    stats = compiled.stats()
    assert (stats["calls"], stats["replays"], stats["recordings"]) == (20, 16, 4)
    assert stats["co_executions"] == stats["eager_calls"] == 0
    assert compiled.way == "replay"
    assert "replay" in compiled.explain()


def test_stretches_that_are_not_entered_run_fused():
    def f(x):
        with contextlib.suppress(ValueError):
            yield x * 2 + 1
            yield x * x - 1

    compiled = df.compile(f, wait=True)
    for _ in range(3):
        assert [y.tolist() for y in compiled(df.tensor([3.0]))] == [[7.0], [8.0]]
    stats = compiled.stats()
    assert (stats["co_executions"], stats["replays"]) == (9, 0)
    assert (stats["operations_fused"], stats["operations_eager"]) == (12, 0)
    assert "cannot be entered" in compiled.explain()


def test_what_is_given_is_a_generator_of_that_name():
    compiled = df.compile(lambda: (yield df.ones(1)), wait=True)
    made = compiled()
    assert type(made) is types.GeneratorType
    assert inspect.getgeneratorstate(made) == "GEN_CREATED"
    assert next(made).tolist() == [1.0]
    assert compiled.stats()["calls"] == 1


def test_what_a_generator_holds_dies_with_it():
    class Dies:
        def __del__(self):
            dead.append(True)

    dead: list[bool] = []

    def f(x, held):
        yield x * 2
        held = x
        yield held * 3

    for _ in range(3):
        made = df.compile(f, wait=True)(df.ones(2), Dies())
        next(made)
        assert not dead
        next(made)
        assert len(dead) == 1
        dead.clear()


def test_asyncio_knows_coroutines():
    async def f(x):
        return x * 2

    compiled = df.compile(f, wait=True)
    assert asyncio.iscoroutinefunction(compiled)
    assert not asyncio.iscoroutinefunction(df.compile(lambda x: x))
    for _ in range(2):
        assert asyncio.run(compiled(df.ones(1))).tolist() == [2.0]
    assert compiled.stats()["replays"] == 1


def test_a_coroutine_that_nobody_awaits():
    async def f(x):
        return x

    with pytest.warns(RuntimeWarning, match=r"f' was never awaited") as told:
        df.compile(f, wait=True)(1)
    assert len(told) == 1
