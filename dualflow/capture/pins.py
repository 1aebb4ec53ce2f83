"""What must be the same at a replay: values that are pinned, and what functions of dualflow take.

Comes in: a value and where it came from. Goes out: guards, down to the last part of a container; a
value of a tensor becomes a branch. What cannot be compared refuses the recording.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

import numpy as np

from dualflow.array.tensor import Tensor
from dualflow.ops import operands
from dualflow.ops.generator import Generator

from .kinds import FIXED, NUMERIC, SCALAR_TYPES
from .provenance import (
    CONSTANT,
    SCALARS,
    TENSOR,
    Born,
    Node,
    Origin,
)
from .values import Unchanging, by_identity

if TYPE_CHECKING:
    from .recorder import Recorder


def pin(recorder: Recorder, origin: Origin, value: Any) -> None:
    """The value must be the same at a replay, and is a constant from now on."""
    if origin is CONSTANT or recorder.dead:
        return
    kind = type(value)
    if kind in SCALAR_TYPES:
        recorder.arrays.pin(origin, value)
        return
    if isinstance(origin, Born):
        _pin_born(recorder, origin, value)
        return
    if not isinstance(origin, Node):
        recorder.refuse(f"a {kind.__name__} of unknown origin")
        return
    if kind in SCALARS:
        pin_scalar(recorder, origin, value)
    elif isinstance(value, FIXED):
        if isinstance(value, np.dtype):
            recorder.guard("{0} == {k0}", origin, constants=(value,))
        elif isinstance(value, Unchanging) and not by_identity(value):
            recorder.guard("type({0}) is {k0} and repr({0}) == {k1}", origin,
                       constants=(kind, repr(value)))  # fmt: skip
        else:
            recorder.guard("{0} is {k0}", origin, constants=(value,))
    elif kind in (tuple, list) or (isinstance(value, tuple) and hasattr(kind, "_fields")):
        recorder.typed(origin, value)
        try:
            for item, part in recorder.items(value, origin):
                pin(recorder, part, item)
        except RecursionError:
            recorder.refuse(f"a {kind.__name__} that holds itself")
    elif kind is slice:
        recorder.typed(origin, value)
        for name in ("start", "stop", "step"):
            pin(recorder, recorder.nodes(f"{{0}}.{name}", (origin,)), getattr(value, name))
    elif kind is types.FunctionType:
        recorder.guard("{0} is {k0}", origin, constants=(value,))
    elif kind is range:
        recorder.guard("type({0}) is range and repr({0}) == {k0}", origin, constants=(repr(value),))
    elif kind is bytearray:
        recorder.guard("type({0}) is bytearray and bytes({0}) == {k0}", origin,
                       constants=(bytes(value),))  # fmt: skip
    elif kind in (set, frozenset) and id(value) not in recorder.lists:
        _pin_set(recorder, origin, value)
    elif isinstance(value, NUMERIC):  # an instance of a subclass
        recorder.typed(origin, value)
        recorder.guard("{k0}({0}) == {k1}", origin, constants=(number_text, number_text(value)))
    else:
        recorder.refuse(f"a {kind.__name__} used where its value matters")


def number_text(value: Any) -> str:
    """What tells apart the numbers that instances of a number's subclass are."""
    return repr(operands.number(value))


def _pin_set(recorder: Recorder, node: Node, value: Any) -> None:
    kinds = frozenset(map(type, value))
    if len(kinds) > 1 or not kinds <= {int, str}:  # 1, 1.0 and True are equal
        recorder.refuse("a set of values that are not of one plain kind")
        return
    recorder.guard("type({0}) is {k0} and {0} == {k1} and set(map(type, {0})) == {k2}", node,
               constants=(type(value), frozenset(value), kinds))  # fmt: skip


def _pin_born(recorder: Recorder, origin: Born, value: Any) -> None:
    if origin.kind in ("list", "tuple"):
        for item, part in recorder.items(value, origin):
            pin(recorder, part, item)
    elif origin.kind == "dict":
        for key, part in origin.parts.items():
            pin(recorder, part, value[key])
    elif origin.kind == "slice":
        for name, part in zip(("start", "stop", "step"), origin.parts, strict=True):
            pin(recorder, part, getattr(value, name))
    elif origin.kind not in ("set", "class"):
        recorder.refuse(f"a {type(value).__name__} made in the call, used where its value matters")


def pin_scalar(recorder: Recorder, node: Node, value: Any) -> None:
    if node.late:
        recorder.check(node, value)
        return
    if (node, "pinned") in recorder.done:
        return
    recorder.done.add((node, "pinned"))
    if value is None or type(value) in (bool, type(...)):
        recorder.guard("{0} is {k0}", node, constants=(value,))
        return
    recorder.guard("type({0}) is {k0}", node, constants=(type(value),))
    if type(value) in (float, complex) and (value != value or value == 0):
        recorder.guard("repr({0}) == {k0}", node, constants=(repr(value),))
    else:
        recorder.guard("{0} == {k0}", node, constants=(value,))


def understand(recorder: Recorder, origin: Origin, value: Any) -> None:
    """`value` goes to a function of dualflow: numbers are pinned, tensors must be known."""
    kind = type(value)
    if recorder.dead or (origin is CONSTANT and kind in SCALARS):
        return
    if kind is Tensor:
        if origin is not TENSOR and recorder.origin(origin, value) is None:
            recorder.refuse("a tensor of unknown origin")
        else:
            recorder.outside.guard(
                value
            )  # shape and dtype may decide, even if no operation reads it
    elif kind in (list, tuple) or (isinstance(value, tuple) and hasattr(kind, "_fields")):
        for item, part in recorder.items(value, origin):
            understand(recorder, part, item)
    elif kind is dict and isinstance(origin, Born) and origin.kind == "dict":
        for key, part in origin.parts.items():
            understand(recorder, part, value[key])
    elif kind is slice and isinstance(origin, Born):
        for name, part in zip(("start", "stop", "step"), origin.parts, strict=True):
            understand(recorder, part, getattr(value, name))
    elif kind in SCALARS or kind is slice or isinstance(value, (*FIXED, *NUMERIC)):
        pin(recorder, origin, value)
    elif kind is Generator and origin is not None:
        if isinstance(origin, Node):
            recorder.typed(origin, value)
    else:
        recorder.refuse(f"a {kind.__name__} given to a function of dualflow")


def structure(recorder: Recorder, origin: Origin, value: Any) -> None:
    """Guard the nesting of a value whose leaves are taken apart and put together again."""
    kind = type(value)
    if kind in (list, tuple):
        for item, part in recorder.items(value, origin):
            structure(recorder, part, item)
    elif kind is dict:
        if isinstance(origin, Born):
            for key, part in origin.parts.items():
                structure(recorder, part, value[key])
            return
        node = recorder.as_node(origin, value)
        if node is None or id(value) in recorder.lists:
            recorder.refuse("a dict of unknown origin, or one that the call changed")
            return
        recorder.typed(origin, value)
        recorder.guard_keys(node, value)
        for key, item in value.items():
            part = recorder.read(recorder.nodes("{0}[{k0}]", (node,), (key,)), item)
            structure(recorder, part, item)
    elif kind is Tensor:
        recorder.outside.guard(value)
    elif kind in SCALARS or isinstance(value, FIXED):
        return
    else:
        recorder.typed(origin, value)
