"""Form: another way to run some steps of a program, as one launch of a template's text.

Comes in: `codegen/` finds them in a Program. Goes out: `runtime/` launches them, after a
measurement or at once. The steps keep their memory, so either way serves at any call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dualflow.base.records import record

from .program import Operand
from .text import KernelText, Variant


@record
class Form:
    """What is launched, where the last of the steps stood.

    Attributes:
        what: for people.
        covers: the numbers of the steps that it stands for.
        text: of the template.
        operands: what its pointers point to, in order.
        scalars: its numbers, of `text.scalars`.
        integers: its sizes and strides.
        variants: for pointers that are aligned so, the compilations worth a measurement, the best
            guess first.
        grid: how many program instances a compilation starts.
        alone: whether nothing else runs the steps well.
        preferred: whether it is taken where nothing was measured.
        replaced: operands that are read and overwritten, so that a second run would not repeat it.
        copies: what is copied before the launch: from, to; both packed.
    """

    what: str
    covers: tuple[int, ...]
    text: KernelText
    operands: tuple[Operand, ...]
    scalars: tuple[bool | int | float, ...]
    integers: tuple[int, ...]
    variants: Callable[[Sequence[bool]], list[Variant]]
    grid: Callable[[Variant], int]
    alone: bool
    preferred: bool
    replaced: tuple[int, ...] = ()
    copies: tuple[tuple[Operand, Operand], ...] = ()
