"""Tests -> instructions that jump; those that guards are made of are one instruction each.

Comes in: conditions of a block's text, and where to go. Goes out: code.
"""

from __future__ import annotations

import ast
from types import FunctionType
from typing import Any

from dualflow.ops import door
from dualflow.runtime import native_call
from dualflow.runtime.machine import Do

from ..redoing import apart
from .code import Code, Label, Operand
from .names import Names, name_of
from .values import RICH, Values

_IDENTITY = {ast.Is: True, ast.IsNot: False}
_MEMBERSHIP = {ast.In: True, ast.NotIn: False}
_EQUALITY = {ast.Eq: True, ast.NotEq: False}
_LAYOUT = ("shape", "dtype", "strides")


class Conditions:
    """The tests of one block: called with one, `when` and a place, goes there if the truth of it is
    `when`, and else on."""

    def __init__(self, code: Code, names: Names, values: Values) -> None:
        self.code, self.names, self.values = code, names, values

    def __call__(self, node: ast.expr, when: bool, to: Label) -> None:
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            self(node.operand, not when, to)
        elif isinstance(node, ast.BoolOp):
            self._several(node, when, to)
        elif not self._special(node, when, to):
            self._truth(self.values(node), when, to)

    def _truth(self, operand: Operand, when: bool, to: Label) -> None:
        self.code.emit(Do.TRUE_IS, when, to, operand)

    def _several(self, node: ast.BoolOp, when: bool, to: Label) -> None:
        parts, decides = list(node.values), isinstance(node.op, ast.Or)
        if not decides and not when and self._given(parts, to):
            return
        if decides and when and self._layout(parts, to):
            parts = parts[len(_LAYOUT) :]
        beyond = self.code.label()
        for part in parts[:-1]:
            self(part, decides, to if decides is when else beyond)
        if parts:
            self(parts[-1], when, to)
        self.code.place(beyond)

    def _given(self, parts: list[ast.expr], miss: Label) -> bool:
        """`len(args) == 2 and tuple(kwargs) == K0`: how many arguments are given, with what
        names."""
        match parts:
            case [ast.Compare(left, _, [first]), ast.Compare(_, _, [second])]:
                asked = self.names.operands(left, len)
            case _:
                return False
        if asked is None or name_of(asked[0]) != "args":
            return False
        count, names = self.names.known(first), self.names.known(second)
        self.values.given = count + len(names), names
        self.code.emit(Do.GIVEN, False, miss, count + len(names), self.code.kept(names))
        return True

    def _layout(self, parts: list[ast.expr], miss: Label) -> bool:
        """`v0.shape != K0 or v0.dtype != K1 or v0.strides != K2`."""
        asked = [part for part in parts[: len(_LAYOUT)] if isinstance(part, ast.Compare)]
        found = [part.left for part in asked if isinstance(part.left, ast.Attribute)]
        owners = {name_of(attribute.value) for attribute in found}
        if tuple(attribute.attr for attribute in found) != _LAYOUT or len(owners) != 1:
            return False
        shape, dtype, strides = (self.names.known(part.comparators[0]) for part in asked)
        words = native_call.words_of_layout((shape, dtype, strides))
        self.code.keep += [words, dtype]
        array = self.values(found[0].value)
        self.code.emit(Do.LAYOUT, False, miss, array, words.ctypes.data)
        return True

    def _special(self, node: ast.expr, when: bool, to: Label) -> bool:
        """Tests that are instructions of their own."""
        node = self.names.lookups.get(name_of(node), node)
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            self._comparison(node, when, to)
            return True
        groups = self.names.operands(node, apart, 2)
        if groups is not None:
            self._apart(groups, when, to)
            return True
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            return not when and self._disjoint(node, to)
        array = _flags_of(node)
        if array is not None:
            self.code.emit(Do.WRITEABLE, when, to, self.values(array))
        return array is not None

    def _apart(self, groups: list[ast.expr], when: bool, to: Label) -> None:
        """Whether tensors that are written share no memory with others: at once where each has
        memory of its own, else by the function itself."""
        code, values = self.code, self.values
        tuples = [group for group in groups if isinstance(group, ast.Tuple)]
        written, others = (values.each(group.elts) for group in tuples)
        quick, after = code.label(), code.label()
        both = [*written, *others]
        code.emit(Do.APART, True, quick, len(both), len(written), *both)
        given = [values.display(Do.TUPLE, group) for group in (written, others)]
        self._truth(values.call(code.constant(apart), given), when, to)
        code.emit(Do.JUMP, after)
        code.place(quick)
        if when:
            code.emit(Do.JUMP, to)
        code.place(after)

    def _disjoint(self, node: ast.Call, miss: Label) -> bool:
        """`W0.keys().isdisjoint(K0)`: none of these names is in the namespace."""
        match node:
            case ast.Call(ast.Attribute(ast.Call(ast.Attribute(of)), "isdisjoint"), [given]):
                name, names = name_of(of), self.names.known(given)
            case _:
                return False
        if type(names) is not frozenset or name not in self.names.spaces:
            return False
        space = self.names.spaces[name]
        if len(names) > len(space):
            self.code.emit(Do.DISJOINT, False, miss, id(space), self.code.kept(names))
            return True
        for each in names:
            self.code.emit(Do.IN_SPACE, False, miss, id(space), self.code.kept(each), 0)
        return True

    def _comparison(self, node: ast.Compare, when: bool, to: Label) -> None:
        op, left, right = type(node.ops[0]), node.left, node.comparators[0]
        if op in _IDENTITY:
            self._identity(left, right, when is _IDENTITY[op], to)
        elif op in _MEMBERSHIP:
            self._membership(left, right, when is _MEMBERSHIP[op], to)
        elif op not in _EQUALITY or not self._length(left, right, when is _EQUALITY[op], to):
            self.code.emit(Do.COMPARES, when, to, *self.values.each([left, right]), RICH[op])

    def _identity(self, left: ast.expr, right: ast.expr, when: bool, to: Label) -> None:
        if isinstance(left, ast.Name):
            left = self.names.lookups.get(left.id, left)
        code, single, space = self.code, self.names.single(right), self.names.space(left)
        if single is None:
            code.emit(Do.SAME, when, to, *self.values.each([left, right]))
            return
        wanted = id(single[0]) if single[1] else code.kept(single[0])
        asked = self.names.operands(left, type)
        if space is not None:
            code.emit(Do.IN_SPACE, when, to, id(space[0]), code.kept(space[1]), wanted)
        elif asked is not None:
            code.emit(Do.TYPE_IS, when, to, self.values(asked[0]), wanted)
        elif isinstance(left, ast.Attribute):
            self._attribute(left, wanted, when, to)
        else:
            code.emit(Do.IS, when, to, self.values(left), wanted)

    def _attribute(self, node: ast.Attribute, wanted: int, when: bool, to: Label) -> None:
        owner = self.names.weak.get(name_of(node.value))
        if node.attr == "__code__" and type(owner) is FunctionType:
            self.code.emit(Do.CODE, when, to, id(owner), wanted)
            return
        if self.names.known(node.value) is door.state:
            self.code.emit(Do.IS, when, to, self.values.state(node.attr), wanted)
            return
        owner = self.values(node.value)
        self.code.emit(Do.ATTRIBUTE, when, to, owner, self.code.kept(node.attr), wanted)

    def _membership(self, left: ast.expr, right: ast.expr, when: bool, to: Label) -> None:
        name, space = self.names.known(left), self.names.dict_named(right)
        if space is not None and type(name) is str:  # the instruction asks whether it is absent
            self.code.emit(Do.IN_SPACE, not when, to, id(space), self.code.kept(name), 0)
        else:
            self.code.emit(Do.HOLDS, when, to, *self.values.each([right, left]))

    def _length(self, left: ast.expr, right: ast.expr, when: bool, to: Label) -> bool:
        """`len(a) == n`, and whether objects differ: `len({id(a), id(b)}) == 2`."""
        count: Any = self.names.known(right)
        asked = self.names.operands(left, len)
        if asked is None or type(count) is not int:
            return False
        of = asked[0]
        if not isinstance(of, ast.Set):
            self.code.emit(Do.LENGTH_IS, when, to, self.values(of), count)
            return True
        objects = [self.names.operands(item, id) for item in of.elts]
        given = [each[0] for each in objects if each is not None]
        if not len(given) == len(objects) == count:
            return False
        self.code.emit(Do.DIFFERENT, when, to, count, *self.values.each(given))
        return True


def _flags_of(node: ast.expr) -> ast.expr | None:
    """The array in `v0._array.flags.writeable`."""
    found = []
    for name in ("writeable", "flags", "_array"):
        if not isinstance(node, ast.Attribute) or node.attr != name:
            return None
        found.append(node)
        node = node.value
    return found[-1]
