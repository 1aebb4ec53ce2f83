"""The alarm: Python code that C code calls while a call is recorded, past all hooks.

Comes in: a recorder; hooks open the alarm where they let C code work on the user's objects (a
`__eq__` of keys, a `write` of sys.stdout, a `__del__`). Goes out: a refusal that names the function
that was entered. `sys.setprofile` is used on Python 3.11, a free tool of `sys.monitoring` from 3.12
on. Neither is taken from anybody: where a profiler is set, or no tool is free, what needs the alarm
is refused, for this one call.
"""

from __future__ import annotations

import sys
from threading import get_ident
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, final

from dualflow.base.source import inside_package

from .slots import FRAME

if TYPE_CHECKING:
    from .recorder import Recorder

_monitoring: Any = getattr(sys, "monitoring", None)
_NAME = "dualflow"


@final
class Alarm:
    """The alarm of one recording.

    Attributes:
        on: whether it is open.
    """

    __slots__ = ("_recorder", "_thread", "_tool", "on")

    def __init__(self, recorder: Recorder) -> None:
        self._recorder, self._thread, self.on = recorder, get_ident(), False
        self._tool: int | None = None

    def start(self) -> None:
        """The recording begins."""
        if _monitoring is None:
            return
        free = (number for number in range(6) if _monitoring.get_tool(number) is None)
        self._tool = next(free, None)
        if self._tool is None:
            return
        starts = _monitoring.events.PY_START
        _monitoring.use_tool_id(self._tool, _NAME)
        _monitoring.register_callback(self._tool, starts, self._started)
        _monitoring.set_events(self._tool, starts)

    def end(self) -> None:
        """The recording is over."""
        self.close()
        if self._tool is not None:
            _monitoring.set_events(self._tool, 0)
            _monitoring.register_callback(self._tool, _monitoring.events.PY_START, None)
            _monitoring.free_tool_id(self._tool)
            self._tool = None

    def open(self) -> None:
        """C code is about to work on objects of the user."""
        if _monitoring is not None:
            self.on = self._tool is not None
        elif sys.getprofile() is None:
            self.on = True
            sys.setprofile(self._profiled)
        if not self.on:
            self._recorder.refuse_once("a profiler is set, so calls from C code are not seen")

    def close(self) -> None:
        """It is done."""
        if self.on:
            self.on = False
            if _monitoring is None:
                sys.setprofile(None)

    def _profiled(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and self.on:
            self._entered(frame.f_code)

    def _started(self, code: CodeType, _: int) -> Any:
        if inside_package(code.co_filename):
            return _monitoring.DISABLE
        if self.on and get_ident() == self._thread:
            self._entered(code)
        return None

    def _entered(self, code: CodeType) -> None:
        if not inside_package(code.co_filename) and FRAME not in code.co_freevars:
            self._recorder.refuse(f"{code.co_qualname} was called by C code, past the hooks")
