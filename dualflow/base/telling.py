"""Warnings to whoever runs the program, by the logger `dualflow`.

Comes in: a message. Goes out: a log record. `logging` is imported when there is something to say:
that takes 3 ms, and most programs never hear of us.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def warn(message: str, *values: Any) -> None:
    """Log a warning: `message`, with `values` in place of its `%s`."""
    import_module("logging").getLogger("dualflow").warning(message, *values, stacklevel=2)
