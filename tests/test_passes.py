"""simplify: what each rule and pass makes of a graph, and that the bits stay."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_graphs import Builder, arrays_for, graphs, parts

from dualflow.base.config import config
from dualflow.base.dtypes import bool_, float16, float32, float64, int32, int64
from dualflow.ir.graph import Graph, Value
from dualflow.ir.interpret import interpret
from dualflow.ops import primitives as p
from dualflow.passes import merge_equal, patterns, remove_dead, simplify

SPECIAL = [0.0, -0.0, 1.0, -1.5, math.inf, -math.inf, math.nan, 3e38, 1e-40]


def same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    """Equal, -0.0 apart from 0.0; NaN equals NaN."""
    if one.dtype.kind != "f":
        return one.dtype == other.dtype and bool(np.array_equal(one, other))
    signs = np.array_equal(np.signbit(one)[~np.isnan(one)], np.signbit(other)[~np.isnan(other)])
    return one.dtype == other.dtype and signs and np.array_equal(one, other, equal_nan=True)


def simplified(b: Builder, *outputs: Value) -> list[str]:
    """The ops that are left; the results were compared, special values included."""
    graph = b.build(outputs).verify()
    after = simplify(graph).verify()
    arrays = [
        np.resize(np.array(SPECIAL), v.shape).astype(v.dtype) if v.dtype.kind == "f"
        else np.resize([3, 0, -7, 1], v.shape).astype(v.dtype)
        for v in graph.inputs
    ]  # fmt: skip
    with np.errstate(all="ignore"):
        for one, other in zip(interpret(graph, arrays), interpret(after, arrays), strict=True):
            assert same_bits(one, other)
    return [node.op.name for node in after.nodes]


def of(b: Builder, x: Value, number: float) -> Value:
    return b.full(x.shape, x.dtype.type(number).item(), x.dtype)


KEEPING = {
    "double negation": lambda b, x: b(p.negative, b(p.negative, x)),
    "times one": lambda b, x: b(p.multiply, x, of(b, x, 1)),
    "one times": lambda b, x: b(p.multiply, of(b, x, 1), x),
    "over one": lambda b, x: b(p.divide, x, of(b, x, 1)),
    "minus zero": lambda b, x: b(p.subtract, x, of(b, x, 0)),
    "plus negative zero": lambda b, x: b(p.add, x, of(b, x, -0.0)),
    "first power": lambda b, x: b(p.power, x, of(b, x, 1)),
    "cast and back": lambda b, x: b(p.cast, b(p.cast, x, dtype=float64), dtype=float32),
    "where alike": lambda b, x: b(p.where, b(p.isnan, x), x, x),
    "where true": lambda b, x: b(p.where, b.full(x.shape, True, bool_), x, of(b, x, 3)),
    "where false": lambda b, x: b(p.where, b.full(x.shape, False, bool_), of(b, x, 3), x),
    "permute and back": lambda b, x: b(p.permute, b(p.permute, x, axes=(1, 0)), axes=(1, 0)),
    "reshape and back": lambda b, x: b(p.reshape, b(p.reshape, x, shape=(12,)), shape=x.shape),
    "slice of all": lambda b, x: b(p.slice, x, **parts([range(n) for n in x.shape])),
    "flip twice": lambda b, x: flipped(b, flipped(b, x)),
    "expand to itself": lambda b, x: b(p.expand, x, shape=x.shape),
    "update of all": lambda b, x: b(
        p.slice_update, of(b, x, 2), x, **parts([range(n) for n in x.shape])
    ),
}


def flipped(b: Builder, x: Value) -> Value:
    return b(p.slice, x, **parts([range(n)[::-1] for n in x.shape]))


@pytest.mark.parametrize("name", KEEPING)
def test_what_changes_nothing_goes(name):
    b = Builder()
    x = b.tensor(3, 4)
    assert simplified(b, b(p.tanh, KEEPING[name](b, x))) == ["tanh"]


def test_a_part_of_a_part_is_updated_at_once():
    b = Builder()
    x, v = b.tensor(9, 8), b.tensor(2, 3)
    outer, inner = parts([range(1, 9, 2), range(2, 8)]), parts([range(1, 3), range(0, 6, 2)])
    part = b(p.slice_update, b(p.slice, x, **outer), v, **inner)
    assert simplified(b, b(p.slice_update, x, part, **outer)) == ["slice_update"]


def padded(b: Builder, x: Value, number: float, side: float, at: range) -> Value:
    """x with a margin of `number`, of which the rows `at` are written as `side` once more."""
    whole = b.full((x.shape[0] + 2, x.shape[1] + 2), x.dtype.type(number).item(), x.dtype)
    middle = b(p.slice_update, whole, x, **parts([range(1, n + 1) for n in x.shape]))
    again = b.full((len(at), x.shape[1]), x.dtype.type(side).item(), x.dtype)
    return b(p.slice_update, middle, again, **parts([at, range(1, x.shape[1] + 1)]))


@pytest.mark.parametrize(("side", "at", "updates"), [
    (0.0, range(1), 1), (0.0, range(4, 5), 1),  # what stands there already
    (-0.0, range(1), 2), (1.0, range(1), 2), (0.0, range(2), 2), (0.0, range(3, 5), 2),
])  # fmt: skip
def test_a_margin_is_written_once(side, at, updates):
    b = Builder()
    left = simplified(b, padded(b, b.tensor(3, 4), 0.0, side, at))
    assert left.count("slice_update") == updates


@pytest.mark.parametrize(("low", "high"), [(1, 3), (2, 3), (1, 2)])
@pytest.mark.parametrize("moved", [0, 1])
def test_a_middle_between_borders_is_a_write(low, high, moved):
    b = Builder()
    x, v = b.tensor(4, 3), b.tensor(high - low, 3)
    left = b(p.slice, x, starts=(moved, 0), stops=(low + moved, 3), steps=(1, 1))
    right = b(p.slice, x, starts=(high, 0), stops=(4, 3), steps=(1, 1))
    found = simplified(b, b(p.concat, left, v, right, axis=0))
    assert found == (["slice", "slice", "concat"] if moved else ["slice_update"])


CHANGING = {
    "plus zero": lambda b, x: b(p.add, x, of(b, x, 0)),
    "minus negative zero": lambda b, x: b(p.subtract, x, of(b, x, -0.0)),
    "times zero": lambda b, x: b(p.multiply, x, of(b, x, 0)),
    "minus itself": lambda b, x: b(p.subtract, x, x),
}


@pytest.mark.parametrize("name", CHANGING)
def test_what_may_change_bits_stays(name):
    b = Builder()
    x = b.tensor(3, 4)
    assert simplified(b, CHANGING[name](b, x))[-1] in ("add", "subtract", "multiply")


@pytest.mark.parametrize("name", ["plus zero", "times zero", "minus itself"])
def test_fast_numerics_may_change_bits(name):
    b = Builder()
    x = b.tensor(3, 4)
    graph = b.build([b(p.tanh, CHANGING[name](b, x))])
    with config(numerics="fast"):
        names = [node.op.name for node in simplify(graph).nodes]
    assert "add" not in names
    assert "multiply" not in names
    assert "subtract" not in names


def test_integers_have_more_rules():
    b = Builder()
    x = b.tensor(3, 4, dtype=int32)
    assert simplified(b, b(p.negative, b(p.add, x, of(b, x, 0)))) == ["negative"]


def test_rules_work_on_what_rules_made():
    b = Builder()
    x, y = b.tensor(3, 4), b.tensor(3, 4)
    negated = b(p.negative, b(p.multiply, y, of(b, y, 1)))
    assert simplified(b, b(p.add, x, negated)) == ["subtract"]
    assert simplified(b, b(p.power, x, of(b, x, 2))) == ["multiply"]


def test_casts_that_lose_values_stay():
    b = Builder()
    x = b.tensor(3, 4)
    narrow = b(p.cast, b(p.cast, x, dtype=float16), dtype=float32)
    assert simplified(b, narrow) == ["cast", "cast"]
    n = b.tensor(3, dtype=int64)
    assert simplified(b, b(p.cast, b(p.cast, n, dtype=float64), dtype=int64)) == ["cast", "cast"]


def test_constants_are_folded():
    b = Builder()
    x = b.tensor(3, 4)
    two = b(p.exp, b.full((1, 4), 0.0))
    two = b(p.add, b(p.expand, two, shape=(3, 4)), b.full((3, 4), 1.0))
    total = b(p.sum, b.full((4, 5), 0.5), axes=(0, 1))
    assert simplified(b, b(p.multiply, x, two), b(p.add, x, b(p.expand, total, shape=(3, 4)))) == [
        "full", "multiply", "full", "add",
    ]  # fmt: skip


def test_equal_nodes_become_one_and_numbers_of_other_bits_do_not():
    b = Builder()
    x = b.tensor(3)
    graph = b.build([b(p.sin, x), b(p.sin, x), b.full((3,), 0.0), b.full((3,), -0.0)])
    assert [n.op.name for n in merge_equal(graph).nodes] == ["sin", "full", "full"]


def test_dead_nodes_go_but_for_those_that_may_raise():
    b = Builder()
    x, at = b.tensor(3), b.tensor(2, dtype=int64)
    b(p.sin, x)
    b(p.take, x, at, axis=0)
    assert [n.op.name for n in remove_dead(b.build([b(p.cos, x)])).nodes] == ["take", "cos"]


def test_an_output_that_becomes_an_input_is_copied():
    b = Builder()
    x = b.tensor(3)
    graph = b.build([b(p.negative, b(p.negative, x)), x])
    after = simplify(graph)
    assert [node.op.name for node in after.nodes] == ["cast"]
    assert after.outputs[1] is after.inputs[0]


def test_rules_that_do_not_settle_are_named(monkeypatch):
    monkeypatch.setattr(patterns, "RULES", {})
    patterns.rule(lambda x: p.sin(x))(lambda x: p.cos(x))

    @patterns.rule(lambda x: p.cos(x))
    def back_to_sine(x):
        return p.sin(x)

    b = Builder()
    with pytest.raises(AssertionError, match=r"do not settle.*back_to_sine"):
        simplify(b.build([b(p.sin, b.tensor(3))]))


def test_replacements_carry_the_line_of_what_they_replace():
    b = Builder()
    x = b.tensor(3)
    two = b.full((3,), 2.0)
    line = object()
    node = b.add(p.power.op, (x, two), {}, line)  # type: ignore[arg-type]
    (left,) = simplify(b.build([node.result])).nodes
    assert left.line is line


@settings(max_examples=150, deadline=None, derandomize=True)
@given(graphs(), st.integers(0, 99))
def test_random_graphs_keep_their_bits(drawn, seed):
    graph: Graph = drawn[0]
    arrays = arrays_for(graph, seed)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        before = interpret(graph, arrays)
        after = interpret(simplify(graph).verify(), arrays)
    assert all(map(same_bits, before, after))
