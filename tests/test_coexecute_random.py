"""Random programs, co-executed, show what they show eagerly."""

import numpy as np
import pytest
from coexecute_programs import trace

from dualflow.capture.coexecution.coexecute import coexecute
from dualflow.capture.coexecution.segments import Segments


def coexecuted(seed, wait=False, order="C"):
    found = Segments()
    seen = trace(seed, lambda call: coexecute(found, call, wait=wait), order=order)
    return found.stats, seen


def exact(value):
    return (value.shape, value.tobytes()) if isinstance(value, np.ndarray) else repr(value)


def check_close(seen, expected):
    """Numbers agree to rounding; texts are compared by their shape alone."""
    assert len(seen) == len(expected)
    for a, b in zip(seen, expected, strict=True):
        if isinstance(a, str) or (isinstance(a, list) and a and isinstance(a[0], str)):
            assert type(b) is type(a)
        else:
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def check_exact(seeds):
    runs = recomputed = copies = 0
    for seed in seeds:
        stats, seen = coexecuted(seed)
        expected = trace(seed, lambda call: call())
        assert list(map(exact, seen)) == list(map(exact, expected)), f"seed {seed}"
        runs += stats.segments
        recomputed += stats.recomputed
        copies += stats.copies
    assert runs > 10 * len(seeds)
    assert recomputed > 0
    assert copies > 0


def test_interpreted_segments_are_exact(interpreted):
    check_exact(range(120))


@pytest.mark.slow
def test_interpreted_segments_are_exact_for_many(interpreted):
    check_exact(range(1000, 4000))


def test_memory_in_column_order(interpreted):
    for seed in range(60):
        check_close(coexecuted(seed, order="F")[1], trace(seed, lambda call: call(), order="F"))


def check_compiled(seeds):
    compiled = 0
    for seed in seeds:
        order = "F" if seed % 2 else "C"
        stats, seen = coexecuted(seed, wait=True, order=order)
        check_close(seen, trace(seed, lambda call: call(), order=order))
        assert stats.failures == 0
        compiled += stats.compiled
    assert compiled > 4 * len(seeds)


def test_compiled_segments():
    check_compiled(range(6))


@pytest.mark.slow
def test_many_compiled_segments():
    check_compiled(range(6, 60))
