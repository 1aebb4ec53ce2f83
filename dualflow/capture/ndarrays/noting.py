"""The door mode that notes what NumPy did on real arrays, on tensors without values.

Comes in: operations on stand-ins (`arrays.py`). Goes out: notes; views are real, and so is
what an implementation makes of constants alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np

from dualflow.array.eager import EagerMode
from dualflow.array.storage import Storage
from dualflow.array.tensor import Tensor
from dualflow.base.source import user_line
from dualflow.ir.op import Op
from dualflow.ir.types import TensorType
from dualflow.ops.promotion import plan

from ..node_builder import infer

if TYPE_CHECKING:
    from ..recorder import Recorder


_eager = EagerMode()


class NotCovered(Exception):  # noqa: N818 - a reason, not an error of the user
    """What NumPy did cannot be noted in this way."""


@final
class Noting:
    """The door mode in which operations are noted and nothing is computed; views are real, and so
    is what an implementation makes of constants alone.

    Attributes:
        wrote: whether a write into memory of `watched` storages was noted.
        locked: memory that nobody may write.
    """

    name = "record"

    def __init__(self, recorder: Recorder) -> None:
        self.recorder, self.notes, self.eager = recorder, recorder.notes, _eager
        self.wrote = False
        self.watched: set[int] = set()
        self.locked: set[Storage] = set()

    def apply(self, op: Op, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> Any:
        line = user_line()
        if inputs and not self._meet(inputs):
            return self.eager.apply(op, inputs, attributes)
        if op.view is not None:
            out = self.eager.apply(op, inputs, attributes)
            self.recorder.outside.guard(inputs[0])
        else:
            types = infer(op, tuple(TensorType(x.shape, x.dtype) for x in inputs), attributes)
            made = tuple(empty(type_) for type_ in types)
            out = made if op.outputs != 1 else made[0]
        self.notes.apply(op, inputs, attributes, out, line)
        return out

    def elementwise(self, op: Op, operands: tuple[Any, ...]) -> Any:
        if not self._meet(operands):
            return self.eager.elementwise(op, operands)
        dtypes, shape = plan(op, operands)
        (type_,) = infer(op, tuple(TensorType(shape, dtype) for dtype in dtypes), {})
        out = empty(type_)
        self.notes.elementwise(op, operands, out, user_line())
        return out

    def write(self, target: Any, value: Any) -> None:
        if not self._meet((target, value)):
            self.eager.write(target, value)
            return
        if target._memory() in self.locked:
            self.wrote = True
            raise NotCovered("a write to memory of which a part is shown")
        self.wrote |= id(target._memory()) in self.watched
        self.notes.write(target, value, user_line())

    def _meet(self, operands: tuple[Any, ...]) -> bool:
        """Make known as constants what an implementation made of constants, and computed, if it
        meets something that is only noted; whether it does."""
        unknown = [x for x in operands if type(x) is Tensor and self._is_constant(x)]
        if len(unknown) == sum(type(x) is Tensor for x in operands):
            return False
        for x in unknown:
            root = x if x._root is None else x._root
            array = np.array(root._array, order="C")
            self.recorder.inputs.append(("constant", array))
            type_ = TensorType(array.shape, array.dtype)
            self.notes.bind(root, self.notes.builder.input(type_))
        return True

    def _is_constant(self, x: Tensor) -> bool:
        """Whether `x` was made of constants, and has its values."""
        return not self.notes.knows(x) and self.recorder.outside.source(x) is None

    def draw(self, generator: Any) -> Any:
        raise NotCovered("a random draw")

    def values(self, tensor: Any) -> Any:
        if self._is_constant(tensor):
            return tensor._array
        raise NotCovered("the values of an array decide")


def empty(type_: TensorType) -> Tensor:
    """A tensor without values."""
    return Tensor._wrap(np.empty(type_.shape, type_.dtype))


class ByValues(NotCovered):
    """The shape of a result depends on values, or may: NumPy has to make it."""
