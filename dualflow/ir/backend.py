"""Backend: what the schedule has to know of a code generator before it decides.

Comes in: said here, once for each emitter in `codegen/`. Goes out: `schedule/` asks it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backend:
    """Abilities of a code generator.

    Attributes:
        name: the key of its spellings in the records of ops.
        totals: whether a kernel may hold Totals. Where the points of a grid run in no order and
            share no memory, folding what they found is a kernel of its own.
        loops: whether programs may hold Loops; else loops are run by NumPy.
    """

    name: str
    totals: bool
    loops: bool


NUMBA = Backend("numba", totals=True, loops=True)
TRITON = Backend("triton", totals=False, loops=False)
