"""Random graphs: the Program of a graph computes what the graph means, bit for bit."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernel_interpreter import run
from schedule_graphs import arrays_for, graphs

from dualflow.ir.graph import Graph
from dualflow.ir.interpret import interpret
from dualflow.ir.types import View
from dualflow.passes import simplify
from dualflow.schedule import assemble, plan

QUICK = settings(
    max_examples=150, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip


def assert_same(graph: Graph, layouts: list[View], seed: int, simplified: bool) -> None:
    arrays = arrays_for(graph, seed)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        wanted = interpret(graph, arrays)
        program = plan(simplify(graph) if simplified else graph, layouts)
        found = run(program, arrays)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


@QUICK
@given(graphs(), st.integers(0, 99), st.booleans())
def test_program_computes_what_the_graph_means(drawn, seed, simplified):
    graph, layouts = drawn
    assert_same(graph.verify(), layouts, seed, simplified)


@QUICK
@given(graphs(), st.integers(0, 99), st.data())
def test_outputs_may_take_the_memory_of_inputs(drawn, seed, data):
    graph, layouts = drawn
    into: dict[int, int] = {}
    for i, value in enumerate(graph.outputs):
        same = [j for j, given_ in enumerate(graph.inputs) if given_.type == value.type]
        if same and data.draw(st.booleans()):
            into[i] = data.draw(st.sampled_from(same))
    arrays = arrays_for(graph, seed)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found = run(plan(graph, layouts, into=into), arrays)
        wanted = interpret(graph, arrays)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


@QUICK
@given(graphs(), st.integers(0, 99))
def test_outputs_may_lend_their_memory(drawn, seed):
    graph, layouts = drawn
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assemble, "WASTEFUL", 0.0)
        assert_same(graph.verify(), layouts, seed, simplified=True)
