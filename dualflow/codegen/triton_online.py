"""Two folds of which the second needs the first, in one pass over memory.

    m = max of v;  s = sum of exp(v - g(m))    two stages over the same loop
    s = sum of v;  q = sum of (v - g(s)) ** 2

While the maximum rises, the sum is scaled by how far (Milakov and Gimelshein 2018). Squares are
added up in double with their numbers, from which q follows: more precisely than from differences
in single. So rows that do not fit into registers are read once less. Comes in: two stages of a
kernel. Goes out: an `Online`, or None where they are something else.
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
        first: the fold of the first stage.
        second: the fold of the second.
        below: the name, in the second stage, of what is taken off each value.
        squares: whether squares of differences are added up; else their exponentials.
    """

    first: Fold
    second: Fold
    below: str
    squares: bool


def online(kernel: Kernel, first: Stage, second: Stage) -> Online | None:
    """The pair that the stages are, if they are one."""
    if not first.over or first.over != second.over or first.over != (kernel.lanes,):
        return None
    one, other = _only_fold(first), _only_fold(second)
    if one is None or other is None or {one.dtype, other.dtype} != {FLOAT32}:
        return None
    squares = _is(one.op, "sum")
    if not (squares or _is(one.op, "max")) or not _is(other.op, "sum"):
        return None
    made = _made(second, other.value, "multiply" if squares else "exp")
    if made is None or made[0] != made[-1]:
        return None
    taken = _made(second, made[0], "subtract")
    if taken is None or _tree(first, one.value) != _tree(second, taken[0]):
        return None
    words = set(_flat(_tree(second, taken[1])))
    if one.name not in words or words & {"load", "gather", "index"}:
        return None
    return Online(one, other, taken[1], squares)


def _is(op: str, like: str) -> bool:
    """Whether two records spell one thing of float32."""
    return spelling(op, "triton", FLOAT32) == spelling(like, "triton", FLOAT32)


def _only_fold(stage: Stage) -> Fold | None:
    folds = [sink for sink in stage.sinks if isinstance(sink, Fold)]
    others = [sink for sink in stage.sinks if not isinstance(sink, (Fold, Keep))]
    return folds[0] if len(folds) == 1 and not others else None


def _made(stage: Stage, name: str, like: str) -> tuple[str, ...] | None:
    """The operands of `name`, if the stage computes it, in float32, by an op spelled as `like`."""
    let = next((let for let in stage.lets if let.name == name), None)
    if let is None or let.dtype != FLOAT32 or let.op in ("load", "gather", "index", "constant"):
        return None
    return let.arguments if _is(let.op, like) else None


def _tree(stage: Stage, name: str) -> Any:
    """How the stage computes `name`, as nested tuples."""
    let = next((let for let in stage.lets if let.name == name), None)
    if let is None:
        return name
    return (let.op, let.dtype.name, *(_tree(stage, argument) for argument in let.arguments))


def _flat(tree: Any) -> list[str]:
    return [tree] if isinstance(tree, str) else [word for part in tree for word in _flat(part)]
