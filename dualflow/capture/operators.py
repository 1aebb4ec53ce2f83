"""Hooks of operators: arithmetic, comparison, truth; and calls that operators make.

Comes in: operands with the slots of their origins. Goes out: what Python makes of them, and in a
slot its origin: an expression, or for tensors what the notes know.
"""

from __future__ import annotations

import enum
import operator
import types
from collections import deque
from functools import cache
from typing import Any

import numpy as np

from dualflow.array.tensor import Tensor

from . import (
    attributes,
    calls,
    classes,
    containers,
    membership,
    numpy_calls,
    shadows,
    special_methods,
    templates,
)
from .kinds import DICTS, FIXED, SCALAR_TYPES, TYPES
from .plans import Call, Plan
from .provenance import CONSTANT, NUMBERS, SCALARS, Born, Node, Origin
from .values import Unchanging
from .variables import Variables

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
_ORDERS = frozenset(["Lt", "LtE", "Gt", "GtE", "Eq", "NotEq"])
UNARY: dict[str, tuple[Any, str]] = {
    "USub": (o.neg, "-"), "UAdd": (o.pos, "+"), "Invert": (o.invert, "~"), "Not": (o.not_, "not "),
}  # fmt: skip


_REFLECTED = {
    "__lt__": "__gt__", "__le__": "__ge__", "__gt__": "__lt__", "__ge__": "__le__",
    "__eq__": "__eq__", "__ne__": "__ne__",
}  # fmt: skip
#: what compares itself with others of its kind alone
_COMPARED = frozenset([*SCALARS, list, tuple, dict])


def _comparable(value: Any, name: str) -> bool:
    """Whether it is known what a value makes of a comparison with one of another kind: a method
    written in Python does it, or it says that it cannot."""
    kind = type(value)
    if kind in _COMPARED:
        return True
    raw = classes.lookup(kind, name)[1]
    plain = isinstance(raw, types.FunctionType) or raw is vars(object)[name]
    return plain and bool(kind.__flags__ & (1 << 9))


@cache
def _method_name(f: Any, reflected: bool) -> str:
    """The method of tensors that an operator asks."""
    return f"__{'r' if reflected else ''}{f.__name__.strip('_')}__"


class Operators(Variables):
    """Hooks of operators."""

    __slots__ = ()

    def invoke(
        self,
        f: Any,
        origin: Origin,
        args: tuple[Any, ...],
        origins: tuple[Origin, ...],
        kwargs: dict[str, Any] | None = None,
        where: dict[str, Origin] | None = None,
    ) -> tuple[Any, Origin]:
        """Make a call in the place of code that would make it; see `calls.invoke`."""
        return calls.invoke(self, f, origin, args, origins, kwargs, where)

    def find(self, call: Call) -> Plan | None:
        """How to make a call; see `calls.find`."""
        return calls.find(call)

    # Arithmetic -----------------------------------------------------------------------------------

    def binop(self, slot: int, name: str, sa: int, sb: int, a: Any, b: Any) -> Any:
        function, _, symbol = BINARY[name]
        recorder, slots = self.recorder, self.slots
        if type(a) in SCALARS:
            known = recorder.expressions.get(_operation(symbol, slots[sa], slots[sb], a, b))
            if known is not None:  # it has succeeded with these values before
                slots[slot] = known
                return function(a, b)
        if recorder.dead:
            return function(a, b)
        return self._binary(slot, function, symbol, sa, sb, a, b)

    def iop(self, slot: int, name: str, sa: int, sb: int, a: Any, b: Any) -> Any:
        _, function, symbol = BINARY[name]
        if self.recorder.dead:
            return function(a, b)
        if type(a) in SCALAR_TYPES or (type(a) in SCALARS and type(b) in TYPES):
            return self._binary(slot, BINARY[name][0], symbol, sa, sb, a, b)
        if type(a) is Tensor or type(a) in SCALARS or isinstance(a, (tuple, Unchanging)):
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
        if type(a) is dict and type(b) is dict and name == "BitOr":
            method = Born("method", (None, self.origin(sa, a)))
            self.invoke(a.update, method, (b,), (self.origin(sb, b),))
            self.slots[slot] = self.slots[sa]
            return a
        self.recorder.refuse(f"in-place {symbol} of a {type(a).__name__}")
        return function(a, b)

    def _binary(self, slot: int, f: Any, symbol: str, sa: int, sb: int, a: Any, b: Any) -> Any:
        recorder, slots = self.recorder, self.slots
        pa, pb = slots[sa], slots[sb]
        if pa is CONSTANT is pb and type(a) in SCALARS and type(b) in SCALARS:
            slots[slot] = CONSTANT
            return recorder.certain(f, (a, b))
        pa, pb = self.origin(sa, a), self.origin(sb, b)
        if recorder.dead:
            return f(a, b)
        if symbol == "%" and templates.formats_parts(a, b):
            out, self.slots[slot] = self._formatted(a, b, pa, pb)
            return out
        if type(a) is Tensor or type(b) is Tensor:
            out = self._tensor_op(f, symbol, (a, b), (pa, pb))
            self.slots[slot] = recorder.origin(None, out)
            return out
        if type(a) in SCALARS and type(b) in SCALARS:
            return self._scalar(slot, f, symbol, a, b, pa, pb)
        if numpy_calls.concerned(a, b):
            out, self.slots[slot] = numpy_calls.operator(recorder, f, (a, b), (pa, pb))
            return out
        made = containers.arithmetic(self, f, symbol, a, b, pa, pb)
        if made is not None:
            out, self.slots[slot] = made
            return out
        methods = special_methods.operator_methods(f, a, b)
        if methods:
            name = special_methods.METHODS[f.__name__]
            recorder.classes.guard_special(pa, a, name)  # or that there is none
        for name, left, method in methods:
            asked, other = ((a, pa), (b, pb)) if left else ((b, pb), (a, pa))
            recorder.classes.guard_special(asked[1], asked[0], name)
            recorder.typed(other[1], other[0])  # it decides which operand is asked first
            recorder.classes.guard_order(type(other[0]))
            args, origins = zip(asked, other, strict=True)
            out, origin = self.invoke(method, CONSTANT, args, origins)
            if out is not NotImplemented:
                self.slots[slot] = origin
                return out
            if isinstance(origin, Node):
                recorder.guard("{0} is {k0}", origin, constants=(NotImplemented,))
        if methods:
            shown = "** or pow()" if symbol == "**" else symbol
            raise self._unfit(f"unsupported operand type(s) for {shown}: {{}} and {{}}", a, b)
        recorder.refuse(f"{type(a).__name__} {symbol} {type(b).__name__}")
        return f(a, b)

    def _scalar(
        self, slot: int, f: Any, symbol: str, a: Any, b: Any, pa: Origin, pb: Origin
    ) -> Any:
        """An operator on Python's own scalars."""
        recorder = self.recorder
        out = recorder.certain(f, (a, b), (pa, pb))
        self.slots[slot] = made = self.expression(f"({{0}} {symbol} {{1}})", (a, b), (pa, pb))
        if type(made) is Node:
            key = _operation(symbol, pa, pb, a, b)
            if CONSTANT not in key:
                recorder.expressions[key] = made
        return out

    def _formatted(self, text: str, values: Any, pa: Origin, pb: Origin) -> tuple[str, Origin]:
        """`text % values`, of which some are tensors."""
        recorder, template = self.recorder, templates.Template(self.recorder)
        if not templates.showable(recorder, values):
            recorder.refuse("% of something that is no plain value")
        out = recorder.guarded(recorder.late.unseen, operator.mod, text, values)
        parts = template.of(text, pa), template.of(values, pb)
        return out, template.text(f"({parts[0]} % {parts[1]})")

    def _own_operator(self, f: Any, reflected: bool) -> None:
        """Guard that an operator of tensors is dualflow's own."""
        name = _method_name(f, reflected)
        own = self.recorder.operators.get(name)
        if own is not None and vars(Tensor).get(name) is own:
            return
        method = attributes.tensor_method(self.recorder, name)
        if method is not None and not calls.trusted(method):
            self.recorder.refuse(f"the method {name} of tensors, which was replaced")
        self.recorder.operators[name] = method

    def _tensor_op(self, f: Any, symbol: str, values: tuple, origins: tuple) -> Any:
        """An operator on tensors and numbers."""
        recorder = self.recorder
        self._own_operator(f, type(values[0]) is not Tensor)
        for value, origin in zip(values, origins, strict=True):
            if origin is not CONSTANT and type(value) is not Tensor:
                break
        else:
            return recorder.tried(f, *values)
        scalars = []
        tensor = values[0] if type(values[0]) is Tensor else values[1]
        operands = list(values)
        for i, (value, origin) in enumerate(zip(values, origins, strict=True)):
            if type(value) is Tensor or origin is CONSTANT:
                continue
            fits = symbol not in ("**", "<<", ">>", "@") and type(value) in NUMBERS
            if fits and isinstance(origin, Node) and self._hide(origin, value, tensor):
                if tensor.requires_grad:
                    operands[i] = recorder.late.on_tape(origin, value)
                else:
                    scalars.append((value, origin))
            else:
                recorder.pin(origin, value)
        if not scalars:
            return recorder.tried(f, *operands)
        with recorder.late.with_scalars(scalars):
            return recorder.tried(f, *operands)

    def _hide(self, node: Node, value: Any, tensor: Tensor) -> bool:
        """Whether a number may be an input beside `tensor`; guards that it stays such a number."""
        recorder = self.recorder
        recorder.typed(node, value)
        if type(value) is not int:
            return True
        low, high = _same_range(tensor.dtype)
        if not low <= value <= high:
            return False
        if not node.late:
            recorder.guard("{k0} <= {0} <= {k1}", node, constants=(low, high))
            return True
        return tensor.dtype.kind == "f" or tensor.dtype.itemsize == 8

    def expression(self, template: str, values: tuple, origins: tuple) -> Origin:
        """The origin of Python arithmetic on scalars."""
        recorder = self.recorder
        for origin in origins:
            if origin is not CONSTANT:
                break
        else:
            return CONSTANT
        parents = []
        for value, origin in zip(values, origins, strict=True):
            recorder.typed(origin, value)
            node = origin if type(origin) is Node else recorder.as_node(origin, value)
            if node is None:
                recorder.refuse(f"a {type(value).__name__} of unknown origin")
                return None
            parents.append(node)
        node = recorder.nodes(template, tuple(parents))
        recorder.needs(node)
        return node

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
        elif type(a) is complex or isinstance(a, Unchanging):
            recorder.pin(pa, a)
            out, self.slots[slot] = recorder.guarded(function, a), CONSTANT
        elif classes.special(type(a), f"__{function.__name__}__") is not None:
            name = f"__{function.__name__}__"
            recorder.classes.guard_special(pa, a, name)
            method = classes.special(type(a), name)
            out, self.slots[slot] = self.invoke(method, CONSTANT, (a,), (pa,))
        else:
            recorder.refuse(f"{symbol} of a {type(a).__name__}")
            out = function(a)
        return out

    # Comparison -----------------------------------------------------------------------------------

    def compare(self, slot: int, name: str, sa: int, sb: int, a: Any, b: Any) -> Any:
        function, symbol = COMPARE[name]
        recorder, slots = self.recorder, self.slots
        pa, pb = slots[sa], slots[sb]
        if type(a) in SCALARS:
            known = recorder.expressions.get(_operation(symbol, pa, pb, a, b))
            if known is not None:
                slots[slot] = known
                return function(a, b)
        if recorder.dead:
            return function(a, b)
        if pa is CONSTANT is pb and type(a) in NUMBERS and type(b) in NUMBERS and name in _ORDERS:
            slots[slot] = CONSTANT
            return function(a, b)
        pa, pb = self.origin(sa, a), self.origin(sb, b)
        if recorder.dead:
            return function(a, b)
        if name in ("Is", "IsNot"):
            self.slots[slot] = self._identity(a, b, pa, pb)
            return function(a, b)
        if name in ("In", "NotIn"):
            out, self.slots[slot] = membership.contains(self, a, b, pa, pb)
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
            return self._scalar(slot, function, symbol, a, b, pa, pb)
        plain = (*SCALARS, list, tuple, set, frozenset)
        named = all(type(x) in plain or shadows.plain_tuple(x) for x in (a, b))
        if named or self._fixed(function, a, b):
            recorder.pin(pa, a)
            recorder.pin(pb, b)
            out = recorder.guarded(function, a, b)
            self.slots[slot] = CONSTANT if type(out) is bool else None
            return out
        if type(a) is type(b) is dict and name in ("Eq", "NotEq"):
            made = self._dicts_equal(function, a, b, pa, pb)
            if made is not None:
                self.slots[slot] = CONSTANT
                return made
        asked = self._compared(f"__{function.__name__}__", symbol, a, b, pa, pb)
        if asked is not None:
            out, self.slots[slot] = asked
            return out
        recorder.refuse(f"{type(a).__name__} {symbol} {type(b).__name__}")
        return function(a, b)

    def _dicts_equal(self, f: Any, a: Any, b: Any, pa: Origin, pb: Origin) -> bool | None:
        """Whether two dicts of plain values, which are pinned, are equal."""
        if not all(type(x) in SCALARS for part in (a, b) for x in (*part, *part.values())):
            return None
        for value, origin in ((a, pa), (b, pb)):
            for key, part in templates.parts_of_dict(self.recorder, value, origin):
                self.recorder.pin(part, value[key])
        return f(a, b)

    def _compared(self, name: str, symbol: str, a: Any, b: Any, pa: Origin, pb: Origin) -> Any:
        """What methods written in Python make of a comparison, asked as Python asks them, and its
        origin; None if others decide, and nothing was called."""
        sides = [(name, a, b, pa, pb), (_REFLECTED[name], b, a, pb, pa)]
        if not all(_comparable(x, asked) for asked, x, *_ in sides):
            return None
        if type(a) is not type(b) and type(a) in type(b).__mro__:  # not what an ABC says
            sides.reverse()
        for side in sides:
            out, origin = self._asked(*side)
            if out is not NotImplemented:
                return out, origin
            if isinstance(origin, Node):
                self.recorder.guard("{0} is {k0}", origin, constants=(NotImplemented,))
        if name in ("__eq__", "__ne__"):
            return (a is b) is (name == "__eq__"), self._identity(a, b, pa, pb)
        text = f"'{symbol}' not supported between instances of {{}} and {{}}"
        raise self._unfit(text, a, b)

    def _asked(self, name: str, a: Any, b: Any, pa: Origin, pb: Origin) -> tuple[Any, Origin]:
        """What `a.__name__(b)` gives, and its origin."""
        recorder = self.recorder
        recorder.classes.guard_special(pa, a, name)
        recorder.typed(pb, b)
        recorder.classes.guard_order(type(b))
        method = classes.special(type(a), name)
        if method is not None:
            return self.invoke(method, CONSTANT, (a, b), (pa, pb))
        if name != "__ne__" or type(a) in _COMPARED:
            return NotImplemented, CONSTANT
        out, origin = self._asked("__eq__", a, b, pa, pb)
        if out is NotImplemented:
            return out, origin
        return not (out if recorder.dead else self._truth(origin, out)), CONSTANT

    def _unfit(self, text: str, a: Any, b: Any) -> TypeError:
        """What Python raises where no method takes both operands, whose types are guarded."""
        error = TypeError(text.format(f"'{type(a).__name__}'", f"'{type(b).__name__}'"))
        self.recorder.born(error, "error", "constant")
        return error

    def _fixed(self, f: Any, a: Any, b: Any) -> bool:
        """Whether `f` compares constants by no code of a program; guarded."""
        if not all(type(x) in SCALARS or isinstance(x, FIXED) for x in (a, b)):
            return False
        reflected = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}.get(f.__name__, "eq")
        names = (f"__{f.__name__}__", f"__{reflected}__")
        return all(classes.built_in(self.recorder, x, *names) for x in (a, b))

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
        if type(a) in numbers and type(b) in numbers:
            recorder.refuse("`is` of numbers or text")
            return None
        if type(a) in numbers or type(b) in numbers:  # never the same, while it is a number
            for value, origin in ((a, pa), (b, pb)):
                recorder.typed(origin, value)
            return CONSTANT
        if isinstance(pa, Born) != isinstance(pb, Born) or isinstance(pa, Born):
            return CONSTANT
        if pa is CONSTANT and pb is CONSTANT:
            return CONSTANT
        na, nb = recorder.as_node(pa, a), recorder.as_node(pb, b)
        recorder.guard("{0} is {1}" if a is b else "{0} is not {1}", na, nb)  # type: ignore[arg-type]
        return CONSTANT

    # Truth ----------------------------------------------------------------------------------------

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
                self.recorder.late.allow_once(value)
            else:
                self._truth(origin, value)
        return value

    def _truth(self, origin: Origin, value: Any) -> bool:
        recorder = self.recorder
        kind = type(value)
        if kind is Tensor:
            out, node = recorder.late.value_of(value, bool)
            if node is not None:
                recorder.check(node, out)
            return out
        if kind in TYPES:
            return numpy_calls.truth(recorder, value, origin)
        if isinstance(value, enum.Enum):
            recorder.pin(origin, value)
            if classes.built_in(recorder, value, "__bool__", "__len__"):
                return bool(value)
        elif origin is CONSTANT or recorder.dead:
            return bool(value)
        if kind in SCALARS:
            out = bool(value)
            assert isinstance(origin, Node)
            if (origin, out, "truth") in recorder.done:
                return out
            recorder.done.add((origin, out, "truth"))
            if origin.late:
                recorder.check(recorder.nodes("bool({0})", (origin,)), out)
            else:
                recorder.typed(origin, value)
                recorder.guard("{0}" if out else "not {0}", origin)
            return out
        if kind in (list, tuple, set, deque, *DICTS):
            size, found = containers.length(self, value, origin)
            if isinstance(found, Node):
                recorder.guard("{0}" if size else "not {0}", found)
            return bool(size)
        names = ("__bool__", "__len__")
        if not any(classes.lookup(kind, name)[0] for name in names):
            recorder.typed(origin, value)
            for name in names:
                recorder.classes.find(kind, name)
            return True
        method = classes.special(kind, "__bool__")
        if method is not None:
            recorder.classes.guard_special(origin, value, "__bool__")
            out, made = self.invoke(method, CONSTANT, (value,), (origin,))
            recorder.pin(made, out)
            if type(out) is bool:
                return out
        elif not classes.lookup(kind, "__bool__")[0] and classes.special(kind, "__len__"):
            recorder.classes.guard_special(origin, value, "__bool__")
            size, made = containers.length(self, value, origin)
            recorder.pin(made, size)
            if type(size) is int and size >= 0:
                return bool(size)
        recorder.refuse(f"the truth of a {kind.__name__}")
        return bool(value)


def _operation(symbol: str, pa: Origin, pb: Origin, a: Any, b: Any) -> tuple[Any, ...]:
    """What is the same for an operator on values of the same origins: an integer of the code is
    itself, of other constants nothing is the same."""
    return (
        symbol,
        a if pa is CONSTANT and type(a) is int else pa,
        b if pb is CONSTANT and type(b) is int else pb,
    )


def _same_range(dtype: np.dtype) -> tuple[int, int]:
    """The Python integers that are the same number in a tensor of `dtype`."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return max(int(limits.min), -(2**63)), min(int(limits.max), 2**63 - 1)
    return (-(2**24), 2**24) if dtype.kind == "f" else (-(2**63), 2**63 - 1)
