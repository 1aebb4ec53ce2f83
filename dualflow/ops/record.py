"""How records are written: one call makes the record, enters it, and gives the strict primitive.

Comes in: the parts of a record. Goes out: a `Strict`, through which the record is called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import numpy as np

from dualflow.ir.op import Kind, Op, register

from . import door
from .rules import ElementwiseRule


@final
class Strict:
    """A primitive as a function.

    `p.add(x, y)` is strict: same shape, same dtype. `p.add.of(x, 2.0)` promotes and broadcasts
    (elementwise ops only). `p.add.op` is the record.
    """

    __slots__ = ("__name__", "op")

    def __init__(self, op: Op) -> None:
        self.op, self.__name__ = op, op.name

    def __call__(self, *inputs: Any, **attributes: Any) -> Any:
        return door.run(self.op, inputs, attributes)

    def of(self, *operands: Any) -> Any:
        """The op on tensors and Python scalars, promoted and broadcast."""
        return door.elementwise(self.op, *operands)

    def __repr__(self) -> str:
        return f"<primitive {self.op.name}>"


def from_types(gradient: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a gradient rule that looks at shapes and dtypes of the inputs only, so that autograd
    keeps none of them alive. Needed for rules of `*inputs`; autograd reads it off the others."""
    gradient.from_types = True  # type: ignore[attr-defined]
    return gradient


def needs_no_more(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a forward rule that uses, of inputs and outputs, only what the gradients of those inputs
    use that have tangents: so autograd keeps nothing for its sake."""
    forward.needs_no_more = True  # type: ignore[attr-defined]
    return forward


def linear(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a forward rule of one input that is the op itself on the tangent."""
    forward.linear = True  # type: ignore[attr-defined]
    return forward


def primitive(name: str, kind: Kind, rule: Any, numpy: Callable[..., Any], **parts: Any) -> Strict:
    """Enter a record; see `ir.op.Op` for the parts."""
    return Strict(register(Op(name, kind, rule, numpy, **parts)))


def elementwise(
    name: str,
    numpy: Callable[..., Any],
    doc: str,
    *,
    accepts: str = "iuf",
    result: np.dtype | None = None,
    to_real: bool = False,
    to_float: bool = False,
    to_bool: bool = False,
    condition: bool = False,
    numba: Any = None,
    triton: Any = None,
    **parts: Any,
) -> Strict:
    """Enter the record of an elementwise op; see `rules.ElementwiseRule` and `ir.op.Op`."""
    rule = ElementwiseRule(name, accepts, result, to_real, to_float, to_bool, condition)
    spelling = {"numba": numba, "triton": triton}
    parts["spelling"] = {backend: text for backend, text in spelling.items() if text is not None}
    return primitive(name, Kind.ELEMENTWISE, rule, numpy, doc=doc, chooses=condition, **parts)
