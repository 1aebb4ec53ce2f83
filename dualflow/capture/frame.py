"""The hooks of one running call: what an instrumented copy calls, and what each notes.

Comes in: values, and the numbers of the slots that know their origins. Goes out: the same values.
Every hook first does what Python would do; if the recorder is dead it does nothing else.
"""

from __future__ import annotations

import enum
import operator
import sys
import types
from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice
from typing import Any, final

import numpy as np

from dualflow.array.tensor import Tensor

from . import attributes, calls, containers, managers, numpy_calls
from .construct import plain_text, text_of
from .numpy_arrays import SCALAR_TYPES, TYPES
from .provenance import CONSTANT, NUMBERS, SCALARS, Born, Node, Origin
from .recorder import FIXED, Recorder

o = operator
BINARY: dict[str, tuple[Any, Any, str]] = {
    "Add": (o.add, o.iadd, "+"), "Sub": (o.sub, o.isub, "-"), "Mult": (o.mul, o.imul, "*"),
    "Div": (o.truediv, o.itruediv, "/"), "FloorDiv": (o.floordiv, o.ifloordiv, "//"),
    "Mod": (o.mod, o.imod, "%"), "Pow": (o.pow, o.ipow, "**"),
    "MatMult": (o.matmul, o.imatmul, "@"), "BitAnd": (o.and_, o.iand, "&"),
    "BitOr": (o.or_, o.ior, "|"), "BitXor": (o.xor, o.ixor, "^"),
    "LShift": (o.lshift, o.ilshift, "<<"), "RShift": (o.rshift, o.irshift, ">>"),
}  # fmt: skip
COMPARE: dict[str, tuple[Any, str]] = {
    "Lt": (o.lt, "<"), "LtE": (o.le, "<="), "Gt": (o.gt, ">"), "GtE": (o.ge, ">="),
    "Eq": (o.eq, "=="), "NotEq": (o.ne, "!="), "Is": (o.is_, "is"), "IsNot": (o.is_not, "is not"),
    "In": (lambda a, b: a in b, "in"), "NotIn": (lambda a, b: a not in b, "not in"),
}  # fmt: skip
UNARY: dict[str, tuple[Any, str]] = {
    "USub": (o.neg, "-"), "UAdd": (o.pos, "+"), "Invert": (o.invert, "~"), "Not": (o.not_, "not "),
}  # fmt: skip


def contents(cell: types.CellType) -> Any:
    """What a cell holds; None if nothing."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


@cache
def _method_name(f: Any, reflected: bool) -> str:
    """The method of tensors that an operator asks."""
    return f"__{'r' if reflected else ''}{f.__name__.strip('_')}__"


@final
class Frame:
    """One running call of an instrumented copy.

    Attributes:
        recorder: of the whole recording.
        function: the function as the user wrote it.
        slots: the origin of each expression's and variable's value.
        cells: captured variables, by name: the cell, and the origin of the cell itself.
        open: calls under way, by slot; values parked.
        entering: whether the call under way makes what `with` enters.
        result: the origin of what the call returned.
    """

    __slots__ = (
        "cells", "entering", "function", "generators", "names", "open", "recorder", "result",
        "slots", "stars",
    )  # fmt: skip

    def __init__(
        self, recorder: Recorder, function: types.FunctionType, count: int, names: dict[str, int]
    ) -> None:
        self.recorder, self.function, self.names = recorder, function, names
        self.slots: list[Origin] = [None] * count
        self.slots[0] = CONSTANT
        self.cells: dict[str, tuple[Any, Origin]] = {}
        self.open: dict[Any, Any] = {}
        self.entering = False
        self.result: Origin = CONSTANT
        self.generators: dict[int, Any] = {}

    def origin(self, slot: int, value: Any) -> Origin:
        found = self.slots[slot]
        if found is not None and type(value) is not Tensor:
            return found
        return self.known(found, value)

    def known(self, origin: Origin, value: Any) -> Origin:
        """The origin of a value that a slot or container knows as `origin`; unknown: refused."""
        found = self.recorder.origin(origin, value)
        if found is None and not self.recorder.dead:
            self.recorder.refuse(f"a {type(value).__name__} of unknown origin")
        return found

    def below(self, function: types.FunctionType, count: int, names: dict[str, int]) -> Frame:
        """The frame of a call that is made here."""
        return Frame(self.recorder, function, count, names)

    def invoke(
        self, f: Any, origin: Origin, args: tuple[Any, ...], origins: tuple[Origin, ...]
    ) -> tuple[Any, Origin]:
        """Make a call in the place of C code that would make it; see `calls.invoke`."""
        return calls.invoke(self, f, origin, args, origins)

    # Variables ------------------------------------------------------------------------------

    def glob(self, slot: int, name: str, value: Any) -> Any:
        if not self.recorder.dead:
            self.slots[slot] = attributes.read_global(self.recorder, self.function, name, value)
        return value

    def store_glob(self, slot: int, name: str, value: Any) -> Any:
        recorder = self.recorder
        if recorder.dead:
            return value
        namespace = self.function.__globals__
        origin = self.origin(slot, value)
        recorder.drops(namespace.get(name))
        recorder.stored["global", id(namespace), name] = origin
        node = recorder.constant(namespace)
        recorder.effects.append(
            ("item", node, name, CONSTANT, value, origin, recorder.effect_line())
        )
        return value

    def own(self, closure: Callable[[], Any]) -> None:
        """The cells of the function's own variables; those of parameters have their values."""
        names = closure.__code__.co_freevars
        for name, cell in zip(names, closure.__closure__ or (), strict=True):
            if name == "_df_" or name in self.cells:
                continue
            self.recorder.born(cell, "cell")
            self.cells[name] = (cell, Born("cell"))
            if name in self.names:
                self.recorder.stored[id(cell), "cell"] = self.slots[self.names[name]]

    def cell(self, slot: int, name: str, value: Any) -> Any:
        recorder = self.recorder
        if recorder.dead:
            return value
        if name == "__class__":
            self.slots[slot] = CONSTANT
            return value
        cell, origin = self.cells.get(name, (None, None))
        stored = recorder.stored.get((id(cell), "cell"))
        if stored is not None:
            self.slots[slot] = stored
        elif isinstance(origin, Node):
            node = recorder.nodes("{0}.cell_contents", (origin,))
            self.slots[slot] = recorder.read(node, value)
        else:
            self.slots[slot] = recorder.known(value)
        return value

    def store_cell(self, slot: int, name: str, value: Any) -> Any:
        recorder = self.recorder
        if recorder.dead:
            return value
        cell, cell_origin = self.cells.get(name, (None, None))
        origin = self.origin(slot, value)
        if cell is None:
            recorder.refuse(f"the captured variable {name} is not known")
            return value
        recorder.stored[id(cell), "cell"] = origin
        if isinstance(cell_origin, Node):
            recorder.drops(contents(cell))
            recorder.writes(cell_origin, cell)
            recorder.effects.append(
                ("attr", cell_origin, "cell_contents", value, origin, recorder.effect_line())
            )
        return value

    def imported(self, slot: int, module: str, name: str, value: Any) -> None:
        recorder = self.recorder
        if recorder.dead:
            return
        node = recorder.nodes("{k0}[{k1}]", (), (sys.modules, module))
        found = sys.modules[module]
        recorder.guard("{0} is {k0}", node, constants=(found,))
        self.slots[slot] = CONSTANT
        if name:
            self.slots[slot] = attributes.of_module(recorder, found, name, value)

    # Moving values --------------------------------------------------------------------------

    def move(self, to: int, slot: int, value: Any) -> Any:
        self.slots[to] = self.slots[slot]
        return value

    def park(self, to: int, slot: int, value: Any) -> Any:
        self.slots[to] = self.slots[slot]
        self.open[to] = value
        return value

    def parked(self, slot: int) -> Any:
        return self.open[slot]

    def star(self, slot: int, source: int, value: Any) -> Any:
        """`*value` in a display or call: its items are taken one by one."""
        recorder = self.recorder
        if recorder.dead:
            return value
        plain = type(value) in (list, tuple)
        origin = recorder.origin(self.slots[source], value)
        pairs = list(
            recorder.items(value, origin) if plain else containers.elements(self, value, origin)
        )
        self.slots[slot] = Born("list", [part for _, part in pairs])
        return value if plain else [item for item, _ in pairs]

    # Operators ------------------------------------------------------------------------------

    def binop(self, slot: int, name: str, sa: int, sb: int, a: Any, b: Any) -> Any:
        function, _, symbol = BINARY[name]
        if self.recorder.dead:
            return function(a, b)
        return self._binary(slot, function, symbol, sa, sb, a, b)

    def iop(self, slot: int, name: str, sa: int, sb: int, a: Any, b: Any) -> Any:
        _, function, symbol = BINARY[name]
        if self.recorder.dead:
            return function(a, b)
        if type(a) in SCALAR_TYPES or (type(a) in SCALARS and type(b) in TYPES):
            return self._binary(slot, BINARY[name][0], symbol, sa, sb, a, b)
        if type(a) is Tensor or type(a) in SCALARS or type(a) is tuple:
            return self._binary(slot, function, symbol, sa, sb, a, b)
        if type(a) is np.ndarray and numpy_calls.concerned(a, b):
            origins = self.origin(sa, a), self.origin(sb, b)
            out, self.slots[slot] = numpy_calls.in_place(self.recorder, function, (a, b), origins)
            return out
        if type(a) is list and name == "Add":
            method = Born("method", (None, self.origin(sa, a)))
            self.invoke(a.extend, method, (b,), (self.origin(sb, b),))
            self.slots[slot] = self.slots[sa]
            return a
        self.recorder.refuse(f"in-place {symbol} of a {type(a).__name__}")
        return function(a, b)

    def _binary(self, slot: int, f: Any, symbol: str, sa: int, sb: int, a: Any, b: Any) -> Any:
        recorder = self.recorder
        pa, pb = self.origin(sa, a), self.origin(sb, b)
        if recorder.dead:
            return f(a, b)
        if type(a) is Tensor or type(b) is Tensor:
            out = self._tensor_op(f, symbol, (a, b), (pa, pb))
            self.slots[slot] = recorder.origin(None, out)
            return out
        if type(a) in SCALARS and type(b) in SCALARS:
            out = recorder.guarded(f, a, b)
            self.slots[slot] = self.expression(f"({{0}} {symbol} {{1}})", (a, b), (pa, pb))
            return out
        if numpy_calls.concerned(a, b):
            out, self.slots[slot] = numpy_calls.operator(recorder, f, (a, b), (pa, pb))
            return out
        made = containers.arithmetic(self, f, symbol, a, b, pa, pb)
        if made is not None:
            out, self.slots[slot] = made
            return out
        methods = calls.operator_methods(f, a, b)
        if methods:
            recorder.guard_special(pa, a, calls.METHODS[f.__name__])  # or that there is none
        for name, left, method in methods:
            asked, other = ((a, pa), (b, pb)) if left else ((b, pb), (a, pa))
            recorder.guard_special(asked[1], asked[0], name)
            recorder.typed(other[1], other[0])  # it decides which operand is asked first
            recorder.guard_order(type(other[0]))
            args, origins = zip(asked, other, strict=True)
            out, origin = self.invoke(method, CONSTANT, args, origins)
            if out is not NotImplemented:
                self.slots[slot] = origin
                return out
            if isinstance(origin, Node):
                recorder.guard("{0} is {k0}", origin, constants=(NotImplemented,))
        recorder.refuse(f"{type(a).__name__} {symbol} {type(b).__name__}")
        return f(a, b)

    def _own_operator(self, f: Any, reflected: bool) -> None:
        """Guard that an operator of tensors is dualflow's own."""
        name = _method_name(f, reflected)
        method = attributes.tensor_method(self.recorder, name)
        if method is not None and not calls.trusted(method):
            self.recorder.refuse(f"the method {name} of tensors, which was replaced")

    def _tensor_op(self, f: Any, symbol: str, values: tuple, origins: tuple) -> Any:
        """An operator on tensors and numbers."""
        recorder = self.recorder
        self._own_operator(f, type(values[0]) is not Tensor)
        scalars = []
        tensor = values[0] if type(values[0]) is Tensor else values[1]
        operands = list(values)
        for i, (value, origin) in enumerate(zip(values, origins, strict=True)):
            if type(value) is Tensor or origin is CONSTANT:
                continue
            fits = symbol not in ("**", "<<", ">>", "@") and type(value) in NUMBERS
            if fits and isinstance(origin, Node) and self._hide(origin, value, tensor):
                if tensor.requires_grad:
                    operands[i] = recorder.on_tape(origin, value)
                else:
                    scalars.append((value, origin))
            else:
                recorder.pin(origin, value)
        if not scalars:
            return recorder.guarded(f, *operands)
        with recorder.with_scalars(scalars):
            return recorder.guarded(f, *operands)

    def _hide(self, node: Node, value: Any, tensor: Tensor) -> bool:
        """Whether a number may be an input beside `tensor`; guards that it stays such a number."""
        recorder = self.recorder
        recorder.typed(node, value)
        if type(value) is not int:
            return True
        low, high = calls.int_range(tensor.dtype)
        if not low <= value <= high:
            return False
        if not node.late:
            recorder.guard("{k0} <= {0} <= {k1}", node, constants=(low, high))
            return True
        return tensor.dtype.kind == "f" or tensor.dtype.itemsize == 8

    def expression(self, template: str, values: tuple, origins: tuple) -> Origin:
        """The origin of Python arithmetic on scalars."""
        recorder = self.recorder
        if all(origin is CONSTANT for origin in origins):
            return CONSTANT
        parents = []
        for value, origin in zip(values, origins, strict=True):
            recorder.typed(origin, value)
            node = recorder.as_node(origin, value)
            if node is None:
                recorder.refuse(f"a {type(value).__name__} of unknown origin")
                return None
            parents.append(node)
        return recorder.nodes(template, tuple(parents))

    def unop(self, slot: int, name: str, sa: int, a: Any) -> Any:
        function, symbol = UNARY[name]
        recorder = self.recorder
        if recorder.dead:
            return function(a)
        if name == "Not":
            value = self.truth(sa, a)
            self.slots[slot] = CONSTANT
            return not value
        pa = self.origin(sa, a)
        if type(a) is Tensor:
            self._own_operator(function, False)
            out = recorder.guarded(function, a)
            self.slots[slot] = recorder.origin(None, out)
        elif type(a) in NUMBERS:
            out = function(a)
            self.slots[slot] = self.expression(f"({symbol}{{0}})", (a,), (pa,))
        elif type(a) in TYPES:
            out, self.slots[slot] = numpy_calls.operator(recorder, function, (a,), (pa,))
        elif type(a) is complex:
            recorder.pin(pa, a)
            out, self.slots[slot] = recorder.guarded(function, a), CONSTANT
        else:
            recorder.refuse(f"{symbol} of a {type(a).__name__}")
            out = function(a)
        return out

    def compare(self, slot: int, name: str, sa: int, sb: int, a: Any, b: Any) -> Any:
        function, symbol = COMPARE[name]
        recorder = self.recorder
        if recorder.dead:
            return function(a, b)
        pa, pb = self.origin(sa, a), self.origin(sb, b)
        if recorder.dead:
            return function(a, b)
        if name in ("Is", "IsNot"):
            self.slots[slot] = self._identity(a, b, pa, pb)
            return function(a, b)
        if name in ("In", "NotIn"):
            out, self.slots[slot] = containers.contains(self, a, b, pa, pb)
            return out if name == "In" else not out
        if type(a) is Tensor or type(b) is Tensor:
            if name in ("Eq", "NotEq") and (a is None or b is None):
                recorder.refuse("a tensor compared with None")
            out = self._tensor_op(function, symbol, (a, b), (pa, pb))
            self.slots[slot] = recorder.origin(CONSTANT, out)
            return out
        if numpy_calls.concerned(a, b):
            out, self.slots[slot] = numpy_calls.operator(recorder, function, (a, b), (pa, pb))
            return out
        if type(a) in SCALARS and type(b) in SCALARS:
            out = recorder.guarded(function, a, b)
            self.slots[slot] = self.expression(f"({{0}} {symbol} {{1}})", (a, b), (pa, pb))
            return out
        plain = (*SCALARS, list, tuple)
        if (type(a) in plain and type(b) in plain) or self._fixed(function, a, b):
            recorder.pin(pa, a)
            recorder.pin(pb, b)
            out = recorder.guarded(function, a, b)
            self.slots[slot] = CONSTANT if type(out) is bool else None
            return out
        recorder.refuse(f"{type(a).__name__} {symbol} {type(b).__name__}")
        return function(a, b)

    def _fixed(self, f: Any, a: Any, b: Any) -> bool:
        """Whether `f` compares constants by no code of a program; guarded."""
        if not all(type(x) in SCALARS or isinstance(x, FIXED) for x in (a, b)):
            return False
        reflected = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}.get(f.__name__, "eq")
        names = (f"__{f.__name__}__", f"__{reflected}__")
        return all(attributes.built_in(self.recorder, x, *names) for x in (a, b))

    def _identity(self, a: Any, b: Any, pa: Origin, pb: Origin) -> Origin:
        recorder = self.recorder
        for x, px, y, py in ((a, pa, b, pb), (b, pb, a, pa)):
            if type(x) in (type(None), bool, type(...)) and px is CONSTANT:
                if isinstance(py, Node) and py.late:
                    recorder.pin(py, y)
                elif isinstance(py, Node):
                    text = "{0} is {k0}" if y is x else "{0} is not {k0}"
                    recorder.guard(text, py, constants=(x,))
                return CONSTANT
        numbers = (int, float, complex, str, bytes, *SCALAR_TYPES)
        if type(a) in numbers or type(b) in numbers:
            recorder.refuse("`is` of numbers or text")
            return None
        if isinstance(pa, Born) != isinstance(pb, Born) or isinstance(pa, Born):
            return CONSTANT
        if pa is CONSTANT and pb is CONSTANT:
            return CONSTANT
        na, nb = recorder.as_node(pa, a), recorder.as_node(pb, b)
        recorder.guard("{0} is {1}" if a is b else "{0} is not {1}", na, nb)  # type: ignore[arg-type]
        return CONSTANT

    # Truth ----------------------------------------------------------------------------------

    def truth(self, slot: int, value: Any) -> Any:
        """`if value`: what Python decides; always a bool."""
        if self.recorder.dead:
            return bool(value)
        return self._truth(self.origin(slot, value), value)

    def truth_keep(self, slot: int, value: Any, stops: bool) -> Any:
        """A part of `and`, `or`, which is also the result if it decides."""
        if not self.recorder.dead:
            origin = self.origin(slot, value)
            if type(value) is Tensor:
                self._truth(origin, value)
                self.recorder.allow_once(value)
            else:
                self._truth(origin, value)
        return value

    def _truth(self, origin: Origin, value: Any) -> bool:
        recorder = self.recorder
        kind = type(value)
        if kind is Tensor:
            out, node = recorder.value_of(value, bool)
            if node is not None:
                recorder.check(node, out)
            return out
        if kind in TYPES:
            return numpy_calls.truth(recorder, value, origin)
        if isinstance(value, enum.Enum):
            recorder.pin(origin, value)
            if attributes.built_in(recorder, value, "__bool__", "__len__"):
                return bool(value)
        elif origin is CONSTANT or recorder.dead:
            return bool(value)
        if kind in SCALARS:
            out = bool(value)
            assert isinstance(origin, Node)
            if origin.late:
                recorder.check(recorder.nodes("bool({0})", (origin,)), out)
            else:
                recorder.typed(origin, value)
                recorder.guard("{0}" if out else "not {0}", origin)
            return out
        if kind in (list, tuple, dict, set):
            size, found = containers.length(self, value, origin)
            if isinstance(found, Node):
                recorder.guard("{0}" if size else "not {0}", found)
            return bool(size)
        names = ("__bool__", "__len__")
        if not any(attributes.lookup(kind, name)[0] for name in names):
            recorder.typed(origin, value)
            for name in names:
                attributes.guard_class(recorder, kind, name)
            return True
        method = attributes.special(kind, "__bool__")
        if method is not None:
            recorder.guard_special(origin, value, "__bool__")
            out, made = self.invoke(method, CONSTANT, (value,), (origin,))
            recorder.pin(made, out)
            if type(out) is bool:
                return out
        elif not attributes.lookup(kind, "__bool__")[0] and attributes.special(kind, "__len__"):
            recorder.guard_special(origin, value, "__bool__")
            size, made = containers.length(self, value, origin)
            recorder.pin(made, size)
            if type(size) is int and size >= 0:
                return bool(size)
        recorder.refuse(f"the truth of a {kind.__name__}")
        return bool(value)

    # Parts of objects -----------------------------------------------------------------------

    def attr(self, slot: int, so: int, owner: Any, name: str) -> Any:
        if self.recorder.dead:
            return getattr(owner, name)
        origin = self.origin(so, owner)
        if self.recorder.dead:
            return getattr(owner, name)
        value, self.slots[slot] = attributes.read(self, owner, origin, name)
        return value

    def set_attr(self, so: int, slot: int, value: Any, owner: Any, name: str) -> None:
        if not self.recorder.dead:
            origin, part = self.origin(so, owner), self.origin(slot, value)
            if attributes.set_by_property(self, owner, origin, name, value, part):
                return
            attributes.store(self, owner, origin, name, value, part)
        self.recorder.watching(setattr, owner, name, value)

    def item(self, slot: int, so: int, sk: int, owner: Any, key: Any) -> Any:
        if self.recorder.dead:
            return owner[key]
        po, pk = self.origin(so, owner), self.origin(sk, key)
        if self.recorder.dead:
            return owner[key]
        value, self.slots[slot] = containers.item(self, owner, key, po, pk)
        return value

    def set_item(self, so: int, sk: int, slot: int, value: Any, owner: Any, key: Any) -> None:
        if self.recorder.dead:
            owner[key] = value
            return
        origins = self.origin(so, owner), self.origin(sk, key), self.origin(slot, value)
        containers.set_item(self, owner, key, value, *origins)

    def slice(self, slot: int, slots: tuple[int, ...], *parts: Any) -> slice:
        value = slice(*parts)
        if not self.recorder.dead:
            origins = [self.origin(s, part) for s, part in zip(slots, parts, strict=True)]
            constant = all(origin is CONSTANT for origin in origins)
            self.slots[slot] = CONSTANT if constant else self.recorder.born(value, "slice", origins)
        return value

    # Displays, text -------------------------------------------------------------------------

    def build(self, slot: int, slots: tuple[Any, ...], value: Any) -> Any:
        """A display; of `*xs` among its parts, ("*", slot) tells the parts."""
        if not self.recorder.dead:
            origins: list[Origin] = []
            for part in slots:
                found = self.slots[part[1] if type(part) is tuple else part]
                if type(part) is not tuple:
                    origins.append(found)
                elif isinstance(found, Born):
                    origins += found.parts
            self.slots[slot] = containers.built(self, value, origins)
        return value

    def build_dict(self, slot: int, keys: tuple, values: tuple, value: dict) -> Any:
        if not self.recorder.dead:
            self.slots[slot] = containers.built_dict(self, value, keys, values)
        return value

    def formatted(self, slot: int, sv: int, ss: int, conversion: int, value: Any, spec: str) -> str:
        convert = {-1: None, 115: str, 114: repr, 97: ascii}[conversion]
        recorder = self.recorder
        if recorder.dead:
            return format(convert(value) if convert else value, spec)
        origin = self.origin(sv, value)
        recorder.pin(self.origin(ss, spec), spec)
        if type(value) in SCALAR_TYPES:
            node = recorder.as_node(origin, value)
            inner = f"{convert.__name__}({{0}})" if convert else "{0}"
            if node is not None:
                recorder.typed(origin, value)
                self.slots[slot] = recorder.nodes(f"format({inner}, {{k0}})", (node,), (spec,))
            return format(convert(value) if convert else value, spec)
        constant = type(value) in SCALARS or isinstance(value, FIXED) or type(value) is tuple
        constant = constant and plain_text(recorder, value)
        if not constant or (type(value) is tuple and origin is not CONSTANT):
            text = None
            if convert is not None or not spec:
                text = text_of(recorder, value, origin, convert or str)
            if text is None:
                recorder.refuse(f"the text of a {type(value).__name__}")
                return format(convert(value) if convert else value, spec)
            self.slots[slot] = CONSTANT
            return format(text, spec)
        text = format(convert(value) if convert else value, spec)
        if type(value) in SCALARS:
            inner = f"{convert.__name__}({{0}})" if convert else "{0}"
            node = origin
            if isinstance(origin, Node):
                recorder.typed(origin, value)
                node = recorder.nodes(f"format({inner}, {{k0}})", (origin,), (spec,))
            self.slots[slot] = node
        else:
            recorder.pin(origin, value)
            self.slots[slot] = CONSTANT
        return text

    def joined(self, slot: int, slots: tuple[int, ...], *parts: str) -> str:
        text = "".join(parts)
        if not self.recorder.dead:
            origins = tuple(self.slots[s] for s in slots)
            template = "''.join((" + "".join(f"{{{i}}}, " for i in range(len(parts))) + "))"
            self.slots[slot] = self.expression(template, parts, origins) if parts else CONSTANT
        return text

    # Functions, calls -----------------------------------------------------------------------

    def func(self, slot: int, slots: tuple[Any, Any], function: Any) -> Any:
        if not self.recorder.dead:
            plain = tuple(self.slots[s] for s in slots[0])
            named = {name: self.slots[s] for name, s in slots[1]}
            self.slots[slot] = self.recorder.born(function, "function", (plain, named))
        return function

    def pre(self, slot: int, sf: int, slots: tuple, f: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.open[slot] = (args, kwargs, None)
        recorder = self.recorder
        if recorder.alarm.on:  # of a call that raised
            recorder.alarm.close()
        if recorder.dead:
            return f
        plan = calls.prepare(self, sf, slots, f, args, kwargs)
        if plan is None:
            return f
        self.open[slot] = (plan.args, plan.kwargs, plan)
        if plan.watched:
            recorder.alarm.open()
        return plan.function

    def pre_with(self, slot: int, *rest: Any, **kwargs: Any) -> Any:
        """A call whose result `with` enters at once, and so leaves."""
        self.entering = True
        try:
            return self.pre(slot, *rest, **kwargs)
        finally:
            self.entering = False

    def arguments(self, slot: int) -> Any:
        return self.open[slot][0]

    def keywords(self, slot: int) -> Any:
        return self.open[slot][1]

    def post(self, slot: int, out: Any) -> Any:
        plan = self.open.pop(slot)[2]
        if self.recorder.alarm.on:
            self.recorder.alarm.close()
        if plan is not None and not self.recorder.dead:
            origin = plan.finish(out)
            if origin is None:
                origin = self.recorder.origin(None, out)
            if origin is None:
                self.recorder.refuse(f"the result of {plan.name}")
            self.slots[slot] = origin
        return out

    def ret(self, slot: int, value: Any) -> Any:
        if not self.recorder.dead:
            self.result = self.origin(slot, value)
        return value

    def yielded(self, slot: int, value: Any) -> Any:
        if not self.recorder.dead:
            self.result = self.origin(slot, value)
        return value

    def sent(self, slot: int, value: Any) -> Any:
        if not self.recorder.dead:
            if value is not None:
                self.recorder.refuse("a value sent into a generator")
            self.slots[slot] = CONSTANT
        return value

    # Iteration ------------------------------------------------------------------------------

    def iter(self, slot: int, value: Any, shape: Any) -> Iterator[Any]:
        """The items of `value`; before each, the slots of the targets know its origin."""
        for item, origin in containers.elements(self, value, self.slots[slot]):
            if not self.recorder.dead:
                self._spread(shape, item, origin)
            yield item

    def unpack(self, slot: int, shape: Any, value: Any) -> Any:
        if self.recorder.dead:
            return value
        origin = self.recorder.origin(self.slots[slot], value)
        if type(value) not in (list, tuple):
            found: Any = containers.elements(self, value, origin)
            if not any(type(part) is tuple and part[:1] == ("*",) for part in shape):
                found = islice(found, len(shape) + 1)  # as many as Python asks for
            pairs = list(found)
            value, origin = [item for item, _ in pairs], Born("list", [part for _, part in pairs])
        self._spread(shape, value, origin)
        return value

    def _spread(self, shape: Any, value: Any, origin: Origin) -> None:
        if type(shape) is int:
            if shape >= 0:
                self.slots[shape] = origin
            return
        recorder = self.recorder
        found = recorder.origin(origin, value)
        if type(value) is Tensor:
            recorder.refuse("a tensor unpacked by a target")
            return
        if not isinstance(value, (list, tuple)):
            recorder.refuse(f"a {type(value).__name__} unpacked")
            return
        parts = list(recorder.items(value, found))
        starred = [i for i, part in enumerate(shape) if type(part) is tuple and part[:1] == ("*",)]
        if starred:
            i = starred[0]
            after = len(shape) - i - 1
            if len(parts) < len(shape) - 1:
                return
            end = len(parts) - after
            self._rest(shape[i][1], parts[i:end])
            flat = [*zip(shape[:i], parts[:i], strict=True),
                    *zip(shape[i + 1 :], parts[end:], strict=True)]  # fmt: skip
        elif len(parts) != len(shape):
            return
        else:
            flat = list(zip(shape, parts, strict=True))
        for part, (item, item_origin) in flat:
            self._spread(part, item, item_origin)

    def _rest(self, slot: int, parts: list[tuple[Any, Origin]]) -> None:
        """`*rest` becomes a list that Python makes after this hook: known by its slot alone."""
        self.slots[slot] = Born("list", [origin for _, origin in parts])

    def begin(self, slot: int) -> None:
        self.open["kept", slot] = []

    def keep(self, slot: int, sv: int, value: Any) -> Any:
        if not self.recorder.dead:
            self.slots[slot] = self.origin(sv, value)
            self.open["kept", slot].append(self.slots[slot])
        return value

    def keep_key(self, slot: int, sk: int, key: Any) -> Any:
        if not self.recorder.dead:
            self.recorder.pin(self.origin(sk, key), key)
            self.open.setdefault(("keys", slot), []).append(key)
        return key

    def comprehended(self, slot: int, kind: str, value: Any) -> Any:
        recorder = self.recorder
        if recorder.dead:
            return value
        kept = self.open.get(("kept", slot), [])
        if kind == "ListComp":
            self.slots[slot] = recorder.born(value, "list", list(kept))
        elif kind == "DictComp":
            keys = self.open.pop(("keys", slot), [])
            self.slots[slot] = recorder.born(value, "dict", dict(zip(keys, kept, strict=True)))
        elif kind == "GeneratorExp":
            running = self.generators.get(slot)
            if running is not None and running.gi_frame is not None:
                recorder.refuse("a generator expression used twice at once")
            self.generators[slot] = value

            def follow() -> Iterator[tuple[Any, Origin]]:
                for item in value:
                    yield item, recorder.origin(self.slots[slot], item)

            self.slots[slot] = recorder.born(value, "iterator", follow)
        else:
            if any(origin is not CONSTANT for origin in kept):
                recorder.refuse("a set of values that are no constants")
            self.slots[slot] = recorder.born(value, "set")
        return value

    # Other ----------------------------------------------------------------------------------

    def handles(self, slot: int, value: Any) -> Any:
        """What a handler handles: the class, or classes, that an exception is compared with."""
        recorder = self.recorder
        if not recorder.dead:
            recorder.pin(self.origin(slot, value), value)
            recorder.guard_order(sys.exc_info()[0] or object)
        return value

    def caught(self, slot: int) -> None:
        """An exception was caught: it was raised by what guards make certain, or all is lost."""
        recorder = self.recorder
        recorder.alarm.close()
        if recorder.dead:
            return
        origin = self.understood(sys.exc_info()[1])
        if slot >= 0:
            self.slots[slot] = origin

    def understood(self, error: Any) -> Origin:
        """The origin of an exception that was raised in the call."""
        recorder = self.recorder
        if isinstance(error, (NameError, ImportError)):  # raised by no hook: nothing guards it
            recorder.refuse(f"a {type(error).__name__} caught")
        if recorder.known(error) is None:
            recorder.born(error, "error")
        return recorder.known(error)

    def with_(self, slot: int, shape: Any, manager: Any) -> Any:
        recorder = self.recorder
        if recorder.dead:
            return manager
        if calls.known_manager(manager):
            if type(shape) is int and shape >= 0:
                self.slots[shape] = CONSTANT
            return manager
        origin = self.origin(slot, manager)
        if isinstance(origin, Born) and managers.driven(manager, origin):
            return managers.Driven(self, manager, origin, shape)
        if isinstance(origin, Born) and origin.kind != "instance":
            recorder.refuse(f"with {type(manager).__name__}")
        if not managers.follows(manager):
            recorder.refuse(f"with {type(manager).__name__}")
        return manager if recorder.dead else managers.Followed(self, manager, origin, shape)
