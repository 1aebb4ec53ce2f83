"""Matrix products as Triton text, with scalar code fused before and behind them.

    out[z, i, j] = epilogue(sum over k of left(z, i, k) * right(z, k, j), operands at (z, i, j))

Tiles are counted in bands of rows, so that neighbouring instances share what they read. float32
is multiplied in full precision unless `fast`. Comes in: a `Product`. Goes out: KernelText, and the
variants worth trying on a device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from dualflow.base.records import record
from dualflow.ir.kernel import Access, Let, Scalar
from dualflow.ir.text import KernelText, Variant

from .spelling import spelling
from .triton_complex import memory_dtype
from .triton_frame import OPTIONS, dtype_name, literal, parse
from .triton_prelude import HEADER, used_by
from .triton_values import computed
from .triton_variants import index_words

#: What tensor cores multiply, by the names of dtypes.
MULTIPLIED = ("float16", "bfloat16", "float32")
#: Sizes of the batch, rows, columns and the summed axis.
SIZES = ("nz", "ni", "nj", "nk")
#: What scalar code behind a product calls the element of the product.
PRODUCT = "product"


@record
class Code:
    """Scalar code over tensors; as a side of a product, what is multiplied.

    Attributes:
        accesses: what is read (or, for stores, written); a stride that is literally 1 is what lets
            loads be wide and early.
        lets: what is computed of the elements.
        values: the names of what comes out; a side has one.
    """

    accesses: tuple[Access, ...]
    lets: tuple[Let, ...]
    values: tuple[str, ...]

    @classmethod
    def of(cls, access: Access) -> Code:
        """The elements as they are."""
        return cls((access,), (Let("element", "load", (access.name,), access.dtype),), ("element",))


@record
class Product:
    """A batch of products and what is computed of each element.

    Attributes:
        left, right: over the axes (z, i, k) and (z, k, j).
        outs: what is stored, over the axes (z, i, j), one for each value of `behind`.
        behind: over the axes (z, i, j); its code may name `PRODUCT`, of `dtype`.
        dtype: of what is multiplied, one of `MULTIPLIED`.
        scalars: numbers that any of the code names.
        fast: whether float32 may be multiplied in tf32.
    """

    left: Code
    right: Code
    outs: tuple[Access, ...]
    behind: Code
    dtype: np.dtype
    scalars: tuple[Scalar, ...] = ()
    fast: bool = False

    @property
    def accesses(self) -> tuple[tuple[Access, str], ...]:
        """All operands, in the order of the pointers, with the names of their axes."""
        parts = ((self.left.accesses, "zik"), (self.right.accesses, "zkj"), (self.outs, "zij"),
                 (self.behind.accesses, "zij"))  # fmt: skip
        return tuple((access, axes) for accesses, axes in parts for access in accesses)

    def integers(self) -> tuple[str, ...]:
        """What a launch is given: sizes, then each stride "s"."""
        found = list(SIZES)
        for n, (access, axes) in enumerate(self.accesses):
            found += [f"s{n}{axis}" for axis, step in zip(axes, access.strides, strict=True)
                      if step == "s"]  # fmt: skip
        return tuple(found)

    def place(self, access: Access) -> str:
        """The address of an operand at the positions of a tile along its axes."""
        n, axes = next((n, axes) for n, (one, axes) in enumerate(self.accesses) if one is access)
        terms, still = [f"p{n}"], []
        for axis, step in zip(axes, access.strides, strict=True):
            position = _POSITIONS[axes][axis]
            if step == "s":
                wide = position if axis == "z" else f"{position}.to(tl.int64)"
                terms.append(f"{wide} * s{n}{axis}")
            elif step:
                terms.append(position)
            elif axis != "z":
                still.append(f"{position} * 0")
        return " + ".join(terms + still)


#: How tiles of each operand name their positions.
_POSITIONS = {
    "zik": {"z": "z", "i": "i", "k": "k[None, :]"},
    "zkj": {"z": "z", "k": "k[:, None]", "j": "j"},
    "zij": {"z": "z", "i": "i", "j": "j"},
}
_HEAD = """\
@triton.jit
def kernel({parameters}):
    block = tl.program_id(0)
    down, across = tl.cdiv(ni, BI), tl.cdiv(nj, BJ)
    z = (block // (down * across)).to(tl.int64)
    block = block % (down * across)
    band = BAND * across
    first = block // band * BAND
    tall = min(down - first, BAND)
    i = (first + block % band % tall) * BI + tl.arange(0, BI)[:, None]
    j = (block % band // tall) * BJ + tl.arange(0, BJ)[None, :]
    total = tl.zeros([BI, BJ], tl.float32)
    for start in range(0, nk, BK):
        k = start + tl.arange(0, BK)
{sides}
        total = tl.dot(x, y, total, input_precision="{precision}")
    inside = (i < ni) & (j < nj)
"""


Names = tuple[Sequence[str], Sequence[str], Sequence[str]]


def emit_product(
    product: Product, functions: Sequence[str] = (), behind: str = "",
    more: Names = ((), (), ()),
) -> KernelText:  # fmt: skip
    """The text: `kernel(left, right, outs, operands, scalars, sizes, strides, BI, BJ, BK, BAND)`.

    Args:
        product: what is computed.
        functions: that the text has as well.
        behind: a line of the text that follows, in which `made` is the tile of the product.
        more: names of pointers, scalars and integers that it needs, each behind the product's.

    Raises:
        NotImplementedError: a dtype that tensor cores do not multiply, or an op without a spelling.
    """
    dtypes = tuple(memory_dtype(access.dtype) for access, _ in product.accesses)
    if product.dtype.name not in MULTIPLIED:
        raise NotImplementedError(f"products of {product.dtype.name}")
    names = [f"p{n}" for n in range(len(dtypes))]
    names += more[0]
    names += [*(scalar.name for scalar in product.scalars), *more[1]]
    names += [*product.integers(), *more[2]]
    names += [f"{name}: tl.constexpr" for name in ("BI", "BJ", "BK", "BAND")]
    sides = _side(product, product.left, "x", "(i < ni) & (k[None, :] < nk)")
    sides += _side(product, product.right, "y", "(j < nj) & (k[:, None] < nk)")
    body = _HEAD.format(
        parameters=", ".join(names), precision="tf32" if product.fast else "ieee",
        sides="\n".join(f"        {line}" for line in sides),
    )  # fmt: skip
    body += "\n".join(f"    {line}" for line in [*_epilogue(product), *[behind] * bool(behind)])
    used = used_by("".join([*functions, body]))
    source = "\n\n".join([HEADER, *used, *functions, body + "\n"])
    scalars = tuple(scalar.dtype for scalar in product.scalars)
    integers = len(product.integers())
    return KernelText(source, "kernel", dtypes, scalars, integers, OPTIONS)


def _side(product: Product, code: Code, name: str, mask: str) -> list[str]:
    """Lines that make a tile of what is multiplied; zero outside."""
    if len(code.lets) == 1:
        return [f"{name} = tl.load({product.place(code.accesses[0])}, mask={mask}, other=0.0)"]
    lines, values = scalar_code(
        code, product.scalars, {},
        lambda a: f"tl.load({product.place(a)}, mask=in_{name}, other=0.0)", name,
    )  # fmt: skip
    last = f"{name} = tl.where(in_{name}, {values[0]}, 0.0).to({dtype_name(product.dtype)})"
    return [f"in_{name} = {mask}", *lines, last]


def _epilogue(product: Product) -> list[str]:
    """Lines that compute what is stored, and store it."""
    known = {PRODUCT: ("made", product.dtype)}
    lines, values = scalar_code(
        product.behind, product.scalars, known,
        lambda a: f"tl.load({product.place(a)}, mask=inside)", "v",
    )  # fmt: skip
    lines.insert(0, f"made = total.to({dtype_name(product.dtype)})")
    for access, value in zip(product.outs, values, strict=True):
        value = f"{value}.to({dtype_name(access.dtype)})"
        lines.append(f"tl.store({product.place(access)}, {value}, mask=inside)")
    return lines


def scalar_code(
    code: Code, scalars: Sequence[Scalar], given: Mapping[str, tuple[str, np.dtype]],
    load: Callable[[Access], str], prefix: str,
) -> tuple[list[str], list[str]]:  # fmt: skip
    """Lines for `code`, and what the text calls its values."""
    lines: list[str] = []
    known = {scalar.name: (scalar.name, scalar.dtype) for scalar in scalars} | dict(given)
    places = {access.name: access for access in code.accesses}
    for let in code.lets:
        if let.op == "load":
            text = load(places[let.arguments[0]])
        elif let.op == "constant":
            text = literal(parse(let.arguments[0]), let.dtype)
        else:
            text = _computed(let, [known[name] for name in let.arguments])
        name = f"{prefix}{len(lines)}"
        known[let.name] = name, let.dtype
        lines.append(f"{name} = {text}")
    return lines, [known[value][0] for value in code.values]


def _computed(let: Let, operands: Sequence[tuple[str, np.dtype]]) -> str:
    """An elementwise op of values of these names and dtypes."""
    names, dtypes = zip(*operands, strict=True)
    return computed(let, spelling(let.op, "triton", dtypes[0]), names, dtypes)


#: Tiles (BI, BJ, BK), warps and stages that are worth a measurement; the first is the default.
TILES = (
    ((128, 128, 32), 8, 3), ((128, 256, 64), 8, 3), ((64, 128, 32), 4, 4), ((64, 64, 32), 4, 4),
    ((128, 64, 32), 4, 4), ((32, 64, 64), 4, 4),
)  # fmt: skip
BAND = 8
#: Bytes of shared memory that a block may have on the smallest device (sm_86: 99 KiB).
SHARED = 99 << 10
#: How many variants are tried.
TRIED = 4
#: Program instances that keep a GPU busy: tiles that give fewer come last.
BUSY = 128


def product_variants(
    product: Product, integers: Sequence[int], aligned: Sequence[bool]
) -> list[Variant]:
    """The variants worth trying for a launch, the best guess first."""
    nz, ni, nj, _ = integers[:4]
    fitting = [
        (tile, warps, stages) for tile, warps, stages in TILES
        if (tile[0] + tile[1]) * tile[2] * product.dtype.itemsize * (stages - 1) <= SHARED
    ]  # fmt: skip
    fitting.sort(key=lambda t: nz * -(-ni // t[0][0]) * -(-nj // t[0][1]) < BUSY)
    wide = marked(len(product.scalars), integers, aligned)
    indices = index_words(*integers)
    return [Variant((*tile, BAND), indices, wide, warps, stages)
            for tile, warps, stages in fitting[:TRIED]]  # fmt: skip


def marked(
    scalars: int, integers: Sequence[int], aligned: Sequence[bool]
) -> tuple[tuple[int, int], ...]:
    """Which parameters are multiples of 16, of pointers, so many scalars, and integers."""
    wide = [(n, 16) for n, is_aligned in enumerate(aligned) if is_aligned]
    first = len(aligned) + scalars
    wide += [(first + n, 16) for n, value in enumerate(integers) if value and value % 16 == 0]
    return tuple(wide)


def product_grid(integers: Sequence[int], chosen: Variant) -> int:
    """How many program instances compute it."""
    nz, ni, nj, _ = integers[:4]
    return nz * -(-ni // chosen.constexprs[0]) * -(-nj // chosen.constexprs[1])
