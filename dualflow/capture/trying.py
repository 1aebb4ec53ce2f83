"""Calls that may raise, and how sure it is that a replay raises the same or nothing.

Comes in: a function with its arguments. Goes out: what it returns or raises; an error that the
arguments decide is known as one, any other refuses the recording.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dualflow.array.tensor import Tensor
from dualflow.base.errors import ArgumentError, DTypeError, IndexingError, ShapeError
from dualflow.base.source import SourceLine, user_line

from .pins import pin, understand

if TYPE_CHECKING:
    from .recorder import Recorder


def guarded(recorder: Recorder, function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call something that is not expected to raise."""
    try:
        return function(*args, **kwargs)
    except Exception as error:
        recorder.refuse(f"{type(error).__name__} raised by {getattr(function, '__name__', 'it')}")
        raise


def tried(recorder: Recorder, function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a function of dualflow all of whose arguments are known: shapes, dtypes and pinned
    numbers decide whether it raises one of the errors about them."""
    try:
        return function(*args, **kwargs)
    except Exception as error:
        raised(recorder, error, function, args, kwargs)
        raise


def raised(
    recorder: Recorder, error: Exception, function: Any, args: Any, kwargs: dict[str, Any]
) -> None:
    """A function of dualflow raised an error: it is as certain as a result, if it is about what is
    known."""
    about = (ShapeError, DTypeError, ArgumentError)
    given = [*args[1:], *kwargs.values()]
    if isinstance(error, IndexingError) and not any(map(_holds_tensor, given)):
        about = IndexingError
    if not isinstance(error, about):
        recorder.refuse(f"{type(error).__name__} raised by {function.__name__}")
    for value in args:
        if type(value) is Tensor and not recorder.dead:
            understand(recorder, recorder.origin(None, value), value)
    if not recorder.dead:
        recorder.born(error, "error")


def asking(recorder: Recorder, function: Any, *args: Any, **kwargs: Any) -> Any:
    """`tried`: what values the function asks for become a branch, and the tensors that it makes
    of them are constants."""
    late, before = recorder.late, recorder.line
    recorder.line = before or user_line()
    late.library, late.asked = True, False
    try:
        return function(*args, **kwargs)
    except Exception as error:
        raised(recorder, error, function, args, kwargs)
        raise
    finally:
        late.library, recorder.line = False, before


def lined(
    recorder: Recorder, line: SourceLine | None, function: Any, *args: Any, **kwargs: Any
) -> Any:
    """Call a function, of which all operations are on `line`; each on its own for None."""
    before, recorder.line = recorder.line, line
    try:
        return function(*args, **kwargs)
    finally:
        recorder.line = before


def certain(recorder: Recorder, function: Any, args: Any, origins: Any = (), **kwargs: Any) -> Any:
    """Call something that the values of plain arguments decide: those that raise an error are
    pinned, and it is as certain as a result. Without `origins` all are pinned already."""
    try:
        return function(*args, **kwargs)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        for value, origin in zip(args, origins, strict=bool(origins)):
            pin(recorder, origin, value)
        if not recorder.dead:
            recorder.born(error, "error", "constant")
        raise


def watching(recorder: Recorder, function: Any, *args: Any) -> Any:
    """Call C code that may call Python."""
    if recorder.dead:
        return function(*args)
    recorder.alarm.open()
    try:
        return function(*args)
    finally:
        recorder.alarm.close()


def _holds_tensor(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_holds_tensor, value))
    return type(value) is Tensor
