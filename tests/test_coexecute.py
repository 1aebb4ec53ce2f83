"""Co-execution: everything a user sees is what eager gives; only used values are stored."""

import gc
import weakref

import numpy as np
from coexecute_base import Env, both, square

from dualflow.array import tensor
from dualflow.autograd import no_grad
from dualflow.capture.coexecution.coexecute import CoexecuteMode, coexecute
from dualflow.capture.coexecution.segments import Segments
from dualflow.ops import door
from dualflow.ops import primitives as p


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
