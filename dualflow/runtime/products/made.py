"""What a product is: a text with its operands and numbers, launched as kernels are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dualflow.ir.program import Operand
from dualflow.ir.text import KernelText


@dataclass(frozen=True, eq=False)
class Product:
    """A text with the operands behind its pointers and its integers; `tables` are words that it
    reads, behind one more pointer."""

    text: KernelText
    operands: tuple[Operand, ...]
    integers: tuple[int, ...]
    tables: np.ndarray | None = None
