"""Tensors from outside: which they are, what they share, and what they were before the call.

Comes in: tensors that were read through a path. Goes out: guards of their types, layouts and of
what they share; for the commit, their versions, gradients and histories from before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from dualflow.array.tensor import Tensor
from dualflow.autograd.tape import edge_of
from dualflow.autograd.walk import order_of
from dualflow.ops.door import away

from .notes import ChainKey, chain_key
from .provenance import (
    Node,
)

if TYPE_CHECKING:
    from .recorder import Recorder


#: among what recordings of a function tell each other: its arguments overlap, and are written to
_OVERLAP = "views that overlap"


@final
class Outside:
    """The tensors of one recording that code outside it knows.

    Attributes:
        tensors: each with the node that finds it, by id.
        places: on which device each lies that is not on the CPU.
        grads: their `.grad` before the call.
        edges: tape nodes and leaves from outside -> the tensor that they are of.
        versions: of their storages, before the call.
        split: the storages of which views came from outside that are not part of one another.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.tensors: dict[int, tuple[Tensor, Node]] = {}
        self.places: dict[Node, Any] = {}
        self.grads: dict[int, Tensor | None] = {}
        self.edges: dict[int, Node] = {}
        self.versions: dict[int, int] = {}
        self.split: set[int] = set()
        self._guarded: set[Node] = set()
        self._pasts: list[tuple[Tensor, Any]] = []  # the history of each before the call
        self._handles: dict[int, list[tuple[Tensor, Node]]] = {}  # by storage

    def release(self) -> None:
        """The recording is over: nothing lives on because of it."""
        for kept in (
            self.tensors, self.grads, self.edges, self._guarded, self._pasts, self._handles,
        ):  # fmt: skip
            kept.clear()

    def holds(self, tensor: Tensor) -> bool:
        """Whether a tensor from outside shares the storage of `tensor`."""
        return id(tensor._storage) in self._handles

    def register(self, node: Node, tensor: Tensor) -> None:
        self.tensors[id(tensor)] = (tensor, node)
        storage = tensor._storage if tensor._array is None else tensor._memory()
        if storage is not None:
            self.versions.setdefault(id(storage), storage.version)
            self.recorder.keep(storage)
            self._guard_shared(node, tensor, self._handles.setdefault(id(storage), []))
        grad = tensor.grad
        self.grads[id(tensor)] = grad
        self._pasts.append((tensor, edge_of(tensor)))
        if tensor.requires_grad:
            edge = edge_of(tensor)
            self.edges.setdefault(id(edge), node)
            self.recorder.keep(edge)
        if grad is not None:
            self.recorder.read(self.recorder.nodes("{0}.grad", (node,)), grad)

    def _guard_shared(self, node: Node, tensor: Tensor, handles: list[tuple[Tensor, Node]]) -> None:
        """Guard that another handle, or a view, of a tensor from outside is one again. Handles that
        are apart now are found apart when something is written (`redoing.apart`)."""
        root = tensor._root
        for other, before in handles:
            long, short, of, rest = node, before, len(other._view), tensor._view
            if len(tensor._view) < of:
                long, short, of, rest = before, node, len(tensor._view), other._view
            if tensor._view[:of] == other._view[:of]:
                key = self.recorder.const_tuple(chain_key(rest[of:]))
                self.recorder.guard("{k1}({0}, {1}, {k0})", long, short, constants=(key, shown))
                self.guard(other)  # one input stands for both; one may want gradients alone
                self.guard(tensor)
            elif root is not None and root is other._root and not root._view:
                self.split.add(id(tensor._storage))
        handles.append((tensor, node))

    def whole(self, tensor: Tensor) -> Tensor | None:
        """The tensor of which several views came from outside, where a recording before found that
        they overlap and are written to: it is read, and written, in their place."""
        root = tensor._root
        found = self.tensors.get(id(tensor))
        if _OVERLAP not in self.recorder.met or id(tensor._storage) not in self.split:
            return None
        if found is None or root is None or root.requires_grad or tensor.requires_grad:
            return None
        if id(root) not in self.tensors:
            self.recorder.read(self.recorder.nodes("{0}._root", (found[1],)), root)
        return root

    def overlapping(self, storage: Any) -> None:
        """Views of one memory overlap, and it is written to: the next recording takes it whole."""
        if id(storage) in self.split and _OVERLAP not in self.recorder.met:
            self.recorder.met[_OVERLAP] = True
            self.recorder.refuse_once("views that overlap, of memory that is written to")

    def alias_of(self, tensor: Tensor) -> Node | None:
        """The node of a tensor from outside of which `tensor` is another handle."""
        storage = tensor._storage
        if storage is None:
            return None
        for other, node in self._handles.get(id(storage), ()):
            if other._storage is storage and other._view == tensor._view:
                return node
        return None

    def source(self, tensor: Tensor) -> tuple[Tensor, Node] | None:
        """The tensor from outside of which this one is a view or another handle."""
        storage = tensor._storage
        if storage is None:
            return None
        for other, node in self._handles.get(id(storage), ()):
            chain = other._view
            if other._storage is storage and tensor._view[: len(chain)] == chain:
                return other, node
        return None

    def guard(self, tensor: Tensor) -> None:
        """Guard what makes a tensor from outside fit: type, layout, whether it wants gradients."""
        found = self.tensors.get(id(tensor))
        if found is None:
            found = None if tensor._storage is None else self.source(tensor)
        if found is None or found[1] in self._guarded:
            return
        tensor, node = found
        self._guarded.add(node)
        array = tensor.array
        layout = (array.shape, array.dtype, array.strides)
        if away and tensor.device != "cpu":
            self.places[node] = tensor.device
        self.recorder.events.append(
            ("tensor", node, layout, tensor.requires_grad, tensor._tape is not None)
        )

    def through_the_past(self, tensor: Any) -> bool:
        """Whether a gradient of `tensor` passes what was computed before the call."""
        start = edge_of(tensor) if type(tensor) is Tensor else None
        if start is None:
            return False
        order, _ = order_of([start], None)
        return any(id(node) in self.edges for node in order)

    def history_changed(self) -> bool:
        """Whether the call changed the history of a tensor from outside."""
        return any(edge_of(tensor) is not past for tensor, past in self._pasts)

    def gradients_stored(self) -> None:
        """backward() was called: guard which `.grad` there were before, and where no hook was."""
        for tensor, node in list(self.tensors.values()):
            if tensor.requires_grad and tensor.grad is not None and not tensor._hooks:
                self.recorder.guard("not {0}._hooks", node)
            before = self.grads.get(id(tensor))
            if tensor.grad is not before and (id(tensor), "grad") not in self.recorder.stored:
                self.recorder.guard(f"{{0}}.grad is {'' if before is None else 'not '}None", node)


def shown(tensor: Tensor, of: Tensor, rest: ChainKey) -> bool:
    """Whether `tensor` is the view `rest` of `of`, or for () another handle of it."""
    count = len(of._view)
    return (
        tensor._storage is of._storage is not None
        and tensor._view[:count] == of._view
        and chain_key(tensor._view[count:]) == rest
    )
