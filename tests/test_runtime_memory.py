"""Pooled outputs: where they lie, when their memory comes back, how much is kept."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from dualflow.runtime.memory import HUGE, HUGE_PAGE, Pool, allocator, size_class

FLOAT = np.dtype("float32")


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize("size", [1, 1 << 20, (1 << 20) + 4])
def test_arrays_are_ordinary_and_aligned(size):
    array = Pool().empty((size,), FLOAT)
    assert type(array) is np.ndarray
    assert array.flags.writeable
    assert array.flags.aligned
    assert array.flags.c_contiguous
    assert address(array) % 64 == 0
    array[...] = 3
    assert array.sum(dtype=np.float64) == 3 * size


def test_very_large_arrays_lie_on_huge_pages():
    array = Pool().empty((HUGE,), np.dtype("uint8"))
    assert address(array) % HUGE_PAGE == 0
    array[0] = array[-1] = 1


def test_memory_comes_back_when_the_last_view_is_gone():
    pool = Pool()
    array = pool.empty((1000, 500), FLOAT)
    where = address(array)
    view = array[3:, ::2].T
    exported = memoryview(array)
    linked = np.from_dlpack(array)
    del array
    for keeper in ("view", "exported", "linked"):
        assert pool.stats()["idle"] == 0, keeper
        other = pool.empty((1000, 500), FLOAT)
        assert address(other) != where
        del other
        pool.clear()
        if keeper == "view":
            del view
        elif keeper == "exported":
            del exported
        else:
            del linked
    gc.collect()
    assert pool.stats()["lent"] == 0
    assert address(pool.empty((1000, 500), FLOAT)) == where


def test_the_pool_is_bounded():
    pool = Pool(limit=3 << 20)
    arrays = [pool.empty((1 << 20,), np.dtype("uint8")) for _ in range(5)]
    assert pool.stats()["lent"] == 5 << 20
    del arrays
    assert pool.stats() == {"lent": 0, "idle": 3 << 20, "hits": 0, "misses": 5}
    pool.clear()
    assert pool.stats()["idle"] == 0


def test_size_classes_waste_at_most_a_quarter():
    for nbytes in [*range(65000, 200000, 777), (1 << 30) + 1]:
        found = size_class(nbytes)
        assert nbytes <= found
        assert found <= max(1.26 * nbytes, 1 << 16)


def test_small_outputs_are_numpys_own():
    assert allocator((10,), FLOAT)().base is None
    assert allocator((1 << 19,), FLOAT)().base is not None


def test_a_block_may_outlive_its_pool():
    array = Pool().empty((1 << 18,), FLOAT)
    gc.collect()
    array[...] = 1
    assert array.sum() == 1 << 18
