"""Tangents and batches by NumPy at once: the bits of the rules, run op by op; nobody's memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import dualflow as df
from dualflow.autograd import diagonals
from dualflow.autograd.batched import VmapMode
from dualflow.ir.op import CATALOGUE, Kind, Op
from dualflow.ops import door
from tests.harness import arity, draw, dtypes_of, same_bits

df.asarray(0.0)  # the whole catalogue is there
F4 = np.dtype(np.float32)
OPS = [op for op in CATALOGUE.values() if op.kind is Kind.ELEMENTWISE and F4 in dtypes_of(op)]
SMOOTH = [op for op in OPS if op.gradient is not None and op.name != "cast"]
#: ops of which a tangent is zero everywhere
CONSTANT = {"ceil", "copysign", "floor", "round", "sign", "trunc", "floor_divide"}
WHOLE, PART = (3, 4), (3, 1)
#: ops of which the rule calls a library
LIBRARY = {"lgamma"}
Function = Callable[..., Any]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Special values are meant."""
    with np.errstate(all="ignore"):
        yield


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each tangent that was asked for, whether it was made at once."""
    asked: list[bool] = []
    tangent = diagonals.tangent

    def noting(*args: Any) -> Any:
        found = tangent(*args)
        asked.append(found is not None)
        return found

    monkeypatch.setattr(diagonals, "tangent", noting)
    return asked


def by_rules(fn: Function, xs: tuple[Any, ...], ts: tuple[Any, ...]) -> Any:
    """`jvp`, every tangent by its rule."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diagonals, "tangent", lambda *_: None)
        return df.jvp(fn, xs, ts)


def check(fn: Function, xs: tuple[df.Tensor, ...], ts: tuple[df.Tensor, ...]) -> None:
    """`jvp` gives the bits of the rules and leaves what it was given as it was."""
    before = [x.numpy().copy() for x in (*xs, *ts)]
    found = df.jvp(fn, xs, ts)
    for one, other in zip(found, by_rules(fn, xs, ts), strict=True):
        assert same_bits(one.numpy(), other.numpy())
    for x, held in zip((*xs, *ts), before, strict=True):
        assert same_bits(x.numpy(), held)


@pytest.mark.parametrize("op", SMOOTH, ids=lambda op: op.name)
def test_the_bits_of_the_rules(op: Op, at_once: list[bool]):
    rng, count = np.random.default_rng(7), arity(op)
    conditions = 1 if op.name == "where" else 0
    for shapes in (
        (WHOLE,) * count,
        (WHOLE, *(PART,) * (count - 1)),
        (*(PART,) * (count - 1), WHOLE),
    ):
        xs = [df.tensor(draw(rng, s, F4, op.domain, i)) for i, s in enumerate(shapes)]
        ts = [df.tensor(rng.normal(size=s).astype(F4)) for s in shapes]
        xs[:conditions] = [x > 0 for x in xs[:conditions]]
        for moving in {(conditions,), (count - 1,), tuple(range(conditions, count))}:

            def fn(*given: df.Tensor, xs=xs, moving=moving) -> Any:
                operands = list(xs)
                for i, x in zip(moving, given, strict=True):
                    operands[i] = x * 1.5  # its tangent is one that nobody else holds
                return door.elementwise(op, *operands) * 2.0

            at_once.clear()
            check(fn, tuple(xs[i] for i in moving), tuple(ts[i] for i in moving))
            assert any(at_once)
            if shapes == (WHOLE,) * count and op.name not in CONSTANT | LIBRARY:
                assert all(at_once)


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: x * x + x,
        lambda x: (y := df.exp(x)) * y + y,
        lambda x: (y := x + 1.0) + df.sin(y) * y,
        lambda x: (y := x * 2.0, y.reshape((2, 6)) * 3.0, y * y)[1],
        lambda x: (y := x * 2.0, z := y.T, y * y + 1.0, z * 3.0)[3],
        lambda x: (z := (y := x * 2.0).T, (z * 5.0).T + (df.exp(y) + (z * 3.0).T))[1],
        lambda x: (z := (y := x * 2.0) + 1.0, z * 5.0 + (df.exp(y) + z * 3.0))[1],
        lambda x: df.where(x > 0, x * x, x) - df.where(x > 0, x, x * 2.0),
        lambda x: x**2 + x**3 + x**0.5,
        lambda x: 2.0 / (1.0 + df.exp(-x)) - 0.0 * x,
        lambda x: (x.T * x.T).T / (x.sum(axis=0) + 9.0),
        lambda x: x.astype(df.float64) * 2.0 + x,
    ],
)
def test_values_that_several_use(fn: Function, at_once: list[bool]):
    rng = np.random.default_rng(3)
    x, t = (df.tensor(rng.uniform(0.5, 2.0, WHOLE).astype(F4)) for _ in range(2))
    check(fn, (x,), (t,))
    assert any(at_once)


def test_numbers_are_a_part_of_the_plan():
    x, t = df.tensor([1.0, 2.0]), df.tensor([1.0, 10.0])
    for number in (2.0, 3.0, 0.0, -0.0, True, 2, float("inf")):
        check(lambda x, number=number: x * number + number, (x,), (t,))
    for number in (2.0, 3.0, 0.0):
        found = df.jvp(lambda x, number=number: x**number, (x,), (t,))[1]
        np.testing.assert_allclose(
            found.numpy(), number * np.array([1.0, 2.0]) ** (number - 1) * t.numpy()
        )


def test_plans_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(diagonals, "MOST", 8)
    x = df.tensor([1.0, 2.0])
    for i in range(20):
        assert df.jvp(lambda x, i=i: x * (0.5 + i), (x,), (x,))[1].tolist() == [
            0.5 + i,
            1.0 + 2 * i,
        ]
    assert len(diagonals._plans) <= 8


def test_results_may_be_written_and_kept():
    x, t = df.tensor([1.0, 2.0]), df.tensor([1.0, 10.0])
    (_, _), (to_y, to_z) = df.jvp(lambda x: ((y := x * 2.0) + 1.0, y), (x,), (t,))
    to_y += 100.0
    assert to_z.tolist() == [2.0, 20.0]
    assert t.tolist() == [1.0, 10.0]


def test_a_tangent_is_pushed_again_with_the_same_result():
    _, push = df.linearize(lambda x: df.sin(x) * x / (1.0 + x * x), df.tensor([0.3, 2.0]))
    t = df.tensor([1.0, -2.0])
    assert push(t).tolist() == push(t).tolist()


# Batches ------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_batches_have_the_bits_of_the_mode_around(op: Op, monkeypatch: pytest.MonkeyPatch):
    rng, count = np.random.default_rng(5), arity(op)
    if op.name in ("cast", "bitcast"):
        return
    slow: list[Any] = []
    elementwise = VmapMode._elementwise

    def noting(*args: Any) -> Any:
        slow.append(args)
        return elementwise(*args)

    monkeypatch.setattr(VmapMode, "_elementwise", noting)
    xs = [df.tensor(draw(rng, WHOLE, F4, op.domain, i)) for i in range(count)]
    xs[0] = xs[0] > 0 if op.name == "where" else xs[0]
    wanted = door.elementwise(op, *xs)
    assert same_bits(df.vmap(lambda *x: door.elementwise(op, *x))(*xs).numpy(), wanted.numpy())
    assert not slow
    for i in range(count):  # one that is the same for all, of fewer axes
        given = [x if j == i else x[0] for j, x in enumerate(xs)]
        axes = tuple(0 if j == i else None for j in range(count))
        found = df.vmap(lambda *x: door.elementwise(op, *x), axes)(*given)
        assert same_bits(found.numpy(), door.elementwise(op, *given).numpy())


def test_a_batch_in_a_product_is_more_rows():
    rng = np.random.default_rng(1)
    xs, w, v = (df.tensor(rng.normal(size=s)) for s in ((5, 3), (3, 4), (3,)))
    assert same_bits(df.vmap(lambda x: x @ w)(xs).numpy(), (xs @ w).numpy())
    assert same_bits(df.vmap(lambda x: x @ v)(xs).numpy(), (xs @ v).numpy())
    np.testing.assert_allclose(df.vmap(lambda x: w.T @ x)(xs).numpy(), (xs @ w).numpy())
    around = df.grad(lambda w: df.vmap(lambda x: (x @ w).sum())(xs).sum())(w)
    np.testing.assert_allclose(around.numpy(), np.repeat(xs.numpy().sum(0)[:, None], 4, 1))
    within = df.vmap(df.grad(lambda x: (x @ w).sum()))(xs)
    np.testing.assert_allclose(within.numpy(), np.tile(w.numpy().sum(1), (5, 1)))


def test_the_mode_around_may_take_notes():
    xs = df.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    df.vmap(lambda x: (x * x).sum())(xs).sum().backward()
    assert xs.grad is not None
    assert xs.grad.tolist() == [[2.0, 4.0], [6.0, 8.0]]
    assert df.vmap(df.vmap(lambda x: x * 3.0))(xs.detach()).tolist() == [[3.0, 6.0], [9.0, 12.0]]
