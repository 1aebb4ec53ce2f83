"""The record of counter-based random bits."""

from __future__ import annotations

import numpy as np

from dualflow.base.dtypes import uint32, uint64
from dualflow.base.errors import DTypeError, ShapeError
from dualflow.base.shapes import Shape, size_of
from dualflow.base.source import called
from dualflow.ir.op import Kind
from dualflow.ir.types import TensorType

from .. import domains, special
from ..record import primitive


def _rule(state: TensorType, *, shape: Shape) -> TensorType:
    if state.shape != (2,):
        raise ShapeError(f"random_bits of a state of shape {state.shape}", instead="shape (2,)")
    if state.dtype != uint64:
        raise DTypeError(f"random_bits of a state of {state.dtype.name}",
                         instead="uint64: the key and the counter")  # fmt: skip
    if any(size < 0 for size in shape):
        raise ShapeError(f"{called('random')}: a shape with a negative size: {shape}")
    return TensorType(shape, uint32)


def _random_bits(state: np.ndarray, *, shape: Shape) -> np.ndarray:
    return special.philox(int(state[0]), int(state[1]), size_of(shape)).reshape(shape)


random_bits = primitive(
    "random_bits", Kind.RANDOM, _rule, _random_bits,
    doc="word 0 of Philox4x32-10 at (element, counter) under the key; state is (key, counter)",
    no_gradient="bits do not depend on a value smoothly",
    # of the element's position, the key, the counter
    spelling={"numba": "philox({0}, {1}, {2})", "triton": "philox({0}, {1}, {2})"},
    domain=domains.Domain(integers=((0, 2**62),)),
)  # fmt: skip
