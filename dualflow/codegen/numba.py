"""Kernel -> Python source over raw pointers, for Numba.

map     no loop axis                 nested loops over the grid, between the places where a
                                     comparison with one turns
tile    no loop axis, transposed     square tiles, turned in registers
        accesses
row     lanes = the last loop axis   stages one after the other inside each grid point; a dear
                                     last stage without a loop for a block of points at once
repeated no loop axis                all steps of a block of lanes, whose state stays in the cache
column  lanes = the last grid axis,  blocks of lanes with accumulators in an array, and several
        with folds                   rows a pass
"""

from __future__ import annotations

from dualflow.ir.kernel import Kernel
from dualflow.ir.text import KernelText

from .numba_columns import ColumnEmitter
from .numba_late import LateEmitter
from .numba_maps import MapEmitter
from .numba_repeated import RepeatedEmitter
from .numba_rows import RowEmitter
from .numba_tiles import TileEmitter, crossed


def emit(kernel: Kernel) -> KernelText:
    """The text of `kernel`: a function `kernel(pointers, scratch, scalars, integers)`.

    With `numerics="fast"` in force a product and a sum may be contracted to one rounding.

    Raises:
        NotImplementedError: an op of the kernel has no spelling for this backend.
    """
    if kernel.repeated is not None:
        return RepeatedEmitter(kernel).text()
    if kernel.folds_across_lanes:
        return ColumnEmitter(kernel).text()
    if not kernel.loops and not kernel.totals:
        return (TileEmitter if crossed(kernel) else MapEmitter)(kernel).text()
    return (LateEmitter if LateEmitter.suits(kernel) else RowEmitter)(kernel).text()
