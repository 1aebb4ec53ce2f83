"""Backend: what the schedule has to know of a code generator before it decides.

Comes in: said here, once for each emitter in `codegen/`. Goes out: `schedule/` asks it.
"""

from __future__ import annotations

from dualflow.base.records import record


@record
class Spreading:
    """When a fold of many elements to few results is cut into parts that run side by side.

    Attributes:
        busy: a fold with at least so many grid points beside each other is left alone,
        long: and so is one in which each of them folds fewer elements.
        wanted: so many points are wanted,
        least: each with at least so many elements.
        columns: columns that one point folds side by side.
        padded: whether a length that cannot be cut evenly is padded; else it is left whole.
        scans: whether scans are cut as folds are.
    """

    busy: int
    long: int
    wanted: int
    least: int
    columns: int
    padded: bool
    scans: bool


@record
class Backend:
    """Abilities of a code generator.

    Attributes:
        name: the key of its spellings in the records of ops.
        totals: whether a kernel may hold Totals. Where the points of a grid run in no order and
            share no memory, folding what they found is a kernel of its own.
        loops: whether programs may hold Loops; else loops are run by NumPy.
        spreading: which folds are cut into parts (`schedule/spreading.py`).
        lends: whether intermediates may lie in outputs that are not yet written.
        chains: whether programs may hold Chains.
        repeats: whether a kernel may be repeated within itself.
        short: axes of at most so many points may be written out in the text of a kernel.
        parts: of how many operands a kernel may assemble a value.
        apart: bytes of intermediates, small ones first, whose memory is not used again: what runs
            side by side must not wait for each other's.
        priced: whether `ir/costs.py` knows what its steps take.
        widens: whether libraries compute products of narrow floats in float32.
        unordered: whether what is scattered arrives in no order (`schedule/scattering.py`).
    """

    name: str
    loops: bool
    spreading: Spreading
    parts: int
    totals: bool = False
    lends: bool = False
    chains: bool = False
    repeats: bool = False
    short: int = 0
    apart: int = 0
    priced: bool = False
    widens: bool = False
    unordered: bool = False


_THREADS = Spreading(busy=16, long=1 << 17, wanted=32, least=1 << 13, columns=64, padded=False,
                     scans=False)  # fmt: skip
_INSTANCES = Spreading(busy=256, long=1 << 15, wanted=512, least=1 << 12, columns=64, padded=True,
                       scans=True)  # fmt: skip
NUMBA = Backend("numba", loops=True, spreading=_THREADS, parts=16, totals=True, lends=True,
                chains=True, repeats=True, short=4, priced=True, widens=True)  # fmt: skip
TRITON = Backend("triton", loops=True, spreading=_INSTANCES, parts=4, apart=32 << 20,
                 unordered=True)  # fmt: skip
BY_NAME = {backend.name: backend for backend in (NUMBA, TRITON)}
