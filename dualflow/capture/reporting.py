"""What is told of a compiled function: the way a call takes, and the paths recorded so far.

Comes in: the tree of recorded paths, and arguments or the last block that ran. Goes out: a
`Report`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dualflow.explain.report import Report, Section

from . import tree
from .blocks import Block
from .reasons import SLOWER, Reason


def way(
    root: tree.Fork, args: tuple, kwargs: dict
) -> tuple[str, Reason | None, list[Block]] | None:
    """The way that a call with these arguments would take, without making it: the blocks of the
    path that it shares as far as guards tell; None if it shares none."""
    fork, blocks = root, []
    while fork.alternatives:
        fitting = (a for a in fork.alternatives if tree.fits(a.block, args, kwargs, {}, {}))
        found = next(fitting, None)
        if found is None:
            break
        blocks.append(found.block)
        if found.block.leaf or not found.below:
            break
        fork = next(iter(found.below.values()))
    if not blocks:
        return None
    if blocks[0].slow:
        return "eager", SLOWER, blocks
    reason = blocks[-1].reason
    if reason is not None and reason.pieces.slow:
        return "eager", reason, blocks
    return ("replay" if reason is None else "co-execute"), reason, blocks


def above(root: tree.Fork, leaf: Block) -> list[Block]:
    """The blocks of the path that ends in `leaf`."""
    before: dict[Block, Block | None] = {}
    todo: list[tuple[tree.Fork, Block | None]] = [(root, None)]
    while todo and leaf not in before:
        fork, last = todo.pop()
        for alternative in fork.alternatives:
            before[alternative.block] = last
            todo += [(below, alternative.block) for below in alternative.below.values()]
    path = [leaf]
    while (last := before.get(path[-1])) is not None:
        path.append(last)
    return path[::-1]


def report(name: str, how: Any, told: Sequence[object], blocks: Sequence[Block]) -> Report:
    """What there is to tell of a function whose call went through `blocks`."""
    return Report(
        name,
        how,
        tuple(str(reason) for reason in told if reason is not None),
        tuple(_section(block) for block in blocks if block.graph is not None),
        "\n".join(block.written.text for block in blocks),
        tuple(effect for block in blocks for effect in block.written.effects),
    )


def _section(block: Block) -> Section:
    assert block.graph is not None
    compilation = block.compilation
    if compilation is None or block.failed is not None:
        return Section(block.graph)
    try:
        program = compilation.program
        working = getattr(compilation.result(), "working", 0) if compilation.done else 0
    except Exception:  # told by the call that wants it
        return Section(block.graph)
    return Section(
        getattr(compilation, "rolled", None) or block.graph,
        program,
        tuple(getattr(compilation, "reasons", ())),
        dict(getattr(compilation, "texts", {})),
        working,
    )
