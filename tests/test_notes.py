"""Notes: the graph noted of a run computes, interpreted, what the run computed."""

import numpy as np
import pytest

import dualflow as df
from dualflow.array import EagerMode, asarray, tensor
from dualflow.base.errors import ShapeError
from dualflow.capture.node_builder import infer, prune
from dualflow.capture.notes import Notes, RecordMode
from dualflow.ir.graph import GraphBuilder
from dualflow.ir.interpret import interpret
from dualflow.ir.types import TensorType
from dualflow.ops import door
from dualflow.ops import primitives as p


class Owner:
    """Makes every tensor from outside an input and remembers what it held."""

    def __init__(self, hide=False):
        self.notes = Notes(self)
        self.arrays, self.hide, self.read = [], hide, []

    def _input(self, array):
        self.arrays.append(array.copy())
        return self.notes.builder.input(TensorType(array.shape, array.dtype))

    def on_input(self, tensor):
        return self._input(tensor.array)

    def whole(self, tensor):
        return None

    def overlapping(self, storage):
        pass

    def on_scalar(self, value, position):
        return self._input(np.asarray(value)) if self.hide else None

    def on_draw(self, generator, state):
        return self._input(state.array)


def record(function, *tensors, hide=False):
    """Run `function` in record mode; the run's result and what the noted graph gives."""
    owner = Owner(hide)
    mode = RecordMode(owner.notes, EagerMode(), lambda t, a: owner.read.append(a.copy()))
    with door.using(mode):
        out = function(*tensors)
    value = owner.notes.value_of(out)
    bases = [base for found in owner.notes.written.values() for base in found]
    graph = owner.notes.build([value, *(base.value for base in bases)]).verify()
    made, *written = interpret(graph, owner.arrays)
    return owner, out.array, made, dict(zip(bases, written, strict=True)), graph


@pytest.mark.parametrize("hide", [False, True])
def test_elementwise_with_scalars_and_broadcasting(hide):
    x, y = tensor([[1.0, 2.0, 3.0]]), tensor([[1], [4]])
    owner, ran, noted, *_ = record(lambda x, y: (x * 2 + y) / 3.5 - 16777217, x, y, hide=hide)
    assert noted.tobytes() == ran.tobytes()
    assert len(owner.arrays) == (5 if hide else 2)
    assert not owner.notes.broken


def test_views_see_writes_made_after_them():
    def function(x):
        y = x * 2.0
        row, turned = y[0], y.T
        before = row * 1.0
        y[1] = before
        row += 5.0
        turned[2:, 0] = 9.0
        return y + before.reshape((1, 3)) + turned.T

    x = tensor(np.arange(6, dtype=np.float32).reshape(2, 3))
    _, ran, noted, written, _ = record(function, x)
    assert noted.tobytes() == ran.tobytes()
    assert not written


def test_a_write_to_memory_from_outside_is_told():
    def function(x):
        x[0] += 1.0
        return x * 2.0

    x = tensor(np.arange(6, dtype=np.float32).reshape(2, 3))
    owner, ran, noted, written, _ = record(function, x)
    assert noted.tobytes() == ran.tobytes()
    ((base, after),) = written.items()
    assert after.tobytes() == x.array.tobytes()
    assert base.input.index == 0
    assert not owner.notes.broken


def test_a_view_from_outside_is_an_input_of_its_own_shape():
    whole = tensor(np.arange(600, dtype=np.float32).reshape(200, 3))
    owner, ran, noted, _, _ = record(lambda part: part[1:] * 2.0, whole[10:14])
    assert noted.tobytes() == ran.tobytes()
    assert [a.shape for a in owner.arrays] == [(4, 3)]


def test_overlapping_inputs_break_the_notes_only_if_written():
    def function(a, b, target):
        c = a * 2.0
        target += 1.0
        return b + c

    def call(target_index):
        whole = tensor(np.arange(12, dtype=np.float32).reshape(4, 3))
        parts = [whole[:3], whole[1:], tensor([[1.0, 1.0, 1.0]])]
        owner = Owner()
        with door.using(RecordMode(owner.notes, EagerMode(), lambda t, a: None)):
            function(parts[0], parts[1], parts[target_index])
        return owner.notes.broken

    assert not call(2)
    assert "share memory" in call(0)
    assert "share memory" in call(1)
    whole = tensor(np.arange(12, dtype=np.float32).reshape(4, 3))
    owner = Owner()
    with door.using(RecordMode(owner.notes, EagerMode(), lambda t, a: None)):
        function(whole[:2], whole[2:], whole[:2])
    assert not owner.notes.broken  # no element in common


def test_two_tensors_of_one_numpy_array():
    def function(a, b):
        a += 1.0
        return a + b

    buffer = np.arange(3, dtype=np.float32)
    owner = Owner()
    with door.using(RecordMode(owner.notes, EagerMode(), lambda t, a: None)):
        function(asarray(buffer), asarray(buffer))
    assert owner.notes.broken


def test_values_read_are_told():
    owner, *_ = record(lambda x: x * float((x + 1.0).sum()), tensor([1.0, 2.0]))
    assert [a.item() for a in owner.read] == [5.0]


def test_a_reshape_that_copies_is_no_view():
    def function(x):
        flat = x.T.reshape((6,))
        flat += 1.0
        return flat + x.reshape((6,))

    _, ran, noted, _, _ = record(function, tensor(np.arange(6, dtype=np.float32).reshape(2, 3)))
    assert noted.tobytes() == ran.tobytes()


def test_draws_are_inputs():
    class Generator:
        key, counter = 7, 3

    owner, ran, noted, _, _ = record(lambda: door.state.mode.draw(Generator) + 0)
    assert noted.tolist() == ran.tolist() == [7, 3]
    assert Generator.counter == 4
    assert len(owner.arrays) == 1


def test_inference_is_cached_and_tells_true_from_one():
    type_ = TensorType((3,), np.dtype("bool"))
    attributes = {"shape": (3,), "dtype": np.dtype("bool")}
    assert infer(p.full.op, (), {**attributes, "value": True}) == (type_,)
    with pytest.raises(TypeError):
        infer(p.full.op, (), {**attributes, "value": 1})


def test_prune_keeps_what_may_raise():
    builder = GraphBuilder()
    x = builder.input(TensorType((3,), np.dtype("float32")))
    i = builder.input(TensorType((2,), np.dtype("int64")))
    builder.add(p.exp.op, [x])
    builder.add(p.take.op, [x, i], {"axis": 0})
    y = builder.add(p.negative.op, [x]).result
    graph = prune(builder.build([]), [y])
    assert [node.op.name for node in graph.nodes] == ["take", "negative"]


class _Doubled(df.nn.Module):
    def forward(self, x):
        return x + x  # the line of the module


def test_operations_are_on_the_users_lines():
    model = df.nn.Sequential(df.nn.ReLU(), _Doubled(), df.nn.ReLU())

    @df.compile(wait=True)
    def fn(x):
        try:
            df.matmul(x, df.ones((5, 5)))
        except ShapeError:
            x = x * 3.0  # the line of the handler
        y = model(x)  # the line of the model
        return y - 1.0  # the line of the end

    x = df.asarray([[1.0, -2.0]])
    assert fn(x).tolist() == fn(x).tolist() == [[5.0, -1.0]]
    assert fn.stats()["replays"] == 1
    said = [(n.op.name, n.line.text.partition("# the line of the ")[2])
            for n in fn._root.alternatives[0].block.graph.nodes]  # fmt: skip
    ops = dict.fromkeys(said)
    for pair in (("multiply", "handler"), ("add", "module"), ("less_equal", "model"),
                 ("subtract", "end")):  # fmt: skip
        assert pair in ops
