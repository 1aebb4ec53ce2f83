"""Functions of both modes against the truth, as `python -m benchmarks.accuracy` measures them.

The long run, of 20 million patterns for each function and dtype, is kept in
`benchmarks/results/accuracy/`.
"""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mpmath")
pytest.importorskip("llvmlite")

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import dualflow as df  # noqa: E402
from benchmarks import accuracy  # noqa: E402
from dualflow.ir.op import CATALOGUE, Kind, Op  # noqa: E402

#: What kernels hold, and what NumPy's functions hold, on which eager mode rests: those of float32
#: that use vectors promise 4 (measured here: 3.6).
COMPILED, EAGER = 2.0, 4.0
HAS_WIDE = platform.machine() in ("x86_64", "AMD64") and np.finfo(np.longdouble).nmant == 63


@pytest.mark.skipif(not HAS_WIDE, reason="the truth is computed in the x87's long double")
@pytest.mark.parametrize("dtype", accuracy.FLOATS, ids=str)
@pytest.mark.parametrize("function", accuracy.FUNCTIONS, ids=lambda function: function.name)
def test_both_modes_are_near_the_truth(function: accuracy.Function, dtype: np.dtype) -> None:
    row = accuracy.measure(function, dtype, 30_000, seed=3)
    assert row["compiled ulp"] <= COMPILED, row
    assert row["eager ulp"] <= EAGER, row


def test_errors_are_counted_in_ulp() -> None:
    one = np.array([1.0, 1.0, 0.0, np.nan, np.inf, 1.0], np.float32)
    truth = np.array([1 + 2.0**-24, 1 - 2.0**-24, -0.0, np.nan, 1e39, np.nan])
    with np.errstate(all="ignore"):
        found = accuracy.ulps(one, truth)
    assert found.tolist() == [0.5, 1.0, np.inf, 0.0, 0.0, np.inf]


def test_a_wrong_function_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    if not HAS_WIDE:
        pytest.skip("the truth is computed in the x87's long double")
    monkeypatch.setattr(df, "exp", lambda x: df.exp2(x * 1.4426950408889634))
    (exp,) = (f for f in accuracy.FUNCTIONS if f.name == "exp")
    assert accuracy.measure(exp, np.dtype(np.float64), 5_000)["compiled ulp"] > 10


def test_every_transcendental_function_is_measured() -> None:
    """A new one has to be entered; the rest of those that are not exact stands here."""
    others = {"logaddexp"}  # relative to its larger operand: its sum may cancel
    inexact = {op.name for op in spelled() if not op.is_exact(np.dtype(np.float64))}
    measured = {function.name for function in accuracy.FUNCTIONS}
    assert inexact - others <= measured
    assert {"sqrt"} | inexact - others == measured


def spelled() -> list[Op]:
    """The elementwise ops of floats that kernels spell."""
    found = (op for op in CATALOGUE.values() if op.kind is Kind.ELEMENTWISE)
    return [op for op in found if "numba" in op.spelling]


def test_the_long_run_is_kept() -> None:
    """The table holds every function in both dtypes, and every row is within its bounds."""
    (*_, last) = sorted((ROOT / "benchmarks" / "results" / "accuracy").glob("*.txt"))
    rows = [line.split() for line in last.read_text().splitlines()[2:]]
    found = {tuple(row[:2]): (row[2].replace(",", ""), *row[3:5]) for row in rows}
    assert set(found) == {(f.name, t.name) for f in accuracy.FUNCTIONS for t in accuracy.FLOATS}
    for numbers in found.values():
        count, compiled, eager = map(float, numbers)
        assert count >= 10_000_000
        assert compiled <= COMPILED
        assert eager <= EAGER
