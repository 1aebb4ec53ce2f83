"""Machine code of a kernel for a GPU, and the types of its parameters."""

from __future__ import annotations

import numpy as np

from dualflow.base.records import record
from dualflow.ir.text import KernelText, Variant


@record
class Image:
    """Machine code, and what a launch has to know of it.

    Attributes:
        code: a cubin.
        name: of the function in it.
        shared: bytes of shared memory that a program instance needs.
        warps: how many warps compute one tile.
    """

    code: bytes
    name: str
    shared: int
    warps: int

    def written(self) -> bytes:
        """As bytes: a line of the rest, then the code."""
        return f"{self.name} {self.shared} {self.warps}\n".encode() + self.code

    @classmethod
    def read(cls, data: bytes) -> Image:
        """The image that was written so."""
        head, _, code = data.partition(b"\n")
        name, shared, warps = head.decode().split()
        return cls(code, name, int(shared), int(warps))


def parameter_types(text: KernelText, chosen: Variant) -> list[str]:
    """Triton's name of the type of each parameter but the constexprs."""
    types = [f"*{_type_name(dtype)}" for dtype in text.pointers]
    types += [_type_name(dtype) for dtype in text.scalars]
    return types + [chosen.indices] * text.integers


def _type_name(dtype: np.dtype) -> str:
    if dtype.name == "bfloat16":
        return "bf16"
    letter = {"b": "i", "i": "i", "u": "u", "f": "fp"}[dtype.kind]
    return "i1" if dtype.kind == "b" else f"{letter}{dtype.itemsize * 8}"
