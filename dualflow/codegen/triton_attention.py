"""Attention as Triton text: softmax(q k' * scale + mask) v in one pass, and its gradients.

    attention           out and the logarithm of each row's sum, over blocks of keys (Dao et al.
                        2022)
    attention_queries   the gradient of q, over blocks of keys
    attention_keys      those of k and v, over blocks of queries and the heads that share a key

Operands are (batch, heads, length, D), by their strides, packed along D; results are packed. A mask
is added to the scores; where they are ragged, a number for each batch says how many keys there are;
where they are ranged, each query sees a range of keys, and blocks look where a row of theirs does.
Comes in: an `Attention`, or a Call. Goes out: KernelTexts, variants, and the Call's `Form`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from dualflow.base import config
from dualflow.base.records import record
from dualflow.ir.form import Form
from dualflow.ir.op import CATALOGUE
from dualflow.ir.program import Call, Operand
from dualflow.ir.text import KernelText, Variant
from dualflow.ir.types import View

from .triton_frame import OPTIONS
from .triton_prelude import HEADER
from .triton_products import MULTIPLIED
from .triton_variants import index_words

FLOAT32, INT64 = np.dtype("float32"), np.dtype("int64")
#: Widths of a head that the templates take.
WIDTHS = (16, 32, 64, 128, 256)


@record
class Attention:
    """What is the same for all launches of a text.

    Attributes:
        dtype: of q, k, v and the result, one of `MULTIPLIED`.
        width: of a head, one of `WIDTHS`.
        causal: whether query i sees keys 0 to i only.
        masked: whether a float32 mask is added to the scores.
        ragged: whether each batch has a number of keys.
        ranged: whether each query sees a range of keys of its own.
        group: how many heads of q share one of k and v.
        fast: whether float32 may be multiplied in tf32.
    """

    dtype: np.dtype
    width: int
    causal: bool = False
    masked: bool = False
    ragged: bool = False
    ranged: bool = False
    group: int = 1
    fast: bool = False


_SCORES = """\
@triton.jit
def scores_of(x, y, i, j, low, high, mask, mi, mj, ni, nj, scale, CAUSAL: tl.constexpr,
              MASKED: tl.constexpr, RANGED: tl.constexpr, PRECISION: tl.constexpr):
    s = tl.dot(x, tl.trans(y), input_precision=PRECISION) * scale
    if MASKED:
        s += tl.load(mask + i * mi + j * mj, mask=(i < ni) & (j < nj), other=0.0)
    seen = j < nj
    if CAUSAL:
        seen = seen & (j <= i)
    if RANGED:
        seen = seen & (j >= low) & (j < high)
    return tl.where(seen, s, float("-inf"))
"""
_PARTS = """\
@triton.jit
def parts_of(s, row):
    return tl.where(row == float("-inf"), 0.0, {exp}(s - row))
"""
_ROWS = """\
@triton.jit
def rows_of(x, start, n, step, BLOCK: tl.constexpr, D: tl.constexpr):
    i = start + tl.arange(0, BLOCK)
    place = x + i[:, None] * step + tl.arange(0, D)[None, :]
    return tl.load(place, mask=i[:, None] < n, other=0.0)
"""
_HEAD = """\
    h = tl.program_id(0) // tl.cdiv({n}, {block})
    start = tl.program_id(0) % tl.cdiv({n}, {block}) * {block}
    z, y = (h // {heads}).to(tl.int64), (h % {heads}).to(tl.int64)
    h = h.to(tl.int64)
    seen = {seen}
"""
_FORWARD = """\
@triton.jit
def kernel({parameters}):
{head}
    q += z * qz + y * qh
    k += z * kz + y // GROUP * kh
    v += z * vz + y // GROUP * vh
    i = start + tl.arange(0, BI)
    x = rows_of(q, start, ni, qi, BI, D)
    top = tl.full([BI], float("-inf"), tl.float32)
    total = tl.zeros([BI], tl.float32)
    made = tl.zeros([BI, D], tl.float32)
{range}
    for at in range(begin, end, BJ):
        j = at + tl.arange(0, BJ)
        s = scores_of(x, rows_of(k, at, seen, kj, BJ, D), i[:, None], j[None, :],
                      {bounds}, {mask}, ni, seen, scale, CAUSAL, MASKED, RANGED, PRECISION)
        above = tl.maximum(top, tl.max(s, 1))
        safe = tl.where(above == float("-inf"), 0.0, above)
        e = {exp}(s - safe[:, None])
        kept = {exp}(top - safe)
        total = total * kept + tl.sum(e, 1)
        w = rows_of(v, at, seen, vj, BJ, D)
        made = tl.dot(e.to(w.dtype), w, made * kept[:, None], input_precision=PRECISION)
        top = above
    made = made / tl.where(total == 0, 1.0, total)[:, None]
    to = out + h * ni * D + i[:, None] * D + tl.arange(0, D)[None, :]
    tl.store(to, made.to(out.dtype.element_ty), mask=i[:, None] < ni)
    tl.store(row + h * ni + i, top + tl.log(total), mask=i < ni)
"""
_QUERIES = """\
@triton.jit
def kernel({parameters}):
{head}
    q += z * qz + y * qh
    g += z * gz + y * gh
    k += z * kz + y // GROUP * kh
    v += z * vz + y // GROUP * vh
    i = start + tl.arange(0, BI)
    x = rows_of(q, start, ni, qi, BI, D)
    to = rows_of(g, start, ni, gi, BI, D)
    ends = tl.load(row + h * ni + i, mask=i < ni, other=0.0)
    less = tl.load(delta + h * ni + i, mask=i < ni, other=0.0)
    made = tl.zeros([BI, D], tl.float32)
{range}
    for at in range(begin, end, BJ):
        j = at + tl.arange(0, BJ)
        key = rows_of(k, at, seen, kj, BJ, D)
        s = scores_of(x, key, i[:, None], j[None, :], {bounds}, {mask}, ni, seen, scale,
                      CAUSAL, MASKED, RANGED, PRECISION)
        part = parts_of(s, ends[:, None])
        w = rows_of(v, at, seen, vj, BJ, D)
        to_part = tl.dot(to, tl.trans(w), input_precision=PRECISION)
        to_s = part * (to_part - less[:, None])
        made = tl.dot(to_s.to(key.dtype), key, made, input_precision=PRECISION)
    place = to_q + h * ni * D + i[:, None] * D + tl.arange(0, D)[None, :]
    tl.store(place, (made * scale).to(to_q.dtype.element_ty), mask=i[:, None] < ni)
"""
_KEYS = """\
@triton.jit
def kernel({parameters}):
{head}
    j = start + tl.arange(0, BJ)
    key = rows_of(k + z * kz + y * kh, start, seen, kj, BJ, D)
    value = rows_of(v + z * vz + y * vh, start, seen, vj, BJ, D)
    made_k = tl.zeros([BJ, D], tl.float32)
    made_v = tl.zeros([BJ, D], tl.float32)
{range}
    for member in range(GROUP):
        u = y * GROUP + member
        place = (h * GROUP + member) * ni
        for at in range(begin, end, BI):
            i = at + tl.arange(0, BI){bounds_u}
            x = rows_of(q + z * qz + u * qh, at, ni, qi, BI, D)
            to = rows_of(g + z * gz + u * gh, at, ni, gi, BI, D)
            ends = tl.load(row + place + i, mask=i < ni, other=float("-inf"))
            less = tl.load(delta + place + i, mask=i < ni, other=0.0)
            s = scores_of(key, x, i[None, :], j[:, None], {bounds}, {mask_u}, ni, seen, scale,
                          CAUSAL, MASKED, RANGED, PRECISION)
            part = parts_of(s, ends[None, :])
            made_v = tl.dot(part.to(to.dtype), to, made_v, input_precision=PRECISION)
            to_part = tl.dot(value, tl.trans(to), input_precision=PRECISION)
            to_s = part * (to_part - less[None, :])
            made_k = tl.dot(to_s.to(x.dtype), x, made_k, input_precision=PRECISION)
    place = h * nj * D + j[:, None] * D + tl.arange(0, D)[None, :]
    tl.store(to_k + place, (made_k * scale).to(to_k.dtype.element_ty), mask=j[:, None] < nj)
    tl.store(to_v + place, made_v.to(to_v.dtype.element_ty), mask=j[:, None] < nj)
"""
#: Where a block of queries looks for keys, or one of keys for queries; ranges: of all its rows.
_ALL_KEYS = """\
    begin = 0
    end = min(seen, start + BI) if CAUSAL else seen
"""
_ALL_QUERIES = """\
    begin = start // BI * BI if CAUSAL else 0
    end = ni
"""
_RANGE = """\
    ranges += z * 2 * ni
    columns += z * 2 * nj
    low = tl.load({of} + {at}, mask={at} < {n}, other=0).to(tl.int32)
    high = tl.load({of} + {n} + {at}, mask={at} < {n}, other=0).to(tl.int32)
    begin = tl.maximum(tl.min(tl.where(low < high, low, {other})), 0) // {step} * {step}
    end = tl.minimum(tl.max(high), {other})
"""
_BOUNDS = """
            first = tl.load(ranges + i, mask=i < ni, other=0).to(tl.int32)
            last = tl.load(ranges + ni + i, mask=i < ni, other=0).to(tl.int32)
"""
#: By op: the text, which axis is cut into blocks and its block, further operands and the results.
_KINDS = {
    "attention": (_FORWARD, "ni", "BI", (), ("out", "row")),
    "attention_queries": (_QUERIES, "ni", "BI", ("g", "row", "delta"), ("to_q",)),
    "attention_keys": (_KEYS, "nj", "BJ", ("g", "row", "delta"), ("to_k", "to_v")),
}
#: The axes whose strides are given, but for D; what has none is packed.
_AXES = {"q": "zhi", "k": "zhj", "v": "zhj", "g": "zhi", "mask": "zhij"}
_WIDE = ("row", "delta", "mask")  # float32
_WHOLE = ("lengths", "ranges", "columns")  # int64


def names(attention: Attention, op: str) -> tuple[str, ...]:
    """The operands of the text, in order: those of the op, then its results."""
    more = ("mask",) * attention.masked + ("lengths",) * attention.ragged
    more += ("ranges", "columns") * attention.ranged
    return ("q", "k", "v", *more, *_KINDS[op][3], *_KINDS[op][4])


def integers(attention: Attention, op: str) -> tuple[str, ...]:
    """What the text is given: heads (of k in `attention_keys`, else of q), lengths, strides."""
    strides = [f"{name[0]}{axis}" for name in names(attention, op) for axis in _AXES.get(name, "")]
    return ("heads", "ni", "nj", *strides)


def emit_attention(attention: Attention, op: str) -> KernelText:
    """The text for an op; its parameters are pointers, `scale` (float32), integers, BI and BJ."""
    constants = {
        "D": attention.width, "GROUP": attention.group, "CAUSAL": attention.causal,
        "MASKED": attention.masked, "RANGED": attention.ranged,
        "PRECISION": "tf32" if attention.fast and attention.dtype == FLOAT32 else "ieee",
    }  # fmt: skip
    head = "\n".join(f"{name} = tl.constexpr({value!r})" for name, value in constants.items())
    template, n, block, _, _ = _KINDS[op]
    exact = attention.dtype == FLOAT32 and not attention.fast
    exp = "libdevice.exp" if exact else "tl.exp"
    operands = names(attention, op)
    blocks = ["BI: tl.constexpr", "BJ: tl.constexpr"]
    seen = "tl.minimum(nj, tl.load(lengths + z)).to(tl.int32)" if attention.ragged else "nj"
    mask = "mask + z * mz + {} * mh, mi, mj" if attention.masked else "q, 0, 0"
    body = template.format(
        parameters=", ".join([*operands, "scale", *integers(attention, op), *blocks]),
        head=_HEAD.format(n=n, block=block, heads="heads", seen=seen).rstrip(),
        exp=exp, mask=mask.format("y"), mask_u=mask.format("u"), **_looks(attention, n),
    )  # fmt: skip
    source = "\n\n".join([HEADER + head + "\n", _SCORES, _PARTS.format(exp=exp), _ROWS, body])
    dtypes = tuple(FLOAT32 if name in _WIDE else INT64 if name in _WHOLE else attention.dtype
                   for name in operands)  # fmt: skip
    count = len(integers(attention, op))
    return KernelText(source, "kernel", dtypes, (FLOAT32,), count, OPTIONS)


def _looks(attention: Attention, n: str) -> dict[str, str]:
    """The parts of a text that say what the rows of a block look at; `n`: the number of rows."""
    if not attention.ranged:
        everything = _ALL_KEYS if n == "ni" else _ALL_QUERIES
        return {"range": everything.rstrip(), "bounds": "0, 0", "bounds_u": ""}
    if n == "ni":
        found = _RANGE.format(of="ranges", at="i", n="ni", other="nj", step="BJ")
        return {"range": found.rstrip(), "bounds": "low[:, None], high[:, None]", "bounds_u": ""}
    found = _RANGE.format(of="columns", at="j", n="nj", other="ni", step="BI")
    return {"range": found.rstrip(), "bounds": "first[None, :], last[None, :]",
            "bounds_u": _BOUNDS.rstrip()}  # fmt: skip


#: Blocks of queries and keys, warps and stages that are worth a measurement, by op; the first is
#: the default. Wide heads and float32 take half of each.
_BLOCKS = {
    "attention": (((128, 64), 4, 3), ((128, 32), 4, 3), ((64, 64), 4, 3), ((128, 128), 8, 2)),
    "attention_queries": (((64, 32), 4, 2), ((64, 64), 4, 2), ((128, 32), 8, 2)),
    "attention_keys": (((32, 64), 4, 2), ((64, 64), 4, 2), ((32, 128), 8, 2)),
}  # fmt: skip


def attention_variants(
    attention: Attention, op: str, numbers: Sequence[int], aligned: Sequence[bool]
) -> list[Variant]:
    """The compilations worth a measurement, the best guess first."""
    divisible = [(n, 16) for n, is_aligned in enumerate(aligned) if is_aligned]
    first = len(aligned) + 1
    divisible += [(first + n, 16) for n, value in enumerate(numbers)
                  if n > 2 and value and value % 16 == 0]  # fmt: skip
    strides = zip(integers(attention, op)[3:], numbers[3:], strict=True)
    steps = [step for name, step in strides if name[-1] in "ij"]  # within a head
    indices = index_words(*(step * max(numbers[1:3]) for step in steps), *numbers)
    narrow = (attention.width > 64) + (attention.dtype == FLOAT32)
    found: dict[Variant, None] = {}
    for blocks, warps, stages in _BLOCKS[op]:
        cut = tuple(max(16, block >> narrow) for block in blocks)
        heavy = attention.dtype == FLOAT32 or attention.width > 128
        found[Variant(cut, indices, tuple(divisible), 8 if heavy else warps, stages)] = None
    return list(found)


def attention_grid(op: str, heads: int, n: int, chosen: Variant) -> int:
    """How many program instances: a block of `n` rows (keys: of k) of each head of each batch."""
    return heads * -(-n // chosen.constexprs[op == "attention_keys"])


def attention_form(number: int, step: Call) -> Form | None:
    """The form of a call; None for dtypes, widths and strides that the texts do not take."""
    op, how = step.op.name, step.attributes
    q, k, v = step.operands[:3]
    width = q.view.shape[-1]
    if q.dtype.name not in MULTIPLIED or width not in WIDTHS or v.view.shape[-1] != width:
        return None
    heads, (ni, nj) = q.view.shape[-3], (q.view.shape[-2], k.view.shape[-2])
    attention = Attention(
        q.dtype, width, how["causal"], how["masked"], how["ragged"], how["ranged"],
        heads // k.view.shape[-3], config.active().numerics == "fast",
    )  # fmt: skip
    operands = (*step.operands, *step.results)
    strides: list[int] = []
    for name, operand in zip(names(attention, op), operands, strict=True):
        found = _strides(name, operand)
        if found is None:
            return None
        strides += found
    owner = k if op == "attention_keys" else q
    numbers = (owner.view.shape[-3], ni, nj, *strides)
    count, along = prod(owner.view.shape[:-2]), nj if op == "attention_keys" else ni
    return Form(
        f"{op} in one pass", (number,), emit_attention(attention, op), operands,
        (how["scale"],), numbers,
        lambda aligned: attention_variants(attention, op, numbers, aligned),
        lambda chosen: attention_grid(op, count, along, chosen), True, True,
    )  # fmt: skip


def _strides(name: str, operand: Operand) -> list[int] | None:
    """The strides that a text is given of an operand; None where it would have to be copied."""
    view, axes = operand.view, _AXES.get(name, "")
    if not axes:
        return [] if view.is_contiguous else None
    if name == "mask" and operand.dtype != FLOAT32:
        return None
    inner = view.shape[-3:]
    reshape = CATALOGUE["reshape"].view
    assert reshape is not None
    flat: View | None = reshape(view, shape=(prod(view.shape[:-3]), *inner))
    if flat is None:
        return None
    found = [0 if n == 1 else step for n, step in zip(flat.shape, flat.strides, strict=True)]
    if name == "mask":
        return found
    return found[:3] if flat.strides[-1] == 1 else None
