"""What a replay gives back and does to objects: how to make the like of each.

Comes in: a value of the recorded call with its origin. Goes out: its description, from nodes and
outputs of the program (`writing.py` makes text of it); the same object is described once.
"""

from __future__ import annotations

import types
from collections import defaultdict, deque
from contextlib import suppress
from typing import Any

import numpy as np

from dualflow.array.tensor import Tensor
from dualflow.autograd.tape import edge_of
from dualflow.base.source import inside_package
from dualflow.ir.graph import Value

from . import history, leaving, moving, subclasses
from .kinds import DICTS, FIXED, TYPES
from .known import streams as known_streams
from .likenesses import attributes_of, form_of
from .ndarrays import late as numpy_late
from .ndarrays.arrays import WRITEABLE, Late
from .ndarrays.selected import Selected
from .provenance import CONSTANT, SCALARS, Born, Node, Origin
from .recorder import Recorder


class Unsupported(Exception):  # noqa: N818 - a reason, not an error of the user
    """A value that a replay cannot make."""


class Planner:
    """Plans values: which outputs and late values they need, and how to make them again.

    Attributes:
        outputs: the graph values that the last program must give, each once.
        nodes: the nodes to evaluate before anything is committed.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.outputs: dict[Value, None] = {}
        self.nodes: dict[Node, None] = {}
        self.plans: dict[int, tuple[Any, ...]] = {}
        self.keep: list[Any] = []

    def plan(self, value: Any, origin: Origin) -> tuple[Any, ...]:
        """How to make the like of `value`: a description.

        Raises:
            Unsupported: it cannot be made.
        """
        kind = type(value)
        if kind is Tensor:
            return self._once(value, lambda: self._tensor(value))
        if kind in TYPES and not isinstance(self.recorder.origin(origin, value), Node):
            return self._numpy(value, self.recorder.origin(origin, value))
        if isinstance(origin, Node):
            self.nodes[origin] = None
            return ("node", origin)
        if kind in SCALARS:
            if origin is not CONSTANT:
                raise Unsupported(f"a {kind.__name__} of unknown origin")
            return ("constant", value)
        found = self.recorder.origin(origin, value)
        shadow = self.recorder.lists.get(id(value))
        if isinstance(found, Node) or (shadow is not None and not isinstance(found, Born)):
            node = found if isinstance(found, Node) else shadow.node  # type: ignore[union-attr]
            self.nodes[node] = None
            return ("node", node)
        if found is CONSTANT:
            return self._constant(value)
        if not isinstance(found, Born):
            raise Unsupported(f"a {kind.__name__} of unknown origin")
        return self._once(value, lambda: self._born(value, found))

    def _numpy(self, value: Any, origin: Origin) -> tuple[Any, ...]:
        """An array or scalar of NumPy made in the call: what its stand-in becomes."""
        if origin is CONSTANT:
            return ("constant", value)
        stand_in: Any = None
        if type(value) is not np.ndarray:
            stand_in = origin.parts if isinstance(origin, Born) else None
        else:
            stand_in = self.recorder.arrays.known(value)
        if type(stand_in) in (Late, Selected):
            late = type(stand_in) is Late
            node = stand_in.node if late else numpy_late.selected(self.recorder, stand_in)
            self.nodes[node] = None
            return ("node", node)
        if type(stand_in) is not Tensor:
            raise Unsupported(f"a {type(value).__name__} of unknown origin")
        if type(value) is not np.ndarray:
            return ("numpy scalar", self.plan(stand_in, None))
        whole, part = self.recorder.arrays.parts.get(stand_in._memory(), (stand_in, ""))
        if whole is not stand_in and (not part or stand_in._view):
            raise Unsupported("an array that shows memory of another")
        flags = bool(value.flags.num & WRITEABLE)
        return self._once(value, lambda: ("numpy array", self.plan(whole, None), part, flags))

    def _once(self, value: Any, make: Any) -> tuple[Any, ...]:
        number = id(value)
        if number not in self.plans:
            self.plans[number] = ("under way",)
            self.keep.append(value)
            self.plans[number] = make()
        if self.plans[number][0] == "under way" and type(value) is not types.FunctionType:
            raise Unsupported("a container that holds itself")
        return ("object", number)

    def _constant(self, value: Any) -> tuple[Any, ...]:
        kind = type(value)
        known = self.recorder.known(value)
        if isinstance(known, Born) and known.kind in ("class", "function"):
            raise Unsupported(f"a {kind.__name__} made in the call")
        if isinstance(value, FIXED) or kind is types.FunctionType:
            return ("constant", value)
        if kind is tuple or kind is frozenset:
            for part in value:
                self._constant(part) if type(part) not in SCALARS else None
            return ("constant", value)
        if kind in (range, slice):
            return ("constant", value)
        raise Unsupported(f"a {kind.__name__} that is a constant of the code")

    def _born(self, value: Any, origin: Born) -> tuple[Any, ...]:
        kind, parts = type(value), origin.parts
        if isinstance(self.recorder.known(kind), Born) or origin.kind == "class":
            raise Unsupported("a class made in the call, or an instance of one")
        if origin.kind in ("list", "dict") and (base := subclasses.base_of(kind)) is not None:
            return self._of_subclass(value, origin, base)
        if origin.kind in ("list", "tuple"):
            if kind not in (list, tuple, deque) and not hasattr(kind, "_fields"):
                raise Unsupported(f"a {kind.__name__}")
            if len(parts) != len(value):
                raise Unsupported(f"a {kind.__name__} whose parts are not known")
            items = [self.plan(x, part) for x, part in zip(value, parts, strict=True)]
            return ("deque", value.maxlen, items) if kind is deque else ("sequence", kind, items)
        if origin.kind == "dict":
            if kind not in DICTS or set(parts) != set(value) or id(value) in self.recorder.opened:
                raise Unsupported(f"a {kind.__name__} whose parts are not known")
            pairs = [(key, self.plan(value[key], parts[key])) for key in value]
            if kind is defaultdict:
                factory = self.plan(value.default_factory, self.recorder.factories.get(id(value)))
                return ("filled", kind, [factory], pairs)
            return ("dict", pairs) if kind is dict else ("filled", kind, [], pairs)
        if origin.kind == "instance":
            inside = attributes_of(value)
            if set(parts) != set(inside):
                raise Unsupported(f"an instance of {kind.__name__} whose parts are not known")
            return ("instance", kind, [(k, self.plan(inside[k], parts[k])) for k in inside])
        if origin.kind == "stream":
            return ("made", known_streams.filled, [self.plan(value.getvalue(), parts[0])])
        if origin.kind == "leaving":
            known = self.recorder.known(value.error)
            return ("leaving", self.plan(value.error, known))
        if origin.kind == "error" and origin.parts is not None:
            return self._error(value, origin)
        if origin.kind == "function" and kind is types.FunctionType:
            return self._function(value, origin)
        if origin.kind == "method" and kind is types.MethodType:
            function, owner = parts
            return ("made", kind, [self.plan(value.__func__, function),
                                   self.plan(value.__self__, owner)])  # fmt: skip
        if origin.kind == "method" and kind is types.BuiltinFunctionType:
            owner = self.plan(value.__self__, parts[1])
            return ("made", getattr, [owner, ("constant", value.__name__)])
        if origin.kind == "partial" and type(parts) is tuple:
            inner, before, named = parts
            given = [self.plan(x, part) for x, part in zip(value.args, before, strict=True)]
            more = [(key, self.plan(value.keywords[key], named[key])) for key in value.keywords]
            return ("made", kind, [self.plan(value.func, inner), *given], more)
        if origin.kind == "set" and all(type(x) in SCALARS for x in value):
            return ("set", set(value))
        raise Unsupported(f"a {kind.__name__} made in the call")

    def _of_subclass(self, value: Any, origin: Born, base: type) -> tuple[Any, ...]:
        """An instance of a subclass of list or dict: its items, its attributes."""
        items: Any = base(value)
        known, held = subclasses.inside(self.recorder, value, origin), dict(vars(value))
        if not isinstance(known, Born) or known is origin or set(known.parts) != set(held):
            raise Unsupported(f"a {type(value).__name__} whose parts are not known")
        inside = Born("dict", known.parts)
        parts = [self._once(items, lambda: self._born(items, origin)),
                 self._once(held, lambda: self._born(held, inside))]  # fmt: skip
        return ("made", subclasses.like, [("constant", type(value)), *parts])

    def _error(self, value: BaseException, origin: Born) -> tuple[Any, ...]:
        """An exception: its class, arguments, attributes, and those that it came from."""
        if type(origin.parts) is dict:
            args = [self.plan(*pair) for pair in zip(value.args, origin.parts["args"], strict=True)]
            inside = [(k, self.plan(v, origin.parts.get(k))) for k, v in vars(value).items()]
        else:
            held = vars(value) | ({"name": value.name} if isinstance(value, NameError) else {})
            args = [("constant", part) for part in value.args]
            inside = [(key, ("constant", part)) for key, part in held.items()]
        before = [
            ("constant", None) if part is None else self.plan(part, self.recorder.known(part))
            for part in (value.__cause__, value.__context__)
        ]
        hides, lines = value.__suppress_context__, leaving.stubs(value)
        return ("error", type(value), args, inside, before, hides, lines)

    def _function(self, value: Any, origin: Born) -> tuple[Any, ...]:
        """A function made in the call: its code, over cells of its own."""
        stored = self.recorder.stored
        inside = {key: stored.get((id(value), key)) for key in vars(value)}
        if None in inside.values() or inside_package(value.__code__.co_filename):
            raise Unsupported("a function made in the call")
        plain, named = origin.parts
        defaults = [self.plan(x, part) for x, part in
                    zip(value.__defaults__ or (), plain, strict=True)]  # fmt: skip
        only = value.__kwdefaults__ or {}
        keywords = [(key, self.plan(only[key], named[key])) for key in only]
        cells = [self._cell(cell) for cell in value.__closure__ or ()]
        more = [(key, self.plan(vars(value)[key], part)) for key, part in inside.items()]
        return ("function", form_of(value), defaults, keywords, cells, more)

    def _cell(self, cell: Any) -> tuple[Any, ...]:
        """A variable of functions made in the call, which may hold them."""
        known = self.recorder.known(cell)
        if isinstance(known, Node):
            self.nodes[known] = None
            return ("node", known)
        if id(cell) not in self.plans:
            held: list[Any] = []
            self.plans[id(cell)] = ("cell", held)
            self.keep.append(cell)
            origin = self.recorder.stored.get((id(cell), "cell"))
            with suppress(ValueError):  # it is empty
                held.append(self.plan(cell.cell_contents, origin))
        return ("object", id(cell))

    def _tensor(self, tensor: Tensor) -> tuple[Any, ...]:
        recorder = self.recorder
        moving.pin(tensor)
        known = recorder.known(tensor)
        if isinstance(known, Node):
            self.nodes[known] = None
            return ("node", known)
        if tensor._hooks:
            raise Unsupported("a tensor with a hook for its gradients")
        noted = tensor.requires_grad and tensor._tape is not None
        leaf = tensor.requires_grad and not noted
        grad = None
        if tensor.grad is not None:
            held = recorder.stored.get((id(tensor), "grad"))
            grad = self.plan(tensor.grad, held or recorder.origin(None, tensor.grad))
        root = tensor._root
        outside, start = self._shown(tensor) if tensor._view else (None, 0)
        if outside is not None and len(tensor._view) > start:
            self.nodes[outside] = None
            return ("outside view", outside, tensor._view[start:], noted, leaf, grad)
        if root is not None:
            chain = tensor._view[len(root._view) :]
            return ("view", self.plan(root, None), chain, noted, leaf, grad)
        outside = recorder.outside.alias_of(tensor)
        if outside is not None:
            if noted:
                raise Unsupported("another handle of a tensor, with a history of its own")
            self.nodes[outside] = None
            return ("alias", outside, leaf, grad)
        if not recorder.notes.knows(tensor):
            raise Unsupported("a tensor of unknown origin")
        if tensor._view:
            raise Unsupported("another handle of a view")
        if tensor._storage is not None and tensor._storage.exposed:
            raise Unsupported("a tensor whose memory was given away")
        value = recorder.notes.value_of(tensor)
        self.outputs[value] = None
        past = self._history(edge_of(tensor)) if noted else None
        array = tensor.array
        strides = None if array.flags.c_contiguous else array.strides
        return ("tensor", value, id(tensor._memory()), tensor.requires_grad, past, strides, grad)

    def _history(self, tape: Any) -> Any:
        """The plan of a history, and of what it keeps."""
        recorder = self.recorder
        if recorder.backwards and any(
            t._tape is not None for t, _ in recorder.outside.tensors.values()
        ):
            raise Unsupported("a gradient taken through a history from before the call")
        try:
            found = history.plan(recorder, tape)
        except history.Unknown as why:
            raise Unsupported(f"a tensor with {why}") from None
        for node in (*found.outside, *found.numbers):
            self.nodes[node] = None
        saved = [self._saved(tensor) for tensor in found.saved]
        self.keep += found.saved
        found.saved.clear()  # the plan outlives the recording
        return found, saved

    def _shown(self, tensor: Tensor) -> tuple[Node | None, int]:
        """The tensor from outside of which this one is a view, and how long that one's chain is."""
        storage = tensor._memory()
        best: tuple[Node | None, int] = (None, -1)
        for other, node in self.recorder.outside.tensors.values():
            count = len(other._view)
            shows = other._storage is storage and tensor._view[:count] == other._view
            if shows and count > best[1]:
                best = (node, count)
        return best

    def _saved(self, tensor: Tensor) -> tuple[Any, ...]:
        """How a replay gets a tensor that a history keeps."""
        recorder = self.recorder
        moving.pin(tensor)
        known = recorder.known(tensor)
        if isinstance(known, Node):
            self.nodes[known] = None
            return ("outside", known, ())
        storage = tensor._memory()
        outside, start = self._shown(tensor)
        if outside is not None:
            self.nodes[outside] = None
            return ("outside", outside, tensor._view[start:])
        if not recorder.notes.knows(tensor):
            raise Unsupported("a tensor in a history, of unknown origin")
        value = recorder.notes.value_of(tensor)
        self.outputs[value] = None
        return ("born", value, id(storage), tensor._view)
