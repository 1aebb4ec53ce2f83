"""Co-execution where operations, Python or the compiler fail."""

import numpy as np
import pytest
from coexecute_base import Env, both, square

from dualflow import pipeline
from dualflow.array import tensor
from dualflow.array.storage import held_back
from dualflow.base import config
from dualflow.base.counters import stats
from dualflow.base.errors import (
    CompileError,
    DTypeError,
    InPlaceError,
    ShapeError,
)
from dualflow.capture.coexecution import segments
from dualflow.capture.coexecution.coexecute import CoexecuteMode, coexecute
from dualflow.capture.coexecution.segments import Segments
from dualflow.ops import door
from dualflow.ops import primitives as p


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
