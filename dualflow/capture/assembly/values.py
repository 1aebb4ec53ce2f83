"""Expressions -> instructions that put their values into registers.

Comes in: expressions of a block's text. Goes out: for each the register of its value. What has no
instruction becomes a Python function of the variables in it.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Sequence

from dualflow.base.syntax import code_of
from dualflow.ops import door
from dualflow.runtime import native_call
from dualflow.runtime.machine import Do

from .code import Code, Label, Local, Operand, Other
from .names import UNKNOWN, Names, name_of

_BINARY = {
    ast.Add: "Add", ast.Sub: "Subtract", ast.Mult: "Multiply", ast.Div: "TrueDivide",
    ast.FloorDiv: "FloorDivide", ast.Mod: "Remainder", ast.BitAnd: "And", ast.BitOr: "Or",
    ast.BitXor: "Xor", ast.LShift: "Lshift", ast.RShift: "Rshift",
}  # fmt: skip
_UNARY = {ast.USub: "Negative", ast.UAdd: "Positive", ast.Invert: "Invert"}
RICH = {ast.Lt: 0, ast.LtE: 1, ast.Eq: 2, ast.NotEq: 3, ast.Gt: 4, ast.GtE: 5}
#: How a test becomes code: (test, when, label) goes to the label if its truth is `when`.
Jump = Callable[[ast.expr, bool, Label], None]


class Values:
    """The values of one block.

    Attributes:
        given: how many arguments a call has, and the names of the last of them.
        late: whether values that other blocks left are read.
        outputs: the registers of what programs made, by the name in the text.
        shells: the arrays of tensors that are made for them alone.
        start: weak names whose objects are held during the call, from its start.
    """

    def __init__(self, code: Code, names: Names, given: tuple[int, tuple[str, ...]]) -> None:
        self.code, self.names, self.given = code, names, given
        self.late = False
        self.outputs: dict[str, list[Operand]] = {}
        self.shells: dict[str, Operand] = {}
        self.start: dict[str, Local] = {}
        self.jump: Jump | None = None
        self._variables: dict[str, Local] = {}

    def variable(self, name: str) -> Local:
        """The register of a variable of the text."""
        found = self._variables.get(name)
        if found is None:
            found = self._variables[name] = self.code.local()
        return found

    def __call__(self, node: ast.expr, d: Local | None = None) -> Operand:
        """The register in which the value of `node` is; `d` where one is given."""
        method = getattr(self, "_" + type(node).__name__.lower(), None)
        found = None if method is None else method(node, d)
        if found is None:
            found = self._python(node, d or self.code.local())
        return found if d is None else self.code.copy(d, found)

    def each(self, nodes: Sequence[ast.expr]) -> list[Operand]:
        """The registers of several values."""
        return [self(node) for node in nodes]

    def _constant(self, node: ast.Constant, d: Local | None) -> Operand:
        return self.code.constant(node.value)

    def _name(self, node: ast.Name, d: Local | None) -> Operand:
        name, code = node.id, self.code
        if name in self.names.lookups:
            return self(self.names.lookups[name], d)
        if name in self._variables:
            return self._variables[name]
        if name in ("T", "X"):
            self.late = True
            code.emit(Do.LATE, d := d or code.local())
            return d
        if name in self.names.weak:
            self.names.weakly(name)
            if name not in self.start:
                self.start[name] = code.local()
            return self.start[name]
        known = self.names.known(node)
        if known is UNKNOWN:
            raise Other(name)
        return code.constant(known)

    def _attribute(self, node: ast.Attribute, d: Local | None) -> Operand:
        if node.attr == "_array" and name_of(node.value) in self.shells:
            return self.shells[name_of(node.value)]
        if self.names.known(node.value) is door.state:
            return self.state(node.attr, d)
        owner, name = self(node.value), self.code.constant(node.attr)
        return self.code.binary("PyObject_GetAttr", owner, name, d)

    def state(self, name: str, d: Local | None = None) -> Local:
        """What the state of the thread has under a name; what its class has, where it has none."""
        code, otherwise = self.code, getattr(type(door.state), name)
        code.emit(Do.OF_STATE, d := d or code.local(), code.kept(sys.intern(name)),
                  code.kept(otherwise))  # fmt: skip
        return d

    def _subscript(self, node: ast.Subscript, d: Local | None) -> Operand:
        code, space = self.code, self.names.space(node)
        base = node.value.id if isinstance(node.value, ast.Name) else ""
        if space is not None:
            code.emit(Do.SPACE, d := d or code.local(), id(space[0]), code.kept(space[1]))
            return d
        if base in self.outputs:
            return self.outputs[base][self.names.known(node.slice)]
        if base in ("args", "kwargs"):
            code.emit(Do.ARGUMENT, d := d or code.local(), self._argument(base, node.slice))
            return d
        return code.binary("PyObject_GetItem", self(node.value), self(node.slice), d)

    def _slice(self, node: ast.Slice, d: Local | None) -> Operand:
        ends = [end or ast.Constant(None) for end in (node.lower, node.upper, node.step)]
        return self.call(self.code.constant(slice), self.each(ends), (), d)

    def _argument(self, base: str, node: ast.expr) -> int:
        """Which of the objects that a call is given `args[i]` or `kwargs[name]` is."""
        (count, names), at = self.given, self.names.known(node)
        if base == "kwargs":
            at = count - len(names) + names.index(at) if at in names else count
        if type(at) is not int or not 0 <= at < count:
            raise Other("an argument")
        return at

    def _binop(self, node: ast.BinOp, d: Local | None) -> Operand | None:
        function = _BINARY.get(type(node.op))
        if function is None:
            return None
        return self.code.binary("PyNumber_" + function, self(node.left), self(node.right), d)

    def in_place(self, op: ast.operator, before: Operand, node: ast.expr) -> Operand:
        """The value of `before op= node`."""
        function = _BINARY.get(type(op))
        if function is None:
            raise Other("an augmented assignment")
        return self.code.binary("PyNumber_InPlace" + function, before, self(node))

    def _unaryop(self, node: ast.UnaryOp, d: Local | None) -> Operand:
        if isinstance(node.op, ast.Not):
            return self._truth(node, d)
        return self._unary("PyNumber_" + _UNARY[type(node.op)], node.operand, d)

    def _unary(self, function: str, node: ast.expr, d: Local | None) -> Local:
        operand = self(node)
        self.code.emit(Do.UNARY, d := d or self.code.local(), native_call.function(function),
                       operand)  # fmt: skip
        return d

    def _compare(self, node: ast.Compare, d: Local | None) -> Operand | None:
        if len(node.ops) != 1:
            return None
        if type(node.ops[0]) not in RICH:
            return self._truth(node, d)
        given = self(node.left), self(node.comparators[0])
        self.code.emit(Do.RICH, d := d or self.code.local(), *given, RICH[type(node.ops[0])])
        return d

    def _call(self, node: ast.Call, d: Local | None) -> Operand | None:
        starred = any(isinstance(argument, ast.Starred) for argument in node.args)
        if starred or any(keyword.arg is None for keyword in node.keywords):
            return None
        code = self.code
        asked = self.names.operands(node, type)
        if asked is not None:
            return self._unary("PyObject_Type", asked[0], d)
        if isinstance(node.func, ast.Attribute) and not node.keywords:
            given, name = self.each([node.func.value, *node.args]), code.kept(node.func.attr)
            code.emit(Do.METHOD, d := d or code.local(), name, len(given), *given)
            return d
        function = self(node.func)
        given = self.each([*node.args, *(keyword.value for keyword in node.keywords)])
        return self.call(function, given, tuple(str(k.arg) for k in node.keywords), d)

    def call(
        self, function: Operand, given: Sequence[Operand], names: tuple[str, ...] = (),
        d: Local | None = None,
    ) -> Local:  # fmt: skip
        """The result of a call; `names` are those of the last operands."""
        code = self.code
        code.emit(Do.CALL, d := d or code.local(), function, code.kept(names) if names else 0,
                  len(given), *given)  # fmt: skip
        return d

    def _tuple(self, node: ast.Tuple | ast.List, d: Local | None) -> Operand | None:
        if any(isinstance(part, ast.Starred) for part in node.elts):
            return None
        do = Do.TUPLE if isinstance(node, ast.Tuple) else Do.LIST
        return self.display(do, self.each(node.elts), d)

    _list = _tuple

    def display(self, do: Do, given: Sequence[Operand], d: Local | None = None) -> Local:
        """A tuple or a list of these."""
        self.code.emit(do, d := d or self.code.local(), len(given), *given)
        return d

    def _dict(self, node: ast.Dict, d: Local | None) -> Operand | None:
        keys = [key for key in node.keys if key is not None]
        if len(keys) != len(node.keys):
            return None
        pairs = self.each([part for pair in zip(keys, node.values, strict=True) for part in pair])
        self.code.emit(Do.DICT, d := d or self.code.local(), len(keys), *pairs)
        return d

    def _ifexp(self, node: ast.IfExp, d: Local | None) -> Operand:
        code, d = self.code, d or self.code.local()
        otherwise, after = code.label(), code.label()
        assert self.jump is not None
        self.jump(node.test, False, otherwise)
        self(node.body, d)
        code.emit(Do.JUMP, after)
        code.place(otherwise)
        self(node.orelse, d)
        code.place(after)
        return d

    def _truth(self, node: ast.expr, d: Local | None) -> Operand:
        return self._ifexp(ast.IfExp(node, ast.Constant(True), ast.Constant(False)), d)

    def _python(self, node: ast.expr, d: Local) -> Local:
        """The value of an expression as a Python function gives it."""
        if any(isinstance(part, ast.NamedExpr) for part in ast.walk(node)):
            raise Other("an assignment within an expression")
        read = dict.fromkeys(part.id for part in ast.walk(node) if isinstance(part, ast.Name))
        variables = {*self.names.variables, "T", "X", "args", "kwargs"}
        names = [name for name in read if name in variables]
        arguments = ast.arguments([], [ast.arg(name) for name in names], None, [], [], None, [])
        tree = ast.fix_missing_locations(ast.Expression(ast.Lambda(arguments, node)))
        function = eval(code_of(tree, "<dualflow replay>", "eval"), self.names.namespace)
        given = self.each([ast.Name(name, ast.Load()) for name in names])
        return self.call(self.code.constant(function), given, (), d)
