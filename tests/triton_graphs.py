"""Graphs as users write them, for any batch: what the Triton tests plan, run and compile.

Comes in: how many rows. Goes out: a Graph; rows are 72 wide, except in `moves`.
"""

from __future__ import annotations

from collections.abc import Callable

from schedule_graphs import Builder

from dualflow.base.dtypes import complex64, float32, float64, int64, uint64
from dualflow.ir.graph import Graph, Value
from dualflow.ops import primitives as p


def softmax_of(b: Builder, x: Value, axis: int) -> Value:
    top = b.spread(b(p.max, x, axes=(axis,)), x.shape, (axis,))
    e = b(p.exp, b(p.subtract, x, top))
    return b(p.divide, e, b.spread(b(p.sum, e, axes=(axis,)), x.shape, (axis,)))


def softmax_rows(n: int) -> Graph:
    b = Builder()
    return b.build([softmax_of(b, b.tensor(n, 72), 1)])


def softmax_columns(n: int) -> Graph:
    b = Builder()
    return b.build([softmax_of(b, b.tensor(n, 72), 0)])


def chain(n: int) -> Graph:
    b = Builder()
    x, y, row = b.tensor(n, 72), b.tensor(n, 72), b.tensor(72)
    t = b(p.tanh, b(p.add, b(p.multiply, x, y), b(p.expand, row, shape=(n, 72))))
    return b.build([t, b(p.greater, t, x)])


def column_sum(n: int) -> Graph:
    b = Builder()
    x = b.tensor(n, 72, dtype=float64)
    return b.build([b(p.sum, b(p.multiply, x, x), axes=(0,))])


def layer_norm(n: int) -> Graph:
    b = Builder()
    x, scale, shift = b.tensor(n, 72), b.tensor(72), b.tensor(72)

    def mean(value: Value) -> Value:
        total = b(p.sum, value, axes=(1,))
        return b.spread(b(p.divide, total, b.full((n,), 72.0)), x.shape, (1,))

    d = b(p.subtract, x, mean(x))
    v = b(p.add, mean(b(p.multiply, d, d)), b.full((n, 72), 1e-5))
    h = b(p.divide, d, b(p.sqrt, v))
    y = b(p.multiply, h, b(p.expand, scale, shape=(n, 72)))
    return b.build([b(p.add, y, b(p.expand, shift, shape=(n, 72)))])


def cross_entropy(n: int) -> Graph:
    """The mean of log(sum(exp(x - max))) - (x - max)[label], with the label as a comparison."""
    b = Builder()
    x, labels = b.tensor(n, 72), b.tensor(n, dtype=int64)
    d = b(p.subtract, x, b.spread(b(p.max, x, axes=(1,)), x.shape, (1,)))
    total = b(p.log, b(p.sum, b(p.exp, d), axes=(1,)))
    at = b(p.iota, shape=x.shape, axis=1, dtype=int64)
    chosen = b(p.equal, at, b.spread(labels, x.shape, (1,)))
    picked = b(p.sum, b(p.where, chosen, d, b.full(x.shape, 0.0)), axes=(1,))
    loss = b(p.sum, b(p.subtract, total, picked), axes=(0,))
    return b.build([b(p.divide, loss, b.full((), float(n)))])


def moves(n: int) -> Graph:
    """Flip, transpose, pad, join and part of a tensor."""
    b = Builder()
    x = b.tensor(n, 12)
    flipped = b(p.slice, x, starts=(n - 1, 0), stops=(-1, 12), steps=(-1, 2))
    padded = b(p.pad, flipped, widths=((1, 2), (0, 3)), fill=5.0)
    turned = b(p.permute, x, axes=(1, 0))
    joined = b(p.concat, turned, b(p.negative, turned), axis=0)
    return b.build([padded, b(p.add, joined, joined)])


def few_results(n: int) -> Graph:
    """Long folds to few results, of sizes that have divisors and of those that have none."""
    b = Builder()
    x, y = b.tensor(2, 33000 + 8 * n), b.tensor(10940 + n, 3)
    ones = b(p.sum, b(p.multiply, x, x), axes=(1,))
    whole = b(p.max, y, axes=(0, 1))
    columns = b(p.min, b(p.slice, y, starts=(0, 0), stops=(10939, 3), steps=(1, 1)), axes=(0,))
    return b.build([ones, whole, columns, b(p.argmax, x, axes=(1,))])


def random_bits(n: int) -> Graph:
    b = Builder()
    state = b.tensor(2, dtype=uint64)
    bits = b(p.random_bits, state, shape=(n, 72))
    return b.build([bits, b(p.cast, b(p.permute, bits, axes=(1, 0)), dtype=float32)])


def rms_norm_backward(n: int) -> Graph:
    """The gradient of x / sqrt(mean(x * x)) * scale with respect to x and scale."""
    b = Builder()
    x, scale, g = b.tensor(n, 72), b.tensor(72), b.tensor(n, 72)
    mean = b(p.divide, b(p.sum, b(p.multiply, x, x), axes=(1,)), b.full((n,), 72.0))
    r = b(p.divide, b.full((n,), 1.0), b(p.sqrt, b(p.add, mean, b.full((n,), 1e-6))))
    wide = b.spread(r, x.shape, (1,))
    h = b(p.multiply, x, wide)
    gs = b(p.multiply, g, b(p.expand, scale, shape=(n, 72)))
    along = b(p.divide, b(p.sum, b(p.multiply, gs, h), axes=(1,)), b.full((n,), 72.0))
    inner = b(p.subtract, gs, b(p.multiply, h, b.spread(along, x.shape, (1,))))
    return b.build([b(p.multiply, inner, wide), b(p.sum, b(p.multiply, g, h), axes=(0,))])


def look_ups(n: int) -> Graph:
    """Rows of a table by number, elements of a row by number, and one value a row stored."""
    b = Builder()
    table, numbers = b.tensor(50, 72), b.tensor(n, dtype=int64)
    rows = b(p.take, table, numbers, axis=0)
    column = b(p.reshape, numbers, shape=(n, 1))
    chosen = b(p.gather, rows, column, axis=1)
    return b.build([rows, chosen, b(p.scatter_add, rows, column, chosen, axis=1)])


def waves(n: int) -> Graph:
    """Complex rows, turned and divided by their length; and their sum."""
    b = Builder()
    x, turn = b.tensor(n, 72, dtype=complex64), b.tensor(72, dtype=complex64)
    y = b(p.multiply, b(p.conj, x), b(p.expand, b(p.exp, turn), shape=x.shape))
    size = b(p.abs, y)
    length = b(p.sqrt, b(p.sum, b(p.multiply, size, size), axes=(1,)))
    wide = b(p.cast, b.spread(length, x.shape, (1,)), dtype=complex64)
    return b.build([b(p.divide, y, wide), b(p.sum, x, axes=(1,))])


GRAPHS: dict[str, Callable[[int], Graph]] = {
    make.__name__: make
    for make in (
        softmax_rows,
        softmax_columns,
        chain,
        column_sum,
        layer_norm,
        cross_entropy,
        moves,
        few_results,
        random_bits,
        rms_norm_backward,
        look_ups,
        waves,
    )
}
