"""packed_attention: each sequence is what scaled_dot_product_attention makes of it alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dualflow as df
from dualflow import errors
from dualflow.autograd.check import check_grads

#: lengths of the sequences of queries, of keys, tokens behind the last, heads of q and of k
CASES = {
    "one": ([5], [5], 0, 2, 2),
    "several": ([3, 1, 4], [3, 1, 4], 0, 2, 2),
    "grouped": ([3, 2], [3, 2], 0, 4, 2),
    "empty ones": ([0, 3, 0, 2, 0], [0, 3, 0, 2, 0], 0, 2, 1),
    "other keys": ([2, 3, 1], [4, 0, 2], 0, 2, 2),
    "tokens behind": ([2, 3], [2, 3], 3, 2, 2),
    "none": ([], [], 4, 1, 1),
}


def operands(name: str, width: int = 4, dtype: str = "float64") -> tuple[list[Any], list[Any]]:
    """q, k, v, and the two sums of lengths."""
    queries, keys, behind, heads, kept = CASES[name]
    rng = np.random.default_rng(len(name))
    rows, columns = sum(queries) + behind, sum(keys) + behind
    q, k, v = (df.asarray(rng.standard_normal(shape).astype(dtype)) for shape in
               ((rows, heads, width), (columns, kept, width), (columns, kept, width)))  # fmt: skip
    return [q, k, v], [df.asarray(np.cumsum([0, *lengths])) for lengths in (queries, keys)]


def one_by_one(q: Any, k: Any, v: Any, starts: Any, key_starts: Any, causal: bool) -> np.ndarray:
    out = np.zeros((*q.shape[:2], v.shape[-1]), q.dtype)
    rows, columns = starts.tolist(), key_starts.tolist()
    for n in range(len(rows) - 1):
        a, b, c, d = *rows[n : n + 2], *columns[n : n + 2]
        parts = [df.asarray(x.numpy()[i:j].swapaxes(0, 1)) for x, i, j in
                 ((q, a, b), (k, c, d), (v, c, d))]  # fmt: skip
        made = df.scaled_dot_product_attention(*parts, is_causal=causal, enable_gqa=True)
        out[a:b] = made.numpy().swapaxes(0, 1)
    return out


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_each_sequence_is_for_itself(name, causal):
    given, starts = operands(name)
    found = df.packed_attention(*given, *starts, is_causal=causal)
    np.testing.assert_allclose(found.numpy(), one_by_one(*given, *starts, causal), atol=1e-12)
    f = df.compile(lambda *xs: df.packed_attention(*xs, is_causal=causal), wait=True)
    for _ in range(3):
        again = f(*given, *starts)
    assert f.stats()["eager_calls"] == 0
    np.testing.assert_allclose(again.numpy(), found.numpy(), atol=1e-12)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("name", ["several", "grouped", "other keys", "tokens behind"])
def test_gradients(name, causal):
    given, starts = operands(name)
    check_grads(lambda *xs: (df.packed_attention(*xs, *starts, is_causal=causal) ** 2).sum(),
                *given, order=2)  # fmt: skip


def test_one_list_of_sums_and_a_scale():
    (q, k, v), (starts, _) = operands("several")
    both = df.packed_attention(q, k, v, starts, starts, scale=0.3)
    assert df.packed_attention(q, k, v, starts, scale=0.3).tolist() == both.tolist()
    assert df.packed_attention(q, k, v, starts).tolist() != both.tolist()


@pytest.mark.parametrize(("sums", "error", "words"), [
    ([0, 9], errors.ArgumentError, "end at 9, for 8 tokens"),
    ([1, 8], errors.ArgumentError, "begin at 1"),
    ([0, 5, 3], errors.ArgumentError, "go up from 0"),
    ([[0, 8]], errors.ShapeError, "sums of lengths"),
    ([0.0, 8.0], errors.ShapeError, "float32"),
    (np.zeros(0, np.int64), errors.ShapeError, "at least the first 0"),
])  # fmt: skip
def test_sums_that_are_none(sums, error, words):
    x = df.ones((8, 2, 4))
    with pytest.raises(error, match=words):
        df.packed_attention(x, x, x, df.asarray(sums))


def test_operands_that_do_not_fit():
    x, starts = df.ones((8, 2, 4)), df.asarray([0, 8])
    with pytest.raises(errors.ShapeError, match=r"\(tokens, heads, size\)"):
        df.packed_attention(x[0], x, x, starts)
    with pytest.raises(errors.ShapeError, match="heads share them evenly"):
        df.packed_attention(df.ones((8, 3, 4)), x, x, starts)
    with pytest.raises(errors.ShapeError, match="sums of lengths"):
        df.packed_attention(x, x, x, starts, df.asarray([0, 3, 8]))
