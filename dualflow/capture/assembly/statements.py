"""The lines of a block -> instructions.

Comes in: the text of a block, the names in it, and its program. Goes out: the words of the block.
"""

from __future__ import annotations

import ast
from typing import Any

import numpy as np

from dualflow.base import config
from dualflow.base.syntax import parse
from dualflow.runtime import machine
from dualflow.runtime.machine import Do
from dualflow.runtime.native import NativeProgram

from ..emit import Marker
from ..redoing import store
from .code import Code, Label, Operand, Other
from .conditions import Conditions
from .names import Names, kept, name_of
from .values import Values

_KINDS = {"float64": machine.FLOAT64, "float32": machine.FLOAT32,
          "int64": machine.INT64}  # fmt: skip
_HANDLED = ("Exception", "GuardErrors")


class Assembler:
    """The code of one block.

    Args:
        text, namespace: the block as a function, and the names in it.
        program: what `run` is, if it is one native call.
        given: how many arguments a call has, and the names of the last of them, if a block above
            says it.
        leaf: whether no block stands below it.
        settings: those that it is for.

    Attributes:
        given: as it is known below this block.
        late: whether it reads or leaves values of other blocks.
        keep: what must live as long as the code.
    """

    def __init__(
        self, text: str, namespace: dict[str, Any], program: NativeProgram | None,
        given: tuple[int, tuple[str, ...]], leaf: bool, settings: Any,
    ) -> None:  # fmt: skip
        text = kept(text) if leaf else text
        (tree,) = parse(text).body
        assert isinstance(tree, ast.FunctionDef)
        self._program = program
        self._code, self._names = Code(), Names(text, namespace)
        self._values = Values(self._code, self._names, given)
        self._test = self._values.jump = Conditions(self._code, self._names, self._values)
        self._settings = settings
        self._settled: dict[str, Any] = {}  # the names of the settings in the text
        self._outer: Label | None = None
        self._handlers: list[tuple[Label, Label | None, list[ast.stmt]]] = []
        self.keep = self._code.keep
        self.keep.append(namespace)
        self._write(tree.body)
        self._values.jump = None  # no cycle holds what the block refers to weakly
        self.given, self.late = self._values.given, self._values.late

    def words(self) -> np.ndarray:
        """The words of the block."""
        return self._code.words()

    def _write(self, body: list[ast.stmt]) -> None:
        code = self._code
        start, begin, self._miss = code.label(), code.label(), code.label()
        code.emit(Do.JUMP, start)
        code.place(begin)
        self._body(body)
        for label, outer, handler in self._handlers:
            code.place(label)
            code.handle(outer)
            self._body(handler)
        code.place(self._miss)
        code.emit(Do.GIVE_MISS)
        code.place(start)
        for name, local in self._values.start.items():
            owner = self._names.weakly(name)
            code.copy(local, code.borrowed(id(owner), owner))
        code.emit(Do.JUMP, begin)

    def _body(self, statements: list[ast.stmt]) -> None:
        skip = False
        for node, after in zip(statements, [*statements[1:], None], strict=False):
            if skip:
                skip = False
                continue
            skip = after is not None and self._new_tensor(node, after)
            if not skip and (after is None or not self._names.compared_next(node, after)):
                method = getattr(self, "_" + type(node).__name__.lower(), None)
                if method is None:
                    raise Other(ast.unparse(node))
                method(node)

    def _new_tensor(self, node: ast.stmt, after: ast.stmt) -> bool:
        """`v = new(Tensor)`, and after it `v._array = ...`, as one instruction."""
        if not (isinstance(node, ast.Assign) and isinstance(after, ast.Assign)):
            return False
        name, target = name_of(node.targets[0]), after.targets[0]
        made = self._names.operands(node.value, object.__new__)
        if made is None or not isinstance(target, ast.Attribute):
            return False
        if name_of(target.value) != name or (name_of(made[0]), target.attr) != ("Tensor", "_array"):
            return False
        array = self._values(after.value)
        if self._names.is_shell(name):
            self._values.shells[name] = array
        else:
            self._code.emit(Do.NEW_TENSOR, self._values.variable(name), array)
        return True

    def _pass(self, node: ast.Pass) -> None:
        pass

    def _expr(self, node: ast.Expr) -> None:
        given = self._names.operands(node.value, store, 3)
        if given is None:
            self._values(node.value)
        else:
            self._store(*self._values.each(given))

    def _store(self, tensor: Operand, made: Operand, times: Operand) -> None:
        """`store(tensor, made, times)`: where the program has stored already, a count."""
        code = self._code
        slow, done, word = code.label(), code.label(), code.constant("version")
        array = code.binary("PyObject_GetAttr", tensor, code.constant("_array"))
        code.emit(Do.SAME, False, slow, array, made)
        storage = code.binary("PyObject_GetAttr", tensor, code.constant("_storage"))
        code.emit(Do.IS, True, slow, storage, id(None))
        version = code.binary("PyObject_GetAttr", storage, word)
        code.status("PyObject_SetAttr", storage, word,
                    code.binary("PyNumber_Add", version, times))  # fmt: skip
        code.emit(Do.JUMP, done)
        code.place(slow)
        self._values.call(code.constant(store), [tensor, made, times])
        code.place(done)

    def _delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            owner, key, kind = self._target(target)
            function = "PyObject_DelItem" if kind == "Item" else "PyObject_SetAttr"
            self._code.status(function, owner, key, None)

    def _target(self, node: ast.expr) -> tuple[Operand, Operand, str]:
        """The owner and the name of an attribute, or the key of an item, and which it is."""
        if isinstance(node, ast.Attribute):
            return self._values(node.value), self._code.constant(node.attr), "Attr"
        if isinstance(node, ast.Subscript):
            return self._values(node.value), self._values(node.slice), "Item"
        raise Other("a target")

    def _augassign(self, node: ast.AugAssign) -> None:
        owner, key, kind = self._target(node.target)
        before = self._code.binary("PyObject_Get" + kind, owner, key)
        made = self._values.in_place(node.op, before, node.value)
        self._code.status("PyObject_Set" + kind, owner, key, made)

    def _assign(self, node: ast.Assign) -> None:
        (target,), value = node.targets, node.value
        if not isinstance(target, ast.Name):
            made = self._values(value)
            owner, key, kind = self._target(target)
            self._code.status("PyObject_Set" + kind, owner, key, made)
        elif self._names.operands(value, config.active, 0) is not None:
            self._settled[target.id] = self._settings
        elif not (
            self._names.head(target.id, value)
            or self._names.look_up_late(target.id, value)
            or self._run(target.id, value)
        ):
            self._values(value, self._values.variable(target.id))

    def _if(self, node: ast.If) -> None:
        code, first = self._code, _first_name(node.test)
        if first == "check":
            code.emit(Do.ALIVE_STILL)
        elif first in self._settled:
            if eval(ast.unparse(node.test), dict(self._settled)):
                code.emit(Do.JUMP, self._miss)
        elif self._names.is_head(node.test):
            pass
        elif _misses(node.body):
            self._test(node.test, True, self._miss)
        else:
            otherwise, after = code.label(), code.label()
            self._test(node.test, False, otherwise)
            self._body(node.body)
            code.emit(Do.JUMP, after)
            code.place(otherwise)
            self._body(node.orelse)
            code.place(after)

    def _try(self, node: ast.Try) -> None:
        if not node.handlers:
            raise Other("finally")
        (handler,) = node.handlers
        if (
            handler.type is None
            or name_of(handler.type) not in _HANDLED
            or node.orelse
            or node.finalbody
        ):
            raise Other("try")
        body = [line for line in handler.body if not _passes_on(line)]
        if _misses(body):
            label = self._miss
        else:
            label = self._code.label()
            self._handlers.append((label, self._outer, body))
        outer, self._outer = self._outer, label
        self._code.handle(label)
        self._body(node.body)
        self._outer = outer
        self._code.handle(outer)

    def _return(self, node: ast.Return) -> None:
        assert node.value is not None
        if type(self._names.known(node.value)) is Marker:
            self._code.emit(Do.GIVE_STOP)
        else:
            self._code.emit(Do.RETURN, self._values(node.value))

    # Programs -------------------------------------------------------------------------------

    def _run(self, name: str, node: ast.expr) -> bool:
        """`v = run((...))` as one instruction; its outputs get registers."""
        program, code = self._program, self._code
        match node:
            case ast.Call(func=ast.Name("run"), args=[ast.Tuple(items)]) if program is not None:
                inputs = [self._input(item) for item in items]
            case _:
                return False
        made = [code.local() for _ in program.buffers]
        words = [word for pair in inputs for word in pair]
        for (shape, dtype, make), register in zip(program.buffers, made, strict=True):
            sizes = np.array([*shape, 0], np.int64)
            self.keep += [sizes, dtype]
            how = (len(shape), sizes.ctypes.data, id(dtype))
            words += [*(how if make is None else (-1, 0, code.kept(make))), register]
        code.kept(program)
        code.emit(Do.RUN, 7 + len(words), program.code.ctypes.data, program.arena, len(inputs),
                  len(made), program.release, *words)  # fmt: skip
        self._values.outputs[name] = [
            made[index] if place == "output" else inputs[index][1]
            for place, index in program.outputs
        ]
        return True

    def _input(self, node: ast.expr) -> tuple[int, Operand]:
        """What an input of a program is, and its register: a Python number is made an element
        there."""
        kind, given = None, self._names.operands(node, np.array, 2)
        if given is not None:
            number, dtype = given
            kind = _KINDS.get(getattr(self._names.known(dtype), "name", ""))
            node = node if kind is None else number
        return kind or machine.ARRAY_INPUT, self._values(node)


def _passes_on(node: ast.stmt) -> bool:
    """Whether a line asks for interrupts, which come between lines of Python alone."""
    match node:
        case ast.Expr(ast.Call(func=ast.Name("pass_on"))):
            return True
    return False


def _misses(body: list[ast.stmt]) -> bool:
    """Whether lines are `return MISS` alone."""
    first = body[0]
    return isinstance(first, ast.Return) and name_of(first.value or first) == "MISS"


def _first_name(node: ast.expr) -> str:
    """The name with which a test begins, but of a call none."""
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.BoolOp):
            node = node.values[0]
        elif isinstance(node, ast.Compare):
            node = node.left
        elif isinstance(node, ast.Attribute):
            node = node.value
        else:
            return ""
    return node.id
