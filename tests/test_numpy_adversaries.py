"""NumPy programs that look for a difference between a function and its compiled twin."""

from __future__ import annotations

import pytest
from numpy_adversaries import ADVERSARIES
from test_numpy_functions import assert_same

import dualflow as df


@pytest.mark.parametrize("name", ADVERSARIES)
def test_no_difference(name):
    program, counts = ADVERSARIES[name]
    _, wanted = program(lambda function: function)
    compiled, found = program(lambda function: df.compile(function, wait=True))
    assert_same(wanted, found)
    stats = compiled.stats()
    assert stats["calls"] > 0
    for count, least in counts.items():
        assert stats[count] >= least, f"{stats} {compiled.explain()}"
