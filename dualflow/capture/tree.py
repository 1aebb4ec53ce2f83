"""The trace tree of a compiled function: forks of alternatives, one block each.

    Fork        = alternatives, tried in order: the first whose guards fit and that leads somewhere
                  is taken
    Alternative = a Block, and for each outcome of its test the Fork below

Comes in: calls, and paths of recorded calls. Goes out: the result of a replay, or what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dualflow.base.interrupts import pass_on

from .blocks import Block, outcome_key
from .emit import MISS, PYTHON, RAISED, Marker
from .ndarrays.random import set_back

NOT_READY = Marker("the program is being compiled")
FAILED = Marker("the compiler failed")
SLOWER = Marker("replays were measured to be slower")


class Fork:
    """Alternatives; `count` of recordings that met no fitting one."""

    __slots__ = ("alternatives",)

    def __init__(self) -> None:
        self.alternatives: list[Alternative] = []


class Alternative:
    """A block, and what follows each outcome of its test."""

    __slots__ = ("below", "block", "linked")

    def __init__(self, block: Block) -> None:
        self.block = block
        self.below: dict[Any, Fork] = {}
        self.linked = block.compilation is None and block.graph is None


def run(root: Fork, args: tuple, kwargs: dict) -> tuple[Any, Block | None]:
    """Replay a call: the result, or a marker, and the last block; (MISS, None) if there is no path
    for it."""
    arrays: dict[Any, Any] = {}
    found, block = _walk(root, args, kwargs, arrays)
    if type(found) is Marker and found.error is None:  # an error that leaves is a result
        set_back(arrays)
    return found, block


def _walk(root: Fork, args: tuple, kwargs: dict, arrays: dict) -> tuple[Any, Block | None]:
    late: dict[int, Any] = {}
    todo = [(iter(root.alternatives), 0)]
    while todo:
        alternatives, drew = todo[-1]
        if arrays:
            set_back(arrays, drew)
        alternative = next(alternatives, None)
        if alternative is None:  # what fitted so far leads nowhere: another one may fit too
            todo.pop()
            continue
        block = alternative.block
        if not alternative.linked:
            if block.is_for_others(args):
                continue
            waiting = _link(block)
            if waiting is not None:
                if fits(block, args, kwargs, late, arrays):
                    return waiting, block
                continue
            alternative.linked = True
        found = block.call(args, kwargs, late, arrays)
        if found is MISS:
            continue
        if block.leaf or found is RAISED or found is PYTHON:
            return found, block
        below = alternative.below.get(outcome_key(found))
        if below is not None:
            todo.append((iter(below.alternatives), len(arrays.get("undo", ()))))
    return MISS, None


def first(root: Fork, args: tuple, kwargs: dict) -> Alternative | None:
    """Where the path of a call begins, as its guards tell."""
    return next((a for a in root.alternatives if fits(a.block, args, kwargs, {}, {})), None)


def _link(block: Block) -> Marker | None:
    """Give the block its program; why it cannot run yet."""
    if block.failed is not None:
        return FAILED
    if block.slow:
        return SLOWER
    try:
        block.start(behind=True)  # unless it was: an interrupt may have come before
        if not block.ready:
            return NOT_READY
        block.link()
    except Exception as error:
        pass_on(error)
        block.failed = error
        return FAILED
    return None


def fits(block: Block, args: tuple, kwargs: dict, late: Any, arrays: Any) -> bool:
    """Whether the guards of a block fit; nothing is run."""
    return not block.is_for_others(args) and (
        block.call(args, kwargs, late, arrays, True) is not MISS
    )


def find(root: Fork, path: Sequence[Block]) -> Block | None:
    """The block of the tree that stands where the last block of `path` would."""
    fork: Fork | None = root
    same = None
    for block in path:
        if fork is None:
            return None
        same = next((a for a in fork.alternatives if a.block.same(block)), None)
        if same is None:
            return None
        fork = same.below.get(block.outcome)
    return None if same is None else same.block


def merge(root: Fork, blocks: list[Block]) -> tuple[list[Block], int, int]:
    """Add a path: the blocks that are new; how many alternatives the fullest fork now has that
    differ in Python values alone; and how many it has."""
    fork = root
    new: list[Block] = []
    most = widest = 0
    for block in blocks:
        same = next((a for a in fork.alternatives if a.block.same(block)), None)
        if same is None or block.leaf:
            if same is not None:  # the same leaf again: the newer one is right too
                fork.alternatives.remove(same)
            same = Alternative(block)
            fork.alternatives.append(same)
            new.append(block)
        alike = sum(a.block.alike(block) for a in fork.alternatives)
        most, widest = max(most, alike), max(widest, len(fork.alternatives))
        if block.leaf:
            break
        fork = same.below.setdefault(block.outcome, Fork())
        most = max(most, len(same.below))
    return new, most, widest
