"""What a gradient rule looks at, found once an op by reading the rule's code.

Comes in: an `Op`, and which of its inputs want a gradient. Goes out: a `Plan`, by which the tape
saves no more than the rule will use: `add` saves nothing, `exp` its output, `multiply` the other
factor. So memory is not kept for nothing, and writing in place is an error only where it matters.
"""

from __future__ import annotations

import dis
from enum import IntEnum
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any, NamedTuple, final

from dualflow.ir.op import Op


class Need(IntEnum):
    """How much of an input or output a rule uses."""

    NOTHING = 0
    TYPE = 1  # its shape or dtype
    VALUE = 2


Uses = dict[str, Need]


@final
class Plan(NamedTuple):
    """What to save for a gradient: for each input, and for the output."""

    inputs: tuple[Need, ...]
    out: Need


def plan(op: Op, wanted: tuple[bool, ...]) -> Plan:
    """What to save of an application of `op` whose inputs marked in `wanted` want a gradient."""
    found = _plan(op.gradient, wanted)
    if op.forward is None or hasattr(op.forward, "needs_no_more"):
        return found
    other = _plan(op.forward, wanted)
    return Plan(tuple(map(max, found.inputs, other.inputs)), max(found.out, other.out))


@lru_cache(maxsize=None)
def looked_at(op: Op, count: int) -> bool:
    """Whether the forward rule of `op`, with `count` inputs, looks at the output or at its type."""
    return _plan(op.forward, (True,) * count).out is not Need.NOTHING


def _plan(rule: Any, wanted: tuple[bool, ...]) -> Plan:
    if rule is None:
        return Plan((Need.NOTHING,) * len(wanted), Need.NOTHING)
    if getattr(rule, "from_types", False):
        return Plan((Need.TYPE,) * len(wanted), Need.NOTHING)
    everything = Plan((Need.VALUE,) * len(wanted), Need.VALUE)
    if not isinstance(rule, FunctionType):
        return everything
    named = rule.__code__.co_varnames[1 : rule.__code__.co_argcount]
    names = named[: 1 + len(wanted)]  # out, and the inputs; attributes may follow
    if len(names) < 1 + len(wanted):  # *inputs
        return everything
    parts = _uses_by_part(rule, names) if len(wanted) > 1 and names == named else None
    if parts is None:
        parts = [_uses(rule.__code__, names)] * len(wanted)
    most = dict.fromkeys(names, Need.NOTHING)
    for part, is_wanted in zip(parts, wanted, strict=True):
        if is_wanted:
            _join(most, part)
    return Plan(tuple(most[name] for name in names[1:]), most[names[0]])


def _join(most: Uses, part: Uses) -> None:
    for name, need in part.items():
        most[name] = max(need, most.get(name, Need.NOTHING))


@final
class _Stand:
    """Stands in for a tensor; every operation on it raises."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        raise TypeError("a stand-in has no value")

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise TypeError("a stand-in has no value")


def _uses_by_part(rule: FunctionType, names: tuple[str, ...]) -> list[Uses] | None:
    """What each gradient uses by itself, if the rule does no more than make functions of them.

    `lambda g, out, x, y: (lambda: g * y, lambda: g * x)` gives y for the first, x for the second.
    """
    try:
        parts = rule(_Stand(""), *map(_Stand, names))
    except (TypeError, AttributeError):  # it computes at once: read it as a whole
        return None
    found = [_uses_of_part(part) for part in parts]
    return None if None in found else found  # type: ignore[return-value]


def _uses_of_part(part: Any) -> Uses | None:
    """What a gradient made from stand-ins uses; None if that cannot be told."""
    if part is None:
        return {}
    if isinstance(part, _Stand):
        return {part.name: Need.VALUE} if part.name else {}
    if not isinstance(part, FunctionType):
        return None
    found: Uses = {}
    for name, cell in zip(part.__code__.co_freevars, part.__closure__ or (), strict=True):
        held = cell.cell_contents
        if isinstance(held, _Stand):
            if held.name:
                _join(found, {held.name: _uses(part.__code__, (name,))[name]})
        elif isinstance(held, FunctionType):
            below = _uses_of_part(held)
            if below is None:
                return None
            _join(found, below)
        elif not isinstance(held, (int, float, str)):
            return None
    return found


def _uses(code: CodeType, names: tuple[str, ...]) -> Uses:
    """How much of each variable in `names` the code, and functions made within it, use."""
    found = dict.fromkeys(names, Need.NOTHING)
    cells = {*code.co_cellvars, *code.co_freevars}
    instructions = list(dis.get_instructions(code))
    for instruction, after in zip(instructions, [*instructions[1:], None], strict=True):
        loaded = _loaded(instruction, cells)
        of_type = (
            after is not None
            and after.opname.startswith("LOAD_ATTR")
            and after.argval in ("shape", "dtype")
        )
        for name in loaded:
            if name in found:
                type_only = of_type and name == loaded[-1]
                _join(found, {name: Need.TYPE if type_only else Need.VALUE})
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner = tuple(name for name in names if name in constant.co_freevars)
            _join(found, _uses(constant, inner))
    return found


def _loaded(instruction: dis.Instruction, cells: set[str]) -> tuple[str, ...]:
    """The variables whose values an instruction puts on the stack, the top last.

    LOAD_CLOSURE, MAKE_CELL and the like only hand a variable on to a function made within.
    """
    name, kind = instruction.argval, instruction.opname
    if kind.startswith("LOAD_DEREF"):
        return (name,)
    if "LOAD_FAST" not in kind:
        return ()
    several = name if isinstance(name, tuple) else (name,)  # LOAD_FAST_LOAD_FAST since 3.13
    if kind.startswith("STORE_FAST"):
        several = several[1:]
    return tuple(one for one in several if one not in cells)
