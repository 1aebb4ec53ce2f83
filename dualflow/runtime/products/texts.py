"""The texts of products: loops around the words of `tiles`, one text for all sizes and layouts.

Comes in: a dtype. Goes out: a `KernelText`, compiled and cached as kernels are. The first two
integers of each are a range of parts of the result, which do not depend on each other.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from dualflow.ir.text import WRITTEN_OUT, KernelText

WORDS = np.dtype("int64")
#: How `matmul` reads its right matrix: as it lies, copied into panels, turned, element by element;
#: or each column by scalar products with the rows of the left one; or from what `panels` copied.
DIRECT, COPY, TURN, GATHER, DOTS, PACKED = range(6)
#: The height that the next rows are taken in: those of `tiles`; of `dots`; of tiles with one vector
#: a row too.
_HEIGHT = "6 if {0} >= 6 else 4 if {0} >= 4 else 2 if {0} >= 2 else 1"
_WIDE = "9 if {0} >= 9 else " + _HEIGHT
_TALL = "12 if thin and {0} >= 12 else " + _HEIGHT
#: Elements of a column of the right matrix that are multiplied at once: a panel in the cache, and
#: partial sums as long as those of BLAS.
DEPTH = 256
#: The same of windows, whose elements are parts of one another.
LONGEST = 384
#: Columns of the widest panel of any machine.
WIDEST = 64

_MATMUL = f"""
def matmul(a, b, c, pack, left, rows, lo, hi, m, n, k, a_row, a_step, b_row, b_column, c_row,
           c_column, a_next, b_next, c_next, mode, adds, depth, tall, wide, soon, pack_size,
           left_size, rows_size, m_seen, n_seen):
    for u in range(12):
        rows[u] = u * (depth if left_size else a_row)
    low, near, bad = m, n, 0
    if adds and m_seen < m:
        for p in range(k):
            for q in range(n):
                nothing = b[p * b_row + q * b_column] - b[p * b_row + q * b_column]
                bad += 0 if nothing == nothing else 1
        low = m if bad else m_seen
    if adds and n_seen < n:
        for p in range(k):
            for q in range(m):
                nothing = a[p * a_step + q * a_row] - a[p * a_step + q * a_row]
                bad += 0 if nothing == nothing else 1
        near = n if bad else n_seen
    across = 1 if mode == {DOTS} else (n + wide - 1) // wide
    parts = across * ((m + tall - 1) // tall)
    for unit in range(lo, hi):
        part, number = unit % parts, unit // parts
        top, side = part // across * tall, part % across * wide
        bottom, end = min(low, top + tall), min(near, side + wide)
        a0, b0, c0 = number * a_next, number * b_next, number * c_next
        if soon and unit + 2 < hi:
            fetch(a, a0 + 2 * a_next, m * k)
            fetch(b, b0 + 2 * b_next, k * n)
            fetch(c, c0 + 2 * c_next, m * n)
        if mode == {DOTS}:
            for j in range(near):
                at, to = b0 + j * b_column, c0 + j * c_column
                if b_row != 1:
                    for p in range(k):
                        pack[p] = b[at + p * b_row]
                i = top
                while i < bottom:
                    height = {_HEIGHT.format("bottom - i")}
                    if b_row != 1:
                        dots(a, a0 + i * a_row, rows, 0, pack, 0, k, c, to + i * c_row, c_row,
                             height, adds)
                    else:
                        dots(a, a0 + i * a_row, rows, 0, b, at, k, c, to + i * c_row, c_row,
                             height, adds)
                    i += height
            continue
        reach = 2 * PANEL if bottom - top == 1 and mode != {PACKED} else PANEL
        across_all = (b_column + PANEL - 1) // PANEL * PANEL  # of panels, b has k rows, n columns
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
                if mode == {PACKED}:
                    at = b0 + first * across_all + j * min(depth, b_row - first)
                elif mode == {TURN}:
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
                i, thin = top, width <= LANES
                while i < bottom:
                    height = {_TALL.format("bottom - i")}
                    to = c0 + i * c_row + j
                    if left_size:
                        tile(left, (i - top) * depth, rows, 0, 1, pack, 0, reach, deep, c, to,
                             c_row, height, width, first + adds)
                    elif mode == {DIRECT}:
                        tile(a, a0 + i * a_row + first * a_step, rows, 0, a_step, b, at, b_row,
                             deep, c, to, c_row, height, width, first + adds)
                    elif mode == {PACKED}:
                        tile(a, a0 + i * a_row + first * a_step, rows, 0, a_step, b, at, reach,
                             deep, c, to, c_row, height, width, first + adds)
                    else:
                        tile(a, a0 + i * a_row + first * a_step, rows, 0, a_step, pack, 0, reach,
                             deep, c, to, c_row, height, width, first + adds)
                    i += height
"""

#: Copies right matrices into the panels that PACKED ones are read from.
_PANELS = f"""
def panels(b, c, lo, hi, k, n, b_row, b_column, inner, b_inner, b_outer, c_next, mode, depth):
    across_all = (n + PANEL - 1) // PANEL * PANEL
    parts = (k + depth - 1) // depth
    for unit in range(lo, hi):
        number, first = unit // parts, unit % parts * depth
        deep = min(depth, k - first)
        start = number // inner * b_outer + number % inner * b_inner + first * b_row
        for j in range(0, n, PANEL):
            width = min(PANEL, n - j)
            at, to = start + j * b_column, number * c_next + first * across_all + j * deep
            if mode == {TURN}:
                for p in range(0, deep, LANES):
                    for q in range(0, width, LANES):
                        turn(c, to + p * PANEL + q, PANEL, b, at + q * b_column + p, b_column,
                             min(LANES, width - q), min(LANES, deep - p))
            elif mode == {COPY}:
                for p in range(deep):
                    copy(c, to + p * PANEL, b, at + p * b_row, width)
            else:
                for p in range(deep):
                    for q in range(width):
                        c[to + p * PANEL + q] = b[at + p * b_row + q * b_column]
"""

#: Sets a word to `number` where one of several matrices holds something else than finite numbers.
_FINITE = """
def finite(b, word, lo, hi, rows, columns, b_row, inner, b_inner, b_outer, number, keeps):
    if keeps == 0:
        word[0] = 0
    for unit in range(lo, hi):
        start = unit // inner * b_outer + unit % inner * b_inner
        for p in range(rows):
            at = start + p * b_row
            bad = 0
            for q in range(columns):
                nothing = b[at + q] - b[at + q]
                bad += 0 if nothing == nothing else 1
            if bad:
                word[0] = number
"""


#: Copies the space that kernels see of an image (or of several, side by side), with its padding:
#: blocks of lines of the table `fills` (see `windows.py`), for each channel.
_FILL = """
                for f in range(fills):
                    at = fills_at + 7 * f
                    start, to = x0 + tables[at], to0 + tables[at + 1]
                    count, step, many = tables[at + 2], tables[at + 3], tables[at + 4]
                    if step == 1:
                        copies(space, to, tables[at + 6], x, start, tables[at + 5], many, count)
                        continue
                    for line in range(many):
                        if step == 2:
                            halve(space, to, x, start, count)
                        else:
                            for v in range(count):
                                space[to + v] = x[start + v * step]
                        start, to = start + tables[at + 5], to + tables[at + 6]
"""

_WINDOWS = f"""
def windows(x, w, out, tables, space, strip, turned, lo, hi, images, together, apart, channels,
            outputs, x_image, x_channel, out_image, out_channel, w_outer, elements, span, groups_at,
            fills, fills_at, phases, phases_at, strip_row, turns, direct, line_step, space_size,
            strip_size, turned_size):
    for v in range(space_size):
        space[v] = 0
    blocks = (images + together - 1) // together
    held = -1
    for unit in range(lo, hi):
        group, block = unit // blocks, unit % blocks
        starts = groups_at + 3 * group
        if turns and group != held:
            held = group
            for phase in range(phases):
                at = phases_at + 9 * phase
                weights, chosen, many = tables[at + 2], tables[at + 7], tables[at + 8]
                for part in range(0, channels, LANES):  # so that lines of w stay in the cache
                    lines = min(LANES, channels - part)
                    if elements == 1 and many:
                        for i in range(0, outputs, LANES):
                            turn(turned, weights + i * channels + part, channels, w,
                                 tables[starts + 1] + part * w_outer + i, w_outer, lines,
                                 min(LANES, outputs - i))
                        continue
                    for i in range(outputs):
                        to = weights + (i * channels + part) * many
                        start = tables[starts + 1] + part * w_outer + i * elements
                        if many and tables[chosen + many - 1] - tables[chosen] == many - 1:
                            copies(turned, to, many, w, start + tables[chosen], w_outer, lines,
                                   many)
                            continue
                        for c in range(lines):
                            for e in range(many):
                                turned[to + c * many + e] = w[start + tables[chosen + e]]
                            start += w_outer
        live = min(together, images - block * together)
        for c in range(channels):
            for image in range(live):
                x0 = tables[starts] + (block * together + image) * x_image + c * x_channel
                to0 = c * span + image * apart{_FILL}
        for phase in range(phases):
            at = phases_at + 9 * phase
            k, offsets, weights, rows = tables[at], tables[at + 1], tables[at + 2], tables[at + 3]
            row_step, chunks_at, chunks = tables[at + 4], tables[at + 5], tables[at + 6]
            if not turns:
                weights = tables[starts + 1]
            parts = max(1, (k + {LONGEST} - 1) // {LONGEST})
            depth = max(1, (k + parts - 1) // parts)
            for chunk in range(chunks_at, chunks_at + 7 * chunks, 7):
                first, length = tables[chunk], tables[chunk + 1] + (live - 1) * apart
                place, many, count = tables[chunk + 2], tables[chunk + 3], tables[chunk + 4]
                step, out_line = tables[chunk + 5], tables[chunk + 6]
                if direct:
                    i, to0 = 0, tables[starts + 2] + block * out_image + place
                    while i < many:
                        height = {_HEIGHT.format("many - i")}
                        for j in range(0, count, PANEL):
                            width = min(PANEL, count - j)
                            start, to = first + i * line_step + j, to0 + i * out_line + j
                            if turns:
                                lines_of(turned, weights, space, start, line_step, tables, offsets,
                                         k, out, to, out_line, height, width)
                            else:
                                lines_of(w, weights, space, start, line_step, tables, offsets, k,
                                         out, to, out_line, height, width)
                        i += height
                    continue
                if k == 0:
                    for v in range(min(outputs, 12) * strip_row):
                        strip[v] = 0
                panels = (length + PANEL - 1) // PANEL
                reach = ((length + panels - 1) // panels + LANES - 1) // LANES * LANES
                i, thin = 0, reach <= LANES
                while i < outputs:
                    height = {_TALL.format("outputs - i")}
                    for p in range(0, k, depth):
                        deep, left = min(depth, k - p), weights + i * row_step + p
                        for j in range(0, length, reach):
                            width = min(reach, length - j)
                            if turns:
                                tile_at(turned, left, tables, rows, 1, space, first + j, tables,
                                        offsets + p, deep, strip, j, strip_row, height, width, p)
                            else:
                                tile_at(w, left, tables, rows, 1, space, first + j, tables,
                                        offsets + p, deep, strip, j, strip_row, height, width, p)
                    for each in range(height * live):
                        u, image = each // live, each % live
                        start = u * strip_row + image * apart
                        to = tables[starts + 2] + (block * together + image) * out_image
                        to += (i + u) * out_channel + place
                        if step == 1:
                            copies(out, to, out_line, strip, start, line_step, many, count)
                            continue
                        for line in range(many):
                            for v in range(count):
                                out[to + v * step] = strip[start + v]
                            start, to = start + line_step, to + out_line
                    i += height
"""

_CORRELATE = f"""
def correlate(x, g, out, tables, space, turned, sums, lo, hi, images, channels, outputs, x_image,
              x_channel, g_image, g_channel, elements, span, groups_at, fills, fills_at, offsets,
              chunks_at, chunks, wide, narrow, block, together, apart, line_step, space_size,
              turned_size, sums_size):
    for v in range(space_size):
        space[v] = 0
    blocks = (channels + block - 1) // block
    for unit in range(lo, hi):
        group, begin = unit // blocks, unit % blocks * block
        end = min(channels, begin + block)
        row, rows = begin * elements, end * elements
        starts = groups_at + 3 * group
        for v in range(sums_size):
            sums[v] = 0
        for image in range(0, images, together):
            live = min(together, images - image)
            for each in range((end - begin) * live):
                c, u = begin + each // live, each % live
                x0 = tables[starts] + (image + u) * x_image + c * x_channel
                to0 = c * span + u * apart{_FILL}
            g0 = tables[starts + 1] + image * g_image
            for chunk in range(chunks_at, chunks_at + 7 * chunks, 7):
                first, length = tables[chunk], tables[chunk + 1] + (live - 1) * apart
                place, many, count = g0 + tables[chunk + 2], tables[chunk + 3], tables[chunk + 4]
                step, g_line = tables[chunk + 5], tables[chunk + 6]
                for v in range(length * wide):
                    turned[v] = 0
                if narrow and step == 1:
                    for each in range(live * outputs):
                        u, i = each // outputs, each % outputs
                        copies(turned, i * length + u * apart, line_step, g,
                               place + u * g_image + i * g_channel, g_line, many, count)
                for each in range(0 if narrow and step == 1 else live * many):
                    u, line = each // many, each % many
                    to, start = u * apart + line * line_step, place + u * g_image + line * g_line
                    if narrow:
                        for i in range(outputs):
                            for v in range(count):
                                turned[i * length + to + v] = g[start + i * g_channel + v * step]
                    elif step == 1:
                        for v in range(0, count, LANES):
                            for i in range(0, outputs, LANES):
                                turn(turned, (to + v) * wide + i, wide, g,
                                     start + i * g_channel + v, g_channel,
                                     min(LANES, outputs - i), min(LANES, count - v))
                    else:
                        for v in range(count):
                            for i in range(outputs):
                                turned[(to + v) * wide + i] = g[start + i * g_channel + v * step]
                if chunk + 7 < chunks_at + 7 * chunks:  # what follows is wanted soon
                    for each in range(live * tables[chunk + 10]):
                        u, line = each // tables[chunk + 10], each % tables[chunk + 10]
                        start = g0 + tables[chunk + 9] + u * g_image + line * g_line
                        for i in range(outputs):
                            fetch(g, start + i * g_channel, tables[chunk + 11])
                if narrow:
                    for j in range(outputs):
                        i = row
                        while i < rows:
                            height = {_WIDE.format("rows - i")}
                            dots(space, first, tables, offsets + i, turned, j * length, length,
                                 sums, i * wide + j, wide, height, 1)
                            i += height
                else:
                    for j in range(0, outputs, PANEL):
                        width = min(PANEL, outputs - j)
                        i, thin = row, width <= LANES
                        while i < rows:
                            height = {_TALL.format("rows - i")}
                            tile(space, first, tables, offsets + i, 1, turned, j, wide, length,
                                 sums, i * wide + j, wide, height, width, 1)
                            i += height
        for i in range(row, rows, LANES):
            for j in range(0, outputs, LANES):
                to = tables[starts + 2] + j * channels * elements + i
                turn(out, to, channels * elements, sums, i * wide + j, wide,
                     min(LANES, rows - i), min(LANES, outputs - j))
"""


@lru_cache(maxsize=None)
def matmul(dtype: np.dtype) -> KernelText:
    """Batches of products of matrices; the integers are those of the text, in its order."""
    return _text("matmul", _MATMUL, dtype, (dtype,) * 3, 25,
                 ((dtype, (20,)), (dtype, (21,)), (WORDS, (22,))), (WRITTEN_OUT,))  # fmt: skip


@lru_cache(maxsize=None)
def panels(dtype: np.dtype) -> KernelText:
    """Copies of right matrices in panels, for `matmul` to read as PACKED."""
    return _text("panels", _PANELS, dtype, (dtype, dtype), 12, (), (WRITTEN_OUT,))


@lru_cache(maxsize=None)
def finite(dtype: np.dtype) -> KernelText:
    """Whether matrices with packed rows are finite: a word that is 0, or a number; what it is
    before may be kept where they are."""
    return _text("finite", _FINITE, dtype, (dtype, WORDS), 10, ())


@lru_cache(maxsize=None)
def windows(dtype: np.dtype) -> KernelText:
    """Sums over channels and elements of kernels, at each place (see `windows.py`)."""
    return _text("windows", _WINDOWS, dtype, (dtype, dtype, dtype, WORDS), 26,
                 ((dtype, (23,)), (dtype, (24,)), (dtype, (25,))))  # fmt: skip


@lru_cache(maxsize=None)
def correlate(dtype: np.dtype) -> KernelText:
    """Sums over places, for each channel and element of kernels (see `windows.py`)."""
    return _text("correlate", _CORRELATE, dtype, (dtype, dtype, dtype, WORDS), 26,
                 ((dtype, (23,)), (dtype, (24,)), (dtype, (25,))))  # fmt: skip


def _text(
    name: str,
    source: str,
    dtype: np.dtype,
    pointers: tuple[np.dtype, ...],
    integers: int,
    scratch: tuple[tuple[np.dtype, tuple[int, ...]], ...],
    options: tuple[tuple[str, str], ...] = (),
) -> KernelText:
    bits = 8 * dtype.itemsize
    source = source.replace("PANEL", f"PANEL{bits}").replace("LANES", f"LANES{bits}")
    return KernelText(source, name, pointers, (), integers, options, scratch)
