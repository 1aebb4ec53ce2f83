"""Generated Triton kernels in Triton's interpreter, in a process of its own.

As a module: `Interpreter` starts the process and sends it launches. As a program: the process.
The interpreter patches Triton's language for good, so it must not share a process with the
compiler; it works on NumPy memory, without PyTorch and without a GPU.
"""

from __future__ import annotations

import math
import os
import pickle
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ml_dtypes import bfloat16

from dualflow.ops.gamma import lgamma

#: Bytes on both sides of each buffer that no kernel may change.
GUARD = 1 << 16


@dataclass(frozen=True)
class Job:
    """One launch: `pointers` are (buffer, byte offset, dtype), `scalars` NumPy scalars."""

    source: str
    name: str
    buffers: list[np.ndarray]
    pointers: list[tuple[int, int, np.dtype]]
    scalars: list[np.generic]
    integers: list[np.generic]
    constexprs: tuple[int, ...]
    grid: int


class Interpreter:
    """The process; `launch` returns the buffers as the kernel left them."""

    def __init__(self, cache: Path) -> None:
        environment = os.environ | {"TRITON_INTERPRET": "1", "TRITON_CACHE_DIR": str(cache)}
        self._process = subprocess.Popen(
            [sys.executable, __file__], env=environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def launch(self, job: Job) -> list[np.ndarray]:
        send(self._process.stdin, job)
        answer = receive(self._process.stdout)
        if isinstance(answer, str):
            raise AssertionError(f"{answer}\n{job.source}")
        return answer

    def close(self) -> None:
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=30)


def send(stream: Any, message: object) -> None:
    data = pickle.dumps(message)
    stream.write(struct.pack("q", len(data)) + data)
    stream.flush()


def receive(stream: Any) -> Any:
    """The next message; None at the end."""
    head = stream.read(8)
    return pickle.loads(stream.read(struct.unpack("q", head)[0])) if head else None


def serve() -> None:
    """Answer jobs from standard input until it ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a kernel prints must not mix with the answers
    prepare()
    while (job := receive(sys.stdin.buffer)) is not None:
        try:
            with np.errstate(all="ignore"):
                answer = execute(job)
        except Exception as error:
            answer = f"{type(error).__name__}: {error} (cause: {error.__cause__!r})"
        send(answers, answer)


def prepare() -> None:
    """Give the interpreter what it lacks: libdevice, reductions over whole arrays, and booleans
    that stay booleans when a scalar meets a block."""
    from triton.language.extra import libdevice
    from triton.runtime import interpreter

    for name in LIBDEVICE:
        setattr(libdevice, name, library_function(name))
    interpreter.ReduceOps.generic_reduce = reduce_by_halves
    interpreter.ScanOps.generic_scan = scan_by_doubling
    splat = interpreter.InterpreterBuilder.create_splat

    def create_splat(self: Any, kind: Any, operand: Any) -> Any:
        found = splat(self, kind, operand)
        found.data = found.data.astype(operand.data.dtype)
        return found

    interpreter.InterpreterBuilder.create_splat = create_splat
    convert = interpreter._convert_float

    def _convert_float(data: Any, given: Any, wanted: Any, rounding: Any) -> Any:
        pair = str(given), str(wanted)
        if pair == ("bf16", "fp32"):
            return data.view(bfloat16).astype(np.float32)
        if pair == ("fp32", "bf16"):
            return data.view(np.float32).astype(bfloat16).view(np.uint16)
        return convert(data, given, wanted, rounding)

    interpreter._convert_float = _convert_float
    dot = interpreter.InterpreterBuilder.create_dot

    def create_dot(self: Any, a: Any, b: Any, *rest: Any) -> Any:
        """bfloat16 is multiplied as numbers, not as the words that hold it."""
        if str(a.dtype.scalar) == "bf16":
            import triton.language as tl

            a, b = self.cast_impl(a, tl.float32), self.cast_impl(b, tl.float32)
        return dot(self, a, b, *rest)

    interpreter.InterpreterBuilder.create_dot = create_dot


def library_function(name: str) -> Any:
    import triton.language as tl
    from triton.runtime.interpreter import TensorHandle

    compute, as_int = LIBDEVICE[name], name == "signbit"

    def call(*operands: Any, _semantic: Any = None) -> Any:
        arrays = [operand.handle.data for operand in operands]
        assert all(array.dtype in (np.float32, np.float64) for array in arrays), f"{name}: dtype"
        assert len({array.dtype for array in arrays}) == 1, f"{name}: mixed dtypes"
        found = np.asarray(compute(*arrays)).astype(np.int32 if as_int else arrays[0].dtype)
        scalar = tl.int32 if as_int else operands[0].dtype.scalar
        shape = list(found.shape)
        kind = tl.block_type(scalar, shape) if operands[0].type.is_block() else scalar
        return tl.tensor(TensorHandle(found, scalar), kind)

    return call


def _plain(function: Any) -> Any:
    return np.vectorize(function, otypes=[np.float64])


LIBDEVICE = {
    name: getattr(np, name)
    for name in ("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan",
                 "sinh", "cosh", "tanh", "rint", "trunc", "copysign", "fmod", "signbit", "hypot",
                 "cbrt")
} | {
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "atan2": np.arctan2,
    "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh, "pow": np.power,
    "erf": _plain(math.erf), "erfc": _plain(math.erfc),
    "lgamma": lgamma,
}  # fmt: skip


def reduce_by_halves(self: Any, operands: tuple[Any, ...]) -> list[Any]:
    """The reduction as hardware does it: halves of the axis combined until one is left."""
    arrays = [operand.handle.data for operand in operands]
    types = [operand.dtype for operand in operands]
    size = arrays[0].shape[self.axis]
    while size > 1:
        size //= 2
        halves = [
            self.to_tensor(part, dtype)
            for at in (slice(0, size), slice(size, None))
            for part, dtype in (
                (array[(slice(None),) * self.axis + (at,)], dtype)
                for array, dtype in zip(arrays, types, strict=True)
            )
        ]
        joined = self.combine_fn.fn(*halves)
        joined = joined if isinstance(joined, tuple) else (joined,)
        arrays = [one.handle.data for one in joined]
    if not self.keep_dims:
        arrays = [array.squeeze(self.axis) for array in arrays]
    return [self.to_tensor(array, dtype) for array, dtype in zip(arrays, types, strict=True)]


def scan_by_doubling(self: Any, operands: tuple[Any, ...]) -> list[Any]:
    """The scan as hardware does it: each element combined with that 1, 2, 4... before it."""
    arrays = [operand.handle.data for operand in operands]
    types = [operand.dtype for operand in operands]
    first, step = (slice(None),) * self.axis, 1
    while step < arrays[0].shape[self.axis]:
        moved = [np.roll(array, step, self.axis) for array in arrays]
        pairs = [self.to_tensor(array, dtype) for part in (moved, arrays)
                 for array, dtype in zip(part, types, strict=True)]  # fmt: skip
        joined = self.combine_fn.fn(*pairs)
        joined = joined if isinstance(joined, tuple) else (joined,)
        for one, array in zip(joined, arrays, strict=True):
            one.handle.data[(*first, slice(step))] = array[(*first, slice(step))]
        arrays = [one.handle.data for one in joined]
        step *= 2
    return [self.to_tensor(array, dtype) for array, dtype in zip(arrays, types, strict=True)]


class Pointer:
    """Memory as the interpreter takes it: an address with a dtype."""

    def __init__(self, address: int, dtype: np.dtype) -> None:
        self.address, self.dtype = address, dtype

    def data_ptr(self) -> int:
        return self.address

    def untyped_storage(self) -> Pointer:
        return self

    def cpu(self) -> Pointer:
        return self

    def copy_(self, other: Pointer) -> None:
        """The kernel worked on the memory itself."""

    def new_empty(self, size: int, device: str) -> Pointer:
        return self

    def set_(self, *layout: object) -> None:
        """The memory stays where it is."""

    def storage_offset(self) -> int:
        return 0

    def size(self) -> tuple[int, ...]:
        return ()

    def stride(self) -> tuple[int, ...]:
        return ()


def execute(job: Job) -> list[np.ndarray]:
    function = load(job.source, job.name)
    guarded = [np.full(buffer.nbytes + 2 * GUARD, 0xAB, np.uint8) for buffer in job.buffers]
    for memory, buffer in zip(guarded, job.buffers, strict=True):
        memory[GUARD : GUARD + buffer.nbytes] = buffer
    pointers = [
        Pointer(guarded[n].ctypes.data + GUARD + offset, dtype) for n, offset, dtype in job.pointers
    ]
    numbers = [typed(value) for value in (*job.scalars, *job.integers)]
    if job.grid:
        function[(job.grid,)](*pointers, *numbers, *job.constexprs)
    for memory in guarded:
        assert (memory[:GUARD] == 0xAB).all(), "a kernel wrote before a buffer"
        assert (memory[len(memory) - GUARD :] == 0xAB).all(), "a kernel wrote past a buffer"
    return [memory[GUARD : len(memory) - GUARD] for memory in guarded]


def typed(value: np.generic) -> Any:
    """A number as a kernel argument of exactly its dtype."""
    import triton.language as tl
    from triton.runtime.interpreter import TensorHandle

    kind = tl.int1 if value.dtype == np.bool_ else getattr(tl, value.dtype.name)
    held = np.array([value])
    held = held.view(np.uint16) if value.dtype == bfloat16 else held
    return tl.tensor(TensorHandle(held, kind), kind)


_loaded: dict[str, Any] = {}


def load(source: str, name: str) -> Any:
    if source not in _loaded:
        import linecache

        path = f"<kernel {len(_loaded)}>"
        linecache.cache[path] = (len(source), None, source.splitlines(True), path)
        scope: dict[str, Any] = {"__name__": path, "HAS_FLOAT8": False, "HAS_CBRT": False}
        exec(compile(source, path, "exec"), scope)
        _loaded[source] = scope[name]
    return _loaded[source]


if __name__ == "__main__":
    sys.modules["triton_interpreter"] = sys.modules["__main__"]  # where pickle looks for Job
    serve()
