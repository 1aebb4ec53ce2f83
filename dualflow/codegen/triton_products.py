"""Matrix products as Triton text, with scalar code fused behind them.

    out[z, i, j] = epilogue(sum over k of a[z, i, k] * b[z, k, j], further operands at (z, i, j))

Tiles are counted in bands of rows, so that neighbouring instances share what they read. float32
is multiplied in full precision unless `fast`. Comes in: a `Product`. Goes out: KernelText, and the
variants worth trying on a device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dualflow.ir.kernel import Access, Let
from dualflow.ir.text import KernelText, Variant

from .spelling import spelling
from .triton import OPTIONS, dtype_name, literal, parse
from .triton_prelude import HEADER, used_by

FLOAT16, FLOAT32 = np.dtype("float16"), np.dtype("float32")
#: Sizes of the batch, rows, columns and the summed axis.
SIZES = ("nz", "ni", "nj", "nk")


@dataclass(frozen=True)
class Product:
    """A batch of products and what is computed of each element.

    Attributes:
        left, right, out: a over the axes (z, i, k), b over (z, k, j), the result over (z, i, j), of
            float16 or float32. A stride that is literally 1 is what lets loads be wide and early.
        operands: further tensors over the axes (z, i, j).
        lets: scalar code; it may name "product" (float32) and load from `operands`.
        value: the name of what is stored.
        fast: whether float32 may be multiplied in tf32.
    """

    left: Access
    right: Access
    out: Access
    operands: tuple[Access, ...] = ()
    lets: tuple[Let, ...] = ()
    value: str = "product"
    fast: bool = False

    @property
    def accesses(self) -> tuple[tuple[Access, str], ...]:
        """All operands, in the order of the pointers, with the names of their axes."""
        further = tuple((operand, "zij") for operand in self.operands)
        return (self.left, "zik"), (self.right, "zkj"), (self.out, "zij"), *further

    def integers(self) -> tuple[str, ...]:
        """What a launch is given: sizes, then each stride "s"."""
        found = list(SIZES)
        for n, (access, axes) in enumerate(self.accesses):
            found += [f"s{n}{axis}" for axis, step in zip(axes, access.strides, strict=True)
                      if step == "s"]  # fmt: skip
        return tuple(found)

    def place(self, n: int, **positions: str) -> str:
        """The address of operand `n` at positions along its axes."""
        access, axes = self.accesses[n]
        terms = [f"p{n}"]
        for axis, step in zip(axes, access.strides, strict=True):
            if step and axis in positions:
                terms.append(positions[axis] + (f" * s{n}{axis}" if step == "s" else ""))
        return " + ".join(terms)


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
        x = tl.load({left}, mask=(i < ni) & (k[None, :] < nk), other=0.0)
        y = tl.load({right}, mask=(j < nj) & (k[:, None] < nk), other=0.0)
        total = tl.dot(x, y, total, input_precision="{precision}")
    inside = (i < ni) & (j < nj)
"""


def emit_product(product: Product) -> KernelText:
    """The text of a product: `kernel(a, b, out, operands, sizes, strides, BI, BJ, BK, BAND)`.

    Raises:
        NotImplementedError: a dtype that tensor cores do not multiply, or an op without a spelling.
    """
    dtypes = tuple(access.dtype for access, _ in product.accesses)
    if dtypes[0] != dtypes[1] or dtypes[0] not in (FLOAT16, FLOAT32):
        raise NotImplementedError(f"products of {dtypes[0].name} and {dtypes[1].name}")
    names = [f"p{n}" for n in range(len(dtypes))] + list(product.integers())
    names += [f"{name}: tl.constexpr" for name in ("BI", "BJ", "BK", "BAND")]
    body = _HEAD.format(
        parameters=", ".join(names), precision="tf32" if product.fast else "ieee",
        left=product.place(0, z="z", i="i.to(tl.int64)", k="k[None, :]"),
        right=product.place(1, z="z", k="k[:, None].to(tl.int64)", j="j"),
    )  # fmt: skip
    body += "\n".join(f"    {line}" for line in _epilogue(product))
    source = "\n\n".join([HEADER, *used_by(body), body + "\n"])
    return KernelText(source, "kernel", dtypes, (), len(product.integers()), OPTIONS)


def _epilogue(product: Product) -> list[str]:
    """Lines that compute what is stored, and store it."""
    lines, known = [], {"product": "total"}
    dtypes = {"product": FLOAT32}
    places = {operand.name: n for n, operand in enumerate(product.operands)}
    for let in product.lets:
        if let.op == "load":
            n = places[let.arguments[0]]
            text = product.place(3 + n, z="z", i="i.to(tl.int64)", j="j")
            text = f"tl.load({text} + (i + j) * 0, mask=inside)"
        elif let.op == "constant":
            text = literal(parse(let.arguments[0]), let.dtype)
        else:
            template = spelling(let.op, "triton", dtypes[let.arguments[0]])
            values = [known[name] for name in let.arguments]
            if "{dtype}" not in template:
                values = [f"{v}.to(tl.float32)" if dtypes[name] == FLOAT16 else v
                          for v, name in zip(values, let.arguments, strict=True)]  # fmt: skip
            text = template.format(*values, dtype=dtype_name(let.dtype))
            text = f"({text}).to(tl.float16)" if let.dtype == FLOAT16 else text
        known[let.name], dtypes[let.name] = f"v{len(known)}", let.dtype
        lines.append(f"{known[let.name]} = {text}")
    value = f"{known[product.value]}.to({dtype_name(product.out.dtype)})"
    place = product.place(2, z="z", i="i.to(tl.int64)", j="j")
    lines.append(f"tl.store({place}, {value}, mask=inside)")
    return lines


#: Tiles (BI, BJ, BK), warps and stages that are worth a measurement; the first is the default.
TILES = (
    ((128, 128, 32), 8, 3), ((128, 256, 64), 8, 3), ((64, 128, 32), 4, 4), ((64, 64, 32), 4, 4),
    ((128, 64, 32), 4, 4), ((32, 64, 64), 4, 4),
)  # fmt: skip
BAND = 8
#: Bytes of shared memory that a block may have on the smallest device (sm_86: 99 KiB).
SHARED = 99 << 10


def product_variants(
    product: Product, integers: Sequence[int], aligned: Sequence[bool]
) -> list[Variant]:
    """The variants worth trying for a launch, the best guess first."""
    found = []
    width = product.left.dtype.itemsize
    wide = [(n, 16) for n, is_aligned in enumerate(aligned) if is_aligned]
    first = len(aligned)
    wide += [(first + n, 16) for n, value in enumerate(integers) if value and value % 16 == 0]
    indices = "i32" if max(map(abs, integers), default=0) < 2**31 else "i64"
    for (i, j, k), warps, stages in TILES:
        if (i + j) * k * width * (stages - 1) <= SHARED:
            found.append(Variant((i, j, k, BAND), indices, tuple(wide), warps, stages))
    return found


def product_grid(integers: Sequence[int], chosen: Variant) -> int:
    """How many program instances compute it."""
    nz, ni, nj, _ = integers[:4]
    return nz * -(-ni // chosen.constexprs[0]) * -(-nj // chosen.constexprs[1])
