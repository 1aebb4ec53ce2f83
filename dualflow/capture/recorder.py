"""The recorder: what is known of the values of one call while it runs.

Comes in: what the hooks of `frame.Frame` see, and the operations that pass the door (`notes.py`).
Goes out: events (guards and tests of tensor values, in order), effects, the noted graph, and the
description of the result; or the reason why the call cannot be replayed. A recorder that was
refused is `dead`: hooks only compute from then on.
"""

from __future__ import annotations

import enum
import sys
import types
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary, ref

import numpy as np

from dualflow.array.tensor import Tensor
from dualflow.autograd.batched import Batched, beneath
from dualflow.autograd.tape import edge_of
from dualflow.autograd.walk import order_of
from dualflow.base.errors import ArgumentError, DTypeError, IndexingError, ShapeError
from dualflow.base.source import SourceLine, is_own, own_line, user_line
from dualflow.ir.graph import Value
from dualflow.ir.types import TensorType
from dualflow.ops import door
from dualflow.ops import primitives as p
from dualflow.ops.door import away
from dualflow.ops.functions.information import FloatInfo, IntegerInfo, NamespaceInfo
from dualflow.ops.generator import Generator

from .alarm import Alarm
from .finalizers import finalized
from .notes import ChainKey, Notes, chain_key
from .numpy_arrays import SCALAR_TYPES, Arrays
from .numpy_random import Draws
from .provenance import (
    CONSTANT,
    NUMBERS,
    SCALARS,
    TENSOR,
    Born,
    Namespace,
    Node,
    Nodes,
    Origin,
    identity,
)
from .trials import Pieces
from .values import Unchanging, by_identity

#: objects that are what they are: known by identity, with nothing in them that changes
FIXED = (
    types.ModuleType, types.BuiltinFunctionType, type, np.dtype, enum.Enum, np.ufunc, FloatInfo,
    IntegerInfo, NamespaceInfo, Unchanging,
)  # fmt: skip


#: Arrays of at most so many bytes are a branch where a function of dualflow asks for their values
#: (which elements a mask selects, say): of larger ones the same values seldom come twice.
PINNED_BYTES = 4096

#: what stands for the namespace of each class, so that guards of two recordings can be equal
_proxies: WeakKeyDictionary[type, Any] = WeakKeyDictionary()


class Reason:
    """Why a call cannot be replayed, and at which line; where that is a library's, also at which
    line of the user's own it was reached; and how long such calls take."""

    def __init__(self, why: str, line: SourceLine | None, own: SourceLine | None = None) -> None:
        self.why, self.line, self.own = why, line, own
        self.pieces = Pieces()

    def __str__(self) -> str:
        slower = "; co-execution was measured to be slower than Python" if self.pieces.slow else ""
        if self.line is None:
            return self.why + slower
        reached = f"; reached from {self.own}" if self.own is not None else ""
        return f"{self.why} ({self.line}{reached}){slower}"


class Recorder:
    """Everything known of one recorded call.

    Attributes:
        reason: why the call cannot be replayed; None while it can, and then `dead` is False.
        passing: whether the reason holds for this call alone, so that the next one is recorded.
        events: ("guard", condition) | ("value", node that must be there) | ("test", late node,
            outcome), in order.
        computed: late nodes that must be computed, for that may raise.
        late: the tensor values that Python read, by number; those that it reads as `whole` arrays.
        inputs: what each input of the graph is: ("tensor", node) | ("scalar", node) | ("draw",
            generator node, draws before).
        effects: what was done to objects from outside, in order.
    """

    def __init__(self) -> None:
        self.nodes = Nodes()
        self.notes = Notes(self)
        self.arrays = Arrays(self)
        self.drawn = Draws()
        self.reason: Reason | None = None
        self.dead = self.passing = False
        self.alarm = Alarm(self)
        self.events: list[tuple[Any, ...]] = []
        self.late: list[Value] = []
        self.whole: dict[Value, int] = {}
        self.computed: list[Node] = []
        self.inputs: list[tuple[Any, ...]] = []
        self.effects: list[tuple[Any, ...]] = []
        self.draws: dict[int, tuple[Any, Node, int]] = {}
        self.tensors: dict[int, tuple[Tensor, Node]] = {}  # from outside
        self.places: dict[Node, Any] = {}  # on which device each lies that is not on the CPU
        self.grads: dict[int, Tensor | None] = {}  # their .grad before the call
        self.edges: dict[int, Node] = {}  # tape nodes and leaves from outside -> input tensor
        self.versions: dict[int, int] = {}  # of storages from outside, before the call
        self.stored: dict[Any, Origin] = {}  # attributes, cells, globals stored
        self.lists: dict[int, Any] = {}  # shadows of containers from outside that were changed
        self.written: dict[int, tuple[Any, Node]] = {}  # objects from outside that were changed
        self.backwards = False
        self.grad_enabled = door.state.grad_enabled
        self._ids: dict[int, Origin] = {}
        self._keep: list[Any] = []
        self._pasts: list[tuple[Tensor, Any]] = []  # the history of each before the call
        self._handles: dict[int, list[tuple[Tensor, Node]]] = {}  # from outside, by storage
        self._objects: dict[int, Any] = {}
        self._done: set[Any] = set()
        self.plain: dict[int, dict] = {}  # dicts all of whose keys are plain
        # what was read before, by object and name: the object, its origin, the namespace that holds
        # the value, the value (or a `Method` of the class), its origin, the key that a store has
        self.reads: dict[tuple[int, str], tuple[Any, ...]] = {}
        self.methods: dict[str, Any] = {}  # of tensors, guarded
        self.followed: dict[int, tuple[Origin, types.CodeType]] = {}  # functions that are guarded
        # by the ids of classes, which are kept: those whose order is guarded, where a name is found
        # in them, and whether they find names as plain classes do
        self.ordered: set[int] = set()
        self.classes: dict[tuple[int, str], Node | None] = {}
        self.plains: dict[int, bool] = {}
        self.spaces: dict[int, Any] = {}  # see `proxy`
        self.operators: dict[str, Any] = {}  # those that are dualflow's own
        self._late_numbers: dict[Any, Node] = {}
        self.deleted: set[Any] = set()  # attributes taken from objects from outside
        # those made in the call, and whether it is visible when they die; whether one is so
        self.generators: list[tuple[ref[Any], bool]] = []
        self.closing = False
        self.clocks: list[Node] = []  # reads of the time, in order
        self.factories: dict[int, Origin] = {}  # of default dicts made in the call
        self.opened: dict[int, Any] = {}  # objects whose __dict__ was read, and these
        self._reading = False
        self._library = False  # a function of dualflow runs; then also: it asked for values
        self._asked = False
        self._scalars: list[tuple[Any, Node]] = []
        self._taped: dict[int, tuple[float, Any, Node]] = {}  # numbers that the tape may keep
        self._allowed: Tensor | None = None
        self.shadowed: dict[int, Any] = {}
        self._tuples: dict[Any, tuple[Any, ...]] = {}
        self._scalar_values: dict[Node, Value] = {}

    # Refusing -------------------------------------------------------------------------------

    def refuse(self, why: str, line: SourceLine | None = None) -> None:
        """This call cannot be replayed."""
        if self.reason is None:
            line = line or user_line()
            own = None if line is None or is_own(line.file) else own_line()
            self.reason, self.dead = Reason(why, line, own), True
            for kept in (
                self._objects, self._keep, self.reads, self.plain, self.ordered, self.classes,
                self.plains, self.spaces, self.followed,
            ):  # fmt: skip
                kept.clear()  # they may die now

    def release(self) -> None:
        """The recording is over: nothing lives on because of it."""
        self.dead = True
        for kept in (
            self._objects, self._keep, self.reads, self._ids, self._handles, self._pasts,
            self.tensors, self.grads, self.written, self.lists, self.shadowed, self.opened,
            self.effects, self.inputs, self.plain, self.events, self.draws, self._taped, self.edges,
            self.computed, self.followed, self.ordered, self.classes, self.plains, self.spaces,
        ):  # fmt: skip
            kept.clear()
        self.notes.release()

    def refuse_once(self, why: str) -> None:
        """This call cannot be replayed, the next one perhaps."""
        self.passing = self.passing or not self.dead
        self.refuse(why)

    def drops(self, value: Any) -> None:
        """An object from outside loses `value`: nothing written in Python may run as that dies."""
        kind = type(value)
        if kind in SCALARS or kind is Tensor or self.dead:
            return
        name = finalized(value)
        if name is not None:
            self.refuse(f"{name}, which is told when it dies, is dropped")

    def guarded(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Call something that is not expected to raise."""
        try:
            return function(*args, **kwargs)
        except Exception as error:
            self.refuse(f"{type(error).__name__} raised by {getattr(function, '__name__', 'it')}")
            raise

    def tried(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a function of dualflow all of whose arguments are known: shapes, dtypes and pinned
        numbers decide whether it raises one of the errors about them."""
        try:
            return function(*args, **kwargs)
        except Exception as error:
            about = (ShapeError, DTypeError, ArgumentError)
            given = [*args[1:], *kwargs.values()]
            if isinstance(error, IndexingError) and not any(map(_holds_tensor, given)):
                about = IndexingError
            if not isinstance(error, about):
                self.refuse(f"{type(error).__name__} raised by {function.__name__}")
            for value in args:
                if type(value) is Tensor and not self.dead:
                    self.understand(self.origin(None, value), value)
            if not self.dead:
                self.born(error, "error")
            raise

    def asking(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """`tried`: what values the function asks for become a branch, and the tensors that it makes
        of them are constants."""
        self._library, self._asked = True, False
        try:
            return self.tried(function, *args, **kwargs)
        finally:
            self._library = False

    def certain(self, function: Any, args: Any, origins: Any = (), **kwargs: Any) -> Any:
        """Call something that the values of plain arguments decide: those that raise an error are
        pinned, and it is as certain as a result. Without `origins` all are pinned already."""
        try:
            return function(*args, **kwargs)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            for value, origin in zip(args, origins, strict=bool(origins)):
                self.pin(origin, value)
            if not self.dead:
                self.born(error, "error", "constant")
            raise

    def watching(self, function: Any, *args: Any) -> Any:
        """Call C code that may call Python."""
        if self.dead:
            return function(*args)
        self.alarm.open()
        try:
            return function(*args)
        finally:
            self.alarm.close()

    def effect_line(self) -> SourceLine | None:
        return user_line()

    def keep(self, value: Any) -> None:
        """Let no other object get the identity of `value`."""
        self._keep.append(value)

    def allow_once(self, tensor: Tensor) -> None:
        """Python is about to ask for the truth of a tensor that has just been noted."""
        self._allowed = tensor

    def proxy(self, cls: type) -> Any:
        """What stands for the namespace of a class, one object for each class."""
        found = self.spaces.get(id(cls))
        if found is None:
            found = _proxies.get(cls)
            if found is None:
                found = _proxies[cls] = Namespace(cls)
            self.spaces[id(cls)] = found
            self._keep.append(cls)
        return found

    def guard_keys(self, node: Node, value: Any) -> None:
        """Guard the keys of a dict, their kinds and their order."""
        names = tuple(value)
        if all(type(name) is str for name in names):
            self.guard("tuple({0}) == {k0}", node, constants=(self.const_tuple(names),))
            return
        if not all(type(name) in SCALARS or isinstance(name, FIXED) for name in names):
            self.refuse("keys of a dict that are no plain values")
            return
        kinds = self.const_tuple(tuple(map(type, names)))
        self.guard("tuple({0}) == {k0} and tuple(map(type, {0})) == {k1}", node,
                   constants=(self.const_tuple(names), kinds))  # fmt: skip

    def const_tuple(self, value: tuple[Any, ...]) -> tuple[Any, ...]:
        """One object for equal tuples, so that equal guards are one."""
        return self._tuples.setdefault(tuple(map(identity, value)), value)

    # Origins --------------------------------------------------------------------------------

    def origin(self, origin: Origin, value: Any) -> Origin:
        """The origin of `value`, of which a slot says `origin`; None if nobody knows."""
        kind = type(value)
        if kind is Tensor:
            if type(value._pending) is Batched:  # within vmap: known if what it holds is
                return TENSOR if self.origin(None, beneath(value)) is not None else None
            found = self._ids.get(id(value))
            if found is None and (self.notes.knows(value) or self._alias_of(value) is not None):
                return TENSOR
            return found
        if origin is not None or kind in SCALARS or kind in SCALAR_TYPES:
            return origin
        return self._ids.get(id(value))

    def born(self, value: Any, kind: str, parts: Any = None) -> Born:
        """Register an object made in this call."""
        made = Born(kind, parts)
        self._ids[id(value)] = made
        self._keep.append(value)
        return made

    def born_weakly(self, generator: Any, parts: Any) -> Born:
        """Register a generator made in this call, which may die before it ends."""
        number, made = id(generator), Born("iterator", parts)
        self._ids[number] = made
        held = ref(generator, lambda _: self._ids.pop(number, None))
        self.generators.append((held, parts.closes))
        self.closing = self.closing or parts.closes
        return made

    def left_open(self) -> bool:
        """Whether a generator outlives the call, and may still do something."""
        alive = (held() for held, closes in self.generators if closes)
        return any(made is not None and made.gi_frame is not None for made in alive)

    def remember(self, value: Any, origin: Origin) -> None:
        """Let `value` be known by itself, wherever it turns up."""
        self.reads.clear()
        self._ids[id(value)] = origin
        self._keep.append(value)

    def known(self, value: Any) -> Origin:
        return self._ids.get(id(value))

    def read(self, node: Node, value: Any) -> Origin:
        """A value was read through the path `node`: its origin."""
        kind = type(value)
        if kind in SCALARS or kind in SCALAR_TYPES:
            return node
        before = self._ids.get(id(value))
        if before is None:
            made = kind is Tensor and self.notes.knows(value)
            if made and id(value._storage) not in self._handles:
                return TENSOR
            self._ids[id(value)] = node
            self._objects[id(value)] = value
            if kind is Tensor:
                self._register(node, value)
            return node
        if isinstance(value, (*FIXED, types.FunctionType, tuple)) and isinstance(before, Node):
            return node  # may be another one next time, which this path then leads to
        if isinstance(before, Node) and before is not node:
            self.guard("{0} is {1}", before, node)
        return before

    def found(self, node: Node, value: Any) -> Origin:
        """`read` of something that a replay may no longer find, which then raises."""
        self.needs(node)
        return self.read(node, value)

    def needs(self, node: Node) -> None:
        """A replay must evaluate `node`, even if nobody uses it: that may raise."""
        if (node, "needed") not in self._done and not self.dead:
            self._done.add((node, "needed"))
            if node.late:
                self.computed.append(node)
            else:
                self.events.append(("value", node))

    def _register(self, node: Node, tensor: Tensor) -> None:
        self.tensors[id(tensor)] = (tensor, node)
        storage = tensor._storage if tensor._array is None else tensor._memory()
        if storage is not None:
            self.versions.setdefault(id(storage), storage.version)
            self._keep.append(storage)
            self._guard_shared(node, tensor, self._handles.setdefault(id(storage), []))
        grad = tensor.grad
        self.grads[id(tensor)] = grad
        self._pasts.append((tensor, edge_of(tensor)))
        if tensor.requires_grad:
            edge = edge_of(tensor)
            self.edges.setdefault(id(edge), node)
            self._keep.append(edge)
        if grad is not None:
            self.read(self.nodes("{0}.grad", (node,)), grad)

    def _guard_shared(self, node: Node, tensor: Tensor, handles: list[tuple[Tensor, Node]]) -> None:
        """Guard that another handle, or a view, of a tensor from outside is one again. Handles that
        are apart now are found apart when something is written (`commit.apart`)."""
        for other, before in handles:
            long, short, of, rest = node, before, len(other._view), tensor._view
            if len(tensor._view) < of:
                long, short, of, rest = before, node, len(tensor._view), other._view
            if tensor._view[:of] == other._view[:of]:
                self.guard("{k1}({0}, {1}, {k0})", long, short,
                           constants=(self.const_tuple(chain_key(rest[of:])), shown))  # fmt: skip
                self.tensor(other)  # one input stands for both; one may want gradients alone
                self.tensor(tensor)
        handles.append((tensor, node))

    def through_the_past(self, tensor: Any) -> bool:
        """Whether a gradient of `tensor` passes what was computed before the call."""
        start = edge_of(tensor) if type(tensor) is Tensor else None
        if start is None:
            return False
        if start is None:
            return False
        order, _ = order_of([start], None)
        return any(id(node) in self.edges for node in order)

    def history_changed(self) -> bool:
        """Whether the call changed the history of a tensor from outside."""
        return any(edge_of(tensor) is not past for tensor, past in self._pasts)

    def gradients_stored(self) -> None:
        """backward() was called: guard which `.grad` there were before."""
        for tensor, node in list(self.tensors.values()):
            before = self.grads.get(id(tensor))
            if tensor.grad is not before and (id(tensor), "grad") not in self.stored:
                self.guard(f"{{0}}.grad is {'' if before is None else 'not '}None", node)

    def constant(self, value: Any) -> Node:
        """A node that is `value` itself."""
        return self.nodes("{k0}", (), (value,))

    def as_node(self, origin: Origin, value: Any) -> Node | None:
        """A node for the value; None if it was born."""
        if isinstance(origin, Node):
            return origin
        if isinstance(origin, Born) and origin.kind == "scalar":
            return self.arrays.scalar_node(value, origin)
        return self.constant(value) if origin is CONSTANT else None

    # Guards ---------------------------------------------------------------------------------

    def guard(self, template: str, *parents: Node, constants: tuple[Any, ...] = ()) -> None:
        """The text must hold at a replay; a value of a tensor in it makes it a branch."""
        node = self.nodes(template, parents, constants)
        if node not in self._done:
            self.check(node, True)

    def check(self, node: Node, outcome: Any) -> None:
        """At a replay, `node` must be `outcome` (of a guard: True)."""
        if node in self._done or self.dead:
            return
        self._done.add(node)
        if node.late:
            if self.drawn.calls:  # it would have to be set back where another outcome is met
                self.refuse("a value decides after NumPy drew random numbers")
                return
            self.events.append(("test", node, outcome))
        else:
            assert outcome is True
            self.events.append(("guard", node))

    def typed(self, origin: Origin, value: Any) -> None:
        """The type of the value must be the same at a replay."""
        if type(origin) is not Node or (origin, "typed") in self._done:
            return
        self._done.add((origin, "typed"))
        template = origin.template
        if template.startswith(("T[", "{k0}(T, ")) or template == "{k0}({0})":
            return  # the dtype of the tensor decides
        if template.startswith("(") and "**" not in template and "({k0}(" not in template:
            return  # an expression over values of known types
        if value is None:
            self.guard("{0} is None", origin)
        elif type(value) is Tensor:
            self.tensor(value)
        else:
            self.guard("type({0}) is {k0}", origin, constants=(type(value),))

    def sure(self, node: Node) -> None:
        """The type of what a node gives is always the same."""
        self._done.add((node, "typed"))

    def tensor(self, tensor: Tensor) -> None:
        """Guard what makes a tensor from outside fit: type, layout, whether it wants gradients."""
        found = self.tensors.get(id(tensor)) or self._source(tensor)
        if found is None or (found[1], "tensor") in self._done:
            return
        tensor, node = found
        self._done.add((node, "tensor"))
        array = tensor.array
        layout = (array.shape, array.dtype, array.strides)
        if away and tensor.device != "cpu":
            self.places[node] = tensor.device
        self.events.append(("tensor", node, layout, tensor.requires_grad, tensor._tape is not None))

    def pin(self, origin: Origin, value: Any) -> None:
        """The value must be the same at a replay, and is a constant from now on."""
        if origin is CONSTANT or self.dead:
            return
        kind = type(value)
        if kind in SCALAR_TYPES:
            self.arrays.pin(origin, value)
            return
        if isinstance(origin, Born):
            self._pin_born(origin, value)
            return
        if not isinstance(origin, Node):
            self.refuse(f"a {kind.__name__} of unknown origin")
            return
        if kind in SCALARS:
            self._pin_scalar(origin, value)
        elif isinstance(value, FIXED):
            if isinstance(value, np.dtype):
                self.guard("{0} == {k0}", origin, constants=(value,))
            elif isinstance(value, Unchanging) and not by_identity(value):
                self.guard("type({0}) is {k0} and repr({0}) == {k1}", origin,
                           constants=(kind, repr(value)))  # fmt: skip
            else:
                self.guard("{0} is {k0}", origin, constants=(value,))
        elif kind in (tuple, list) or (isinstance(value, tuple) and hasattr(kind, "_fields")):
            self.typed(origin, value)
            for item, part in self.items(value, origin):
                self.pin(part, item)
        elif kind is slice:
            self.typed(origin, value)
            for name in ("start", "stop", "step"):
                self.pin(self.nodes(f"{{0}}.{name}", (origin,)), getattr(value, name))
        elif kind is types.FunctionType:
            self.guard("{0} is {k0}", origin, constants=(value,))
        elif kind is range:
            self.guard("type({0}) is range and repr({0}) == {k0}", origin, constants=(repr(value),))
        elif kind in (set, frozenset) and id(value) not in self.lists:
            self._pin_set(origin, value)
        else:
            self.refuse(f"a {kind.__name__} used where its value matters")

    def _pin_set(self, node: Node, value: Any) -> None:
        kinds = frozenset(map(type, value))
        if len(kinds) > 1 or not kinds <= {int, str}:  # 1, 1.0 and True are equal
            self.refuse("a set of values that are not of one plain kind")
            return
        self.guard("type({0}) is {k0} and {0} == {k1} and set(map(type, {0})) == {k2}", node,
                   constants=(type(value), frozenset(value), kinds))  # fmt: skip

    def _pin_born(self, origin: Born, value: Any) -> None:
        if origin.kind in ("list", "tuple"):
            for item, part in self.items(value, origin):
                self.pin(part, item)
        elif origin.kind == "dict":
            for key, part in origin.parts.items():
                self.pin(part, value[key])
        elif origin.kind == "slice":
            for name, part in zip(("start", "stop", "step"), origin.parts, strict=True):
                self.pin(part, getattr(value, name))
        elif origin.kind != "set":
            self.refuse(f"a {type(value).__name__} made in the call, used where its value matters")

    def _pin_scalar(self, node: Node, value: Any) -> None:
        if node.late:
            self.check(node, value)
            return
        if (node, "pinned") in self._done:
            return
        self._done.add((node, "pinned"))
        if value is None or type(value) in (bool, type(...)):
            self.guard("{0} is {k0}", node, constants=(value,))
            return
        self.guard("type({0}) is {k0}", node, constants=(type(value),))
        if type(value) in (float, complex) and (value != value or value == 0):
            self.guard("repr({0}) == {k0}", node, constants=(repr(value),))
        else:
            self.guard("{0} == {k0}", node, constants=(value,))

    def understand(self, origin: Origin, value: Any) -> None:
        """`value` goes to a function of dualflow: numbers are pinned, tensors must be known."""
        kind = type(value)
        if self.dead or (origin is CONSTANT and kind in SCALARS):
            return
        if kind is Tensor:
            if origin is not TENSOR and self.origin(origin, value) is None:
                self.refuse("a tensor of unknown origin")
            else:
                self.tensor(value)  # shape and dtype may decide, even if no operation reads it
        elif kind in (list, tuple) or (isinstance(value, tuple) and hasattr(kind, "_fields")):
            for item, part in self.items(value, origin):
                self.understand(part, item)
        elif kind is dict and isinstance(origin, Born) and origin.kind == "dict":
            for key, part in origin.parts.items():
                self.understand(part, value[key])
        elif kind is slice and isinstance(origin, Born):
            for name, part in zip(("start", "stop", "step"), origin.parts, strict=True):
                self.understand(part, getattr(value, name))
        elif kind in SCALARS or kind is slice or isinstance(value, FIXED):
            self.pin(origin, value)
        elif kind is Generator and origin is not None:
            if isinstance(origin, Node):
                self.typed(origin, value)
        else:
            self.refuse(f"a {kind.__name__} given to a function of dualflow")

    def structure(self, origin: Origin, value: Any) -> None:
        """Guard the nesting of a value whose leaves are taken apart and put together again."""
        kind = type(value)
        if kind in (list, tuple):
            for item, part in self.items(value, origin):
                self.structure(part, item)
        elif kind is dict:
            if isinstance(origin, Born):
                for key, part in origin.parts.items():
                    self.structure(part, value[key])
                return
            node = self.as_node(origin, value)
            if node is None or id(value) in self.lists:
                self.refuse("a dict of unknown origin, or one that the call changed")
                return
            self.typed(origin, value)
            self.guard_keys(node, value)
            for key, item in value.items():
                part = self.read(self.nodes("{0}[{k0}]", (node,), (key,)), item)
                self.structure(part, item)
        elif kind is Tensor:
            self.tensor(value)
        elif kind in SCALARS or isinstance(value, FIXED):
            return
        else:
            self.typed(origin, value)

    def adopt(self, value: Any) -> Origin:
        """The origin of what a function of dualflow returned."""
        kind = type(value)
        if kind is Tensor:
            found = self.origin(None, value)
            if found is None and not self.dead:
                if type(value._pending) is Batched:
                    self.refuse("a tensor of unknown origin")
                    return None
                self._adopt_constant(value)
                return TENSOR
            return found
        before = self._ids.get(id(value))
        if before is not None:
            return before
        if kind in SCALARS or isinstance(value, FIXED):
            return CONSTANT
        if kind in (list, tuple) or (isinstance(value, tuple) and hasattr(kind, "_fields")):
            made = "list" if kind is list else "tuple"
            return self.born(value, made, [self.adopt(item) for item in value])
        if isinstance(value, dict) and kind is dict:
            return self.born(value, "dict", {key: self.adopt(item) for key, item in value.items()})
        return self.born(value, "opaque")

    def _adopt_constant(self, tensor: Tensor) -> None:
        """A tensor made of pinned Python values, not by an operation."""
        if tensor._memory().exposed:
            self.refuse("memory from outside dualflow, taken into a tensor")
            return
        self.inputs.append(("constant", tensor.array.copy()))
        value = self.notes.builder.input(TensorType(tensor.shape, tensor.dtype))
        self.notes.bind(tensor, value)

    def guard_order(self, kind: type) -> None:
        """Guard in which classes instances of `kind` look for attributes."""
        if kind.__flags__ & (1 << 9) and id(kind) not in self.ordered:
            self.ordered.add(id(kind))  # the guard keeps the class
            order = kind.__mro__  # the tuple itself would keep the class alive
            parts = [f"{{k0}}.__mro__[{i}] is {{k{i}}}" for i in range(1, len(order))]
            text = " and ".join([f"len({{k0}}.__mro__) == {len(order)}", *parts])
            self.guard(text, constants=order)

    def guard_special(self, origin: Origin, owner: Any, name: str, kind: Any = None) -> None:
        """Guard that a class still finds a special method where it does now."""
        self.typed(origin, owner)
        kind = kind or type(owner)
        self.guard_order(kind)
        for cls in kind.__mro__:
            if name in vars(cls):
                if cls.__flags__ & (1 << 9):
                    node = self.nodes("{k0}[{k1}]", (), (self.proxy(cls), name))
                    self.guard("{0} is {k0}", node, constants=(vars(cls)[name],))
                return
            if cls.__flags__ & (1 << 9):
                self.guard("{k1} not in {k0}", constants=(self.proxy(cls), name))

    # Containers -----------------------------------------------------------------------------

    def items(self, value: Any, origin: Origin) -> Iterator[tuple[Any, Origin]]:
        """The items of a list or tuple with their origins; its length becomes a guard."""
        shadow = self.lists.get(id(value))
        if shadow is not None:
            origin = shadow.whole(self)
        if isinstance(origin, Born):
            if origin.kind not in ("list", "tuple") or len(origin.parts) != len(value):
                self.refuse(f"the parts of a {type(value).__name__} are not known")
                return
            yield from zip(list(value), list(origin.parts), strict=True)
        elif isinstance(origin, Node):
            self.typed(origin, value)
            self.guard("len({0}) == {k0}", origin, constants=(len(value),))
            for i, item in enumerate(list(value)):
                yield item, self.read(self.nodes("{0}[{k0}]", (origin,), (i,)), item)
        elif origin is CONSTANT:
            for item in value:
                yield item, CONSTANT
        else:
            self.refuse(f"a {type(value).__name__} of unknown origin")

    # What notes ask -------------------------------------------------------------------------

    def on_input(self, tensor: Tensor) -> Value:
        found = self.tensors.get(id(tensor))
        type_ = TensorType(tensor.shape, tensor.dtype)
        if found is None:
            alias = self._alias_of(tensor)
            if alias is None and self._library and self._asked and not tensor._memory().exposed:
                self.inputs.append(("constant", tensor.array.copy()))
                return self.notes.builder.input(type_)
            if alias is None:
                self.refuse("a tensor of unknown origin")
                self.inputs.append(("unknown",))
                return self.notes.builder.input(type_)
            found = (tensor, alias)
        self.tensor(tensor)
        self.inputs.append(("tensor", found[1], tensor))
        return self.notes.builder.input(type_)

    def _alias_of(self, tensor: Tensor) -> Node | None:
        """The node of a tensor from outside of which `tensor` is another handle."""
        storage = tensor._storage
        if storage is None:
            return None
        for other, node in self._handles.get(id(storage), ()):
            if other._storage is storage and other._view == tensor._view:
                return node
        return None

    def _source(self, tensor: Tensor) -> tuple[Tensor, Node] | None:
        """The tensor from outside of which this one is a view or another handle."""
        storage = tensor._storage
        if storage is None:
            return None
        for other, node in self._handles.get(id(storage), ()):
            chain = other._view
            if other._storage is storage and tensor._view[: len(chain)] == chain:
                return other, node
        return None

    def on_scalar(self, value: Any, position: int) -> Value | None:
        for known, node in self._scalars:
            if known is value:
                return self.scalar_input(node, value)
        taped = self._taped.get(id(value))
        if taped is not None:
            return self.scalar_input(taped[2], taped[1])
        return None

    def on_tape(self, node: Node, value: Any) -> float:
        """`value` as an object of its own: the tape keeps it, and a gradient that comes upon it
        finds the node by its identity."""
        fresh = float(value) * 1.0
        self._taped[id(fresh)] = (fresh, value, node)
        return fresh

    def taped(self, value: Any) -> Node | None:
        """The node of a number that the tape keeps."""
        found = self._taped.get(id(value))
        return None if found is None else found[2]

    def scalar_input(self, node: Node, value: Any) -> Value:
        """The input of the graph for a Python number; a tensor's value is taken as it is."""
        direct = self._scalar_values.get(node)
        if direct is not None:
            return direct
        if node.late:
            return self._late_scalar(node, value)
        dtype = np.dtype({bool: "bool", int: "int64", float: "float64"}[type(value)])
        self.inputs.append(("scalar", node, dtype))
        made = self.notes.builder.input(TensorType((), dtype))
        self._scalar_values[node] = made
        return made

    def _late_scalar(self, node: Node, value: Any) -> Value:
        """A number that came from a tensor: the tensor's value itself where that is the same, else
        an input of what runs after Python has computed it."""
        raw = node.parents[0] if node.template == "{k0}({0})" else node
        number = raw.constants[0] if raw.template.startswith("T[") else None
        made = None if number is None else self.late[number]
        same = made is not None and (raw is node or type(value) in (int, float))
        letter = {bool: "b", int: "i", float: "f"}[type(value)]
        if same and made is not None and made.dtype.kind == letter:
            add, line = self.notes.builder.add, user_line()
            if made.shape != ():
                made = add(p.reshape.op, (made,), {"shape": ()}, line).result
            if type(value) is float and made.dtype != np.float64:
                made = add(p.cast.op, (made,), {"dtype": np.dtype("float64")}, line).result
            if type(value) is int and made.dtype != np.int64:
                made = add(p.cast.op, (made,), {"dtype": np.dtype("int64")}, line).result
            self._scalar_values[node] = made
            return made
        self.check(self.nodes("({0} is not None)", (node,)), True)
        dtype = np.dtype({bool: "bool", int: "int64", float: "float64"}[type(value)])
        self.inputs.append(("scalar", node, dtype))
        self._scalar_values[node] = found = self.notes.builder.input(TensorType((), dtype))
        return found

    def on_draw(self, generator: Any, state: Tensor) -> Value:
        found = self.draws.get(id(generator))
        if found is None:
            origin = self.known(generator)
            node = self.as_node(origin, generator) if origin is not None else None
            if node is None:
                node = self.default_generator(generator)
            found = (generator, node, 0)
        generator, node, before = found
        self.draws[id(generator)] = (generator, node, before + 1)
        self.inputs.append(("draw", node, before))
        return self.notes.builder.input(TensorType((2,), np.dtype("uint64")))

    def default_generator(self, generator: Any) -> Node:
        """The generator that random functions take where none is given."""
        for name, module in list(sys.modules.items()):
            if name.startswith("dualflow.ops"):
                for key, value in vars(module).items():
                    if value is generator:
                        node = self.nodes("{k0}[{k1}]", (), (vars(module), key))
                        self.guard("{0} is {k0}", node, constants=(generator,))
                        return node
        self.refuse("a random generator of unknown origin")
        return self.constant(None)

    # Values of tensors ----------------------------------------------------------------------

    def on_values(self, tensor: Tensor, array: np.ndarray) -> None:
        if self._allowed is tensor:
            self._allowed = None
        elif self._library and array.nbytes <= PINNED_BYTES and tensor._pending is None:
            self._pin_array(tensor, array)
        elif not self._reading:
            self.refuse("the values of a tensor were read by a function not in the table")

    def _pin_array(self, tensor: Tensor, array: np.ndarray) -> None:
        """The values of a small tensor must be the same at a replay."""
        self._asked = True
        node = self.array_node(tensor)
        if node is not None:
            self.check(self.nodes("{0}.tobytes()", (node,)), array.tobytes())

    def array_node(self, tensor: Tensor) -> Node | None:
        """The node of all values of a tensor; None if they are not known."""
        value = self.notes.value_of(tensor, user_line())
        if self.notes.broken:
            self.refuse(self.notes.broken)
        if self.dead:
            return None
        number = self.whole.get(value)
        if number is None:
            number = self.whole[value] = len(self.late)
            self.late.append(value)
        return self.nodes("T[{k0}]", (), (number,), late=True)

    def reads_on(self) -> None:
        """What is called next reads the values of tensors, of which notes are taken."""
        self._reading = True

    def reads_no_more(self) -> None:
        self._reading = False

    def unseen(self, function: Any, *args: Any) -> Any:
        """Call something that reads the values of tensors, of which the caller takes notes."""
        before, self._reading = self._reading, True
        try:
            return function(*args)
        finally:
            self._reading = before

    def value_of(self, tensor: Tensor, convert: Any) -> tuple[Any, Node | None]:
        """Read the only element of a tensor: `convert(tensor)`, and the node that will be it."""
        self._reading = True
        try:
            value = convert(tensor)
        except Exception:
            self.refuse("reading the value of a tensor raised an error")
            raise
        finally:
            self._reading = False
        if self.dead:
            return value, None
        noted = self.notes.value_of(beneath(tensor), user_line())
        if self.notes.broken:
            self.refuse(self.notes.broken)
            return value, None
        node = self._late_numbers.get(noted)
        if node is None:
            node = self.nodes("T[{k0}]", (), (len(self.late),), late=True)
            self._late_numbers[noted] = node
            self.late.append(noted)
        kind = type(value)
        if kind in NUMBERS and convert in (bool, int, float):
            node = self.nodes("{k0}({0})", (node,), (convert,))
        return value, node

    def with_scalars(self, scalars: list[tuple[Any, Node]]) -> Any:
        """While operations run, these Python numbers are hidden inputs."""
        return _Scalars(self, scalars)

    # Objects from outside that change -------------------------------------------------------

    def writes(self, node: Node, value: Any) -> None:
        """An object from outside is being changed."""
        self.written[id(value)] = (value, node)
        self._keep.append(value)

    def distinct(self) -> None:
        """Guard that objects that were changed are no other objects of their type that were used:
        another path to a changed object would have to see the change."""
        changed = {type(value) for value, _ in self.written.values()} - {Tensor}
        for kind in changed:
            nodes = {
                origin: None
                for number, origin in self._ids.items()
                if isinstance(origin, Node) and type(self._objects.get(number)) is kind
            }
            changed_nodes = (n for value, n in self.written.values() if type(value) is kind)
            nodes.update(dict.fromkeys(changed_nodes))
            if len(nodes) > 1:
                text = ", ".join(f"id({{{i}}})" for i in range(len(nodes)))
                self.guard(f"len({{{{{text}}}}}) == {{k0}}", *nodes, constants=(len(nodes),))


def shown(tensor: Tensor, of: Tensor, rest: ChainKey) -> bool:
    """Whether `tensor` is the view `rest` of `of`, or for () another handle of it."""
    count = len(of._view)
    return (
        tensor._storage is of._storage is not None
        and tensor._view[:count] == of._view
        and chain_key(tensor._view[count:]) == rest
    )


def _holds_tensor(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_holds_tensor, value))
    return type(value) is Tensor


class _Scalars:
    def __init__(self, recorder: Recorder, scalars: list[tuple[Any, Node]]) -> None:
        self.recorder, self.scalars = recorder, scalars

    def __enter__(self) -> None:
        self.before = self.recorder._scalars
        self.recorder._scalars = self.scalars

    def __exit__(self, *raised: object) -> None:
        self.recorder._scalars = self.before


__all__ = ["FIXED", "Reason", "Recorder", "identity"]
