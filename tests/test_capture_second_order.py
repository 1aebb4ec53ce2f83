"""Second derivatives of public functions over the whole catalogue, within compiled functions:
forward over reverse mode, replayed, the same as in Python."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from harness import arity
from test_autograd_ops import REAL, draw

import dualflow as df
from dualflow.ir.op import Kind, Op
from dualflow.ops.domains import LINE

#: ops whose public function has another name, or none
NAMES = {"left_shift": "bitwise_left_shift"}
#: of the kinds that are not elementwise
OTHERS: dict[str, Callable] = {
    "reshape": lambda x: x.reshape((4, 3)) ** 2,
    "permute": lambda x: x.T * x.T,
    "expand": lambda x: df.broadcast_to(x, (2, 3, 4)) ** 2,
    "slice": lambda x: x[::2, 1:] * x[1:, :3],
    "select": lambda x: x[0] * x[1],
    "write": lambda x: df.concat([_written(x), x * x]),
    "pad": lambda x: df.pad(x, ((1, 0), (0, 2)), 3.0) ** 2,
    "flip and roll": lambda x: df.flip(x) * df.roll(x, 1, axis=0),
    "sum": lambda x: x.sum(axis=1) ** 2,
    "prod": lambda x: x.prod(axis=0),
    "max": lambda x: x.max(axis=1) * x.min(),
    "cumsum": lambda x: df.cumsum(x * x, axis=1),
    "cumprod": lambda x: df.cumprod(x, axis=0),
    "matmul": lambda x: x @ x.T,
    "take": lambda x: df.take(x, df.asarray([2, 0, 2]), axis=0) ** 2,
    "gather": lambda x: df.take_along_axis(x, df.argsort(x, axis=1), axis=1) * x,
    "scatter_add": lambda x: df.scatter_add(x, df.asarray([[0], [1], [1]]), x[:, :1], axis=1) ** 2,
    "put": lambda x: df.scatter(x, df.asarray([[3], [0], [1]]), x[:, 1:2] * 2.0, axis=1) ** 2,
    "sort": lambda x: df.sort(x, axis=1) * x,
}
#: of many ops, or of libraries: their programs take long to compile
LARGE: dict[str, Callable] = {
    "softmax": lambda x: df.softmax(x) * df.logsumexp(x),
    "layer_norm": lambda x: df.layer_norm(x) * x,
    "var": lambda x: x.std(axis=1) + x.var(),
    "solve": lambda x: df.linalg.solve(x[:, :3] + 4.0 * df.eye(3, dtype=df.float64), x),
    "inv and det": lambda x: df.linalg.inv(_positive(x)) * df.linalg.det(_positive(x)),
    "slogdet": lambda x: df.linalg.slogdet(_positive(x))[1],
    "cholesky": lambda x: df.linalg.cholesky(_positive(x)),
    "qr": lambda x: df.linalg.qr(x.T)[1],
    "eigh": lambda x: df.linalg.eigh(_positive(x))[0],
    "svd": lambda x: df.linalg.svdvals(x),
    "fft": lambda x: df.abs(df.fft.fft(x + 0j)) ** 2,
    "rfft": lambda x: df.fft.irfft(df.fft.rfft(x) ** 2),
}


def _written(x):
    y = x * 2.0
    y[1:] = x[:2] * x[1:]
    return y


def _positive(x):
    return x @ x.T + df.eye(3, dtype=df.float64)


def public(op: Op) -> Callable | None:
    return getattr(df, NAMES.get(op.name, op.name), None)


ELEMENTWISE = [op for op in REAL if public(op) is not None and op.kind is Kind.ELEMENTWISE]


def second(fn: Callable, xs: tuple, ts: tuple) -> tuple[df.Tensor, ...]:
    """How the gradient of the sum of the squares of `fn` changes along `ts`."""

    def total(*args):
        out = fn(*args)
        return (out * out).sum()

    return df.jvp(df.grad(total, tuple(range(len(xs)))), xs, ts)[1]


def check(fns: list[Callable], args: list[tuple], along: list[tuple]) -> None:
    def every(args, along):
        return [second(fn, xs, ts) for fn, xs, ts in zip(fns, args, along, strict=True)]

    wanted = every(args, along)
    compiled = df.compile(every, wait=True)
    with df.config(on_compiler_error="raise"):
        for _ in range(2):
            found = compiled(args, along)
            for one, other, fn in zip(found, wanted, fns, strict=True):
                for a, b in zip(one, other, strict=True):
                    np.testing.assert_allclose(a.numpy(), b.numpy(), 1e-7, 1e-9, err_msg=str(fn))
    assert compiled.stats()["replays"] == 1, compiled.report().reasons


@pytest.mark.parametrize("start", range(0, len(ELEMENTWISE), 15))
def test_elementwise(start: int):
    ops = ELEMENTWISE[start : start + 15]
    args, along = [], []
    for op in ops:
        rng = np.random.default_rng(list(op.name.encode()))
        count = arity(op) - op.rule.condition
        xs = [draw(rng, op.domain or LINE, i, (2, 3)) for i in range(count)]
        args.append(tuple(df.asarray(x).copy() for x in xs))
        along.append(tuple(df.asarray(np.cos(x)).copy() for x in xs))
    condition = df.asarray(np.array([[True, False, True]] * 2)).copy()
    fns = [
        public(op) if not op.rule.condition else lambda x, y: df.where(condition, x, y)
        for op in ops
    ]
    check(fns, args, along)


def check_at_a_point(fns: list[Callable]) -> None:
    rng = np.random.default_rng(3)
    x = df.asarray(rng.uniform(0.5, 1.5, (3, 4))).copy()
    t = df.asarray(rng.normal(size=(3, 4))).copy()
    check(fns, [(x,)] * len(fns), [(t,)] * len(fns))


@pytest.mark.parametrize("start", range(0, len(OTHERS), 10))
def test_the_other_kinds(start: int):
    check_at_a_point(list(OTHERS.values())[start : start + 10])


def test_some_large_ones():
    check_at_a_point([LARGE["solve"], LARGE["fft"]])


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_all_large_ones(name: str):
    check_at_a_point([LARGE[name]])


def test_nearly_all_elementwise_ops_are_there():
    assert len(ELEMENTWISE) > 40
