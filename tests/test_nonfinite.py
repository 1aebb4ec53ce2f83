"""`df.debug_nans`: the first NaN or infinity, its operation, line and operands."""

from __future__ import annotations

import numpy as np
import pytest

import dualflow as df
from dualflow.base.errors import NonFiniteError


def test_the_first_operation_is_named_with_line_and_operands():
    x = df.tensor([1.0, 0.0, 4.0])
    with df.debug_nans():
        y = x + 1
        with pytest.raises(NonFiniteError) as caught:
            df.log(y / x)
    text = str(caught.value)
    assert "divide made 1 infinite of 3 numbers, the first at [1]" in text
    assert "float32 (3,) from 1 to 5, float32 (3,) from 0 to 4" in text
    assert "test_nonfinite.py:" in text
    assert isinstance(caught.value, FloatingPointError)


def test_narrow_floats_are_looked_at():
    x = df.asarray([1.0, 0.0, 2.0]).astype(df.bfloat16)
    with df.debug_nans(), pytest.raises(NonFiniteError) as caught:
        1 / x
    assert "divide made 1 infinite of 3 numbers" in str(caught.value)
    assert "bfloat16 (3,) from 0 to 2" in str(caught.value)


def test_infinities_may_be_left_alone():
    with df.debug_nans(infinities=False):
        x = df.log(df.tensor([0.0, 1.0]))
        assert x.tolist() == [-np.inf, 0.0]
        with pytest.raises(NonFiniteError, match="sqrt made 1 NaN"):
            df.sqrt(df.tensor([-1.0]))


def test_what_was_not_finite_before_is_not_blamed_on_later_operations():
    x = df.tensor([np.nan, 1.0])
    with df.debug_nans():
        assert np.isnan((x * 2).numpy()[0])
        df.full((2,), np.inf)
        df.where(df.tensor([True, False]), -np.inf, 0.0)


def test_inside_a_compiled_function_and_its_gradient():
    f = df.compile(lambda x: df.sqrt(x).sum(), wait=True)
    x = df.tensor([0.0, 4.0], requires_grad=True)
    f(x)
    f(x)
    replays = f.stats()["replays"]
    with df.debug_nans(), pytest.raises(NonFiniteError, match="infinite"):
        f(x).backward()
    assert f.stats()["replays"] == replays


def test_after_the_block_nothing_is_looked_at():
    with df.debug_nans():
        pass
    with np.errstate(invalid="ignore"):
        assert np.isnan(df.sqrt(df.tensor([-1.0])).item())
