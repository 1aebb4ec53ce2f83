"""Products with what is computed of whole rows behind them, as one Triton text.

    y = layer_norm(x @ w), softmax(x @ w), ...     where a tile of the product holds its rows

The kernel of the rows is a function of the text that is given its tile in registers instead of in
memory (`triton.emit_rows`). Comes in: a product, the launch that reads it first. Goes out: a Form.
"""

from __future__ import annotations

from collections.abc import Sequence

from dualflow.base.records import record
from dualflow.ir.kernel import Check, Kernel
from dualflow.ir.program import Launch, Operand
from dualflow.ir.text import KernelText, Variant

from .triton import emit_rows
from .triton_complex import memory_dtype
from .triton_products import Product, emit_product, marked
from .triton_variants import can_be_whole, index_words, variant

#: Columns of the widest product of which a tile holds whole rows, and elements of a tile.
WIDEST, TILE = 256, 8192


@record
class Rows:
    """What is computed of the rows of a product.

    Attributes:
        kernel: over rows; folds and maps of their elements.
        held: its access that is the product.
    """

    kernel: Kernel
    held: str


def rows_of(step: Launch, product: Operand, rows: int, columns: int) -> Rows | None:
    """How a launch reads the product, row by row and not otherwise; None for other launches."""
    kernel = step.kernel
    numbers = dict(zip(kernel.integers(), step.integers, strict=True))
    if not can_be_whole(kernel) or len(kernel.grid) != 1 or columns > WIDEST or kernel.totals:
        return None
    if any(isinstance(sink, Check) for sink in kernel.sinks):
        return None
    (axis,), lanes = kernel.grid, kernel.lanes
    ends = numbers[f"lo_{axis}"], numbers[f"hi_{axis}"], numbers[f"n_{lanes}"]
    held = [access for access, operand in zip(kernel.accesses, step.operands, strict=True)
            if operand.buffer == product.buffer and access.mode != "out"]  # fmt: skip
    if ends != (0, rows, columns) or len(held) != 1 or held[0].mode != "in":
        return None
    (access,) = held
    places = [a.name for a in kernel.axes]
    steps = [numbers[f"{access.name}_{place}"] if stride == "s" else stride
             for place, stride in zip(places, access.strides, strict=True)]  # fmt: skip
    operand = step.operands[kernel.accesses.index(access)]
    wanted = {axis: columns, lanes: 1}
    if [wanted[place] for place in places] != steps or operand.view.offset != product.view.offset:
        return None
    looked_up = any(let.op == "gather" and let.arguments[0] == access.name
                    for stage in kernel.stages for let in stage.lets)  # fmt: skip
    return None if looked_up else Rows(kernel, access.name)


def emit_product_of_rows(product: Product, rows: Rows) -> KernelText:
    """The text: `kernel(pointers of both, scalars, integers, BI, BJ, BK, BAND)`.

    Raises:
        NotImplementedError: a dtype or an op that the text cannot have.
    """
    kernel = rows.kernel
    functions = emit_rows(kernel, "rows", rows.held)
    accesses = [access for access in kernel.accesses if access.name != rows.held]
    pointers = [f"r{n}" for n in range(len(accesses))]
    scalars = [f"rc{n}" for n in range(len(kernel.scalars))]
    integers = [f"rn{n}" for n in range(len(kernel.integers()))]
    given = ", ".join(["tl.program_id(0)", "made", *pointers, *scalars, *integers])
    text = emit_product(product, functions, f"rows({given}, BI, BJ, True)",
                        (pointers, scalars, integers))  # fmt: skip
    return KernelText(
        text.source, text.name, (*text.pointers, *(memory_dtype(a.dtype) for a in accesses)),
        (*text.scalars, *(scalar.dtype for scalar in kernel.scalars)),
        text.integers + len(integers), text.options,
    )  # fmt: skip


def rows_variants(
    product: Product, kernel: Kernel, text: KernelText, integers: Sequence[int],
    aligned: Sequence[bool],
) -> list[Variant]:  # fmt: skip
    """The compilations worth a measurement: tiles as wide as a row."""
    wide = 16
    while wide < integers[2]:
        wide *= 2
    tall = TILE // wide
    divisible = marked(len(text.scalars), integers, aligned)
    of_rows = variant(kernel, integers[len(integers) - len(kernel.integers()) :], ())
    indices = max(index_words(*integers), of_rows.indices)
    tiles = (min(tall, 128), 3), (max(16, min(tall, 128) // 2), 4)
    return [Variant((high, wide, 32, 1), indices, divisible, 8, stages) for high, stages in tiles]


def rows_grid(integers: Sequence[int], chosen: Variant) -> int:
    """How many program instances: one for some rows."""
    return -(-integers[1] // chosen.constexprs[0])
