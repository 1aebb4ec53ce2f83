"""The one door: every array operation of every mode passes `apply`, `elementwise` or `write`.

Comes in: an op, tensors (scalars too for `elementwise`), attributes. Goes out: what the active
mode makes of it: eager computes, record computes and notes, co-execute matches, pattern notes only.
The tape of autograd is written here, after the mode, and so works in all of them. The layers
above install themselves: `install_eager` (array), `install_tape` (autograd).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from dualflow.base.dtypes import NAMED
from dualflow.base.errors import GradientError
from dualflow.base.thread import local
from dualflow.ir.op import Op

Scalar = bool | int | float | complex


class Mode(Protocol):
    """What a mode does with an operation. Tensors are `array.Tensor`; `Any` keeps layers apart."""

    name: str

    def apply(self, op: Op, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> Any:
        """A strict primitive: operands already have the shapes and dtypes that its rule wants."""
        ...

    def elementwise(self, op: Op, operands: tuple[Any, ...]) -> Any:
        """An elementwise op on tensors and Python scalars that still have to be promoted and
        broadcast (see `ops/promotion.py`); the result is that of cast, expand and `apply`."""
        ...

    def write(self, target: Any, value: Any) -> None:
        """Store `value` (same shape and dtype) into the memory that `target` shows, in place:
        every view of that memory sees it."""
        ...

    def draw(self, generator: Any) -> Any:
        """The state (uint64 tensor: key, counter) for the next draw of a random generator, whose
        counter moves on by one."""
        ...

    def values(self, tensor: Any) -> Any:
        """The NumPy array of a tensor whose value Python needs now."""
        ...


class Eager(Mode, Protocol):
    """The mode that threads start in: it can also index in one step where nobody takes notes."""

    def part(self, x: Any, items: tuple[Any, ...]) -> Any:
        """The view `x[items]` for basic indices; None where NumPy refuses them."""
        ...

    def pick(self, x: Any, items: tuple[Any, ...]) -> Any:
        """The tensor `x[items]` for indices with tensors among them; None where NumPy refuses
        them or reads them in another way."""
        ...

    def put(self, x: Any, items: tuple[Any, ...], value: Any) -> bool:
        """`x[items] = value`; False, with nothing written, where it takes more than that."""
        ...

    def updated(self, op: Op, x: Any, y: Any) -> bool:
        """`x op= y` for an elementwise op and a tensor or Python scalar; False, with nothing
        written, where it takes more than one step of NumPy's."""
        ...

    def shaped(self, made: Any, shape: tuple[int, ...]) -> Any:
        """The tensor `made`, which nobody else holds, in another shape."""
        ...

    def compute(self, function: Any, tensors: Sequence[Any], *arguments: Any) -> Any:
        """`function(*tensors, *arguments)` of NumPy's, where that has the bits of the ops."""
        ...


class Tape(Protocol):
    """What autograd installs."""

    def record(self, op: Op, inputs: tuple[Any, ...], attributes: dict[str, Any], out: Any) -> None:
        """Note how `out` came from `inputs`, at least one of which requires a gradient. `inputs`
        may hold scalars and tensors that were promoted or broadcast on the way."""
        ...

    def written(self, target: Any, value: Any) -> None:
        """`target` (maybe a view) is about to be overwritten by `value`; raises where a gradient
        would become wrong."""
        ...


class State(local):
    """The modes of a thread.

    Attributes:
        mode: the active mode.
        grad_enabled: whether the tape takes notes.
        grad_asked: what the innermost `no_grad` or `enable_grad` of the user's says, if there is
            one since the active mode began: it holds for the modes below as well.
        draws: what gives the states of random generators instead of the mode, if anything does.
        device: where tensors are made that have no operands; None is the CPU.
        autocast: the dtype of products of float32 tensors (`df.autocast`); "" for their own.
    """

    mode: Mode
    grad_enabled: bool = True
    grad_asked: bool | None = None
    draws: Any = None
    device: Any = None
    autocast: str = ""


class NoTape:
    """The tape until autograd installs one: no tensor requires a gradient."""

    def record(self, op: Op, inputs: tuple[Any, ...], attributes: dict[str, Any], out: Any) -> None:
        raise GradientError("a gradient before dualflow.autograd is imported")

    def written(self, target: Any, value: Any) -> None:
        pass


state = State()
#: the room that computes on GPUs, once one was named; while it is empty, all arrays are NumPy's
away: list[Any] = []
_tape: Tape = NoTape()
_eager: Eager | None = None


def install_eager(mode: Eager) -> None:
    """Make `mode` the one that every thread starts in."""
    global _eager
    State.mode = _eager = mode


def install_tape(tape: Tape) -> None:
    """Make `tape` the one that notes operations on tensors that require gradients."""
    global _tape
    _tape = tape


def run(op: Op, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> Any:
    """Run a strict primitive in the active mode; a tensor, or a tuple of them."""
    out = state.mode.apply(op, inputs, attributes)
    if state.grad_enabled:
        for tensor in inputs:
            if tensor.requires_grad:
                _tape.record(op, inputs, attributes, out)
                break
    return out


def apply(op: Op, *inputs: Any, **attributes: Any) -> Any:
    """`run`, called as the primitive is."""
    return run(op, inputs, attributes)


def elementwise(op: Op, *operands: Any) -> Any:
    """Run an elementwise op on tensors and Python scalars, promoted and broadcast."""
    out = state.mode.elementwise(op, operands)
    if state.grad_enabled:
        for operand in operands:
            if getattr(operand, "requires_grad", False):
                _tape.record(op, operands, {}, out)
                break
    return out


def write(target: Any, value: Any) -> None:
    """Overwrite the memory that `target` shows with `value` (same shape and dtype)."""
    _tape.written(target, value)
    state.mode.write(target, value)


def draw(generator: Any) -> Any:
    """The state for the next draw of a random generator; see `Mode.draw`."""
    draws = state.draws
    return state.mode.draw(generator) if draws is None else draws.draw(generator)


def truth(condition: Any) -> bool:
    """Whether a boolean tensor of one element holds, where dualflow itself goes by it (a loop until
    all is done): a branch where notes are taken, so that the call can still be replayed."""
    ask = getattr(state.mode, "truth", None)
    return bool(condition) if ask is None else ask(condition)


def unnoted(*tensors: Any) -> Eager | None:
    """The eager mode, if it is active and no gradient with respect to `tensors` is asked for: then
    what is done with them may be done in one step instead of op by op."""
    if state.grad_enabled:
        for tensor in tensors:
            if tensor.requires_grad:
                return None
    return computing(*tensors)


def viewing(x: Any) -> Any:
    """The active mode, if it is not eager, makes views of `x` in one step (`part`, as eager's), and
    no gradient with respect to `x` is asked for."""
    if away or state.mode is _eager or (state.grad_enabled and x.requires_grad):
        return None
    return state.mode if hasattr(state.mode, "part") else None


def computing(*tensors: Any) -> Eager | None:
    """The eager mode, if it is active: what is done with `tensors` may be done in one step, if that
    step is `noted`."""
    if state.mode is not _eager or state.device is not None:
        return None
    if away:
        for tensor in tensors:
            if tensor.device != "cpu":
                return None
    if NAMED:
        for tensor in tensors:
            if tensor.dtype in NAMED:  # NumPy has no functions of it
                return None
    return _eager


def noted(op: Op, out: Any, *inputs: Any, **attributes: Any) -> Any:
    """`out`, which came from `inputs` in one step: the tape takes it for that of `op`, a record
    that need not be of the catalogue."""
    if state.grad_enabled:
        for tensor in inputs:
            if tensor.requires_grad:
                _tape.record(op, inputs, attributes, out)
                break
    return out


@contextmanager
def using(mode: Mode) -> Iterator[Mode]:
    """Run a `with` block in `mode`."""
    before = state.mode
    state.mode = mode
    try:
        yield mode
    finally:
        state.mode = before
