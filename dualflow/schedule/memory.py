"""Where intermediates lie: one arena, used again as soon as the last reader is done.

Comes in: for each intermediate its size, the step that writes it and the last that reads it.
Goes out: a byte offset for each, and the size of the arena.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

ALIGNMENT = 64  # bytes: a cache line, and the widest vector


class Life(NamedTuple):
    """An intermediate: `nbytes` needed from step `first` to step `last`, both included."""

    nbytes: int
    first: int
    last: int


def place(lives: Sequence[Life]) -> tuple[list[int], int]:
    """Offsets such that no two lives that overlap in time overlap in memory; and the arena's size.

    Large ones first, each into the tightest gap that the ones placed so far leave it.

    >>> place([Life(100, 0, 1), Life(64, 1, 2), Life(100, 2, 3)])
    ([0, 128, 0], 192)
    """
    offsets = [0] * len(lives)
    placed: list[int] = []
    end = 0
    for i in sorted(range(len(lives)), key=lambda i: -lives[i].nbytes):
        life = lives[i]
        if not life.nbytes:
            continue
        size = aligned(life.nbytes)
        taken = sorted(
            (offsets[j], offsets[j] + aligned(lives[j].nbytes))
            for j in placed
            if lives[j].first <= life.last and life.first <= lives[j].last
        )
        best, waste, free = None, None, 0
        for low, high in taken:
            if low - free >= size and (waste is None or low - free - size < waste):
                best, waste = free, low - free - size
            free = max(free, high)
        offsets[i] = free if best is None else best
        end = max(end, offsets[i] + size)
        placed.append(i)
    return offsets, end


def aligned(nbytes: int) -> int:
    """`nbytes` rounded up to whole lines."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
