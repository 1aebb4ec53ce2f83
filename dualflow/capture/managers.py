"""`with` on context managers of classes written in Python: both their methods are followed.

Comes in: the manager and its origin. Goes out: what takes its place in the `with` statement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from .attributes import special
from .provenance import CONSTANT, Origin

if TYPE_CHECKING:
    from .expressions import Shape
    from .frame import Frame


@final
class Followed:
    """Calls the instrumented `__enter__` and `__exit__` of a manager."""

    __slots__ = ("enter", "exit", "frame", "manager", "origin", "shape")

    def __init__(self, frame: Frame, manager: Any, origin: Origin, shape: Shape) -> None:
        self.frame, self.manager, self.origin, self.shape = frame, manager, origin, shape
        for name in ("__enter__", "__exit__"):
            frame.recorder.guard_special(origin, manager, name)
        self.enter: Any = special(type(manager), "__enter__")
        self.exit: Any = special(type(manager), "__exit__")

    def __enter__(self) -> Any:
        frame = self.frame
        out, origin = frame.invoke(self.enter, CONSTANT, (self.manager,), (self.origin,))
        if not frame.recorder.dead:
            frame._spread(self.shape, out, origin)
        return out

    def __exit__(self, *raised: Any) -> bool:
        frame = self.frame
        origins: tuple[Origin, ...] = (CONSTANT,) * 3
        if raised[1] is not None:
            origins = (CONSTANT, frame.understood(raised[1]), None)
        out, origin = frame.invoke(self.exit, CONSTANT, (self.manager, *raised),
                                   (self.origin, *origins))  # fmt: skip
        if raised[1] is None:
            return False
        return bool(out) if frame.recorder.dead else frame._truth(origin, out)


def follows(manager: Any) -> bool:
    """Whether both methods are Python functions."""
    kind = type(manager)
    return special(kind, "__enter__") is not None and special(kind, "__exit__") is not None
