"""Expressions of kernel texts as LLVM IR, typed as Numba types them.

Comes in: nodes of Python's syntax tree. Goes out: lines of IR in `self.lines`, and values. Two
integers make one of 64 bits, floats the wider one, an integer and a float a double. What Numba
would take and this does not is `Refused`.
"""

from __future__ import annotations

import ast
import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from . import kinds
from .kinds import Boolean, Class, Complex, Float, Integer, Kind, Pointer, boolean, int64
from .words import Word, written


class Refused(Exception):  # noqa: N818 - a verdict: Numba compiles the text
    """A text that is not translated, and why."""


class Value(NamedTuple):
    """A value in IR; `number` is that of a literal integer."""

    text: str
    kind: Kind
    number: int | None = None


_FLOAT_OPS = {ast.Add: "fadd", ast.Sub: "fsub", ast.Mult: "fmul", ast.Div: "fdiv"}
_INTEGER_OPS = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul"}
_BIT_OPS = {ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor"}
_SIGNS = {ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge"}


def number_of(value: float) -> str:
    """A float as LLVM writes it: the bits of the double.

    >>> number_of(1.0)
    '0x3FF0000000000000'
    """
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


class Expressions:
    """Lines of one function in the making, and the values of expressions in it."""

    def __init__(self, names: Mapping[str, Any], flags: str) -> None:
        """`names` are the globals of the text: words, dtypes, integers; `flags` go to each
        instruction on floats."""
        self.names, self.flags = names, f"{flags} " if flags else ""
        self.lines: list[str] = []
        self.slots: list[str] = []  # memory of variables, made at the start
        self.variables: dict[str, tuple[str, Kind]] = {}
        self.parts: dict[str, str] = {}  # what the module needs beside the function
        self.kept: dict[str, None] = {}
        self.counted = 0
        self.here = "entry"

    # Lines.

    def fresh(self) -> str:
        self.counted += 1
        return f"%t{self.counted}"

    def made(self, kind: Kind, line: str) -> Value:
        """The value of an instruction."""
        name = self.fresh()
        self.lines.append(f"  {name} = {line}")
        return Value(name, kind)

    def label(self, name: str) -> str:
        self.counted += 1
        return f"{name}{self.counted}"

    def begin(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self.here = label

    def go(self, label: str) -> None:
        self.lines.append(f"  br label %{label}")

    def branch(self, condition: Value, then: str, other: str) -> None:
        self.lines.append(f"  br i1 {condition.text}, label %{then}, label %{other}")

    def read(self, name: str) -> tuple[str, Kind]:
        """Where a variable is, and its kind."""
        return self.variables[name]

    # Expressions.

    def value(self, node: ast.expr) -> Value:
        """The value of an expression."""
        method: Callable[[Any], Value] | None = getattr(
            self, f"on_{type(node).__name__.lower()}", None
        )
        if method is None:
            raise Refused(f"no {type(node).__name__}: {ast.unparse(node)}")
        return method(node)

    def on_constant(self, node: ast.Constant) -> Value:
        value = node.value
        if isinstance(value, bool):
            return Value("true" if value else "false", boolean)
        if isinstance(value, int):
            return Value(str(value), int64, value)
        if isinstance(value, float):
            return Value(number_of(value), kinds.float64)
        raise Refused(f"the constant {value!r}")

    def on_name(self, node: ast.Name) -> Value:
        if node.id in self.variables:
            slot, kind = self.read(node.id)
            if isinstance(kind, Pointer):
                return Value(slot, kind)
            return self.made(kind, f"load {kind.text}, ptr {slot}")
        found = self.names.get(node.id)
        if isinstance(found, int):
            return Value(str(found), int64, found)
        if isinstance(found, Kind):
            return Value("", kinds.class_of(found))
        raise Refused(f"the name {node.id}")

    def on_attribute(self, node: ast.Attribute) -> Value:
        """`np.inf`, `np.nan`."""
        constants = {"inf": float("inf"), "nan": float("nan")}
        if isinstance(node.value, ast.Name) and node.value.id == "np" and node.attr in constants:
            return Value(number_of(constants[node.attr]), kinds.float64)
        raise Refused(ast.unparse(node))

    def on_binop(self, node: ast.BinOp) -> Value:
        x, y, op = self.value(node.left), self.value(node.right), type(node.op)
        if op in _BIT_OPS and x.kind is y.kind is boolean:
            return self.made(boolean, f"{_BIT_OPS[op]} i1 {x.text}, {y.text}")
        kind = self._common(x, y)
        if isinstance(kind, Integer) and op is ast.Div:
            kind = kinds.float64
        x, y = self.converted(x, kind), self.converted(y, kind)
        if isinstance(kind, Float) and op in _FLOAT_OPS:
            return self.made(kind, f"{_FLOAT_OPS[op]} {self.flags}{kind.text} {x.text}, {y.text}")
        if not isinstance(kind, Integer):
            raise Refused(ast.unparse(node))
        if op in _INTEGER_OPS:
            safe = "nsw " if kind.signed else ""
            return self.made(kind, f"{_INTEGER_OPS[op]} {safe}{kind.text} {x.text}, {y.text}")
        if op in _BIT_OPS:
            return self.made(kind, f"{_BIT_OPS[op]} {kind.text} {x.text}, {y.text}")
        if op in (ast.FloorDiv, ast.Mod) and kind is int64:
            return self._divided(x, y, op is ast.Mod)
        raise Refused(ast.unparse(node))

    def _divided(self, x: Value, y: Value, remainder: bool) -> Value:
        """The floor of a quotient or what remains, of a divisor that is not 0."""
        rest = self.made(int64, f"srem i64 {x.text}, {y.text}")
        signs = self.made(int64, f"xor i64 {rest.text}, {y.text}")
        apart = self.made(boolean, f"icmp slt i64 {signs.text}, 0")
        some = self.made(boolean, f"icmp ne i64 {rest.text}, 0")
        back = self.made(boolean, f"and i1 {apart.text}, {some.text}")
        if remainder:
            more = self.made(int64, f"select i1 {back.text}, i64 {y.text}, i64 0")
            return self.made(int64, f"add i64 {rest.text}, {more.text}")
        quotient = self.made(int64, f"sdiv i64 {x.text}, {y.text}")
        less = self.made(int64, f"sext i1 {back.text} to i64")
        return self.made(int64, f"add i64 {quotient.text}, {less.text}")

    def on_unaryop(self, node: ast.UnaryOp) -> Value:
        x = self.value(node.operand)
        kind, op = x.kind, type(node.op)
        if op is ast.Not:
            return self.made(boolean, f"xor i1 {self.truth(x).text}, true")
        if op is ast.USub and x.number is not None:
            return Value(str(-x.number), int64, -x.number)
        if op is ast.USub and isinstance(kind, Float):
            return self.made(kind, f"fneg {kind.text} {x.text}")
        if isinstance(kind, Integer) and op in (ast.USub, ast.Invert):
            x = self.converted(x, self._wide(kind))
            line = f"sub i64 0, {x.text}" if op is ast.USub else f"xor i64 {x.text}, -1"
            return self.made(x.kind, line)
        raise Refused(ast.unparse(node))

    def on_compare(self, node: ast.Compare) -> Value:
        values = [self.value(part) for part in (node.left, *node.comparators)]
        found = None
        for x, op, y in zip(values, node.ops, values[1:], strict=False):
            one = self._compared(x, _SIGNS[type(op)], y)
            found = one if found is None else self.made(boolean, f"and i1 {found.text}, {one.text}")
        assert found is not None
        return found

    def _compared(self, x: Value, sign: str, y: Value) -> Value:
        kind = x.kind if x.kind is y.kind else self._common(x, y)
        x, y = self.converted(x, kind), self.converted(y, kind)
        if isinstance(kind, Float):
            word = f"fcmp {'une' if sign == 'ne' else 'o' + sign}"
        elif isinstance(kind, Integer | Boolean):
            signed = isinstance(kind, Integer) and kind.signed
            word = f"icmp {sign if sign in ('eq', 'ne') else 'us'[signed] + sign}"
        else:
            raise Refused(f"a comparison of {kind}")
        return self.made(boolean, f"{word} {kind.text} {x.text}, {y.text}")

    def on_boolop(self, node: ast.BoolOp) -> Value:
        """The right side is evaluated where it decides alone."""
        stop, rest = self.label("decided"), isinstance(node.op, ast.And)
        found: list[tuple[str, str]] = []
        for part in node.values[:-1]:
            truth, more = self.truth(self.value(part)), self.label("more")
            found.append(("false" if rest else "true", self.here))
            self.branch(truth, *((more, stop) if rest else (stop, more)))
            self.begin(more)
        found.append((self.truth(self.value(node.values[-1])).text, self.here))
        self.go(stop)
        self.begin(stop)
        return self._merged(boolean, found)

    def on_ifexp(self, node: ast.IfExp) -> Value:
        then, other, end = self.label("then"), self.label("else"), self.label("end")
        self.branch(self.truth(self.value(node.test)), then, other)
        found: list[tuple[str, str]] = []
        results: list[Kind] = []
        for label, side in ((then, node.body), (other, node.orelse)):
            self.begin(label)
            value = self.value(side)
            results.append(value.kind)
            found.append((value.text, self.here))
            self.go(end)
        if results[0] is not results[1]:
            raise Refused(f"values of two types: {ast.unparse(node)}")
        self.begin(end)
        return self._merged(results[0], found)

    def _merged(self, kind: Kind, found: list[tuple[str, str]]) -> Value:
        pairs = ", ".join(f"[ {text}, %{label} ]" for text, label in found)
        return self.made(kind, f"phi {kind.text} {pairs}")

    def on_subscript(self, node: ast.Subscript) -> Value:
        place, kind = self.place(node)
        if not isinstance(kind, Complex):
            return self.made(kind, f"load {kind.text}, ptr {place}")
        whole, part = "undef", kind.underlying_float
        for n in range(2):
            at = self.made(kind, f"getelementptr {kind.text}, ptr {place}, i32 0, i32 {n}")
            one = self.made(part, f"load {part.text}, ptr {at.text}")
            line = f"insertvalue {kind.text} {whole}, {part.text} {one.text}, {n}"
            whole = self.made(kind, line).text
        return Value(whole, kind)

    def place(self, node: ast.Subscript) -> tuple[str, Kind]:
        """The address of an element, and its kind."""
        base, index = self.value(node.value), self.value(node.slice)
        if not isinstance(base.kind, Pointer):
            raise Refused(ast.unparse(node))
        index = self.converted(index, int64)
        kind = base.kind.dtype
        at = self.made(kind, f"getelementptr {kind.text}, ptr {base.text}, i64 {index.text}")
        return at.text, kind

    def on_call(self, node: ast.Call) -> Value:
        function, given = node.func, [self.value(argument) for argument in node.args]
        if isinstance(function, ast.Attribute) and len(given) == 1:
            kind = kinds.DTYPES.get(function.attr)
            if kind is not None and ast.unparse(function.value) == "np":
                return self.converted(given[0], kind)
        name = ast.unparse(function)
        if name in ("min", "max") and len(given) == 2:
            return self._extreme("lt" if name == "min" else "gt", *given)
        if name == "stack":
            return self._stack(*given)
        word = self.names.get(name)
        if isinstance(word, Word):
            return self._called(word, given)
        raise Refused(ast.unparse(node))

    def _extreme(self, sign: str, x: Value, y: Value) -> Value:
        """`min` and `max` of integers."""
        if not (x.kind is y.kind is int64):
            raise Refused(f"the least of {x.kind} and {y.kind}")
        first = self.made(boolean, f"icmp s{sign} i64 {x.text}, {y.text}")
        return self.made(int64, f"select i1 {first.text}, i64 {x.text}, i64 {y.text}")

    def _stack(self, wanted: Value, size: Value) -> Value:
        """Memory of the function for `size` (a literal) elements."""
        if not isinstance(wanted.kind, Class) or size.number is None:
            raise Refused("the size of a stack array")
        kind, name = wanted.kind.instance_type, self.fresh()
        self.slots.append(f"  {name} = alloca {kind.text}, i64 {size.number}, align 64")
        return Value(name, kinds.pointer(kind))

    def _called(self, word: Word, given: list[Value]) -> Value:
        text = written(word, tuple(value.kind for value in given))
        if text is None:
            raise Refused(f"{word.name} of {[value.kind for value in given]}")
        self.parts |= text.parts
        self.kept |= dict.fromkeys(text.kept)
        passed = ", ".join(
            f"{kind.text} {self.converted(value, kind).text}"
            for value, kind in zip(given, text.made.arguments, strict=True)
            if not isinstance(kind, Class)
        )
        result, call = text.made.result, f'@"{text.name}"({passed})'
        if result is kinds.nothing:
            self.lines.append(f"  call void {call}")
            return Value("", result)
        return self.made(result, f"call {result.text} {call}")

    # Types.

    def truth(self, x: Value) -> Value:
        """Whether a value is true."""
        if x.kind is boolean:
            return x
        if isinstance(x.kind, Integer):
            return self.made(boolean, f"icmp ne {x.kind.text} {x.text}, 0")
        raise Refused(f"the truth of {x.kind}")

    def _wide(self, kind: Integer) -> Integer:
        return int64 if kind.signed else kinds.uint64

    def _common(self, x: Value, y: Value) -> Kind:
        """The kind that two numbers are brought to."""
        a, b = x.kind, y.kind
        if isinstance(a, Float) and isinstance(b, Float):
            return a if a.bitwidth >= b.bitwidth else b
        if isinstance(a, Integer) and isinstance(b, Integer):
            if a.signed == b.signed:
                return self._wide(a)
            if (b if a.signed else a) is not kinds.uint64:
                return int64
        elif isinstance(a, Integer | Float) and isinstance(b, Integer | Float):
            return kinds.float64
        raise Refused(f"an operation on {a} and {b}")

    def converted(self, x: Value, kind: Kind) -> Value:
        """A number as another kind; what does not fit is LLVM's undefined value, for which texts
        use words."""
        given = x.kind
        if given is kind or isinstance(kind, Pointer | Class):
            return x
        if x.number is not None and isinstance(kind, Integer):
            return Value(str(x.number), kind)
        line = _conversion(given, kind)
        if line is None:
            raise Refused(f"{given} as {kind}")
        return Value(x.text, kind) if not line else self.made(
            kind, f"{line} {given.text} {x.text} to {kind.text}"
        )  # fmt: skip


def _conversion(given: Kind, kind: Kind) -> str | None:
    """The instruction between two kinds; empty if the bits stay, None if there is none."""
    if isinstance(given, Float) and isinstance(kind, Float):
        return "fpext" if given.bitwidth < kind.bitwidth else "fptrunc"
    if isinstance(given, Float) and isinstance(kind, Integer):
        return "fptosi" if kind.signed else "fptoui"
    if isinstance(given, Boolean) and isinstance(kind, Integer | Float):
        return "zext" if isinstance(kind, Integer) else "uitofp"
    if not isinstance(given, Integer):
        return None
    if isinstance(kind, Float):
        return "sitofp" if given.signed else "uitofp"
    if not isinstance(kind, Integer):
        return None
    if given.bitwidth == kind.bitwidth:
        return ""
    return "trunc" if given.bitwidth > kind.bitwidth else "sext" if given.signed else "zext"
