"""Exceptions that come from outside: control-C, and whatever handlers of signals raise.

Comes in: an exception that is about to be taken for an answer (guards that do not fit, a compiler
that failed). Goes out: whether it is none, but an interrupt that the caller must get: a timeout
that a handler of SIGALRM raises, wherever in the library the signal came.
"""

from __future__ import annotations

import sys
from types import CodeType
from typing import Any


def interrupts(error: BaseException) -> bool:
    """Whether `error` has nothing to do with what it was raised in.

    >>> interrupts(KeyboardInterrupt()), interrupts(ValueError())
    (True, False)
    """
    if not isinstance(error, Exception):
        return True
    trace = error.__traceback__
    if trace is None or trace.tb_next is None:  # raised where it was caught
        return False
    codes = _handlers()
    while codes and trace is not None:
        if trace.tb_frame.f_code in codes:
            return True
        trace = trace.tb_next
    return False


def pass_on(error: BaseException) -> None:
    """Raise an exception again if it interrupts.

    >>> pass_on(ValueError("an answer"))
    """
    if interrupts(error):
        raise error


def _handlers() -> set[CodeType]:
    """The code of all handlers of signals; who sets one has imported `signal`."""
    signal = sys.modules.get("signal")
    if signal is None:
        return set()
    handlers = map(signal.getsignal, signal.valid_signals())
    return {code for code in map(_code, handlers) if code is not None}


def _code(handler: Any) -> CodeType | None:
    function = getattr(handler, "func", handler)  # of a partial
    code = getattr(function, "__code__", None)
    if code is None and callable(function):  # an object that is called
        code = getattr(type(function).__call__, "__code__", None)
    return code if isinstance(code, CodeType) else None
