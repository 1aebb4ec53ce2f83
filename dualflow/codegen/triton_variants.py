"""Which compilation of a Triton text serves a launch, and how many program instances it starts.

Comes in: a Kernel and the numbers of a launch. Goes out: a `Variant` (what the compiler is told)
and the launch grid. A variant depends on the lanes axis and on how memory is aligned, never on
the range of another axis: a new batch size needs no compilation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from dualflow.ir.kernel import Access, Check, Kernel
from dualflow.ir.program import Launch
from dualflow.ir.text import Variant

#: Elements of the tile that one program instance of a map or a row kernel computes.
TILE = 1024
#: Bytes of the longest row that is kept in registers whole.
WHOLE_ROW = 32 * 1024
#: Elements of a piece of a longer row.
ROW_PIECE = 2048
#: Lanes of a tile of a column kernel, and its elements.
COLUMN_LANES, COLUMN_TILE = 64, 2048
#: Side of the square tile of a map where an access runs along another axis than the lanes.
TRANSPOSED = 32
#: Where every product of a position and a stride stays below this, indices have 32 bits.
NARROW_REACH = 2**30
#: Bytes of the widest memory access.
WIDE_ACCESS = 16


def tile(kernel: Kernel) -> tuple[str, ...]:
    """The axes of the tile that a program instance computes: lanes last, at most one other.

    A row kernel takes the last grid axis beside the lanes, a column kernel the last loop axis, a
    map the axis that another access runs along, or else the last but one.
    """
    if kernel.folds_across_lanes or (kernel.loops and kernel.lanes in kernel.grid):
        other = kernel.loops[-1:]
    elif kernel.loops:
        other = kernel.grid[-1:]
    else:
        other = _crossing(kernel)[-1:] or kernel.grid[-2:-1]
    return (*other, kernel.lanes)


def _crossing(kernel: Kernel) -> tuple[str, ...]:
    """The grid axes, other than the lanes, along which an access runs element by element."""
    return tuple(
        axis.name
        for n, axis in enumerate(kernel.axes)
        if axis.role == "grid" and axis.name != kernel.lanes
        and any(a.strides[n] in (1, -1) and _lane_stride(kernel, a) == "s" for a in kernel.accesses)
    )  # fmt: skip


def _lane_stride(kernel: Kernel, access: Access) -> int | str:
    names = [axis.name for axis in kernel.axes]
    return access.strides[names.index(kernel.lanes)]


def can_be_whole(kernel: Kernel) -> bool:
    """Whether the text has a form (WHOLE) in which a row is one tile, kept in registers."""
    return kernel.loops == (kernel.lanes,)


def variant(kernel: Kernel, integers: Sequence[int], aligned: Sequence[bool]) -> Variant:
    """The compilation for a launch.

    Args:
        kernel: what is launched.
        integers: a value for each of `kernel.integers()`.
        aligned: for each access, whether its first element lies at a multiple of 16 bytes.
    """
    numbers = dict(zip(kernel.integers(), integers, strict=True))
    blocks, whole, warps = _blocks(kernel, _size(kernel, kernel.lanes, numbers))
    constexprs = tuple(blocks[axis] for axis in tile(kernel))
    if can_be_whole(kernel):
        constexprs += (int(whole),)
    indices = index_words(_reach(kernel, numbers))
    return Variant(constexprs, indices, _divisible(kernel, numbers, aligned), warps)


def index_words(*reaches: int) -> str:
    """Of which words the positions and offsets of a text are that go no further than these.

    >>> index_words(1 << 20, -(1 << 31))
    'i64'
    """
    return "i32" if max(map(abs, reaches)) < NARROW_REACH else "i64"


def choose(launch: Launch, aligned: Sequence[bool]) -> tuple[Variant, int]:
    """The compilation for a launch of a program whose operands are aligned so, and its grid."""
    chosen = variant(launch.kernel, launch.integers, aligned)
    return chosen, launch_grid(launch.kernel, launch.integers, chosen)


def launch_grid(kernel: Kernel, integers: Sequence[int], chosen: Variant) -> int:
    """How many program instances, on a grid of one dimension.

    Each computes one tile of the grid axes. Tiles are counted row by row, the last grid axis
    fastest; an axis outside the tile counts as a tile of one position. Loop axes do not count.
    A launch larger than the hardware's limit is cut by the `lo` and `hi` of its first axis.
    """
    numbers = dict(zip(kernel.integers(), integers, strict=True))
    blocks = dict(zip(tile(kernel), chosen.constexprs, strict=False))
    return prod(-(-_size(kernel, axis, numbers) // blocks.get(axis, 1)) for axis in kernel.grid)


def _size(kernel: Kernel, axis: str, numbers: Mapping[str, int]) -> int:
    if axis in kernel.loops:
        return numbers[f"n_{axis}"]
    return max(0, numbers[f"hi_{axis}"] - numbers[f"lo_{axis}"])


def _blocks(kernel: Kernel, lanes: int) -> tuple[dict[str, int], bool, int]:
    """The size of the tile along each of its axes, whether rows are whole, and warps."""
    axes = tile(kernel)
    width = 16
    while width < lanes:
        width *= 2
    if not kernel.loops:
        size = _map_tile(kernel)
        if len(axes) == 1:
            return {axes[0]: size}, False, 4
        width = TRANSPOSED if _crossing(kernel) else min(width, size)
        return {axes[0]: size // width, axes[1]: width}, False, 4
    if kernel.lanes in kernel.grid:
        width = min(width, COLUMN_LANES)
        return {axes[0]: COLUMN_TILE // width, axes[1]: width}, False, 4
    items = [a.dtype.itemsize for a in kernel.accesses if _lane_stride(kernel, a) != 0]
    whole = can_be_whole(kernel) and width * max([4, *items]) <= WHOLE_ROW
    width = width if whole else min(width, ROW_PIECE)
    blocks = {axis: max(1, TILE // width) for axis in axes[:-1]} | {axes[-1]: width}
    # 16 warps would have too few registers for a row of 8192 with its weights and folds
    return blocks, whole, 4 if width < 2048 else 8 if width < 8192 else 32


def _map_tile(kernel: Kernel) -> int:
    """Elements of the tile of a map: bytes alone, or beside what has two, need twice as many for
    wide accesses."""
    sizes = {access.dtype.itemsize for access in kernel.accesses}
    return 2 * TILE if sizes and 1 in sizes and max(sizes) <= 2 else TILE


def _reach(kernel: Kernel, numbers: Mapping[str, int]) -> int:
    """A bound on the positions and offsets that the text computes."""
    ends = {a: numbers[f"hi_{a}"] for a in kernel.grid}
    ends |= {a: numbers[f"n_{a}"] for a in kernel.loops}
    ends = {axis: end + COLUMN_TILE for axis, end in ends.items()}
    reach = max(ends.values())
    for access in kernel.accesses:
        steps = zip(kernel.axes, access.strides, strict=True)
        offsets = [
            ends[axis.name] * abs(numbers[f"{access.name}_{axis.name}"] if s == "s" else int(s))
            for axis, s in steps
        ]
        reach = max(reach, sum(offsets))
    return reach


def _divisible(
    kernel: Kernel, numbers: Mapping[str, int], aligned: Sequence[bool]
) -> tuple[tuple[int, int], ...]:
    """What to tell the compiler so that it uses wide accesses: aligned pointers, the ends of the
    lanes, and strides of the other axes, each where it is a multiple."""
    names = kernel.integers()
    has_status = any(isinstance(sink, Check) for sink in kernel.sinks)
    first = len(kernel.accesses) + has_status + len(kernel.scalars)
    found = [(n, WIDE_ACCESS) for n, is_aligned in enumerate(aligned) if is_aligned]
    ends = [f"lo_{kernel.lanes}", f"hi_{kernel.lanes}", f"n_{kernel.lanes}"]
    marked = {name for name in ends if name in names}
    if not kernel.loops and len(tile(kernel)) == 1:
        marked.discard(f"hi_{kernel.lanes}")  # the full tiles need no mask; it counts the batch
    for access in kernel.accesses:
        if _lane_stride(kernel, access) in (1, -1):
            marked |= {f"{access.name}_{axis.name}" for axis in kernel.axes}
    for n, name in enumerate(names):
        if name in marked:
            divisor = next((d for d in (16, 4) if numbers[name] % d == 0), 1)
            found += [(first + n, divisor)] if divisor > 1 else []
    return tuple(found)
