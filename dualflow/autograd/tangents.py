"""How a tangent passes one op: by its `forward` rule, or by one derived from its kind.

    elementwise     the reverse rule with the tangent in the place of the gradient: the Jacobian is
                    diagonal (of complex numbers between two conjugations, for holomorphic ops)
    movement, indexing    linear: the op itself on the tangents
    contraction     linear in each input: the product rule
    all others      have a rule (`tests/test_rules.py` holds them to it)

Comes in: an op with its inputs, and tangents of some of them. Goes out: tangents of the outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from dualflow.array.tensor import Tensor
from dualflow.base.dtypes import is_inexact, python_type
from dualflow.base.errors import GradientError
from dualflow.base.shapes import Shape, broadcast
from dualflow.ir.op import Kind, Op
from dualflow.ir.types import TensorType
from dualflow.ops import door
from dualflow.ops import primitives as p
from dualflow.ops.promotion import SCALARS, operand_dtypes

from .needs import looked_at

Given = tuple[Any, ...]  # for each input a tangent, or None for zero


def zeros(type_: Any) -> Tensor:
    """Zeros of the shape and dtype of `type_`."""
    return p.full(shape=type_.shape, value=python_type(type_.dtype)(), dtype=type_.dtype)


def tangent(op: Op, attributes: Mapping[str, Any], inputs: Given, out: Any, given: Given) -> Any:
    """The tangent of the output (a tuple of several; None: zero).

    Args:
        op, attributes: what was applied.
        inputs: what came to the door, or the type where its values do not matter.
        out: the output, if a rule uses it.
        given: for each input a tangent of its shape and dtype, or None for zero.
    """
    if op.gradient is None and op.forward is None:
        raise GradientError(f"{op.name} has no gradient", why=op.no_gradient,
                            instead="stop_gradient() its input if none should flow")  # fmt: skip
    if op.kind is Kind.ELEMENTWISE and not attributes:
        return _elementwise(op, inputs, out, given)
    if op.forward is not None:
        return op.forward(given, _typed(op, attributes, inputs, out), *inputs, **attributes)
    if op.kind in (Kind.MOVEMENT, Kind.INDEXING):
        return _linear(op, attributes, inputs, given)
    assert op.kind is Kind.CONTRACTION, f"{op.name} has no forward rule"
    return _multilinear(op, attributes, inputs, given)


def _typed(op: Op, attributes: Mapping[str, Any], inputs: Given, out: Any) -> Any:
    """The output, or its type (a tuple of several) where its values do not matter; None where the
    rule does not look at it."""
    if out is not None or not looked_at(op, len(inputs)):
        return out
    types = op.infer(tuple(TensorType(x.shape, x.dtype) for x in inputs), attributes)
    return types[0] if op.outputs == 1 else types


def _elementwise(op: Op, inputs: Given, out: Any, given: Given) -> Any:
    dtype, shape, result = _types(op, inputs)
    numbers = [_seen(x, dtype) for x in inputs]
    tangents = tuple(t if t is None or t.dtype == dtype else p.cast(t, dtype=dtype) for t in given)
    if op.forward is not None:
        out = TensorType(shape, result) if out is None else out
        total = op.forward(tangents, out, *numbers)
    else:
        total = _diagonal(op, tangents, out, numbers, dtype.kind == "c")
    if total is None:
        return None
    if total.shape != shape:
        total = p.expand(total, shape=shape)
    return total if total.dtype == result else p.cast(total, dtype=result)


def _types(op: Op, inputs: Given) -> tuple[np.dtype, Shape, np.dtype]:
    """The dtype of operands (but conditions), the common shape, the dtype of the result."""
    kinds: list[Any] = []
    shape: Shape | None = None
    for x in inputs:
        if type(x) in SCALARS:
            kinds.append(type(x))
            continue
        kinds.append(x.dtype)
        shape = x.shape if shape is None or shape == x.shape else broadcast(shape, x.shape)
    assert shape is not None
    dtype, result = _dtypes(op, tuple(kinds))
    return dtype, shape, result


@lru_cache(maxsize=None)
def _dtypes(op: Op, kinds: tuple[Any, ...]) -> tuple[np.dtype, np.dtype]:
    """The dtypes of operands (but conditions) and of the result."""
    dtypes = operand_dtypes(op, kinds)
    (made,) = op.infer(tuple(TensorType((), dtype) for dtype in dtypes), {})
    return dtypes[-1], made.dtype


def _seen(x: Any, dtype: np.dtype) -> Any:
    """An operand as the op saw it: numbers in the dtype of the operands; conditions as they are."""
    if type(x) is Tensor and x.dtype != dtype and x.dtype.kind != "b":
        return p.cast(x, dtype=dtype)
    return x


def _diagonal(op: Op, tangents: Given, out: Any, inputs: list[Any], is_complex: bool) -> Any:
    total = None
    assert op.gradient is not None
    for i, t in enumerate(tangents):
        if t is None:
            continue
        part = op.gradient(p.conj(t) if is_complex else t, out, *inputs)[i]
        if part is None:
            continue
        part = part if type(part) is Tensor else part()
        total = part if total is None else total + part
    return p.conj(total) if is_complex and total is not None else total


def _linear(op: Op, attributes: Mapping[str, Any], inputs: Given, given: Given) -> Tensor:
    """`op` is linear in its float inputs together; a fill is a constant."""
    if "fill" in attributes:
        attributes = {**attributes, "fill": 0.0}
    operands = [
        t if t is not None else zeros(x) if is_inexact(x.dtype) else x
        for x, t in zip(inputs, given, strict=True)
    ]
    return door.apply(op, *operands, **attributes)


def _multilinear(op: Op, attributes: Mapping[str, Any], inputs: Given, given: Given) -> Any:
    total = None
    for i, t in enumerate(given):
        if t is not None:
            part = door.apply(op, *inputs[:i], t, *inputs[i + 1 :], **attributes)
            total = part if total is None else total + part
    return total
