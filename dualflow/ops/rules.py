"""Shape and dtype rules shared by records: strict checks, and how public functions promote.

Comes in: the types of operands. Goes out: the type of the result, or a ShapeError or DTypeError.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dualflow.base.dtypes import Number, bool_, floating, kind, real_dtype, stored_only
from dualflow.base.errors import ArgumentError, DTypeError, ShapeError
from dualflow.ir.types import TensorType

KIND_NAMES = {
    "b": "booleans",
    "i": "signed integers",
    "u": "unsigned integers",
    "f": "floats",
    "c": "complex numbers",
}


def check_kind(what: str, dtype: np.dtype, kinds: str) -> None:
    """DTypeError unless `dtype` is of one of `kinds`."""
    letter = kind(dtype)
    if letter in kinds:
        return
    if letter == "s":
        raise stored_only(f"{what} of {dtype.name}")
    taken = " and ".join(KIND_NAMES[kind] for kind in kinds if kind != "s")
    raise DTypeError(f"{what} of {dtype.name}", why=f"it takes {taken}",
                     instead="astype(...) to such a dtype first")  # fmt: skip


def ordered(x: np.ndarray) -> np.ndarray:
    """`x`; TypeError of complex numbers, which NumPy would order by their real parts first."""
    if x.dtype.kind == "c":
        raise TypeError("complex numbers have no order")  # the rule says more
    return x


class ElementwiseRule(NamedTuple):
    """All operands of one shape and one dtype.

    Attributes:
        name: the op's name, for messages.
        accepts: letters of the dtype kinds that it takes (see `base.dtypes.kind`).
        result: the dtype of the result; None for that of the operands.
        to_real: the result of complex numbers is real (abs, real).
        to_float: public functions turn integers into the default float (exp, divide).
        to_bool: public functions turn everything into booleans (logical_and).
        condition: the first operand is a condition, a boolean, whatever the others are.
    """

    name: str
    accepts: str = "biuf"
    result: np.dtype | None = None
    to_real: bool = False
    to_float: bool = False
    to_bool: bool = False
    condition: bool = False

    def __call__(self, *types: TensorType) -> TensorType:
        first = types[0]
        for other in types:
            if other.shape != first.shape:
                shapes = " and ".join(str(t.shape) for t in types)
                raise ShapeError(
                    f"{self.name} of shapes {shapes}",
                    why="primitives do not broadcast", instead="expand first",
                )  # fmt: skip
        if self.condition:
            check_kind(f"the condition of {self.name}", first.dtype, "b")
        valued = types[1:] if self.condition else types
        for other in valued:
            if other.dtype != valued[0].dtype:
                raise DTypeError(f"{self.name} of {valued[0].dtype.name} and {other.dtype.name}",
                                 why="primitives do not promote", instead="cast first")  # fmt: skip
        check_kind(self.name, valued[0].dtype, self.accepts)
        dtype = self.result or valued[0].dtype
        return TensorType(first.shape, real_dtype(dtype) if self.to_real else dtype)

    def operand_dtype(self, joined: np.dtype) -> np.dtype:
        """The dtype to which public functions cast operands that join to `joined`."""
        dtype = bool_ if self.to_bool else floating(joined) if self.to_float else joined
        check_kind(self.name, dtype, self.accepts)
        return dtype


#: kinds of dtypes that hold a Python scalar of each type
_FILLED: dict[type, str] = {bool: "biufcs", int: "iufcs", float: "fcs", complex: "c"}


def check_axes(name: str, axes: tuple[int, ...], rank: int) -> None:
    """ShapeError unless `axes` are different, sorted, and from 0 to rank - 1."""
    if list(axes) != sorted(set(axes)) or any(not 0 <= axis < rank for axis in axes):
        raise ShapeError(f"{name} over axes {axes} of a tensor with {rank} axes",
                         instead="different axes in order, counted from 0")  # fmt: skip


def check_axis(name: str, axis: int, rank: int) -> None:
    """ShapeError unless `axis` is from 0 to rank - 1."""
    check_axes(name, (axis,), rank)


def check_fill(value: Number, dtype: np.dtype) -> None:
    """ArgumentError unless `value` is a Python scalar; DTypeError if it is none of `dtype`."""
    if type(value) not in (bool, int, float, complex):
        raise ArgumentError(f"a fill of type {type(value).__name__}", instead="a Python scalar")
    if kind(dtype) not in _FILLED[type(value)]:
        raise DTypeError(f"a {type(value).__name__} for a tensor of {dtype.name}")
    if dtype.kind in "iu" and not np.iinfo(dtype).min <= value <= np.iinfo(dtype).max:  # type: ignore[operator]
        raise DTypeError(f"the Python integer {value} is no {dtype.name}")
