"""Scatters along an axis as Triton text: out = x, and values at places of it.

    sorted   out[b, i, a] = x[b, i, a] + those of v[b, :, a] whose place is i, which lie side by
             side: each place looks where they begin and end; or the last one of them
    inside   out = x, then v[b, k, a] is added at its place by an atomic instruction

Tensors are (before, along the axis, after). Sums of places are added up wider and rounded once. A
map that alone makes the values of the second kind is part of its text. Comes in: a Call, whose
indices `schedule/scattering.py` has checked. Goes out: its Form.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from dualflow.base.dtypes import compute_dtype, is_complex, kind, real_dtype
from dualflow.base.records import record
from dualflow.ir.form import Form
from dualflow.ir.kernel import Access, Scalar
from dualflow.ir.program import Call, Operand, Program
from dualflow.ir.text import KernelText, Variant

from .triton_complex import COMPLEX64, Pair, load_pair, memory_dtype, store_pair
from .triton_folds import WIDER
from .triton_frame import OPTIONS, dtype_name
from .triton_parts import Part, Surroundings, seen_as
from .triton_prelude import HEADER, used_by
from .triton_products import Code, marked, scalar_code
from .triton_variants import index_words

#: Tiles of a sorted scatter (places, values of each at once, after) where something lies after the
#: axis, and where nothing does.
WIDE_TILES, LONE_TILES = ((16, 4, 64), (4, 16, 64)), ((64, 16, 1), (8, 128, 1))
#: Elements of a tile of values that are added as they come.
TILE = 1024


@record
class Sorted:
    """What is the same for all launches of a text.

    Attributes:
        dtype: of what is scattered.
        index: of the places.
        last: whether the last value for a place replaces what is there; else all are added.
        alike: whether all lines have the same places.
        unit: whether what lies after the axis lies side by side, in `x` and in the values.
    """

    dtype: np.dtype
    index: np.dtype
    last: bool
    alike: bool
    unit: tuple[bool, bool]


_BEFORE = """\
@triton.jit
def added(x, y):
    return x + y


@triton.jit
def below(places, step, i, n, turns):
    low, high = i * 0, i * 0 + n
    for _ in range(0, turns):
        middle = (low + high) // 2
        open = low < high
        at = tl.load(places + middle * step, mask=open, other=0).to(i.dtype)
        high = tl.where(open & (at >= i), middle, high)
        low = tl.where(open & (at < i), middle + 1, low)
    return low
"""
_SORTED = """\
@triton.jit
def kernel({parameters}):
    block = tl.program_id(0)
    across, down = tl.cdiv(na, BA), tl.cdiv(ni, BI)
    a = (block % across).to(na.dtype) * BA + tl.arange(0, BA)[None, None, :]
    i = (block // across % down).to(ni.dtype) * BI + tl.arange(0, BI)[:, None, None]
    b = (block // (across * down)).to(tl.int64)
    inside = (i < ni) & (a < na)
    places = p1 + b * ib{along}
    first = below(places, ik, i, nk, turns)
    end = below(places, ik, i + 1, nk, turns)
    {x} = {load_x}
{lines}
    {store}
"""
_LAST = """\
    k = tl.maximum(end - 1, 0)
    {v} = {load_v}
{chosen}"""
_SUM = """\
{starts}
    for start in range(0, tl.max(end - first), BK):
        k = first + start + tl.arange(0, BK)[None, :, None]
        there = inside & (k < end)
        {v} = {load_v}
{added}
{joined}"""


def scatter_form(program: Program, number: int, step: Call, taken: set[int]) -> Form | None:
    """The form of a scatter whose places are known; None where an operand would have to be copied
    first, or is overwritten before all of it was read."""
    known = step.attributes.get("known")
    if known == "sorted":
        return _sorted_form(number, step)
    return _Atomic(program, number, step, taken).form() if known == "inside" else None


class _Seen:
    """The operands of a scatter as (before, along, after)."""

    def __init__(self, step: Call) -> None:
        self.operands, (self.result,) = step.operands, step.results
        axis = step.attributes["axis"]
        self.shapes = [
            (prod(o.view.shape[:axis]), o.view.shape[axis], prod(o.view.shape[axis + 1 :]))
            for o in (*step.operands, *step.results)
        ]
        seen = [seen_as(o, shape) for o, shape in
                zip((*step.operands, *step.results), self.shapes, strict=True)]  # fmt: skip
        self.fits = None not in seen and self.result.view.is_contiguous
        self.strides = [view.strides for view in seen if view is not None]

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Before, along the result, along the values, after."""
        (before, along, after), (_, count, _) = self.shapes[0], self.shapes[1]
        return before, along, count, after


def _sorted_form(number: int, step: Call) -> Form | None:
    seen = _Seen(step)
    (x, places, values), result = seen.operands, seen.result
    same = x.buffer == result.buffer and x.view == result.view
    others = [places, values] if same else [x, places, values]
    if not seen.fits or any(o.buffer == result.buffer for o in others):
        return None
    sizes, (xs, ps, vs, _) = seen.sizes, seen.strides
    alike = ps[2] == 0 or sizes[3] == 1
    scatter = Sorted(x.dtype, places.dtype, not step.op.scatter, alike, (xs[2] == 1, vs[2] == 1))
    integers = (*sizes, sizes[2].bit_length(), *xs, *ps[: 2 if alike else 3], *vs)
    return Form(
        "scatter of sorted values", (number,), emit_sorted(scatter), (x, places, values, result),
        (), integers, lambda aligned: sorted_variants(scatter, integers, aligned),
        lambda chosen: sorted_grid(integers, chosen), True, True, (3,) if same else (),
    )  # fmt: skip


def emit_sorted(scatter: Sorted) -> KernelText:
    """The text: `kernel(x, places, values, out, sizes, turns of a search, strides, BI, BK, BA)`."""
    dtype = scatter.dtype
    complex_ = is_complex(dtype)
    x, v, t = (Pair(letter) if complex_ else letter for letter in "xvt")
    wide = " * 2" if complex_ and dtype != COMPLEX64 else ""
    after = ["a" if unit else f"a * {name}a" for unit, name in zip(scatter.unit, "xv", strict=True)]
    near = [f"p0 + (b * xb + i * xi + {after[0]}){wide}",
            f"p2 + (b * vb + k * vk + {after[1]}){wide}",
            f"p3 + ((b * ni + i) * na + a){wide}"]  # fmt: skip
    lines = _last_lines if scatter.last else _sum_lines
    body = _SORTED.format(
        parameters=", ".join(_parameters(scatter)), x=x,
        along="" if scatter.alike else " + a * ia",
        load_x=_load(near[0], "inside", dtype),
        lines=lines(dtype, x, v, t, near[1]),
        store=store_pair(near[2], ", mask=inside", x, dtype) if isinstance(x, Pair)
        else f"tl.store({near[2]}, x, mask=inside)",
    )  # fmt: skip
    held = memory_dtype(dtype)
    source = "\n\n".join([HEADER, *used_by(body), _BEFORE, body])
    integers = len(_parameters(scatter)) - 4 - 3
    return KernelText(source, "kernel", (held, scatter.index, held, held), (), integers, OPTIONS)


def _parameters(scatter: Sorted) -> list[str]:
    strides = ["xb", "xi", "xa", "ib", "ik", *["ia"] * (not scatter.alike), "vb", "vk", "va"]
    return ["p0", "p1", "p2", "p3", "nb", "ni", "nk", "na", "turns", *strides,
            *(f"{name}: tl.constexpr" for name in ("BI", "BK", "BA"))]  # fmt: skip


def _load(place: str, mask: str, dtype: np.dtype) -> str:
    if is_complex(dtype):
        return load_pair(place, f", mask={mask}", "", dtype)
    return f"tl.load({place}, mask={mask})"


def _pairs(*texts: str) -> list[tuple[str, ...]]:
    """The names of both parts of complex numbers, or of the one of others."""
    return list(zip(*(text.split(", ") for text in texts), strict=True))


def _last_lines(dtype: np.dtype, x: str, v: str, t: str, place: str) -> str:
    chosen = [f"    {one} = tl.where(end > first, {two}, {one})" for one, two in _pairs(x, v)]
    load = _load(place, "inside & (end > first)", dtype)
    return _LAST.format(v=v, load_v=load, chosen="\n".join(chosen))


def _sum_lines(dtype: np.dtype, x: str, v: str, t: str, place: str) -> str:
    given, wide = real_dtype(dtype), _added_in(real_dtype(dtype))
    nothing, name = "-0.0" if kind(wide) == "f" else "0", dtype_name(wide)
    starts = [f"    {one} = tl.full([BI, 1, BA], {nothing}, {name})" for (one,) in _pairs(t)]
    added, joined = [], []
    for one, value, total in _pairs(x, v, t):
        seen = f"tl.where(there, {value}.to({name}), {nothing})"
        added.append(f"        {total} += tl.reduce({seen}, 1, added, keep_dims=True)")
        back = f"({one}.to({name}) + {total})"
        back = f"({back} != 0)" if kind(given) == "b" else f"{back}.to({dtype_name(given)})"
        joined.append(f"    {one} = {back}")
    return _SUM.format(v=v, load_v=_load(place, "there", dtype), starts="\n".join(starts),
                       added="\n".join(added), joined="\n".join(joined))  # fmt: skip


def _added_in(dtype: np.dtype) -> np.dtype:
    """The dtype in which values for one place are added up."""
    if kind(dtype) in "biu":
        return np.dtype("int64")
    return WIDER.get(dtype, compute_dtype(dtype))


def sorted_variants(
    scatter: Sorted, integers: Sequence[int], aligned: Sequence[bool]
) -> list[Variant]:
    """The compilations worth a measurement, the best guess first."""
    tiles = LONE_TILES if integers[3] == 1 else WIDE_TILES
    if is_complex(scatter.dtype):  # two values each in registers
        tiles = tuple((tall // 4, each, -(-wide // 2)) for tall, each, wide in tiles)
    return [Variant(tile, _words(integers), marked(0, integers, aligned), 4)
            for tile in tiles]  # fmt: skip


def _words(integers: Sequence[int]) -> str:
    """Of which words positions and offsets within one part before the axis are."""
    _, ni, nk, na, *rest = integers
    return index_words(ni * na, *(step * max(ni, nk, na) for step in rest))


def sorted_grid(integers: Sequence[int], chosen: Variant) -> int:
    """How many program instances: one for each tile of the result."""
    nb, ni, _, na = integers[:4]
    return nb * -(-ni // chosen.constexprs[0]) * -(-na // chosen.constexprs[2])


@record
class Atomic:
    """What is the same for all launches of a text.

    Attributes:
        places: the access of the places, over (before, along, after).
        code: of the values, over the same axes.
        scalars: numbers that it names.
        dtype: of the result.
    """

    places: Access
    code: Code
    scalars: tuple[Scalar, ...]
    dtype: np.dtype


_ATOMIC = """\
@triton.jit
def kernel({parameters}):
    block = tl.program_id(0)
    across, down = tl.cdiv(na, BA), tl.cdiv(nk, BK)
    a = (block % across).to(na.dtype) * BA + tl.arange(0, BA)[None, :]
    k = (block // across % down).to(nk.dtype) * BK + tl.arange(0, BK)[:, None]
    b = (block // (across * down)).to(tl.int64)
    inside = (k < nk) & (a < na)
    at = tl.load({places}, mask=inside, other=0).to(tl.int64)
{lines}
    value = tl.broadcast_to({value}, [BK, BA])
    tl.atomic_add(p0 + (b * ni + at) * na + a, value, mask=inside, sem="relaxed")
"""


class _Atomic(Surroundings):
    """A scatter that adds values as they come, and the map that may make them."""

    def __init__(self, program: Program, number: int, step: Call, taken: set[int]) -> None:
        super().__init__(program, number, taken)
        self.step = step

    def form(self) -> Form | None:
        """See `scatter_form`."""
        seen = _Seen(self.step)
        x, places, values = seen.operands
        if not seen.fits or not x.view.is_contiguous:
            return None
        at, _ = self.side(places, seen.shapes[1], "i")
        plain, with_map = self.side(values, seen.shapes[2], "v")
        chosen, covers = plain, (self.number,)
        if with_map is not None and self.stays(with_map[0].operands, with_map[1], self.number):
            chosen, covers = with_map[0], (with_map[1], self.number)
        assert at is not None
        if chosen is None:
            return None
        read = [o.buffer for o in (places, *chosen.operands)]
        if any(buffer == seen.result.buffer for buffer in read):
            return None
        return self._made(seen, at, chosen, covers)

    def _made(self, seen: _Seen, at: Part, values: Part, covers: tuple[int, ...]) -> Form | None:
        scatter = Atomic(at.code.accesses[0], values.code, values.scalars, seen.result.dtype)
        try:
            text = emit_atomic(scatter)
        except NotImplementedError:  # an op of the map has no spelling
            return None
        operands = (seen.result, *at.operands, *values.operands)
        integers = (*seen.sizes, *_strides(scatter, operands, seen.shapes[1]))
        return Form(
            "scatter that adds as values come", covers, text, operands, values.numbers, integers,
            lambda aligned: atomic_variants(scatter, integers, aligned),
            lambda chosen: atomic_grid(integers, chosen), True, True, (0,),
            ((seen.operands[0], seen.result),),
        )  # fmt: skip


def _strides(
    scatter: Atomic, operands: Sequence[Operand], shape: tuple[int, ...]
) -> list[int]:  # fmt: skip
    """The strides that a launch is given, of what lies over the axes of the values."""
    found: list[int] = []
    accesses = (scatter.places, *scatter.code.accesses)
    for access, operand in zip(accesses, operands[1:], strict=True):
        seen = seen_as(operand, shape)
        assert seen is not None
        found += [step for step, named in zip(seen.strides, access.strides, strict=True)
                  if named == "s"]  # fmt: skip
    return found


def emit_atomic(scatter: Atomic) -> KernelText:
    """The text: `kernel(out, places, operands of the values, scalars, sizes, strides, BK, BA)`.

    Raises:
        NotImplementedError: an op has no spelling.
    """
    accesses = (scatter.places, *scatter.code.accesses)
    names = [f"s{n}{axis}" for n, access in enumerate(accesses)
             for axis, step in zip("bka", access.strides, strict=True) if step == "s"]  # fmt: skip

    def place(access: Access) -> str:
        n = next(n for n, one in enumerate(accesses) if one is access)
        terms = [f"p{n + 1}"]
        for axis, step in zip("bka", access.strides, strict=True):
            terms.append(f"{axis} * s{n}{axis}" if step == "s" else axis if step else f"{axis} * 0")
        return " + ".join(terms)

    lines, (value,) = scalar_code(
        scatter.code, scatter.scalars, {}, lambda a: f"tl.load({place(a)}, mask=inside)", "v"
    )
    parameters = [f"p{n}" for n in range(len(accesses) + 1)]
    parameters += [*(s.name for s in scatter.scalars), "nb", "ni", "nk", "na", *names]
    parameters += ["BK: tl.constexpr", "BA: tl.constexpr"]
    body = _ATOMIC.format(
        parameters=", ".join(parameters), places=place(scatter.places), value=value,
        lines="\n".join(f"    {line}" for line in lines),
    )  # fmt: skip
    pointers = (scatter.dtype, *(memory_dtype(access.dtype) for access in accesses))
    scalars = tuple(scalar.dtype for scalar in scatter.scalars)
    source = "\n\n".join([HEADER, *used_by(body), body])
    return KernelText(source, "kernel", pointers, scalars, 4 + len(names), OPTIONS)


def atomic_variants(
    scatter: Atomic, integers: Sequence[int], aligned: Sequence[bool]
) -> list[Variant]:
    """The one compilation: tiles as wide as what lies after the axis."""
    wide = 1
    while wide < min(integers[3], TILE):
        wide *= 2
    divisible = marked(len(scatter.scalars), integers, aligned)
    return [Variant((TILE // wide, wide), _words(integers), divisible, 4)]


def atomic_grid(integers: Sequence[int], chosen: Variant) -> int:
    """How many program instances: one for each tile of the values."""
    nb, _, nk, na = integers[:4]
    tall, wide = chosen.constexprs
    return nb * -(-nk // tall) * -(-na // wide)
