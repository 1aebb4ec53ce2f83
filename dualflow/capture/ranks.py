"""The order of values, for what sorts them or keeps the least one first.

Comes in: values with their origins. Goes out: their order. Of numbers, texts and tuples of such a
replay finds it anew and compares it as a whole; other values are compared one with another by the
hooks, as Python compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, final

from dualflow.array.tensor import Tensor
from dualflow.base.dtypes import kind

from . import templates
from .provenance import CONSTANT, SCALARS, Node, Origin

if TYPE_CHECKING:
    from .operators import Operators
    from .plans import Call

Pair = tuple[Any, Origin]


@final
class Rank:
    """A value that compares itself by the hooks of a frame."""

    __slots__ = ("frame", "origin", "value")

    def __init__(self, frame: Operators, value: Any, origin: Origin) -> None:
        self.frame, self.value, self.origin = frame, value, origin

    def __lt__(self, other: Rank) -> bool:
        return _before("Lt", self.frame, (self.value, self.origin), (other.value, other.origin))

    def __gt__(self, other: Rank) -> bool:
        return _before("Gt", self.frame, (self.value, self.origin), (other.value, other.origin))


def places(
    call: Call,
    ranks: list[Pair],
    find: Callable[[Any], Any],
    doing: Callable[[Any], Any] | None = None,
) -> Any:
    """`find(values)` for the ranks: places, by comparisons that a replay is sure of.

    Args:
        find: one of `rising`, `falling`, `least`, `greatest`.
        doing: what is called now in its place, and gives the same.
    """
    recorder, doing = call.recorder, doing or find
    if _alike(ranks):
        ranks = [call.recorder.late.value_of(value, Tensor.item) for value, _ in ranks]
    values = [value for value, _ in ranks]
    if not all(map(_plain, values)):
        return doing([Rank(call.frame, *rank) for rank in ranks])
    template = templates.Template(recorder)
    parts = "".join(f"{template.of(*rank)}, " for rank in ranks)
    node = template.node(f"{template.fixed(find)}(({parts}))")
    made = recorder.certain(lambda *given: doing(given), values, [origin for _, origin in ranks])
    if isinstance(node, Node) and node.late:
        recorder.check(node, made)
    elif isinstance(node, Node):
        wanted = recorder.const_tuple(made) if type(made) is tuple else made
        recorder.guard("{0} == {k0}", node, constants=(wanted,))
    return made


def rising(values: Sequence[Any]) -> tuple[int, ...]:
    """The places of the values, sorted.

    >>> rising("bca")
    (2, 0, 1)
    """
    return tuple(sorted(range(len(values)), key=values.__getitem__))


def falling(values: Sequence[Any]) -> tuple[int, ...]:
    """The places of the values, the greatest first; of equal ones the first."""
    return tuple(sorted(range(len(values)), key=values.__getitem__, reverse=True))


def least(values: Sequence[Any]) -> int:
    """The place that `min` takes."""
    return min(range(len(values)), key=values.__getitem__)


def greatest(values: Sequence[Any]) -> int:
    """The place that `max` takes."""
    return max(range(len(values)), key=values.__getitem__)


def _alike(ranks: list[Pair]) -> bool:
    """Whether all are tensors of one real number and of one kind: the numbers compare alike."""
    numbers = all(type(x) is Tensor and x.shape == () and kind(x.dtype) in "fiub" for x, _ in ranks)
    return numbers and len({x.dtype for x, _ in ranks}) == 1


def _plain(value: Any) -> bool:
    return all(map(_plain, value)) if type(value) is tuple else type(value) in SCALARS


def _before(name: str, frame: Operators, a: Pair, b: Pair) -> bool:
    """`a < b` or `a > b`, as Python decides it."""
    if type(a[0]) is type(b[0]) and type(a[0]) in (list, tuple):
        items = frame.recorder.items
        pairs = list(zip(items(*a), items(*b), strict=False))
        if frame.recorder.dead:
            return a[0] < b[0] if name == "Lt" else a[0] > b[0]
        for one, other in pairs:
            if not _equal(frame, one, other):
                return _before(name, frame, one, other)
        return len(a[0]) < len(b[0]) if name == "Lt" else len(a[0]) > len(b[0])
    return _compared(frame, name, a, b)


def _equal(frame: Operators, a: Pair, b: Pair) -> bool:
    """Whether parts of tuples or lists are taken for equal."""
    scalars = type(a[0]) in SCALARS and type(b[0]) in SCALARS
    if scalars and a[0] == a[0]:
        return _compared(frame, "Eq", a, b)
    if scalars:
        frame.recorder.refuse("a NaN in a tuple that is compared")
        return a[0] is b[0] or a[0] == b[0]
    return _compared(frame, "Is", a, b) or _compared(frame, "Eq", a, b)


def _compared(frame: Operators, name: str, a: Pair, b: Pair) -> bool:
    slots, first = frame.slots, len(frame.slots)
    slots += [a[1], b[1], CONSTANT]
    return frame.truth(first + 2, frame.compare(first + 2, name, first, first + 1, a[0], b[0]))
