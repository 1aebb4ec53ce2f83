"""bfloat16 and floats of 8 bits on a GPU: the values of the CPU, eagerly and compiled."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("triton")

from gpu_stand_in import gpu, interpreter  # noqa: F401 - fixtures

import dualflow as df

pytestmark = pytest.mark.usefixtures("gpu")
RNG = np.random.default_rng(0)
X = df.asarray(RNG.standard_normal((6, 32)).astype("float32"))
W = df.asarray(RNG.standard_normal((32, 32)).astype("float32"))
I = df.asarray(np.array([3, 0, 5, 1]))  # noqa: E741


def close(found: df.Tensor, wanted: df.Tensor, steps: float = 0.0) -> None:
    """Of one device and dtype, and equal within so many roundings."""
    assert found.dtype == wanted.dtype
    one, other = (x.to("cpu").astype(df.float32).numpy() for x in (found, wanted))
    np.testing.assert_allclose(one, other, rtol=steps * 2.0**-8, atol=steps * 2.0**-8)


#: Functions of (x, w, i), x and w in bfloat16, and by how many roundings they may differ.
PROGRAMS = {
    "arithmetic": (lambda x, w, i: (x * 2.5 + 1) / (df.abs(x) + 0.5) - x, 0),
    "functions": (lambda x, w, i: df.tanh(x) * df.exp(-x) + df.sqrt(df.abs(x)), 3),
    "promotion": (lambda x, w, i: x + w[:6].astype(df.float32), 0),
    "comparisons": (lambda x, w, i: df.where(x > 0, x, -x * 0.5), 0),
    "movement": (lambda x, w, i: df.concat([x.T[::2], df.pad(x.T[1::2], ((0, 0), (0, 0)))]), 0),
    "padded": (lambda x, w, i: df.pad(x, ((1, 0), (2, 1)), 1.5), 0),
    "indexing": (lambda x, w, i: x[i] + df.take(w, i, axis=0), 0),
    "folds": (lambda x, w, i: df.max(x, axis=1) + df.sum(x, axis=1), 2),
    "positions": (lambda x, w, i: df.argmax(x, axis=1), 0),
    "softmax": (lambda x, w, i: df.softmax(x, axis=-1), 2),
    "products": (lambda x, w, i: df.relu(x @ w + 1.0), 4),
    "scans": (lambda x, w, i: df.cumulative_sum(x + 0, axis=1) * 2, 24),
    "sorted": (lambda x, w, i: df.sort(x * 2, axis=1), 0),
    "scatter": (lambda x, w, i: df.scatter_add(x * 2, i[:, None], x[:4, :1], axis=0), 1),
    "bytes": (lambda x, w, i: x.astype(df.float8_e4m3fn).T.astype(df.float32)
              + x.T.astype(df.float8_e5m2).astype(df.float32), 0),
    "stored": (lambda x, w, i: df.concat([x, x]).astype(df.float8_e4m3fn)[::2, i].astype(x.dtype),
               0),
    "bits": (lambda x, w, i: df.bitcast(x, df.uint16), 0),
}  # fmt: skip


@pytest.fixture(params=PROGRAMS)
def program(request):
    return PROGRAMS[request.param]


def test_eager(program):
    function, steps = program
    before = df.stats()["host_fallbacks"]
    given = [X.astype(df.bfloat16), W.astype(df.bfloat16), I]
    found = function(*(x.to("cuda") for x in given))
    assert str(found.device) == "cuda:0"
    close(found, function(*given), steps)
    assert df.stats()["host_fallbacks"] == before


def test_compiled(program):
    function, steps = program
    given = [X.astype(df.bfloat16), W.astype(df.bfloat16), I]
    there = [x.to("cuda") for x in given]
    fast = df.compile(function, wait=True)
    for _ in range(3):
        found = fast(*there)
    assert fast.stats()["replays"] == 2
    close(found, function(*given), steps)


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_there_and_back(dtype):
    """Copies, writes, views and numbers keep each bit."""
    x = X.astype(dtype)
    there = x.to("cuda")
    assert there.dtype == x.dtype
    np.testing.assert_array_equal(there.to("cpu").numpy().view("u1"), x.numpy().view("u1"))
    part = there[1:3].T
    assert part.to("cpu").tolist() == x[1:3].T.tolist()
    other = there.copy()
    other[0] = there[1]
    assert other[0].tolist() == x[1].tolist()
    assert there[0].tolist() == x[0].tolist()
    made = df.full((2, 3), 1.5, dtype=dtype, device="cuda")
    assert made.tolist() == [[1.5] * 3] * 2
    assert df.zeros((2,), dtype=dtype, device="cuda").tolist() == [0.0, 0.0]


def test_gradients_of_mixed_precision():
    """Products in bfloat16, the parameters in float32."""

    def loss(w, x):
        y = x.astype(df.bfloat16) @ w.astype(df.bfloat16)
        return (df.gelu(y.astype(df.float32)) ** 2).mean()

    wanted = df.grad(loss)(W, X)
    fast = df.compile(df.grad(loss), wait=True)
    there = W.to("cuda"), X.to("cuda")
    for _ in range(3):
        found = fast(*there)
    assert fast.stats()["replays"] == 2
    assert found.dtype == df.float32
    np.testing.assert_allclose(found.to("cpu").numpy(), wanted.numpy(), rtol=0.1, atol=2e-3)


def test_attention():
    q, k, v = (df.asarray(RNG.standard_normal((2, 24, 16)).astype("float32")).astype(df.bfloat16)
               for _ in range(3))  # fmt: skip
    wanted = df.scaled_dot_product_attention(q, k, v, is_causal=True)
    there = [x.to("cuda") for x in (q, k, v)]
    fast = df.compile(lambda q, k, v: df.scaled_dot_product_attention(q, k, v, is_causal=True),
                      wait=True)  # fmt: skip
    for _ in range(3):
        found = fast(*there)
    assert "in one pass" in fast.explain(*there)
    close(found, wanted, 6)
