"""The hooks of one running call: what an instrumented copy calls, and what each notes.

Comes in: values, and the numbers of the slots that know their origins. Goes out: the same values.
Every hook first does what Python would do; if the recorder is dead it does nothing else.

    variables.py   locals, globals, cells, imports    arithmetic.py  operators of two operands
    operators.py   comparison, truth, one operand     displays.py    displays, text, loops, targets
    matching.py    match statements                   here           parts, calls, exceptions, with
"""

from __future__ import annotations

import sys
import types
from abc import ABCMeta
from collections.abc import Generator
from typing import Any, final
from warnings import catch_warnings

from dualflow.array.tensor import Tensor

from . import (
    attribute_stores,
    attributes,
    calls,
    deletion,
    descriptors,
    files,
    instances,
    item_reads,
    item_stores,
    iteration,
    local_classes,
    managers,
    namespaces,
    twins,
)
from .classes import special
from .kinds import MISSING
from .known import locks as known_locks
from .known import warnings as known_warnings
from .matching import Matching
from .provenance import CONSTANT, TENSOR, Born, Origin
from .recording import strip


@final
class Frame(Matching):
    """One running call of an instrumented copy; see `Variables` for what it holds."""

    # Parts of objects -----------------------------------------------------------------------------

    def attr(self, slot: int, so: int, owner: Any, name: str) -> Any:
        recorder, slots = self.recorder, self.slots
        if recorder.dead:
            return getattr(owner, name)
        origin = slots[so]
        if type(owner) is Tensor:
            if origin is not TENSOR:
                origin = self.origin(so, owner)
                if recorder.dead:
                    return getattr(owner, name)
            if name in attributes.STATIC:
                recorder.outside.guard(owner)
                slots[slot] = CONSTANT
                return getattr(owner, name)
            function = recorder.methods.get(name)
            if type(function) is types.FunctionType and vars(Tensor).get(name) is function:
                slots[slot] = Born("method", (None, origin))
                return types.MethodType(function, owner)
        else:
            if origin is None:
                origin = self.origin(so, owner)
                if recorder.dead:
                    return getattr(owner, name)
            before = recorder.reads.get((id(owner), name))
            if before is not None and before[1] is origin and before[5] not in recorder.stored:
                held = before[2].get(name, MISSING)  # all guards are there: only it may differ
                if held is before[3]:
                    slots[slot] = before[4]
                    return held
                if held is MISSING and type(before[3]) is instances.Method:
                    slots[slot] = before[4]
                    return types.MethodType(before[3].function, owner)
        value, slots[slot] = attributes.read(self, owner, origin, name)
        return value

    def set_attr(self, so: int, slot: int, value: Any, owner: Any, name: str) -> None:
        if not self.recorder.dead:
            origin, part = self.origin(so, owner), self.origin(slot, value)
            if attribute_stores.set_by_property(self, owner, origin, name, value, part):
                return
            if descriptors.set_by_method(self, owner, origin, name, value, part):
                return
            attribute_stores.store(self, owner, origin, name, value, part)
        self.recorder.watching(setattr, owner, name, value)

    def item(self, slot: int, so: int, sk: int, owner: Any, key: Any) -> Any:
        if self.recorder.dead:
            return owner[key]
        if type(owner) is dict and type(key) is str:
            found = item_reads.again(self.recorder, owner, key, self.slots[so], self.slots[sk])
            if found is not None:
                self.slots[slot] = found[4]
                return found[3]
        po, pk = self.origin(so, owner), self.origin(sk, key)
        if self.recorder.dead:
            return owner[key]
        value, self.slots[slot] = item_reads.item(self, owner, key, po, pk)
        return value

    def del_item(self, so: int, sk: int, owner: Any, key: Any) -> None:
        if self.recorder.dead:
            del owner[key]
            return
        po, pk = self.origin(so, owner), self.origin(sk, key)
        item_stores.delete(self, owner, key, po, pk)

    def del_attr(self, so: int, owner: Any, name: str) -> None:
        if self.recorder.dead:
            delattr(owner, name)
        else:
            deletion.delete(self, owner, self.origin(so, owner), name)

    def set_item(self, so: int, sk: int, slot: int, value: Any, owner: Any, key: Any) -> None:
        if self.recorder.dead:
            owner[key] = value
            return
        origins = self.origin(so, owner), self.origin(sk, key), self.origin(slot, value)
        item_stores.set_item(self, owner, key, value, *origins)

    # Functions, calls -----------------------------------------------------------------------------

    def func(self, slot: int, slots: tuple[Any, Any], function: Any) -> Any:
        if not self.recorder.dead:
            plain = tuple(self.slots[s] for s in slots[0])
            named = {name: self.slots[s] for name, s in slots[1]}
            self.slots[slot] = self.recorder.born(function, "function", (plain, named))
        return function

    def decorate(
        self, slot: int, slots: tuple[Any, Any], numbers: tuple[int, ...], *by: Any
    ) -> Any:
        """What decorates an inner function: all its decorators, the last one first."""
        before = [(f, None if self.recorder.dead else self.origin(number, f))
                  for f, number in zip(by, numbers, strict=True)]  # fmt: skip

        def decorated(function: Any) -> Any:
            made = self.func(slot, slots, function)
            for f, origin in reversed(before):
                made, found = self.invoke(f, origin, (made,), (self.slots[slot],))
                self.slots[slot] = found
            return made

        return decorated

    def metaclass(self, value: Any) -> Any:
        if value is not type and value is not ABCMeta:
            self.recorder.refuse("a class made by another metaclass")
        return value

    def class_made(
        self, slot: int, parts: tuple, pinned: tuple, numbers: tuple[int, ...], *by: Any
    ) -> Any:
        """What decorates an inner class: the hook that sees it, then its decorators, the last one
        first."""
        before = [(f, None if self.recorder.dead else self.origin(number, f))
                  for f, number in zip(by, numbers, strict=True)]  # fmt: skip

        def decorated(made: Any) -> Any:
            if not self.recorder.dead:
                self.slots[slot] = local_classes.class_made(self, made, parts, pinned)
            for f, origin in reversed(before):
                made, self.slots[slot] = self.invoke(f, origin, (made,), (self.slots[slot],))
            return made

        return decorated

    def pre(self, slot: int, sf: int, slots: tuple, f: Any, /, *args: Any, **kwargs: Any) -> Any:
        """What to call in the place of `f`, with `self.args` and `self.kwargs`, which are read at
        once."""
        self.open[slot], self.args, self.kwargs = None, args, kwargs
        recorder = self.recorder
        if recorder.alarm.on:  # of a call that raised
            recorder.alarm.close()
        recorder.step()
        if recorder.dead:
            return self._forgotten(f)
        plan = self._again(sf, slots, f, args)
        if plan is None:
            plan = calls.prepare(self, sf, slots, f, args, kwargs)
        if plan is None:
            return self._forgotten(f) if recorder.dead else f
        self.open[slot], self.args, self.kwargs = plan, plan.args, plan.kwargs
        if plan.watched:
            recorder.alarm.open()
        return plan.function

    def _forgotten(self, f: Any) -> Any:
        """`f`, before whose call what is known dies: nothing is recorded any more."""
        if self.slots[0] is CONSTANT:
            self.slots[:] = [None] * len(self.slots)
        return f

    def _again(self, sf: int, slots: tuple, f: Any, args: tuple) -> Any:
        """The plan of a call of what was called before in the same way; None of others."""
        kind, found = type(f), self.recorder.twins
        if kind is types.FunctionType:
            twin = found.get(f)
            if twin is not None and twin.takes(self.slots[sf], slots, len(args)):
                return twin.plan(self, slots, args)
        elif kind is types.MethodType:
            twin, origin = found.get(f.__func__), self.slots[sf]
            if twin is not None and type(origin) is Born and origin.kind == "method":
                inner, where = origin.parts
                where = where or self.recorder.origin(None, f.__self__)
                if where and twin.takes(inner or CONSTANT, slots, len(args) + 1):
                    return twin.plan(self, slots, args, (f.__self__,), where)
        return None

    def starred(self, hook: str, slot: int, sf: int, slots: tuple, f: Any, /) -> calls.Starred:
        """What is called, with * or **, in the place of `f`."""
        self.recorder.merging += 1
        return calls.Starred(f, self.recorder, getattr(self, hook), (slot, sf, slots, f))

    def pre_with(self, slot: int, /, *rest: Any, **kwargs: Any) -> Any:
        """A call whose result `with` enters at once, and so leaves."""
        self.entering = True
        try:
            return self.pre(slot, *rest, **kwargs)
        finally:
            self.entering = False

    def post(self, slot: int, out: Any) -> Any:
        plan, recorder = self.open.pop(slot), self.recorder
        self.args = self.kwargs = None  # which may die now
        if recorder.alarm.on:
            recorder.alarm.close()
        if plan is not None and not recorder.dead:
            origin = plan.finish(out)
            if origin is None:
                origin = recorder.origin(None, out)
            if origin is None:
                recorder.refuse(f"the result of {plan.name}")
            self.slots[slot] = origin
        return out

    def ret(self, slot: int, value: Any) -> Any:
        if not self.recorder.dead:
            self.result = self.origin(slot, value)
        return value

    def yielded(self, slot: int, value: Any) -> Any:
        self.delegate = None  # where an error has left a `yield from`
        if not self.recorder.dead:
            self.result = self.origin(slot, value)
        return value

    def sent(self, slot: int, value: Any) -> Any:
        if not self.recorder.dead:
            sent, self.incoming = self.incoming, None
            if value is not None and sent is None:
                self.recorder.refuse("a value sent into a generator")
            self.slots[slot] = sent or CONSTANT
        return value

    def delegating(self, slot: int, value: Any) -> Any:
        """What `yield from value` is to take items from."""
        self.delegate = None
        if self.recorder.dead:
            return value
        origin = self.origin(slot, value)
        maker = special(type(value), "__iter__")
        if maker is not None and maker.__code__.co_flags & 0x20 and not self.recorder.dead:
            value, origin = iteration.asked(self, value, origin)  # a generator takes its place
        parts = origin.parts if isinstance(origin, Born) else None
        if isinstance(parts, twins.Running) and parts.frame is not None:
            self.delegate = parts.frame  # type: ignore[assignment]
            return value
        listens = any("send" in vars(kind) or "throw" in vars(kind) for kind in type(value).__mro__)
        if listens and not _is_expression(value):
            self.recorder.refuse("an iterator that may be sent values")
            return value
        return self._each(value, origin)

    def _each(self, value: Any, origin: Origin) -> Generator[Any, Any, Any]:
        items = iteration.elements(self, value, origin)
        while True:
            try:
                item, self.result = next(items)
            except StopIteration as over:
                return over.value
            sent = yield item
            if sent is not None and not _is_expression(value):  # which would not look at it
                self.recorder.refuse("a value sent into an iterator")
                iter(value).send(sent)  # raises what Python does

    def delegated(self, slot: int, out: Any) -> Any:
        """What `yield from` gives."""
        inner, self.delegate = self.delegate, None
        if inner is None and out is not None and not self.recorder.dead:
            self.recorder.refuse("what an iterator returns")
        self.slots[slot] = CONSTANT if inner is None or out is None else inner.result
        return out

    # Exceptions, with -----------------------------------------------------------------------------

    def handles(self, slot: int, value: Any) -> Any:
        """What a handler handles: the class, or classes, that an exception is compared with."""
        recorder = self.recorder
        if not recorder.dead:
            recorder.pin(self.origin(slot, value), value)
            recorder.classes.guard_order(sys.exc_info()[0] or object)
        return value

    def raising(self, slot: int, value: Any) -> Any:
        """What `raise` is given: of a class it makes an instance."""
        if self.recorder.dead or not (isinstance(value, type) and issubclass(value, BaseException)):
            return value
        return self.invoke(value, self.origin(slot, value), (), ())[0]

    def told(self, slot: int, value: Any) -> Any:
        """The message of an assertion that fails: the error is made of it by no call."""
        if not self.recorder.dead:
            self.recorder.pin(self.origin(slot, value), value)
        return value

    def caught(self, slot: int) -> None:
        """An exception was caught: it was raised by what guards make certain, or all is lost."""
        recorder, error = self.recorder, sys.exc_info()[1]
        going = [(k, kept) for k, kept in self.open.items() if type(k) is tuple and k[0] == "kept"]
        self.open.clear()  # calls that raised; what they were given may die now
        self.open.update(going)  # generator expressions go on
        self.args = self.kwargs = None
        recorder.alarm.close()
        recorder.late.reads_no_more()
        assert error is not None
        strip(error.__traceback__)
        if recorder.dead:
            return
        origin = self.understood(error)
        if slot >= 0:
            self.slots[slot] = origin

    def leaving(self) -> None:
        """An exception leaves the body of a `with`."""
        error = sys.exc_info()[1]
        strip(error.__traceback__)  # type: ignore[union-attr]

    def understood(self, error: Any) -> Origin:
        """The origin of an exception that was raised in the call."""
        recorder = self.recorder
        unguarded = (NameError, ImportError, RecursionError, MemoryError)
        if isinstance(error, unguarded) and not namespaces.guard_unnamed(recorder, error):
            recorder.refuse(f"a {type(error).__name__} caught")  # raised by no hook
        if recorder.merging:  # perhaps raised by Python, where it merges arguments
            recorder.refuse(f"a {type(error).__name__} from a call with * or **")
        if recorder.known(error) is None:
            kind = type(error)
            plain = kind.__module__.split(".")[0] in ("builtins", "dualflow", "numpy")
            plain = plain and not (kind is StopIteration and error.args)
            recorder.born(error, "error", "constant" if plain else None)
        return recorder.known(error)

    def with_(self, slot: int, shape: Any, manager: Any) -> Any:
        recorder = self.recorder
        if recorder.dead:
            return manager
        if managers.known_manager(manager):
            if type(shape) is int and shape >= 0:
                self.slots[shape] = CONSTANT
            return manager
        origin = self.origin(slot, manager)
        if type(manager) is catch_warnings and isinstance(origin, Born):
            return known_warnings.Catching(self, manager, shape)
        found = files.known_file(manager, origin)
        if found is not None and isinstance(origin, Born):
            return files.Opened(self, manager, found, origin, shape)
        if known_locks.entered(recorder, manager, origin):
            if type(shape) is int and shape >= 0:
                self.slots[shape] = CONSTANT
            return manager
        if isinstance(origin, Born) and managers.driven(manager, origin):
            return managers.Driven(self, manager, origin, shape)
        if isinstance(origin, Born) and origin.kind != "instance":
            recorder.refuse(f"with {type(manager).__name__}")
        if not managers.follows(manager):
            recorder.refuse(f"with {type(manager).__name__}")
        return manager if recorder.dead else managers.Followed(self, manager, origin, shape)


def _is_expression(value: Any) -> bool:
    """Whether it is what a generator expression gave, which takes no notice of what is sent."""
    return type(value) is types.GeneratorType and value.gi_code.co_name == "<genexpr>"
