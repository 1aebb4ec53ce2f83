"""Exceptions that leave a compiled function: a replay does what was done before, and raises one
like it, with a traceback that names the same lines.

Comes in: an exception of a recorded call. Goes out: what a replay makes of it, if all is known.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, final

from .emit import Marker
from .provenance import SCALARS, Born

if TYPE_CHECKING:
    from .frame import Frame
    from .recorder import Recorder

#: errors that hold more than their arguments
_MORE = (OSError, ImportError, SyntaxError, UnicodeError, StopIteration, AttributeError,
         BaseExceptionGroup)  # fmt: skip
Stub = tuple[Callable[[], types.GeneratorType], int]


@final
class Leaving:
    """An exception that leaves the call."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


def leaving(recorder: Recorder, frame: Frame, error: BaseException) -> tuple[Leaving, Born] | None:
    """What a replay raises; None, and the recording is refused, if that is not known.

    Called where nothing is handled but `error` itself.
    """
    if recorder.dead or not _made_again(recorder, frame, error):
        return None
    recorder.guard("{k0}()[1] is None", constants=(sys.exc_info,))  # it would be the context
    return Leaving(error), Born("leaving")


def _made_again(recorder: Recorder, frame: Frame, error: BaseException) -> bool:
    """Whether an exception, and those it came from, can be made again."""
    if not isinstance(error, Exception) or isinstance(error, _MORE):
        return False
    origin = frame.understood(error)
    if recorder.dead or not isinstance(origin, Born) or origin.parts is None:
        return False
    if isinstance(type(error).__new__, types.FunctionType):
        return False
    if isinstance(recorder.known(type(error)), Born):  # of a class made in the call
        return False
    if origin.parts == "constant":
        known = all(type(part) in SCALARS for part in (*error.args, *vars(error).values()))
    else:
        known = set(origin.parts) == {"args", *vars(error)}
        known = known and len(origin.parts["args"]) == len(error.args)
    before = {id(part): part for part in (error.__cause__, error.__context__) if part is not None}
    return known and all(_made_again(recorder, frame, part) for part in before.values())


def stubs(error: BaseException) -> tuple[Stub, ...]:
    """For each line of a traceback what makes a frame that looks like its own."""
    found, trace = [], error.__traceback__
    while trace is not None:
        code, namespace = trace.tb_frame.f_code, trace.tb_frame.f_globals
        like = _here.__code__.replace(
            co_name=code.co_name, co_qualname=code.co_qualname, co_filename=code.co_filename,
            co_firstlineno=code.co_firstlineno,
        )  # fmt: skip
        made = types.FunctionType(like, namespace, code.co_name)
        found.append((made, trace.tb_lineno))
        trace = trace.tb_next
    return tuple(found)


def _here() -> Generator:
    yield  # the frame of a generator that does not run holds no frame of its callers


def error_like(
    kind: type[BaseException], args: tuple[Any, ...], inside: dict[str, Any], cause: Any,
    context: Any, hides: bool, lines: tuple[Stub, ...],
) -> BaseException:  # fmt: skip
    """An exception, made without its `__init__`, with a traceback of these lines."""
    made = kind.__new__(kind, *args)
    made.args = args
    if isinstance(made, NameError):
        made.name = inside.pop("name", None)
    vars(made).update(inside)
    made.__context__, made.__cause__ = context, cause
    made.__suppress_context__ = hides
    trace = None
    for stub, line in reversed(lines):
        frame: Any = stub().gi_frame
        trace = types.TracebackType(trace, frame, -1, line)
    return made.with_traceback(trace)


def raised(error: BaseException) -> Marker:
    """What a block gives in the place of a result: `error` is to be raised."""
    marker = Marker("an exception leaves")
    marker.error = error
    return marker
