"""The disk cache: what is found again, and what happens when the folder is no good."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cpu_kernels import binary, compiled, program_of

from dualflow.base.config import config
from dualflow.base.counters import stats
from dualflow.base.dtypes import float32
from dualflow.codegen.numba import emit
from dualflow.runtime import builds, cache, linker, native
from dualflow.runtime.compile import compile_text

X = np.arange(8, dtype=np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty cache folder, in force, and no kernel in memory."""
    builds.forget()
    with config(cache=None):
        native.builtin_works()  # loads the dispatcher: only kernels go to the folder
    with config(cache=tmp_path / "cache"):
        yield tmp_path / "cache" / "kernels"
    builds.forget()


def counted(*names: str) -> list[int]:
    """Run a kernel as a new process would; by how much the counters rose."""
    builds.forget()
    before = stats()
    program, inputs = program_of(binary("subtract", float32), [X, X[::1], (8,)], {"j": 8})
    found = compiled(program).run(inputs)[0]
    np.testing.assert_array_equal(found, X - X)
    after = stats()
    return [after[name] - before[name] for name in names]


WHAT = ("kernels_compiled", "kernels_loaded", "cache_rebuilds", "cache_errors")


def test_a_kernel_is_compiled_once_and_then_loaded(folder):
    assert counted(*WHAT) == [1, 0, 0, 0]
    assert counted(*WHAT) == [0, 1, 0, 0]
    (entry,) = cache.entries()
    assert entry.source.startswith("def kernel(")
    assert entry.nbytes == os.path.getsize(entry.path)
    assert not [name for name in os.listdir(folder) if not name.endswith(".o")]
    assert cache.clear() == 1
    assert counted(*WHAT) == [1, 0, 0, 0]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
def test_a_damaged_entry_is_made_anew(folder, damage):
    counted()
    (path,) = folder.glob("*.o")
    data = path.read_bytes()
    middle = len(data) // 2
    changed = {
        "cut": data[:-20],
        "flipped": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "empty": b"",
        "foreign": b"something else\n" * 100,
    }
    path.write_bytes(changed[damage])
    assert list(cache.entries()) == []
    assert counted(*WHAT) == [1, 0, 1, 0]
    assert len(list(cache.entries())) == 1
    assert counted(*WHAT) == [0, 1, 0, 0]


def test_an_entry_that_cannot_be_linked_is_made_anew(folder):
    counted()
    (path,) = folder.glob("*.o")
    program, _ = program_of(binary("add", float32), [X, X, (8,)], {"j": 8})
    other = emit(program.launches[0].kernel)
    cache.store(path.stem, compile_text(other), "an object without the symbol")
    assert counted(*WHAT) == [1, 0, 1, 0]
    assert counted(*WHAT) == [0, 1, 0, 0]


@pytest.mark.parametrize("linked_here", [True, False])
def test_code_of_another_machine_is_made_anew(folder, monkeypatch, linked_here):
    """Sound bytes under the right name, by whatever accident: LLVM would end the process."""
    counted()
    (path,) = folder.glob("*.o")
    code = bytearray(cache.fetch(path.stem) or b"")
    if code[:4] != b"\x7fELF":
        pytest.skip("this system has object files of another format")
    code[18:20] = (8).to_bytes(2, "little")  # a MIPS
    cache.store(path.stem, bytes(code), "an object for another machine")
    if not linked_here:
        monkeypatch.setattr(linker, "usable", lambda: False)
    assert counted(*WHAT) == [1, 0, 1, 0]
    assert counted(*WHAT) == [0, 1, 0, 0]


def test_without_a_folder_kernels_live_in_memory(folder):
    with config(cache=None):
        assert counted(*WHAT) == [1, 0, 0, 0]
        assert list(cache.entries()) == []
        assert cache.clear() == 0
    assert not folder.exists()


def test_a_folder_that_cannot_be_made_is_counted(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with config(cache=tmp_path / "file"):
        compiled_once, _, _, errors = counted(*WHAT)
    assert compiled_once == 1
    assert errors >= 1


@pytest.mark.parametrize("error", [PermissionError(13, "read-only"), OSError(28, "disk full")])
def test_a_folder_that_cannot_be_written_is_counted(folder, monkeypatch, error):
    def refuse(path: str, data: bytes) -> int:
        raise error

    monkeypatch.setattr(cache, "_write", refuse)
    assert counted(*WHAT) == [1, 0, 0, 1]
    assert list(folder.iterdir()) == []


def test_an_entry_that_cannot_be_read_is_counted(folder, monkeypatch):
    counted()

    def refuse(path: str) -> bytes:
        raise PermissionError(13, "not yours")

    with monkeypatch.context() as patched:
        patched.setattr(cache, "_bytes", refuse)
        found = counted(*WHAT)
    assert found[0] == 1
    assert found[3] >= 1


def test_the_oldest_entries_go_when_there_is_too_much(folder, monkeypatch):
    monkeypatch.setattr(cache, "LIMIT", 10_000)
    for n in range(12):
        cache.store(f"entry{n}", bytes(1500), "")
        path = folder / f"entry{n}.o"
        if path.exists():
            os.utime(path, (n, n))
    left = sorted(int(path.stem[5:]) for path in folder.glob("*.o"))
    assert left[-1] == 11
    assert left == list(range(left[0], 12))
    assert sum(path.stat().st_size for path in folder.glob("*.o")) <= 10_000


def test_another_text_another_setting_another_name(monkeypatch):
    names = {cache.key("a"), cache.key("b"), cache.key("a", "b")}
    monkeypatch.setenv("NUMBA_OPT", "1")
    cache.machine.cache_clear()
    names.add(cache.key("a"))
    vectors = cache.numpy_vectors.usable()
    monkeypatch.setattr(cache.numpy_vectors, "usable", lambda: not vectors)  # another NumPy
    cache.machine.cache_clear()
    names.add(cache.key("a"))
    cache.machine.cache_clear()
    assert len(names) == 5


# Processes.

SCRIPT = """
import sys
sys.path[:0] = {paths!r}
import numpy as np
from cpu_kernels import binary, compiled, program_of
from dualflow.base.counters import stats
from dualflow.base.dtypes import float32
x = np.arange(8, dtype=np.float32)
for op in ("add", "subtract", "multiply", "divide", "exp", "tanh"):
    kernel = binary(op, float32) if op not in ("exp", "tanh") else None
    if kernel:
        program, inputs = program_of(kernel, [x + 1, x + 2, (8,)], {{"j": 8}})
        found = compiled(program).run(inputs)[0]
        assert np.array_equal(found, getattr(np, op)(x + 1, x + 2)), op
print(stats()["kernels_compiled"], stats()["kernels_loaded"], stats()["cache_errors"],
      stats()["cache_rebuilds"], "numba" in sys.modules, "llvmlite" in sys.modules)
"""


def process(folder: Path) -> subprocess.Popen[str]:
    here = Path(__file__).resolve().parent
    code = textwrap.dedent(SCRIPT).format(paths=[str(here), str(here.parent)])
    environment = {**os.environ, "DUALFLOW_CACHE": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=folder.parent,
    )


def test_two_processes_share_a_folder_and_a_third_starts_warm(tmp_path):
    both = [process(tmp_path / "cache") for _ in range(2)]
    for one in both:
        out, err = one.communicate(timeout=60)
        assert one.returncode == 0, err
        made, loaded, *rest = out.split()
        assert int(made) + int(loaded) == 4
        assert rest[:3] == ["0", "0", "False"]
    out, err = process(tmp_path / "cache").communicate(timeout=60)
    assert out.split() == ["0", "4", "0", "0", "False", str(not linker.usable())], err


WARM = """
import sys
import numpy
before = set(sys.modules)
import dualflow as df
f = df.compile(lambda x: df.tanh(x) * 2 + df.softmax(x, axis=-1), wait=True)
x = df.ones((16, 64))
f(x)
f(x)
assert f.stats()["replays"] == 1, f.stats()
heavy = "hashlib json llvmlite logging numba subprocess tempfile".split()
print(df.stats()["kernels_compiled"], *(name for name in heavy if name in {*sys.modules} - before))
"""


@pytest.mark.skipif(not linker.usable(), reason="llvmlite links here")
def test_a_warm_start_loads_no_compiler_and_no_heavy_module(tmp_path):
    file = tmp_path / "warm.py"
    file.write_text(WARM)
    root = str(Path(__file__).resolve().parent.parent)
    environment = {**os.environ, "PYTHONPATH": root, "DUALFLOW_CACHE": str(tmp_path / "cache")}
    told = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, str(file)], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        told.append(done.stdout.split())
    assert told[0][0] == "1"
    assert told[1] == ["0"]
