"""The texts of products: loops around the words of `tiles`, one text for all sizes and layouts.

Comes in: a dtype. Goes out: a `KernelText`, compiled and cached as kernels are. The first two
integers of each are a range of parts of the result, which do not depend on each other.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from dualflow.ir.text import KernelText

WORDS = np.dtype("int64")
#: How `matmul` reads its right matrix: as it lies, copied into panels, turned, element by element;
#: or each column by scalar products with the rows of the left one.
DIRECT, COPY, TURN, GATHER, DOTS = range(5)
#: The height that the next rows are taken in: those of `tiles`.
_HEIGHT = "6 if {0} >= 6 else 4 if {0} >= 4 else 2 if {0} >= 2 else 1"
#: Elements of a column of the right matrix that are multiplied at once: a panel in the cache, and
#: partial sums as long as those of BLAS.
DEPTH = 256
#: Columns of the widest panel of any machine.
WIDEST = 64

_MATMUL = f"""
def matmul(a, b, c, pack, left, rows, lo, hi, m, n, k, a_row, a_step, b_row, b_column, c_row,
           c_column, a_next, b_next, c_next, mode, depth, tall, wide, pack_size, left_size,
           rows_size):
    across = 1 if mode == {DOTS} else (n + wide - 1) // wide
    parts = across * ((m + tall - 1) // tall)
    for unit in range(lo, hi):
        part, number = unit % parts, unit // parts
        top, side = part // across * tall, part % across * wide
        bottom, end = min(m, top + tall), min(n, side + wide)
        a0, b0, c0 = number * a_next, number * b_next, number * c_next
        if mode == {DOTS}:
            for j in range(n):
                at, to = b0 + j * b_column, c0 + j * c_column
                if b_row != 1:
                    for p in range(k):
                        pack[p] = b[at + p * b_row]
                i = top
                while i < bottom:
                    height = {_HEIGHT.format("bottom - i")}
                    if b_row != 1:
                        dots(a, a0 + i * a_row, a_row, pack, 0, k, c, to + i * c_row, c_row, height)
                    else:
                        dots(a, a0 + i * a_row, a_row, b, at, k, c, to + i * c_row, c_row, height)
                    i += height
            continue
        for u in range(6):
            rows[u] = u * (depth if left_size else a_row)
        reach = 2 * PANEL if bottom - top == 1 else PANEL
        for first in range(0, k, depth):
            deep = min(depth, k - first)
            if left_size:
                for p in range(0, deep, LANES):
                    for i in range(top, bottom, LANES):
                        turn(left, (i - top) * depth + p, depth, a, a0 + i + (first + p) * a_step,
                             a_step, min(LANES, deep - p), min(LANES, bottom - i))
            for j in range(side, end, reach):
                width = min(reach, end - j)
                at = b0 + first * b_row + j * b_column
                if mode == {TURN}:
                    for p in range(0, deep, LANES):
                        for q in range(0, width, LANES):
                            turn(pack, p * reach + q, reach, b, at + q * b_column + p, b_column,
                                 min(LANES, width - q), min(LANES, deep - p))
                elif mode == {COPY}:
                    for p in range(deep):
                        copy(pack, p * reach, b, at + p * b_row, width)
                elif mode == {GATHER}:
                    for p in range(deep):
                        for q in range(width):
                            pack[p * reach + q] = b[at + p * b_row + q * b_column]
                i = top
                while i < bottom:
                    height = {_HEIGHT.format("bottom - i")}
                    to = c0 + i * c_row + j
                    if left_size:
                        tile(left, (i - top) * depth, rows, 0, 1, pack, 0, reach, deep, c, to,
                             c_row, height, width, first)
                    elif mode == {DIRECT}:
                        tile(a, a0 + i * a_row + first * a_step, rows, 0, a_step, b, at, b_row,
                             deep, c, to, c_row, height, width, first)
                    else:
                        tile(a, a0 + i * a_row + first * a_step, rows, 0, a_step, pack, 0, reach,
                             deep, c, to, c_row, height, width, first)
                    i += height
"""


@lru_cache(maxsize=None)
def matmul(dtype: np.dtype) -> KernelText:
    """Batches of products of matrices; the integers are those of the text, in its order."""
    return _text("matmul", _MATMUL, dtype, (dtype,) * 3, 21,
                 ((dtype, (18,)), (dtype, (19,)), (WORDS, (20,))))  # fmt: skip


def _text(
    name: str,
    source: str,
    dtype: np.dtype,
    pointers: tuple[np.dtype, ...],
    integers: int,
    scratch: tuple[tuple[np.dtype, tuple[int, ...]], ...],
) -> KernelText:
    bits = 8 * dtype.itemsize
    source = source.replace("PANEL", f"PANEL{bits}").replace("LANES", f"LANES{bits}")
    return KernelText(source, name, pointers, (), integers, scratch=scratch)
