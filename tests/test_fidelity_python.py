"""Ordinary Python in compiled functions: text, exceptions, the world."""

# ruff: noqa: UP031, UP032 - the programs are what users write

import contextlib
import logging
import math
import os
import random
import sys
import threading
import warnings

import pytest
from fidelity_runner import check, parameters, tensor

import dualflow as df

X = (1.0, -2.0, 3.0)


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
