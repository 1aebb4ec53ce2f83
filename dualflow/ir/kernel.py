"""Kernel: loop-level. Axes, accesses to buffers, stages of scalar code; no size, no backend.

    Kernel = axes: Axis* (grid, total, short, loop; outermost first), accesses: Access*,
             scalars: Scalar*, stages: Stage*, closing: Stage*,
             lanes: the axis whose points run side by side, repeated: (in, out)*
    Stage  = over: loop axes (() = once per grid point), lets: Let*, sinks: Sink*
    Sink   = Fold | Keep | Total | Store | Check
    Let    = name = op(arguments): dtype       one value per point of grid and stage loops

A *grid* axis has independent points and a run-time range; a *total* axis too, but for Totals; a
*loop* axis is walked inside a grid point and has a run-time size. The few points of a *short* axis
are written out: what differs between them is computed for one after the other, inside the loops.
Values live along the axes of their stage; a Fold makes one value per grid point, a Keep one per
loop point, both for later stages. A Total folds one value per grid point over the total axes, for
the closing stages, which run once for each point of the other grid axes. Whoever divides the range
of a total axis has to join the totals of its parts. The stages of a *repeated* kernel run `count`
times at a point, on what the time before stored. Sizes and strides are arguments, so one kernel
serves every batch size. Comes in: `schedule/`. Goes out: `codegen/`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from dualflow.base.records import record

from .op import CATALOGUE

#: Ops of scalar code that are no records of the catalogue:
#:   load(access[, predicate, other]): the element at this point; `other` where not `predicate`
#:   gather(access, offset[, predicate, other]): the element `offset` (int64, in elements) further
#:   index(axis): the position along an axis, int64
#:   pair(re, im): a complex number of two floats (launches pass no complex numbers)
#:   constant: the only argument is a Python literal's `repr`
BUILT_IN = ("load", "gather", "index", "pair", "constant")
#: The largest stride that may stand in a text.
LITERAL = 4


@record
class Axis:
    """One loop of the kernel."""

    name: str
    role: Literal["grid", "total", "short", "loop"]
    size: int = 0  # of a short axis


@record
class Access:
    """A buffer seen through an affine index map, whose offset is already in the pointer.

    Attributes:
        strides: one for each axis of the kernel: 0 (broadcast), a small literal number, or "s" (an
            argument at run time, in elements).
        near: another access of the same memory and strides (this one may stand still on short
            axes), and how many elements after it this one lies: both are read as one.
    """

    name: str
    dtype: np.dtype
    mode: Literal["in", "out", "inout"]
    strides: tuple[int | str, ...]
    near: tuple[str, int] | None = None


@record
class Scalar:
    """A number that the launch passes: constants of the graph, so that they are not in the text."""

    name: str
    dtype: np.dtype


@record
class Let:
    """A scalar value in single-assignment form. `op` is a record's name or one of `BUILT_IN`."""

    name: str
    op: str
    arguments: tuple[str, ...]
    dtype: np.dtype


@record
class Fold:
    """`value` reduced over the stage's loops by the reduction `op`; one value per grid point.

    `dtype` is that of the result; accumulation may be wider.
    """

    name: str
    op: str
    value: str
    dtype: np.dtype


@record
class Keep:
    """`value`, one per loop point, for later stages over the same loops (row scratch)."""

    name: str
    value: str
    dtype: np.dtype


@record
class Total:
    """`value`, one per grid point, reduced over the total axes by `op`; for the closing stages.

    `dtype` is that of the result; accumulation may be wider.
    """

    name: str
    op: str
    value: str
    dtype: np.dtype


@record
class Store:
    """`value` written at this point of `access`."""

    access: str
    value: str


@record
class Check:
    """Sets the status word of the program to `code` if `value` (bool) is false anywhere."""

    value: str
    code: int


Sink = Fold | Keep | Total | Store | Check


@record
class Stage:
    """A loop nest over `over` inside every grid point."""

    over: tuple[str, ...]
    lets: tuple[Let, ...]
    sinks: tuple[Sink, ...]


@record
class Kernel:
    """A loop nest that reads and writes buffers; equal kernels have equal text."""

    axes: tuple[Axis, ...]
    accesses: tuple[Access, ...]
    scalars: tuple[Scalar, ...]
    stages: tuple[Stage, ...]
    lanes: str
    closing: tuple[Stage, ...] = ()
    repeated: tuple[tuple[str, str], ...] | None = None

    @property
    def grid(self) -> tuple[str, ...]:
        """The axes of the grid, total axes included."""
        return tuple(axis.name for axis in self.axes if axis.role in ("grid", "total"))

    @property
    def totals(self) -> tuple[str, ...]:
        return tuple(axis.name for axis in self.axes if axis.role == "total")

    @property
    def keeps(self) -> tuple[Keep, ...]:
        return tuple(sink for sink in self.sinks if isinstance(sink, Keep))

    @property
    def short(self) -> tuple[Axis, ...]:
        return tuple(axis for axis in self.axes if axis.role == "short")

    @property
    def loops(self) -> tuple[str, ...]:
        return tuple(axis.name for axis in self.axes if axis.role == "loop")

    @property
    def sinks(self) -> tuple[Sink, ...]:
        return tuple(sink for stage in self.stages + self.closing for sink in stage.sinks)

    @property
    def folds_across_lanes(self) -> bool:
        """Whether lanes are points of the grid, each folding for itself (a column reduction)."""
        return self.lanes in self.grid and any(isinstance(sink, Fold) for sink in self.sinks)

    def access(self, name: str) -> Access:
        return next(access for access in self.accesses if access.name == name)

    def integers(self) -> tuple[str, ...]:
        """The int64 arguments in order: `lo_a, hi_a` of each grid axis a, `n_a` of each loop axis,
        `X_a` for each stride "s" of access X along axis a; `count` of a repeated kernel."""
        found = [f"{end}_{axis}" for axis in self.grid for end in ("lo", "hi")]
        found += [f"n_{axis}" for axis in self.loops]
        for access in self.accesses:
            strides = zip(self.axes, access.strides, strict=True)
            found += [f"{access.name}_{axis.name}" for axis, stride in strides if stride == "s"]
        if self.repeated is not None:
            found.append("count")
        return tuple(found)

    def verify(self) -> Kernel:
        """Check names, scopes and dtypes; returns the kernel. Errors are faults of `schedule/`."""
        roles = [("grid", "total", "short", "loop").index(axis.role) for axis in self.axes]
        assert roles == sorted(roles), "grid axes come first, then total and short axes"
        assert not (self.short and self.totals), "totals have no short axes beside them"
        short = tuple(axis.name for axis in self.short)
        assert self.lanes in (self.grid[-1:] + self.loops[-1:]), "lanes: the last grid or loop axis"
        for access in self.accesses:
            assert len(access.strides) == len(self.axes), f"{access.name}: a stride for each axis"
            strides = [s for s in access.strides if isinstance(s, int)]
            literal = all(-LITERAL <= s <= LITERAL for s in strides)
            assert literal, f"strides of {access.name}"
            if access.near:
                near = self.access(access.near[0]).strides
                assert all(s in (0, t) for s, t in zip(access.strides, near, strict=True)), "near"
        lasting = {scalar.name: scalar.dtype for scalar in self.scalars}
        closed = dict(lasting)
        for stage in self.stages:
            assert set(stage.over) <= set(self.loops), f"a stage loops over {stage.over}"
            self._verify_stage(stage, self.grid + short + stage.over, lasting)
        for one, two in self.repeated or ():
            seen, stored = self.access(one), self.access(two)
            assert (seen.strides, seen.dtype) == (stored.strides, stored.dtype), "what is repeated"
        totals = [sink for sink in self.sinks if isinstance(sink, Total)]
        assert bool(totals) == bool(self.totals), "totals fold over total axes"
        closed |= {total.name: total.dtype for total in totals}
        for stage in self.closing:
            assert self.totals, "closing stages follow totals"
            assert not stage.over, "a closing stage has no loop"
            assert all(isinstance(sink, (Store, Check)) for sink in stage.sinks), "closing stores"
            self._verify_stage(stage, self.grid[: -len(self.totals)], closed)
        return self

    def _verify_stage(
        self, stage: Stage, live: tuple[str, ...], lasting: dict[str, np.dtype]
    ) -> None:
        """Check one stage where the axes `live` are walked and the values `lasting` are known."""
        seen = dict(lasting)
        for let in stage.lets:
            assert let.name not in seen, f"{let.name} is defined twice"
            values = let.arguments
            if let.op in ("load", "gather"):
                access = self.access(let.arguments[0])
                assert access.mode != "out", f"{let.name} loads from an output"
                assert access.dtype == let.dtype, f"{let.name}: dtype of {access.name}"
                self._verify_reach(access, live)
                values = let.arguments[1:]
            elif let.op == "index":
                assert let.arguments[0] in live, f"{let.name}: axis {let.arguments[0]} is not live"
                values = ()
            elif let.op == "constant":
                values = ()
            elif let.op != "pair":
                assert let.op in CATALOGUE, f"{let.name}: no op {let.op}"
            for value in values:
                assert value in seen, f"{let.name} uses {value} before it exists"
            seen[let.name] = let.dtype
        for sink in stage.sinks:
            assert sink.value in seen, f"{sink} of an unknown value"
            if isinstance(sink, Store):
                access = self.access(sink.access)
                assert access.mode != "in", f"store to the input {access.name}"
                assert access.dtype == seen[sink.value], f"store to {access.name}: dtype"
                self._verify_reach(access, live)
            elif isinstance(sink, (Fold, Keep, Total)):
                assert sink.name not in lasting, f"{sink.name} is defined twice"
                lasting[sink.name] = sink.dtype
                assert not (isinstance(sink, Total) and stage.over), f"{sink.name} is in a loop"

    def _verify_reach(self, access: Access, live: tuple[str, ...]) -> None:
        for axis, stride in zip(self.axes, access.strides, strict=True):
            assert stride == 0 or axis.name in live, f"{access.name} moves along {axis.name}"

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def _lines(kernel: Kernel) -> Iterator[str]:
    kept = ", ".join(axis for axis in kernel.grid if axis not in kernel.totals)
    totals = f" total({', '.join(kernel.totals)})" if kernel.totals else ""
    totals += "".join(f" {axis.name} of {axis.size}" for axis in kernel.short)
    yield f"kernel grid({kept}){totals} loop({', '.join(kernel.loops)}) lanes {kernel.lanes}"
    for one, two in kernel.repeated or ():
        yield f"  repeated, {two} as {one}"
    for access in kernel.accesses:
        steps = zip(kernel.axes, access.strides, strict=True)
        where = " + ".join(f"{axis.name}*{stride}" for axis, stride in steps if stride != 0)
        yield f"  {access.mode:5} {access.name}: {access.dtype.name}[{where or 0}]"
    for scalar in kernel.scalars:
        yield f"  value {scalar.name}: {scalar.dtype.name}"
    for stage in kernel.stages:
        yield f"  for {', '.join(stage.over)}:" if stage.over else "  once:"
        yield from _stage_lines(stage)
    for stage in kernel.closing:
        yield "  closing:"
        yield from _stage_lines(stage)


def _stage_lines(stage: Stage) -> Iterator[str]:
    for let in stage.lets:
        yield f"    {let.name}: {let.dtype.name} = {let.op}({', '.join(let.arguments)})"
    for sink in stage.sinks:
        if isinstance(sink, Store):
            yield f"    {sink.access}[...] = {sink.value}"
        elif isinstance(sink, Check):
            yield f"    check {sink.value} else {sink.code}"
        elif isinstance(sink, Keep):
            yield f"    {sink.name} = keep {sink.value}"
        else:
            whole = " of the grid" if isinstance(sink, Total) else ""
            yield f"    {sink.name}: {sink.dtype.name} = {sink.op} over {sink.value}{whole}"
