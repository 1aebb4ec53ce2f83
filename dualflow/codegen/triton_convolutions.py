"""Convolutions as Triton text: products of matrices whose elements are looked up as they are used.

    results(o, n p) = kernel(o, c e) images(c e, n p)      convolve; q = s p + d e - lo
    images(c, n q)  = kernel(c, o e) results(o e, n q)     spread; p = (q + lo - d e) / s
    kernel(o, c e)  = results(o, n p) images(n p, c e)     correlate

n counts images, c and o channels, q and p places in space, e elements of the kernel, for each batch
and group z. Nothing is copied into windows. Comes in: a Call. Goes out: its Form.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from dualflow.base import config
from dualflow.base.records import record
from dualflow.ir.form import Form
from dualflow.ir.program import Call, Operand
from dualflow.ir.text import KernelText, Variant
from dualflow.ir.types import View

from .triton_frame import OPTIONS, dtype_name
from .triton_parts import seen_as
from .triton_prelude import HEADER
from .triton_products import BUSY, MULTIPLIED, marked
from .triton_variants import index_words

#: What each tensor is indexed by, before the axes of space.
TENSORS = {"kernel": ("o", "c", "e"), "images": ("n", "c", "q"), "results": ("n", "o", "p")}
#: For each op: the left and right tensor and the result; what a row, a column, and what is summed
#: over count.
OPS = {
    "convolve": (("kernel", "images", "results"), ("o", "np", "ce")),
    "spread": (("kernel", "results", "images"), ("c", "nq", "oe")),
    "correlate": (("results", "images", "kernel"), ("o", "ce", "np")),
}
#: Tiles (rows, columns, summed), warps and stages that are worth a measurement.
TILES = (((64, 64, 32), 4, 3), ((64, 128, 32), 8, 3), ((128, 128, 32), 8, 3), ((16, 128, 32), 4, 3))
#: Channels of a group from which on a template is taken unmeasured.
MANY = 8


@record
class Convolution:
    """What is the same for all launches of a text.

    Attributes:
        op: which one, of `OPS`.
        dtype: one of `MULTIPLIED`.
        rank: axes of space.
        unit: for left, right and result, whether the last axis of space lies side by side.
        fast: whether float32 may be multiplied in tf32.
    """

    op: str
    dtype: np.dtype
    rank: int
    unit: tuple[bool, bool, bool]
    fast: bool

    def integers(self) -> list[str]:
        """What a launch is given: sizes, how kernels move, strides."""
        found = ["ng", "ni", "nj", "nk", "no", "nc"]
        for axis in range(self.rank):
            found += [f"{name}{axis}" for name in ("ne", "nq", "np", "s", "d", "lo")]
        for tensor, unit in enumerate(self.unit):
            found += [f"t{tensor}{axis}" for axis in range(self.rank + 3 - unit)]
        return found


_TEXT = """\
@triton.jit
def kernel({parameters}):
    block = tl.program_id(0)
    across, down = tl.cdiv(nj, BJ), tl.cdiv(ni, BI)
    z = (block // (down * across)).to(tl.int64)
    group = (z % ng).to(nj.dtype)
    p0 += z // ng * t00
    p1 += z // ng * t10
    p2 += z // ng * t20
    i = (block % down).to(ni.dtype) * BI + tl.arange(0, BI)
    j = (block // down % across).to(nj.dtype) * BJ + tl.arange(0, BJ)
{columns}
    total = tl.zeros([BI, BJ], tl.float32)
    for start in range(0, nk, BK):
        k = start + tl.arange(0, BK)
{summed}
        x = tl.load(p0 + {left}, mask={left_mask}, other=0.0)
{places}
        y = tl.load(p1 + {right}, mask={right_mask}, other=0.0)
        total = tl.dot(x, y, total, input_precision="{precision}")
    made = total.to({dtype})
    tl.store(p2 + {out}, made, mask=(i < ni)[:, None] & (j < nj)[None, :])
"""


def convolution_form(number: int, step: Call) -> Form | None:
    """The form of a convolution; None for dtypes that are not multiplied so, or an operand that
    would have to be copied first."""
    left, right = step.operands
    (result,) = step.results
    how, op = step.attributes, step.op.spelling["products"]
    named = dict(zip(OPS[op][0], (right, left, result), strict=True))
    strides, padding, dilation = how["strides"], how["padding"], how["dilation"]
    rank, groups = len(strides), int(how["groups"])  # type: ignore[arg-type]
    seen = [_seen(named[name], name, rank) for name in OPS[op][0]]
    if left.dtype.name not in MULTIPLIED or not result.type.size or None in seen:
        return None
    views: list[View] = [view for view in seen if view is not None]
    shapes = dict(zip(OPS[op][0], (view.shape for view in views), strict=True))
    kernel, images, places = (shapes[name] for name in ("kernel", "images", "results"))
    sizes = {"o": kernel[1] // groups, "c": kernel[2], "n": images[1]}
    space = {"e": kernel[3:], "q": images[3:], "p": places[3:]}
    counts = [prod(sizes[x] if x in sizes else prod(space[x]) for x in part) for part in OPS[op][1]]
    unit = tuple(view.strides[-1] == 1 for view in views)
    made = Convolution(op, left.dtype, rank, unit, config.active().numerics == "fast")  # type: ignore[arg-type]
    moves = [number for axis in range(rank)
             for number in (space["e"][axis], space["q"][axis], space["p"][axis], strides[axis],
                            dilation[axis], padding[axis][0])]  # type: ignore[index]  # fmt: skip
    steps = [n for view, short in zip(views, unit, strict=True)
             for n in view.strides[: len(view.strides) - short]]  # fmt: skip
    integers = (groups, *counts, sizes["o"], sizes["c"], *moves, *steps)
    batch = kernel[0] * groups
    reach = max(*counts, *(o.view.extent[1] for o in named.values()))
    return Form(
        "convolution without windows", (number,), emit_convolution(made),
        tuple(named[name] for name in OPS[op][0]), (), integers,
        lambda aligned: convolution_variants(made, batch, reach, integers, aligned),
        lambda chosen: convolution_grid(batch, integers, chosen), False,
        min(sizes["o"], sizes["c"]) >= MANY,
    )  # fmt: skip


def _seen(operand: Operand, name: str, rank: int) -> View | None:
    """As (batch, first, channels, *space)."""
    shape = operand.view.shape
    return seen_as(operand, (prod(shape[: len(shape) - rank - 2]), *shape[-rank - 2 :]))


def emit_convolution(convolution: Convolution) -> KernelText:
    """The text: `kernel(left, right, out, sizes, moves, strides, BI, BJ, BK)`."""
    (left, right, out), (rows, columns, summed) = OPS[convolution.op]
    rank = convolution.rank
    known = {rows: "i[:, None]"}
    parameters = ["p0", "p1", "p2", *convolution.integers()]
    parameters += [f"{name}: tl.constexpr" for name in ("BI", "BJ", "BK")]
    lines = _parts("j", columns, rank)
    known |= _names("j", columns, rank, "[None, :]")
    of_left = known | _names("k", summed, rank, "[None, :]")
    of_right = _names("j", columns, rank, "[None, :]") | _names("k", summed, rank, "[:, None]")
    places, inside = _places(right, rank, of_right)
    body = _TEXT.format(
        parameters=", ".join(parameters), dtype=dtype_name(convolution.dtype),
        columns="\n".join(f"    {line}" for line in lines),
        summed="\n".join(f"        {line}" for line in _parts("k", summed, rank)),
        places="\n".join(f"        {line}" for line in places),
        left=_address(convolution, 0, left, of_left),
        left_mask="(i < ni)[:, None] & (k < nk)[None, :]",
        right=_address(convolution, 1, right, of_right),
        right_mask=" & ".join(["(k < nk)[:, None] & (j < nj)[None, :]", *inside]),
        out=_address(convolution, 2, out, known),
        precision="tf32" if convolution.fast else "ieee",
    )  # fmt: skip
    source = "\n\n".join([HEADER, body])
    return KernelText(source, "kernel", (convolution.dtype,) * 3, (),
                      len(convolution.integers()), OPTIONS)  # fmt: skip


def _parts(index: str, counted: str, rank: int) -> list[str]:
    """Lines that take an index apart: its first part, and one for each axis of space."""
    first, space = counted
    lines, rest = [], index
    for axis in reversed(range(rank)):
        lines.append(f"{index}{space}{axis} = {rest} % n{space}{axis}")
        lines.append(f"{index}r{axis} = {rest} // n{space}{axis}")
        rest = f"{index}r{axis}"
    return [*lines, f"{index}{first} = {rest}"]


def _names(index: str, counted: str, rank: int, across: str) -> dict[str, str]:
    """What the text calls the parts of an index, as they stand in a tile."""
    first, space = counted
    return {first: f"{index}{first}{across}"} | {
        f"{space}{axis}": f"{index}{space}{axis}{across}" for axis in range(rank)
    }


def _places(tensor: str, rank: int, known: dict[str, str]) -> tuple[list[str], list[str]]:
    """Lines that find where the right tensor is looked at, and which of these places exist."""
    space = TENSORS[tensor][2]
    lines, inside = [], []
    for axis in range(rank):
        e, at = known[f"e{axis}"], f"at{axis}"
        if space == "q":
            p = known[f"p{axis}"]
            lines.append(f"{at} = {p} * s{axis} + {e} * d{axis} - lo{axis}")
        else:
            q = known[f"q{axis}"]
            lines.append(f"far{axis} = {q} + lo{axis} - {e} * d{axis}")
            lines.append(f"{at} = far{axis} // s{axis}")
            inside.append(f"(far{axis} % s{axis} == 0) & (far{axis} >= 0)")
        inside.append(f"({at} >= 0) & ({at} < n{space}{axis})")
        known[f"{space}{axis}"] = at
    return lines, inside


def _address(convolution: Convolution, number: int, tensor: str, known: dict[str, str]) -> str:
    """Where a tensor has its elements, in the shape of a tile."""
    first, channel, space = TENSORS[tensor]
    # of a kernel c counts the channels of one group, of all else channels are those of all groups
    in_group = {"o": f"(group * no + {known.get('o')})", "c": f"(group * nc + {known.get('c')})"}
    if tensor == "kernel":
        names = [in_group["o"], known["c"]]
    else:
        names = [known[first], in_group[channel]]
    names += [known[f"{space}{axis}"] for axis in range(convolution.rank)]
    strides = [f"t{number}{axis + 1}" for axis in range(len(names))]
    if convolution.unit[number]:
        return " + ".join([*(f"{a} * {b}" for a, b in zip(names[:-1], strides, strict=False)),
                           names[-1]])  # fmt: skip
    return " + ".join(f"{a} * {b}" for a, b in zip(names, strides, strict=True))


def convolution_variants(
    convolution: Convolution, batch: int, reach: int, integers: Sequence[int],
    aligned: Sequence[bool],
) -> list[Variant]:  # fmt: skip
    """The compilations worth a measurement, the best guess first."""
    _, ni, nj, *_ = integers
    fitting = sorted(TILES, key=lambda t: (batch * -(-ni // t[0][0]) * -(-nj // t[0][1]) < BUSY,
                                           t[0][0] > 2 * ni))  # fmt: skip
    indices = index_words(reach, *integers)
    return [Variant(tile, indices, marked(0, integers, aligned), warps, stages)
            for tile, warps, stages in fitting[:3]]  # fmt: skip


def convolution_grid(batch: int, integers: Sequence[int], chosen: Variant) -> int:
    """How many program instances compute it."""
    _, ni, nj, *_ = integers
    return batch * -(-ni // chosen.constexprs[0]) * -(-nj // chosen.constexprs[1])
