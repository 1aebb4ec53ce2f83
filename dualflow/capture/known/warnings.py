"""Known callables: warnings, told at the line that they are about, and caught in the call.

Comes in: a `Call`, or the manager of a `with` statement. Goes out: its plan, or what takes its
place. Where the call itself says what becomes of warnings, that is followed; else a guard asks
whether a warning would raise an error, and telling it is an effect.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable
from functools import partial
from types import BuiltinFunctionType, FrameType
from typing import TYPE_CHECKING, Any, NamedTuple, final

from dualflow.base.source import inside_package

from ..provenance import CONSTANT, Born, Origin
from ..tables import known

if TYPE_CHECKING:
    from ..frame import Frame
    from ..plans import Call, Plan
    from ..recorder import Recorder
    from ..slots import Shape

_NAMES = ("message", "category", "stacklevel", "source")
_SHOWN: Any = warnings._showwarnmsg_impl  # type: ignore[attr-defined]
#: the functions in which a recorded call runs, and any call
_TOP, _CALL = "record", "CompiledFunction.__call__"


class Rule(NamedTuple):
    """What becomes of warnings of a category whose text begins with a pattern."""

    action: str
    category: type[Warning]
    message: str = ""

    def fits(self, category: type[Warning], text: str) -> bool:
        return issubclass(category, self.category) and bool(re.match(self.message, text, re.I))


class Place(NamedTuple):
    """What a warning is about; of a line of a caller of the compiled function, how many levels
    up."""

    file: str
    line: int
    namespace: dict[str, Any]
    levels: int = 0

    @property
    def module(self) -> str:
        return self.namespace.get("__name__") or "<string>"


@final
class Teller:
    """Tells a warning as `warnings.warn` does at its place; `always` whatever filters say."""

    def __init__(self, category: type[Warning], place: Place, always: bool = False) -> None:
        self.category, self.place, self.always = category, place, always
        self.__name__ = "warn"

    def __call__(self, message: Any) -> None:
        place = self.place
        if place.levels:
            place = _above(_caller(sys._getframe()), place.levels)
        if self.always:
            error = message if isinstance(message, Warning) else self.category(message)
            told = warnings.WarningMessage(error, self.category, place.file, place.line)
            warnings._showwarnmsg(told)  # type: ignore[attr-defined]
            return
        registry = place.namespace.setdefault("__warningregistry__", {})
        warnings.warn_explicit(
            message, self.category, place.file, place.line, place.module, registry
        )

    def quiet(self) -> bool:
        """Whether no filter makes an error of such a warning, and no code of a program shows it."""
        shown: Any = warnings._showwarnmsg_impl  # type: ignore[attr-defined]
        plain = warnings.showwarning is warnings._showwarning_orig  # type: ignore[attr-defined]
        if not plain or (shown is not _SHOWN and type(shown) is not BuiltinFunctionType):
            return False
        if self.always:
            return True
        for action, message, category, module, line in warnings.filters:
            if issubclass(self.category, category) and action == "error":
                return False
            if issubclass(self.category, category) and message is module is None and not line:
                return True
        return warnings.defaultaction != "error"  # type: ignore[attr-defined]


def _above(frame: FrameType | None, levels: int) -> Place:
    """The place so many levels up among the frames of programs."""
    while frame is not None:
        if not inside_package(frame.f_code.co_filename):
            levels -= 1
            if levels <= 0:
                return Place(frame.f_code.co_filename, frame.f_lineno, frame.f_globals)
        frame = frame.f_back
    return Place("sys", 1, sys.__dict__)


def _caller(frame: FrameType | None) -> FrameType | None:
    """The frame that called the compiled function which runs in `frame`."""
    while frame is not None and frame.f_code.co_qualname != _CALL:
        frame = frame.f_back
    return frame


def _place(frame: FrameType | None, levels: int) -> Place:
    """The place so many levels up, in the recorded call or above it."""
    while frame is not None and levels > 0:
        code = frame.f_code
        if code.co_name == _TOP and inside_package(code.co_filename):
            return _above(_caller(frame), levels)._replace(levels=levels)
        if not inside_package(code.co_filename):
            levels -= 1
            if not levels:
                return Place(code.co_filename, frame.f_lineno, frame.f_globals)
        frame = frame.f_back
    return _above(None, 0)


@known(warnings.warn)
def _warn(call: Call) -> Plan | None:
    recorder = call.recorder
    given = dict(zip(_NAMES, call.args, strict=False)) | call.kwargs
    where = dict(zip(_NAMES, call.origins, strict=False)) | call.where
    message, category = given.get("message"), given.get("category") or UserWarning
    for name in given.keys() - {"message"}:
        recorder.pin(where[name], given[name])
    level = given.get("stacklevel", 1)
    text, origin = message, where.get("message")
    if isinstance(message, Warning):
        error = recorder.origin(origin, message)
        parts = error.parts["args"] if isinstance(error, Born) and type(error.parts) is dict else []
        category, text = type(message), message.args[0] if len(message.args) == 1 else None
        origin = parts[0] if len(parts) == 1 else None
        if isinstance(error, Born) and error.parts == "constant":
            origin = CONSTANT
    plain = type(text) is str and isinstance(category, type) and issubclass(category, Warning)
    if not plain or origin is None or type(level) is not int or "source" in given or recorder.dead:
        call.refuse("a warning of something that is no text")
        return None
    teller = Teller(category, _place(sys._getframe(), max(level, 1)))
    action = _action(recorder, category, text, origin, teller.place)  # type: ignore[arg-type]
    if recorder.dead:
        return None
    run: Callable[[], Any] = partial(teller, message)
    teller.always = action is not None
    if action is None:
        if not teller.quiet():
            call.refuse("a warning that raises an error, or that a program shows")
            return None
        recorder.guard("{k0}()", constants=(teller.quiet,))
    log = next((one.log for one in reversed(recorder.catching) if one.log is not None), None)
    if action == "error":
        run = _raising(recorder, teller, message, origin)
    elif action == "ignore":
        return call.plan(lambda out: CONSTANT, lambda *args, **kwargs: None)
    elif action is not None and log is not None:
        return call.plan(lambda out: _caught(recorder, log, origin), lambda *a, **k: run())
    else:
        recorder.effects.append(("call", teller, [(message, where["message"])],
                                 recorder.effect_line()))  # fmt: skip
    return call.plan(lambda out: CONSTANT, lambda *args, **kwargs: run())


def _action(
    recorder: Recorder, category: type[Warning], text: str, origin: Origin, place: Place
) -> str | None:
    """What the call itself has said is to become of a warning; None if it has not."""
    if not recorder.catching:
        return None
    for one in reversed(recorder.catching):
        for rule in one.rules:
            if rule.message:
                recorder.pin(origin, text)
            if not rule.fits(category, text):
                continue
            if rule.action in ("error", "ignore", "always"):
                return rule.action
            if rule.action == "default":
                recorder.pin(origin, text)
                key = category, text, place.file, place.line
                told = key in recorder.catching[-1].told
                recorder.catching[-1].told.add(key)
                return "ignore" if told or place.levels else "always"
            recorder.refuse(f"warnings told {rule.action}")
    recorder.refuse("a warning of which filters from before the call say what becomes of it")
    return None


def _raising(recorder: Recorder, teller: Teller, message: Any, origin: Origin) -> Callable[[], Any]:
    def run() -> None:
        error = message if isinstance(message, Warning) else teller.category(message)
        if recorder.known(error) is None:
            recorder.born(error, "error", {"args": [origin]})
        raise error

    return run


def _caught(recorder: Recorder, log: list[Any], origin: Origin) -> Origin:
    """A warning was put into the list of those that are caught."""
    parts, told = recorder.known(log), log[-1]
    if not isinstance(parts, Born) or len(parts.parts) != len(log) - 1:
        recorder.refuse("warnings that were caught, and not told by the call")
        return None
    made: dict[str, Origin] = dict.fromkeys(vars(told), CONSTANT)
    made["message"] = recorder.known(told.message) or recorder.born(
        told.message, "error", {"args": [origin]}
    )
    parts.parts.append(recorder.born(told, "instance", made))
    return CONSTANT


# Catching -----------------------------------------------------------------------------------------


@final
class Catching:
    """Takes the place of `warnings.catch_warnings(...)` in a `with` statement.

    Attributes:
        rules: what the block says is to become of warnings, the last first.
        log: the list of those that are caught; None if they are told.
        told: those that were told by the rule that tells each once.
    """

    def __init__(self, frame: Frame, manager: Any, shape: Shape) -> None:
        self.frame, self.manager, self.shape = frame, manager, shape
        self.rules: list[Rule] = []
        self.log: list[Any] | None = None
        self.told: set[Any] = set()

    def __enter__(self) -> Any:
        recorder = self.frame.recorder
        self.log = self.manager.__enter__()
        recorder.catching.append(self)
        first = getattr(self.manager, "_filter", None)
        if first is not None:
            self.rules.append(Rule(first[0], first[1]))
        made = CONSTANT if self.log is None else recorder.born(self.log, "list", [])
        if not recorder.dead:
            self.frame._spread(self.shape, self.log, made)
        return self.log

    def __exit__(self, *raised: Any) -> None:
        self.frame.recorder.catching.pop()
        self.manager.__exit__(*raised)


@known(warnings.catch_warnings)
def _catch(call: Call) -> Plan | None:
    recorder = call.recorder
    for name, value in call.kwargs.items():
        recorder.pin(call.where[name], value)
    if call.args or set(call.kwargs) - {"record", "action", "category"} or not call.frame.entering:
        call.refuse()
        return None
    return call.plan(lambda out: recorder.born(out, "opaque"))


@known(warnings.simplefilter, warnings.filterwarnings)
def _filter(call: Call) -> Plan | None:
    recorder = call.recorder
    simple = call.function is warnings.simplefilter
    names = ("action", "category") if simple else ("action", "message", "category")
    given = dict(zip(names, call.args, strict=False)) | call.kwargs
    for value, origin in zip((*call.args, *call.kwargs.values()),
                             (*call.origins, *call.where.values()), strict=True):  # fmt: skip
        recorder.pin(origin, value)
    more = len(call.args) > len(names) or set(given) - set(names)
    if more or not recorder.catching or recorder.dead:
        call.refuse(f"{call.name} that holds beyond the call")
        return None
    rule = Rule(given["action"], given.get("category", Warning), given.get("message", ""))

    def finish(out: Any) -> Origin:
        recorder.catching[-1].rules.insert(0, rule)
        for one in recorder.catching:
            one.told.clear()
        return CONSTANT

    return call.plan(finish, lambda *args, **kwargs: call.function(*args, **kwargs))
