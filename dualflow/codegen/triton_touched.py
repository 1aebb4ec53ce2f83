"""Which memory steps of a program touch, and whether two of them meet there."""

from __future__ import annotations

from collections.abc import Sequence

from dualflow.ir.program import Buffer, Call, Launch, Loop, Step


def touched(step: Step) -> tuple[list[Buffer], list[Buffer]]:
    """The memory that a step reads, and that it writes."""
    if isinstance(step, Call):
        return [o.buffer for o in step.operands], [o.buffer for o in step.results]
    if isinstance(step, Loop):
        every = [o.buffer for o in (*step.places, *step.operands, *step.results)]
        every += [o.buffer for pair in step.copies for o in pair]
        return every, every
    assert isinstance(step, Launch), "programs of a GPU have no chains"
    pairs = list(zip(step.kernel.accesses, step.operands, strict=True))
    return ([o.buffer for access, o in pairs if access.mode != "out"],
            [o.buffer for access, o in pairs if access.mode != "in"])  # fmt: skip


def overlap(one: Buffer, other: Buffer) -> bool:
    """Whether two pieces of memory have bytes in common."""
    if one.place != other.place:
        return False
    if one.place != "arena":
        return one.index == other.index
    return one.index < other.index + other.nbytes and other.index < one.index + one.nbytes


def meets(buffers: Sequence[Buffer], others: Sequence[Buffer]) -> bool:
    return any(overlap(one, other) for one in buffers for other in others)
