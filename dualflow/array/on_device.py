"""The eager mode's operations on tensors of a GPU: CuPy computes them, or a kernel of one node.

Comes in: an op and operands of which at least one lies on a GPU, or the device in use. Goes out:
arrays of that GPU. Operands on several devices are an error; a tensor of one element of the CPU
(a number, as PyTorch has it) is copied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from dualflow.base import config
from dualflow.base.counters import count as count_event
from dualflow.base.dtypes import is_added
from dualflow.base.errors import (
    CompileError,
    DeviceError,
    IndexingError,
    OutOfMemoryError,
    SharingError,
)
from dualflow.ir.op import Kind, Op
from dualflow.ir.types import TensorType, View
from dualflow.ops import door
from dualflow.ops import primitives as p
from dualflow.ops.devices import Device, gpu
from dualflow.ops.portable import portable
from dualflow.ops.promotion import SCALARS, operand_dtypes, plan
from dualflow.runtime.gpu import libraries, library_ops, memory, narrow

from . import held, kernels

_ndarray = np.ndarray
_NONE: Mapping[str, Any] = MappingProxyType({})


def place(op: Op | None, operands: Sequence[Any]) -> Device | None:
    """The GPU on which `op` of these tensors and numbers is computed; None: the CPU.

    Raises:
        DeviceError: operands lie on several devices.
    """
    found, on_cpu = None, False
    for x in operands:
        array = getattr(x, "_array", x)
        if array is None:  # made in a co-executed call
            here = x._pending.place
            on_cpu = on_cpu or (here is None and bool(x.shape))
        elif isinstance(array, _ndarray):
            here, on_cpu = None, on_cpu or bool(array.ndim)
        else:
            here = None if type(array) in SCALARS else gpu(array.device.id)
        if here is not None:
            if found is not None and here != found:
                raise _several(op, found, here)
            found = here
    if found is None:
        return None if operands else door.state.device
    if on_cpu:
        raise _several(op, "cpu", found)
    return found


def _several(op: Op | None, one: str, other: str) -> DeviceError:
    what = op.name if op is not None else "a write"
    return DeviceError(
        f"{what} of tensors on {one} and on {other}",
        why="operands lie on one device; nothing is copied unasked, but single numbers",
        instead=f"x.to({other!r}) for the one on {one}, or make it under df.device({other!r})",
    )


def apply(op: Op, arrays: Sequence[Any], attributes: dict[str, Any], where: Device) -> Any:
    """What a strict primitive makes, as arrays (a tuple of tensors for several outputs)."""
    types = tuple(TensorType(a.shape, a.dtype) for a in arrays)
    results = op.infer(types, attributes)
    with libraries.cupy().cuda.Device(where.number):
        arrays = [memory.to_device(a, where.number) if isinstance(a, _ndarray) else a
                  for a in arrays]  # fmt: skip
        try:
            made = _computed(op, arrays, attributes, where)
        except OutOfMemoryError as cause:
            raise held.explained(cause, where) from cause
        if op.outputs == 1:
            return made if op.view is not None else packed(_typed(made, results[0]))
        from .tensor import Tensor

        parts = zip(made, results, strict=True)
        return tuple(Tensor._wrap(packed(_typed(part, type_))) for part, type_ in parts)


def _computed(op: Op, arrays: Sequence[Any], attributes: dict[str, Any], where: Device) -> Any:
    if op.kind in _FUSED and kernels.can_hold(op, arrays) and not _portable(op, arrays, attributes):
        return kernels.run(op, arrays, attributes, where)
    if op.scatter is not None and not _portable(op, arrays, attributes):
        try:
            return kernels.run(op, arrays, attributes, where)
        except IndexingError:  # by a check of a kernel; the host says which index it is
            return library_ops.evaluate(op, arrays, attributes)
    if "templates" in op.spelling:
        made = _by_template(op, arrays, attributes, where)
        if made is not None:
            return made if op.outputs > 1 else made[0]
    return library_ops.evaluate(op, arrays, attributes)


def _portable(op: Op, arrays: Sequence[Any], attributes: Mapping[str, Any] = _NONE) -> bool:
    """Whether CuPy computes `op` of such operands, floats that it lacks not among them."""
    dtypes = [array.dtype for array in arrays]
    if any(map(is_added, dtypes)) or is_added(np.dtype(attributes.get("dtype", bool))):
        return False
    return portable(op, arrays[0].dtype.kind if arrays else "f") is not None


def _by_template(
    op: Op, arrays: Sequence[Any], attributes: dict[str, Any], where: Device
) -> tuple[Any, ...] | None:
    """The results of an op that has a template; None while it is compiled, or if it cannot be."""
    try:
        return kernels.run_if_compiled(op, arrays, attributes, where)
    except CompileError:
        if config.active().on_compiler_error == "raise":
            raise
        count_event("compiler_errors")
        return None


_FUSED = (Kind.ELEMENTWISE, Kind.RANDOM)


def _typed(made: Any, wanted: TensorType) -> Any:
    """`made` in the dtype that the rule says, which CuPy may have left to NumPy's promotion."""
    return made if made.dtype == wanted.dtype else made.astype(wanted.dtype)


def elementwise(op: Op, operands: Sequence[Any], where: Device) -> Any:
    """An elementwise op on tensors and Python scalars, promoted and broadcast."""
    kinds = tuple(type(x) if type(x) in SCALARS else x.dtype for x in operands)
    dtypes = operand_dtypes(op, kinds)
    dtypes, shape = plan(op, operands)
    values = []
    with libraries.cupy().cuda.Device(where.number):
        for x, dtype in zip(operands, dtypes, strict=True):
            if type(x) in SCALARS:
                values.append(dtype.type(x))
            else:
                array = x.array
                if isinstance(array, _ndarray):
                    array = memory.to_device(array, where.number)
                values.append(_converted(array, dtype, where))
        (result,) = op.infer(tuple(TensorType(shape, dtype) for dtype in dtypes), {})
        try:
            if kernels.can_hold(op, values) and not _portable(op, values):
                return kernels.run(op, [_spread(value, shape) for value in values], {}, where)
            made = library_ops.evaluate(op, values, {})
        except OutOfMemoryError as cause:
            raise held.explained(cause, where) from cause
        return packed(_typed(made, result))


def _converted(array: Any, dtype: np.dtype, where: Device) -> Any:
    """The array in `dtype`."""
    if array.dtype == dtype:
        return array
    if is_added(array.dtype) or is_added(dtype):
        return _computed(p.cast.op, [array], {"dtype": dtype}, where)
    return array.astype(dtype)


def _spread(value: Any, shape: tuple[int, ...]) -> Any:
    """An array or a number as one of `shape`."""
    array = narrow.given(value) if isinstance(value, np.generic) else value
    made = libraries.cupy().broadcast_to(narrow.words(array), shape)
    return narrow.holding(made, array.dtype)


def moved(array: Any, where: Device) -> Any:
    """A copy of `array` on `where`."""
    if where.type == "cpu":
        return memory.to_host(array)
    try:
        return memory.to_device(array, where.number)
    except OutOfMemoryError as cause:
        raise held.explained(cause, where) from cause


def on_host(array: Any) -> np.ndarray:
    """The values of a GPU's array, as Python reads them."""
    return array if isinstance(array, _ndarray) else memory.to_host(array)


def count() -> int:
    """How many GPUs can be used; 0 without any."""
    try:
        return libraries.count_devices(libraries.cupy())
    except DeviceError:
        return 0


def check(where: Device) -> None:
    """DeviceError unless there is such a GPU."""
    memory.check(where.number)


def name_of(array: Any) -> Device | str:
    """The device on which an array of CuPy lies."""
    return "cpu" if isinstance(array, _ndarray) else gpu(array.device.id)


def adopted(value: Any) -> Any:
    """The memory of another library's array on a GPU, shown without a copy."""
    with libraries.told(f"a {type(value).__name__} by DLPack"):
        found = libraries.cupy().from_dlpack(value)
    dtype = found.dtype
    return narrow.holding(found.view(narrow.word(dtype)), dtype) if is_added(dtype) else found


def exported(tensor: Any, stream: Any, dl_device: Any, copy: bool | None) -> Any:
    """A tensor's memory for another library.

    Raises:
        SharingError: it would have to be on another device.
    """
    array = tensor.array
    if dl_device is not None and tuple(dl_device) != (2, array.device.id):
        raise SharingError(f"a tensor on {tensor.device} by DLPack for another device",
                           instead='to("cpu") first')  # fmt: skip
    if not copy:
        tensor._memory().exposed = True
    array = memory.copied(array) if copy else array
    if not is_added(array.dtype):
        return array.__dlpack__(stream=stream)
    with libraries.told(f"{array.dtype.name} by DLPack"):
        return narrow.words(array).view(array.dtype).__dlpack__(stream=stream)


def write(array: Any, source: Any) -> None:
    """Store `source`, of the same device or a single number of the CPU, into `array`."""
    with libraries.told("a write"), libraries.cupy().cuda.Device(array.device.id):
        if isinstance(source, _ndarray):
            source = memory.to_device(source, array.device.id)
        elif libraries.cupy().may_share_memory(array, source):
            source = memory.copied(source)
        narrow.words(array)[...] = narrow.words(source)


def copied(array: Any, order: str = "K") -> Any:
    """A copy of `array` on its GPU."""
    with libraries.told("a copy"), libraries.cupy().cuda.Device(array.device.id):
        return memory.copied(array, order)


def shown(op: Op, array: Any, attributes: Mapping[str, Any]) -> Any:
    """What a view op shows of `array`."""
    function = portable(op)
    assert function is not None
    made = function(libraries.cupy(), narrow.words(array), **attributes)
    return narrow.holding(made, array.dtype)


def may_share(a: Any, b: Any) -> bool:
    """Whether two arrays of GPUs may share memory."""
    near = a.data.device_id == b.data.device_id
    return near and bool(libraries.cupy().may_share_memory(a, b))


def is_part(made: Any, of: Any) -> bool:
    """Whether `made` shows the memory of `of`."""
    start, end = of.data.mem.ptr, of.data.mem.ptr + of.data.mem.size
    return made.size == 0 or start <= made.data.ptr < end


def packed(array: Any) -> Any:
    """`array` in row-major order without gaps."""
    return array if array.flags.c_contiguous else memory.copied(array)


def view_of(array: Any) -> View:
    """The view of `array` in its own buffer."""
    return View(array.shape, tuple(stride // array.itemsize for stride in array.strides))
