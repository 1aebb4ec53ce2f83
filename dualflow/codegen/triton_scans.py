"""Running combinations along an axis as Triton text, one tile after the other with a carry.

    out[b, i, a] = x[b, 0, a] + ... + x[b, i, a]     over (before, along the axis, after)

A program instance scans a few lines at once: neighbours of `before` where the axis is the last one,
so that a line is read 16 bytes at a time, else neighbours of `after`, which are read side by side.
Few long lines are cut into parts by `schedule/spreading.py`. Comes in: a Call. Goes out: its Form.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

import numpy as np

from dualflow.base.dtypes import compute_dtype, is_complex, kind, real_dtype
from dualflow.base.records import record
from dualflow.ir.form import Form
from dualflow.ir.op import CATALOGUE
from dualflow.ir.program import Call
from dualflow.ir.text import KernelText, Variant

from .spelling import spelling
from .triton_complex import COMPLEX64, Pair, load_pair, memory_dtype, store_pair
from .triton_frame import OPTIONS, dtype_name, number
from .triton_prelude import HEADER, used_by
from .triton_variants import index_words

#: Bytes of a tile; and how far a tile reaches along an axis that is not the last.
TILE, SHORT_TILE = 8192, 32


@record
class Scan:
    """What is the same for all launches of a text.

    Attributes:
        op: the record of the combination.
        given, result: dtypes of what is scanned, and of what comes out.
        last: whether nothing lies after the axis.
        unit: whether what a tile reads side by side lies side by side.
    """

    op: str
    given: np.dtype
    result: np.dtype
    last: bool
    unit: bool


_TEXT = """\
@triton.jit
def combined({x}, {y}):
    return {template}


@triton.jit
def added(x, y):
    return x + y


@triton.jit
def kernel(p0, p1, nb, ni, na, xb, xi, xa, BR: tl.constexpr, BI: tl.constexpr):
    block = tl.program_id(0)
    rows = tl.arange(0, BR)[:, None]
{lines}
{starts}
    for start in range(0, ni, BI):
        i = start + tl.arange(0, BI)[None, :]
        there = inside & (i < ni)
        {v} = {load}
        {v} = tl.associative_scan({scanned}, 1, combined)
        {y} = combined({c}, {v})
{joins}
        {store}
{carries}
"""
_LINES_OF_BEFORE = """\
    b = (block * BR + rows).to(tl.int64)
    inside = b < nb
    first, to = b * xb, b * ni"""
_LINES_OF_AFTER = """\
    across = tl.cdiv(na, BR)
    b, a = (block // across).to(tl.int64), block % across * BR + rows
    inside = a < na
    first, to = b * xb + {a}, b * ni * na + a"""
#: Which is the last element of a tile.
_LAST = "tl.arange(0, BI)[None, :] == BI - 1"
#: What may be added to any number of a kind.
_NOTHING = {"f": "-0.0", "c": "-0.0"}


def scan_form(step_number: int, step: Call) -> Form | None:
    """The form of a scan; None where its operand would have to be copied first, or where the
    combination has no spelling for its dtype."""
    (x,), (out,), axis = step.operands, step.results, step.attributes["axis"]
    reshape = CATALOGUE["reshape"].view
    assert reshape is not None
    shape = x.view.shape
    sizes = prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :])
    seen = reshape(x.view, shape=sizes)
    if seen is None or not out.view.is_contiguous or not prod(sizes):
        return None
    last = sizes[2] == 1
    scan = Scan(step.op.name, x.dtype, out.dtype, last, seen.strides[1 if last else 2] == 1)
    try:
        text = emit_scan(scan)
    except NotImplementedError:
        return None
    integers = (*sizes, *seen.strides)
    return Form(
        f"{scan.op} in one pass", (step_number,), text, (x, out), (), integers,
        lambda aligned: scan_variants(scan, integers, aligned),
        lambda chosen: scan_grid(scan, integers, chosen), False, True,
    )  # fmt: skip


def emit_scan(scan: Scan) -> KernelText:
    """The text: `kernel(x, out, sizes, strides, lines of a tile, elements of a line)`.

    Raises:
        NotImplementedError: the record does not spell the combination for such numbers.
    """
    complex_ = is_complex(scan.result)
    template = spelling(scan.op, "triton", scan.result, complex_)
    held = compute_dtype(scan.result)
    x, y, v, c = (Pair(letter) if complex_ else letter for letter in "xyvc")
    parts = list(zip(*(text.split(", ") for text in (y, v, c)), strict=True))
    wide = " * 2" if complex_ and scan.given != COMPLEX64 else ""
    near, out = "i" if scan.last and scan.unit else "i * xi", "i" if scan.last else "i * na"
    source, place, mask = f"p0 + (first + {near}){wide}", f"p1 + (to + {out}){wide}", ", mask=there"
    load = f"tl.load({source}{mask}).to({dtype_name(held)})"
    nothing = _NOTHING.get(kind(held), "0")
    store = f"tl.store({place}, v.to({dtype_name(scan.result)}){mask})"
    if isinstance(v, Pair):
        load, store = load_pair(source, mask, "", scan.given), store_pair(place, mask, v, held)
    body = _TEXT.format(
        x=x, y=y, v=v, c=c, template=template.format(x, y), load=load,
        lines=_LINES_OF_BEFORE if scan.last
        else _LINES_OF_AFTER.format(a="a" if scan.unit else "a * xa"),
        scanned=f"({v})" if complex_ else v,
        starts=_lines(4, _starts(scan, held, [c for _, _, c in parts])),
        joins=_lines(8, (f"{v} = tl.where(start > 0, {y}, {v})" for y, v, _ in parts)),
        store=store,
        carries=_lines(8, (f"{c} = tl.reduce(tl.where({_LAST}, {v}, {nothing}), 1, added, True)"
                           for _, v, c in parts)),
    )  # fmt: skip
    pointers = memory_dtype(scan.given), memory_dtype(scan.result)
    text = "\n\n".join([HEADER, *used_by(body), body])
    return KernelText(text, "kernel", pointers, (), 6, OPTIONS)


def _starts(scan: Scan, held: np.dtype, names: Sequence[str]) -> Iterable[str]:
    """Lines that make the carries before the first tile."""
    identity = CATALOGUE[scan.op].identity
    assert identity is not None, f"{scan.op} has no identity to start from"
    start = identity(held)
    parts = (start.real, 0) if is_complex(held) else (start,)
    for name, start in zip(names, parts, strict=True):
        value = number(start, real_dtype(held))
        yield f"{name} = tl.full([BR, 1], {value}, {dtype_name(held)})"


def _lines(depth: int, lines: Iterable[str]) -> str:
    return "\n".join(" " * depth + line for line in lines)


def scan_variants(scan: Scan, integers: Sequence[int], aligned: Sequence[bool]) -> list[Variant]:
    """The compilations worth a measurement, the best guess first."""
    _, ni, na, *_ = integers
    tile = TILE // scan.result.itemsize >> is_complex(scan.result)  # two values each in registers
    along = _power(ni, tile if scan.last else SHORT_TILE)
    lines = max(1, tile // along) if scan.last else _power(na, tile // along)
    divisible = [(n, 16) for n, is_aligned in enumerate(aligned) if is_aligned]
    divisible += [(2 + n, 16) for n, value in enumerate(integers) if value and value % 16 == 0]
    _, xi, xa = integers[3:]
    indices = index_words(ni * na, ni * xi, na * xa, *integers)
    return [Variant((lines, along), indices, tuple(divisible), warps) for warps in (4, 8)]


def _power(size: int, most: int) -> int:
    """The power of two that holds `size`, from 16 to `most`."""
    return min(most, max(16, 1 << (size - 1).bit_length()))


def scan_grid(scan: Scan, integers: Sequence[int], chosen: Variant) -> int:
    """How many program instances: one for a few lines."""
    nb, _, na, *_ = integers
    lines, _ = chosen.constexprs
    return -(-nb // lines) if scan.last else nb * -(-na // lines)
