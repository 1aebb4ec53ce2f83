"""Calls: what is called, and how its result is known.

Comes in: a callable with its arguments and their origins. Goes out: a `Plan`: what to call instead
(the instrumented twin of a Python function, or the thing itself), and how to find the origin of its
result. What is in no table refuses the recording, and is called as it is.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, final
from weakref import ref

import numpy as np

from dualflow.array.tensor import Tensor
from dualflow.autograd.grad_mode import GradMode
from dualflow.ops.autocast import Autocast
from dualflow.ops.devices import Device

from . import (
    construct,
    known,
    known_logging,
    known_values,
    numpy_calls,
    numpy_names,
    numpy_random,
)
from .attributes import special
from .copies import instrumented
from .expressions import Refused
from .locate import NoSource
from .numpy_arrays import TYPES
from .provenance import CONSTANT, Born, Node, Origin
from .recorder import FIXED, Recorder
from .signatures import fits
from .values import is_value_class

if TYPE_CHECKING:
    from .operators import Operators

Finish = Callable[[Any], Origin]
#: packages whose functions are called as they are: what they do to tensors passes the door
TRUSTED = (
    "dualflow.ops", "dualflow.array", "dualflow.autograd", "dualflow.base.dtypes",
    "dualflow.base.shapes",
)  # fmt: skip


@final
class Plan:
    """How to make a call. Once there is one it is followed, even if the recording was refused: it
    may have asked iterators already.

    Attributes:
        watched: whether it is C code that may call Python.
    """

    __slots__ = ("args", "finish", "function", "kwargs", "name", "watched")

    def __init__(
        self,
        function: Any,
        args: Any,
        kwargs: dict[str, Any],
        finish: Finish,
        name: str,
        watched: bool = False,
    ) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs
        self.finish, self.name, self.watched = finish, name, watched


@final
class Call:
    """A call with the origins of everything in it."""

    __slots__ = ("args", "frame", "function", "kwargs", "origin", "origins", "recorder", "where")

    def __init__(
        self,
        frame: Operators,
        function: Any,
        origin: Origin,
        args: tuple[Any, ...],
        origins: tuple[Origin, ...],
        kwargs: dict[str, Any] | None = None,
        where: dict[str, Origin] | None = None,
    ) -> None:
        self.frame, self.recorder = frame, frame.recorder
        self.function, self.origin = function, origin
        self.args, self.origins = tuple(args), tuple(origins)
        self.kwargs, self.where = kwargs or {}, where or {}

    def of(self, function: Any, origin: Origin, before: Any = None, before_origin: Origin = None,
           bound: bool = False) -> Call:  # fmt: skip
        """The same arguments to something else, behind a first one if `bound`."""
        args, origins = self.args, self.origins
        if bound:
            args, origins = (before, *args), (before_origin, *origins)
        return Call(self.frame, function, origin, args, origins, self.kwargs, self.where)

    def only(self, count: int) -> Call:
        """The first arguments alone."""
        args, origins = self.args[:count], self.origins[:count]
        return Call(self.frame, self.function, self.origin, args, origins)

    @property
    def name(self) -> str:
        return getattr(self.function, "__qualname__", None) or type(self.function).__name__

    def plan(self, finish: Finish, function: Any = None) -> Plan:
        """Call the thing itself, or `function`."""
        if function is not None:
            return Plan(function, self.args, self.kwargs, finish, self.name)
        watched = type(self.function) is types.BuiltinFunctionType
        return Plan(self.function, self.args, self.kwargs, finish, self.name, watched)

    def find(self) -> Plan | None:
        """How to make the call."""
        return find(self)

    def refuse(self, why: str = "") -> None:
        self.recorder.refuse(why or f"a call of {self.name}, which is in no table")


def prepare(
    frame: Operators, sf: int, slots: tuple, f: Any, args: tuple, kwargs: dict[str, Any]
) -> Plan | None:
    """The plan of a call in the user's code; None if it cannot be followed."""
    recorder = frame.recorder
    origin = frame.origin(sf, f)
    origins: list[Origin] = []
    where: dict[str, Origin] = {}
    position = 0
    known = frame.slots
    for kind, slot in slots:
        if kind == "":
            value = args[position]
            found = known[slot]
            if found is None or type(value) is Tensor:
                found = frame.origin(slot, value)
            origins.append(found)
            position += 1
        elif kind == "*":
            parts = frame.slots[slot]
            if not isinstance(parts, Born):
                break
            origins += parts.parts
            position += len(parts.parts)
        elif kind == "**":
            if not _double_starred(recorder, frame.slots[slot], kwargs, slots, where):
                return None
        else:
            where[kind] = frame.origin(slot, kwargs[kind])
    if recorder.dead or len(origins) != len(args) or where.keys() != kwargs.keys():
        recorder.refuse("a call with * or ** whose parts are not known")
        return None
    return find(Call(frame, f, origin, args, tuple(origins), kwargs, where))


def _double_starred(
    recorder: Recorder, origin: Origin, kwargs: dict, slots: tuple, where: dict[str, Origin]
) -> bool:
    named = {kind for kind, _ in slots if kind not in ("", "*", "**")}
    rest = [key for key in kwargs if key not in named]
    if isinstance(origin, Born) and origin.kind == "dict" and set(origin.parts) == set(rest):
        where.update(origin.parts)
        return True
    if isinstance(origin, Node) and sum(1 for kind, _ in slots if kind == "**") == 1:
        shadows = (s for s in recorder.lists.values() if getattr(s, "node", None) is origin)
        changed = next(shadows, None)
        before = tuple(rest) if changed is None else changed.held
        recorder.guard("type({0}) is dict and tuple({0}) == {k0}", origin,
                       constants=(recorder.const_tuple(before),))  # fmt: skip
        for key in rest:
            if changed is not None and key in changed.changed:  # by the call itself
                where[key] = changed.changed[key]
                continue
            where[key] = recorder.read(recorder.nodes("{0}[{k0}]", (origin,), (key,)), kwargs[key])
        return True
    recorder.refuse("a call with ** of something of unknown origin")
    return False


def invoke(
    frame: Operators,
    f: Any,
    origin: Origin,
    args: tuple[Any, ...],
    origins: tuple[Origin, ...],
    kwargs: dict[str, Any] | None = None,
    where: dict[str, Origin] | None = None,
) -> tuple[Any, Origin]:
    """Make a call in the place of code that would make it: the result and its origin."""
    recorder = frame.recorder
    plan = None if recorder.dead else find(Call(frame, f, origin, args, origins, kwargs, where))
    if plan is None:
        return f(*args, **kwargs or {}), None
    if plan.watched:
        recorder.alarm.open()
    try:
        out = plan.function(*plan.args, **plan.kwargs)
    finally:
        recorder.alarm.close()
    if recorder.dead:
        return out, None
    found = plan.finish(out)
    if found is None:
        found = recorder.origin(None, out)
    if found is None:
        recorder.refuse(f"the result of {plan.name}")
    return out, found


def find(call: Call) -> Plan | None:
    """How to make a call, by the kind of what is called."""
    f, origin, recorder = call.function, call.origin, call.recorder
    kind = type(f)
    if kind is types.FunctionType and not numpy_names.owns(f):
        return _function(call)
    follow = known.SPECIAL.get(kind)
    if follow is not None:  # df.compile, df.pure
        return follow(call)
    if kind is types.MethodType and type(f.__self__) is Tensor:
        return _method(call)
    if numpy_random.is_generator(getattr(f, "__self__", None)):
        return numpy_random.method(call)
    if kind is types.MethodType:
        return _method(call)
    plan = numpy_calls.find(call)
    if plan is not None:
        return plan
    if kind is types.FunctionType:
        return _function(call)
    if issubclass(kind, (types.BuiltinFunctionType, types.MethodWrapperType)) and not isinstance(
        f.__self__, (types.ModuleType, type, type(None))
    ):
        return _builtin_method(call)
    if isinstance(f, type):
        recorder.pin(origin, f)
        handler = known.TABLE.get(f)
        if handler is None:
            return construct.plan(call)
        return handler(call) if fits(call, f) else None
    if kind is functools.partial:
        return _partial(call)
    if kind is ref:
        return _dereferenced(call)
    if is_value_class(kind) and kind.__module__ == "operator":
        return known_values.getter(call)
    try:
        handler = known.TABLE.get(f)
    except TypeError:
        handler = None
    if handler is not None:
        if not isinstance(origin, Born):
            recorder.pin(origin, f)
        return handler(call) if fits(call, f) else None
    handler = known_values.handler(f)
    if handler is not None:
        recorder.pin(origin, f)
        return handler(call)
    if callable(f) and not isinstance(f, FIXED):
        method = special(kind, "__call__")
        if method is not None:
            recorder.guard_special(origin, f, "__call__")
            return find(call.of(method, CONSTANT, f, origin, bound=True))
    call.refuse()
    return None


def _method(call: Call) -> Plan | None:
    f, origin, recorder = call.function, call.origin, call.recorder
    inner, owner = f.__func__, f.__self__
    if isinstance(origin, Born) and origin.kind == "method":
        inner_origin, owner_origin = origin.parts
    elif isinstance(origin, Node):
        recorder.typed(origin, f)
        inner_origin = recorder.read(recorder.nodes("{0}.__func__", (origin,)), inner)
        owner_origin = recorder.read(recorder.nodes("{0}.__self__", (origin,)), owner)
    else:
        inner_origin = CONSTANT
        owner_origin = recorder.read(recorder.constant(owner), owner)
    if owner_origin is None:
        owner_origin = recorder.origin(None, owner)
    return find(call.of(inner, inner_origin or CONSTANT, owner, owner_origin, bound=True))


def _builtin_method(call: Call) -> Plan | None:
    """A method of a list, dict, string... or of an iterator."""
    f, origin, recorder = call.function, call.origin, call.recorder
    owner = f.__self__
    if isinstance(origin, Born) and origin.kind == "method":
        owner_origin = recorder.origin(origin.parts[1], owner)
    elif isinstance(origin, Node):
        recorder.guard("type({0}) is {k0} and {0}.__name__ == {k1}", origin,
                       constants=(type(f), f.__name__))  # fmt: skip
        owner_origin = recorder.read(recorder.nodes("{0}.__self__", (origin,)), owner)
    else:
        call.refuse()
        return None
    if type(owner) in TYPES or isinstance(owner, np.ufunc):
        return numpy_calls.method(call, owner, owner_origin)
    if isinstance(owner, BaseException) and f.__name__ == "__init__":
        inner = call.of(f, CONSTANT, owner, owner_origin, bound=True)
        return construct.error_arguments(inner)
    if f.__name__ == "__setattr__" and isinstance(f, types.MethodWrapperType):
        direct = call.of(object.__setattr__, CONSTANT, owner, owner_origin, bound=True)
        return direct.find()
    handler = known.METHODS.get((type(owner), f.__name__))
    if handler is None and is_value_class(type(owner)):
        recorder.pin(owner_origin, owner)
        return known_values.method(call.of(f, CONSTANT, owner, owner_origin, bound=True))
    if handler is None:
        call.refuse(f"{type(owner).__name__}.{f.__name__}, which is in no table")
        return None
    recorder.typed(owner_origin, owner)
    inner = call.of(f, CONSTANT, owner, owner_origin, bound=True)
    return handler(inner) if fits(inner, getattr(type(owner), f.__name__)) else None


def _dereferenced(call: Call) -> Plan | None:
    """A weak reference from outside, called."""
    recorder, node = call.recorder, call.recorder.as_node(call.origin, call.function)
    if node is None or call.args or call.kwargs:
        call.refuse()
        return None
    recorder.typed(call.origin, call.function)
    return call.plan(lambda out: recorder.found(recorder.nodes("({0}())", (node,)), out))


def _partial(call: Call) -> Plan | None:
    f = call.function
    found = partial_parts(call.recorder, f, call.origin)
    if found is None:
        call.refuse("a functools.partial made in the call")
        return None
    inner_origin, before, named = found
    return find(
        Call(call.frame, f.func, inner_origin, (*f.args, *call.args), (*before, *call.origins),
             {**f.keywords, **call.kwargs}, {**named, **call.where})
    )  # fmt: skip


def partial_parts(
    recorder: Recorder, f: Any, origin: Origin
) -> tuple[Origin, list[Origin], dict[str, Origin]] | None:
    """The origins of the function, arguments and keywords of a partial; None if not known."""
    node = recorder.as_node(origin, f)
    if node is None:
        parts = origin.parts if isinstance(origin, Born) else None
        return parts if isinstance(parts, tuple) else None
    recorder.typed(origin, f)
    inner_origin = recorder.read(recorder.nodes("{0}.func", (node,)), f.func)
    args = recorder.nodes("{0}.args", (node,))
    before = [part for _, part in recorder.items(f.args, args)]
    keywords = recorder.nodes("{0}.keywords", (node,))
    names = recorder.const_tuple(tuple(f.keywords))
    recorder.guard("tuple({0}) == {k0}", keywords, constants=(names,))
    named = {
        key: recorder.read(recorder.nodes("{0}[{k0}]", (keywords,), (key,)), value)
        for key, value in f.keywords.items()
    }
    return inner_origin, before, named


# Python functions ---------------------------------------------------------------------------


def trusted(f: Any) -> bool:
    module = getattr(f, "__module__", None) or ""
    return module.startswith(TRUSTED)


def _function(call: Call) -> Plan | None:
    f, recorder = call.function, call.recorder
    handler = known.TABLE.get(f)
    if handler is None:
        handler = known.BY_CODE.get(id(f.__code__))
    if handler is None and f.__name__ == "_replace" and construct.is_named_tuple(call.args[:1]):
        handler = construct.replaced
    if handler is None:
        handler = known_logging.handler(f) or known_values.handler(f)
    if handler is not None:
        _same_function(recorder, call.origin, f)
        return handler(call) if fits(call, f) else None
    if trusted(f):
        _same_function(recorder, call.origin, f)
        return known.trusted(call)
    return twin(call)


def _same_function(recorder: Recorder, origin: Origin, f: Any) -> None:
    if isinstance(origin, Node):
        recorder.guard("{0} is {k0}", origin, constants=(f,))


def twin(call: Call, ends: bool = False) -> Plan | None:
    """Call the instrumented copy of a Python function; `ends`: see `instrumented`."""
    f, recorder = call.function, call.recorder
    closes = False
    try:
        try:
            made = instrumented(f.__code__, f.__globals__, ends)
        except Refused:
            closes = bool(f.__code__.co_flags & 0x20)
            if not closes:
                raise
            made = instrumented(f.__code__, f.__globals__, True)
    except (Refused, NoSource) as reason:
        call.refuse(f"{f.__qualname__} runs as it is: {reason}")
        return None
    frame = call.frame.below(f, made.count, made.slots)
    if not _guard_function(call) or not _bind(call, frame):
        return None
    cells = _cells(call, frame)
    cells["_df_"] = types.CellType(frame)
    copy = types.FunctionType(
        made.code, f.__globals__, f.__name__, f.__defaults__,
        tuple(cells[name] for name in made.code.co_freevars),
    )  # fmt: skip
    copy.__kwdefaults__ = f.__kwdefaults__
    copy.__qualname__, copy.__module__ = f.__qualname__, f.__module__

    def finish(out: Any) -> Origin:
        if type(out) is types.GeneratorType and f.__code__.co_flags & 0x20:
            running = Running(out, lambda _: frame.innermost().result, closes, frame)
            return recorder.born_weakly(out, running)
        return frame.result

    return Plan(copy, call.args, call.kwargs, finish, call.name)


@final
class Running:
    """What knows the items of a generator that runs, of which it does not keep the generator alive.

    Attributes:
        frame: of the generator; None of a generator expression.
        closes: whether it is visible when the generator dies.
    """

    __slots__ = ("closes", "frame", "source")

    def __init__(
        self, generator: Any, last: Callable[[Any], Origin], closes: bool, frame: Any = None
    ) -> None:
        self.frame, self.closes = frame, closes
        self.source = self._follow(ref(generator), last)

    def __call__(self) -> Iterator[tuple[Any, Origin]]:
        return self.source

    def _follow(
        self, held: Callable[[], Any], last: Callable[[Any], Origin]
    ) -> Generator[tuple[Any, Origin], None, Any]:
        while (generator := held()) is not None:
            try:
                item = next(generator)
            except StopIteration as over:
                return over.value
            del generator
            yield item, last(item)
        return None


def closing(origin: Origin) -> bool:
    """Whether the origin is that of a generator whose death is visible."""
    parts = origin.parts if isinstance(origin, Born) else None
    return isinstance(parts, Running) and parts.closes


def _guard_function(call: Call) -> bool:
    """Guard that the function is still this code in this module."""
    f, recorder, origin = call.function, call.recorder, call.origin
    if isinstance(origin, Born):
        return True
    if recorder.followed.get(id(f)) == (origin, f.__code__):
        return True
    node = recorder.as_node(origin, f)
    if node is None:
        call.refuse(f"a function of unknown origin, {f.__qualname__}")
        return False
    if origin is not CONSTANT:
        recorder.guard("type({0}) is {k0}", node, constants=(types.FunctionType,))
        recorder.guard("{0}.__globals__ is {k0}", node, constants=(f.__globals__,))
    recorder.guard("{0}.__code__ is {k0}", node, constants=(f.__code__,))
    recorder.followed[id(f)] = origin, f.__code__
    recorder.keep(f)
    return True


def _bind(call: Call, frame: Operators) -> bool:
    """Give the parameters' slots the origins of the arguments."""
    f, code = call.function, call.function.__code__
    count, only = code.co_argcount, code.co_kwonlyargcount
    names = code.co_varnames[: count + only]
    args, kwargs = call.args, dict(call.where)
    slots, recorder = frame.slots, call.recorder
    for i, name in enumerate(names[:count]):
        if i < len(args):
            slots[frame.names[name]] = call.origins[i]
        elif name in kwargs and i >= code.co_posonlyargcount:
            slots[frame.names[name]] = kwargs.pop(name)
        else:
            found = _default(call, i - count + len(f.__defaults__ or ()))
            if found is None:
                return False
            slots[frame.names[name]] = found
    for name in names[count:]:
        if name in kwargs:
            slots[frame.names[name]] = kwargs.pop(name)
        else:
            found = _keyword_default(call, name)
            if found is None:
                return False
            slots[frame.names[name]] = found
    at = count + only
    if code.co_flags & 4:
        slots[frame.names[code.co_varnames[at]]] = Born("tuple", list(call.origins[count:]))
        at += 1
    elif len(args) > count:
        call.refuse(f"{call.name} called with too many arguments")
        return False
    if code.co_flags & 8:
        slots[frame.names[code.co_varnames[at]]] = Born("dict", kwargs)
    elif kwargs:
        call.refuse(f"{call.name} called with an argument it does not take")
        return False
    return not recorder.dead


def _default(call: Call, i: int) -> Origin:
    f, recorder = call.function, call.recorder
    defaults = f.__defaults__ or ()
    if i < 0:
        call.refuse(f"{call.name} called without an argument it needs")
        return None
    if isinstance(call.origin, Born):
        return call.origin.parts[0][i]
    node = recorder.nodes("{0}.__defaults__", (recorder.as_node(call.origin, f),))  # type: ignore[arg-type]
    recorder.guard("len({0}) == {k0}", node, constants=(len(defaults),))
    return recorder.read(recorder.nodes("{0}[{k0}]", (node,), (i,)), defaults[i])


def _keyword_default(call: Call, name: str) -> Origin:
    f, recorder = call.function, call.recorder
    defaults = f.__kwdefaults__ or {}
    if name not in defaults:
        call.refuse(f"{call.name} called without {name}")
        return None
    if isinstance(call.origin, Born):
        return call.origin.parts[1][name]
    node = recorder.nodes("{0}.__kwdefaults__", (recorder.as_node(call.origin, f),))  # type: ignore[arg-type]
    return recorder.read(recorder.nodes("{0}[{k0}]", (node,), (name,)), defaults[name])


def _cells(call: Call, frame: Operators) -> dict[str, Any]:
    """The cells of the function, and where each came from."""
    f, recorder = call.function, call.recorder
    found = dict(zip(f.__code__.co_freevars, f.__closure__ or (), strict=True))
    node = None if isinstance(call.origin, Born) else recorder.as_node(call.origin, f)
    for i, (name, cell) in enumerate(found.items()):
        before = recorder.known(cell)
        if before is None and node is not None:
            path = recorder.nodes("{0}.__closure__[{k0}]", (node,), (i,))
            before = recorder.read(path, cell)
        frame.cells[name] = (cell, before)
    return found


# Special methods ----------------------------------------------------------------------------


METHODS = {
    "add": "__add__", "sub": "__sub__", "mul": "__mul__", "truediv": "__truediv__",
    "matmul": "__matmul__", "pow": "__pow__", "mod": "__mod__", "floordiv": "__floordiv__",
}  # fmt: skip


def operator_methods(f: Any, a: Any, b: Any) -> list[tuple[str, bool, types.FunctionType]]:
    """The methods that `a + b` asks, in order: their names, whether the left operand's, and they;
    none if that is not known. Operands are instances of plain Python classes, and numbers."""
    name, kinds = METHODS.get(f.__name__), (type(a), type(b))
    if name is None or (issubclass(kinds[1], kinds[0]) and kinds[0] is not kinds[1]):
        return []
    found = []
    for left, kind, method in ((True, kinds[0], name), (False, kinds[1], "__r" + name[2:])):
        if not _plain_class(kind) or (not left and kinds[0] is kinds[1]):
            if left and kind not in (bool, int, float, complex):
                return []
            continue
        function = special(kind, method)
        if function is not None:
            found.append((method, left, function))
        elif hasattr(kind, method):
            return []
    return found


def _plain_class(kind: type) -> bool:
    """Whether a class and its bases are written in Python."""
    return all(cls.__flags__ & (1 << 9) for cls in kind.__mro__[:-1]) and kind is not object


def int_range(dtype: np.dtype) -> tuple[int, int]:
    """The Python integers that are the same number in a tensor of `dtype`."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return max(int(limits.min), -(2**63)), min(int(limits.max), 2**63 - 1)
    if dtype.kind == "f":
        return -(2**24), 2**24
    return -(2**63), 2**63 - 1


def known_manager(manager: Any) -> bool:
    """Whether what `with` does with the object is known."""
    return isinstance(manager, (GradMode, Autocast, Device)) or numpy_calls.quiet(manager)
