"""A line that is logged: a replay logs the same record, at the user's line, exactly once."""

from __future__ import annotations

import io
import logging
import logging.handlers

import numpy as np
import pytest

import dualflow as df

FORMAT = "%(name)s %(levelname)s %(filename)s:%(lineno)d %(funcName)s %(message)s"


class Loud(logging.Handler):
    """A program's own handler, which changes what the function reads."""

    seen = 0

    def emit(self, record):
        Loud.seen += 1


@pytest.fixture
def log():
    """A logger that writes into text, and that text."""
    logger, text = logging.getLogger("dualflow.tests.log"), io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(logging.Formatter(FORMAT))
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.INFO)
    yield logger, text
    for found in list(logger.handlers):
        logger.removeHandler(found)
    logger.setLevel(logging.NOTSET)


def alone(log):
    """The logger and its text, without the handlers that pytest adds to it for each test."""
    logger, text = log
    del logger.handlers[1:]
    return logger, text


def both(fn, text, *calls):
    """What `fn` logs in some calls, undecorated and compiled; and the compiled function."""
    compiled, said = df.compile(fn, wait=True), []
    for run in (fn, compiled):
        text.truncate(0)
        text.seek(0)
        results = [run(*arguments) for arguments in calls]
        said.append((text.getvalue(), [np.asarray(r.numpy()).tolist() for r in results]))
    return said[0], said[1], compiled


def loudly(logger):
    """A function that logs and then reads what handlers change, compiled and called several times;
    it returns what it does undecorated."""

    def f(x, step):
        logger.info("loud")
        return x * Loud.seen

    Loud.seen = 0
    wanted = [f(*arguments).numpy() for arguments in inputs()]
    Loud.seen = 0
    compiled = df.compile(f, wait=True)
    found = [compiled(*arguments).numpy() for arguments in inputs()]
    np.testing.assert_array_equal(found, wanted)
    return compiled


def inputs(count=4):
    return [(df.asarray(np.arange(3, dtype=np.float32) + i), i) for i in range(count)]


def test_a_replay_logs_the_record_of_the_user_s_line(log):
    logger, text = alone(log)

    def f(x, step):
        loss = (x * x).sum()
        logger.info("step %s", "of many")
        logger.info(
            "loss %.3f %s",
            loss.item(),
            True,
        )
        logger.debug("hidden %f", loss.item())
        logger.warning("done")
        return x + loss

    wanted, found, compiled = both(f, text, *inputs())
    assert found == wanted
    assert wanted[0].count("\n") == 12
    assert f":{f.__code__.co_firstlineno + 3} f loss 5.000 True" in wanted[0]
    assert compiled.stats()["replays"] == 3


def test_levels_are_looked_up_when_a_line_is_logged(log):
    logger, text = alone(log)

    def f(x, step):
        logger.debug("now and then")
        return x * 2

    compiled = df.compile(f, wait=True)
    for level in (logging.INFO, logging.DEBUG, logging.INFO, logging.DEBUG):
        logger.setLevel(level)
        compiled(*inputs(1)[0])
    assert text.getvalue().count("now and then") == 2
    assert compiled.stats()["replays"] == 3


def test_a_program_s_own_handler_is_followed(log):
    logger, _ = alone(log)
    logger.addHandler(Loud())
    assert loudly(logger).stats()["replays"] == 3


def test_a_handler_with_ways_of_its_own_runs_in_python(log):
    class Own(Loud):
        def handle(self, record):
            Loud.seen += 1

    logger, _ = alone(log)
    logger.addHandler(Own())
    assert loudly(logger).stats()["replays"] == 0


def test_a_handler_that_came_later_is_called(log):
    logger, text = alone(log)

    def f(x, step):
        logger.info("once")
        return x * 2

    compiled = df.compile(f, wait=True)
    for arguments in inputs():
        compiled(*arguments)
    assert compiled.stats()["replays"] == 3
    logger.addHandler(Loud())
    Loud.seen = 0
    for arguments in inputs():
        compiled(*arguments)
    assert compiled.stats()["replays"] == 6
    assert Loud.seen == 4
    assert text.getvalue().count("once") == 8


def test_shapes_and_tensors_are_logged_as_they_are(log):
    logger, text = alone(log)

    def f(x, step):
        y = x * 2
        logger.info("%s %s", x.shape, y)
        y += 1
        return y

    wanted, found, compiled = both(f, text, *inputs())
    assert found == wanted
    assert compiled.stats()["replays"] == 3


def test_what_handlers_would_keep_is_not_replayed(log):
    logger, text = alone(log)
    logger.addHandler(logging.handlers.MemoryHandler(100))

    def f(x, step):
        y = x * 2
        logger.info("%s", y)
        y += 1
        return y

    wanted, found, compiled = both(f, text, *inputs())
    assert found == wanted
    assert compiled.stats()["replays"] == 0
