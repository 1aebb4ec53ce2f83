"""Graphs as users write them, for any batch: what the Triton tests plan, run and compile.

Comes in: how many rows. Goes out: a Graph; rows are 72 wide, except in `moves`.
"""

from __future__ import annotations

from collections.abc import Callable

from schedule_graphs import Builder

from dualflow.base.dtypes import float64, int64
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


GRAPHS: dict[str, Callable[[int], Graph]] = {
    make.__name__: make
    for make in (softmax_rows, softmax_columns, chain, column_sum, layer_norm, cross_entropy, moves)
}
