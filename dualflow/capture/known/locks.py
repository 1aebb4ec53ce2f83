"""Known callables: locks of `threading`, and `with` on them.

Comes in: a `Call`, or the manager of a `with` statement. Goes out: its plan, or whether it is
known. A replay tries to take all locks from outside that the call takes, before it reads anything,
and holds them to its end; where one is not free, Python runs the call and waits for it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from ..kinds import LOCKS
from ..provenance import CONSTANT, Born, Node, Origin
from ..tables import METHODS, known

if TYPE_CHECKING:
    from ..emit import Emitter
    from ..plans import Call, Plan
    from ..recorder import Recorder


@known(threading.Lock, threading.RLock)
def _made(call: Call) -> Plan | None:
    return call.plan(lambda out: call.recorder.born(out, "opaque"), call.function)


def entered(recorder: Recorder, lock: Any, origin: Origin) -> bool:
    """Whether `with lock` is known; a lock from outside is noted."""
    if type(lock) not in LOCKS:
        return False
    if isinstance(origin, Node):
        recorder.typed(origin, lock)
        recorder.locks[origin] = lock
        recorder.locked = True
    return isinstance(origin, (Node, Born))


def _acquired(call: Call) -> Plan | None:
    """`lock.acquire()`, which waits."""
    recorder, lock, origin, f = call.recorder, call.args[0], call.origins[0], call.function
    if len(call.args) > 1 or call.kwargs or not entered(recorder, lock, origin):
        call.refuse()
        return None
    recorder.taken.append(lock)
    return call.plan(lambda out: CONSTANT, lambda _: f())


def _released(call: Call) -> Plan | None:
    recorder, lock, f = call.recorder, call.args[0], call.function
    if lock not in recorder.taken:
        call.refuse("a lock released that the call has not taken")
        return None
    recorder.taken.remove(lock)
    return call.plan(lambda out: CONSTANT, lambda _: f())


for _kind in LOCKS:
    METHODS[_kind, "acquire"], METHODS[_kind, "release"] = _acquired, _released


def held(recorder: Recorder) -> None:
    """Refuse what a replay cannot hold: a lock that the call keeps, or a decision between."""
    if recorder.taken:
        recorder.refuse("a lock that the call keeps")
    elif recorder.locked and any(event[0] == "test" for event in recorder.events):
        recorder.refuse("a value that decides, in a call that takes a lock")


def write(locks: dict[Node, Any], emitter: Emitter) -> None:
    """Lines that take the locks; what follows, up to `close`, holds them."""
    if not locks:
        return
    emitter.line("try:")
    emitter.indent += 1
    names = [emitter.node(node) for node in locks]
    emitter.indent -= 1
    emitter.line("except GuardErrors as error: pass_on(error); return MISS")
    kinds = [emitter.constant(type(lock)) for lock in locks.values()]
    for name, kind in zip(names, kinds, strict=True):
        emitter.line(f"if type({name}) is not {kind}: return MISS")
    given = "".join(f"{name}, " for name in names)
    emitter.line(f"locks = {emitter.constant(take)}(({given}))")
    emitter.line("if locks is None: return PYTHON")
    emitter.line("try:")
    emitter.indent += 1


def close(locks: dict[Node, Any], emitter: Emitter) -> None:
    """Lines that let the locks go."""
    if locks:
        emitter.indent -= 1
        emitter.line(f"finally: {emitter.constant(leave)}(locks)")


def take(locks: tuple[Any, ...]) -> list[Any] | None:
    """Take each of the locks, if all are free; None, and none is taken, if not."""
    taken: list[Any] = []
    for lock in locks:
        if any(lock is other for other in taken):
            continue
        if not lock.acquire(blocking=False):
            leave(taken)
            return None
        taken.append(lock)
    return taken


def leave(locks: list[Any]) -> None:
    for lock in reversed(locks):
        lock.release()
