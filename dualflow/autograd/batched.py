"""The mode of the door within `vmap`: operations on tensors that stand for a batch of them.

    Batched = what a tensor holds there: a tensor of the mode around, with the batch as axis 0, or
              one that is the same for all of the batch

Comes in: operations. Goes out: operations of the mode around, by the rules of `batching.py`. The
tape of this mode and that of the mode around are two: each notes its own tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NoReturn, final

import numpy as np

from dualflow.array.eager import casts
from dualflow.array.storage import held_back
from dualflow.array.tensor import Tensor
from dualflow.base.errors import BatchError, DualflowError, InPlaceError
from dualflow.ir.op import Kind, Op
from dualflow.ir.types import TensorType
from dualflow.ops import door
from dualflow.ops import primitives as p
from dualflow.ops.devices import Device, device
from dualflow.ops.promotion import plan

from . import batching

_new = object.__new__


@final
class Batched:
    """See the module.

    Attributes:
        mode: whose tensor it is.
        value: the tensor of the mode around.
        batched: whether axis 0 of `value` is the batch.
        born: whether `value` was made within this mode, so that nobody else holds it.
        parent, op, attributes: of a view: what it is a view of, and by which op; of another handle
            of the same memory, without a history: no op.
        drawn: whether it is the state of a random generator.
        run, root: None; so pending values of co-executed calls are told from it.
    """

    run = root = None
    parent: Batched | None = None
    op: Op | None = None
    attributes: Mapping[str, Any] = MappingProxyType({})
    drawn = False
    _type: TensorType | None = None

    def __init__(self, mode: VmapMode, value: Tensor, batched: bool, born: bool) -> None:
        self.mode, self.value, self.batched, self.born = mode, value, batched, born

    @property
    def type(self) -> TensorType:
        """Shape and dtype without the batch."""
        found = self._type
        if found is None:
            shape = self.value.shape
            found = TensorType(shape[1:] if self.batched else shape, self.value.dtype)
            self._type = found
        return found

    @property
    def place(self) -> Device | None:
        """The GPU on which the batch lies; None: the CPU."""
        found = device(self.value.device)
        return None if found.type == "cpu" else found

    def detached(self, tensor: Tensor) -> Tensor:
        """Another handle of the memory of `tensor`, which holds this, without any history."""
        cell = Batched(self.mode, self.value.detach(), self.batched, self.born)
        cell.parent = self
        alias = tensor._alias()
        alias._pending = cell
        return alias

    def force(self, tensor: Tensor) -> NoReturn:
        """Its values were asked for outside of the call of `vmap` that it belongs to."""
        raise BatchError(
            f"a tensor of shape {tensor.shape} of a function under vmap, used outside of its call",
            why="it stands for a batch that nobody maps over any more",
            instead="return it from the function",
        )

    def text(self) -> str:
        """For printing."""
        what = f"{self.mode.size} at once" if self.batched else "the same for all"
        return f"Tensor({what}: {self.value!r})"


def beneath(tensor: Tensor) -> Tensor:
    """The tensor of the mode around all `vmap`s that `tensor` holds; itself outside of them."""
    while type(tensor._pending) is Batched:
        tensor = tensor._pending.value
    return tensor


@final
class VmapMode:
    """See `ops.door.Mode`.

    Attributes:
        name_of: the function that is mapped, for messages.
        size: of the batch.
        randomness: see `vmap`.
        outer: the mode around; `grad`, `asked`, `draws`: its part of the door's state.
        direct: whether `outer` computes at once, so that it may be asked past the door where no
            gradient is.
    """

    name = "vmap"

    def __init__(self, name_of: str, size: int, randomness: str) -> None:
        state = door.state
        self.name_of, self.size, self.randomness = name_of, size, randomness
        self.outer = state.mode
        self.direct = self.outer.name == "eager"
        self.grad, self.asked, self.draws = state.grad_enabled, state.grad_asked, state.draws

    def _direct(self, op: Op, *inputs: Tensor, **attributes: Any) -> Any:
        """An op in a mode around that computes at once, where no gradient is."""
        return self.outer.apply(op, inputs, attributes)

    def around(self, act: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """`act(*args, **kwargs)` in the mode around."""
        state = door.state
        grad, asked, draws = state.grad_enabled, state.grad_asked, state.draws
        state.mode = self.outer
        if asked is None:
            state.grad_enabled, state.grad_asked = self.grad, self.asked
        else:
            state.grad_enabled = asked
        state.draws = self.draws
        try:
            return act(*args, **kwargs)
        finally:
            state.mode = self
            state.grad_enabled, state.grad_asked, state.draws = grad, asked, draws

    def entered(self, act: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """`act(*args, **kwargs)` in this mode, around which is the active one."""
        state = door.state
        before = self.outer, self.direct, self.grad, self.asked, self.draws
        self.outer = outer = state.mode
        self.direct = outer.name == "eager"
        self.grad, self.asked, self.draws = state.grad_enabled, state.grad_asked, state.draws
        state.mode, state.grad_asked, state.draws = self, None, None
        try:
            return act(*args, **kwargs)
        finally:
            state.mode, state.grad_enabled = self.outer, self.grad
            state.grad_asked, state.draws = self.asked, self.draws
            self.outer, self.direct, self.grad, self.asked, self.draws = before

    def wrapped(self, value: Tensor, batched: bool) -> Tensor:
        """A tensor of this mode that holds one of the mode around."""
        return _holding(Batched(self, value, batched, False))

    # What tensors hold ----------------------------------------------------------------------

    def lift(self, tensor: Tensor) -> Tensor:
        """`tensor` as one of this mode."""
        cell = tensor._pending
        if type(cell) is Batched and cell.mode is self:
            return tensor
        return _holding(Batched(self, tensor, False, False))

    def owns(self, tensor: Tensor) -> bool:
        """Whether `tensor` is one of this mode."""
        cell = tensor._pending
        return type(cell) is Batched and cell.mode is self

    def cell(self, tensor: Tensor) -> Batched:
        """What `tensor` holds; one from around is the same for all."""
        cell = tensor._pending
        if type(cell) is Batched and cell.mode is self:
            return cell if cell.parent is None else self._current(cell)
        return Batched(self, tensor, False, False)

    @property
    def eager(self) -> VmapMode:
        """The mode in which functions run of which nothing is to be noted."""
        return self

    def truth(self, tensor: Tensor) -> bool:
        """What Python decides by a tensor that is the same for all."""
        ask = getattr(self.outer, "truth", None)
        return bool(tensor) if ask is None else self.around(ask, self.cell(tensor).value)

    def differs(self, tensor: Tensor) -> bool:
        """Whether `tensor` may differ within the batch of this mode, or of one around."""
        cell = self.cell(tensor)
        differs = getattr(self.outer, "differs", None)
        return cell.batched or (differs is not None and differs(cell.value))

    def _current(self, cell: Batched) -> Batched:
        """A view, after its root may have become batched."""
        parent = cell.parent
        if parent is None or cell.batched or not self._current(parent).batched:
            return cell
        if cell.op is None:
            cell.value = parent.value.detach()
        else:
            again = cell.op, [parent.value], [True], cell.attributes, self.size
            cell.value = self.around(batching.batched, door.apply, *again)
        cell.batched = True
        return cell

    def _single(self, x: Any) -> Any:
        """The type of an operand as the function sees it; a Python number as it is."""
        return self.cell(x).type if type(x) is Tensor else x

    def _result(self, value: Any, batched: bool) -> Any:
        if type(value) is tuple:
            return tuple([_holding(Batched(self, one, batched, True)) for one in value])
        return _holding(Batched(self, value, batched, True))

    # The door -------------------------------------------------------------------------------

    def elementwise(self, op: Op, operands: tuple[Any, ...]) -> Any:
        """By NumPy at once on what the operands hold, where the mode around computes at once and
        it takes no more: no cast, no axes to put in, no gradient, no error to explain."""
        if not self.direct or held_back:
            return self._elementwise(op, operands)
        arrays: list[Any] = []
        kinds: list[Any] = [op]
        most = least = -1  # ranks: of any of them, of those that are batched
        for x in operands:
            kind: Any = type(x)
            if kind is Tensor:
                cell = x._pending
                is_batched = False
                if type(cell) is Batched and cell.mode is self:
                    if cell.parent is not None:
                        self._current(cell)
                    x, is_batched = cell.value, cell.batched
                array = x._array
                if type(array) is not np.ndarray or x.requires_grad:
                    return self._elementwise(op, operands)
                rank = array.ndim
                if is_batched:
                    rank -= 1
                    if least < 0 or rank < least:
                        least = rank
                if rank > most:
                    most = rank
                x, kind = array, array.dtype
            arrays.append(x)
            kinds.append(kind)
        if 0 <= least < most or casts(tuple(kinds)) is not None:
            return self._elementwise(op, operands)
        try:
            made = op.numpy(*arrays)
        except (ValueError, TypeError, OverflowError):
            made = None
        if made is None:
            return self._elementwise(op, operands)
        if type(made) is not np.ndarray or not made.flags.c_contiguous:
            made = np.array(made, order="C")
        value, tensor = _new(Tensor), _new(Tensor)  # not by functions: it is done for every op
        value._array = made
        tensor._pending = Batched(self, value, least >= 0, True)
        return tensor

    def _elementwise(self, op: Op, operands: tuple[Any, ...]) -> Tensor:
        values, flags, ranks = [], [], []
        for x in operands:
            batched = False
            if type(x) is Tensor:
                cell = self.cell(x)
                x, batched = cell.value, cell.batched
                ranks.append(len(x.shape) - batched)
            values.append(x)
            flags.append(batched)
        batched = True in flags
        try:
            if batched and ranks.count(ranks[0]) != len(ranks):
                made = self.around(_aligned, op, values, flags, max(ranks))
            else:
                made = self.around(door.elementwise, op, *values)
        except DualflowError:
            plan(op, [self._single(x) for x in operands])  # says it of single things
            raise
        return _holding(Batched(self, made, batched, True))

    def apply(self, op: Op, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> Any:
        if op.kind is Kind.REDUCTION and self.direct:
            cell = self.cell(inputs[0])
            if cell.batched and not cell.value.requires_grad:
                try:
                    made = self.outer.apply(op, (cell.value,), batching.shifted(attributes))
                    return _holding(Batched(self, made, True, True))
                except DualflowError:
                    pass  # it is said of single things below
        cells = list(map(self.cell, inputs))
        values, flags = [cell.value for cell in cells], [cell.batched for cell in cells]
        batched = True in flags
        if op.kind is Kind.RANDOM and cells[0].drawn and self.randomness == "different":
            attributes = {**attributes, "shape": (self.size, *attributes["shape"])}
            return self._result(self.around(door.apply, op, *values, **attributes), True)
        direct = self.direct
        for value in values:
            direct = direct and not value.requires_grad
        try:
            if batched:
                given = op, values, flags, attributes, self.size
                if direct:
                    made = batching.batched(self._direct, *given)
                else:
                    made = self.around(batching.batched, door.apply, *given)
            elif direct:
                made = self.outer.apply(op, tuple(values), attributes)
            else:
                made = self.around(door.apply, op, *values, **attributes)
        except DualflowError:
            op.infer(tuple(map(self._single, inputs)), attributes)  # says it of single things
            raise
        if (
            op.view is not None
            and made._storage is not None
            and made._storage is values[0]._storage
        ):
            view = Tensor._wrap_view(None, self.lift(inputs[0]), op, attributes)
            cell = view._pending = Batched(self, made, batched, cells[0].born)
            cell.parent, cell.op, cell.attributes = cells[0], op, attributes
            return view
        return self._result(made, batched)

    def product(self, matmul: Callable[..., Any], x: Tensor, y: Tensor) -> Tensor | None:
        """`matmul(x, y)` where the batch only gives the product more rows; None elsewhere."""
        rows, columns = self.cell(x), self.cell(y)
        if not rows.batched or columns.batched or len(columns.value.shape) > 2:
            return None
        return self._result(self.around(matmul, rows.value, columns.value), True)

    def write(self, target: Any, value: Any) -> None:
        source, into = self.cell(value), self.cell(target)
        if source.batched and not into.batched:
            self._spread(into)
            into = self.cell(target)
        stored = source.value
        if into.batched and not source.batched:
            stored = self.around(p.expand, stored, shape=into.value.shape)
        self.around(door.write, into.value, stored)
        target._memory().version += 1

    def spread(self, tensor: Tensor) -> Tensor:
        """`tensor`, or one of the same values that holds one for each of the batch."""
        if self.cell(tensor).batched:
            return tensor
        return _holding(Batched(self, self.around(self.whole, tensor), True, True))

    def whole(self, tensor: Tensor) -> Tensor:
        """What `tensor` holds, with the batch as axis 0; active is the mode around."""
        cell = self.cell(tensor)
        if cell.batched:
            return cell.value
        return _copied(cell.value, (self.size, *cell.value.shape))

    def total(self, tensor: Tensor) -> Tensor:
        """The sum over the batch of what `tensor` holds; active is the mode around."""
        cell = self.cell(tensor)
        return cell.value.sum(axis=0) if cell.batched else cell.value * float(self.size)

    def _spread(self, cell: Batched) -> None:
        """Let memory that was the same for all be one for each, before it is written to."""
        while cell.parent is not None:
            cell = cell.parent
        if not cell.born:
            raise InPlaceError(
                f"a tensor of shape {cell.value.shape} from outside of vmap({self.name_of}) was to "
                f"be written in place by one that differs in each of {self.size} calls",
                why="there is one memory for all of them",
                instead="write into a copy(), or give the tensor as an argument that is mapped",
            )
        wide = (self.size, *cell.value.shape)
        cell.value = self.around(_copied, cell.value, wide)
        cell.batched = True

    def draw(self, generator: Any) -> Any:
        if self.randomness == "error":
            raise BatchError(
                f"a random draw within vmap({self.name_of}, randomness='error')",
                instead="randomness='different' (numbers for each) or 'same' (for all)",
            )
        state = _holding(Batched(self, self.around(door.draw, generator), False, True))
        state._pending.drawn = True
        return state

    def values(self, tensor: Any) -> Any:
        cell = self.cell(tensor)
        if cell.batched:
            raise BatchError(
                f"a Python value of a tensor of shape {cell.type.shape} within vmap("
                f"{self.name_of})",
                why=f"the tensor stands for {self.size} of them, which may differ",
                instead="df.where(condition, x, y) or df.cond for a choice, tensor operations for "
                "item() and float(); or compute it outside of the function",
            )
        return self.around(_values, cell.value)


def _values(tensor: Tensor) -> Any:
    return door.state.mode.values(tensor)


def _holding(cell: Batched) -> Tensor:
    tensor = _new(Tensor)
    tensor._pending = cell
    return tensor


def _copied(value: Tensor, shape: tuple[int, ...]) -> Tensor:
    return p.cast(p.expand(value, shape=shape), dtype=value.dtype)


def _aligned(op: Op, values: list[Any], flags: list[bool], rank: int) -> Tensor:
    """An elementwise op, after axes of size 1 behind the batch where an operand has fewer."""
    operands = [
        p.reshape(x, shape=(x.shape[0], *(1,) * (rank + 1 - len(x.shape)), *x.shape[1:]))
        if batched and len(x.shape) <= rank else x
        for x, batched in zip(values, flags, strict=True)
    ]  # fmt: skip
    return door.elementwise(op, *operands)
