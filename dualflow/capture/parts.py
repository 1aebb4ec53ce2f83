"""Parts of containers, as a recorder knows them: of lists, tuples, dicts, and of what functions of
dualflow return.

Comes in: a recorder, a value with its origin. Goes out: the items with their origins; guards on how
many there are, on keys, and that changed objects are no others that were used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dualflow.array.tensor import Tensor
from dualflow.autograd.batched import Batched
from dualflow.ir.types import TensorType

from .kinds import FIXED
from .likenesses import fields_of
from .provenance import CONSTANT, SCALARS, TENSOR, Born, Node, Origin

if TYPE_CHECKING:
    from .recorder import Recorder


def items(recorder: Recorder, value: Any, origin: Origin) -> Iterator[tuple[Any, Origin]]:
    """The items of a list or tuple with their origins; its length becomes a guard."""
    origin = recorder.measured(value, origin)
    if isinstance(origin, Born):
        yield from zip(list(value), list(origin.parts), strict=True)
    elif isinstance(origin, Node):
        for i, item in enumerate(list(value)):
            yield item, recorder.read(recorder.nodes("{0}[{k0}]", (origin,), (i,)), item)
    elif origin is CONSTANT:
        for item in value:
            yield item, CONSTANT


def measured(recorder: Recorder, value: Any, origin: Origin) -> Origin:
    """`parted`; the length becomes a guard."""
    origin = recorder.parted(value, origin)
    if isinstance(origin, Node):
        recorder.typed(origin, value)
        recorder.guard("len({0}) == {k0}", origin, constants=(len(value),))
    elif origin is None:
        recorder.refuse(f"a {type(value).__name__} of unknown origin")
    return origin


def parted(recorder: Recorder, value: Any, origin: Origin) -> Origin:
    """What tells the origins of the items that a list or tuple has now; None if not known."""
    shadow = recorder.lists.get(id(value))
    if shadow is not None:
        origin = shadow.whole(recorder)
    known = not isinstance(origin, Born) or (
        origin.kind in ("list", "tuple") and len(origin.parts) == len(value)
    )
    if known:
        return origin
    recorder.refuse(f"the parts of a {type(value).__name__} are not known")
    return None


def guard_keys(recorder: Recorder, node: Node, value: Any) -> None:
    """Guard the keys of a dict, their kinds and their order."""
    names = tuple(value)
    if all(type(name) is str for name in names):
        recorder.guard("tuple({0}) == {k0}", node, constants=(recorder.const_tuple(names),))
        return
    if not all(type(name) in SCALARS or isinstance(name, FIXED) for name in names):
        recorder.refuse("keys of a dict that are no plain values")
        return
    kinds = recorder.const_tuple(tuple(map(type, names)))
    recorder.guard("tuple({0}) == {k0} and tuple(map(type, {0})) == {k1}", node,
               constants=(recorder.const_tuple(names), kinds))  # fmt: skip


def adopt(recorder: Recorder, value: Any) -> Origin:
    """The origin of what a function of dualflow returned."""
    kind = type(value)
    if kind is Tensor:
        found = recorder.origin(None, value)
        if found is None and not recorder.dead:
            if type(value._pending) is Batched:
                recorder.refuse("a tensor of unknown origin")
                return None
            _adopt_constant(recorder, value)
            return TENSOR
        return found
    before = recorder.known(value)
    if before is not None:
        return before
    if kind in SCALARS or isinstance(value, FIXED):
        return CONSTANT
    if kind in (list, tuple) or (isinstance(value, tuple) and hasattr(kind, "_fields")):
        made = "list" if kind is list else "tuple"
        return recorder.born(value, made, [recorder.adopt(item) for item in value])
    if isinstance(value, dict) and kind is dict:
        held = {key: recorder.adopt(item) for key, item in value.items()}
        return recorder.born(value, "dict", held)
    if fields := fields_of(value):
        parts = {name: recorder.adopt(getattr(value, name)) for name in fields}
        return recorder.born(value, "instance", parts)
    return recorder.born(value, "opaque")


def _adopt_constant(recorder: Recorder, tensor: Tensor) -> None:
    """A tensor made of pinned Python values, not by an operation."""
    if tensor._memory().exposed:
        recorder.refuse("memory from outside dualflow, taken into a tensor")
        return
    recorder.inputs.append(("constant", tensor.array.copy()))
    value = recorder.notes.builder.input(TensorType(tensor.shape, tensor.dtype))
    recorder.notes.bind(tensor, value)


def distinct(recorder: Recorder) -> None:
    """Guard that objects that were changed are no other objects of their type that were used:
    another path to a changed object would have to see the change."""
    changed = {type(value) for value, _ in recorder.written.values()} - {Tensor}
    for kind in changed:
        found = {
            number: origin
            for number, origin in recorder._ids.items()
            if isinstance(origin, Node) and type(recorder._objects.get(number)) is kind
        }
        for number, (value, node) in recorder.written.items():
            if type(value) is kind and found.setdefault(number, node) is not node:
                recorder.guard("{0} is {1}", found[number], node)  # it was reached by both
        nodes = dict.fromkeys(found.values())
        if len(nodes) > 1:
            text = ", ".join(f"id({{{i}}})" for i in range(len(nodes)))
            recorder.guard(f"len({{{{{text}}}}}) == {{k0}}", *nodes, constants=(len(nodes),))
