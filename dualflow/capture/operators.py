"""Hooks of comparison, truth, and operators of one operand.

Comes in: operands with the slots of their origins. Goes out: what Python makes of them, and in a
slot its origin: an expression, or for tensors what the notes know. What is decided is a guard.
"""

from __future__ import annotations

import enum
import operator as o
import types
from collections import deque
from typing import Any

from dualflow.array.tensor import Tensor

from . import classes, containers, membership, shadows, templates
from .arithmetic import Arithmetic, operation
from .kinds import DICTS, FIXED, HEAP, NUMERIC, SCALAR_TYPES, TYPES
from .ndarrays import calls as numpy_calls
from .provenance import CONSTANT, NUMBERS, SCALARS, Born, Node, Origin
from .special_methods import Answer
from .subclasses import behaves
from .values import Unchanging

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


def _odd(value: Any) -> bool:
    """Whether there is a number in a value that is not equal to itself."""
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(map(_odd, value))
    return type(value) in (float, complex) and value != value


class Operators(Arithmetic):
    """Hooks of operators; see `arithmetic.py` for those of two operands."""

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
        elif type(a) in NUMBERS or type(a) is complex:
            out = recorder.certain(function, (a,), (pa,))
            self.slots[slot] = self.expression(f"({symbol}{{0}})", (a,), (pa,))
        elif type(a) in TYPES:
            out, self.slots[slot] = numpy_calls.operator(recorder, function, (a,), (pa,))
        elif isinstance(a, Unchanging):
            recorder.pin(pa, a)
            out, self.slots[slot] = recorder.guarded(function, a), CONSTANT
        elif classes.special(type(a), f"__{function.__name__}__") is not None:
            name = f"__{function.__name__}__"
            recorder.classes.guard_special(pa, a, name)
            method = classes.special(type(a), name)
            out, self.slots[slot] = self.invoke(method, CONSTANT, (a,), (pa,))
        elif isinstance(a, NUMERIC) and classes.built_in(recorder, a, f"__{function.__name__}__"):
            recorder.pin(pa, a)
            out, self.slots[slot] = recorder.certain(function, (a,)), CONSTANT
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
            known = recorder.expressions.get(operation(symbol, pa, pb, a, b))
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
            if type(a) not in SCALARS and (_odd(a) or _odd(b)):
                recorder.refuse("a NaN in what is compared")
                return function(a, b)
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
        """Whether two dicts are equal, whose keys are plain and whose values are pinned."""
        if not all(type(key) in SCALARS for part in (a, b) for key in part):
            return None
        if _odd(list(a.values())) or _odd(list(b.values())):
            self.recorder.refuse("a NaN in what is compared")
            return f(a, b)
        for value, origin in ((a, pa), (b, pb)):
            for key, part in templates.parts_of_dict(self.recorder, value, origin):
                self.recorder.pin(part, value[key])
        return f(a, b)

    def _compared(self, name: str, symbol: str, a: Any, b: Any, pa: Origin, pb: Origin) -> Any:
        """What methods written in Python make of a comparison, asked as Python asks them, and its
        origin; None if others decide, and nothing was called."""
        sides = [(name, a, b, pa, pb), (_REFLECTED[name], b, a, pb, pa)]
        alike = type(a) is type(b) and type(a) in _COMPARED
        if alike or not all(_comparable(x, asked) for asked, x, *_ in sides):
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
        return not (out if recorder.dead else self.truth_of(origin, out)), CONSTANT

    def _fixed(self, f: Any, a: Any, b: Any) -> bool:
        """Whether `f` compares constants by no code of a program; guarded."""
        if not all(type(x) in SCALARS or isinstance(x, (*FIXED, *NUMERIC)) for x in (a, b)):
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
        if type(value) is bool:
            origin = self.slots[slot]
            if origin is CONSTANT or (origin, value, "truth") in self.recorder.done:
                return value
        return self.truth_of(self.origin(slot, value), value)

    def truth_keep(self, slot: int, value: Any, stops: bool) -> Any:
        """A part of `and`, `or`, which is also the result if it decides."""
        if not self.recorder.dead:
            origin = self.origin(slot, value)
            if type(value) is Tensor:
                self.truth_of(origin, value)
                self.recorder.late.allow_once(value)
            elif any(classes.special(type(value), name) for name in ("__bool__", "__len__")):
                self.recorder.refuse(f"the truth of a {type(value).__name__}, which is kept")
            else:  # nothing happens where Python asks again
                self.truth_of(origin, value)
        return value

    def truth_of(self, origin: Origin, value: Any) -> bool:
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
        if kind.__flags__ & HEAP:
            kind = behaves(recorder, value, origin)
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
            if type(out) is not bool:
                recorder.refuse(f"the truth of a {kind.__name__}")
            return bool(Answer(out))
        elif not classes.lookup(kind, "__bool__")[0] and classes.special(kind, "__len__"):
            recorder.classes.guard_special(origin, value, "__bool__")
            size, made = containers.length(self, value, origin)
            recorder.pin(made, size)
            return bool(size)
        recorder.refuse(f"the truth of a {kind.__name__}")
        return bool(value)
