"""What a replay gives back and does to objects: descriptions -> Python text.

Comes in: a value of the recorded call with its origin. Goes out: lines that make the like of it
from nodes and outputs of the program; the same object twice is made once.
"""

from __future__ import annotations

import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from dualflow.array.tensor import Tensor
from dualflow.autograd.tape import edge_of
from dualflow.base.source import inside_package
from dualflow.ir.graph import Value
from dualflow.ops import door

from . import history, leaving, numpy_late
from .emit import Emitter
from .numpy_arrays import TYPES, WRITEABLE, Late, laid_out
from .numpy_selected import Selected
from .provenance import CONSTANT, SCALARS, Born, Node, Origin
from .recorder import FIXED, Recorder

DICTS = (dict, Counter, OrderedDict, defaultdict)


class Unsupported(Exception):  # noqa: N818 - a reason, not an error of the user
    """A value that a replay cannot make."""


class Maker:
    """Plans values first (`plan`: which outputs and late values they need), then writes them.

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
        self._made: dict[int, str] = {}
        self._roots: dict[int, str] = {}
        self._taken: set[Value] = set()
        self._within = 0  # so many objects are being written
        self._unfilled: list[Callable[[], None]] = []  # what writes contents that may be cyclic
        self.late_histories: list[tuple[str, Any]] = []

    # Planning -------------------------------------------------------------------------------

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
        if origin.kind in ("list", "tuple"):
            if kind not in (list, tuple, deque) and not hasattr(kind, "_fields"):
                raise Unsupported(f"a {kind.__name__}")
            if len(parts) != len(value):
                raise Unsupported(f"a {kind.__name__} whose parts are not known")
            items = [self.plan(x, part) for x, part in zip(value, parts, strict=True)]
            return ("deque", value.maxlen, items) if kind is deque else ("sequence", kind, items)
        if origin.kind == "dict":
            if kind not in DICTS or set(parts) != set(value):
                raise Unsupported(f"a {kind.__name__} whose parts are not known")
            pairs = [(key, self.plan(value[key], parts[key])) for key in value]
            if kind is defaultdict:
                factory = self.plan(value.default_factory, self.recorder.factories.get(id(value)))
                return ("filled", kind, [factory], pairs)
            return ("dict", pairs) if kind is dict else ("filled", kind, [], pairs)
        if origin.kind == "instance":
            inside = _attributes(value)
            if set(parts) != set(inside):
                raise Unsupported(f"an instance of {kind.__name__} whose parts are not known")
            return ("instance", kind, [(k, self.plan(inside[k], parts[k])) for k in inside])
        if origin.kind == "leaving":
            known = self.recorder.known(value.error)
            return ("leaving", self.plan(value.error, known), value.stubs)
        if origin.kind == "error" and origin.parts is not None:
            return self._error(value, origin)
        if origin.kind == "function" and kind is types.FunctionType:
            return self._function(value, origin)
        if origin.kind == "method" and kind is types.MethodType:
            function, owner = parts
            return ("made", kind, [self.plan(value.__func__, function),
                                   self.plan(value.__self__, owner)])  # fmt: skip
        if origin.kind == "partial" and type(parts) is tuple:
            inner, before, named = parts
            given = [self.plan(x, part) for x, part in zip(value.args, before, strict=True)]
            more = [(key, self.plan(value.keywords[key], named[key])) for key in value.keywords]
            return ("made", kind, [self.plan(value.func, inner), *given], more)
        if origin.kind == "set" and all(type(x) in SCALARS for x in value):
            return ("set", set(value))
        raise Unsupported(f"a {kind.__name__} made in the call")

    def _error(self, value: BaseException, origin: Born) -> tuple[Any, ...]:
        """An exception: its class, arguments, attributes, and those that it came from."""
        if type(origin.parts) is dict:
            args = [self.plan(*pair) for pair in zip(value.args, origin.parts["args"], strict=True)]
            inside = [(k, self.plan(v, origin.parts.get(k))) for k, v in vars(value).items()]
        else:
            args, inside = [("constant", part) for part in value.args], []
        before = [
            ("constant", None) if part is None else self.plan(part, self.recorder.known(part))
            for part in (value.__cause__, value.__context__)
        ]
        return ("error", type(value), args, inside, before, value.__suppress_context__)

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
        return ("function", value, defaults, keywords, cells, more)

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
        known = recorder.known(tensor)
        if isinstance(known, Node):
            self.nodes[known] = None
            return ("node", known)
        root = tensor._root
        outside, start = self._shown(tensor) if tensor._view else (None, 0)
        if outside is not None and len(tensor._view) > start:
            self.nodes[outside] = None
            return ("outside view", outside, tensor._view[start:], tensor.requires_grad)
        if root is not None:
            chain = tensor._view[len(root._view) :]
            return ("view", self.plan(root, None), chain, tensor.requires_grad)
        outside = recorder._alias_of(tensor)
        if outside is not None:
            if tensor.requires_grad:
                raise Unsupported("another handle of a tensor, with a history of its own")
            self.nodes[outside] = None
            return ("alias", outside, tensor.requires_grad)
        if not recorder.notes.knows(tensor):
            raise Unsupported("a tensor of unknown origin")
        if tensor._view:
            raise Unsupported("another handle of a view")
        if tensor._storage is not None and tensor._storage.exposed:
            raise Unsupported("a tensor whose memory was given away")
        value = recorder.notes.value_of(tensor)
        self.outputs[value] = None
        past = None
        if tensor.requires_grad and tensor._tape is not None:
            past = self._history(edge_of(tensor))
        array = tensor.array
        strides = None if array.flags.c_contiguous else array.strides
        return ("tensor", value, id(tensor._memory()), tensor.requires_grad, past, strides)

    def _history(self, tape: Any) -> Any:
        """The plan of a history, and of what it keeps."""
        recorder = self.recorder
        if recorder.backwards and any(t._tape is not None for t, _ in recorder.tensors.values()):
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
        for other, node in self.recorder.tensors.values():
            count = len(other._view)
            shows = other._storage is storage and tensor._view[:count] == other._view
            if shows and count > best[1]:
                best = (node, count)
        return best

    def _saved(self, tensor: Tensor) -> tuple[Any, ...]:
        """How a replay gets a tensor that a history keeps."""
        recorder = self.recorder
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

    # Writing --------------------------------------------------------------------------------

    def write(self, emitter: Emitter, plan: tuple[Any, ...], outputs: dict[Value, str]) -> str:
        """Lines that make what `plan` says; the text of it."""
        kind = plan[0]
        if kind == "constant":
            return emitter.constant(plan[1])
        if kind == "node":
            return emitter.node(plan[1])
        if kind == "numpy scalar":
            return f"{self.write(emitter, plan[1], outputs)}._array[()]"
        if kind == "object":
            number = plan[1]
            if number not in self._made:
                self._within += 1
                self._made[number] = self._object(emitter, self.plans[number], outputs)
                self._within -= 1
                while self._unfilled and not self._within:
                    self._unfilled.pop()()
            return self._made[number]
        raise AssertionError(kind)

    def _object(self, emitter: Emitter, plan: tuple[Any, ...], outputs: dict[Value, str]) -> str:
        kind = plan[0]
        if kind == "node":
            return emitter.node(plan[1])
        name = emitter.name()
        if kind == "numpy array":
            part = f".{plan[2]}" if plan[2] else ""
            emitter.line(f"{name} = {self.write(emitter, plan[1], outputs)}._array{part}")
            if not plan[3]:
                emitter.line(f"{name}.flags.writeable = False")
        elif kind == "tensor":
            self._write_tensor(emitter, name, plan, outputs)
            if plan[4] is not None:
                self.late_histories.append((name, plan[4]))
        elif kind == "alias":
            emitter.line(f"{name} = {emitter.node(plan[1])}._alias()")
            if plan[2]:
                emitter.line(f"{name}.requires_grad = True")
        elif kind == "outside view":
            self._write_view(emitter, name, emitter.node(plan[1]), plan[2], plan[3])
        elif kind == "view":
            root = self.write(emitter, plan[1], outputs)
            self.write_histories(emitter, outputs)
            self._write_view(emitter, name, root, plan[2], plan[3])
        elif kind == "sequence":
            items = [self.write(emitter, item, outputs) for item in plan[2]]
            if plan[1] is list:
                emitter.line(f"{name} = [{', '.join(items)}]")
            elif plan[1] is tuple:
                emitter.line(f"{name} = ({''.join(item + ', ' for item in items)})")
            else:
                make = emitter.constant(plan[1]._make)
                emitter.line(f"{name} = {make}(({''.join(item + ', ' for item in items)}))")
        elif kind == "made":
            given = [self.write(emitter, part, outputs) for part in plan[2]]
            named: Any = plan[3:] and plan[3]
            given += [f"{key}={self.write(emitter, part, outputs)}" for key, part in named]
            emitter.line(f"{name} = {emitter.constant(plan[1])}({', '.join(given)})")
        elif kind == "leaving":
            emitter.namespace["raised"] = leaving.raised
            made = self.write(emitter, plan[1], outputs)
            emitter.line(f"{name} = raised({made}, {emitter.constant(plan[2])})")
        elif kind == "error":
            emitter.namespace["error_like"] = leaving.error_like
            args = "".join(self.write(emitter, part, outputs) + ", " for part in plan[2])
            before = ", ".join(self.write(emitter, part, outputs) for part in plan[4])
            inside = self._pairs(emitter, plan[3], outputs)
            kind = emitter.constant(plan[1])
            emitter.line(f"{name} = error_like({kind}, ({args}), {inside}, {before}, {plan[5]})")
        elif kind == "cell":
            emitter.line(f"{name} = {emitter.constant(types.CellType)}()")
            self._unfilled += [self._filling(emitter, name, part, outputs) for part in plan[1]]
        elif kind == "function":
            self._write_function(emitter, name, plan, outputs)
        elif kind == "deque":
            items = [self.write(emitter, item, outputs) for item in plan[2]]
            made = emitter.constant(deque)
            emitter.line(f"{name} = {made}([{', '.join(items)}], {emitter.constant(plan[1])})")
        elif kind == "filled":
            given = "".join(self.write(emitter, part, outputs) + ", " for part in plan[2])
            pairs = self._pairs(emitter, plan[3], outputs)
            emitter.line(f"{name} = {emitter.constant(plan[1])}({given}{pairs})")
        elif kind == "dict":
            emitter.line(f"{name} = {self._pairs(emitter, plan[1], outputs)}")
        elif kind == "instance":
            make = "new" if plan[1] is not SimpleNamespace else emitter.constant(plan[1].__new__)
            emitter.line(f"{name} = {make}({emitter.constant(plan[1])})")
            slots = [(slot, item) for slot, item in plan[2] if slot in slots_of(plan[1])]
            rest = [(key, item) for key, item in plan[2] if key not in slots_of(plan[1])]
            for slot, item in slots:
                put = emitter.constant(slots_of(plan[1])[slot].__set__)
                emitter.line(f"{put}({name}, {self.write(emitter, item, outputs)})")
            if rest:
                emitter.line(f"{name}.__dict__.update({self._pairs(emitter, rest, outputs)})")
        elif kind == "set":
            emitter.line(f"{name} = {emitter.constant(plan[1])}.copy()")
        else:
            raise AssertionError(kind)
        return name

    def _filling(
        self, emitter: Emitter, name: str, part: tuple[Any, ...], outputs: dict[Value, str]
    ) -> Callable[[], None]:
        return lambda: emitter.line(f"{name}.cell_contents = {self.write(emitter, part, outputs)}")

    def _write_function(
        self, emitter: Emitter, name: str, plan: tuple[Any, ...], outputs: dict[Value, str]
    ) -> None:
        _, like, defaults, keywords, cells, inside = plan
        parts = [[self.write(emitter, part, outputs) for part in group] for group in
                 (defaults, cells)]  # fmt: skip
        texts = ["(" + "".join(part + ", " for part in group) + ")" for group in parts]
        emitter.namespace["function_like"] = function_like
        more = self._pairs(emitter, keywords, outputs) if keywords else None
        emitter.line(f"{name} = function_like({emitter.constant(form_of(like))}, {texts[0]}, "
                     f"{more}, {texts[1]})")  # fmt: skip
        if inside:
            self._unfilled.append(lambda: emitter.line(
                f"{name}.__dict__.update({self._pairs(emitter, inside, outputs)})"))  # fmt: skip

    def _pairs(self, emitter: Emitter, pairs: Any, outputs: dict[Value, str]) -> str:
        items = [f"{emitter.constant(k)}: {self.write(emitter, v, outputs)}" for k, v in pairs]
        return "{" + ", ".join(items) + "}"

    def _write_view(
        self, emitter: Emitter, name: str, root: str, chain: Any, requires: bool
    ) -> None:
        emitter.namespace["apply"], emitter.namespace["unnoted"] = door.apply, unnoted
        apply = "apply" if requires else "unnoted"
        step = root
        for op, attributes in chain:
            emitter.line(f"{name} = {apply}({emitter.constant(op)}, {step}, "
                         f"**{emitter.constant(attributes)})")  # fmt: skip
            step = name
        if not chain:
            emitter.line(f"{name} = {root}._alias()")

    def write_histories(self, emitter: Emitter, outputs: dict[Value, str]) -> None:
        """Lines that give results their histories, once all of them are made."""
        while self.late_histories:
            name, (plan, saved) = self.late_histories.pop(0)
            emitter.line(f"{name}.requires_grad = True")
            if plan.error is not None:
                emitter.namespace["Overwritten"] = history.Overwritten
                emitter.line(f"{name}._tape = Overwritten({emitter.constant(plan.error)})")
                continue
            emitter.namespace["Replayed"] = history.Replayed
            emitter.namespace["edge_of"] = edge_of
            edges = "".join(f"edge_of({emitter.node(node)}), " for node in plan.outside)
            kept = "".join(self._kept(emitter, how, outputs) + ", " for how in saved)
            plan_name = emitter.constant(plan)
            numbers = "".join(f"{emitter.node(node)}, " for node in plan.numbers)
            made = f"Replayed({plan_name}, ({edges}), ({kept}), ({numbers}))"
            emitter.line(f"{name}._tape = {made}")

    def _kept(self, emitter: Emitter, how: tuple[Any, ...], outputs: dict[Value, str]) -> str:
        name = emitter.name()
        if how[0] == "outside":
            if not how[2]:
                return emitter.node(how[1])
            self._write_view(emitter, name, emitter.node(how[1]), how[2], False)
            return name
        _, value, storage, chain = how
        root = self._roots.get(storage)
        if root is not None:  # memory of a result: writing to it later must be noticed
            self._write_view(emitter, name, f"{root}._alias()", chain, False)
        else:
            emitter.line(f"{name} = new(Tensor)")
            text = outputs[value] + ".copy()" if value in self._taken else outputs[value]
            emitter.line(f"{name}._array = {text}")
        return name

    def take(self, value: Value, outputs: dict[Value, str]) -> str:
        """An output's array, for one owner; another one gets a copy."""
        text = outputs[value] + ".copy()" if value in self._taken else outputs[value]
        self._taken.add(value)
        return text

    def _write_tensor(
        self, emitter: Emitter, name: str, plan: tuple[Any, ...], outputs: dict[Value, str]
    ) -> None:
        _, value, storage, requires, _, strides = plan
        before = self._roots.get(storage)
        if before is not None:  # another handle of memory that is made already
            emitter.line(f"{name} = {before}._alias()")
        else:
            self._roots[storage] = name
            emitter.line(f"{name} = new(Tensor)")
            text = self.take(value, outputs)
            if strides is not None:
                emitter.namespace["laid_out"] = laid_out
                text = f"laid_out({text}, {emitter.constant(strides)})"
            emitter.line(f"{name}._array = {text}")
        if requires:
            emitter.line(f"{name}.requires_grad = True")


class Form(NamedTuple):
    """What functions made by one `def` or `lambda` have in common."""

    code: types.CodeType
    namespace: dict[str, Any]
    name: str
    qualname: str
    module: Any
    doc: Any
    notes: dict[str, Any]


def form_of(function: Any) -> Form:
    return Form(function.__code__, function.__globals__, function.__name__, function.__qualname__,
                function.__module__, function.__doc__, dict(function.__annotations__))  # fmt: skip


def function_like(form: Form, defaults: tuple, keywords: dict | None, cells: tuple) -> Any:
    """A function with such defaults and cells."""
    made = types.FunctionType(form.code, form.namespace, form.name, defaults or None, cells)
    made.__kwdefaults__ = keywords
    made.__qualname__, made.__module__, made.__doc__ = form.qualname, form.module, form.doc
    if form.notes:
        made.__annotations__ = dict(form.notes)
    return made


def slots_of(kind: type) -> dict[str, Any]:
    """The slots of a class written in Python, by name."""
    found: dict[str, Any] = {}
    for cls in reversed(kind.__mro__):
        for name, member in vars(cls).items():
            if type(member) is types.MemberDescriptorType and name != "__dict__":
                found[name] = member
    return found


def _attributes(value: Any) -> dict[str, Any]:
    """The attributes of an instance, in its `__dict__` and in slots."""
    slots = {n: getattr(value, n) for n in slots_of(type(value)) if hasattr(value, n)}
    return slots | getattr(value, "__dict__", {})


def unnoted(op: Any, tensor: Tensor, **attributes: Any) -> Tensor:
    """A view of which the tape knows nothing."""
    before = door.state.grad_enabled
    door.state.grad_enabled = False
    try:
        return door.apply(op, tensor, **attributes)
    finally:
        door.state.grad_enabled = before
