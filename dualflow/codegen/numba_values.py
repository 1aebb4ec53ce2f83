"""How generated Numba text writes values: ops as spelled, typed constants, buffers, conversions.

Comes in: names of ops, dtypes, texts of operands. Goes out: texts of expressions, strictly typed.
"""

from __future__ import annotations

import numpy as np

from dualflow.base.dtypes import compute_dtype as held_as
from dualflow.base.dtypes import python_type
from dualflow.ir.op import CATALOGUE

from .spelling import spelling as spelling_of

BOOL, INT64, FLOAT64 = map(np.dtype, ("bool", "int64", "float64"))

#: Combinations that may be reordered when they accumulate floats; the others keep their order.
REORDERED = {"{0} + {1}": "radd({0}, {1})"}
#: Folds of floats that compare integers of the same order, and how a float becomes one.
RANKED = {"maximum({0}, {1})": "rank_high({0})", "minimum({0}, {1})": "rank_low({0})"}


def spelling(op: str, dtype: np.dtype) -> str:
    """How the record `op` spells Numba's scalar code on operands of `dtype`."""
    return spelling_of(op, "numba", dtype)


def literal(value: bool | int | float, dtype: np.dtype) -> str:
    """`value` as a typed constant.

    >>> literal(-0.0, np.dtype("float32"))
    'np.float32(-0.0)'
    """
    if dtype == BOOL:
        return str(bool(value))
    if python_type(dtype) is not float:
        return f"np.{dtype.name}({int(value)})"
    value = float(np.asarray(value, dtype))
    text = repr(value) if np.isfinite(value) else repr(value).replace("inf", "np.inf")
    return f"np.{held_as(dtype).name}({text.replace('nan', 'np.nan')})"


def worst(op: str, dtype: np.dtype) -> str:
    """What every value is at least as good as, for the reduction `op` of values."""
    identity = CATALOGUE[op].identity
    assert identity is not None, f"{op} has no identity to start from"
    return literal(identity(dtype), dtype)


def is_narrow(dtype: np.dtype) -> bool:
    """Whether values of `dtype` are held as float32 between ops, and rounded after each."""
    return held_as(dtype) != dtype


def stored_as(dtype: np.dtype) -> np.dtype:
    """The dtype behind the pointer to a buffer of `dtype`."""
    if dtype == BOOL or is_narrow(dtype):
        return np.dtype(f"uint{8 * dtype.itemsize}")
    return dtype


def unpacked(element: str, dtype: np.dtype) -> str:
    """An element of a buffer as a value."""
    if dtype == BOOL:
        return f"({element} != 0)"
    return f"from_bits({element}, {dtype.name})" if is_narrow(dtype) else element


def packed(value: str, dtype: np.dtype) -> str:
    """A value as an element of a buffer."""
    return f"to_bits({value}, {dtype.name})" if is_narrow(dtype) else boxed(value, dtype)


def boxed(value: str, dtype: np.dtype) -> str:
    return f"np.uint8({value})" if dtype == BOOL else value


def narrow(text: str, dtype: np.dtype) -> str:
    """`text` in its own dtype again: Numba widens integers; narrow floats are held in float32."""
    if dtype.kind in "iu":
        return f"np.{dtype.name}({text})"
    return f"narrowed({text}, {dtype.name})" if is_narrow(dtype) else text


def converted(value: str, given: np.dtype, wanted: np.dtype) -> str:
    """`value` of dtype `given` in dtype `wanted` (of the same kind, or wider)."""
    if given == wanted or held_as(given) == wanted:
        return value
    if is_narrow(wanted):
        return f"narrowed({value}, {wanted.name})"
    return f"np.{wanted.name}({value})"


def parse_literal(text: str) -> bool | int | float:
    """The literal that `repr` wrote."""
    if text in ("True", "False"):
        return text == "True"
    return int(text) if text.lstrip("-").isdigit() else float(text)
