"""Calls of users' functions from within this room.

Comes in: a function that a compiled call may not know of. Goes out: its result; a recording is told
first, for what such a function does besides operations on tensors would be left out of a replay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dualflow.ops import door


def call_user(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """`fn(*args, **kwargs)`, where no recording follows the call."""
    mode: Any = door.state.mode
    while hasattr(mode, "outer"):
        mode = mode.outer
    recorder = getattr(mode, "recorder", None)
    if recorder is not None and not getattr(fn, "followed", False):
        recorder.refuse(f"a call of {getattr(fn, '__qualname__', fn)} while gradients are taken")
    return fn(*args, **kwargs)
