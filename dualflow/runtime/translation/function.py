"""A kernel text as an LLVM function: statements, loops, variables.

Comes in: a `KernelText` and the globals of its source. Goes out: the text of an LLVM module with
the function, `NAME`, which takes pointers, scratch, scalars and integers. A variable may begin anew
with another type; what it is after the block in which that happens is not known.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from dualflow.base.syntax import parse
from dualflow.ir.text import KernelText

from .expressions import Expressions, Refused, Value
from .kinds import DTYPES, Complex, Float, Kind, Pointer, boolean, int64, pointer

#: the name of the function
NAME = "dualflow_kernel"
#: A word of texts: the loop it stands in is walked in whole vectors, the last one masked.
WHOLE_VECTORS = "whole_vectors"
_HINTS = (
    '!{!"llvm.loop.vectorize.predicate.enable", i1 true}',
    '!{!"llvm.loop.interleave.count", i32 1}',
    '!{!"llvm.loop.unroll.disable"}',
)
#: the first number of metadata that no word has
_METADATA = 1_000_000


def translated(text: KernelText, names: Mapping[str, Any]) -> str:
    """The module.

    Raises:
        Refused: the source has something that is not translated.
    """
    (tree,) = parse(text.source).body
    assert isinstance(tree, ast.FunctionDef)
    pointers = (*text.pointers, *(dtype for dtype, _ in text.scratch))
    given: list[Kind] = [pointer(DTYPES[dtype.name]) for dtype in pointers]
    given += [DTYPES[dtype.name] for dtype in text.scalars]
    given += [int64] * text.integers
    return _Function(names, dict(text.options).get("fastmath", "")).module(tree, given)


class _Loop:
    """A loop around the statement at hand: where `continue` and `break` go, which variables have
    been stored in its body, and which were read before: they may come from the step before."""

    def __init__(self, following: str, end: str) -> None:
        self.following, self.end = following, end
        self.stored: set[str] = set()
        self.carried: set[str] = set()


class _Function(Expressions):
    """The function in the making."""

    def __init__(self, names: Mapping[str, Any], flags: str) -> None:
        super().__init__(names, flags)
        self.loops: list[_Loop] = []
        #: for each block around: variables that began anew in it
        self.anew: list[set[str]] = []
        self.unknown: set[str] = set()
        self.hinted: set[str] = set()  # loops in whole vectors, by where their steps are made
        self.metadata: list[str] = []

    def module(self, tree: ast.FunctionDef, given: Sequence[Kind]) -> str:
        parameters = []
        for argument, kind in zip(tree.args.args, given, strict=True):
            name = f"%{argument.arg}"
            if isinstance(kind, Pointer):
                parameters.append(f"ptr noalias {name}")
                self.variables[argument.arg] = (name, kind)
            else:
                parameters.append(f"{kind.text} {name}")
                self.assign(argument.arg, Value(name, kind))
        self.body(tree.body)
        kept = ", ".join(f'ptr @"{name}"' for name in self.kept)
        used = f"@llvm.compiler.used = appending global [{len(self.kept)} x ptr] [{kept}]"
        return "\n".join(
            [
                f"define internal void @{NAME}({', '.join(parameters)}) nounwind noinline {{",
                "entry:",
                *self.slots,
                *self.lines,
                "  ret void",
                "}",
                *self.parts.values(),
                *([f'{used}, section "llvm.metadata"'] if kept else []),
                *self._hints(),
                *self.metadata,
            ]
        )

    def _hints(self) -> list[str]:
        return [f"!{_METADATA + n} = {hint}" for n, hint in enumerate(_HINTS)] * bool(self.metadata)

    # Statements.

    def body(self, statements: Sequence[ast.stmt]) -> None:
        for statement in statements:
            method = getattr(self, f"on_{type(statement).__name__.lower()}", None)
            if method is None:
                raise Refused(f"no {type(statement).__name__}: {ast.unparse(statement)}")
            method(statement)

    def _nested(self, statements: Sequence[ast.stmt]) -> None:
        self.anew.append(set())
        self.body(statements)
        self.unknown |= self.anew.pop()

    def read(self, name: str) -> tuple[str, Kind]:
        if name in self.unknown:
            raise Refused(f"the type of {name}")
        for loop in self.loops:
            if name not in loop.stored:
                loop.carried.add(name)
        return super().read(name)

    def on_expr(self, node: ast.Expr) -> None:
        if ast.unparse(node) == f"{WHOLE_VECTORS}()":
            self.hinted.add(self.loops[-1].following)
            return
        self.value(node.value)

    def on_assign(self, node: ast.Assign) -> None:
        (target,) = node.targets
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            values = [self.value(part) for part in node.value.elts]
            for place, value in zip(target.elts, values, strict=True):
                self.store(place, value)
            return
        self.store(target, self.value(node.value))

    def on_augassign(self, node: ast.AugAssign) -> None:
        self.store(node.target, self.value(ast.BinOp(node.target, node.op, node.value)))

    def store(self, target: ast.expr, value: Value) -> None:
        """A value under a name or in an element."""
        if isinstance(target, ast.Name):
            self.assign(target.id, value)
            return
        if not isinstance(target, ast.Subscript):
            raise Refused(f"to store in {ast.unparse(target)}")
        place, kind = self.place(target)
        value = self.converted(value, kind)
        if not isinstance(kind, Complex):
            self.lines.append(f"  store {kind.text} {value.text}, ptr {place}")
            return
        part: Float = kind.underlying_float
        for n in range(2):
            one = self.made(part, f"extractvalue {kind.text} {value.text}, {n}")
            at = self.made(kind, f"getelementptr {kind.text}, ptr {place}, i32 0, i32 {n}")
            self.lines.append(f"  store {part.text} {one.text}, ptr {at.text}")

    def assign(self, name: str, value: Value) -> None:
        kind = value.kind
        if isinstance(kind, Pointer):
            self.variables[name] = (value.text, kind)
            return
        slot, held = self.variables.get(name, ("", kind))
        if held is not kind and any(name in loop.carried for loop in self.loops):
            raise Refused(f"{name} is {held} and {kind}")
        if held is not kind or name in self.unknown:
            for block in self.anew:
                block.add(name)
        for loop in self.loops:
            loop.stored.add(name)
        self.unknown.discard(name)
        if not slot or held is not kind:
            slot = f"%{name}.{len(self.slots)}"
            self.slots.append(f"  {slot} = alloca {kind.text}")
            self.variables[name] = (slot, kind)
        self.lines.append(f"  store {kind.text} {value.text}, ptr {slot}")

    def on_if(self, node: ast.If) -> None:
        then, other, end = self.label("then"), self.label("else"), self.label("end")
        self.branch(self.truth(self.value(node.test)), then, other if node.orelse else end)
        for label, side in ((then, node.body), (other, node.orelse)):
            if side:
                self.begin(label)
                self._nested(side)
                self.go(end)
        self.begin(end)

    def on_while(self, node: ast.While) -> None:
        test, inside, end = self.label("test"), self.label("loop"), self.label("end")
        self.go(test)
        self.begin(test)
        self.branch(self.truth(self.value(node.test)), inside, end)
        self.begin(inside)
        self._loop_body(node.body, test, end)
        self.go(test)
        self.begin(end)

    def on_for(self, node: ast.For) -> None:
        """A loop over a range whose step, if it is no literal, is positive. The name keeps its
        value in the body alone."""
        assert isinstance(node.target, ast.Name)
        first, stop, step = self._range(node.iter)
        test, inside = self.label("test"), self.label("loop")
        following, end = self.label("step"), self.label("end")
        begin = self.here
        self.go(test)
        self.begin(test)
        index, further = self.fresh(), self.fresh()
        self.lines.append(
            f"  {index} = phi i64 [ {first.text}, %{begin} ], [ {further}, %{following} ]"
        )
        sign = "sgt" if (step.number or 1) < 0 else "slt"
        self.branch(
            self.made(boolean, f"icmp {sign} i64 {index}, {stop.text}"), inside, end
        )  # fmt: skip
        self.begin(inside)
        self.assign(node.target.id, Value(index, int64))
        self._loop_body(node.body, following, end)
        self.go(following)
        self.begin(following)
        self.lines.append(f"  {further} = add nsw i64 {index}, {step.text}")
        self.lines.append(f"  br label %{test}{self._hint(following)}")
        self.begin(end)

    def _loop_body(self, statements: Sequence[ast.stmt], following: str, end: str) -> None:
        self.loops.append(_Loop(following, end))
        self._nested(statements)
        self.loops.pop()

    def _hint(self, loop: str) -> str:
        """What the vectoriser is told at the end of a loop in whole vectors."""
        if loop not in self.hinted:
            return ""
        number = _METADATA + len(_HINTS) + len(self.metadata)
        hints = ", ".join(f"!{_METADATA + n}" for n in range(len(_HINTS)))
        self.metadata.append(f"!{number} = distinct !{{!{number}, {hints}}}")
        return f", !llvm.loop !{number}"

    def _range(self, call: ast.expr) -> tuple[Value, Value, Value]:
        if not isinstance(call, ast.Call) or ast.unparse(call.func) != "range":
            raise Refused(f"to walk {ast.unparse(call)}")
        values = [self.converted(self.value(argument), int64) for argument in call.args]
        zero, one = Value("0", int64, 0), Value("1", int64, 1)
        if len(values) == 1:
            return zero, values[0], one
        return values[0], values[1], values[2] if len(values) > 2 else one

    def on_continue(self, node: ast.Continue) -> None:
        self.go(self.loops[-1].following)
        self.begin(self.label("never"))

    def on_break(self, node: ast.Break) -> None:
        self.go(self.loops[-1].end)
        self.begin(self.label("never"))
