"""Loggers: a line that is logged is an effect that a replay redoes, by the logger itself.

Comes in: calls of `Logger.info` and the like. Goes out: their plans. A record names the line that
logs, which is known; everything else (levels, filters, time, text) is found when it is redone. What
handles it must be Python's own: another handler might change what the call reads afterwards.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

from dualflow.base.source import inside_package

from .. import item_reads, shadows, templates
from ..classes import lookup, special
from ..kinds import STREAMS
from ..provenance import CONSTANT, Node, Origin

if TYPE_CHECKING:
    from ..plans import Call, Plan

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_PLAIN = (str, int, float, bool, type(None))
_STREAMS = (*STREAMS, type(None))
#: what a handler does with a record before it emits it
_HANDLING = ("handle", "acquire", "release", "filter")
_EMITTING = (*_HANDLING, "emit", "format", "flush", "handleError", "target")
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
    extra = _extra(call)
    if extra is None or not values or not shown:
        call.refuse("logging of something that is no plain value")
        return None
    if not ordinary(logger):
        return _followed(call, extra)
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
    pairs: list[tuple[Any, Origin]] = [(value, CONSTANT) for value in (*fixed, tuple(extra))]
    pairs += extra.values()
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


def _extra(call: Call) -> dict[str, tuple[Any, Origin]] | None:
    """The attributes that `extra` gives a record, each with its origin; None if that is not
    known."""
    given, frame = call.kwargs.get("extra", {}), call.frame
    if set(call.kwargs) - {"extra"} or type(given) is not dict:
        return None
    if "extra" not in call.where:
        return {}
    logging: Any = sys.modules["logging"]
    own = {"message", "asctime", *vars(logging.makeLogRecord({}))}
    if not all(type(name) is str and name not in own for name in given):
        return None
    parts = item_reads.dict_items(frame, given, call.recorder.origin(call.where["extra"], given))
    plain = all(type(v) in _PLAIN or shadows.plain_tuple(v) for v in given.values())
    return {name: (given[name], part) for name, part in parts} if plain else None


def _followed(call: Call, extra: dict[str, tuple[Any, Origin]]) -> Plan | None:
    """Logging by handlers of a program's own: what they do with a record is followed."""
    recorder, (logger, text, *values) = call.recorder, call.args
    node = recorder.as_node(call.origins[0], logger)
    level = _LEVELS[call.function.__name__]
    if node is None or not _library(logger):
        call.refuse("logging by filters or loggers that are a program's own")
        return None
    for name in _PARTS:
        recorder.classes.guard_special(call.origins[0], logger, name)
    enabled = logger.isEnabledFor(level)
    recorder.guard("{0}.isEnabledFor({k0}) is {k1}", node, constants=(level, enabled))
    recorder.guard("{k0}({0})", node, constants=(_library,))
    if not enabled:
        return call.plan(lambda out: CONSTANT)
    steps = _steps(call, node, level)
    if steps is None or not all(type(v) in _PLAIN or shadows.plain_tuple(v) for v in values):
        call.refuse("logging of what may change, by handlers that may keep it")
        return None
    line = _caller()

    def run(*args: Any, **kwargs: Any) -> None:
        record = logger.makeRecord(
            logger.name, level, *line[:2], text, tuple(values), None, line[2],
            {name: value for name, (value, _) in extra.items()}, None,
        )  # fmt: skip
        origin = _record(call, node, record, extra)
        for handler, where, emit in steps:
            if emit is None:
                fixed = (level, *line, tuple(extra))
                pairs = [*((part, CONSTANT) for part in fixed), (handler, where), *extra.values()]
                pairs += zip(call.args, call.origins, strict=True)
                recorder.effects.append(("call", hand_over, pairs, recorder.effect_line()))
                handler.handle(record)
                continue
            recorder.locks[recorder.nodes("{0}.lock", (where,))] = handler.lock
            with handler.lock:
                call.frame.invoke(emit, CONSTANT, (handler, record), (where, origin))

    return call.plan(lambda out: CONSTANT, run)


def _record(call: Call, node: Node, record: Any, extra: dict[str, Any]) -> Origin:
    """The origin of a record: what decides the rest of it (the time, the thread) is not known."""
    recorder = call.recorder
    known = ("levelname", "levelno", "pathname", "filename", "module", "lineno", "funcName",
             "exc_info", "exc_text", "stack_info")  # fmt: skip
    parts: dict[str, Origin] = dict.fromkeys(known, CONSTANT)
    parts["name"] = recorder.read(recorder.nodes("{0}.name", (node,)), record.name)
    parts["msg"], given = call.origins[1], list(call.origins[2:])
    parts["args"] = recorder.born(record.args, "tuple", given) if given else CONSTANT
    parts |= {name: part for name, (_, part) in extra.items()}
    return recorder.born(record, "instance", parts)


def _steps(call: Call, node: Node, level: int) -> list[tuple[Any, Node, Any]] | None:
    """The handlers that get a record, with where they are found and, of those of a program, the
    `emit` that is followed."""
    recorder = call.recorder
    found = handlers(call.args[0])
    path = recorder.nodes("{k0}({0})", (node,), (handlers,))
    recorder.guard("len({0}) == {k0}", path, constants=(len(found),))
    steps: list[tuple[Any, Node, Any]] = []
    for i, handler in enumerate(found):
        at = recorder.nodes("{0}[{k0}]", (path,), (i,))
        recorder.read(at, handler)
        passes = handler.level <= level
        recorder.guard("({0}.level <= {k0}) is {k1}", at, constants=(level, passes))
        if not passes:
            continue
        if _ordinary(handler):
            recorder.guard("{k0}({0})", at, constants=(_ordinary,))
            steps.append((handler, at, None))
            continue
        emit = special(type(handler), "emit")
        base = vars(sys.modules["logging"])["Handler"]
        plain = all(lookup(type(handler), n)[1] is lookup(base, n)[1] for n in _HANDLING)
        if emit is None or not plain or handler.filters or handler.lock is None:
            call.refuse("a handler that handles records in a way of its own")
            return None
        if _instead(handler):
            call.refuse("a handler that handles records in a way of its own")
            return None
        recorder.guard("not {k0}({0})", at, constants=(_instead,))
        for name in ("emit", *_HANDLING):
            recorder.classes.guard_special(at, handler, name)
        recorder.guard("not {0}.filters", at)
        steps.append((handler, at, emit))
    return steps


def _library(logger: Any) -> bool:
    """Whether a logger and its records are Python's own, and no filter stands between."""
    logging: Any = sys.modules["logging"]
    plain = type(logger) in (logging.Logger, logging.RootLogger) and not logger.filters
    plain = plain and vars(logger).keys().isdisjoint(_PARTS)
    return plain and logging.getLogRecordFactory() is logging.LogRecord


def handlers(logger: Any) -> tuple[Any, ...]:
    """All that handles a logger's records, in order."""
    found, at = [], logger
    while at is not None:
        found += at.handlers
        at = at.parent if at.propagate else None
    return tuple(found)


def _instead(handler: Any) -> bool:
    """Whether a handler itself, not its class, says what happens to records."""
    return not vars(handler).keys().isdisjoint(_EMITTING)


def _ordinary(handler: Any) -> bool:
    """Whether a handler is Python's own, and so are its formatter and its stream."""
    logging: Any = sys.modules["logging"]
    own = type(handler).__module__ in ("logging", "logging.handlers")
    formatted = handler.formatter is None or type(handler.formatter) is logging.Formatter
    stream = type(getattr(handler, "stream", None)) in _STREAMS
    return own and formatted and stream and not handler.filters and not _instead(handler)


def hand_over(
    level: int, file: str, line: int, function: str, names: tuple[str, ...], handler: Any,
    *rest: Any,
) -> None:  # fmt: skip
    """What one handler gets of `logger.info(*message, extra=...)` at that line of a file; the rest
    is what `names` are, the logger, the message."""
    handler.handle(_made(level, file, line, function, names, *rest))


def log(
    level: int, file: str, line: int, function: str, names: tuple[str, ...], *rest: Any
) -> None:
    """What `logger.info(*message, extra=...)` does at that line of a file."""
    logger = rest[len(names)]
    if logger.isEnabledFor(level):
        logger.handle(_made(level, file, line, function, names, *rest))


def _made(
    level: int, file: str, line: int, function: str, names: tuple[str, ...], *rest: Any
) -> Any:
    extra = dict(zip(names, rest, strict=False))
    logger, text, *values = rest[len(names) :]
    return logger.makeRecord(
        logger.name, level, file, line, text, tuple(values), None, function, extra, None
    )


def ordinary(logger: Any) -> bool:
    """Whether all that handles a logger's records is Python's own."""
    return _library(logger) and all(map(_ordinary, handlers(logger)))


def at_once(logger: Any) -> bool:
    """Whether all that handles a logger's records writes them as they come, and keeps none."""
    logging: Any = sys.modules["logging"]
    writing = (logging.StreamHandler, logging.NullHandler)
    return all(isinstance(found, writing) for found in handlers(logger))


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
