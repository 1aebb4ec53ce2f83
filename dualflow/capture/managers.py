"""`with` on context managers of classes written in Python, whose methods are followed, and on
those that `contextlib` makes of generators.

Comes in: the manager and its origin. Goes out: what takes its place in the `with` statement.
"""

from __future__ import annotations

import contextlib
import types
from typing import TYPE_CHECKING, Any, final

from dualflow.autograd.grad_mode import GradMode
from dualflow.ops.autocast import Autocast
from dualflow.ops.devices import Device

from . import tables, twins
from .classes import special
from .ndarrays import calls as numpy_calls
from .provenance import CONSTANT, Born, Origin

if TYPE_CHECKING:
    from .frame import Frame
    from .plans import Call, Plan
    from .slots import Shape


@final
class Followed:
    """Calls the instrumented `__enter__` and `__exit__` of a manager."""

    __slots__ = ("enter", "exit", "frame", "manager", "origin", "shape")

    def __init__(self, frame: Frame, manager: Any, origin: Origin, shape: Shape) -> None:
        self.frame, self.manager, self.origin, self.shape = frame, manager, origin, shape
        for name in ("__enter__", "__exit__"):
            frame.recorder.classes.guard_special(origin, manager, name)
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
            trace = None if frame.recorder.dead else frame.recorder.born(raised[2], "opaque")
            origins = (CONSTANT, frame.understood(raised[1]), trace)
        out, origin = frame.invoke(self.exit, CONSTANT, (self.manager, *raised),
                                   (self.origin, *origins))  # fmt: skip
        if raised[1] is None:
            return False
        return bool(out) if frame.recorder.dead else frame.truth_of(origin, out)


@final
class Driven:
    """Drives the instrumented generator of a manager that `contextlib` made."""

    __slots__ = ("frame", "manager", "shape", "source")

    def __init__(self, frame: Frame, manager: Any, origin: Born, shape: Shape) -> None:
        self.frame, self.manager, self.shape = frame, manager, shape
        self.source = origin.parts.parts()

    def __enter__(self) -> Any:
        del self.manager.args, self.manager.kwds, self.manager.func  # as contextlib does it
        try:
            out, origin = next(self.source)
        except StopIteration:
            raise RuntimeError("generator didn't yield") from None
        if not self.frame.recorder.dead:
            self.frame._spread(self.shape, out, origin)
        return out

    def __exit__(self, *raised: Any) -> bool | None:
        if raised[1] is not None and not self.frame.recorder.dead:
            self.frame.understood(raised[1])
        return self.manager.__exit__(*raised)


def _made(call: Call) -> Plan | None:
    """A call of what `contextlib.contextmanager` made of a generator function."""
    helper, recorder = call.function, call.recorder
    user = dict(zip(helper.__code__.co_freevars, helper.__closure__, strict=True))["func"]
    f = user.cell_contents
    if type(f) is not types.FunctionType or not f.__code__.co_flags & 0x20:
        call.refuse(f"a context manager of {call.name}, which is no generator function")
        return None
    entering = call.frame.entering  # else others enter and leave it, by its methods
    plan = twins.twin(call.of(f, CONSTANT), entering)
    if plan is None:
        return None

    def run(*args: Any, **kwargs: Any) -> Any:
        made = helper(*args, **kwargs)
        made.gen = plan.function(*plan.args, **plan.kwargs)
        found = plan.finish(made.gen)
        if entering:
            recorder.born(made, "opaque", found)
        else:
            parts: dict[str, Origin] = dict.fromkeys(vars(made), CONSTANT)
            parts |= {"gen": found, "args": recorder.born(made.args, "tuple", list(call.origins)),
                      "kwds": recorder.born(made.kwds, "dict", dict(call.where))}  # fmt: skip
            recorder.born_weakly(made, "instance", parts)
        return made

    return call.plan(recorder.known, run)


tables.BY_CODE[id(contextlib.contextmanager(lambda: iter(())).__code__)] = _made


def driven(manager: Any, origin: Origin) -> bool:
    """Whether a manager is one that `_made` knows, not yet entered."""
    made = isinstance(origin, Born) and origin.kind == "opaque" and isinstance(origin.parts, Born)
    return made and hasattr(manager, "args")


def follows(manager: Any) -> bool:
    """Whether both methods are Python functions."""
    kind = type(manager)
    return special(kind, "__enter__") is not None and special(kind, "__exit__") is not None


def known_manager(manager: Any) -> bool:
    """Whether what `with` does with the object is known."""
    return isinstance(manager, (GradMode, Autocast, Device)) or numpy_calls.quiet(manager)
