"""What the stages print, for four computations: graph, program, kernel, Numba and Triton text.

A change here is a change that a person reading `explain` sees. `pytest tests/test_golden.py
--update-golden` writes the texts anew; read the difference before committing it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from schedule_graphs import Builder

from dualflow.codegen import numba, triton
from dualflow.ir.backend import NUMBA, TRITON
from dualflow.ir.graph import Graph, print_graph
from dualflow.ops import primitives as p
from dualflow.passes import simplify
from dualflow.schedule import plan

FOLDER = Path(__file__).parent / "golden"


def softmax() -> Graph:
    """Rows of 8 x 32."""
    b = Builder()
    x = b.tensor(8, 32)
    shifted = b(p.subtract, x, b.spread(b(p.max, x, axes=(1,)), (8, 32), (1,)))
    e = b(p.exp, shifted)
    return b.build([b(p.divide, e, b.spread(b(p.sum, e, axes=(1,)), (8, 32), (1,)))])


def column_sum() -> Graph:
    """Columns of 16 x 64."""
    b = Builder()
    x = b.tensor(16, 64)
    return b.build([b(p.sum, b(p.multiply, x, x), axes=(0,))])


def chain() -> Graph:
    """tanh(x * 2 + row), the row broadcast; x + 0.0 must stay, -(-x) must go."""
    b = Builder()
    x, row = b.tensor(8, 32), b.tensor(32)
    twice = b(p.multiply, x, b.full((8, 32), 2.0))
    zero = b(p.add, twice, b.full((8, 32), 0.0))
    back = b(p.negative, b(p.negative, zero))
    return b.build([b(p.tanh, b(p.add, back, b(p.expand, row, shape=(8, 32))))])


def mean_of_rows() -> Graph:
    """The mean of log(sum(exp)) over rows of 8 x 32: one kernel where a backend has totals."""
    b = Builder()
    rows = b(p.log, b(p.sum, b(p.exp, b.tensor(8, 32)), axes=(1,)))
    return b.build([b(p.divide, b(p.sum, rows, axes=(0,)), b.full((), 8.0))])


def printed(make: Callable[[], Graph]) -> str:
    """All stages of a computation as one text."""
    graph = simplify(make())
    programs = [plan(graph, backend=backend) for backend in (NUMBA, TRITON)]
    kernels, others = ([launch.kernel for launch in each.launches] for each in programs)
    parts = [print_graph(graph), str(programs[0])]
    for kernel in dict.fromkeys(kernels):
        parts += [str(kernel), numba.emit(kernel).source]
        parts += [triton.emit(kernel).source] if kernel in others else []
    for kernel in dict.fromkeys(others):
        parts += [str(kernel), triton.emit(kernel).source] if kernel not in kernels else []
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


@pytest.mark.parametrize(
    "make", [softmax, column_sum, chain, mean_of_rows], ids=lambda make: make.__name__
)
def test_stages_print_as_before(make: Callable[[], Graph], update_golden: bool):
    text = printed(make)
    file = FOLDER / f"{make.__name__}.txt"
    if update_golden:
        file.write_text(text)
    assert text == file.read_text()
