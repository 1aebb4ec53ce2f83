"""Shapes that depend on values, in compiled functions: the same results for data that change.

Each program is called with data of which none, some, one and all elements are chosen, in turn and
again; a call after the first is co-executed: what lies between the choices runs as programs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dualflow as df
from dualflow.capture import late_values

N = 12


def indices_chosen(x):
    y = df.exp(x) * 2 - 1
    (k,) = df.nonzero(y > 1)
    z = y[k] * 3 + 1
    return df.sum(z * z), z, k


def several_axes(x):
    rows, columns = df.nonzero((x * 2).reshape((3, 4)) > 0)
    return rows * 10 + columns, df.argwhere(x.reshape((3, 4)) > 0) + 1


def mask_read(x):
    y = x * x + x
    return y[y > 0.5] * 2, y[y <= 0.5] - 1


def mask_of_rows(x):
    y = (x * 3).reshape((4, 3))
    return df.sum(y[df.sum(y, axis=1) > 0] + 1, axis=0)


def mask_and_slice(x):
    y = df.tanh(x).reshape((3, 4))
    return y[y[:, 0] > 0, 1:] * 2


def mask_written(x):
    y = x * 2
    y[y > 0] = -1.0
    y[y < -1] *= 0.5
    return y + 1


def values_written(x):
    y = x * 2
    positive = y > 0
    y[positive] = df.sqrt(y[positive]) + 1
    return y * y


def unique_all(x):
    found = df.unique_all(df.round(x * 2))
    return found.values * 2, found.counts + 1, found.indices, found.inverse_indices


def unique_rest(x):
    y = df.round(x * 2)
    values, counts = df.unique_counts(y)
    return values * counts, df.unique_inverse(y).inverse_indices, df.unique_values(y) + 1


def unique_then_matmul(x):
    values = df.unique_values(df.round(x))
    return (values[:, None] * values) @ values


def repeated(x):
    times = df.astype(df.maximum(df.round(x), 0), "int64")
    return df.repeat(x * 2, times) + 1, df.repeat(x.reshape((3, 4)), times[:3], axis=0) * 2


def sizes_decide(x):
    chosen = x[x > 0] * 2
    if chosen.shape[0] > 3:
        return df.mean(chosen)
    return chosen.shape[0] + df.sum(x)


def one_after_the_other(x):
    for limit in (-1.0, 0.0, 1.0):
        x = x[x > limit] + 0.25
    return x * 2, x.shape


def binned(x):
    k = df.astype(df.abs(df.round(x * 2)), "int64")
    return df.bincount(k) * 2, df.digitize(x * 2, df.asarray([-1.0, 0.0, 1.0])) + 1


def sets(x):
    y = df.round(x)
    return df.isin(y, df.unique_values(y[y > 0])), df.concat([y[y > 0], y[y < 0]])


def while_some_are_left(x):
    steps = 0
    while x.shape[0] and steps < 6:
        x = (x * 1.5)[df.abs(x) < 2]
        steps += 1
    return x, steps


def gradient_of_chosen(x):
    return df.grad(lambda x: df.sum(x[x > 0] ** 2) + df.sum(df.repeat(x, df.asarray([2] * N))))(x)


def gradient_of_unique(x):
    return df.grad(lambda x: df.sum(df.unique_values(x * 2) ** 3))(x)


PROGRAMS: list[Callable[..., Any]] = [
    indices_chosen, several_axes, mask_read, mask_of_rows, mask_and_slice, mask_written,
    values_written, unique_all, unique_rest, unique_then_matmul, repeated, sizes_decide,
    one_after_the_other, binned, sets, while_some_are_left, gradient_of_chosen, gradient_of_unique,
]  # fmt: skip


def data() -> list[np.ndarray]:
    """Values of which none, all, one and some are positive, with ties, again and again."""
    rng = np.random.default_rng(7)
    some = [rng.normal(size=N) * 2 for _ in range(4)]
    one = -np.abs(some[0])
    one[4] = 1.7
    kinds = [some[1], -np.abs(some[0]), np.abs(some[0]), one, some[2], np.repeat(some[3][:3], 4)]
    return [values.astype(np.float32) for values in (*kinds, *kinds)]


def leaves(value: Any) -> list[Any]:
    return [leaf for part in value for leaf in leaves(part)] if type(value) is tuple else [value]


@pytest.mark.parametrize("pinned", [0, late_values.PINNED_BYTES], ids=["large", "small"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_shapes_by_value(program, pinned, monkeypatch):
    monkeypatch.setattr(late_values, "PINNED_BYTES", pinned)
    compiled = df.compile(program, wait=True)
    launched = df.stats()["kernel_launches"]
    with df.config(on_compiler_error="raise"):
        for values in data():
            eager, found = leaves(program(df.tensor(values))), leaves(compiled(df.tensor(values)))
            assert len(found) == len(eager)
            for one, other in zip(found, eager, strict=True):
                if isinstance(other, df.Tensor):
                    assert (one.shape, one.dtype) == (other.shape, other.dtype)
                    np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=2e-6, atol=1e-6)
                else:
                    assert one == other
    stats = compiled.stats()
    assert stats["eager_calls"] == 0
    if pinned:  # all that is met again replays
        assert stats["replays"] >= len(data()) // 2
    else:
        assert stats["co_executions"] + stats["replays"] == len(data()) - 1
    assert df.stats()["kernel_launches"] - launched >= len(data()) - 1
