"""Some of CPython's own language tests, each method decorated: see `run_cpython.py` for all."""

from __future__ import annotations

import pytest
from run_cpython import available, differences


@pytest.mark.parametrize(
    "module",
    """
    test_scope test_with test_enumerate test_raise test_patma test_generators test_yield_from
    test_keywordonlyarg test_positional_only_arg test_decorators test_frame test_dynamic
    """.split(),  # noqa: SIM905
)
def test_language_tests_come_out_alike(module):
    if not available(module):
        pytest.skip("this interpreter comes without its tests")
    found, compiled = differences(module)
    assert not found
    assert compiled["ways"]["recordings"] > len(compiled["outcomes"]) / 3 > 5
