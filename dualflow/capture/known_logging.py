"""Loggers: a line that is logged is an effect that a replay redoes, by the logger itself.

Comes in: calls of `Logger.info` and the like. Goes out: their plans. A record names the line that
logs, which is known; everything else (levels, filters, time, text) is found when it is redone. What
handles it must be Python's own: another handler might change what the call reads afterwards.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

from dualflow.base.source import inside_package

from . import shadows, templates
from .provenance import CONSTANT, Origin

if TYPE_CHECKING:
    from .plans import Call, Plan

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_PLAIN = (str, int, float, bool, type(None))
_STREAMS = (io.TextIOWrapper, io.StringIO, type(None))
_PARTS = ("_log", "findCaller", "makeRecord", "handle", "callHandlers", "filter", "isEnabledFor")


def handler(function: Any) -> Callable[[Call], Plan | None] | None:
    """What follows a method of `logging.Logger`; None for other functions."""
    logging = sys.modules.get("logging")  # there is no logger where nobody has imported it
    if logging is None or function.__globals__ is not vars(logging):
        return None
    name = function.__name__
    known = name in _LEVELS and vars(logging.Logger).get(name) is function
    return _logged if known else None


def _logged(call: Call) -> Plan | None:
    """`logger.info(text, *values)`."""
    recorder, (logger, *values) = call.recorder, call.args
    shown = all(templates.showable(recorder, value) for value in values)
    if call.kwargs or not values or not shown:
        call.refuse("logging of something that is no plain value")
        return None
    if not ordinary(logger):
        call.refuse("logging by handlers, filters or formatters that are a program's own")
        return None
    kept = [v for v in values if not (type(v) in _PLAIN or shadows.plain_tuple(v))]
    if kept and not at_once(logger):
        call.refuse("logging of what may change, by handlers that may keep it")
        return None
    node = recorder.as_node(call.origins[0], logger)
    if node is None:
        call.refuse("a logger of unknown origin")
        return None
    for name in _PARTS:
        recorder.classes.guard_special(call.origins[0], logger, name)
    recorder.guard("{k0}({0})", node, constants=(ordinary,))
    if kept:
        recorder.guard("{k0}({0})", node, constants=(at_once,))
    fixed = (_LEVELS[call.function.__name__], *_caller())
    pairs: list[tuple[Any, Origin]] = [(value, CONSTANT) for value in fixed]
    for value, origin in zip(call.args, call.origins, strict=True):
        if value is logger or type(value) in _PLAIN:
            pairs.append((value, origin))
        else:  # as it is now
            template = templates.Template(recorder)
            made = template.node(f"({template.of(value, origin)})")
            pairs.append((None if made is not CONSTANT else value, made))
    recorder.effects.append(("call", log, pairs, recorder.effect_line()))
    recorder.late.reads_on()  # the call itself stays in the user's frame, whose line is logged

    def finish(out: Any) -> Origin:
        recorder.late.reads_no_more()
        return CONSTANT

    return call.plan(finish)


def log(level: int, file: str, line: int, function: str, logger: Any, *message: Any) -> None:
    """What `logger.info(*message)` does at that line of a file."""
    if logger.isEnabledFor(level):
        (text, *values) = message
        record = logger.makeRecord(
            logger.name, level, file, line, text, tuple(values), None, function, None, None
        )
        logger.handle(record)


def ordinary(logger: Any) -> bool:
    """Whether all that handles a logger's records is Python's own."""
    logging: Any = sys.modules["logging"]
    if type(logger) not in (logging.Logger, logging.RootLogger) or logger.filters:
        return False
    if logging.getLogRecordFactory() is not logging.LogRecord:
        return False
    at = logger
    while at is not None:
        for found in at.handlers:
            own = type(found).__module__ in ("logging", "logging.handlers")
            formatted = found.formatter is None or type(found.formatter) is logging.Formatter
            if not own or not formatted or found.filters:
                return False
            if type(getattr(found, "stream", None)) not in _STREAMS:
                return False
        at = at.parent if at.propagate else None
    return True


def at_once(logger: Any) -> bool:
    """Whether all that handles a logger's records writes them as they come, and keeps none."""
    logging: Any = sys.modules["logging"]
    at = logger
    while at is not None:
        writes = (isinstance(found, (logging.StreamHandler, logging.NullHandler))
                  for found in at.handlers)  # fmt: skip
        if not all(writes):
            return False
        at = at.parent if at.propagate else None
    return True


def _caller() -> tuple[str, int, str]:
    """The line that logs, as `Logger.findCaller` gives it."""
    logging: Any = sys.modules["logging"]
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        own = os.path.normcase(code.co_filename) == logging._srcfile
        if not own and not inside_package(code.co_filename):
            return code.co_filename, frame.f_lineno, code.co_name
        frame = frame.f_back
    return "(unknown file)", 0, "(unknown function)"
