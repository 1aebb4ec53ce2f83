"""NumPy arrays and scalars in a recorded call, and the tensors that stand for them in the graph.

User code holds real ndarrays. Comes in: an ndarray or NumPy scalar with its origin. Goes out: its
*stand-in*, a Tensor of the same type and layout: for an array from outside one over its memory (a
hidden argument, found anew by its path), for one made in the call one without values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, final
from weakref import ref

import numpy as np

from dualflow.array.storage import Storage
from dualflow.array.tensor import Tensor
from dualflow.base.source import user_line
from dualflow.ir.graph import Value
from dualflow.ir.types import TensorType
from dualflow.ops import door
from dualflow.ops import primitives as p

from .. import pins
from ..kinds import SCALAR_TYPES, TYPES
from ..provenance import CONSTANT, NUMBERS, Born, Node, Origin
from .memory import _same_part, apart
from .noting import NotCovered, Noting

if TYPE_CHECKING:
    from ..recorder import Recorder

ARRAY = Born("array")
#: NumPy's NPY_ARRAY_WRITEABLE: to ask for `flags.writeable` makes NumPy warn of some arrays
WRITEABLE = 0x400
#: NPY_ARRAY_WARN_ON_WRITE
WARNS = 1 << 31


class OwnReference(ref):
    """A weak reference that the recorder holds, and no program sees."""


@final
class Late:
    """What stands for an array whose shape values decide: a replay evaluates `node`."""

    __slots__ = ("node",)

    def __init__(self, node: Node) -> None:
        self.node = node


def adopted(array: Any) -> Tensor | None:
    """The tensor that shows the memory of an ndarray; None for anything else."""
    if type(array) is not np.ndarray:
        return None
    made = Tensor._wrap(array)
    made._memory().exposed = True
    return made


@final
class Number:
    """A Python number that may be another one at a replay, as an operand."""

    __slots__ = ("arrays", "node", "value")

    def __init__(self, arrays: Arrays, node: Node, value: Any) -> None:
        self.arrays, self.node, self.value = arrays, node, value

    def pinned(self) -> Any:
        """The number, the same at each replay from now on."""
        self.arrays.recorder.pin(self.node, self.value)
        return self.value

    def tensor(self, dtype: np.dtype) -> Tensor | None:
        """It as a tensor of shape () beside arrays, in `dtype`; None if it must be pinned."""
        recorder, value = self.arrays.recorder, self.value
        recorder.typed(self.node, value)
        if type(value) is int:
            low, high = int_range(dtype)
            if not low <= value <= high or (self.node.late and dtype.kind != "f"
                                            and dtype.itemsize != 8):  # fmt: skip
                return None
            if not self.node.late:
                recorder.guard("{k0} <= {0} <= {k1}", self.node, constants=(low, high))
        made = self.arrays.bound(recorder.late.scalar_input(self.node, value))
        return made if made.dtype == dtype else p.cast(made, dtype=dtype)


def int_range(dtype: np.dtype) -> tuple[int, int]:
    """The Python integers that are the same number in an array of `dtype`."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return max(int(limits.min), -(2**63)), min(int(limits.max), 2**63 - 1)
    return (-(2**24), 2**24) if dtype.kind in "fc" else (0, 1)


@final
class Arrays:
    """The stand-ins of one recording.

    Attributes:
        mode: the door mode that notes.
        calls: how many calls of NumPy were noted, and how many moved a `single` element.
        parts: by memory, what shows memory as no view op does: of what, and which attribute
            of that it is. Whoever writes either ends the recording.
        late_calls: the nodes that a replay has NumPy evaluate, in order.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.mode = Noting(recorder)
        self._known: dict[int, tuple[Callable[[], Any], Any]] = {}
        self._numbers: dict[Node, Tensor] = {}
        self._lent: set[int] = set()
        self.calls = self.single = 0
        self.parts: dict[Storage, tuple[Tensor, str]] = {}
        self.late_calls: list[Node] = []

    # Stand-ins ------------------------------------------------------------------------------

    def tensor(self, value: Any, origin: Origin) -> Tensor:
        """The stand-in of an array or NumPy scalar.

        Raises:
            NotCovered: it has none: another dtype, or nobody knows where it came from.
        """
        if type(value) is np.ndarray:
            found = self.known(value)
            if found is None and isinstance(origin, Node):
                found = self._from_outside(value, origin)
        elif isinstance(origin, Born):
            found = origin.parts
        elif isinstance(origin, Node):
            found = self._numbers.get(origin)
            found = self._number(origin, value) if found is None else found
        else:
            found = p.full(shape=(), value=value.item(), dtype=value.dtype)
        if type(found) is not Tensor:
            raise NotCovered(f"a {type(value).__name__} of unknown origin, or chosen by a mask")
        return found

    def lend(self, array: np.ndarray, origin: Node) -> Tensor:
        """The stand-in of an array from outside for the user's own use; each time another object.

        Raises:
            NotCovered: it has none that shows the array's memory.
        """
        made = self.tensor(array, origin)
        if made.array is not array:
            raise NotCovered("an array that only notes stand for")
        if id(array) in self._lent:
            return p.reshape(made, shape=made.shape)
        self._lent.add(id(array))
        return made

    def given(self, scalar: Any, origin: Origin) -> Tensor:
        """A NumPy scalar as the tensor of shape () that functions of dualflow make of it.

        Raises:
            NotCovered: nobody knows where it came from.
        """
        value = self.recorder.notes.value_of(self.tensor(scalar, origin))
        made = Tensor._wrap(np.asarray(scalar))
        self.recorder.notes.bind(made, value)
        return made

    def known(self, array: np.ndarray) -> Any:
        """The stand-in of an ndarray that was used before (or what was chosen by a mask)."""
        held = self._known.get(id(array))
        return held[1] if held is not None and held[0]() is array else None

    def _from_outside(self, array: np.ndarray, node: Node) -> Tensor:
        dtype = array.dtype
        even = all(stride % max(array.itemsize, 1) == 0 for stride in array.strides)
        if dtype.type not in SCALAR_TYPES or not dtype.isnative or not even:
            raise NotCovered(f"an array of {dtype}, or one that does not lie evenly")
        made = adopted(array)
        assert made is not None
        recorder = self.recorder
        recorder.outside.register(recorder.nodes("{k0}({0})", (node,), (adopted,)), made)
        self._known[id(array)] = (lambda: array), made
        return made

    def _number(self, node: Node, value: Any) -> Tensor:
        recorder = self.recorder
        recorder.typed(node, value)
        if node.late:
            recorder.check(recorder.nodes("({0} is not None)", (node,)), True)
        recorder.inputs.append(("scalar", node, value.dtype))
        made = self.bound(recorder.notes.builder.input(TensorType((), value.dtype)))
        self._numbers[node] = made
        return made

    def bound(self, value: Value, like: np.ndarray | None = None) -> Tensor:
        """A stand-in for a value of the graph, laid out `like` an array."""
        array = np.empty(value.shape, value.dtype) if like is None else np.empty_like(like)
        made = Tensor._wrap(array)
        self.recorder.notes.bind(made, value)
        return made

    def born(self, array: np.ndarray, stand_in: Any) -> Born:
        """Register an array made in this call; it may die before the call ends."""
        number, known, ids = id(array), self._known, self.recorder._ids

        def forget(_: Any) -> None:
            known.pop(number, None)
            ids.pop(number, None)

        known[number] = OwnReference(array, forget), stand_in
        ids[number] = ARRAY
        return ARRAY

    def is_alone(self, array: np.ndarray) -> bool:
        """Whether no other array that is known shows memory of one made in this call."""
        others = [held[0]() for held in list(self._known.values())]
        return not any(x is not array and x is not None and np.may_share_memory(x, array)
                       for x in others)  # fmt: skip

    def part(self, out: np.ndarray, source: Tensor, name: str) -> Origin:
        """The origin of `x.real` or `x.imag` of a complex array."""
        return self.shown(out, (p.real if name == "real" else p.imag)(source), [source], name)

    def shown(self, out: Any, noted: Tensor, sources: list[Tensor], name: str = "") -> Origin:
        """The origin of an array that shows memory of `sources` as no view op does: a copy of it,
        while nobody writes to either. `name` is the attribute of the first that it is, if any.

        Raises:
            NotCovered: it is no new array.
        """
        if type(out) is not np.ndarray or self.known(out) is not None:
            raise NotCovered("memory shared as no view shows it")
        made = self.bound(self.recorder.notes.value_of(noted))
        self.parts[made._memory()] = sources[0], name
        self.mode.locked |= {made._memory(), *(source._memory() for source in sources)}
        return self.born(out, made)

    # What NumPy made ------------------------------------------------------------------------

    def made(self, out: Any, noted: Any, used: list[tuple[np.ndarray, Tensor]]) -> Origin:
        """The origin of `out`, which NumPy made, by the stand-in that notes made; `used` are the
        arrays it was made of.

        Raises:
            NotCovered: they differ in type, shape, or in what shares memory.
        """
        if isinstance(out, (tuple, list)):
            if not isinstance(noted, (tuple, list)) or len(noted) != len(out):
                raise NotCovered("another structure")
            parts = [self.made(a, b, used) for a, b in zip(out, noted, strict=True)]
            kind = "list" if isinstance(out, list) else "tuple"
            return self.recorder.born(out, kind, parts)
        if type(noted) is not Tensor:
            raise NotCovered("no array")
        if type(out) in NUMBERS:
            if noted.shape != () or noted.dtype != np.asarray(out).dtype:
                raise NotCovered("another scalar")
            return self.python_number(noted, type(out))
        if type(out) not in TYPES or noted.shape != out.shape or noted.dtype != out.dtype:
            raise NotCovered(f"another type: {type(out).__name__}")
        if type(out) is not np.ndarray:
            return Born("scalar", self.bound(self.recorder.notes.value_of(noted)))
        return self._array_made(out, noted, used)

    def _array_made(
        self, out: np.ndarray, noted: Tensor, used: list[tuple[np.ndarray, Tensor]]
    ) -> Origin:
        before = self.known(out)
        if before is not None:
            if (
                type(before) is not Tensor
                or before._storage is not noted._storage
                or before._view != noted._view
            ):
                raise NotCovered("an array that is there already")
            return self.recorder.known(out)
        if out.flags.num & WARNS:
            raise NotCovered("NumPy warns of writes to it")
        near = [pair for pair in used if np.may_share_memory(out, pair[0])]
        source = noted._storage
        views = [pair for pair in used if source is not None and pair[1]._storage is source]
        if not views:
            if near or not out.flags.num & WRITEABLE:
                raise NotCovered("memory shared as no view shows it")
            return self.born(out, self.bound(self.recorder.notes.value_of(noted), out))
        array, tensor = views[0]
        if out.size and not (near and _same_part(out, array, noted._array, tensor._array)):
            raise NotCovered("another part of memory")
        return self.born(out, noted)

    def constant(self, out: Any) -> Origin:
        """The origin of what NumPy made of constants alone: the same values at each replay."""
        recorder = self.recorder
        if not apart(out):
            raise NotCovered("results that share memory")
        if isinstance(out, (tuple, list)):
            kind = "list" if isinstance(out, list) else "tuple"
            return recorder.born(out, kind, [self.constant(part) for part in out])
        if type(out) is not np.ndarray:
            return CONSTANT
        if out.dtype.type not in SCALAR_TYPES or not out.dtype.isnative:
            raise NotCovered(f"an array of {out.dtype}")
        copy = np.array(out, order="C")
        if out.size and copy.tobytes() == copy.flat[0].tobytes() * out.size:
            made = p.full(shape=out.shape, value=copy.flat[0].item(), dtype=out.dtype)
            return self.born(out, self.bound(recorder.notes.value_of(made), out))
        recorder.inputs.append(("constant", copy))
        value = recorder.notes.builder.input(TensorType(out.shape, out.dtype))
        return self.born(out, self.bound(value, out))

    def held(self, array: np.ndarray) -> Tensor:
        """A stand-in for an array of constants."""
        self.recorder.inputs.append(("constant", array))
        return self.bound(self.recorder.notes.builder.input(TensorType(array.shape, array.dtype)))

    # Numbers --------------------------------------------------------------------------------

    def late(self, tensor: Tensor) -> Node:
        """The node of the only element of a stand-in, as `item()` gives it."""
        recorder = self.recorder
        noted = recorder.notes.value_of(tensor, user_line())
        if recorder.notes.broken:
            recorder.refuse(recorder.notes.broken)
        return recorder.late.node(noted)

    def python_number(self, tensor: Tensor, convert: type) -> Node:
        """The node of a Python number that comes from an array."""
        return self.recorder.nodes("{k0}({0})", (self.late(tensor),), (convert,))

    def scalar_node(self, value: Any, origin: Origin) -> Node | None:
        """The node of a NumPy scalar, as the NumPy scalar it is."""
        if isinstance(origin, Node) or origin is CONSTANT:
            return self.recorder.as_node(origin, value)
        if not isinstance(origin, Born) or type(origin.parts) is not Tensor:
            return None
        return self.recorder.nodes("{k0}({0})", (self.late(origin.parts),), (type(value),))

    def number(self, value: Any, origin: Origin, convert: Callable[[Any], Any]) -> Any:
        """`convert(value)`, int, float, bool, complex or `item()`, of one element; its origin."""
        recorder = self.recorder
        out = recorder.guarded(convert, value)
        if recorder.dead or origin is CONSTANT:
            return out, CONSTANT
        if type(value) is not np.ndarray and isinstance(origin, Node):
            recorder.typed(origin, value)
            return out, recorder.nodes("({k0}({0}))", (origin,), (convert,))
        known = self.known(value) if type(value) is np.ndarray else None
        if type(known) is Late:
            return out, recorder.nodes("{k0}({0})", (known.node,), (convert,))
        try:
            node = self.noted(lambda: self.late(self.tensor(value, origin)))
        except NotCovered as why:
            recorder.refuse(str(why))
            return out, None
        if convert in (bool, int, float, complex):
            node = recorder.nodes("{k0}({0})", (node,), (convert,))
        return out, node

    def pin(self, origin: Origin, value: Any) -> None:
        """The NumPy scalar must be the same at a replay."""
        recorder = self.recorder
        recorder.typed(origin, value)
        out, node = self.number(value, origin, type(value).item)
        if isinstance(node, Node):
            pins.pin_scalar(recorder, node, out)

    # Taking notes ---------------------------------------------------------------------------

    def noted(self, note: Callable[[], Any]) -> Any:
        """Run `note` in the mode that notes.

        Raises:
            NotCovered: it cannot be noted so. Nothing that matters was noted then.
        """
        before, self.mode.wrote = door.state.mode, False
        door.state.mode = self.mode
        grads, door.state.grad_enabled = door.state.grad_enabled, False
        try:
            return note()
        except NotCovered:
            raise
        except Exception as error:
            raise NotCovered(f"{type(error).__name__}: {error}") from error
        finally:
            door.state.mode, door.state.grad_enabled = before, grads
