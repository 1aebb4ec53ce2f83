"""einsum: values against NumPy, orders of multiplication, gradients to order 2, compiled calls."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dualflow as df
from dualflow.autograd.check import check_grads
from dualflow.base.errors import ArgumentError, DTypeError, ShapeError
from dualflow.ops import ordering


def numbers(*shape: int, dtype: Any = np.float64, seed: int = 0) -> df.Tensor:
    parts = np.random.default_rng(seed).standard_normal((2, *shape))
    return df.asarray(
        (parts[0] + (1j * parts[1] if np.dtype(dtype).kind == "c" else 0)).astype(dtype)
    )


CASES: dict[str, list[tuple[int, ...]]] = {
    "ij,jk->ik": [(2, 3), (3, 4)],
    "ij,jk": [(2, 3), (3, 4)],
    "bij,bjk->bik": [(2, 3, 4), (2, 4, 2)],
    "ij,ij->": [(2, 3), (2, 3)],
    "bi,bi->b": [(2, 3), (2, 3)],
    "i,j->ij": [(2,), (3,)],
    "i,j->ji": [(2,), (3,)],
    "ij->ji": [(2, 3)],
    "ij->": [(2, 3)],
    "ij->j": [(2, 3)],
    "ba": [(2, 3)],
    "ii": [(3, 3)],
    "ii->i": [(3, 3)],
    "iij->ji": [(3, 3, 2)],
    "iii->i": [(3, 3, 3)],
    "ijij->ij": [(2, 3, 2, 3)],
    "ii,ij->j": [(3, 3), (3, 2)],
    "...ij,...jk->...ik": [(2, 1, 3, 4), (5, 4, 2)],
    "i...,i...->...": [(3, 2, 4), (3, 2, 4)],
    "...i->...": [(2, 3)],
    "...": [(2, 3)],
    "...,...": [(2, 3), (3,)],
    "ij,i,j->": [(2, 3), (2,), (3,)],
    "ij,jk,kl,lm->im": [(2, 9), (9, 3), (3, 8), (8, 2)],
    "abc,bd,cd,ae->de": [(2, 3, 4), (3, 5), (4, 5), (2, 2)],
    "ij,kl->ijkl": [(2, 1), (1, 3)],
    "ij,jk->": [(2, 3), (3, 4)],
    "i,i,i->i": [(3,), (3,), (3,)],
    "ijk,ijl,ijm->klm": [(2, 3, 2), (2, 3, 3), (2, 3, 4)],
    "bhqd,bhkd->bhqk": [(2, 3, 4, 5), (2, 3, 6, 5)],
    "ij,ij->ij": [(1, 3), (2, 1)],
    "i,i->": [(1,), (4,)],
    "ij,j->i": [(0, 3), (3,)],
    "ij,jk->ik ": [(2, 0), (0, 3)],
    ",i->i": [(), (3,)],
    "a,b,c,d,e,f,g,h,i,j->": [(2,)] * 10,
}


@pytest.mark.parametrize("optimize", [True, False], ids=["optimized", "from the left"])
@pytest.mark.parametrize("text", CASES)
def test_as_numpy(text: str, optimize: bool):
    for dtype in (np.float64, np.complex128, np.int64):
        given = [numbers(*s, seed=i) * 3 for i, s in enumerate(CASES[text])]
        given = [df.asarray(x.numpy().astype(dtype)) for x in given]
        wanted = np.einsum(text, *(x.numpy() for x in given))
        found = df.einsum(text, *given, optimize=optimize)
        assert found.shape == wanted.shape
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(found.numpy(), wanted, atol=1e-10)


def test_lists_of_labels():
    x, y = numbers(2, 3), numbers(3, 4, seed=1)
    wanted = x.numpy() @ y.numpy()
    for found in (
        df.einsum(x, [0, 1], y, [1, 2], [0, 2]),
        df.einsum(x, [5, 1], y, (1, 7)),
        df.einsum(x, [..., 1], y, [1, 7], [..., 7]),
    ):
        np.testing.assert_allclose(found.numpy(), wanted)
    assert df.einsum(x, [1, 0]).shape == (3, 2)


def test_dtypes():
    small = df.asarray(np.array([100, 100], np.int8))
    assert df.einsum("i,i->", small, small).dtype == np.int8
    assert df.einsum("i->", small).item() == np.int8(-56)
    assert df.einsum("i,i->", small, numbers(2, dtype=np.float32)).dtype == df.float32
    with pytest.raises(DTypeError):
        df.einsum("i->", small > 0)


@pytest.mark.parametrize(
    ("error", "text", "call"),
    [
        (ArgumentError, "nothing", lambda: df.einsum()),
        (ArgumentError, "1 tensors", lambda: df.einsum("i,i", df.ones(2))),
        (ArgumentError, "'i;j'", lambda: df.einsum("i;j", df.ones(2))),
        (ArgumentError, "result", lambda: df.einsum("i->j", df.ones(2))),
        (ArgumentError, "result", lambda: df.einsum("i->ii", df.ones(2))),
        (ArgumentError, "axes of ... go", lambda: df.einsum("...i->i", df.ones((2, 2)))),
        (ArgumentError, "labels", lambda: df.einsum(df.ones(2), [-1])),
        (ShapeError, "sizes 2 and 3", lambda: df.einsum("i,i", df.ones(2), df.ones(3))),
        (ShapeError, "one label for each axis", lambda: df.einsum("ij", df.ones(2))),
        (ShapeError, "one size", lambda: df.einsum("ii", df.ones((1, 2)))),
    ],
)
def test_bad_input(error: type, text: str, call: Any):
    with pytest.raises(error, match=text):
        call()


# Order ------------------------------------------------------------------------------------------


def cost(order: ordering.Order, terms: list[frozenset[int]], result: frozenset[int],
         sizes: dict[int, int]) -> int:  # fmt: skip
    left, total = list(terms), 0
    for i, j in order:
        b, a = left.pop(j), left.pop(i)
        total += math.prod(sizes[label] for label in a | b)
        left.append((a | b) & result.union(*left))
    return total


def every_cost(terms: list[frozenset[int]], result: frozenset[int], sizes: dict[int, int]) -> int:
    """The least cost, by trying every order."""
    if len(terms) == 1:
        return 0
    found = []
    for j in range(len(terms)):
        for i in range(j):
            rest = [t for k, t in enumerate(terms) if k not in (i, j)]
            both = terms[i] | terms[j]
            price = math.prod(sizes[label] for label in both)
            made = both & result.union(*rest)
            found.append(price + every_cost([*rest, made], result, sizes))
    return min(found)


@given(st.data())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_the_order_is_the_cheapest(data: st.DataObject):
    labels = list(range(6))
    count = data.draw(st.integers(1, 5))
    terms = [frozenset(data.draw(st.lists(st.sampled_from(labels), max_size=3)))
             for _ in range(count)]  # fmt: skip
    result = frozenset(data.draw(st.lists(st.sampled_from(labels), max_size=2)))
    others = [result.union(*terms[:i], *terms[i + 1 :]) for i in range(count)]
    terms = [term & other for term, other in zip(terms, others, strict=True)]  # else summed before
    sizes = {label: data.draw(st.integers(1, 9)) for label in labels}
    order = ordering.cheapest(terms, result, sizes)
    assert len(order) == count - 1
    assert cost(order, terms, result, sizes) == every_cost(terms, result, sizes)


def test_many_operands_are_ordered_greedily():
    """A chain of matrices with one narrow place: not from the left, which costs 30 times more."""
    count = ordering.MOST_EXACT + 3
    sizes = dict.fromkeys(range(count + 1), 30) | {count: 1}
    terms = [frozenset((i, i + 1)) for i in range(count)]
    result = frozenset((0, count))
    order = ordering.cheapest(terms, result, sizes)
    assert len(order) == count - 1
    assert cost(order, terms, result, sizes) == (count - 1) * 30 * 30


# Gradients and compiled calls -------------------------------------------------------------------


@pytest.mark.parametrize("text", [t for t, shapes in CASES.items() if len(shapes) < 4])
def test_gradients(text: str):
    given = [numbers(*shape, seed=i) for i, shape in enumerate(CASES[text])]
    check_grads(lambda *xs: df.einsum(text, *xs), *given, order=2, rtol=1e-4)


@pytest.mark.parametrize("text", ["ij,jk->ik", "ii,ij->j", "abc,bd,cd,ae->de", "bi,bi->b"])
def test_compiled(text: str):
    f = df.compile(lambda *xs: df.einsum(text, *xs) + 1.0, wait=True)
    for seed in range(3):
        given = [numbers(*s, dtype=np.float32, seed=seed + i) for i, s in enumerate(CASES[text])]
        wanted = np.einsum(text, *(x.numpy() for x in given)) + 1
        np.testing.assert_allclose(f(*given).numpy(), wanted, rtol=1e-4, atol=1e-4)
    stats = f.stats()
    assert (stats["recordings"], stats["replays"], stats["co_executions"]) == (1, 2, 0)
