"""The mode of the door while a call is recorded: eager execution, with notes taken.

Comes in: operations. Goes out: what eager mode makes of them. A fault in taking notes ends the
recording, never the call (unless `on_compiler_error="raise"` asks for it).
"""

from __future__ import annotations

import os
import sys
from itertools import pairwise
from types import TracebackType
from typing import Any, final

from dualflow.base import config
from dualflow.base.counters import count
from dualflow.base.interrupts import pass_on
from dualflow.base.source import SourceLine, user_line
from dualflow.ir.op import Op
from dualflow.ops.door import away

from .notes import is_view
from .recorder import Recorder

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep


@final
class Recording:
    """See `ops.door.Mode`. The frames of this class, of the door and of who calls it are no user's,
    so the search for the line begins above them: making a frame visible costs 0.1 us."""

    name = "record"

    def __init__(self, recorder: Recorder, eager: Any) -> None:
        self.recorder, self.notes, self.eager = recorder, recorder.notes, eager

    def apply(self, op: Op, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> Any:
        out = self.eager.apply(op, inputs, attributes)
        recorder = self.recorder
        if not recorder.dead:
            try:
                if op.view is not None:
                    recorder.outside.guard(inputs[0])  # nothing else may be noted of a view
                    if not away and is_view(out, inputs[0]):  # which the line is not noted of
                        self.notes.meet(inputs[0])
                        return out
                line = recorder.line or user_line(sys._getframe(3))
                self.notes.apply(op, inputs, attributes, out, line)
            except Exception as error:
                self._failed(error)
        return out

    def elementwise(self, op: Op, operands: tuple[Any, ...]) -> Any:
        out = self.eager.elementwise(op, operands)
        recorder = self.recorder
        if not recorder.dead:
            try:
                line = recorder.line or user_line(sys._getframe(3))
                self.notes.elementwise(op, operands, out, line)
            except Exception as error:
                self._failed(error)
        return out

    def part(self, x: Any, items: tuple[Any, ...]) -> Any:
        """The view `x[items]` for basic indices; None where it takes more than one step."""
        made = self.eager.part(x, items) if hasattr(self.eager, "part") else None
        recorder = self.recorder
        if made is not None and not recorder.dead:
            recorder.outside.guard(x)
            try:
                self.notes.meet(x)
            except Exception as error:
                self._failed(error)
        return made

    def write(self, target: Any, value: Any) -> None:
        recorder = self.recorder
        try:
            if not recorder.dead:  # a tensor from outside is an input as it was
                storage = target._memory()
                if id(storage) not in recorder.outside.versions:
                    recorder.outside.versions[id(storage)] = storage.version
                    recorder.keep(storage)
                self.notes.meet(target)
        except Exception as error:
            self._failed(error)
        self.eager.write(target, value)
        try:
            if not recorder.dead:
                line = recorder.line or user_line(sys._getframe(3))
                self.notes.write(target, value, line)
        except Exception as error:
            self._failed(error)

    def draw(self, generator: Any) -> Any:
        state = self.eager.draw(generator)
        if not self.recorder.dead:
            self.notes.draw(generator, state)
        return state

    def values(self, tensor: Any) -> Any:
        array = self.eager.values(tensor)
        if not self.recorder.dead:
            self.recorder.late.on_values(tensor, array)
        return array

    def truth(self, tensor: Any) -> bool:
        """What a choice of `df.cond` or `df.while_loop` goes by: a branch."""
        if self.recorder.dead:
            return bool(tensor)
        outcome, node = self.recorder.late.value_of(tensor, bool)
        if node is not None:
            self.recorder.check(node, outcome)
        return outcome

    def _failed(self, error: Exception) -> None:
        pass_on(error)
        count("compiler_errors")
        self.recorder.refuse(f"the recorder failed: {type(error).__name__}: {error}")
        if config.active().on_compiler_error == "raise":
            raise error


def line_of(error: BaseException) -> SourceLine | None:
    """The line that raised."""
    trace = error.__traceback__
    if trace is None:
        return None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return SourceLine(trace.tb_frame.f_code.co_filename, trace.tb_lineno,
                      trace.tb_frame.f_code.co_name)  # fmt: skip


def strip(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames of hooks."""
    frames = []
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(_HERE):
            frames.append(trace)
        trace = trace.tb_next
    for one, after in pairwise([*frames, None]):
        assert one is not None
        one.tb_next = after
    return frames[0] if frames else None
