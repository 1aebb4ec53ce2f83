"""What is printed, logged and locked, and what runs when a block is left."""

import contextlib
import io
import logging
import logging.handlers
import random
import sys
import threading
from typing import Any

import pytest
from fidelity_runner import check, parameters, tensor

X = (1.0, -2.0, 3.0)


def streams(compile, see):
    log = io.StringIO()

    def table(x, names):
        out = io.StringIO()
        for i, name in enumerate(names):
            print(name.ljust(5), f"{float(x[i]):8.3f}", sep="|", file=out)
        out.write("end")
        return out

    @compile
    def f(x, names):
        found = io.StringIO()
        with contextlib.redirect_stdout(found):
            print("inside", float(x[0]), x)
        print("outside", end="")
        log.write(f"{len(names)} ")
        print(x.shape, file=log)
        made = table(x, names)
        return made.getvalue().splitlines(), found.getvalue(), made

    for row, names in ((X, "ab"), (X, "ab"), ((0.5, 2.0, 1.0), "ab"), (X, "a"), (X, "a")):
        made = see(f, tensor(*row), list(names))[2]
        made.write("!")
        see.that([made.getvalue(), log.getvalue()])
    see.that(sys.stdout is sys.__stdout__)


def streams_closed_between_calls(compile, see):
    kept: list[int] = []

    @compile
    def f(x, stream):
        kept.append(1)
        stream.write("a")
        print("b", file=stream)
        kept.append(2)
        return x * 2

    for closed in (False, True, False):
        text = io.StringIO()
        for _ in range(3):
            see(lambda x, text=text: f(x, text), tensor(*X))
            see.that((text.getvalue(), list(kept)))
        text.close()
        for _ in range(2 if closed else 0):
            see(lambda x, text=text: f(x, text), tensor(*X))
            see.that(list(kept))


def printed_text_read_in_the_call(compile, see):
    text = io.StringIO()

    @compile
    def f(x, stream, read):
        print("hi")
        return x * 2, stream.getvalue() if read else None

    def into(x, read):
        with contextlib.redirect_stdout(text):
            return f(x, text, read)

    for read in (False, False, False, True, True, True):
        see(into, tensor(*X), read)


def output_redirected_in_turn(compile, see):
    @compile
    def f(x, table):
        with contextlib.redirect_stdout(io.StringIO()) as inner:
            table["n"] = table.get("n", 0) + 1
            print(table["n"])
        print(x * 2.0)
        return x, inner.getvalue()

    table = {}
    for n in range(6):
        with contextlib.redirect_stdout(io.StringIO()) as outer:
            see(f, tensor(*X), table)
        see.that((outer.getvalue(), n))


def logging_to_handlers_of_ones_own(compile, see):
    kept = []

    class Keep(logging.Handler):
        count = 0

        def emit(self, record):
            kept.append((record.levelname, record.getMessage(), record.lineno))
            self.count += 1

    class Text(logging.Handler):
        def emit(self, record):
            kept.append(self.format(record))

    log = logging.getLogger("dualflow.tests.handlers")
    log.propagate = False
    log.setLevel(logging.INFO)
    keep, text, stream = Keep(), Text(), logging.StreamHandler(io.StringIO())
    text.setFormatter(logging.Formatter("%(levelname)s:%(name)s:%(message)s"))
    log.handlers[:] = [keep, text, stream]

    @compile
    def f(x):
        log.debug("shape %s", x.shape)
        log.info("sum %.2f", float(x[0]))
        if x[0] > 5:
            log.warning("large: %s", "yes")
        return x * 2

    def some():
        for first in (1.0, 2.0, 9.0, 8.0, 1.5):
            see(f, tensor(first, 2.0))
        see.that([kept, keep.count, stream.stream.getvalue()])

    some()
    log.setLevel(logging.DEBUG)
    some()
    text.setLevel(logging.WARNING)
    log.handlers.remove(stream)
    some()


class Kept(logging.Handler):
    def __init__(self, kept):
        super().__init__()
        self.kept = kept

    def emit(self, record):
        self.kept.append(record.getMessage())


def _logger(handler):
    made = logging.Logger("edges", 10)
    made.propagate = False
    made.addHandler(handler)
    return made


def log_read_in_the_call(compile, see):
    text, kept = io.StringIO(), []
    loggers = (
        _logger(logging.StreamHandler(text)),
        _logger(logging.handlers.MemoryHandler(1, target=Kept(kept))),
        _logger(Kept(kept)),
    )

    @compile
    def f(x, logger, k):
        logger.info("k %s", k)
        return x * k, text.getvalue() if k > 1 else "", len(kept)

    for logger in loggers:
        for k in (1, 1, 1, 2, 2, 3):
            see(lambda x, k, logger=logger: f(x, logger, k), tensor(*X), k)
            see.that((text.getvalue(), list(kept)))


def handlers_with_an_emit_of_their_own(compile, see):
    @compile
    def f(x, logger, kept, k):
        logger.info("k %s", k)
        return x * k, len(kept)

    for made in (Kept, lambda _: logging.StreamHandler(io.StringIO())):
        kept: list[str] = []
        handler: Any = made(kept)
        logger = _logger(handler)
        for own in (False, True, False):
            if own:
                handler.emit = lambda record, kept=kept: kept.extend(["own", record.msg])
            for k in (1, 1, 2):
                see(lambda x, k, a=logger, b=kept: f(x, a, b, k), tensor(*X), k)
                see.that(list(kept))
            vars(handler).pop("emit", None)


def locks(compile, see):
    lock, again = threading.Lock(), threading.RLock()
    total = {"n": 0, "sum": 0.0}

    @compile
    def f(x):
        value = float(x[0])
        with lock:
            total["n"] += 1
            with again as taken:
                total["sum"] += value
        lock.acquire()
        try:
            total["n"] += 1
        finally:
            lock.release()
        with threading.Lock():
            return x / 2, taken, total["n"]

    for i in range(4):
        see(f, tensor(float(i), 2.0))
    see.that([total, lock.locked()])
    lock.acquire()
    waiting = threading.Thread(target=lambda: see(f, tensor(5.0, 2.0)))
    waiting.start()
    waiting.join(0.05)
    see.that([total, waiting.is_alive()])
    lock.release()
    waiting.join()
    see.that([total, lock.locked()])


def stacks_of_exits(compile, see):
    log = []

    @compile
    def f(x):
        with contextlib.ExitStack() as stack:
            stack.callback(log.append, "first")
            stack.callback(log.append, "second")
            with contextlib.suppress(ZeroDivisionError):
                log.append(1 / int(x[0]))
                x = x + 1
        return x

    for first in (1.0, 2.0, 3.0, 0.0, 0.0, 4.0):
        see(f, tensor(first, 1.0))
    try:
        raise ValueError
    except ValueError:
        see(f, tensor(1.0, 1.0))
    see.that(log)


def numbers_drawn(compile, see):
    rng = random.Random(3)

    @compile
    def f(x):
        k = rng.randint(1, 6)
        noise = rng.uniform(-1, 1) + rng.gauss(0, 1) * rng.random() - rng.random()
        return x * k + noise

    for _ in range(5):
        see(f, tensor(*X))
    see.that(rng.random())


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
