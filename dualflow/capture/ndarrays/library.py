"""Calls of NumPy as nodes of a graph: for what has no rule of its own, real NumPy on real values.

Comes in: a function of NumPy that changes nothing (or its first argument alone), with stand-ins for
its arrays. Goes out: a node of kind LIBRARY, which a replay runs between kernels. It raises if what
NumPy then gives is of another type or shape than recorded, and the call runs in Python.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
from numpy._core import umath

from dualflow.array.tensor import Tensor
from dualflow.base.records import record
from dualflow.ir.graph import attribute_key
from dualflow.ir.op import Kind, Op
from dualflow.ir.types import TensorType
from dualflow.ops import door

from ..kinds import SCALAR_TYPES
from .arrays import Number
from .noting import NotCovered

#: NumPy's state of floating-point errors, 10 times faster to set than by np.errstate
_errors: Any = umath._extobj_contextvar
with np.errstate(all="ignore"):
    _QUIET = _errors.get()


@final
@record
class Slot:
    """The place of an array among arguments: `form` is "array", "scalar" (NumPy's) or "number"
    (Python's)."""

    number: int
    form: str

    def fill(self, arrays: Sequence[np.ndarray]) -> Any:
        array = arrays[self.number]
        if self.form == "array":
            return array
        return array[()] if self.form == "scalar" else array.item()


@final
class Recipe:
    """A call of NumPy on arrays to come.

    Attributes:
        function: what is called.
        arguments: (positional, by name), with slots for arrays.
        changes: whether the first argument is what the call changes, and so the result.
        types: of what is returned.
    """

    def __init__(
        self, function: Callable[..., Any], arguments: Any, changes: bool, types: tuple
    ) -> None:
        self.function, self.arguments, self.changes, self.types = (
            function, arguments, changes, types
        )  # fmt: skip
        self._key = (function, changes, types, key_of(arguments))
        self._shapes, self._dtypes = [t.shape for t in types], [t.dtype for t in types]

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipe) and self._key == other._key

    def __repr__(self) -> str:
        return getattr(self.function, "__qualname__", repr(self.function))

    def run(self, arrays: Sequence[np.ndarray]) -> Any:
        """Call it; ValueError if the results are not of the recorded types."""
        args, kwargs = self.arguments
        args = [x.fill(arrays) if type(x) is Slot else _filled(x, arrays) for x in args]
        if kwargs:
            kwargs = _filled(kwargs, arrays)
        if self.changes:
            args = (args[0].copy(order="K"), *args[1:])
        before = _errors.set(_QUIET)
        try:
            out = self.function(*args, **kwargs)
        finally:
            _errors.reset(before)
        found = [np.asarray(x) for x in flat(args[0] if self.changes else out)]
        if [x.shape for x in found] != self._shapes or [x.dtype for x in found] != self._dtypes:
            raise ValueError(f"{self!r} gave another type or shape")
        return found if len(found) != 1 else found[0]


def key_of(part: Any) -> Any:
    """A key of a tree of arguments."""
    if isinstance(part, (list, tuple)):
        return type(part), tuple(map(key_of, part))
    if isinstance(part, dict):
        return tuple((name, key_of(value)) for name, value in part.items())
    if isinstance(part, slice):
        return "slice", key_of((part.start, part.stop, part.step))
    return attribute_key(part)


def _filled(part: Any, arrays: Sequence[np.ndarray]) -> Any:
    kind = type(part)
    if kind is Slot:
        return part.fill(arrays)
    if kind in (list, tuple):
        return kind(_filled(item, arrays) for item in part)
    if kind is dict:
        return {name: _filled(value, arrays) for name, value in part.items()}
    return part


def flat(value: Any) -> list[Any]:
    """The arrays and scalars of a result."""
    if isinstance(value, (list, tuple)):
        return [leaf for item in value for leaf in flat(item)]
    return [value]


LIBRARY = Op(
    "numpy", Kind.LIBRARY, lambda *types, recipe: recipe.types,
    lambda *arrays, recipe: recipe.run(arrays), may_raise=True, outputs=0,
    no_gradient="it is NumPy's", doc="a function of NumPy, called as it is",
)  # fmt: skip


def note(
    function: Callable[..., Any],
    out: Any,
    operands: Sequence[Any],
    keywords: dict[str, Any],
    changes: bool = False,
) -> Any:
    """Note a call that gave `out`: stand-ins in the structure of `out`.

    Args:
        function: of NumPy.
        out: what it returned; with `changes`, the array that it changed.
        operands: stand-ins (`Scalar` around those of NumPy scalars), Numbers, constants.
        keywords: the same, by name.
        changes: whether it changes its first operand.

    Raises:
        NotCovered: the result holds something that is no array or number.
    """
    inputs: list[Tensor] = []
    arguments = (_template(tuple(operands), inputs), _template(keywords, inputs))
    results = [np.asarray(leaf) for leaf in flat(out)]
    if not results or any(x.dtype.type not in SCALAR_TYPES for x in results):
        raise NotCovered("a result that is no array")
    types = tuple(TensorType(x.shape, x.dtype) for x in results)
    recipe = Recipe(function, arguments, changes, types)
    made = door.apply(LIBRARY, *inputs, recipe=recipe)
    return _structured(out, iter(made))


@final
class Scalar:
    """A NumPy scalar as an operand: its stand-in."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def _template(part: Any, inputs: list[Tensor]) -> Any:
    kind = type(part)
    if kind is Number:
        dtype = {bool: np.bool_, int: np.int64, float: np.float64}[type(part.value)]
        made = part.tensor(np.dtype(dtype))
        if made is None:
            return part.pinned()
        inputs.append(made)
        return Slot(len(inputs) - 1, "number")
    if kind is Scalar:
        inputs.append(part.tensor)
        return Slot(len(inputs) - 1, "scalar")
    if kind is Tensor:
        inputs.append(part)
        return Slot(len(inputs) - 1, "array")
    if kind in (list, tuple):
        return kind(_template(item, inputs) for item in part)
    if kind is dict:
        return {name: _template(value, inputs) for name, value in part.items()}
    return part


def _structured(like: Any, made: Any) -> Any:
    if isinstance(like, (list, tuple)):
        return [_structured(item, made) for item in like]
    return next(made)
