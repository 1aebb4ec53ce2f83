"""Compiled functions from several threads, within each other, recursive, and with generators."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dualflow as df
from dualflow.capture import locate
from dualflow.runtime.once import once

ROOT = Path(__file__).resolve().parents[1]
THREADS = 4
ROUNDS = 25


def in_threads(work: Callable[[int], Any], count: int = THREADS) -> list[Any]:
    """`work(number)` in threads that begin together; their results, or the first error."""
    barrier = threading.Barrier(count)

    def run(number: int) -> Any:
        barrier.wait(30)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return [done.result(120) for done in [pool.submit(run, n) for n in range(count)]]


def blend(x: df.Tensor, y: df.Tensor) -> df.Tensor:
    return df.sqrt(x * x + y * y) * 0.5 + df.sum(x - y, axis=0)


def operands(seed: int, shape: tuple[int, ...] = (6, 5)) -> tuple[df.Tensor, df.Tensor]:
    rng = np.random.default_rng(seed)
    return df.tensor(rng.integers(-8, 8, shape) / 4), df.tensor(rng.integers(-8, 8, shape) / 4)


def same(found: df.Tensor, wanted: df.Tensor) -> None:
    np.testing.assert_array_equal(found.numpy(), wanted.numpy())
    assert found.dtype == wanted.dtype


def test_what_is_made_once_is_made_by_one_thread():
    made = []

    @once
    def slow() -> object:
        time.sleep(0.05)
        made.append(object())
        return made[-1]

    found = in_threads(lambda _: slow())
    assert len(made) == 1
    assert all(value is made[0] for value in found)


FIRST_CALLS = """
import sys, threading
import dualflow as df

sys.setswitchinterval(1e-6)
barrier = threading.Barrier(8)
functions = [df.compile(lambda x, k=k: x * 2 + k, wait=True) for k in range(8)]
found = {}

def work(k):
    x = df.arange(8.0)
    barrier.wait()
    for _ in range(20):
        found[k] = functions[k](x).tolist()

threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert found == {k: [2.0 * i + k for i in range(8)] for k in range(8)}, found
"""


def test_the_first_calls_of_a_process_come_from_several_threads(tmp_path):
    """What the dispatcher is made of was made twice, and one of both freed while in use."""
    file = tmp_path / "first_calls.py"
    file.write_text(FIRST_CALLS)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for _ in range(4):  # a race: it was lost every second time
        done = subprocess.run(
            [sys.executable, str(file)], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


def test_threads_share_a_compiled_function():
    compiled = df.compile(blend, wait=True)
    compiled(*operands(0))
    before = df.stats()["kernel_launches"]

    def work(number: int) -> None:
        for seed in range(ROUNDS):
            given = operands(1000 * number + seed)
            same(compiled(*given), blend(*given))

    in_threads(work)
    assert compiled.stats()["replays"] == THREADS * ROUNDS
    assert df.stats()["kernel_launches"] - before >= THREADS * ROUNDS


def test_threads_record_at_once():
    compiled = df.compile(blend, wait=True)

    def work(number: int) -> None:
        for seed in range(ROUNDS):  # a shape for each pair of threads
            given = operands(1000 * number + seed, (3 + number // 2, 4))
            same(compiled(*given), blend(*given))

    in_threads(work)
    stats = compiled.stats()
    assert stats["calls"] == THREADS * ROUNDS
    assert stats["recordings"] <= THREADS
    assert stats["replays"] >= 2  # the others may run eagerly until the program is there
    assert stats["replays"] + stats["eager_calls"] + stats["recordings"] == THREADS * ROUNDS
    for rows in (3, 4):
        compiled(*operands(rows, (rows, 4)))
    assert compiled.stats()["replays"] == stats["replays"] + 2


def test_threads_while_the_program_is_being_compiled():
    compiled = df.compile(lambda x, y: df.tanh(x) * y - df.exp(-y * y))

    def work(number: int) -> None:
        for seed in range(ROUNDS):
            x, y = operands(1000 * number + seed)
            np.testing.assert_allclose(
                compiled(x, y).numpy(), compiled.__wrapped__(x, y).numpy(), rtol=1e-14, atol=1e-15
            )

    in_threads(work)
    stats = compiled.stats()
    assert stats["calls"] == THREADS * ROUNDS
    assert stats["replays"] + stats["eager_calls"] + stats["recordings"] == THREADS * ROUNDS


def test_each_thread_trains_its_own_model():
    def train(wrap: Callable[..., Any], number: int) -> tuple[Any, list[float]]:
        generator = df.random.Generator(number)
        model = df.nn.Linear(4, 2, generator=generator)
        optimizer = df.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)

        def step(x: df.Tensor) -> df.Tensor:
            optimizer.zero_grad()
            loss = df.mean(df.square(model(x) - 1.0))
            loss.backward()
            optimizer.step()
            return loss.detach()

        step = wrap(step)
        return step, [step(df.random.normal((8, 4), generator=generator)).item() for _ in range(12)]

    def work(number: int) -> None:
        step, found = train(lambda fn: df.compile(fn, wait=True), number)
        _, wanted = train(lambda fn: fn, number)
        np.testing.assert_allclose(found, wanted, rtol=1e-4)
        assert step.stats()["replays"] >= 9
        assert step.stats()["co_executions"] == 0

    in_threads(work)


def test_no_grad_in_one_thread_is_not_seen_in_another():
    w = df.ones((3,)).requires_grad_()
    compiled = df.compile(lambda x: x * w, wait=True)
    x = df.full((3,), 2.0)

    def work(number: int) -> list[bool]:
        found = []
        for _ in range(ROUNDS):
            if number % 2:
                with df.no_grad():
                    found.append(compiled(x).requires_grad)
            else:
                found.append(compiled(x).requires_grad)
        return found

    for number, found in enumerate(in_threads(work)):
        assert found == [number % 2 == 0] * ROUNDS


def test_threads_co_execute():
    def listed(x: df.Tensor, y: df.Tensor) -> frozenset[float]:
        return frozenset([df.max(blend(x, y)).item(), df.max(x * y - 1.0).item()])

    compiled = df.compile(listed, wait=True)

    def work(number: int) -> None:
        for seed in range(ROUNDS):
            given = operands(1000 * number + seed)
            assert compiled(*given) == listed(*given)

    in_threads(work)
    assert compiled.stats()["calls"] == THREADS * ROUNDS


def test_an_in_place_write_in_every_thread_to_its_own_tensor():
    compiled = df.compile(lambda x: x.__iadd__(1.0), wait=True)

    def work(number: int) -> list[float]:
        x = df.full((4,), float(number))
        for _ in range(ROUNDS):
            compiled(x)
        return x.tolist()

    for number, found in enumerate(in_threads(work)):
        assert found == [float(number + ROUNDS)] * 4


def give_way(phase: str, info: dict[str, int]) -> None:
    time.sleep(0)


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads take turns whenever garbage is collected, also in the midst of C code."""
    gc.callbacks.append(give_way)
    yield
    gc.callbacks.remove(give_way)


def test_threads_read_sources_at_once(switching):
    text, line = Path(__file__).read_text(), give_way.__code__.co_firstlineno

    def work(number: int) -> set[int]:
        modules = [locate.Module(f"{text}# {number} {n}\n") for n in range(8)]
        return {len(module.functions("give_way", line)) for module in modules}

    assert set.union(*in_threads(work)) == {1}


# Within each other --------------------------------------------------------------------------


@df.compile(wait=True)
def inner(x: df.Tensor) -> df.Tensor:
    return df.square(x) + 1.0


@df.compile(wait=True)
def outer(x: df.Tensor) -> df.Tensor:
    return inner(x) * 2.0 - inner(x * 0.5)


def test_a_compiled_function_calls_another():
    before = inner.stats()
    for value in (1.0, 2.0, 3.0):
        assert outer(df.full((3,), value)).tolist() == [1.75 * value * value + 1.0] * 3
    assert outer.stats()["replays"] == 2
    assert len(outer.report().sections) == 1  # the inner one is part of it
    assert outer.report().sections[0].kernels == 1
    assert inner.stats()["calls"] == before["calls"]
    assert inner(df.ones((2,))).tolist() == [2.0, 2.0]


FACTOR = 2.0


def test_a_change_that_the_inner_function_sees_is_seen_in_the_outer(monkeypatch):
    @df.compile(wait=True)
    def below(x: df.Tensor) -> df.Tensor:
        return x * FACTOR

    @df.compile(wait=True)
    def above(x: df.Tensor) -> df.Tensor:
        return below(x) + 1.0

    x = df.ones((2,))
    assert [above(x).tolist() for _ in range(2)] == [[3.0, 3.0]] * 2
    assert above.stats()["replays"] == 1
    monkeypatch.setitem(globals(), "FACTOR", 5.0)
    assert [above(x).tolist() for _ in range(2)] == [[6.0, 6.0]] * 2


@df.compile(wait=True)
def power(x: df.Tensor, n: int) -> df.Tensor:
    if n == 0:
        return df.ones_like(x)
    half = power(x, n // 2)
    return half * half * x if n % 2 else half * half


def test_a_compiled_function_calls_itself():
    x = df.tensor([1.0, 2.0, -0.5])
    for n in (0, 1, 5, 5, 5, 6, 6):
        np.testing.assert_array_equal(power(x, n).numpy(), x.numpy() ** n)
    assert power.stats()["replays"] >= 3
    assert power.report().sections[0].kernels == 1


@df.compile(wait=True)
def even(x: df.Tensor, n: int) -> df.Tensor:
    return x if n == 0 else odd(x + 1.0, n - 1)


@df.compile(wait=True)
def odd(x: df.Tensor, n: int) -> df.Tensor:
    return x * 0.0 if n == 0 else even(x * 2.0, n - 1)


def test_two_compiled_functions_call_each_other():
    x = df.ones((3,))
    for n, wanted in ((4, 10.0), (4, 10.0), (3, 0.0), (3, 0.0), (4, 10.0)):
        assert even(x, n).tolist() == [wanted] * 3
    assert even.stats()["replays"] == 3


def test_endless_recursion_ends_as_in_python():
    @df.compile(wait=True)
    def endless(x: df.Tensor) -> df.Tensor:
        return endless(x + 1.0)

    for _ in range(2):
        with pytest.raises(RecursionError):
            endless(df.ones((2,)))
    assert outer(df.ones((3,))).tolist() == [2.75] * 3  # nothing is left behind


def test_a_method_that_is_compiled():
    class Scale:
        def __init__(self, factor: float) -> None:
            self.factor = factor

        @df.compile(wait=True)
        def __call__(self, x: df.Tensor) -> df.Tensor:
            return x * self.factor

    two, three = Scale(2.0), Scale(3.0)
    x = df.ones((2,))
    for _ in range(2):
        assert two(x).tolist() == [2.0, 2.0]
        assert three(x).tolist() == [3.0, 3.0]
    three.factor = 4.0
    assert three(x).tolist() == [4.0, 4.0]
    assert Scale.__call__.stats()["replays"] >= 2


def test_a_thread_started_within_a_call():
    @df.compile(wait=True)
    def spawning(x: df.Tensor) -> df.Tensor:
        found = []
        worker = threading.Thread(target=lambda: found.append(x * 3.0))
        worker.start()
        worker.join()
        return found[0] + 1.0

    for value in (1.0, 2.0, 3.0):
        assert spawning(df.full((2,), value)).tolist() == [3 * value + 1.0] * 2


# Generators ---------------------------------------------------------------------------------


def halves(x: df.Tensor, count: int) -> Iterator[df.Tensor]:
    for _ in range(count):
        yield x
        x = x * 0.5


def test_a_generator_used_in_a_call():
    compiled = df.compile(lambda x, count: sum(halves(x, count)), wait=True)
    for count in (3, 3, 4, 4, 3):
        x = df.full((3,), 8.0)
        assert compiled(x, count).tolist() == sum(halves(x, count)).tolist()


def test_a_compiled_generator_function():
    compiled = df.compile(halves, wait=True)
    for _ in range(3):
        found = compiled(df.full((2,), 4.0), 3)
        assert [part.tolist() for part in found] == [[4.0] * 2, [2.0] * 2, [1.0] * 2]


def test_a_generator_that_goes_on_between_calls():
    numbers = iter(range(100))
    compiled = df.compile(lambda x: x + next(numbers), wait=True)
    assert [compiled(df.zeros((1,))).item() for _ in range(6)] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_values_sent_to_a_generator():
    def running() -> Any:
        total = None
        while True:
            given = yield total
            total = given if total is None else total + given

    mean = running()
    next(mean)
    compiled = df.compile(lambda x: mean.send(x * 2.0), wait=True)
    assert [compiled(df.ones((1,))).item() for _ in range(4)] == [2.0, 4.0, 6.0, 8.0]
