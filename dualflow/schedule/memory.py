"""Where intermediates lie: one arena, used again as soon as the last reader is done; and outputs,
as long as nothing is written there.

Comes in: for each intermediate its size, the step that writes it and the last that reads it.
Goes out: a byte offset for each, and the size of the arena.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

ALIGNMENT = 64  # bytes: a cache line, and the widest vector


class Life(NamedTuple):
    """An intermediate: `nbytes` needed from step `first` to step `last`, both included."""

    nbytes: int
    first: int
    last: int


class Room(NamedTuple):
    """Memory of `nbytes` that nobody needs before step `until`."""

    nbytes: int
    until: int


class Spot(NamedTuple):
    """A byte offset in the room of that number; in the arena: -1."""

    room: int
    offset: int


#: In which order intermediates are placed: what leaves the smallest arena is taken.
ORDERS = (
    lambda life: -life.nbytes,
    lambda life: (life.first, -life.nbytes),
    lambda life: -life.nbytes * (life.last - life.first + 1),
    lambda life: (-life.last, -life.nbytes),
)


def place_well(lives: Sequence[Life], rooms: Sequence[Room] = ()) -> tuple[list[Spot], int]:
    """As `place`, the best of several orders."""
    return min((place(lives, rooms, order) for order in ORDERS), key=lambda found: found[1])


def place(
    lives: Sequence[Life], rooms: Sequence[Room] = (), order: Callable[[Life], Any] = ORDERS[0]
) -> tuple[list[Spot], int]:
    """Spots such that no two lives that overlap in time overlap in memory; and the arena's size.

    Each in its turn (large ones first) into the tightest gap that the ones placed so far leave it;
    into the arena those that fit into no room.

    >>> place([Life(100, 0, 1), Life(64, 1, 2), Life(100, 2, 3)])[1]
    192
    >>> place([Life(100, 0, 1), Life(64, 1, 2), Life(100, 2, 3)], [Room(100, 2)])
    ([Spot(room=0, offset=0), Spot(room=-1, offset=128), Spot(room=-1, offset=0)], 192)
    """
    spots = [Spot(-1, 0)] * len(lives)
    placed: list[list[tuple[Life, int]]] = [[] for _ in (*rooms, None)]  # last, of the arena
    end = 0
    for i in sorted(range(len(lives)), key=lambda i: order(lives[i])):
        life = lives[i]
        if not life.nbytes:
            continue
        best: tuple[int, Spot] | None = None
        for number, room in enumerate(rooms):
            if life.last >= room.until or life.nbytes > room.nbytes:
                continue
            offset, waste = _gap(placed[number], life, room.nbytes)
            if waste >= 0 and (best is None or waste < best[0]):
                best = waste, Spot(number, offset)
        if best is None:
            offset, _ = _gap(placed[-1], life, None)
            best = 0, Spot(-1, offset)
            end = max(end, offset + aligned(life.nbytes))
        spots[i] = best[1]
        placed[best[1].room].append((life, best[1].offset))
    return spots, end


def _gap(placed: Sequence[tuple[Life, int]], life: Life, within: int | None) -> tuple[int, int]:
    """The offset of the tightest gap that `placed` leave `life` (in memory of so many bytes; None:
    it grows), and how much of the gap is left; -1 where there is none."""
    size = aligned(life.nbytes)
    taken = sorted(
        (offset, offset + aligned(other.nbytes))
        for other, offset in placed
        if other.first <= life.last and life.first <= other.last
    )
    best, waste, free = 0, -1, 0
    for low, high in taken:
        if low - free >= size and (waste < 0 or low - free - size < waste):
            best, waste = free, low - free - size
        free = max(free, high)
    if waste >= 0:
        return best, waste
    if within is None:
        return free, 0
    return free, max(within - free - life.nbytes, -1)


def lasting(lives: Sequence[Life], budget: int, end: int) -> list[Life]:
    """The lives, small ones lasting until step `end`: as many as `budget` bytes hold.

    >>> lasting([Life(100, 0, 1), Life(64, 1, 2)], 128, 9)
    [Life(nbytes=100, first=0, last=1), Life(nbytes=64, first=1, last=9)]
    """
    found = list(lives)
    for n in sorted(range(len(lives)), key=lambda n: lives[n].nbytes):
        budget -= aligned(lives[n].nbytes)
        if budget < 0:
            break
        found[n] = lives[n]._replace(last=end)
    return found


def needed(lives: Sequence[Life]) -> int:
    """Bytes that live at once at the most: in this order of steps no plan needs less.

    >>> needed([Life(100, 0, 1), Life(64, 1, 2), Life(100, 2, 3)])
    164
    """
    changes: dict[int, int] = {}
    for life in lives:
        changes[life.first] = changes.get(life.first, 0) + life.nbytes
        changes[life.last + 1] = changes.get(life.last + 1, 0) - life.nbytes
    most = now = 0
    for step in sorted(changes):
        now += changes[step]
        most = max(most, now)
    return most


def aligned(nbytes: int) -> int:
    """`nbytes` rounded up to whole lines."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
