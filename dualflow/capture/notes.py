"""Notes: the graph under construction while operations on tensors run.

Comes in: operations as they pass the door, with the tensors that eager execution made. Goes out: a
Graph in which a view is read through its chain from the root of its memory, and a write is a new
value of that root. What is not known yet comes from the owner: `on_input`, `on_scalar`, `on_draw`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, final
from weakref import ref

import numpy as np

from dualflow.array.storage import Storage, may_share
from dualflow.array.tensor import Tensor
from dualflow.base.dtypes import Number, float64, is_float
from dualflow.base.source import SourceLine, user_line
from dualflow.ir.graph import Graph, Node, Value
from dualflow.ir.op import Op
from dualflow.ir.types import TensorType
from dualflow.ops import door, views
from dualflow.ops.door import Mode, away
from dualflow.ops.promotion import SCALARS, operand_dtypes

from .node_builder import NodeBuilder, prune, tensor_type

ChainKey = tuple[Any, ...]


class Owner(Protocol):
    """What the owner of notes supplies."""

    def on_input(self, tensor: Tensor) -> Value:
        """The value of a tensor from outside: an input of the graph, of the tensor's own type
        (a view is an input by itself; the rest of its memory is not read)."""
        ...

    def whole(self, tensor: Tensor) -> Tensor | None:
        """The tensor to be the input in the place of a view of it from outside; None: the view."""
        ...

    def overlapping(self, storage: Storage) -> None:
        """Two tensors from outside share memory that is written to, one of them this one."""
        ...

    def on_scalar(self, value: Number, position: int) -> Value | None:
        """A value of shape () that stands for a Python scalar, operand number `position` of an
        elementwise op; None to write the scalar into the graph as a constant."""
        ...

    def on_draw(self, generator: Any, state: Tensor) -> Value:
        """The value (uint64, shape (2,)) of the state that `generator` gave for one draw."""
        ...


@final
class Base:
    """A tensor from outside, or the root of a memory born here: what views are read from.

    Attributes:
        chain: the key of the view chain from the root of the memory to it; () for a root.
        input: the value that the owner gave for it, or its first value.
        value: its current value.
        array: the memory from outside; None for a memory born here.
        views: values of views of it, by the rest of their chain; None after a write.
        written: whether it was written to.
    """

    __slots__ = ("array", "chain", "input", "value", "views", "written")

    def __init__(self, value: Value) -> None:
        self.input = self.value = value
        self.chain: ChainKey = ()
        self.array: np.ndarray | None = None
        self.views: dict[ChainKey, Value] | None = None
        self.written = False


@final
class Notes:
    """See the module.

    Attributes:
        builder: the graph so far.
        written: the storages from outside that were written to, and through which tensor's base:
            `written[storage]` is a list of bases; `base.value` is what its memory holds now.
        broken: why these notes cannot be a graph: memory that overlaps memory written to; else "".
            Nothing is noted from then on.
        device: where all results lie.
        places: those that views show and that may be others in the next call (`moving.Place`).
    """

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.builder = NodeBuilder()
        self.written: dict[Storage, list[Base]] = {}
        self.broken = ""
        self.places: list[ref[Any]] = []
        self.device = "cpu" if door.state.device is None else door.state.device
        self._places = 0  # results whose place was looked at
        # by the number of a storage: memories that are known as a whole, as most are, for they were
        # born here (their value alone, up to the first view or write); and those of which views are
        self._roots: dict[int, Value | Base] = {}
        self._parts: dict[int, list[Base]] = {}
        self._outside: list[tuple[Base, bool]] = []  # with: exposed to other storages' tensors

    # Values ---------------------------------------------------------------------------------

    def value_of(self, tensor: Tensor, line: SourceLine | None = None) -> Value:
        """The value that `tensor` shows now."""
        if self.places and type(chain := tensor._view) is views.Moved and not chain.place.pinned:
            return views.read(self._adding(line), chain.place.value, chain[chain.until :])
        storage = tensor._storage
        found = None if storage is None else self._roots.get(storage.number)
        if type(found) is Value and not tensor._chain:
            return found
        if type(found) is Base:
            base, rest = found, tensor._view
        else:
            base, rest = self._find(tensor)
        if not rest:
            return base.value
        key = chain_key(rest)
        if base.views is None:
            base.views = {}
        value = base.views.get(key)
        if value is None:
            if len(rest) == 1:
                op, attributes = rest[0]
                types = (type_of(tensor),)
                (value,) = self.builder.made(op, (base.value,), attributes, types, line)
            else:
                value = views.read(self._adding(line), base.value, rest)
            base.views[key] = value
        return value

    def _of(self, storage: Storage) -> list[Base] | None:
        """The bases of a storage."""
        root = self._root(storage)
        return self._parts.get(storage.number) if root is None else [root]

    def knows(self, tensor: Tensor) -> bool:
        """Whether `tensor` was made here, or is an input already."""
        storage = tensor._storage
        if storage is None:
            return False
        if storage.number in self._roots:
            return True
        bases = self._parts.get(storage.number)
        if bases is None:
            return False
        key = chain_key(tensor._view)
        return any(key[: len(base.chain)] == base.chain for base in bases)

    def release(self) -> None:
        """Nothing will be noted any more."""
        self.written.clear()
        self._outside.clear()
        for known in self.places:
            place = known()
            if place is not None:
                place.close()
        self.places.clear()
        self._roots, self._parts = {}, {}

    def meet(self, tensor: Tensor) -> None:
        """Make `tensor` an input now, if it is unknown: before it is written to."""
        storage = tensor._storage
        if not self.broken and (storage is None or storage.number not in self._roots):
            self._find(tensor)

    def _root(self, storage: Storage) -> Base | None:
        """The base of a memory that is known as a whole."""
        found = self._roots.get(storage.number)
        if type(found) is Value:
            found = self._roots[storage.number] = Base(found)
        return found  # type: ignore[return-value]

    def _find(self, tensor: Tensor) -> tuple[Base, views.Chain]:
        """The base from which `tensor` is read, and the chain from there."""
        storage = tensor._memory()
        root = self._root(storage)
        if root is not None:
            return root, tensor._view
        bases = self._parts.get(storage.number)
        if bases is not None:
            key = chain_key(tensor._view)
            for base in bases:
                if key[: len(base.chain)] == base.chain:
                    return base, tensor._view[len(base.chain) :]
        whole = self.owner.whole(tensor) if bases is None and tensor._view else None
        rest = () if whole is None else tensor._view
        tensor = tensor if whole is None else whole
        base = Base(self.owner.on_input(tensor))
        base.chain, base.array = chain_key(tensor._view), tensor.array
        if not base.chain and bases is None:
            self._roots[storage.number] = base
        elif bases is None:
            self._parts[storage.number] = [base]
        else:
            bases.append(base)
        self._check_overlap(base, storage)
        self._outside.append((base, storage.exposed))
        return base, rest

    def _check_overlap(self, base: Base, storage: Storage) -> None:
        """Break the notes if `base` shares memory with another one and either was written to."""
        if not self.written and not base.written:
            return
        near = dict.fromkeys(self._of(storage) or [])
        if storage.exposed:
            near.update(dict.fromkeys(other for other, exposed in self._outside if exposed))
        for other in near:
            if other is base or not (other.written or base.written):
                continue
            if may_share(base.array, other.array):
                self.owner.overlapping(storage)
                self.broken = "two tensors from outside share memory that is written to"

    # What happens ---------------------------------------------------------------------------

    def placed(self, made: Any) -> None:
        """Note where results lie: one graph is run by one device."""
        for tensor in made if type(made) is tuple else (made,):
            place = tensor.device
            if place != self.device and self._places:
                self.broken = f"tensors on {self.device} and on {place}"
            self.device = place
            self._places += 1

    def apply(
        self,
        op: Op,
        inputs: Sequence[Tensor],
        attributes: dict[str, Any],
        out: Tensor | tuple[Tensor, ...],
        line: SourceLine | None = None,
    ) -> None:
        """Note that the strict `op` of `inputs` made `out`. A view adds no node: it is read
        through its chain when it is used."""
        if away:
            self.placed(out)
        if self.broken:
            return
        if op.view is not None and is_view(out, inputs[0]):
            self.meet(inputs[0])
            return
        operands = tuple([self.value_of(tensor, line) for tensor in inputs])
        made: tuple[Tensor, ...] = out if isinstance(out, tuple) else (out,)
        node = Node(op, operands, dict(attributes), tuple([type_of(x) for x in made]), line)
        self.builder.nodes.append(node)
        for tensor, value in zip(made, node.results, strict=True):
            self.bind(tensor, value)

    def elementwise(
        self, op: Op, operands: Sequence[Any], out: Tensor, line: SourceLine | None = None
    ) -> None:
        """Note an elementwise op on tensors and Python scalars: cast, expand (or `full`), apply."""
        if away:
            self.placed(out)
        if self.broken:
            return
        type_ = type_of(out)
        values: list[Any] = []
        kinds: list[Any] = []
        for x in operands:
            if type(x) in SCALARS:
                values.append(None)
                kinds.append(type(x))
            else:
                value = self.value_of(x, line)
                values.append(value)
                kinds.append(value.type.dtype)
        for i, dtype in enumerate(operand_dtypes(op, tuple(kinds))):
            value = values[i]
            if value is None:
                values[i] = self._scalar(operands[i], i, dtype, type_, line)
            elif value.type is not type_ or dtype is not type_.dtype:
                values[i] = self.builder.fit(value, dtype, type_.shape, line)
        node = Node(op, tuple(values), {}, (type_,), line)
        self.builder.nodes.append(node)
        self.bind(out, node.results[0])

    def write(self, target: Tensor, value: Tensor, line: SourceLine | None = None) -> None:
        """Note that the memory that `target` shows was overwritten by `value`."""
        if away:
            self.placed(target)
        if self.broken:
            return
        stored = self.value_of(value, line)
        target, stored = self._through_place(target, stored, line)
        base, rest = self._find(target)
        base.value = views.put(self._adding(line), base.value, rest, stored)
        base.views = None
        if base.array is not None and not base.written:
            base.written = True
            storage = target._memory()
            self.written.setdefault(storage, []).append(base)
            self._check_overlap(base, storage)

    def _through_place(
        self, target: Tensor, stored: Value, line: SourceLine | None
    ) -> tuple[Tensor, Value]:
        """What is overwritten, and by what: the tensor of a place that may be another one in the
        next call, with what is stored there; places that others show stay where they are."""
        chain: Any = target._view if self.places else ()
        here = chain.place if type(chain) is views.Moved and chain.place.at is not None else None
        for known in self.places:
            place = known()
            if place is not None and place is not here and place.storage is target._storage:
                place.pin()
        if here is None or here.pinned:
            return target, stored
        here.value = views.put(self._adding(line), here.value, chain[chain.until :], stored)
        return here.owner, here.put(self.value_of(here.owner, line), here.value)

    def draw(self, generator: Any, state: Tensor) -> None:
        """Note that `generator` gave `state` for one draw."""
        if not self.broken:
            self.bind(state, self.owner.on_draw(generator, state))

    def bind(self, tensor: Tensor, value: Value) -> None:
        """Let `tensor`, the root of memory born here, have `value` from now on."""
        storage = tensor._storage
        if storage is None:
            storage = tensor._memory()
        self._roots[storage.number] = value

    # Nodes ----------------------------------------------------------------------------------

    def build(self, outputs: Sequence[Value]) -> Graph:
        """The graph that computes `outputs`, without nodes that they do not need."""
        return prune(self.builder.build(outputs), outputs)

    def _scalar(
        self,
        value: Number,
        position: int,
        dtype: np.dtype,
        beside: TensorType,
        line: SourceLine | None,
    ) -> Value:
        """An operand that is a Python scalar, where the result is one like `beside`."""
        hidden = self.owner.on_scalar(value, position)
        if hidden is not None:
            if is_float(dtype):  # as Python's float(), also for integers of more than 53 bits
                hidden = self.builder.fit(hidden, float64, (), line)
            return self.builder.fit(hidden, dtype, beside.shape, line)
        type_ = beside if dtype is beside.dtype else tensor_type(beside.shape, dtype)
        return self.builder.constant(value, type_, line)

    def _adding(self, line: SourceLine | None) -> Callable[..., Value]:
        def add(op: Op, *operands: Value, **attributes: Any) -> Value:
            return self.builder.add(op, operands, attributes, line).result

        return add


@final
class RecordMode:
    """The door mode that computes as `eager` does and notes it; values read go to `on_values`."""

    name = "record"

    def __init__(
        self, notes: Notes, eager: Mode, on_values: Callable[[Tensor, np.ndarray], None]
    ) -> None:
        self.notes, self.eager, self.on_values = notes, eager, on_values

    def apply(self, op: Op, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> Any:
        out = self.eager.apply(op, inputs, attributes)
        self.notes.apply(op, inputs, attributes, out, user_line())
        return out

    def elementwise(self, op: Op, operands: tuple[Any, ...]) -> Any:
        out = self.eager.elementwise(op, operands)
        self.notes.elementwise(op, operands, out, user_line())
        return out

    def write(self, target: Any, value: Any) -> None:
        self.notes.meet(value)
        self.notes.meet(target)
        self.eager.write(target, value)
        self.notes.write(target, value, user_line())

    def draw(self, generator: Any) -> Any:
        state = self.eager.draw(generator)
        self.notes.draw(generator, state)
        return state

    def values(self, tensor: Any) -> Any:
        array = self.eager.values(tensor)
        self.on_values(tensor, array)
        return array


def type_of(tensor: Tensor) -> TensorType:
    """Shape and dtype of a tensor."""
    array = tensor._array
    if array is None:
        return tensor_type(tensor.shape, tensor.dtype)
    return tensor_type(array.shape, array.dtype)


def is_view(out: Any, of: Tensor) -> bool:
    """Whether eager execution made `out` as a view of the memory of `of`."""
    return type(out) is Tensor and out._storage is not None and out._storage is of._storage


def chain_key(chain: views.Chain) -> ChainKey:
    """Equal for chains that show the same part of a root."""
    return tuple([(op.name, *attributes, *attributes.values()) for op, attributes in chain])
