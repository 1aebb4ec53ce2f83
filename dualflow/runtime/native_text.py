"""A small language for native parts: Python's syntax, every value a 64-bit word -> LLVM text.

    def add(p, n):              # functions call each other, and C functions by their names
        total = 0
        while n > 0:
            n -= 1
            total += p[n]       # the word at p + 8 * n; p.FIELD is the one FIELD bytes from p on
        return total

C functions return words; `name: int` before the functions says that one returns a C int, and
`name = words(n)` makes n words of memory that functions share. `room(n)` gives n words on the stack
until the function returns. Names in capitals are numbers that the caller of `llvm_text` gives.
Comparisons are signed. Comes in: text. Goes out: LLVM IR, for `cache.native_part`.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from itertools import count
from typing import NamedTuple

from dualflow.base.syntax import parse

_OPERATORS = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.BitAnd: "and", ast.BitOr: "or",
    ast.BitXor: "xor", ast.LShift: "shl", ast.RShift: "ashr", ast.FloorDiv: "sdiv",
}  # fmt: skip
_COMPARISONS = {
    ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "slt", ast.LtE: "sle", ast.Gt: "sgt", ast.GtE: "sge",
}  # fmt: skip
#: LLVM text of what is no function: {0}, {1}, ... are the operands, {r} the result, {n} a number of
#: this use. Atomic ones order everything around them.
_BUILT_IN = {
    "room": "{r}p = alloca i64, i64 {0}, align 64\n  {r} = ptrtoint ptr {r}p to i64",
    "int32": "{r}p = inttoptr i64 {0} to ptr\n  {r}v = load i32, ptr {r}p\n"
             "  {r} = sext i32 {r}v to i64",
    "int_of": "{r}i = trunc i64 {0} to i32\n  {r} = sext i32 {r}i to i64",
    "float64": "{r}d = sitofp i64 {0} to double\n  {r} = bitcast double {r}d to i64",
    "float32": "{r}d = bitcast i64 {0} to double\n  {r}f = fptrunc double {r}d to float\n"
               "  {r}b = bitcast float {r}f to i32\n  {r} = zext i32 {r}b to i64",
    "less": "{r}x = bitcast i64 {0} to double\n  {r}y = bitcast i64 {1} to double\n"
            "  {r}b = fcmp olt double {r}x, {r}y\n  {r} = zext i1 {r}b to i64",
    "equal": "{r}x = bitcast i64 {0} to double\n  {r}y = bitcast i64 {1} to double\n"
             "  {r}b = fcmp oeq double {r}x, {r}y\n  {r} = zext i1 {r}b to i64",
    "copy": "{r}p = inttoptr i64 {0} to ptr\n  {r}q = inttoptr i64 {1} to ptr\n"
            "  call void @llvm.memcpy.p0.p0.i64(ptr {r}p, ptr {r}q, i64 {2}, i1 false)\n"
            "  {r} = add i64 0, 0",
    "clear": "{r}p = inttoptr i64 {0} to ptr\n"
             "  call void @llvm.memset.p0.i64(ptr {r}p, i8 0, i64 {1}, i1 false)\n"
             "  {r} = add i64 0, 0",
    "seen": "{r}p = inttoptr i64 {0} to ptr\n  {r} = load atomic i64, ptr {r}p seq_cst, align 8",
    "show": "{r}p = inttoptr i64 {0} to ptr\n"
            "  store atomic i64 {1}, ptr {r}p seq_cst, align 8\n  {r} = add i64 0, 0",
    "added": "{r}p = inttoptr i64 {0} to ptr\n"
             "  {r} = atomicrmw add ptr {r}p, i64 {1} seq_cst",
    "exchanged": "{r}p = inttoptr i64 {0} to ptr\n"
                 "  {r}x = cmpxchg ptr {r}p, i64 {1}, i64 {2} seq_cst seq_cst\n"
                 "  {r}b = extractvalue {{ i64, i1 }} {r}x, 1\n  {r} = zext i1 {r}b to i64",
}  # fmt: skip
#: Lines of LLVM text of a function that becomes part of those that call it.
SHORT = 80
_DECLARED = """declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
"""


class Part(NamedTuple):
    """A native part that may be on disk already: what `llvm_text` makes its LLVM text of."""

    text: str
    numbers: Mapping[str, int]
    more: str = ""


def llvm_text(text: str, numbers: Mapping[str, int], more: str = "") -> str:
    """The LLVM text of functions; those whose names begin with "dualflow" can be found in the
    object. `more` is LLVM text to stand before it.

    >>> "define i64 @dualflow_half" in llvm_text("def dualflow_half(n): return n >> 1", {})
    True
    """
    module = _Module(parse(text), numbers, more)
    return _DECLARED + more + "\n".join(module.lines())


class _Module:
    """What the functions of one text know of each other."""

    def __init__(self, tree: ast.Module, numbers: Mapping[str, int], more: str) -> None:
        self.numbers, self._more = numbers, more
        self.functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        self.names = {node.name for node in self.functions}
        self.memory: dict[str, int] = {}
        self.ints: set[str] = set()
        self.outside: dict[str, int] = {}
        for node in tree.body:
            if isinstance(node, ast.Assign):
                name, call = node.targets[0], node.value
                assert isinstance(name, ast.Name)
                assert isinstance(call, ast.Call)
                self.memory[name.id] = int(_Function(self, None).value(call.args[0]))
            elif isinstance(node, ast.AnnAssign):
                assert isinstance(node.target, ast.Name)
                self.ints.add(node.target.id)

    def lines(self) -> list[str]:
        """The text of the module."""
        bodies = [line for node in self.functions for line in _Function(self, node).text()]
        heads = [f"@{name} = internal global [{size} x i64] zeroinitializer, align 64"
                 for name, size in self.memory.items()]  # fmt: skip
        for name, given in self.outside.items():
            if f"@{name}(" in self._more:
                continue
            kind = "i32" if name in self.ints else "i64"
            heads.append(f"declare {kind} @{name}({', '.join(['i64'] * given)})")
        return heads + bodies


class _Function:
    """The LLVM text of one function: variables are memory on the stack, which LLVM makes values."""

    def __init__(self, module: _Module, node: ast.FunctionDef | None) -> None:
        self.module, self.node = module, node
        self.lines: list[str] = []
        self.variables: list[str] = []
        self._slots: list[str] = []
        self._fresh = count()
        self._loops: list[tuple[str, str]] = []  # where `continue` and `break` go

    def text(self) -> list[str]:
        node = self.node
        assert node is not None
        given = [argument.arg for argument in node.args.args]
        stored = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)
                  and isinstance(n.ctx, ast.Store)}  # fmt: skip
        self.variables = sorted(stored | set(given))
        kind = "" if node.name.startswith("dualflow") else "internal "
        marks = "".join(f" {d.id}" for d in node.decorator_list if isinstance(d, ast.Name))
        parameters = ", ".join(f"i64 %{name}.given" for name in given)
        self.body(node.body)
        if kind and not marks and len(self.lines) < SHORT:
            marks = " alwaysinline"
        head = [f"define {kind}i64 @{node.name}({parameters}) nounwind{marks} {{", "entry:"]
        places = [f"%{name}" for name in self.variables] + self._slots
        head += [f"  {place} = alloca i64" for place in places]
        head += [f"  store i64 %{name}.given, ptr %{name}" for name in given]
        return [*head, *self.lines, "  ret i64 0", "}"]

    # Lines ----------------------------------------------------------------------------------

    def _line(self, text: str) -> None:
        self.lines.append("  " + text)

    def _label(self, name: str) -> None:
        self._line(f"br label %{name}")
        self.lines.append(f"{name}:")

    def _labels(self, *names: str) -> list[str]:
        number = next(self._fresh)
        return [f"{name}.{number}" for name in names]

    def _result(self) -> str:
        return f"%t{next(self._fresh)}"

    def _leave(self, text: str) -> None:
        """A line that ends a stretch; what stands after it is never reached."""
        self._line(text)
        self.lines.append(f"{self._labels('past')[0]}:")

    # Statements -----------------------------------------------------------------------------

    def body(self, statements: list[ast.stmt]) -> None:
        for node in statements:
            getattr(self, "_" + type(node).__name__.lower())(node)

    def _pass(self, node: ast.Pass) -> None:
        pass

    def _expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self.value(node.value)

    def _return(self, node: ast.Return) -> None:
        self._leave(f"ret i64 {self.value(node.value) if node.value else 0}")

    def _continue(self, node: ast.Continue) -> None:
        self._leave(f"br label %{self._loops[-1][0]}")

    def _break(self, node: ast.Break) -> None:
        self._leave(f"br label %{self._loops[-1][1]}")

    def _assign(self, node: ast.Assign) -> None:
        self._store(node.targets[0], self.value(node.value))

    def _augassign(self, node: ast.AugAssign) -> None:
        before = self.value(node.target)
        self._store(node.target, self._operation(node.op, before, self.value(node.value)))

    def _store(self, target: ast.expr, value: str) -> None:
        if isinstance(target, ast.Name):
            self._line(f"store i64 {value}, ptr %{target.id}")
        else:
            self._line(f"store i64 {value}, ptr {self._place(target)}")

    def _if(self, node: ast.If) -> None:
        yes, no, after = self._labels("yes", "no", "after")
        self.condition(node.test, yes, no)
        self.lines.append(f"{yes}:")
        self.body(node.body)
        self._line(f"br label %{after}")
        self.lines.append(f"{no}:")
        self.body(node.orelse)
        self._label(after)

    def _while(self, node: ast.While) -> None:
        look, go, out = self._labels("look", "go", "out")
        self._label(look)
        self.condition(node.test, go, out)
        self.lines.append(f"{go}:")
        self._loops.append((look, out))
        self.body(node.body)
        self._loops.pop()
        self._line(f"br label %{look}")
        self.lines.append(f"{out}:")

    def _match(self, node: ast.Match) -> None:
        after, subject = self._labels("after")[0], self.value(node.subject)
        cases = []
        for case in node.cases:
            assert isinstance(case.pattern, ast.MatchAs)
            number = self.module.numbers[str(case.pattern.name)]
            cases.append((number, self._labels("case")[0], case.body))
        table = " ".join(f"i64 {number}, label %{label}" for number, label, _ in cases)
        self._line(f"switch i64 {subject}, label %{after} [{table}]")
        for _, label, body in cases:
            self.lines.append(f"{label}:")
            self.body(body)
            self._line(f"br label %{after}")
        self.lines.append(f"{after}:")

    # Expressions ----------------------------------------------------------------------------

    def value(self, node: ast.expr) -> str:
        """The word that an expression gives."""
        if isinstance(node, ast.Constant):
            return str(int(node.value))  # type: ignore[arg-type]
        if isinstance(node, ast.Name):
            return self._name(node.id)
        if isinstance(node, (ast.Subscript, ast.Attribute)):
            place, made = self._place(node), self._result()
            self._line(f"{made} = load i64, ptr {place}")
            return made
        if isinstance(node, ast.BinOp):
            return self._operation(node.op, self.value(node.left), self.value(node.right))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Invert)):
            start = "0" if isinstance(node.op, ast.USub) else "-1"
            return self._operation(ast.Sub(), start, self.value(node.operand))
        if isinstance(node, ast.Call):
            return self._call(node)
        return self._chosen(node)

    def _chosen(self, node: ast.expr) -> str:
        """A word that conditions decide: `a if b else c`, or 0 or 1."""
        test, values = node, (ast.Constant(1), ast.Constant(0))
        if isinstance(node, ast.IfExp):
            test, values = node.test, (node.body, node.orelse)  # type: ignore[assignment]
        yes, no, after = self._labels("yes", "no", "after")
        slot = self._result()
        self._slots.append(slot)
        self.condition(test, yes, no)
        for label, part in zip((yes, no), values, strict=True):
            self.lines.append(f"{label}:")
            self._line(f"store i64 {self.value(part)}, ptr {slot}")
            self._line(f"br label %{after}")
        self.lines.append(f"{after}:")
        made = self._result()
        self._line(f"{made} = load i64, ptr {slot}")
        return made

    def _name(self, name: str) -> str:
        module = self.module
        if name in self.variables:
            made = self._result()
            self._line(f"{made} = load i64, ptr %{name}")
            return made
        if name in module.memory or name in module.names:
            return f"ptrtoint (ptr @{name} to i64)"
        return str(module.numbers[name])

    def _place(self, node: ast.expr) -> str:
        """A pointer to the word that is read or written."""
        assert isinstance(node, (ast.Subscript, ast.Attribute))
        base, pointer, made = self.value(node.value), self._result(), self._result()
        self._line(f"{pointer} = inttoptr i64 {base} to ptr")
        if isinstance(node, ast.Subscript):
            self._line(f"{made} = getelementptr i64, ptr {pointer}, i64 {self.value(node.slice)}")
        else:
            offset = self.module.numbers[node.attr]
            self._line(f"{made} = getelementptr i8, ptr {pointer}, i64 {offset}")
        return made

    def _operation(self, op: ast.operator, left: str, right: str) -> str:
        made = self._result()
        self._line(f"{made} = {_OPERATORS[type(op)]} i64 {left}, {right}")
        return made

    def _call(self, node: ast.Call) -> str:
        assert isinstance(node.func, ast.Name)
        name, module, made = node.func.id, self.module, self._result()
        given = [self.value(argument) for argument in node.args]
        if name in _BUILT_IN:
            self._line(_BUILT_IN[name].format(*given, r=made))
            return made
        if name == "call":  # a function whose address is the first operand
            pointer = self._result()
            self._line(f"{pointer} = inttoptr i64 {given.pop(0)} to ptr")
            target, kind = pointer, "i64"
        else:
            if name not in module.names:
                module.outside[name] = len(given)
            target, kind = f"@{name}", "i32" if name in module.ints else "i64"
        arguments = ", ".join(f"i64 {argument}" for argument in given)
        if kind == "i64":
            self._line(f"{made} = call i64 {target}({arguments})")
            return made
        wide = self._result()
        self._line(f"{made} = call i32 {target}({arguments})")
        self._line(f"{wide} = sext i32 {made} to i64")
        return wide

    # Conditions -----------------------------------------------------------------------------

    def condition(self, node: ast.expr, yes: str, no: str) -> None:
        """Go to one of two labels."""
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            self.condition(node.operand, no, yes)
        elif isinstance(node, ast.BoolOp):
            every = isinstance(node.op, ast.And)
            for part in node.values[:-1]:
                following = self._labels("and")[0]
                self.condition(part, *((following, no) if every else (yes, following)))
                self.lines.append(f"{following}:")
            self.condition(node.values[-1], yes, no)
        else:
            self._line(f"br i1 {self._truth(node)}, label %{yes}, label %{no}")

    def _truth(self, node: ast.expr) -> str:
        made = self._result()
        if isinstance(node, ast.Compare):
            kind, right = _COMPARISONS[type(node.ops[0])], node.comparators[0]
            left = self.value(node.left)
            self._line(f"{made} = icmp {kind} i64 {left}, {self.value(right)}")
        else:
            self._line(f"{made} = icmp ne i64 {self.value(node)}, 0")
        return made
