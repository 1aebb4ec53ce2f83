"""Leaves whose replay is one native call: guards, memory, program, result (`runtime/native_call`).

Comes in: the events and the text of a leaf. Goes out: `Plain`, addresses of what its guards look
at; made into a built-in once its program is there. A leaf with anything else in it has none, and
its Python text does the same for all.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakSet

import numpy as np

from dualflow.array.eager import EagerMode
from dualflow.array.tensor import Tensor
from dualflow.base import config
from dualflow.base.counters import before_stats, count
from dualflow.ops import door
from dualflow.runtime import native_call
from dualflow.runtime.native_call import CODE, GLOBALS, HELD, IS, TYPE, WholeCall

from .emit import ABSENT, MISS, is_array
from .provenance import Namespace, Node

_ARGUMENT, _COUNT = "args[{k0}]", "len(args) == {k0} and tuple(kwargs) == {k1}"
_IN_NAMESPACE, _ITSELF = "{k0}[{k1}]", "{k0}"
#: What guards ask of something in a namespace.
_ASKED = {
    "{0} is {k0}": IS, "{0}.__code__ is {k0}": CODE, "{0}.__globals__ is {k0}": GLOBALS,
    "type({0}) is {k0}": TYPE,
}  # fmt: skip
#: The lines of a leaf that runs its program and returns one tensor, its array, or its element.
_RUNS = ["try: {out} = run(({given}))", "except Exception: return RAISED",
         "except GuardErrors: return MISS"]  # fmt: skip
_TENSOR = ["{a} = new(Tensor)", "{a}._array = {out}[0]", "return {a}"]
_ARRAY = [*_TENSOR[:2], "{b} = {a}._array", "return {b}"]
_ELEMENT = [*_TENSOR[:2], "return {a}._array[()]"]

_NOWHERE: tuple[()] = ()
Check = tuple[int, int, int, int]
Input = tuple[int, type, Any]


class Other(Exception):  # noqa: N818 - no error: a leaf that Python replays
    """Something that the native call does not do."""


class Plain:
    """What a native call checks and gives, as addresses: the block ends it before one is void.

    Args:
        arguments: how many there are.
        checks: kind, object, key, wanted.
        inputs: for each input of the program the argument, its type, and its layout.
        grad: whether gradients have to be enabled.
        result: whether it is a "tensor", its "array", or the "element" of that.
        names: the keys among the addresses.
    """

    def __init__(
        self, arguments: int, checks: Sequence[Check], inputs: Sequence[Input], grad: bool,
        result: str, names: Sequence[str],
    ) -> None:  # fmt: skip
        self._arguments, self._checks, self._inputs = arguments, checks, inputs
        self._grad, self._result, self._names = grad, result, names
        self._whole: WholeCall | None = None
        self._settings: config.Config | None = None
        self._over = False
        self._counts: dict[str, int] = {}
        self._runs = (0, 0)

    def whole(self, run: Any, counts: dict[str, int], calls: int) -> Callable[..., Any] | None:
        """The built-in that replays the block, whose program is `run`, so many times; None if it
        cannot. It adds to `counts` in the end (`settle`)."""
        settings = config.active()
        if self._settings is not settings:
            self.settle()
            self._settings, self._counts = settings, counts
            self._whole = self._made(run, settings)
        if self._whole is None or self._over:
            return None
        self._whole.allow(calls)
        return self._whole.call

    def end(self) -> None:
        """Something that it looks at is no more."""
        self._over = True
        if self._whole is not None:
            self._whole.end()

    def settle(self) -> int:
        """Count the calls that were taken since; how many there were."""
        taken = self._whole.taken() if self._whole is not None else 0
        if taken:
            self._counts["calls"] += taken
            self._counts["replays"] += taken
            count("calls", taken, also="replays")
            for name, each in zip(("kernel_launches", "library_calls"), self._runs, strict=True):
                if each:
                    count(name, each * taken)
        return taken

    __del__ = settle

    def _made(self, run: Any, settings: config.Config) -> WholeCall | None:
        executable: Any = getattr(run, "__self__", None)
        variable = getattr(np._core._ufunc_config, "_extobj_contextvar", None)  # type: ignore[attr-defined]
        if executable is None or variable is None or not native_call.works():
            return None
        parts = executable.parts_of_call()
        if parts is None:
            return None
        code, make, arena = parts
        self._runs = executable.program.runs
        errors, names = variable.get(), sys.intern
        own = (IS, id(vars(config)), id(names("_active")), id(settings))
        words = [word for check in (own, *self._checks) for word in check]
        for number, kind, (shape, dtype, strides) in self._inputs:
            words += [number, id(kind), len(shape), id(dtype), *shape, *strides]
        head = {
            "arguments": self._arguments, "alive": 1, "left": 0, "hits": 0,
            "checks": 1 + len(self._checks), "inputs": len(self._inputs),
            "code": code.ctypes.data, "make": id(make), "arena": arena,
            "tensor": id(Tensor) if self._result == "tensor" else 0,
            "item": id(_NOWHERE) if self._result == "element" else 0,
            "array_name": id(names("_array")), "grad_name": id(names("requires_grad")),
            "grad": id(False), "miss": id(MISS),
            "state": id(door.state), "mode_name": id(names("mode")), "mode": id(EagerMode),
            "enabled_name": id(names("grad_enabled")), "enabled": id(self._grad),
            "device_name": id(names("device")), "device": id(None), "variable": id(variable),
            "error_state": id(errors),
        }  # fmt: skip
        live.add(self)
        return WholeCall(head, words, (executable, code, make, settings, variable, errors))


#: those that may have calls to count
live: WeakSet[Plain] = WeakSet()


def settle_all() -> None:
    """Count what all have taken."""
    for each in list(live):
        each.settle()


before_stats.append(settle_all)


def plain(
    guards: Sequence[tuple[Any, ...]],
    inputs: Sequence[Node | None],
    lines: Sequence[str],
    grad: bool,
) -> Plain | None:
    """What a native call does for a leaf with these guards, inputs of its program, and lines from
    the last guard on; None where it would have to do more."""
    try:
        return _plain(guards, inputs, lines, grad)
    except Other:
        return None


def _plain(
    guards: Sequence[tuple[Any, ...]],
    inputs: Sequence[Node | None],
    lines: Sequence[str],
    grad: bool,
) -> Plain:
    result = _result(lines)
    arguments = -1
    checks: list[Check] = []
    layouts: dict[int, Input] = {}
    guarded = {parent for event in guards if event[0] == "guard" for parent in event[1].parents}
    for event in guards:
        node = event[1]
        if event[0] == "guard" and node.template == _COUNT:
            arguments, named = node.constants
            if named:
                raise Other
        elif event[0] == "guard":
            checks.append(_check(node))
        elif event[0] == "value":
            if node not in guarded:
                checks.append((HELD, *_place(node), 0))
        else:
            _, node, layout, requires, _ = event
            if requires:
                raise Other
            number, kind = _argument(node)
            layouts[number] = number, kind, layout
    numbers = [_argument(node)[0] for node in inputs]
    if arguments < 0 or set(numbers) != set(layouts):
        raise Other  # guards look at a tensor that the program does not take
    nodes = [node for event in guards for node in (event[1], *event[1].parents)]
    names = tuple(c for node in nodes for c in node.constants if type(c) is str)
    found = tuple(layouts[number] for number in numbers)
    return Plain(arguments, tuple(checks), found, grad, result, names)


def _result(lines: Sequence[str]) -> str:
    """What the lines return."""
    stripped = [line.strip() for line in lines]
    for tail, what in ((_TENSOR, "tensor"), (_ARRAY, "array"), (_ELEMENT, "element")):
        if len(stripped) != len(_RUNS) + len(tail):
            continue
        names = {"out": stripped[0][5:].partition(" ")[0], "a": stripped[3].partition(" ")[0]}
        names["b"] = stripped[5].partition(" ")[0]
        names["given"] = stripped[0].partition(" = run((")[2][:-2]
        if [line.format(**names) for line in (*_RUNS, *tail)] == stripped:
            return what
    raise Other


def _argument(node: Node | None) -> tuple[int, type]:
    """The number of an argument that is a tensor or an array, and its type."""
    if node is not None and node.template == _ARGUMENT:
        return node.constants[0], Tensor
    if node is not None and is_array(node) and node.parents[0].template == _ARGUMENT:
        return node.parents[0].constants[0], np.ndarray
    raise Other


def _check(node: Node) -> Check:
    if node.template == ABSENT:
        space, name = node.constants
        return IS, _namespace(space), _name(name), 0
    kind = _ASKED.get(node.template)
    if kind is None or len(node.parents) != 1:
        raise Other
    (parent,), wanted = node.parents, node.constants[0]
    if parent.template == _ITSELF:
        return kind, id(parent.constants[0]), 0, id(wanted)
    return kind, *_place(parent), id(wanted)


def _place(node: Node) -> tuple[int, int]:
    """A namespace and a name in it."""
    if node.template != _IN_NAMESPACE:
        raise Other
    space, name = node.constants
    return _namespace(space), _name(name)


def _name(name: Any) -> int:
    if type(name) is not str:
        raise Other
    return id(name)


def _namespace(space: Any) -> int:
    """The address of a dict, or of the one behind the namespace of a class."""
    if type(space) is dict:
        return id(space)
    owner = space.owner() if type(space) is Namespace else None
    found = [x for x in gc.get_referents(vars(owner)) if type(x) is dict] if owner else []
    if len(found) != 1:
        raise Other
    return id(found[0])
