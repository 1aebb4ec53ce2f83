"""What the blocks of a path compute of Python numbers for later ones: each is computed once.

Comes in: the nodes that each block of a path evaluates. Goes out: which of them a block keeps for
the blocks below it, and under which names it finds what those above it kept. Without this a loop
that goes on with a number (`h *= 0.9`) would compute it from the beginning at every branch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, final

from .provenance import Node

if TYPE_CHECKING:
    from .blocks import Block


@final
class Kept:
    """What is kept along one path.

    Attributes:
        by: what each new block keeps, and under which names.
    """

    def __init__(self) -> None:
        self.by: defaultdict[int, dict[Node, str]] = defaultdict(dict)
        self._names: dict[Node, tuple[int, str]] = {}
        self._there: dict[int, tuple[int, str]] = {}  # by blocks of earlier recordings: by key
        self._next = 0

    def name(self, node: Node, place: int) -> str | None:
        """The name under which a block before number `place` kept the value of a node."""
        found = self._names.get(node)
        if found is None and self._there and _is_worth_it(node):
            found = self._there.get(node.key)
        return found[1] if found is not None and found[0] < place else None

    def go_on(self, place: int, same: Block) -> None:
        """Block number `place` is one of an earlier recording, and keeps what it kept."""
        for key, name in same.kept.items():
            self._there[key] = place, name
            self._next = max(self._next, int(name[1:]) + 1)

    def settle(self, blocks: Sequence[Block], roots: Sequence[Sequence[Node]], start: int) -> None:
        """Decide what blocks number `start` and on keep, each of which evaluates its `roots`."""
        first: dict[Node, int] = {}
        for place in range(start, len(blocks)):
            todo = list(roots[place])
            while todo:
                node = todo.pop()
                before = first.get(node)
                if before == place or self.name(node, place) is not None:
                    continue
                if before is not None and _is_worth_it(node):
                    self._keep(node, before, blocks[before])
                else:
                    first[node] = place
                    todo += node.parents

    def _keep(self, node: Node, place: int, block: Block) -> None:
        name = f"k{self._next}"
        self._next += 1
        self._names[node] = place, name
        self.by[place][node] = name
        block.kept[node.key] = name


def _is_worth_it(node: Node) -> bool:
    """Whether to find a value takes longer than to keep it: of arithmetic, and what it gives."""
    template = node.template
    return bool(node.parents) and (node.late or template[0] == "(")


def evaluated(roots: Iterable[Node]) -> set[Node]:
    """All that is found on the way to `roots`, and they themselves."""
    found: set[Node] = set()
    todo = list(roots)
    while todo:
        node = todo.pop()
        if node not in found:
            found.add(node)
            todo += node.parents
    return found


def nodes_in(part: Any) -> Iterator[Node]:
    """The nodes in tuples of tuples."""
    if type(part) is Node:
        yield part
    elif isinstance(part, (tuple, list)):
        for each in part:
            yield from nodes_in(each)
