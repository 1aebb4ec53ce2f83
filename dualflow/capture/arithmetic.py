"""Hooks of arithmetic: operators of two operands, on numbers, tensors, arrays and objects.

Comes in: values with the slots of their origins. Goes out: what Python makes of them; a number is
an expression over what it was made of, so that a replay computes it anew.
"""

from __future__ import annotations

import operator as o
from collections.abc import Callable
from typing import Any

import numpy as np

from dualflow.array.tensor import Tensor
from dualflow.base.dtypes import is_float

from . import attributes, calls, containers, special_methods, templates, trying
from .kinds import SCALAR_TYPES, TYPES
from .ndarrays import calls as numpy_calls
from .ndarrays.noting import NotCovered
from .provenance import CONSTANT, NUMBERS, SCALARS, Born, Node, Origin
from .values import Unchanging
from .variables import Variables

BINARY: dict[str, tuple[Any, Any, str]] = {
    "Add": (o.add, o.iadd, "+"), "Sub": (o.sub, o.isub, "-"), "Mult": (o.mul, o.imul, "*"),
    "Div": (o.truediv, o.itruediv, "/"), "FloorDiv": (o.floordiv, o.ifloordiv, "//"),
    "Mod": (o.mod, o.imod, "%"), "Pow": (o.pow, o.ipow, "**"),
    "MatMult": (o.matmul, o.imatmul, "@"), "BitAnd": (o.and_, o.iand, "&"),
    "BitOr": (o.or_, o.ior, "|"), "BitXor": (o.xor, o.ixor, "^"),
    "LShift": (o.lshift, o.ilshift, "<<"), "RShift": (o.rshift, o.irshift, ">>"),
}  # fmt: skip
#: operators whose result depends on more of a number beside a tensor than an input shows
_PINNING = frozenset(["**", "<<", ">>", "@"])
#: dtypes of tensors that store a number as they store a tensor that holds it
_WIDE = frozenset(["float32", "float64", "int32", "int64"])
_HELD = vars(Tensor)  # what the class holds now


class Arithmetic(Variables):
    """Hooks of arithmetic."""

    invoke: Callable[..., tuple[Any, Origin]] = calls.invoke  # a call in the place of the user's
    find = staticmethod(calls.find)  # how to make a call

    def binop(self, slot: int, name: str, sa: int, sb: int, a: Any, b: Any) -> Any:
        function, _, symbol = BINARY[name]
        recorder, slots = self.recorder, self.slots
        pa, pb = slots[sa], slots[sb]
        if type(a) in SCALARS:
            if pa is CONSTANT is pb:
                key = None
            elif pa is CONSTANT or pb is CONSTANT:
                key = operation(symbol, pa, pb, a, b)
            else:
                key = symbol, pa, pb
            known = recorder.expressions.get(key)
            if known is not None:  # it has succeeded with these values before
                slots[slot] = known
                return function(a, b)
        if recorder.dead:
            return function(a, b)
        if type(a) is Tensor and (type(b) is Tensor or pb is CONSTANT):
            own = recorder.operators.get(function)
            if own is None or _HELD.get(own[0]) is not own[1]:
                self._own_operator(function, False)
            try:  # operands that are not known are met by the notes
                out = function(a, b)
            except Exception as error:
                trying.raised(recorder, error, function, (a, b), {})
                raise
            slots[slot] = recorder.made(out, a, b)
            return out
        if (type(b) is Tensor and type(a) in NUMBERS and pa is not None) or (
            type(a) is Tensor and type(b) in NUMBERS and type(pb) is Node
        ):
            out = self._tensor_op(function, symbol, (a, b), (pa, pb))
            slots[slot] = recorder.made(out, a, b)
            return out
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
        asked = special_methods.in_place_method(BINARY[name][0], a, b)
        if asked is not None:
            return self._in_place(slot, name, sa, sb, a, b, *asked)
        self.recorder.refuse(f"in-place {symbol} of a {type(a).__name__}")
        return function(a, b)

    def _in_place(
        self, slot: int, name: str, sa: int, sb: int, a: Any, b: Any, asked: str, method: Any
    ) -> Any:
        """`a += b` of an object of a class written in Python, which may have a method for it."""
        pa = self.origin(sa, a)
        self.recorder.classes.guard_special(pa, a, asked)
        if method is not None:
            out, origin = self.invoke(method, CONSTANT, (a, b), (pa, self.origin(sb, b)))
            if out is not NotImplemented:
                self.slots[slot] = origin
                return out
            if isinstance(origin, Node):
                self.recorder.guard("{0} is {k0}", origin, constants=(NotImplemented,))
        f, symbol = BINARY[name][0], BINARY[name][2] + "="
        if special_methods.unfit(f, a, b):
            raise self._unfit(f"unsupported operand type(s) for {symbol}: {{}} and {{}}", a, b)
        return f(a, b) if self.recorder.dead else self._binary(slot, f, symbol, sa, sb, a, b)

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
        tensors = type(a) is Tensor or type(b) is Tensor
        if tensors and not special_methods.beside_tensor(f, a, b):
            out = self._tensor_op(f, symbol, (a, b), (pa, pb))
            self.slots[slot] = recorder.made(out, a, b)
            return out
        if type(a) in SCALARS and type(b) in SCALARS:
            return self._scalar(slot, f, symbol, a, b, pa, pb)
        if numpy_calls.concerned(a, b):
            out, self.slots[slot] = numpy_calls.operator(recorder, f, (a, b), (pa, pb))
            return out
        made = containers.arithmetic(self, f, symbol, a, b, pa, pb)  # type: ignore[arg-type]
        if made is not None:
            out, self.slots[slot] = made
            return out
        methods = special_methods.operator_methods(f, a, b)
        if methods:
            name = special_methods.METHODS[f.__name__]
            recorder.classes.guard_special(pa, a, name)  # or that there is none
        for name, left, method in methods:
            asked, other = ((a, pa), (b, pb)) if left else ((b, pb), (a, pa))
            if type(other[0]) is Tensor and not left:
                self._own_operator(f, False)
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
            key = operation(symbol, pa, pb, a, b)
            if CONSTANT not in key:
                recorder.expressions[key] = made
        return out

    def _formatted(self, text: str, values: Any, pa: Origin, pb: Origin) -> tuple[str, Origin]:
        """`text % values`, of which some are tensors."""
        recorder, template = self.recorder, templates.Template(self.recorder)
        if not templates.showable(recorder, values):
            recorder.refuse("% of something that is no plain value")
        out = recorder.guarded(recorder.late.unseen, o.mod, text, values)
        parts = template.of(text, pa), template.of(values, pb)
        return out, template.text(f"({parts[0]} % {parts[1]})")

    def _own_operator(self, f: Any, reflected: bool) -> None:
        """Guard that an operator of tensors is dualflow's own."""
        key = (f,) if reflected else f
        own = self.recorder.operators.get(key)
        if own is not None and _HELD.get(own[0]) is own[1]:
            return
        name = f"__{'r' if reflected else ''}{f.__name__.strip('_')}__"
        method = attributes.tensor_method(self.recorder, name)
        if method is not None and not calls.trusted(method):
            self.recorder.refuse(f"the method {name} of tensors, which was replaced")
        self.recorder.operators[key] = name, method

    def _tensor_op(self, f: Any, symbol: str, values: tuple, origins: tuple) -> Any:
        """An operator on tensors and numbers."""
        recorder = self.recorder
        i = int(type(values[0]) is Tensor)
        self._own_operator(f, not i)
        tensor, value, origin = values[1 - i], values[i], origins[i]
        if type(value) in SCALAR_TYPES:
            value = self._of_numpy(value, origin)
            return recorder.tried(f, *((tensor, value) if i else (value, tensor)))
        if type(value) is Tensor or origin is CONSTANT:
            return recorder.tried(f, *values)
        fits = symbol not in _PINNING and type(value) in NUMBERS and type(origin) is Node
        if not (fits and self._hide(origin, value, tensor)):
            recorder.pin(origin, value)
            return recorder.tried(f, *values)
        if tensor.requires_grad:
            value = recorder.late.on_tape(origin, value)
            return recorder.tried(f, *((tensor, value) if i else (value, tensor)))
        return recorder.late.beside(value, origin, f, values)

    def _of_numpy(self, value: Any, origin: Origin) -> Any:
        """A NumPy scalar beside a tensor, which makes a tensor of it."""
        try:
            return self.recorder.arrays.given(value, origin)
        except NotCovered as why:
            self.recorder.refuse(str(why))
            return value

    def fits(self, node: Node, value: Any, tensor: Tensor) -> bool:
        """Whether a number may be stored in `tensor` as an input; guarded."""
        if type(value) not in (int, float) or tensor.dtype.name not in _WIDE:
            return False
        floating = is_float(tensor.dtype)
        return (floating or type(value) is int) and self._hide(node, value, tensor)

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
        return is_float(tensor.dtype) or tensor.dtype.itemsize == 8

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

    def _unfit(self, text: str, a: Any, b: Any) -> TypeError:
        """What Python raises where no method takes both operands, whose types are guarded."""
        error = TypeError(text.format(f"'{type(a).__name__}'", f"'{type(b).__name__}'"))
        self.recorder.born(error, "error", "constant")
        return error


def operation(symbol: str, pa: Any, pb: Any, a: Any, b: Any) -> tuple[Any, ...]:
    """What is the same for an operator on values of the same origins: a number of the code is
    itself, of other constants nothing is the same."""
    left, right = pa, pb
    if pa is CONSTANT:
        left = a if type(a) is int else _float(a) if type(a) is float else pa
    if pb is CONSTANT:
        right = b if type(b) is int else _float(b) if type(b) is float else pb
    return symbol, left, right


def _float(number: float) -> Any:
    """A key in which zeros of both signs differ, and no integer is the same."""
    return (number,) if number else repr(number)


def _same_range(dtype: np.dtype) -> tuple[int, int]:
    """The Python integers that are the same number in a tensor of `dtype`."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return max(int(limits.min), -(2**63)), min(int(limits.max), 2**63 - 1)
    return (-(2**24), 2**24) if is_float(dtype) else (-(2**63), 2**63 - 1)
