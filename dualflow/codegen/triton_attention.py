"""Attention as Triton text: softmax(q k' * scale + mask) v in one pass, and its gradients.

    forward    out and the logarithm of each row's sum, over blocks of keys (Dao et al. 2022)
    rows       delta = sum(out * gradient) of each row
    queries    the gradient of q, over blocks of keys
    keys       the gradients of k and v, over blocks of queries and the heads that share a key

q is (heads, ni, d), k and v are (heads / GROUP, nj, d), all batches among the heads; what lies
along d is contiguous. A mask is added to the scores: (heads or 1, ni or 1, nj), by its strides.
Causal: query i sees keys up to i + nj - ni. Comes in: an `Attention`. Goes out: KernelTexts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dualflow.ir.text import KernelText, Variant

from .triton import OPTIONS
from .triton_prelude import HEADER

FLOAT16, FLOAT32 = np.dtype("float16"), np.dtype("float32")


@dataclass(frozen=True)
class Attention:
    """What is the same for all launches of a text.

    Attributes:
        dtype: of q, k, v and the result: float16 or float32.
        width: of a head, a power of two.
        causal: whether later keys are hidden.
        masked: whether a float32 mask is added to the scores.
        group: how many heads of q share one of k and v.
        fast: whether float32 may be multiplied in tf32.
    """

    dtype: np.dtype
    width: int
    causal: bool = False
    masked: bool = False
    group: int = 1
    fast: bool = False


_SCORES = """\
@triton.jit
def scores_of(q, k, i, j, mask, mi, mj, ni, nj, scale,
              CAUSAL: tl.constexpr, MASKED: tl.constexpr, PRECISION: tl.constexpr):
    s = tl.dot(q, tl.trans(k), input_precision=PRECISION) * scale
    if MASKED:
        inside = (i[:, None] < ni) & (j[None, :] < nj)
        s += tl.load(mask + i[:, None] * mi + j[None, :] * mj, mask=inside, other=0.0)
    seen = j[None, :] < nj
    if CAUSAL:
        seen = seen & (j[None, :] <= i[:, None] + (nj - ni))
    return tl.where(seen, s, float("-inf"))
"""
_PARTS = """\
@triton.jit
def parts_of(s, row):
    return tl.where(row[:, None] == float("-inf"), 0.0, {exp}(s - row[:, None]))
"""
_ROWS = """\
@triton.jit
def rows_of(x, start, n, BLOCK: tl.constexpr, D: tl.constexpr):
    i = start + tl.arange(0, BLOCK)
    return tl.load(x + i[:, None] * D + tl.arange(0, D)[None, :], mask=i[:, None] < n, other=0.0)
"""
_HEAD = """\
    h = tl.program_id(0) // tl.cdiv({n}, {block})
    start = tl.program_id(0) % tl.cdiv({n}, {block}) * {block}
"""
_FORWARD = """\
@triton.jit
def kernel(q, k, v, {mask}out, row, scale, ni, nj, {strides}BI: tl.constexpr, BJ: tl.constexpr):
{head}
    kv = (h // GROUP).to(tl.int64) * nj * D
    h = h.to(tl.int64)
    i = start + tl.arange(0, BI)
    x = rows_of(q + h * ni * D, start, ni, BI, D)
    top = tl.full([BI], float("-inf"), tl.float32)
    total = tl.zeros([BI], tl.float32)
    made = tl.zeros([BI, D], tl.float32)
    end = min(nj, start + BI + nj - ni) if CAUSAL else nj
    for at in range(0, end, BJ):
        j = at + tl.arange(0, BJ)
        s = scores_of(x, rows_of(k + kv, at, nj, BJ, D), i, j, {at_mask}, ni, nj, scale,
                      CAUSAL, MASKED, PRECISION)
        above = tl.maximum(top, tl.max(s, 1))
        safe = tl.where(above == float("-inf"), 0.0, above)
        e = {exp}(s - safe[:, None])
        kept = {exp}(top - safe)
        total = total * kept + tl.sum(e, 1)
        y = rows_of(v + kv, at, nj, BJ, D)
        made = tl.dot(e.to(y.dtype), y, made * kept[:, None], input_precision=PRECISION)
        top = above
    made = made / tl.where(total == 0, 1.0, total)[:, None]
    to = out + h * ni * D + i[:, None] * D + tl.arange(0, D)[None, :]
    tl.store(to, made.to(out.dtype.element_ty), mask=i[:, None] < ni)
    tl.store(row + h * ni + i, top + tl.log(total), mask=i < ni)
"""
_DELTA = """\
@triton.jit
def kernel(out, g, delta, ni, BI: tl.constexpr):
{head}
    h = h.to(tl.int64)
    i = start + tl.arange(0, BI)
    x = rows_of(out + h * ni * D, start, ni, BI, D).to(tl.float32)
    y = rows_of(g + h * ni * D, start, ni, BI, D).to(tl.float32)
    tl.store(delta + h * ni + i, tl.sum(x * y, 1), mask=i < ni)
"""
_QUERIES = """\
@triton.jit
def kernel(q, k, v, {mask}g, row, delta, to_q, scale, ni, nj, {strides}BI: tl.constexpr, \
BJ: tl.constexpr):
{head}
    kv = (h // GROUP).to(tl.int64) * nj * D
    h = h.to(tl.int64)
    i = start + tl.arange(0, BI)
    x = rows_of(q + h * ni * D, start, ni, BI, D)
    y = rows_of(g + h * ni * D, start, ni, BI, D)
    ends = tl.load(row + h * ni + i, mask=i < ni, other=0.0)
    less = tl.load(delta + h * ni + i, mask=i < ni, other=0.0)
    made = tl.zeros([BI, D], tl.float32)
    end = min(nj, start + BI + nj - ni) if CAUSAL else nj
    for at in range(0, end, BJ):
        j = at + tl.arange(0, BJ)
        key = rows_of(k + kv, at, nj, BJ, D)
        s = scores_of(x, key, i, j, {at_mask}, ni, nj, scale, CAUSAL, MASKED, PRECISION)
        part = parts_of(s, ends)
        to_part = tl.dot(y, tl.trans(rows_of(v + kv, at, nj, BJ, D)), input_precision=PRECISION)
        to_s = part * (to_part - less[:, None])
        made = tl.dot(to_s.to(key.dtype), key, made, input_precision=PRECISION)
    to = to_q + h * ni * D + i[:, None] * D + tl.arange(0, D)[None, :]
    tl.store(to, (made * scale).to(to_q.dtype.element_ty), mask=i[:, None] < ni)
"""
_KEYS = """\
@triton.jit
def kernel(q, k, v, {mask}g, row, delta, to_k, to_v, scale, ni, nj, {strides}BI: tl.constexpr, \
BJ: tl.constexpr):
{head}
    j = start + tl.arange(0, BJ)
    kv = h.to(tl.int64) * nj * D
    key = rows_of(k + kv, start, nj, BJ, D)
    value = rows_of(v + kv, start, nj, BJ, D)
    made_k = tl.zeros([BJ, D], tl.float32)
    made_v = tl.zeros([BJ, D], tl.float32)
    first = max(0, start - (nj - ni)) // BI * BI if CAUSAL else 0
    for member in range(GROUP):
        h_q = h.to(tl.int64) * GROUP + member
        for at in range(first, ni, BI):
            i = at + tl.arange(0, BI)
            x = rows_of(q + h_q * ni * D, at, ni, BI, D)
            y = rows_of(g + h_q * ni * D, at, ni, BI, D)
            ends = tl.load(row + h_q * ni + i, mask=i < ni, other=float("-inf"))
            less = tl.load(delta + h_q * ni + i, mask=i < ni, other=0.0)
            s = scores_of(x, key, i, j, {at_mask_q}, ni, nj, scale, CAUSAL, MASKED, PRECISION)
            part = parts_of(s, ends)
            made_v = tl.dot(tl.trans(part).to(y.dtype), y, made_v, input_precision=PRECISION)
            to_part = tl.dot(y, tl.trans(value), input_precision=PRECISION)
            to_s = part * (to_part - less[:, None])
            made_k = tl.dot(tl.trans(to_s).to(x.dtype), x, made_k, input_precision=PRECISION)
    place = kv + j[:, None] * D + tl.arange(0, D)[None, :]
    tl.store(to_k + place, (made_k * scale).to(to_k.dtype.element_ty), mask=j[:, None] < nj)
    tl.store(to_v + place, made_v.to(to_v.dtype.element_ty), mask=j[:, None] < nj)
"""


def emit_attention(attention: Attention) -> dict[str, KernelText]:
    """The texts "forward", "rows", "queries" and "keys".

    The parameters are those of the texts, in order: pointers, `scale` (float32), integers.
    """
    constants = {
        "D": attention.width, "GROUP": attention.group, "CAUSAL": attention.causal,
        "MASKED": attention.masked,
        "PRECISION": "tf32" if attention.fast and attention.dtype == FLOAT32 else "ieee",
    }  # fmt: skip
    head = "\n".join(f"{name} = tl.constexpr({value!r})" for name, value in constants.items())
    mask = attention.masked
    exact = attention.dtype == FLOAT32 and not attention.fast
    words = {
        "exp": "libdevice.exp" if exact else "tl.exp",
        "mask": "mask, " if mask else "",
        "strides": "mh, mi, mj, " if mask else "",
        "at_mask": "mask + h * mh, mi, mj" if mask else "q, 0, 0",
        "at_mask_q": "mask + h_q * mh, mi, mj" if mask else "q, 0, 0",
    }
    dtype, pointers = attention.dtype, (FLOAT32,) * mask
    shapes = {
        "forward": (_FORWARD, "ni", "BI", (dtype,) * 3 + pointers + (dtype, FLOAT32), True),
        "rows": (_DELTA, "ni", "BI", (dtype, dtype, FLOAT32), False),
        "queries": (_QUERIES, "ni", "BI",
                    (dtype,) * 3 + pointers + (dtype, FLOAT32, FLOAT32, dtype), True),
        "keys": (_KEYS, "nj", "BJ",
                 (dtype,) * 3 + pointers + (dtype, FLOAT32, FLOAT32, dtype, dtype), True),
    }  # fmt: skip
    found = {}
    for name, (template, n, block, types, whole) in shapes.items():
        body = template.format(head=_HEAD.format(n=n, block=block).rstrip(), **words)
        parts = _PARTS.format(exp=words["exp"])
        source = "\n\n".join([HEADER + head + "\n", _SCORES, parts, _ROWS, body])
        scalars = (FLOAT32,) if whole else ()
        integers = 2 + 3 * mask if whole else 1
        found[name] = KernelText(source, "kernel", types, scalars, integers, OPTIONS)
    return found


def attention_variant(attention: Attention, name: str, pointers: int) -> Variant:
    """The compilation of one of the texts, for memory that is aligned as CuPy's."""
    small = attention.width > 64 or attention.dtype == FLOAT32
    blocks = {"forward": (128, 32 if small else 64), "rows": (64,), "queries": (64, 32),
              "keys": (32, 64)}[name]  # fmt: skip
    if attention.dtype == FLOAT32:
        blocks = tuple(min(block, 64 if attention.width <= 64 else 32) for block in blocks)
    divisible = tuple((n, 16) for n in range(pointers))
    return Variant(blocks, "i32", divisible, 4 if attention.width <= 64 else 8, 2)


def attention_grid(name: str, heads: int, n: int, chosen: Variant) -> int:
    """How many program instances: a block of `n` rows (keys: of k) of each head."""
    return heads * -(-n // chosen.constexprs[-1 if name == "keys" else 0])
