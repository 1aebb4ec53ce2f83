"""Sums of products by Einstein's convention, as batched matrix products.

An operand is a tensor and a label for each of its axes. Labels that only one operand has and the
result has not are summed first; then pairs of operands are multiplied, in the cheapest order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from dualflow.base.errors import ArgumentError, ShapeError
from dualflow.base.shapes import Shape

from .. import primitives as p
from ..operands import TENSORS
from ..ordering import Order, cheapest
from .elementwise import multiply
from .linear import Product, permuted, product_plan, promoted, reshaped
from .reduction import sum

Tensor = Any
Labels = tuple[int, ...]
Axes = tuple[int, ...]
#: stands for axes that are not named, in parsed subscripts
_DOTS = -1


def einsum(*operands: Any, optimize: bool = True) -> Tensor:
    """Sums of products of tensors, by labels of their axes.

    Args:
        operands: "ij,jk->ik" and a tensor for each part; or tensors, each followed by a list of
            integers that label its axes, and at the end the labels of the result. An ellipsis
            stands for axes that broadcast. Without a result its labels are those that stand
            once, in order of the alphabet.
        optimize: whether operands are multiplied in the cheapest order, and not from the left.

    Raises:
        ArgumentError: subscripts that make no sense.
        ShapeError: sizes that do not fit.

    >>> import dualflow as df
    >>> df.einsum("ij,j->i", df.asarray([[1.0, 2.0]]), df.asarray([3.0, 4.0])).tolist()
    [11.0]
    """
    text, tensors, terms, result = _parsed(operands)
    tensors = promoted("einsum", *tensors)
    plan = _plan(text, terms, result, tuple([x.shape for x in tensors]), bool(optimize))
    if plan.only is not None:
        return plan.only.of(*tensors)
    parts = tensors
    if plan.parts is not None:
        parts = [_reduced(x, *part) for x, part in zip(tensors, plan.parts, strict=True)]
    for (i, j), product in zip(plan.order, plan.products, strict=True):
        right, left = parts.pop(j), parts.pop(i)
        parts.append(product.of(left, right))
    (out,) = parts
    return out if plan.axes is None else p.permute(out, axes=plan.axes)


# Subscripts -----------------------------------------------------------------------------------


def _parsed(
    operands: Sequence[Any],
) -> tuple[str, list[Any], tuple[Labels, ...], Labels | None]:
    """Text for messages, tensors, labels of each, labels of the result (None: not given)."""
    if not operands:
        raise ArgumentError("einsum of nothing", instead='einsum("ij,jk->ik", x, y)')
    if isinstance(operands[0], str):
        return (operands[0], list(operands[1:]), *_read(operands[0]))
    if type(operands[0]) not in TENSORS and len(operands) == 1:
        raise ArgumentError(f"einsum of a {type(operands[0]).__name__}",
                            instead='einsum("ij,jk->ik", x, y)')  # fmt: skip
    pairs = len(operands) // 2
    labels = [_listed(operands[2 * i + 1]) for i in range(pairs)]
    result = _listed(operands[-1]) if len(operands) % 2 else None
    return "lists of labels", list(operands[: 2 * pairs : 2]), tuple(labels), result


def _listed(labels: Any) -> Labels:
    if not isinstance(labels, Sequence):
        raise ArgumentError(f"labels of type {type(labels).__name__}", instead="lists of integers")
    if any(label is not Ellipsis and (type(label) is not int or label < 0) for label in labels):
        raise ArgumentError(f"labels {labels!r}", instead="integers from 0 and at most one ...")
    return tuple(_DOTS if label is Ellipsis else label for label in labels)


@lru_cache(maxsize=512)
def _read(text: str) -> tuple[tuple[Labels, ...], Labels | None]:
    left, arrow, right = text.replace(" ", "").partition("->")
    terms = tuple(_letters(term, text) for term in left.split(","))
    return terms, _letters(right, text) if arrow else None


def _letters(term: str, text: str) -> Labels:
    before, dots, after = term.partition("...")
    if not all(letter.isascii() and letter.isalpha() for letter in before + after):
        raise ArgumentError(f"einsum by {text!r}",
                            instead="letters, '...', ',' and '->'")  # fmt: skip
    return (*map(ord, before), *((_DOTS,) if dots else ()), *map(ord, after))


# Planning -------------------------------------------------------------------------------------


class _Elementwise(NamedTuple):
    """How two operands are multiplied that no matrix product serves: element by element.

    Attributes:
        left, right: the order of their axes.
        rows, columns: their shapes then, which broadcast.
        summed: the axes of the product to sum.
    """

    left: Axes
    rows: Shape
    right: Axes
    columns: Shape
    summed: Axes

    def of(self, x: Tensor, y: Tensor) -> Tensor:
        """The product of `x` and `y`."""
        x = reshaped(permuted(x, self.left), self.rows)
        out = multiply(x, reshaped(permuted(y, self.right), self.columns))
        return _summed(out, self.summed) if self.summed else out


class _Plan(NamedTuple):
    """What `einsum` does.

    Attributes:
        parts: for each operand the pairs of axes of which the diagonal is taken, one after the
            other, then the axes of size 1 to drop, then those to sum; None: nothing of all this.
        order: the pairs to multiply.
        products: how.
        axes: the order of the axes of the result; None: as they are.
        only: the product that is all there is to do, if it is.
    """

    parts: tuple[tuple[tuple[tuple[int, int], ...], Axes, Axes], ...] | None
    order: Order
    products: tuple[Product | _Elementwise, ...]
    axes: Axes | None
    only: Product | _Elementwise | None


@lru_cache(maxsize=512)
def _plan(
    text: str, terms: tuple[Labels, ...], result: Labels | None, shapes: tuple[Shape, ...],
    optimize: bool,
) -> _Plan:  # fmt: skip
    if len(shapes) != len(terms):
        raise ArgumentError(f"einsum of {len(shapes)} tensors by {text!r}",
                            why=f"that labels {len(terms)}")  # fmt: skip
    message = f"einsum of {' and '.join(map(str, shapes))} by {text!r}"
    terms, result = _without_dots(message, terms, result, shapes)
    sizes = _sizes(message, terms, shapes)
    unknown = [label for label in result if label not in sizes]
    if unknown or len(set(result)) != len(result):
        raise ArgumentError(message, why="each label of the result must stand in it once, and in "
                                         "an operand")  # fmt: skip
    found = [_spread_out(message, *each, sizes) for each in zip(terms, shapes, strict=True)]
    seen = Counter(label for _, _, labels in found for label in labels)
    alone = {label for label, count in seen.items() if count == 1} - set(result)
    parts, left = [], []
    for diagonals, dropped, labels in found:
        summed = tuple(i for i, label in enumerate(labels) if label in alone)
        parts.append((diagonals, dropped, summed))
        left.append(tuple(label for label in labels if label not in alone))
    sets = [frozenset(labels) for labels in left]
    order = cheapest(sets, frozenset(result), sizes) if optimize else _from_left(len(left))
    products = []
    for i, j in order:
        b, a = left.pop(j), left.pop(i)
        needed = set(result).union(*left)
        product, labels = _planned_product(a, b, needed, sizes)
        products.append(product)
        left.append(labels)
    axes: Axes | None = tuple(left[0].index(label) for label in result)
    if order and axes == tuple(range(len(result))):  # one operand alone gives a view of its own
        axes = None
    some = tuple(parts) if any(any(part) for part in parts) else None
    only = products[0] if len(products) == 1 and some is axes is None else None
    return _Plan(some, order, tuple(products), axes, only)


def _from_left(count: int) -> Order:
    return tuple((0, 1) if i == 0 else (0, count - i - 1) for i in range(count - 1))


def _without_dots(
    message: str, terms: tuple[Labels, ...], result: Labels | None, shapes: tuple[Shape, ...]
) -> tuple[tuple[Labels, ...], Labels]:
    """Subscripts with labels -2, -3... (from the last axis on) in the place of an ellipsis."""
    named, widest = [], 0
    for term, shape in zip(terms, shapes, strict=True):
        hidden = len(shape) - len(term) + (_DOTS in term)
        if hidden < 0 or (hidden and _DOTS not in term) or term.count(_DOTS) > 1:
            raise ShapeError(message, why="there must be one label for each axis")
        widest = max(widest, hidden)
        named.append(_spelled(term, hidden))
    if result is None:
        counts = Counter(label for term in terms for label in term)
        result = tuple(sorted(l for l, n in counts.items() if n == 1 and l != _DOTS))  # noqa: E741
        result = (_DOTS, *result)
    elif widest and _DOTS not in result:
        raise ArgumentError(message, why="the result must say where the axes of ... go")
    return tuple(named), _spelled(result, widest)


def _spelled(term: Labels, hidden: int) -> Labels:
    if _DOTS not in term:
        return term
    at = term.index(_DOTS)
    return (*term[:at], *range(-hidden - 1, -1), *term[at + 1 :])


def _sizes(message: str, terms: tuple[Labels, ...], shapes: tuple[Shape, ...]) -> dict[int, int]:
    sizes: dict[int, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for label, size in zip(term, shape, strict=True):
            if sizes.setdefault(label, size) != size and size != 1:
                if sizes[label] != 1:
                    why = f"one label has sizes {sizes[label]} and {size}"
                    raise ShapeError(message, why=why)
                sizes[label] = size
    return sizes


def _spread_out(
    message: str, term: Labels, shape: Shape, sizes: dict[int, int]
) -> tuple[tuple[tuple[int, int], ...], tuple[int, ...], Labels]:
    """The diagonals to take of an operand and then the axes of size 1 to drop, which stand for
    any size; and the labels left, each once."""
    labels, diagonals = list(term), []
    lengths = dict(zip(reversed(term), reversed(shape), strict=True))
    for label in dict.fromkeys(term):
        while labels.count(label) > 1:
            i = labels.index(label)
            j = labels.index(label, i + 1)
            diagonals.append((i, j))
            labels = [*labels[:i], *labels[i + 1 : j], *labels[j + 1 :], label]
    if any(lengths[label] != size for label, size in zip(term, shape, strict=True)):
        raise ShapeError(message, why="a diagonal needs axes of one size")
    dropped = tuple(i for i, label in enumerate(labels) if lengths[label] == 1 != sizes[label])
    kept = tuple(label for i, label in enumerate(labels) if i not in dropped)
    return tuple(diagonals), dropped, kept


def _planned_product(
    a: Labels, b: Labels, needed: set[int], sizes: dict[int, int]
) -> tuple[Product | _Elementwise, Labels]:
    both = [label for label in a if label in b]
    batch = [label for label in both if label in needed]
    inner = [label for label in both if label not in needed]
    rows, columns = [x for x in a if x not in b], [x for x in b if x not in a]
    left = tuple(a.index(label) for label in (*batch, *rows, *inner))
    right = tuple(b.index(label) for label in (*batch, *inner, *columns))
    labels, parts = (*batch, *rows, *columns), (batch, rows, inner, columns)
    many, m, k, n = (tuple(sizes[label] for label in part) for part in parts)
    if not inner:
        wide = (*many, *m, *(1,) * len(n)), (*many, *(1,) * len(m), *n)
        return _Elementwise(left, wide[0], right, wide[1], ()), labels
    if not rows and not columns and batch:
        summed = tuple(range(len(batch), len(batch) + len(inner)))
        return _Elementwise(left, many + k, right, many + k, summed), labels
    return product_plan(left, right, many, m, k, n), labels


# Doing it -------------------------------------------------------------------------------------


def _reduced(
    x: Tensor, diagonals: tuple[tuple[int, int], ...], dropped: Axes, summed: Axes
) -> Tensor:
    for i, j in diagonals:
        x = _diagonal(x, i, j)
    if dropped:
        x = p.reshape(x, shape=tuple(n for i, n in enumerate(x.shape) if i not in dropped))
    return _summed(x, summed) if summed else x


def _summed(x: Tensor, axes: Axes) -> Tensor:
    """Without widening integers."""
    out = sum(x, axes)
    return out if out.dtype == x.dtype else p.cast(out, dtype=x.dtype)


def _diagonal(x: Tensor, i: int, j: int) -> Tensor:
    """The diagonal of two axes of one size, as a last axis."""
    rest = [k for k in range(x.ndim) if k not in (i, j)]
    x = p.permute(x, axes=(*rest, i, j))
    *batch, n, _ = x.shape
    flat = p.reshape(x, shape=(*batch, n * n))
    none, ones = (0,) * len(batch), (1,) * len(batch)
    return p.slice(flat, starts=(*none, 0), stops=(*batch, n * n), steps=(*ones, n + 1))
