"""Reading and writing through a chain of views, for tensors and for values of a graph alike.

Comes in: a root, the chain of view ops from the root to the view, and `apply`, which applies an op
(`door.apply`, or one that adds nodes to a graph). Goes out: the view, or the root written to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, final

from dualflow.base.errors import InPlaceError
from dualflow.ir.op import Op

Chain = tuple[tuple[Op, Mapping[str, Any]], ...]
Apply = Callable[..., Any]


@final
class Moved(tuple):
    """A chain that begins at a place which may be another one in the next call, while a call is
    recorded: `place` knows what the first `until` views show."""

    place: Any
    until: int

    def beginning(self, place: Any) -> Moved:
        """This chain, all of whose views show what `place` knows."""
        self.place, self.until = place, len(self)
        return self

    def longer(self, steps: Any) -> Moved:
        """A chain of all these steps, of which this one is the beginning."""
        made = Moved(steps)
        made.place, made.until = self.place, self.until
        return made


def read(apply: Apply, root: Any, chain: Chain) -> Any:
    """What a view shows: the ops of `chain` applied to `root`, one after the other."""
    for op, attributes in chain:
        root = apply(op, root, **attributes)
    return root


def put(apply: Apply, root: Any, chain: Chain, value: Any) -> Any:
    """`root` with `value` (same shape and dtype as the view) stored in what `chain` shows of it.

    Raises:
        InPlaceError: a view of the chain repeats elements (expand), so that it cannot be written.
    """
    if not chain:
        return value
    (op, attributes), rest = chain[0], chain[1:]
    if op.update is None:
        raise InPlaceError(
            f"a view made by {op.name} is read-only",
            why="several of its elements share one place in memory",
            instead="copy() it first, or write into the tensor it was made from",
        )
    if rest:
        value = put(apply, apply(op, root, **attributes), rest, value)
    return op.update(apply, root, value, **attributes)
