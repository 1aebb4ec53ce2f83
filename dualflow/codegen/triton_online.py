"""Two folds of which the second needs the first, in one pass over memory.

    m = max of v;  s = sum of exp(v - g(m))    two stages over the same loop
    s = sum of v;  q = sum of (v - g(s)) ** 2

While the maximum rises, the sum is scaled by how far (Milakov and Gimelshein 2018). Squares are
added up in double with their numbers, from which q follows: more precisely than from differences
in single. So rows that do not fit into registers are read once less. Comes in: two stages of a
kernel. Goes out: an `Online` or a `Moments`, or None where they are something else.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dualflow.base.records import record
from dualflow.ir.kernel import Fold, Keep, Kernel, Stage

from .spelling import spelling

FLOAT32 = np.dtype("float32")


@record
class Online:
    """What the two stages fold.

    Attributes:
        largest: the fold of the first stage.
        total: the fold of the second.
        below: the name, in the second stage, of what is taken off each value.
    """

    largest: Fold
    total: Fold
    below: str


def online(kernel: Kernel, first: Stage, second: Stage) -> Online | None:
    """The pair that the stages are, if they are one."""
    if not first.over or first.over != second.over or first.over != (kernel.lanes,):
        return None
    largest, total = _only_fold(first), _only_fold(second)
    if largest is None or total is None or {largest.dtype, total.dtype} != {FLOAT32}:
        return None
    if spelling(largest.op, "triton", FLOAT32) != spelling("max", "triton", FLOAT32):
        return None
    if spelling(total.op, "triton", FLOAT32) != spelling("sum", "triton", FLOAT32):
        return None
    power = _made(second, total.value, spelling("exp", "triton", FLOAT32))
    taken = _made(second, power[0], spelling("subtract", "triton", FLOAT32)) if power else None
    if taken is None or _tree(first, largest.value) != _tree(second, taken[0]):
        return None
    words = set(_flat(_tree(second, taken[1])))
    if largest.name not in words or words & {"load", "gather", "index"}:
        return None
    return Online(largest, total, taken[1])


@record
class Moments:
    """What the two stages fold.

    Attributes:
        sum: the fold of the first stage.
        squares: the fold of the second.
        below: the name, in the second stage, of what is taken off each value.
    """

    sum: Fold
    squares: Fold
    below: str


def moments(kernel: Kernel, first: Stage, second: Stage) -> Moments | None:
    """The pair that the stages are, if they are one."""
    if not first.over or first.over != second.over or first.over != (kernel.lanes,):
        return None
    total, squares = _only_fold(first), _only_fold(second)
    if total is None or squares is None or {total.dtype, squares.dtype} != {FLOAT32}:
        return None
    if any(spelling(fold.op, "triton", FLOAT32) != spelling("sum", "triton", FLOAT32)
           for fold in (total, squares)):  # fmt: skip
        return None
    factors = _made(second, squares.value, spelling("multiply", "triton", FLOAT32))
    if factors is None or factors[0] != factors[1]:
        return None
    taken = _made(second, factors[0], spelling("subtract", "triton", FLOAT32))
    if taken is None or _tree(first, total.value) != _tree(second, taken[0]):
        return None
    words = set(_flat(_tree(second, taken[1])))
    if total.name not in words or words & {"load", "gather", "index"}:
        return None
    return Moments(total, squares, taken[1])


def _only_fold(stage: Stage) -> Fold | None:
    folds = [sink for sink in stage.sinks if isinstance(sink, Fold)]
    others = [sink for sink in stage.sinks if not isinstance(sink, (Fold, Keep))]
    return folds[0] if len(folds) == 1 and not others else None


def _made(stage: Stage, name: str, template: str) -> tuple[str, ...] | None:
    """The operands of `name`, if the stage computes it, in float32, by an op spelled so."""
    let = next((let for let in stage.lets if let.name == name), None)
    if let is None or let.dtype != FLOAT32 or let.op in ("load", "gather", "index", "constant"):
        return None
    return let.arguments if spelling(let.op, "triton", FLOAT32) == template else None


def _tree(stage: Stage, name: str) -> Any:
    """How the stage computes `name`, as nested tuples."""
    let = next((let for let in stage.lets if let.name == name), None)
    if let is None:
        return name
    return (let.op, let.dtype.name, *(_tree(stage, argument) for argument in let.arguments))


def _flat(tree: Any) -> list[str]:
    return [tree] if isinstance(tree, str) else [word for part in tree for word in _flat(part)]
