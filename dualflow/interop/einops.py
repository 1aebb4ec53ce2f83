"""einops on tensors: `import dualflow.interop.einops` makes it known to einops.

Comes in: calls of `einops.rearrange`, `reduce`, `repeat`, `einsum`, `pack` and `unpack`. Goes out:
tensors, eagerly and in compiled functions. (`einops.array_api` needs no such import.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np
from einops._backends import AbstractBackend
from einops.einops import einsum, rearrange, reduce, repeat
from einops.packing import pack, unpack

from dualflow import api as df
from dualflow.base.dtypes import is_inexact
from dualflow.capture.known import functions as known
from dualflow.ops.functions import contraction


@final
class Backend(AbstractBackend):
    """What einops asks of a library; einops finds it among the subclasses of its base."""

    framework_name = "dualflow"

    def is_appropriate_type(self, tensor: Any) -> bool:
        return type(tensor) is df.Tensor

    def from_numpy(self, x: np.ndarray) -> df.Tensor:
        return df.asarray(x)

    def to_numpy(self, x: df.Tensor) -> np.ndarray:
        return x.numpy()

    def arange(self, start: int, stop: int) -> df.Tensor:
        return df.arange(start, stop)

    def transpose(self, x: df.Tensor, axes: Sequence[int]) -> df.Tensor:
        return df.permute_dims(x, tuple(axes))

    def reduce(self, x: df.Tensor, operation: str, axes: Sequence[int]) -> df.Tensor:
        return getattr(df, operation)(x, axis=tuple(axes))

    def stack_on_zeroth_dimension(self, tensors: list[df.Tensor]) -> df.Tensor:
        return df.stack(tensors)

    def add_axis(self, x: df.Tensor, new_position: int) -> df.Tensor:
        return df.expand_dims(x, axis=new_position)

    def tile(self, x: df.Tensor, repeats: Sequence[int]) -> df.Tensor:
        return df.tile(x, tuple(repeats))

    def concat(self, tensors: Sequence[df.Tensor], axis: int) -> df.Tensor:
        return df.concat(list(tensors), axis=axis)

    def is_float_type(self, x: df.Tensor) -> bool:
        return is_inexact(x.dtype)

    def layers(self) -> Any:
        raise NotImplementedError("call einops.rearrange in forward()")

    def einsum(self, pattern: str, *x: df.Tensor) -> df.Tensor:
        return contraction.einsum(pattern, *x)


# Recorded functions may call these as they call functions of dualflow: all that they do with
# tensors is to call the methods above, as texts and numbers say, which are pinned.
known.known(rearrange, reduce, repeat, einsum, pack, unpack)(known.trusted)
