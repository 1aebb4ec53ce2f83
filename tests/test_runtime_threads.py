"""Kernels divided over threads: the same bits, one budget, forks, several Python threads."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dualflow as df
from dualflow.base.errors import ConfigError
from dualflow.runtime import builds, cpu, division, native_pool, openblas, threads
from dualflow.runtime.native_text import llvm_text
from dualflow.runtime.once import trial

ROOT = Path(__file__).resolve().parents[1]
N = 1 << 18


def chain(x: df.Tensor, y: df.Tensor) -> df.Tensor:
    return df.exp(-(x * x + y * y)) * x + df.tanh(y) * 0.5


def rows(x: df.Tensor, y: df.Tensor) -> df.Tensor:
    return df.softmax(x.reshape((-1, 128)), axis=-1) * y.reshape((-1, 128))


def columns(x: df.Tensor, y: df.Tensor) -> df.Tensor:
    return df.sum(x.reshape((512, -1)) * y.reshape((512, -1)), axis=0)


def crossed(x: df.Tensor, y: df.Tensor) -> df.Tensor:
    return df.exp(x.reshape((512, -1)).T) + y.reshape((-1, 512))


def in_place(x: df.Tensor, y: df.Tensor) -> None:
    x += df.sin(y)


def looked_up(x: df.Tensor, y: df.Tensor) -> df.Tensor:
    return x[df.astype(y * 0 + 3, df.int64)] + df.exp(x)


def every(x: df.Tensor, y: df.Tensor) -> tuple[df.Tensor, df.Tensor]:
    return df.sum(df.exp(x) * y), df.mean(df.logsumexp(x.reshape((-1, 64)), axis=-1))


PROGRAMS = (chain, rows, columns, crossed, in_place, looked_up, every)


def operands(seed: int = 0, size: int = N) -> tuple[df.Tensor, df.Tensor]:
    random = np.random.default_rng(seed)
    return tuple(df.tensor(random.standard_normal(size, np.float32)) for _ in range(2))  # type: ignore[return-value]


def bits(program: Callable[..., Any], count: int, *given: df.Tensor) -> list[bytes]:
    with df.config(threads=count):
        out = program(*given)
    found = out if isinstance(out, tuple) else given[:1] if out is None else (out,)
    return [tensor.numpy().tobytes() for tensor in found]


@pytest.fixture(autouse=True)
def two_threads(monkeypatch: pytest.MonkeyPatch):
    """Programs are prepared for two threads and more, also where there is one processor, and wake
    threads whenever they are divided."""
    monkeypatch.setattr(threads, "most", lambda: 4)
    monkeypatch.setattr(division, "LIGHT", 0)


@pytest.mark.parametrize("program", PROGRAMS)
def test_bits_do_not_depend_on_the_number_of_threads(program):
    compiled = df.compile(program, wait=True)
    compiled(*operands(1))
    before = threads.launches()
    wanted = bits(compiled, 1, *operands())
    assert threads.launches() == before  # one thread: nothing is divided
    for count in (2, 3, 4):
        assert bits(compiled, count, *operands()) == wanted
    assert threads.launches() >= before + 3
    assert compiled.stats()["replays"] == 4


@pytest.mark.parametrize("program", PROGRAMS)
def test_python_threads_give_the_same_bits(program, monkeypatch):
    native_pool = df.compile(program, wait=True)
    native_pool(*operands(1))
    wanted = bits(native_pool, 2, *operands())
    monkeypatch.setattr(threads, "step", lambda: None)
    monkeypatch.setattr(cpu, "WORTH_PYTHON", 0)
    runs = []
    run = division.PythonThreads.run
    monkeypatch.setattr(
        division.PythonThreads, "run", lambda self, *given: runs.append(1) or run(self, *given)
    )
    builds.forget()
    portable = df.compile(program, wait=True)
    portable(*operands(1))
    for count in (1, 2, 3):
        assert bits(portable, count, *operands()) == wanted
    assert len(runs) >= 3


def test_light_kernels_seldom_wake_threads_that_sleep(monkeypatch):
    monkeypatch.setattr(division, "LIGHT", 1e9)
    compiled = df.compile(chain, wait=True)
    given = operands(0, 1 << 15)
    compiled(*given)
    compiled(*given)
    with df.config(threads=2):
        compiled(*given)
        launched = []
        for _ in range(2 * native_pool.PATIENCE):
            time.sleep(0.005)  # long enough for threads to fall asleep
            before = threads.launches()
            compiled(*given)
            launched.append(threads.launches() - before)
    assert 1 <= sum(launched) <= 4
    assert compiled.stats()["replays"] == 2 + 2 * native_pool.PATIENCE


def test_small_programs_are_not_divided():
    compiled = df.compile(chain, wait=True)
    compiled(*operands(1, 1000))
    before = threads.launches()
    bits(compiled, 2, *operands(0, 1000))
    assert compiled.stats()["replays"] == 1
    assert threads.launches() == before


def test_several_python_threads_share_the_pool():
    compiled = df.compile(rows, wait=True)
    compiled(*operands(1))
    wanted = [bits(compiled, 1, *operands(seed)) for seed in range(4)]
    wrong = []

    def work(seed: int) -> None:
        x, y = operands(seed)
        wrong.extend(1 for _ in range(30) if compiled(x, y).numpy().tobytes() != wanted[seed][0])

    with df.config(threads=2):
        workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert not wrong
    assert compiled.stats()["replays"] == 4 + 4 * 30


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_has_threads_of_its_own():
    compiled = df.compile(rows, wait=True)
    compiled(*operands(1))
    wanted = bits(compiled, 2, *operands())
    child = os.fork()
    if child == 0:
        before = threads.launches()
        same = all(bits(compiled, 2, *operands()) == wanted for _ in range(20))
        os._exit(0 if same and threads.launches() >= before + 20 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert bits(compiled, 2, *operands()) == wanted


SCRIPT = """
import sys
import numpy as np
import dualflow as df
from dualflow.runtime import openblas, threads

compiled = df.compile(lambda x: df.exp(x) * 2, wait=True)
x = df.tensor(np.ones(1 << 20, np.float32))
compiled(x)
before = threads.launches()
compiled(x)
print(threads.budget(), openblas.threads(), threads.launches() - before)
"""


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({"DUALFLOW_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "1"}, ["2", "2", "1"]),
        ({"DUALFLOW_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "2"}, ["1", "1", "0"]),
        ({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "2"}, ["1", "2", "0"]),
    ],
)
def test_the_environment_sets_one_budget(variables, wanted, tmp_path):
    file = tmp_path / "budget.py"
    file.write_text(SCRIPT)
    clean = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, str(file)], env={**clean, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == wanted


ONE_CORE = """
import os
import sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import numpy as np
import dualflow as df
from dualflow.runtime import threads

def step(x, w):
    y = df.softmax(x @ w, axis=-1)
    return y, (df.exp(x) * 2).sum(axis=0), df.cumulative_sum(y, axis=1)

rng = np.random.default_rng(0)
x, w = df.tensor(rng.random((512, 512), np.float32)), df.tensor(rng.random((512, 512), np.float32))
wanted, compiled = step(x, w), df.compile(step, wait=True)
compiled(x, w)
before = threads.launches()
found = compiled(x, w)
right = all(df.allclose(a, b, rtol=1e-4) for a, b in zip(found, wanted))
print(threads.budget(), threads.launches() - before, compiled.stats()["replays"], right)
print(df.stats()["helper_failures"], df.stats()["kernels_compiled"] > 0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="binds itself to one processor")
def test_one_core_compiles_and_divides_nothing(tmp_path):
    clean = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    file = tmp_path / "one_core.py"
    file.write_text(ONE_CORE)
    done = subprocess.run(
        [sys.executable, str(file)], capture_output=True, text=True,
        env={**clean, "PYTHONPATH": str(ROOT), "DUALFLOW_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1", "0", "1", "True", "0", "True"]


def test_blas_follows_the_setting_and_is_given_back():
    before = openblas.threads()
    assert before is not None
    with df.config(threads=3):
        assert openblas.threads() == 3
        with df.config(threads=2):
            assert (openblas.threads(), threads.budget()) == (2, 2)
        assert openblas.threads() == 3
    assert openblas.threads() == before
    assert threads.budget() == threads.processors()


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "2"])
def test_a_number_of_threads_that_is_none(value):
    with pytest.raises(ConfigError, match="threads"):
        df.set_config(threads=value)


def test_the_pool_can_be_made_for_arm(monkeypatch):
    llvm = pytest.importorskip("llvmlite.binding")
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    target = llvm.Target.from_triple("aarch64-unknown-linux-gnu")
    module = llvm.parse_assembly(llvm_text(*native_pool.pool_text()))
    module.verify()
    text = target.create_target_machine(opt=2, reloc="pic").emit_assembly(module)
    assert "yield" in text  # what the processor is told while it waits


def test_a_pool_that_fails_its_test_is_not_used(monkeypatch):
    pool = threads._pool()
    assert pool is not None
    assert threads._works(pool)
    nothing = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda table: None)
    address = ctypes.cast(nothing, ctypes.c_void_p).value or 0
    idle = type(pool)({**pool.addresses, "dualflow_parallel": address}, pool.tracker)
    assert not threads._works(idle)
    threads._apply(df.set_config())


def test_a_part_that_does_not_work_is_counted_once():
    before = df.stats()["portable_parts"]
    part = trial(lambda: None)
    assert [part(), part()] == [None, None]
    assert df.stats()["portable_parts"] == before + 1
    good = trial(lambda: True)
    assert good()
    assert df.stats()["portable_parts"] == before + 1


def probed(counts: np.ndarray, most: int, parts: int = 64) -> Callable[[], None]:
    """A step that adds 1 to each of `counts`, for at most so many threads."""
    pool = threads._pool()
    assert pool is not None
    points = -(-counts.size // parts)
    words = [pool["dualflow_probe"], 3, 1, points, parts, most, 0, 0, 0, 0,
             counts.ctypes.data, 0, counts.size]  # fmt: skip
    table = np.array(words, np.int64)
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(pool["dualflow_parallel"])
    return lambda: run(table.ctypes.data)


@pytest.mark.skipif(threads.step() is None, reason="no native pool here")
def test_callers_count_toward_the_budget():
    long, short = np.zeros(1 << 24, np.int64), np.zeros(256, np.int64)
    first, second = probed(long, 1), probed(short, 2)
    with df.config(threads=2):
        before = threads.launches()
        second()
        assert threads.launches() == before + 1
        caller = threading.Thread(target=first)  # computes alone, without Python's lock
        caller.start()
        while not long[0]:
            time.sleep(0.0001)
        second()
        assert not long[-1]  # the first one is at it still
        assert threads.launches() == before + 1
        caller.join()
        second()
        assert threads.launches() == before + 2
    assert (long == 1).all()
    assert (short == 3).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_forks_while_other_threads_compute():
    compiled = df.compile(chain, wait=True)
    given = operands()
    over = threading.Event()
    with df.config(threads=2):
        wanted = [compiled(*given).numpy() for _ in range(12)][-1]

        def compute() -> None:
            while not over.is_set():
                compiled(*given)

        others = [threading.Thread(target=compute) for _ in range(2)]
        for other in others:
            other.start()
        try:
            for _ in range(10):
                child = os.fork()
                if not child:
                    right = all(np.array_equal(compiled(*given).numpy(), wanted) for _ in range(5))
                    os._exit(0 if right else 1)
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        finally:
            over.set()
            for other in others:
                other.join()
