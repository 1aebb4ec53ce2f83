"""Replays that are one native call as a whole: when they are, what ends them, what is counted."""

from __future__ import annotations

import gc
import sys
import threading
from typing import Any
from weakref import ref

import numpy as np
import pytest

import dualflow as df
from dualflow.capture import trials, whole
from dualflow.capture.assembly import Assembler
from dualflow.capture.compiled import CompiledFunction
from dualflow.ops import door
from dualflow.runtime import machine, native, native_call

GAIN = 2.0


def blend(x: Any, y: Any) -> Any:
    return df.exp(x * y) + x * 0.5


def numpy_blend(x: Any, y: Any) -> Any:
    return np.exp(x * y) + x * 0.5


def scaled(x: Any) -> Any:
    return x * GAIN + 1


def summed(x: Any, y: Any) -> Any:
    return np.sum(helper(x, y))


def helper(x: Any, y: Any) -> Any:
    return x * y


def helped(x: Any, y: Any) -> Any:
    return helper(x, y) + 1


def reduced(x: Any, y: Any) -> Any:
    return df.softmax(x @ y, axis=-1)


def operands(shape: tuple[int, ...] = (4, 4), dtype: str = "float32") -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    return tuple(df.tensor(random.standard_normal(shape).astype(dtype)) for _ in range(2))  # type: ignore[return-value]


def ready(function: Any, *given: Any) -> CompiledFunction:
    """The function compiled, its whole call made."""
    compiled = df.compile(function, wait=True)
    for _ in range(trials.READY + 3):
        compiled(*given)
    return compiled


def taken(compiled: CompiledFunction) -> int:
    """How many calls were native as a whole since this was asked."""
    return compiled._made.settle() if compiled._made else 0


@pytest.mark.parametrize(
    ("function", "numpy"),
    [(blend, False), (numpy_blend, True), (reduced, False), (summed, True), (helped, False)],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(4, 4), (8, 8)])
def test_both_ways_give_the_same(function, numpy, dtype, shape, monkeypatch):
    given = operands(shape, dtype)
    given = tuple(x.numpy() for x in given) if numpy else given
    native = ready(function, *given)
    assert taken(native) >= 1
    found = native(*given)
    assert taken(native) == 1
    monkeypatch.setattr(native_call, "works", lambda: False)
    portable = ready(function, *given)
    assert portable._whole is None
    other = portable(*given)
    assert type(found) is type(other) is type(function(*given))
    assert np.asarray(found).tobytes() == np.asarray(other).tobytes()
    assert found.dtype == other.dtype
    assert portable.stats() == native.stats()
    assert native.stats()["replays"] == trials.READY + 3


def chained(x: Any, y: Any) -> Any:
    return df.softmax(x @ y, axis=-1).T @ y


def test_an_arena_that_is_too_large_for_the_stack():
    given = operands((128, 128))
    compiled = ready(chained, *given)
    executable = compiled._root.alternatives[0].block.run.__self__  # type: ignore[union-attr]
    assert machine.MOST_STACK < executable.working <= native.MOST_ARENA
    taken(compiled)
    found = [compiled(*given).numpy() for _ in range(3)]
    assert taken(compiled) == 3
    for each in found:
        np.testing.assert_allclose(each, chained(*given).numpy(), rtol=1e-4, atol=1e-6)


def test_counts_are_those_of_the_portable_way():
    given = operands()
    compiled = ready(blend, *given)
    before, kernels = compiled.stats(), df.stats()
    for _ in range(50):
        compiled(*given)
    after, now = compiled.stats(), df.stats()
    assert after["calls"] - before["calls"] == after["replays"] - before["replays"] == 50
    assert now["kernel_launches"] - kernels["kernel_launches"] == 50
    assert now["replays"] - kernels["replays"] == 50
    assert compiled.report().how == "replay"


def test_calls_that_nobody_asked_about_are_counted_in_the_end():
    given = operands()
    compiled = ready(blend, *given)
    before = df.stats()["replays"]
    for _ in range(7):
        compiled(*given)
    del compiled
    gc.collect()
    assert df.stats()["replays"] - before == 7


def other_shape(compiled: Any, x: Any, y: Any) -> Any:
    return compiled(x[:2], y[:2])


def other_strides(compiled: Any, x: Any, y: Any) -> Any:
    return compiled(x.T, y)


def other_dtype(compiled: Any, x: Any, y: Any) -> Any:
    return compiled(x.astype("float64"), y.astype("float64"))


def arrays(compiled: Any, x: Any, y: Any) -> Any:
    return compiled(x.numpy(), y)


def a_scalar(compiled: Any, x: Any, y: Any) -> Any:
    return compiled(x, 2.0)


def by_name(compiled: Any, x: Any, y: Any) -> Any:
    return compiled(x, y=y)


def with_gradient(compiled: Any, x: Any, y: Any) -> Any:
    x = x.copy().requires_grad_()
    return df.grad(lambda x: df.sum(compiled(x, y)))(x)


def too_few(compiled: Any, x: Any, y: Any) -> Any:
    with pytest.raises(TypeError, match="argument"):
        compiled(x)
    return None


@pytest.mark.parametrize(
    "call",
    [other_shape, other_strides, other_dtype, arrays, a_scalar, by_name, with_gradient, too_few],
)
def test_other_arguments_are_not_taken(call):
    x, y = operands()
    compiled = ready(blend, x, y)
    taken(compiled)
    found, wanted = call(compiled, x, y), call(blend, x, y)
    assert taken(compiled) == 0
    if wanted is not None:
        np.testing.assert_allclose(np.asarray(found), np.asarray(wanted), rtol=1e-6)
    x2, y2 = operands()
    same = compiled(x2, y2)
    np.testing.assert_allclose(same.numpy(), blend(x2, y2).numpy(), rtol=1e-6)


def test_a_changed_global_is_seen(monkeypatch):
    x, _ = operands()
    compiled = ready(scaled, x)
    monkeypatch.setitem(globals(), "GAIN", 3.0)
    np.testing.assert_array_equal(compiled(x).numpy(), x.numpy() * 3 + 1)
    monkeypatch.setitem(globals(), "GAIN", 2.0)
    np.testing.assert_array_equal(compiled(x).numpy(), x.numpy() * 2 + 1)


def test_a_changed_function_and_method_are_seen(monkeypatch):
    x, y = operands()
    compiled = ready(blend, x, y)
    wanted = blend(x, y).numpy() * 2
    monkeypatch.setattr(df.Tensor, "__add__", lambda a, b: df.add(df.add(a, b), df.add(a, b)))
    np.testing.assert_allclose(compiled(x, y).numpy(), wanted, rtol=1e-6)
    monkeypatch.undo()
    taken(compiled)
    for _ in range(trials.READY + 3):
        compiled(x, y)
    assert taken(compiled) >= 1
    monkeypatch.setattr(blend, "__code__", scaled.__code__.replace(co_argcount=1))
    with pytest.raises(TypeError):
        compiled(x, y)


def test_a_changed_helper_is_seen(monkeypatch):
    x, y = operands()
    compiled = ready(helped, x, y)
    assert taken(compiled)
    monkeypatch.setattr(helper, "__code__", (lambda x, y: x - y).__code__)
    np.testing.assert_array_equal(compiled(x, y).numpy(), x.numpy() - y.numpy() + 1)
    monkeypatch.undo()
    monkeypatch.setitem(globals(), "helper", df.add)
    np.testing.assert_array_equal(compiled(x, y).numpy(), x.numpy() + y.numpy() + 1)
    monkeypatch.delitem(globals(), "helper")
    with pytest.raises(NameError):
        compiled(x, y)


def test_modes_and_settings_are_seen(monkeypatch):
    x, y = operands()
    compiled = ready(blend, x, y)
    taken(compiled)
    with df.config(mode="eager"):
        compiled(x, y)
    with np.errstate(all="raise"):
        compiled(x, y)
    with df.no_grad():
        compiled(x, y)
    monkeypatch.setattr(door.state, "device", "elsewhere")
    assert compiled._whole is not None
    assert compiled._whole(x, y) is whole.MISS
    monkeypatch.undo()
    outer = df.compile(lambda a, b: compiled(a, b) * 2, wait=True)
    outer(x, y)
    assert taken(compiled) == 0
    with df.config(numerics="exact"):
        compiled(x, y)
        compiled(x, y)
        before = compiled.stats()["replays"]
        compiled(x, y)
        assert compiled.stats()["replays"] == before + 1
    for _ in range(trials.READY + 3):
        compiled(x, y)
    assert taken(compiled) >= 1


class Loud:
    """Asks for NumPy's errors when it dies."""

    def __del__(self) -> None:
        np.seterr(over="raise")


class Holder:
    value: Any = None


def forgets(x: Any, holder: Any) -> Any:
    holder.value = None
    return x * x


def test_errors_that_a_replay_asks_for_are_told():
    x, holder = np.full(8, 1e200), Holder()
    with np.errstate(all="ignore"):
        holder.value = None
        compiled = ready(forgets, x, holder)
        compiled._whole, holder.value = None, Loud()
        compiled(x, holder)
        assert np.geterr()["over"] == "raise"
        with pytest.raises(FloatingPointError):
            compiled(x, holder)


def test_settings_that_change_while_blocks_are_made(monkeypatch):
    x, _ = operands()
    with df.config():

        def made(*given: Any) -> Any:  # as another thread may do
            changed.append(df.config(numerics="exact"))
            return Assembler(*given)

        changed: list[Any] = []
        monkeypatch.setattr(whole, "Assembler", made)
        compiled = df.compile(scaled, wait=True)
        while compiled._made is None:
            compiled(x)
        native_call = compiled._made.call
        assert native_call is not None
        compiled._made.allow(9)
        assert native_call(x) is whole.MISS
        changed[0].__exit__()
        compiled._made.allow(9)
        assert native_call(x) is not whole.MISS


def test_what_the_guards_look_at_may_die():
    x, _ = operands()

    def make(factor: float) -> Any:
        names: dict[str, Any] = {"factor": factor}
        exec("class Scale:\n    factor = factor\n", names)
        scale = names["Scale"]

        def step(x: Any) -> Any:
            return x * scale.factor + 1

        return step, ref(scale)

    step, scale = make(2.0)
    compiled = ready(step, x)
    np.testing.assert_array_equal(compiled(x).numpy(), x.numpy() * 2 + 1)
    made = compiled._made
    assert made is not None
    assert made.call is not None
    assert taken(compiled)
    del step, compiled
    gc.collect()
    assert scale() is None
    assert made.call(x) is whole.MISS


def test_objects_are_neither_kept_nor_lost():
    given = operands()
    compiled = ready(blend, *given)
    watched = [whole.MISS, given[0], given[0]._array, given[0].dtype, df.Tensor, False, True]
    for kind in range(2):
        call = compiled if kind == 0 else (lambda x, y: compiled(y[:2], x[:2]))
        for _ in range(trials.READY + 3):
            call(*given)
        gc.collect()
        before = [sys.getrefcount(x) for x in watched]
        for _ in range(1000):
            call(*given)
        gc.collect()
        after = [sys.getrefcount(x) for x in watched]
        assert all(abs(b - a) < 100 for a, b in zip(before, after, strict=True)), (before, after)
    out = compiled(*given)
    counts = sys.getrefcount(out), sys.getrefcount(out._array)
    assert counts == (2, 2)


def test_results_are_ordinary_tensors():
    given = operands()
    out = ready(blend, *given)(*given)
    out.name = "mine"
    out += 1
    assert out.name == "mine"
    assert (out.requires_grad, out.grad, out._tape) == (False, None, None)
    assert out[1:].shape == (3, 4)


def test_threads_take_their_own_memory():
    given = [operands((16, 16)) for _ in range(4)]
    compiled = ready(reduced, *given[0])
    wanted = [reduced(x + n, y) for n, (x, y) in enumerate(given)]
    wrong: list[int] = []

    def work(n: int) -> None:
        x, y = given[n]
        x = x + n
        for _ in range(300):
            if not np.allclose(compiled(x, y).numpy(), wanted[n].numpy(), rtol=1e-5):
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert compiled.stats()["replays"] >= 1200


def test_replays_are_tried_at_the_same_calls():
    given = operands()
    compiled = df.compile(blend)
    while not compiled.stats()["replays"]:
        compiled(*given)
    for _ in range(400):
        compiled(*given)
    stats = compiled.stats()
    assert stats["eager_calls"] > 0
    assert stats["calls"] == stats["replays"] + stats["eager_calls"] + stats["recordings"]


def test_the_built_in_is_tried_before_it_is_used(monkeypatch):
    assert native_call._takes_calls()
    monkeypatch.setattr(native, "encode", lambda steps: np.zeros(2, np.int64))  # nothing to do
    assert not native_call._takes_calls()


@pytest.mark.parametrize("name", list(machine.FIELDS))
def test_fields_that_lie_elsewhere_are_found_out(name, monkeypatch):
    array = np.ones((2, 3), np.float32)
    assert native_call._fields_are_right(array)
    fields = machine.FIELDS
    other = "DATA" if fields[name] != fields["DATA"] else "TYPE"
    monkeypatch.setitem(fields, name, fields[other])
    assert not native_call._fields_are_right(array)
