"""Places in tensors that differ from call to call: `x[i]`, `x[i:i + n]` with an `i` that changes.

Comes in: a tensor, an index, where its numbers came from. Goes out: Python's own view, whose value
is a `take` by a number that each replay hands in: one recording, however often `i` changes. Once
memory is written that such a view shows, or the view leaves the call, its place is pinned instead.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final
from weakref import ref

import numpy as np

from dualflow.array.tensor import Tensor
from dualflow.ir.graph import Value
from dualflow.ops import primitives as p
from dualflow.ops.views import Moved

from .provenance import CONSTANT, Born, Node, Origin, Read, identity

if TYPE_CHECKING:
    from .recorder import Recorder

#: what stands for a number of which two values were met
_MOVES = object()
Ends = Sequence[tuple[Node | None, Any]]
Numbers = list[tuple[Node, int]]
#: One entry of an index: what Python is given, the numbers that may change, the node of where it
#: begins (None: it is where it is in each call), and how many elements a slice has.
Entry = tuple[Any, Numbers, Node | None, int | None]
#: an axis, and indices along it
At = tuple[int, Value]


@final
class Place:
    """A place in the memory of a tensor, found by numbers that may change.

    Attributes:
        owner: the tensor.
        at: its only axis along which it is no whole, and the indices there; None if there are more.
        numbers: those that may change.
        value: what is there.
        pinned: whether a replay finds it where it is now; so is one of a recording that is over.
    """

    __slots__ = ("__weakref__", "_recorder", "at", "numbers", "owner", "pinned", "storage", "value")

    def __init__(
        self, recorder: Recorder, owner: Tensor, numbers: Numbers, value: Value, at: At | None
    ) -> None:
        self._recorder, self.owner, self.storage = recorder, owner, owner._storage
        self.numbers, self.value, self.at, self.pinned = numbers, value, at, False

    def pin(self) -> None:
        """Let a replay look where this call did."""
        self.pinned = True
        for node, value in self.numbers:
            self._recorder.pin(node, value)

    def close(self) -> None:
        """The recording is over: views that live on are where they are, and keep nothing of it."""
        self.pinned, self.numbers, self.at = True, [], None
        del self._recorder, self.owner, self.value

    def put(self, whole: Value, part: Value) -> Value:
        """`whole`, what the tensor holds, with `part` in this place."""
        assert self.at is not None
        add, (axis, index) = self._recorder.notes.builder.add, self.at
        count = index.shape[0] if index.shape else 1
        shape = (*whole.shape[:axis], count, *whole.shape[axis + 1 :])
        line = (1,) * axis + (count,) + (1,) * (len(shape) - axis - 1)
        index = add(p.reshape.op, (index,), {"shape": line}, None).result
        index = add(p.expand.op, (index,), {"shape": shape}, None).result
        part = add(p.reshape.op, (part,), {"shape": shape}, None).result
        return add(p.put.op, (whole, index, part), {"axis": axis}, None).result


def read(recorder: Recorder, owner: Tensor, key: Any, origin: Origin) -> Read | None:
    """`owner[key]`, where a number of `key` has changed; None of other indices."""
    if type(owner._array) is not np.ndarray or owner.requires_grad:
        return None
    pairs = _entries(key, origin)
    shape = owner.shape
    if pairs is None or len(pairs) > len(shape):
        return None
    found = [_entry(recorder, *pair, size) for pair, size in zip(pairs, shape, strict=False)]
    entries = [entry for entry in found if entry is not None]
    if len(entries) < len(found) or all(begin is None for _, _, begin, _ in entries):
        return None
    out = recorder.asking(operator.getitem, owner, key)
    if recorder.dead or out._storage is not owner._storage or owner._storage is None:
        return out, recorder.origin(None, out)
    value, rest, places = _taken(recorder, owner, entries)
    whole_else = all(key == slice(None) for key, _, begin, _ in entries if begin is None)
    single = len(places) == 1 and whole_else and type(owner._view) is not Moved
    if any(part != slice(None) for part in rest):
        whole = recorder.arrays.bound(value)
        value = recorder.notes.value_of(operator.getitem(whole, tuple(rest)))
    numbers = [pair for _, pairs, *_ in entries for pair in pairs]
    if type(owner._view) is Moved:  # a place within one
        numbers += owner._view.place.numbers
    place = Place(recorder, owner, numbers, value, places[0] if single else None)
    recorder.notes.places.append(ref(place))
    out._chain = Moved(out._view).beginning(place)
    return out, recorder.origin(None, out)


def write(recorder: Recorder, owner: Tensor, key: Any, value: Any, origin: Origin) -> bool:
    """`owner[key] = value`, where a number of `key` has changed; whether it is done."""
    beside = type(value) is Tensor and value._storage is owner._storage
    held: Any = value._view if beside else None
    found = read(recorder, owner, key, origin)
    if found is None or recorder.dead or found[0]._storage is not owner._storage:
        return False
    target = found[0]
    view: Any = target._view
    same = type(held) is Moved and held == view and not held.place.pinned
    if same and held.place.numbers == view.place.numbers:
        return True  # x[i] += v: the view that Python hands back has been written already
    recorder.asking(operator.setitem, target, ..., value)
    return True


def pin(tensor: Tensor) -> None:
    """A replay is to look for a tensor that leaves the call where this call did."""
    chain = tensor._view
    if type(chain) is Moved and not chain.place.pinned:
        chain.place.pin()


def _entries(key: Any, origin: Origin) -> Sequence[tuple[Any, Origin]] | None:
    """The entries of an index with their origins, if all are numbers and slices of known origin."""
    pairs: list[tuple[Any, Origin]] = [(key, origin)]
    if type(key) is tuple:
        parts = origin.parts if isinstance(origin, Born) else [origin] * len(key)
        if not isinstance(origin, Born) and origin is not CONSTANT:
            return None
        pairs = list(zip(key, parts, strict=True))
    if all(type(part) in (int, slice) and where is not None for part, where in pairs):
        return pairs
    return None


def _entry(recorder: Recorder, key: Any, origin: Origin, size: int) -> Entry | None:
    """An entry of an index."""
    if type(key) is int:
        if not -size <= key < size:
            return None
        if isinstance(origin, Node) and moves(recorder, origin, key):
            recorder.typed(origin, key)
            if not origin.late:  # of others the operation tells where nothing lies there
                recorder.guard("{k0} <= {0} < {k1}", origin, constants=(-size, size))
            return key, [(origin, key)], origin, None
        recorder.understand(origin, key)
        return key, [], None, None
    ends = _ends(recorder, key, origin)
    if ends is None:
        return None
    numbers = [(node, value) for node, value in ends if node is not None and value is not None]
    start = ends[0][0]
    moved = start is not None and key.start is not None and moves(recorder, start, key.start)
    count = len(range(*key.indices(size)))
    if not moved or key.step not in (None, 1) or not count:
        recorder.understand(origin, key)
        return key, [], None, None
    for node, value in ends:
        if node is not None:
            recorder.typed(node, value)
    known = tuple(recorder.constant(value) if node is None else node for node, value in ends)
    measured = recorder.nodes("{k0}({0}, {1}, {k1})", known, (counted, size))
    recorder.pin(measured, count)
    return key, numbers, recorder.nodes("{k0}({0}, {1}, {k1})", known, (begun, size)), count


def _ends(recorder: Recorder, key: slice, origin: Origin) -> Ends | None:
    """Where a slice starts and stops, each with a node if it may be another one in the next call;
    None if an end is no plain number."""
    values = key.start, key.stop
    if not all(value is None or type(value) is int for value in values):
        return None
    parts: list[Origin] = [CONSTANT, CONSTANT]
    if isinstance(origin, Node):
        recorder.typed(origin, key)
        names = "start", "stop"
        parts = [recorder.read(recorder.nodes(f"{{0}}.{name}", (origin,)), value)
                 for name, value in zip(names, values, strict=True)]  # fmt: skip
    elif isinstance(origin, Born):
        parts = origin.parts[:2]
    nodes = [part if isinstance(part, Node) else None for part in parts]
    return list(zip(nodes, values, strict=True))


def moves(recorder: Recorder, node: Origin, value: Any) -> bool:
    """Whether a number or text comes from a tensor, or was another one in a recording before."""
    if not isinstance(node, Node) or node in recorder.done or (node, "pinned") in recorder.done:
        return False
    return node.late or differs(recorder, str(node), value)


def is_key(recorder: Recorder, key: Any, origin: Origin) -> bool:
    """Whether a plain key differs from call to call, so that a replay is to look it up."""
    return type(key) in (int, str, float) and key == key and moves(recorder, origin, key)


def differs(recorder: Recorder, text: str, value: Any) -> bool:
    """Whether what a text stands for was another value in a recording before."""
    before = recorder.met.setdefault(text, value)
    if before is not _MOVES and identity(before) != identity(value):
        recorder.met[text] = _MOVES
    return recorder.met[text] is _MOVES


def _taken(
    recorder: Recorder, owner: Tensor, entries: list[Entry]
) -> tuple[Value, list[Any], list[At]]:
    """What is at the places that move, the rest of the index, and these places."""
    add = recorder.notes.builder.add
    value = recorder.notes.value_of(owner)
    rest: list[Any] = []
    at: list[At] = []
    for axis, (size, (key, _, begin, count)) in enumerate(zip(owner.shape, entries, strict=False)):
        if begin is None:
            rest.append(key)
            continue
        first = key if count is None else begun(key.start, key.stop, size)
        index = recorder.late.scalar_input(begin, first)
        if count is not None:
            attributes = {"shape": (count,), "axis": 0, "dtype": np.dtype("int64")}
            places = add(p.iota.op, (), attributes, None).result
            index = add(p.expand.op, (index,), {"shape": (count,)}, None).result
            index = add(p.add.op, (places, index), {}, None).result
        at.append((axis, index))
        value = add(p.take.op, (value, index), {"axis": len(rest)}, None).result
        if count is not None:
            rest.append(slice(None))
    return value, rest, at


def begun(start: int | None, stop: int | None, size: int) -> int:
    """Where a slice of `size` elements begins.

    >>> begun(-2, None, 5)
    3
    """
    return slice(start, stop).indices(size)[0]


def counted(start: int | None, stop: int | None, size: int) -> int:
    """How many elements a slice of `size` elements has.

    >>> counted(-2, None, 5)
    2
    """
    return len(range(*slice(start, stop).indices(size)))
