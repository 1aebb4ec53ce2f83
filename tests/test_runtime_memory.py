"""Pooled outputs: where they lie, when their memory comes back, how much is kept."""

from __future__ import annotations

import gc
import mmap
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import dualflow as df
from dualflow.base import freed
from dualflow.base.errors import OutOfMemoryError
from dualflow.runtime import memory
from dualflow.runtime.memory import HUGE, HUGE_PAGE, Arena, Pool, allocator, arenas, size_class

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


class _Pages(mmap.mmap):
    """Memory of a kernel that has no huge pages."""

    def madvise(self, *_: int) -> None:
        raise OSError(22, "Invalid argument")


@pytest.mark.parametrize("known", [True, False])
def test_a_system_without_huge_pages(monkeypatch: pytest.MonkeyPatch, known: bool):
    given = {"MADV_HUGEPAGE": 14} if known else {}
    monkeypatch.setattr(memory, "mmap", SimpleNamespace(mmap=_Pages, **given))
    x = np.ones(HUGE // 4, np.float32)
    compiled = df.compile(lambda x: x * 2 + 1, wait=True)
    memory.pool.clear()
    assert (compiled(x) == 3).all()
    for _ in range(2):
        assert (compiled(x) == 3).all()
    assert compiled.stats()["replays"] == 2
    assert isinstance(compiled(x).base.memory, _Pages)


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
    known = {"lent": 0, "most": 5 << 20, "idle": 3 << 20, "hits": 0, "misses": 5}
    assert pool.stats() == known
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


# Pressure, limits, what is told ------------------------------------------------------------------


def test_nothing_is_kept_when_the_system_is_short(monkeypatch: pytest.MonkeyPatch):
    pool = Pool()
    kept, given_back = pool.empty((1 << 20,), FLOAT), pool.empty((1 << 21,), FLOAT)
    del kept
    assert pool.stats()["idle"] == 1 << 22
    monkeypatch.setattr(memory, "is_short", lambda: True)
    del given_back
    assert pool.stats()["idle"] == pool.stats()["lent"] == 0


@pytest.mark.parametrize(
    ("available", "group", "short"),
    [(500, ("max", "9"), False), (50, ("max", "9"), True), (500, ("1000", "990"), True),
     (500, ("1000", "100"), False)],
)  # fmt: skip
def test_when_memory_is_short(monkeypatch: pytest.MonkeyPatch, available, group, short):
    said = {
        "/proc/meminfo": f"MemTotal: 1000 kB\nMemAvailable: {available} kB\n",
        "/sys/fs/cgroup/memory.max": group[0],
        "/sys/fs/cgroup/memory.current": group[1],
    }
    monkeypatch.setattr(freed, "_text", said.__getitem__)
    monkeypatch.setattr(freed, "_looked", [-9.0, False])
    assert freed.is_short() is short
    monkeypatch.setattr(freed, "_text", lambda path: "")
    assert freed.is_short() is short  # it looks once a second


def test_systems_that_do_not_tell_are_never_short(monkeypatch: pytest.MonkeyPatch):
    def missing(path: str) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(freed, "_text", missing)
    monkeypatch.setattr(freed, "_looked", [-9.0, True])
    assert not freed.is_short()
    assert freed.resident() == 0


def test_what_is_idle_is_given_up_before_memory_is_refused(monkeypatch: pytest.MonkeyPatch):
    pool = Pool()
    del_me = pool.empty((1 << 20,), FLOAT)
    del del_me
    refusals = [MemoryError(), OSError(12, "no memory")]

    def obtain(size: int):
        if refusals:
            raise refusals.pop()
        return memory_of(size)

    memory_of = memory._obtain
    monkeypatch.setattr(memory, "_obtain", obtain)
    with pytest.raises(OutOfMemoryError, match=r"(?s)2,097,152 bytes.* hold 0 bytes"):
        pool.empty((1 << 19,), FLOAT)
    assert pool.stats()["idle"] == 0
    refusals.append(MemoryError())
    assert pool.empty((1 << 19,), FLOAT).shape == (1 << 19,)
    assert isinstance(OutOfMemoryError(""), MemoryError)


def test_programs_share_arenas_until_they_are_released():
    memory.release_memory()
    size, kept = arenas(100_000)
    assert size >= 100_000
    assert arenas(99_000)[1] is kept
    kept.append(Arena(size))
    assert memory.idle_arenas() >= 100_000
    memory.release_memory()
    assert not kept
    assert memory.idle_arenas() == 0


def test_the_summary_tells_what_is_held():
    f = df.compile(lambda x: x * 2.0 + 1.0, wait=True)
    x = df.ones((1 << 19,))
    results = [f(x) for _ in range(3)]
    lent = memory.pool.stats()["lent"]
    assert f.stats()["replays"] == 2
    assert lent >= 2 << 21
    text = df.memory_summary()
    assert f"compiled functions {(lent - memory.idle_arenas()) / 1e6:.1f} MB" in text
    assert "float32[524288]" in text
    del results
    assert memory.pool.stats()["lent"] <= lent - (2 << 21)


LIMITED = """
import resource
import dualflow as df

@df.compile(wait=True)
def f(x, w):
    w -= 1.0
    return df.sqrt(x * 2.0) + x

x, w = df.ones((16 << 20,)), df.zeros(4)
kept = [f(x, w) for _ in range(3)]
df.release_memory()
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * 4096 + (30 << 20),) * 2)
try:
    f(x, w)
except MemoryError as error:
    (note,) = error.__notes__
    assert "compiled functions 134.2 MB" in note, note
    assert "float32[16777216]" in note, note
kept.clear()
assert f(x, w)[0].item() > 2.4
assert w.tolist() == [-5.0] * 4, w
print(f.stats()["replays"], f.stats()["eager_calls"])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_a_limit_inside_a_program_is_told_with_what_is_held(tmp_path: Path):
    program = tmp_path / "limited.py"
    program.write_text(LIMITED)
    run = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, timeout=120,
        env={**os.environ, "DUALFLOW_NUM_THREADS": "1"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["3", "1"]


@pytest.mark.skipif(sys.platform != "linux", reason="faults as Linux counts them")
def test_large_outputs_take_no_fresh_pages():
    import_resource = pytest.importorskip("resource")
    f = df.compile(lambda x: x * 2.0 + 1.0, wait=True)
    x = df.ones((1 << 22,))
    for _ in range(3):
        f(x)

    def faults() -> int:
        return import_resource.getrusage(import_resource.RUSAGE_SELF).ru_minflt

    before = faults()
    for _ in range(20):
        f(x)
    assert f.stats()["replays"] == 22
    assert faults() - before < 20  # 4,096 pages each, were they fresh


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_large_results_are_this_process_s_own():
    result = Pool().empty((HUGE,), np.dtype("uint8"))
    result[:] = 2
    child = os.fork()
    if not child:
        result[:] = 3
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert (result == 2).all()
