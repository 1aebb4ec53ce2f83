"""One call of an op that is run by a product of our own, for eager mode: with the bits of programs.

Comes in: an op, arrays, attributes. Goes out: the result, or None where no product runs such a
call. A program of one step is made for each op, dtype, shapes and attributes, and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from dualflow.base import config
from dualflow.base.counters import count
from dualflow.base.errors import CompileError
from dualflow.base.shapes import Shape
from dualflow.ir.op import CATALOGUE
from dualflow.ir.program import Buffer, Call, Operand, Program
from dualflow.ir.types import TensorType, View

from .cpu import prepare
from .memory import allocator

#: programs that are kept; each is some KB
_KEPT = 512


def run(name: str, arrays: tuple[np.ndarray, ...], attributes: Mapping[str, Any]) -> Any:
    """The op of this name; None where no product runs it. Waits for machine code.

    Raises:
        CompileError: there is none, with `on_compiler_error="raise"`; else NumPy serves, counted.

    >>> x, w = np.ones((1, 1, 4)), np.ones((1, 1, 2))
    >>> how = {"strides": (1,), "padding": ((0, 0),), "dilation": (1,), "groups": 1}
    >>> run("convolve", (x, w), how).tolist()
    [[[2.0, 2.0, 2.0]]]
    """
    shapes = tuple([array.shape for array in arrays])
    found = _program(name, arrays[0].dtype, shapes, tuple(attributes.items()))
    if found is None:
        return None
    make, program = found
    out = make()
    given = [np.require(array, requirements=("C", "A")) for array in arrays]
    program.run_on(given, [out])
    return out


@lru_cache(maxsize=_KEPT)
def _program(
    name: str, dtype: np.dtype, shapes: tuple[Shape, ...], attributes: tuple[tuple[str, Any], ...]
) -> tuple[Callable[[], np.ndarray], Any] | None:
    """What makes the result's memory, and what runs the op on contiguous operands."""
    op, how = CATALOGUE[name], dict(attributes)
    (result,) = op.infer(tuple(TensorType(shape, dtype) for shape in shapes), how)
    operands = tuple(_whole("input", n, shape, dtype) for n, shape in enumerate(shapes))
    step = Call(op, how, operands, (_whole("output", 0, result.shape, dtype),))
    try:
        made = prepare(Program(operands, step.results, (step,), 0, ()), {}).result()
    except CompileError:
        if config.active().on_compiler_error == "raise":
            raise
        count("compiler_errors")
        return None
    return (allocator(result.shape, dtype), made) if made.native else None


def _whole(place: Any, number: int, shape: Shape, dtype: np.dtype) -> Operand:
    """All of a buffer."""
    view = View.contiguous(shape)
    return Operand(Buffer(place, number, TensorType(shape, dtype).nbytes), dtype, view)


def forget() -> None:
    """Drop all that is kept."""
    _program.cache_clear()
