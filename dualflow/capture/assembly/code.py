"""Instructions while they are being written: registers, constants and places by number.

Comes in: instructions, one by one. Goes out: the words of a block (`runtime/native_call`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dualflow.runtime import native_call
from dualflow.runtime.machine import Do


class Other(Exception):  # noqa: N818 - no error: a block that Python replays
    """Something that the machine does not do."""


class Local(int):
    """A register for a variable."""


class Constant(int):
    """A register for a constant."""


class Label(int):
    """A place in the code, which may be known later."""


Operand = Local | Constant


class Code:
    """The code of one block.

    Attributes:
        keep: what must live as long as the code.
    """

    def __init__(self) -> None:
        self.keep: list[Any] = []
        self._words: list[int] = []
        self._constants: dict[int, Constant] = {}
        self._values: list[int] = []
        self._labels: list[int | None] = []
        self._locals = 0

    def emit(self, *words: int) -> None:
        """One instruction: its number and its operands."""
        self._words += words

    def label(self) -> Label:
        """A new place."""
        self._labels.append(None)
        return Label(len(self._labels) - 1)

    def place(self, label: Label) -> None:
        """Let a place be here."""
        self._labels[label] = len(self._words)

    def local(self) -> Local:
        """A fresh register."""
        self._locals += 1
        return Local(self._locals - 1)

    def constant(self, value: Any) -> Constant:
        """The register of a constant."""
        return self.borrowed(self.kept(value), value)

    def borrowed(self, address: int, value: Any) -> Constant:
        """The register of a constant that somebody else keeps alive."""
        found = self._constants.get(address)
        if found is None:
            found = self._constants[address] = Constant(len(self._values))
            self._values.append(id(value))
        return found

    def kept(self, value: Any) -> int:
        """The address of an object, which lives as long as the code."""
        self.keep.append(value)
        return id(value)

    def handle(self, label: Label | None) -> None:
        """Let what fails from here on go to a place, or leave the call as an exception."""
        self.emit(Do.HANDLER, 0 if label is None else label)

    def copy(self, d: Local, operand: Operand) -> Local:
        """Put the object of another register into `d`."""
        if operand is not d:
            self.emit(Do.MOVE, d, operand)
        return d

    def binary(self, function: str, a: Operand, b: Operand, d: Local | None = None) -> Local:
        """The result of a C function of Python's that takes two objects and gives one."""
        d = d or self.local()
        self.emit(Do.BINARY, d, native_call.function(function), a, b)
        return d

    def status(self, function: str, a: Operand, b: Operand, c: Operand | None) -> None:
        """Call a C function of Python's that takes up to three objects and gives a status."""
        self.emit(Do.TERNARY, native_call.function(function), a, b, -1 if c is None else c)

    def words(self) -> np.ndarray:
        """The words of the block."""
        first, code = len(self._values), []
        for word in self._words:
            if type(word) is Local:
                code.append(int(word) + first)
            elif type(word) is Label:
                place = self._labels[word]
                assert place is not None
                code.append(place)
            else:
                code.append(int(word))
        return native_call.words_of_block(self._values, self._locals, code)
