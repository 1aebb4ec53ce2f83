"""KernelText: a kernel as source text, ready for a backend's compiler.

Comes in: `codegen/` writes it from a Kernel. Goes out: `runtime/` compiles, caches and launches it.
"""

from __future__ import annotations

import numpy as np

from dualflow.base.records import record

#: An option of texts that do their work in words of whole vectors: passes that look for more
#: would take three quarters of the time of all passes, for no speed.
WRITTEN_OUT = "vectors", "written out"


@record
class KernelText:
    """Source of one function, without comments (comments would make equal kernels differ).

    Attributes:
        source: the text; defines one function called `name`.
        name: the function.
        pointers: the dtype behind each pointer parameter, in order: accesses, then the status word
            (int64) where the kernel has a Check.
        scalars: the dtype of each scalar parameter, in order, after the pointers and the scratch.
        integers: how many int64 parameters follow.
        options: what else the backend's compiler is told, as text pairs.
        scratch: memory that the launcher lends for the time of a launch, one pointer each, after
            the pointers: its dtype, and which integers multiply to its number of items.
    """

    source: str
    name: str
    pointers: tuple[np.dtype, ...]
    scalars: tuple[np.dtype, ...]
    integers: int
    options: tuple[tuple[str, str], ...] = ()
    scratch: tuple[tuple[np.dtype, tuple[int, ...]], ...] = ()


@record
class Variant:
    """What one compilation of a text for a GPU assumes.

    Attributes:
        constexprs: the compile-time parameters, which follow the integers, in order.
        indices: the dtype of the integers, "i32" or "i64".
        divisible: (parameter, divisor): pointers (bytes) and integers known to be multiples.
        warps: how many warps compute one tile.
        stages: how many steps ahead a loop over tiles may load.
    """

    constexprs: tuple[int, ...]
    indices: str
    divisible: tuple[tuple[int, int], ...]
    warps: int
    stages: int = 3
