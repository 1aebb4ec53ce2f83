"""Chains: works that run together for one block of rows after the other.

    s = q @ k'        for each block of rows: s, w and o of these rows; of s and w
    w = exp(s - max)  no more than a block is ever in memory
    o = w @ v

Comes in: the works of a program in order, and which memory each uses. Goes out: the same works, of
which some are `Chained`. A chain begins with a product of matrices, or with a kernel that makes its
rows alone; a work joins it where it computes row by row what it reads of it, or sums such rows up.
What lies between in the order and does not need the chain goes before it, what needs it and cannot
join after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from math import prod
from typing import Any, NamedTuple

from dualflow.base.records import entity
from dualflow.ir.graph import Node, Value
from dualflow.ir.kernel import Kernel
from dualflow.ir.op import Kind
from dualflow.ir.types import View

from .loops import Repeated
from .shaping import Lowered
from .units import Library
from .walks import Along, Moves, cuts_of, grid_moves, product_moves, rows_of

#: Less than so many bytes between the works stay in the cache anyway.
WORTH = 512 << 10
#: What a block holds should stay in the second cache beside the matrices that it meets.
IN_CACHE = 384 << 10
#: Rows of a block: some tiles of products at least, at most so many that more gain nothing; so
#: many blocks are wanted where they have as many rows as the third; rows are taken so many at once.
LEAST, MOST, WANTED, ENOUGH, TILE = 24, 192, 8, 48, 6
#: A right matrix of more bytes is read anew from further away for each block: only high ones pay.
FAR, HIGH = 1 << 20, 96
#: So many works are looked at after the last one that joined.
AHEAD = 8
#: A sum over rows keeps the rows of its batch on one thread: from so many batches on that is none.
BATCHES = 2

Work = Lowered | Library | Repeated


class Use(NamedTuple):
    """Memory that a work uses: the value that lies there first, seen how, and written or not."""

    home: Value
    view: View
    written: bool


@entity
class Chained:
    """Works that are one step.

    Attributes:
        works, numbers: what runs for each block, in order, and where it was.
        rows, tall, moves: see `ir.program.Chain`.
        inner: what lies in blocks alone, and the bytes of a row.
    """

    works: tuple[Lowered | Library, ...]
    numbers: tuple[int, ...]
    rows: tuple[int, ...]
    tall: int
    moves: tuple[Moves, ...]
    inner: dict[Value, int]


def height(rows: Sequence[int], held: Iterable[int]) -> int:
    """Rows of a block that holds so many bytes of each: as sizes alone say, for sums depend on it.

    >>> height((8, 4096), [4096 * 4])
    24
    """
    length = rows[-1]
    most = max(LEAST, min(MOST, IN_CACHE // max(1, sum(held)), max(ENOUGH, prod(rows) // WANTED)))
    count = -(-length // most)
    tall = -(-length // count)
    return min(length, -(-tall // TILE) * TILE) if count > 1 else tall


class _Growth:
    """A chain in the making.

    Attributes:
        count: rows in all.
        made: what its works wrote row by row, and the elements of a row.
        whole: what they wrote otherwise: there is all of it after the last block.
        cuts: numbers of rows after which some work begins anew: blocks do not reach over these.
    """

    def __init__(self, finder: _Finder, count: int) -> None:
        self.finder, self.count = finder, count
        self.numbers: list[int] = []
        self.walks: list[tuple[Along, ...] | tuple[int, bool]] = []
        self.made: dict[Value, int] = {}
        self.whole: set[Value] = set()
        self.cuts: set[int] = {count}
        self.touched: set[Value] = set()

    def rows(self, cuts: Iterable[int] = ()) -> tuple[int, ...] | None:
        """The axes of rows; None if works begin anew at numbers that do not fit together."""
        ends = sorted({*self.cuts, *cuts} - {1})
        if any(high % low for low, high in pairwise(ends)):
            return None
        return (*reversed([high // low for low, high in pairwise(ends)]), ends[0])

    def joins(self, number: int, after: Sequence[int] = ()) -> bool:
        """Let the work of this number join, if it can, where those of `after` follow the chain."""
        work, uses = self.finder.works[number], self.finder.uses[number]
        if isinstance(work, Repeated) or (isinstance(work, Library) and not is_product(work.node)):
            return False
        written = [use for use in uses if use.written]
        if any(use.home in self.whole for use in uses) or any(
            use.home in self.touched and use.home not in self.made for use in written
        ):  # what was read as a whole, or at other rows
            return False
        if isinstance(work, Lowered):
            walk, cuts = self._kernel(work, uses)
        elif self._belongs(uses, after):
            walk, cuts = self._product(work, uses)
        else:
            return False
        rows = None if walk is None else self.rows(cuts)
        if walk is None or rows is None or rows[-1] < LEAST:
            return False
        rowed = self._rowed(work, written, walk)
        held = self._held({**self.made, **rowed}, {*self.numbers, number})
        if isinstance(work, Library) and not walk[1] and not self._is_near(work, rows, held):
            return False
        self.made |= rowed
        self.whole |= {use.home for use in written} - rowed.keys()
        self.cuts |= cuts
        self.touched |= {use.home for use in uses}
        self.numbers.append(number)
        self.walks.append(walk)
        return True

    def _rowed(
        self, work: Lowered | Library, written: Sequence[Use], walk: Any
    ) -> dict[Value, int]:
        """What the work writes row by row, as it walks them, and the elements of a row."""
        found: dict[Value, int] = {}
        for use in written:
            row, rest = divmod(use.home.type.size, self.count)
            axes = range(len(use.view.shape))
            seen = None if rest or not row else rows_of(use.view, axes, row, self.count)
            if isinstance(work, Library):
                seen = None if walk[1] else walk
            if seen == walk:
                found[use.home] = row
        return found

    def _held(self, made: dict[Value, int], members: set[int]) -> dict[Value, int]:
        """What no work but `members` uses, and the bytes of a row."""
        return {
            home: row * home.dtype.itemsize for home, row in made.items()
            if self.finder.users[home] <= members
        }  # fmt: skip

    def _is_near(self, work: Library, rows: tuple[int, ...], held: dict[Value, int]) -> bool:
        """Whether the right matrix is not read too often from too far away."""
        _, right = work.node.operands
        k, n = right.shape[-2:]
        far = k * n * right.dtype.itemsize > FAR
        return not far or height(rows, held.values()) >= min(HIGH, rows[-1])

    def _kernel(
        self, work: Lowered, uses: Sequence[Use]
    ) -> tuple[tuple[Along, ...] | None, set[int]]:
        """How the grid of a kernel walks rows, if it computes row by row."""
        kernel = work.kernel
        gathered = _gathered(kernel)
        if kernel.totals or work.may_fail:
            return None, set()
        walks = set()
        for access, use in zip(kernel.accesses, uses, strict=True):
            row = self.made.get(use.home)
            if row is None:
                continue
            axes = range(len(kernel.axes))
            walk = None if access.name in gathered else rows_of(use.view, axes, row, self.count)
            if walk is None or any(along.axis >= len(kernel.grid) for along in walk):
                return None, set()
            walks.add(walk)
        if len(walks) != 1:
            return None, set()
        (walk,) = walks
        return walk, {along.step for along in walk} | {along.span for along in walk}

    def _product(
        self, work: Library, uses: Sequence[Use]
    ) -> tuple[tuple[int, bool] | None, set[int]]:
        """How a product of matrices walks rows: the number of the axis and whether it sums."""
        left, right, result = (use.view for use in uses)
        *outer, m = result.shape[:-1]
        sums = uses[1].home in self.made or not self._in_rows(uses[0], (*range(len(outer) + 1),))
        rank = len(outer)
        if not sums:
            if prod(outer) * m != self.count or m == 1:
                return None, set()
            steps = [left.strides[: rank + 1], (*right.strides[:rank], 0)]
            return (m, False), cuts_of((*outer, m), [*steps, result.strides[: rank + 1]])
        k = left.shape[-1]
        if prod(outer) * k != self.count or k == 1 or not self._pays(uses, prod(outer)):
            return None, set()
        along = (*range(rank), rank + 1), (*range(rank), rank)
        if not all(map(self._in_rows, uses, along)):
            return None, set()
        steps = [(*left.strides[:rank], left.strides[-1]), right.strides[: rank + 1]]
        return (k, True), cuts_of((*outer, k), [*steps, (*result.strides[:rank], 0)])

    def _belongs(self, uses: Sequence[Use], after: Sequence[int]) -> bool:
        """Whether a product reads rows of the chain, or a reader of them that can join reads its
        result too."""
        if not self.numbers or any(use.home in self.made for use in uses[:2]):
            return True
        others = set().union(*(self.finder.users[home] for home in self.made))
        readers = [reader for reader in self.finder.users[uses[2].home] & others if reader >= 0]
        return bool(readers) and not self.finder.follows(min(readers), after)

    def _in_rows(self, use: Use, axes: tuple[int, ...]) -> bool:
        """Whether these axes of a view walk rows and the others columns, if the chain made it."""
        row = self.made.get(use.home)
        if row is None:
            return True
        walk = rows_of(use.view, range(len(use.view.shape)), row, self.count)
        return walk is not None and all(a.axis in axes and a.points == 1 for a in walk)

    def _pays(self, uses: Sequence[Use], batches: int) -> bool:
        """Whether a sum over rows may join: it keeps the rows of a batch on one thread."""
        return batches >= BATCHES and any(use.home in self.made for use in uses[:2])

    def finished(self) -> Chained | None:
        """The chain; None where it is not worth it."""
        held, rows = self._held(self.made, set(self.numbers)), self.rows()
        size = self.count * sum(held.values())
        if len(self.numbers) < 2 or size < WORTH or rows is None:
            return None
        works, moves = [], []
        for number, walk in zip(self.numbers, self.walks, strict=True):
            work = self.finder.works[number]
            assert not isinstance(work, Repeated)
            works.append(work)
            if isinstance(work, Lowered):
                moves.append(grid_moves(work.kernel, walk, rows))  # type: ignore[arg-type]
            else:
                views = [use.view for use in self.finder.uses[number]]
                moves.append(product_moves(views, walk[1], rows))  # type: ignore[arg-type]
        tall = height(rows, held.values())
        return Chained(tuple(works), tuple(self.numbers), rows, tall, tuple(moves), held)


def is_product(node: Node) -> bool:
    """Whether texts of our own compute the node: a product of matrices of floats."""
    if node.op.kind is not Kind.CONTRACTION:
        return False
    kind = node.result.type
    return kind.dtype.name in ("float32", "float64") and len(kind.shape) >= 2 and kind.size > 0


def _gathered(kernel: Kernel) -> set[str]:
    """The accesses that are read anywhere."""
    stages = (*kernel.stages, *kernel.closing)
    return {let.arguments[0] for stage in stages for let in stage.lets if let.op == "gather"}


class _Finder:
    """All works of a program with the memory they use."""

    def __init__(self, works: Sequence[Work], uses: Sequence[Sequence[Use]]) -> None:
        self.works, self.uses = works, uses
        self.users: dict[Value, set[int]] = {}
        for number, mine in enumerate(uses):
            for use in mine:
                self.users.setdefault(use.home, set()).add(number)
        self.reads = [{use.home for use in mine if not use.written} for mine in uses]
        self.writes = [{use.home for use in mine if use.written} for mine in uses]

    def conflict(self, one: int, two: int) -> bool:
        """Whether the order of two works matters."""
        return not (
            self.writes[one].isdisjoint(self.reads[two] | self.writes[two])
            and self.reads[one].isdisjoint(self.writes[two])
        )

    def follows(self, number: int, after: Sequence[int]) -> bool:
        """Whether a work has to run after one of `after`."""
        later: list[int] = list(after)
        for other in range(min(after, default=number), number + 1):
            if any(each < other and self.conflict(each, other) for each in later):
                later.append(other)
        return later[-1:] == [number]

    def grow(self, numbers: Sequence[int]) -> tuple[Chained, list[int], list[int]] | None:
        """The chain that begins with the first of `numbers`, what goes before it and what after;
        None if it is none."""
        growth = self._begun(numbers[0])
        if growth is None:
            return None
        before: list[int] = []
        after: list[int] = []
        free: list[int] = []  # what may as well run before as after
        end = 1
        for at, number in enumerate(numbers[1:], 1):
            if at - end > AHEAD or _stays(self.works[number]):
                break
            waits = any(self.conflict(number, other) for other in after)
            if not waits and growth.joins(number, after):
                end = at
                needed = self._needed(number, free)
                before += needed
                free = [other for other in free if other not in needed]
            elif waits or any(self.conflict(number, other) for other in growth.numbers):
                after.append(number)
            else:
                free.append(number)
        chain = growth.finished()
        taken = {*growth.numbers, *before}
        return None if chain is None else (chain, before, [n for n in numbers if n not in taken])

    def _begun(self, number: int) -> _Growth | None:
        """A chain of one work: a product, or a kernel that makes the rows of one."""
        work = self.works[number]
        if isinstance(work, Library):
            count = prod(work.node.result.shape[:-1]) if is_product(work.node) else 0
            growth = _Growth(self, count)
            return growth if count >= LEAST and growth.joins(number) else None
        for use in self.uses[number] if isinstance(work, Lowered) else ():
            if use.written and self._is_left(use.home):
                row = use.home.shape[-1]
                growth = _Growth(self, use.home.type.size // row)
                growth.made[use.home] = row
                return growth if growth.count >= LEAST and growth.joins(number) else None
        return None

    def _is_left(self, home: Value) -> bool:
        """Whether a product reads rows of the value, which has no other use."""
        users = self.users[home]
        if len(users) != 2 or len(home.shape) < 2 or not home.type.size or -1 in users:
            return False
        reader = self.works[max(users)]
        if not isinstance(reader, Library) or not is_product(reader.node):
            return False
        return self.uses[max(users)][0].home is home and self.uses[max(users)][1].home is not home

    def _needed(self, number: int, free: Sequence[int]) -> list[int]:
        """Those of `free` that have to run before the work of this number."""
        found = [number]
        for other in reversed(free):
            if any(self.conflict(other, later) for later in found):
                found.append(other)
        return found[:0:-1]

    def arranged(self, numbers: Sequence[int]) -> list[tuple[Work | Chained, tuple[int, ...]]]:
        """These works in an order in which they can run, some as chains."""
        found: list[tuple[Work | Chained, tuple[int, ...]]] = []
        left = list(numbers)
        while left:
            made = self.grow(left)
            if made is None:
                found.append((self.works[left[0]], (left[0],)))
                left = left[1:]
            else:
                chain, before, left = made
                found += [*self.arranged(before), (chain, chain.numbers)]
        return found


def _stays(work: Work) -> bool:
    """Whether nothing is moved over the work: it may raise."""
    if isinstance(work, Lowered):
        return work.may_fail
    return isinstance(work, Library) and work.node.may_raise


def chained(
    works: Sequence[Work], uses: Callable[[Work], list[Use]], kept: Iterable[Value]
) -> list[tuple[Work | Chained, tuple[int, ...]]]:
    """The works in an order in which they can run, some as chains, each with its numbers before.

    Args:
        works: in order.
        uses: what a work uses: for a kernel in the order of its accesses, for a product its two
            operands and the result.
        kept: homes of values that are used after all works.
    """
    finder = _Finder(works, [uses(work) for work in works])
    for home in kept:
        finder.users.setdefault(home, set()).add(-1)
    return finder.arranged(range(len(works)))
