"""Chains: kernels and products of matrices run for one block of rows after the other.

Comes in: a Chain and the texts of its kernels. Goes out: a `Blocks`: how high blocks are, what each
stage runs with, how blocks are divided over threads; and the native step that walks them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from dualflow.base.records import entity
from dualflow.ir.costs import of_launch
from dualflow.ir.kernel import Kernel
from dualflow.ir.program import Call, Chain, Launch, Operand
from dualflow.ir.text import KernelText

from . import native, threads
from .division import MOST_PARTS, PART, WORTH, Division, pooled_step
from .memory import aligned
from .native import NUMBER, Argument
from .products import Product
from .products.steps import (
    ADDS,
    COLUMNS,
    COLUMNS_SEEN,
    EVERY,
    ROWS,
    ROWS_SEEN,
    SUMMED,
    of_blocks,
    packed,
)

#: Columns are left out so many at a time: in these parts sums are added up.
_GRAIN = 128

#: Which integer of a product a limit is.
_LIMITED = {"columns": COLUMNS, "summed": SUMMED, "added rows": ROWS_SEEN,
            "added columns": COLUMNS_SEEN}  # fmt: skip

Place = Callable[[Operand], Argument]


class Panels(NamedTuple):
    """Right matrices copied into panels: what copies them, where they lie among all panels, and the
    elements that a step along each axis of rows moves on by."""

    copies: Product
    tests: Product | None
    offset: int
    moves: tuple[int, ...]


@entity
class Blocks:
    """A chain as it runs.

    Attributes:
        chain: what is run.
        sizes: of the digits of a block's number.
        products: for each step, the product of one block that it is, if it is one.
        packed: for steps whose right matrices are first copied into panels: that, where these lie
            among all panels, and how many elements each axis of rows moves on by there.
        panels: bytes of all panels, and of a word after them if there is a test.
        tests: what finds out whether columns that are hidden may be left out, if any may.
        held: bytes of one block of what the steps hand on.
        scratch: bytes that one thread needs, `held` included.
        division: how the blocks are divided over threads, if they are.
    """

    chain: Chain
    sizes: tuple[int, ...]
    products: tuple[Product | None, ...]
    packed: dict[int, Panels]
    panels: int
    tests: tuple[Product, ...]
    held: int
    scratch: int
    division: Division | None


def blocks(chain: Chain, texts: Mapping[Kernel, KernelText]) -> Blocks:
    """How `chain` runs."""
    tall = chain.tall
    sizes = (*chain.rows[:-1], -(-chain.rows[-1] // tall))
    products: list[Product | None] = []
    packed: dict[int, Panels] = {}
    own, panels, cost = 0, 0, 0.0
    for step, moves in zip(chain.steps, chain.moves, strict=True):
        if isinstance(step, Call):
            found = of_blocks(step, tall, _is_sum(moves))
            made = None if _is_sum(moves) else _packed(step, chain, moves[1] or (), panels)
            if made is not None:
                found, packed[len(products)] = made[0], made[1]
                panels += made[2]
            products.append(found)
            own = max(own, scratch_bytes(found.text, found.integers))
            cost += found.cost * prod(sizes)
        else:
            products.append(None)
            own = max(own, scratch_bytes(texts[step.kernel], step.integers))
            cost += of_launch(step)
    held = sum(aligned(nbytes * tall) for nbytes in chain.held)
    division = _division(chain, sizes, cost)
    tests = _tests(chain, packed)
    panels += aligned(1) if tests else 0
    return Blocks(chain, sizes, tuple(products), packed, panels, tests, held, held + own, division)


def _tests(chain: Chain, packed: Mapping[int, Panels]) -> tuple[Product, ...]:
    """Tests of all that hidden columns meet; none where there is something without one."""
    summed = [packed.get(step) for step, name in chain.seen if name == "summed"]
    tests = tuple(panels.tests for panels in summed if panels and panels.tests)
    return tests if len(tests) == len(summed) else ()


def _packed(
    step: Call, chain: Chain, moves: tuple[int, ...], at: int
) -> tuple[Product, Panels, int] | None:
    """The product with its right matrices in panels, and bytes of these, if that pays: where each
    matrix meets several blocks."""
    batches = [(n, by) for n, by in zip(chain.rows, moves, strict=True) if by]
    count = prod(n for n, _ in batches)
    found = packed(step, chain.tall, batches)
    if found is None or prod(chain.rows) < 2 * count * chain.tall:
        return None
    along, inner = [], found.apart
    for n, by in reversed(list(zip(chain.rows, moves, strict=True))):
        along.append(inner if by else 0)
        inner *= n if by else 1
    size = aligned(found.matrices * found.apart * step.operands[1].dtype.itemsize)
    return found.product, Panels(found.copies, found.tests, at, tuple(reversed(along))), size


def scratch_bytes(text: KernelText, integers: Sequence[int]) -> int:
    """Bytes of scratch that a launch on one thread needs."""
    return sum(scratch_sizes(text, integers))


def scratch_sizes(text: KernelText, integers: Sequence[int]) -> list[int]:
    """Bytes of each piece of scratch that a launch on one thread needs."""
    return [aligned(dtype.itemsize * prod(integers[n] for n in sizes))
            for dtype, sizes in text.scratch]  # fmt: skip


def _is_sum(moves: Sequence[tuple[int, ...] | None]) -> bool:
    """Whether a product with these moves sums over rows."""
    result = moves[-1]
    return result is not None and not result[-1]


def _summed(chain: Chain) -> list[bool]:
    """For each axis of rows, whether a product of the chain sums along it."""
    found = [False] * len(chain.rows)
    for step, moves in zip(chain.steps, chain.moves, strict=True):
        if isinstance(step, Call):
            for d, move in enumerate(moves[-1] or ()):
                found[d] |= not move and chain.rows[d] > 1
    return found


def _division(chain: Chain, sizes: tuple[int, ...], cost: float) -> Division | None:
    """Blocks over threads: those that are added up stay together, in order."""
    most, summed = threads.most(), _summed(chain)
    first = summed.index(True) if True in summed else len(sizes)
    together, count = prod(sizes[first:]), prod(sizes)
    wanted = min(int(cost // PART), MOST_PARTS, count // together)
    if most < 2 or cost < WORTH or wanted < 2:
        return None
    points = -(-(count // together) // wanted) * together
    parts = -(-count // points)
    return Division(2, points, parts, min(parts, most), cost)


class _Stage(NamedTuple):
    """What a step runs with: its words, where its integers begin, which words lie in the scratch,
    and how words move."""

    function: int
    integers: int
    words: list[Argument]
    shifts: list[int]
    moves: list[Move]


class Move(NamedTuple):
    """How a word changes from block to block (see `native_chain`)."""

    word: int
    most: int
    grain: int
    steps: tuple[int, ...]


def _moved(word: int, steps: tuple[int, ...]) -> Move:
    return Move(word, EVERY, 1, steps)


class _Maker:
    """The native step of a chain in the making. Moves count the digits and then the rows."""

    def __init__(self, found: Blocks, place: Place, scratch: Argument) -> None:
        self.found, self.place, self.panels = found, place, scratch
        self.scratch = scratch[0], scratch[1] + found.panels
        self.offsets, at = [], 0
        for nbytes in found.chain.held:
            self.offsets.append(at)
            at += aligned(nbytes * found.chain.tall)

    def kernel(
        self, step: Launch, moves: Sequence[tuple[int, ...] | None], text: KernelText, code: int,
        numbers: list[Argument],
    ) -> _Stage:  # fmt: skip
        """A kernel at the grid points of a block's rows."""
        words, shifts, moving = [], [], []
        for operand in step.operands:
            if operand.buffer.place == "block":
                shifts.append(len(words))
                moving.append(_moved(len(words), self._back(operand.buffer.index)))
            words.append(self._place(operand))
        if len(text.pointers) > len(step.operands):
            words.append((native.STATUS, 0))
        self._lend(words, shifts, scratch_sizes(text, step.integers))
        at = len(words) + len(text.scalars)
        words += numbers
        for axis, move in enumerate(moves):
            if move is None:
                continue
            lo, hi = at + 2 * axis, at + 2 * axis + 1
            words[lo], words[hi] = (NUMBER, 0), (NUMBER, 0 if move[-1] else 1)
            along = self._along(move)
            moving += [_moved(lo, (*along, 0)), _moved(hi, (*along, move[-1]))]
        return _Stage(code, at, words, shifts, moving)

    def product(
        self, moves: Sequence[tuple[int, ...] | None], made: Product, panels: Panels | None,
        code: int,
    ) -> _Stage:  # fmt: skip
        """A product of a block of rows."""
        words, shifts, moving = [], [], []
        for n, (operand, move) in enumerate(zip(made.operands, moves, strict=True)):
            size = operand.dtype.itemsize
            if n == 1 and panels is not None:
                along = tuple(size * number for number in panels.moves)
                moving.append(_moved(len(words), (*along, 0)))
                words.append((self.panels[0], self.panels[1] + panels.offset))
                continue
            if operand.buffer.place == "block":
                shifts.append(len(words))
            elif move is not None:
                along = tuple(size * number for number in self._along(move))
                moving.append(_moved(len(words), (*along, 0)))
            words.append(self._place(operand))
        self._lend(words, shifts, scratch_sizes(made.text, made.integers))
        at = len(words)
        words += [(NUMBER, integer) for integer in made.integers]
        digits = len(self.found.sizes)
        sums = _is_sum(moves)
        counted = at + (SUMMED if sums else ROWS)
        words[counted] = (NUMBER, 0)
        moving.append(_moved(counted, (*[0] * digits, 1)))
        if sums:
            adds = tuple(int(not step) for step in moves[-1] or ())
            moving.append(_moved(at + ADDS, (*adds, 0)))
        return _Stage(code, at, words, shifts, moving)

    def limit(self, stage: _Stage, step: Launch | Call, name: str) -> None:
        """Let a stage see columns up to the last row of its block."""
        if isinstance(step, Launch):
            counted = step.kernel.integers().index(name)
            most = step.integers[counted]
        else:
            counted = _LIMITED[name]
            seen = step.operands[0] if name == "summed" else step.results[0]
            most = seen.view.shape[-2 if name == "added rows" else -1]
        at = stage.integers + counted
        stage.words[at] = (NUMBER, 0)
        steps = (*[0] * (len(self.found.sizes) - 1), self.found.chain.tall, 1)
        stage.moves.append(Move(at, most, _GRAIN, steps))

    def _place(self, operand: Operand) -> Argument:
        if operand.buffer.place != "block":
            return self.place(operand)
        base, offset = self.scratch
        offset += self.offsets[operand.buffer.index]
        return base, offset + operand.view.offset * operand.dtype.itemsize

    def _lend(self, words: list[Argument], shifts: list[int], sizes: Sequence[int]) -> None:
        """Scratch of one stage, after what blocks hold: stages follow each other and share it."""
        at = self.found.held
        for size in sizes:
            shifts.append(len(words))
            words.append((self.scratch[0], self.scratch[1] + at))
            at += size

    def _along(self, move: tuple[int, ...]) -> tuple[int, ...]:
        """What a digit moves by: the last one counts blocks."""
        return (*move[:-1], move[-1] * self.found.chain.tall)

    def _back(self, buffer: int) -> tuple[int, ...]:
        """A kernel counts rows from the first one of all, a block from its own."""
        rows, nbytes = self.found.chain.rows, self.found.chain.held[buffer]
        steps = [prod(rows[d + 1 :]) for d in range(len(rows))]
        return (*(-nbytes * step for step in self._along(tuple(steps))), 0)


def bound_place(found: Blocks, scratch: Argument) -> Argument:
    """Where the word is that tells whether columns may be left out: 0 if so."""
    return scratch[0], scratch[1] + found.panels - aligned(1)


def chain_step(
    found: Blocks, stages: Sequence[tuple[int, KernelText, list[Argument]]], place: Place,
    scratch: Argument,
) -> tuple[int, list[Argument], np.ndarray]:  # fmt: skip
    """The chain as a step of the dispatcher, and the plan that has to live as long.

    Args:
        found: the chain.
        stages: for each step the address of its machine code, its text, and for a kernel the words
            of its scalars and integers.
        place: where operands lie that are no blocks.
        scratch: where the scratch of the step begins.
    """
    maker = _Maker(found, place, scratch)
    made: list[_Stage] = []
    works = zip(found.chain.steps, found.chain.moves, found.products, stages, strict=True)
    for number, (step, moves, product, (code, text, numbers)) in enumerate(works):
        if isinstance(step, Launch):
            made.append(maker.kernel(step, moves, text, code, numbers))
        else:
            assert product is not None
            made.append(maker.product(moves, product, found.packed.get(number), code))
    if found.tests:
        for number, name in found.chain.seen:
            maker.limit(made[number], found.chain.steps[number], name)
    plan = [max(len(stage.words) for stage in made), found.chain.tall, found.chain.rows[-1]]
    plan += [len(found.sizes), *found.sizes, len(made)]
    words: list[Argument] = []
    for stage in made:
        plan += [stage.function, len(words), len(stage.words), len(stage.shifts), *stage.shifts]
        plan.append(len(stage.moves))
        for move in stage.moves:
            plan += [move.word, move.most, move.grain, *move.steps]
        words += stage.words
    table = np.array([*plan, 0], np.int64)
    bound = NUMBER, table.ctypes.data + 8 * len(plan)
    if found.tests:
        bound = bound_place(found, scratch)
    head = [maker.scratch, maker.scratch, (NUMBER, 0), (NUMBER, prod(found.sizes))]
    words = [*head, (NUMBER, table.ctypes.data), bound, *words]
    if found.division is not None:
        divided = pooled_step(found.division, native.chain(), words, 2, found.scratch, 0, 1)
        if divided is not None:
            return (*divided, table)
    return native.chain(), words, table
