"""The recorder: what is known of the values of one call while it runs.

Comes in: what the hooks of `frame.Frame` see, and the operations that pass the door (`notes.py`).
Goes out: events (guards and tests of tensor values, in order), effects, the noted graph, and the
description of the result; or the reason why the call cannot be replayed. A recorder that was
refused is `dead`: hooks only compute from then on.
"""

from __future__ import annotations

import types
from sys import getrefcount
from typing import Any, final
from weakref import ref

from dualflow.array.tensor import Tensor
from dualflow.autograd.batched import Batched, beneath
from dualflow.base import collection
from dualflow.base.source import SourceLine, is_own, line_in, own_line, user_line
from dualflow.ir.graph import Value
from dualflow.ir.types import TensorType
from dualflow.ops import door

from . import parts, pins, trying
from .alarm import Alarm
from .classes import Classes
from .draws import TensorDraws
from .finalizers import finalized
from .kinds import FIXED, SCALAR_TYPES
from .late_values import LateValues
from .ndarrays.arrays import Arrays
from .ndarrays.random import Draws
from .notes import Notes
from .outside import Outside
from .provenance import (
    CONSTANT,
    SCALARS,
    TENSOR,
    TEXTS,
    Born,
    Node,
    Nodes,
    Origin,
    identity,
)
from .reasons import Reason

#: so many calls and items of loops of plain Python are noted, not more
MOST_STEPS = 10_000
#: what a path may lead to another one of next time
_REPLACED = (*FIXED, types.FunctionType, tuple)
_HEAP = 1 << 9  # a flag of classes that are no part of the interpreter


#: what is made in the call and may die before its end; so many before it is looked for dead ones
_MORTAL, _MANY = frozenset(["list", "tuple", "dict", "instance"]), 16


def _references() -> int:
    """What `getrefcount` says, in a loop over a list, of what that list alone refers to."""
    for value in [[]]:
        return getrefcount(value)
    return 0


_ALONE = _references()


@final
class Recorder:
    """Everything known of one recorded call.

    Attributes:
        reason: why the call cannot be replayed; None while it can, and then `dead` is False.
        passing: whether the reason holds for this call alone, so that the next one is recorded.
        stopped: whether it holds for all calls that come.
        line: the user's line that called a function of dualflow, up to its end; else None.
        events: ("guard", condition) | ("value", node that must be there) | ("test", late node,
            outcome), in order.
        computed: late nodes that must be computed, for that may raise.
        inputs: what each input of the graph is: ("tensor", node) | ("scalar", node) | ("draw",
            generator node, draws before).
        met: what the recordings of the function tell each other: numbers that were places in
            tensors, by their text.
        effects: what was done to objects from outside, in order.
        seldom: ends where there is nothing left to record.
        outside, classes, late, draws, arrays, drawn: what is known of tensors from outside, of
            classes, of values that Python reads, of random numbers, of NumPy's arrays and of its
            random numbers.
    """

    pin, understand, structure = pins.pin, pins.understand, pins.structure
    guarded, tried, asking = trying.guarded, trying.tried, trying.asking
    certain, watching, lined = trying.certain, trying.watching, trying.lined
    items, measured, parted = parts.items, parts.measured, parts.parted
    guard_keys, adopt, distinct = parts.guard_keys, parts.adopt, parts.distinct

    def __init__(self, met: dict[str, Any] | None = None) -> None:
        self.nodes = Nodes()
        self.notes = Notes(self)
        self.outside = Outside(self)
        self.classes = Classes(self)
        self.late = LateValues(self)
        self.draws = TensorDraws(self)
        self.arrays = Arrays(self)
        self.drawn = Draws()
        self.whole, self.overlapping = self.outside.whole, self.outside.overlapping
        self.on_scalar, self.on_draw = self.late.on_scalar, self.draws.on_draw
        self.reason: Reason | None = None
        self.line: SourceLine | None = None
        self.root: types.CodeType | None = None  # the compiled function's
        self.dead = self.passing = self.stopped = False
        self.alarm = Alarm(self)
        self.seldom = collection.Seldom()
        self.events: list[tuple[Any, ...]] = []
        self.computed: list[Node] = []
        self.inputs: list[tuple[Any, ...]] = []
        self.effects: list[tuple[Any, ...]] = []
        self.stored: dict[Any, Origin] = {}  # attributes, cells, globals stored
        self.lists: dict[int, Any] = {}  # shadows of containers from outside that were changed
        self.written: dict[int, tuple[Any, Node]] = {}  # objects from outside that were changed
        self.backwards = False
        self.grad_enabled = door.state.grad_enabled
        self.done: set[Any] = set()  # guards that are there
        self._ids: dict[int, Origin] = {}
        self._keep: list[Any] = []
        self._mortal: list[Any] = []
        self._many = _MANY
        self._objects: dict[int, Any] = {}
        self.plain: dict[int, dict] = {}  # dicts all of whose keys are plain
        # what was read before, by object and name: the object, its origin, the namespace that holds
        # the value, the value (or a `Method` of the class), its origin, the key that a store has
        # (of an item, by a name: the origin of the name)
        self.reads: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        self.methods: dict[str, Any] = {}  # of tensors, guarded
        self.followed: dict[int, tuple[Origin, types.CodeType]] = {}  # functions that are guarded
        self.handlers: dict[Any, tuple[Origin, Any]] = {}  # of functions, guarded
        self.instances: set[type] = set()  # classes of objects with attributes and nothing more
        self.contents: dict[int, tuple[Any, ...]] = {}  # of cells that were read
        self.twins: dict[Any, Any] = {}  # of functions that are called again with plain arguments
        self.expressions: dict[Any, Node] = {}  # of operators on numbers
        self.operators: dict[Any, tuple[str, Any]] = {}  # those that are dualflow's own
        self.deleted: set[Any] = set()  # attributes taken from objects from outside
        self.fresh: set[Any] = set()  # attributes that they did not have before the call
        # those made in the call, and whether it is visible when they die; whether one is so
        self.generators: list[tuple[ref[Any], bool]] = []
        self.closing = False
        self.clocks: list[Node] = []  # reads of the time, in order
        self.locks: dict[Node, Any] = {}  # from outside, taken by the call
        self.locked = False  # whether the user's code takes one of them
        self.taken: list[Any] = []  # of them and others, those that it holds now by `acquire`
        self.factories: dict[int, Origin] = {}  # of default dicts made in the call
        self.taken_from: dict[int, int] = {}  # items, of iterators from outside
        self.files: list[Any] = []  # that it wrote into
        self.catching: list[Any] = []  # `catch_warnings` that it is in
        self.opened: dict[int, Any] = {}  # objects whose __dict__ was read, and these
        self.shadowed: dict[int, Any] = {}
        self.dropped = False  # whether an object from outside lost something that may die by that
        self.met = {} if met is None else met
        self.steps = 0  # calls and items of loops
        self.copies = 0  # containers that a replay makes anew
        self.merging = 0  # calls with * or ** whose arguments Python has not put together
        self._tuples: dict[Any, tuple[Any, ...]] = {}

    def step(self) -> None:
        """A call or an item of a loop: of very many among few operations nothing is gained."""
        self.steps += 1
        if self.steps % MOST_STEPS == 0 and len(self.notes.builder.nodes) * 20 < self.steps:
            self.refuse(f"{self.steps} calls and items of loops among few operations")

    # Refusing -------------------------------------------------------------------------------

    def refuse(self, why: str, line: SourceLine | None = None) -> None:
        """This call cannot be replayed."""
        if self.reason is None:
            line = line or user_line()
            own = None if line is None or is_own(line.file) else own_line()
            self.reason, self.dead = Reason(why, line, own, line_in(self.root)), True
            for kept in (
                self._objects, self._keep, self._mortal, self.reads, self.plain, self.followed,
                self.handlers, self.expressions, self.twins, self.contents, self._ids, self.stored,
                self.effects, self.lists, self.written,
            ):  # fmt: skip
                kept.clear()  # they may die now
            self.classes.release()
            self.seldom.end()

    def stop(self, why: str) -> None:
        """No call is to be recorded any more; what this one has kept alive may die now."""
        self.refuse(why)
        self.stopped = True
        self.release()

    def release(self) -> None:
        """The recording is over: nothing lives on because of it."""
        self.dead = True
        for kept in (
            self._objects, self._keep, self._mortal, self.reads, self._ids, self.written,
            self.lists,
            self.shadowed, self.opened, self.effects, self.inputs, self.plain, self.events,
            self.draws.taken, self.computed, self.followed, self.handlers, self.twins,
            self.contents,
        ):  # fmt: skip
            kept.clear()
        self.done.clear()
        self.expressions.clear()
        for part in (self.nodes, self.notes, self.outside, self.classes, self.late):
            part.release()

    def refuse_once(self, why: str) -> None:
        """This call cannot be replayed, the next one perhaps."""
        self.passing = self.passing or not self.dead
        self.refuse(why)

    def drops(self, value: Any) -> None:
        """An object from outside loses `value`: no program may see that die."""
        kind = type(value)
        if kind in SCALARS or self.dead:
            return
        self.dropped = True
        name = None if kind is Tensor else finalized(value)
        if name is not None:
            self.refuse(f"{name}, whose death a program may see, is dropped")

    def effect_line(self) -> SourceLine | None:
        return user_line()

    def keep(self, value: Any) -> None:
        """Let no other object get the identity of `value`."""
        self._keep.append(value)

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
            if found is None and (
                self.notes.knows(value) or self.outside.alias_of(value) is not None
            ):
                return TENSOR
            return found
        if origin is not None or kind in SCALARS or kind in SCALAR_TYPES:
            return origin
        return self._ids.get(id(value))

    def born(self, value: Any, kind: str, parts: Any = None) -> Born:
        """Register an object made in this call."""
        made = Born(kind, parts)
        self._ids[id(value)] = made
        if kind in _MORTAL:
            self._mortal.append(value)
            if len(self._mortal) > self._many:
                self._forget()
        else:
            self._keep.append(value)
        return made

    def _forget(self) -> None:
        """Let go what nothing else refers to: each step of a long loop makes some containers, and
        they hold arrays."""
        kept = []
        for value in self._mortal:
            if getrefcount(value) > _ALONE:
                kept.append(value)
            else:
                self._ids.pop(id(value), None)
                self.factories.pop(id(value), None)
        self._mortal, self._many = kept, max(_MANY, 2 * len(kept))

    def born_weakly(self, value: Any, kind: str, parts: Any) -> Born:
        """Register an object made in this call whose death, before the call ends, does something:
        a generator, or what holds one."""
        number, made = id(value), Born(kind, parts)
        self._ids[number] = made
        held = ref(value, lambda _: self._ids.pop(number, None))
        closes = kind == "iterator" and parts.closes
        self.generators.append((held, closes))
        self.closing = self.closing or closes
        return made

    def left_open(self) -> bool:
        """Whether a generator outlives the call, and may still do something; or a file is open."""
        if any(file.mode != "closed" for file in self.files):
            return True
        alive = (held() for held, closes in self.generators if closes)
        return any(made is not None and made.gi_frame is not None for made in alive)

    def remember(self, value: Any, origin: Origin) -> None:
        """Let `value` be known by itself, wherever it turns up."""
        self.reads.clear()
        self.contents.clear()
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
            if made and not self.outside.holds(value):
                return TENSOR
            self._ids[id(value)] = node
            self._objects[id(value)] = value
            if kind is Tensor:
                self.outside.register(node, value)
            elif kind.__flags__ & _HEAP and self.classes.pretends(kind):
                self.refuse(f"a {kind.__name__}, which says that it is of another class")
            return node
        if isinstance(before, Node) and isinstance(value, _REPLACED):
            return node
        if isinstance(before, Node) and before is not node:
            self.guard("{0} is {1}", before, node)
        return before

    def found(self, node: Node, value: Any) -> Origin:
        """`read` of something that a replay may no longer find, which then raises."""
        self.needs(node)
        return self.read(node, value)

    def needs(self, node: Node) -> None:
        """A replay must evaluate `node`, even if nobody uses it: that may raise."""
        if not (node.needed or self.dead or self.classes.certain(node)):
            node.needed = True
            if node.late:
                self.computed.append(node)
            else:
                self.events.append(("value", node))

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
        if node not in self.done:
            self.check(node, True)

    def check(self, node: Node, outcome: Any) -> None:
        """At a replay, `node` must be `outcome` (of a guard: True)."""
        if node in self.done or self.dead:
            return
        self.done.add(node)
        if self.classes.certain(node):
            return
        if node.late:
            if self.drawn.calls and self.drawn.made:  # each block would make one of its own
                self.refuse("a value decides after a random generator made in the call drew")
                return
            self.events.append(("test", node, outcome))
        else:
            assert outcome is True
            self.events.append(("guard", node))

    def typed(self, origin: Origin, value: Any) -> None:
        """The type of the value must be the same at a replay."""
        if type(origin) is not Node or origin.typed:
            return
        origin.typed = True
        template = origin.template
        if template.startswith(("T[", "{k0}(T, ")) or template == "{k0}({0})":
            return  # the dtype of the tensor decides
        if template.startswith(TEXTS):
            return
        if template.startswith("(") and "**" not in template and "({k0}(" not in template:
            return  # an expression over values of known types
        if value is None:
            self.guard("{0} is None", origin)
        elif type(value) is Tensor:
            self.outside.guard(value)
        else:
            self.guard("type({0}) is {k0}", origin, constants=(type(value),))

    def sure(self, node: Node) -> None:
        """The type of what a node gives is always the same."""
        node.typed = True

    def made(self, out: Any, a: Any, b: Any) -> Origin:
        """The origin of what an operator made of `a` and `b`."""
        if type(out) is Tensor and out is not a and out is not b:
            return TENSOR  # the notes know it
        return self.origin(None, out)

    # What notes ask -------------------------------------------------------------------------

    def on_input(self, tensor: Tensor) -> Value:
        found = self.outside.tensors.get(id(tensor))
        type_ = TensorType(tensor.shape, tensor.dtype)
        if found is None:
            alias = self.outside.alias_of(tensor)
            if (
                alias is None
                and self.late.library
                and self.late.asked
                and not tensor._memory().exposed
            ):
                self.inputs.append(("constant", tensor.array.copy()))
                return self.notes.builder.input(type_)
            if alias is None:
                self.refuse("a tensor of unknown origin")
                self.inputs.append(("unknown",))
                return self.notes.builder.input(type_)
            found = (tensor, alias)
        self.outside.guard(tensor)
        self.inputs.append(("tensor", found[1], tensor))
        return self.notes.builder.input(type_)

    # Objects from outside that change -------------------------------------------------------

    def writes(self, node: Node, value: Any) -> None:
        """An object from outside is being changed."""
        self.written[id(value)] = (value, node)
        self._keep.append(value)


__all__ = ["Recorder"]
