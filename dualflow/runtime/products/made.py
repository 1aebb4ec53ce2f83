"""What a product is: a text with its operands and numbers, launched as kernels are; and how many
of one kind views hold."""

from __future__ import annotations

import numpy as np

from dualflow.base.records import entity
from dualflow.ir.program import Operand
from dualflow.ir.text import KernelText
from dualflow.ir.types import View


@entity
class Product:
    """A text with the operands behind its pointers and its integers.

    Attributes:
        integers: of which the first two are a range of units that do not depend on each other.
        cost: an estimate for all of them on one thread, ns.
        tables: words that the text reads, behind one more pointer.
        status: whether the last pointer is that of the status word, which the text may set.
    """

    text: KernelText
    operands: tuple[Operand, ...]
    integers: tuple[int, ...]
    cost: float
    tables: np.ndarray | None = None
    status: bool = False


#: Multiplications of single numbers in a ns on one thread, about; a double counts for two.
RATE = 80


def cost(products: int, dtype: np.dtype) -> float:
    """About how long so many multiplications take, ns."""
    return products * dtype.itemsize / 4 / RATE


def batch_of(*views: View) -> tuple[int, tuple[int, ...]] | None:
    """How many products, and each view's elements from one to the next; None if it is not one
    step for all of them."""
    count, steps = 1, [0] * len(views)
    for axis in reversed(range(len(views[0].shape) - 2)):
        size = views[0].shape[axis]
        if size == 1:
            continue
        here = [view.strides[axis] for view in views]
        if count == 1:
            steps = here
        elif here != [step * count for step in steps]:
            return None
        count *= size
    return count, tuple(steps)
