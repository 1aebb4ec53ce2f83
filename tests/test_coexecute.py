"""Co-execution: everything a user sees is what eager gives; only used values are stored."""

import gc
import threading
import weakref

import numpy as np
import pytest

from dualflow import pipeline
from dualflow.array import asarray, tensor
from dualflow.array.storage import held_back
from dualflow.autograd import no_grad
from dualflow.base import config
from dualflow.base.counters import stats
from dualflow.base.errors import (
    CompileError,
    DTypeError,
    IndexingError,
    InPlaceError,
    ShapeError,
)
from dualflow.capture.coexecution import segments
from dualflow.capture.coexecution.coexecute import CoexecuteMode, coexecute, settle
from dualflow.capture.coexecution.segments import Segments
from dualflow.ops import door
from dualflow.ops import primitives as p


class NeverDone:
    """A compilation that is still under way."""

    done = False


@pytest.fixture
def interpreted(monkeypatch):
    """Programs never get ready: segments run by the eager mode, bit for bit as eager does."""
    monkeypatch.setattr(pipeline, "compile_graph", lambda graph, layouts, behind: NeverDone())
    monkeypatch.setattr(segments, "_compilations", {})


def eagerly(call):
    return call()


def both(make, function, calls=4, exact=True):
    """Calls of `function(env)` eagerly and co-executed see the same; gives the segments."""
    seen = []
    found = Segments()
    for wrap in (eagerly, lambda call: coexecute(found, call, wait=not exact)):
        env = make()
        env.log = []
        for _ in range(calls):
            result = wrap(lambda env=env: function(env))
            env.log.append(result.tolist() if hasattr(result, "tolist") else result)
            env.log += [t.tolist() for t in vars(env).values() if hasattr(t, "tolist")]
        seen.append(env.log)
    if exact:
        assert seen[1] == seen[0]
    else:
        flat = [np.concatenate([np.ravel(x) for x in log if x is not None]) for log in seen]
        np.testing.assert_allclose(flat[1], flat[0], rtol=1e-12, atol=1e-12)
        assert found.stats.compiled > 0
        assert found.stats.failures == 0
    return found


class Env:
    """What a function finds outside."""

    def __init__(self, **tensors):
        self.count, self.log, self.kept = 0, [], []
        vars(self).update(tensors)


def square(n=3):
    return tensor(np.arange(n * n, dtype=np.float64).reshape(n, n) / 7)


# A training step ----------------------------------------------------------------------------


def make_network():
    rng = np.random.default_rng(0)

    def draw(*shape):
        return tensor(rng.standard_normal(shape) * 0.3)

    env = Env(x=draw(8, 4), y=draw(8, 1))
    env.w1, env.b1 = draw(4, 16).requires_grad_(), draw(16).requires_grad_()
    env.w2, env.b2 = draw(16, 1).requires_grad_(), draw(1).requires_grad_()
    return env


def forward(env):
    hidden = p.tanh.of(env.x @ env.w1 + env.b1)
    error = hidden @ env.w2 + env.b2 - env.y
    return (error * error).sum() * 0.125


def train(env, rate=0.05):
    loss = forward(env)
    env.log.append(loss.item())
    parameters = (env.w1, env.b1, env.w2, env.b2)
    for parameter in parameters:
        parameter.grad = None
    loss.backward()
    with no_grad():
        for parameter in parameters:
            parameter -= parameter.grad * rate


def test_a_training_step_interpreted_is_exact(interpreted):
    found = both(make_network, train)
    assert found.stats.segments == 8
    assert found.stats.compiled == 0
    assert found.stats.recomputed == 0
    assert found.stats.copies == 0


def test_a_training_step_compiled():
    found = both(make_network, train, exact=False)
    stats = found.stats
    assert (stats.segments, stats.compiled) == (8, 8)
    assert (stats.recomputed, stats.copies) == (0, 0)
    causes = {(line.function, cause): n for (line, cause), n in stats.syncs.items()}
    assert causes["train", "a value was read"] == 4


def test_only_what_crosses_the_sync_is_stored(interpreted):
    """Between forward and backward: what the backward pass reads and the loss, nothing else."""
    found = both(make_network, train)
    record = first_record(found)
    names = sorted(
        step.op.name for step in record.steps for slot in step.slots if slot in record.used
    )
    # error, tanh's result (once: as matmul's input and as tanh's own) and the loss
    assert names == ["multiply", "subtract", "tanh"]
    assert len(record.steps) - len(record.given) == 9


def first_record(found):
    (record,) = [r for r in found.records() if any(s.op is p.tanh.op for s in r.steps)]
    return record


def test_a_changing_rate_compiles_nothing_new():
    env, found = make_network(), Segments()
    counts = []
    for call in range(8):
        coexecute(found, lambda call=call: train(env, 0.1 / (call + 1)), wait=True)
        counts.append(found.stats.programs)
    assert counts[7] == counts[4]
    assert found.stats.compiled >= 12


# Going another way --------------------------------------------------------------------------


def test_early_return_and_other_paths(interpreted):
    def function(env):
        env.count += 1
        h = env.w * 2.0
        if env.count == 3:
            return h
        k = p.tanh.of(h) if env.count != 4 else p.exp.of(-h)
        env.log.append(k.sum().item())
        if env.count == 5:
            env.log.append(repr(h))
        return k + h

    both(lambda: Env(w=square()), function, 7)


def test_a_value_that_was_not_stored_is_computed_when_asked_for(interpreted):
    def function(env):
        env.count += 1
        h = env.w * 3.0
        k = h + 1.0
        env.log.append(k.sum().item())
        if env.count == 3:
            env.w -= k * 0.125
            env.kept.append(h)
        env.log.append((env.w * 1.0).sum().item())
        return k

    env = Env(w=square())
    expected = Env(w=square())
    for _ in range(5):
        function(expected)
    found = Segments()
    for call in range(5):
        coexecute(found, lambda: function(env))
        if call == 2:
            assert env.kept[0]._array is None  # pending after the call, its input kept
            before = found.stats.recomputed
    assert env.kept[0].tolist() == expected.kept[0].tolist()
    assert found.stats.recomputed == before + 1
    assert found.stats.copies >= 1
    assert env.log == expected.log


def test_pinned_inputs_survive_writes_and_exports_after_the_call(interpreted):
    def function(env):
        env.count += 1
        h = env.w * 3.0
        env.log.append((h + 1.0).sum().item())
        if env.count >= 3:
            env.kept.append(h)

    for change in (
        lambda w: w.__setitem__(0, 9.0),
        lambda w: w.numpy().fill(4.0),
        lambda w: w.__iadd__(1.0),
    ):
        env, found = Env(w=square()), Segments()
        for _ in range(3):
            coexecute(found, lambda env=env: function(env))
        assert env.kept[0]._array is None
        expected = (square() * 3.0).tolist()
        change(env.w)
        assert env.kept[0].tolist() == expected


def test_a_value_that_outlives_the_call_is_stored_the_next_time(interpreted):
    def function(env):
        env.count += 1
        h = env.w * 3.0
        env.log.append((h + 1.0).sum().item())
        if env.count >= 3:
            env.kept.append(h)

    env, found = Env(w=square()), Segments()
    for _ in range(5):
        coexecute(found, lambda: function(env))
    assert env.kept[0]._array is None
    assert found.stats.recomputed == 0
    assert [t._pending.array is None for t in env.kept] == [True, False, False]


def test_pins_go_with_the_last_handle(interpreted):
    def function(env):
        env.count += 1
        h = env.w * 3.0
        env.log.append((h + 1.0).sum().item())
        if env.count == 3:
            env.kept.append(h)

    env, found = Env(w=square()), Segments()
    for _ in range(3):
        coexecute(found, lambda: function(env))
    run = weakref.ref(env.kept[0]._pending.run)
    assert run() is not None
    env.kept.clear()
    assert run() is None
    watched = env.w._memory().note
    watched.changing(env.w._memory())
    assert not watched.runs


def test_dead_runs_are_forgotten(interpreted):
    def function(env):
        h = env.w * 3.0
        env.log.append((h + 1.0).sum().item())
        env.kept[:] = [h]

    env, found = Env(w=square()), Segments()
    for _ in range(50):
        coexecute(found, lambda: function(env))
        (record,) = found.records()
        record.used.discard(1)  # so that h stays pending in every call
    assert env.kept[0]._array is None
    assert 1 <= len(env.w._memory().note.runs) <= 8


def test_an_interrupted_operation_leaves_no_trace(interpreted, monkeypatch):
    """Control-C between the steps of noting an operation."""
    interrupted = []

    def call(env):
        h = env.w * 2.0
        mode = door.state.mode
        if type(mode) is CoexecuteMode and not interrupted:
            interrupted.append(mode._run.step)
            mode._run.hide([np.zeros(())])  # and here it came
        return h + env.v * 3.0

    both(lambda: Env(w=square(), v=square() + 1.0), call)
    assert interrupted


def test_the_tape_is_freed_with_the_loss(interpreted):
    env, found = make_network(), Segments()
    gc.disable()
    try:
        for _ in range(3):
            loss = coexecute(found, lambda: forward(env))
            assert loss._tape is not None
            cell = weakref.ref(loss._pending)
            squared = loss._tape.edges[0].edges[0]  # below the scaling and the sum
            error = squared.inputs[0]
            handle = weakref.ref(error)
            assert error.shape == (8, 1)
            del loss, squared, error
            assert cell() is None
            assert handle() is None
        assert not env.w1._memory().note.runs
        assert not env.x._memory().note.runs
    finally:
        gc.enable()


# Memory that others see ---------------------------------------------------------------------


def test_a_buffer_written_between_operations(interpreted):
    def function(env):
        x = asarray(env.buffer)
        env.buffer[:] = 1.0
        y = env.w + x
        env.buffer[:] = 7.0
        z = y * x
        env.buffer[0] = -1.0
        env.log.append((z + x).sum().item())
        env.buffer[:] = 0.0
        return z

    both(lambda: Env(w=square(), buffer=np.ones((3, 3))), function)


def test_writes_through_an_exported_array(interpreted):
    def function(env):
        a = env.w * 2.0
        array = env.w.numpy()
        b = env.w + a
        array[0] = 5.0
        c = b + env.w
        env.w += c
        env.log.append(array.tolist())
        d = a + 1.0
        e = d * 2.0
        d.numpy()[1] = 3.0
        return e + d

    both(lambda: Env(w=square()), function)


@pytest.mark.parametrize("hold", [lambda a: None, memoryview, lambda a: a[1:], lambda a: a])
def test_memory_is_exposed_as_long_as_somebody_holds_it(interpreted, hold):
    w = asarray(np.ones((3, 3)))
    held = hold(w.numpy())

    def function():
        w.__iadd__(1.0)
        seen = None if held is None else np.asarray(held).ravel()[0].item()
        return seen, w._storage.exposed

    assert coexecute(Segments(), function) == ((None, False) if held is None else (2.0, True))


def test_two_tensors_of_one_buffer(interpreted):
    def function(env):
        a, b = asarray(env.buffer), asarray(env.buffer)
        c = a * 2.0
        a += 1.0
        env.log.append(env.buffer.tolist())
        return b + c

    both(lambda: Env(buffer=np.ones((2, 2))), function)


# Views and writes ---------------------------------------------------------------------------


def views_and_writes(env):
    w = env.w
    x = w * 2.0
    row, turned = x[0], x.T
    before = row * 1.0
    x[1] = before
    x += w
    after = row + turned[:, 1]
    row[1:] = 9.0
    env.log.append(x.sum().item())
    row += 1.0
    w[0] = after
    w.T[2] = before
    env.count += 1
    if env.count > 2:
        env.kept += [row, turned]
    return x * turned.T + w


@pytest.mark.parametrize("exact", [True, False])
def test_views_made_before_a_write_see_it(exact, request):
    if exact:
        request.getfixturevalue("interpreted")
    both(lambda: Env(w=square()), views_and_writes, exact=exact)


def test_parts_of_a_large_memory_are_written_in_place(interpreted):
    def function(env):
        part = env.big[10:12]
        part += 1.0
        env.log.append((env.big[11] * 2.0).sum().item())
        env.big[500:, :2] *= 2.0
        total = env.big.sum()
        env.big[11:13] = 0.5
        return total

    found = both(lambda: Env(big=tensor(np.ones((1000, 8)))), function)
    steps = [step for record in found.records() for step in record.steps]
    shapes = {step.types[0].shape for step in steps if step.op is None}
    assert (2, 8) in shapes  # the part alone is an input


def test_a_reshape_is_a_view_where_it_is_one_eagerly(interpreted):
    def function(env):
        x = env.w * 2.0
        flat = x.reshape((9,))
        flat[0] = 5.0
        copied = (x.T).reshape((9,))
        copied += 1.0
        summed = (x.T + x.T).reshape((9,))
        summed[0] = 3.0
        return x + copied.reshape((3, 3)) + summed.reshape((3, 3))

    both(lambda: Env(w=square()), function)


def test_swapping_two_tensors(interpreted):
    def function(env):
        old = env.a * 1.0
        env.a[...] = env.b
        env.b[...] = old
        return env.a - env.b

    both(lambda: Env(a=square(), b=square() + 1.0), function)


def test_the_same_tensor_where_there_were_two(interpreted):
    def function(env):
        env.count += 1
        a, b = env.w, env.w if env.count in (2, 4) else env.v
        a += 1.0
        r = a + b
        b -= r
        return a * b

    both(lambda: Env(w=square(), v=square()), function, 6)


def test_results_never_share_memory(interpreted):
    def function(env):
        a = env.w * 2.0
        b = env.w * 3.0
        b[...] = a
        c = env.w * 0.0
        c[...] = env.w
        return a, b, c

    found = Segments()
    w = square()
    for _ in range(3):
        a, b, c = coexecute(found, lambda: function(Env(w=w)))
        a += 1.0
        c += 1.0
        assert b.tolist() == (w * 2.0).tolist()
        assert w.tolist() == square().tolist()


def test_a_copy_that_was_not_stored_is_no_alias(interpreted):
    def function(env):
        env.count += 1
        c = env.w * 0.0
        door.write(c, env.w)
        env.log.append((env.w + 1.0).sum().item())
        if env.count == 3:
            c += 1.0

    both(lambda: Env(w=square()), function)


def test_results_never_share_memory_compiled():
    def function(w):
        a = w * 2.0
        b = w * 2.0
        return a, b, p.full(shape=(3, 3), value=1.0, dtype=w.dtype)

    found, w = Segments(), square()
    for _ in range(4):
        a, b, ones = coexecute(found, lambda: function(w), wait=True)
        assert ones.tolist() == [[1.0] * 3] * 3
        a += 1.0
        ones += 1.0
        assert b.tolist() == (w * 2.0).tolist()
    assert found.stats.compiled == 4


# Errors -------------------------------------------------------------------------------------


def test_an_index_error_is_raised_at_its_line(interpreted):
    def function(env):
        env.count += 1
        h = env.w * 2.0
        index = tensor([0, 99 if env.count in (2, 5) else 1])
        try:
            taken = p.take(h, index, axis=0)
        except IndexError as error:
            env.log.append(str(error).splitlines()[0])
            taken = h
        return taken.sum(axis=0) * 3.0

    both(lambda: Env(w=square()), function, 6)


def test_an_elementwise_op_that_raises_does_so_at_its_line(interpreted):
    def function(env):
        env.count += 1
        exponent = env.i * 1 if env.count < 3 else env.i * -1
        try:
            made = env.i**exponent
        except ValueError as error:
            env.log.append(str(error).splitlines()[0])
            made = exponent
        return made + 1

    both(lambda: Env(i=tensor([1, 2, 3])), function)


def test_an_exception_leaves_the_writes_before_it(interpreted):
    def function(env):
        env.count += 1
        h = env.w * 2.0
        env.w -= h * 0.25
        if env.count == 2:
            raise KeyError("user")
        return env.w + h

    def caught(env):
        try:
            return function(env)
        except KeyError:
            return None

    both(lambda: Env(w=square()), caught)
    env = Env(w=square())
    env.count = 1
    with pytest.raises(KeyError):
        coexecute(Segments(), lambda: function(env))
    assert env.w.tolist() == (square() * 0.5).tolist()


def test_wrong_operands_raise_where_they_are_used():
    def shapes(w):
        y = w * 2.0
        with pytest.raises(ShapeError):
            y + p.full(shape=(2,), value=1.0, dtype=w.dtype)
        with pytest.raises(DTypeError):
            p.bitwise_invert.of(y)
        with pytest.raises(InPlaceError):
            p.expand(y, shape=(2, 3, 3))[0] += 1.0
        return y + 1.0

    for _ in range(3):
        assert coexecute(Segments(), lambda: shapes(square())).tolist()[0][0] == 1.0


@pytest.mark.parametrize("value", [300, -1])
def test_an_integer_that_does_not_fit(value):
    x, found = tensor(np.array([1, 2], np.uint8)), Segments()
    for k in (1, 2, 3):
        assert coexecute(found, lambda k=k: x + k).tolist() == [1 + k, 2 + k]
    with pytest.raises(DTypeError, match=str(value)):
        coexecute(found, lambda: x + value)


def test_floating_point_errors_are_told_where_asked_for(interpreted):
    def function(env):
        env.count += 1
        with np.errstate(divide="raise", invalid="ignore"):
            h = env.w * 0.5 + 1.0
            try:
                k = h / (h * 0.0) if env.count > 1 else h + 1.0
            except FloatingPointError:
                env.log.append("told")
                k = h
        with np.errstate(divide="ignore"):
            infinite = h / (h * 0.0)
        with np.errstate(divide="raise", invalid="raise"):
            env.log.append(repr(infinite.tolist()))
        return k + h

    both(lambda: Env(w=square()), function)


def test_scalars_that_compare_equal_are_told_apart(interpreted):
    scalars = [2, 2.0, True, 2, 0.0, -0.0, float("nan"), 1, 2**60 + 1]

    def function(env):
        env.count += 1
        scalar = scalars[env.count - 1]
        made = env.w * scalar
        env.log += [str(made.dtype), repr((env.f * scalar).tolist())]
        return repr(made.tolist())

    both(lambda: Env(w=tensor([1, 2, 3]), f=tensor([1.0, -0.0])), function, len(scalars))


# Python around it ---------------------------------------------------------------------------


def test_a_dropped_handle_dies_at_once(interpreted):
    def function(env):
        h = env.w * 2.0
        died = weakref.ref(h)
        env.log.append(died() is None)
        k = h + env.w
        env.log.append(died() is None)
        del h
        env.log.append(died() is None)
        return k

    both(lambda: Env(w=square()), function)


def test_operations_in_finalizers(interpreted):
    def function(env):
        h = env.w * 2.0
        watcher = weakref.ref(h, lambda _: env.log.append((env.w * 5.0).sum().item()))
        k = h + env.w
        del h
        assert watcher() is None
        return k * 2.0

    both(lambda: Env(w=square()), function)


class Cycle:
    """Garbage whose finalizer runs operations, at any allocation."""

    def __init__(self, env):
        self.env, self.me = env, self

    def __del__(self):
        self.env.log.append((self.env.w * 5.0).sum().item())


def test_operations_in_the_garbage_collector(interpreted):
    def function(env):
        Cycle(env)
        before = gc.get_threshold()
        gc.set_threshold(1)
        try:
            h = env.w * 2.0
            for _ in range(20):
                h = h + env.w
                Cycle(env)
        finally:
            gc.set_threshold(*before)
        return h

    env, found = Env(w=square()), Segments()
    expected = (square() * 22.0).tolist()
    for _ in range(4):
        result = coexecute(found, lambda: function(env))
        np.testing.assert_allclose(result.numpy(), expected)
    gc.collect()
    assert len(env.log) == 84
    assert set(env.log) == {(square() * 5.0).sum().item()}


def test_nested_calls_recursion_and_generators(interpreted):
    def halve(t):
        return coexecute(inner, lambda: t * 0.5)

    def sum_down(t, n):
        return t if n == 0 else coexecute(inner, lambda: sum_down(t + 1.0, n - 1))

    inner = Segments()

    def stream(t):
        while True:
            t = t * 2.0
            yield t

    def function(env):
        if not env.kept:
            env.kept.append(stream(env.w))
        return halve(sum_down(env.w, 3)) + next(env.kept[0])

    found = both(lambda: Env(w=square()), function)
    assert found.stats.segments == 4
    inner = Segments()
    coexecute(found, lambda: function(Env(w=square())))
    assert inner.stats.segments == 0  # their operations joined the outer segments
    assert found.stats.segments == 5


def test_a_function_in_two_threads():
    found = Segments()
    results = {}

    def work(name):
        w = square() + float(name)
        results[name] = [coexecute(found, lambda: step(w)).tolist() for _ in range(50)]

    def step(w):
        h = p.tanh.of(w * 0.5)
        w += h * 0.1
        return (h * w).sum()

    threads = [threading.Thread(target=work, args=(name,)) for name in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in range(3):
        w = square() + float(name)
        np.testing.assert_allclose(results[name], [step(w).tolist() for _ in range(50)], rtol=1e-12)


def test_another_thread_sees_pending_values_and_writes(interpreted):
    def function(env):
        h = env.w * 2.0
        env.w[0] += 1.0
        h[1] = 4.0

        def look():
            env.log.append((env.w * 1.0).tolist())
            env.log.append((h + 1.0).tolist())
            env.w[2] = 0.5
            h[2] = 0.25

        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        return h + env.w

    both(lambda: Env(w=square()), function)


def test_eager_writes_of_another_thread_do_not_reach_pending_reads(interpreted):
    def function(env):
        h = env.w * 2.0
        thread = threading.Thread(target=lambda: env.w.__setitem__(0, 5.0))
        thread.start()
        thread.join()
        return h + env.w

    both(lambda: Env(w=square()), function)


def test_settle_makes_memory_right():
    w = square()

    def function():
        w[0] = 1.0
        settle()
        return w._array[0].tolist()

    assert coexecute(Segments(), function) == [1.0, 1.0, 1.0]
    settle()  # elsewhere it does nothing


class Counter:
    """A random generator as `door.state.mode.draw` wants it."""

    def __init__(self):
        self.key, self.counter = 5, 0


def indices():
    return Env(x=square(), at=tensor(np.array([2, 0, -1])), log=[])


@pytest.mark.parametrize("written", [False, True])
def test_look_ups_at_indices_at_hand_are_deferred(written):
    def function(env):
        h = env.x * 2.0
        y = p.take(h, env.at, axis=0) + 1.0
        if written:
            env.at[0] = (env.at[0] + 1) % 3  # what was looked up stays that
        z = p.scatter_add(h, asarray(np.array([[0, 1, 1]])), h[:1], axis=0)
        env.x += y.sum()
        return z

    found = both(indices, function, exact=False)
    assert not any("may raise" in cause for _, cause in found.stats.syncs)


@pytest.mark.parametrize("outside", [3, -4])
def test_indices_out_of_bounds_raise_at_their_line(outside):
    def function(env):
        h = env.x * 2.0
        env.at[env.count % 3] = outside if env.count == 2 else 1
        env.count += 1
        try:
            return p.take(h, env.at, axis=0) * 3.0
        except IndexingError as error:
            return h.sum() + len(str(error))

    both(indices, function, exact=False)


def test_indices_that_are_pending_are_waited_for(interpreted):
    def function(env):
        at = env.at * env.at - 3
        return p.take(env.x * 2.0, at, axis=0)

    found = both(indices, function)
    assert any("take may raise" in cause for _, cause in found.stats.syncs)


def test_draws_take_their_counter_when_called(interpreted):
    def function(env):
        a = p.random_bits(door.state.mode.draw(env.generator), shape=(4,))
        env.generator.counter += 10
        b = p.random_bits(door.state.mode.draw(env.generator), shape=(4,))
        return a - b

    both(lambda: Env(generator=Counter()), function)


def test_a_long_stretch_is_cut(interpreted):
    def function(env):
        x = env.w
        for _ in range(5000):
            x = x + 0.5
        return x

    found = both(lambda: Env(w=square()), function, calls=2)
    assert found.stats.segments == 4


def test_steps_are_forgotten_when_there_are_too_many(interpreted, monkeypatch):
    monkeypatch.setattr(segments, "MOST_STEPS", 50)

    def function(env):
        env.count += 1
        return env.w.reshape((1,) * env.count + (3, 3)).sum() * 2.0

    found = both(lambda: Env(w=square()), function, calls=40)
    assert found.steps <= 60


# The compiler -------------------------------------------------------------------------------


def failing(graph, layouts, behind):
    raise ValueError("no such kernel")


def test_a_failing_compiler_is_counted_and_the_call_interpreted(monkeypatch):
    monkeypatch.setattr(pipeline, "compile_graph", failing)
    monkeypatch.setattr(segments, "_compilations", {})
    before = stats()["compiler_errors"]
    with config.config(on_compiler_error="eager"):
        found = both(lambda: Env(w=square()), lambda env: env.w * 2.0 + 1.0)
    assert found.stats.failures == 1
    assert found.stats.compiled == 0
    assert stats()["compiler_errors"] == before + 1


def test_a_failing_compiler_raises_if_asked_to(monkeypatch):
    monkeypatch.setattr(pipeline, "compile_graph", failing)
    monkeypatch.setattr(segments, "_compilations", {})
    found, w = Segments(), square()
    with config.config(on_compiler_error="raise"):
        coexecute(found, lambda: w * 2.0 + 1.0)
        with pytest.raises(CompileError, match="no such kernel"):
            coexecute(found, lambda: w * 2.0 + 1.0)
    assert type(door.state.mode) is not CoexecuteMode
    assert not held_back
    with config.config(on_compiler_error="raise"), pytest.raises(CompileError):
        coexecute(found, lambda: lost(w))
    assert w.tolist() == (square() + 1.0).tolist()  # the write was carried out all the same


def lost(w):
    for _ in range(2):
        h = w * 2.0
        w[...] = h * 0.5 + 0.5
        h.tolist()


def test_two_functions_share_a_program():
    first, second, w = Segments(), Segments(), square(4)
    for found in (first, second):
        for _ in range(3):
            coexecute(found, lambda: p.exp.of(w * 0.375) - 0.625, wait=True)
    assert (first.stats.programs, second.stats.programs) == (1, 0)
    assert second.stats.compiled == 3
    (record,) = second.records()
    (program,) = record.programs
    assert [node.op.name for node in program.graph.nodes] == [
        "full", "multiply", "exp", "full", "subtract",
    ]  # fmt: skip
    assert program.graph.nodes[1].line.function == "<lambda>"
